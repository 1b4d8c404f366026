# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A registry on this host that keeps everything in a directory, so that tests see what has been changed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import pathlib
import re
import threading
import typing as t
import urllib.parse

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
USER, PASSWORD = "alice", "correct-horse"
CREDENTIALS = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = "token-of-alice"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class FakeRegistry:
    """Its content, and how it behaves.

    version: what an old one answers to the deletion of a tag. auth: none, basic or bearer. api: whether it lists referrers.
    asked: method and path of each request.
    """

    def __init__(self, path: pathlib.Path, version: str = "2.8", auth: str = "none", api: bool = False, page: int = 1000) -> None:
        self.path, self.version, self.auth, self.api, self.page = path, version, auth, api, page
        self.asked: list[str] = []
        self.sent: list[str] = []
        self.scopes: list[str] = []
        self.uploads: dict[str, str] = {}
        self.blob_location = ""
        self.realm = ""
        self.port = 0

    @contextlib.contextmanager
    def serving(self) -> t.Iterator[FakeRegistry]:
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"registry": self})) as server:
            self.port = server.server_address[1]
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            try:
                yield self
            finally:
                server.shutdown()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def access(self, **more: t.Any) -> dict[str, t.Any]:
        """The entry for it in the parameter registries."""
        credentials = {} if self.auth == "none" else {"username": USER, "password": PASSWORD}
        return {"registry": self.name, "url": f"http://{self.name}", **credentials, **more}

    # Content

    def file(self, *parts: str) -> pathlib.Path:
        path = self.path.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def blob(self, repository: str, content: bytes) -> dict[str, t.Any]:
        digest = digest_of(content)
        self.file("blobs", digest).write_bytes(content)
        self.file("repositories", repository, "layers", digest).write_text("")
        return {"mediaType": "application/octet-stream", "digest": digest, "size": len(content)}

    def put(self, repository: str, content: bytes, media_type: str, tag: str = "") -> dict[str, t.Any]:
        digest = digest_of(content)
        self.file("blobs", digest).write_bytes(content)
        self.file("repositories", repository, "manifests", digest).write_text(media_type)
        if tag:
            self.file("repositories", repository, "tags", tag).write_text(digest)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def image(self, repository: str, tag: str = "", word: str = "layer", **more: t.Any) -> dict[str, t.Any]:
        """An image of one platform. Returns its descriptor."""
        config = self.blob(repository, json.dumps({"os": "linux", "architecture": "amd64", "word": word}).encode())
        layers = [self.blob(repository, word.encode() * 100)]
        return self.put(repository, json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **more}).encode(), MANIFEST, tag)

    def index(self, repository: str, tag: str, words: t.Sequence[str] = ("amd64", "arm64")) -> dict[str, t.Any]:
        """An image of several platforms. Returns its descriptor."""
        children = [{**self.image(repository, "", word), "platform": {"os": "linux", "architecture": word}} for word in words]
        return self.put(repository, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode(), INDEX, tag)

    def tags(self, repository: str) -> dict[str, str]:
        directory = self.path / "repositories" / repository / "tags"
        return {path.name: path.read_text() for path in sorted(directory.glob("*"))} if directory.is_dir() else {}

    def whole(self, repository: str, digest: str) -> bool:
        """Whether everything that a manifest needs is in the repository."""
        base = self.path / "repositories" / repository
        if not (base / "manifests" / digest).is_file():
            return False
        data = json.loads((self.path / "blobs" / digest).read_bytes())
        blobs = [data["config"], *data["layers"]] if "config" in data else []
        return all((base / "layers" / blob["digest"]).is_file() for blob in blobs) and all(
            self.whole(repository, child["digest"]) for child in data.get("manifests", [])
        )


