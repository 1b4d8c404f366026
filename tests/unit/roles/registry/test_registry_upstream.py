# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import itertools
import json
import os
import pathlib
import pwd
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import pytest
from ansible_collections.holdfast.registry.tests.unit.roles.programs import loaded

jinja2, _cryptography = pytest.importorskip("jinja2"), pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.tests.unit.roles.registry.upstreams import MANIFEST, Upstream, digest, make_tls, manifest, response

ROLE = pathlib.Path(__file__).parents[4] / "roles/registry"
SCRIPT, UNIT = ROLE / "files/registry-upstream", ROLE / "templates/units/upstream.service.j2"
ME = pwd.getpwuid(os.getuid()).pw_name
NAME = "registry.example.org"
BLOB = random.Random(1).randbytes(700_000)
BODY = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'
OTHER = BODY + b"\n"
CREDENTIALS = {"username": "puller", "password": "s3cret"}
BASIC = "Basic " + base64.b64encode(b"puller:s3cret").decode()
NOTHING = digest(b"")


@pytest.fixture(scope="module")
def script():
    with loaded(SCRIPT) as module:
        yield module


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def clock(script, monkeypatch):
    """The program's clock: skip(seconds) puts it forward, and after stop() it only goes so."""

    class Clock:
        skipped, stopped = 0.0, None
        time = staticmethod(time.time)

        def monotonic(self):
            return (time.monotonic() if self.stopped is None else self.stopped) + self.skipped

        def sleep(self, seconds):
            until = self.monotonic() + seconds
            while self.monotonic() < until:
                time.sleep(0.002)

        def skip(self, seconds):
            self.skipped += seconds

        def stop(self):
            self.stopped = time.monotonic()

    made = Clock()
    monkeypatch.setattr(script, "time", made)
    return made


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return make_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def make_upstream():
    with contextlib.ExitStack() as stack:

        def make(host="127.0.0.1", tls=None):
            server = Upstream(host, tls)
            stack.callback(server.stop)
            return server

        yield make


@pytest.fixture
def upstream(make_upstream):
    return make_upstream()


@pytest.fixture
def start(script):
    """start(upstream, **settings) runs the program in a thread and gives the function that asks it as a registry does."""
    with contextlib.ExitStack() as stack:

        def begin(upstream, **settings):
            url = upstream if isinstance(upstream, str) else upstream.url
            server = script.Server(0, NAME, {"hub": script.Settings(**{"upstream": url, "user": ME, "timeout_seconds": 5, **settings})})
            stack.callback(server.server_close)
            threading.Thread(target=server.serve_forever, args=(0.01,)).start()
            stack.callback(server.shutdown)

            def ask(what="app/manifests/latest", method="GET", path=None, **headers):
                return request(server.server_address[1], path or f"/hub/v2/{what}", method, headers)

            ask.port = server.server_address[1]
            ask.server = server
            return ask

        yield begin


def request(port, path, method="GET", headers=types.MappingProxyType({})):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return types.SimpleNamespace(status=answer.status, headers=answer.headers, body=answer.read())


def wait_for(condition):
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def blob(content, **fields):
    return response(body=content, **{"Content_Type": "application/octet-stream", **fields})


def by_tag(answer, repository="app"):
    """The same answer by tag and by digest: once it has told the digest of a tag, the program asks for that."""
    return {f"/v2/{repository}/manifests/{reference}": answer for reference in ("latest", digest(BODY))}


def challenge(realm, scope="repository:secret/other:pull,push"):
    return response(401, WWW_Authenticate=f'Bearer realm="{realm}",service="the service",scope="{scope}"')


def with_token(token_url, content):
    """An upstream's answers, for those who have the token."""

    def answer(asked):
        return content if asked.secret == "Bearer t0ken" else challenge(token_url)

    return answer


# Which requests are answered at all


