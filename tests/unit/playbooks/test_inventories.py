# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the playbooks say of an inventory in which the most important thing is missing. They are run with Ansible, on this machine, and change nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
import yaml
from ansible_collections.holdfast.registry.tests.unit.docs.pages import ROOT

HOST = f"{{ansible_connection: local, ansible_become: false, ansible_python_interpreter: {sys.executable}}}"
NO_HOST = "registry_servers: the group must have at least one host, which runs the registry. It has none in "


def run(playbook, inventory, *options, **settings):
    """What a playbook prints, which has to fail. The settings are Ansible's, as variables of its environment."""
    if shutil.which("ansible-playbook") is None:
        pytest.skip("ansible-playbook is not installed here")
    collections = next(path for path in (ROOT / ".cache/collections", *ROOT.parents) if (path / "ansible_collections").is_dir())
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_NOCOLOR": "1", **settings}
    command = ["ansible-playbook", "-i", str(inventory), str(ROOT / f"playbooks/{playbook}.yml"), *options]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode != 0, done.stdout
    return done.stdout


NOTHING = None
NO_YAML = "all:\n  vars:\n\tholdfast_server_name: registry.example.org\n"
OTHER_NAME = "all: {children: {registry_server: {hosts: {server: {}}}, docker_clients: {hosts: {client: {}}}}}\n"


@pytest.mark.parametrize(("playbook", "inventory"), [("site", NOTHING), ("site", NO_YAML), ("site", OTHER_NAME), ("verify", NOTHING), ("status", NO_YAML)])
def test_a_run_without_a_host_for_the_registry_fails_and_says_so(playbook, inventory, tmp_path):
    path = tmp_path / "hosts.yml"
    if inventory is not None:
        path.write_text(inventory)
    # As with an ansible.cfg of the user's own.
    assert f"{NO_HOST}{path}" in run(playbook, path, ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="false")


@pytest.mark.parametrize("playbook", ["migrate", "restore", "site", "status", "verify"])
def test_each_playbook_looks_at_the_inventory_first(playbook):
    first = yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text())[0]
    assert first["ansible.builtin.import_playbook"] == "see_inventory.yml"


def test_an_inventory_that_cannot_be_read_ends_a_run_that_is_limited_to_some_hosts(tmp_path):
    path = tmp_path / "hosts.yml"
    assert f"Completely failed to parse inventory source {path}" in run("restore", path, "--limit", "server")


def test_a_name_that_is_missing_is_asked_for_in_the_words_of_the_documentation(tmp_path):
    path = tmp_path / "hosts.yml"
    path.write_text(f"all: {{vars: {{holdfast_users: [{{name: alice}}]}}, children: {{registry_servers: {{hosts: {{server: {HOST}}}}}}}}}\n")
    assert "holdfast_server_name: must be the name by which the registry is reached" in run("site", path)
