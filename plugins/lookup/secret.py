# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a secret from a file on the controller, made up once when it is missing."""

from __future__ import annotations

DOCUMENTATION = r"""
name: secret
short_description: Read a secret from a file on the controller, generated once if missing
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Returns the content of a file on the controller without the line break at its end, or a hash of it.
  - If the file is missing or empty, random letters and digits are written to it, with mode 0600. Missing directories are created with mode 0700.
  - Several processes that ask for the same missing secret at once get the same one.
  - A file that is readable by others is set to mode 0600. The target of a symbolic link keeps its mode.
  - A file that belongs to neither root nor the current user is refused.
  - A file that is encrypted with Ansible Vault is decrypted with the passwords that Ansible was given, so secrets can be kept in a repository.
    Generated secrets are written in clear text; encrypt them with C(ansible-vault encrypt).
  - With C(--check) nothing is written or changed, and a missing secret or hash is a new random value each time.
    Lookups do not see the keyword C(check_mode) of a single task.
options:
  _terms:
    description: The paths of the files. Relative ones are below the directory of the playbook.
    type: list
    elements: path
    required: true
  length:
    description: Length of a new secret in characters, from 16 to 128; at most 72 with O(hash).
    type: int
    default: 32
  hash:
    description:
      - Return a hash of the secret instead of the secret itself, for O(holdfast.registry.htpasswd#module:users[].password_hash).
        An unchanged run then compares hashes instead of verifying each password.
      - The hash is kept next to the secret in C(FILE.hash), mode 0600, and made again when the secret or O(bcrypt_cost) has changed.
        It makes a weak secret quicker to guess, so if secrets are encrypted, encrypt it too.
      - With several paths, hashes are made on all cores.
    type: str
    choices: [bcrypt]
  bcrypt_cost:
    description: The cost of the hash, from 4 to 17. Each step doubles the time of a guess, and of every verification by the server.
    type: int
    default: 10
requirements:
  - python3-bcrypt for O(hash), if crypt(3) does not support bcrypt, as on macOS
"""

EXAMPLES = r"""
- name: A password for alice, the same on every run
  holdfast.registry.htpasswd:
    path: /etc/nginx/registry.htpasswd
    users:
      - name: alice
        password: "{{ lookup('holdfast.registry.secret', '~/.config/holdfast/alice') }}"

- name: The same, as a hash, so that an unchanged run has no password to verify
  holdfast.registry.htpasswd:
    path: /etc/nginx/registry.htpasswd
    users:
      - name: alice
        password_hash: "{{ lookup('holdfast.registry.secret', '~/.config/holdfast/alice', hash='bcrypt', bcrypt_cost=12) }}"

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

import os
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.hashes import LONGEST_PASSWORD
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.users import check_cost
from ansible_collections.holdfast.registry.plugins.plugin_utils import secret_files


class Wanted(t.NamedTuple):
    """The options of a lookup."""

    length: int
    hash: str | None
    bcrypt_cost: int


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[str]:
        base: t.Any = self  # which has no types
        base.set_options(var_options=variables, direct=kwargs)
        wanted = Wanted(*(base.get_option(name) for name in Wanted._fields))
        check_mode = bool((variables or {}).get("ansible_check_mode"))
        paths = [base._loader.path_dwim(term) for term in terms]
        work = _foretell if check_mode else _make
        try:
            _check(wanted)
            # bcrypt works without Python's global lock.
            with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
                return list(pool.map(lambda path: work(path, wanted, self._decrypted), paths))
        except HoldfastError as error:
            raise AnsibleError(f"secret lookup: {error}") from error
        except OSError as error:
            raise AnsibleError(f"secret lookup: {error.filename}: {error.strerror}") from error

    def _decrypted(self, path: str) -> bytes:
        """The content of a file that is encrypted with Ansible Vault. Raises HoldfastError without the right password."""
        base: t.Any = self
        try:
            with open(base._loader.get_real_file(path), "rb") as handle:
                return handle.read()
        except AnsibleError as error:
            raise HoldfastError(f"{path}: is encrypted with Ansible Vault, and cannot be decrypted: {error}") from error


def _check(wanted: Wanted) -> None:
    longest = LONGEST_PASSWORD if wanted.hash else 128
    if not 16 <= wanted.length <= longest:
        raise HoldfastError(f"length: {wanted.length} is not between 16 and {longest}")
    check_cost(wanted.bcrypt_cost)


def _foretell(path: str, wanted: Wanted, decrypt: secret_files.Decrypt) -> str:
    if wanted.hash:
        return secret_files.read_hash(path, wanted.bcrypt_cost, decrypt) or secret_files.unmade_hash(wanted.bcrypt_cost)
    return secret_files.read_secret(path, decrypt) or secret_files.random_secret(wanted.length)


def _make(path: str, wanted: Wanted, decrypt: secret_files.Decrypt) -> str:
    if wanted.hash:
        return secret_files.read_or_create_hash(path, wanted.length, wanted.bcrypt_cost, decrypt)
    return secret_files.read_or_create(path, wanted.length, decrypt)
