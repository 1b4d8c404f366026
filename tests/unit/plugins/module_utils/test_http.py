# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
import hashlib
import http.server
import ipaddress
import json
import pathlib
import socket
import socketserver
import ssl
import threading
import time
import typing as t
import warnings

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils import _http as registry_info
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._http import (
    BODY_LIMIT,
    Request,
    RequestError,
    accept_header,
    ask,
    basic_credentials,
    check_expected,
    mistaken_credentials,
    parse_url,
)
from ansible_collections.holdfast.registry.plugins.module_utils._names import Endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._tls import Pair, PairNames, load_pair, trusting_context

pytest.importorskip("cryptography")
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as a registry would; remembers the last request."""

    protocol_version = "HTTP/1.1"
    last: t.ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        Answers.last = {"line": self.requestline, **{name.lower(): value for name, value in self.headers.items()}}
        body, status, headers = b"{}", 200, [("Content-Type", "application/json"), ("Docker-Distribution-Api-Version", "registry/2.0")]
        if self.path == "/v2/" and "Authorization" not in self.headers:
            status, headers = 401, [*headers, ("WWW-Authenticate", 'Basic realm="registry"')]
        elif self.path == "/moved":
            status, headers = 302, [("Location", "/v2/")]
        elif self.path == "/twice":
            headers = [*headers, headers[1]]
        elif self.path == "/long":
            body = b" " * BODY_LIMIT + b"1"
        elif self.path == "/bytes":
            body = b"\xff\xfe"
        elif self.path.startswith("/json/"):
            body = {
                "nan": b'{"a": NaN}',
                "half": b'{"a": "\\ud800"}',
                "deep": b"[" * 400 + b"]" * 400,
                "deeper": b"[" * 30000 + b"]" * 30000,
                "list": b'[{"name": "base"}]',
            }[self.path[6:]]
        elif self.path == "/drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for _count in range(40):
                time.sleep(0.1)
                self.wfile.write(b"X-Drip: 1\r\n")
            return
        elif self.path == "/short":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            self.close_connection = True
            return
        elif self.path == "/ssh":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")
            self.close_connection = True
            return
        elif self.path == "/close":
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args: t.Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext | None = None

    def finish_request(self, request: t.Any, client_address: t.Any) -> None:
        if self.context:
            request.settimeout(5)
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, *args: t.Any) -> None:
        pass


class Serve(t.Protocol):
    def __call__(self, context: ssl.SSLContext | None = None) -> int:
        """Serve until the test ends. Returns the port."""


@pytest.fixture
def serve() -> t.Iterator[Serve]:
    """Start servers on loopback; gives the port."""
    running: list[Server] = []

    def start(context: ssl.SSLContext | None = None) -> int:
        server = Server(("127.0.0.1", 0), Answers)
        server.context = context
        running.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server.server_address[1]

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


class Authority:
    """A CA for the length of a test run."""

    def __init__(self, directory: pathlib.Path, key_usage: bool = True) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"), x509.NameAttribute(x509.NameOID.COMMON_NAME, "Example CA")])
        builder = self._builder(self.name, self.key.public_key(), 30 * DAY).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        if key_usage:
            builder = builder.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        self.pem = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def _builder(self, subject: x509.Name, key: t.Any, lifetime: datetime.timedelta) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 60 * DAY)
            .not_valid_after(now + lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(identifier, critical=False)
        )

    def client(self, name: str = "client") -> Pair:
        """The files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._builder(subject, key.public_key(), DAY).sign(self.key, hashes.SHA256())
        pair = Pair(str(self.directory / f"{name}.crt"), str(self.directory / f"{name}.key"))
        pathlib.Path(pair.certificate).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pathlib.Path(pair.key).write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return pair

    def server(self, lifetime: datetime.timedelta = 10 * DAY + datetime.timedelta(hours=1)) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("registry.test"), x509.IPAddress(ipaddress.ip_address("192.0.2.1")), x509.IPAddress(ipaddress.ip_address("2001:db8::1"))]
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry.test")]), key.public_key(), lifetime)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.fingerprint = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
        path = self.directory / "server.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> Authority:
    return Authority(tmp_path)


