# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program of the role acme, with openssl, and without certbot, a server or systemd."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import time
import unittest.mock

import pytest
from acme_hosts import EC, NAME, bring, issued, read, shell, status


def test_what_was_issued_is_put_in_place_with_its_key(running, program):
    assert program.needed(running, with_key=True) == ""
    assert program.needed(running) == ""
    assert pathlib.Path(running["key"]).stat().st_mode & 0o777 == 0o600
    assert not pathlib.Path(f"{running['key']}.new").exists()
    assert not pathlib.Path(running["state"], "issued.pem").exists()
    assert status(running)["state"] == "renewed"
    assert status(running)["names"] == [NAME]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(running["certificate"], running["key"])


def test_a_second_run_makes_nothing_anew(running, program):
    before = {what: read(running, what) for what in ("certificate", "key", "csr")}
    program.prepare(running)
    program.ask(running)
    program.install(running)
    assert {what: read(running, what) for what in before} == before
    assert status(running)["state"] == "current"


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"names": (NAME, "other.example.org")}, "is for other.example.org, registry.example.org"),
        ({"names": ("other.example.org",)}, "is for other.example.org"),
        ({"ca": "other"}, "is not valid: "),
        ({"days": -1}, "is not valid: "),
    ],
    ids=["a name more", "another name", "another CA", "expired"],
)
def test_what_clients_would_refuse_is_not_put_in_place(running, authority, program, made, why):
    if made.get("days") == -1 and b"openssl 1" in subprocess.run(["openssl", "version"], capture_output=True, check=True).stdout.lower():
        pytest.skip("this openssl signs nothing that has expired")
    before = read(running, "certificate"), read(running, "key")
    bring(running, issued(running, authority, **made))
    with pytest.raises(program.Failure, match=why):
        program.install(running)
    assert (read(running, "certificate"), read(running, "key")) == before


def test_a_certificate_for_somebody_elses_key_is_not_put_in_place(running, authority, program, tmp_path):
    shell(tmp_path, f"openssl req -new {EC} -keyout theirs.key -out theirs.csr -subj /")
    before = read(running, "certificate")
    bring(running, issued(running, authority, csr=tmp_path / "theirs.csr"))
    with pytest.raises(program.Failure, match="for another key"):
        program.install(running)
    assert read(running, "certificate") == before


@pytest.mark.parametrize("content", ["", "rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_not_put_in_place(running, program, content):
    before = read(running, "certificate")
    bring(running, content)
    with pytest.raises(program.Failure):
        program.install(running)
    assert read(running, "certificate") == before


def test_a_certificate_for_an_address_that_is_none_is_a_failure(running, program, monkeypatch, capsys, tmp_path):
    shell(tmp_path, f"openssl req -x509 {EC} -keyout their.key -out their.crt -subj / -addext subjectAltName=DER:30:05:87:03:01:02:03")
    bring(running, (tmp_path / "their.crt").read_text())
    assert called(program, monkeypatch, running, "install") == 1
    assert "what was issued is not a certificate" in capsys.readouterr().err
    assert status(running)["state"] == "failed"


def test_a_link_or_a_pipe_is_not_read_as_root(running, program):
    place = pathlib.Path(running["state"], "issued.pem")
    place.symlink_to(running["key"])
    with pytest.raises(program.Failure, match="cannot be read"):
        program.install(running)
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(program.Failure):
        program.install(running)


def test_a_key_of_another_type_waits_for_its_certificate(running, authority, program):
    before = read(running, "key")
    running["key_type"] = "ec-p384"
    assert program.needed(running, with_key=True) == "there is no key of type ec-p384"
    program.prepare(running)
    assert read(running, "key") == before
    assert program.needed(running) == "it is for another key"
    bring(running, issued(running, authority))
    program.install(running)
    assert program.key_type(running["key"]) == "ec-p384"
    assert program.needed(running, with_key=True) == ""


def test_a_run_that_was_killed_between_certificate_and_key_is_completed(running, authority, program):
    running["key_type"] = "rsa-3072"
    program.prepare(running)
    pathlib.Path(running["certificate"]).write_text(issued(running, authority))
    program.prepare(running)
    assert program.key_type(running["key"]) == "rsa-3072"
    assert program.needed(running, with_key=True) == ""


def test_what_a_killed_run_left_is_removed(running, program):
    directory = pathlib.Path(running["key"]).parent
    (directory / ".registry.key.new.12345678.acme-tmp").write_text("half a key")
    program.prepare(running)
    assert [path.name for path in directory.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("content", ["", "half a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_that_waits_is_made_again(running, authority, program, content):
    running["key_type"] = "ec-p384"
    pathlib.Path(f"{running['key']}.new").write_text(content)
    pathlib.Path(running["csr"]).write_text(content)
    program.prepare(running)
    bring(running, issued(running, authority))
    program.install(running)
    assert program.needed(running, with_key=True) == ""


def test_a_damaged_key_in_use_is_left_and_named(running, program):
    pathlib.Path(running["key"]).write_text("half a key")
    with pytest.raises(program.Failure, match=f"{running['key']}; restore it, or remove it for another one: "):
        program.prepare(running)
    assert read(running, "key") == "half a key"


def test_a_lost_key_gets_a_successor_with_a_certificate_of_its_own(running, authority, program):
    pathlib.Path(running["key"]).unlink()
    assert program.needed(running, with_key=True)
    program.prepare(running)
    assert program.needed(running) == "it is for another key"
    bring(running, issued(running, authority))
    program.install(running)
    assert program.needed(running, with_key=True) == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"names": [NAME, "a.example.org"]}, "it is for registry.example.org instead of a.example.org, registry.example.org"),
        ({"issuer_ca": "other"}, "it is not valid"),
        ({"certificate": "/nonexistent"}, "there is none"),
    ],
    ids=["names", "CA", "none"],
)
def test_one_that_will_not_do_is_needed_anew(running, authority, program, change, why):
    if "issuer_ca" in change:
        change = {"issuer_ca": str(authority / "other.crt")}
    assert program.needed({**running, **change}, with_key=True).startswith(why)


def test_it_is_due_when_so_much_of_its_life_is_left(running, program):
    assert program.due(running) == ""
    assert program.due({**running, "renew_percent": 100}) == "100 % of its life is left"


@pytest.mark.parametrize(("start", "due"), [(-7200, True), (86400, False)])
def test_it_is_due_when_the_server_suggests_it(running, program, monkeypatch, start, due):
    moments = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds)) for seconds in (start, start + 3600)]
    asked = []

    def fetch(_configuration, url):
        asked.append(url)
        return {"renewalInfo": "https://acme.example.org/info/"} if url.endswith("/dir") else {"suggestedWindow": dict(zip(("start", "end"), moments))}

    monkeypatch.setattr(program, "fetch", fetch)
    assert bool(program.due(running)) is due
    assert asked[1].startswith("https://acme.example.org/info/") and asked[1].count(".") == 3


