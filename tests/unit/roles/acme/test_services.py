# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The services that read a new certificate, with a systemctl of its own."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import threading

import pytest
from acme_hosts import NAME, bring, issued, read


class Systemd:
    """What the program runs of systemctl. broken are the units whose reload fails."""

    def __init__(self, program, *, active=True, broken=()):
        self.real, self.active, self.broken, self.reloaded = program.run, active, set(broken), []

    def __call__(self, *command, **more):
        if command[0] != "systemctl":
            return self.real(*command, **more)
        if command[1] == "reload":
            self.reloaded.append(command[2])
            return subprocess.CompletedProcess(command, int(command[2] in self.broken), "", "job failed")
        return subprocess.CompletedProcess(command, 0 if self.active else 3, "", "")

    @property
    def reloads(self):
        return len(self.reloaded)


GATEWAY = {"name": "holdfast-gateway.service", "port": 0, "server_name": NAME}


@pytest.fixture
def stamps(program, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "STAMPS", str(tmp_path))
    return tmp_path / "holdfast-gateway.service.json"


def test_a_service_reads_a_new_certificate_and_what_it_has_read_is_known(running, authority, program, stamps, monkeypatch):
    systemd = Systemd(program)
    monkeypatch.setattr(program, "run", systemd)
    known = {"restart": {"/usr/sbin/nginx": "1"}, "reload": {running["certificate"]: "old", "/etc/other": "2"}}
    stamps.write_text(json.dumps(known))
    bring(running, issued(running, authority))
    program.install({**running, "services": [GATEWAY]})
    assert systemd.reloads == 1
    found = json.loads(stamps.read_text())
    assert found["reload"] == {running["certificate"]: program._digest(running["certificate"]), "/etc/other": "2"}
    assert found["restart"] == known["restart"]
    program.install({**running, "services": [GATEWAY]})
    assert systemd.reloads == 1


def test_a_service_that_uses_a_certificate_from_elsewhere_is_left_alone(running, authority, program, stamps, monkeypatch):
    systemd = Systemd(program)
    monkeypatch.setattr(program, "run", systemd)
    stamps.write_text(json.dumps({"restart": {}, "reload": {"/etc/ssl/holdfast/registry.crt": "1"}}))
    bring(running, issued(running, authority))
    program.install({**running, "services": [GATEWAY]})
    assert systemd.reloads == 0


def test_a_service_of_which_nothing_is_known_reads_a_new_certificate_once(running, authority, program, stamps, monkeypatch):
    systemd = Systemd(program)
    monkeypatch.setattr(program, "run", systemd)
    bring(running, issued(running, authority))
    program.install({**running, "services": [GATEWAY]})
    program.install({**running, "services": [GATEWAY]})
    assert systemd.reloads == 1
    assert not stamps.exists()


def test_a_reload_that_failed_is_tried_again_by_the_next_run(running, authority, program, stamps, monkeypatch):
    systemd = Systemd(program, broken=[GATEWAY["name"]])
    monkeypatch.setattr(program, "run", systemd)
    stamps.write_text(json.dumps({"restart": {}, "reload": {running["certificate"]: program._digest(running["certificate"])}}))
    bring(running, issued(running, authority))
    with pytest.raises(program.Failure, match="cannot be reloaded: job failed"):
        program.install({**running, "services": [GATEWAY]})
    systemd.broken.clear()
    program.install({**running, "services": [GATEWAY]})
    assert systemd.reloads == 2


@pytest.fixture
def systemd(program, monkeypatch, stamps):
    """Of no unit it is known what it has read."""
    found = Systemd(program)
    monkeypatch.setattr(program, "run", found)
    return found


@pytest.fixture
def web(running):
    """The host, with three services."""
    running["services"] = [{**GATEWAY, "name": f"{name}.service"} for name in ("nginx", "haproxy", "postfix")]
    return running


def test_a_service_of_which_nothing_is_known_is_reloaded_until_that_worked(web, authority, program, systemd):
    systemd.broken = {"haproxy.service"}
    bring(web, issued(web, authority))
    for _run in range(2):
        with pytest.raises(program.Failure, match="^haproxy.service cannot be reloaded: job failed$"):
            program.install(web)
    systemd.broken.clear()
    program.install(web)
    program.install(web)
    assert systemd.reloaded == ["nginx.service", "haproxy.service", "postfix.service", "haproxy.service", "haproxy.service"]


