# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make, renew and replace a certificate authority."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ca
short_description: Make, renew and replace a certificate authority
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Keeps a certificate authority (CA) of your own in one directory of one host, as C(ca.key), C(ca.crt) and its
    certificate revocation list (CRL) C(ca.crl).
  - A renewal keeps the key, so existing certificates stay valid as long as O(common_name) does not change.
  - Raising O(generation) replaces the CA by one with a new key. The previous CA stays in C(ca-bundle.crt), which lists the CAs that
    clients have to trust, until the last of its certificates in the record (C(issued.jsonl)) has expired or is revoked. Until then its key is kept in
    C(ca-previous-....key), to sign its CRL.
    Let clients trust RV(bundle) first, then sign with the new CA.
  - With O(parent_certificate) the CA is below another one, such as a root whose key is kept offline. Clients then trust only the root, whatever happens
    to this CA. It writes a request, C(ca.csr), and works with the CA it has until O(signed_certificate) brings the answer.
  - The CA signs certificates of servers and clients, but not of other CAs.
  - Sign certificates with M(holdfast.registry.certificate_sign); have hosts trust the CA with M(holdfast.registry.ca_trust).
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.pki
options:
  directory:
    description: Absolute path of the directory that holds the CA. If missing, it is created with mode 0700, its parents with 0755.
    type: path
    required: true
  common_name:
    description: Name of the CA, 1 to 64 bytes in UTF-8. A new name issues the CA's certificate again, and every certificate it signed has to be signed again.
    type: str
    default: Holdfast registry CA
  generation:
    description:
      - Raise it to replace the CA by one with a new key. It cannot be lowered again.
      - From the second generation on, the CA's name ends with the generation, as in C(Holdfast registry CA G2).
    type: int
    default: 1
  keep_previous:
    description:
      - Whether clients keep trusting the previous CAs as long as certificates of theirs are in use.
      - V(false) ends the overlap at once. Use it when a key may have been stolen.
    type: bool
    default: true
  key_type:
    description: Type of the key. A CA keeps its key; another type is refused unless O(generation) is raised with it.
    type: str
    choices: [ec-p256, ec-p384, rsa-3072, rsa-4096, ed25519]
    default: ec-p256
  passphrase:
    description: Encrypts the key. An existing key that is not encrypted is encrypted.
    type: str
  new_passphrase:
    description: Changes the passphrase of the key to this one. If the key already has it, O(passphrase) is ignored.
    type: str
  parent_certificate:
    description:
      - Certificates of the CAs above this one, in PEM form, the parent first and the root last. The CA is its own root if missing or empty.
      - A CA that was its own root keeps its key and name below the parent, so that certificates and clients of before go on working.
    type: str
  parent_crl:
    description: CRLs of these CAs in PEM form. They are added to RV(crl), since a server that checks clients' certificates needs one of every CA between.
    type: str
  signed_certificate:
    description:
      - The CA's own certificate as the parent signed it for RV(csr), in PEM form. M(holdfast.registry.ca_sign) makes one.
      - One that is for another key is ignored. One that is for this key but cannot be used is refused.
      - If O(permitted_dns_domains) or O(permitted_ip_ranges) is set, it has to be limited to exactly these. Otherwise the parent may limit it or not.
      - One that is in use already is no answer to a new request, so it can stay in the parameter when it is due.
    type: str
  lifetime_days:
    description: Days for which a new CA certificate is valid. Must be greater than O(renew_before_days).
    type: int
    default: 3650
  renew_before_days:
    description: Renew the CA's certificate when it has this many days left or fewer.
    type: int
    default: 90
  permitted_dns_domains:
    description:
      - Domains the CA is limited to, with the names below them (critical name constraints). Clients refuse its certificates for other DNS names.
      - Left out or empty, the CA may sign every name. IP addresses are not limited by this.
    type: list
    elements: str
  permitted_ip_ranges:
    description:
      - Addresses and networks the CA is limited to, such as C(192.0.2.0/24), also as critical name constraints. DNS names are not limited by this.
      - If all ranges are of one IP version, all addresses of the other are excluded.
    type: list
    elements: str
  crl_lifetime_days:
    description:
      - Days for which a new CRL is valid. Must be greater than O(crl_renew_before_days).
      - Long by default, since servers refuse every client certificate once their CRL has expired. A revocation does not wait for the end of the CRL;
        your next run distributes a new one.
    type: int
    default: 825
  crl_renew_before_days:
    description:
      - Renew the CRL when it has this many days left or fewer, even if nothing was revoked.
      - By default longer than the lifetime of a certificate, so that the CRL does not expire before the certificates signed in the same run.
    type: int
    default: 400
attributes:
  check_mode:
    details: If the CA is missing, RV(certificate) belongs to a temporary key that is discarded.
  diff_mode:
    details: Shows the type of the key and what is in the certificate, never the key.
seealso:
  - module: holdfast.registry.certificate_request
  - module: holdfast.registry.certificate_sign
  - module: holdfast.registry.certificate_revoke
  - module: holdfast.registry.ca_trust
