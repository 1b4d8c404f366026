# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Revoke certificates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_revoke
short_description: Revoke certificates
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Runs on the host that holds the CA of M(holdfast.registry.ca). Marks certificates as revoked in the CA's record C(issued.jsonl) and
    lists them in its certificate revocation list (CRL) C(ca.crl). This cannot be undone.
  - Servers refuse them once they have the new CRL. Pass RV(crl) to M(holdfast.registry.certificate_install) and to
    M(holdfast.registry.certificate_request), which replaces revoked certificates and their keys.
  - M(holdfast.registry.ca) sets the lifetime of the CRL and renews it.
  - Certificates of a CA that was replaced cannot be revoked, since its key is gone; the module warns about them.
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.pki
  - holdfast.registry.pki.authority
options:
  certificates:
    description: The certificates to revoke, each named by exactly one of O(certificates[].serial), O(certificates[].name) and O(certificates[].certificate).
    type: list
    elements: dict
    required: true
    suboptions:
      serial:
        description: Serial number in hexadecimal digits, with or without colons.
        type: str
      name:
        description:
          - Common name or one of the names. Revokes every unexpired certificate with that name; each further run also revokes those signed since.
          - Use the serial number if the same name should get a new certificate.
        type: str
      certificate:
        description: The certificate in PEM form. It need not be in the record.
        type: str
      reason:
        description: Reason, as named in RFC 5280. A certificate that is revoked already keeps its reason.
        type: str
        choices: [unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn]
        default: unspecified
attributes:
  check_mode:
    details: If the CA is missing, it predicts a change and returns an empty CRL.
  diff_mode:
    details: Shows the lines of the record that change.
seealso:
  - module: holdfast.registry.ca
  - module: holdfast.registry.certificate_request
  - module: holdfast.registry.certificate_install
"""

EXAMPLES = r"""
- name: Keep the CA
  holdfast.registry.ca:
    directory: /etc/holdfast/ca
  register: ca

- name: Make a key for bob, and request its certificate
  holdfast.registry.certificate_request:
    directory: /etc/holdfast/clients
    ca_certificate: "{{ ca.certificate }}"
    certificates:
      - name: bob
        names: [bob.example.org]
        common_name: bob
        usages: [client]
  register: requested

- name: Sign the request
  holdfast.registry.certificate_sign:
    directory: /etc/holdfast/ca
    requests: "{{ requested.requests }}"
  register: signed

- name: Revoke one certificate whose key was leaked
  holdfast.registry.certificate_revoke:
    directory: /etc/holdfast/ca
    certificates:
      - certificate: "{{ item.certificate }}"
        reason: keyCompromise
  loop: "{{ signed.certificates }}"
  loop_control:
    label: "{{ item.serial }}"

- name: Keep bob out, whatever certificates he has
  holdfast.registry.certificate_revoke:
    directory: /etc/holdfast/ca
    certificates:
      - name: bob
        reason: cessationOfOperation
  register: revocation

# On every server that asks clients for certificates
- name: Let the server know
  holdfast.registry.certificate_install:
    directory: /etc/holdfast/tls
    ca_certificate: "{{ ca.bundle }}"
    crl: "{{ revocation.crl }}"
    certificates: []
"""

RETURN = r"""
changes:
  description: What was revoked and which files changed. Empty if nothing did.
  type: list
  elements: str
  returned: success
  sample: ["5b2f9c0de1a34f7788d0c6ab9e31f542 (bob): revoked, cessationOfOperation", "/etc/holdfast/ca/ca.crl: replaced"]
crl:
  description: The CRL in PEM form, followed by the last CRLs of CAs that have been replaced.
  type: str
  returned: success
  sample: "-----BEGIN X509 CRL-----\nMIHkMI...\n-----END X509 CRL-----\n"
revoked:
  description: Every revoked certificate in the record.
  type: list
  elements: dict
  returned: success
  contains:
    serial:
      description: Serial number in lower-case hexadecimal digits, 32 or more.
      type: str
      sample: 5b2f9c0de1a34f7788d0c6ab9e31f542
    subject:
      description: Common name, or null.
      type: str
      sample: bob
    names:
      description: DNS names and IP addresses.
      type: list
      elements: str
      sample: [bob.example.org]
    not_after:
      description: End of the certificate's validity, UTC.
      type: str
      sample: "2027-03-04T12:00:00Z"
    revoked:
      description: When it was revoked, UTC.
      type: str
      sample: "2026-05-01T08:30:00Z"
    reason:
      description: Why.
      type: str
      sample: cessationOfOperation
"""

from ansible_collections.holdfast.registry.plugins.module_utils._module import DIRECTORY, PASSPHRASE, Call, Options, Result, entries, pem, run
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.crl import REASONS
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.revoke import parse_revocations, revoke

CERTIFICATE: Options = {
    "serial": {"type": "str"},
    "name": {"type": "str"},
    "certificate": pem(),
    "reason": {"type": "str", "choices": list(REASONS), "default": "unspecified"},
}
OPTIONS: Options = {
    "directory": DIRECTORY,
    "passphrase": PASSPHRASE,
    "certificates": entries(CERTIFICATE),
}


def work(call: Call) -> Result:
    params = call.parameters
    wanted = parse_revocations(params["certificates"])
    return revoke(params["directory"], wanted, passphrase=params["passphrase"], check_mode=call.check_mode, now=call.now)


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
