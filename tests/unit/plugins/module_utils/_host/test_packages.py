# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import packages, quiet_units

PLAN = "Inst redis-tools (5:8.0 Debian:13/stable [amd64])\nInst redis-server (5:8.0 Debian:13/stable [amd64])\nConf redis-tools (5:8.0 x [amd64])\n"


class Apt:
    """A host's package tools. Answers are by the first words of the command."""

    def __init__(self, installed="", plan=PLAN, **answers):
        self.installed, self.commands = installed, []
        self.answers = {"apt-get --simulate": Result(0, plan, ""), **answers}

    def __call__(self, *command, environment=None):
        self.commands.append(" ".join(command))
        if command[:2] == ("dpkg-query", "--show"):
            return Result(1, self.installed, "no packages found")
        for start, answer in self.answers.items():
            if self.commands[-1].startswith(start):
                return answer.pop(0) if isinstance(answer, list) else answer
        if command[0] == "dpkg":
            return Result(1, "", "")
        if "install" in command:
            self.installed = "redis-server\t5:8.0\tinstalled\tok\n"
        return Result(0, "", "")

    def ran(self, word):
        return [command for command in self.commands if word in command]


@pytest.fixture
def install(monkeypatch):
    monkeypatch.setattr(packages, "_age_of_lists", lambda: 10)
    monkeypatch.setattr(packages.time, "sleep", lambda _seconds: None)

    def call(apt, check_mode=False, **params):
        defaults = {"names": ["redis-server"], "keep_stopped": [], "unless_command": [], "cache_valid_time": 86400, "lock_timeout": 300}
        return packages.install(apt, packages.Wanted.of({**defaults, **params}), check_mode)

    return call


def test_where_nothing_is_missing_only_dpkg_is_asked(install):
    apt = Apt("redis-server\t5:7.0\tinstalled\tok\n")
    result = install(apt)
    assert (result["changed"], result["versions"], result["installed"]) == (False, {"redis-server": "5:7.0"}, [])
    assert len(apt.commands) == 1


def test_check_mode_names_each_package_and_version_and_installs_nothing(install):
    apt = Apt()
    result = install(apt, check_mode=True)
    assert result["installed"] == [{"name": "redis-tools", "version": "5:8.0"}, {"name": "redis-server", "version": "5:8.0"}]
    assert result["versions"] == {"redis-server": "5:8.0"}
    assert all("--simulate" in command for command in apt.ran("apt-get"))
    assert install(Apt())["installed"] == result["installed"]


def test_a_plan_that_removes_a_package_is_refused_by_name_and_nothing_is_installed(install):
    apt = Apt(plan="Remv docker-ce [5:28]\nRemv containerd.io [1.7]\n" + PLAN)
    with pytest.raises(HoldfastError, match="docker-ce, containerd.io, which would be removed"):
        install(apt)
    assert all("--simulate" in command for command in apt.ran("apt-get"))


def test_a_plan_that_downgrades_a_package_is_refused(install):
    apt = Apt(plan="Inst libx [2.0] (1.0 Debian [amd64])\n" + PLAN, **{"dpkg --compare-versions 1.0 lt 2.0": Result(0, "", "")})
    with pytest.raises(HoldfastError, match="downgrade of libx from 2.0 to 1.0"):
        install(apt)


def test_an_upgrade_that_the_new_package_needs_is_made_and_said(install):
    result = install(Apt(plan="Inst libx [1.0] (2.0 Debian [amd64])\n" + PLAN))
    assert result["installed"][0] == {"name": "libx", "version": "2.0", "previous": "1.0"}
    assert result["changes"][0].startswith("libx 2.0: upgraded from 1.0")


def test_what_apt_would_remove_after_the_plan_was_made_is_kept_by_apt_itself(install):
    apt = Apt()
    install(apt)
    changes = [command for command in apt.ran("apt-get") if "--simulate" not in command]
    assert changes
    assert all("--no-remove" in command for command in changes)


def test_nothing_is_installed_where_the_program_is_there_already(install, tmp_path, monkeypatch):
    program = tmp_path / "dockerd"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = install(Apt(), names=["docker.io"], unless_command=["dockerd"])
    assert (result["changed"], result["skipped_for"]) == (False, str(program))


