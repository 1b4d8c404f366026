# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in an S3 store: pushed and pulled, verified TLS, secrets in one file each, and stores that are refused."""

import json
import re

import pytest
from scenario import playbook
from scenario.images import MANIFEST, push
from testinfra.host import Host

FIRST, TEAM = "http://127.0.0.1:5000", "http://127.0.0.1:5002"
SECRET = "0123456789abcdef-of-the-store"
STAMPS = "/var/lib/holdfast/object-stores"
WRITTEN = "find /etc/docker/registry /etc/systemd/system /var/lib/holdfast -type f -printf '%p %T@\\n' | sort"


def status(host: Host, at: str, path: str) -> str:
    return str(host.check_output(f"curl -sS -o /dev/null -w '%{{http_code}}' {at}{path}")).strip()


def objects(store: Host, below: str) -> str:
    return str(store.check_output(f"echo 'fs.du /buckets/registry/{below}' | weed shell -master=localhost:9333"))


def test_images_are_pushed_to_the_store_and_pulled_from_it(host: Host, store: Host) -> None:
    for at, below in ((FIRST, "docker"), (TEAM, "team/images/docker")):
        # Larger than a part: the registry sends it in several.
        digest = push(host, at, "s3/large", size=24_000_000)
        host.check_output(f"curl -fsS {at}/v2/s3/large/blobs/{digest} | sha256sum | grep -q {digest.partition(':')[2]}")
        assert host.check_output(f"curl -fsS -r 1000-1999 {at}/v2/s3/large/blobs/{digest} | wc -c").strip() == "1000"
        assert digest in host.check_output(f"curl -fsS -H 'Accept: {MANIFEST}' {at}/v2/s3/large/manifests/1")
        assert int(re.findall(r"logical size:\s*(\d+)", objects(store, below))[-1]) > 24_000_000
    assert host.run("find /var/lib/docker-registry* -path '*/s3/*' | grep .").rc != 0, "nothing is written to the disk"


def test_what_is_deleted_is_gone_at_once(host: Host) -> None:
    push(host, FIRST, "s3/deleted")
    manifest = host.check_output(
        f"curl -fsS -o /dev/null -D - -H 'Accept: {MANIFEST}' {FIRST}/v2/s3/deleted/manifests/1 | tr -d '\\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'"
    ).strip()
    host.check_output(f"curl -fsS -X DELETE {FIRST}/v2/s3/deleted/manifests/{manifest}")
    assert status(host, FIRST, f"/v2/s3/deleted/manifests/{manifest}") == "404"


def test_an_upload_goes_on_after_a_restart(host: Host) -> None:
    """The store is asked for the upload and its parts, and the registry's secret is the same."""
    host.check_output("head -c 12000000 /dev/urandom >/run/first; head -c 6000000 /dev/urandom >/run/second; cat /run/first /run/second >/run/whole")
    digest = host.check_output("sha256sum /run/whole").split()[0]
    location = "tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'"
    begun = host.check_output(f"curl -fsS -o /dev/null -D - -X POST {FIRST}/v2/s3/split/blobs/uploads/ | {location}").strip()
    chunk = "-X PATCH -H 'Content-Type: application/octet-stream'"
    went = host.check_output(f"curl -fsS -o /dev/null -D - {chunk} --data-binary @/run/first '{FIRST}{begun}' | {location}").strip()
    host.check_output("systemctl restart docker-registry && until curl -fsS -o /dev/null http://127.0.0.1:5000/v2/; do sleep 0.2; done")
    went = host.check_output(f"curl -fsS -o /dev/null -D - {chunk} --data-binary @/run/second '{FIRST}{went}' | {location}").strip()
    host.check_output(f"curl -fsS -o /dev/null -X PUT '{FIRST}{went}&digest=sha256:{digest}'")
    host.check_output(f"curl -fsS {FIRST}/v2/s3/split/blobs/sha256:{digest} | sha256sum | grep -q {digest}")


