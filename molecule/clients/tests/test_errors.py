# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors on docs/client-errors.md: each is shown by a real client in the words of the page, and its cure helps."""

from __future__ import annotations

import json
import pathlib
import re
import time
from collections.abc import Callable, Iterator

import pytest
from scenario import hosts, playbook
from scenario.docker import Docker
from testinfra.host import Host
from tools import MIRROR, REGISTRY, STORAGE, UPSTREAM, prepare

PAGE = (hosts.PROJECT / "docs/client-errors.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+)\n(?:.*\n)*?```text\n(.+)\n```", PAGE, re.MULTILINE))
PASSWORD = "a password of alice"
HTTP, TLS = f"{UPSTREAM}:9080", f"{UPSTREAM}:9443"
SHOWN = set()


def shows(title: str, output: str, **names: str) -> bool:
    """Whether the output has the message of a section of the page, with other names in place of the page's."""
    SHOWN.add(title)
    message = SECTIONS[title]
    for on_the_page, here in names.items():
        message = message.replace(on_the_page.replace("_", "."), here)
    return re.search(".*".join(re.escape(part) for part in message.split("...")), output) is not None


@pytest.fixture(scope="module", autouse=True)
def pretended(upstream: Host) -> Iterator[None]:
    """A registry as others run it; see pretend.py."""
    script = pathlib.Path(__file__).with_name("pretend.py").read_text()
    upstream.check_output("mkdir -p /root/pretend")
    hosts.write(upstream, "/root/pretend/pretend.py", script)
    upstream.check_output(
        "cd /root/pretend && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=pretend -keyout key -out crt"
        f" -addext subjectAltName=DNS:{UPSTREAM} -addext keyUsage=critical,keyCertSign,digitalSignature"
    )
    upstream.check_output("systemctl reset-failed pretend; systemd-run --unit=pretend python3 /root/pretend/pretend.py /root/pretend/crt /root/pretend/key")
    upstream.check_output("timeout 20 sh -c 'until ss -ltn | grep -q :9443; do sleep 0.1; done'")
    yield
    upstream.check_output("systemctl stop pretend; rm -r /root/pretend")
    playbook.module("client", "ca_trust", name="pretended", endpoints=[TLS], stores=["docker"], state="absent")
    playbook.module("client", "hosts_entries", name="pretended", state="absent")


@pytest.fixture
def docker(client: Host) -> Iterator[Docker]:
    """Docker with credentials of its own, and without any yet."""
    docker = Docker(client, REGISTRY)
    yield docker
    docker.close()


