# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a request to a container registry, and list what it holds."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_info
short_description: Send a request to a container registry, and list what it holds
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Sends one request to a registry and returns the status, headers, body, and the certificate of the server.
  - With O(connect_to) a server can be reached under its public name before that name resolves to it.
  - The certificate is always verified, and TLS older than 1.2 is refused. There is no option to turn that off.
  - With O(contents) it then lists what the registry holds.
  - Redirects are returned, not followed. Proxy variables of the environment are ignored.
extends_documentation_fragment:
  - holdfast.registry.attributes.read_only
options:
  url:
    description:
      - The URL to request, with scheme V(http) or V(https), and without a username or password in it.
    type: str
    required: true
  connect_to:
    description:
      - The address, V(ADDRESS:PORT) or V([IPv6]:PORT) to connect to, instead of the host and port of O(url).
      - The certificate is verified for the host of O(url), and the C(Host) header stays that of O(url).
    type: str
  unix_socket:
    description:
      - The path of a unix socket to connect to, instead of the host and port of O(url).
    type: path
  ca_file:
    description:
      - A file on the host with the PEM certificates of the only CAs to trust.
      - With neither this nor O(ca_certificate), the host's system store is trusted.
    type: path
  ca_certificate:
    description:
      - The PEM certificates of the only CAs to trust, as text. A private key in it is refused.
    type: str
  client_cert:
    description:
      - The certificate to present to a server that asks for one, as a PEM file on the host. Certificates of intermediate CAs may follow in it.
    type: path
  client_key:
    description:
      - The key of O(client_cert), as a PEM file on the host, without a passphrase.
    type: path
  username:
    description:
      - Username for HTTP Basic authentication, sent with the first request.
    type: str
  password:
    description:
      - Password for HTTP Basic authentication.
    type: str
  method:
    description:
      - The HTTP method.
    type: str
    choices: [GET, HEAD]
    default: GET
  accept:
    description:
      - Media types for the C(Accept) header, such as manifest types.
    type: list
    elements: str
    default: []
  contents:
    description:
      - What to list after the first request, in RV(repositories). Each choice includes those before it.
      - V(repositories) are names, V(tags) are names of tags. V(images) adds their digests, sizes and platforms, and V(referrers) what refers to
        them, such as signatures.
      - The registry may ask for tokens. Its catalogue may be closed; then name O(repositories).
    type: str
    choices: [repositories, tags, images, referrers]
    version_added: 1.0.0
  repositories:
    description:
      - The repositories to list with O(contents), instead of all in the registry's catalogue. One that does not exist has no tags.
    type: list
    elements: str
    version_added: 1.0.0
  token_hosts:
    description:
      - Hosts, V(HOST) or V(HOST:PORT), other than the registry that may be sent the password in exchange for a token. Only for O(contents).
    type: list
    elements: str
    default: []
    version_added: 1.0.0
  timeout:
    description:
      - Seconds, from 1 to 3600, for the whole exchange, name lookup included.
      - With O(contents), each further request may take as long without sending or receiving anything.
    type: int
    default: 10
  expect_status:
    description:
      - The expected HTTP statuses. The module fails on any other, even with O(fail_on_error=false).
      - With an empty list every status is accepted.
    type: list
    elements: int
    default: []
  fail_on_error:
    description:
      - Whether to fail when there is no response. With V(false), RV(reachable) is then V(false) and RV(error) has the reason.
    type: bool
    default: true
attributes:
  check_mode:
    details: The request is sent in check mode too.
"""

EXAMPLES = r"""
- name: The registry asks for a password
  holdfast.registry.registry_info:
    url: https://registry.example.com/v2/
    ca_certificate: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    expect_status: [401]

- name: The registry accepts alice's password, before its name resolves
  holdfast.registry.registry_info:
    url: https://registry.example.com/v2/
    connect_to: 192.0.2.10:443
    username: alice
    password: "{{ alice_password }}"
    expect_status: [200]

- name: The digest of a manifest, without its body
  holdfast.registry.registry_info:
    url: https://registry.example.com/v2/base/debian/manifests/trixie
    method: HEAD
    accept:
      - application/vnd.oci.image.index.v1+json
      - application/vnd.oci.image.manifest.v1+json
      - application/vnd.docker.distribution.manifest.list.v2+json
      - application/vnd.docker.distribution.manifest.v2+json
    username: alice
    password: "{{ alice_password }}"
    expect_status: [200]
  register: manifest