@pytest.mark.parametrize("path", ["/v2/", "/hub/v2/", "/hub//v2/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_registry_that_starts_gets_its_answer_without_the_upstream(start, upstream, path, method):
    answer = start(upstream)(path=path, method=method)
    assert (answer.status, answer.body) == (200, b"{}" if method == "GET" else b"")
    assert "WWW-Authenticate" not in answer.headers
    assert upstream.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2/app/manifests/latest",
        f"/{'5f' * 32}/hub/v2/app/manifests/latest",
        "/HUB/v2/app/manifests/latest",
        "/quay/v2/app/manifests/latest",
        "/hub/v1/app/manifests/latest",
        "/hub/v2/_catalog",
        "/hub/v2/App/manifests/latest",
        "/hub/v2/app//x/manifests/latest",
        "/hub/v2/../app/manifests/latest",
        "/hub/v2/app%2fx/manifests/latest",
        "/hub/v2/app/manifests/.latest",
        "/hub/v2/app/manifests/latest?x=y",
        f"/hub/v2/app/manifests/{'a' * 129}",
        f"/hub/v2/app/manifests/sha256:{'A' * 64}",
        f"/hub/v2/app/manifests/sha256:{'a' * 63}",
        f"/hub/v2/app/manifests/sha1:{'a' * 40}",
        "/hub/v2/app/blobs/latest",
        "/hub/v2/app/blobs/uploads/",
        "/hub/v2/app/tags/list/",
        "/hub/v2/app/manifests/latest\x01",
        "http://127.0.0.1/hub/v2/app/manifests/latest",
    ],
)
def test_what_is_not_the_path_of_a_mirror_is_not_found_and_not_asked_for(start, upstream, path, capsys):
    ask = start(upstream)
    with contextlib.closing(socket.create_connection(("127.0.0.1", ask.port), 10)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 404 ")
    assert upstream.requests == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"])
def test_other_methods_are_refused(start, upstream, method):
    assert start(upstream)(method=method).status == 501
    assert upstream.requests == []


def test_the_request_to_the_upstream_is_made_and_not_copied(start, upstream):
    upstream.has({"/v2/app/manifests/latest": manifest(BODY)})
    ask = start(upstream)
    assert ask(Range="bytes=1-", Accept="x/y", Cookie="a=b", Authorization="Basic eDp5", X_Else="1", If_None_Match="z").body == BODY
    (asked,) = upstream.requests
    assert {name.lower() for name in asked.headers} == {"host", "accept", "accept-encoding", "user-agent", "via"}
    assert asked.headers["Accept-Encoding"] == "identity"
    assert MANIFEST in asked.headers["Accept"]
    assert asked.headers["Via"] == f"1.1 {NAME} (holdfast-registry-upstream)"


def test_nobody_gets_anything_but_the_user_of_the_mirrors_registry(start, upstream):
    upstream.answer = lambda _asked: manifest(BODY)
    assert start(upstream).__call__().status == 200
    before = len(upstream.requests)
    assert start(upstream, user="daemon")().status == 404
    assert len(upstream.requests) == before


def test_whose_a_connection_is_comes_from_the_kernel(script):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        port, to = client.getsockname()[1], listener.getsockname()[1]
        assert script.user_of(port, to) == os.getuid()
        assert script.user_of(to, port) is None or os.getuid() == 0
        assert script.user_of(port, to + 1) is None


# Credentials


def test_basic_credentials_go_to_the_upstream_when_it_asks_for_them(start, upstream):
    upstream.answer = lambda asked: manifest(BODY) if asked.secret == BASIC else response(401, WWW_Authenticate='Basic realm="x"')
    ask = start(upstream, **CREDENTIALS)
    assert [ask().status, ask().status] == [200, 200]
    assert [asked.secret for asked in upstream.requests] == [None, BASIC, BASIC]


def test_without_credentials_a_basic_challenge_is_a_refusal(start, upstream):
    upstream.answer = lambda _asked: response(401, WWW_Authenticate='Basic realm="x"')
    assert start(upstream)().status == 403


@pytest.mark.parametrize("credentials", [{}, CREDENTIALS])
@pytest.mark.parametrize("where", ["upstream", "token host"])
def test_a_token_is_asked_for_once_and_only_for_what_is_needed(start, make_upstream, credentials, where):
    upstream = make_upstream()
    tokens = upstream if where == "upstream" else make_upstream("127.0.0.2")
    given = {"/token": response(body=json.dumps({"token": "t0ken", "expires_in": 300}).encode())}
    upstream.has({**given, **by_tag(with_token(f"{tokens.url}/token?account=a", manifest(BODY)), "team/app")})
    if tokens is not upstream:
        tokens.has(given)
    ask = start(upstream, token_hosts=["127.0.0.2"], **credentials)
    assert [ask("team/app/manifests/latest").body for _time in range(3)] == [BODY] * 3
    (asked,) = [asked for asked in tokens.requests if asked.path.startswith("/token")]
    assert asked.path == "/token?account=a&service=the+service&scope=repository%3Ateam%2Fapp%3Apull"
    assert asked.secret == (BASIC if credentials else None)
    assert BASIC not in [asked.secret for asked in upstream.requests if asked.path.startswith("/v2/")]


def test_a_token_is_for_one_repository(start, upstream):
    upstream.has({"/token": lambda asked: response(body=json.dumps({"access_token": asked.path[-10:-7]}).encode())})
    has = upstream.answer
    upstream.answer = lambda asked: (
        has(asked) if asked.path.startswith("/token") else challenge(f"{upstream.url}/token") if not asked.secret else manifest(BODY)
    )
    ask = start(upstream)
    ask("one/manifests/latest")
    ask("two/manifests/latest")
    assert [asked.secret for asked in upstream.requests if asked.secret] == ["Bearer one", "Bearer two"]


def test_a_token_that_the_upstream_no_longer_takes_is_renewed_once(start, upstream):
    tokens = iter("abcdef")
    valid = ["a"]
    upstream.has({"/token": lambda _asked: response(body=json.dumps({"token": next(tokens), "expires_in": 3600}).encode())})
    has = upstream.answer
    upstream.answer = lambda asked: (
        has(asked) if asked.path.startswith("/token") else manifest(BODY) if asked.secret == f"Bearer {valid[0]}" else challenge(f"{upstream.url}/token")
    )
    ask = start(upstream)
    assert ask().status == 200
    valid[0] = "b"
    assert ask().status == 200
    valid[0] = "never"
    before = len(upstream.requests)
    assert ask().status == 403
    assert len(upstream.requests) == before + 3


@pytest.mark.parametrize(("expires", "asked"), [(None, 1), (60, 1), (300, 1), (5, 2), (0, 1), (-1, 2), (1e400, 1)])
def test_a_token_is_used_until_shortly_before_it_expires(start, upstream, expires, asked):
    content = {"token": "t0ken"} if expires is None else {"token": "t0ken", "expires_in": expires}
    upstream.has(
        {
            "/token": response(body=json.dumps(content).encode()),
            **by_tag(with_token(f"{upstream.url}/token", manifest(BODY))),
        }
    )
    ask = start(upstream)
    assert [ask().status, ask().status] == [200, 200]
    assert len([path for path in upstream.asked if "/token" in path]) == asked


@pytest.mark.parametrize("credentials", [{}, CREDENTIALS])
@pytest.mark.parametrize(
    "realm",
    [
        "http://127.0.0.2:{port}/token",
        "http://127.0.0.1@127.0.0.2:{port}/token",
        "http://127.0.0.2:{port}\\@127.0.0.1/token",
        "http://127.0.0.1\t@127.0.0.2:{port}/",
        "http://127.0.0.1.evil.example:{port}/",
        "//127.0.0.2:{port}/token",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "http://[::1]:{port}/",
        "http://2130706434:{port}/",
        "/token",
        "",
    ],
)
def test_a_challenge_that_names_another_host_gets_nothing(start, make_upstream, credentials, realm, capsys):
    upstream, evil = make_upstream(), make_upstream("127.0.0.2")
    upstream.answer = lambda _asked: challenge(realm.format(port=evil.port))
    assert start(upstream, **credentials)().status == 502
    assert evil.connections == 0
    assert upstream.secrets == []
    err = capsys.readouterr().err
    assert err.startswith("mirror hub: 127.0.0.1 names ")
    if realm == "http://127.0.0.2:{port}/token":
        assert "the token server 127.0.0.2, which is not in token_hosts" in err


def test_credentials_of_an_upstream_with_tls_do_not_go_to_a_token_server_without(start, make_upstream, tls):
    upstream, tokens = make_upstream(tls=tls[1]), make_upstream("127.0.0.2")
    upstream.answer = lambda _asked: challenge(f"{tokens.url}/token")
    assert start(upstream, ca_certificate=tls[0].read_text(), token_hosts=["127.0.0.2"], **CREDENTIALS)().status == 502
    assert tokens.connections == 0


def test_a_redirect_of_the_token_server_is_not_followed(start, make_upstream):
    upstream, evil = make_upstream(), make_upstream("127.0.0.2")
    upstream.has({"/token": response(307, Location=f"{evil.url}/token"), "/v2/app/manifests/latest": challenge(f"{upstream.url}/token")})
    assert start(upstream, **CREDENTIALS)().status == 502
    assert evil.connections == 0


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (b"", 502),
        (b"[]", 502),
        (b"{}", 502),
        (b'{"token": 1}', 502),
        (b'{"token": "a\\r\\nX-Evil: 1"}', 502),
        (b'{"token": "\xc3\xa4"}', 502),
        (b'{"token": "a", "expires_in": "soon"}', 502),
        (b"[" * 60_000, 502),
        (b" " * 70_000, 502),
    ],
)
def test_what_is_no_token_is_not_used(start, upstream, given, status):
    upstream.has({"/token": response(body=given), "/v2/app/manifests/latest": challenge(f"{upstream.url}/token")})
    assert start(upstream)().status == status
    assert upstream.secrets == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_wrong_credentials_are_told_and_are_no_failure(start, upstream, status, capsys):
    upstream.has({"/token": response(status), "/v2/app/manifests/latest": challenge(f"{upstream.url}/token")})
    ask = start(upstream, **CREDENTIALS)
    assert [ask().status, ask().status] == [404 if status == 404 else 403] * 2
    assert "s3cret" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["basic", "bearer"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_stay_behind_when_a_redirect_leads_elsewhere(start, make_upstream, kind, status):
    upstream, storage = make_upstream(), make_upstream("127.0.0.2")
    asks = response(401, WWW_Authenticate='Basic realm="x"') if kind == "basic" else challenge(f"{upstream.url}/token")
    upstream.has(
        {
            "/token": response(body=b'{"token": "t0ken"}'),
            f"/v2/app/blobs/{digest(BLOB)}": lambda asked: (
                response(status, Location=f"{storage.url}/data?signed=yes", Set_Cookie="a=b") if asked.secret else asks
            ),
        }
    )
    storage.has({"/data": blob(BLOB)})
    assert start(upstream, **CREDENTIALS)(f"app/blobs/{digest(BLOB)}").body == BLOB
    (asked,) = storage.requests
    assert asked.path == "/data?signed=yes"
    assert "Authorization" not in asked.headers and "Cookie" not in asked.headers


def test_credentials_do_not_come_back_after_a_detour(start, make_upstream):
    upstream, storage = make_upstream(), make_upstream("127.0.0.2")
    upstream.has(
        {
            f"/v2/app/blobs/{digest(BLOB)}": lambda asked: (
                response(307, Location=f"{storage.url}/data") if asked.secret else response(401, WWW_Authenticate='Basic realm="x"')
            ),
            "/else": blob(BLOB),
        }
    )
    storage.has({"/data": response(307, Location=f"{upstream.url}/else")})
    assert start(upstream, **CREDENTIALS)(f"app/blobs/{digest(BLOB)}").body == BLOB
    assert upstream.requests[-1].path == "/else"
    assert upstream.requests[-1].secret is None


def test_a_challenge_of_the_storage_gets_nothing(start, make_upstream):
    upstream, storage = make_upstream(), make_upstream("127.0.0.2")
    upstream.has({f"/v2/app/blobs/{digest(BLOB)}": response(307, Location=f"{storage.url}/data")})
    storage.answer = lambda _asked: response(401, WWW_Authenticate='Basic realm="x"')
    assert start(upstream, **CREDENTIALS)(f"app/blobs/{digest(BLOB)}").status == 403
    assert storage.secrets + upstream.secrets == []


# Manifests


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_by_digest_is_passed_on(start, upstream, algorithm):
    wanted = digest(BODY, algorithm)
    upstream.has({f"/v2/app/manifests/{wanted}": manifest(BODY, Content_Type=f"{MANIFEST}; charset=utf-8", X_Else="1", Set_Cookie="a=b")})
    answer = start(upstream)(f"app/manifests/{wanted}")
    assert answer.body == BODY
    assert (answer.headers["Docker-Content-Digest"], answer.headers["Content-Type"]) == (wanted, MANIFEST)
    assert not {"X-Else", "Set-Cookie"} & set(answer.headers)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("sent", [OTHER, b"", BODY[:-1]])
def test_a_manifest_that_is_not_what_its_digest_says_is_refused(start, upstream, algorithm, sent, capsys):
    wanted = digest(BODY, algorithm)
    upstream.answer = lambda _asked: manifest(sent, Docker_Content_Digest=wanted)
    answer = start(upstream)(f"app/manifests/{wanted}")
    assert (answer.status, answer.headers["Content-Type"]) == (502, "application/json")
    assert sent not in answer.body or not sent
    assert f"mirror hub: 127.0.0.1 sends a manifest that is not {wanted}" in capsys.readouterr().err


def test_the_digest_of_a_tag_is_computed(start, upstream):
    upstream.answer = lambda _asked: response(body=BODY, Content_Type=MANIFEST)
    assert start(upstream)().headers["Docker-Content-Digest"] == digest(BODY)


@pytest.mark.parametrize(
    "said", [digest(OTHER), digest(OTHER, "sha512"), "sha256:x", "md5:0123456789abcdef0123456789abcdef", "latest", [digest(BODY), digest(OTHER)]]
)
def test_a_tag_whose_content_is_not_what_is_said_is_refused(start, upstream, said):
    upstream.answer = lambda _asked: manifest(BODY, Docker_Content_Digest=said)
    assert start(upstream)().status == 502


def test_the_content_of_a_tag_is_what_its_digest_was_said_to_be(start, upstream):
    """The registry asks HEAD and then GET by tag, and serves what it gets as what the first answer said."""
    upstream.has(
        {
            "HEAD /v2/app/manifests/latest": manifest(b"", length=len(BODY), Docker_Content_Digest=digest(BODY)),
            "GET /v2/app/manifests/latest": manifest(OTHER),
            f"GET /v2/app/manifests/{digest(BODY)}": manifest(BODY),
        }
    )
    ask = start(upstream)
    assert ask(method="HEAD").headers["Docker-Content-Digest"] == digest(BODY)
    assert ask().body == BODY
    upstream.has({"GET /v2/app/manifests/latest": manifest(OTHER), f"GET /v2/app/manifests/{digest(BODY)}": manifest(OTHER)})
    assert ask().status == 502


def test_a_tag_that_changes_waits_until_all_have_fetched_what_they_heard_of(script, start, upstream, clock):
    tag, ask, heard = [BODY], start(upstream), []
    upstream.has(
        {
            "HEAD /v2/app/manifests/latest": lambda _asked: manifest(b"", length=9, Docker_Content_Digest=digest(tag[0])),
            **{f"GET /v2/app/manifests/{digest(body)}": manifest(body) for body in (BODY, OTHER)},
        }
    )

    def hear():
        heard.append(ask(method="HEAD").headers["Docker-Content-Digest"])

    clock.stop()
    hear()
    tag[0] = OTHER
    thread = threading.Thread(target=hear)
    thread.start()
    wait_for(lambda: len(upstream.requests) == 2)
    clock.skip(script.SETTLE_SECONDS - 0.1)
    assert ask().body == BODY
    clock.skip(script.SETTLE_SECONDS - 0.1)
    time.sleep(0.05)
    assert heard == [digest(BODY)], "who fetched it last has not had the time"
    clock.skip(0.2)
    thread.join()
    assert heard == [digest(BODY), digest(OTHER)]
    assert ask().body == OTHER


def test_a_tag_that_never_settles_is_refused(script, start, upstream, clock):
    tag, ask = [OTHER], start(upstream)
    upstream.answer = lambda _asked: manifest(b"", length=9, Docker_Content_Digest=digest(tag[0]))
    clock.stop()
    ask(method="HEAD")
    server = ask.server.mirrors["hub"]
    stop = threading.Event()

    def tell():
        while not stop.wait(0.005):
            server._tell(("app", "latest"), digest(OTHER))
            clock.skip(script.SETTLE_SECONDS / 4)

    tag[0] = BODY
    thread = threading.Thread(target=tell)
    thread.start()
    assert ask(method="HEAD").status == 503
    stop.set()
    thread.join()


def test_the_head_of_a_tag_is_asked_each_time(start, upstream):
    upstream.answer = lambda _asked: manifest(b"", length=42)
    ask = start(upstream)
    answers = [ask(method="HEAD") for _time in range(3)]
    assert [answer.headers["Content-Length"] for answer in answers] == ["42"] * 3
    assert answers[0].headers["Content-Type"] == MANIFEST
    assert upstream.asked == ["HEAD /v2/app/manifests/latest"] * 3


def test_the_head_of_a_tag_without_a_digest_is_found_out_with_a_get(start, upstream):
    upstream.answer = lambda asked: response(body=BODY, Content_Type=MANIFEST) if asked.command == "GET" else response(Content_Type=MANIFEST)
    answer = start(upstream)(method="HEAD")
    assert (answer.status, answer.headers["Docker-Content-Digest"], answer.headers["Content-Length"]) == (200, digest(BODY), str(len(BODY)))


def test_the_head_of_a_digest_is_passed_on(start, upstream):
    upstream.answer = lambda _asked: manifest(b"", length=len(BODY), Docker_Content_Digest=digest(BODY))
    ask = start(upstream)
    answer = ask(f"app/manifests/{digest(BODY)}", "HEAD")
    assert (answer.status, answer.headers["Docker-Content-Digest"], answer.headers["Content-Length"]) == (200, digest(BODY), str(len(BODY)))
    assert ask(f"app/manifests/{digest(OTHER)}", "HEAD").status == 502


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/json",
        "text/html",
        "",
        [MANIFEST, "text/html"],
        f"{MANIFEST}\0",
        f"{MANIFEST}\r\n X-Evil: 1",
        f"x, {MANIFEST}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_manifest_of_another_kind_is_refused(start, upstream, kind, method):
    upstream.answer = lambda asked: manifest(BODY if asked.command == "GET" else b"", length=len(BODY), Content_Type=kind, Docker_Content_Digest=digest(BODY))
    ask = start(upstream)
    assert ask(method=method).status == 502
    assert ask(f"app/manifests/{digest(BODY)}", method).status == 502


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_manifest_has_a_size_limit(script, start, upstream, framing, monkeypatch):
    monkeypatch.setattr(script, "MAX_MANIFEST", 100_000)
    for size, status in ((100_000, 200), (100_001, 502)):
        body = b"x" * size

        def answer(_asked, body=body):
            if framing == "length":
                return manifest(body)
            return manifest(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), length=False, Transfer_Encoding="chunked", Docker_Content_Digest=digest(body))

        upstream.answer = answer
        assert start(upstream)(f"app/manifests/{digest(body)}").status == status


