"""Real docker: everyone does what they may, and is told so where they may not."""

import re
import shlex
import time

import pytest
from conftest import PASSWORDS

PEOPLE = "registry.holdfast.test:5443"
ROBOT = "machines.holdfast.test:5443"
BOTH = "both.holdfast.test:6443"
BARE = "bare.holdfast.test:6443"
HOSTILE = 'b"o\\b $x'
UMLAUT = "zoë"


class Docker:
    """The docker command, as somebody at an endpoint."""

    def __init__(self, host, endpoint=PEOPLE):
        self.host = host
        self.endpoint = endpoint
        self.config = host.check_output("mktemp -d -p /run")

    def run(self, command):
        return self.host.run(f"DOCKER_BUILDKIT=0 docker --config {self.config} {command}")

    def ok(self, command):
        result = self.run(command)
        assert result.rc == 0, result.stdout + result.stderr
        return result.stdout

    def denied(self, command):
        result = self.run(command)
        assert result.rc != 0
        assert "denied: no access rule allows this" in result.stderr, result.stderr

    def login(self, user, password=None):
        secret = shlex.quote(PASSWORDS[user] if password is None else password)
        return self.host.run(f"printf %s {secret} | docker --config {self.config} login --username {shlex.quote(user)} --password-stdin {self.endpoint}")

    def build(self, repository):
        image = f"{self.endpoint}/{repository}:{time.time_ns()}"
        self.host.check_output("date +%s%N >/run/context/layer")
        self.ok(f"build -q -t {image} /run/context")
        return image

    def push(self, repository):
        image = self.build(repository)
        self.ok(f"push {image}")
        self.ok(f"image rm {image}")
        return image.replace(self.endpoint, "")


@pytest.fixture
def docker(client):
    client.check_output("mkdir -p /run/context; printf 'FROM scratch\\nCOPY layer /\\n' >/run/context/Dockerfile")
    made = []

    def docker(user="", endpoint=PEOPLE):
        made.append(Docker(client, endpoint))
        if user:
            login = made[-1].login(user)
            assert login.rc == 0, login.stderr
        return made[-1]

    yield docker
    for each in made:
        client.run(f"rm -rf {each.config}")


@pytest.fixture
def pushed(docker):
    """A fresh image in each repository, as :TAG behind its name."""
    return lambda *repositories: [docker("admin").push(repository) for repository in repositories]


def test_alice_pulls_and_pushes_what_is_her_teams_and_nothing_else(docker, pushed):
    alice = docker("alice")
    own = alice.push("team-a/app")
    foreign, library = pushed("team-b/app", "library/base")
    alice.ok(f"pull {PEOPLE}{own}")
    alice.ok(f"pull {PEOPLE}{library}")
    alice.denied(f"pull {PEOPLE}{foreign}")
    for repository in ("team-b/app", "library/base", "team-a", "public/hello"):
        alice.denied(f"push {alice.build(repository)}")


def test_bob_has_his_teams_and_reads_what_is_shared(docker, pushed):
    bob = docker("bob")
    bob.ok(f"pull {PEOPLE}{bob.push('team-b/app')}")
    shared, other = pushed("team-a/shared", "team-a/app")
    bob.ok(f"pull {PEOPLE}{shared}")
    bob.denied(f"pull {PEOPLE}{other}")
    bob.denied(f"push {bob.build('team-a/shared')}")


def test_carol_has_only_what_all_users_have(docker, pushed):
    carol = docker("carol")
    library, team, public = pushed("library/base", "team-a/app", "public/hello")
    carol.ok(f"pull {PEOPLE}{library}")
    carol.ok(f"pull {PEOPLE}{public}")
    carol.denied(f"pull {PEOPLE}{team}")
    carol.denied(f"push {carol.build('library/base')}")


def test_who_has_not_logged_in_pulls_what_is_public_and_is_asked_for_a_password_elsewhere(docker, pushed):
    nobody = docker()
    public, library = pushed("public/hello", "library/base")
    nobody.ok(f"pull {PEOPLE}{public}")
    for command in (f"pull {PEOPLE}{library}", f"push {nobody.build('public/hello')}"):
        refused = nobody.run(command)
        assert refused.rc != 0
        assert re.search("unauthorized: a user name and a password are required|no basic auth credentials", refused.stderr), refused.stderr


def test_a_wrong_password_is_no_login(docker):
    for user, password in (("alice", "a guess"), ("alice", PASSWORDS["bob"]), ("robot", "robot")):
        login = docker().login(user, password)
        assert login.rc != 0
        assert "unauthorized" in login.stderr.lower()


@pytest.mark.parametrize("user", [HOSTILE, UMLAUT])
def test_a_name_of_unusual_letters_is_a_name_like_any_other(docker, pushed, user):
    somebody = docker(user)
    somebody.ok(f"pull {PEOPLE}{somebody.push('odd/app')}")
    (team,) = pushed("team-a/app")
    somebody.denied(f"pull {PEOPLE}{team}")
    names = found(somebody, "app", {"odd/app"})
    assert "odd/app" in names
    assert "team-a/app" not in names


def found(docker, term, pushed):
    """What a search finds, once it finds what was pushed: a new repository shows up within five seconds."""
    for _attempt in range(20):
        lines = docker.ok(f"search --limit 100 {docker.endpoint}/{term}").splitlines()[1:]
        names = {line.split()[0].removeprefix(f"{docker.endpoint}/") for line in lines}
        if pushed <= names:
            break
        time.sleep(0.5)
    return names


def test_a_search_finds_what_its_user_may_pull(docker, pushed):
    pushed("team-a/app", "team-b/app", "library/app", "public/app", "odd/app")
    everything = {"team-a/app", "team-b/app", "library/app", "public/app", "odd/app"}
    assert found(docker("admin"), "app", everything) >= everything
    alices = {"team-a/app", "library/app", "public/app"}
    assert found(docker("alice"), "app", alices) == alices
    for user in ("carol", ""):
        assert docker(user).run(f"search {PEOPLE}/app").rc != 0


def test_a_certificate_stands_for_the_user_it_names(docker, pushed):
    robot = docker(endpoint=ROBOT)
    robot.ok(f"pull {ROBOT}{robot.push('machines/app')}")
    library, team = pushed("library/base", "team-a/app")
    robot.ok(f"pull {ROBOT}{library}")
    robot.denied(f"pull {ROBOT}{team}")
    robot.denied(f"push {robot.build('library/base')}")


def test_where_both_are_required_neither_is_enough(docker, pushed):
    (team,) = pushed("team-a/app")
    docker("alice", BOTH).ok(f"pull {BOTH}{team}")

    certificate_only = docker(endpoint=BOTH).run(f"pull {BOTH}{team}")
    assert certificate_only.rc != 0
    assert "unauthorized" in certificate_only.stderr or "no basic auth" in certificate_only.stderr

    password_only = docker(endpoint=BARE).login("alice")
    assert password_only.rc != 0
    assert "403 Forbidden" in password_only.stderr