def test_the_secret_is_in_files_of_root_alone_and_in_no_process(host: Host) -> None:
    having = host.run(f"grep -rlF -- {SECRET} /etc /var/log /var/lib/holdfast /run --exclude-dir=udev 2>/dev/null").stdout.split()
    registry, backup = "/etc/docker/registry", "/etc/registry-keeper/bucket-backup.env"
    # The key of the backup has the same secret in this scenario.
    assert sorted(having) == [f"{registry}/instance-team-store.env", f"{registry}/store.env", backup]
    for path in having:
        assert host.check_output(f"stat -c '%a %U' {path}") == "600 root"
    assert host.run(f"cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -F -- {SECRET} | grep -v grep").stdout == ""
    assert host.run(f"journalctl --no-pager | grep -F -- {SECRET} | grep -v grep").stdout == ""


def test_a_second_run_asks_the_store_nothing_and_the_secret_is_in_no_output(host: Host) -> None:
    before = host.check_output(WRITTEN)
    again = playbook.converge("-vvv", "--diff", "--limit", "registry_servers")
    assert again.succeeded, again.output
    assert again.changed == 0
    assert SECRET not in again.output
    assert host.check_output(WRITTEN) == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"secret_key": "another-secret"}, "credentials: secret_key is not the secret of access_key"),
        ({"ca_certificate": ""}, "tls: "),
        ({"endpoint": "https://store.holdfast.test:8334"}, "does not seem to speak TLS"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_store_that_cannot_be_used_is_refused_before_anything_is_changed(host: Host, changed: dict[str, object], said: str) -> None:
    before = host.check_output(WRITTEN)
    refused = playbook.converge("--limit", "registry_servers", changed_store=changed)
    assert not refused.succeeded
    assert said in re.sub(r"\s+", " ", refused.output), refused.output
    assert host.check_output(WRITTEN) == before
    assert status(host, FIRST, "/v2/") == "200"


def test_check_mode_predicts_a_change_and_writes_nothing(host: Host, store: Host) -> None:
    before = host.check_output(WRITTEN)
    predicted = playbook.converge("--check", "--diff", "--limit", "registry_servers", changed_store={"prefix": "another"})
    assert predicted.succeeded, predicted.output
    assert predicted.changed >= 2, "the probe, and the configuration with the restart"
    assert "docker-registry.service: restarted" in predicted.output
    assert host.check_output(WRITTEN) == before
    assert store.run("echo 'fs.ls /buckets/registry/another' | weed shell -master=localhost:9333 2>&1 | grep -q holdfast").rc != 0


def test_the_registry_itself_takes_no_store_whose_certificate_is_of_another_ca(host: Host) -> None:
    digest = push(host, FIRST, "s3/verified")
    override = "/run/systemd/system/docker-registry.service.d/zz.conf"
    other = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other -keyout /dev/null -out /run/other.crt"
    host.check_output(f"{other} && chmod 644 /run/other.crt && mkdir -p {override.rpartition('/')[0]}")
    host.check_output(f"printf '[Service]\\nEnvironment=SSL_CERT_FILE=/run/other.crt\\n' >{override}")
    restart = "systemctl daemon-reload && systemctl restart docker-registry && until curl -fsS -o /dev/null http://127.0.0.1:5000/v2/; do sleep 0.2; done"
    try:
        host.check_output(restart)
        assert status(host, FIRST, f"/v2/s3/verified/blobs/{digest}") != "200"
        assert "x509: certificate signed by unknown authority" in host.file("/var/log/docker-registry/error.log").content_string
    finally:
        host.check_output(f"rm -f {override} && {restart}")
    assert status(host, FIRST, f"/v2/s3/verified/blobs/{digest}") == "200"


def test_going_back_to_files_leaves_no_secret(host: Host) -> None:
    stored = push(host, FIRST, "s3/stays")
    try:
        playbook.converged("--limit", "registry_servers", first_storage={})
        assert not host.file("/etc/docker/registry/store.env").exists
        assert not host.file("/etc/docker/registry/store-ca.crt").exists
        assert status(host, FIRST, f"/v2/s3/stays/blobs/{stored}") == "404", "images are not moved"
        push(host, FIRST, "files/new")
    finally:
        playbook.converged("--limit", "registry_servers")
    assert status(host, FIRST, f"/v2/s3/stays/blobs/{stored}") == "200"
    assert json.loads(host.check_output(f"cat {STAMPS}/registry.json"))["settings"]
