# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors for real clients: what is fetched once is served again, and an upstream that fails or lies does no harm."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from mirrors import CODE, MIRROR, PASSWORD, UPSTREAM, admit
from scenario.docker import Docker
from testinfra.host import Host

Image = Callable[..., tuple[str, str]]
Curl = Callable[..., str]
Away = Callable[[str], None]


# Docker, which knows a mirror of Docker Hub only, and sends it no password


def pulls(client: Host, image: str) -> bool:
    client.run(f"docker image rm {image}")
    return bool(client.run(f"timeout 60 docker pull {image}").rc == 0)


@pytest.mark.usefixtures("hub_mirror")
def test_docker_pulls_from_a_mirror_that_admits_its_network(client: Host, image: Image, away: Away, open_to_clients: None) -> None:
    name, _digest = image()
    assert pulls(client, name)
    away("refuses connections")
    assert pulls(client, name), "what was fetched once is not served without the upstream"


@pytest.mark.usefixtures("hub_mirror")
def test_docker_without_a_login_gets_nothing_from_a_mirror_that_admits_users_only(client: Host, image: Image) -> None:
    assert not pulls(client, image()[0])


@pytest.mark.usefixtures("hub_mirror")
def test_docker_pulls_with_a_client_certificate(client: Host, image: Image) -> None:
    admit(holdfast_mirror_client_certificates="alternative")
    name, _digest = image()
    try:
        assert not pulls(client, name)
        for kind in ("cert", "key"):
            file = {"cert": "crt", "key": "key"}[kind]
            client.check_output(f"install -m 600 /etc/ssl/holdfast/builder.{file} /etc/docker/certs.d/{MIRROR}/client.{kind}")
        assert pulls(client, name)
    finally:
        client.check_output(f"rm -f /etc/docker/certs.d/{MIRROR}/client.*")
        admit()


def test_docker_pulls_from_any_upstream_by_its_name_in_the_path(client: Host, image: Image) -> None:
    docker = Docker(client, MIRROR)
    name, digest = image("team/app")
    assert docker.login("alice", "a password of alice").rc == 0
    assert digest in docker.ok(f"pull {MIRROR}/docker.io/{name}")
    docker.close()


def test_nobody_pushes_to_a_mirror(client: Host, image: Image, curl: Curl) -> None:
    docker = Docker(client, MIRROR)
    assert docker.login("alice", "a password of alice").rc == 0
    docker.denied(f"push {docker.build('docker.io/library/pushed')}")
    name, digest = image()
    repository = name.partition(":")[0]
    assert curl(f"/v2/{repository}/manifests/{digest}?ns=docker.io", CODE) == "200"
    assert curl(f"/v2/{repository}/manifests/{digest}?ns=docker.io", CODE, "-X DELETE") == "403"
    docker.close()


# containerd, which says whom it means


@pytest.fixture
def containerd(client: Host) -> Iterator[Callable[[str, str], bool]]:
    # The name of the upstream is only known to the mirror, so what comes, comes from it.
    for upstream in ("docker.io", "upstream.holdfast.test:5443", "quay.io"):
        directory = f"/run/containerd-hosts/{upstream.replace(':', '_')}_" if ":" in upstream else f"/run/containerd-hosts/{upstream}"
        client.check_output(
            f"mkdir -p {directory}; printf '%s\\n' 'server = \"https://unreachable.holdfast.test\"' '[host.\"https://{MIRROR}\"]' "
            f'\'capabilities = ["pull", "resolve"]\' \'ca = "/etc/docker/certs.d/{MIRROR}/holdfast-registry.holdfast.test_5443.crt"\' >{directory}/hosts.toml'
        )

    def pull(image: str, user: str = "alice:a password of alice") -> bool:
        login = f"--user '{user}'" if user else ""
        return bool(client.run(f"timeout 60 ctr images pull --snapshotter native --hosts-dir /run/containerd-hosts {login} {image}").rc == 0)

    yield pull
    client.check_output("rm -rf /run/containerd-hosts")