def eventually(say: Callable[[], str], word: str) -> str:
    """What is said once the word is in it, or after ten seconds."""
    deadline = time.monotonic() + 10
    while word not in (said := say()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return said


def trust_pretended(upstream: Host) -> None:
    certificate = upstream.file("/root/pretend/crt").content_string
    playbook.module("client", "ca_trust", name="pretended", content=certificate, endpoints=[TLS], stores=["docker"])


def test_an_unknown_ca(docker: Docker, upstream: Host) -> None:
    assert shows("x509: certificate signed by unknown authority", docker.run(f"pull {TLS}/team/app").stderr)
    trust_pretended(upstream)
    assert "manifest unknown" in docker.run(f"pull {TLS}/team/app").stderr


def test_a_name_that_is_not_in_the_certificate(docker: Docker, client: Host) -> None:
    port, address = REGISTRY.partition(":")[2], client.check_output(f"getent hosts {REGISTRY.partition(':')[0]}").split()[0]
    playbook.module("client", "hosts_entries", name="pretended", entries=[{"address": address, "names": ["images.holdfast.test"]}])
    # dockerd reads /etc/hosts every five seconds
    said = eventually(lambda: docker.run(f"pull images.holdfast.test:{port}/team/app").stderr, "x509")
    assert shows("x509: certificate is valid for another name", said, images_example_org="images.holdfast.test")
    assert "x509" not in docker.run(f"pull {REGISTRY}/team/app").stderr


def test_nobody_is_logged_in(docker: Docker) -> None:
    image = docker.build("team/errors")
    assert shows("no basic auth credentials", docker.run(f"push {image}").stdout + docker.run(f"push {image}").stderr)
    assert docker.login("alice", PASSWORD).rc == 0
    docker.ok(f"push {image}")
    docker.ok(f"image rm {image}")


def test_the_user_may_not_do_that(docker: Docker) -> None:
    assert docker.login("alice", PASSWORD).rc == 0
    assert shows("denied", docker.run(f"push {docker.build('holdfast/verify')}").stderr)
    docker.push("team/errors")


def test_a_port_without_tls(docker: Docker) -> None:
    assert shows("http: server gave HTTP response to HTTPS client", docker.run(f"pull {HTTP}/team/app").stderr)
    assert "HTTP response" not in docker.run(f"pull {REGISTRY}/team/app").stderr


def test_a_public_registry_that_limits_pulls(docker: Docker, upstream: Host, image: Callable[[str], str]) -> None:
    trust_pretended(upstream)
    assert shows("toomanyrequests of a public registry", docker.run(f"pull {TLS}/limited/app").stderr)
    docker.ok(f"pull docker.io/{image('library')}")


def test_a_name_that_no_dns_knows(docker: Docker, client: Host) -> None:
    name = f"nosuch{time.time_ns()}.holdfast.test"
    assert shows("no such host", docker.run(f"pull {name}:5443/team/app").stderr)
    address = client.check_output(f"getent hosts {REGISTRY.partition(':')[0]}").split()[0]
    playbook.module("client", "hosts_entries", name="pretended", entries=[{"address": address, "names": [name]}])
    assert "no such host" not in eventually(lambda: docker.run(f"pull {name}:5443/team/app").stderr, "x509")
    playbook.module("client", "hosts_entries", name="pretended", state="absent")


def test_a_proxy_that_does_not_answer(client: Host) -> None:
    prepare(client)
    pull = f"{STORAGE} HTTPS_PROXY=http://127.0.0.1:3128 {{}} podman pull {REGISTRY}/team/app"
    assert shows("Connection refused through a proxy", client.run(pull.format("")).stderr)
    assert "proxyconnect" not in client.run(pull.format(f"NO_PROXY={REGISTRY.partition(':')[0]}")).stderr


def test_an_image_that_the_mirror_does_not_have(docker: Docker, image: Callable[[str], str]) -> None:
    repository = image("library")
    wrong = f"{MIRROR}/{repository.removeprefix('library/')}"
    assert shows("manifest unknown on a mirror", docker.run(f"pull {wrong}").stderr)
    docker.ok(f"pull {MIRROR}/{repository}")


@pytest.fixture
def guesses(client: Host) -> Iterator[None]:
    """Somebody on this host tries wrong passwords."""
    guess = f"seq 1000 | xargs -P 4 -I N curl -s -o /dev/null --user alice:guessN https://{REGISTRY}/v2/"
    client.check_output(f'systemd-run --collect --unit=guesses sh -c "{guess}"')
    yield
    client.run("systemctl stop guesses")


def test_too_many_wrong_passwords_from_one_address(docker: Docker, client: Host, guesses: None) -> None:
    hosts.write(client, f"{docker.config}/config.json", json.dumps({"auths": {REGISTRY: {"auth": "Ym9iOmJvYg=="}}}))
    said = (docker.run(f"pull {REGISTRY}/team/app").stderr for _attempt in range(60))
    assert any(shows("toomanyrequests of this registry", line) for line in said)
    client.check_output("systemctl stop guesses")
    assert any(docker.login("alice", PASSWORD).rc == 0 or time.sleep(1) for _attempt in range(60)), "still refused after a minute"


def test_every_error_on_the_page_was_shown() -> None:
    assert len(SECTIONS) == 10
    assert set(SECTIONS) == SHOWN
    assert PAGE.count("\n| [") == 10
