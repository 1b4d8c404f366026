# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""User names, passwords and tokens in URLs, which are never shown."""

from __future__ import annotations

import re
import typing as t

_MASK = "********"
# A password may hold an @: Go and Python take the last one before the path. Where there is none, a slash in the password has ended the
# host early, and the last @ of all is meant. A scheme may have been forgotten.
_USERINFO = re.compile(r"(://|^(?!.*://))(?:([^/\s]*)@|(.*)@)", re.DOTALL)
# The same in the text of JSON, where a quote ends a string. The engine takes a proxy without a scheme.
_IN_JSON = re.compile(
    r'(:\\?/\\?/|-proxy"\s*:\s*"(?![a-z0-9+.-]+:\\?/\\?/))'
    r'(?:(?:[^/\s"\\]|\\[^/])*@|(?:[^"\\\n]|\\.)*@)',
    re.IGNORECASE,
)


def secrets(url: str) -> t.Iterator[str]:
    """What is to be hidden of a URL: the password, and the user name with it."""
    for _start, before_path, before_last in _USERINFO.findall(url):
        userinfo = before_path or before_last
        yield from (part for part in (userinfo.partition(":")[2], userinfo) if part)


def masked(url: str) -> str:
    """A URL as a message may show it: without user name, password and query."""
    return re.sub(r"\?.*", f"?{_MASK}", _USERINFO.sub(rf"\1{_MASK}@", url, count=1), flags=re.DOTALL)


def masked_json(text: str) -> str:
    """A text of JSON, or one that quotes from it, without the user names and passwords in its URLs."""
    return _IN_JSON.sub(rf"\1{_MASK}@", text)