@pytest.mark.parametrize(
    "sent",
    [
        manifest(BODY, length=False),  # nobody knows whether that is all
        manifest(BODY, length=len(BODY) + 1, Docker_Content_Digest=[]),
        manifest(BODY, length=f"{len(BODY)}\r\nContent-Length: 5"),
        manifest(BODY, length="-1"),
        manifest(BODY, length="+79"),
        manifest(BODY, Transfer_Encoding="chunked"),
        manifest(b"%x\r\n%s\r\n" % (len(BODY), BODY), length=False, Transfer_Encoding="chunked"),
        manifest(b"-5\r\n%s\r\n0\r\n\r\n" % BODY, length=False, Transfer_Encoding="chunked"),
        manifest(b"zz\r\n%s\r\n0\r\n\r\n" % BODY, length=False, Transfer_Encoding="chunked"),
        manifest(gzip.compress(BODY, mtime=0), Content_Encoding="gzip", Docker_Content_Digest=digest(gzip.compress(BODY, mtime=0))),
        manifest(BODY, Content_Encoding=["identity", "gzip"]),
        manifest(BODY, status=206, Content_Range="bytes 0-78/79"),
        manifest(BODY, status=204),
        manifest(BODY, status=203),
        manifest(BODY, status=304),
        manifest(BODY, status=103),
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"ICY\0 200 OK\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"",
    ],
    ids=repr,
)
def test_an_answer_that_cannot_be_right_is_refused(start, upstream, sent, capsys):
    upstream.answer = lambda _asked: sent
    assert start(upstream)().status in (502, 503)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("mirror hub: 127.0.0.1") and lines[0].isprintable() and len(lines[0]) < 600


# Blobs


@pytest.mark.parametrize("size", [0, 1, 1000, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 512 * 1024, 700_000])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_is_passed_on(start, upstream, size, algorithm):
    content = BLOB[:size]
    upstream.has({f"/v2/app/blobs/{digest(content, algorithm)}": blob(content, Content_Disposition="x", Set_Cookie="a=b")})
    answer = start(upstream)(f"app/blobs/{digest(content, algorithm)}", Range="bytes=5-")
    assert (answer.status, answer.body) == (200, content)
    assert {name.lower() for name in answer.headers} == {
        *("server", "date", "content-type", "content-length", "docker-content-digest", "docker-distribution-api-version", "connection")
    }
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert "Range" not in upstream.requests[0].headers


