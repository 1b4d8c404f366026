# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pages of the documentation, read once: their text, headings, links and code."""

from __future__ import annotations

import pathlib
import re
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[3]
_FENCE = re.compile(r"^( *)```([a-z{}]*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


class Page(t.NamedTuple):
    """A Markdown page."""

    path: pathlib.Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def prose(self) -> str:
        """The text without blocks of code."""
        return _FENCE.sub("", self.text)

    def fences(self, *languages: str) -> list[str]:
        """The blocks of code in these languages; "" for those that name none."""
        return [_without_indent(body) for _indent, language, body in _FENCE.findall(self.text) if language in languages]

    def commands(self) -> list[str]:
        """What a reader types: the lines of blocks without a language, with continued lines joined, and code within a line."""
        lines = [line for body in self.fences("", "sh") for line in re.sub(r"\\\n *", "", body).splitlines()]
        return [re.sub(r"\s+#.*", "", line).removeprefix("$ ").strip() for line in lines] + re.findall(r"`([^`\n]+)`", self.prose)

    def anchors(self) -> set[str]:
        """The anchors of its headings, as GitHub makes them."""
        found: set[str] = set()
        for heading in re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE):
            anchor = base = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            number = 0
            while anchor in found:
                number += 1
                anchor = f"{base}-{number}"
            found.add(anchor)
        return found

    def links(self) -> list[str]:
        """Where its links lead, without those to other sites."""
        return [target for target in re.findall(r"\]\(([^)\s]+)\)", self.prose) if not re.match("[a-z]+:", target)]


def _without_indent(body: str) -> str:
    first = re.match(" *", body)
    return re.sub(f"^{first[0] if first else ''}", "", body, flags=re.MULTILINE)


def read_pages() -> list[Page]:
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md")]
    return [Page(path, path.read_text()) for path in sorted(found)]


PAGES = read_pages()