def test_a_program_of_the_very_package_is_no_reason_to_leave_the_rest_out(install, tmp_path, monkeypatch):
    program = tmp_path / "dockerd"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    apt = Apt(**{"dpkg-query --search": Result(0, f"docker.io: {program}\n", "")})
    assert install(apt, names=["docker.io"], unless_command=["dockerd"])["skipped_for"] == ""
    assert apt.ran("install docker.io")


def test_lists_that_lack_a_package_are_updated_once(install):
    unknown = Result(100, "", "E: Unable to locate package redis-server")
    apt = Apt(**{"apt-get --simulate": [unknown, Result(0, PLAN, "")]})
    assert install(apt)["changed"]
    assert len(apt.ran("update")) == 1
    apt = Apt(**{"apt-get --simulate": [unknown, unknown]})
    with pytest.raises(HoldfastError, match="Unable to locate package redis-server"):
        install(apt)


def test_check_mode_updates_a_copy_of_the_lists(install, monkeypatch):
    monkeypatch.setattr(packages, "_age_of_lists", lambda: float("inf"))
    apt = Apt()
    install(apt, check_mode=True)
    (update,) = apt.ran("update")
    assert "Dir::State::Lists=/" in update and "/var/lib/apt" not in update


SHOWPKG = "Package: libz-dev\nVersions: \n\nReverse Depends: \n  a,libz-dev\nDependencies: \nProvides: \nReverse Provides: \n"
VIRTUAL = "libz-dev\t\tnot-installed\tok\n"


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("plan", ["", "Inst zlib1g-dev (1 Debian:13/stable [amd64])\n"], ids=["installed", "missing"])
def test_a_name_that_another_package_provides_is_refused_before_anything_is_installed(install, check_mode, plan):
    apt = Apt(VIRTUAL, plan, **{"apt-cache showpkg": Result(0, f"{SHOWPKG}zlib1g-dev 1 (= )\nzlib1g-dev 2 (= )\n", "")})
    with pytest.raises(HoldfastError, match="names: libz-dev is provided by zlib1g-dev; use zlib1g-dev. Nothing was changed"):
        install(apt, check_mode, names=["libz-dev"])
    assert all("--simulate" in command for command in apt.ran("apt-get"))


def test_a_name_that_several_packages_provide_is_refused_with_all_of_them(install):
    refused = Result(100, "", "E: Package 'libz-dev' has no installation candidate")
    apt = Apt(VIRTUAL, **{"apt-get --simulate": refused, "apt-cache showpkg": Result(0, f"{SHOWPKG}one 1 (= )\ntwo 2 (= )\n", "")})
    with pytest.raises(HoldfastError, match="names: libz-dev is provided by one, two; use one of them"):
        install(apt, names=["libz-dev"])


def test_a_package_of_its_own_that_another_provides_too_is_no_virtual_one(install):
    own = SHOWPKG.replace("Versions: \n", "Versions: \n1 (/var/lib/apt/lists/x)\n")
    assert install(Apt("", "", **{"apt-cache showpkg": Result(0, f"{own}one 1 (= )\n", "")}))["changed"] is False


def test_what_a_killed_run_has_unpacked_is_configured_and_said(install):
    result = install(Apt("redis-server\t5:8.0\thalf-configured\tok\n", "Conf redis-server (5:8.0 x [amd64])\n"))
    assert result["changes"] == ["redis-server: configured, which a run before had begun"]


def test_a_lock_that_another_program_holds_is_waited_for(install):
    locked = Result(100, "", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (apt-get)")
    apt = Apt(**{"apt-get --yes": [locked, locked, Result(0, "", "")]})
    install(apt)
    assert len(apt.ran("apt-get --yes")) == 3
    with pytest.raises(HoldfastError, match="Could not get lock"):
        install(Apt(**{"apt-get --yes": locked}), lock_timeout=0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"names": ["redis server"]}, r"names\[0\]: 'redis server'"),
        ({"names": ["-oX"]}, r"names\[0\]"),
        ({"keep_stopped": ["redis"]}, r"keep_stopped\[0\]: 'redis'"),
        ({"lock_timeout": -1}, "lock_timeout: -1"),
    ],
)
def test_what_cannot_be_right_is_refused(install, params, message):
    with pytest.raises(HoldfastError, match=message):
        install(Apt(), **params)


# Units that the packages would start


