# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients are to be told of mirrors, read from a module's parameters."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._mirrors.clients import CLIENTS, Places, keep
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors.wanted import Wanted
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, words
from ansible_collections.holdfast.registry.plugins.module_utils._names import absolute_path, check_file_name, parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._short_names import read_short_names

OPTIONS: Options = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "mirrors": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"upstream": {"type": "str", "required": True}, "mirror": {"type": "str", "required": True}},
    },
    "clients": words(CLIENTS, ["docker", "containers"]),
    "ca_path": {"type": "path"},
    "client_certificate_path": {"type": "path"},
    # A path is no secret.
    "client_key_path": {"type": "path", "no_log": False},
    "registries": {"type": "list", "elements": "str", "default": []},
    "short_names": {"type": "dict", "default": {}},
    "search_registries": {"type": "list", "elements": "str", "default": []},
    "docker_directory": {"type": "path", "default": "/etc/docker/certs.d"},
    "containers_directory": {"type": "path", "default": "/etc/containers"},
    "containerd_directory": {"type": "path", "default": "/etc/containerd/certs.d"},
    "containerd_config": {"type": "path", "default": "/etc/containerd/config.toml"},
    "buildkit_config": {"type": "path", "default": "/etc/buildkit/buildkitd.toml"},
}


class Asked:
    """What a module is asked to tell the clients. What is kept under the former names goes in the same step."""

    def __init__(self, call: Call, *, former: t.Sequence[str] = ()) -> None:
        """Read its parameters. Raises HoldfastError for what cannot be right."""
        params = call.parameters
        check_file_name(params["name"], "name")
        wanted = _read_wanted(params, tuple(former))
        present = params["state"] == "present"
        self._wanted = wanted if present else wanted.nothing()
        self._clients: list[str] = params["clients"] if present else []
        self._places = Places(
            absolute_path(params, "docker_directory"),
            absolute_path(params, "containers_directory"),
            absolute_path(params, "containerd_directory"),
            absolute_path(params, "containerd_config"),
            absolute_path(params, "buildkit_config"),
        )
        self._check_mode = call.check_mode
        self._run_program = call.run_program

    @property
    def configurations(self) -> dict[str, str]:
        """What a daemon reads only when it starts, by the daemon's name."""
        return {"containerd": self._places.containerd_config, "buildkit": self._places.buildkit_config}

    def do(self) -> Result:
        """Change the files, or in check mode only say what would be changed."""
        return keep(self._run_program, self._wanted, self._clients, self._places, check_mode=self._check_mode)


def _read_wanted(params: dict[str, t.Any], former: tuple[str, ...]) -> Wanted:
    mirrors: dict[str, tuple[str, ...]] = {}
    for number, entry in enumerate(params["mirrors"]):
        upstream = _endpoint(entry["upstream"], f"mirrors[{number}].upstream")
        mirror = _endpoint(entry["mirror"], f"mirrors[{number}].mirror")
        if upstream == mirror:
            raise HoldfastError(f"mirrors[{number}].mirror: {mirror} is the upstream itself; use the mirror's own address")
        mirrors[upstream] = (*mirrors.get(upstream, ()), *([] if mirror in mirrors.get(upstream, ()) else [mirror]))
    client = (absolute_path(params, "client_certificate_path"), absolute_path(params, "client_key_path")) if params["client_certificate_path"] else None
    return Wanted(
        params["name"],
        mirrors,
        tuple(_endpoint(text, f"registries[{number}]") for number, text in enumerate(params["registries"])),
        absolute_path(params, "ca_path") if params["ca_path"] else None,
        client,
        read_short_names(params["short_names"], "short_names"),
        tuple(_endpoint(text, f"search_registries[{number}]") for number, text in enumerate(params["search_registries"])),
        former,
    )


def _endpoint(text: str, parameter: str) -> str:
    return str(parse_endpoint(text, parameter=parameter)).lower()
