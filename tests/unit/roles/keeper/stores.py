# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An S3 store in memory, what a registry does to it, and the keeper on it: for kills at every request, and lies."""

from __future__ import annotations

import dataclasses
import email.utils
import functools
import hashlib
import io
import json
import pathlib
import re
import sys
import time
import typing as t
import urllib.parse

PROGRAM = pathlib.Path(__file__).parents[4] / "roles/keeper/files"
for place in (str(PROGRAM), str(pathlib.Path(__file__).parent)):
    if place not in sys.path:
        sys.path.insert(0, place)

from registry_keeper import main
from registry_keeper.s3 import lease, scrub, work
from registry_keeper.s3 import status as s3_status
from registry_keeper.s3.client import Answer, Bucket, StoreError
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.signing import Credentials
from registry_keeper.storage.layout import Layout
from trees import Storage

HOUR = 3600
TREE = Layout("")
PREFIX = "pre/"
CHANGES = ("PUT", "DELETE", "POST")


@functools.lru_cache(maxsize=1024)
def http_date(second: int) -> str:
    return email.utils.formatdate(second, usegmt=True)


@functools.lru_cache(maxsize=1024)
def list_date(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


@functools.lru_cache(maxsize=1024)
def _digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Killed(BaseException):
    """The program was killed. No handler of errors may see it as one."""


@dataclasses.dataclass
class Stored:
    content: bytes
    modified: float
    meta: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def tag(self) -> str:
        return _digest(self.content)


class Store:
    """Objects by their names, prefix included. lies: see ask()."""

    def __init__(self, page: int = 1000, conditions: bool = True) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.begun: dict[str, tuple[str, float]] = {}  # of each of them the key, and when
        self.page, self.conditions = page, conditions
        self.lies: set[str] = set()
        self.hidden: set[str] = set()  # in no list, or only in those of a version: "2:NAME"
        self.asked: list[tuple[str, str]] = []
        # Called before and after each request with its method and name.
        self.before: t.Callable[[str, str], None] = lambda _method, _name: None
        self.after: t.Callable[[str, str], None] = lambda _method, _name: None
        self.skew = 0.0

    def now(self) -> float:
        return time.time() + self.skew

    def ask(self, method: str, key: str, query: t.Mapping[str, str], headers: t.Mapping[str, str], body: bytes) -> Answer:
        status, more, content = getattr(self, f"_{method.lower()}")(key, query, headers, body)
        return Answer(status, {"date": http_date(int(self.now())), **more}, content)

    def _refused(self, status: int, code: str) -> tuple[int, dict[str, str], bytes]:
        return status, {}, f"<Error><Code>{code}</Code></Error>".encode()

    def _head(self, key: str, query: t.Any, headers: t.Any, body: bytes) -> t.Any:
        status, more, content = self._get(key, query, headers, body)
        return status, {**more, "content-length": str(len(content))}, b""

    def _get(self, key: str, query: t.Any, headers: t.Any, _body: bytes) -> t.Any:
        if not key:
            return self._list_uploads(query) if "uploads" in query else self._list(query)
        stored = self.objects.get(key)
        if stored is None:
            return self._refused(404, "NoSuchKey")
        found = {"etag": f'"{stored.tag}"', "last-modified": http_date(int(stored.modified)), **stored.meta}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        return (206, found, stored.content[int(asked[1]) : int(asked[2]) + 1]) if asked else (200, found, stored.content)

    def _list(self, query: t.Any) -> t.Any:
        version = query.get("list-type", "1")
        start = query.get("continuation-token" if version == "2" else "marker", "")
        names = [name for name in sorted(self.objects) if name.startswith(query.get("prefix", "")) and name > start]
        names = [name for name in names if name not in self.hidden and f"{version}:{name}" not in self.hidden]
        page = names[: min(self.page, int(query.get("max-keys", "1000")))]
        more = len(page) < len(names)
        rows = "".join(self._row(name) for name in page)
        following = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more and version == "2" else ""
        count = f"<KeyCount>{len(page)}</KeyCount>" if version == "2" else ""
        return 200, {}, f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{rows}{following}{count}</ListBucketResult>".encode()

    def _list_uploads(self, query: t.Any) -> t.Any:
        keys = sorted((key, name) for name, (key, _moment) in self.begun.items() if name in self.uploads and key.startswith(query.get("prefix", "")))
        keys = [each for each in keys if each > (query.get("key-marker", ""), query.get("upload-id-marker", ""))]
        page = keys[: self.page]
        rows = "".join(
            f"<Upload><Key>{key}</Key><UploadId>{name}</UploadId><Initiated>{list_date(int(self.begun[name][1]))}</Initiated></Upload>" for key, name in page
        )
        more = f"<NextKeyMarker>{page[-1][0]}</NextKeyMarker><NextUploadIdMarker>{page[-1][1]}</NextUploadIdMarker>" if page != keys else ""
        truncated = f"<IsTruncated>{str(page != keys).lower()}</IsTruncated>"
        return 200, {}, f"<ListMultipartUploadsResult>{truncated}{more}{rows}</ListMultipartUploadsResult>".encode()

    def _row(self, name: str) -> str:
        one = self.objects[name]
        moment, size = list_date(int(one.modified)), len(one.content)
        return f"<Contents><Key>{name}</Key><Size>{size}</Size><LastModified>{moment}</LastModified><ETag>&quot;{one.tag}&quot;</ETag></Contents>"

    def _unmet(self, key: str, headers: t.Mapping[str, str]) -> bool:
        stored = self.objects.get(key)
        if not self.conditions:
            return False
        if headers.get("if-none-match") == "*" and stored is not None:
            return True
        return bool(headers.get("if-match")) and (stored is None or headers["if-match"].strip('"') != stored.tag)

    def _put(self, key: str, query: t.Any, headers: t.Any, body: bytes) -> t.Any:
        if self._unmet(key, headers):
            return self._refused(412, "PreconditionFailed")
        source = urllib.parse.unquote(headers.get("x-amz-copy-source", "")).partition("/")[2]
        if source:
            if source not in self.objects:
                return self._refused(404, "NoSuchKey")
            body = self.objects[source].content
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("x-amz-copy-source-range", ""))
            body = body[int(asked[1]) : int(asked[2]) + 1] if asked else body
            body = body[:-1] + b"?" if "wrong copies" in self.lies else body[:-1] if "short copies" in self.lies else body
            if "no copies" in self.lies:
                return 200, {}, b"<CopyObjectResult></CopyObjectResult>"
        if not source:
            body = body[:-1] if "short writes" in self.lies else body[:-1] + b"?" if "wrong writes" in self.lies else body
        if "uploadId" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = body
            return 200, {}, b"<CopyPartResult><ETag>x</ETag></CopyPartResult>"
        if "lost writes" not in self.lies:
            self.objects[key] = Stored(body, self.now(), {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")})
        return 200, {}, b"<CopyObjectResult></CopyObjectResult>" if source else b""

    def _post(self, key: str, query: t.Any, _headers: t.Any, body: bytes) -> t.Any:
        if "uploads" in query:
            name = f"u{len(self.begun)}"
            self.uploads[name], self.begun[name] = {}, (key, self.now())
            return 200, {}, f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>".encode()
        parts = self.uploads.pop(query["uploadId"])
        self.objects[key] = Stored(b"".join(parts[int(number)] for number in re.findall(rb"<PartNumber>(\d+)<", body)), self.now())
        return 200, {}, b"<CompleteMultipartUploadResult/>"

    def _delete(self, key: str, query: t.Any, headers: t.Any, _body: bytes) -> t.Any:
        if "uploadId" in query:
            self.uploads.pop(query["uploadId"], None)
        elif self._unmet(key, headers):
            return self._refused(412, "PreconditionFailed")
        else:
            self.objects.pop(key, None)
        return 204, {}, b""


class Client:
    """Stands for s3_client.Client, without a network."""

    def __init__(self, store: Store, endpoint: str = "https://store.example.org", bucket: str = "registry") -> None:
        self.store, self.requests = store, 0
        self.bucket = Bucket(endpoint, bucket, PREFIX, Credentials("key", "secret", "us-east-1"))

    def ask(self, method, key="", *, query=None, headers=None, body=b"", expect=(200, 204), once=False):
        self.requests += 1
        self.store.asked.append((method, key))
        self.store.before(method, key)
        answer = self.store.ask(method, key, query or {}, headers or {}, body)
        self.store.after(method, key)
        if answer.status not in expect:
            raise StoreError(f"{method} of {key}: status {answer.status} {answer.code}")
        return answer


class Registry(Storage):
    """Does to the store what a registry does to it."""

    def __init__(self, store: Store) -> None:
        self.store, self.tree, self.path = store, TREE, ""

    def _write(self, path: str, content: bytes) -> None:
        if path.endswith("/data") and PREFIX + path in self.store.objects:
            return  # a registry finds the blob, and drops the upload
        self.store.objects[PREFIX + path] = Stored(content, self.store.now())

    def read(self, path: str) -> bytes | None:
        stored = self.store.objects.get(PREFIX + path)
        return stored.content if stored else None

    def age(self, seconds: float) -> None:
        for stored in self.store.objects.values():
            stored.modified -= seconds
        self.store.begun = {name: (key, moment - seconds) for name, (key, moment) in self.store.begun.items()}

    def untag(self, repository: str, tag: str) -> None:
        self._remove(self.tree.tag(repository, tag) + "/")

    def delete(self, repository: str, digest: str) -> None:
        self._remove(self.tree.revision(repository, digest) + "/")

    def _remove(self, start: str) -> None:
        for name in [name for name in self.store.objects if name.startswith(PREFIX + start)]:
            del self.store.objects[name]

    def _link(self, path: str) -> str:
        return (self.read(path) or b"").decode()

    def pull(self, repository: str, reference: str) -> str | None:
        digest = reference if ":" in reference else self._link(self.tree.tag(repository, reference) + "/current/link")
        if not digest:
            return f"{repository}:{reference} names nothing"
        if self._link(self.tree.revision(repository, digest) + "/link") != digest:
            return f"{repository}@{digest} has no link"
        content = self.content(digest)
        if content is None:
            return f"{repository}@{digest} has no content, or a wrong one"
        document = json.loads(content)
        problems = [self.pull(repository, child["digest"]) for child in document.get("manifests", ())]
        for layer in [*([document["config"]] if "config" in document else []), *document.get("layers", ())]:
            if self._link(self.tree.layer(repository, layer["digest"]) + "/link") != layer["digest"]:
                problems.append(f"{repository} has no link to the layer {layer['digest']}")
            if self.content(layer["digest"]) is None:
                problems.append(f"the layer {layer['digest']} has no content, or a wrong one")
        return next((problem for problem in problems if problem), None)

    def content(self, digest: str) -> bytes | None:
        content = self.read(self.tree.data(digest))
        return content if content is not None and "sha256:" + hashlib.sha256(content).hexdigest() == digest else None

    def objects_of_registry(self) -> dict[str, bytes]:
        return {name: stored.content for name, stored in self.store.objects.items() if name.startswith(f"{PREFIX}docker/")}


class S3Keeper:
    """The program on a store, with the result of its last command."""

    def __init__(self, directory: pathlib.Path, store: Store | None = None, **collect: t.Any) -> None:
        self.store = store or Store()
        self.storage = Registry(self.store)
        self.directory, self.endpoint = directory, "https://store.example.org"
        self.log = directory / "access.log"
        self.collect_settings = {"grace_seconds": HOUR, "settle_seconds": 0, **collect}
        self.document: dict[str, t.Any] = {}

    def __call__(self, *arguments: str, **more: t.Any) -> int:
        settings = self.directory / "settings.json"
        document = {"instance": "registry", "storage": str(self.directory), "collect": self.collect_settings, **more}
        document["s3"] = {"endpoint": self.endpoint, "bucket": "registry", "prefix": PREFIX.rstrip("/")}
        settings.write_text(json.dumps(document))
        out, sys.stdout = sys.stdout, io.StringIO()
        modules = (work, scrub, s3_status)
        original = work.objects_of
        for module in modules:
            module.objects_of = lambda _settings: Objects(Client(self.store, self.endpoint), readers=1)
        try:
            status = main.main(["--settings", str(settings), "--json", *arguments])
            self.document = json.loads(sys.stdout.getvalue())
        finally:
            sys.stdout = out
            for module in modules:
                module.objects_of = original
        return status

    def later(self, hours: float = 24) -> None:
        """Time goes by: for what is stored, what runs are, and what the keeper has noted."""
        import gzip

        seconds = hours * HOUR
        self.storage.age(seconds)
        for name, stored in self.store.objects.items():
            if name.endswith("/run.json"):
                info = json.loads(stored.content)
                info.update({key: info[key] - seconds for key in ("began", "ended") if info.get(key)})
                stored.content = json.dumps(info).encode()
            if name.endswith("unneeded.json.gz"):
                known = {name: {digest: at - seconds for digest, at in found.items()} for name, found in json.loads(gzip.decompress(stored.content)).items()}
                stored.content = gzip.compress(json.dumps(known).encode())


def kill_after(keeper: S3Keeper, number: int) -> list[bool]:
    """Have the run end with the request after so many. What is returned is empty until it has."""
    start = len(keeper.store.asked)
    killed: list[bool] = []

    def kill(_method: str, _name: str) -> None:
        if len(keeper.store.asked) - start > number:
            killed.append(True)
            raise Killed

    keeper.store.after = kill
    return killed


def no_waiting(monkeypatch: t.Any) -> None:
    """Leases do not wait, and no run of a test is root's."""
    import os

    monkeypatch.setattr(lease, "WAIT", 0.0)
    monkeypatch.setattr(lease, "WAIT_UNCONDITIONAL", 0.0)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
