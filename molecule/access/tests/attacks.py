# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried against the registry. Each attack has a name, and the statuses with which it may be answered.

Values in <> are filled in on the registry's host. alice may pull and push below team-a, bob everything below team-b; in
team-b/secret is what the attacks are after. Unless an attack says otherwise, alice makes it.
"""

from __future__ import annotations

import json
from typing import Any

SECRET = "/v2/team-b/secret/manifests/hidden-tag"
OWN = "/v2/team-a/app"
UPLOADS = f"{OWN}/blobs/uploads/"
FORM = "application/x-www-form-urlencoded"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
HOST = "Host: registry.holdfast.test"
ATTACKS: list[dict[str, Any]] = []


# Statuses, or several answers of several statuses each, or None: see test_attacks.py.
Refused = Any


def attack(name: str, request: str = "", refused: Refused = (403,), user: str = "alice", **more: Any) -> None:
    ATTACKS.append({"name": name, "user": user, "request": request, "refused": refused, **more})


def raw(name: str, text: str, refused: Refused, **more: Any) -> None:
    """Bytes of which not even the lines are what a request's should be."""
    attack(name, refused=refused, bytes=text.replace("\n", "\r\n"), **more)


def http2(name: str, *headers: tuple[str, str], refused: Refused = (403,), path: str = SECRET, user: str = "alice") -> None:
    pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", "registry.holdfast.test"), (":path", path)]
    replaced = {name for name, _value in headers}
    own = [header for header in pseudo if header[0] not in replaced]
    attack(f"HTTP/2: {name}", refused=refused, http2=[*own, *headers, ("authorization", f"Basic <{user}>")])


# --- in plain words
attack("pull another's manifest", f"GET {SECRET}")
attack("pull another's manifest by digest", "GET /v2/team-b/secret/manifests/<secret-manifest>")
attack("ask whether another's manifest is there", f"HEAD {SECRET}")
attack("pull another's blob", "GET /v2/team-b/secret/blobs/<secret>")
attack("ask whether another's blob is there", "HEAD /v2/team-b/secret/blobs/<secret>")
attack("pull a part of another's blob", "GET /v2/team-b/secret/blobs/<secret>", headers=["Range: bytes=0-9"])
attack("guess that another's blob is unchanged", "GET /v2/team-b/secret/blobs/<secret>", headers=['If-None-Match: "<secret>"'])
attack("list another's tags", "GET /v2/team-b/secret/tags/list")
attack("list what refers to another's manifest", "GET /v2/team-b/secret/referrers/<secret-manifest>")
attack("push over another's tag", f"PUT {SECRET}", headers=[f"Content-Type: {MANIFEST}"], body="<own-manifest-json>")
attack("begin an upload to another", "POST /v2/team-b/secret/blobs/uploads/")
attack("delete another's manifest", "DELETE /v2/team-b/secret/manifests/<secret-manifest>")
attack("delete another's blob", "DELETE /v2/team-b/secret/blobs/<secret>")
attack("delete what one may only push", f"DELETE {OWN}/manifests/<own-manifest>")
attack("delete a blob of what one may only push", f"DELETE {OWN}/blobs/<own>")
attack("push what one may only pull", "POST /v2/team-a/shared/blobs/uploads/", user="bob")
attack("push to the library as one of all", "POST /v2/library/base/blobs/uploads/", user="carol")
attack("pull without a password", f"GET {SECRET}", (401,), user="")
attack("push without a password to what all may pull", "POST /v2/public/hello/blobs/uploads/", (401,), user="")
attack("pull deeper than the pattern for all reaches", "GET /v2/public/hello/deeper/manifests/1", (401,), user="")
attack("pull the parent of what the pattern names", "GET /v2/team-a/manifests/1")
attack("pull what only begins like one's own", "GET /v2/team-ab/app/manifests/1")
attack("pull what only ends like one's own", "GET /v2/x/team-a/app/manifests/1")

