# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The API of one registry."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import typing as t
import urllib.parse

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._http import Request, Url, opened, parse_url
from ansible_collections.holdfast.registry.plugins.module_utils._images.access import Access
from ansible_collections.holdfast.registry.plugins.module_utils._images.manifests import (
    ACCEPTED,
    SIZE_LIMIT,
    Descriptor,
    Manifest,
    descriptor,
    digest_of,
    parse_manifest,
)
from ansible_collections.holdfast.registry.plugins.module_utils._images.names import is_digest

_PAGES = 10000
_REDIRECTS = (301, 302, 303, 307, 308)
Body = t.Union[bytes, t.Iterable[bytes], None]


class Answer(t.NamedTuple):
    """A response. headers have their names in lower case."""

    url: str
    status: int
    headers: dict[str, str]
    content: bytes

    def error(self) -> HoldfastError:
        """What the registry said, as the error to raise."""
        try:
            first = json.loads(self.content)["errors"][0]
            said = f": {first['code']}, {first['message']}"
        except (ValueError, LookupError, TypeError, RecursionError):
            said = ""
        return HoldfastError(f"{self.url} answered {self.status}{said}"[:500])

    def data(self) -> dict[str, t.Any]:
        """The body as JSON."""
        try:
            data = json.loads(self.content)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise HoldfastError(f"{self.url}: the answer is not a JSON object")
        return data