def test_containerd_asks_one_address_for_several_upstreams(containerd: Callable[..., bool], image: Image, registry: Host) -> None:
    name, _digest = image()
    assert containerd(f"docker.io/{name}")
    name, _digest = image("team/other")
    assert containerd(f"{UPSTREAM}/{name}")
    logged = registry.check_output("tail -n 50 /var/log/holdfast-gateway/access.log")
    assert {"hub", "other"} <= {json.loads(line)["registry"] for line in logged.splitlines()}


def test_containerd_is_refused_for_an_upstream_that_has_no_mirror(containerd: Callable[..., bool], image: Image) -> None:
    name, _digest = image()
    assert not containerd(f"quay.io/{name}")


def test_containerd_without_a_login_is_refused(containerd: Callable[..., bool], image: Image) -> None:
    name, _digest = image()
    assert not containerd(f"docker.io/{name}", "")


# podman, which has the upstream in the path


def test_podman_pulls_from_the_mirror_of_its_settings(client: Host, image: Image) -> None:
    client.check_output("command -v podman || DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends podman")
    name, _digest = image()
    settings = f'[[registry]]\nprefix = "docker.io"\nlocation = "unreachable.holdfast.test"\n[[registry.mirror]]\nlocation = "{MIRROR}/docker.io"\n'
    client.check_output(f"printf '%s' '{settings}' >/run/registries.conf")
    podman = "CONTAINERS_REGISTRIES_CONF=/run/registries.conf REGISTRY_AUTH_FILE=/run/podman-auth.json podman --storage-driver vfs --root /run/podman"
    assert client.run(f"{podman} pull docker.io/{name}").rc != 0, "a password is asked for"
    client.check_output(f"printf %s 'a password of alice' | {podman} login --username alice --password-stdin {MIRROR}")
    client.check_output(f"{podman} pull docker.io/{name}")
    client.check_output(f"{podman} rmi --all --force; rm -f /run/podman-auth.json")


# What is fetched, and when


def fetched(curl: Curl, path: str) -> None:
    """Wait until the mirror has this: the pause after a failure of a former test may not be over yet."""
    deadline = time.monotonic() + 30
    while curl(path, CODE) != "200":
        assert time.monotonic() < deadline
        time.sleep(1)


@pytest.mark.parametrize("how", ["refuses connections", "hangs", "answers with 503"])
def test_an_upstream_that_fails_does_not_take_the_cache_along(image: Image, curl: Curl, away: Away, how: str) -> None:
    name, digest = image()
    repository = name.partition(":")[0]
    tag = name.partition(":")[2]
    fetched(curl, f"/v2/{repository}/manifests/{tag}?ns=docker.io")
    missing, _digest = image()
    away(how)
    began = time.monotonic()
    assert digest in curl(f"/v2/{repository}/manifests/{tag}?ns=docker.io", "-I", "--max-time 20")
    assert curl(f"/v2/{repository}/manifests/{digest}?ns=docker.io", CODE, "--max-time 20") == "200"
    first = time.monotonic() - began
    assert curl(f"/v2/{missing.replace(':', '/manifests/')}?ns=docker.io", CODE, "--max-time 30") not in ("200", "000")
    began = time.monotonic()
    assert digest in curl(f"/v2/{repository}/manifests/{tag}?ns=docker.io", "-I", "--max-time 20")
    assert first < 15
    assert time.monotonic() - began < 3, "each request waits for the upstream again"


