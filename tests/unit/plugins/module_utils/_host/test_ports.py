# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import ports


@pytest.fixture
def listening():
    """A port that this process listens at, on 127.0.0.1 only."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def ask(port, unit="mine.service", addresses=()):
    return ports.problems(lambda *_command: Result(0, "", ""), [ports.Wanted(port, unit, "my_port", list(addresses))])


def test_a_taken_port_names_the_setting_the_process_and_what_to_do(listening):
    (problem,) = ask(listening)
    assert problem.startswith(f"my_port: {listening} on {socket.gethostname()} is taken by ")
    assert f"process {os.getpid()})" in problem
    assert problem.endswith("choose another port or stop it")


@pytest.mark.parametrize(
    ("setting", "known"),
    [
        ("nginx_auth_port", "holdfast_port"),
        ("nginx_auth_further_registries[1].port", "holdfast_registries[1].port"),
        ("nginx_auth_further_registries[2].port", "holdfast_mirror_port"),
        ("nginx_auth_further_registries[12].port", "nginx_auth_further_registries[12].port"),
        ("nginx_auth_ports", "nginx_auth_ports"),
    ],
)
def test_a_taken_port_names_the_setting_that_the_user_wrote(setting, known):
    called = {
        "nginx_auth_port": "holdfast_port",
        "nginx_auth_further_registries[1]": "holdfast_registries[1]",
        "nginx_auth_further_registries[2]": "holdfast_mirrors[0]",
        "nginx_auth_further_registries[2].port": "holdfast_mirror_port",
    }
    wanted = ports.Wanted.of({"port": 443, "unit": "mine.service", "setting": setting, "addresses": []}, "ports[0]", called)
    assert wanted.setting == known


def test_a_free_port_is_no_problem(listening):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        assert ask(other.getsockname()[1]) == []


def test_the_unit_itself_may_have_the_port(listening, monkeypatch):
    monkeypatch.setattr(ports, "_unit", lambda _process, _proc: "mine.service")
    assert ask(listening) == []


def test_another_address_is_no_problem_and_every_address_is(listening):
    assert ask(listening, addresses=["192.0.2.1"]) == []
    assert ask(listening, addresses=["127.0.0.1"])
    assert ask(listening, addresses=["0.0.0.0"])


def test_ipv6_counts():
    if not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 here")
    with socket.socket() as reserved, socket.socket(socket.AF_INET6) as server:
        # Bound, so that no other program listens there meanwhile; it does not listen itself.
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        server.bind(("::1", port))
        server.listen()
        assert ask(port)
        assert ask(port, addresses=["::1"])
        assert ask(port, addresses=["127.0.0.1"]) == []


@pytest.mark.parametrize(
    ("lines", "unit"),
    [
        ("0::/system.slice/apache2.service\n", "apache2.service"),
        ("1:name=systemd:/docker/abc/system.slice/apache2.service\n0::/\n", "apache2.service"),
        ("0::/user.slice/user@1000.service/app.slice/web.service\n", "web.service"),
        ("4:memory:/system.slice/wrong.service\n0::/\n", ""),
    ],
)
def test_the_unit_is_read_from_the_control_group(tmp_path, lines, unit):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(lines)
    assert ports._unit(7, str(tmp_path)) == unit


def test_a_socket_of_systemd_is_called_by_its_unit():
    listed = Result(0, "[::]:443 web.socket web.service\n", "")
    assert ports._activated(lambda *_command: listed, ports.Owner(1, "systemd", "init.scope"), 443).unit == "web.socket"


def test_what_is_no_port_is_refused():
    with pytest.raises(HoldfastError, match=r"ports\[0\].port: 0 is not a port"):
        ports.Wanted.of({"port": 0, "unit": "x", "setting": "y", "addresses": []}, "ports[0]", {})