def received(port, what):
    """What arrives of an answer, and the error that ends it."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), 30)) as connection:
        connection.sendall(f"GET /hub/v2/{what} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        content = b""
        try:
            while piece := connection.recv(1 << 16):
                content += piece
        except ConnectionResetError as error:
            return content, error
    return content, None


CHANGED = bytes([BLOB[0] ^ 1]) + BLOB[1:]


@pytest.mark.parametrize(
    "sent", [CHANGED, BLOB[:-1] + bytes([BLOB[-1] ^ 1]), BLOB[:-1], BLOB[:-300_000], BLOB[:10]], ids=["first", "last", "short", "shorter", "shortest"]
)
@pytest.mark.parametrize("end", ["close", "silence"])
def test_nobody_gets_the_whole_of_a_wrong_blob(script, start, upstream, sent, end, monkeypatch, capsys):
    monkeypatch.setattr(script, "IDLE_SECONDS", 0.3)

    def answer(_asked):
        yield blob(sent, length=len(BLOB))
        if end == "silence" and len(sent) < len(BLOB):
            time.sleep(1)

    upstream.answer = answer
    content, error = received(start(upstream).port, f"app/blobs/{digest(BLOB)}")
    if len(content) > 1000:
        assert error is not None
        assert b"\r\nContent-Length: 700000\r\n" in content
        assert len(content.partition(b"\r\n\r\n")[2]) <= len(BLOB) - 256 * 1024
    else:
        assert b" 502 " in content[:20] or b" 503 " in content[:20]
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("size", [0, 1, 65536, 256 * 1024])
def test_nothing_is_sent_of_a_wrong_blob_that_is_small(start, upstream, size):
    upstream.answer = lambda _asked: blob(BLOB[:size])
    answer = start(upstream)(f"app/blobs/{digest(b'other')}")
    assert answer.status == 502
    assert BLOB[:100] not in answer.body


def test_what_follows_a_blob_is_not_passed_on(start, upstream):
    upstream.answer = lambda _asked: blob(BLOB + b"HTTP/1.1 200 OK", length=len(BLOB))
    assert start(upstream)(f"app/blobs/{digest(BLOB)}").body == BLOB


@pytest.mark.parametrize(
    "sent",
    [
        blob(BLOB, length=False),
        blob(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BLOB), BLOB), length=False, Transfer_Encoding="chunked"),
        blob(BLOB, Transfer_Encoding="chunked"),
        blob(BLOB, length="700000\r\nContent-Length: 700001"),
        blob(BLOB, length="9" * 20),
        blob(BLOB, length="7_00_000"),
        blob(gzip.compress(BLOB, mtime=0), Content_Encoding="gzip"),
        blob(BLOB, Content_Encoding="zstd, gzip"),
        response(206, BLOB),
    ],
    ids=lambda sent: repr(sent[:150]),
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blob_of_which_the_length_is_not_known_is_refused(start, upstream, sent, method):
    upstream.answer = lambda _asked: sent
    assert start(upstream)(f"app/blobs/{digest(BLOB)}", method).status == 502


def test_the_head_of_a_blob_is_passed_on(start, upstream):
    upstream.answer = lambda _asked: blob(b"", length=12345, Content_Type="text/html")
    answer = start(upstream)(f"app/blobs/{digest(BLOB)}", "HEAD")
    assert (answer.status, answer.headers["Content-Length"], answer.headers["Content-Type"]) == (200, "12345", "application/octet-stream")
    assert upstream.asked == [f"HEAD /v2/app/blobs/{digest(BLOB)}"]


@pytest.mark.parametrize("first", ["GET", "HEAD"])
@pytest.mark.parametrize("second", ["GET", "HEAD"])
def test_a_blob_has_one_length(start, upstream, first, second):
    """The registry would serve as many bytes of the body as the HEAD before has said, and those would not have been checked."""
    lengths = iter([500_000, 700_000, 700_000])
    upstream.answer = lambda asked: blob(BLOB if asked.command == "GET" else b"", length=next(lengths))
    ask = start(upstream)
    with contextlib.suppress(http.client.HTTPException, OSError):
        ask(f"app/blobs/{digest(BLOB)}", first)
    assert ask(f"app/blobs/{digest(BLOB)}", second).status == 502
    assert ask(f"app/blobs/{digest(BLOB)}", "GET").status == 502


def test_a_client_that_leaves_frees_its_place(script, start, upstream, monkeypatch, capsys):
    monkeypatch.setattr(script, "MAX_TRANSFERS", 1)
    big = b"x" * 20_000_000
    upstream.answer = lambda asked: blob(big) if digest(big) in asked.path else blob(BLOB)
    ask = start(upstream)
    with contextlib.closing(socket.create_connection(("127.0.0.1", ask.port), 10)) as connection:
        connection.sendall(f"GET /hub/v2/app/blobs/{digest(big)} HTTP/1.1\r\n\r\n".encode())
        assert connection.recv(1000)
    assert ask(f"app/blobs/{digest(BLOB)}").body == BLOB
    assert capsys.readouterr().err == ""


@contextlib.contextmanager
def stalled(port, content):
    """A client that has begun to fetch a blob, and takes no more of it."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(f"GET /hub/v2/app/blobs/{digest(content)} HTTP/1.1\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        yield client


def rest(client):
    """How much more a client gets, and whether that is the end of an answer."""
    size = 0
    try:
        while piece := client.recv(1 << 16):
            size += len(piece)
    except ConnectionResetError:
        return size, False
    return size, True


BIG = bytes(8_000_000)


