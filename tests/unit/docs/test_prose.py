# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The check of the language: what tests/prose.py reads, and what it passes over."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from ansible_collections.holdfast.registry.tests.unit.docs.pages import ROOT

pytest.importorskip("yaml")


@pytest.fixture(scope="module")
def prose():
    spec = importlib.util.spec_from_file_location("prose", ROOT / "tests/prose.py")
    module = sys.modules["prose"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(prose, tmp_path, monkeypatch, name, content):
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    (tmp_path / name).write_text(content)
    rules = list(prose.rules(ROOT / "docs/style"))
    return [fault for text in prose.read(tmp_path / name) for fault in prose.faults(text, rules)]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("page.md", "# Title\n\nIt was made\nanew by us.\n", 4),
        ("page.md", "Nothing changes for who is logged in.\n", 1),
        ("page.md", "word " * 46 + ".\n", 1),
        ("tasks.yml", "- name: Write\n  description: the file beside it\n", 2),
        ("module.py", '"""A docstring."""\nraise Error(f"{one}: is away")\n', 2),
        ("module.py", 'DOCUMENTATION = """\nmodule: one\nshort_description: mend what was broken\n"""\n', 3),
    ],
)
def test_words_of_the_list_and_long_sentences_are_found_with_their_line(prose, tmp_path, monkeypatch, name, content, line):
    (fault,) = found(prose, tmp_path, monkeypatch, name, content)
    assert fault.startswith(f"{name}:{line}: ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.md", "Set `anew: true`.\n\n```\nmake it anew\n```\n"),
        ("tasks.yml", "- name: Set it\n  value: \"{{ 'made anew' }}\"\n"),
        ("module.py", '"""Made anew."""\n# anew\nEXAMPLES = """\n- name: beside it\n"""\n'),
    ],
)
def test_code_comments_and_examples_are_not_prose(prose, tmp_path, monkeypatch, name, content):
    assert found(prose, tmp_path, monkeypatch, name, content) == []
