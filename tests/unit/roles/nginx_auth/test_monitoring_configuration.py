# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who is served metrics and the state of the registry, and what is looked at before an upload."""

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.tests.unit.roles.nginx_auth.rendering import Nginx, rendered

SERVED = {
    "nginx_auth_keeper_directory": "/run/registry-keeper",
    "nginx_auth_metrics_users": ["bob", "pro.metheus"],
    "nginx_auth_metrics_networks": ["192.0.2.7/32"],
    "nginx_auth_health_networks": ["192.0.2.0/28"],
    "nginx_auth_metrics_sources": [{"name": "nginx", "address": "127.0.0.1:9113"}],
    "nginx_auth_status_socket": "/run/holdfast-gateway/status.sock",
}


@pytest.fixture(scope="module")
def files():
    return rendered(**SERVED)


def way(files, action, user="", answer="metrics", **more):
    known = {"registry": "registry", "action": action, "user": user, "password_user": user, "answer": answer, "repository": "", **more}
    return Nginx(files)("way", **known)


def test_metrics_are_for_the_users_and_networks_that_are_said(files):
    assert way(files, "metrics-no") == "challenge"
    assert way(files, "metrics-yes") == "metrics"
    assert way(files, "metrics-no", "bob") == way(files, "metrics-no", "pro.metheus") == "metrics"
    assert way(files, "metrics-no", "alice") == way(files, "metrics-no", "bobby") == way(files, "metrics-no", "proXmetheus") == "denied"
    assert way(files, "metrics-yes", refusal="wrong-password") == "wrong_password"


def test_a_user_of_the_metrics_may_nothing_else_by_that(files):
    for action in ("pull", "push", "delete", "list"):
        closed = rendered(**SERVED, nginx_auth_rules=[])
        assert way(closed, action, "bob", repository="" if action == "list" else "team/app") == "denied"


def test_without_users_and_networks_nobody_is_served_anything(files):
    closed = rendered(nginx_auth_keeper_directory="/run/registry-keeper")
    assert "/metrics" not in closed["where-to.conf"] and "/health " not in closed["where-to.conf"] and "stub_status" not in closed["registries.conf"]
    assert way(closed, "metrics-yes", "bob") == "denied" and way(closed, "health-yes") == "challenge"
    only_users = rendered(**{**SERVED, "nginx_auth_metrics_networks": []})
    assert way(only_users, "metrics-yes") == "challenge"


def test_the_health_is_for_networks_and_not_for_users(files):
    assert way(files, "health-yes", answer="healthy") == "healthy"
    assert way(files, "health-no", answer="healthy") == "challenge"
    assert way(files, "health-no", "bob", answer="healthy") == "denied"


def test_metrics_are_of_this_registry_of_one_by_its_name_or_of_a_program(files):
    nginx = Nginx(files)
    assert nginx("metrics_name", metrics_of="", registry="team") == "team"
    assert nginx("metrics_name", metrics_of="hub", registry="team") == "hub"
    assert (nginx("metrics_answer", metrics_of="nginx"), nginx("metrics_source", metrics_of="nginx")) == ("metrics_elsewhere", "127.0.0.1:9113")
    assert nginx("metrics_answer", metrics_of="hub") == "metrics"


def test_uploads_are_looked_at_where_the_keeper_says_whether_there_is_space(files):
    answers = files["what-answers.conf"]
    assert "set $full_flag           /run/registry-keeper/$registry/full;" in files["registries.conf"]
    upload, written, read = (answers.split(f"location @{name} {{")[1].split("\n}\n")[0] for name in ("upload", "registry_write", "registry"))
    assert r'if ($no_room ~ "\A(?:POST|PATCH|PUT)\z")' in upload and r'if ($no_room ~ "\A(?:PUT)\z")' in written
    assert "if (" not in read, "a pull waits for a file that only pushes need"
    assert upload.index("return 403") < upload.index("proxy_pass")


def test_without_the_keeper_nothing_is_looked_at():
    files = rendered()
    assert "full_flag" not in files["registries.conf"] + files["what-answers.conf"] and "no_room" not in files["what-answers.conf"]
