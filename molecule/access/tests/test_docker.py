# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real docker: everyone does what they may, and is told so where they may not."""

import re
import time
from collections.abc import Callable

import pytest
from people import BARE, BOTH, HOSTILE, PASSWORDS, PEOPLE, ROBOT, UMLAUT
from scenario.docker import Docker

Somebody = Callable[..., Docker]
Pushed = Callable[..., list[str]]


def test_alice_pulls_and_pushes_what_is_her_teams_and_nothing_else(docker: Somebody, pushed: Pushed) -> None:
    alice = docker("alice")
    own, _digest = alice.push("team-a/app")
    foreign, library = pushed("team-b/app", "library/base")
    alice.ok(f"pull {own}")
    alice.ok(f"pull {PEOPLE}/{library}")
    alice.denied(f"pull {PEOPLE}/{foreign}")
    for repository in ("team-b/app", "library/base", "team-a", "public/hello"):
        alice.denied(f"push {alice.build(repository)}")


def test_bob_has_his_teams_and_reads_what_is_shared(docker: Somebody, pushed: Pushed) -> None:
    bob = docker("bob")
    bob.ok(f"pull {bob.push('team-b/app')[0]}")
    shared, other = pushed("team-a/shared", "team-a/app")
    bob.ok(f"pull {PEOPLE}/{shared}")
    bob.denied(f"pull {PEOPLE}/{other}")
    bob.denied(f"push {bob.build('team-a/shared')}")


def test_carol_has_only_what_all_users_have(docker: Somebody, pushed: Pushed) -> None:
    carol = docker("carol")
    library, team, public = pushed("library/base", "team-a/app", "public/hello")
    carol.ok(f"pull {PEOPLE}/{library}")
    carol.ok(f"pull {PEOPLE}/{public}")
    carol.denied(f"pull {PEOPLE}/{team}")
    carol.denied(f"push {carol.build('library/base')}")


def test_who_has_not_logged_in_pulls_what_is_public_and_is_asked_for_a_password_elsewhere(docker: Somebody, pushed: Pushed) -> None:
    nobody = docker()
    public, library = pushed("public/hello", "library/base")
    nobody.ok(f"pull {PEOPLE}/{public}")
    for command in (f"pull {PEOPLE}/{library}", f"push {nobody.build('public/hello')}"):
        refused = nobody.run(command)
        assert refused.rc != 0
        assert re.search("unauthorized: a user name and a password are required|no basic auth credentials", refused.stderr), refused.stderr


def test_a_wrong_password_is_no_login(docker: Somebody) -> None:
    for user, password in (("alice", "a guess"), ("alice", PASSWORDS["bob"]), ("robot", "robot")):
        login = docker().login(user, password)
        assert login.rc != 0
        assert "unauthorized" in login.stderr.lower()


@pytest.mark.parametrize("user", [HOSTILE, UMLAUT])
def test_a_name_of_unusual_letters_is_a_name_like_any_other(docker: Somebody, pushed: Pushed, user: str) -> None:
    somebody = docker(user)
    somebody.ok(f"pull {somebody.push('odd/app')[0]}")
    (team,) = pushed("team-a/app")
    somebody.denied(f"pull {PEOPLE}/{team}")
    names = found(somebody, "app", {"odd/app"})
    assert "odd/app" in names
    assert "team-a/app" not in names


def found(docker: Docker, term: str, pushed: set[str]) -> set[str]:
    """What a search finds, once it finds what was pushed: a new repository shows up within five seconds."""
    names: set[str] = set()
    for _attempt in range(20):
        lines = docker.ok(f"search --limit 100 {docker.endpoint}/{term}").splitlines()[1:]
        names = {line.split()[0].removeprefix(f"{docker.endpoint}/") for line in lines}
        if pushed <= names:
            break
        time.sleep(0.5)
    return names


def test_a_search_finds_what_its_user_may_pull(docker: Somebody, pushed: Pushed) -> None:
    pushed("team-a/app", "team-b/app", "library/app", "public/app", "odd/app")
    everything = {"team-a/app", "team-b/app", "library/app", "public/app", "odd/app"}
    assert found(docker("admin"), "app", everything) >= everything
    alices = {"team-a/app", "library/app", "public/app"}
    assert found(docker("alice"), "app", alices) == alices
    for user in ("carol", ""):
        assert docker(user).run(f"search {PEOPLE}/app").rc != 0


def test_a_certificate_stands_for_the_user_it_names(docker: Somebody, pushed: Pushed) -> None:
    robot = docker(endpoint=ROBOT)
    robot.ok(f"pull {robot.push('machines/app')[0]}")
    library, team = pushed("library/base", "team-a/app")
    robot.ok(f"pull {ROBOT}/{library}")
    robot.denied(f"pull {ROBOT}/{team}")
    robot.denied(f"push {robot.build('library/base')}")


def test_where_both_are_required_neither_is_enough(docker: Somebody, pushed: Pushed) -> None:
    (team,) = pushed("team-a/app")
    docker("alice", BOTH).ok(f"pull {BOTH}/{team}")

    certificate_only = docker(endpoint=BOTH).run(f"pull {BOTH}/{team}")
    assert certificate_only.rc != 0
    assert "unauthorized" in certificate_only.stderr or "no basic auth" in certificate_only.stderr

    password_only = docker(endpoint=BARE).login("alice", PASSWORDS["alice"])
    assert password_only.rc != 0
    assert "403 Forbidden" in password_only.stderr
