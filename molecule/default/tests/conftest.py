"""The hosts of the scenario, and ways to act as a user and as the administrator."""

import json
import os
import pathlib
import shlex
import subprocess
import time

import pytest
import testinfra

ROOT = pathlib.Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "molecule" / "inventory.yml"
SECRETS = ROOT / ".cache" / "test-secrets"
NAME = "registry.holdfast.test"
PORT = 5443
ENDPOINT = f"{NAME}:{PORT}"
BOBS_PASSWORD = "a password of bob's own"


def _host(name):
    return testinfra.get_host(f"ansible://{name}?ansible_inventory={INVENTORY}")


@pytest.fixture(scope="session")
def registry():
    return _host("registry")


@pytest.fixture(scope="session")
def client():
    return _host("client")


@pytest.fixture(scope="session")
def alices_password():
    return (SECRETS / "users" / "alice.password").read_text().strip()


class Docker:
    """The docker command on the client, with credentials of its own."""

    def __init__(self, host):
        self.host = host
        self.config = host.check_output("mktemp -d -p /run")

    def run(self, command):
        return self.host.run(f"DOCKER_BUILDKIT=0 docker --config {self.config} {command}")

    def ok(self, command):
        result = self.run(command)
        assert result.rc == 0, result.stdout + result.stderr
        return result.stdout

    def login(self, user, password):
        return self.host.run(f"printf %s {shlex.quote(password)} | docker --config {self.config} login --username {user} --password-stdin {ENDPOINT}")

    def logout(self):
        self.run(f"logout {ENDPOINT}")

    def push_new_image(self, repository):
        """Build an image of a few random bytes, push it, and return its name and digest."""
        image = f"{ENDPOINT}/{repository}:{time.time_ns()}"
        context = f"{self.config}/context"
        self.host.check_output(f"mkdir -p {context} && head -c 4096 /dev/urandom >{context}/layer")
        self.host.check_output(f"printf 'FROM scratch\\nCOPY layer /\\n' >{context}/Dockerfile")
        self.ok(f"build -q -t {image} {context}")
        pushed = self.ok(f"push {image}")
        self.ok(f"image rm {image}")
        return image, pushed.split("digest: ")[1].split()[0]


@pytest.fixture
def docker(client):
    docker = Docker(client)
    yield docker
    client.run(f"rm -rf {docker.config}")


@pytest.fixture
def site():
    """Run site.yml as an administrator would, with other answers. Returns the finished process; its output is one text."""

    def run(*arguments, **answers):
        return subprocess.run(
            ["ansible-playbook", "-i", INVENTORY, "playbooks/site.yml", *arguments, "-e", json.dumps(answers)],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run