# --- paths
for name, path, refused in [
    ("an encoded slash", "/v2/team-b%2fsecret/manifests/hidden-tag", (403,)),
    ("an encoded slash in upper case", "/v2/team-b%2Fsecret/manifests%2Fhidden-tag", (403,)),
    ("a slash encoded twice", "/v2/team-b%252fsecret/manifests/hidden-tag", (404,)),
    ("encoded letters", "/v2/%74eam-%62/secret/manifests/hidden-tag", (403,)),
    ("an encoded version", "/%762/team-b/secret/manifests/hidden-tag", (403,)),
    ("an encoded kind", "/v2/team-b/secret/%6danifests/hidden-tag", (403,)),
    ("dot segments", "/v2/team-a/../team-b/secret/manifests/hidden-tag", (403,)),
    ("dot segments behind one's own repository", f"{OWN}/manifests/../../../team-b/secret/manifests/hidden-tag", (403,)),
    ("dot segments in an upload", f"{UPLOADS}../../../../team-b/secret/manifests/hidden-tag", (403,)),
    ("encoded dot segments", "/v2/team-a/%2e%2e/team-b/secret/manifests/hidden-tag", (403,)),
    ("half encoded dot segments", "/v2/team-a/.%2E/team-b/secret/manifests/hidden-tag", (403,)),
    ("encoded slashes and dots", "/v2/team-a%2f%2e%2e%2fteam-b/secret/manifests/hidden-tag", (403,)),
    ("dot segments encoded twice", "/v2/team-a/%252e%252e/team-b/secret/manifests/hidden-tag", (404,)),
    ("a single dot", "/v2/./team-b/./secret/manifests/hidden-tag", (403,)),
    ("dot segments out of the root", "/../../v2/team-b/secret/manifests/hidden-tag", (400,)),
    ("a double slash in front", "//v2/team-b/secret/manifests/hidden-tag", (404,)),
    ("a double slash behind the version", "/v2//team-b/secret/manifests/hidden-tag", (404,)),
    ("a double slash in the name", "/v2/team-b//secret/manifests/hidden-tag", (404,)),
    ("a double slash and dot segments", "/v2/team-a//../team-b/secret/manifests/hidden-tag", (403, 404)),
    ("backslashes", "/v2/team-a\\..\\team-b/secret/manifests/hidden-tag", (400, 404)),
    ("encoded backslashes", "/v2/team-a%5c..%5cteam-b/secret/manifests/hidden-tag", (404,)),
    ("a NUL", "/v2/team-b/secret%00/manifests/hidden-tag", (400,)),
    ("a NUL behind one's own", f"{OWN}%00/../../team-b/secret/manifests/hidden-tag", (400,)),
    ("a line break at the end", "/v2/team-b/secret/manifests/hidden-tag%0a", (404,)),
    ("a line break in the name", "/v2/team-a/app%0a/../../team-b/secret/manifests/hidden-tag", (403, 404)),
    ("a header behind a line break", f"{OWN}/manifests/1%0d%0aX-Holdfast-User:%20bob", (404,)),
    ("an upper-case version", "/V2/team-b/secret/manifests/hidden-tag", (404,)),
    ("an upper-case name", "/v2/TEAM-B/secret/manifests/hidden-tag", (404,)),
    ("a trailing dot", "/v2/team-b/secret./manifests/hidden-tag", (404,)),
    ("a trailing slash", "/v2/team-b/secret/manifests/hidden-tag/", (404,)),
    ("a matrix parameter", "/v2/team-b;x=1/secret/manifests/hidden-tag", (404,)),
    ("a matrix parameter with dot segments", f"{OWN};/../../team-b/secret/manifests/hidden-tag", (403, 404)),
    ("a dot segment with a matrix parameter", "/v2/team-a/..;/team-b/secret/manifests/hidden-tag", (404,)),
    ("an encoded question mark", "/v2/team-b/secret/manifests/hidden-tag%3f", (404,)),
    ("an encoded fragment", "/v2/team-b/secret/manifests/hidden-tag%23", (404,)),
    ("a fragment", "/v2/team-b/secret/manifests/hidden-tag#/v2/team-a/app/manifests/1", (400, 403)),
    ("a slash of too many bytes", "/v2/team-b%c0%afsecret/manifests/hidden-tag", (404,)),
    ("a letter of another alphabet", "/v2/te%ef%bd%81m-b/secret/manifests/hidden-tag", (404,)),
    ("a question in the name", "/v2/team-a/app?/../../team-b/secret/manifests/hidden-tag", (404,)),
    ("an absolute target", "https://registry.holdfast.test/v2/team-b/secret/manifests/hidden-tag", (403,)),
    ("an absolute target on another host", "http://localhost:5000/v2/team-b/secret/manifests/hidden-tag", (403,)),
    ("an absolute target with a password", "https://bob:guess@registry.holdfast.test/v2/team-b/secret/manifests/hidden-tag", (400, 403)),
    ("a name made of kinds", "/v2/team-a/manifests/tags/blobs/uploads/../../../../../team-b/secret/manifests/hidden-tag", (403,)),
    ("files by their place in the storage", "/repositories/team-b/secret/_manifests/tags/hidden-tag/current/link", (404,)),
    ("a name of too many parts", f"/v2/{'a/' * 1000}b/tags/list", (414,)),
    ("a name of too many words", f"/v2/{'a-' * 1000}b/tags/list", (414,)),
    ("a name that is too long", f"/v2/{'a/' * 480}b/tags/list", (403,)),
    ("a repository's internals", "/v2/team-b/secret/_manifests/tags/hidden-tag/current/link", (404,)),
]:
    attack(f"path: {name}", f"GET {path}", refused)
