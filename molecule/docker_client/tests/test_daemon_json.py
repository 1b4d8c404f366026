# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Broken and unusual daemon.json, read by a real engine: a clear error, or the right merge. Nothing is lost."""

import base64
import json
from typing import Any

import pytest
from scenario import hosts, playbook

SETTINGS = {"labels": ["ours=1"], "log-opts": {"max-size": "10m"}, "debug": True}
# The file before, and what it is afterwards or what is said of it.
# tests/unit has more of them, with a script for the engine.
STATES: dict[str, tuple[bytes, Any]] = {
    "byte order mark": (b'\xef\xbb\xbf{"mtu": 1400}', {**SETTINGS, "mtu": 1400}),
    "null": (b'{"labels": null, "log-opts": null}', SETTINGS),
    "items and members of others": (
        '{"labels": ["ort=Köln"], "log-opts": {"max-file": "3"}}'.encode(),
        {"labels": ["ours=1", "ort=Köln"], "log-opts": {"max-file": "3", "max-size": "10m"}, "debug": True},
    ),
    "a comment": (b'{\n  // mine\n  "mtu": 1400\n}', "line 2, column 3: a comment"),
    "a key twice": (b'{\n"mtu": 1400,\n"mtu": 1500\n}', "the key 'mtu' is there twice in one object (lines 2, 3)"),
    "a string for a list": (b'{"labels": "a=1"}', "labels is a string, and settings has a list for it"),
    "a key that the engine does not know": (b'{"mut": 1400}', "dockerd says: "),
    "a value that the engine refuses": (b'{"dns": ["nowhere"]}', "dockerd says: "),
    "an option of the unit": (b'{"hosts": ["unix:///run/x.sock"]}', "specified both as a flag and in the configuration file"),
}
PLAY = """
- hosts: client
  gather_facts: false
  tasks:
    - holdfast.registry.docker_daemon: {name: test, path: "/root/states/{{ item }}", settings: "{{ settings }}"}
      loop: "{{ names }}"
      register: results
      ignore_errors: true
    - ansible.builtin.copy: {dest: /root/states/results, content: "{{ results.results | to_json }}", mode: "0600"}
"""


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of them in one run. For each its result, and what the file is afterwards."""
    host = hosts.host("client")
    names = [f"{number}.json" for number in range(len(STATES))]
    host.check_output("rm -rf /root/states; mkdir /root/states")
    for name, (before, _after) in zip(names, STATES.values(), strict=True):
        host.check_output(f"printf %s {base64.b64encode(before).decode()} | base64 -d >/root/states/{name}")
    play = tmp_path_factory.mktemp("states") / "play.yml"
    play.write_text(PLAY)
    run = playbook.run(play, names=names, settings=SETTINGS)
    assert run.succeeded, run.output
    results = json.loads(host.file("/root/states/results").content_string)
    files = [base64.b64decode(host.check_output(f"base64 -w0 /root/states/{name}")) for name in names]
    return dict(zip(STATES, zip(results, files, strict=True), strict=True))


@pytest.mark.parametrize("title", STATES)
def test_it_is_merged_as_far_as_the_engine_takes_it_and_reported_and_left_as_it_is_otherwise(states: dict[str, Any], title: str) -> None:
    before, after = STATES[title]
    result, there = states[title]
    if isinstance(after, str):
        assert result["failed"]
        assert after in result["msg"]
        assert there == before
    else:
        assert not result.get("failed"), result
        assert json.loads(there) == after
