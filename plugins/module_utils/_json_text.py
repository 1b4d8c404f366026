# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that others wrote: read with the place of what is wrong in it, written in their way of indenting."""

from __future__ import annotations

import codecs
import json
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

_KEPT = "it is left as it is, correct or remove it"


class _Repeated(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def read_object(path: str, content: bytes, *, with_mark: bool = False) -> dict[str, t.Any]:
    """The object in a file; an empty file is an empty object. Raises HoldfastError with line and column of what is wrong.

    with_mark: whether the program that reads the file takes a byte order mark at its beginning.
    """
    if content.startswith(codecs.BOM_UTF8) and not with_mark:
        raise HoldfastError(f"{path}: begins with a byte order mark, with which it is not valid JSON; {_KEPT}")
    try:
        # Not with the codec utf-8-sig: a process that has become another user may not be able to load it any more.
        text = content[len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0 :].decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        raise HoldfastError(f"{path}: line {before.count(10) + 1} is not UTF-8; {_KEPT}") from None
    if not text.strip():
        return {}
    try:
        data = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
        json.dumps(data, allow_nan=False)  # 1e999 is read as infinity, which could not be written back
    except json.JSONDecodeError as error:
        raise HoldfastError(f"{path}: line {error.lineno}, column {error.colno}: {_words(error)}; {_KEPT}") from None
    except _Repeated as error:
        lines = [str(number) for number, line in enumerate(text.splitlines(), 1) if re.search(re.escape(json.dumps(error.name)) + r"\s*:", line)]
        where = f" (lines {', '.join(lines)})" if lines else ""
        raise HoldfastError(f"{path}: the key {error.name!r} is there twice in one object{where}, and only one of them counts; {_KEPT}") from None
    except RecursionError:
        raise HoldfastError(f"{path}: is nested too deeply; {_KEPT}") from None
    except ValueError as error:
        raise HoldfastError(f"{path}: is not valid JSON: {error}; {_KEPT}") from None
    if not isinstance(data, dict):
        raise HoldfastError(f"{path}: is {kind(data)}, and must be an object ({{...}}); {_KEPT}")
    return data


def write_object(data: dict[str, t.Any], like: bytes) -> bytes:
    """The object as text, indented like a text that was there before."""
    found = re.search(rb"\{\s*\n([ \t]+)\"", like)
    indent = found[1].decode("ascii") if found else "  "
    return (json.dumps(data, indent=indent, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def same(one: t.Any, other: t.Any) -> bool:
    """Whether two values are the same in JSON, where true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def kind(value: t.Any) -> str:
    """What JSON calls a value."""
    if isinstance(value, bool):
        return "a boolean"
    names = ((dict, "an object"), (list, "a list"), (str, "a string"), ((int, float), "a number"))
    return next((name for types, name in names if isinstance(value, types)), "null")


def _words(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].lstrip()
    if rest[:1] == "#" or rest[:2] in ("//", "/*"):
        return "a comment, which JSON does not have"
    if rest[:1] in ("}", "]") and error.doc[: error.pos].rstrip().endswith(",") or error.msg.startswith("Illegal trailing comma"):
        return "a comma with nothing after it"
    return f"not valid JSON ({error.msg})"


def _no_constant(name: str) -> t.Any:
    raise ValueError(f"{name} is no number in JSON")


def _without_repeats(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    members: dict[str, t.Any] = {}
    for name, value in pairs:
        if name in members:
            raise _Repeated(name)
        members[name] = value
    return members
