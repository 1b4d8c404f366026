"""The hosts of the scenario, and what its users can do."""

import base64
import json
import pathlib

import pytest
import testinfra
import yaml

HERE = pathlib.Path(__file__).resolve().parent
INVENTORY = HERE.parents[1] / "inventory.yml"
SETTINGS = yaml.safe_load((HERE.parent / "vars/rules.yml").read_text())
PASSWORDS = {user["name"]: user["password"] for user in SETTINGS["access_users"]}
PORT = 5443


def _host(name):
    return testinfra.get_host(f"ansible://{name}?ansible_inventory={INVENTORY}")


@pytest.fixture(scope="session")
def registry():
    return _host("access-registry")


@pytest.fixture(scope="session")
def client():
    return _host("access-client")


def write(host, path, content):
    """A file on a host, whatever is in it."""
    host.check_output(f"umask 077; printf %s {base64.b64encode(content.encode()).decode()} | base64 -d >{path}")


@pytest.fixture(scope="session")
def play(registry):
    """Play attacks on the registry's host, all in one go. See attacker.py."""
    write(registry, "/run/attacker.py", (HERE / "attacker.py").read_text())

    def play(attacks, seed=False, values=None, port=PORT):
        order = {"port": port, "users": PASSWORDS, "seed": seed, "values": values or {}, "attacks": attacks}
        write(registry, "/run/attacks.json", json.dumps(order))
        return json.loads(registry.check_output("python3 /run/attacker.py </run/attacks.json; rm -f /run/attacks.json"))

    return play
