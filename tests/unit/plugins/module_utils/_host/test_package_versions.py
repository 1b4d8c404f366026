# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Packages in given versions, and on hold."""

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._apt import holds, versions
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import packages

MADISON = "".join(f" engine | 5:{number}-1~debian.13~trixie | https://x trixie/stable amd64 Packages\n" for number in ("28.30.0", "28.3.2", "28.3.1", "27.5.1"))


class Apt:
    """apt and dpkg with one package, engine. Its version is in installed."""

    def __init__(self, installed=""):
        self.installed, self.held, self.commands = installed, set(), []

    def __call__(self, *command, environment=None):
        self.commands.append(" ".join(command))
        words = [word for word in command if not word.startswith("-")]
        if command[:2] == ("dpkg-query", "--show"):
            return Result(0, f"engine\t{self.installed}\tinstalled\tok\n" if self.installed else "", "")
        if "madison" in command:
            return Result(0, MADISON, "")
        if "policy" in command:
            return Result(0, "engine:\n  Installed: (none)\n  Candidate: 5:28.30.0-1~debian.13~trixie\n", "")
        if command[0] == "apt-mark":
            names = set(words[2:])
            self.held = {"showhold": self.held, "hold": self.held | names, "unhold": self.held - names}[words[1]]
            return Result(0, "\n".join(self.held), "")
        if command[0] == "apt-get" and "install" in command:
            if "engine" in self.held and "--allow-change-held-packages" not in command:
                return Result(100, "", "E: Held packages were changed")
            name, _equals, version = words[-1].partition("=")
            version = version or "5:28.30.0-1~debian.13~trixie"
            if "--simulate" in command:
                before = f" [{self.installed}]" if self.installed else ""
                return Result(0, f"Inst {name}{before} ({version} Docker [amd64])\n", "")
            self.installed = version
            self.held.discard(name)  # as apt does
        return Result(1 if command[0] == "dpkg" else 0, "", "")


@pytest.fixture
def install(monkeypatch, tmp_path):
    monkeypatch.setattr(holds, "STATE", str(tmp_path))
    monkeypatch.setattr(packages, "_age_of_lists", lambda: 10)

    def call(apt, version=None, check_mode=False, **params):
        given = {"names": ["engine"], "keep_stopped": [], "unless_command": [], "cache_valid_time": 86400, "lock_timeout": 300}
        wanted = {**given, "versions": {"engine": version} if version else {}, **params}
        predicted = packages.install(apt, packages.Wanted.of(wanted), True)
        if check_mode:
            return predicted
        real = packages.install(apt, packages.Wanted.of(wanted), False)
        assert predicted["changes"] == real["changes"]
        assert packages.install(apt, packages.Wanted.of(wanted), False)["changed"] is False
        return real

    return call


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ("28.3.1", "5:28.3.1-1~debian.13~trixie"),
        ("28.3", "5:28.3.2-1~debian.13~trixie"),
        ("28", "5:28.30.0-1~debian.13~trixie"),
        ("latest", "5:28.30.0-1~debian.13~trixie"),
    ],
)
def test_the_newest_version_that_fits_is_installed(install, wanted, version):
    apt = Apt()
    assert install(apt, wanted)["versions"] == {"engine": version}
    assert apt.installed == version


def test_a_version_that_fits_stays_and_latest_upgrades_it(install):
    apt = Apt("5:28.3.1-1~debian.13~trixie")
    assert install(apt, "28.3")["changed"] is False
    assert install(apt, "latest")["changes"] == ["engine 5:28.30.0-1~debian.13~trixie: upgraded from 5:28.3.1-1~debian.13~trixie"]


def test_a_version_that_is_not_there_is_refused_with_those_that_are(install):
    with pytest.raises(
        HoldfastError, match=r"versions.engine: there is no 29 in the repositories of this host; those there are: 5:28.30.0-1~debian.13~trixie, "
    ):
        install(Apt(), "29")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"versions": {"engine": "newest"}}, "versions.engine: 'newest' is not a version such as 28.3.2, nor latest"),
        ({"versions": {"other": "1"}}, "versions: 'other' is not in names"),
        ({"release": ["engine"]}, r"release\[0\]: 'engine' is in names too"),
    ],
    ids=["version", "name", "release"],
)
def test_what_cannot_be_right_is_refused(install, params, message):
    with pytest.raises(HoldfastError, match=message):
        install(Apt(), **params)


def test_what_is_held_is_let_go_again_and_changed_when_asked(install):
    apt = Apt()
    assert install(apt, "27", hold=True)["changes"][-1] == "engine: held"
    assert install(apt, "28", hold=True)["changes"] == ["engine 5:28.30.0-1~debian.13~trixie: upgraded from 5:27.5.1-1~debian.13~trixie"]
    assert apt.held == {"engine"}
    assert install(apt, hold=False)["changes"] == ["engine: no longer held"]
    assert apt.held == set()


def test_what_others_hold_stays_held(install):
    apt = Apt("5:27.5.1-1~debian.13~trixie")
    apt.held = {"engine"}
    assert install(apt, hold=True)["changed"] is False
    assert install(apt, hold=False)["changed"] is False
    assert apt.held == {"engine"}
    with pytest.raises(HoldfastError, match="Held packages were changed"):
        install(apt, "28")


def test_a_package_of_an_earlier_call_is_let_go_without_being_installed(install):
    apt = Apt()
    install(apt, hold=True)
    installs = [command for command in apt.commands if "install" in command]
    assert install(apt, names=[], release=["engine"])["changes"] == ["engine: no longer held"]
    assert [command for command in apt.commands if "install" in command] == installs


def test_a_look_installs_nothing(install):
    apt = Apt()
    assert install(apt, install=False)["changed"] is False
    assert not [command for command in apt.commands if "apt-get" in command]


def test_a_version_fits_as_people_write_it():
    assert versions.fits("26.1.5+dfsg1-9+b9", "26.1.5")
    assert versions.fits("5:28.3.2-1", "5:28.3.2-1")
    assert not versions.fits("5:28.30.2-1", "28.3")
    assert not versions.fits("", "28")
