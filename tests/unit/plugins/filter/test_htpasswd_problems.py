# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.plugins.filter.htpasswd_problems import FilterModule

htpasswd_problems = FilterModule().filters()["htpasswd_problems"]


class Vaulted:
    """What a value encrypted with Ansible Vault looks like to a filter up to ansible-core 2.18."""

    __ENCRYPTED__ = True

    def __str__(self):
        return "hunter2"


def test_a_good_list_has_no_problems():
    assert htpasswd_problems([{"name": "alice", "password": "x"}, {"name": "bob", "state": "absent"}]) == []


def test_a_password_may_be_missing_because_the_playbook_makes_one_up():
    assert htpasswd_problems([{"name": "alice"}]) == []
    assert htpasswd_problems([{"name": "alice"}], secret_required=True) == ["users[0]: needs a password or a password_hash"]


@pytest.mark.parametrize("secret_required", [False, True])
def test_a_password_without_a_value_is_a_problem(secret_required):
    found = htpasswd_problems([{"name": "alice"}, {"name": "bob", "password": None}], secret_required=secret_required)
    assert found[-1] == "users[1].password: has no value; give it one, or leave the key out"


def test_an_empty_password_is_a_problem():
    assert htpasswd_problems([{"name": "alice", "password": ""}]) == ["users[0].password: must not be empty"]


def test_an_encrypted_password_is_a_string():
    assert htpasswd_problems([{"name": "alice", "password": Vaulted()}]) == []


def test_messages_name_the_given_variable():
    assert htpasswd_problems([{"name": "al:ice"}], parameter="holdfast_users") == ["holdfast_users[0].name: 'al:ice' must not contain a colon"]


def test_a_password_longer_than_bcrypt_reads_is_a_problem():
    users = [{"name": "alice", "password": "hunter2" * 11}]
    assert htpasswd_problems(users) == ["users[0].password: is 77 bytes long in UTF-8, at most 72 are possible with bcrypt"]


@pytest.mark.parametrize("users", [None, "alice", {"alice": "hunter2"}, [None, "alice:hunter2", {"name": "alice", "extra": "hunter2"}]])
def test_anything_else_is_a_problem_that_shows_no_value(users):
    found = htpasswd_problems(users)
    assert found
    assert "hunter2" not in str(found)
