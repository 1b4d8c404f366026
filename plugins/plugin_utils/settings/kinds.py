# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are a single value where a role reads a list, text where it reads a dictionary, and the like.

Ansible's own validation converts them, but only for the check: the role reads what was written. What it cannot convert is said here as well, in the words
of all other checks.
"""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.holdfast.registry.plugins.module_utils._names import kind_of

_WANTED = {"int": "a whole number", "bool": "true or false", "str": "a string", "path": "a string"}
_NUMBER = re.compile(r"0|-?[1-9][0-9]*")
# What a message may repeat: it is no secret and no certificate.
_SHOWN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@*+-]{0,79}")

Option = t.Mapping[str, t.Any]


def problems(options: t.Mapping[str, Option], given: t.Mapping[str, t.Any], place: str = "") -> t.Iterator[str]:
    """What is of another kind than the argument spec's options say, each with its place. Without a value, text is empty, and what has no default is not set."""
    for name, option in options.items():
        wanted = option.get("type", "str")
        if given.get(name) is not None:
            yield from _of(wanted, f"{place}{name}", option, given[name])
        elif name in given and wanted not in ("str", "path", "raw") and (option.get("required") or option.get("default") is not None):
            yield f"{place}{name}: is empty; give it a value, or leave the line out"


def _of(wanted: str, place: str, option: Option, value: t.Any) -> t.Iterator[str]:
    if wanted == "list" and isinstance(value, list):
        for index, member in enumerate(value):
            yield from _of_member(option.get("elements", "raw"), f"{place}[{index}]", option, member)
    elif wanted == "dict" and isinstance(value, dict):
        yield from problems(option.get("options") or {}, value, f"{place}.")
    elif wanted == "list":
        yield f"{place}: must be {_a_list(option, value)}, not {kind_of(value)}"
    elif wanted == "dict":
        yield f"{place}: must be {_a_dictionary(option)}, not {kind_of(value)}"
    elif wanted in _WANTED and not _fits(wanted, value):
        yield f"{place}: must be {_WANTED[wanted]}{_such_as(option)}, not {_found(option, value)}{_almost(wanted, value)}"


def _of_member(wanted: str, place: str, option: Option, value: t.Any) -> t.Iterator[str]:
    # YAML takes unquoted 1.10 for 1.1 and 2026 for a number, which is the name of nobody.
    if wanted == "str" and not isinstance(value, (str, list, dict)):
        yield f"{place}: must be a string, not {kind_of(value)}; put it in quotes"
    else:
        yield from _of(wanted, place, option, value)


def _fits(wanted: str, value: t.Any) -> bool:
    """Whether a single value is of this type, or a text for it. For Python a boolean is a number too."""
    if isinstance(value, (list, dict)):
        return False
    if wanted == "int":
        return not isinstance(value, bool) and _NUMBER.fullmatch(str(value)) is not None
    if wanted == "bool":
        try:
            boolean(value)
        except TypeError:
            return False
    return True


def _such_as(option: Option) -> str:
    """The default of a number, as an example."""
    return f", such as {option['default']}" if option.get("type") == "int" and option.get("default") is not None else ""


def _found(option: Option, value: t.Any) -> str:
    """A value, or no more than its type."""
    shown = not option.get("no_log") and isinstance(value, (str, int, float)) and _SHOWN.fullmatch(str(value))
    return kind_of(value) if isinstance(value, bool) or not shown else repr(value) if isinstance(value, str) else str(value)


def _almost(wanted: str, value: t.Any) -> str:
    """Why a text is not quite a number, as the end of a sentence; "" for anything else."""
    if wanted != "int" or not isinstance(value, str):
        return ""
    number = value.strip()
    if number != value and _fits(wanted, number):
        return " with white space around it; a block of YAML that begins with > ends in a line break, one with >- does not"
    return " with zeros in front" if _fits(wanted, number.lstrip("0")) else ""


def _a_list(option: Option, value: t.Any) -> str:
    if option.get("elements") == "dict" or option.get("options"):
        example = _example(option)
        return f"a list, such as [{example}]" if example else "a list of dictionaries"
    members = [member.strip() for member in str(value).split(",")] if isinstance(value, (str, int)) else []
    shown = members and not option.get("no_log") and all(_SHOWN.fullmatch(member) for member in members)
    return f"a list, such as [{', '.join(members)}]" if shown else "a list"


def _a_dictionary(option: Option) -> str:
    example = _example(option)
    return f"a dictionary, such as {example}" if example else "a dictionary"


def _example(option: Option) -> str:
    return "".join(f"{{{key}: ...}}" for key in list(option.get("options") or {})[:1])