attack("path: dot segments without a password", "GET /v2/public/../team-b/secret/manifests/hidden-tag", (401,), user="")
attack("path: from the open ping", f"GET /_ping/..{SECRET}", (401,), user="")
attack("path: from the token", f"GET /v2/token/../..{SECRET}", (401,), user="")

# --- methods
for method, target, refused in [
    ("OPTIONS", SECRET, (403,)),
    ("TRACE", SECRET, (405,)),
    ("CONNECT", SECRET, (400, 403, 405)),
    ("PATCH", SECRET, (403,)),
    ("POST", "/v2/team-b/secret/blobs/<secret>", (403,)),
    ("PROPFIND", SECRET, (403,)),
    ("LINK", f"{OWN}/manifests/1", (403,)),
    ("get", SECRET, (400, 403)),
    ("GeT", SECRET, (400, 403)),
    ("PATCH", f"{OWN}/manifests/1", (403,)),
    ("POST", f"{OWN}/blobs/<own>", (403,)),
    ("DELETE", f"{OWN}/tags/list", (403,)),
    ("OPTIONS", UPLOADS, (403,)),
    ("OPTIONS", "*", (400, 403, 404, 405)),
]:
    attack(f"method: {method} {target}", f"{method} {target}", refused)
for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
    attack(f"method: {header}", f"GET {OWN}/manifests/<own-manifest>", (200,), headers=[f"{header}: DELETE"])
attack("method: override in the query", f"GET {OWN}/blobs/<own>?_method=DELETE", (200,))

