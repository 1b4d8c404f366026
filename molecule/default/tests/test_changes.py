# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml with other settings, and then with the original ones: the logins that work meanwhile, and the output."""

import dataclasses

import pytest
from answers import BOBS_PASSWORD, ENDPOINT, SECRETS
from scenario import hosts, playbook
from scenario.docker import Docker
from testinfra.backend.base import CommandResult

ANOTHER_PASSWORD = "quite another password"
ANOTHER_SECRET = "0123456789abcdef-an-upload-secret"


@dataclasses.dataclass(frozen=True)
class Carol:
    """Is on the list for a while."""

    password: str
    login_while_listed: CommandResult
    login_afterwards: CommandResult
    # with the credentials from before
    pull_afterwards: CommandResult
    bobs_login_afterwards: CommandResult


@dataclasses.dataclass(frozen=True)
class Changes:
    # all that was printed
    output: str
    # as they were before
    secrets: dict[str, str]
    carol: Carol


@pytest.fixture(scope="module")
def changes() -> Changes:
    registry = hosts.host("registry")
    before = {
        "alice's password": (SECRETS / "users/alice.password").read_text().strip(),
        "the password of the cache": (SECRETS / "redis.password").read_text().strip(),
        "the upload secret": registry.check_output("cut -d= -f2 /etc/docker/registry/http-secret.env"),
        "the server's key": registry.check_output("sed -n 2p /etc/ssl/holdfast/registry.key"),
        "the CA's key": registry.check_output("sed -n 2p /etc/ssl/holdfast-ca/ca.key"),
    }
    carol = Docker(hosts.host("client"), ENDPOINT)

    users = [{"name": "alice"}, {"name": "bob", "password": ANOTHER_PASSWORD}, {"name": "carol"}]
    loudly = ("-vvv", "--diff")
    output = playbook.converged(*loudly, "--limit=registry", "--check", holdfast_users=users, registry_http_secret=ANOTHER_SECRET).output
    output += playbook.converged(*loudly, "--limit=registry", holdfast_users=users, registry_http_secret=ANOTHER_SECRET).output
    password = (SECRETS / "users/carol.password").read_text().strip()
    login = carol.login("carol", password)
    image = carol.push("team/removed")[0]
    output += playbook.converged(*loudly).output

    pull = carol.run(f"pull {image}")
    carols = Carol(password, login, carol.login("carol", password), pull, carol.login("bob", BOBS_PASSWORD))
    carol.close()
    return Changes(output, before, carols)


def test_a_user_removed_from_the_list_cannot_log_in_again(changes: Changes) -> None:
    assert changes.carol.login_while_listed.rc == 0
    assert changes.carol.login_afterwards.rc != 0
    assert changes.carol.pull_afterwards.rc != 0
    assert "unauthorized" in changes.carol.pull_afterwards.stderr
    assert changes.carol.bobs_login_afterwards.rc == 0


def test_no_output_at_any_verbosity_contains_a_secret(changes: Changes) -> None:
    secrets = {
        **changes.secrets,
        "bob's password": BOBS_PASSWORD,
        "a new password": ANOTHER_PASSWORD,
        "carol's password": changes.carol.password,
        "another upload secret": ANOTHER_SECRET,
        "a hash": "$2y$",
    }
    assert "carol" in changes.output
    assert [what for what, secret in secrets.items() if secret in changes.output] == []
