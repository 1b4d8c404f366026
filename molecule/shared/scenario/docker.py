# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The docker command on a host, as somebody at a registry."""

import contextlib
import shlex
from collections.abc import Iterator

from testinfra.backend.base import CommandResult
from testinfra.host import Host


class Docker:
    """Credentials of its own, in a directory that `close` removes."""

    def __init__(self, host: Host, endpoint: str) -> None:
        self.host = host
        self.endpoint = endpoint
        self.config = host.check_output("mktemp -d -p /run")

    def close(self) -> None:
        self.host.check_output(f"rm -rf {self.config}")

    def run(self, command: str) -> CommandResult:
        # the classic builder: buildx is no part of Debian's docker.io
        return self.host.run(f"DOCKER_BUILDKIT=0 docker --config {self.config} {command}")

    def ok(self, command: str) -> str:
        result = self.run(command)
        assert result.rc == 0, result.stdout + result.stderr
        return str(result.stdout)

    def denied(self, command: str) -> None:
        result = self.run(command)
        assert result.rc != 0
        assert "denied: no access rule allows this" in result.stderr, result.stderr

    def login(self, user: str, password: str) -> CommandResult:
        login = f"docker --config {self.config} login --username {shlex.quote(user)} --password-stdin {self.endpoint}"
        return self.host.run(f"printf %s {shlex.quote(password)} | {login}")

    def logout(self) -> None:
        self.ok(f"logout {self.endpoint}")

    def build(self, repository: str) -> str:
        """An image of a few random bytes, tagged with a name that no other has."""
        context = f"{self.config}/context"
        image = f"{self.endpoint}/{repository}:{self.host.check_output('date +%s%N')}"
        self.host.check_output(f"mkdir -p {context}; printf 'FROM scratch\\nCOPY layer /\\n' >{context}/Dockerfile; head -c 4096 /dev/urandom >{context}/layer")
        self.ok(f"build -q -t {image} {context}")
        return image

    def push(self, repository: str) -> tuple[str, str]:
        """Push a new image, keep no copy, and return its name and digest."""
        image = self.build(repository)
        pushed = self.ok(f"push {image}")
        self.ok(f"image rm {image}")
        return image, pushed.split("digest: ")[1].split()[0]

    @contextlib.contextmanager
    def pulling(self, image: str) -> Iterator[list[str]]:
        """Pull an image over and over. The list gets what went wrong, and is whole once this has ended."""
        log, go = f"{self.config}/pulls", f"{self.config}/pull"
        pull = f"if said=$(docker --config {self.config} pull -q {image} 2>&1); then echo pulled; else echo failed: $(date +%T) $said; fi"
        loop = f"while [ -e {go} ]; do {pull} >>{log}; sleep 0.2; done; echo ended >>{log}"
        self.host.check_output(f"touch {go}; : >{log}; setsid sh -c '{loop}' >/dev/null 2>&1 &")
        failed: list[str] = []
        try:
            yield failed
        finally:
            self.host.check_output(f"rm {go}; timeout 60 sh -c 'until grep -q ended {log}; do sleep 0.1; done'")
        lines = self.host.check_output(f"cat {log}").splitlines()
        assert lines.count("pulled") > 10, lines
        failed += [line for line in lines if line.startswith("failed")]
