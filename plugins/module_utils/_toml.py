# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TOML, read with the lines of its tables, so that a block can be added to somebody's file without writing the rest anew.

Python has a reader from 3.11 on, and that one tells no lines. Dates and times are read as text.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_VALUE = re.compile(r"[A-Za-z0-9+_.:-]+(?: [0-9]{2}:[0-9:.]+(?:Z|[+-][0-9]{2}:[0-9]{2})?)?")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9](?:_?[0-9])*)|0x[0-9a-fA-F](?:_?[0-9a-fA-F])*|0o[0-7](?:_?[0-7])*|0b[01](?:_?[01])*")
_FLOAT = re.compile(r"[+-]?(?:(?:0|[1-9](?:_?[0-9])*)(?:\.[0-9](?:_?[0-9])*)?(?:[eE][+-]?[0-9](?:_?[0-9])*)?|inf|nan)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ].*)?|[0-9]{2}:[0-9]{2}:[0-9.]+")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_MOST_LEVELS = 50
_MOST_DIGITS = 1000  # far more than TOML has; newer versions of Python refuse to read more than 4300

Data = dict[str, t.Any]
Key = tuple[str, ...]


class Table(t.NamedTuple):
    """A table that a file has under a header. line is that of the header, from 1."""

    key: Key
    line: int


class Document(t.NamedTuple):
    """What a file says, and where its tables begin."""

    data: Data
    tables: list[Table]

    def line_of(self, key: Key) -> int | None:
        """The line of a table's header. None where the table is written in another way."""
        return next((table.line for table in self.tables if table.key == key), None)

    def at(self, key: Key) -> t.Any:
        """The value below a key, None where there is none. Of an array of tables, the last one is meant."""
        found: t.Any = self.data
        for part in key:
            if isinstance(found, list) and found:
                found = found[-1]
            if not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        return found


def quoted(text: str) -> str:
    """A text as a basic string. JSON writes a subset of them."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def parse(content: bytes, path: str) -> Document:
    """Read a file's content. Raises HoldfastError, with path and line, for what is not TOML."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise HoldfastError(f"{path}: is not UTF-8, so not TOML; it is left as it is, correct or remove it") from None
    reader = _Reader(text.replace("\r\n", "\n"))
    try:
        return reader.document()
    except (_Invalid, RecursionError) as error:
        line = reader.text.count("\n", 0, reader.place) + 1
        raise HoldfastError(f"{path}: line {line} is not valid TOML: {error}; it is left as it is, correct or remove it") from None


class _Invalid(ValueError):
    pass


