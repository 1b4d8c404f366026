# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried with headers, credentials, several requests in one and addresses that are nobody's business."""

from attacks import ATTACKS, FORM, HOST, OWN, SECRET, UPLOADS, attack, http2, raw

ALICE = "Authorization: Basic <alice>"

# --- headers
for header in [
    'Forwarded: for=127.0.0.1;host="localhost";proto=http',
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: localhost",
    "X-Forwarded-User: bob",
    "X-Forwarded-Prefix: /v2/team-a",
    "X-Forwarded-Uri: /v2/team-a/app/manifests/1",
    "X-Real-IP: 127.0.0.1",
    "X-Remote-User: bob",
    "Remote-User: bob",
    "X-Verified-User: bob",
    "X_Verified_User: bob",
    "X-Holdfast-User: bob",
    "X-Client: bob",
    "X-Original-URL: /v2/team-a/app/manifests/1",
    "X-Original-URI: /v2/team-a/app/manifests/1",
    "X-Original-Method: OPTIONS",
    "X-Accel-Redirect: /.registry-answers",
    "Cookie: user=bob",
    "Proxy-Authorization: Basic <bob>",
    "Authorization: Basic <bob-guessed>",
    "Connection: close, Authorization",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "SSL-Client-Verify: SUCCESS",
    "X-SSL-Client-S-DN: CN=bob",
]:
    # two passwords in one request are refused as a whole by newer releases of nginx
    attack(f"header: {header}", f"GET {SECRET}", (400, 401, 403), headers=[header])
for header in ("X-Original-URL", "X-Rewrite-URL", "X-Accel-Redirect"):
    attack(f"header: {header} from one's own", f"GET {OWN}/manifests/1", (200,), headers=[f"{header}: {SECRET}"])
for host in ["localhost", "127.0.0.1", "registry.holdfast.test:1", "other.test", "unix:/run/docker-registry/registry.sock", "registry.holdfast.test.", "@", ""]:
    attack(f"host: '{host}'", f"GET {SECRET}", (400, 403), headers=[f"Host: {host}"])
raw("host: two", f"GET {SECRET} HTTP/1.1\n{HOST}\nHost: localhost\n{ALICE}\nConnection: close\n\n", (400, 403))
raw("host: none", f"GET {SECRET} HTTP/1.0\n{ALICE}\n\n", (403,))
raw("no version", f"GET {SECRET}\n\n", ((None,), (400,)))  # answered without a status

# --- credentials
for name, header, refused in [
    ("nothing", "Authorization:", (401,)),
    ("a scheme alone", "Authorization: Basic", (401,)),
    ("no name and no password", "Authorization: Basic Og==", (401,)),
    ("no name", "Authorization: Basic <nobody>", (401,)),
    ("a name alone", "Authorization: Basic <bob-alone>", (401,)),
    ("an empty password", "Authorization: Basic <bob-empty>", (401,)),
    ("a wrong password", "Authorization: Basic <bob-guessed>", (401,)),
    ("a wrong password that was good", 'Authorization: Basic <bob-guessed>\r\nIf-None-Match: "was-good"', (401,)),
    ("a hash for a password", "Authorization: Basic <bob-hash>", (401,)),
    ("another's password", "Authorization: Basic <bob-as-alice>", (401,)),
    ("a line break in the name", "Authorization: Basic <line-break>", (401,)),
    ("a line break behind the name", "Authorization: Basic <line-behind>", (401,)),
    ("a NUL in the name", "Authorization: Basic <nul>", (401,)),
    ("a pattern for a name", "Authorization: Basic <pattern>", (401,)),
    ("a comment for a name", "Authorization: Basic <comment>", (401,)),
    ("bytes that are no text", "Authorization: Basic gYKDOoSF", (401,)),
    ("no base64", "Authorization: Basic !!!!", (401,)),
    ("base64 with rubbish behind", "Authorization: Basic <alice>!<bob-guessed>", (401,)),
    ("two in one", "Authorization: Basic <alice>, Basic <bob-guessed>", (401,)),
    ("two schemes in one", "Authorization: Bearer <alice>, Basic <bob-guessed>", (401,)),
    ("another scheme", 'Authorization: Digest username="bob"', (401,)),
    ("no password as a token", "Authorization: Bearer anonymous", (401,)),
    ("a guessed token", "Authorization: Bearer <bob-guessed>", (401,)),
    ("a name as a token", "Authorization: Bearer bob", (401,)),
    ("a token that says much", "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.", (401,)),
    ("alice's as a token", "Authorization: Bearer <alice>", (403,)),
    ("the robot's name", "Authorization: Basic <robot>", (401,)),
    ("a scheme in upper case and tabs", "Authorization: BASIC\t<bob-guessed>", (401,)),
]:
    attack(f"credentials: {name}", f"GET {SECRET}", refused, user="", headers=[header])
