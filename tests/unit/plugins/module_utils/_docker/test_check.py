# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import datetime
import http.server
import pathlib
import re
import ssl
import threading
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._docker import check as registry_check
from ansible_collections.holdfast.registry.plugins.module_utils._docker.check import Answers
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Login

pytest.importorskip("cryptography")
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

RIGHT = f"Basic {base64.b64encode(b'alice:correct-horse').decode()}"


def write_pair(directory: pathlib.Path) -> tuple[str, str]:
    """A certificate for localhost, which is its own CA, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "server.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(directory / "server.crt"), str(directory / "server.key")


class Registry(http.server.BaseHTTPRequestHandler):
    """Lets alice in at /v2/, or, as the Docker Hub does, only with a token that it hands out at /token."""

    challenge = 'Basic realm="registry"'
    status = 200
    asked: t.ClassVar[list[str]] = []

    def do_GET(self) -> None:
        Registry.asked.append(self.path)
        at_door = self.path == "/v2/" and "Bearer" in self.challenge
        is_right = self.headers.get("Authorization") == RIGHT
        self.send_response(401 if at_door or not is_right else self.status)
        self.send_header("WWW-Authenticate", self.challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: t.Any) -> None:
        pass


def check(logins: list[Login], directory: str, containers: str = "/nonexistent") -> Answers:
    return registry_check.check(logins, {"docker": [directory], "podman": [containers, directory]})


class Running(t.NamedTuple):
    name: str
    certificates: str


@pytest.fixture
def registry(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Running]:
    certificate, key = write_pair(tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setattr(Registry, "asked", [])
    name = f"localhost:{server.server_address[1]}"
    directory = tmp_path / "certs.d" / name
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(pathlib.Path(certificate).read_bytes())
    yield Running(name, str(tmp_path / "certs.d"))
    server.shutdown()
    server.server_close()


def login(registry: str, password: str = "correct-horse", number: int = 0, **values: t.Any) -> Login:
    return Login(f"logins[{number}]", "alice", registry, **{"username": "alice", "password": password, **values})


def test_a_right_password_is_accepted_and_a_wrong_one_refused_with_its_place(registry: Running) -> None:
    answers = check([login(registry.name), login(registry.name, "battery-staple", 1)], registry.certificates)
    assert answers == ([f"logins[1]: {registry.name} does not accept this password for 'alice'"], [])
    assert "battery" not in str(answers)


def test_the_same_credentials_are_asked_about_once_and_those_to_be_removed_never(registry: Running) -> None:
    assert check([login(registry.name)] * 5 + [login(registry.name, "x", present=False)], registry.certificates) == ([], [])
    assert Registry.asked == ["/v2/"]


@pytest.mark.parametrize(("password", "refused"), [("correct-horse", 0), ("battery-staple", 1)])
def test_a_registry_that_hands_out_tokens_is_asked_for_one(registry: Running, monkeypatch: pytest.MonkeyPatch, password: str, refused: int) -> None:
    monkeypatch.setattr(Registry, "challenge", f'Bearer realm="https://{registry.name}/token?x=y",service="reg & co",scope="a"')
    answers = check([login(registry.name, password)], registry.certificates)
    assert (len(answers.refused), answers.unknown) == (refused, [])
    assert Registry.asked == ["/v2/", "/token?x=y&account=alice&service=reg+%26+co"]


def test_a_password_is_never_sent_to_an_address_without_tls(registry: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "challenge", 'Bearer realm="http://localhost:1/token",service="registry"')
    assert len(check([login(registry.name)], registry.certificates).refused) == 1
    assert Registry.asked == ["/v2/"]


@pytest.mark.parametrize("status", [403, 429, 503])
def test_another_answer_says_nothing_about_the_password(registry: Running, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(Registry, "status", status)
    refused, (unknown,) = check([login(registry.name)], registry.certificates)
    assert refused == []
    assert f"logins[0]: whether {registry.name} accepts the password of 'alice' could not be asked: https://{registry.name}/v2/ answered {status}" in unknown


def test_a_registry_whose_ca_docker_does_not_trust_is_not_sent_the_password(registry: Running, tmp_path: pathlib.Path) -> None:
    refused, (unknown,) = check([login(registry.name)], str(tmp_path / "nothing"))
    assert refused == []
    assert "certificate verify failed" in unknown
    assert Registry.asked == []


def test_podman_s_own_directory_of_a_registry_is_read_instead_of_docker_s(registry: Running, tmp_path: pathlib.Path) -> None:
    podman = [login(registry.name, client="podman")]
    assert check(podman, registry.certificates) == ([], [])
    (tmp_path / "containers" / registry.name).mkdir(parents=True)
    assert "certificate verify failed" in check(podman, registry.certificates, str(tmp_path / "containers")).unknown[0]
    assert check(podman, "/nonexistent", registry.certificates) == ([], [])
    assert check([login(registry.name)], registry.certificates, str(tmp_path / "containers")) == ([], [])


def test_a_registry_that_does_not_answer_is_no_refusal() -> None:
    refused, unknown = check([login("localhost:1")], "/nonexistent")
    assert refused == []
    assert "Connection refused" in unknown[0]


@pytest.mark.parametrize(
    ("name", "message"), [("more.crt", "more.crt: cannot be read as certificates"), ("client.cert", "certificate: .*client.cert holds no")]
)
def test_what_docker_could_not_read_either_is_named(registry: Running, name: str, message: str) -> None:
    directory = pathlib.Path(registry.certificates, registry.name)
    (directory / name).write_text("rubbish")
    (directory / "client.key").write_text("rubbish")
    refused, (unknown,) = check([login(registry.name)], registry.certificates)
    assert refused == []
    assert re.search(message, unknown)


def test_the_docker_hub_is_asked_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(registry_check, "ask", lambda request: asked.append(request.url.text) or {"status": 200})
    assert check([login("docker.io")], "/nonexistent") == ([], [])
    assert asked == ["https://registry-1.docker.io/v2/"]