class _Reader:
    """A place in a text, which moves forward."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.line, self.counted = 1, 0
        self.data: Data = {}
        self.tables: list[Table] = []
        # By identity: tables that a header or an inline table has closed.
        self.defined: set[int] = set()
        self.closed: set[int] = set()
        self.kept: list[t.Any] = []
        self.levels = 0

    def document(self) -> Document:
        current = self.data
        while True:
            self._blank(lines=True)
            if self.place >= len(self.text):
                return Document(self.data, self.tables)
            if self.text.startswith("[", self.place):
                current = self._header()
            else:
                self._pair(current)
            self._end_of_line()

    # Headers and keys

    def _header(self) -> Data:
        is_array = self.text.startswith("[[", self.place)
        # Counted from the last one: from the beginning, it would take minutes where somebody has written thousands of tables.
        self.line += self.text.count("\n", self.counted, self.place)
        line, self.counted = self.line, self.place
        self.place += 2 if is_array else 1
        self._blank()
        key = self._key()
        self._expect("]]" if is_array else "]")
        parent = self._down(self.data, key[:-1])
        self.tables.append(Table(tuple(key), line))
        there = parent.get(key[-1])
        if is_array:
            if there is None:
                there = parent[key[-1]] = []
            elif not isinstance(there, list) or id(there) in self.closed:
                raise _Invalid(f"{'.'.join(key)} is no array of tables")
            there.append({})
            return t.cast(Data, there[-1])
        if there is None:
            there = parent[key[-1]] = {}
        elif not isinstance(there, dict) or id(there) in self.closed or id(there) in self.defined:
            raise _Invalid(f"{'.'.join(key)} is there twice")
        self.defined.add(id(there))
        return t.cast(Data, there)

    def _down(self, table: Data, key: list[str]) -> Data:
        for part in key:
            there: t.Any = table.setdefault(part, {})
            if isinstance(there, list) and there and id(there) not in self.closed:
                there = there[-1]
            if not isinstance(there, dict) or id(there) in self.closed:
                raise _Invalid(f"{part} is no table")
            table = there
        return table

    def _pair(self, table: Data) -> None:
        key = self._key()
        self._expect("=")
        self._blank()
        value = self._value()
        for part in key[:-1]:
            new = part not in table
            there = table.setdefault(part, {})
            if not isinstance(there, dict) or id(there) in self.closed or (id(there) in self.defined and not new):
                raise _Invalid(f"{part} is no table that a key could be added to")
            table = there
        if key[-1] in table:
            raise _Invalid(f"{'.'.join(key)} is there twice")
        table[key[-1]] = value

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._blank()
            if self._next() in ('"', "'"):
                if self.text.startswith(('"""', "'''"), self.place):
                    raise _Invalid("a key cannot have several lines")
                parts.append(self._string())
            else:
                match = _BARE_KEY.match(self.text, self.place)
                if not match:
                    raise _Invalid("a key is expected")
                parts.append(match[0])
                self.place = match.end()
            self._blank()
            if self._next() != ".":
                return parts
            self.place += 1

    # Values

    def _value(self) -> t.Any:
        self.levels += 1
        if self.levels > _MOST_LEVELS:
            raise _Invalid("it is nested too deeply")
        try:
            first = self._next()
            if first in ('"', "'"):
                return self._string()
            if first == "[":
                return self._array()
            if first == "{":
                return self._inline()
            return self._plain()
        finally:
            self.levels -= 1

    def _plain(self) -> t.Any:
        match = _VALUE.match(self.text, self.place)
        word = match[0] if match else ""
        found: t.Any = None
        if word in ("true", "false"):
            found = word == "true"
        elif len(word) > _MOST_DIGITS:
            raise _Invalid("a number is too long")
        elif _INTEGER.fullmatch(word):
            found = int(word.replace("_", ""), 0) if word.lstrip("+-") != "0" else 0
        elif _FLOAT.fullmatch(word):
            found = float(word.replace("_", ""))
        elif _DATE.fullmatch(word):
            found = word
        if match is None or found is None:
            raise _Invalid("a value is expected")
        self.place = match.end()
        return found

    def _array(self) -> list[t.Any]:
        self.place += 1
        found: list[t.Any] = []
        self.closed.add(id(found))
        self._keep(found)
        while True:
            self._blank(lines=True)
            if self._next() == "]":
                break
            found.append(self._value())
            self._blank(lines=True)
            if self._next() == ",":
                self.place += 1
            elif self._next() != "]":
                raise _Invalid("an array goes on with a comma or ends with ]")
        self.place += 1
        return found

    def _inline(self) -> Data:
        self.place += 1
        found: Data = {}
        self._blank()
        while self._next() != "}":
            self._pair(found)
            self._blank()
            if self._next() == ",":
                self.place += 1
                self._blank()
                if self._next() == "}":
                    raise _Invalid("an inline table has no comma at its end")
            elif self._next() != "}":
                raise _Invalid("an inline table goes on with a comma or ends with }")
        self.place += 1
        self._close(found)
        return found

    def _close(self, table: Data) -> None:
        self.closed.add(id(table))
        self._keep(table)
        for value in table.values():
            if isinstance(value, dict):
                self._close(value)

    def _keep(self, value: t.Any) -> None:
        """Nothing whose identity is remembered may go and leave it to another."""
        self.kept.append(value)

    def _string(self) -> str:
        quote = self._next()
        many = self.text.startswith(quote * 3, self.place)
        self.place += 3 if many else 1
        if many and self._next() == "\n":
            self.place += 1
        end = quote * (3 if many else 1)
        found: list[str] = []
        while not self.text.startswith(end, self.place):
            character = self._next()
            if not character or (character == "\n" and not many):
                raise _Invalid("a string does not end")
            if character < " " and character not in "\t\n":
                raise _Invalid("a string has a control character")
            self.place += 1
            found.append(self._escaped(many) if character == "\\" and quote == '"' else character)
        self.place += len(end)
        # Up to two quotes may stand at the end of a string of several lines.
        while many and self._next() == quote and len(end) < 5:
            found.append(quote)
            end += quote
            self.place += 1
        return "".join(found)

    def _escaped(self, many: bool) -> str:
        character = self._next()
        self.place += 1
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character in ("u", "U"):
            size = 4 if character == "u" else 8
            digits = self.text[self.place : self.place + size]
            self.place += size
            if not re.fullmatch(f"[0-9a-fA-F]{{{size}}}", digits) or int(digits, 16) > 0x10FFFF or 0xD800 <= int(digits, 16) <= 0xDFFF:
                raise _Invalid("a string names a character that there is not")
            return chr(int(digits, 16))
        match = re.compile(r"[ \t]*\n[ \t\n]*").match(self.text, self.place - 1) if many else None
        if not match:
            raise _Invalid("a string has an unknown character after a backslash")
        self.place = match.end()
        return ""

    # The text

    def _next(self) -> str:
        return self.text[self.place : self.place + 1]

    def _blank(self, *, lines: bool = False) -> None:
        match = re.compile(r"(?:[ \t\n]|#[^\n]*)*" if lines else r"[ \t]*").match(self.text, self.place)
        self.place = match.end() if match else self.place

    def _expect(self, what: str) -> None:
        if not self.text.startswith(what, self.place):
            raise _Invalid(f"{what} is expected")
        self.place += len(what)

    def _end_of_line(self) -> None:
        self._blank()
        match = re.compile(r"(?:#[^\n]*)?(?:\n|\Z)").match(self.text, self.place)
        if not match:
            raise _Invalid("something follows where the line should end")
        self.place = match.end()