raw(
    "credentials: twice, the guess first", f"GET {SECRET} HTTP/1.1\n{HOST}\nAuthorization: Basic <bob-guessed>\n{ALICE}\nConnection: close\n\n", (400, 401, 403)
)
raw("credentials: a space before the colon", f"GET {SECRET} HTTP/1.1\n{HOST}\nAuthorization : Basic <bob-guessed>\nConnection: close\n\n", (400, 401))
raw("credentials: folded", f"GET {SECRET} HTTP/1.1\n{HOST}\nAuthorization: Basic\n <bob-guessed>\nConnection: close\n\n", (400, 401))

# --- tokens
for name, request, refused in [
    ("for a wrong password", "GET /v2/token?scope=repository:team-b/secret:pull", (401,)),
    ("below it", f"GET /v2/token{SECRET}", (401,)),
    ("with a slash", "GET /v2/token/", (401,)),
]:
    attack(f"token: {name}", request, refused, user="bob-guessed")
attack("token: somebody's for nothing", "GET /v2/token?account=bob&scope=repository:team-b/secret:pull", (200,), user="", lacks="<bob>")
attack(
    "token: a password in a form",
    "POST /v2/token",
    # a client that can ask in both ways goes on with GET after 405
    (405,),
    user="",
    lacks="<bob>",
    headers=[f"Content-Type: {FORM}"],
    body="grant_type=password&username=bob&password=guess&service=registry.holdfast.test",
)

# --- lists
for path in [
    "/v2/_catalog",
    "/v2/_catalog?n=0",
    "/v2/_catalog?n=-1",
    "/v2/_catalog?n=99999999999999999999",
    "/v2/_catalog?last=team-a",
    "/v2/%5fcatalog",
    "/v2/./_catalog",
    "/v1/search?q=team",
    "/v1/search?q=",
    "/v1/%73earch?q=team",
    "/v1/search?q=team&n=100&page=1",
]:
    attack(f"list: {path} by one who may not", f"GET {path}", user="carol")
    attack(f"list: {path} without a password", f"GET {path}", (401,), user="")
for path in [
    "/v2/_catalog/",
    "/v2/_catalog%2f",
    "/v2/_CATALOG",
    "/v1/search/",
    "/v1/repositories",
    "/v1/repositories/team-b/secret/tags",
    "/v1/_ping/../users",
    "/debug/vars",
    "/metrics",
]:
    attack(f"list: {path}", f"GET {path}", (404,), user="carol")
for query in [
    "q=",
    "q=team-b",
    "q=TEAM-B",
    "q=secret&n=100",
    "q=team-b&X-Holdfast-User=bob",
    "q=x%26user=bob",
    "q=%0d%0aX-Holdfast-User:%20bob",
    "q=.*",
    "q=%00",
    "q=team-b&page=1&q=team-a",
]:
    attack(f"search: {query}", f"GET /v1/search?{query}", (200,), lacks="team-b/")
attack("search: as somebody else", "GET /v1/search?q=", (200,), lacks="team-b/", headers=["X-User: bob", "X_User: bob"])
for query in ["q=&n=0", "q=&n=101", "q=&n=-1", "q=&n=1e3", "q=&page=0", "q=&page=99999999", "q=%ff"]:
    attack(f"search: {query}", f"GET /v1/search?{query}", (400,))
