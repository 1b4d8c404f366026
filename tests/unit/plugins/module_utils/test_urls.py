# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The password in a URL is hidden to its last character, and what is no part of it is shown."""

from __future__ import annotations

import json

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils import _urls


@pytest.mark.parametrize(
    ("url", "hidden", "shown"),
    [
        ("http://proxy:3128/a", [], "http://proxy:3128/a"),
        ("http://user:staple@proxy:3128", ["staple", "user:staple"], "http://********@proxy:3128"),
        ("http://user:fi@rst-staple@proxy:3128/a@b", ["fi@rst-staple", "user:fi@rst-staple"], "http://********@proxy:3128/a@b"),
        ("http://user:fi/rst@staple@proxy", ["fi/rst@staple", "user:fi/rst@staple"], "http://********@proxy"),
        ("https://staple@host/k?token=abc#d", ["staple"], "https://********@host/k?********"),
        ("https://user:sta?ple#@host/k", ["sta?ple#", "user:sta?ple#"], "https://********@host/k"),
        ("https://:staple@host", ["staple", ":staple"], "https://********@host"),
        ("https://user:@host", ["user:"], "https://********@host"),
        ("user:staple@proxy", ["staple", "user:staple"], "********@proxy"),
    ],
)
def test_what_a_url_hides(url, hidden, shown):
    assert list(_urls.secrets(url)) == hidden
    assert _urls.masked(url) == shown
    if "://" in url:
        assert "staple" not in _urls.masked_json(json.dumps({"a": [url]}))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a": ["https://one", "b@c"]}', '{"a": ["https://one", "b@c"]}'),
        (r'{"a": "http:\/\/u:staple@p\/x"}', r'{"a": "http:\/\/********@p\/x"}'),
        (r'{"a": "http://u:sta\"ple@p"}', '{"a": "http://********@p"}'),
        ('{"http-proxy": "u:staple@p"}', '{"http-proxy": "********@p"}'),
        ('{"http-proxy": "http://u:staple@p"}', '{"http-proxy": "http://********@p"}'),
        ('invalid proxy "http://u:sta@ple@p:x": port', 'invalid proxy "http://********@p:x": port'),
    ],
)
def test_what_a_text_of_json_hides(text, shown):
    assert _urls.masked_json(text) == shown