@pytest.fixture
def two_places(script, start, upstream, monkeypatch):
    monkeypatch.setattr(script, "MAX_TRANSFERS", 2)
    monkeypatch.setattr(script, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(script, "PATIENCE_SECONDS", 0.1)
    upstream.answer = lambda asked: blob(BIG if digest(BIG) in asked.path else BLOB)
    return start(upstream)


def test_a_client_that_takes_next_to_nothing_makes_room_for_one_that_waits(two_places, capsys):
    with stalled(two_places.port, BIG) as first, stalled(two_places.port, BIG) as second:
        assert two_places(f"app/blobs/{digest(BLOB)}").body == BLOB
        ended = [rest(client) for client in (first, second)]
    (size, whole), (_size, other) = ended
    assert (size < len(BIG), whole, other) == (True, False, True), "the one that has waited longest for its client, and no other"
    assert capsys.readouterr().err == "mirror hub: a blob is taken slower than 1024 KB in 0.2 s, and other requests wait\n"


@pytest.mark.parametrize(("rate", "longest"), [(42_000, 24), (14_000, 74)])
def test_a_client_is_as_slow_as_it_takes_a_megabyte(script, clock, rate, longest):
    """Whatever the upstream takes."""
    clock.stop()
    place, seen = script.Place(), []

    class Client:
        def sendall(self, piece):
            clock.skip(len(piece) / rate)
            seen.append(place.seconds())

    for _piece in range(8):
        place.send(Client(), bytes(256 * 1024))
        assert place.seconds() == 0
        clock.skip(1000)
    assert int(max(seen)) == longest
    assert seen[4:] == pytest.approx(seen[:4])


def test_no_client_is_cut_off_while_there_is_room(two_places, capsys):
    with stalled(two_places.port, BIG) as client:
        for _time in range(3):
            time.sleep(0.15)
            assert two_places(f"app/blobs/{digest(BLOB)}").body == BLOB
        assert rest(client)[1]
    assert capsys.readouterr().err == ""


def test_nobody_is_cut_off_for_a_place_that_is_soon_free(script, monkeypatch):
    slots = script.Slots(1, 10)
    waiting = threading.Thread(target=lambda: slots.taken().__enter__())
    with slots.taken() as place:
        monkeypatch.setattr(place, "seconds", lambda: 1000)
        waiting.start()
        time.sleep(0.1)
        assert not place.ended
    waiting.join()


def test_requests_are_answered_in_the_order_in_which_they_came(script):
    slots, served, waiting = script.Slots(2, 10), [], []

    def request(number):
        with slots.taken():
            served.append(number)

    with slots.taken():
        for number in range(2):
            waiting.append(threading.Thread(target=request, args=(number,)))
            waiting[-1].start()
            time.sleep(0.002)
    for thread in waiting:
        thread.join()
    assert served == sorted(served)


# Redirects


def rebinding(addresses):
    """A getaddrinfo by which names below .example have one address after the other."""
    look_up = socket.getaddrinfo

    def answer(host, *rest, **more):
        return look_up(next(addresses) if host.endswith(".example") else host, *rest, **more)

    return answer


def redirecting(upstream, location):
    upstream.has({f"/v2/app/blobs/{digest(BLOB)}": response(307, b"moved", Location=location), "/data": blob(BLOB)})


@pytest.mark.parametrize("location", ["/data", "{url}/data", "//{host}/data", "../../../data", "{url}/data#fragment"])
def test_a_redirect_is_followed(start, upstream, location):
    redirecting(upstream, location.format(url=upstream.url, host=upstream.url[7:]))
    assert start(upstream)(f"app/blobs/{digest(BLOB)}").body == BLOB


@pytest.mark.parametrize(
    "location", ["", "http://", "http://[", "http://x:99999/", "ftp://127.0.0.1/", "http://a b/", "http://\0/", "http://user@127.0.0.1/", "javascript:1"]
)
def test_a_redirect_to_something_else_is_refused(start, upstream, location):
    redirecting(upstream, location)
    assert start(upstream)(f"app/blobs/{digest(BLOB)}").status == 502


def test_redirects_end(start, upstream):
    upstream.answer = lambda asked: response(307, Location=f"{asked.path}x")
    assert start(upstream)(f"app/blobs/{digest(BLOB)}").status == 502
    assert len(upstream.requests) == 6


def test_a_redirect_away_from_tls_is_refused(start, make_upstream, tls):
    upstream, storage = make_upstream(tls=tls[1]), make_upstream()
    redirecting(upstream, f"{storage.url}/data")
    assert start(upstream, ca_certificate=tls[0].read_text())(f"app/blobs/{digest(BLOB)}").status == 502
    assert storage.connections == 0


@pytest.mark.parametrize("inside", ["loopback", "private", "link_local", "multicast", "unspecified"])
def test_a_redirect_does_not_lead_inside(script, start, make_upstream, inside, monkeypatch, capsys):
    upstream, storage = make_upstream(), make_upstream("127.0.0.2")
    redirecting(upstream, f"{storage.url}/data")
    storage.has({"/data": blob(BLOB)})
    ask = start(upstream)
    monkeypatch.setattr(script, "kind_of", lambda address: inside if address == "127.0.0.2" else "global")
    assert ask(f"app/blobs/{digest(BLOB)}").status == 502
    assert storage.connections == 0
    assert "leads to 127.0.0.2, which has no address that it may lead to" in capsys.readouterr().err
    monkeypatch.setattr(script, "kind_of", lambda address: inside)
    assert ask(f"app/blobs/{digest(BLOB)}").body == BLOB
    monkeypatch.setattr(script, "kind_of", lambda address: "global" if address == "127.0.0.2" else inside)
    assert ask(f"app/blobs/{digest(BLOB)}").body == BLOB


def test_only_a_token_server_that_is_named_may_be_inside(script, start, make_upstream, monkeypatch):
    upstream, tokens = make_upstream(), make_upstream("127.0.0.2")
    upstream.has(by_tag(with_token(f"http://registry.example:{tokens.port}/token", manifest(BODY))))
    tokens.has({"/token": response(body=b'{"token": "t0ken"}')})
    addresses = iter(["127.0.0.1", "127.0.0.2"] * 2)  # of the upstream, and of the same name as it wants to have it the second time
    monkeypatch.setattr(script.socket, "getaddrinfo", rebinding(addresses))
    monkeypatch.setattr(script, "kind_of", lambda address: "private" if address == "127.0.0.2" else "global")
    url = f"http://registry.example:{upstream.port}"
    assert start(url)().status == 502
    assert tokens.connections == 0
    upstream.keeps = True
    assert start(url, token_hosts=["registry.example"])().body == BODY


def test_a_name_is_looked_up_once_for_each_connection(script, start, make_upstream, monkeypatch):
    """The second answer of a name that rebinds is not asked for."""
    upstream, storage = make_upstream(), make_upstream("127.0.0.2")
    redirecting(upstream, f"http://rebinds.example:{storage.port}/data")
    storage.has({"/data": blob(BLOB)})
    ask = start(upstream)
    addresses = iter(["127.0.0.2", "127.0.0.3"])
    monkeypatch.setattr(script.socket, "getaddrinfo", rebinding(addresses))
    monkeypatch.setattr(script, "kind_of", lambda address: "loopback" if address == "127.0.0.3" else "global")
    assert ask(f"app/blobs/{digest(BLOB)}").body == BLOB
    assert ask(f"app/blobs/{digest(BLOB)}").status == 502


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", "global"),
        ("2606:4700::1", "global"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("198.18.0.1", "private"),
        ("240.0.0.1", "private"),
        ("255.255.255.255", "private"),
        ("fd00::1", "private"),
        ("127.1.2.3", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a00:1", "private"),
        ("64:ff9b::808:808", "global"),
        ("2002:7f00:1::", "loopback"),
        ("169.254.169.254", "link_local"),
        ("fe80::1%eth0", "link_local"),
        ("::ffff:169.254.169.254", "link_local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("0.1.2.3", "private"),
    ],
)
def test_where_an_address_leads(script, address, kind):
    assert script.kind_of(address) == kind


# TLS and proxies


def test_an_upstream_with_tls_is_trusted_by_its_ca(start, make_upstream, tls, capsys):
    upstream = make_upstream(tls=tls[1])
    upstream.has({"/v2/app/manifests/latest": manifest(BODY)})
    assert start(upstream, ca_certificate=tls[0].read_text())().body == BODY
    assert start(upstream)().status == 503
    assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().err
    assert len(upstream.requests) == 1


def test_a_certificate_for_another_name_is_refused(start, make_upstream, tls, monkeypatch, script):
    upstream = make_upstream("127.0.0.3", tls=tls[1])
    assert start(upstream, ca_certificate=tls[0].read_text())().status == 503
    assert upstream.requests == []


class Proxy(Upstream):
    """Takes CONNECT and passes on the bytes."""


@pytest.fixture
def proxy(make_upstream, monkeypatch):
    proxy = make_upstream("127.0.0.2")

    def connect(asked):
        host, _colon, port = asked.path.rpartition(":")
        proxy.requests.append(asked)
        with socket.create_connection((host, int(port)), 10) as onward:
            asked.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")

            def back():
                with contextlib.suppress(OSError):
                    while piece := onward.recv(65536):
                        asked.connection.sendall(piece)

            threading.Thread(target=back, daemon=True).start()
            with contextlib.suppress(OSError):
                while piece := asked.connection.recv(65536):
                    onward.sendall(piece)

    handler = type("Handler", (proxy.RequestHandlerClass,), {"do_CONNECT": connect})
    proxy.RequestHandlerClass = handler
    return proxy


def test_an_upstream_with_tls_is_reached_through_a_proxy(start, make_upstream, tls, proxy, monkeypatch):
    upstream = make_upstream(tls=tls[1])
    upstream.has({"/v2/app/manifests/latest": manifest(BODY)})
    monkeypatch.setenv("https_proxy", f"http://me:p%40ss@127.0.0.2:{proxy.port}")
    assert start(upstream, ca_certificate=tls[0].read_text(), **CREDENTIALS)().body == BODY
    assert proxy.asked == [f"CONNECT 127.0.0.1:{upstream.port}"]
    assert proxy.requests[0].headers["Proxy-Authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert "Proxy-Authorization" not in upstream.requests[0].headers
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert start(upstream, ca_certificate=tls[0].read_text())().body == BODY
    assert len(proxy.requests) == 1


def test_an_upstream_without_tls_is_reached_through_a_proxy(start, proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://me:pass@127.0.0.2:{proxy.port}")
    proxy.answer = lambda _asked: manifest(BODY)
    assert start("http://registry.example.org:5000")().body == BODY
    assert proxy.requests[0].path == "http://registry.example.org:5000/v2/app/manifests/latest"
    assert proxy.requests[0].headers["Host"] == "registry.example.org:5000"
    assert proxy.requests[0].headers["Proxy-Authorization"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "10.0.0.1", "metadata"])
def test_a_redirect_does_not_lead_inside_by_way_of_a_proxy(start, proxy, monkeypatch, host):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.2:{proxy.port}")
    proxy.answer = lambda asked: response(307, Location=f"http://{host}/data") if "registry.example.org" in asked.path else blob(BLOB)
    assert start("http://registry.example.org")(f"app/blobs/{digest(BLOB)}").status == 502
    assert len(proxy.requests) == 1


# Upstreams that fail


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_upstream_that_fails_gets_a_pause(start, upstream, status, method, capsys):
    upstream.answer = lambda _asked: response(status)
    ask = start(upstream)
    first, second = ask(method=method), ask(f"app/blobs/{digest(BLOB)}", method)
    assert [first.status, second.status] == [503, 503]
    assert first.headers["Retry-After"] == second.headers["Retry-After"] == "1"
    assert len(upstream.requests) == 1
    to = "" if status == 429 else " to app"
    assert capsys.readouterr().err == f"mirror hub: 127.0.0.1 answers with status {status}; no requests{to} for 1 s\n"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410])
def test_a_refusal_is_no_failure(start, upstream, status):
    upstream.answer = lambda _asked: response(status)
    ask = start(upstream)
    answers = [ask() for _time in range(3)]
    assert {answer.status for answer in answers} == {{401: 403, 403: 403, 404: 404}.get(status, 502)}
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("status", [500, 503])
def test_a_repository_that_fails_does_not_concern_others(start, upstream, clock, status):
    """Whether others have worked before or not, and however often it is asked for."""
    upstream.answer = lambda asked: response(status) if "/bad" in asked.path else manifest(BODY)
    ask = start(upstream)
    statuses = []
    clock.stop()
    for number in range(21):
        ask(f"bad{number % 3}/manifests/latest")
        statuses.append(ask(f"good{number % 4}/manifests/latest").status)
        clock.skip(1.01)
    assert statuses == [200] * 21
    assert len([line for line in upstream.asked if "/bad" in line]) == 12, "each after 1, 2, 4 seconds"


def answers_and_then_fails(upstream, ask, repositories, status=503):
    upstream.answer = lambda _asked: manifest(BODY)
    assert [ask(f"{name}/manifests/latest").status for name in repositories] == [200] * len(repositories)
    upstream.answer = lambda _asked: response(status)
    assert [ask(f"{name}/manifests/latest").status for name in repositories] == [503] * len(repositories)


@pytest.mark.parametrize("status", [500, 503])
def test_an_upstream_that_fails_for_all_repositories_gets_a_pause(start, upstream, clock, status, capsys):
    ask = start(upstream)
    answers_and_then_fails(upstream, ask, ["one", "two", "three"], status)
    said = [line.partition("; ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said == ["no requests to one for 1 s", "no requests to two for 1 s", "no requests for 1 s"]
    before = len(upstream.requests)
    assert ask("four/manifests/latest").status == 503
    assert len(upstream.requests) == before
    upstream.answer = lambda _asked: manifest(BODY)
    clock.skip(1.1)
    assert ask("four/manifests/latest").status == 200
    assert ask("five/manifests/latest").status == 200


def test_repositories_that_never_worked_say_nothing_about_the_upstream(start, upstream, clock):
    """Somebody could ask for many that the upstream cannot answer for."""
    ask = start(upstream)
    upstream.answer = lambda asked: manifest(BODY) if "/good/" in asked.path else response(500)
    for number in range(20):
        ask(f"bad{number}/manifests/latest")
    assert ask("good/manifests/latest").status == 200


def test_a_repository_that_is_answered_in_between_shows_that_the_upstream_works(start, upstream, clock):
    ask = start(upstream)
    answers_and_then_fails(upstream, ask, ["one", "two"])
    upstream.answer = lambda asked: response(503) if "/three/" in asked.path else response(404)
    assert ask("none/manifests/latest").status == 404
    assert ask("three/manifests/latest").status == 503
    assert ask("none/manifests/latest").status == 404


def test_a_repository_that_fails_ends_the_pause_of_an_upstream_that_was_away(start, upstream, clock):
    """It is there again. Otherwise whoever asks for such a repository first could keep the pause going."""
    ask = start(upstream)
    upstream.answer = lambda _asked: response(429)
    assert ask("any/manifests/latest").status == 503
    clock.skip(1.1)
    upstream.answer = lambda asked: response(500) if "/bad/" in asked.path else manifest(BODY)
    assert ask("bad/manifests/latest").status == 503
    assert ask("good/manifests/latest").status == 200


def test_only_so_many_repositories_have_a_pause(script, monkeypatch):
    monkeypatch.setattr(script, "MAX_REMEMBERED", 3)
    pauses = script.Pauses()
    for number in range(5):
        pauses.failed(f"app{number}", script.Failure("x", whole=False))
    pauses.enter("app1")
    for number in range(2, 5):
        with pytest.raises(script.Refusal):
            pauses.enter(f"app{number}")


def test_an_upstream_that_is_not_there_gets_a_pause(start, upstream):
    upstream.stop()
    ask = start(upstream)
    assert ask().status == 503
    before = time.monotonic()
    assert ask("other/manifests/latest").status == 503
    assert time.monotonic() - before < 0.2


def dripping(pieces, seconds):
    def answer(_asked):
        for piece in pieces:
            yield piece
            time.sleep(seconds)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        dripping([b""], 3),
        dripping([b"H", *[b"T"] * 60], 0.05),
        dripping([b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 60], 0.05),
        dripping([b"HTTP/1.1 100 Continue\r\n\r\n"] * 60, 0.05),
        lambda _asked: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
    ids=["silent", "status", "headers", "continue", "flood"],
)
def test_an_upstream_that_is_slow_to_begin_gets_a_pause(start, upstream, answer):
    upstream.answer = answer
    ask = start(upstream, timeout_seconds=0.3)
    before = time.monotonic()
    assert ask().status == 503
    assert 0.25 < time.monotonic() - before < 1.5
    assert ask("other/manifests/latest").status == 503
    assert len(upstream.requests) == 1


def test_a_tls_handshake_that_drips_ends(start):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def drip():
            connection, _address = listener.accept()
            with contextlib.suppress(OSError), connection:
                connection.sendall(b"\x16\x03\x03\x40\x00")
                while True:
                    connection.sendall(b"\x02")
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        before = time.monotonic()
        assert start(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout_seconds=0.3)().status == 503
        assert time.monotonic() - before < 1.5


def test_many_slow_steps_together_end_too(start, upstream):
    def answer(asked):
        time.sleep(0.25)
        return response(307, Location=f"{asked.path}x")

    upstream.answer = answer
    before = time.monotonic()
    assert start(upstream, timeout_seconds=0.3)().status == 503
    assert time.monotonic() - before < 1.4


@pytest.mark.parametrize("what", ["app/manifests/latest", f"app/blobs/{digest(BLOB)}"])
def test_a_body_that_drips_ends(script, start, upstream, what, monkeypatch):
    monkeypatch.setattr(script, "IDLE_SECONDS", 0.4)
    monkeypatch.setattr(script.Answer.read, "__defaults__", (0.4,))
    upstream.answer = dripping([manifest(b"", length=700_000), *[b"x"] * 60], 0.05)
    ask = start(upstream)
    before = time.monotonic()
    assert ask(what).status == 503
    assert time.monotonic() - before < 1.5
    assert ask(f"other/{what}").status == 503
    assert len(upstream.requests) == 1


def test_a_slow_blob_does_not_stop_questions(script, start, upstream, monkeypatch):
    monkeypatch.setattr(script, "MAX_TRANSFERS", 3)
    monkeypatch.setattr(script, "SLOW_SECONDS", 0.05)  # nothing is the client's fault here
    gate = threading.Event()

    def slow(_asked):
        yield blob(BLOB[:400_000], length=len(BLOB))
        gate.wait(10)
        yield BLOB[400_000:]

    upstream.has({f"/v2/app/blobs/{digest(BLOB)}": slow, "/v2/app/manifests/latest": manifest(BODY)})
    ask = start(upstream)
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(ask(f"app/blobs/{digest(BLOB)}").body)) for _time in range(5)]
    for client in clients:
        client.start()
    time.sleep(0.3)
    assert ask().body == BODY
    assert len([path for path in upstream.asked if "blobs" in path]) == 3
    gate.set()
    for client in clients:
        client.join()
    assert answers == [BLOB] * 5


