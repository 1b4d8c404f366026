# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role registry alone: loopback only, sandboxed, its own memory as cache, logs and secrets closed."""

import time

from scenario import playbook
from testinfra.backend.base import CommandResult
from testinfra.host import Host

URL = "http://127.0.0.1:5001/v2"
SECRET = "/etc/docker/registry/http-secret.env"
CONFIGURATION = "/etc/docker/registry/config.yml"


def _python(host: Host, script: str) -> CommandResult:
    """Run Python on the host: the role brings no HTTP client of its own."""
    return host.run(f"python3 - <<'END' 2>&1\n{script}\nEND")


def _answers(host: Host) -> bool:
    return bool(_python(host, f"import urllib.request; print(urllib.request.urlopen('{URL}/').status)").stdout.strip() == "200")


UPLOAD = f"""
import hashlib, urllib.request
content = b"layer" * 1000
digest = "sha256:" + hashlib.sha256(content).hexdigest()
start = urllib.request.urlopen(urllib.request.Request("{URL}/some/app/blobs/uploads/", method="POST"))
location = start.headers["Location"]
assert location.startswith("/v2/"), location
headers = {{"Content-Type": "application/octet-stream"}}
put = urllib.request.Request("http://127.0.0.1:5001" + location + "&digest=" + digest, data=content, method="PUT", headers=headers)
assert urllib.request.urlopen(put).status == 201
assert urllib.request.urlopen("{URL}/some/app/blobs/" + digest).read() == content
deleted = urllib.request.Request("{URL}/some/app/blobs/" + digest, method="DELETE")
assert urllib.request.urlopen(deleted).status == 202
print("done")
"""


def test_it_stores_serves_and_deletes_and_its_locations_are_relative(host: Host) -> None:
    result = _python(host, UPLOAD)
    assert result.stdout.strip().endswith("done"), result.stdout
    assert host.run("find /srv/images/docker/registry/v2/blobs -name data | grep -q .").rc == 0


def test_it_listens_on_loopback_only(host: Host) -> None:
    listening = host.check_output("ss -Hltn | awk '{print $4}'").split()
    assert "127.0.0.1:5001" in listening
    assert [address for address in listening if not address.startswith("127.")] == []


def test_a_restart_lets_a_slow_request_end(host: Host) -> None:
    script = f"""
import socket, subprocess, time, urllib.request
start = urllib.request.urlopen(urllib.request.Request("{URL}/slow/app/blobs/uploads/", method="POST"))
s = socket.create_connection(("127.0.0.1", 5001))
headers = "Host: x\\r\\nContent-Length: 10\\r\\nContent-Type: application/octet-stream\\r\\n"
s.sendall(("PATCH " + start.headers["Location"] + " HTTP/1.1\\r\\n" + headers + "\\r\\n12345").encode())
time.sleep(0.5)
stop = subprocess.Popen(["systemctl", "restart", "docker-registry"])
time.sleep(2)
assert stop.poll() is None, "the service did not wait"
s.sendall(b"67890")
print(s.recv(100).split(b"\\r\\n")[0].decode())
stop.wait(30)
"""
    assert "202 Accepted" in _python(host, script).stdout


def test_the_sandbox_keeps_it_from_the_rest_of_the_host(host: Host) -> None:
    pid = host.check_output("systemctl show -p MainPID --value docker-registry")
    status = host.check_output(f"cat /proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    assert "Seccomp:\t2" in status
    assert host.run(f"nsenter -t {pid} -m touch /etc/written").rc != 0
    assert host.run(f"nsenter -t {pid} -m touch /srv/images/written").rc == 0


def test_the_upload_secret_is_closed_and_stays_when_everything_else_changes(host: Host) -> None:
    made = host.check_output(f"cut -d= -f2 {SECRET}")
    assert len(made) == 64
    assert host.run(f"setpriv --reuid nobody --regid nogroup --clear-groups cat {SECRET}").rc != 0
    assert host.run(f"grep -rlF {made} /etc /var/log").stdout.split() == [SECRET]
    pid = host.check_output("systemctl show -p MainPID --value docker-registry")
    assert made in host.check_output(f"cat /proc/{pid}/environ"), "the registry does not use it"
    assert playbook.converged(registry_drain_timeout=21).changed > 0
    assert host.check_output(f"cut -d= -f2 {SECRET}") == made


def test_requests_and_errors_are_logged_where_it_was_asked_for(host: Host) -> None:
    before = host.file("/var/log/docker-registry/access.log").size
    assert _answers(host)
    time.sleep(0.5)
    assert host.file("/var/log/docker-registry/access.log").size > before
    assert host.file("/var/log/docker-registry").mode == 0o750


def test_logs_are_rotated_and_then_written_to_again(host: Host) -> None:
    host.check_output("logrotate --force /etc/logrotate.d/docker-registry")
    assert _answers(host)
    time.sleep(0.5)
    assert host.file("/var/log/docker-registry/access.log").size > 0
    assert host.run("test -s /var/log/docker-registry/access.log.1 -o -s /var/log/docker-registry/access.log.1.gz").rc == 0


def test_systemd_gives_up_on_a_registry_that_fails_too_often_and_the_next_run_starts_it_again(host: Host) -> None:
    host.check_output(f"echo broken: [ >{CONFIGURATION}")
    # ten starts a minute, whoever starts it
    host.run("for i in $(seq 12); do systemctl restart docker-registry; done; sleep 1")
    assert host.check_output("systemctl show -p ActiveState -p Result docker-registry").splitlines() == ["Result=start-limit-hit", "ActiveState=failed"]
    assert host.run("systemctl start docker-registry").rc != 0
    playbook.converged()
    assert _answers(host)
