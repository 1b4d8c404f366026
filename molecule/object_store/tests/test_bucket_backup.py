# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup of a bucket on a real store: what was pushed is pulled again after the bucket was emptied."""

import json

from scenario import hosts
from scenario.images import MANIFEST, push
from testinfra.host import Host

AT = "http://127.0.0.1:5002"
KEEPER = "registry-keeper --instance team"
SECRET = "0123456789abcdef-of-the-store"


def keeper(host: Host, *words: str) -> dict:
    return dict(json.loads(host.check_output(f"{KEEPER} --json {' '.join(words)}")))


def pulled(host: Host, repository: str, layer: str) -> bool:
    manifest = host.run(f"curl -fsS -H 'Accept: {MANIFEST}' {AT}/v2/{repository}/manifests/1").stdout
    return layer in manifest and layer.partition(":")[2] in host.run(f"curl -fsS {AT}/v2/{repository}/blobs/{layer} | sha256sum").stdout


def test_what_was_pushed_comes_back_after_the_bucket_was_emptied(host: Host, store: Host) -> None:
    # Read in three pieces, and written in three parts.
    layers = {"backed/large": push(host, AT, "backed/large", size=40_000_000), "backed/small": push(host, AT, "backed/small")}
    made = keeper(host, "backup-bucket")
    assert made["left_out"] == 0 and made["copied_bytes"] > 40_000_000 and made["tags"] >= 2
    again = keeper(host, "backup-bucket")
    assert again["copied_blobs"] == 0
    assert [one["state"] for one in keeper(host, "backup-bucket", "--list")["states"]][-2:] == [made["state"], again["state"]]

    store.check_output("echo 'fs.rm -rf /buckets/registry/team/images' | weed shell -master=localhost:9333")
    assert not any(pulled(host, *one) for one in layers.items())
    refused = host.run(f"{KEEPER} backup-bucket")
    assert refused.rc == 1 and "had images at the last backup" in refused.stderr

    back = keeper(host, "restore-bucket", "--everything")
    assert back["lacking"] == 0 and back["bytes"] > 40_000_000
    assert all(pulled(host, *one) for one in layers.items())
    assert keeper(host, "backup-bucket")["copied_blobs"] == 0


def test_one_image_comes_back_and_what_is_there_is_not_replaced(host: Host) -> None:
    layer = push(host, AT, "backed/one")
    keeper(host, "backup-bucket")
    push(host, AT, "backed/one")
    for words, said in (("--everything", "it has images already, and nothing was changed"), ("backed/one:1", "--over replaces it")):
        refused = host.run(f"{KEEPER} restore-bucket {words}")
        assert refused.rc == 1 and said in refused.stderr
    assert keeper(host, "restore-bucket", "--over", "backed/one:1")["tags"] == 1
    assert pulled(host, "backed/one", layer)


def test_the_timer_s_unit_reaches_both_stores_from_its_sandbox(host: Host) -> None:
    # As if there had never been one: it makes none a moment after another.
    gone = ("registry-backup/of/registries/team", "registry/team/images/holdfast-keeper/backup.json")
    hosts.host("store").check_output(" ".join(f"echo 'fs.rm -rf /buckets/{path}' | weed shell -master=localhost:9333;" for path in gone))
    assert host.run("systemctl start registry-keeper-backup-bucket@team.service").rc == 0, host.run("journalctl -u registry-keeper-backup-bucket@team").stdout
    assert len(keeper(host, "backup-bucket", "--list")["states"]) == 1
    assert host.check_output("systemctl is-enabled registry-keeper-backup-bucket@team.timer").strip() == "enabled"
    commands = json.loads(host.run(f"{KEEPER} --json status").stdout)["commands"]
    assert commands["backup-bucket"]["exit_status"] == 0


def test_its_key_is_in_one_file_of_root(host: Host) -> None:
    found = host.check_output(f"grep -rlF {SECRET} /etc/registry-keeper /etc/systemd /var/lib/registry-keeper").split()
    assert found == ["/etc/registry-keeper/bucket-backup.env"]
    assert host.check_output("stat -c '%a %U' /etc/registry-keeper/bucket-backup.env").strip() == "600 root"
