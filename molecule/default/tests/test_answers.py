"""What an administrator gets from site.yml: refusals that name the variable, and predictions that hold."""

import pytest
from scenario import playbook


@pytest.mark.controller
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
def test_a_wrong_answer_is_refused_by_name_before_anything_is_changed(variable: str, answers: dict[str, object]) -> None:
    refused = playbook.converge(**answers)
    assert not refused.succeeded
    assert variable in refused.output.split("PLAY RECAP")[0]
    assert refused.changed == 0
    assert "p" * 73 not in refused.output


def test_check_mode_reports_nothing_on_converged_hosts() -> None:
    assert playbook.converged("--check", "--diff").changed == 0
