# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import services, stamps, systemd, unwanted
from ansible_collections.holdfast.registry.plugins.module_utils._host.drain import WORDS, Drain

NAME = "cache.service"
DEFAULTS = {
    "restart": False,
    "reload": False,
    "stop_first": False,
    "reload_before_restart": False,
    "enabled": None,
    "new_workers": False,
    "answers": None,
    "drains": False,
}


class Manager:
    """systemd with one service. What it does is in done."""

    def __init__(self, unit_file, **properties):
        self.done, self.invocation, self.fails, self.refuses = [], 1, "", ""
        self.enabled = "enabled"
        self.properties = {"LoadState": "loaded", "ActiveState": "active", "Type": "notify", "CanReload": "yes", "FragmentPath": unit_file, **properties}

    def __call__(self, *command):
        verb = command[1]
        if verb == "show":
            started = int((time.monotonic() - 100) * 1e6)
            values = {"InvocationID": str(self.invocation), "InactiveExitTimestampMonotonic": str(started), "MainPID": "0", **self.properties}
            return Result(0, "\n".join(f"{key}={value}" for key, value in values.items()), "")
        if verb == "is-enabled":
            return Result(0, f"{self.enabled}\n", "")
        if command[0] == "journalctl":
            return Result(0, "bad directive\nrequirepass hunter2hunter2hunter2\n" if "--unit" in command else "", "")
        self.done.append(verb)
        if verb == self.fails:
            return Result(1, "", "Job failed.")
        if verb in ("start", "restart") and verb != self.refuses:
            self.invocation += 1
            self.properties["ActiveState"] = "active"
        if verb == "stop":
            self.properties["ActiveState"] = "inactive"
        if verb == "daemon-reload":
            known = self.properties["LoadState"]
            self.properties.update(NeedDaemonReload="no", LoadState="loaded" if known == "not-found" else known)
        return Result(0, "", "")

    def actions(self):
        done, self.done = [verb for verb in self.done if verb not in ("reset-failed", "daemon-reload")], []
        return done


class Clock:
    def __init__(self):
        self.time = 0.0

    def sleep(self, seconds):
        self.time += seconds


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(stamps, "STATE", str(tmp_path / "state"))
    return Host(tmp_path)


class Host:
    def __init__(self, path):
        self.path = path
        self.unit_file = self.write("cache.service.unit", "[Service]")
        self.configuration = self.write("cache.conf", "one")
        self.certificate = self.write("cache.crt", "one")
        for file in (self.unit_file, self.configuration, self.certificate):
            self.age(file)
        self.manager = Manager(self.unit_file)

    def write(self, name, content):
        (self.path / name).write_text(content)
        return str(self.path / name)

    def age(self, path):
        """Seem older than the service: what the inode says of itself cannot be set, so it is left out."""
        os.utime(path, (1, 1))

    def run(self, check_mode=False, drain=None, **params):
        clock = self.clock = Clock()
        defaults = {**DEFAULTS, "state": "started"}
        params = {"name": NAME, "restart_on": [self.configuration], "reload_on": [self.certificate], **defaults, **params}
        wanted = services.Wanted.of(params, "services[0]")
        manager, waiting = systemd.Systemd(self.manager), systemd.Waiting(lambda: clock.time, clock.sleep)
        drained = Drain({"file": str(self.path / "drain"), "seconds": 7, "stop": [], "refused": "", **drain}, manager, waiting) if drain is not None else None
        return services.manage([wanted], check_mode, manager, waiting, drain=drained)


@pytest.fixture
def old(monkeypatch):
    """Files are as old as their modification time says."""
    monkeypatch.setattr(stamps, "_written", lambda path: os.stat(path).st_mtime if os.path.exists(path) else 0.0)


@pytest.fixture
def known(host, old):
    """A host on which the service has read everything."""
    assert not host.run()["changed"]
    return host


def test_files_older_than_the_running_service_are_taken_for_read_and_nothing_is_restarted(host, old):
    assert not host.run()["changed"]
    assert host.manager.actions() == []
    assert stamps.read(NAME)


def test_what_a_killed_run_left_of_the_stamp_goes(host, old):
    leftover = host.path / f"state/services/.{NAME}.json.01ab23cd.holdfast-tmp"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("{")
    host.run()
    assert not leftover.exists()


def test_a_newer_file_restarts_a_service_of_which_nothing_is_known(host):
    assert host.run()["services"][0]["actions"] == ["restarted"]
    assert host.manager.actions() == ["restart"]
    assert not host.run()["changed"]


