# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lists that others have in a file get their items first, and are what they were once nobody wants that any longer."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._docker.merge import Claim, Claims, Merged, merge

pytest.importorskip("hypothesis")
from hypothesis import given, strategies

ITEMS = strategies.lists(strategies.sampled_from([1, True, "a", "b"]), max_size=4)
FILES = strategies.one_of(strategies.just({}), strategies.builds(lambda items: {"dns": items}, ITEMS))


def put(there: Merged, items: list[t.Any], name: str = "ours") -> Merged:
    """What the file and the record are after a call, the record as it is read again."""
    merged = merge(there.data, {"dns": items}, name, there.claims, where="daemon.json", parameter="settings")
    by_name = {owner: [Claim.of(claim.as_data) for claim in claims] for owner, claims in merged.claims.by_name.items()}
    assert by_name == merged.claims.by_name
    return merged


def start(data: dict[str, t.Any]) -> Merged:
    return Merged(data, Claims())


def test_an_item_that_was_there_goes_to_its_place_and_back():
    there = put(start({"dns": ["10.0.0.2", "8.8.8.8"]}), ["8.8.8.8"])
    assert there.data == {"dns": ["8.8.8.8", "10.0.0.2"]}
    assert put(there, []) == start({"dns": ["10.0.0.2", "8.8.8.8"]})


def test_what_others_have_changed_since_stays():
    there = put(start({"dns": [1, 2, 3]}), [3, 9])
    assert there.data == {"dns": [3, 9, 1, 2]}
    assert put(Merged({"dns": [3, 9, 2, 1]}, there.claims), [3, 9]).data == {"dns": [3, 9, 2, 1]}
    assert put(Merged({"dns": [3, 9, 1, 2, 4]}, there.claims), []).data == {"dns": [3, 1, 2, 4]}
    assert put(Merged({"dns": [9, 1, 2]}, there.claims), []).data == {"dns": [1, 2]}


def test_two_names_do_not_take_turns_with_items_that_were_there():
    there = put(put(start({"dns": [1, 2, 3]}), [3], "one"), [2], "two")
    assert put(there, [3], "one") == put(there, [2], "two") == there
    assert put(put(there, [], "one"), [], "two") == start({"dns": [1, 2, 3]})


def test_what_an_earlier_version_has_recorded_goes():
    claims = Claims({"ours": [Claim(("dns",), [9])]})
    assert put(Merged({"dns": [9, 1]}, claims), []) == start({"dns": [1]})
    there = put(Merged({"dns": [9, 1]}, claims), [9])
    assert (there.data, put(there, []).data) == ({"dns": [9, 1]}, {"dns": [1]})


@given(FILES, ITEMS, ITEMS)
def test_one_name_leaves_no_trace(data, first, second):
    there = put(start(data), first)
    assert put(there, first) == there
    assert put(there, second) == put(start(data), second)
    assert put(there, []) == start(data)


@given(FILES, ITEMS, ITEMS, strategies.booleans())
def test_two_names_settle_and_leave_no_trace(data, first, second, first_goes_first):
    there = put(put(start(data), first, "one"), second, "two")
    assert put(there, second, "two") == there
    again = put(there, first, "one")
    assert put(again, second, "two").data == again.data == there.data
    for name in ("one", "two") if first_goes_first else ("two", "one"):
        there = put(there, [], name)
    assert there == start(data)