class Registry:
    """The API of one registry. hide() keeps tokens out of what the module prints."""

    def __init__(self, access: Access, hide: t.Callable[[str], None]) -> None:
        self.access = access
        self._hide = hide
        self._tokens: dict[tuple[str, ...], str] = {}
        if access.credentials:
            hide(access.credentials)

    # Reading

    def digest(self, repository: str, reference: str) -> str | None:
        """The digest of a manifest; None where there is none."""
        answer = self._ask("HEAD", f"/v2/{repository}/manifests/{reference}", _pull(repository), {"Accept": ACCEPTED})
        if answer.status == 404:
            return None
        _expect(answer, 200)
        digest = answer.headers.get("docker-content-digest")
        if is_digest(digest):
            return digest
        found = self.manifest(repository, reference)
        return found.digest if found else None

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """A manifest, which is what its digest says; None where there is none."""
        answer = self._ask("GET", f"/v2/{repository}/manifests/{reference}", _pull(repository), {"Accept": ACCEPTED})
        if answer.status == 404:
            return None
        _expect(answer, 200)
        real = digest_of(answer.content)
        said = reference if is_digest(reference) else answer.headers.get("docker-content-digest", real)
        if said != real:
            raise HoldfastError(f"{answer.url}: the answer should be {said}, but is {real}")
        return parse_manifest(answer.content, answer.headers.get("content-type", ""), answer.url)

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository, sorted. One that is not there has none."""
        return sorted(set(self._pages(f"/v2/{repository}/tags/list", "tags", _pull(repository), missing=(404,))))

    def repositories(self) -> list[str]:
        """The names of all repositories, sorted."""
        return sorted(set(self._pages("/v2/_catalog", "repositories", ("registry:catalog:*",))))

    def referrers(self, repository: str, digest: str) -> list[Descriptor] | None:
        """What refers to a manifest, such as signatures; None from a registry that cannot say it."""
        answer = self._ask("GET", f"/v2/{repository}/referrers/{digest}", _pull(repository), {"Accept": ACCEPTED})
        if answer.status in (404, 405, 400):
            return None
        _expect(answer, 200)
        return _list_of_descriptors(answer)

    def has_blob(self, repository: str, digest: str) -> bool:
        answer = self._ask("HEAD", f"/v2/{repository}/blobs/{digest}", _pull(repository))
        if answer.status in _REDIRECTS:  # the registry leads to where the blob is only if it has it
            return True
        if answer.status != 404:
            _expect(answer, 200)
        return answer.status == 200

    @contextlib.contextmanager
    def blob(self, repository: str, digest: str) -> t.Iterator[http.client.HTTPResponse]:
        """A blob to read. A redirect to where the registry keeps it is followed, without credentials on another host."""
        url = self._url(f"/v2/{repository}/blobs/{digest}")
        with contextlib.ExitStack() as stack:
            response = stack.enter_context(self._opened("GET", url.target, _pull(repository)))
            for _hop in range(5):
                if response.status not in _REDIRECTS:
                    break
                url = self._leads_to(url, response.headers.get("Location", ""))
                stack.close()
                response = stack.enter_context(opened(self._bare_request(url)))
            if response.status != 200:
                raise _answer(url, response).error()
            yield response

    # Writing

    def mount(self, repository: str, digest: str, source: str) -> str | None:
        """Have a blob of another repository of this registry here too. Returns None if that is done, or where it is to be uploaded."""
        query = urllib.parse.urlencode({"mount": digest, "from": source}, safe=":/")
        return self._started(f"/v2/{repository}/blobs/uploads/?{query}", _push(repository) + _pull(source))

    def start_upload(self, repository: str) -> str:
        """Begin an upload. Returns where the blob is to be sent."""
        location = self._started(f"/v2/{repository}/blobs/uploads/", _push(repository))
        if location is None:
            raise HoldfastError(f"{self._url(f'/v2/{repository}/blobs/uploads/').text}: an upload was not begun, but ended")
        return location

    def _started(self, target: str, scopes: tuple[str, ...]) -> str | None:
        answer = self._ask("POST", target, scopes)
        if answer.status == 201:
            return None
        _expect(answer, 202)
        return self._leads_to(self._url(target), answer.headers.get("location", ""), own=True).target

    def upload(self, repository: str, target: str, blob: Descriptor, content: t.Iterable[bytes]) -> None:
        """Send a blob to where an upload was begun. If that fails, the upload is ended."""
        complete = f"{target}{'&' if '?' in target else '?'}digest={blob.digest}"
        headers = {"Content-Length": str(blob.size), "Content-Type": "application/octet-stream"}
        try:
            _expect(self._ask("PUT", complete, _push(repository), headers, content), 201)
        except HoldfastError:
            with contextlib.suppress(HoldfastError):
                self._ask("DELETE", target, _push(repository))
            raise

    def put_manifest(self, repository: str, reference: str, manifest: Manifest) -> None:
        target = f"/v2/{repository}/manifests/{reference}"
        answer = self._ask("PUT", target, _push(repository), {"Content-Type": manifest.media_type}, manifest.content)
        _expect(answer, 201)
        said = answer.headers.get("docker-content-digest", manifest.digest)
        if said != manifest.digest:
            raise HoldfastError(f"{answer.url}: {manifest.digest} was sent, but the registry says that it is {said}")

    def delete(self, repository: str, reference: str) -> Answer:
        """Ask for a manifest or a tag to be deleted. What the answer means depends on the version of the registry."""
        return self._ask("DELETE", f"/v2/{repository}/manifests/{reference}", _delete(repository))

    # Requests

    def _ask(self, method: str, target: str, scopes: tuple[str, ...], headers: dict[str, str] | None = None, body: Body = None) -> Answer:
        url = self._url(target)
        with self._opened(method, target, scopes, headers, body) as response:
            answer = _answer(url, response)
        if answer.status == 401:
            who = "does not accept these credentials" if self.access.credentials else "needs a username and a password, in registries or in config_file"
            raise HoldfastError(f"{url.text}: {self.access.registry} {who}")
        return answer

    @contextlib.contextmanager
    def _opened(
        self, method: str, target: str, scopes: tuple[str, ...], headers: dict[str, str] | None = None, body: Body = None
    ) -> t.Iterator[http.client.HTTPResponse]:
        """A response. A registry that asks for a token gets one, unless it is too late to send the body again."""
        with opened(self._request(method, target, scopes, headers, body)) as response:
            challenge = ", ".join(response.headers.get_all("WWW-Authenticate", []))
            again = response.status == 401 and "bearer" in challenge.lower() and (body is None or isinstance(body, bytes))
            if not again:
                yield response
                return
        self._tokens[scopes] = self._token(challenge, scopes)
        with opened(self._request(method, target, scopes, headers, body)) as response:
            yield response

    def _request(self, method: str, target: str, scopes: tuple[str, ...], headers: dict[str, str] | None, body: Body) -> Request:
        sent = {"User-Agent": "holdfast.registry", **(headers or {})}
        if scopes in self._tokens:
            sent["Authorization"] = f"Bearer {self._tokens[scopes]}"
        elif self.access.credentials:
            sent["Authorization"] = f"Basic {self.access.credentials}"
        return self._bare_request(self._url(target), method, sent, body)

    def _bare_request(self, url: Url, method: str = "GET", headers: dict[str, str] | None = None, body: Body = None) -> Request:
        own = (url.host, url.port) == (self.access.url.host, self.access.url.port)
        return Request(
            url,
            method,
            headers or {"User-Agent": "holdfast.registry"},
            self.access.connect_to if own else None,
            self.access.unix_socket if own else None,
            self.access.context if url.scheme == "https" else None,
            self.access.timeout,
            body,
        )

    def _url(self, target: str) -> Url:
        return parse_url(f"{self.access.url.scheme}://{self.access.url.host_header}{target}")

    def _leads_to(self, url: Url, location: str, *, own: bool = False) -> Url:
        """Where a Location leads. With own, it must be the registry itself, whatever scheme it believes to have."""
        try:
            found = parse_url(urllib.parse.urljoin(url.text, location))
        except HoldfastError:
            raise HoldfastError(f"{url.text}: the answer leads to {location[:200]!r}, which is no URL") from None
        if own:
            if found.host_header.lower() not in (url.host_header.lower(), self.access.registry.lower()) and found.host != url.host:
                raise HoldfastError(f"{url.text}: the answer leads to another host, {found.host_header}")
            return self._url(found.target)
        if found.scheme != "https" and self.access.url.scheme == "https":
            raise HoldfastError(f"{url.text}: the answer leads to {found.host_header} without TLS")
        return found

    def _token(self, challenge: str, scopes: tuple[str, ...]) -> str:
        values = {name.lower(): value for name, value in re.findall(r'\b(realm|service|scope)="([^"]*)"', challenge, re.IGNORECASE)}
        where = f"{self.access.url.text}: the registry asks for a token"
        try:
            realm = parse_url(values.get("realm", ""))
        except HoldfastError:
            raise HoldfastError(f"{where}, but not from where") from None
        own = realm.host.lower() == self.access.url.host.lower()
        if realm.scheme != "https" and self.access.url.scheme == "https":
            raise HoldfastError(f"{where} from {realm.host_header} without TLS")
        headers = {"User-Agent": "holdfast.registry"}
        if self.access.credentials:
            if not own and realm.host_header not in self.access.token_hosts and realm.host not in self.access.token_hosts:
                raise HoldfastError(f"{where} from another host; if {realm.host_header} may have the password, list it in token_hosts of the registry")
            headers["Authorization"] = f"Basic {self.access.credentials}"
        asked = sorted({scope for scope in (*scopes, values.get("scope", "")) if scope})
        query = urllib.parse.urlencode([*([("service", values["service"])] if "service" in values else []), *(("scope", scope) for scope in asked)])
        url = parse_url(f"{realm.text}{'&' if '?' in realm.text else '?'}{query}")
        with opened(self._bare_request(url, headers=headers)) as response:
            answer = _answer(url, response)
        if answer.status == 401:
            raise HoldfastError(f"{realm.text}: does not accept these credentials for {self.access.registry}")
        _expect(answer, 200)
        data = answer.data()
        token = data.get("token") or data.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise HoldfastError(f"{realm.text}: the answer holds no token")
        self._hide(token)
        return token

    def _pages(self, target: str, name: str, scopes: tuple[str, ...], missing: tuple[int, ...] = ()) -> t.Iterator[str]:
        next_page: str = f"{target}?n=1000"
        for _page in range(_PAGES):
            answer = self._ask("GET", next_page, scopes)
            if answer.status in missing:
                return
            _expect(answer, 200)
            yield from (entry for entry in answer.data().get(name) or [] if isinstance(entry, str))
            link = re.match(r'<([^>]*)>;.*\brel="?next', answer.headers.get("link", ""))
            if not link:
                return
            next_page = self._leads_to(self._url(target), link[1], own=True).target
        raise HoldfastError(f"{self._url(target).text}: the list does not end")


def _answer(url: Url, response: http.client.HTTPResponse) -> Answer:
    content = response.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        raise HoldfastError(f"{url.text}: the answer is larger than {SIZE_LIMIT} bytes")
    headers = {name.lower(): ", ".join(response.headers.get_all(name, [])) for name in response.headers}
    return Answer(url.text.partition("?")[0], response.status, headers, content)


def _expect(answer: Answer, status: int) -> None:
    if answer.status != status:
        raise answer.error()


def _list_of_descriptors(answer: Answer) -> list[Descriptor]:
    entries = answer.data().get("manifests")
    if not isinstance(entries, list):
        raise HoldfastError(f"{answer.url}: the answer has no list 'manifests'")
    return [descriptor(entry, f"{answer.url}: manifests[{index}]") for index, entry in enumerate(entries)]


def _pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def _push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)


def _delete(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,delete",)