- name: Show the digest
  ansible.builtin.debug:
    msg: "{{ manifest.headers['docker-content-digest'] }}"

- name: Fail a month before the certificate ends
  holdfast.registry.registry_info:
    url: https://registry.example.com/v2/
  register: registry
  failed_when: registry is failed or registry.tls.days_left < 30

- name: List the images of a repository with their digests, sizes and platforms
  holdfast.registry.registry_info:
    url: https://registry.example.com/v2/
    username: alice
    password: "{{ alice_password }}"
    contents: images
    repositories: [base/debian]
  register: listed

- name: Show the largest
  ansible.builtin.debug:
    msg: "{{ listed.repositories[0].tags | sort(attribute='size') | last }}"

- name: Ask a registry that requires a client certificate
  holdfast.registry.registry_info:
    url: https://registry.example.com/v2/
    client_cert: /etc/holdfast/tls/client.crt
    client_key: /etc/holdfast/tls/client.key

- name: Check whether the registry responds, without failing
  holdfast.registry.registry_info:
    url: https://registry.example.com/v2/
    timeout: 3
    fail_on_error: false
  register: probe

- name: Show whether it did
  ansible.builtin.debug:
    msg: "{{ 'It responds' if probe.reachable else probe.error.message }}"
"""

RETURN = r"""
reachable:
  description: Whether there was an HTTP response, of any status.
  returned: always, except for wrong parameters
  type: bool
  sample: true
error:
  description: Why there was no response.
  returned: when RV(reachable) is false
  type: dict
  contains:
    kind:
      description: What went wrong; one of V(dns), V(connect), V(tls), V(timeout) and V(http).
      type: str
      sample: tls
    message:
      description: What went wrong, where and why, in a sentence.
      type: str
      sample: "https://registry.example.com/v2/ (at registry.example.com:443): certificate verify failed: self-signed certificate in certificate chain"
  sample:
    kind: connect
    message: "https://registry.example.com/v2/ (at 192.0.2.10:443): Connection refused, while connecting"
status:
  description: The HTTP status.
  returned: when RV(reachable) is true
  type: int
  sample: 401
reason:
  description: The words behind the HTTP status.
  returned: when RV(reachable) is true
  type: str
  sample: Unauthorized
headers:
  description: The response headers, with names in lower case. Headers sent more than once are joined with a comma.
  returned: when RV(reachable) is true
  type: dict
  sample:
    content-type: application/json
    docker-distribution-api-version: registry/2.0
api_version:
  description: The header C(Docker-Distribution-Api-Version), or an empty string.
  returned: when RV(reachable) is true
  type: str
  sample: registry/2.0
api_version_count:
  description: How often that header was sent. More than once is a common mistake in proxies.
  returned: when RV(reachable) is true
  type: int
  sample: 1
challenge:
  description: The header C(WWW-Authenticate), or an empty string.
  returned: when RV(reachable) is true
  type: str
  sample: Basic realm="registry"
body:
  description: The body as text, at most its first 64 KiB. Bytes that are not UTF-8 are replaced.
  returned: when RV(reachable) is true
  type: str
  sample: '{"repositories": ["base/debian"]}'
body_truncated:
  description: Whether the body was longer than that.
  returned: when RV(reachable) is true
  type: bool
  sample: false
json:
  description: The body as data, or V(null) when it is no JSON or was truncated.
  returned: when RV(reachable) is true
  type: raw
  sample:
    repositories:
      - base/debian
