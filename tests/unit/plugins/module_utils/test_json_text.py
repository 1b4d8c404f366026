# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._json_text import kind, read_object, same, write_object


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "line 1, column 2: not valid JSON"),
        (b'{"a": 1}\n// by hand\n', "line 2, column 1: a comment, which JSON does not have"),
        (b'{\n# by hand\n"a": 1}', "line 2, column 1: a comment"),
        (b'{"a": 1,}', "line 1, column 9: a comma with nothing after it|line 1, column 8: a comma with nothing after it"),
        (b'{"a": 1, "a": 2}', "the key 'a' is there twice in one object"),
        (b'{"a": NaN}', "is not valid JSON: NaN is no number in JSON"),
        (b'{"a": 1e999}', "is not valid JSON"),
        (b'{"a": "\n\xff"}', "line 2 is not UTF-8"),
        (b"[]", "is a list, and must be an object"),
        (b'"x"', "is a string, and must be an object"),
        (b"null", "is null, and must be an object"),
        (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
        (b"[" * 100000, "is nested too deeply|not valid JSON"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_what_is_wrong_is_named_with_its_place(content: bytes, message: str) -> None:
    with pytest.raises(HoldfastError, match=rf"^/etc/x\.json: ({message}).*; it is left as it is"):
        read_object("/etc/x.json", content)


def test_an_empty_file_is_an_empty_object_and_a_mark_is_taken_where_the_program_takes_it() -> None:
    assert read_object("x", b"") == read_object("x", b" \n") == {}
    assert read_object("x", b'\xef\xbb\xbf{"a": 1}', with_mark=True) == {"a": 1}


@pytest.mark.parametrize("indent", ["\t", "  ", "    "])
def test_a_file_keeps_its_way_of_indenting_and_its_letters(indent: str) -> None:
    data = {"b": {"z": [1, None, "é"]}, "a": 12345678901234567890}
    text = (json.dumps(data, indent=indent, ensure_ascii=False) + "\n").encode()
    assert write_object(read_object("x", text), text) == text


def test_true_is_not_one_and_the_order_of_keys_does_not_count() -> None:
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not same({"a": 1}, {"a": True})
    assert [kind(value) for value in (None, True, 1, "", [], {})] == ["null", "a boolean", "a number", "a string", "a list", "an object"]