@pytest.mark.parametrize("answer", [{}, {"renewalInfo": 3}, {"renewalInfo": "https://acme.example.org", "suggestedWindow": {"start": "soon", "end": "later"}}])
def test_a_suggestion_that_makes_no_sense_is_not_followed(running, program, monkeypatch, answer):
    monkeypatch.setattr(program, "fetch", lambda *_arguments: answer)
    assert program.due(running) == ""


@pytest.mark.parametrize("error", [http.client.BadStatusLine("rubbish"), http.client.IncompleteRead(b""), RecursionError(), TimeoutError()], ids=repr)
def test_a_server_that_speaks_no_http_has_no_suggestion(running, program, monkeypatch, error):
    monkeypatch.setattr(program, "fetch", unittest.mock.Mock(side_effect=error))
    assert program.due(running) == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-02T00:00:01Z", 86401), ("1970-01-02T02:00:01+02:00", 86401), ("1970-01-01T22:00:01.123456-02:00", 86401)],
)
def test_times_of_the_server(program, text, seconds):
    assert program._seconds(text) == seconds


def test_a_nonce_that_was_refused_is_no_reason_to_give_up(host, program, monkeypatch):
    program.prepare(host)
    answers = [(1, "urn:ietf:params:acme:error:badNonce"), (1, "urn:ietf:params:acme:error:badNonce"), (0, "")]

    def run(*command, **_more):
        code, said = answers.pop(0)
        if code == 0:
            pathlib.Path(command[command.index("--fullchain-path") + 1]).write_text("chain")
        return subprocess.CompletedProcess(command, code, said, "")

    monkeypatch.setattr(program, "run", run)
    assert program.run_certbot(host) == "chain"
    answers[:] = [(1, "Saving debug log to x\n  Detail: connection refused")]
    with pytest.raises(program.Failure, match="^Detail: connection refused$"):
        program.run_certbot(host)
    assert answers == []


@pytest.mark.parametrize("server_ca", ["/etc/holdfast-acme/server-ca.crt", ""])
def test_certbot_trusts_the_ca_of_the_server_and_keeps_its_files_to_itself(host, program, monkeypatch, server_ca):
    run = unittest.mock.Mock(return_value=subprocess.CompletedProcess((), 1, "", "no"))
    monkeypatch.setattr(program, "run", run)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with pytest.raises(program.Failure):
        program.run_certbot({**host, "server_ca": server_ca})
    environment = run.call_args.kwargs["environment"]
    assert environment.get("REQUESTS_CA_BUNDLE", "") == server_ca
    assert environment["HOME"] == environment["XDG_CONFIG_HOME"] == host["state"]


def test_how_the_names_are_proven(host, program, monkeypatch):
    monkeypatch.setattr(program, "listens", lambda _port: False)
    assert "--standalone" in program.certbot({**host, "webroot": "/srv"}, "/tmp")
    monkeypatch.setattr(program, "listens", lambda _port: True)
    assert program.certbot({**host, "webroot": "/srv"}, "/tmp")[-2:] == ["--webroot-path", "/srv"]
    assert "--manual" in program.certbot({**host, "challenge": "dns-01"}, "/tmp")


