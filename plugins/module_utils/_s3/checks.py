# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry relies on in an S3 store, as checks that write, read, list and remove objects below a place of their own.

Each check asks at once, as a registry does: it has no patience for a store that shows later what it has acknowledged.
"""

from __future__ import annotations

import base64
import hashlib
import os
import typing as t
import urllib.parse

from ansible_collections.holdfast.registry.plugins.module_utils._s3.client import Answer, Client, StoreError, code_of

# The smallest part of an upload that is not the last.
PART = 5 * 1024 * 1024


class StoppedError(Exception):
    """A check found something after which the next ones would only repeat it."""


class Place:
    """Objects below one prefix, and what was found wrong with them. found gets the name of a check and a sentence."""

    def __init__(self, client: Client, prefix: str, found: t.Callable[[str, str], None]) -> None:
        self.client = client
        self.prefix = prefix
        self._found = found

    def key(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def random(self, count: int) -> bytes:
        """Random content, so that no object is like another."""
        return os.urandom(count)

    def wrong(self, check: str, sentence: str) -> None:
        self._found(check, sentence)

    def asked(self, check: str, method: str, name: str, *, expect: t.Sequence[int] = (200, 204), **more: t.Any) -> Answer:
        """A response with one of these statuses. Any other is what the check found, and ends its sequence."""
        answer = self.client.ask(method, self.key(name), **more)
        if answer.status not in expect:
            self.wrong(check, f"{method} of an object: status {code_of(answer)} instead of {expect[0]}")
            raise StoppedError
        return answer

    def put(self, name: str, content: bytes, check: str = "write") -> None:
        answer = self.asked(check, "PUT", name, body=content, headers=self.client.bucket.encryption)
        self.encrypted(answer)

    def encrypted(self, answer: Answer) -> None:
        wanted = self.client.bucket.encryption.get("x-amz-server-side-encryption")
        if wanted and answer.headers.get("x-amz-server-side-encryption") != wanted:
            self.wrong("encryption", "the store took an object and did not say that it encrypts it")

    def reads(self, check: str, name: str, content: bytes) -> None:
        """GET and HEAD give what was written."""
        answer = self.client.ask("GET", self.key(name))
        if answer.status != 200:
            self.wrong(check, f"an object that was written just now: status {code_of(answer)}")
        elif answer.content != content:
            self.wrong(check, f"an object of {len(content)} bytes that was written just now reads as {len(answer.content)} other bytes")
        head = self.client.ask("HEAD", self.key(name))
        if head.status != 200 or head.headers.get("content-length") != str(len(content)):
            self.wrong(check, f"HEAD of an object of {len(content)} bytes: status {head.status}, {head.headers.get('content-length')} bytes")

    def gone(self, name: str, check: str) -> None:
        answer = self.client.ask("GET", self.key(name))
        if answer.status != 404:
            self.wrong(f"read after {check}", f"an object that was removed just now: status {code_of(answer)} instead of 404")
        if self.key(name) in self.listed(name):
            self.wrong(f"list after {check}", "an object that was removed just now is listed")

    def listed(self, name: str, version: int = 1, **more: str) -> dict[str, int]:
        """The objects whose names begin with this one, and their sizes."""
        query = {"prefix": self.key(name), **({"list-type": "2"} if version == 2 else {}), **more}
        answer = self.client.ask("GET", query=query)
        if answer.status != 200:
            self.wrong("list", f"status {code_of(answer)}")
            raise StoppedError
        return {row.get("Key", ""): int(row.get("Size", "0") or 0) for row in answer.rows("Contents")}

    def shows(self, check: str, name: str, size: int) -> None:
        """Both kinds of lists have the object: a registry asks for it with the first one of the list that begins with its name."""
        for version, more in ((1, {"max-keys": "1"}), (2, {"max-keys": "1"}), (2, {})):
            found = self.listed(name, version, **more).get(self.key(name))
            if found is None:
                self.wrong(check, f"an object that was written just now is not listed (list version {version})")
            elif found != size:
                self.wrong(check, f"an object of {size} bytes that was written just now is listed with {found} (list version {version})")

    # Uploads in parts

    def begun(self, name: str) -> str:
        answer = self.asked("begin an upload", "POST", name, query={"uploads": ""}, headers=self.client.bucket.encryption)
        found = answer.texts("UploadId")
        if not found or not found[0]:
            self.wrong("begin an upload", "the store gave no name for it")
            raise StoppedError
        return found[0]

    def uploads(self, name: str) -> list[str]:
        answer = self.client.ask("GET", query={"uploads": "", "prefix": self.key(name)})
        if answer.status != 200:
            self.wrong("list of uploads", f"status {code_of(answer)}")
            raise StoppedError
        return [row["UploadId"] for row in answer.rows("Upload") if row.get("Key") == self.key(name) and row.get("UploadId")]

    def sent(self, name: str, upload: str, number: int, content: bytes) -> str:
        """Send a part, and return its tag."""
        answer = self.asked("send a part", "PUT", name, query={"partNumber": str(number), "uploadId": upload}, body=content)
        return answer.headers.get("etag", "")

    def parts(self, name: str, upload: str) -> dict[int, int]:
        answer = self.asked("list of parts", "GET", name, query={"uploadId": upload})
        return {int(row["PartNumber"]): int(row.get("Size", "0")) for row in answer.rows("Part") if row.get("PartNumber", "").isdecimal()}

    def completed(self, name: str, upload: str, tags: list[str]) -> None:
        rows = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, start=1))
        document = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{rows}</CompleteMultipartUpload>'.encode()
        answer = self.asked("complete an upload", "POST", name, query={"uploadId": upload}, body=document, headers={"content-type": "application/xml"})
        # An error may come with status 200, since the store sends the header before it has put the parts together.
        if b"<Error>" in answer.content:
            self.wrong("complete an upload", f"status {code_of(answer)} with an error in it")
            raise StoppedError


def objects(at: Place) -> None:
    """An object that is written, read, listed, overwritten and removed."""
    first, second = at.random(1500), at.random(700)
    at.put("object", first)
    at.reads("read after write", "object", first)
    at.shows("list after write", "object", len(first))
    at.put("object", second)
    at.reads("read after overwrite", "object", second)
    at.shows("list after overwrite", "object", len(second))
    remove(at, ["object"])
    at.gone("object", "removal")
    at.put("object", first)
    at.reads("read after being written again", "object", first)
    missing = at.client.ask("GET", at.key("never-written"))
    if missing.status != 404:
        at.wrong("read of what is not there", f"status {code_of(missing)} instead of 404")


def directories(at: Place) -> None:
    """Objects in what a registry takes for directories, listed by their common beginnings."""
    names = [f"tree/{directory}/{name}" for directory in ("a", "b") for name in ("link", "data")]
    for name in names:
        at.put(name, name.encode())
    for version in (1, 2):
        query = {"prefix": at.key("tree/"), "delimiter": "/", **({"list-type": "2"} if version == 2 else {})}
        found = at.client.ask("GET", query=query).texts("CommonPrefixes/Prefix")
        if sorted(found) != [at.key("tree/a/"), at.key("tree/b/")]:
            at.wrong("list of directories", f"{len(found)} instead of 2 (list version {version})")
    # One name a page: a registry goes on where a page ends.
    every, marker = [], ""
    for _page in range(len(names) + 2):
        query = {"prefix": at.key("tree/"), "list-type": "2", "max-keys": "1", **({"continuation-token": marker} if marker else {})}
        page = at.client.ask("GET", query=query)
        every += page.texts("Contents/Key")
        marker = (page.texts("NextContinuationToken") or [""])[0]
        if not marker:
            break
    if every != sorted(at.key(name) for name in names):
        at.wrong("list in pages", f"{len(every)} of {len(names)} objects, or not in their order")
    remove(at, names)
    for name in names:
        at.gone(name, "removal")


def uploads(at: Place) -> None:
    """An upload that is found again by the lists of uploads and of parts, as after a registry was restarted or by another host."""
    content = at.random(3000)
    upload = at.begun("upload")
    if upload not in at.uploads("upload"):
        at.wrong("list of uploads", "an upload that was begun just now is not listed")
    tag = at.sent("upload", upload, 1, content)
    if at.parts("upload", upload) != {1: len(content)}:
        at.wrong("list of parts", "a part that was sent just now is not listed, or with another size")
    at.completed("upload", upload, [tag])
    at.reads("read after upload", "upload", content)
    at.shows("list after upload", "upload", len(content))
    if upload in at.uploads("upload"):
        at.wrong("list of uploads", "an upload that was completed just now is still listed")


def parts(at: Place) -> None:
    """A large object in two parts, and another upload that goes on with it, by copying it as its first part."""
    first, second, third = at.random(PART), at.random(2000), at.random(1000)
    upload = at.begun("large")
    tags = [at.sent("large", upload, 1, first), at.sent("large", upload, 2, second)]
    if at.parts("large", upload) != {1: len(first), 2: len(second)}:
        at.wrong("list of parts", "of two parts that were sent just now not both are listed with their sizes")
    at.completed("large", upload, tags)
    at.reads("read after upload", "large", first + second)
    upload = at.begun("longer")
    source = urllib.parse.quote(f"{at.client.bucket.name}/{at.key('large')}")
    copied = at.asked("copy of a part", "PUT", "longer", query={"partNumber": "1", "uploadId": upload}, headers={"x-amz-copy-source": source})
    tags = [*copied.texts("ETag")[:1], at.sent("longer", upload, 2, third)]
    at.completed("longer", upload, tags)
    at.reads("copy of a part", "longer", first + second + third)


def copies(at: Place) -> None:
    """An object that is moved: copied, and then removed where it was."""
    content = at.random(1200)
    at.put("source", content)
    source = urllib.parse.quote(f"{at.client.bucket.name}/{at.key('source')}")
    at.asked("copy", "PUT", "target", headers={"x-amz-copy-source": source, **at.client.bucket.encryption})
    at.reads("read after copy", "target", content)
    at.shows("list after copy", "target", len(content))
    remove(at, ["source"])
    at.gone("source", "move")
    at.reads("read after move", "target", content)


def aborts(at: Place) -> None:
    """An upload that is given up, and leaves nothing."""
    upload = at.begun("given-up")
    at.sent("given-up", upload, 1, at.random(500))
    at.asked("abort", "DELETE", "given-up", query={"uploadId": upload})
    if upload in at.uploads("given-up"):
        at.wrong("abort", "an upload that was given up just now is still listed")
    late = at.client.ask("PUT", at.key("given-up"), query={"partNumber": "2", "uploadId": upload}, body=b"late")
    if late.status != 404:
        at.wrong("abort", f"a part of an upload that was given up: status {code_of(late)} instead of 404")
    at.gone("given-up", "abort")


def ranges(at: Place) -> None:
    """Parts of an object, as a registry and a gateway ask for them, and by URLs that are signed as a redirect's is."""
    content = at.random(4000)
    at.put("ranged", content)
    for asked, expected in (("bytes=1000-", content[1000:]), ("bytes=0-0", content[:1]), ("bytes=1000-1999", content[1000:2000])):
        for in_url in (False, True):
            answer = at.client.ask("GET", at.key("ranged"), headers={"range": asked}, in_url=in_url)
            if answer.status != 206 or answer.content != expected:
                at.wrong("ranges", f"{asked} of 4000 bytes: status {code_of(answer)} with {len(answer.content)} bytes instead of 206 with {len(expected)}")
    beyond = at.client.ask("GET", at.key("ranged"), headers={"range": "bytes=4000-"})
    if beyond.status != 416:
        at.wrong("ranges", f"bytes=4000- of 4000 bytes: status {code_of(beyond)} instead of 416")
    for method in ("GET", "HEAD"):
        answer = at.client.ask(method, at.key("ranged"), in_url=True)
        if answer.status != 200 or (method == "GET" and answer.content != content):
            at.wrong("signed URL", f"{method}: status {code_of(answer)}")


