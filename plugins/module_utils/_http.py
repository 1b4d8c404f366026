# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One HTTP(S) request to a container registry, and the response."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import hashlib
import http.client
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
import typing as t
import urllib.parse

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import Endpoint, parse_endpoint, subject_text

BODY_LIMIT = 64 * 1024
_JSON_DEPTH_LIMIT = 50
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DOING = {"dns": "looking up the name", "connect": "connecting", "tls": "in the TLS handshake", "http": "waiting for the answer"}


class RequestError(HoldfastError):
    """There was no response. kind is dns, connect, tls, timeout or http."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Url(t.NamedTuple):
    """What a request needs of a URL. The port is always set; target is the path and the query."""

    text: str
    scheme: str
    host: str
    port: int
    target: str

    @property
    def host_header(self) -> str:
        return str(Endpoint(self.host, None if self.port == _DEFAULT_PORTS[self.scheme] else self.port))


@dataclasses.dataclass(frozen=True)
class Request:
    """A request and its destination. context is None for plain HTTP."""

    url: Url
    method: str = "GET"
    headers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    connect_to: Endpoint | None = None
    unix_socket: str | None = None
    context: ssl.SSLContext | None = None
    timeout: int = 10
    body: bytes | t.Iterable[bytes] | None = None


def parse_url(text: str) -> Url:
    """Read a URL with scheme http or https. Raises HoldfastError, never repeating a password somebody wrote into it."""
    try:
        if not re.fullmatch(r"[!-~]+", text):
            raise ValueError
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        raise HoldfastError(
            "url: is not a URL such as https://registry.example.com/v2/ (white space and non-ASCII characters must be percent-encoded)"
        ) from None
    try:
        if parts.scheme not in _DEFAULT_PORTS:
            raise HoldfastError(f"url: {text!r} must begin with http:// or https://")
        endpoint = parse_endpoint(parts.netloc, parameter="url")
    except HoldfastError:
        if "@" in text:
            raise HoldfastError("url: must not contain a username or password; use the parameters username and password") from None
        raise
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(text, parts.scheme, endpoint.host, endpoint.port or _DEFAULT_PORTS[parts.scheme], target)


def mistaken_credentials(text: str) -> list[str]:
    """The part before an @ in a URL that parse_url() refused, to be kept out of all output."""
    return re.findall(r"//(.+)@", text, re.DOTALL)


def basic_credentials(username: str, password: str) -> str:
    """The base64 half of a Basic Authorization header."""
    if not username or ":" in username:
        raise HoldfastError("username: must not be empty and must not contain a colon")
    return base64.b64encode(f"{username}:{password}".encode("utf-8", "surrogateescape")).decode("ascii")


def accept_header(media_types: t.Sequence[str]) -> str:
    """The value of the Accept header for these media types."""
    for index, media_type in enumerate(media_types):
        if not re.fullmatch(r"[!-+.-~]+/[!-+.-~]+(; ?[!-+.-~]+)*", media_type):
            raise HoldfastError(f"accept[{index}]: {media_type!r} is not a media type such as application/vnd.oci.image.index.v1+json")
    return ", ".join(media_types)


def check_expected(statuses: t.Sequence[int]) -> None:
    """Raise HoldfastError where a number cannot be an HTTP status."""
    for index, status in enumerate(statuses):
        if not 100 <= status <= 599:
            raise HoldfastError(f"expect_status[{index}]: {status} is not an HTTP status from 100 to 599")


def ask(request: Request) -> dict[str, t.Any]:
    """Send the request once and return what came back, redirects included, in the shape the module returns.

    Raises RequestError when there is no answer within request.timeout seconds, or none at all.
    """
    exchange = _Exchange(request)
    exchange.start()
    exchange.join(request.timeout)
    if exchange.is_alive():
        raise exchange.timed_out()
    if exchange.error:
        raise exchange.explained(exchange.error) from exchange.error
    return exchange.answer


@contextlib.contextmanager
def opened(request: Request) -> t.Iterator[http.client.HTTPResponse]:
    """Send the request once and give the response to the caller, who reads its body.

    Here request.timeout seconds are the time without progress. Raises RequestError when there is no response, or when it breaks off
    within the block. A request whose body is no bytes needs a header Content-Length.
    """
    exchange = _Exchange(request)
    connection = None
    try:
        connection = exchange.connect()
        yield exchange.response(connection)
    except (OSError, http.client.HTTPException) as error:
        raise exchange.explained(error) from error
    finally:
        if connection:
            connection.close()


class _Exchange(threading.Thread):
    """The exchange runs in a thread of its own because nothing else can limit the time a name lookup takes."""

    def __init__(self, request: Request) -> None:
        super().__init__(daemon=True)
        self.request = request
        self.server = request.connect_to or Endpoint(request.url.host)
        self.server = Endpoint(self.server.host, self.server.port or request.url.port)
        self.doing = "dns"
        self.answer: dict[str, t.Any] = {}
        self.error: Exception | None = None

    def run(self) -> None:
        started = time.monotonic()
        connection = None
        try:
            connection = self.connect()
            self.answer = self._talk(connection)
            self.answer["elapsed_ms"] = round((time.monotonic() - started) * 1000)
        except Exception as error:  # noqa: BLE001 - carried over to the thread that asked
            self.error = error
        finally:
            if connection:
                connection.close()

    def timed_out(self) -> RequestError:
        return RequestError("timeout", self._sentence(f"no answer within {self.request.timeout} seconds, given up while {_DOING[self.doing]}"))

    def explained(self, error: Exception) -> Exception:
        """Say in one sentence what the network said in many ways."""
        if isinstance(error, socket.timeout):
            return self.timed_out()
        if isinstance(error, socket.gaierror):
            return RequestError("dns", self._sentence(f"the name {self.server.host} cannot be resolved: {error.strerror}"))
        if isinstance(error, ssl.SSLCertVerificationError):
            return RequestError("tls", self._sentence(f"certificate verify failed: {error.verify_message.rstrip('.')}"))
        if isinstance(error, ssl.SSLError):
            reason = (error.reason or "the connection was closed").replace("_", " ").lower()
            return RequestError("tls", self._sentence(f"TLS failed: {reason}{_tls_hint(reason)}"))
        if isinstance(error, OSError):
            return RequestError(self.doing, self._sentence(f"{error.strerror or error}, while {_DOING[self.doing]}"))
        if isinstance(error, http.client.HTTPException):
            return RequestError("http", self._sentence(f"the answer is not valid HTTP: {str(error)[:200] or type(error).__name__}"))
        return error

    def _sentence(self, what: str) -> str:
        return f"{self.request.url.text} (at {self.request.unix_socket or self.server}): {what}"

    def connect(self) -> socket.socket:
        if self.request.unix_socket:
            self.doing = "connect"
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(self.request.timeout)
            try:
                connection.connect(self.request.unix_socket)
            except OSError:
                connection.close()
                raise
            return self._secured(connection)
        addresses = socket.getaddrinfo(self.server.host, self.server.port, type=socket.SOCK_STREAM)
        self.doing = "connect"
        failure: OSError | None = None
        for family, kind, protocol, _name, address in addresses:
            connection = socket.socket(family, kind, protocol)
            # One address that swallows packets must not use up the time of the next.
            connection.settimeout(self.request.timeout / len(addresses))
            try:
                connection.connect(address)
            except OSError as error:
                connection.close()
                failure = error
                continue
            return self._secured(connection)
        raise failure or OSError("the name has no address")

    def _secured(self, connection: socket.socket) -> socket.socket:
        connection.settimeout(self.request.timeout)
        if not self.request.context:
            return connection
        self.doing = "tls"
        try:
            return self.request.context.wrap_socket(connection, server_hostname=self.request.url.host)
        except OSError:
            connection.close()
            raise

    def response(self, connection: socket.socket) -> http.client.HTTPResponse:
        """Send the request over the connection, and read the header of the response."""
        url = self.request.url
        self.doing = "http"
        client = http.client.HTTPConnection(url.host, url.port)
        client.sock = connection
        client.request(self.request.method, url.target, body=self.request.body, headers={"Host": url.host_header, **self.request.headers})
        return client.getresponse()

    def _talk(self, connection: socket.socket) -> dict[str, t.Any]:
        tls = _describe_tls(connection) if isinstance(connection, ssl.SSLSocket) else {}
        response = self.response(connection)
        body = response.read(BODY_LIMIT + 1)
        if response.length and len(body) <= BODY_LIMIT:
            raise http.client.IncompleteRead(body, response.length)
        versions = response.headers.get_all("Docker-Distribution-Api-Version", [])
        return {
            "reachable": True,
            "status": response.status,
            "reason": response.reason,
            "headers": {name.lower(): ", ".join(response.headers.get_all(name, [])) for name in response.headers},
            "api_version": versions[0] if versions else "",
            "api_version_count": len(versions),
            "challenge": ", ".join(response.headers.get_all("WWW-Authenticate", [])),
            "body": body[:BODY_LIMIT].decode("utf-8", "replace"),
            "body_truncated": len(body) > BODY_LIMIT,
            "json": _parse_json(body) if len(body) <= BODY_LIMIT else None,
            "tls": tls,
        }


def _tls_hint(reason: str) -> str:
    if "wrong version" in reason or "record layer" in reason:
        return "; the server does not seem to speak TLS on this port"
    return "; the server asks for a client certificate" if "certificate required" in reason else ""


def _parse_json(body: bytes) -> t.Any:
    """The body as data; None when it is not JSON, or JSON that could not be handed on (NaN, half a surrogate pair, absurd nesting)."""
    try:
        data = json.loads(body.decode("utf-8"))
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return data if _depth_within(data, _JSON_DEPTH_LIMIT) else None


def _depth_within(data: t.Any, limit: int) -> bool:
    if isinstance(data, dict):
        data = list(data.values())
    return not isinstance(data, list) or (limit > 0 and all(_depth_within(entry, limit - 1) for entry in data))


def _describe_tls(connection: ssl.SSLSocket) -> dict[str, t.Any]:
    certificate: t.Any = connection.getpeercert() or {}
    cipher = connection.cipher()
    not_after = ssl.cert_time_to_seconds(certificate["notAfter"])
    return {
        "version": connection.version(),
        "cipher": cipher[0] if cipher else "",
        "subject": subject_text(certificate["subject"]),
        "issuer": subject_text(certificate["issuer"]),
        "names": [
            str(ipaddress.ip_address(value.strip())) if kind == "IP Address" and ":" in value else value
            for kind, value in certificate.get("subjectAltName", ())
            if kind in ("DNS", "IP Address")
        ],
        "not_after": datetime.datetime.fromtimestamp(not_after, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days_left": int((not_after - time.time()) // 86400),
        "fingerprint_sha256": hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest(),
    }
