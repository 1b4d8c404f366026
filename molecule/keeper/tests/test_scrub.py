# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scrub: a damaged blob is found, served to nobody, and brought back from the backup."""

import json
from typing import Any

import pytest
from backups import STORAGE, back_up, data, image, is_served, status
from scenario import hosts
from testinfra.host import Host

UNIT = "registry-keeper-scrub@registry.service"


@pytest.fixture(scope="module")
def host() -> Host:
    server = hosts.host("server")
    # The clients of the soak delete parts of their own images, which scrub would tell as well.
    server.check_output(f"rm -rf {STORAGE}/docker/registry/v2/repositories/soak")
    return server


def damage(host: Host, digest: str) -> None:
    """A bit that has turned over on the disk a while ago."""
    host.check_output(f"printf x | dd of={data(digest)} bs=1 seek=100 conv=notrunc status=none && touch -d '1 day ago' {data(digest)}")


def found(host: Host) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(host.check_output(f"cat {STORAGE}/keeper/status/scrub.json"))
    return told


def test_a_damaged_blob_is_served_to_nobody_and_comes_back_from_the_backup(host: Host) -> None:
    _manifest, layer = image(host, "scrub/app")
    _manifest, other = image(host, "scrub/other")
    back_up(host)
    # The registry remembers both in Redis.
    assert is_served(host, "scrub/app", layer) and is_served(host, "scrub/other", other)
    damage(host, layer)
    assert not is_served(host, "scrub/app", layer)
    assert status(host, f"/v2/scrub/app/blobs/{layer}") == "200", "there is nothing to find"

    run = host.run("registry-keeper scrub --full")
    assert run.rc == 3, run.stdout + run.stderr
    assert f"{layer} is damaged" in run.stderr
    assert found(host)["damaged"] == [layer]
    assert status(host, f"/v2/scrub/app/blobs/{layer}", "HEAD") == "404", "a client is told that it need not push the blob again"
    assert is_served(host, "scrub/other", other)

    # The timer's run finds it still missing, and has it repaired.
    assert host.run(f"systemctl start {UNIT}").rc != 0
    host.check_output("for i in $(seq 100); do systemctl is-active registry-keeper-repair | grep -q activating || break; sleep 0.2; done")
    assert is_served(host, "scrub/app", layer), host.run("journalctl -u registry-keeper-repair --no-pager -o cat").stdout
    told = found(host)
    assert (told["exit_status"], told["damaged"], told["incomplete"]) == (0, [], [])
    assert host.run(f"systemctl is-failed {UNIT}").rc != 0
    assert host.check_output(f"find {STORAGE}/keeper/damaged -type f") == ""


def test_what_no_backup_has_is_reported_and_a_push_mends_it(host: Host) -> None:
    manifest, layer = image(host, "scrub/new")
    kept = host.check_output(f"base64 -w0 {data(layer)}")
    damage(host, layer)
    assert host.run("registry-keeper scrub --full").rc == 3
    run = host.run("registry-keeper repair")
    assert run.rc == 3
    assert f"{layer} is in none of the backups" in run.stderr
    assert [line for line in found(host)["incomplete"] if manifest in line and layer in line]
    host.check_output(f"echo {kept} | base64 -d >/run/layer")
    at = "--unix-socket /run/docker-registry/registry.sock http://any"
    location = host.check_output(f"curl -fsS -o /dev/null -D - -X POST {at}/v2/scrub/new/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'")
    host.check_output(f"curl -fsS -X PUT -H 'Content-Type: application/octet-stream' --data-binary @/run/layer {at}'{location}&digest={layer}'")
    assert is_served(host, "scrub/new", layer)
    run = host.run("registry-keeper scrub --full")
    assert run.rc == 0, run.stdout + run.stderr


def test_images_that_lack_a_part_and_links_to_nothing_are_named(host: Host) -> None:
    manifest, layer = image(host, "scrub/broken")
    host.check_output(f"rm {data(layer)}; : >{STORAGE}/docker/registry/v2/repositories/scrub/broken/_manifests/tags/1/current/link")
    try:
        run = host.run("registry-keeper scrub --full")
        assert run.rc == 3
        assert f"incomplete: scrub/broken@{manifest} lacks {layer}" in run.stderr
        assert "leads to nothing: scrub/broken:1, whose link is empty" in run.stderr
    finally:
        host.check_output(f"rm -r {STORAGE}/docker/registry/v2/repositories/scrub/broken")
    assert host.run("registry-keeper scrub --full").rc == 0
