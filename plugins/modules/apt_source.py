# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have apt take packages from a repository that is signed with a certain key."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apt_source
short_description: Have apt take packages from a repository that is signed with a certain key
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Writes a source in deb822 format, C(sources.list.d/NAME.sources), and its key, C(keyrings/NAME.gpg), which apt trusts for this source alone.
  - Before that it checks the key by its fingerprint, and that it is neither expired nor revoked, and lets apt fetch the index of the repository with it into a
    temporary directory. If one of these fails, nothing is changed.
  - apt refuses to work if two files name one repository with different keys. Entries of others for it are commented out or are disabled. With
    O(state=absent) they come back. An entry that has more than this source, such as another component, is reported with file and line, and nothing is changed.
  - If a keyring in C(trusted.gpg.d) has the key too, there is a warning, since apt trusts it for every repository then.
  - Updates the lists of packages of this source when it has changed. The key is fetched only if the one on the host is not the right one.
requirements:
  - apt 2.1 or newer
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  name:
    description: Name of the source and of its keyring. It becomes a file name.
    type: str
    required: true
  state:
    description: Whether the source is there.
    type: str
    choices: [present, absent]
    default: present
  uris:
    description:
      - URLs of the repository, with C(http), C(https) or C(file). Needed with O(state=present).
      - A user name and a password belong into C(/etc/apt/auth.conf.d).
    type: list
    elements: str
    default: []
  suites:
    description: Its suites, such as V(trixie), or a path that ends with a slash. Needed with O(state=present).
    type: list
    elements: str
    default: []
  components:
    description: Its components, such as V(stable). Leave them out if O(suites) is a path.
    type: list
    elements: str
    default: []
  types:
    description: V(deb) for packages, V(deb-src) for their sources.
    type: list
    elements: str
    choices: [deb, deb-src]
    default: [deb]
  architectures:
    description: Architectures to fetch the lists of. By default those of the host.
    type: list
    elements: str
    default: []
  key:
    description: The key that the repository is signed with, as text in ASCII armor. One of O(key), O(key_url) and O(key_path) is needed with O(state=present).
    type: str
  key_url:
    description: The URL to fetch the key from. A user name, password or query in it is not shown.
    type: str
  key_path:
    description: The key as a file on the host, in ASCII armor or binary.
    type: path
  fingerprints:
    description:
      - The fingerprints of the keys, 40 hexadecimal digits each, as C(gpg --show-keys) prints them. Blanks are ignored. Needed with O(state=present).
      - The key must have exactly these. Take them from the documentation of the repository, not from the place of the key.
    type: list
    elements: str
    default: []
  directory:
    description: The directory of apt's configuration.
    type: path
    default: /etc/apt
  lock_timeout:
    description: Seconds to wait for other programs that use apt.
    type: int
    default: 300
attributes:
  check_mode:
    description: Fetches and checks the key and the index of the repository too, and changes nothing.
  diff_mode:
    description: Shows the lists before and after; of a keyring only the fingerprints.
