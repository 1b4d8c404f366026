# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""registries.conf.d of podman, skopeo and buildah: one drop-in, with mirrors and short names."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import _toml
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors.wanted import Wanted, is_own, keeper, plan_own

Registry = dict[str, t.Any]


class _Others(t.NamedTuple):
    """What other files say, as it is in force without ours: entries by prefix, and where each is; the search list; whether a file comes after ours."""

    entries: dict[str, Registry]
    places: dict[str, str]
    search: list[str]
    search_place: str


def unmirrored(wanted: Wanted) -> list[str]:
    """The upstreams that these clients cannot ask the mirrors for: a port has no place in a path."""
    return [upstream for upstream in wanted.mirrors if ":" in upstream]


def plan(directory: str, wanted: Wanted) -> list[Change]:
    """What it takes for the drop-in below directory to say this, and nothing else. Nothing is changed.

    A table hides the one that another file has for the same prefix. So what that says is said again.
    """
    path, *former = (os.path.join(directory, "registries.conf.d", f"{name}.conf") for name in wanted.names)
    gone = [change for other in former if is_own(other, wanted) for change in Remove.plan(other)]
    mirrors = {upstream: endpoints for upstream, endpoints in wanted.mirrors.items() if ":" not in upstream}
    if not (mirrors or wanted.short_names or wanted.search):
        return (Remove.plan(path) if is_own(path, wanted) else []) + gone
    before, after = _others(directory, os.path.basename(path), {change.path for change in gone})
    for upstream in mirrors:
        if upstream in after.entries:
            raise HoldfastError(
                f"{after.places[upstream]}: has a table for {upstream} too, and as the file comes after {os.path.basename(path)} only that table counts; "
                "add the mirror there, or rename the file so that it comes before"
            )
    if wanted.search and after.search:
        raise HoldfastError(f"{after.search_place}: sets unqualified-search-registries, and comes after {os.path.basename(path)}; set them in one of the two")
    return plan_own(path, wanted, _lines(mirrors, wanted, before)) + gone


def _lines(mirrors: dict[str, tuple[str, ...]], wanted: Wanted, others: _Others) -> t.Iterator[str]:
    if wanted.search:
        yield f"unqualified-search-registries = {_value(list(dict.fromkeys([*wanted.search, *others.search])))}"
    for upstream, endpoints in mirrors.items():
        other = others.entries.get(upstream, {})
        if other:
            yield f"# With what is in {others.places[upstream]}, which this table hides."
        yield "[[registry]]"
        for key, value in {"prefix": upstream, "location": upstream, **other}.items():
            if key != "mirror":
                yield f"{key} = {_value(value)}"
        ours = [{"location": f"{endpoint}/{upstream}"} for endpoint in endpoints]
        there = [mirror for mirror in other.get("mirror") or [] if isinstance(mirror, dict) and {"location": mirror.get("location")} not in ours]
        for mirror in [*ours, *there]:
            yield "[[registry.mirror]]"
            for key, value in mirror.items():
                yield f"{key} = {_value(value)}"
    if wanted.short_names:
        yield "[aliases]"
        for name, image in wanted.short_names.items():
            yield f"{_toml.quoted(name)} = {_toml.quoted(image)}"


def _value(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    return str(value) if isinstance(value, (int, float)) else _toml.quoted(str(value))


def _others(directory: str, own: str, gone: t.Container[str]) -> tuple[_Others, _Others]:
    """What the files say that are read before ours, and what those say that are read after it and are not of this module. Those that go say nothing."""
    before, after = _Others({}, {}, [], ""), _Others({}, {}, [], "")
    drop_ins = os.path.join(directory, "registries.conf.d")
    main = os.path.join(directory, "registries.conf")
    if not os.path.exists(main):
        main = "/usr/share/containers/registries.conf"
    for path in [main, *(os.path.join(drop_ins, name) for name in whole.names_in(drop_ins) if name.endswith(".conf") and name != own)]:
        comes_after = path != main and os.path.basename(path) > own
        content = whole.read_bytes(path) if os.path.isfile(path) and path not in gone else None
        if content is None or (comes_after and keeper(content) is not None):
            continue
        if comes_after:
            after = _with(after, _toml.parse(content, path), path)
        else:
            before = _with(before, _toml.parse(content, path), path)
    return before, after


def _with(found: _Others, document: _toml.Document, path: str) -> _Others:
    registries = document.at(("registry",))
    for registry in registries if isinstance(registries, list) else []:
        prefix = registry.get("prefix") or registry.get("location") if isinstance(registry, dict) else None
        if isinstance(prefix, str):
            found.entries[prefix], found.places[prefix] = registry, path
    # The second is the older form of the file.
    for search in (document.at(("unqualified-search-registries",)), document.at(("registries", "search", "registries"))):
        if isinstance(search, list):
            found = found._replace(search=[str(each) for each in search], search_place=path)
    return found
