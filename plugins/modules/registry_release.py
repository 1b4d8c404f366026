# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install releases of the registry side by side."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_release
short_description: Install releases of the registry side by side
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Installs releases of CNCF Distribution, each as C(DIRECTORY/releases/VERSION/registry), and makes links to them.
    Another version of a registry is another target of its link.
  - An archive is used only if it has the checksum that is known or given. Its program must be a registry and say that it has the version
    that was asked for; it is asked as a user without rights. All releases are verified before the first change.
  - A release that is installed is not fetched again. If its program was changed since, it is installed again.
requirements:
  - setpriv of util-linux, and timeout and env of coreutils
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  directory:
    description: Absolute path of the directory with the links, and with the directory C(releases).
    type: path
    default: /opt/holdfast-registry
  releases:
    description: The releases. A version may be named more than once, with the same checksum. The first one says where it comes from.
    type: list
    elements: dict
    required: true
    suboptions:
      version:
        description: Version, such as V(3.1.2).
        type: str
        required: true
      url:
        description:
          - URL of the archive. C({version}) stands for the version, and C({arch}) for the architecture as upstream names it, such as V(amd64).
          - Upstream's own archive by default. Proxies are taken from the environment of the task.
        type: str
      archive:
        description:
          - Path of the archive on the controller, instead of O(releases[].url). A relative one is looked for like the O(ansible.builtin.copy#module:src)
            of M(ansible.builtin.copy).
          - It is sent to the host only if the release has to be installed.
        type: path
      checksum:
        description:
          - Checksum of the archive, C(sha256:) and 64 hexadecimal digits.
          - It must be set unless the collection knows the one of the release for the architecture of the host. Upstream publishes it in the file that is
            named like the archive with C(.sha256) at the end.
          - A release that was installed with another checksum is not replaced, but refused.
        type: str
      called:
        description: Names that error messages use instead of those of the parameters, such as the variables of a role.
        type: dict
        suboptions:
          version:
            description: Name for O(releases[].version).
            type: str
          url:
            description: Name for O(releases[].url).
            type: str
          archive:
            description: Name for O(releases[].archive).
            type: str
          checksum:
            description: Name for O(releases[].checksum).
            type: str
  links:
    description: Symbolic links in O(directory) to the programs of releases.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the link, up to 16 small letters, digits and C(_).
        type: str
        required: true
      version:
        description: Version of one of O(releases).
        type: str
        required: true
  prune:
    description: Remove releases that are not among O(releases), and links to releases that are not among O(links).
    type: bool
    default: false
attributes:
  check_mode:
    description: Fetches and verifies what would be installed, and predicts the changes. Refuses what a run would refuse.
  diff_mode:
    description: Shows a line for each change, and the targets of links.
notes:
  - With an archive that is needed, the module runs twice, before and after the archive is sent.
seealso:
  - name: Releases of CNCF Distribution
    description: Upstream's archives and their checksums.
    link: https://github.com/distribution/distribution/releases
"""

EXAMPLES = r"""
- name: Install a release from a file on the controller
  holdfast.registry.registry_release:
    releases:
      - version: 3.1.2
        archive: registry_3.1.2_linux_amd64.tar.gz
        checksum: sha256:{{ lookup('ansible.builtin.file', 'registry_3.1.2_linux_amd64.tar.gz.sha256') }}
    links:
      - {name: first, version: 3.1.2}

- name: Install an older release beside it, from a mirror of upstream's releases, and go back to it
  holdfast.registry.registry_release:
    releases:
      - version: 3.1.1
        url: http://mirror.example.com/distribution/v{version}/registry_{version}_linux_{arch}.tar.gz
        checksum: "{{ checksum_of_3_1_1 }}"
    links:
      - {name: first, version: 3.1.1}
"""

RETURN = r"""
changes:
  description: A line for each change, with the reason.
  returned: success
  type: list
  elements: str
  sample: ["/opt/holdfast-registry/first: points to releases/3.1.2/registry instead of releases/3.1.1/registry"]
installed:
  description: The versions that were installed or installed again.
  returned: success
  type: list
  elements: str
  sample: [3.1.2]
linked:
  description: The names of the links that were made or changed.
  returned: success
  type: list
  elements: str
  sample: [first]
removed:
  description: The versions that were removed.
  returned: success
  type: list
  elements: str
  sample: [3.1.1]
versions:
  description: The major version of each link. The configuration of the registry depends on it.
  returned: success
  type: dict
  sample:
    first: 3
"""

import os

from ansible_collections.holdfast.registry.plugins.module_utils._host import releases
from ansible_collections.holdfast.registry.plugins.module_utils._host.release_parameters import Wanted
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Options, Result, entries, run

NAMES = ("version", "url", "archive", "checksum")
RELEASE: Options = {
    "version": {"type": "str", "required": True},
    "url": {"type": "str"},
    # From the action plugin of the same name: where the archive is on the host, or "" as long as it has not been sent.
    "archive": {"type": "path"},
    "checksum": {"type": "str"},
    "called": {"type": "dict", "options": {name: {"type": "str"} for name in NAMES}},
}
OPTIONS: Options = {
    "directory": {"type": "path", "default": "/opt/holdfast-registry"},
    "releases": entries(RELEASE),
    "links": {**entries({"name": {"type": "str", "required": True}, "version": {"type": "str", "required": True}}), "required": False, "default": []},
    "prune": {"type": "bool", "default": False},
}


def work(call: Call) -> Result:
    return releases.manage(call.run_program, Wanted.of(call.parameters, os.uname().machine), call.check_mode)


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
