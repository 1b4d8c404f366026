# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Servers on loopback that answer with whatever bytes a test gives them, and certificates for them."""

from __future__ import annotations

import datetime
import hashlib
import http.server
import ipaddress
import socketserver
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(content, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def response(status=200, body=b"", version="1.1", length=None, **fields):
    """The bytes of a response. length=False leaves out Content-Length; names of fields are written with underscores."""
    size = len(body) if length is None else length
    lines = [f"HTTP/{version} {status} Whatever"] + ([] if length is False else [f"Content-Length: {size}"])
    for name, value in fields.items():
        lines += [f"{name.replace('_', '-')}: {one}" for one in ([value] if isinstance(value, str) else value)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def manifest(body, status=200, **fields):
    return response(status, body, **{"Content_Type": MANIFEST, "Docker_Content_Digest": digest(body), **fields})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append(self)
        self.secret = self.headers.get("Authorization")
        answer = self.server.answer(self)
        for piece in [answer] if isinstance(answer, bytes) else answer:
            self.wfile.write(piece)
        self.close_connection = not self.server.keeps

    do_HEAD = do_GET

    def log_message(self, *_args):
        pass


class Upstream(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """answer(request) gives the bytes of a response, or their pieces; requests are those that came."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, host="127.0.0.1", tls=None):
        super().__init__((host, 0), Handler)
        self.requests, self.connections, self.keeps, self._tls = [], 0, False, tls
        self.answer = lambda _request: response(404)
        self.host, self.port = self.server_address
        self.url = f"http{'s' if tls else ''}://{host}:{self.port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def finish_request(self, request, client_address):
        self.connections += 1
        if self._tls:
            request = self._tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def has(self, content, path=None):
        """Answer with the responses of a dictionary, by method and path, or by path; a function is called."""

        def answer(request):
            target = request.path.partition("?")[0]
            found = content.get(f"{request.command} {target}", content.get(target, response(404)))
            return found(request) if callable(found) else found

        self.answer = answer

    @property
    def secrets(self):
        return [request.secret for request in self.requests if request.secret]

    @property
    def asked(self):
        return [f"{request.command} {request.path}" for request in self.requests]

    def handle_error(self, request, client_address):
        pass

    def stop(self):
        self.shutdown()
        self.server_close()


def make_tls(directory):
    """A CA's file, and a context of a server with a certificate by it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA of a test")])

    def certificate(subject, public_key, extension):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(extension, critical=False)
            .sign(ca_key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    names = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(f"127.0.0.{number}")) for number in (1, 2))]
    ca_file, pair = directory / "ca.pem", directory / "pair.pem"
    ca_file.write_bytes(certificate(ca_name, ca_key.public_key(), x509.BasicConstraints(ca=True, path_length=None)))
    pair.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate(x509.Name([]), key.public_key(), x509.SubjectAlternativeName(names))
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    return ca_file, context
