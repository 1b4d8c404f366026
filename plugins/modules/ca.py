# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make and renew a certification authority."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ca
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
short_description: Make and renew a certification authority
description:
  - Keeps a certification authority (CA) of your own in one directory of one host, as C(ca.key) and C(ca.crt).
  - A renewal keeps the key, so certificates signed before stay valid as long as O(common_name) stays the same.
  - Sign certificates with M(holdfast.registry.certificate_sign); have hosts trust the CA with M(holdfast.registry.ca_trust).
requirements:
  - python3-cryptography (3.4 or newer) on the host
options:
  directory:
    description:
      - Absolute path of the directory that holds the CA. Made with mode 0700 where it is missing, its parents with 0755.
    type: path
    required: true
  common_name:
    description: Name of the CA, 1 to 64 characters. A new name issues the CA's certificate again, and every certificate signed by it has to be signed again.
    type: str
    default: Holdfast registry CA
  key_type:
    description: Type of the key. The key of a CA that is there is never replaced; another type is refused then.
    type: str
    choices: [ec-p256, ec-p384, rsa-3072, rsa-4096, ed25519]
    default: ec-p256
  passphrase:
    description:
      - Encrypts the key. A key that is there and is not encrypted gets encrypted.
      - To change the passphrase of an encrypted key use C(openssl pkey -aes256).
    type: str
  lifetime_days:
    description: Days from now that a new CA certificate is valid. Must be greater than O(renew_before_days).
    type: int
    default: 3650
  renew_before_days:
    description: Renew the CA's certificate when it has this many days left, or fewer.
    type: int
    default: 90
  permitted_dns_domains:
    description:
      - Domains the CA is limited to, with the names below them (critical name constraints). Clients refuse its certificates for other DNS names.
      - Left out or empty, the CA may sign every name. IP addresses are not limited by this.
    type: list
    elements: str
attributes:
  check_mode:
    support: full
    description: Says what a run would do and writes nothing. For a CA that is missing, RV(certificate) is one of a key that is thrown away.
  diff_mode:
    support: full
    description: Shows the type of the key and what is in the certificate, never the key.
seealso:
  - module: holdfast.registry.certificate_request
  - module: holdfast.registry.certificate_sign
"""

EXAMPLES = r"""
- name: Keep a CA
  holdfast.registry.ca:
    directory: /etc/holdfast/ca

- name: Keep a CA with an encrypted key that is good for one domain only
  holdfast.registry.ca:
    directory: /etc/holdfast/ca
    common_name: Example registry CA
    passphrase: "{{ ca_passphrase }}"
    permitted_dns_domains: [example.org]
  register: ca
"""

RETURN = r"""
needs:
  description: Why something changed. Empty where nothing did.
  type: list
  elements: str
  returned: success
  sample: [expires in 89 days]
certificate:
  description: The CA's certificate in PEM form. Empty in check mode where both the CA and python3-cryptography are missing.
  type: str
  returned: success
  sample: "-----BEGIN CERTIFICATE-----\nMIIBmj...\n-----END CERTIFICATE-----\n"
path:
  description: Path of the CA's certificate.
  type: str
  returned: success
  sample: /etc/holdfast/ca/ca.crt
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.registry.plugins.module_utils import x509_ca
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.x509 import KEY_TYPES, current_time


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "common_name": {"type": "str", "default": "Holdfast registry CA"},
            "key_type": {"type": "str", "choices": list(KEY_TYPES), "default": "ec-p256"},
            "passphrase": {"type": "str", "no_log": True},
            "lifetime_days": {"type": "int", "default": 3650},
            "renew_before_days": {"type": "int", "default": 90},
            "permitted_dns_domains": {"type": "list", "elements": "str"},
        },
        supports_check_mode=True,
    )
    try:
        result = x509_ca.ensure(x509_ca.Wanted.of(module.params), module.check_mode, current_time())
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
