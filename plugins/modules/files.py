# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write all files of a service in one task, with its packages and users before and its units after."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Write all files of a service in one task, with its packages and users before and its units after
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Renders templates on the controller and sends all files of a service in one task.
  - Errors in options are found before anything is changed, and all about files before the first of them is written.
  - Each file is written next to its target, flushed to the disk and renamed.
  - A configuration that spans several files can be tested as a whole before any of them takes effect.
  - Templates are rendered as by M(ansible.builtin.template), and looked for in the same places.
  - With O(packages) and O(users) it installs packages, and makes the users that own the files or that the services run as, before it writes the first file.
  - With O(services) and O(remove_others) it does afterwards what M(holdfast.registry.services) does, which saves a task. If that fails, the files have been
    written, and the next run goes on from there.
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.services
options:
  packages:
    description: Packages, installed before anything else is done, as M(holdfast.registry.packages) does it.
    type: dict
    suboptions:
      names:
        description: Names of the packages.
        type: list
        elements: str
        required: true
      keep_stopped:
        description: Units that the packages would start by themselves, and that are not to run. Applies to those that this run installs.
        type: list
        elements: str
        default: []
  users:
    description:
      - System users, made before the first file is written, each with a group of the same name, without a home, a shell and a password.
      - Processes get their groups when they start. RV(joined) says for whom services may have to be reloaded.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user.
        type: str
        required: true
      groups:
        description: Groups to join, which exist or are those of users before this one. A user stays in those that it is in.
        type: list
        elements: str
        default: []
  directories:
    description: Directories, created with missing parents. Existing ones get the owner, group and mode.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      owner:
        description: Owner.
        type: str
        default: root
      group:
        description: Group.
        type: str
        default: root
      mode:
        description: Mode, as an octal number in quotes.
        type: str
        default: "0755"
      purge:
        description: Pattern of files, such as V(*.conf). Matching files in the directory that this task does not write are removed.
        type: str
  files:
    description: Files, each with one of O(files[].template), O(files[].src) and O(files[].content).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the host. Its directory must exist or be one of O(directories).
        type: path
        required: true
      template:
        description: Name of a template in the role or next to the playbook.
        type: str
      src:
        description: Name of a text file on the controller, in the role or next to the playbook.
        type: str
      content:
        description: The content itself. A list or dictionary is written as JSON.
        type: raw
      vars:
        description: Additional variables for O(files[].template).
        type: dict
      owner:
        description: Owner.
        type: str
        default: root
      group:
        description: Group.
        type: str
        default: root
      mode:
        description: Mode, as an octal number in quotes.
        type: str
        default: "0644"
      secret:
        description: Never show the content, in diffs or at any verbosity.
        type: bool
        default: false
      keep:
        description: Keep the content of an existing file that is not empty. For values that are generated once.
        type: bool
        default: false
      original:
        description:
          - Absolute path of a copy of what somebody else has written there, made before it is replaced, with its owner, group and mode.
          - Somebody else's is a file whose first two lines are not those of the new content. An existing copy is kept.
        type: path
  links:
    description: Symbolic links.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path of the link.
        type: path
        required: true
      target:
        description: What it points to.
        type: str
        required: true
  absent:
    description: Files, links and empty directories to remove. A directory that is not empty stays.
    type: list
    elements: path
    default: []
  validate:
    description: Test the future state of a directory before the first change is made.
    type: dict
    suboptions:
      directory:
        description: Directory that holds the configuration.
        type: path
        required: true
      command:
        description:
          - Command that tests it, run without a shell. C(%s) stands for a copy of the directory, in which the directory's own path is replaced.
          - In check mode a command that is missing on the host causes a warning.
        type: str
        required: true
      certificates:
        description:
          - Certificates that clients have to accept, such as those that the configuration names. M(holdfast.registry.certificate_info) says what is checked.
          - They are read before a user is made or a file is written, even if none is to change. The host needs the Python library cryptography.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Absolute path of the certificate, or of the certificate and its chain.
            type: path
            required: true
          key:
            description: Absolute path of its private key. Defaults to the file next to it with the extension C(.key), if there is one.
            type: path
          server_names:
            description: DNS names and IP addresses that the certificate has to cover.
            type: list
            elements: str
            default: []
          setting:
            description: Setting that the error message names.
            type: str
