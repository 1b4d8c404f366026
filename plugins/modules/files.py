# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write many files, links and directories in one task, and run the services that read them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Write many files, links and directories in one task, and run the services that read them
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Renders templates on the controller and sends all files of a service in one task.
  - All errors are found before the first change. Each file is written next to its target, flushed to the disk and renamed.
  - A configuration that spans several files can be tested as a whole before any of them takes effect.
  - Templates are rendered as by M(ansible.builtin.template), and looked for in the same places.
  - With O(services) and O(remove_others) it does afterwards what M(holdfast.registry.services) does, which saves a task. If that fails, the files have been
    written, and the next run goes on from there.
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.services
options:
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
attributes:
  check_mode:
    description: Predicts what would change and changes nothing. Owners and groups that do not exist yet cause a warning.
  diff_mode:
    description: Shows every file before and after, except secret ones.
seealso:
  - module: holdfast.registry.services
"""

EXAMPLES = r"""
- name: Write the configuration of a cache, and run it with that
  holdfast.registry.files:
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

- name: Write the configuration of a gateway, which nginx tests as a whole
  holdfast.registry.files:
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
  description: A line for each path that changed, with what changed about it.
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


from ansible_collections.holdfast.registry.plugins.module_utils._host import sent_files, service_parameters
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, run


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
    validate = {"directory": {"type": "path", "required": True}, "command": {"type": "str", "required": True}}
    return {
        "directories": {"type": "list", "elements": "dict", "options": directory, "default": []},
        "files": {"type": "list", "elements": "dict", "options": file, "default": []},
        "links": {"type": "list", "elements": "dict", "options": link, "default": []},
        "absent": {"type": "list", "elements": "path", "default": []},
        "validate": {"type": "dict", "options": validate},
        **service_parameters.OPTIONS,
    }


def work(call: Call) -> Result:
    for place, file in enumerate(call.parameters["files"]):
        if not isinstance(file["content"], str):
            raise HoldfastError(f"files[{place}]: reached the host without its content; the action plugin of the same name renders it")
        if not file["secret"]:
            call.show(file["content"])
    wanted, services = sent_files.Wanted.of(call.parameters, call.check_mode), service_parameters.Asked(call)
    written = {**sent_files.manage(call.run_program, wanted, call.check_mode), "invocation": {}}
    if not services:
        return written
    try:
        run_with = services.do(written["paths"])
    except HoldfastError as error:
        raise HoldfastError(str(error), {**error.results, "changes": written["changes"], "paths": written["paths"]}) from None
    return {**run_with, **written, "changed": written["changed"] or run_with["changed"], "diff": [*written["diff"], run_with["diff"]]}


def main() -> None:
    run(work, _options())


if __name__ == "__main__":
    main()