# --- mounts: an upload begins instead, and the blob is not there
for name, query in [
    ("another's blob", "mount=<secret>&from=team-b/secret"),
    ("the other way round", "from=team-b/secret&mount=<secret>"),
    ("one's own first", "mount=<secret>&from=team-a/shared&from=team-b/secret"),
    ("one's own last", "mount=<secret>&from=team-b/secret&from=team-a/shared"),
    ("two of each", "mount=<own>&from=team-a/shared&mount=<secret>&from=team-b/secret"),
    ("upper-case keys", "Mount=<secret>&FROM=team-b/secret"),
    ("one's own in upper case", "mount=<secret>&FROM=team-a/shared&from=team-b/secret"),
    ("an escaped key", "mount=<secret>&%66rom=team-b/secret"),
    ("an escaped key behind one's own", "mount=<secret>&from=team-a/shared&%66rom=team-b/secret"),
    ("an escaped key before one's own", "%6dount=<secret>&%66rom=team-b/secret&mount=<own>&from=team-a/shared"),
    ("a semicolon", "mount=<secret>;from=team-b/secret"),
    ("a semicolon behind one's own", "mount=<secret>&from=team-a/shared;from=team-b/secret"),
    ("an escaped ampersand", "mount=<secret>%26from=team-b/secret"),
    ("an ampersand in the repository", "mount=<secret>&from=team-a/shared%26from=team-b/secret"),
    ("an empty repository first", "mount=<secret>&from=&from=team-b/secret"),
    ("no repository", "mount=<secret>"),
    ("an escaped slash", "mount=<secret>&from=team-b%2Fsecret"),
    ("a slash escaped twice", "mount=<secret>&from=team-b%252Fsecret"),
    ("dot segments", "mount=<secret>&from=team-a/../team-b/secret"),
    ("dot segments to the parent", "mount=<secret>&from=team-a/shared/../../team-b/secret"),
    ("a plus", "mount=<secret>&from=team-b/secret+"),
    ("a line break", "mount=<secret>&from=team-b/secret%0a"),
    ("a NUL", "mount=<secret>&from=team-a/shared%00&from=team-b/secret"),
    ("an array", "mount[]=<secret>&from[]=team-b/secret"),
    ("question marks", "?mount=<secret>&from=team-b/secret"),
    ("a repository that lacks it", "mount=<secret>&from=team-a/shared"),
    ("the repository itself", "mount=<secret>&from=team-a/app"),
    ("in spite of a digest", "digest=<secret>&mount=<secret>&from=team-b/secret"),
    ("a manifest as a blob", "mount=<secret-manifest>&from=team-b/secret"),
    ("a manifest one may read", "mount=<shared-manifest>&from=team-a/shared"),
]:
    attack(f"mount: {name}", f"POST {UPLOADS}?{query}", (202, 400))
for name, content_type in [
    ("in a form", FORM),
    ("in a form with a charset", f"{FORM}; charset=utf-8"),
    ("in a form in upper case", FORM.upper()),
    ("in a form with a parameter that is none", f"{FORM};;x"),
]:
    attack(f"mount: {name}", f"POST {UPLOADS}", (202, 400), headers=[f"Content-Type: {content_type}"], body="mount=<secret>&from=team-b%2Fsecret")
attack(
    "mount: in a form named twice",
    f"POST {UPLOADS}",
    (202, 400),
    headers=["Content-Type: text/plain", f"Content-Type: {FORM}"],
    body="mount=<secret>&from=team-b/secret",
)
attack("mount: half in a form", f"POST {UPLOADS}?mount=<secret>", (202, 400), headers=[f"Content-Type: {FORM}"], body="from=team-b/secret")
attack("mount: in a form put", f"PUT {UPLOADS}?mount=<secret>", (404, 405), headers=[f"Content-Type: {FORM}"], body="mount=<secret>&from=team-b/secret")
MULTIPART = "".join(
    f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in [("mount", "<secret>"), ("from", "team-b/secret")]
)
attack("mount: in several parts", f"POST {UPLOADS}", (202, 400), headers=["Content-Type: multipart/form-data; boundary=x"], body=MULTIPART + "--x--\r\n")
attack(
    "mount: in a form in chunks",
    f"POST {UPLOADS}",
    (202, 400),
    headers=[f"Content-Type: {FORM}", "Transfer-Encoding: chunked"],
    body="60\r\nmount=<secret>&from=team-b/secret\r\n0\r\n\r\n",
)
attack("mount: without a password to what all may pull", "POST /v2/public/hello/blobs/uploads/?mount=<own>&from=team-a/app", (401,), user="")
attack("mount: what one may only read elsewhere", "POST /v2/team-b/secret/blobs/uploads/?mount=<own>&from=team-a/app", (202,), user="bob")
attack("mount: what was deleted", "POST /v2/team-b/secret/blobs/uploads/?mount=<gone>&from=team-b/gone", (202,), user="bob")
attack("mount: what was deleted, back to where it was", "POST /v2/team-b/gone/blobs/uploads/?mount=<gone>&from=team-b/gone", (202,), user="bob")

