# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read certificates and CRLs, and report what is wrong with them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_info
short_description: Read certificates and CRLs, and report what is wrong with them
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Reads certificates and certificate revocation lists (CRLs) in PEM form, of any origin, and changes nothing.
  - Returns what is wrong in RV(problems), for an assertion or for monitoring. The module does not fail because of problems.
  - Reads the key next to a certificate to check that the two belong together. Never returns a key.
extends_documentation_fragment:
  - holdfast.registry.attributes.read_only
  - holdfast.registry.pki
options:
  certificates:
    description: The files to read, and what to check.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path of a file with a certificate, or with a certificate and its chain, or with CRLs.
          - For a directory, every file in it whose name ends in C(.crt), C(.pem), C(.cer) or C(.crl).
        type: path
        required: true
      key:
        description: Absolute path of the certificate's private key. Defaults to the file next to it with the extension C(.key), if there is one.
        type: path
      server_names:
        description: DNS names and IP addresses under which clients reach the server. The certificate has to cover all of them and be valid for servers.
        type: list
        elements: str
      ca_certificates:
        description: Certificates of CAs in PEM form, one of which has to be the root of the chain. Any by default.
        type: str
  warn_days:
    description: Report as a problem what has this many days left or fewer.
    type: int
    default: 0
seealso:
  - module: holdfast.registry.certificate_request
"""

EXAMPLES = r"""
- name: Look at a certificate that somebody else made
  holdfast.registry.certificate_info:
    certificates:
      - path: /etc/nginx/registry.crt
        key: /etc/nginx/registry.key
        server_names: [registry.example.org]
  register: brought

- name: Say what clients would refuse
  ansible.builtin.debug:
    msg: "{{ brought.problems | join('; ') or 'Nothing is wrong' }}"

- name: Keep a CA
  holdfast.registry.ca:
    directory: /etc/holdfast/ca

- name: Fail where something of the CA's is wrong, or expires in the next two weeks
  holdfast.registry.certificate_info:
    certificates:
      - path: /etc/holdfast/ca
    warn_days: 14
  register: monitored
  failed_when: monitored is failed or monitored.problems | length > 0
"""

RETURN = r"""
problems:
  description: Everything that is wrong, each with the path in front.
  type: list
  elements: str
  returned: success
  sample: ["/etc/nginx/registry.crt: expires in 9 days", "/etc/nginx/registry.crt: is not for registry.example.org, only for www.example.org"]
certificates:
  description: One certificate per file, the first one in it. If it cannot be read, everything but its path and problems is null.
  type: list
  elements: dict
  returned: success
  contains:
    path:
      description: Path of the file.
      type: str
      sample: /etc/nginx/registry.crt
    subject:
      description: Subject, as RFC 4514 writes it.
      type: str
      sample: CN=registry.example.org
    issuer:
      description: Subject of the CA that signed it.
      type: str
      sample: CN=Holdfast registry CA
    common_name:
      description: Common name in the subject, or null.
      type: str
      sample: registry.example.org
    names:
      description: Subject alternative names. Names other than DNS names and IP addresses have their type in front, as in C(email:root@example.org).
      type: list
      elements: str
      sample: [registry.example.org, 192.0.2.10]
    serial:
      description: Serial number in lower-case hexadecimal digits, 32 of them, or up to 40 if another CA chose a longer one.
      type: str
      sample: 5b2f9c0de1a34f7788d0c6ab9e31f542
    not_before:
      description: Start of its validity, UTC.
      type: str
      sample: "2026-01-31T12:00:00Z"
    not_after:
      description: End of its validity, UTC.
      type: str
      sample: "2027-03-04T12:00:00Z"
    days_left:
      description: Whole days until then, below zero once it has expired.
      type: int
      sample: 396
    expired:
      description: Whether it has expired.
      type: bool
      sample: false
    is_ca:
      description: Whether it is the certificate of a CA.
      type: bool
      sample: false
    self_signed:
      description: Whether it was signed with its own key.
      type: bool
      sample: false
    key_type:
      description: Type of its key.
      type: str
      sample: ec-p256
    usages:
      description: Extended key usages, C(server) and C(client) by name, others by object identifier.
      type: list
      elements: str
      sample: [server]
    fingerprint_sha256:
      description: SHA-256 fingerprint in lower-case hexadecimal digits.
      type: str
      sample: 1f3d7a0c5be8842b6bd5f1c2b1e5a95b0f4a3f1ee7e7f6fbb0e3c0ad4f8a9d21
    chain:
      description: Subjects of the certificates that follow it in the file.
      type: list
      elements: str
      sample: [CN=Example intermediate CA]
    key_path:
      description: Path of its private key, or null if there is none.
      type: str
      sample: /etc/nginx/registry.key
    key_matches:
      description: Whether the key belongs to the certificate; null if there is none, or if it is encrypted.
      type: bool
      sample: true
    problems:
      description: What is wrong.
      type: list
      elements: str
      sample: [expires in 9 days]
crls:
  description: The CRLs.
  type: list
  elements: dict
  returned: success
  contains:
    path:
      description: Path of the file.
      type: str
      sample: /etc/holdfast/ca/ca.crl
    issuer:
      description: Subject of the CA that signed it.
      type: str
      sample: CN=Holdfast registry CA
    number:
      description: CRL number, or null.
      type: int
      sample: 1777623000
    last_update:
      description: Start of its validity, UTC.
      type: str
      sample: "2026-05-01T07:30:00Z"
    next_update:
      description: End of its validity, UTC; null if it has none.
      type: str
      sample: "2028-08-03T08:30:00Z"
    days_left:
      description: Whole days until then, below zero once it has expired.
      type: int
      sample: 824
    revoked:
      description: Serial numbers of the revoked certificates.
      type: list
      elements: str
      sample: [5b2f9c0de1a34f7788d0c6ab9e31f542]
    problems:
      description: What is wrong.
      type: list
      elements: str
      sample: []
"""

from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Options, Result, entries, pem, run
from ansible_collections.holdfast.registry.plugins.module_utils._pki.info import inspect

CERTIFICATE: Options = {
    "path": {"type": "path", "required": True},
    "key": {"type": "path", "no_log": False},
    "server_names": {"type": "list", "elements": "str"},
    "ca_certificates": pem(),
}
OPTIONS: Options = {
    "certificates": entries(CERTIFICATE),
    "warn_days": {"type": "int", "default": 0},
}


def work(call: Call) -> Result:
    return inspect(call.parameters["certificates"], warn_days=call.parameters["warn_days"], now=call.now)


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
