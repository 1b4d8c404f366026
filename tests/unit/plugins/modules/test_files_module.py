# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module files with services: what it writes is what they run with, in one call. systemctl is a script here."""

from __future__ import annotations

import os

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._host import sent_files, stamps
from ansible_collections.holdfast.registry.plugins.modules import files

# A service that has run since before any of the files was written. "broken" is a file that makes its restart fail.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>"{path}/done"
case $1 in
  show)
    printf 'LoadState=loaded\\nActiveState=active\\nType=oneshot\\nInactiveExitTimestampMonotonic=1\\n'
    echo "InvocationID=$(grep -c ^restart "{path}/done")"
    ;;
  is-enabled) echo enabled ;;
  restart) [ ! -e "{path}/broken" ] || {{ echo Job failed. >&2; exit 1; }} ;;
esac
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    for module in (sent_files, stamps):
        monkeypatch.setattr(module, "STATE", str(tmp_path / "state"))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"systemctl": SYSTEMCTL.format(path=tmp_path), "journalctl": "#!/bin/sh\necho bad directive\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return tmp_path


def arguments(host, content="maxmemory 1mb\n", **service):
    path = str(host / "cache.conf")
    owner = {"owner": str(os.geteuid()), "group": str(os.getegid())}
    return {"files": [{"path": path, "content": content, **owner}], "services": [{"name": "cache.service", "restart_on": [path], **service}]}


def restarts(host):
    done = host / "done"
    return sum(line.startswith("restart") for line in done.read_text().splitlines()) if done.exists() else 0


def test_a_service_is_restarted_once_with_what_was_written(run, host):
    run(files, **arguments(host, "maxmemory 0\n"))
    changed, again = run(files, **arguments(host)), run(files, **arguments(host))
    assert changed["changed"]
    assert changed["paths"] == [str(host / "cache.conf")]
    assert changed["services"][0]["actions"] == ["restarted"]
    assert next(part["prepared"] for part in changed["diff"] if "prepared" in part).startswith("cache.service: restarted")
    assert not again["changed"]
    assert again["services"][0]["actions"] == []


def test_check_mode_predicts_the_restart_and_does_nothing(run, host):
    run(files, **arguments(host, "maxmemory 0\n"))
    before = restarts(host)
    predicted = run(files, check=True, **arguments(host))
    assert predicted["changed"]
    assert predicted["services"][0]["actions"] == ["restarted"]
    assert (restarts(host), (host / "cache.conf").read_text()) == (before, "maxmemory 0\n")


def test_a_service_that_cannot_be_right_is_refused_before_anything_is_written(run, host):
    refused = run(files, **arguments(host, name="cache"))
    assert refused["msg"].startswith("services[0].name: 'cache' is not the name of a unit")
    assert not (host / "cache.conf").exists()


def test_a_drain_that_cannot_be_right_is_refused_before_anything_is_written(run, host):
    refused = run(files, drain={"file": "drain"}, **arguments(host))
    assert refused["msg"].startswith("drain.file: 'drain' is not an absolute path")
    assert not (host / "cache.conf").exists()


def test_where_a_restart_fails_the_result_says_what_was_written_and_the_next_run_goes_on(run, host):
    run(files, **arguments(host, "maxmemory 0\n"))
    (host / "broken").touch()
    failed = run(files, **arguments(host))
    assert failed["failed"]
    assert "cache.service" in failed["msg"]
    assert failed["paths"] == [str(host / "cache.conf")]
    (host / "broken").unlink()
    mended = run(files, **arguments(host))
    assert (mended["paths"], mended["services"][0]["actions"]) == ([], ["restarted"])


def test_without_services_systemd_is_not_asked(run, host):
    written = run(files, files=arguments(host)["files"])
    assert written["changed"]
    assert "services" not in written
    assert not (host / "done").exists()