# --- uploads
BEGUN = [("alice", f"POST {UPLOADS}")]
attack("upload: go on with another's", "PATCH /v2/team-b/secret/blobs/uploads/<foreign-upload>?_state=<foreign-state>", body="x")
attack("upload: ask how far another's is", "GET /v2/team-b/secret/blobs/uploads/<foreign-upload>?_state=<foreign-state>")
attack("upload: break off another's", "DELETE /v2/team-b/secret/blobs/uploads/<foreign-upload>?_state=<foreign-state>")
for method in ("PATCH", "PUT", "GET", "DELETE"):
    body = "x" if method in ("PATCH", "PUT") else ""
    attack(f"upload: {method} another's as one's own", f"{method} {UPLOADS}<foreign-upload>?_state=<foreign-state>&digest=<secret>", (400, 404), body=body)
    attack(f"upload: {method} another's without a state", f"{method} {UPLOADS}<foreign-upload>?digest=<secret>", (400, 404), body=body)
attack("upload: finish one's own at another's", "PUT /v2/team-b/secret/blobs/uploads/<upload>?_state=<state>&digest=<own>", before=BEGUN)
attack("upload: finish one's own elsewhere", "PUT /v2/team-a/other/blobs/uploads/<upload>?_state=<state>&digest=<own>", (400, 404), before=BEGUN)
attack("upload: another's state", f"PATCH {UPLOADS}<upload>?_state=<foreign-state>", (400, 404), body="x", before=BEGUN)
attack("upload: two states", f"PATCH {UPLOADS}<foreign-upload>?_state=<foreign-state>&_state=<state>", (400, 404), body="x", before=BEGUN)
attack("upload: a forged state", f"PATCH {UPLOADS}<upload>?_state=eyJOYW1lIjoidGVhbS1iL3NlY3JldCJ9", (400, 404), body="x", before=BEGUN)
attack("upload: the state in a form", f"PATCH {UPLOADS}<foreign-upload>", (400, 404), headers=[f"Content-Type: {FORM}"], body="_state=<foreign-state>")
attack(
    "upload: a path for an identifier",
    f"PATCH {UPLOADS}..%2f..%2f..%2f..%2fteam-b%2fsecret%2fblobs%2fuploads%2f<foreign-upload>?_state=<foreign-state>",
    body="x",
)
attack("upload: dots for an identifier", f"PATCH {UPLOADS}..%252f..?_state=<foreign-state>", (404,), body="x")
for name, digest in [
    ("another's blob, and nothing", "<secret>"),
    ("an unknown algorithm", "md5:d41d8cd98f00b204e9800998ecf8427e"),
    ("a path", "sha256:../../../repositories/team-b/secret"),
    ("an encoded path", "sha256%3A..%2F..%2F..%2Frepositories"),
    ("no digest", ""),
    ("a digest that is too short", "sha256:00"),
    ("a digest in upper case", "sha256:" + "A" * 64),
]:
    attack(f"upload: finish as {name}", f"PUT <location>&digest={digest}", (400, 404), before=BEGUN)