@pytest.mark.parametrize(("file", "verb"), [("cache.conf", "restart"), ("cache.crt", "reload"), ("cache.service.unit", "restart")])
def test_a_changed_file_is_taken_up_once_and_the_reason_names_it(known, file, verb):
    known.write(file, "two")
    assert known.run(check_mode=True)["changed"]
    forecast = known.run(check_mode=True)
    assert known.manager.actions() == []
    result = known.run()
    assert known.manager.actions() == [verb]
    assert result == forecast
    assert file in result["reasons"][NAME][0]
    assert not known.run()["changed"]


def test_a_restart_makes_a_reload_needless(known):
    known.write("cache.conf", "two")
    known.write("cache.crt", "two")
    known.run(reload=True)
    assert known.manager.actions() == ["restart"]
    assert not known.run()["changed"]


def test_a_file_that_changes_during_the_restart_is_seen_by_the_next_run(known):
    known.write("cache.conf", "two")
    act = systemd.Systemd.act

    def change_meanwhile(self, verb, name):
        act(self, verb, name)
        known.write("cache.conf", "three")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systemd.Systemd, "act", change_meanwhile)
        known.run()
    known.manager.actions()
    assert known.run()["services"][0]["actions"] == ["restarted"]


def test_a_restart_that_failed_is_tried_again_by_the_next_run(known):
    known.write("cache.conf", "two")
    known.manager.fails = "restart"
    with pytest.raises(HoldfastError, match="systemctl restart failed: Job failed") as error:
        known.run()
    assert "bad directive" in str(error.value)
    assert "hunter2" not in str(error.value)
    known.manager.fails = ""
    assert known.run()["services"][0]["actions"] == ["restarted"]


def test_a_restart_that_did_not_happen_is_an_error(known):
    known.manager.refuses = "restart"
    with pytest.raises(HoldfastError, match="is still the one from before"):
        known.run(restart=True)


def test_a_simple_service_that_ends_at_once_is_an_error(known):
    known.manager.properties["Type"] = "simple"
    show = known.manager.__class__.__call__

    def dies(self, *command):
        answer = show(self, *command)
        if command[1] == "restart":
            self.properties["ActiveState"] = "activating"
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Manager, "__call__", dies)
        with pytest.raises(HoldfastError, match="did not stay up after its restart"):
            known.run(restart=True)


