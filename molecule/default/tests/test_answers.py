"""What an administrator gets from site.yml: refusals that name the variable, predictions that hold, no secrets."""

import re

import pytest
from conftest import BOBS_PASSWORD, SECRETS


@pytest.mark.parametrize(
    ("variable", "answers"),
    [
        ("holdfast_server_name", {"holdfast_server_name": ""}),
        ("holdfast_users[0].name", {"holdfast_users": [{"name": "a:b"}]}),
        ("holdfast_users[0].name", {"holdfast_users": [{"name": "a\nb"}]}),
        ("holdfast_users[1].name", {"holdfast_users": [{"name": "alice"}, {"name": ""}]}),
        ("holdfast_users[0].password", {"holdfast_users": [{"name": "alice", "password": "p" * 73}]}),
        ("holdfast_users[1].name", {"holdfast_users": [{"name": "alice"}, {"name": "alice"}]}),
        ("holdfast_users", {"holdfast_users": []}),
        ("holdfast_port", {"holdfast_port": 65536}),
        ("holdfast_port", {"holdfast_port": 0}),
        ("redis_memory_limit", {"redis_memory_limit": "lots"}),
        ("pki_renew_before_days", {"pki_lifetime_days": 30, "pki_renew_before_days": 30}),
        ("registry_storage_directory", {"registry_storage_directory": "images"}),
    ],
)
def test_a_wrong_answer_is_refused_by_name_before_anything_is_changed(site, variable, answers):
    refused = site(**answers)
    assert refused.returncode != 0
    assert variable in refused.stdout.split("PLAY RECAP")[0]
    assert re.findall(r"changed=(\d+)", refused.stdout)
    assert set(re.findall(r"changed=(\d+)", refused.stdout)) == {"0"}
    assert "p" * 73 not in refused.stdout


def test_check_mode_reports_nothing_on_converged_hosts(site):
    checked = site("--check", "--diff")
    assert checked.returncode == 0, checked.stdout
    assert set(re.findall(r"changed=(\d+)", checked.stdout)) == {"0"}


def test_no_output_at_any_verbosity_contains_a_secret(site, registry):
    secrets = {
        "bob's password": BOBS_PASSWORD,
        "a new password": "quite another password",
        "alice's password": (SECRETS / "users" / "alice.password").read_text().strip(),
        "the password of the cache": (SECRETS / "redis.password").read_text().strip(),
        "the upload secret": registry.check_output("cut -d= -f2 /etc/docker/registry/http-secret.env"),
        "the server's key": registry.check_output("sed -n 2p /etc/ssl/holdfast/registry.key"),
        "the CA's key": registry.check_output("sed -n 2p /etc/ssl/holdfast-ca/ca.key"),
        "a hash": "$2y$",
    }
    # A run that changes a password, adds a user, and gives the registry another secret.
    users = [{"name": "alice"}, {"name": "bob", "password": secrets["a new password"]}, {"name": "carol"}]
    other_secret = "0123456789abcdef-an-upload-secret"
    secrets["another upload secret"] = other_secret
    output = site("-vvv", "--diff", "--check", holdfast_users=users, registry_http_secret=other_secret).stdout
    output += site("-vvv", "--diff", holdfast_users=users, registry_http_secret=other_secret).stdout
    output += site("-vvv", "--diff").stdout
    secrets["carol's password"] = (SECRETS / "users" / "carol.password").read_text().strip()
    assert "carol" in output
    assert [what for what, secret in secrets.items() if secret in output] == []
