# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Commands of the documentation: what they name is there."""

from __future__ import annotations

import pathlib
import re
import shlex
import sys

import pytest
from ansible_collections.holdfast.registry.tests.unit.docs.pages import PAGES, ROOT, Page

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
sys.path.insert(0, str(ROOT / "roles/keeper/files"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, re.MULTILINE)) | {".venv/site.done"}
TAGS = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"tags: (.+)", (ROOT / "playbooks/site.yml").read_text())))) | {"users"}
READ_BY_MAKE = {name for names in re.findall(r"\$[({]*([A-Z_]{3,})|^([A-Z_]{3,}) \?=", MAKEFILE, re.MULTILINE) for name in names}
# What the scripts behind make read from the environment.
READ_BY_SCRIPTS = re.compile(r"\b(HOLDFAST_[A-Z_]+|LANES|SOAK_SECONDS|RIVAL|PYTEST_ADDOPTS)\b")


def words_of(command):
    """The words of a command, or nothing if it is none that a shell could read."""
    try:
        return shlex.split(command)
    except ValueError:
        return []


def wrong_make(command):
    """What a call of make names that the Makefile does not know."""
    words = words_of(command)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if not words or words[0] != "make":
        return
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if equals and name not in READ_BY_MAKE and not READ_BY_SCRIPTS.fullmatch(name):
            yield f"{command}: make does not read {name}"
        elif equals and name == "ARGS":
            yield from wrong_tags(value)
        elif not equals and word not in TARGETS and word != "...":
            yield f"{command}: make has no target {word}"


def wrong_tags(command):
    for tags in re.findall(r"--tags[ =]([a-z_,]+)", command):
        yield from (f"{command}: site.yml has no tag {tag}" for tag in tags.split(",") if tag not in TAGS)


def wrong_names(text):
    """Names of the collection that it does not have: holdfast.registry.NAME, and playbooks/NAME.yml."""
    for name in re.findall(r"\bholdfast\.registry\.([a-z_]+)\b", text):
        places = ["plugins/modules/{}.py", "plugins/lookup/{}.py", "plugins/filter/{}.py", "roles/{}/tasks/main.yml", "playbooks/{}.yml"]
        if not any((ROOT / place.format(name)).exists() for place in places):
            yield f"there is no holdfast.registry.{name}"
    for path in re.findall(r"\b(?:playbooks|inventories)/[\w./-]+\.yml", text):
        if not (ROOT / path).exists():
            yield f"there is no {path}"


@each_page
def test_make_has_the_targets_and_reads_the_variables(page):
    assert [wrong for command in page.commands() for wrong in wrong_make(command)] == []


@each_page
def test_the_playbooks_modules_roles_and_tags_exist(page):
    assert [*wrong_names(page.text), *(wrong for command in page.commands() for wrong in wrong_tags(command))] == []


@each_page
def test_the_keeper_accepts_the_commands(page, capsys):
    from registry_keeper.main import parser

    refused = []
    for command in page.commands():
        words = words_of(re.sub(r"\.\.\.$", "x", command))
        if words[:1] == ["registry-keeper"] and len(words) > 1 and "COMMAND" not in command and "..." not in words:
            try:
                parser(words).parse_args(words[1:])
            except SystemExit:
                refused.append(f"{command}: {capsys.readouterr().err}")
    assert refused == []


@pytest.mark.parametrize(
    "command",
    [
        "make no-such-target",
        "make site INVENTRY=hosts.yml",
        "make site ARGS='--tags no_such_tag'",
        "ansible-playbook --tags no_such_tag holdfast.registry.site",
        "ansible-playbook holdfast.registry.no_such_playbook",
        "ansible-playbook playbooks/no-such.yml",
    ],
)
def test_a_command_that_names_what_is_not_there_is_found(command):
    page = Page(pathlib.Path("page.md"), f"```\n{command}\n```\n")
    (read,) = page.commands()
    assert [*wrong_make(read), *wrong_tags(read), *wrong_names(page.text)] != []
