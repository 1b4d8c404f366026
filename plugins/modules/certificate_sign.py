# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign certificate signing requests with a CA."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_sign
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
short_description: Sign certificate signing requests with a CA
description:
  - Runs on the host that holds the CA of M(holdfast.registry.ca). Signs every request it is given, or, where one is refused, none.
  - A request is refused where its signature is wrong, where it asks for too long, for a kind of key or a usage that is
    not allowed, or for names outside O(allowed_names) or the CA's name constraints.
  - A certificate never outlives its CA; the module warns where it is cut short for that.
  - Every certificate signed is recorded as a line of JSON in C(issued.jsonl) in the CA's directory.
requirements:
  - python3-cryptography (3.4 or newer) on the host
options:
  directory:
    description: Absolute path of the CA's directory.
    type: path
    required: true
  passphrase:
    description: Opens the CA's key where it is encrypted.
    type: str
  requests:
    description: The requests, as RV(holdfast.registry.certificate_request#module:requests) holds them. None in the list, nothing happens.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the certificate. Comes back with it.
        type: str
        required: true
      csr:
        description: Certificate signing request in PEM form, with subject alternative names.
        type: str
        required: true
      needs:
        description: Reasons. Accepted so that a request can be passed on whole, and not looked at.
        type: list
        elements: str
      lifetime_days:
        description: Days from now that the certificate is to be valid.
        type: int
        default: 397
      usages:
        description: What the certificate is good for.
        type: list
        elements: str
        choices: [server, client]
        default: [server]
  max_lifetime_days:
    description: Longest lifetime to sign. Apple's clients refuse certificates for more than 825 days.
    type: int
    default: 825
  allowed_names:
    description:
      - Names to sign. C(*.example.org) for every name below a domain, an exact DNS name, an IP address or a network such as C(192.0.2.0/24).
      - The common name is held to it as well where the certificate is for a client, or where it could be the name of a host.
      - Left out or empty, every name is signed.
    type: list
    elements: str
  allowed_key_types:
    description: Types of keys to sign. Left out, all of them.
    type: list
    elements: str
    choices: [ec-p256, ec-p384, rsa-3072, rsa-4096, ed25519]
    default: [ec-p256, ec-p384, rsa-3072, rsa-4096, ed25519]
  allowed_usages:
    description: Usages to sign.
    type: list
    elements: str
    choices: [server, client]
    default: [server, client]
attributes:
  check_mode:
    support: full
    description:
      - Checks everything and signs in memory, but records nothing; the certificates it returns are of no use beyond the check run.
      - Where the CA is missing or has expired, it predicts a change and returns no certificates.
      - Names outside the CA's name constraints are a warning there, since the constraints may be about to change.
  diff_mode:
    support: full
    description: Shows the lines that go into the record.
seealso:
  - module: holdfast.registry.ca
  - module: holdfast.registry.certificate_request
  - module: holdfast.registry.certificate_install
  - module: holdfast.registry.certificate_revoke
"""

EXAMPLES = r"""
- name: Sign what the registry's host asks for
  holdfast.registry.certificate_sign:
    directory: /etc/holdfast/ca
    requests: "{{ requested.requests }}"
    allowed_names: ["*.example.org", 192.0.2.0/24]
    allowed_usages: [server]
  delegate_to: ca.example.org
  register: signed
"""

RETURN = r"""
certificates:
  description: The certificates signed, in the order of the requests.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name from the request.
      type: str
      sample: registry
    certificate:
      description: The certificate in PEM form.
      type: str
      sample: "-----BEGIN CERTIFICATE-----\nMIIB0z...\n-----END CERTIFICATE-----\n"
    serial:
      description: Its serial number, 32 hexadecimal digits.
      type: str
      sample: 5b2f9c0de1a34f7788d0c6ab9e31f542
    not_after:
      description: End of its validity, UTC.
      type: str
      sample: "2027-03-04T12:00:00Z"
"""

from ansible_collections.holdfast.registry.plugins.module_utils import x509_sign
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.secret_module import SecretModule
from ansible_collections.holdfast.registry.plugins.module_utils.x509 import KEY_TYPES, USAGES, current_time


def main() -> None:
    request = {
        "name": {"type": "str", "required": True},
        "csr": {"type": "str", "required": True, "no_log": True},  # a private key may have been pasted here by mistake
        "needs": {"type": "list", "elements": "str"},
        "lifetime_days": {"type": "int", "default": 397},
        "usages": {"type": "list", "elements": "str", "choices": list(USAGES), "default": ["server"]},
    }
    module = SecretModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "passphrase": {"type": "str", "no_log": True},
            "requests": {"type": "list", "elements": "dict", "options": request, "required": True},
            "max_lifetime_days": {"type": "int", "default": 825},
            "allowed_names": {"type": "list", "elements": "str"},
            "allowed_key_types": {"type": "list", "elements": "str", "choices": list(KEY_TYPES), "default": list(KEY_TYPES), "no_log": False},
            "allowed_usages": {"type": "list", "elements": "str", "choices": list(USAGES), "default": list(USAGES)},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        policy = x509_sign.Policy.of(params["max_lifetime_days"], params["allowed_names"], params["allowed_key_types"], params["allowed_usages"])
        result = x509_sign.sign(params["directory"], params["passphrase"], params["requests"], policy, module.check_mode, current_time())
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
