# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine's settings, with containers that go on running, and the role taken back. Each test starts from what the one before has left."""

import json

from scenario import hosts, playbook
from testinfra.host import Host

IMAGE = """
set -eu
rootfs=$(mktemp -d)
for file in /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*'); do mkdir -p $rootfs$(dirname $file); cp -L $file $rootfs$file; done
tar -C $rootfs -c . | docker import - holdfast-sleep >/dev/null
"""
EVERYTHING = {
    "docker_client_daemon": {"live-restore": True, "log-level": "warn", "labels": ["ours=1"]},
    "docker_client_mirrors": [{"upstream": "docker.io", "mirror": "images.holdfast.test:5000"}],
    "docker_client_ca_stores": ["system", "docker", "containers", "containerd"],
}


def engine(host: Host) -> str:
    return str(host.check_output("systemctl show --property MainPID --value docker"))


def container(host: Host) -> str:
    """The running container, and since when it runs."""
    return str(host.check_output("docker inspect --format '{{.State.Running}} {{.State.StartedAt}} {{.State.Pid}}' sleeper"))


def listing(host: Host) -> str:
    """Every file of the configuration with its mode, owner and content. Empty directories may stay: they may be others' as well."""
    find = "find /etc /usr/local/share/ca-certificates -xdev ! -type d ! -name '.*.lock' ! -name 'group*' ! -name 'gshadow*'"
    return str(host.check_output(f"{find} -printf '%p %M %u %g %l\\n' | sort; {find} -type f -print0 | sort -z | xargs -0 sha256sum; getent group docker"))


def test_nothing_that_others_have_done_goes_with_the_role(host: Host) -> None:
    host.check_output("mkdir -p /etc/docker/certs.d/theirs.test; echo '{\"mtu\": 1400}' >/etc/docker/daemon.json; echo '192.0.2.99 theirs.test' >>/etc/hosts")
    theirs = {"name": "holdfast-theirs", "content": host.file("/root/ca.crt").content_string, "stores": ["docker"], "endpoints": ["theirs.test"]}
    playbook.module("client", "ca_trust", **theirs)
    playbook.module("client", "docker_daemon", name="theirs", settings={"labels": ["theirs=1"], "live-restore": False})
    playbook.module(
        "client", "registry_login", check_credentials=False, logins=[{"user": "alice", "registry": "theirs.test", "username": "a", "password": "b"}]
    )
    playbook.converged(docker_client_state="absent", docker_client_former_registries=["pictures.holdfast.test:5000"])
    assert json.loads(host.file("/etc/docker/daemon.json").content_string) == {"mtu": 1400, "labels": ["theirs=1"], "live-restore": False}
    assert host.file("/etc/docker/certs.d/theirs.test/holdfast-theirs.crt").exists
    assert list(json.loads(host.file("/home/alice/.docker/config.json").content_string)["auths"]) == ["theirs.test"]
    assert "theirs.test" in host.file("/etc/hosts").content_string
    playbook.module("client", "docker_daemon", name="theirs", state="absent")


def test_running_containers_survive_the_restart_that_comes_with_live_restore(host: Host) -> None:
    host.check_output(IMAGE)
    host.check_output("systemctl restart docker && docker run -d --name sleeper --network none holdfast-sleep /bin/sleep 100000")
    before, process = container(host), engine(host)
    host.run("rm -f /root/etc.before")
    hosts.write(host, "/root/etc.before", listing(host))
    playbook.converged(**EVERYTHING)
    assert engine(host) != process
    assert container(host) == before
    assert before.startswith("true")
    data = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert data["registry-mirrors"] == ["https://images.holdfast.test:5000"]
    assert (data["mtu"], data["labels"], data["log-level"]) == (1400, ["ours=1"], "warn")


def test_a_second_run_changes_nothing_and_check_mode_predicts_it(host: Host) -> None:
    process = engine(host)
    assert playbook.converged(**EVERYTHING).changed == 0
    predicted = playbook.converged("--check", "--diff", **{**EVERYTHING, "docker_client_daemon": {"live-restore": True, "log-level": "info"}})
    # one task both writes the settings and lets the engine notice
    assert predicted.changed == 1, predicted.output
    assert "docker.service: restarted" in predicted.output
    assert engine(host) == process


def test_what_the_engine_can_take_up_while_it_runs_is_reloaded_and_an_engine_of_another_origin_stays(host: Host) -> None:
    before, process, packages = container(host), engine(host), host.check_output("dpkg -l | sha256sum")
    settings = {"live-restore": True, "log-level": "warn", "labels": ["ours=2"], "debug": True, "max-concurrent-downloads": 7}
    playbook.converged(**{**EVERYTHING, "docker_client_daemon": settings, "docker_client_engine": "docker"})
    assert (engine(host), container(host)) == (process, before)
    assert host.check_output("docker info --format '{{.Debug}} {{.Labels}}'") == "true [ours=2]"
    assert host.check_output("dpkg -l | sha256sum") == packages
    assert not host.file("/etc/apt/sources.list.d/holdfast-docker.sources").exists


def test_what_the_engine_would_refuse_is_refused_and_the_engine_goes_on(host: Host) -> None:
    process, there = engine(host), host.file("/etc/docker/daemon.json").content_string
    refused = playbook.converge(**{**EVERYTHING, "docker_client_daemon": {"no-such-setting": 1}})
    assert not refused.succeeded
    assert "the engine would refuse it, so nothing was changed" in refused.output
    assert (engine(host), host.file("/etc/docker/daemon.json").content_string) == (process, there)


def test_the_role_takes_itself_back_even_after_a_run_that_was_killed(host: Host) -> None:
    process = engine(host)
    # As far as a run gets that is killed before the engine restarts.
    playbook.module("client", "docker_daemon", name="holdfast-images.holdfast.test_5000", state="absent")
    playbook.converged(docker_client_state="absent")
    assert engine(host) != process


def test_what_was_taken_back_has_left_no_trace(host: Host) -> None:
    before, after = set(host.file("/root/etc.before").content_string.splitlines()), set(listing(host).splitlines())
    assert (before - after, after - before) == (set(), set())
    assert "holdfast" not in host.check_output("find /var/lib/holdfast -type f ! -name '.*.lock' | xargs -r cat")
    assert host.run("grep -rl holdfast /etc --include=*.json --include=*.crt --exclude-dir=theirs.test").stdout == ""
    # The host's own name may begin with the word, and Docker writes that into the file.
    assert host.run(r"grep 'holdfast\.' /etc/hosts").stdout == ""
    assert playbook.converged(docker_client_state="absent").changed == 0