def get(url: str, **options: t.Any) -> dict[str, t.Any]:
    return ask(Request(url=parse_url(url), **options))


def refused(url: str, **options: t.Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        get(url, **{"timeout": 5, **options})
    return caught.value


def test_the_right_name_is_asked_where_connect_to_says_and_sees_its_own_host_header(serve: Serve, authority: Authority) -> None:
    port = serve(authority.server())
    answer = get("https://registry.test/v2/?n=1", connect_to=Endpoint("127.0.0.1", port), context=trusting_context(ca_certificate=authority.pem))
    assert answer["status"] == 200
    assert Answers.last["host"] == "registry.test"
    assert Answers.last["line"] == "GET /v2/?n=1 HTTP/1.1"


def test_a_connect_to_without_a_port_keeps_the_port_of_the_url(serve: Serve) -> None:
    port = serve()
    assert get(f"http://registry.test:{port}/", connect_to=Endpoint("127.0.0.1"))["status"] == 200
    assert Answers.last["host"] == f"registry.test:{port}"


def test_a_unix_socket_is_asked_and_one_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "socket")
    server = socketserver.UnixStreamServer(path, Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert get("http://registry.test/long", unix_socket=path)["status"] == 200
        assert Answers.last["host"] == "registry.test"
    finally:
        server.shutdown()
        server.server_close()
    error = refused("http://registry.test/v2/", unix_socket=path + "2")
    assert error.kind == "connect"
    assert f"(at {path}2)" in str(error)


def test_the_certificate_is_described(serve: Serve, authority: Authority) -> None:
    port = serve(authority.server())
    tls = get("https://registry.test/", connect_to=Endpoint("127.0.0.1", port), context=trusting_context(ca_certificate=authority.pem))["tls"]
    assert tls["version"] == "TLSv1.3"
    assert tls["cipher"].startswith("TLS_")
    assert tls["subject"] == "CN=registry.test"
    assert tls["issuer"] == "CN=Example CA,O=Example"
    assert tls["names"] == ["registry.test", "192.0.2.1", "2001:db8::1"]
    assert tls["days_left"] == 10
    assert tls["fingerprint_sha256"] == authority.fingerprint
    end = datetime.datetime.strptime(tls["not_after"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    assert abs(end - datetime.datetime.now(datetime.timezone.utc) - 10 * DAY) < datetime.timedelta(hours=2)


def test_a_ca_file_is_trusted(serve: Serve, authority: Authority, tmp_path: pathlib.Path) -> None:
    ca_file = tmp_path / "ca.crt"
    ca_file.write_text(authority.pem)
    port = serve(authority.server())
    assert get("https://registry.test/", connect_to=Endpoint("127.0.0.1", port), context=trusting_context(ca_file=str(ca_file)))["reachable"] is True


def test_a_bundle_with_names_in_any_script_is_trusted(serve: Serve, authority: Authority) -> None:
    port = serve(authority.server())
    context = trusting_context(ca_certificate=f"# Főtanúsítvány\n{authority.pem}")
    assert get("https://registry.test/", connect_to=Endpoint("127.0.0.1", port), context=context)["reachable"] is True


def test_a_ca_without_key_usages_is_trusted_by_every_python_as_by_container_engines(serve: Serve, tmp_path: pathlib.Path) -> None:
    plain = Authority(tmp_path, key_usage=False)
    context = trusting_context(ca_certificate=plain.pem)
    assert get("https://registry.test/", connect_to=Endpoint("127.0.0.1", serve(plain.server())), context=context)["reachable"] is True


def test_a_wrong_name_is_a_tls_error_naming_it(serve: Serve, authority: Authority) -> None:
    port = serve(authority.server())
    error = refused("https://other.test/", connect_to=Endpoint("127.0.0.1", port), context=trusting_context(ca_certificate=authority.pem))
    assert error.kind == "tls"
    assert "certificate verify failed: Hostname mismatch, certificate is not valid for 'other.test'" in str(error)
    assert str(error).startswith(f"https://other.test/ (at 127.0.0.1:{port}): ")


def test_an_unknown_ca_is_a_tls_error(serve: Serve, authority: Authority, tmp_path: pathlib.Path) -> None:
    port = serve(authority.server())
    for context in (trusting_context(), trusting_context(ca_certificate=Authority(tmp_path).pem)):
        error = refused("https://registry.test/", connect_to=Endpoint("127.0.0.1", port), context=context)
        assert (error.kind, "certificate verify failed: " in str(error)) == ("tls", True)


def test_an_expired_certificate_is_a_tls_error(serve: Serve, authority: Authority) -> None:
    port = serve(authority.server(lifetime=-DAY))
    error = refused("https://registry.test/", connect_to=Endpoint("127.0.0.1", port), context=trusting_context(ca_certificate=authority.pem))
    assert (error.kind, "certificate has expired" in str(error)) == ("tls", True)


NAMES = PairNames("client_cert", "client_key")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_asks_for_a_certificate_is_shown_one(serve: Serve, authority: Authority, version: ssl.TLSVersion) -> None:
    server = authority.server()
    server.maximum_version = version
    server.load_verify_locations(cadata=authority.pem)
    server.verify_mode = ssl.CERT_REQUIRED
    port = serve(server)
    context = trusting_context(ca_certificate=authority.pem)
    error = refused("https://registry.test/", connect_to=Endpoint("127.0.0.1", port), context=context)
    assert error.kind in ("tls", "http")  # in TLS 1.3 the refusal comes after the handshake, and the server may be gone by then
    load_pair(context, authority.client(), NAMES)
    assert get("https://registry.test/", connect_to=Endpoint("127.0.0.1", port), context=context)["status"] == 200


def test_a_refusal_for_want_of_a_certificate_says_so() -> None:
    assert registry_info._tls_hint("tlsv13 alert certificate required") == "; the server asks for a client certificate"
    assert registry_info._tls_hint("tlsv1 alert internal error") == ""


def test_a_pair_that_no_server_could_accept_is_refused_with_the_name_of_the_file(authority: Authority, tmp_path: pathlib.Path) -> None:
    pair = authority.client()
    encrypted, rubbish = tmp_path / "encrypted", tmp_path / "rubbish"
    key = serialization.load_pem_private_key(pathlib.Path(pair.key).read_bytes(), None)
    protection = serialization.BestAvailableEncryption(b"correct horse")
    encrypted.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection))
    rubbish.write_text("rubbish")
    for wrong, message in (
        (pair._replace(certificate="/nonexistent"), "client_cert: /nonexistent cannot be read: No such file"),
        (pair._replace(certificate=str(tmp_path)), "client_cert: .* cannot be read: Is a directory"),
        (pair._replace(key="/nonexistent"), "client_key: /nonexistent cannot be read: No such file"),
        (pair._replace(key="/\0"), "client_key: .* cannot be read: embedded null"),
        (pair._replace(certificate=str(rubbish)), "client_cert: .*rubbish holds no valid PEM certificate"),
        (pair._replace(key=str(rubbish)), "client_key: .*rubbish is not a private key in PEM form"),
        (pair._replace(key=str(encrypted)), "client_key: .*encrypted is encrypted; use a key without a passphrase"),
        (pair._replace(key=authority.client("other").key), "client_key: .*other.key is not the key of .*client.crt"),
    ):
        with pytest.raises(HoldfastError, match=f"^{message}"):
            load_pair(trusting_context(), wrong, NAMES)


def test_tls_before_1_2_is_not_spoken(serve: Serve, authority: Authority) -> None:
    context = authority.server()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python from 3.10 on
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    client = trusting_context(ca_certificate=authority.pem)
    assert client.minimum_version == ssl.TLSVersion.TLSv1_2
    assert refused("https://registry.test/", connect_to=Endpoint("127.0.0.1", serve(context)), context=client).kind == "tls"


def test_tls_to_a_plain_http_port_says_so(serve: Serve) -> None:
    error = refused("https://registry.test/", connect_to=Endpoint("127.0.0.1", serve()), context=trusting_context())
    assert error.kind == "tls"
    assert "does not seem to speak TLS" in str(error)


def test_plain_http_has_no_tls_details(serve: Serve) -> None:
    assert get(f"http://127.0.0.1:{serve()}/")["tls"] == {}


def test_a_401_is_an_answer_with_its_challenge(serve: Serve) -> None:
    answer = get(f"http://127.0.0.1:{serve()}/v2/")
    assert (answer["status"], answer["reason"], answer["challenge"]) == (401, "Unauthorized", 'Basic realm="registry"')
    assert (answer["api_version"], answer["api_version_count"]) == ("registry/2.0", 1)
    assert answer["headers"]["content-type"] == "application/json"
    assert 0 <= answer["elapsed_ms"] < 10_000


def test_a_version_header_sent_twice_is_counted(serve: Serve) -> None:
    answer = get(f"http://127.0.0.1:{serve()}/twice")
    assert (answer["api_version"], answer["api_version_count"]) == ("registry/2.0", 2)
    assert answer["headers"]["docker-distribution-api-version"] == "registry/2.0, registry/2.0"


def test_a_redirect_is_returned_not_followed(serve: Serve) -> None:
    answer = get(f"http://127.0.0.1:{serve()}/moved")
    assert (answer["status"], answer["headers"]["location"], answer["api_version"]) == (302, "/v2/", "")


def test_head_has_no_body(serve: Serve) -> None:
    answer = get(f"http://127.0.0.1:{serve()}/long", method="HEAD")
    assert (answer["status"], answer["body"], answer["headers"]["content-length"]) == (200, "", str(BODY_LIMIT + 1))


def test_a_body_is_cut_at_the_limit(serve: Serve) -> None:
    answer = get(f"http://127.0.0.1:{serve()}/long")
    assert (len(answer["body"]), answer["body_truncated"], answer["json"]) == (BODY_LIMIT, True, None)


def test_a_body_that_is_not_utf_8_is_replaced(serve: Serve) -> None:
    answer = get(f"http://127.0.0.1:{serve()}/bytes")
    assert (answer["body"], answer["body_truncated"], answer["json"]) == ("\ufffd\ufffd", False, None)


def test_json_is_parsed(serve: Serve) -> None:
    assert get(f"http://127.0.0.1:{serve()}/json/list")["json"] == [{"name": "base"}]


@pytest.mark.parametrize("kind", ["nan", "half", "deep", "deeper"])
def test_json_ansible_could_not_hand_on_stays_text(serve: Serve, kind: str) -> None:
    answer = get(f"http://127.0.0.1:{serve()}/json/{kind}")
    assert answer["json"] is None
    assert len(answer["body"]) > 5
    json.dumps(answer).encode()


def test_an_unresolvable_name_is_a_dns_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: t.Any, **options: t.Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(registry_info.socket, "getaddrinfo", fails)
    error = refused("http://nowhere.test/")
    assert (error.kind, str(error)) == ("dns", "http://nowhere.test/ (at nowhere.test:80): the name nowhere.test cannot be resolved: Name or service not known")


def test_a_name_lookup_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_info.socket, "getaddrinfo", lambda *args, **options: time.sleep(4))
    started = time.monotonic()
    error = refused("http://slow.test/", timeout=1)
    assert (error.kind, time.monotonic() - started < 3) == ("timeout", True)
    assert "no answer within 1 seconds, given up while looking up the name" in str(error)


