# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make keys and request the certificates that are missing or due."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_request
short_description: Make keys and request the certificates that are missing or due
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Runs on the host that uses the certificates. Creates missing private keys there, checks the installed certificates,
    and returns certificate signing requests for those that are missing or due, with the reasons.
  - Pass RV(requests) to M(holdfast.registry.certificate_sign) on the CA's host, and its result to M(holdfast.registry.certificate_install) on this host.
  - A certificate C(NAME) is C(NAME.crt) with the key C(NAME.key). Private keys never leave the host.
    An encrypted key is refused, since no server asks for its passphrase.
  - A new key that replaces an existing one, because of its type or a revocation, is kept as C(NAME.key.new) until its certificate is
    installed, so that key and certificate always match.
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.pki
options:
  directory:
    description:
      - Absolute path of the directory for keys and certificates. If missing, it and its parents are created with mode 0755.
      - The directory of a CA is refused, since the CA has other files of the same names.
    type: path
    required: true
  ca_certificate:
    description: Certificate of the CA that signs, in PEM form. A CA renewed with the same key and name is no reason to sign again.
    type: str
    required: true
  crl:
    description: CRLs in PEM form, as RV(holdfast.registry.ca#module:crl) holds them. A certificate that one of them lists gets a new key and a new certificate.
    type: str
  install:
    description:
      - If no certificate has to be signed, do at once what M(holdfast.registry.certificate_install) does with an empty list of certificates. That saves a task
        in most runs.
      - If one has to be signed, or without this option, nothing of it is done.
    type: dict
    suboptions:
      ca_certificate:
        description: As O(holdfast.registry.certificate_install#module:ca_certificate).
        type: str
        required: true
      chain:
        description: As O(holdfast.registry.certificate_install#module:chain).
        type: str
      crl_der:
        description: As O(holdfast.registry.certificate_install#module:crl_der).
        type: bool
        default: false
  certificates:
    description: The certificates this host uses.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Base name of the files. Letters, digits, dots, dashes and underscores, the first a letter or digit; not C(ca).
        type: str
        required: true
      names:
        description:
          - DNS names, wildcards such as C(*.example.org) and IP addresses of the certificate.
          - Write internationalised names in their ASCII form (C(xn--...)).
        type: list
        elements: str
        required: true
      common_name:
        description: Common name, 1 to 64 bytes in UTF-8. Defaults to the first DNS name that is short enough, if there is one.
        type: str
      key_type:
        description: Type of the key. If the existing key is of another type, a new one is made.
        type: str
        choices: [ec-p256, ec-p384, rsa-3072, rsa-4096, ed25519]
        default: ec-p256
      usages:
        description: Purposes of the certificate.
        type: list
        elements: str
        choices: [server, client]
        default: [server]
      crl_url:
        description: URL of the CRL that the certificate names (CRL distribution point), such as V(http://registry.example.org/ca.crl). None if empty.
        type: str
        default: ""
      lifetime_days:
        description:
          - Days for which a new certificate is valid. Must be greater than O(certificates[].renew_before_days).
          - If the installed certificate was signed for another lifetime, it is signed again, unless it ends with its CA.
        type: int
        default: 397
      renew_before_days:
        description: Request a new certificate when this many days are left or fewer.
        type: int
        default: 30
      mode:
        description: Mode of the key, in octal and in quotes. V("0640") lets its group read it; a mode that lets every user read it is refused.
        type: raw
        default: "0600"
      owner:
        description: Owner of the key, by name or number. Unchanged by default.
        type: str
      group:
        description: Group of the key, by name or number. Unchanged by default.
        type: str
attributes:
  check_mode:
    details: If a key is missing, its request is made with a temporary key that is discarded.
  diff_mode:
    details: Shows which key files change and their types, never a key.
seealso:
  - module: holdfast.registry.ca
  - module: holdfast.registry.certificate_sign
  - module: holdfast.registry.certificate_install
"""

EXAMPLES = r"""
# From a CA to an installed certificate. Tasks for the CA may run on another host: add, for example, delegate_to: ca.example.org
- name: Keep the CA
  holdfast.registry.ca:
    directory: /etc/holdfast/ca
  register: ca

- name: Make the keys, and request what is missing or due
  holdfast.registry.certificate_request:
    directory: /etc/holdfast/tls
    ca_certificate: "{{ ca.certificate }}"
    crl: "{{ ca.crl }}"
    certificates:
      - name: registry
        names: [registry.example.org, 192.0.2.10]
      - name: client # a key that members of a group can read
        names: [client.example.org]
        common_name: builder
        usages: [client]
        group: www-data
        mode: "0640"
  register: requested

- name: Sign it with the CA
  holdfast.registry.certificate_sign:
    directory: /etc/holdfast/ca
    requests: "{{ requested.requests }}"
  register: signed

- name: Install what was signed
  holdfast.registry.certificate_install:
    directory: /etc/holdfast/tls
    ca_certificate: "{{ ca.bundle }}"
    crl: "{{ ca.crl }}"
    certificates: "{{ signed.certificates }}"
"""

RETURN = r"""
changes:
  description: What changed in the key files, and in those of O(install), and why. Empty if nothing did.
  type: list
  elements: str
  returned: success
  sample: ["/etc/holdfast/tls/registry.key: made, ec-p256"]
requests:
  description: The certificates that need signing, and only those.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the certificate.
      type: str
      sample: registry
    csr:
      description: Certificate signing request in PEM form. Empty in check mode if both the key and python3-cryptography are missing.
      type: str
      sample: "-----BEGIN CERTIFICATE REQUEST-----\nMIHz...\n-----END CERTIFICATE REQUEST-----\n"
    needs:
      description:
        - Why. C(missing), C(unreadable), C(expired), C(expires in N days), C(not valid before TIME), C(signed by another CA), C(key changed), C(revoked),
          or C(... changed from ... to ...) with the names, common name, usages, key type or lifetime.
      type: list
      elements: str
      sample: [expires in 29 days]
    lifetime_days:
      description: Requested lifetime in days.
      type: int
      sample: 397
    usages:
      description: Requested usages.
      type: list
      elements: str
      sample: [server]
certificates:
  description: All certificates, in their state before anything is signed.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the certificate.
      type: str
      sample: registry
    path:
      description: Path of the certificate.
      type: str
      sample: /etc/holdfast/tls/registry.crt
    key_path:
      description: Path of its key.
      type: str
      sample: /etc/holdfast/tls/registry.key
    not_after:
      description: End of its validity, UTC; null if there is no readable certificate.
      type: str
      sample: "2027-03-04T12:00:00Z"
    days_left:
      description: Whole days until then, below zero once it has expired; null if there is no readable certificate.
      type: int
      sample: 396
    needs:
      description: As in RV(requests); empty if the certificate is up to date.
      type: list
      elements: str
      sample: []
"""

from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._module import (
    DIRECTORY,
    OWNERSHIP,
    Call,
    HoldfastError,
    Options,
    Result,
    entries,
    pem,
    run,
    words,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host import install, request
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.wanted import parse_wanted
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import KEY_TYPES
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import USAGES

CERTIFICATE: Options = {
    "name": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "common_name": {"type": "str"},
    "key_type": {"type": "str", "choices": list(KEY_TYPES), "default": "ec-p256"},
    "usages": words(USAGES, default=["server"]),
    "crl_url": {"type": "str", "default": ""},
    "lifetime_days": {"type": "int", "default": 397},
    "renew_before_days": {"type": "int", "default": 30},
    **OWNERSHIP,
    "mode": {"type": "raw", "default": "0600"},
}
OPTIONS: Options = {
    "directory": DIRECTORY,
    "ca_certificate": pem(required=True),
    "crl": pem(),
    "install": {"type": "dict", "options": {"ca_certificate": pem(required=True), "chain": pem(), "crl_der": {"type": "bool", "default": False}}},
    "certificates": entries(CERTIFICATE),
}


def work(call: Call) -> Result:
    params = call.parameters
    wanted, warnings = parse_wanted(params["certificates"], check_mode=call.check_mode)
    result = request.ensure(params["directory"], wanted, ca_certificate=params["ca_certificate"], crl=params["crl"], check_mode=call.check_mode, now=call.now)
    if params["install"] and not result["requests"]:
        try:
            installed = install.ensure(
                params["directory"],
                [],
                **params["install"],
                names=[certificate["name"] for certificate in params["certificates"]],
                crl=params["crl"],
                ownership=Ownership(),
                check_mode=call.check_mode,
            )
        except HoldfastError as error:
            raise HoldfastError(f"install: {error}", {"changed": result["changed"], "changes": result["changes"]}) from None
        result = {**result, **{name: result[name] + installed[name] for name in ("changes", "diff")}, "changed": result["changed"] or installed["changed"]}
    return {**result, "warnings": warnings}


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
