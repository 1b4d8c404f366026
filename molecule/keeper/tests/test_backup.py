# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The backup: what is in it while clients push, what stands in its way, and one image brought back."""

import json

from backups import AT, REPOSITORY, RESTIC, STATE, STORAGE, UNIT, another_run, back_up, data, elsewhere, image, is_served, listed, outcome, status
from scenario import hosts
from testinfra.host import Host

PUSHES = r"""
i=0
until test -e /run/enough; do
  i=$((i + 1)); printf "layer $i" >/run/layer; digest=sha256:$(sha256sum /run/layer | cut -d" " -f1)
  location=$(curl -fsS -o /dev/null -D - -X POST AT/v2/backup/busy/blobs/uploads/ | tr -d "\r" | sed -n "s/^[Ll]ocation: //p")
  curl -fsS -o /dev/null -X PUT -H "Content-Type: application/octet-stream" --data-binary @/run/layer AT"$location&digest=$digest"
  kind=application/vnd.docker.distribution.manifest.v2+json
  printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%s,"digest":"%s"},"layers":[]}' \
    $kind $(stat -c %s /run/layer) $digest >/run/manifest
  curl -fsS -o /dev/null -X PUT -H "Content-Type: $kind" --data-binary @/run/manifest AT/v2/backup/busy/manifests/$i
done
""".replace("AT", AT)


def links(host: Host) -> list[tuple[str, str]]:
    lines = host.check_output(f"{RESTIC} dump latest {STATE}/links/registry").splitlines()
    return [(path, digest) for path, _space, digest in (line.partition(" ") for line in lines)]


def test_while_clients_push_every_link_in_a_backup_has_its_blob_in_it(host: Host) -> None:
    hosts.write(host, "/run/pushes.sh", PUSHES)
    host.check_output("rm -f /run/enough; setsid sh /run/pushes.sh >/run/pushes.log 2>&1 </dev/null &")
    try:
        host.check_output(
            f"for i in $(seq 100); do test -e {STORAGE}/docker/registry/v2/repositories/backup/busy/_manifests/tags/3 && exit; sleep 0.2; done; exit 1"
        )
        back_up(host)
        pushed = int(host.check_output(f"ls {STORAGE}/docker/registry/v2/repositories/backup/busy/_manifests/tags | wc -l"))
    finally:
        host.check_output("touch /run/enough")
    found = [(path, digest) for path, digest in links(host) if path.startswith("backup/busy/")]
    tags = {digest for path, digest in found if path.endswith("/current/link")}
    assert 3 <= len(tags) < pushed, "nothing was pushed meanwhile, so this proves nothing"
    assert tags <= {digest for path, digest in found if "/revisions/" in path}
    there = set(listed(host))
    assert [digest for _path, digest in found if data(digest) not in there] == []
    configs = host.check_output(f"cat {' '.join(map(data, tags))}").replace("}{", "}\n{").splitlines()
    assert {json.loads(one)["config"]["digest"] for one in configs} <= {digest for path, digest in found if "/_layers/" in path}


def test_users_ca_and_configuration_are_in_it_and_nothing_that_is_not_needed(host: Host) -> None:
    host.check_output(f"runuser -u docker-registry -- sh -c 'mkdir -p {STORAGE}/keeper/runs/x/tree; echo x >{STORAGE}/keeper/runs/x/tree/quarantined'")
    host.check_output(f"curl -fsS -X POST {AT}/v2/backup/upload/blobs/uploads/")
    back_up(host)
    there = listed(host)
    for path in ("/etc/ssl/holdfast-ca/ca.key", "/etc/ssl/holdfast/registry.key", "/etc/holdfast-gateway/users.htpasswd", "/etc/holdfast-gateway/rules.conf"):
        assert path in there, path
    assert [path for path in there if path.startswith((f"{STORAGE}/keeper", f"{STATE}/cache", REPOSITORY)) or "_uploads" in path] == []
    host.check_output(f"rm -rf {STORAGE}/keeper/runs/x")


def test_nobody_else_reads_its_secrets(host: Host) -> None:
    password = host.check_output("cat /etc/registry-keeper/backup/password")
    assert len(password) >= 32
    assert host.check_output("find /etc/registry-keeper/backup -printf '%m %u\\n' | sort -u").splitlines() == ["600 root", "700 root"]
    as_registry = "setpriv --reuid docker-registry --regid docker-registry --clear-groups"
    for path in ("/etc/registry-keeper/backup/password", f"{STATE}/links/registry", f"{REPOSITORY}/config"):
        assert host.run(f"cat {path}").rc == 0
        assert host.run(f"{as_registry} cat {path}").rc != 0, path
    assert host.run(f"{as_registry} registry-keeper backup").rc == 2
    assert password not in host.check_output(f"journalctl -u {UNIT} --no-pager; systemctl cat {UNIT}; cat {STORAGE}/keeper/status/backup.json")


def test_the_timers_service_leaves_the_processor_to_the_registry(host: Host) -> None:
    # The kernel's number of SCHED_IDLE, as a collection has it.
    assert host.check_output(f"systemctl show --property=CPUSchedulingPolicy --value {UNIT}") == "5"