def test_more_requests_than_a_mirror_has_places_for_are_refused(script, start, upstream, monkeypatch):
    monkeypatch.setattr(script, "MAX_QUESTIONS", 2)
    gate = threading.Event()

    def slow(_asked):
        gate.wait(10)
        return manifest(BODY)

    upstream.answer = slow
    ask = start(upstream)
    statuses = []
    clients = [threading.Thread(target=lambda: statuses.append(ask().status)) for _time in range(8)]
    for client in clients:
        client.start()
    wait_for(lambda: len(statuses) >= 4)
    assert len(upstream.requests) == 2
    gate.set()
    for client in clients:
        client.join()
    assert sorted(statuses) == [200] * 4 + [503] * 4


def test_requests_that_wait_longer_than_allowed_are_refused(script, start, upstream, monkeypatch):
    monkeypatch.setattr(script, "MAX_QUESTIONS", 1)
    monkeypatch.setattr(script, "WAIT_SECONDS", 0.1)
    gate = threading.Event()
    upstream.answer = lambda _asked: gate.wait(10) and manifest(BODY)
    ask = start(upstream)
    client = threading.Thread(target=ask)
    client.start()
    wait_for(lambda: upstream.requests)
    assert ask().status == 503
    gate.set()
    client.join()
    assert ask().status == 200


