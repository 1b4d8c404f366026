# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""config_path in containerd's config.toml, as containerd itself reads it together with what an administrator has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from scenario import hosts, playbook
from testinfra.host import Host
from tools import NAME

CONFIG, IMPORTED = "/etc/containerd/config.toml", "/etc/containerd/imported/runtime.toml"
CRI = 'plugins."io.containerd.grpc.v1.cri"'
RUNTIME = f'version = 2\n[{CRI}.containerd]\n  default_runtime_name = "other"\n'
IMPORTING = 'version = 2\nimports = ["imported/*.toml"]\n'
SET = "/etc/containerd/certs.d"


@pytest.fixture(autouse=True)
def as_it_was(client: Host) -> Iterator[None]:
    """The configuration of the scenario afterwards. containerd, which goes on running, does not see what the tests do."""
    client.check_output(f"cp -p {CONFIG} /root/config.toml; mkdir -p /etc/containerd/imported")
    yield
    client.check_output(f"cp -p /root/config.toml {CONFIG}; rm -r /root/config.toml /etc/containerd/imported")


def tell(**values: Any) -> dict[str, Any]:
    """Tell containerd of a mirror under a name of the tests."""
    mirrors = [{"upstream": "config-path.example.org", "mirror": "mirror.example.org"}]
    return playbook.module("client", "registry_mirrors", **{"name": "config-path", "clients": ["containerd"], "mirrors": mirrors, **values})


def in_force(client: Host) -> str:
    """What containerd makes of all its files."""
    dumped = client.check_output("containerd config dump")
    found = re.search(r'v1\.cri"\.registry\]\s+config_path = "(.*)"', dumped)
    assert found, dumped
    return found[1]


def test_an_import_that_hides_it_is_named_and_its_cure_helps(client: Host) -> None:
    hosts.write(client, CONFIG, IMPORTING)
    hosts.write(client, IMPORTED, RUNTIME)
    with pytest.raises(AssertionError, match=f"{IMPORTED}: has a table of the plugin"):
        tell()
    assert client.file(CONFIG).content_string == IMPORTING
    hosts.write(client, CONFIG, f'{IMPORTING}[{CRI}.registry]\n  config_path = "{SET}"\n')
    assert in_force(client) == "", "it would have had an effect"
    hosts.write(client, CONFIG, IMPORTING)
    hosts.write(client, IMPORTED, f'{RUNTIME}[{CRI}.registry]\n  config_path = "{SET}"\n')
    assert tell()["changed"]
    assert in_force(client) == SET
    tell(state="absent")
    assert client.file(CONFIG).content_string == IMPORTING


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"# of the administrator\nversion = 2\n[{CRI}.registry] # nothing yet\n  config_path = '' # to be set\n[debug]\n  level = \"info\"\n",
        f'version = 2\r\n[{CRI}.registry]\r\n  config_path = "/other:{SET}/"\r\n',
        f'version = 2\n[{CRI}.registry.configs."a.example.org".auth]\n  username = "x"\n',
    ],
    ids=["empty", "comments", "several", "auth"],
)
def test_containerd_reads_what_is_set_and_the_file_is_as_before_afterwards(client: Host, text: str) -> None:
    hosts.write(client, CONFIG, text)
    assert tell()["changed"]
    assert SET in [each.rstrip("/") for each in in_force(client).split(":")]
    assert not tell()["changed"]
    tell(state="absent")
    assert not client.file(CONFIG).exists if text == "" else client.file(CONFIG).content_string == text
    assert client.file(f"{SET}/docker.io/hosts.toml").exists, f"what is kept under {NAME} is gone"
