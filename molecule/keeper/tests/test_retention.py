# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about tags, on the registry itself: what goes is gone for every client at once, and can be brought back."""

import json

import pytest
from keeping import ALL, STORAGE, age, digest, keeper, push, retag, rules, start, status, tags
from scenario import hosts, playbook
from testinfra.host import Host

ALONE = hosts.SCENARIO / "alone.yml"
# Without what the timers of other commands write.
EVERYTHING = (
    f"find {STORAGE}/docker {STORAGE}/keeper/runs {STORAGE}/keeper/pulled {STORAGE}/keeper/status/retain.json -printf '%p %T@ %s\\n' | sort | sha256sum"
)


def test_a_tag_that_goes_is_gone_at_once_and_undo_brings_it_back(host: Host) -> None:
    push(host, "rules/app", "old", "new")
    age(host, "rules/app", "old", 8)
    named = digest(host, "rules/app", "old")
    assert status(host, "rules/app", "old") == status(host, "rules/app", "new") == "200"
    rules(host, {"repositories": ["rules/**"], "keep_younger_than": "7d"})
    start(host, "retain")
    assert status(host, "rules/app", "old") == "404"
    assert tags(host, "rules/app") == {"new"}
    assert status(host, "rules/app", "new") == "200"
    run = keeper(host, "retain --dry-run")
    assert run["going"] == 0
    runs = [line.split()[0] for line in host.check_output("registry-keeper runs").splitlines() if "-retain" in line]
    keeper(host, f"undo {runs[-1]}")
    assert status(host, "rules/app", "old") == "200"
    assert digest(host, "rules/app", "old") == named


def test_a_dry_run_tells_what_the_run_does_and_changes_nothing(host: Host) -> None:
    push(host, "dry/app", *(f"t{number}" for number in range(6)))
    for number in range(6):
        age(host, "dry/app", f"t{number}", 10 * number)
    retag(host, "dry/app", "t4", "stable")
    rules(host, {"repositories": ["dry/**"], "keep_newest": 2, "keep_matching": ["t5"]})
    before = host.check_output(EVERYTHING)
    told = keeper(host, "retain --dry-run")["tags"]
    assert host.check_output(EVERYTHING) == before
    start(host, "retain")
    # stable made the image of t4 the newest
    assert tags(host, "dry/app") == {tag["tag"] for tag in told if not tag["goes"]} == {"t0", "t4", "stable", "t5"}
    assert {tag["tag"]: tag["why"] for tag in told}["t5"] == ["matches t5"]


def test_what_clients_pull_stays(host: Host) -> None:
    push(host, "pulled/app", "by-tag", "by-digest", "unused")
    for tag in ("by-tag", "by-digest", "unused"):
        age(host, "pulled/app", tag, 400)
    named = digest(host, "pulled/app", "by-digest")
    assert status(host, "pulled/app", "by-tag") == status(host, "pulled/app", named) == "200"
    # The log has to reach back as far as the rule asks.
    log, first = "/var/log/holdfast-gateway/access.log", '{"time":"2026-01-01T00:00:00+00:00"}'
    host.check_output(f"rm -f {STORAGE}/keeper/pulled/record.json; sed -i '1i {first}' {log}")
    host.check_output("logrotate --force /etc/logrotate.d/holdfast-gateway")
    rules(host, {"repositories": ["pulled/**"], "keep_pulled_within": "30d"})
    start(host, "retain")
    assert tags(host, "pulled/app") == {"by-tag", "by-digest"}
    # The record outlives the log.
    host.check_output("rm /var/log/holdfast-gateway/access.log.*")
    start(host, "retain")
    assert set(json.loads(host.check_output(f"cat {STORAGE}/keeper/pulled/record.json"))["pulls"]["pulled/app"]) == {"by-tag", named}


@pytest.mark.controller
def test_the_playbooks_check_mode_is_the_dry_run(host: Host) -> None:
    push(host, "check/app", "old", "new")
    age(host, "check/app", "old", 8)
    before = host.check_output(EVERYTHING)
    rule = {"repositories": ["check/**"], "keep_younger_than": "7d"}
    predicted = playbook.run(ALONE, "--check", keeper_retention=[rule], **ALL)
    assert predicted.succeeded, predicted.output
    assert "would go check/app:old  not pushed within 7 days" in predicted.output, predicted.output
    assert "stays    check/app:new  pushed within 7 days" in predicted.output
    assert host.check_output(EVERYTHING) == before
    assert "check/**" not in host.check_output("cat /etc/registry-keeper/registry.json")
    rules(host, rule)
    start(host, "retain")
    assert tags(host, "check/app") == {"new"}


@pytest.mark.controller
def test_wrong_rules_are_refused_before_anything_is_changed(host: Host) -> None:
    settings = "cat /etc/registry-keeper/*.json | sha256sum"
    before = host.check_output(settings)
    refused = playbook.converge(
        "--tags",
        "keeper",
        keeper_retention=[{"repositories": ["**"], "keep_newest": 3}, {"repositories": ["app"], "keep_newest": 9}],
        holdfast_registries=[{"name": "team", "port": 5445, "redis_database": 1, "retention": [{"repositories": ["**"]}]}],
    )
    assert not refused.succeeded
    said = " ".join(refused.output.split())
    assert "keeper_retention[1]: never applies: keeper_retention[0], before it, has all its tags" in said, said
    assert "holdfast_registries[0].retention[0]: keeps nothing; give at least one of keep_newest" in said
    assert host.check_output(settings) == before


def test_the_program_refuses_them_too_and_removes_nothing(host: Host) -> None:
    push(host, "refused/app", "old")
    age(host, "refused/app", "old", 400)
    rules(host, {"repositories": ["**"], "keep_younger_than": "7d"}, {"repositories": ["refused/**"], "keep_newest": 0})
    started = host.run("systemctl start registry-keeper-retain@registry.service")
    assert started.rc != 0
    assert "retention[1].keep_newest: 0 is not a number of images" in host.check_output("journalctl -u registry-keeper-retain@registry -n 20 --output=cat")
    assert tags(host, "refused/app") == {"old"}
    rules(host)
    host.check_output("systemctl reset-failed registry-keeper-retain@registry.service")