class _Handler(http.server.BaseHTTPRequestHandler):
    registry: FakeRegistry

    def log_message(self, *args: t.Any) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def error(self, status: int, code: str, **headers: str) -> None:
        self.answer(status, json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode(), **headers)

    def handle_request(self) -> None:
        registry = self.registry
        url = urllib.parse.urlsplit(self.path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
        registry.asked.append(f"{self.command} {url.path}")
        registry.sent.append(self.headers.get("Authorization", ""))
        if url.path == "/token":
            registry.scopes += urllib.parse.parse_qs(url.query).get("scope", [])
            if self.headers.get("Authorization") == f"Basic {CREDENTIALS}":
                return self.answer(200, json.dumps({"token": TOKEN}).encode())
            return self.error(401, "UNAUTHORIZED")
        needed = {"none": "", "basic": f"Basic {CREDENTIALS}", "bearer": f"Bearer {TOKEN}"}[registry.auth]
        if url.path.startswith("/v2/") and needed and self.headers.get("Authorization") != needed:
            realm = registry.realm or f"http://{registry.name}/token"
            challenge = 'Basic realm="x"' if registry.auth == "basic" else f'Bearer realm="{realm}",service="x"'
            return self.error(401, "UNAUTHORIZED", WWW_Authenticate=challenge)
        if url.path == "/v2/_catalog":
            return self.page(
                sorted({str(path.parent.relative_to(registry.path / "repositories")) for path in registry.path.rglob("tags")}), "repositories", query
            )
        for pattern, method in (
            (r"/v2/(.+)/tags/list", self.do_tags),
            (r"/v2/(.+)/manifests/([^/]+)", self.do_manifest),
            (r"/v2/(.+)/referrers/([^/]+)", self.do_referrers),
            (r"/v2/(.+)/blobs/uploads/([^/]*)", self.do_upload),
            (r"/v2/(.+)/blobs/([^/]+)", self.do_blob),
            (r"/elsewhere/()([^/]+)", self.do_blob),
        ):
            match = re.fullmatch(pattern, url.path)
            if match:
                return method(*match.groups(), query=query)  # type: ignore[operator]
        return self.error(404, "UNSUPPORTED")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    def page(self, names: list[str], name: str, query: dict[str, str]) -> None:
        rest = [entry for entry in names if entry > query.get("last", "")]
        page = rest[: self.registry.page]
        link = {"Link": f'<{urllib.parse.urlsplit(self.path).path}?n=1000&last={page[-1]}>; rel="next"'} if len(rest) > len(page) else {}
        self.answer(200, json.dumps({name: page}).encode(), **link)

    def do_tags(self, repository: str, query: dict[str, str]) -> None:
        if not (self.registry.path / "repositories" / repository).is_dir():
            return self.error(404, "NAME_UNKNOWN")
        return self.page(sorted(self.registry.tags(repository)), "tags", query)

    def do_manifest(self, repository: str, reference: str, query: dict[str, str]) -> None:
        registry = self.registry
        base = registry.path / "repositories" / repository
        digest = reference if reference.startswith("sha256:") else registry.tags(repository).get(reference, "none")
        kept = base / "manifests" / digest
        if self.command == "PUT":
            content = self.rfile.read(int(self.headers["Content-Length"]))
            said = registry.put(repository, content, self.headers["Content-Type"], "" if reference.startswith("sha256:") else reference)
            if not registry.whole(repository, said["digest"]):
                return self.error(400, "MANIFEST_BLOB_UNKNOWN")
            return self.answer(201, Docker_Content_Digest=said["digest"])
        if self.command == "DELETE":
            if registry.version == "closed":
                return self.error(405, "UNSUPPORTED")
            if not reference.startswith("sha256:"):
                if registry.version == "2.8":
                    return self.error(400, "DIGEST_INVALID")
                if not kept.is_file():
                    return self.error(404, "MANIFEST_UNKNOWN")
                (base / "tags" / reference).unlink()
                return self.answer(202)
            if not kept.is_file():
                return self.error(404, "MANIFEST_UNKNOWN")
            kept.unlink()
            for tag, named in registry.tags(repository).items():
                if named == digest:
                    (base / "tags" / tag).unlink()
            return self.answer(202)
        if not kept.is_file():
            return self.error(404, "MANIFEST_UNKNOWN")
        return self.answer(200, (registry.path / "blobs" / digest).read_bytes(), Content_Type=kept.read_text(), Docker_Content_Digest=digest)

    def do_referrers(self, repository: str, digest: str, query: dict[str, str]) -> None:
        registry = self.registry
        if not registry.api:
            return self.error(404, "UNSUPPORTED")
        found = []
        for path in sorted((registry.path / "repositories" / repository / "manifests").glob("*")):
            content = (registry.path / "blobs" / path.name).read_bytes()
            data = json.loads(content)
            if data.get("subject", {}).get("digest") == digest:
                found.append({"mediaType": path.read_text(), "digest": path.name, "size": len(content), "artifactType": data.get("artifactType", "")})
        return self.answer(200, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": found}).encode(), Content_Type=INDEX)

    def do_upload(self, repository: str, upload: str, query: dict[str, str]) -> None:
        registry = self.registry
        if self.command == "POST":
            mounted = registry.path / "repositories" / query.get("from", "-") / "layers" / query.get("mount", "-")
            if mounted.is_file():
                registry.file("repositories", repository, "layers", query["mount"]).write_text("")
                return self.answer(201, Location=f"/v2/{repository}/blobs/{query['mount']}")
            upload = str(len(registry.uploads))
            registry.uploads[upload] = "open"
            return self.answer(202, Location=f"/v2/{repository}/blobs/uploads/{upload}?_state=x")
        if self.command == "DELETE":
            registry.uploads[upload] = "ended"
            return self.answer(204)
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if len(content) < int(self.headers["Content-Length"]):
            registry.uploads[upload] = "broken off"
            return None
        if digest_of(content) != query["digest"]:
            return self.error(400, "DIGEST_INVALID")
        registry.blob(repository, content)
        registry.uploads[upload] = "done"
        return self.answer(201, Location=f"/v2/{repository}/blobs/{query['digest']}")

    def do_blob(self, repository: str, digest: str, query: dict[str, str]) -> None:
        registry = self.registry
        if repository and not (registry.path / "repositories" / repository / "layers" / digest).is_file():
            return self.error(404, "BLOB_UNKNOWN")
        if repository and registry.blob_location:
            return self.answer(307, Location=f"{registry.blob_location}/elsewhere/{digest}")
        return self.answer(200, (registry.path / "blobs" / digest).read_bytes())
