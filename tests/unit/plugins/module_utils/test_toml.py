# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TOML is read as Python's own reader does, with the lines of its tables, and refused with a line where it is none."""

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils import _toml
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

VALID = [
    "",
    "# only a comment",
    "a = 1\nb = -2\nc = +3\nd = 1_000\ne = 0x1F\nf = 0o17\ng = 0b11\nh = 0",
    "a = 1.5\nb = -2e3\nc = 6.02E+23",
    "a = true\nb = false",
    'a = "text \\" \\\\ \\n \\u00e9 \\U0001F600"',
    "a = 'C:\\not\\escaped'",
    "a = \"\"\"\none\n  two \\\n   joined\"\"\"\nb = '''\nraw \\n'''",
    'a = """ends in a quote"""""',
    'a = [1, 2, # comment\n 3,\n]\nb = [["x", "y"], []]',
    'a = {b = 1, "c d" = {e = [1]}}',
    'a.b.c = 1\na.b.d = 2\n"x.y".z = 3',
    "[a]\nb = 1\n[a.c]\nd = 2",
    "[a.b]\nc = 1\n[a]\nd = 2",
    "[[a]]\nb = 1\n[[a.c]]\nd = 1\n[[a.c]]\nd = 2\n[[a]]\nb = 2",
    '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = ""\r\n',
    " [ spaced . out ] # comment\n\tkey\t=\t1 # comment",
    'unqualified-search-registries = ["docker.io"]\n[[registry]]\nprefix = "docker.io"\n[[registry.mirror]]\nlocation = "m"\n[aliases]\n"a" = "b/c"',
]

INVALID = [
    ("a", "line 1"),
    ("a = ", "line 1"),
    ("a = 1\n\nb = nothing", "line 3"),
    ("a = 1 b = 2", "line 1"),
    ("a = 1\na = 2", "there twice"),
    ("[a]\n[a]", "there twice"),
    ("[a]\nb = 1\n[a.b]", "there twice"),
    ("a = [1]\n[[a]]", "no array of tables"),
    ("a = {b = 1}\n[a.c]", "no table"),
    ("a = {b = 1}\na.c = 2", "no table"),
    ("a = {b = 1,}", "comma"),
    ("a = [1 2]", "comma"),
    ('a = "x', "does not end"),
    ('a = "x\ny"', "does not end"),
    ('a = "\\q"', "backslash"),
    ('a = "\\uD800"', "character"),
    ("[a", "line 1"),
    ("[]", "key"),
    ("= 1", "key"),
    ("a = 012", "value"),
    ('"""a""" = 1', "several lines"),
    ("a = " + "[" * 200, "too deeply"),
    ('{"json": true}', "line 1"),
    ("a = 1\nb = 1" + "0" * 5000, "line 2 is not valid TOML: a number is too long"),
    ("b = 1." + "0" * 5000, "a number is too long"),
]


@pytest.mark.parametrize("text", VALID)
def test_it_is_read_as_python_reads_it(text):
    tomllib = pytest.importorskip("tomllib")
    assert _toml.parse(text.encode(), "/f").data == tomllib.loads(text)


@pytest.mark.parametrize(("text", "why"), INVALID)
def test_what_is_no_toml_is_refused_with_its_place(text, why):
    with pytest.raises(HoldfastError, match=why) as caught:
        _toml.parse(text.encode(), "/etc/f.toml")
    assert str(caught.value).startswith("/etc/f.toml: line ") and "left as it is" in str(caught.value)


def test_what_is_no_text_is_refused():
    with pytest.raises(HoldfastError, match="is not UTF-8"):
        _toml.parse(b"a = '\xff'", "/f")


def test_a_date_is_read_as_text():
    assert _toml.parse(b"a = 1979-05-27T07:32:00Z\nb = 1979-05-27\nc = 07:32:00\n", "/f").data["b"] == "1979-05-27"


def test_the_lines_of_tables_are_known_and_those_without_a_header_have_none():
    document = _toml.parse(b"\n[a]\n# c\n[a.b]\nd.e = 1\n[[x]]\n", "/f")
    assert [document.line_of(key) for key in (("a",), ("a", "b"), ("a", "b", "d"), ("x",))] == [2, 4, None, 6]
    assert document.at(("a", "b", "d", "e")) == 1
    assert document.at(("a", "nothing")) is None


@pytest.mark.parametrize("text", ["plain", 'quote " and \\', "new\nline", "é\x7f"])
def test_what_is_quoted_is_read_back(text):
    assert _toml.parse(f"a = {_toml.quoted(text)}".encode(), "/f").data == {"a": text}