@pytest.mark.parametrize("whole", [True, False])
def test_a_pause_grows_and_ends_with_a_success(script, clock, whole):
    pauses = script.Pauses()
    clock.stop()

    def fail(retry_after=0):
        failure = script.Failure("x", retry_after, whole)
        pauses.failed("app", failure)
        return round(failure.retry_after, 3)

    def left():
        with pytest.raises(script.Refusal) as refused:
            pauses.enter("app")
        return round(refused.value.retry_after, 3)

    lengths = []
    for _time in range(7):
        pauses.enter("app")
        lengths.append(fail())
        assert left() == lengths[-1]
        clock.skip(lengths[-1])
    assert lengths == [1, 2, 4, 8, 16, 30, 30]
    pauses.enter("app")  # the one that tries
    assert left() == 1
    pauses.answered("app", found=True)
    pauses.enter("app")
    pauses.enter("app")
    assert fail() == 1
    assert fail() == 1  # another at the same time
    clock.skip(1)
    pauses.enter("app")
    assert fail(45) == 45
    clock.skip(45)
    pauses.enter("app")
    assert fail(3600) == 60


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("x", 0), ("", 0), ("-5", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", -1), ("1" * 50, 0)])
def test_retry_after_is_a_number_or_a_date(script, value, seconds):
    assert min(max(script.retry_seconds([value]), -1), 10) == seconds


def test_after_a_pause_one_request_tries(start, upstream, clock):
    upstream.answer = lambda _asked: response(503)
    ask = start(upstream)
    ask()
    gate = threading.Event()
    upstream.answer = lambda _asked: gate.wait(10) and manifest(BODY)
    clock.skip(1.1)
    tries = threading.Thread(target=ask)
    tries.start()
    wait_for(lambda: len(upstream.requests) >= 2)
    assert [ask().status for _time in range(3)] == [503] * 3
    gate.set()
    tries.join()
    assert ask().status == 200
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("answer", [response(404), response(401), manifest(OTHER, Docker_Content_Digest=NOTHING), challenge("http://evil.example/")], ids=repr)
def test_a_try_that_is_refused_ends_the_pause(start, upstream, clock, answer):
    upstream.answer = lambda _asked: response(503)
    ask = start(upstream)
    ask()
    clock.skip(1.1)
    upstream.answer = lambda _asked: answer
    ask()
    upstream.answer = lambda _asked: manifest(BODY)
    assert ask().status == 200


def test_a_failing_upstream_does_not_concern_others(script, make_upstream):
    bad, good = make_upstream(), make_upstream()
    bad.answer = lambda _asked: response(500)
    good.answer = lambda _asked: manifest(BODY)
    mirrors = {name: script.Settings(upstream=server.url, user=ME) for name, server in (("bad", bad), ("good", good))}
    with script.Server(0, NAME, mirrors) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        statuses = [request(server.server_address[1], f"/{name}/v2/app/manifests/latest").status for name in ("bad", "good", "bad", "good")]
        server.shutdown()
    assert statuses == [503, 200, 503, 200]


# Tags


def test_a_tag_is_remembered_for_its_time(start, upstream, clock):
    upstream.answer = lambda _asked: manifest(b"", length=9, Docker_Content_Digest=digest(BODY))
    ask = start(upstream, tag_seconds=60)
    first = ask(method="HEAD")
    again = ask(method="HEAD")
    assert again.status == 200
    for name in ("Docker-Content-Digest", "Content-Length", "Content-Type"):
        assert first.headers[name] == again.headers[name]
    assert len(upstream.requests) == 1
    ask("app/manifests/other", "HEAD")
    ask("else/manifests/latest", "HEAD")
    assert len(upstream.requests) == 3
    clock.skip(61)
    ask(method="HEAD")
    assert len(upstream.requests) == 4


def test_only_so_much_is_remembered(script, monkeypatch):
    monkeypatch.setattr(script, "MAX_REMEMBERED", 3)
    memory = script.Memory()
    for number in range(5):
        memory.put(number, number, 60)
    memory.put(5, 5, -1)
    assert [memory.get(number) for number in range(6)] == [None, None, None, 3, 4, None]


def test_all_tags_are_listed_whatever_the_pages(start, upstream):
    pages = {"": (["a", "b"], "/v2/app/tags/list?n=2&last=b"), "n=2&last=b": (["c"], "?next_page=x%3D&else=1"), "next_page=x%3D": (["d", "-bad", "e/f"], None)}

    def answer(asked):
        names, following = pages[asked.path.partition("?")[2]]
        return response(body=json.dumps({"name": "evil", "tags": names}).encode(), **({"Link": f'<{following}>; rel="next"'} if following else {}))

    upstream.answer = answer
    answer = start(upstream)("app/tags/list")
    assert json.loads(answer.body) == {"name": "app", "tags": ["a", "b", "c", "d"]}
    assert "Link" not in answer.headers


def test_a_page_of_tags_is_one_page(start, upstream):
    upstream.answer = lambda _asked: response(body=b'{"tags": ["a", "b"]}', Link='<https://evil.example/x?n=2&last=b&x="y>; rel="next"')
    answer = start(upstream)("app/tags/list?n=2&last=z&x=y")
    assert json.loads(answer.body)["tags"] == ["a", "b"]
    assert answer.headers["Link"] == '<list?n=2&last=b>; rel="next"'
    assert upstream.asked == ["GET /v2/app/tags/list?n=2&last=z"]


def test_pages_of_tags_end(script, start, upstream, monkeypatch):
    monkeypatch.setattr(script, "MAX_PAGES", 5)
    upstream.answer = lambda _asked: response(body=b'{"tags": ["a"]}', Link='<?last=a>; rel="next"')
    assert start(upstream)("app/tags/list").status == 502
    assert len(upstream.requests) == 5
    monkeypatch.setattr(script, "MAX_TAGS", 40)
    assert start(upstream)("app/tags/list").status == 502
    assert len(upstream.requests) == 8


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"tags": null}', 200), (b'{"tags": [1]}', 502), (b"{}", 502), (b"[]", 502), (b"[" * 9999, 502), (b"\xff", 502), (b"", 502)]
)
def test_what_is_no_list_of_tags_is_refused(start, upstream, body, status):
    upstream.answer = lambda _asked: response(body=body)
    assert start(upstream)("app/tags/list").status == status


# Connections


def test_connections_to_the_upstream_are_used_again(start, make_upstream, tls):
    upstream = make_upstream(tls=tls[1])
    upstream.keeps = True
    upstream.has(
        {
            "GET /v2/app/manifests/latest": manifest(BODY),
            "HEAD /v2/app/manifests/latest": manifest(b"", length=9, Docker_Content_Digest=digest(BODY)),
            f"GET /v2/app/manifests/{digest(BODY)}": manifest(BODY),
            f"GET /v2/app/blobs/{digest(BLOB)}": response(307, b"moved", Location="/data"),
            "GET /data": blob(BLOB),
        }
    )
    ask = start(upstream, ca_certificate=tls[0].read_text())
    for _time in range(2):
        assert ask(method="HEAD").status == 200
        assert ask().body == BODY
        assert ask(f"app/blobs/{digest(BLOB)}").body == BLOB
        assert ask("none/manifests/latest").status == 404
    assert upstream.connections <= 3  # a blob has arrived a moment before its connection is free


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_connection_that_the_upstream_closes_is_replaced(start, upstream, when):
    upstream.keeps = when == "later"
    served = set()

    def answer(asked):
        first = asked.client_address not in served
        served.add(asked.client_address)
        upstream.keeps = first and when == "later"
        return manifest(BODY) if first else b""

    upstream.answer = answer
    ask = start(upstream)
    assert [ask().status for _time in range(5)] == [200] * 5
    assert upstream.connections == 5


def test_a_connection_that_is_always_closed_is_a_failure(start, upstream):
    upstream.answer = lambda _asked: b""
    ask = start(upstream)
    assert ask().status == 503
    assert upstream.connections == 1


@pytest.mark.parametrize("secure", [False, True])
def test_what_follows_an_answer_is_not_taken_for_the_next_one(start, make_upstream, tls, secure):
    """Python reads 8 KiB at once, and with TLS more is decrypted then."""
    upstream = make_upstream(tls=tls[1] if secure else None)
    upstream.keeps = True
    wanted = manifest(BODY)
    upstream.answer = lambda asked: wanted + b"x" * (8192 - len(wanted)) + manifest(OTHER)
    ask = start(upstream, ca_certificate=tls[0].read_text())
    for number in range(5):
        assert ask(f"app{number}/manifests/latest").headers["Docker-Content-Digest"] == digest(BODY)


# Attacks on the program itself