tls:
  description: The connection and the server's certificate. Empty for plain HTTP.
  returned: when RV(reachable) is true
  type: dict
  contains:
    version:
      description: The TLS version spoken.
      type: str
      sample: TLSv1.3
    cipher:
      description: The cipher suite.
      type: str
      sample: TLS_AES_256_GCM_SHA384
    subject:
      description: The subject of the certificate, as RFC 4514 writes it.
      type: str
      sample: CN=registry.example.com
    issuer:
      description: Who issued the certificate.
      type: str
      sample: CN=Example Registry CA,O=Example
    names:
      description: The host names and addresses the certificate is for (subject alternative names).
      type: list
      elements: str
      sample:
        - registry.example.com
        - 192.0.2.10
    not_after:
      description: When the certificate ends.
      type: str
      sample: "2027-03-01T12:00:00Z"
    days_left:
      description: Whole days until then.
      type: int
      sample: 88
    fingerprint_sha256:
      description: SHA-256 of the certificate in DER form.
      type: str
      sample: 2f1c8d3b5a7e9f60413c2b1a0d9e8f7c6b5a49382716050f4e3d2c1b0a998877
  sample:
    version: TLSv1.3
    cipher: TLS_AES_256_GCM_SHA384
    subject: CN=registry.example.com
    issuer: CN=Example Registry CA,O=Example
    names:
      - registry.example.com
    not_after: "2027-03-01T12:00:00Z"
    days_left: 88
    fingerprint_sha256: 2f1c8d3b5a7e9f60413c2b1a0d9e8f7c6b5a49382716050f4e3d2c1b0a998877
repositories:
  description: What the registry holds, sorted by name.
  returned: with O(contents)
  type: list
  elements: dict
  contains:
    name:
      description: The repository.
      type: str
      sample: base/debian
    tags:
      description: Its tags. With V(tags) only their names.
      returned: with O(contents=tags) or more
      type: list
      elements: dict
      contains:
        name:
          description: The tag.
          type: str
          sample: trixie
        digest:
          description: The digest of its manifest or index.
          type: str
          sample: sha256:2f1c8d3b5a7e9f60413c2b1a0d9e8f7c6b5a49382716050f4e3d2c1b0a998877
        media_type:
          description: The type of that.
          type: str
          sample: application/vnd.oci.image.index.v1+json
        artifact_type:
          description: What kind of artifact it is, for what is no image; the type of its configuration for an image.
          type: str
          sample: application/vnd.oci.image.config.v1+json
        size:
          description: Bytes of everything that it consists of, compressed as in the registry, each layer counted once.
          type: int
          sample: 52428800
        platforms:
          description: Its manifests.
          type: list
          elements: dict
          sample:
            - platform: linux/arm64/v8
              digest: sha256:1b0a9988772f1c8d3b5a7e9f60413c2b1a0d9e8f7c6b5a49382716050f4e3d2c
              size: 26214400
          contains:
            platform:
              description: Operating system, architecture and variant. Empty for what is no image.
              type: str
              sample: linux/arm64/v8
            digest:
              description: The digest of the manifest.
              type: str
              sample: sha256:1b0a9988772f1c8d3b5a7e9f60413c2b1a0d9e8f7c6b5a49382716050f4e3d2c
            size:
              description: Bytes of its configuration and layers.
              type: int
              sample: 26214400
        referrers:
          description: What refers to it, such as signatures and attestations.
          returned: with O(contents=referrers)
          type: list
          elements: dict
          sample: []
          contains:
            digest:
              description: The digest of its manifest.
              type: str
              sample: sha256:8877665544332211009988776655443322110099887766554433221100998877
            artifact_type:
              description: What it is.
              type: str
              sample: application/vnd.dev.sigstore.bundle.v0.3+json
            media_type:
              description: The type of its manifest.
              type: str
              sample: application/vnd.oci.image.manifest.v1+json
            size:
              description: Bytes of its manifest.
              type: int
              sample: 814
      sample:
        - name: trixie
          digest: sha256:2f1c8d3b5a7e9f60413c2b1a0d9e8f7c6b5a49382716050f4e3d2c1b0a998877
          media_type: application/vnd.oci.image.index.v1+json
          artifact_type: ""
          size: 52428800
          platforms:
            - platform: linux/arm64/v8
              digest: sha256:1b0a9988772f1c8d3b5a7e9f60413c2b1a0d9e8f7c6b5a49382716050f4e3d2c
              size: 26214400
  sample:
    - name: base/debian
      tags:
        - name: trixie
elapsed_ms:
  description: Milliseconds from the name lookup to the end of the response.
  returned: when RV(reachable) is true
  type: int
  sample: 12
