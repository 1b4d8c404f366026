# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Links of the documentation."""

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.tests.unit.docs.pages import PAGES, ROOT, Page

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
BY_PATH = {page.path: page for page in PAGES}


def broken(page):
    """The links of a page that lead nowhere."""
    for link in page.links():
        path, _mark, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        if not target.exists():
            yield f"{link}: there is no such file"
        elif anchor and anchor not in BY_PATH.get(target, Page(target, "")).anchors():
            yield f"{link}: there is no such heading"


@each_page
def test_every_link_leads_to_a_file_and_a_heading_of_it(page):
    assert list(broken(page)) == []


@pytest.mark.parametrize("link", ["docs/nothing.md", "docs/clients.md#no-such-heading", "#no-such-heading"])
def test_a_link_that_leads_nowhere_is_found(link):
    assert list(broken(Page(ROOT / "README.md", f"[a link]({link})"))) != []


def test_every_page_can_be_reached_from_the_readme():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = BY_PATH[ahead.pop()]
        reached.add(page.path)
        linked = {(page.path.parent / link.partition("#")[0]).resolve() for link in page.links()}
        ahead += [path for path in linked if path in BY_PATH and path not in reached]
    assert [page.name for page in PAGES if page.path not in reached] == []