"""

EXAMPLES = r"""
- name: Keep a CA
  holdfast.registry.ca:
    directory: /etc/holdfast/ca

- name: Keep a CA with an encrypted key that is limited to one domain
  holdfast.registry.ca:
    directory: /etc/holdfast/example-ca
    common_name: Example registry CA
    passphrase: "{{ lookup('holdfast.registry.secret', '~/.config/holdfast/ca-passphrase') }}"
    permitted_dns_domains: [example.org]

- name: Replace a CA by one with another kind of key
  holdfast.registry.ca:
    directory: /etc/holdfast/ca
    generation: 2
    key_type: ec-p384
  register: ca

# On every client: ca.bundle holds both CAs during the overlap
- name: Have programs trust both
  holdfast.registry.ca_trust:
    name: example
    content: "{{ ca.bundle }}"
    stores: [system]
"""

RETURN = r"""
needs:
  description: Why something changed. Empty if nothing did.
  type: list
  elements: str
  returned: success
  sample: [expires in 89 days]
generation:
  description: Generation of the CA.
  type: int
  returned: success
  sample: 1
certificate:
  description: The CA's certificate in PEM form. Empty in check mode if both the CA and python3-cryptography are missing.
  type: str
  returned: success
  sample: "-----BEGIN CERTIFICATE-----\nMIIBmj...\n-----END CERTIFICATE-----\n"
bundle:
  description: Certificates of all CAs that clients have to trust, in PEM form, the CA's own first, or the root. In check mode as RV(certificate).
  type: str
  returned: success
  sample: "-----BEGIN CERTIFICATE-----\nMIIBmj...\n-----END CERTIFICATE-----\n"
crl:
  description: The CA's CRL in PEM form, followed by the last CRL of each previous CA in RV(bundle). In check mode as RV(certificate).
  type: str
  returned: success
  sample: "-----BEGIN X509 CRL-----\nMIHkMI...\n-----END X509 CRL-----\n"
chain:
  description: The certificates that a server sends behind its own, in PEM form, this CA's first. Empty for a CA that is its own root.
  type: str
  returned: success
  sample: ""
csr:
  description: The request that the parent has to sign, in PEM form. Empty if there is none.
  type: str
  returned: success
  sample: ""
csr_path:
  description: Path of the file with it.
  type: str
  returned: success
  sample: /etc/holdfast/ca/ca.csr
path:
  description: Path of the CA's certificate.
  type: str
  returned: success
  sample: /etc/holdfast/ca/ca.crt
bundle_path:
  description: Path of RV(bundle).
  type: str
  returned: success
  sample: /etc/holdfast/ca/ca-bundle.crt
crl_path:
  description: Path of RV(crl).
  type: str
  returned: success
  sample: /etc/holdfast/ca/ca.crl
fingerprint_sha256:
  description: SHA-256 fingerprint of the certificate, in lower-case hexadecimal digits.
  type: str
  returned: success
  sample: 1f3d7a0c5be8842b6bd5f1c2b1e5a95b0f4a3f1ee7e7f6fbb0e3c0ad4f8a9d21
not_after:
  description: End of the certificate's validity, UTC.
  type: str
  returned: success
  sample: "2036-01-31T12:00:00Z"
days_left:
  description: Whole days until then; below zero once it has expired.
  type: int
  returned: success
  sample: 3649
"""

from ansible_collections.holdfast.registry.plugins.module_utils._module import DIRECTORY, PASSPHRASE, Call, Options, Result, pem, run
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority import ca
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.settings import CaSettings
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import KEY_TYPES

OPTIONS: Options = {
    "directory": DIRECTORY,
    "common_name": {"type": "str", "default": "Holdfast registry CA"},
    "generation": {"type": "int", "default": 1},
    "keep_previous": {"type": "bool", "default": True},
    "key_type": {"type": "str", "choices": list(KEY_TYPES), "default": "ec-p256"},
    "passphrase": PASSPHRASE,
    "new_passphrase": PASSPHRASE,
    "parent_certificate": pem(),
    "parent_crl": pem(),
    "signed_certificate": pem(),
    "lifetime_days": {"type": "int", "default": 3650},
    "renew_before_days": {"type": "int", "default": 90},
    "permitted_dns_domains": {"type": "list", "elements": "str"},
    "permitted_ip_ranges": {"type": "list", "elements": "str"},
    "crl_lifetime_days": {"type": "int", "default": 825},
    "crl_renew_before_days": {"type": "int", "default": 400},
}


def work(call: Call) -> Result:
    wanted = CaSettings.of(call.parameters)
    # They are certificates, which the result holds again, and not a key that was put in their place.
    for parameter in ("parent_certificate", "parent_crl", "signed_certificate"):
        call.show(call.parameters[parameter] or "")
    return ca.ensure(call.parameters["directory"], wanted, check_mode=call.check_mode, now=call.now)


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