attributes:
  check_mode:
    description: Predicts what would change and changes nothing. Owners and groups that do not exist yet, and are not those of O(users), cause a warning.
  diff_mode:
    description: Shows every file before and after, except secret ones.
seealso:
  - module: holdfast.registry.services
"""

EXAMPLES = r"""
- name: Install a cache, write its configuration, and run it with that
  holdfast.registry.files:
    packages:
      names: [redis-server]
      keep_stopped: [redis-server.service]
    directories:
      - {path: /etc/redis, owner: root, group: redis, mode: "0750"}
    files:
      - template: redis.conf.j2
        path: /etc/redis/redis-registry.conf
        group: redis
        mode: "0640"
      - content: "requirepass {{ redis_password }}\n"
        path: /etc/redis/redis-registry.password.conf
        group: redis
        mode: "0640"
        secret: true
    services:
      - name: redis-server@registry.service
        restart_on: [/etc/redis/redis-registry.conf, /etc/redis/redis-registry.password.conf]
        answers: {port: 6380}

- name: Write the configuration of a gateway with a user of its own, which nginx tests as a whole
  holdfast.registry.files:
    users:
      - {name: gateway}
    directories:
      - {path: /etc/gateway, purge: "*.conf"}
    files:
      - {template: nginx.conf.j2, path: /etc/gateway/nginx.conf}
      - {template: upstream.conf.j2, path: /etc/gateway/upstream.conf}
    validate:
      directory: /etc/gateway
      command: nginx -t -q -c %s/nginx.conf
"""

RETURN = r"""
changes:
  description: A line for each package, user and path that changed, with what changed about it.
  returned: success, and where a service fails
  type: list
  elements: str
  sample: ["/etc/redis/redis-registry.conf: content changed"]
paths:
  description: The paths that changed, or in check mode would change.
  returned: success, and where a service fails
  type: list
  elements: str
  sample: [/etc/redis/redis-registry.conf]
joined:
  description: The users that joined a group, or were made as members of one.
  returned: success, and where a service fails
  type: list
  elements: str
  sample: [gateway]
services:
  description: What was done with each service. This and the following are described with M(holdfast.registry.services).
  returned: with O(services) or O(remove_others)
  type: list
  elements: dict
removed:
  description: The units of O(remove_others) that were removed.
  returned: with O(services) or O(remove_others)
  type: list
  elements: dict
reasons:
  description: Why something was done, by the unit's name.
  returned: with O(services) or O(remove_others)
  type: dict
drained:
  description: Whether the host was taken out of service by O(drain).
  returned: with O(services) or O(remove_others)
  type: bool
