# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""containerd and BuildKit log in, pull and push like docker: they ask for a token in a way of their own."""

import shlex
from collections.abc import Callable

import pytest
from people import PASSWORDS, PEOPLE
from scenario.docker import Docker
from testinfra.backend.base import CommandResult
from testinfra.host import Host


class Containerd:
    """ctr on the client, as somebody or nobody."""

    def __init__(self, host: Host, user: str) -> None:
        self.host = host
        self._credentials = f"--user {shlex.quote(f'{user}:{PASSWORDS[user]}')}" if user else ""

    def pull(self, image: str) -> CommandResult:
        # overlayfs, the default, does not work on top of a container's own overlayfs
        return self.host.run(f"ctr images pull --snapshotter native {self._credentials} {image}")

    def push(self, image: str) -> CommandResult:
        return self.host.run(f"ctr images push {self._credentials} {image}")


def _done(result: CommandResult) -> None:
    assert result.rc == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def buildx(client: Host) -> None:
    if client.run("apt-cache show docker-buildx").rc != 0:
        pytest.skip("this platform has no docker-buildx")
    client.check_output("apt-get install --yes --no-install-recommends docker-buildx")


@pytest.fixture
def containerd(client: Host) -> Callable[[str], Containerd]:
    return lambda user: Containerd(client, user)


def test_containerd_pulls_what_its_user_may(containerd: Callable[[str], Containerd], pushed: Callable[..., list[str]]) -> None:
    own, foreign = pushed("team-a/app", "team-b/app")
    _done(containerd("alice").pull(f"{PEOPLE}/{own}"))
    refused = containerd("alice").pull(f"{PEOPLE}/{foreign}")
    assert refused.rc != 0
    assert "403" in refused.stderr, refused.stderr


def test_containerd_pushes_what_its_user_may(containerd: Callable[[str], Containerd], pushed: Callable[..., list[str]], client: Host) -> None:
    (image,) = pushed("team-a/app")
    _done(containerd("alice").pull(f"{PEOPLE}/{image}"))
    copy, elsewhere = f"{PEOPLE}/team-a/from-containerd:1", f"{PEOPLE}/team-b/from-containerd:1"
    client.check_output(f"ctr images tag --force {PEOPLE}/{image} {copy} {elsewhere}")
    _done(containerd("alice").push(copy))
    refused = containerd("alice").push(elsewhere)
    assert refused.rc != 0
    assert "403" in refused.stderr, refused.stderr


@pytest.mark.usefixtures("buildx")
def test_buildkit_builds_on_what_its_user_may_pull_and_pushes(docker: Callable[..., Docker], pushed: Callable[..., list[str]], client: Host) -> None:
    (base,) = pushed("team-a/base")
    alice = docker("alice")
    image = f"{PEOPLE}/team-a/from-buildkit:1"
    client.check_output(f"mkdir -p {alice.config}/on && printf 'FROM {PEOPLE}/{base}\\nCOPY Dockerfile /\\n' >{alice.config}/on/Dockerfile")
    built = client.run(f"docker --config {alice.config} buildx build --no-cache --push -t {image} {alice.config}/on")
    assert built.rc == 0, built.stderr
    alice.ok(f"pull {image}")