def test_a_reload_without_new_workers_is_an_error_and_tried_again(known):
    known.write("cache.crt", "two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "children", lambda _process: {(7, 1)})
        with pytest.raises(HoldfastError, match="did not take up its new configuration"):
            known.run(new_workers=True)
        known.manager.actions()
        workers = iter([{(7, 1)}, {(7, 1)}, {(7, 1), (8, 2)}])
        patch.setattr(services, "children", lambda _process: next(workers))
        assert known.run(new_workers=True)["services"][0]["actions"] == ["reloaded"]


def test_a_stopped_service_is_started_and_enabled(host):
    host.manager.properties["ActiveState"], host.manager.enabled = "failed", "disabled"
    assert host.run()["services"][0]["actions"] == ["enabled", "started"]
    assert "reset-failed" in host.manager.done


def test_a_start_that_is_under_way_with_former_settings_is_not_waited_for(host):
    host.manager.properties["ActiveState"] = "activating"
    assert host.run()["services"][0]["actions"] == ["restarted"]


def test_the_errors_of_a_service_that_writes_them_into_a_file_are_quoted_from_there(host):
    log = host.write("error.log", "cannot unmarshal")
    host.write("cache.service.unit", f"[Service]\nStandardError=append:{log}\n")
    assert systemd.Unit(NAME, host.manager.properties).error_log == log


def test_a_service_is_stopped_and_disabled_and_its_stamp_goes(known):
    known.manager.enabled = "enabled"
    assert known.run(state="stopped")["services"][0]["actions"] == ["disabled", "stopped"]
    assert stamps.read(NAME) is None
    known.manager.enabled = "disabled"
    assert not known.run(state="stopped")["changed"]


def test_a_removed_file_counts_as_changed_once(known, old):
    os.unlink(known.configuration)
    assert known.run()["services"][0]["actions"] == ["restarted"]
    assert not known.run()["changed"]


def test_a_service_that_is_released_is_restarted_a_last_time_for_what_is_gone_and_its_stamp_goes(known, old):
    os.unlink(known.configuration)
    assert known.run(state="released", restart_on=[], reload_on=[])["services"][0]["actions"] == ["restarted"]
    assert known.manager.actions() == ["restart"]
    assert stamps.read(NAME) is None
    assert not known.run(state="released", restart_on=[], reload_on=[])["changed"]


def test_a_service_that_is_released_is_neither_started_nor_enabled_and_may_be_gone(known):
    known.manager.properties["ActiveState"], known.manager.enabled = "inactive", "disabled"
    assert not known.run(state="released")["changed"]
    known.manager.properties["LoadState"] = "not-found"
    assert not known.run(state="released")["changed"]
    assert known.manager.actions() == []


def test_a_service_that_learns_by_a_reload_how_to_be_restarted_is_reloaded_first(known):
    for name in ("cache.conf", "cache.crt"):
        known.write(name, "two")
    assert known.run(reload_before_restart=True)["services"][0]["actions"] == ["restarted"]
    assert known.manager.actions() == ["reload", "restart"]
    known.write("cache.conf", "three")
    known.run(reload_before_restart=True)
    assert known.manager.actions() == ["restart"]


def test_a_new_unit_file_is_read_before_it_is_started(host):
    host.manager.properties.update(LoadState="not-found", ActiveState="inactive")
    assert host.run()["changed"]
    assert host.manager.done[0] == "daemon-reload"


def test_check_mode_predicts_a_start_where_there_is_no_unit_yet(host):
    host.manager.properties.update(LoadState="not-found", ActiveState="inactive", FragmentPath="")
    host.manager.enabled = "not-found"
    assert host.run(check_mode=True)["services"][0]["actions"] == ["enabled", "started"]
    assert host.manager.done == []


def test_a_masked_unit_is_refused_and_the_message_says_how_to_go_on(host):
    host.manager.properties.update(LoadState="masked", ActiveState="inactive")
    with pytest.raises(HoldfastError, match="systemctl unmask cache.service"):
        host.run()


def test_a_path_that_is_new_in_the_list_is_no_reason_by_itself(known, old):
    another = known.write("another", "one")
    known.age(another)
    assert not known.run(restart_on=[known.configuration, another])["changed"]


def test_a_drop_in_that_vanished_restarts(known, old):
    drop_in = known.write("drop-in.conf", "x")
    known.age(drop_in)
    known.manager.properties["DropInPaths"] = drop_in
    assert not known.run()["changed"]
    os.unlink(drop_in)
    known.manager.properties["DropInPaths"] = ""
    assert known.run()["services"][0]["actions"] == ["restarted"]


def test_a_file_that_changed_before_somebody_else_restarted_the_service_has_been_read(known, old):
    known.write("cache.conf", "two")
    known.age(known.configuration)
    assert not known.run()["changed"]
    assert stamps.read(NAME).restart == stamps.digests([known.configuration, known.unit_file])


def test_a_directory_counts_with_the_names_and_contents_of_its_files(tmp_path):
    (tmp_path / "a").write_text("1")
    first = stamps.digests([str(tmp_path)])
    (tmp_path / "a").rename(tmp_path / "b")
    assert stamps.digests([str(tmp_path)]) != first


def test_no_answer_is_an_error_that_says_what_was_asked(host):
    answers = {"url": None, "unix_socket": None, "status": [200], "port": None, "address": "127.0.0.1", "socket": str(host.path / "none.sock"), "seconds": 3}
    with pytest.raises(HoldfastError, match=r"does not answer within 3 seconds; .*none\.sock"):
        host.run(answers=answers)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"name": "cache"}, r"services\[0\].name: 'cache'"),
        ({"restart_on": ["etc/x"]}, r"services\[0\].restart_on\[0\]: 'etc/x'"),
        ({"answers": {"url": None, "port": None, "socket": None}}, r"services\[0\].answers: must have one of"),
        ({"answers": {"url": "https://x", "port": None, "socket": None}}, r"services\[0\].answers.url"),
    ],
)
def test_what_cannot_be_right_is_refused(host, params, message):
    with pytest.raises(HoldfastError, match=message):
        host.run(**params)


