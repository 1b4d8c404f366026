# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: secret
short_description: Read a secret from a file on the controller, made up once when it is missing
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Returns the content of a file on the controller without the line break at its end.
  - Where the file is missing or empty, it is written with random letters and digits, mode 0600. Missing directories are made with mode 0700.
  - Several processes that ask for the same missing secret at once get the same one.
  - A file that others than its owner may read is given mode 0600.
  - With C(--check) nothing is written or changed. A missing secret is then another random value each time.
    A lookup does not see the keyword C(check_mode) of a single task.
options:
  _terms:
    description: The paths of the files. Relative ones are below the directory of the playbook.
    type: list
    elements: path
    required: true
  length:
    description: How many characters a new secret has, from 16 to 128.
    type: int
    default: 32
"""

EXAMPLES = r"""
- name: A password for alice, the same on every run
  holdfast.registry.htpasswd:
    path: /etc/nginx/registry.htpasswd
    users:
      - name: alice
        password: "{{ lookup('holdfast.registry.secret', '~/.config/holdfast/alice') }}"

- name: A longer one
  ansible.builtin.set_fact:
    http_secret: "{{ lookup('holdfast.registry.secret', 'secrets/http', length=64) }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The secrets, one for each path.
  type: list
  elements: str
"""

import contextlib
import os
import secrets
import stat
import string
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.files import Ownership, atomic_write, locked, read_bytes, set_ownership

ALPHABET = string.ascii_letters + string.digits


def random_secret(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _character in range(length))


def read_secret(path: str) -> str | None:
    """The secret in a file, or None where the file is missing or has nothing in it."""
    content = read_bytes(path)
    if content is None or not content.strip():
        return None
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise HoldfastError(f"{path}: is not UTF-8 text") from None


def read_or_create(path: str, length: int) -> str:
    """The secret in a file that only its owner may read, made up where there is none."""
    secret = read_secret(path)
    if secret is None:
        make_private_directories(os.path.dirname(os.path.abspath(path)))
        with locked(path):
            # Another process may have been first.
            secret = read_secret(path)
            if secret is None:
                secret = random_secret(length)
                atomic_write(path, f"{secret}\n".encode(), Ownership(mode=0o600))
    elif os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        set_ownership(path, Ownership(mode=0o600))
    return secret


def make_private_directories(path: str) -> None:
    """Make a directory and its missing parents, each closed to everybody else."""
    if os.path.isdir(path):
        return
    make_private_directories(os.path.dirname(path))
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        length = self.get_option("length")
        if not 16 <= length <= 128:
            raise AnsibleError(f"secret lookup: length: {length} is not between 16 and 128")
        check_mode = (variables or {}).get("ansible_check_mode")
        return [self._secret(self._loader.path_dwim(term), length, check_mode) for term in terms]

    def _secret(self, path: str, length: int, check_mode: bool) -> str:
        try:
            if check_mode:
                return read_secret(path) or random_secret(length)
            return read_or_create(path, length)
        except HoldfastError as error:
            raise AnsibleError(f"secret lookup: {error}") from error
        except OSError as error:
            raise AnsibleError(f"secret lookup: {path}: {error.strerror}") from error
