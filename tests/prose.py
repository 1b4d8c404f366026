# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the language of pages, descriptions and messages by the rules in docs/style, which are written in the format of Vale.

Vale itself is not on PyPI: its package there downloads a program from GitHub. Editors that have it read the same rules (.vale.ini).
"""

from __future__ import annotations

import ast
import pathlib
import re
import sys
import typing as t

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE = re.compile(r"`[^`]*`|\b[COVMEP]\([^)]*\)|RV\([^)]*\)|\{\{.*?\}\}|\]\([^)]*\)|<!--.*?-->|https?://\S+", re.DOTALL)
FENCE = re.compile(r"^( *)```.*?^\1```|^---\n.*?^---$", re.MULTILINE | re.DOTALL)


class Text(t.NamedTuple):
    """A piece of prose, and the line it begins at."""

    path: pathlib.Path
    line: int
    text: str


class Rule(t.NamedTuple):
    """What to look for. advice is put before what was found; None for the length of sentences."""

    pattern: re.Pattern[str]
    message: str
    advice: str | None
    most: int = 0


def rules(directory: pathlib.Path = ROOT / "docs/style") -> t.Iterator[Rule]:
    """The rules of all files. Raises KeyError for a kind that this program does not know, so that none is passed over."""
    for path in sorted(directory.glob("*/*.yml")):
        rule = yaml.safe_load(path.read_text(encoding="utf-8"))
        kind = {"substitution": "swap", "existence": "tokens", "occurrence": "token"}[rule["extends"]]
        if kind == "token":
            yield Rule(re.compile(rule["token"]), rule["message"], None, rule["max"])
            continue
        for token in rule[kind]:
            pattern = re.compile(rf"\b(?:{token})\b".replace(" ", r"\s+"), re.IGNORECASE)
            yield Rule(pattern, rule["message"], rule["swap"][token] if kind == "swap" else "")


def blank(match: re.Match[str]) -> str:
    """Code is a word to the rules; the lines stay."""
    return "x" + "\n" * match[0].count("\n")


def read(path: pathlib.Path) -> t.Iterator[Text]:
    """The prose of a file: a page; the scalars of YAML; the strings of a program that are no docstrings."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield Text(path, 1, CODE.sub(blank, FENCE.sub(blank, source)))
    elif path.suffix == ".yml":
        for document in yaml.compose_all(source, yaml.SafeLoader):
            yield from (Text(path, node.start_mark.line + 1, CODE.sub(blank, node.value)) for node in scalars(document))
    else:
        yield from (Text(path, line, CODE.sub(blank, text)) for line, text in strings(ast.parse(source)))


def scalars(node: yaml.Node | None) -> t.Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from scalars(each)
    elif isinstance(node, yaml.MappingNode):
        for _key, value in node.value:
            yield from scalars(value)


def strings(tree: ast.Module) -> t.Iterator[tuple[int, str]]:
    """Strings with blanks in them, where values are put in as `x`. Docstrings and examples are for other readers."""
    passed = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
    passed |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    passed |= {id(node.value) for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES"}
    for node in ast.walk(tree):
        if id(node) in passed:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield node.lineno, text


def faults(text: Text, all_rules: t.Sequence[Rule]) -> t.Iterator[str]:
    for rule in all_rules:
        if rule.advice is None:
            found = long_sentences(text.text, rule)
            yield from (f"{place(text, at)}: {rule.message}" for at in found)
        else:
            for match in rule.pattern.finditer(text.text):
                words = " ".join(match[0].split())
                yield f"{place(text, match.start())}: {rule.message % ((rule.advice, words) if rule.advice else words)}"


def long_sentences(text: str, rule: Rule) -> t.Iterator[int]:
    """Where sentences of prose begin that have too many words. A cell of a table and an item of a list are sentences of their own."""
    start = 0
    for end in re.finditer(r"[.!?:;](?=\s|$)|\||\n\s*(?=\n|[-*\d#])|\Z", text):
        if len(rule.pattern.findall(text[start : end.start()])) > rule.most:
            yield start + len(text[start:]) - len(text[start:].lstrip())
        start = end.end()


def place(text: Text, at: int) -> str:
    return f"{text.path.relative_to(ROOT)}:{text.line + text.text.count(chr(10), 0, at)}"


def sources() -> list[pathlib.Path]:
    """Pages, options, tasks, fragments of the changelog, and programs that print messages."""
    patterns = ["*.md", "docs/*.md", "docs/site/*.md", "roles/*/README.md", "changelogs/fragments/*.yml", "playbooks/**/*.yml", "plugins/**/*.py"]
    patterns += [f"roles/*/{directory}/**/*.{suffix}" for directory, suffix in (("meta", "yml"), ("tasks", "yml"), ("vars", "yml"), ("files", "py"))]
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def main() -> int:
    all_rules = list(rules())
    found = [fault for path in sources() for text in read(path) for fault in faults(text, all_rules)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