def test_every_service_that_fails_is_named(web, authority, program, systemd):
    systemd.broken = {"nginx.service", "postfix.service"}
    bring(web, issued(web, authority))
    with pytest.raises(program.Failure, match="^nginx.service cannot be reloaded: job failed; postfix.service cannot be reloaded: job failed$"):
        program.install(web)


def test_of_a_service_on_two_ports_both_are_looked_at_until_both_are_right(web, authority, program, systemd, monkeypatch):
    web["services"] = [{**GATEWAY, "port": port} for port in (443, 8443)]
    asked, wrong = [], {8443}

    def await_certificate(_configuration, service):
        asked.append(service["port"])
        if service["port"] in wrong:
            raise program.Failure("another one")

    monkeypatch.setattr(program, "await_certificate", await_certificate)
    bring(web, issued(web, authority))
    for _run in range(2):
        with pytest.raises(program.Failure, match="^another one$"):
            program.install(web)
    wrong.clear()
    program.install(web)
    program.install(web)
    assert asked == [443, 8443] * 3


@pytest.mark.parametrize("where", ["take_place", "have_read", "await_certificate"])
def test_after_a_kill_every_service_reads_the_certificate(web, authority, program, systemd, monkeypatch, where):
    def killed(*_arguments, **_options):
        raise KeyboardInterrupt

    bring(web, issued(web, authority))
    with monkeypatch.context() as patched:
        patched.setattr(program, where, killed)
        with pytest.raises(KeyboardInterrupt):
            program.install(web)
    systemd.reloaded.clear()
    program.prepare(web)
    program.ask(web)
    program.install(web)
    assert systemd.reloaded == ["nginx.service", "haproxy.service", "postfix.service"]


def test_a_service_that_cannot_be_noted_keeps_the_certificate_from_being_replaced(web, authority, program, systemd, monkeypatch):
    def full(path, _content, _mode):
        raise program.Failure(f"{path}: cannot be written: No space left on device")

    before = read(web, "certificate")
    bring(web, issued(web, authority))
    with monkeypatch.context() as patched:
        patched.setattr(program, "write", full)
        with pytest.raises(program.Failure, match="unread.json: cannot be written"):
            program.install(web)
    assert read(web, "certificate") == before


@pytest.mark.parametrize("content", ["", "rubbish", "{}", "[3]"])
def test_a_damaged_note_is_no_failure(web, program, systemd, content):
    pathlib.Path(web["csr"]).with_name("unread.json").write_text(content)
    program.install(web)
    assert systemd.reloads == 0


@pytest.mark.parametrize("at_work", [True, False])
def test_a_run_of_the_timer_with_the_configuration_of_before_is_waited_for(running, authority, program, monkeypatch, capsys, at_work):
    names = [NAME, "more.example.org"]
    real, runs = program.run, [dict(running)] if at_work else []

    def run(*command, **more):
        if command[0] != "systemctl":
            return real(*command, **more)
        if command[1] == "start":
            configuration = runs.pop() if runs else {**running, "names": names}
            program.prepare(configuration)
            bring(configuration, issued(configuration, authority, configuration["names"]))
            program.install(configuration)
        return subprocess.CompletedProcess(command, 0, "activating\n" if runs else "inactive\n", "")

    monkeypatch.setattr(program, "run", run)
    program.ensure({**running, "names": names})
    assert capsys.readouterr().out.splitlines()[-1] == f"issued: it is for {NAME} instead of {', '.join(sorted(names))}"
    assert program.needed({**running, "names": names}, with_key=True) == ""


def test_a_run_after_which_a_certificate_is_needed_still_is_a_failure(running, program, systemd):
    with pytest.raises(program.Failure, match="nevertheless: it is for registry.example.org instead of other.example.org"):
        program.ensure({**running, "names": ["other.example.org"]})


def test_a_service_that_does_not_run_is_left_alone(running, authority, program, stamps, monkeypatch):
    systemd = Systemd(program, active=False)
    monkeypatch.setattr(program, "run", systemd)
    bring(running, issued(running, authority))
    program.install({**running, "services": [GATEWAY]})
    assert systemd.reloads == 0


def test_a_service_that_presents_another_certificate_is_an_error(running, program, monkeypatch):
    monkeypatch.setattr(program, "RELOAD_SECONDS", 0.1)
    with pytest.raises(program.Failure, match="does not present the new certificate on port 1"):
        program.await_certificate(running, {**GATEWAY, "port": 1})