class Host:
    def __init__(self, root):
        self.root, self.commands = root, []
        self.code = 0
        self.units = quiet_units.QuietUnits(self.run, str(root))
        (root / "etc/systemd/system").mkdir(parents=True)
        (root / "usr/lib/systemd/system").mkdir(parents=True)
        (root / "var/lib").mkdir(parents=True)
        self.mask = root / "etc/systemd/system/redis-server.service"

    def run(self, *command, environment=None):
        self.commands.append(command)
        # Debian's helper does nothing for anybody but a package.
        if command[0] == "deb-systemd-helper" and not (environment or {}).get("DPKG_MAINTSCRIPT_PACKAGE"):
            return Result(1, "", "deb-systemd-helper was not called from dpkg. Exiting.")
        return Result(self.code, "", "it did not")


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_a_new_unit_is_masked_during_the_installation_and_disabled_after_it(host):
    with host.units.kept_stopped(["redis-server.service"]):
        assert os.readlink(host.mask) == "/dev/null"
    assert not os.path.lexists(host.mask)
    assert ("systemctl", "disable", "redis-server.service") in host.commands
    assert not host.units.is_unfinished("redis-server.service")


def test_the_package_is_told_of_a_disabled_unit_or_its_upgrade_would_start_it(host):
    with host.units.kept_stopped(["redis-server.service"]):
        pass
    commands = [command for command in host.commands if "redis-server.service" in command]
    assert commands == [("deb-systemd-helper", "update-state", "redis-server.service"), ("systemctl", "disable", "redis-server.service")]


def test_a_package_that_cannot_be_told_is_an_error(host):
    host.code = 1
    with pytest.raises(HoldfastError, match=r"update-state redis-server\.service: it did not"):
        host.units.note(["redis-server.service"])
    host.code = 127  # without Debian's helper
    host.units.note(["redis-server.service"])


@pytest.mark.parametrize(
    ("notes", "unit", "expected"),
    [
        pytest.param(["ssh.service.dsh-also"], "[Service]\n[Install]\n", True, id="of a former version"),
        pytest.param(["redis-server.service.dsh-also"], "[Service]\n[Install]\n", False, id="noted"),
        pytest.param(["ssh.service.dsh-also"], "[Service]\n", False, id="nobody can enable it"),
        pytest.param(["ssh.service.dsh-also"], "", False, id="not installed"),
        pytest.param([], "[Service]\n[Install]\n", False, id="without Debian's helper"),
    ],
)
def test_a_unit_that_its_package_does_not_know_is_seen(host, notes, unit, expected):
    for name in notes:
        directory = host.root / "var/lib/systemd/deb-systemd-helper-enabled"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("")
    if unit:
        (host.root / "usr/lib/systemd/system/redis-server.service").write_text(unit)
    assert host.units.is_unnoted("redis-server.service") is expected


def test_a_unit_that_is_there_already_stays_as_it_is(host):
    (host.root / "usr/lib/systemd/system/redis-server.service").write_text("[Service]\n")
    with host.units.kept_stopped(["redis-server.service"]):
        assert not os.path.lexists(host.mask)
    assert host.commands == []


def test_what_a_killed_run_has_begun_is_finished(host):
    with pytest.raises(KeyboardInterrupt), host.units.kept_stopped(["redis-server.service"]):
        raise KeyboardInterrupt
    (host.root / "usr/lib/systemd/system/redis-server.service").write_text("[Service]\n")
    assert host.units.is_unfinished("redis-server.service")
    with host.units.kept_stopped(["redis-server.service"]):
        assert os.path.lexists(host.mask)
    assert not os.path.lexists(host.mask)
    assert not host.units.is_unfinished("redis-server.service")


def test_the_mask_of_an_administrator_stays(host):
    host.mask.symlink_to("/dev/null")
    with host.units.kept_stopped(["redis-server.service"]):
        pass
    assert os.readlink(host.mask) == "/dev/null"


def test_the_mask_that_a_removed_package_left_goes(host):
    host.mask.symlink_to("/dev/null")
    left = host.root / "var/lib/systemd/deb-systemd-helper-masked"
    left.mkdir(parents=True)
    (left / "redis-server.service").write_text("")
    with host.units.kept_stopped(["redis-server.service"]):
        assert not (left / "redis-server.service").exists()  # the package would take the mask away with it, and start the unit
    assert not os.path.lexists(host.mask)