def test_only_this_hosts_own_backups_are_forgotten(host: Host) -> None:
    for who in ("--host another --tag holdfast-registry", "--host server --tag by-hand"):
        host.check_output(f"echo x | {RESTIC} backup --quiet --stdin {who}")
    others = host.check_output(f"{RESTIC} snapshots --json --compact --host another; {RESTIC} snapshots --json --compact --tag by-hand")
    for _number in range(3):
        found = back_up(host)
    assert (found["snapshots"], found["forgotten"]) == (3, 1)
    assert host.check_output(f"{RESTIC} snapshots --json --compact --host another; {RESTIC} snapshots --json --compact --tag by-hand") == others


def test_the_lock_of_a_killed_run_is_in_nobodys_way_and_that_of_a_live_one_is(host: Host) -> None:
    with another_run(host) as process:
        run = host.run("registry-keeper backup")
        assert run.rc == 4, run.stdout + run.stderr
        assert "another run of restic has the repository" in run.stderr
        host.check_output(f"kill -KILL {process}")
        assert host.check_output(f"ls {REPOSITORY}/locks"), "it left no lock"
        back_up(host)
    assert host.check_output(f"ls {REPOSITORY}/locks") == ""


def test_a_run_that_is_killed_leaves_no_half_backup_and_the_next_finishes(host: Host) -> None:
    before = host.check_output(f"{RESTIC} snapshots --json --host server --tag holdfast-registry")
    host.check_output(f"systemctl start --no-block {UNIT}")
    host.check_output("for i in $(seq 200); do pgrep -x restic >/dev/null && exit; sleep 0.05; done; exit 1")
    host.check_output(f"systemctl kill --signal=KILL {UNIT}")
    host.check_output(f"for i in $(seq 100); do systemctl is-active {UNIT} | grep -q activating || exit 0; sleep 0.1; done")
    assert host.check_output(f"{RESTIC} snapshots --no-lock --json --host server --tag holdfast-registry") == before
    assert back_up(host)["exit_status"] == 0
    host.check_output(f"systemctl reset-failed {UNIT}")


def test_a_repository_that_is_away_is_not_begun_anew_in_its_place(host: Host) -> None:
    with elsewhere(host):
        run = host.run("registry-keeper backup")
        assert run.rc == 1
        assert f"the repository {REPOSITORY} has gone, or cannot be reached" in run.stderr
        assert host.check_output(f"ls {REPOSITORY}") == ""
    assert outcome(host)["exit_status"] == 1, "status was not told"
    assert outcome(host)["last_success"] > 0
    assert back_up(host)["exit_status"] == 0


def test_without_room_it_says_so_and_goes_on_when_there_is_some(host: Host) -> None:
    image(host, "backup/large", 3_000_000)
    size = int(host.check_output(f"du -sk {REPOSITORY}").split()[0])
    host.check_output(f"mount -t tmpfs -o size={size + 1500}k,mode=700 tmpfs /mnt && cp -a {REPOSITORY}/. /mnt/")
    host.check_output(f"mount --bind /mnt {REPOSITORY}")
    try:
        run = host.run("registry-keeper backup")
    finally:
        host.check_output(f"umount {REPOSITORY} && umount /mnt")
    assert run.rc == 1, run.stdout + run.stderr
    assert "no room is left for the repository" in run.stderr
    assert back_up(host)["exit_status"] == 0


def test_one_image_comes_back(host: Host) -> None:
    manifest, layer = image(host, "backup/lost")
    back_up(host)
    assert status(host, f"/v2/backup/lost/manifests/{manifest}", "DELETE") == "202"
    host.check_output(f"rm {data(manifest)} {data(layer)}")
    assert status(host, "/v2/backup/lost/manifests/1") == "404"
    run = host.run("registry-keeper restore backup/lost:1")
    assert run.rc == 0, run.stdout + run.stderr
    assert status(host, "/v2/backup/lost/manifests/1") == "200"
    assert is_served(host, "backup/lost", layer)
    assert host.check_output(f"stat -c %U:%a {data(layer)}") == "docker-registry:640"
    assert host.run("registry-keeper restore backup/never").rc == 1


def test_a_tag_that_names_another_image_by_now_is_not_replaced_unless_told(host: Host) -> None:
    old, _layer = image(host, "backup/moved")
    back_up(host)
    new, _layer = image(host, "backup/moved")
    run = host.run("registry-keeper restore backup/moved:1")
    assert run.rc == 1
    assert new in run.stderr and old in run.stderr
    host.check_output("registry-keeper restore backup/moved:1 --as backup/moved-copy")
    current = f"cat {STORAGE}/docker/registry/v2/repositories/backup/NAME/_manifests/tags/1/current/link"
    assert host.check_output(current.replace("NAME", "moved")) == new
    assert host.check_output(current.replace("NAME", "moved-copy")) == old
    host.check_output("registry-keeper restore backup/moved:1 --over")
    assert host.check_output(current.replace("NAME", "moved")) == old