class Several:
    """systemd with several units whose files are in one directory, all of them running."""

    def __init__(self, *names):
        self.active = dict.fromkeys(names, True)
        self.invocations = dict.fromkeys(names, 1)
        self.done, self.forgotten = [], []

    def __call__(self, *command):
        verb, names = command[1], command[command.index("--") + 1 :] if "--" in command else []
        if verb == "show":
            started = int((time.monotonic() - 100) * 1e6)
            return Result(0, "\n\n".join(self._shown(name, started) for name in names), "")
        if verb == "is-enabled":
            return Result(0, "enabled\n" * len(names), "")
        if verb == "reset-failed":
            self.forgotten += names
        elif verb != "daemon-reload":
            self.done.append((verb, *names))
        for name in names:
            if verb in ("start", "restart"):
                self.active[name] = True
                self.invocations[name] += 1
            elif verb == "stop":
                self.active[name] = False
        return Result(0, "", "")

    def _shown(self, name, started):
        state = "active" if self.active.get(name) else "inactive"
        loaded = "loaded" if name in self.active else "not-found"
        return "\n".join(
            [
                f"LoadState={loaded}",
                f"ActiveState={state}",
                "Type=notify",
                f"InvocationID={self.invocations.get(name, 0)}",
                f"InactiveExitTimestampMonotonic={started}",
                "MainPID=0",
            ]
        )


@pytest.fixture
def several(tmp_path, monkeypatch):
    monkeypatch.setattr(stamps, "STATE", str(tmp_path / "state"))
    for module in (services, unwanted):
        monkeypatch.setattr(module, "UNIT_FILES", str(tmp_path / "units"))
    (tmp_path / "units").mkdir()
    return tmp_path


def manage(manager, entries, check_mode=False, **more):
    clock = Clock()
    defaults = {**DEFAULTS, "state": "started"}
    wanted = [services.Wanted.of({"restart_on": [], "reload_on": [], **defaults, **entry}, f"services[{place}]") for place, entry in enumerate(entries)]
    return services.manage(wanted, check_mode, systemd.Systemd(manager), systemd.Waiting(lambda: clock.time, clock.sleep), **more)


def test_what_must_not_run_beside_another_is_stopped_before_that_one_starts(several):
    manager = Several("one.service", "two.service", "three.service")
    entries = [{"name": name, "restart": name != "three.service", "stop_first": True} for name in ("one.service", "two.service", "three.service")]
    result = manage(manager, entries)
    assert manager.done == [("stop", "one.service"), ("stop", "two.service"), ("restart", "one.service"), ("restart", "two.service")]
    assert [(one["actions"], one["reasons"]) for one in result["services"]] == [(["restarted"], ["asked for by the play"])] * 2 + [([], [])]


def test_what_starts_other_units_is_stopped_before_any_is_removed(several):
    """A timer that is due starts its service, and a service may start another when it is stopped."""
    names = ["app-mend.service", "app-work.service", "app-work.timer"]
    for name in names:
        (several / "units" / name).write_text("[Unit]\nX-ManagedBy=holdfast.registry\n")

    class Starting(Several):
        def __call__(self, *command):
            answer = super().__call__(*command)
            if command[1] == "stop" and command[-1] == "app-work.service" and self.done.count(("stop", "app-work.service")) == 1:
                self.active["app-mend.service"] = True
            return answer

    manager = Starting(*names)
    manage(manager, [{"name": "other.service", "state": "stopped"}], remove_others=["app-*"])
    stopped = [name for verb, name in manager.done if verb == "stop" and name in names]
    assert stopped[0] == "app-work.timer"
    assert not any(manager.active[name] for name in names)
    assert sorted(manager.forgotten) == names


def test_a_unit_that_is_not_declared_any_more_is_removed_and_its_description_returned(several):
    for name in ("app@old.service", "app@new.service", "other.service"):
        (several / "units" / name).write_text(f"[Unit]\nDescription={name}, data in /srv\nX-ManagedBy=holdfast.registry\n")
    # somebody else's
    (several / "units/app@hand.service").write_text("[Unit]\nDescription=by hand\n")
    manager = Several("app@old.service", "app@new.service", "other.service")
    wanted = [{"name": "app@new.service"}]
    predicted = manage(manager, wanted, check_mode=True, remove_others=["app@*.service"])
    assert manager.done == []
    result = manage(manager, wanted, remove_others=["app@*.service"])
    assert predicted["removed"] == result["removed"] == [{"name": "app@old.service", "description": "app@old.service, data in /srv"}]
    assert manager.done == [("stop", "app@old.service"), ("stop", "app@old.service"), ("disable", "app@old.service")]
    assert manager.forgotten == ["app@old.service"], "a failed unit stays listed when its file has gone"
    assert sorted(path.name for path in (several / "units").iterdir()) == ["app@hand.service", "app@new.service", "other.service"]
    assert not manage(manager, wanted, remove_others=["app@*.service"])["changed"]