def test_a_changed_tag_is_seen_at_once_or_after_its_time(author: Docker, image: Image, curl: Curl) -> None:
    name, digest = image("team/moving")
    author.ok(f"pull {UPSTREAM}/{name}")
    author.ok(f"tag {UPSTREAM}/{name} {UPSTREAM}/team/moving:stable")
    author.ok(f"push {UPSTREAM}/team/moving:stable")

    def seen(upstream: str) -> str:
        return curl(f"/v2/team/moving/manifests/stable?ns={upstream}", "-I")

    fetched(curl, "/v2/team/moving/manifests/stable?ns=docker.io")
    assert digest in seen("docker.io")
    assert digest in seen("upstream.holdfast.test%3A5443")
    changed = time.monotonic()
    other, new = image("team/moving")
    author.ok(f"pull {UPSTREAM}/{other}")
    author.ok(f"tag {UPSTREAM}/{other} {UPSTREAM}/team/moving:stable")
    author.ok(f"push {UPSTREAM}/team/moving:stable")
    assert new in seen("docker.io")
    if time.monotonic() - changed < 4:
        assert digest in seen("upstream.holdfast.test%3A5443"), "it was asked for before its time"
    time.sleep(6)
    assert new in seen("upstream.holdfast.test%3A5443")


def test_a_blob_that_is_half_fetched_is_never_sent(author: Docker, registry: Host, curl: Curl, client: Host) -> None:
    context = f"{author.config}/large"
    client.check_output(f"mkdir -p {context}; printf 'FROM scratch\\nCOPY layer /\\n' >{context}/Dockerfile; head -c 60000000 /dev/urandom >{context}/layer")
    author.ok(f"build -q -t {UPSTREAM}/team/large:1 {context}")
    author.ok(f"push {UPSTREAM}/team/large:1")
    layer = json.loads(curl("/v2/team/large/manifests/1?ns=docker.io"))["layers"][0]["digest"]
    path = f"/v2/team/large/blobs/{layer}?ns=docker.io"
    address = f"https://{MIRROR}{path}"
    certificate = f"/etc/docker/certs.d/{MIRROR}/holdfast-registry.holdfast.test_5443.crt"
    slow = f"curl -sS --cacert {certificate} --user 'alice:a password of alice' --limit-rate 5M -o /run/slow '{address}'"
    client.check_output(f'rm -f /run/slow*; setsid sh -c "{slow}; echo \\$? >/run/slow.done" >/dev/null 2>&1 &')
    time.sleep(2)
    hexadecimal = layer.removeprefix("sha256:")
    data = f"/var/lib/docker-registry-hub/docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"
    for _attempt in range(3):
        assert curl(path, then="| sha256sum").split()[0] == hexadecimal
        if registry.run(f"test -e {data}").rc == 0:
            assert registry.check_output(f"sha256sum {data}").split()[0] == hexadecimal
    registry.check_output("systemctl kill --signal=KILL docker-registry@hub")
    client.check_output("for i in $(seq 40); do test -e /run/slow.done && exit; sleep 0.5; done; exit 1")
    registry.check_output("for i in $(seq 40); do test -S /run/docker-registry-hub/registry.sock && exit; sleep 0.5; done; exit 1")
    assert curl(path, then="| sha256sum").split()[0] == hexadecimal


def test_what_is_kept_too_long_goes_and_is_fetched_again(image: Image, registry: Host, curl: Curl) -> None:
    name, digest = image()
    path = f"/v2/{name.partition(':')[0]}"
    layer = json.loads(curl(f"{path}/manifests/{digest}?ns=docker.io"))["layers"][0]["digest"]
    assert curl(f"{path}/blobs/{layer}?ns=docker.io", CODE) == "200"
    hexadecimal = layer.removeprefix("sha256:")
    data = f"/var/lib/docker-registry-hub/docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"
    registry.check_output(f"for i in $(seq 40); do test -s {data} && exit; sleep 0.2; done; exit 1")
    # 2.8 writes what it will remove, and when, every five seconds
    state = "/var/lib/docker-registry-hub/scheduler-state.json"
    registry.check_output(f"for i in $(seq 40); do grep -q {hexadecimal} {state} && exit; sleep 0.5; done; exit 1")
    registry.check_output("systemctl stop docker-registry@hub")
    registry.check_output(f'sed -i \'s/"Expiry\\(Data\\)\\?":"20[0-9-]*T/"Expiry\\1":"2020-01-01T/g\' {state}')
    registry.check_output("systemctl start docker-registry@hub")
    registry.check_output(f"for i in $(seq 60); do test ! -e {data} && exit; sleep 0.5; done; exit 1")
    assert curl(f"{path}/blobs/{layer}?ns=docker.io", then="| sha256sum").split()[0] == hexadecimal


