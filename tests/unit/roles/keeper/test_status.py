# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import math
import os
import pathlib
import re
import socket
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper import main
from registry_keeper.settings import Redis
from registry_keeper.status import growth, metrics, reserve, running, schedule, status, traffic, vulnerabilities
from registry_keeper.status.growth import Sample
from registry_keeper.status.reserve import Space
from registry_keeper.storage import inventory

DAY, NOW = 86400, 1_800_000_000
ROOT = pathlib.Path(__file__).parents[4]
REGISTRY = {"up": True, "version": "2.8.3", "replaced": False}
SPACE = {
    "total": 10**12,
    "free": 10**11,
    "used": 9 * 10**11,
    "reserve": 10**9,
    "uploads_refused": False,
    "growth_per_second": 1000.0,
    "seconds_until_full": 99 * DAY,
}
STORED = {
    "taken": NOW - 60,
    "repositories": 2,
    "tags": 5,
    "blobs": 7,
    "bytes": 3_000_000,
    "open_uploads": 1,
    "set_aside_bytes": 5000,
    "largest": [{"repository": "team/app", "bytes": 2_000_000}],
}
DONE_RUN = {"began": NOW - 3600, "seconds": 2.5, "exit_status": 0, "warnings": []}
FACTS = {
    "instance": "registry",
    "time": NOW,
    "registry": REGISTRY,
    "vulnerabilities": ["CVE-2026-35172"],
    "space": SPACE,
    "stored": STORED,
    "traffic": {"seconds": 3600, "requests": 100, "refused": 4, "errors": 1, "bytes": 10, "hit_ratios": {"passwords": 0.9, "manifests": 0.5}},
    "redis": {"up": True, "keyspace_hits": 3, "keyspace_misses": 1, "used_memory": 1000, "maxmemory": 0, "evicted_keys": 0, "hit_ratio": 0.75},
    "certificates": [{"path": "/etc/ssl/r.crt", "ends": NOW + 50 * DAY}],
    "commands": {"collect": DONE_RUN, "scrub": None},
    "overdue_after_seconds": {"collect": 15 * DAY, "scrub": 3 * DAY},
    "collectable_bytes": None,
    "needs_a_hand": [],
}
LIMITS = status.Limits((), {}, 3600, 14 * DAY, 14 * DAY, False)


# What needs a hand


def test_where_all_is_well_nothing_needs_a_hand():
    assert status.reasons(FACTS, LIMITS) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"registry": {**REGISTRY, "up": False}}, "the registry does not run"),
        ({"registry": {**REGISTRY, "replaced": True}}, "the registry's program has been replaced since it was started; restart it"),
        (
            {"space": {**SPACE, "uploads_refused": True, "free": 5 * 10**8}},
            "uploads are refused: 500.0 MB are free, less than the reserve of 1.0 GB",
        ),
        ({"space": {**SPACE, "seconds_until_full": 13 * DAY}}, "at the present rate the disk is full in 13 days"),
        ({"redis": {"up": False, "error": "refused"}}, "Redis does not answer: refused"),
        ({"certificates": [{"path": "/c.crt", "ends": NOW + 13 * DAY}]}, "/c.crt: ends in 13 days; run site.yml"),
        ({"certificates": [{"path": "/c.crl", "ends": NOW + 13 * DAY}]}, "/c.crl: is due to be renewed in 13 days; run site.yml"),
        ({"certificates": [{"path": "/c.crt", "ends": NOW - 1}]}, "/c.crt: has ended; run site.yml"),
        ({"certificates": [{"path": "/c.crt", "ends": None}]}, "/c.crt: cannot be read as a certificate"),
        ({"commands": {"collect": {**DONE_RUN, "exit_status": 1, "error": "no space"}}}, "collect, 60 min ago: no space"),
        ({"commands": {"scrub": {**DONE_RUN, "exit_status": 3, "warnings": ["a is damaged"]}}}, "scrub, 60 min ago: a is damaged"),
        ({"commands": {name: {**DONE_RUN, "began": NOW - 4 * DAY} for name in ("collect", "scrub")}}, "scrub: the last run was 4 days ago"),
    ],
    ids=range(12),
)
def test_each_reason_is_given_in_words(change, reason):
    assert status.reasons({**FACTS, **change}, LIMITS) == [reason]


