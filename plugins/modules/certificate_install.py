# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install signed certificates next to their keys."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_install
short_description: Install signed certificates next to their keys
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Runs on the host that uses the certificates. Writes what M(holdfast.registry.certificate_sign) returned as C(NAME.crt),
    the CA's certificate as C(ca.crt) and its CRL as C(ca.crl).
  - If a certificate does not match its key on this host or was not signed by the CA, the module fails and installs nothing.
  - If the certificate belongs to the new key C(NAME.key.new), that key replaces C(NAME.key) together with it.
    Its mode, owner and group are those that M(holdfast.registry.certificate_request) gave it.
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.ownership
  - holdfast.registry.pki
options:
  directory:
    description: Absolute path of the directory for keys and certificates, as in M(holdfast.registry.certificate_request).
    type: path
    required: true
  ca_certificate:
    description: Certificate of the CA that signed, in PEM form, or of several CAs that this host and its clients trust.
    type: str
    required: true
  chain:
    description:
      - The CA that signed and those between it and the root in O(ca_certificate), in PEM form and in this order, as RV(holdfast.registry.ca#module:chain)
        holds them. They are written behind each certificate. Empty for a CA that is its own root.
    type: str
  installed:
    description: Names of certificates that are in place and not among O(certificates). They get the O(chain) of today.
    type: list
    elements: str
    default: []
  crl:
    description: CRLs of these CAs in PEM form, as RV(holdfast.registry.ca#module:crl) holds them. If missing or empty, C(ca.crl) is not changed.
    type: str
  crl_der:
    description:
      - Also write the CRL of the CA that signs in DER form, as C(ca.crl.der). That is the form in which a web server has to offer the CRL that certificates
        name (O(holdfast.registry.certificate_sign#module:requests[].crl_url)).
    type: bool
    default: false
  certificates:
    description:
      - The certificates, as RV(holdfast.registry.certificate_sign#module:certificates) holds them.
      - With an empty list, only C(ca.crt) and C(ca.crl) are updated.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Base name of the files.
        type: str
        required: true
      certificate:
        description: The certificate in PEM form.
        type: str
        required: true
      serial:
        description: Accepted so that a result can be passed on as it is, and otherwise ignored.
        type: str
      not_after:
        description: Accepted so that a result can be passed on as it is, and otherwise ignored.
        type: str
  mode:
    description: Mode of the files with certificates and CRLs, in octal and in quotes. By default a file keeps its mode, and a new one gets V("0644").
  owner:
    description: Owner of these files, by name or number. Unchanged by default.
  group:
    description: Group of these files, by name or number. Unchanged by default.
attributes:
  check_mode:
    details: A key that M(holdfast.registry.certificate_request) would make first is assumed to exist.
  diff_mode:
    details: Shows what is in the certificates before and after, never a key.
seealso:
  - module: holdfast.registry.certificate_request
  - module: holdfast.registry.certificate_sign
"""

EXAMPLES = r"""
- name: Keep the CA
  holdfast.registry.ca:
    directory: /etc/holdfast/ca
  register: ca

- name: Make the key, and request its certificate
  holdfast.registry.certificate_request:
    directory: /etc/holdfast/tls
    ca_certificate: "{{ ca.certificate }}"
    certificates:
      - name: registry
        names: [registry.example.org, 192.0.2.10]
  register: requested

- name: Sign the request
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
  description: Which files changed and why. Empty if none did.
  type: list
  elements: str
  returned: success
  sample: ["/etc/holdfast/tls/ca.crt: made", "/etc/holdfast/tls/registry.crt: made"]
"""

from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._module import DIRECTORY, OWNERSHIP, Call, Options, Result, entries, pem, run
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host import install

CERTIFICATE: Options = {
    "name": {"type": "str", "required": True},
    "certificate": pem(required=True),
    "serial": {"type": "str"},
    "not_after": {"type": "str"},
}
OPTIONS: Options = {
    "directory": DIRECTORY,
    "ca_certificate": pem(required=True),
    "chain": pem(),
    "crl_der": {"type": "bool", "default": False},
    "installed": {"type": "list", "elements": "str", "default": []},
    "crl": pem(),
    "certificates": entries(CERTIFICATE),
    **OWNERSHIP,
}


def work(call: Call) -> Result:
    params = call.parameters
    ownership, warnings = Ownership.of_parameters(params, check_mode=call.check_mode)
    result = install.ensure(
        params["directory"],
        params["certificates"],
        ca_certificate=params["ca_certificate"],
        chain=params["chain"],
        names=params["installed"],
        crl_der=params["crl_der"],
        crl=params["crl"],
        ownership=ownership,
        check_mode=call.check_mode,
    )
    return {**result, "warnings": warnings}


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