attack("upload: finish with two digests", "PUT <location>&digest=<secret>&digest=<own>", (400, 404), before=BEGUN)
attack("upload: finish as another's blob with other content", "PUT <location>&digest=<secret>", (400,), body="something else", before=BEGUN)


# --- manifests
def pushed(name: str, media_type: str, **content: Any) -> None:
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, **content})
    attack(f"manifest: {name}", f"PUT {OWN}/manifests/stolen", (400,), headers=[f"Content-Type: {media_type}"], body=manifest)


def described(name: str, media_type: str = "application/vnd.docker.image.rootfs.diff.tar.gzip") -> dict[str, Any]:
    return {"mediaType": media_type, "size": 31, "digest": f"<{name}>"}


pushed("with another's layer", MANIFEST, config=described("own-config"), layers=[described("secret")])
pushed("with another's configuration", MANIFEST, config=described("secret-config"), layers=[])
pushed("an index of another's", INDEX, manifests=[{**described("secret-manifest", MANIFEST), "platform": {"os": "linux", "architecture": "amd64"}}])
attack("manifest: another's, pushed as one's own", f"PUT {OWN}/manifests/stolen", (400,), headers=[f"Content-Type: {MANIFEST}"], body="<secret-manifest-json>")
attack(
    "manifest: one's own under another's digest",
    f"PUT {OWN}/manifests/<secret-manifest>",
    (400,),
    headers=[f"Content-Type: {MANIFEST}"],
    body="<own-manifest-json>",
)
attack("manifest: a form", f"PUT {OWN}/manifests/stolen", (400,), headers=[f"Content-Type: {FORM}"], body="mount=<secret>&from=team-b/secret")
for kind, value in [("blobs", "secret"), ("blobs", "secret-config"), ("blobs", "secret-manifest"), ("manifests", "secret-manifest"), ("manifests", "secret")]:
    for method in ("GET", "HEAD"):
        attack(f"content: {method} {kind} <{value}> from one's own repository", f"{method} {OWN}/{kind}/<{value}>", (404,))
attack("content: a part of another's blob from one's own repository", f"GET {OWN}/blobs/<secret>", (404,), headers=["Range: bytes=0-9"])
attack("content: another's blob unchanged in one's own repository", f"GET {OWN}/blobs/<secret>", (404,), headers=['If-None-Match: "<secret>"'])
attack(
    "content: another's manifest unchanged in one's own repository",
    f"GET {OWN}/manifests/<secret-manifest>",
    (404,),
    headers=['If-None-Match: "<secret-manifest>"'],
)

# --- deleted by bob, who still has it elsewhere and has read it there since
attack("deleted: a blob", "GET /v2/team-b/gone/blobs/<gone>", (404,), user="bob")
attack("deleted: whether a blob is there", "HEAD /v2/team-b/gone/blobs/<gone>", (404,), user="bob")
attack("deleted: a part of a blob", "GET /v2/team-b/gone/blobs/<gone>", (404,), user="bob", headers=["Range: bytes=0-9"])
attack("deleted: a blob by an encoded digest", "GET /v2/team-b/gone/blobs/sha256%3A<gone-hex>", (404,), user="bob")
attack("deleted: a blob by an upper-case digest", "GET /v2/team-b/gone/blobs/sha256:<gone-upper-hex>", (400, 404), user="bob")
attack("deleted: a blob by a digest of another kind", "GET /v2/team-b/gone/blobs/<gone-sha512>", (404,), user="bob")
attack("deleted: whether a blob is there by a digest of another kind", "HEAD /v2/team-b/gone/blobs/<gone-sha512>", (404,), user="bob")
attack("deleted: a manifest", "GET /v2/team-b/gone/manifests/<gone-manifest>", (404,), user="bob")
attack("deleted: whether a manifest is there", "HEAD /v2/team-b/gone/manifests/<gone-manifest>", (404,), user="bob")
attack("deleted: a manifest by its tag", "GET /v2/team-b/gone/manifests/1", (404,), user="bob")