@pytest.mark.parametrize(
    ("times", "days"),
    [
        (["03:30", "hourly", "daily", "*:0/5", "*-*-* 00/2:00", "*-*-* 02:00 UTC"], 1),
        (["Sun 03:30", "weekly", "Monday *-*-* 02:00 Europe/Berlin", "Sun"], 7),
        (["Mon..Fri 02:00", "*-*-1/3 02:00"], 3),
        (["Mon,Thu 01:00", "Fri..Mon"], 4),
        (["*-*-01 04:00", "*-*~01 02:00", "monthly", "Sun *-*-1..7 03:00"], 31),
        (["*-*-1,15 02:00"], 17),
        (["*-*-31 03:00"], 62),
        (["*-01,07-01"], 186),
        (["2027-01-01 03:00", "Fri *-*-13 03:00"], math.inf),
    ],
)
def test_the_longest_time_between_two_runs_of_a_schedule(times, days):
    assert {time: schedule.longest_gap(time) for time in times} == dict.fromkeys(times, days)


def test_a_run_that_a_clock_dated_ahead_hides_no_later_one_of_another_host():
    now, ahead = {"began": int(time.time()) - 60, "exit_status": 1}, {"began": int(time.time()) + 300 * DAY, "exit_status": 0}
    assert status._latest(now, ahead) == status._latest(ahead, now) == now
    assert status._latest(None, ahead) == ahead


def test_a_run_that_waits_for_another_one_needs_no_hand():
    assert status.reasons({**FACTS, "commands": {"collect": {**DONE_RUN, "exit_status": 4}}}, LIMITS) == []