"""


from ansible_collections.holdfast.registry.plugins.module_utils._http import (
    Request,
    RequestError,
    accept_header,
    ask,
    basic_credentials,
    check_expected,
    mistaken_credentials,
    parse_url,
)
from ansible_collections.holdfast.registry.plugins.module_utils._images.access import Access
from ansible_collections.holdfast.registry.plugins.module_utils._images.client import Registry
from ansible_collections.holdfast.registry.plugins.module_utils._images.contents import LEVELS, contents
from ansible_collections.holdfast.registry.plugins.module_utils._images.names import check_repository
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, pem, run, show_short
from ansible_collections.holdfast.registry.plugins.module_utils._names import parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._tls import Pair, PairNames, load_pair, trusting_context

OPTIONS: Options = {
    "url": {"type": "str", "required": True},
    "connect_to": {"type": "str"},
    "unix_socket": {"type": "path"},
    "ca_file": {"type": "path"},
    "ca_certificate": pem(),
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "method": {"type": "str", "choices": ["GET", "HEAD"], "default": "GET"},
    "accept": {"type": "list", "elements": "str", "default": []},
    "contents": {"type": "str", "choices": list(LEVELS)},
    "repositories": {"type": "list", "elements": "str"},
    "token_hosts": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "timeout": {"type": "int", "default": 10},
    "expect_status": {"type": "list", "elements": "int", "default": []},
    "fail_on_error": {"type": "bool", "default": True},
}


def build_request(call: Call) -> Request:
    """Turn the parameters into a request. Raises HoldfastError for a wrong one."""
    params = call.parameters
    try:
        url = parse_url(params["url"])
    except HoldfastError:
        for text in mistaken_credentials(params["url"]):
            call.hide(text)
        raise
    check_expected(params["expect_status"])
    if not 1 <= params["timeout"] <= 3600:
        raise HoldfastError(f"timeout: {params['timeout']} is not between 1 and 3600 seconds")
    for index, name in enumerate(params["repositories"] or []):
        check_repository(name, f"repositories[{index}]")
    headers = {"User-Agent": "holdfast.registry"}
    if params["accept"]:
        headers["Accept"] = accept_header(params["accept"])
    if params["username"] is not None:
        credentials = basic_credentials(params["username"], params["password"])
        call.hide(credentials)
        headers["Authorization"] = f"Basic {credentials}"
    show_short(call, params["ca_certificate"])
    context = trusting_context(params["ca_file"], params["ca_certificate"])
    if params["client_cert"] is not None:
        load_pair(context, Pair(params["client_cert"], params["client_key"]), PairNames("client_cert", "client_key"))
    return Request(
        url=url,
        method=params["method"],
        headers=headers,
        connect_to=None if params["connect_to"] is None else parse_endpoint(params["connect_to"], parameter="connect_to"),
        unix_socket=params["unix_socket"],
        context=context if url.scheme == "https" else None,
        timeout=params["timeout"],
    )


def _listed(call: Call, request: Request) -> Result:
    """What the registry of a request holds, where that was asked for."""
    params = call.parameters
    if params["contents"] is None:
        return {}
    access = Access(
        request.url.host_header,
        parse_url(f"{request.url.scheme}://{request.url.host_header}"),
        request.timeout,
        request.context,
        request.connect_to,
        request.unix_socket,
        request.headers.get("Authorization", "").partition(" ")[2],
        tuple(params["token_hosts"]),
    )
    return {"repositories": contents(Registry(access, call.hide), params["contents"], params["repositories"])}


def work(call: Call) -> Result:
    params = call.parameters
    request = build_request(call)
    try:
        answer = ask(request)
    except RequestError as error:
        failure = {"reachable": False, "error": {"kind": error.kind, "message": str(error)}}
        if params["fail_on_error"]:
            raise HoldfastError(str(error), failure) from error
        return {"changed": False, **failure}
    expected = params["expect_status"]
    if expected and answer["status"] not in expected:
        wanted = " or ".join(str(status) for status in expected)
        start = " ".join(answer["body"].split())[:200]
        said = f": {start}" if start else ""
        raise HoldfastError(f"{params['url']} answered {answer['status']} {answer['reason']}, expected {wanted}{said}", answer)
    try:
        return {"changed": False, **answer, **_listed(call, request)}
    except HoldfastError as error:
        raise HoldfastError(str(error), answer) from error


def main() -> None:
    run(
        work,
        OPTIONS,
        mutually_exclusive=[("ca_file", "ca_certificate"), ("connect_to", "unix_socket")],
        required_together=[("username", "password"), ("client_cert", "client_key")],
    )


if __name__ == "__main__":
    main()
