# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The services that read a new certificate, with a systemctl of its own."""

from __future__ import annotations

import json
import subprocess

import pytest
from acme_hosts import NAME, bring, issued


class Systemd:
    """What the program runs of systemctl."""

    def __init__(self, program, *, active=True, reload=0):
        self.real, self.active, self.code, self.reloads = program.run, active, reload, 0

    def __call__(self, *command, **more):
        if command[0] != "systemctl":
            return self.real(*command, **more)
        if command[1] == "reload":
            self.reloads += 1
            return subprocess.CompletedProcess(command, self.code, "", "job failed")
        return subprocess.CompletedProcess(command, 0 if self.active else 3, "", "")


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
    systemd = Systemd(program, reload=1)
    monkeypatch.setattr(program, "run", systemd)
    stamps.write_text(json.dumps({"restart": {}, "reload": {running["certificate"]: program._digest(running["certificate"])}}))
    bring(running, issued(running, authority))
    with pytest.raises(program.Failure, match="cannot be reloaded: job failed"):
        program.install({**running, "services": [GATEWAY]})
    systemd.code = 0
    program.install({**running, "services": [GATEWAY]})
    assert systemd.reloads == 2


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
