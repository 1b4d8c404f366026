# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper on a real store, under a real registry: what no tag needs goes while the rest is pulled, and comes back."""

import json
import time
from collections.abc import Iterator

import pytest
from scenario import hosts
from scenario.images import MANIFEST, push
from testinfra.host import Host

AT = "http://127.0.0.1:5002"
SETTINGS = "/run/keeper-of-the-test.json"
GRACE = 4


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """The server, with settings of the instance whose grace period ends soon."""
    found = hosts.host("server")
    settings = json.loads(found.check_output("cat /etc/registry-keeper/team.json"))
    settings["collect"].update(grace_seconds=GRACE, settle_seconds=1)
    hosts.write(found, SETTINGS, json.dumps(settings))
    yield found
    found.run(f"rm -f {SETTINGS}")


def keeper(host: Host, *words: str) -> dict:
    return dict(json.loads(host.check_output(f"registry-keeper --settings {SETTINGS} --json {' '.join(words)}")))


def status(host: Host, path: str) -> str:
    return host.check_output(f"curl -sS -o /dev/null -w '%{{http_code}}' -H 'Accept: {MANIFEST}' {AT}/v2/{path}").strip()


def digest_of(host: Host, repository: str) -> str:
    headers = f"curl -fsS -o /dev/null -D - -H 'Accept: {MANIFEST}' {AT}/v2/{repository}/manifests/1"
    return host.check_output(f"{headers} | tr -d '\\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'").strip()


def test_what_no_tag_needs_goes_while_the_rest_is_pulled_and_comes_back(host: Host) -> None:
    # Of two parts, so that the store's tag is not that of the content.
    kept, gone = push(host, AT, "keep/kept", size=14_000_000), push(host, AT, "keep/gone", size=14_000_000)
    manifest = digest_of(host, "keep/gone")
    # The tag names another image now.
    push(host, AT, "keep/gone")
    time.sleep(GRACE + 1)
    assert keeper(host, "collect")["links"] == 0
    time.sleep(GRACE)

    pulls = f"curl -fsS -H 'Accept: {MANIFEST}' {AT}/v2/keep/kept/manifests/1 | grep -q {kept} && curl -fsS {AT}/v2/keep/kept/blobs/{kept} | sha256sum"
    host.check_output(f"(while [ ! -e /run/pulled ]; do {pulls} | grep -q {kept.partition(':')[2]} || echo failed >>/run/failed; done) >/dev/null 2>&1 &")
    try:
        found = keeper(host, "collect")
    finally:
        host.check_output("touch /run/pulled")
    assert found["links"] >= 2 and found["swept_bytes"] > 14_000_000
    assert host.run("cat /run/failed").stdout == "", "every pull meanwhile was whole"
    assert status(host, f"keep/gone/manifests/{manifest}") == "404" and status(host, f"keep/gone/blobs/{gone}") == "404"
    assert status(host, "keep/gone/manifests/1") == "200"

    assert keeper(host, "undo", "--image", f"keep/gone@{manifest}")["brought_back"] > 0
    assert gone.partition(":")[2] in host.check_output(f"curl -fsS {AT}/v2/keep/gone/blobs/{gone} | sha256sum")
    assert status(host, f"keep/gone/manifests/{manifest}") == "200"

    # It is not needed any more than before, so it goes again, and then for good.
    time.sleep(GRACE + 1)
    keeper(host, "collect")
    runs = [one["run"] for one in keeper(host, "runs")["runs"]]
    assert len(runs) >= 2 and keeper(host, "purge", *runs)["purged_bytes"] > 28_000_000
    assert keeper(host, "runs")["runs"] == []
    assert host.run(f"registry-keeper --settings {SETTINGS} undo --image keep/gone@{manifest}").rc == 2
    assert kept.partition(":")[2] in host.check_output(f"curl -fsS {AT}/v2/keep/kept/blobs/{kept} | sha256sum")


def test_an_image_that_was_deleted_through_the_registry_goes(host: Host) -> None:
    layer = push(host, AT, "keep/deleted")
    host.check_output(f"curl -fsS -X DELETE {AT}/v2/keep/deleted/manifests/{digest_of(host, 'keep/deleted')}")
    assert status(host, f"keep/deleted/blobs/{layer}") == "200"
    for _run in range(3):
        time.sleep(GRACE)
        keeper(host, "collect")
    assert status(host, f"keep/deleted/blobs/{layer}") == "404"


def test_two_at_once_are_one_after_the_other(host: Host) -> None:
    # Of two hosts; on one host a lock would do.
    other = "/run/keeper-of-another-host"
    host.check_output(f"install -d -o docker-registry-team {other} && sed 's|/var/lib/registry-keeper/team|{other}|' {SETTINGS} >{SETTINGS}.other")
    both = host.run(
        f"registry-keeper --settings {SETTINGS} collect >/dev/null 2>&1 & first=$!; registry-keeper --settings {SETTINGS}.other collect; second=$?; "
        f"wait $first; echo $? $second; rm -rf {other} {SETTINGS}.other"
    )
    assert sorted(both.stdout.split()[-2:]) == ["0", "4"], both.stderr


@pytest.mark.parametrize("command", ["collect", "retain", "scrub", "metrics"])
def test_its_units_reach_the_store_from_their_sandbox(host: Host, command: str) -> None:
    # 4: the timer's own run, which started it a moment before
    assert host.run(f"systemctl start registry-keeper-{command}@team.service").rc == 0, host.run(f"journalctl -u registry-keeper-{command}@team -n 20").stdout
    assert (host.run(f"systemctl is-enabled registry-keeper-{command}@team.timer").stdout).strip() == "enabled"


def test_the_status_knows_what_is_in_the_store(host: Host) -> None:
    found = json.loads(host.run("registry-keeper --instance team --json status").stdout)
    assert found["store"]["up"] and found["stored"]["repositories"] >= 2 and found["stored"]["blobs"] >= 3
    assert "space" in found and found["space"] is None
