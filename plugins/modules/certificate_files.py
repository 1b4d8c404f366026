# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install a certificate and key that you bring, if clients would accept them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_files
short_description: Install a certificate and key that you bring, if clients would accept them
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Takes a certificate with its chain and its private key, as text or from files on the host, and installs them as C(NAME.crt) and C(NAME.key).
  - Checks first that they belong together, that the chain is in order and leads to a trusted CA, that the names are covered, and that nothing has expired.
    If anything is wrong, the module fails and installs nothing.
  - A new key takes its place together with its certificate. A run that was killed in between is completed by the next one.
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.ownership
  - holdfast.registry.pki
options:
  directory:
    description: Absolute path of the directory for both files. If missing, it and its parents are created with mode 0755.
    type: path
    required: true
  name:
    description: Base name of the files. V(ca), V(ca-bundle), V(ca-chain) and V(ca-trust) are the CA's own files and refused.
    type: str
    default: registry
  certificate:
    description: The certificate in PEM form, and behind it those of the CAs between it and the root, each signed by the next.
    type: str
  certificate_source:
    description: Absolute path of a file on the host that holds the same.
    type: path
  key:
    description: The private key in PEM form, not encrypted. Keep it in a vault.
    type: str
  key_source:
    description: Absolute path of a file on the host that holds it.
    type: path
  server_names:
    description: DNS names and IP addresses under which clients reach the server. The certificate has to cover all of them and be valid for servers.
    type: list
    elements: str
    default: []
  ca_certificates:
    description:
      - Certificates of CAs in PEM form that clients trust, to one of which the chain has to lead.
      - If empty, it has to lead to a CA that the host's system trusts, as clients with a public CA's certificate need it.
    type: str
    default: ""
  mode:
    description: Mode of the key, in octal and in quotes. V("0640") lets its group read it; a mode that lets every user read it is refused.
    default: "0600"
  owner:
    description: Owner of the key, by name or number. Unchanged by default.
  group:
    description: Group of the key, by name or number. Unchanged by default.
attributes:
  diff_mode:
    details: Shows what is in the certificates before and after, and of a key its type.
seealso:
  - module: holdfast.registry.certificate_info
  - module: holdfast.registry.certificate_install
"""

EXAMPLES = r"""
- name: Install a certificate of the company's CA, with the key from a vault
  holdfast.registry.certificate_files:
    directory: /etc/holdfast/brought
    certificate: "{{ lookup('ansible.builtin.file', 'registry.pem') }}"
    key: "{{ vault_registry_key }}"
    ca_certificates: "{{ lookup('ansible.builtin.file', 'company-ca.pem') }}"
    server_names: [registry.example.org]

- name: Install what another program has put on the host, for a service that runs as a user of its own
  holdfast.registry.certificate_files:
    directory: /etc/holdfast/copied
    certificate_source: /etc/holdfast/tls/registry.crt
    key_source: /etc/holdfast/tls/registry.key
    ca_certificates: "{{ lookup('ansible.builtin.file', 'company-ca.pem') }}"
    server_names: [registry.example.org]
    group: www-data
    mode: "0640"
"""

RETURN = r"""
changes:
  description: Which files changed and why. Empty if none did.
  type: list
  elements: str
  returned: success
  sample: ["/etc/holdfast/brought/registry.key: made", "/etc/holdfast/brought/registry.crt: made"]
path:
  description: Path of the certificate.
  type: str
  returned: success
  sample: /etc/holdfast/brought/registry.crt
key_path:
  description: Path of the key.
  type: str
  returned: success
  sample: /etc/holdfast/brought/registry.key
not_after:
  description: End of validity, UTC, of the certificate or of one in its chain that ends earlier.
  type: str
  returned: success
  sample: "2027-03-04T12:00:00Z"
days_left:
  description: Whole days until then.
  type: int
  returned: success
  sample: 396
"""

from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._module import DIRECTORY, OWNERSHIP, Call, Options, Result, pem, run
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host import brought
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.wanted import check_key_mode

OPTIONS: Options = {
    "directory": DIRECTORY,
    "name": {"type": "str", "default": "registry"},
    "certificate": pem(),
    "certificate_source": {"type": "path"},
    "key": {"type": "str", "no_log": True},
    "key_source": {"type": "path", "no_log": False},
    "server_names": {"type": "list", "elements": "str", "default": []},
    "ca_certificates": {**pem(), "default": ""},
    **OWNERSHIP,
    "mode": {"type": "raw", "default": "0600"},
}


def work(call: Call) -> Result:
    check_key_mode(call.parameters["mode"], where="")
    ownership, warnings = Ownership.of_parameters(call.parameters, check_mode=call.check_mode)
    result = brought.ensure(call.parameters, ownership, call.run_program, check_mode=call.check_mode, now=call.now)
    return {**result, "warnings": warnings + result["warnings"]}


def main() -> None:
    run(
        work,
        OPTIONS,
        mutually_exclusive=[["certificate", "certificate_source"], ["key", "key_source"]],
        required_one_of=[["certificate", "certificate_source"], ["key", "key_source"]],
    )


if __name__ == "__main__":
    main()