def remove(at: Place, names: t.Sequence[str]) -> None:
    """Remove objects in one request, as a registry does."""
    wrong = remove_keys(at.client, [at.key(name) for name in names])
    if wrong:
        at.wrong("removal", wrong)
        raise StoppedError


def remove_keys(client: Client, keys: t.Sequence[str]) -> str:
    """Remove objects by their keys, and return what went wrong, or nothing."""
    rows = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    document = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>false</Quiet>{rows}</Delete>'.encode()
    digest = base64.b64encode(hashlib.md5(document, usedforsecurity=False).digest()).decode()
    headers = {"content-md5": digest, "content-type": "application/xml"}
    answer = client.ask("POST", query={"delete": ""}, headers=headers, body=document)
    if answer.status != 200:
        return f"of {len(keys)} objects in one request: status {code_of(answer)}"
    errors = answer.texts("Error/Code")
    return f"of {len(errors)} of {len(keys)} objects: {errors[0]}" if errors else ""


EVERY_ROUND: tuple[t.Callable[[Place], None], ...] = (objects, directories, uploads, copies, aborts, ranges)
# Of 5 MB each.
ONCE: tuple[t.Callable[[Place], None], ...] = (parts,)


def one(check: t.Callable[[Place], None], at: Place) -> None:
    """Run one check. What keeps it from being done is what it found, but for what no further request can get right."""
    try:
        check(at)
    except StoppedError:
        pass
    except StoreError as error:
        if error.kind not in ("unavailable", "timeout", "http", "connect", "tls"):
            raise
        at.wrong({"unavailable": "availability", "timeout": "time"}.get(error.kind, error.kind), str(error))