@pytest.mark.parametrize(("webroot", "taken", "named"), [("", True, True), ("", False, False), ("/srv", True, False)])
def test_a_program_on_port_80_is_named_where_certbot_wants_that_port(host, program, monkeypatch, webroot, taken, named):
    monkeypatch.setattr(program, "run", lambda *command, **_more: subprocess.CompletedProcess(command, 1, "", "Could not bind TCP port 80"))
    monkeypatch.setattr(program, "listens", lambda _port: taken)
    with pytest.raises(program.Failure, match="^Could not bind TCP port 80") as caught:
        program.run_certbot({**host, "webroot": webroot})
    assert ("another program listens on port 80: name in acme_webroot" in str(caught.value)) == named


def test_no_secret_is_on_a_command_line(host, program):
    command = program.certbot({**host, "eab": "/etc/holdfast-acme/eab.ini"}, "/tmp")
    assert command[command.index("--config") + 1] == "/etc/holdfast-acme/eab.ini"


def called(program, monkeypatch, host, step):
    """The exit code of the program for a step."""
    configuration = pathlib.Path(host["csr"]).with_name("config.json")
    configuration.write_text(json.dumps(host))
    monkeypatch.setattr(sys, "argv", ["registry-acme", str(configuration), step])
    return program.main()


def test_a_failure_is_told_with_what_stays_in_use(running, program, monkeypatch, capsys):
    running["renew_percent"] = "100"
    program.prepare(running)
    monkeypatch.setattr(program, "run_certbot", unittest.mock.Mock(side_effect=program.Failure("the server is away")))
    assert called(program, monkeypatch, running, "ask") == 1
    assert capsys.readouterr().err.startswith("<4>the server is away; the certificate that is there stays in use, it is valid until 20")
    assert status(running)["state"] == "failed"
    assert status(running)["problem"] == "the server is away"


def test_a_certificate_where_only_root_can_look_is_seen_by_who_asks(running, program, monkeypatch, tmp_path, capsys):
    asked = unittest.mock.Mock(side_effect=program.Failure("the server is away"))
    monkeypatch.setattr(program, "run_certbot", asked)
    assert called(program, monkeypatch, running, "prepare") == 0
    copy = pathlib.Path(running["csr"]).with_name("in-use.crt")
    assert (copy.read_text(), copy.stat().st_mode & 0o777) == (read(running, "certificate"), 0o644)
    pathlib.Path(running["certificate"]).rename(tmp_path / "hidden")
    assert called(program, monkeypatch, running, "ask") == 0
    assert asked.call_count == 0
    running["renew_percent"] = 100
    assert called(program, monkeypatch, running, "ask") == 1
    assert "the server is away; the certificate that is there stays in use" in capsys.readouterr().err
    assert (status(running)["names"], status(running)["certificate"]) == ([NAME], running["certificate"])
    # gone for root too
    assert called(program, monkeypatch, running, "prepare") == 0
    assert not copy.exists()


@pytest.mark.parametrize("step", ["prepare", "ask", "ensure", "predict"])
def test_a_file_that_cannot_be_read_is_named_and_no_certificate_is_asked_for(running, program, monkeypatch, capsys, step):
    asked = unittest.mock.Mock()
    monkeypatch.setattr(program, "run_certbot", asked)
    path = pathlib.Path(running["certificate"])
    if step == "ask":
        path = path.with_name("in-use.crt")
    path.unlink(missing_ok=True)
    path.mkdir()  # not even root can read that
    assert called(program, monkeypatch, running, step) == 1
    assert asked.call_count == 0
    assert f"{path}: Is a directory" in capsys.readouterr().err
    if step in ("prepare", "ask"):
        assert (status(running)["state"], status(running)["problem"]) == ("failed", f"{path}: Is a directory")


@pytest.mark.parametrize("content", [None, "", "{half", "[]", "3", "{}", '{"names": [1]}'], ids=repr)
@pytest.mark.parametrize("step", ["prepare", "ask", "ensure"])
def test_a_configuration_that_is_damaged_is_named_with_what_to_run(program, monkeypatch, capsys, tmp_path, step, content):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(sys, "argv", ["registry-acme", str(path), step])
    assert program.main() == 1
    said = capsys.readouterr().err
    assert f"{path}: " in said and "run the playbook again" in said and said.startswith("<4>") is (step != "ensure")


@pytest.mark.parametrize(("word", "value"), [("services", [{"name": "nginx.service"}]), ("renew_percent", "much"), ("names", None), ("names", [])])
def test_a_configuration_with_a_wrong_value_is_named(host, program, monkeypatch, capsys, word, value):
    services = [{"name": "nginx.service", "port": 443, "server_name": ""}]
    assert called(program, monkeypatch, {**host, "services": services, word: value}, "ask") == 1
    assert "config.json: is not what role acme has written" in capsys.readouterr().err
