# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse an S3 store on which a registry would lose or mix up images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: object_store_probe
short_description: Refuse an S3 store on which a registry would lose or mix up images
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Does with an S3 store what a registry does, several times in parallel, and fails if the store shows something else than it has acknowledged. A
    registry asks at once for what it has written. A store that shows it a moment later, or that ignores a part of a request, breaks pushes and pulls.
  - The checks write, read, overwrite, list, copy and remove objects, begin, list, continue, complete and give up uploads in parts, and read ranges and
    signed URLs. If the name of the store has several addresses, requests go to them in turn, so that one host of the store that lags behind
    another is noticed.
  - Everything is written below C(holdfast-probe/) in the prefix and removed again, also what a probe that was killed has left an hour ago or longer.
  - The message says which check failed, what was seen and how often. A name that cannot be resolved, a refused connection, a failed verification of the
    certificate, a wrong key or secret, a missing permission, a wrong clock, bucket or region are each named as such.
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  stores:
    description: The stores, probed one after the other.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the messages call it, such as the name of the registry that uses it.
        type: str
        required: true
      endpoint:
        description: URL of the store, without the bucket. It begins with C(https://). C(http://) is only for stores on the host itself.
        type: str
        required: true
      region:
        description: Region that requests are signed for.
        type: str
        default: us-east-1
      bucket:
        description: The bucket. It must exist.
        type: str
        required: true
      prefix:
        description: Beginning of the names of all objects.
        type: str
        default: ""
      access_key:
        description: Name of a key that may list, read, write and delete below the prefix.
        type: str
        required: true
      secret_key:
        description: The secret of that key.
        type: str
        required: true
      ca_certificate:
        description: PEM certificate of the CA that signed the store's certificate. By default, or if empty, the system's CAs are trusted.
        type: str
        default: ""
      path_style:
        description: Whether the bucket is in the path of URLs, or else a part of the host.
        type: bool
        default: true
      encrypt:
        description: Have the store encrypt what is written, and fail if it does not say that it does.
        type: bool
        default: false
      key_id:
        description: Name of the store's key to encrypt with.
        type: str
        default: ""
  remember:
    description:
      - Record in C(/var/lib/holdfast/object-stores) what was found to be good, and do not probe it again until one of its settings changes.
    type: bool
    default: false
  parallel:
    description: How many checks run at the same time.
    type: int
    default: 6
  rounds:
    description: How often each of them runs.
    type: int
    default: 2
  seconds:
    description: Seconds within which the checks of a store must be done. Removing what they wrote may take 20 more.
    type: int
    default: 120
  timeout:
    description: Seconds that one request may make no progress.
    type: int
    default: 10
attributes:
  check_mode:
    description: Asks the store only for a list, with which it finds out about the connection, the key and the bucket, and writes nothing.
  diff_mode:
    description: Shows a line for each store that is recorded.
"""

EXAMPLES = r"""
- name: Refuse a store that lags or lies, before a registry is configured
  holdfast.registry.object_store_probe:
    stores:
      - name: registry
        endpoint: https://store.example.org:8333
        bucket: registry
        access_key: "{{ vault_store_key }}"
        secret_key: "{{ vault_store_secret }}"
        ca_certificate: "{{ lookup('ansible.builtin.file', 'store-ca.crt') }}"
    remember: true
"""

RETURN = r"""
probed:
  description: The names of the stores that were probed now. In check mode those that would be.
  returned: success
  type: list
  elements: str
  sample: [registry]
failures:
  description: The checks that failed.
  returned: when a check failed
  type: list
  elements: dict
  contains:
    store:
      description: The name of the store.
      type: str
      sample: registry
    check:
      description: The name of the check.
      type: str
      sample: list after write
    times:
      description: How often it failed.
      type: int
      sample: 12
    first:
      description: What was seen the first time.
      type: str
      sample: an object that was written just now is not listed (list version 1)
  sample:
    - store: registry
      check: list after write
      times: 12
      first: an object that was written just now is not listed (list version 1)
"""

from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Options, Result, entries, run
from ansible_collections.holdfast.registry.plugins.module_utils._s3.probe import Effort
from ansible_collections.holdfast.registry.plugins.module_utils._s3.stores import probe_all, wanted_stores

OPTIONS: Options = {
    "stores": entries(
        {
            "name": {"type": "str", "required": True},
            "endpoint": {"type": "str", "required": True},
            "region": {"type": "str", "default": "us-east-1"},
            "bucket": {"type": "str", "required": True},
            "prefix": {"type": "str", "default": ""},
            "access_key": {"type": "str", "required": True, "no_log": False},
            "secret_key": {"type": "str", "required": True, "no_log": True},
            "ca_certificate": {"type": "str", "default": "", "no_log": True},
            "path_style": {"type": "bool", "default": True},
            "encrypt": {"type": "bool", "default": False},
            "key_id": {"type": "str", "default": "", "no_log": False},
        }
    ),
    "remember": {"type": "bool", "default": False},
    "parallel": {"type": "int", "default": 6},
    "rounds": {"type": "int", "default": 2},
    "seconds": {"type": "int", "default": 120},
    "timeout": {"type": "int", "default": 10},
}


def work(call: Call) -> Result:
    parameters = call.parameters
    effort = Effort(**{key: parameters[key] for key in ("parallel", "rounds", "seconds", "timeout")})
    return probe_all(wanted_stores(parameters["stores"]), effort, remember=parameters["remember"], check_mode=call.check_mode)


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
