# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator gets from site.yml: refusals that name the variable, and predictions that hold."""

import pathlib
import shutil
import subprocess

import pytest
from answers import SECRETS
from scenario import playbook

LONG = "p" * 73
MANY_WRONG = [{"name": "a:b"}, {"name": "a\nb"}, {"name": ""}, {"name": "alice", "password": LONG}, {"name": "alice"}, {"name": "holdfast-verify"}]


@pytest.mark.controller
@pytest.mark.parametrize(
    ("variables", "answers"),
    [
        # what site.yml checks itself, all at once
        (
            ["holdfast_server_name: ", "holdfast_port: ", "nginx_auth_tls: ", "holdfast_users[3].password: "]
            + [f"holdfast_users[{number}].name: " for number in (0, 1, 2, 4, 5)],
            {"holdfast_server_name": "", "holdfast_port": 65536, "nginx_auth_tls": False, "holdfast_users": MANY_WRONG},
        ),
        (["holdfast_port: ", "holdfast_users: "], {"holdfast_port": 0, "holdfast_users": []}),
        # what a role checks
        (["redis_memory_limit"], {"redis_memory_limit": "lots"}),
        (["pki_renew_before_days"], {"pki_lifetime_days": 30, "pki_renew_before_days": 30}),
        (["nginx_auth_certificate_users[0]"], {"nginx_auth_certificate_users": ["holdfast-verify"]}),
        (["nginx_auth_client_certificates"], {"nginx_auth_client_certificates": True}),
        (["docker_client_ca_certificate"], {"nginx_auth_certificate": "/etc/ssl/own.crt"}),
        (["nginx_auth_rules[0].users[0]"], {"nginx_auth_rules": [{"repositories": ["**"], "users": ["nobody"]}]}),
        (["registry_storage_directory"], {"registry_storage_directory": "images"}),
    ],
)
def test_wrong_answers_are_refused_by_name_before_anything_is_changed(variables: list[str], answers: dict[str, object]) -> None:
    refused = playbook.converge(**answers)
    assert not refused.succeeded
    said = refused.output.partition("PLAY RECAP")[0]
    assert [variable for variable in variables if variable not in said] == [], refused.output
    assert refused.changed == 0
    assert LONG not in refused.output


def test_check_mode_reports_nothing_on_converged_hosts() -> None:
    assert playbook.converged("--check", "--diff").changed == 0


@pytest.mark.controller
def test_a_client_is_not_left_without_the_ca_where_the_controller_does_not_know_it(tmp_path: pathlib.Path) -> None:
    refused = playbook.converge("--limit", "client", holdfast_secrets_directory=str(tmp_path))
    assert not refused.succeeded
    assert f"the certificate of the CA is not known here: {tmp_path}/ca.crt is missing" in refused.output
    assert refused.changed == 0


def test_a_client_is_not_left_with_another_ca_that_this_controller_still_has(tmp_path: pathlib.Path) -> None:
    shutil.copytree(SECRETS, tmp_path / "secrets")
    another = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=Before"]
    subprocess.run(["openssl", *another, "-out", tmp_path / "secrets/ca.crt"], check=True, capture_output=True)
    for mode in ((), ("--check",)):
        refused = playbook.converge("--limit", "client", *mode, holdfast_secrets_directory=str(tmp_path / "secrets"))
        assert not refused.succeeded
        assert f"{tmp_path}/secrets/ca.crt is not what registry has: the CA was changed by a run from another controller" in refused.output
        assert refused.changed == 0
    assert playbook.converged("--limit", "client").changed == 0


def test_a_host_that_cannot_be_reached_stops_no_other_and_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "gone.yml").write_text("docker_clients: {hosts: {gone: {ansible_connection: community.docker.docker_api, ansible_host: there-is-none}}}\n")
    run = playbook.converge("--inventory", str(tmp_path / "gone.yml"), holdfast_hosts_entry=True)
    assert not run.succeeded
    assert "Not finished: gone. Run the playbook again for them, with --limit gone" in run.output
    assert run.failed == 0
    assert "Know the registry, trust it, and run the engines with that" in run.output


def test_users_alone_are_a_short_run() -> None:
    run = playbook.converged("--tags", "users", "--limit", "registry")
    assert run.executed < 10
    assert "Write the users" in run.output
    assert "Make or renew the CA" not in run.output
    assert run.changed == 0


def test_passwords_that_another_controller_has_made_are_not_replaced(tmp_path: pathlib.Path) -> None:
    elsewhere = tmp_path / "secrets"
    for mode in ((), ("--check",)):
        refused = playbook.converge(*mode, holdfast_secrets_directory=str(elsewhere))
        assert not refused.succeeded
        for word in ("holdfast_users", "alice", str(elsewhere), "holdfast_secrets_directory", "holdfast_replace_passwords"):
            assert word in refused.output
        assert refused.changed == 0
        assert not elsewhere.exists()


def test_secrets_can_be_shared_encrypted_with_ansible_vault(tmp_path: pathlib.Path) -> None:
    shared, key = tmp_path / "secrets", tmp_path / "key"
    shutil.copytree(SECRETS, shared)
    key.write_text("a password of the vault")
    files = [shared / "redis.password", *shared.glob("users/*")]
    subprocess.run(["ansible-vault", "encrypt", f"--vault-password-file={key}", *files], check=True, capture_output=True)
    assert "ANSIBLE_VAULT" in (shared / "users/alice.password").read_text()
    settings = {"holdfast_secrets_directory": str(shared)}
    assert playbook.converged(f"--vault-password-file={key}", **settings).changed == 0
    locked = playbook.converge(**settings)
    assert not locked.succeeded
    assert "is encrypted with Ansible Vault, and cannot be decrypted" in locked.output
    assert locked.changed == 0


def test_facts_of_a_host_cannot_replace_what_the_inventory_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_INJECT_FACT_VARS", "True")
    refused = playbook.converge()
    assert not refused.succeeded
    assert "inject_facts_as_vars: is on" in refused.output
    assert refused.changed == 0


def test_a_registry_of_another_name_is_not_replaced() -> None:
    refused = playbook.converge(holdfast_server_name="another.holdfast.test")
    assert not refused.succeeded
    assert "holdfast_server_name: registry has a registry already, registry.holdfast.test" in refused.output
    assert "holdfast_former_server_name" in refused.output
    assert refused.changed == 0