def test_people_are_told_what_there_is():
    said = "\n".join(status.lines(FACTS))
    for words in ("version 2.8.3, running", "CVE-2026-35172", "100.0 GB of 1.0 TB free", "full in 99 days", "2 repositories, 5 tags", "team/app"):
        assert words in said
    for words in ("passwords 90%, manifests 50%, redis 75%", "/etc/ssl/r.crt: 50 days left", "collect: 60 min ago, exit status 0", "scrub: not run yet"):
        assert words in said


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A storage with an image, its settings, and a way to run the program."""
    root = tmp_path / "docker/registry/v2"
    for name, content in (("aa" * 32, "x" * 10), ("bb" * 32, "y" * 20)):
        (root / "blobs/sha256" / name[:2] / name).mkdir(parents=True)
        (root / "blobs/sha256" / name[:2] / name / "data").write_text(content)
    (root / "repositories/team/app/_layers/sha256" / ("bb" * 32)).mkdir(parents=True)
    tag = root / "repositories/team/app/_manifests/tags/1/current"
    tag.mkdir(parents=True)
    (tag / "link").write_text("sha256:" + "aa" * 32)
    file = tmp_path / "settings.json"
    file.write_text(
        json.dumps({"instance": "registry", "storage": str(tmp_path), "status": {"commands": {"collect": "Sun 03:30"}}, "reserve": {"size": "1MB"}})
    )
    monkeypatch.setattr(main.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(running, "registry", lambda: running.Running(True, "2.8.3"))
    monkeypatch.setattr(reserve, "space_of", lambda _path: Space(10**9, 10**8, 1.0))
    return lambda *words: main.main(["--settings", str(file), *words])


def test_status_ends_with_0_where_all_is_well_and_3_with_the_reason_otherwise(host, monkeypatch, capsys, tmp_path):
    assert host("status") == 0
    assert "30 bytes in 2 blobs, 1 repository, 1 tag" in capsys.readouterr().out
    monkeypatch.setattr(running, "registry", lambda: running.Running(False))
    assert host("--json", "status") == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["needs_a_hand"] == ["the registry does not run"] and "warning: the registry does not run" in captured.err


@pytest.mark.parametrize(("days", "reasons"), [(14, []), (16, ["collect: the last run was 16 days ago"])])
def test_a_weekly_command_is_overdue_when_two_of_its_runs_have_not_come(host, tmp_path, capsys, days, reasons):
    (tmp_path / "keeper/status").mkdir(parents=True)
    (tmp_path / "keeper/status/collect.json").write_text(json.dumps({**DONE_RUN, "began": int(time.time() - days * DAY)}))
    assert host("--json", "status") == (3 if reasons else 0)
    assert json.loads(capsys.readouterr().out)["needs_a_hand"] == reasons
    host("metrics")
    assert f'registry_keeper_command_overdue_after_seconds{{registry="registry",command="collect"}} {15 * DAY}.0' in capsys.readouterr().out


def test_metrics_are_written_where_the_gateway_looks(host, monkeypatch, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    assert host("metrics", "--write") == 0
    assert 'registry_keeper_stored_bytes{registry="registry"} 30\n' in (tmp_path / "run/metrics.prom").read_text()
    assert host("metrics") == 0
    assert 'registry_keeper_registry_info{registry="registry",version="2.8.3"} 1\n' in capsys.readouterr().out
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    assert host("metrics", "--write") == 2


def test_each_metric_is_described_once_and_its_values_are_together():
    lines = metrics.exposition(FACTS)
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(set(names)) == len(names) > 25
    order = [re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")]
    assert [name for index, name in enumerate(order) if index == 0 or order[index - 1] != name] == names


def test_a_label_cannot_end_a_line_or_a_label():
    facts = {**FACTS, "certificates": [{"path": 'a"\n\\', "ends": 1}]}
    assert 'path="a\\"\\n\\\\"' in "\n".join(metrics.exposition(facts))


def test_what_a_collection_would_free_counts_until_there_is_one(host, tmp_path, capsys):
    kept = tmp_path / "keeper/status"
    kept.mkdir(parents=True)
    (kept / "would_take.json").write_text(json.dumps({"time": NOW, "bytes": 5000}))
    host("status")
    assert "a collection would free: 5.0 kB" in capsys.readouterr().out
    (kept / "collect.json").write_text(json.dumps({**DONE_RUN, "began": NOW + 1}))
    host("status")
    assert "would free" not in capsys.readouterr().out


# The parts


def test_an_inventory_is_used_until_it_is_too_old(host, tmp_path):
    state = str(tmp_path / "keeper")
    first = inventory.inventory(str(tmp_path), state, 3600, lambda _line: None)
    assert (first["blobs"], first["bytes"], first["tags"], first["largest"]) == (2, 30, 1, [{"repository": "team/app", "bytes": 20}])
    (tmp_path / "docker/registry/v2/blobs/sha256/aa" / ("aa" * 32) / "data").unlink()
    assert inventory.inventory(str(tmp_path), state, 3600, lambda _line: None) == first
    assert inventory.inventory(str(tmp_path), state, 0, lambda _line: None)["blobs"] == 1


def test_what_is_set_aside_is_counted(host, tmp_path):
    (tmp_path / "keeper/runs/1/a").mkdir(parents=True)
    (tmp_path / "keeper/runs/1/a/data").write_text("x" * 77)
    assert inventory.take(str(tmp_path), str(tmp_path / "keeper"), lambda _line: None)["set_aside_bytes"] == 77


def test_growth_is_the_line_that_fits_best_and_days_follow_from_it():
    hours = [Sample(NOW + hour * 3600, 1000 * hour + (500 if hour % 2 else -500)) for hour in range(48)]
    assert growth.rate(hours) == pytest.approx(1000 / 3600, rel=0.02)
    assert growth.seconds_until_full(10_000, 2.0) == 5000
    assert growth.seconds_until_full(-5, 2.0) == 0


def test_what_does_not_grow_or_is_not_known_yet_is_never_full():
    assert growth.rate([Sample(NOW, 1), Sample(NOW + growth.LEAST - 1, 100)]) is None
    assert growth.rate([Sample(NOW, 1)]) is None
    assert growth.seconds_until_full(10, None) is growth.seconds_until_full(10, 0.0) is growth.seconds_until_full(10, -1.0) is None


def test_samples_are_kept_an_hour_apart_and_a_damaged_file_begins_anew(tmp_path):
    for second in (0, 60, 3599, 3600):
        growth.remember(str(tmp_path), Sample(NOW + second, second))
    path = tmp_path / "status/samples.json"
    assert json.loads(path.read_text()) == [[NOW, 0], [NOW + 3600, 3600]]
    path.write_text("[[1")
    assert growth.remember(str(tmp_path), Sample(NOW, 1)) == [Sample(NOW, 1)]


def test_the_log_tells_requests_and_what_caches_had(tmp_path):
    def line(registry="registry", age=10, **more):
        moment = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - age))
        return json.dumps({"time": moment, "registry": registry, "status": 200, "bytes": 5, "password_cache": "", "cache": "", **more})

    log = tmp_path / "access.log"
    entries = [line(password_cache="HIT"), line(password_cache="MISS"), line(cache="HIT", password_cache="HIT"), line(status=503), line(status=401)]
    log.write_text("\n".join([*entries, line("other"), line(age=4000), "not JSON", '{"time": 5}']) + "\n")
    found = traffic.of_the_log([str(log), str(tmp_path / "none")], ["registry"])
    assert (found["requests"], found["errors"], found["refused"], found["bytes"]) == (5, 1, 1, 25)
    assert found["hit_ratios"] == {"passwords": pytest.approx(2 / 3), "manifests": 1.0}
    assert traffic.of_the_log([str(tmp_path / "none")], ["registry"]) is None


def redis_answering(*answers):
    """A server that answers each command with the next of these. Returns its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        with server, server.accept()[0] as connection:
            for answer in answers:
                connection.recv(1000)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


