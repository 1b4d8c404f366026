# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign certificate signing requests with a CA."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_sign
short_description: Sign certificate signing requests with a CA
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Runs on the host that holds the CA of M(holdfast.registry.ca). Signs all requests, or none if one of them is refused.
  - A request is refused if its signature is wrong, or if it asks for a lifetime, key type or usage that is
    not allowed, or for names outside O(allowed_names), O(allowed_common_names) or the CA's name constraints.
  - It is also refused if it asks for anything that the certificate would not contain, such as the rights of a CA, usages other than
    O(requests[].usages) or further extensions, and if its RSA key has a small exponent or is the CA's own key.
    Only the common name of the subject is used; the module warns if there is more.
  - A certificate never outlives its CA; the module warns if the lifetime is shortened for that reason.
  - Each signed certificate is recorded as a line of JSON in C(issued.jsonl) in the CA's directory.
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.pki
  - holdfast.registry.pki.authority
options:
  requests:
    description: The requests, as RV(holdfast.registry.certificate_request#module:requests) holds them. With an empty list nothing happens.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the certificate. Returned with it.
        type: str
        required: true
      csr:
        description: Certificate signing request in PEM form, with subject alternative names.
        type: str
        required: true
      needs:
        description: Reasons. Accepted so that a request can be passed on as it is, and otherwise ignored.
        type: list
        elements: str
      crl_url:
        description: URL of the CRL that the certificate names (CRL distribution point), such as V(http://registry.example.org/ca.crl). None if empty.
        type: str
        default: ""
      lifetime_days:
        description: Days for which the certificate is valid.
        type: int
        default: 397
      usages:
        description: Purposes of the certificate.
        type: list
        elements: str
        choices: [server, client]
        default: [server]
  max_lifetime_days:
    description: Longest lifetime that is signed. Apple's clients refuse certificates for more than 825 days.
    type: int
    default: 825
  allowed_names:
    description:
      - Names that may be signed, as C(*.example.org) for every name below a domain, an exact DNS name, an IP address or a network such as C(192.0.2.0/24).
      - This applies to the common name as well. That of a client must be in the list with the same capitalisation, since servers compare it exactly.
      - By default every name is signed.
    type: list
    elements: str
  allowed_common_names:
    description:
      - Exact common names that may be signed in addition to O(allowed_names), such as those of users.
      - Without O(allowed_names), DNS names and IP addresses are not limited, but only these common names are signed.
    type: list
    elements: str
  allowed_key_types:
    description: Key types that may be signed. All by default.
    type: list
    elements: str
    choices: [ec-p256, ec-p384, rsa-3072, rsa-4096, ed25519]
    default: [ec-p256, ec-p384, rsa-3072, rsa-4096, ed25519]
  allowed_usages:
    description: Usages that may be signed.
    type: list
    elements: str
    choices: [server, client]
    default: [server, client]
attributes:
  check_mode:
    details:
      - Checks everything and signs in memory, but records nothing; do not use the certificates it returns.
      - If the CA is missing or has expired, it predicts a change and returns no certificates.
      - Names outside the CA's name constraints are a warning there, since the constraints may be about to change.
  diff_mode:
    details: Shows the lines that go into the record.
seealso:
  - module: holdfast.registry.ca
  - module: holdfast.registry.certificate_request
  - module: holdfast.registry.certificate_install
  - module: holdfast.registry.certificate_revoke
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

- name: Sign what this host may ask for, and nothing else
  holdfast.registry.certificate_sign:
    directory: /etc/holdfast/ca
    requests: "{{ requested.requests }}"
    allowed_names: ["*.example.org", 192.0.2.0/24]
    allowed_usages: [server]
    max_lifetime_days: 397
  register: signed
"""

RETURN = r"""
certificates:
  description: The signed certificates, in the order of the requests.
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
      description: Its serial number in lower-case hexadecimal digits, 32 of them.
      type: str
      sample: 5b2f9c0de1a34f7788d0c6ab9e31f542
    not_after:
      description: End of its validity, UTC.
      type: str
      sample: "2027-03-04T12:00:00Z"
"""

from ansible_collections.holdfast.registry.plugins.module_utils._module import DIRECTORY, PASSPHRASE, Call, Options, Result, entries, pem, run, words
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.policy import Policy
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.sign import sign
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import KEY_TYPES
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import USAGES

REQUEST: Options = {
    "name": {"type": "str", "required": True},
    "csr": pem(required=True),
    "needs": {"type": "list", "elements": "str"},
    "crl_url": {"type": "str", "default": ""},
    "lifetime_days": {"type": "int", "default": 397},
    "usages": words(USAGES, default=["server"]),
}
OPTIONS: Options = {
    "directory": DIRECTORY,
    "passphrase": PASSPHRASE,
    "requests": entries(REQUEST),
    "max_lifetime_days": {"type": "int", "default": 825},
    "allowed_names": {"type": "list", "elements": "str"},
    "allowed_common_names": {"type": "list", "elements": "str"},
    "allowed_key_types": words(KEY_TYPES, default=KEY_TYPES),
    "allowed_usages": words(USAGES, default=USAGES),
}


def work(call: Call) -> Result:
    params = call.parameters
    return sign(
        params["directory"],
        params["requests"],
        Policy.of(params),
        passphrase=params["passphrase"],
        check_mode=call.check_mode,
        now=call.now,
    )


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
