# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The disaster: the server is gone for good, and an empty one takes its place. The last of the scenario, since it takes the server away."""

import os
import pathlib
import re
import subprocess
from collections.abc import Iterator

import pytest
from backups import REPOSITORY, STORAGE, back_up
from scenario import hosts, playbook
from scenario.docker import Docker
from testinfra.host import Host

pytestmark = pytest.mark.skipif(not os.environ.get("HOLDFAST_RESTORE"), reason="destroys the server and takes minutes: HOLDFAST_RESTORE=1 has it run")

ENDPOINT = "registry.holdfast.test:5443"
LAB = str(hosts.PROJECT / "tests/lab/lab")
RESTORE = hosts.PROJECT / "playbooks/restore.yml"
SITE = hosts.PROJECT / "playbooks/site.yml"
SECRETS = hosts.PROJECT / ".cache/scenarios/keeper/secrets"
FINGERPRINT = "openssl x509 -noout -fingerprint -sha256 -in"


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    """alice's docker on the client: logged in before the disaster, and not touched afterwards."""
    docker = Docker(hosts.host("client"), ENDPOINT)
    assert docker.login("alice", "a password of alice").rc == 0
    yield docker
    docker.close()


def replace(server: Host) -> None:
    """Destroy the server, and put an empty host in its place. Only the disk with the backup is the same."""
    name = hosts.container("server")
    copy = subprocess.run(["docker", "exec", name, "tar", "-C", REPOSITORY, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
    address = server.check_output("hostname -I").split()[0]
    subprocess.run([LAB, "down", name], check=True, stderr=subprocess.DEVNULL)
    # On a busy machine it may take longer to start than the lab waits.
    assert any(subprocess.run([LAB, "up", name], check=False, stderr=subprocess.DEVNULL).returncode == 0 for _attempt in range(3))
    assert not server.exists("nginx") and not server.file(STORAGE).exists, "it is not empty"
    server.check_output(f"mkdir -m 700 {REPOSITORY}")
    subprocess.run(["docker", "exec", "-i", name, "tar", "-C", REPOSITORY, "-x"], input=copy, check=True)
    # What DNS would be told.
    now = server.check_output("hostname -I").split()[0]
    hosts.host("client").check_output(f"sed 's/^{address} /{now} /' /etc/hosts >/run/hosts && cat /run/hosts >/etc/hosts")


def manifests(host: Host) -> set[str]:
    """Every manifest of every repository, and every tag with the manifests it has named, as the storage has them.

    What names nothing is no part of it: a tag without a manifest, and a manifest that a tag has named and that has been collected.
    """
    lines = host.check_output(
        f"cd {STORAGE}/docker/registry/v2/repositories && find . -path '*/_manifests/*' -name link -size +0 -exec grep -H . {{}} +"
    ).splitlines()
    there = {line.partition("/_manifests/")[0] + line.rpartition("link:")[2] for line in lines if "/_manifests/revisions/" in line}
    tags = {line.partition("/current/")[0] for line in lines if "/current/link:" in line}
    return {
        line
        for line in lines
        if "/_manifests/tags/" not in line
        or (line.partition("/current/")[0].partition("/index/")[0] in tags and line.partition("/_manifests/")[0] + line.rpartition("link:")[2] in there)
    }


def test_a_lost_host_comes_back_with_every_digest_every_login_and_the_same_ca(docker: Docker, tmp_path: pathlib.Path) -> None:
    server = hosts.host("server")
    pushed = dict(docker.push("restore/app") for _number in range(2))
    back_up(server)
    before = manifests(server)
    ca = server.check_output(f"{FINGERPRINT} /etc/ssl/holdfast-ca/ca.crt")
    served = f"true | openssl s_client -connect {ENDPOINT} -servername registry.holdfast.test 2>/dev/null | {FINGERPRINT} /dev/stdin"
    certificate = hosts.host("client").check_output(served)
    lost, _digest = docker.push("restore/too-late")

    replace(server)
    # First as if the controller were lost too: of what it kept, there is only the backup's password.
    (tmp_path / "backup.password").write_bytes((SECRETS / "backup.password").read_bytes())
    run = playbook.run(RESTORE, str(SITE), "--limit", "server", holdfast_secrets_directory=str(tmp_path))
    assert not run.succeeded
    assert "these have a password on server that this controller does not know: bob." in run.output, run.output[-6000:]
    assert not (tmp_path / "users").exists(), "a new password would replace the one whose hash was restored"

    run = playbook.run(SITE, "--limit", "server")
    assert run.succeeded, run.output[-6000:]

    assert server.check_output(f"{FINGERPRINT} /etc/ssl/holdfast-ca/ca.crt") == ca
    assert hosts.host("client").check_output(served) == certificate
    assert before <= manifests(server) | {line for line in before if "/backup/busy/" in line}
    for image, digest in pushed.items():
        docker.ok(f"pull --quiet {image.rpartition(':')[0]}@{digest}")
        docker.ok(f"pull --quiet {image}")
    assert docker.run(f"pull {lost}").rc != 0, "it was pushed after the backup, so this is not the restored host"
    bob = Docker(docker.host, ENDPOINT)
    assert bob.login("bob", (SECRETS / "users/bob.password").read_text().strip()).rc == 0
    bob.close()
    # It is a registry like before.
    docker.push("restore/app")
    assert back_up(server)["exit_status"] == 0


def test_a_host_that_has_images_is_not_restored_over_unless_told() -> None:
    run = playbook.run(RESTORE)
    assert not run.succeeded
    assert re.search(rf'"msg": "registry-keeper: [^"]*{STORAGE} has images already, and nothing was changed', run.output), run.output[-6000:]
    run = playbook.run(RESTORE, keeper_restore_over=True)
    assert run.succeeded, run.output[-6000:]