def test_a_closed_port_is_a_connect_error() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        error = refused(f"http://127.0.0.1:{port}/")
    assert (error.kind, str(error)) == ("connect", f"http://127.0.0.1:{port}/ (at 127.0.0.1:{port}): Connection refused, while connecting")


def test_the_next_address_of_a_name_is_tried(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    port = serve()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (closed.getsockname(), ("127.0.0.1", port))]
        monkeypatch.setattr(registry_info.socket, "getaddrinfo", lambda *args, **options: addresses)
        assert get("http://registry.test/")["status"] == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_never_answers_is_a_timeout(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/", timeout=1, context=trusting_context() if scheme == "https" else None)
    assert error.kind == "timeout"


def test_the_time_limit_is_for_the_whole_answer(serve: Serve) -> None:
    started = time.monotonic()
    error = refused(f"http://127.0.0.1:{serve()}/drip", timeout=1)
    assert (error.kind, time.monotonic() - started < 3) == ("timeout", True)


@pytest.mark.parametrize("path", ["short", "ssh", "close"])
def test_an_answer_that_is_not_whole_http_is_an_http_error(serve: Serve, path: str) -> None:
    assert refused(f"http://127.0.0.1:{serve()}/{path}").kind == "http"


@pytest.mark.parametrize(
    ("text", "host", "port", "target", "header"),
    [
        ("https://registry.test", "registry.test", 443, "/", "registry.test"),
        ("http://registry.test:443/v2/?n=5#top", "registry.test", 443, "/v2/?n=5", "registry.test:443"),
        ("HTTPS://[2001:db8::1]:5000/a@b", "2001:db8::1", 5000, "/a@b", "[2001:db8::1]:5000"),
        ("https://[::1]:443/", "::1", 443, "/", "[::1]"),
        ("http://h//double", "h", 80, "//double", "h"),
    ],
)
def test_a_url_is_read(text: str, host: str, port: int, target: str, header: str) -> None:
    url = parse_url(text)
    assert (url.host, url.port, url.target, url.host_header) == (host, port, target, header)


@pytest.mark.parametrize(
    "text",
    ["", "registry.test:5000", "ftp://registry.test/", "https://", "https:///v2/", "https://h:0/", "https://h:65536/", "https://h:/", "https://[::1/"]
    + ["https://h/a b", "https://h/\r\nX: y", "https://é/", "//h/", "https://h_1/"],
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(HoldfastError, match="^url: "):
        parse_url(text)


@pytest.mark.parametrize(
    "text", ["https://alice:hunter2@h/", "https://alice:hun/ter2@h/", "https://hunter2@h/", "ftp://alice:hunter2@h", "https://a:hunter2@x@h/"]
)
def test_a_password_in_a_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(HoldfastError, match="username and password$") as caught:
        parse_url(text)
    assert "hun" not in str(caught.value)
    assert "hunter2" not in text.replace(mistaken_credentials(text)[0], "")


def test_wrong_parameters_are_named() -> None:
    for wrong, parameter in (
        (lambda: accept_header(["a/b", "c"]), r"accept\[1\]: "),
        (lambda: accept_header(["a/b\r\nX: y"]), r"accept\[0\]: "),
        (lambda: check_expected([200, 99]), r"expect_status\[1\]: "),
        (lambda: basic_credentials("al:ice", "secret"), "username: "),
        (lambda: basic_credentials("", "secret"), "username: "),
        (lambda: trusting_context(ca_file=""), "ca_file: is empty"),
        (lambda: trusting_context(ca_certificate=" "), "ca_certificate: is empty"),
        (lambda: trusting_context(ca_certificate="not PEM"), "ca_certificate: holds no valid PEM"),
        (lambda: trusting_context(ca_certificate="né"), "ca_certificate: holds no valid PEM"),
        (lambda: trusting_context(ca_file="/nonexistent/ca.crt"), "ca_file: /nonexistent/ca.crt cannot be read: No such file"),
        (lambda: trusting_context(ca_file=__file__), "ca_file: .* holds no valid PEM"),
    ):
        with pytest.raises(HoldfastError, match=f"^{parameter}"):
            wrong()


def test_accept_and_credentials_are_written_as_http_wants_them() -> None:
    assert accept_header(["application/json", "text/html;q=0.5"]) == "application/json, text/html;q=0.5"
    assert basic_credentials("alice", "é:x") == "YWxpY2U6w6k6eA=="
