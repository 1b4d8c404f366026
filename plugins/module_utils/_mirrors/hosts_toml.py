# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hosts.toml, a file for each upstream: read by containerd, and below certs.d by Docker 29 with the containerd image store.

An older Docker reads only certificates there, so the file does it no harm.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import _toml
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove, RemoveDirectory, Write
from ansible_collections.holdfast.registry.plugins.module_utils._hosts_toml import MARK_OF_TRUST, NAME, array, head, of_trust
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors.wanted import READABLE, Wanted, is_own, keeper, plan_own


def plan(base: str, wanted: Wanted, *, trusted: bool = False) -> list[Change]:
    """What it takes for the files below base to name these mirrors, and no others under this name. Nothing is changed.

    trusted: whether ca_trust has such files here too, for registries without mirrors.
    """
    planned: list[Change] = []
    for upstream, endpoints in wanted.mirrors.items():
        directory = os.path.join(base, upstream)
        _refuse_hidden(directory)
        path = os.path.join(directory, NAME)
        if not _is_told(path, endpoints):
            planned += plan_own(path, wanted, _lines(directory, endpoints, wanted), in_place_of=MARK_OF_TRUST)
    for entry in whole.names_in(base):
        directory = os.path.join(base, entry)
        path = os.path.join(directory, NAME)
        if entry in wanted.mirrors or os.path.islink(directory) or not is_own(path, wanted):
            continue
        names = set(whole.names_in(directory)) - {NAME}
        content = of_trust(directory, names) if trusted and any(_is_of_trust(os.path.join(directory, name)) for name in names) else None
        planned += Write.plan(path, content, READABLE) if content else Remove.plan(path)
        if not names:
            planned.append(RemoveDirectory(directory, "empty directory removed"))
    return planned


def _is_of_trust(path: str) -> bool:
    return path.endswith(".crt") and os.path.isfile(path) and (whole.read_bytes(path) or b"").startswith(MARK_OF_TRUST)


def _lines(directory: str, endpoints: t.Sequence[str], wanted: Wanted) -> t.Iterator[str]:
    # No server: the upstream itself is then asked last. With this file its certificates are no longer found by their names.
    yield from head(directory, whole.names_in(directory))
    for endpoint in endpoints:
        yield ""
        yield f"[host.{_toml.quoted(f'https://{endpoint}')}]"
        yield '  capabilities = ["pull", "resolve"]'
        # From containerd 2.1 on: otherwise a mirror that is away is waited for half a minute. Older ones pass over it.
        yield '  dial_timeout = "5s"'
        if wanted.ca:
            yield f"  ca = {array([wanted.ca])}"
        if wanted.client:
            yield f"  client = [{array(wanted.client)}]"


def _is_told(path: str, endpoints: t.Sequence[str]) -> bool:
    """Whether somebody else's file has all the mirrors already. Raises HoldfastError where it has not."""
    content = whole.read_bytes(path)
    if content is None or keeper(content) is not None or content.startswith(MARK_OF_TRUST):
        return False
    hosts = _toml.parse(content, path).at(("host",))
    there = {str(host).rstrip("/") for host in hosts} if isinstance(hosts, dict) else set()
    missing = [f"https://{endpoint}" for endpoint in endpoints if f"https://{endpoint}" not in there]
    if missing:
        raise HoldfastError(
            f"{path}: exists and was not written by this module; add {' and '.join(f'[host.{_toml.quoted(each)}]' for each in missing)} to it, "
            "or remove it, or leave this client out of clients"
        )
    return True


def _refuse_hidden(directory: str) -> None:
    base, upstream = os.path.split(directory)
    host, _colon, port = upstream.rpartition(":")
    preferred = os.path.join(base, f"{host}_{port}_")
    if host and os.path.exists(preferred):
        raise HoldfastError(f"{preferred}: exists, and would be read instead of {directory}; remove it, or leave this client out of clients")
