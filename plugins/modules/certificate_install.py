# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install signed certificates beside their keys."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_install
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
short_description: Install signed certificates beside their keys
description:
  - Runs on the host that uses the certificates. Writes what M(holdfast.registry.certificate_sign) returned as C(NAME.crt), mode 0644,
    the CA's certificate as C(ca.crt) and its CRL as C(ca.crl), mode 0644.
  - Refuses a certificate that does not match its key on this host or was not signed by the CA; then nothing is installed.
  - Where the certificate is for the key waiting as C(NAME.key.new), that key takes the place of C(NAME.key) with it.
requirements:
  - python3-cryptography (3.4 or newer) on the host
options:
  directory:
    description: Absolute path of the directory for keys and certificates, as in M(holdfast.registry.certificate_request).
    type: path
    required: true
  ca_certificate:
    description: Certificate of the CA that signed, in PEM form, or of several CAs that this host and its clients trust.
    type: str
    required: true
  crl:
    description: CRLs of these CAs in PEM form, as RV(holdfast.registry.ca#module:crl) holds them. Left out or empty, C(ca.crl) stays as it is.
    type: str
  certificates:
    description:
      - The certificates, as RV(holdfast.registry.certificate_sign#module:certificates) holds them.
      - None in the list, only C(ca.crt) and C(ca.crl) are kept right.
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
        description: Accepted so that a result can be passed on whole, and not looked at.
        type: str
      not_after:
        description: Accepted so that a result can be passed on whole, and not looked at.
        type: str
attributes:
  check_mode:
    support: full
    description: Says what a run would do and writes nothing. A key that C(certificate_request) would make first is taken as made.
  diff_mode:
    support: full
    description: Shows what is in the certificates before and after, never a key.
seealso:
  - module: holdfast.registry.certificate_request
  - module: holdfast.registry.certificate_sign
"""

EXAMPLES = r"""
- name: Install what was signed
  holdfast.registry.certificate_install:
    directory: /etc/holdfast/tls
    ca_certificate: "{{ ca.bundle }}"
    crl: "{{ ca.crl }}"
    certificates: "{{ signed.certificates }}"
  notify: Reload nginx
"""

RETURN = r"""
changes:
  description: Which files changed and why. Empty where none did.
  type: list
  elements: str
  returned: success
  sample: ["/etc/holdfast/tls/ca.crt: made", "/etc/holdfast/tls/registry.crt: made"]
"""

from ansible_collections.holdfast.registry.plugins.module_utils import x509_install
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.secret_module import SecretModule


def main() -> None:
    certificate = {
        "name": {"type": "str", "required": True},
        "certificate": {"type": "str", "required": True, "no_log": True},  # a private key may have been pasted here by mistake
        "serial": {"type": "str"},
        "not_after": {"type": "str"},
    }
    module = SecretModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "ca_certificate": {"type": "str", "required": True, "no_log": True},
            "crl": {"type": "str", "no_log": True},
            "certificates": {"type": "list", "elements": "dict", "options": certificate, "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        result = x509_install.ensure(params["directory"], params["certificates"], params["ca_certificate"], module.check_mode, params["crl"])
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