raw("search: a space in the term", f"GET /v1/search?q=a HTTP/9 HTTP/1.1\n{HOST}\n{ALICE}\nConnection: close\n\n", (400, 505))

# --- what is inside nginx
for path in [
    "/.password",
    "/%2epassword",
    "/v2/../.password",
    "/.registry-answers",
    "/.none",
    "/@registry",
    "/@blob",
    "/%40blob",
    "/@token",
    "/v2/team-a/..%2f..%2f.password",
    "/blobs/sha256/<secret-shard>/<secret-hex>/data",
    "/v2/blobs/sha256/<secret-shard>/<secret-hex>/data",
]:
    for user in ("", "alice"):
        attack(f"inside: {path} {'with' if user else 'without'} a password", f"GET {path}", (401, 404), user=user)

# --- several requests in one
OPEN = f"GET /_ping HTTP/1.1\n{HOST}\n\n"
CLOSED = f"GET {SECRET} HTTP/1.1\n{HOST}\nConnection: close\n\n"
FOREIGN = f"GET {SECRET} HTTP/1.1\n{HOST}\n{ALICE}\nConnection: close\n\n"
raw("pipeline: behind the open ping", OPEN + CLOSED, ((200, 401),))
raw("pipeline: behind one's own", f"GET {OWN}/manifests/<own-manifest> HTTP/1.1\n{HOST}\n{ALICE}\n\n" + FOREIGN, ((200, 403),))
raw("pipeline: behind another user", f"GET /v2/ HTTP/1.1\n{HOST}\nAuthorization: Basic <bob>\n\n" + FOREIGN, ((200, 403),))
raw("pipeline: without a password behind one", f"GET /v2/ HTTP/1.1\n{HOST}\nAuthorization: Basic <bob>\n\n" + CLOSED, ((200, 401),))
raw("pipeline: many", OPEN * 5 + FOREIGN, ((200, 200, 200, 200, 200, 403),))
# The request inside the other one's body has no password: it is good only for who got past nginx.
INNER = f"DELETE /v2/team-a/app/manifests/<own-manifest> HTTP/1.1\n{HOST}\n\n"
for name, framing, body in [
    ("length and chunks", "Content-Length: 5\nTransfer-Encoding: chunked", "0\n\n"),
    ("chunks and length", "Transfer-Encoding: chunked\nContent-Length: 500", "0\n\n"),
    ("chunks and a short length", "Transfer-Encoding: chunked\nContent-Length: 1", "0\n\n"),
    ("chunks of another kind", "Content-Length: 3\nTransfer-Encoding: xchunked", "0\n\n"),
    ("chunks twice", "Transfer-Encoding: chunked\nTransfer-Encoding: identity", "0\n\n"),
    ("chunks and more", "Content-Length: 3\nTransfer-Encoding: chunked, identity", "0\n\n"),
    ("chunks behind a tab", "Content-Length: 3\nTransfer-Encoding:\tchunked", "0\n\n"),
    ("chunks behind a vertical tab", "Content-Length: 3\nTransfer-Encoding: \x0bchunked", "0\n\n"),
    ("chunks in quotes", 'Content-Length: 3\nTransfer-Encoding: "chunked"', "0\n\n"),
    ("chunks before a colon with a space", "Content-Length: 3\nTransfer-Encoding : chunked", "0\n\n"),
    ("chunks in a folded line", "Content-Length: 3\nX: y\n Transfer-Encoding: chunked", "0\n\n"),
    ("two lengths", "Content-Length: 0\nContent-Length: 90", ""),
    ("two equal lengths", "Content-Length: 0\nContent-Length: 0", ""),
    ("a list of lengths", "Content-Length: 0, 90", ""),
    ("a length with a sign", "Content-Length: +0", ""),
    ("a length below nothing", "Content-Length: -1", ""),
    ("a length in hexadecimal", "Content-Length: 0x0", ""),
    ("no length", "X: y", ""),
    ("a chunk longer than it says", "Transfer-Encoding: chunked", "1\nxyz\n0\n\n"),
    ("a chunk with an extension", "Transfer-Encoding: chunked", "0;x=\ny\n\n"),
    ("a chunk of too many digits", "Transfer-Encoding: chunked", "fffffffffffffffff\n"),
    ("a trailer", "Transfer-Encoding: chunked", "0\nAuthorization: Basic <bob-guessed>\n\n"),
    ("a line break in a header", "X: y\rTransfer-Encoding: chunked", "0\n\n"),
]:
    # refused is whether the inner request is answered by a success
    raw(f"smuggle: {name}", f"POST {UPLOADS} HTTP/1.1\n{HOST}\n{ALICE}\n{framing}\n\n{body}{INNER}", None, methods=["POST", "DELETE"])