def test_a_request_that_drips_ends(script, start, upstream, monkeypatch):
    monkeypatch.setattr(script, "REQUEST_SECONDS", 0.3)
    ask = start(upstream)
    before = time.monotonic()
    with contextlib.closing(socket.create_connection(("127.0.0.1", ask.port), 10)) as connection, contextlib.suppress(OSError):
        while time.monotonic() - before < 5:
            connection.sendall(b"GET"[:1])
            time.sleep(0.02)
    assert time.monotonic() - before < 2


def test_one_connection_carries_one_request(start, upstream):
    upstream.answer = lambda _asked: manifest(BODY)
    ask = start(upstream)
    with contextlib.closing(socket.create_connection(("127.0.0.1", ask.port), 10)) as connection:
        connection.sendall(b"GET /hub/v2/app/manifests/latest HTTP/1.1\r\nConnection: keep-alive\r\n\r\n" * 2)
        content = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                content += piece
    assert content.count(b"HTTP/1.1 200") == 1
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "sent",
    [
        response(401, WWW_Authenticate=["Bearer " + letter * 65_000 for letter in 'a= ,"'] * 10),
        response(401, WWW_Authenticate='Bearer realm="' + "a=" * 30_000),
        response(body=b'{"tags": []}', Link=["<" * 65_000] * 50),
        response(body=b'{"tags": []}', Link=["<a>" + " " * 65_000] * 50),
        response(body=b'{"tags": ["%s"]}' % (b"a" * 3_000_000)),
        response(307, Location="/" + "../" * 20_000),
        response(307, Location="http://" + "a." * 30_000),
    ],
    ids=lambda sent: sent[:60],
)
def test_an_answer_that_is_made_to_cost_time_costs_little(start, upstream, sent):
    upstream.answer = lambda _asked: sent
    ask = start(upstream)
    before = time.process_time()
    assert ask("app/tags/list").status in (200, 403, 502)
    assert time.process_time() - before < 1


@pytest.mark.parametrize("path", ["a/" * 32_000, "a-" * 32_000, "-" * 65_000, "a" * 65_000, "a/manifests/" * 5000, "/hub/v2/" + "a/" * 30_000])
def test_a_request_that_is_made_to_cost_time_costs_little(start, upstream, path):
    before = time.process_time()
    assert start(upstream)(path=f"/{path}").status in (404, 414)
    assert time.process_time() - before < 1


# The program


@pytest.fixture
def run(tmp_path):
    """Runs the program by itself: run(configuration, key) gives the process."""
    with contextlib.ExitStack() as stack:

        def begin(configuration, *options):
            path = tmp_path / "upstream.json"
            path.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration))
            process = subprocess.Popen([sys.executable, "-I", str(SCRIPT), "--configuration", str(path), *options], stderr=subprocess.PIPE, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            stack.callback(process.stderr.close)
            return process

        yield begin


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def until_answered(port, process):
    while process.poll() is None:
        with contextlib.suppress(OSError):
            return request(port, "/v2/").status
        time.sleep(0.02)
    raise AssertionError(process.stderr.read())


def test_a_stopped_program_finishes_what_has_begun(run, upstream):
    gate, port = threading.Event(), free_port()

    def slow(_asked):
        yield blob(BLOB[:400_000], length=len(BLOB))
        gate.wait(10)
        yield BLOB[400_000:]

    upstream.answer = slow
    process = run({"port": port, "name": NAME, "mirrors": {"hub": {"upstream": upstream.url, "user": ME}}})
    until_answered(port, process)
    answers = []
    client = threading.Thread(target=lambda: answers.append(request(port, f"/hub/v2/app/blobs/{digest(BLOB)}").body))
    client.start()
    wait_for(lambda: upstream.requests)
    process.send_signal(signal.SIGTERM)

    def refused():
        with contextlib.suppress(OSError):
            request(port, "/v2/")
            return False
        return True

    wait_for(refused)
    assert process.poll() is None
    gate.set()
    assert process.wait(10) == 0
    client.join()
    assert answers == [BLOB]


def test_a_reload_takes_new_mirrors_and_a_wrong_configuration_changes_nothing(run, upstream, tmp_path):
    upstream.answer = lambda _asked: blob(BLOB)
    port = free_port()
    process = run({"port": port, "name": NAME, "mirrors": {}})
    until_answered(port, process)
    path = f"/hub/v2/app/blobs/{digest(BLOB)}"
    assert request(port, path).status == 404
    for content, said in (
        ({"port": port, "name": NAME, "mirrors": {"hub": {"upstream": upstream.url, "user": ME}}}, ""),
        ({"port": port, "name": NAME, "mirrors": {"hub": {}}}, "stays in use"),
    ):
        (tmp_path / "upstream.json").write_text(json.dumps(content))
        process.send_signal(signal.SIGHUP)
        if said:
            assert said in process.stderr.readline()
        deadline = time.monotonic() + 10
        while request(port, path).status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("name", ["/run/notify", "@notify"])
def test_systemd_is_told_when_it_listens(run, tmp_path, monkeypatch, name):
    address = f"{name}-{os.getpid()}" if name.startswith("@") else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(address.replace("@", "\0", 1))
        notified.settimeout(10)
        port = free_port()
        run({"port": port, "name": NAME, "mirrors": {}})
        assert notified.recv(100) == b"READY=1"
    assert request(port, "/v2/").status == 200


def test_its_unit_allows_what_it_needs(script):
    unit = UNIT.read_text()
    values = dict(line.split("=", 1) for line in unit.splitlines() if re.match("[A-Z][A-Za-z]+=", line))
    assert int(values["TasksMax"]) > script.MAX_THREADS + 2
    assert int(values["LimitNOFILE"]) > 2 * script.MAX_THREADS + 100 * script.MAX_KEPT
    rendered = {proxy: jinja2.Template(unit).render(registry_upstream_proxy=proxy) for proxy in ("", "http://me:p%40ss@proxy:3128")}
    assert "proxy=" not in rendered[""]
    assert '"https_proxy=http://me:p%%40ss@proxy:3128" "http_proxy=http://me:p%%40ss@proxy:3128"' in rendered["http://me:p%40ss@proxy:3128"]


def test_it_listens_on_loopback_only(run, upstream):
    port = free_port()
    until_answered(port, run({"port": port, "name": NAME, "mirrors": {}}))
    listening = [line.split()[1] for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ("{", "upstream.json"),
        ({"name": NAME, "mirrors": {}}, "port"),
        ({"port": 0, "name": NAME}, "mirrors"),
        ({"port": 0, "name": "a b", "mirrors": {}}, "name"),
        ({"port": 0, "name": NAME, "mirrors": {"hub": {}}}, "upstream"),
        ({"port": 0, "name": NAME, "mirrors": {"hub": {"user": ME, "upstream": "registry-1.docker.io"}}}, "hub"),
        ({"port": 0, "name": NAME, "mirrors": {"hub": {"user": ME, "upstream": "https://x/y"}}}, "hub"),
        ({"port": 0, "name": NAME, "mirrors": {"hub": {"user": ME, "upstream": "https://u:p@x"}}}, "hub"),
        ({"port": 0, "name": NAME, "mirrors": {"hub": {"upstream": "https://x", "user": "nobody-of-this-name"}}}, "nobody-of-this-name"),
        ({"port": 0, "name": NAME, "mirrors": {"hub": {"user": ME, "upstream": "https://x", "ca_certificate": "none"}}}, "hub"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--check"]])
def test_a_wrong_configuration_is_refused(script, tmp_path, monkeypatch, capsys, configuration, said, options):
    path = tmp_path / "upstream.json"
    path.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--configuration", str(path), *options])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_right_configuration_is_found_right_while_another_process_serves_it(run, upstream):
    configuration = {"port": free_port(), "name": NAME, "mirrors": {"hub": {"user": ME, "upstream": upstream.url}}}
    until_answered(configuration["port"], run(configuration))
    assert run(configuration, "--check").wait(10) == 0


def test_no_secret_is_logged(start, make_upstream, clock, capsys):
    upstream, storage = make_upstream(), make_upstream("127.0.0.2")
    upstream.has(
        {
            "/token": response(body=b'{"token": "t0ken"}'),
            f"/v2/app/blobs/{digest(BLOB)}": with_token(f"{upstream.url}/token", response(307, Location=f"{storage.url}/data?signature=s1gned")),
        }
    )
    ask = start(upstream, **CREDENTIALS)
    for answer in (response(403), response(206), blob(b"wrong"), response(500), b"t0ken\x1b[31m\r\n"):
        storage.answer = lambda _asked, answer=answer: answer
        ask(f"app/blobs/{digest(BLOB)}")
        clock.skip(1.1)
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 5
    assert "\x1b" not in err
    for secret in ("s3cret", BASIC[6:], "s1gned"):
        assert secret not in err