def test_a_unit_that_was_removed_is_returned_again_after_a_run_that_did_not_come_to_its_end(several):
    """Its description may say what is left of it, and whoever runs that has not seen it yet."""
    for name in ("app@old.service", "app@new.service"):
        (several / "units" / name).write_text(f"[Unit]\nDescription={name}, data in /srv\nX-ManagedBy=holdfast.registry\n")

    class Killed(Several):
        def __call__(self, *command):
            if command[1] == "restart":
                raise KeyboardInterrupt
            return super().__call__(*command)

    wanted = [{"name": "app@new.service", "restart": True}]
    killed = Killed("app@old.service", "app@new.service")
    with pytest.raises(KeyboardInterrupt):
        manage(killed, wanted, remove_others=["app@*.service"])
    assert ("stop", "app@old.service") in killed.done
    result = manage(Several("app@old.service", "app@new.service"), wanted, remove_others=["app@*.service"])
    assert [gone["name"] for gone in result["removed"]] == ["app@old.service"]


@pytest.mark.parametrize(
    ("pending", "restarted"),
    [("app.conf", True), ("apps.d/one", True), ("units/app.service", True), ("units/app.service.d/more.conf", True), ("other.conf", False)],
)
def test_check_mode_knows_from_the_tasks_before_what_will_be_written(several, pending, restarted):
    manager = Several("app.service")
    entry = {"name": "app.service", "restart_on": [str(several / "app.conf"), str(several / "apps.d")]}
    assert manage(manager, [entry], check_mode=True, pending=[str(several / pending)])["changed"] is restarted
    assert not manage(manager, [entry], pending=[str(several / pending)])["changed"]


DRAIN = {"stop": ["front.service"]}


def test_what_a_killed_run_left_of_the_drain_file_goes(known):
    leftover = known.path / ".drain.01ab23cd.holdfast-tmp"
    leftover.write_text("drained")
    known.write("cache.conf", "two")
    assert known.run(drain=DRAIN, drains=True)["drained"]
    assert not leftover.exists()


def test_a_host_is_out_of_service_before_a_service_that_drains_is_restarted(known):
    known.write("cache.conf", "two")
    forecast = known.run(check_mode=True, drain=DRAIN, drains=True)
    assert forecast["drained"]
    assert not (known.path / "drain").exists()
    result = known.run(drain=DRAIN, drains=True)
    assert result == forecast
    assert known.manager.actions() == ["stop", "restart"]
    assert (known.path / "drain").read_text() == WORDS
    assert known.clock.time >= 7


@pytest.mark.parametrize(("changed", "drains"), [("cache.conf", False), ("cache.crt", True), (None, True)])
def test_a_host_stays_in_service_where_nothing_that_drains_has_to_be_restarted(known, changed, drains):
    if changed:
        known.write(changed, "two")
    assert not known.run(drain=DRAIN, drains=drains)["drained"]
    assert "stop" not in known.manager.actions()
    assert not (known.path / "drain").exists()


def test_a_host_on_which_nobody_is_served_is_not_drained_and_nothing_waits(known):
    known.manager.properties["ActiveState"] = "failed"
    assert known.run(drain={**DRAIN, "refused": "another is down"}, drains=True)["services"][0]["actions"] == ["started"]
    assert known.clock.time < 7


def test_a_host_that_is_drained_already_is_not_waited_for(known):
    known.write("cache.conf", "two")
    known.write("drain", "by hand")
    assert known.run(drain=DRAIN, drains=True)["drained"]
    assert known.manager.actions() == ["stop", "restart"]
    assert (known.path / "drain").read_text() == "by hand"
    assert known.clock.time < 7


@pytest.mark.parametrize("check_mode", [False, True])
def test_nothing_is_stopped_where_the_host_must_not_go_out_of_service(known, check_mode):
    known.write("cache.conf", "two")
    with pytest.raises(HoldfastError, match="cache.service: has to be restarted, but this host must not go out of service now: b is down"):
        known.run(check_mode=check_mode, drain={**DRAIN, "refused": "b is down"}, drains=True)
    assert known.manager.actions() == []
    assert not (known.path / "drain").exists()


@pytest.mark.parametrize(("drain", "said"), [({"file": "drain"}, "drain.file: 'drain' is not an absolute path"), ({"seconds": 3601}, "drain.seconds: 3601")])
def test_a_drain_that_makes_no_sense_is_refused(known, drain, said):
    with pytest.raises(HoldfastError, match=said):
        known.run(drain=drain, drains=True)