raw("smuggle: in the body of a pull", f"GET {OWN}/blobs/<own> HTTP/1.1\n{HOST}\n{ALICE}\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n{INNER}", None)
raw("smuggle: in the body of a manifest's pull", f"GET {OWN}/manifests/1 HTTP/1.1\n{HOST}\n{ALICE}\nContent-Length: 5\n\n0\n\n{INNER}", None)
raw("smuggle: in the body of a token", f"POST /v2/token HTTP/1.1\n{HOST}\nTransfer-Encoding: chunked\nContent-Length: 3\n\n0\n\n{INNER}", None)
raw("smuggle: in the body of a refusal", f"PUT {SECRET} HTTP/1.1\n{HOST}\n{ALICE}\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n{INNER}", None)
raw(
    "smuggle: in the body of the password's check",
    f"GET /v2/ HTTP/1.1\n{HOST}\nAuthorization: Basic <bob-guessed>\nContent-Length: 3\n\nxyz{CLOSED}",
    ((401, 401),),
)

# --- HTTP/2, where nothing stands between names and values
http2("another's manifest")
http2("without a password's right", user="carol")
http2("dot segments", path="/v2/team-a/../team-b/secret/manifests/hidden-tag")
http2("an encoded slash", path="/v2/team-b%2fsecret/manifests/hidden-tag")
http2("two paths", (":path", f"{OWN}/manifests/1"), (":path", SECRET), refused=(400, None))
http2("a path behind a header", ("x", "y"), (":path", SECRET), refused=(400, 403, None))
http2("no path", (":path", ""), refused=(400, None))
http2("a path without a slash", (":path", "v2/team-b/secret/manifests/hidden-tag"), refused=(400, None))
http2("an absolute path", (":path", f"https://registry.holdfast.test{SECRET}"), refused=(400, 404, None))
http2("a space in the path", (":path", f"{OWN}/manifests/1 HTTP/1.1"), refused=(400, 404, None))
http2("a line break in the path", (":path", f"{OWN}/manifests/1\r\nX-Holdfast-User: bob"), refused=(400, 404, None))
http2("a method with a target", (":method", f"GET {SECRET} HTTP/1.1\r\nx:"), refused=(400, None))
http2("a lower-case method", (":method", "get"), refused=(400, None))
http2("another host", (":authority", "localhost:5000"))
http2("two hosts", ("host", "localhost"), refused=(400, 403, None))
http2("another scheme", (":scheme", "http"), refused=(400, 403, None))
http2("a pseudo header nobody knows", (":user", "bob"), refused=(400, None))
http2("an upper-case name", ("X-Verified-User", "bob"), refused=(400, 403, None))
http2("a line break in a header", ("x", "y\r\nx-holdfast-user: bob"), refused=(400, 403, None))
http2("chunks", ("transfer-encoding", "chunked"), refused=(400, 403, None))
http2("a connection", ("connection", "authorization"), refused=(400, 403, None))
http2("two passwords", ("authorization", "Basic <bob-guessed>"), refused=(400, 401, 403, None))
http2("a length without a body", ("content-length", "5"), refused=(400, 403, None))
http2("a mount", (":method", "POST"), path=f"{UPLOADS}?mount=<secret>&%66rom=team-b/secret", refused=(202, 400))

EVERY_ATTACK = ATTACKS
