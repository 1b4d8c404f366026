# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign a certificate authority with the one above it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ca_sign
short_description: Sign a certificate authority with the one above it
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Signs the request of a CA that M(holdfast.registry.ca) keeps below another one (RV(holdfast.registry.ca#module:csr)), with the key of that other one,
    usually a root that is offline otherwise. Run it where that key is, such as on the controller.
  - Only subject and key are taken from the request. The certificate is a CA's that may sign no further CA.
  - Also signs a CRL of the parent that lists nothing and lasts as long as the parent. To revoke the CA below, sign a CRL with the tool the root is kept
    with and give it to M(holdfast.registry.ca) as O(holdfast.registry.ca#module:parent_crl).
  - Writes no file and keeps no record. Each run signs another certificate.
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.pki
options:
  certificate:
    description: Certificate of the CA that signs, in PEM form.
    type: str
    required: true
  key_path:
    description: Absolute path of its private key.
    type: path
    required: true
  passphrase:
    description: Passphrase of that key.
    type: str
  csr:
    description: The request, in PEM form. In check mode it may be empty.
    type: str
    required: true
  common_name:
    description: The common name that the request must have. Any if missing.
    type: str
  lifetime_days:
    description: Days for which the certificate is valid. It never outlives the CA that signs.
    type: int
    default: 3650
  permitted_dns_domains:
    description: Domains in which the CA may sign names, such as V(example.org) (name constraints). Any domain if empty.
    type: list
    elements: str
  permitted_ip_ranges:
    description: IP networks in which the CA may sign addresses, such as V(192.0.2.0/24).
    type: list
    elements: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the name and the end of the certificate.
seealso:
  - module: holdfast.registry.ca
"""

EXAMPLES = r"""
- name: Keep a CA below a root
  holdfast.registry.ca:
    directory: /etc/holdfast/intermediate-ca
    parent_certificate: "{{ lookup('ansible.builtin.file', '~/root/root.crt') }}"
  register: ca

- name: Sign it with the root's key, which is on the controller for this moment
  holdfast.registry.ca_sign:
    certificate: "{{ lookup('ansible.builtin.file', '~/root/root.crt') }}"
    key_path: ~/root/root.key
    csr: "{{ ca.csr }}"
  delegate_to: localhost
  register: signed
  when: ca.csr != ''

- name: Give the CA its certificate
  holdfast.registry.ca:
    directory: /etc/holdfast/intermediate-ca
    parent_certificate: "{{ lookup('ansible.builtin.file', '~/root/root.crt') }}"
    parent_crl: "{{ signed.crl }}"
    signed_certificate: "{{ signed.certificate }}"
  when: ca.csr != ''
"""

RETURN = r"""
certificate:
  description: The certificate of the CA below, in PEM form. Empty in check mode without a request.
  type: str
  returned: success
  sample: "-----BEGIN CERTIFICATE-----\nMIIBmj...\n-----END CERTIFICATE-----\n"
crl:
  description: CRL of the CA that signed, in PEM form.
  type: str
  returned: success
  sample: "-----BEGIN X509 CRL-----\nMIHkMI...\n-----END X509 CRL-----\n"
serial:
  description: Serial number of the certificate in lower-case hexadecimal digits.
  type: str
  returned: success
  sample: 5b2f9c0de1a34f7788d0c6ab9e31f542
not_after:
  description: End of its validity, UTC.
  type: str
  returned: success
  sample: "2036-01-31T12:00:00Z"
"""

from ansible_collections.holdfast.registry.plugins.module_utils._module import PASSPHRASE, Call, Options, Result, pem, run
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.parent import sign_ca
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import constraints_of_parameters

OPTIONS: Options = {
    "certificate": pem(required=True),
    "key_path": {"type": "path", "required": True, "no_log": False},
    "passphrase": PASSPHRASE,
    "csr": pem(required=True),
    "common_name": {"type": "str"},
    "lifetime_days": {"type": "int", "default": 3650},
    "permitted_dns_domains": {"type": "list", "elements": "str"},
    "permitted_ip_ranges": {"type": "list", "elements": "str"},
}


def work(call: Call) -> Result:
    params = call.parameters
    constraints = constraints_of_parameters(params["permitted_dns_domains"], params["permitted_ip_ranges"])
    if call.check_mode and not params["csr"]:  # the request is only predicted
        return {"changed": False, **dict.fromkeys(("certificate", "crl", "serial", "not_after"), "")}
    return sign_ca(
        params["certificate"],
        params["key_path"],
        params["csr"],
        passphrase=params["passphrase"],
        wanted_name=params["common_name"],
        lifetime_days=params["lifetime_days"],
        constraints=constraints,
        now=call.now,
    )


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
