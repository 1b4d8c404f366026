# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An S3 store on this host, in memory, that tells the truth unless it is told to lie."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import hashlib
import http.server
import re
import threading
import time
import typing as t
import urllib.parse
import xml.etree.ElementTree as xml

from ansible_collections.holdfast.registry.plugins.module_utils._s3 import signing

KEY, SECRET, BUCKET = "key-of-a-registry", "secret-of-a-registry", "registry"
# How long a store that lags does not show what it has taken.
LAG = 0.4


class Stored(t.NamedTuple):
    content: bytes
    at: float  # by the monotonic clock
    before: bytes | None = None
    meta: tuple[tuple[str, str], ...] = ()


class _Server(http.server.ThreadingHTTPServer):
    # Of more than five connections at once some would be dropped, and come again after a second.
    request_queue_size = 128


class FakeStore:
    """Objects by their keys, and uploads with their parts. lies: see Handler. asked: method and target of each request."""

    def __init__(self, *lies: str) -> None:
        self.lies = set(lies)
        self.objects: dict[str, Stored] = {}
        self.removed: dict[str, Stored] = {}
        self.uploads: dict[str, tuple[str, float]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.asked: list[str] = []
        self.seen: set[str] = set()
        self.port = 0
        self.page = 1000
        self.lock = threading.RLock()

    @contextlib.contextmanager
    def serving(self) -> t.Iterator[FakeStore]:
        with _Server(("127.0.0.1", 0), type("Bound", (Handler,), {"store": self})) as server:
            server.daemon_threads = True
            server.block_on_close = False
            self.port = server.server_address[1]
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            try:
                yield self
            finally:
                server.shutdown()

    def arguments(self, **more: t.Any) -> dict[str, t.Any]:
        """An entry of the parameter stores."""
        return {"name": "registry", "endpoint": f"http://127.0.0.1:{self.port}", "bucket": BUCKET, "access_key": KEY, "secret_key": SECRET, **more}


class Handler(http.server.BaseHTTPRequestHandler):
    store: FakeStore

    def log_message(self, *_arguments: t.Any) -> None:
        pass

    def lies(self, *names: str) -> bool:
        return bool(self.store.lies & set(names))

    def answer(self, status: int, content: bytes | str = b"", **headers: str) -> None:
        content = content if isinstance(content, bytes) else content.encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if self.lies("answers that end early") and len(content) > 1000 else content)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, f"<Error><Code>{code}</Code></Error>")

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _question, query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        again = f"{self.command} {self.path}" in self.store.seen
        self.store.seen.add(f"{self.command} {self.path}")
        self.store.asked.append(f"{self.command} {path}")
        bucket, _slash, self.key = urllib.parse.unquote(path)[1:].partition("/")
        if self.lies("slow"):
            time.sleep(0.3)
        if self.lies("503") or (self.lies("503 at first") and not again):
            return self.refuse(503, "SlowDown")
        if self.lies("another clock"):
            return self.refuse(403, "RequestTimeTooSkewed")
        if self.lies("another region"):
            return self.refuse(400, "AuthorizationHeaderMalformed")
        if self.lies("no store"):
            return self.answer(200, "<html>It works!</html>")
        if not self.is_signed(path, body):
            return self.refuse(403, "SignatureDoesNotMatch" if KEY in str(self.headers) + self.path else "InvalidAccessKeyId")
        if bucket != BUCKET:
            return self.refuse(404, "NoSuchBucket")
        if self.lies("no right to write") and self.command != "GET":
            return self.refuse(403, "AccessDenied")
        with self.store.lock:
            return getattr(self, f"{self.command.lower()}_{'object' if self.key else 'bucket'}")(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def is_signed(self, path: str, body: bytes) -> bool:
        credentials = signing.Credentials(KEY, SECRET, "us-east-1")
        in_url = self.query.pop("X-Amz-Signature", None)
        if in_url and self.lies("URLs without use"):
            return False
        date = self.query.get("X-Amz-Date") or self.headers["x-amz-date"]
        now = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        host = self.headers["Host"]
        if in_url:
            asked = {name: value for name, value in self.query.items() if not name.startswith("X-Amz-")}
            unsigned = signing.Unsigned(self.command, host, urllib.parse.unquote(path), asked, {}, now)
            return signing.presigned(unsigned, credentials, int(self.query["X-Amz-Expires"])).query["X-Amz-Signature"] == in_url
        names = re.search(r"SignedHeaders=([^,]+)", self.headers["Authorization"])[1].split(";")
        headers = {name: self.headers[name] for name in names if name not in ("host", "x-amz-content-sha256", "x-amz-date")}
        unsigned = signing.Unsigned(self.command, host, urllib.parse.unquote(path), self.query, headers, now)
        return signing.signed_headers(unsigned, credentials, body)["Authorization"] == self.headers["Authorization"]

    # Objects

    def head_object(self, body: bytes) -> None:
        self.get_object(body)

    def get_object(self, _body: bytes) -> None:
        if "uploadId" in self.query:
            return self.list_parts()
        stored = self.store.objects.get(self.key)
        if stored is None and self.lies("reads of what is removed") and self.key in self.store.removed:
            stored = self.store.removed[self.key]
        if stored is None:
            return self.refuse(404, "NoSuchKey")
        content = stored.content
        if self.lies("stale reads") and stored.before is not None and time.monotonic() - stored.at < LAG:
            content = stored.before
        if self.lies("late reads") and stored.before is None and time.monotonic() - stored.at < LAG:
            return self.refuse(404, "NoSuchKey")
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        modified = time.time() - time.monotonic() + stored.at
        written = {"Last_Modified": email.utils.formatdate(modified, usegmt=True), "ETag": _tag(stored.content), **dict(stored.meta)}
        if not asked or self.lies("ignored ranges"):
            return self.answer(200, content, **written)
        first, last = int(asked[1]), int(asked[2] or len(content) - 1)
        if first >= len(content):
            return self.refuse(416, "InvalidRange")
        return self.answer(206, content[first : last + (0 if self.lies("short ranges") else 1)], ETag=_tag(stored.content))

    def put_object(self, body: bytes) -> None:
        encrypted = {} if self.lies("no encryption") else {"x_amz_server_side_encryption": self.headers.get("x-amz-server-side-encryption") or ""}
        source = urllib.parse.unquote(self.headers.get("x-amz-copy-source") or "").partition("/")[2]
        if source:
            if self.lies("no copies"):
                return self.refuse(501, "NotImplemented")
            body = b"" if self.lies("empty copies") else self.store.objects[source].content
        tag = _tag(body)
        if self.headers.get("If-None-Match") == "*" and self.key in self.store.objects:
            return self.refuse(412, "PreconditionFailed")
        if "uploadId" in self.query:
            if self.query["uploadId"] not in self.store.uploads:
                return self.refuse(404, "NoSuchUpload")
            self.store.parts[self.query["uploadId"]][int(self.query["partNumber"])] = body
        else:
            self.write(self.key, body)
        return self.answer(200, f"<CopyResult><ETag>{tag}</ETag></CopyResult>" if source else b"", ETag=tag, **encrypted)

    def write(self, key: str, content: bytes) -> None:
        before = self.store.objects.get(key)
        meta = tuple((name.lower(), value) for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-"))
        self.store.objects[key] = Stored(content, time.monotonic(), before.content if before else None, meta)

    def delete_object(self, _body: bytes) -> None:
        if "uploadId" in self.query:
            if not self.lies("uploads that cannot be given up"):
                self.store.uploads.pop(self.query["uploadId"], None)
            return self.answer(204)
        self.remove(self.key)
        return self.answer(204)

    def remove(self, key: str) -> None:
        if key in self.store.objects:
            self.store.removed[key] = self.store.objects.pop(key)._replace(at=time.monotonic())

    def post_object(self, body: bytes) -> None:
        if "uploads" in self.query:
            name = f"upload-{len(self.store.parts)}"
            self.store.uploads[name] = (self.key, time.monotonic())
            self.store.parts[name] = {}
            return self.answer(200, f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>")
        name = self.query["uploadId"]
        numbers = [int(element.text or 0) for element in xml.fromstring(re.sub(rb' xmlns="[^"]*"', b"", body)).findall("Part/PartNumber")]
        if self.lies("errors with status 200"):
            return self.refuse(200, "InternalError")
        parts = [self.store.parts[name][number] for number in sorted(numbers)]
        self.write(self.key, b"".join(parts[:-1] if self.lies("lost parts") and len(parts) > 1 else parts))
        if not self.lies("uploads that do not end"):
            self.store.uploads.pop(name, None)
        return self.answer(200, "<CompleteMultipartUploadResult/>")

    def list_parts(self) -> None:
        parts = self.store.parts.get(self.query["uploadId"], {})
        shown = {} if self.lies("hidden parts") else parts
        rows = "".join(f"<Part><PartNumber>{number}</PartNumber><Size>{len(content)}</Size></Part>" for number, content in sorted(shown.items()))
        self.answer(200, f"<ListPartsResult>{rows}</ListPartsResult>")

    # The bucket

    def post_bucket(self, body: bytes) -> None:
        keys = [element.text or "" for element in xml.fromstring(re.sub(rb' xmlns="[^"]*"', b"", body)).findall("Object/Key")]
        if self.lies("refused removals"):
            return self.answer(200, "<DeleteResult>" + "<Error><Code>AccessDenied</Code></Error>" * len(keys) + "</DeleteResult>")
        for key in keys:
            self.remove(key)
        return self.answer(200, "<DeleteResult/>")

    def get_bucket(self, _body: bytes) -> None:
        prefix, now = self.query.get("prefix", ""), time.monotonic()
        if "uploads" in self.query:
            found = {name: key for name, (key, at) in self.store.uploads.items() if not self.lies("hidden uploads") or now - at > LAG}
            rows = "".join(f"<Upload><Key>{key}</Key><UploadId>{name}</UploadId></Upload>" for name, key in found.items() if key.startswith(prefix))
            return self.answer(200, f"<ListMultipartUploadsResult>{rows}</ListMultipartUploadsResult>")
        shown = {key: len(stored.content) for key, stored in self.store.objects.items() if key.startswith(prefix) and not self.hidden(stored, now)}
        if self.lies("lists of what is removed"):
            shown.update({key: len(stored.content) for key, stored in self.store.removed.items() if key.startswith(prefix) and now - stored.at < LAG})
        keys = [key for key in sorted(shown) if key > self.query.get("continuation-token", self.query.get("marker", ""))]
        rows = ""
        if self.query.get("delimiter") and not self.lies("lists without directories"):
            beginnings = sorted({key[: key.index("/", len(prefix)) + 1] for key in keys if "/" in key[len(prefix) :]})
            rows = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in beginnings)
            keys = [key for key in keys if "/" not in key[len(prefix) :]]
        page = keys[: min(self.store.page, int(self.query.get("max-keys", "1000")))]
        rows += f"<IsTruncated>{str(len(page) < len(keys)).lower()}</IsTruncated>"
        rows += "".join(
            f"<Contents><Key>{key}</Key><Size>{shown[key]}</Size><ETag>{self.tag_of(key)}</ETag><LastModified>{_time()}</LastModified></Contents>"
            for key in page
        )
        if len(page) < len(keys) and not self.lies("one page only"):
            rows += f"<NextContinuationToken>{page[-1]}</NextContinuationToken>"
        return self.answer(200, f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{rows}</ListBucketResult>')

    def tag_of(self, key: str) -> str:
        stored = self.store.objects.get(key) or self.store.removed[key]
        return _tag(stored.content)

    def hidden(self, stored: Stored, now: float) -> bool:
        return self.lies("late lists") and now - stored.at < LAG


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _time() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
