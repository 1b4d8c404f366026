# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make the variable tables of the roles' READMEs from their argument specs. With --check: change nothing, and say what is out of date."""

from __future__ import annotations

import json
import pathlib
import re
import sys
import typing as t

import yaml

ROLES = pathlib.Path(__file__).resolve().parents[1] / "roles"
BEGIN, END = "<!-- variables: made by `make docs` -->", "<!-- end of variables -->"


def disagreements(options: dict[str, t.Any], defaults: dict[str, t.Any]) -> list[str]:
    """Where the argument spec and the defaults of a role contradict each other."""
    found = [f"{name}: has a default, and is not in the argument spec" for name in defaults if name not in options]
    for name, option in options.items():
        if option.get("required"):
            if name in defaults or "default" in option:
                found.append(f"{name}: is required, and has a default")
        elif name not in defaults:
            found.append(f"{name}: is in the argument spec, and has no default")
        elif is_expression(defaults[name]):
            if "default" in option:
                found.append(f"{name}: the default is an expression, and the argument spec has another one")
        elif "default" not in option or not same(option["default"], defaults[name]):
            found.append(f"{name}: the default is {shown(defaults[name])}, in the argument spec it is {shown(option.get('default'))}")
    return found


def is_expression(value: t.Any) -> bool:
    return isinstance(value, str) and "{{" in value


def same(one: t.Any, other: t.Any) -> bool:
    """Whether two values are the same to a reader of YAML: true is not 1, and 5 is not "5"."""
    return shown(one) == shown(other)


def shown(value: t.Any) -> str:
    return value if is_expression(value) else json.dumps(value)


def table(options: dict[str, t.Any], defaults: dict[str, t.Any]) -> str:
    return "\n".join(["| variable | type | default | what it is |", "| --- | --- | --- | --- |", *rows(options, defaults)]) + "\n"


def rows(options: dict[str, t.Any], defaults: dict[str, t.Any], parent: str = "") -> t.Iterator[str]:
    for name, option in options.items():
        if option.get("required"):
            default = "required"
        elif name in defaults or "default" in option:
            value = defaults.get(name, option.get("default"))
            default = code(value if isinstance(value, str) and value else shown(value))
        else:
            default = ""
        kind = f"{option['type']} of {option['elements']}" if "elements" in option else option["type"]
        description = option["description"] if isinstance(option["description"], str) else " ".join(option["description"])
        if "choices" in option:
            description += f" One of {', '.join(code(choice) for choice in option['choices'])}."
        yield f"| {code(parent + name)} | {kind} | {default} | {markdown(description)} |"
        yield from rows(option.get("options", {}), {}, f"{parent}{name}[].")


def code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def markdown(text: str) -> str:
    """Ansible's markup as Markdown: C(...), O(...), V(...) and M(...) are all set as code."""
    return re.sub(r"\b[COVM]\(([^)]*)\)", r"`\1`", " ".join(text.split()))


def main() -> int:
    check = "--check" in sys.argv[1:]
    problems = []
    for role in sorted(path.parent.parent for path in ROLES.glob("*/meta/argument_specs.yml")):
        options = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
        defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
        problems += [f"{role.name}: {problem}" for problem in disagreements(options, defaults)]
        readme = role / "README.md"
        before = readme.read_text() if readme.exists() else ""
        head, begin, rest = before.partition(BEGIN)
        _old, end, tail = rest.partition(END)
        if not (begin and end):
            problems.append(f"{role.name}: README.md lacks the lines {BEGIN} and {END}")
            continue
        after = f"{head}{begin}\n{table(options, defaults)}{end}{tail}"
        if check and after != before:
            problems.append(f"{role.name}: README.md is out of date: run make docs")
        elif after != before:
            readme.write_text(after)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