def test_redis_tells_its_hits():
    text = b"# Stats\r\nkeyspace_hits:30\r\nkeyspace_misses:10\r\nused_memory:1000\r\nmaxmemory:2000\r\n"
    port = redis_answering(b"+OK\r\n", b"$%d\r\n%s\r\n" % (len(text), text))
    found = traffic.of_redis(Redis("127.0.0.1", port, 0, "secret"))
    assert (found["hit_ratio"], found["used_memory"], found["maxmemory"]) == (0.75, 1000, 2000)


def test_a_redis_that_refuses_is_an_error_without_the_password():
    port = redis_answering(b"-WRONGPASS invalid\r\n")
    with pytest.raises(OSError, match="WRONGPASS") as error:
        traffic.of_redis(Redis("127.0.0.1", port, 0, "a password"))
    assert "a password" not in str(error.value)


def test_the_registry_that_runs_is_found_by_its_user_and_says_its_version(tmp_path):
    program = tmp_path / "docker-registry"
    program.write_text("#!/bin/sh\necho 'docker-registry github.com/distribution/distribution v2.8.3+ds1'\n")
    program.chmod(0o755)
    process = tmp_path / "proc/123"
    process.mkdir(parents=True)
    (process / "exe").symlink_to(program)
    (process / "cmdline").write_bytes(b"/usr/bin/docker-registry\0serve\0/etc/x.yml\0")
    proc = str(tmp_path / "proc")
    assert running.registry(proc) == running.Running(True, "2.8.3", False)
    assert running.registry(proc, user=os.getuid() + 1) == running.Running(False)
    (process / "exe").unlink()
    (process / "exe").symlink_to(f"{program} (deleted)")
    assert running.registry(proc).replaced
    (process / "cmdline").write_bytes(b"/usr/bin/docker-registry\0garbage-collect\0")
    assert not running.registry(proc).up


def test_the_end_of_a_certificate_is_read_and_what_is_none_is_told(tmp_path):
    x509 = pytest.importorskip("cryptography.x509")
    from datetime import datetime

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    ends = datetime(2031, 2, 3, 4, 5, 6)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    certificate = builder.not_valid_before(datetime(2020, 1, 1)).not_valid_after(ends).sign(key, hashes.SHA256())
    (tmp_path / "a.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "b.crt").write_text("none")
    found = running.endings([str(tmp_path / name) for name in ("a.crt", "b.crt", "c.crt")])
    assert [one.ends for one in found] == [1927857906, None]


# Vulnerabilities


@pytest.mark.parametrize(
    ("version", "mirror", "names"),
    [
        ((2, 8, 1), None, ["CVE-2023-2253", "CVE-2026-33540", "CVE-2026-35172", "CVE-2026-85747"]),
        ((2, 8, 3), False, ["CVE-2026-35172"]),
        ((3, 0, 0), False, ["CVE-2026-35172", "CVE-2026-41888"]),
        ((3, 1, 1), True, ["CVE-2026-85747"]),
        ((3, 1, 2), None, []),
    ],
    ids=range(5),
)
def test_a_version_has_the_vulnerabilities_of_its_range(version, mirror, names):
    assert vulnerabilities.known_in(version, mirror) == names


def test_the_documentation_has_the_same_table():
    rows = re.findall(r"^\| (CVE-[0-9-]+): .*? \| (.*?) \|", (ROOT / "docs/vulnerabilities.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted((one.name, one.versions) for one in vulnerabilities.KNOWN)


# What is there to be copied


@pytest.mark.parametrize("name", ["alerts.yml", "dashboard.json"])
def test_alerts_and_dashboard_ask_for_metrics_that_there_are(name):
    known = {line.split()[2] for line in metrics.exposition(FACTS) if line.startswith("# TYPE")}
    asked = set(re.findall(r"registry_keeper_[a-z_]+", (ROOT / "roles/keeper/files/monitoring" / name).read_text()))
    assert len(asked) > 8 and asked <= known