def test_after_the_first_certificate_a_service_need_not_listen_on_its_port_yet(web, authority, program, systemd, monkeypatch, capsys):
    """It cannot be configured to before there is one. After a second one it has to."""
    monkeypatch.setattr(program, "RELOAD_SECONDS", 0.1)
    monkeypatch.setattr(program, "listens", lambda port: port == 8443)
    web["services"] = [{**GATEWAY, "name": "nginx.service", "port": 443}]
    pathlib.Path(web["certificate"]).unlink()
    bring(web, issued(web, authority))
    program.install(web)
    assert systemd.reloaded == ["nginx.service"]
    assert f"nginx.service: listens on no port 443 yet; configure it to present {web['certificate']}" in capsys.readouterr().out
    bring(web, issued(web, authority))
    with pytest.raises(program.Failure, match="nginx.service was reloaded, and does not present the new certificate on port 443"):
        program.install(web)


def test_another_first_certificate_than_the_new_one_is_an_error(web, authority, program, systemd, monkeypatch):
    monkeypatch.setattr(program, "RELOAD_SECONDS", 0.1)
    monkeypatch.setattr(program, "listens", lambda _port: True)
    web["services"] = [{**GATEWAY, "port": 1}]
    pathlib.Path(web["certificate"]).unlink()
    bring(web, issued(web, authority))
    with pytest.raises(program.Failure, match="does not present the new certificate on port 1"):
        program.install(web)


@contextlib.contextmanager
def presented(host, address, family=socket.AF_INET):
    """A server that presents the certificate on this address alone. Gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(host["certificate"], host["key"])
    with socket.create_server((address, 0), family=family) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _peer = server.accept()
                    with contextlib.suppress(OSError):
                        context.wrap_socket(connection, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::"])
def test_the_certificate_is_found_on_the_address_on_which_the_service_listens(running, program, monkeypatch, address):
    monkeypatch.setattr(program, "RELOAD_SECONDS", 2)
    try:
        with presented(running, address, socket.AF_INET6 if ":" in address else socket.AF_INET) as port:
            program.await_certificate(running, {**GATEWAY, "port": port})
            assert program.listens(port)
    except OSError as error:
        pytest.skip(f"this machine has no such address: {error}")


def test_another_certificate_on_the_same_port_of_another_address_is_none_of_it(running, authority, program, monkeypatch, in_use, tmp_path):
    monkeypatch.setattr(program, "RELOAD_SECONDS", 1)
    with presented(running, "127.0.0.2") as port:
        program.prepare(running)
        bring(running, issued(running, authority))
        program.install(running)
        with pytest.raises(program.Failure, match=f"on port {port}: 127.0.0.2 presents another one$"):
            program.await_certificate(running, {**GATEWAY, "port": port})


@pytest.mark.skipif(sys.byteorder == "big", reason="is written in the order of a little-endian processor")
def test_the_addresses_are_those_that_listen(program, tmp_path, monkeypatch):
    (tmp_path / "tcp").write_text(
        "  sl  local_address rem_address   st tx_queue\n"
        "   0: 0100007F:01BB 00000000:0000 0A 00000000:00000000\n"
        "   1: 00000000:01BB 00000000:0000 0A 00000000:00000000\n"
        "   2: 0A0200C0:01BB 00000000:0000 0A 00000000:00000000\n"
        "   3: 0B0200C0:01BB 0100007F:D431 01 00000000:00000000\n"
        "   4: 0C0200C0:0050 00000000:0000 0A 00000000:00000000\n"
    )
    (tmp_path / "tcp6").write_text(
        "  sl  local_address                         remote_address                        st\n"
        "   0: B80D0120000000000000000010000000:01BB 00000000000000000000000000000000:0000 0A\n"
        "   1: 00000000000000000000000000000000:20FB 00000000000000000000000000000000:0000 0A\n"
    )
    monkeypatch.setattr(program, "CONNECTIONS", str(tmp_path))
    assert program.addresses(443) == ["127.0.0.1", "192.0.2.10", "2001:db8::10"]
    assert program.addresses(80) == ["192.0.2.12"]
    assert program.addresses(8443) == ["::1", "127.0.0.1"]
    assert program.addresses(22) == ["127.0.0.1", "::1"]