# Who may what on the host


@pytest.mark.parametrize("user", ["nobody", "docker-registry-other", "docker-registry"])
@pytest.mark.parametrize(
    "what",
    [
        "cat /etc/holdfast-registry-upstream/upstream.json",
        "cat /proc/$(systemctl show -p MainPID --value docker-registry@hub)/environ",
        "curl --fail http://127.0.0.1:5099/hub/v2/",
        "curl --fail --unix-socket /run/docker-registry-hub/registry.sock http://hub/v2/",
    ],
)
def test_no_other_user_of_the_host_gets_to_a_password_or_past_the_gateway(registry: Host, user: str, what: str) -> None:
    assert registry.run(f"setpriv --reuid {user} --regid $(id -g {user}) --clear-groups sh -c '{what}'").rc != 0


def test_no_password_is_in_a_log_or_a_list_of_processes(registry: Host, image: Image, curl: Curl) -> None:
    name, digest = image()
    assert curl(f"/v2/{name.partition(':')[0]}/manifests/{digest}?ns=docker.io", CODE) == "200"
    # a pattern that does not find itself among the processes
    pattern = f"[{PASSWORD[0]}]{PASSWORD[1:]}"
    assert registry.run(f"grep -rlE '{pattern}' /var/log /run/log /proc/[0-9]*/cmdline").stdout.split() == []
    assert registry.run(f"journalctl --no-pager | grep -cE '{pattern}'").stdout.strip() == "0"


def test_a_mirror_whose_upstream_leads_back_to_it_refuses_that(curl: Curl) -> None:
    """registry-upstream would say so by the header Via."""
    assert curl("/v2/library/app/tags/list?ns=docker.io", CODE, "-H 'Via: 1.1 registry.holdfast.test (holdfast-registry-upstream)'") == "508"
    assert curl("/v2/library/app/tags/list?ns=docker.io", CODE, "-H 'Via: 1.1 another.holdfast.test (holdfast-registry-upstream)'") != "508"


def test_a_mirror_is_told_the_ca_that_the_same_run_made(registry: Host, curl: Curl) -> None:
    digest = registry.check_output("cat /root/image-of-the-time-before")
    assert digest in curl("/v2/before/app/manifests/1?ns=registry.holdfast.test%3A5443", "-I")


# Beside the mirrors


def test_a_registry_that_was_set_up_by_hand_is_taken_over_with_its_images(registry: Host, client: Host) -> None:
    digest = registry.check_output("cat /root/image-of-the-time-before")
    docker = Docker(client, "registry.holdfast.test:5443")
    assert docker.login("alice", "a password of alice").rc == 0
    answer = client.check_output(
        "curl -fsSI --cacert /etc/docker/certs.d/registry.holdfast.test:5443/holdfast-registry.holdfast.test_5443.crt --user 'alice:a password of alice' "
        "-H 'Accept: application/vnd.docker.distribution.manifest.v2+json' https://registry.holdfast.test:5443/v2/before/app/manifests/1"
    )
    assert digest in answer
    assert "addr: :5000" in registry.check_output("cat /etc/docker/registry/config.yml.original")
    assert registry.run("ss -Hltn sport = :5000 | grep .").rc != 0, "it still listens without a password"
    docker.close()


def test_a_further_registry_has_images_of_its_own(client: Host) -> None:
    docker = Docker(client, "registry.holdfast.test:5445")
    assert docker.login("alice", "a password of alice").rc == 0
    name, digest = docker.push("team/own")
    assert digest in docker.ok(f"pull {name}")
    first = Docker(client, "registry.holdfast.test:5443")
    assert first.login("alice", "a password of alice").rc == 0
    assert first.run(f"pull registry.holdfast.test:5443/{name.partition('/')[2]}").rc != 0
    for one in (docker, first):
        one.close()
