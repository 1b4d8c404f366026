# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import os
import types

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership


def test_owner_and_group_are_given_by_name_or_number():
    assert Ownership.of("0640", "root", "0") == Ownership(0o640, 0, 0)
    assert Ownership.of(None, None, None) == Ownership()


@pytest.mark.parametrize(
    ("mode", "owner", "group", "message"),
    [
        ("0999", None, None, r"^x\.mode: '0999' is not an octal number such as '0640'"),
        ("17777", None, None, r"^x\.mode: '17777' is not between '0000' and '7777'"),
        (416, None, None, r"^x\.mode: write it in octal and in quotes"),
        (None, "no-such-user", None, r"^x\.owner: there is no user 'no-such-user' on this host"),
        (None, None, "no-such-group", r"^x\.group: there is no group 'no-such-group' on this host"),
        (None, "4294967295", None, r"^x\.owner: 4294967295 is too large"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(mode, owner, group, message):
    with pytest.raises(HoldfastError, match=message):
        Ownership.of(mode, owner, group, where="x.")


def test_every_part_that_differs_is_named_and_what_is_left_open_does_not_count():
    there = types.SimpleNamespace(st_mode=0o100644, st_uid=1, st_gid=2)
    assert Ownership(0o640, 3, 4).differences(there) == ["mode 0644 -> 0640", "owner 1 -> 3", "group 2 -> 4"]
    assert Ownership().differences(there) == [] == Ownership(0o644, 1, 2).differences(there)
    assert Ownership(gid=9).or_of(there) == Ownership(0o644, 1, 9)


def test_the_mode_comes_last(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fchown", lambda *_arguments: order.append("owner"))
    monkeypatch.setattr(os, "fchmod", lambda *_arguments: order.append("mode"))
    Ownership(0o644, 1, 1).apply(0)
    assert order == ["owner", "mode"]