"""

EXAMPLES = r"""
- name: Take Docker from a mirror of its repository
  holdfast.registry.apt_source:
    name: docker-ce
    uris: [http://mirror.example.com/debian]
    suites: [trixie]
    components: [stable]
    key_url: http://mirror.example.com/debian/gpg
    fingerprints: ["{{ docker_fingerprint }}"]

- name: Remove the source
  holdfast.registry.apt_source:
    name: docker-ce
    state: absent
"""

RETURN = r"""
source:
  description: The source, in deb822 format.
  returned: success
  type: str
  sample: /etc/apt/sources.list.d/docker-ce.sources
keyring:
  description: The keyring.
  returned: success
  type: str
  sample: /etc/apt/keyrings/docker-ce.gpg
reasons:
  description: A line for each change.
  returned: success
  type: list
  elements: str
  sample: ["/etc/apt/keyrings/docker-ce.gpg: added", "/etc/apt/sources.list.d/docker-ce.sources: added"]
"""

import os
import re
import typing as t

from ansible.module_utils.urls import open_url
from ansible_collections.holdfast.registry.plugins.module_utils import _urls
from ansible_collections.holdfast.registry.plugins.module_utils._apt import openpgp, source
from ansible_collections.holdfast.registry.plugins.module_utils._apt.sources import Repository
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, run, words
from ansible_collections.holdfast.registry.plugins.module_utils._names import check_file_name, check_no_nul

_TEXTS: dict[str, t.Any] = {"type": "list", "elements": "str", "default": []}
OPTIONS: Options = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "uris": _TEXTS,
    "suites": _TEXTS,
    "components": _TEXTS,
    "types": words(["deb", "deb-src"], ["deb"]),
    "architectures": _TEXTS,
    # A public key is no secret.
    "key": {"type": "str", "no_log": False},
    "key_url": {"type": "str", "no_log": False},
    "key_path": {"type": "path", "no_log": False},
    "fingerprints": _TEXTS,
    "directory": {"type": "path", "default": "/etc/apt"},
    "lock_timeout": {"type": "int", "default": 300},
}
_KEYS = ("key", "key_url", "key_path")
_SECONDS = 30
_SIZE_LIMIT = 1024 * 1024
# With a host that ends where it seems to, so that no error about it has a part of a password.
_URL = re.compile(r"https?://(?:[!\"$-.0->@-~]*@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:[/?#][!-~]*)?", re.IGNORECASE)
_FORMS = {
    "suites": (re.compile(r"[A-Za-z0-9._/~+-]+"), "a suite such as trixie"),
    "components": (re.compile(r"[A-Za-z0-9._/+-]+"), "a component such as stable"),
    "architectures": (re.compile(r"[a-z0-9-]+"), "an architecture such as amd64"),
}


def work(call: Call) -> Result:
    params = call.parameters
    _hide(call, params["key_url"] or "")
    check_file_name(params["name"], "name")
    for parameter in ("directory", "key_path"):
        check_no_nul(params[parameter] or "", parameter)
    if not os.path.isabs(params["directory"]):
        raise HoldfastError(f"directory: {params['directory']!r} is not an absolute path, such as /etc/apt")
    wanted = _read(call, params["state"] == "present")
    if params["state"] == "absent":
        return source.remove(wanted, check_mode=call.check_mode)
    return source.ensure(call.run_program, wanted, call.now, check_mode=call.check_mode)


def _read(call: Call, present: bool) -> source.Source:
    params = call.parameters
    if present:
        for name in ("uris", "suites", "fingerprints"):
            if not params[name]:
                raise HoldfastError(f"{name}: is empty, and state=present needs it")
    for number, uri in enumerate(params["uris"]):
        _check_uri(call, uri, f"uris[{number}]")
    for name, (form, right) in _FORMS.items():
        for number, text in enumerate(params[name]):
            if not form.fullmatch(text):
                raise HoldfastError(f"{name}[{number}]: {text!r} is not {right}")
    is_path = [suite.endswith("/") for suite in params["suites"]]
    if present and (any(is_path) if params["components"] else not all(is_path)):
        raise HoldfastError("components: go with suites that are names, and not with those that are paths, which end with a slash")
    given = [name for name in _KEYS if params[name] is not None]
    if present and len(given) != 1:
        raise HoldfastError(f"key, key_url and key_path: {'are given together' if given else 'none is given'}; use one of them")
    key = given[0] if given else "key"
    return source.Source(
        name=params["name"],
        directory=os.path.normpath(params["directory"]),
        repository=Repository(params["types"], params["uris"], params["suites"], params["components"]),
        architectures=params["architectures"],
        fingerprints=[openpgp.parse_fingerprint(text, f"fingerprints[{number}]") for number, text in enumerate(params["fingerprints"])],
        key_parameter=key,
        get_key=lambda: _get_key(key, params[key]),
        lock_timeout=params["lock_timeout"],
    )


def _hide(call: Call, url: str) -> None:
    """Keep a password or token in a URL out of all output, where the parameters are shown too."""
    for secret in _urls.secrets(url):
        call.hide(secret)
    query = re.search(r"\?.+", url)
    if query:
        call.hide(query[0])


def _check_uri(call: Call, uri: str, place: str) -> None:
    if re.match(r"[a-z+]+://[^/]*@", uri, re.IGNORECASE):
        _hide(call, uri)
        raise HoldfastError(f"{place}: must not have a user name or password; they belong into a file in /etc/apt/auth.conf.d")
    if not (_URL.fullmatch(uri) or re.fullmatch(r"file://[!-~]+", uri)):
        _hide(call, uri)
        raise HoldfastError(f"{place}: {_urls.masked(uri)!r} is not a URL such as https://download.docker.com/linux/debian")


def _get_key(parameter: str, value: str) -> bytes:
    if parameter == "key":
        return value.encode("utf-8", "surrogateescape")
    if parameter == "key_path":
        content = read_bytes(value)
        if content is None:
            raise HoldfastError(f"key_path: {value} does not exist on this host")
        return content
    if not _URL.fullmatch(value):
        raise HoldfastError(f"key_url: {_urls.masked(value)!r} is not a URL such as https://download.docker.com/linux/debian/gpg")
    # Ansible takes the first @ for the end of the password.
    url = re.sub(r"(?<=://)[^/?#]*(?=@)", lambda found: found[0].replace("@", "%40"), value, count=1)
    try:
        answer: bytes = open_url(url, timeout=_SECONDS).read(_SIZE_LIMIT)
    except Exception as error:
        raise HoldfastError(f"key_url: {_urls.masked(value)} cannot be fetched: {getattr(error, 'reason', None) or error}") from error
    return answer


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