"""


import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._host import packages, sent_files, service_parameters, system_users
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, run

_USUAL: dict[str, t.Any] = {"unless_command": [], "cache_valid_time": 86400, "lock_timeout": 300}


def _options() -> Options:
    ownership = {"owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"}}
    directory = {"path": {"type": "path", "required": True}, **ownership, "mode": {"type": "str", "default": "0755"}, "purge": {"type": "str"}}
    file = {
        "path": {"type": "path", "required": True},
        "template": {"type": "str"},
        "src": {"type": "str"},
        "content": {"type": "raw", "no_log": True},
        "vars": {"type": "dict"},
        **ownership,
        "mode": {"type": "str", "default": "0644"},
        "secret": {"type": "bool", "default": False, "no_log": False},
        "keep": {"type": "bool", "default": False},
        "original": {"type": "path"},
    }
    link = {"path": {"type": "path", "required": True}, "target": {"type": "str", "required": True}}
    packages_options = {
        "names": {"type": "list", "elements": "str", "required": True},
        "keep_stopped": {"type": "list", "elements": "str", "default": []},
    }
    certificate = {
        "path": {"type": "path", "required": True},
        "key": {"type": "path", "no_log": False},
        "server_names": {"type": "list", "elements": "str", "default": []},
        "setting": {"type": "str"},
    }
    validate = {
        "directory": {"type": "path", "required": True},
        "command": {"type": "str", "required": True},
        "certificates": {"type": "list", "elements": "dict", "options": certificate, "default": []},
    }
    user = {"name": {"type": "str", "required": True}, "groups": {"type": "list", "elements": "str", "default": []}}
    return {
        "packages": {"type": "dict", "options": packages_options},
        "users": {"type": "list", "elements": "dict", "options": user, "default": []},
        "directories": {"type": "list", "elements": "dict", "options": directory, "default": []},
        "files": {"type": "list", "elements": "dict", "options": file, "default": []},
        "links": {"type": "list", "elements": "dict", "options": link, "default": []},
        "absent": {"type": "list", "elements": "path", "default": []},
        "validate": {"type": "dict", "options": validate},
        **service_parameters.OPTIONS,
    }


def work(call: Call) -> Result:
    check_contents(call)
    services, wanted_packages = service_parameters.Asked(call), read_packages(call.parameters["packages"])
    users = system_users.read(call.parameters["users"])
    # What is wrong with the files is found before anything is changed. Their owners may be yet to come, any of them with the packages.
    coming = {user.name for user in users}
    sent_files.Wanted.of(call.parameters, call.check_mode or wanted_packages is not None, coming)
    done: Result = {"changed": False, "changes": [], "paths": [], "joined": [], "diff": [], "warnings": [], "invocation": {}}
    try:
        if wanted_packages:
            add(done, install_packages(call, wanted_packages))
        # In check mode the library that reads them may be among the packages.
        if not (call.check_mode and done["changed"]):
            check_certificates(call)
        for step in system_users.plan(users, call.check_mode):
            if not call.check_mode:
                system_users.apply(call.run_program, step)
            add(done, step.result)
        wanted = sent_files.Wanted.of(call.parameters, call.check_mode, coming if call.check_mode else ())
        add(done, sent_files.manage(call.run_program, wanted, call.check_mode))
        if services:
            add(done, services.do(done["paths"]))
    except HoldfastError as error:
        raise HoldfastError(str(error), {**done, **error.results, "diff": []}) from None
    return done


def add(done: Result, result: Result) -> None:
    """Add what a part has done to what was done before it."""
    diff = result["diff"] if isinstance(result["diff"], list) else [result["diff"]]
    added = {name: done[name] + result.get(name, []) for name in ("changes", "paths", "joined", "warnings")}
    done.update({**result, **added, "diff": done["diff"] + diff, "changed": done["changed"] or result["changed"]})


def install_packages(call: Call, wanted: packages.Wanted) -> Result:
    try:
        installed = packages.install(call.run_program, wanted, call.check_mode)
    except HoldfastError as error:
        raise HoldfastError(f"packages.{error}" if str(error).startswith("names") else str(error), error.results) from None
    return {name: installed[name] for name in ("changed", "changes", "warnings", "diff")}


def check_contents(call: Call) -> None:
    for place, file in enumerate(call.parameters["files"]):
        if not isinstance(file["content"], str):
            raise HoldfastError(f"files[{place}]: reached the host without its content; the action plugin of the same name renders it")
        if not file["secret"]:
            call.show(file["content"])


def read_packages(given: dict[str, t.Any] | None) -> packages.Wanted | None:
    try:
        return packages.Wanted.of({**given, **_USUAL}) if given and given["names"] else None
    except HoldfastError as error:
        raise HoldfastError(f"packages.{error}") from None


def check_certificates(call: Call) -> None:
    """Raise HoldfastError for the certificates that clients would refuse."""
    certificates = (call.parameters["validate"] or {}).get("certificates")
    if not certificates:
        return
    # Only here: it loads the library cryptography, which takes longer than writing the files.
    from ansible_collections.holdfast.registry.plugins.module_utils._pki import info

    problems = []
    for place, entry in enumerate(certificates):
        found = info.inspect([{**entry, "ca_certificates": None}], warn_days=0, now=call.now)["problems"]
        problems += [f"{entry['setting'] or f'validate.certificates[{place}]'}: {problem}" for problem in found]
    if problems:
        raise HoldfastError("; ".join(dict.fromkeys(problems)))


def main() -> None:
    run(work, _options())


if __name__ == "__main__":
    main()
