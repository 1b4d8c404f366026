# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the distribution: installed, and nothing else changed on the way."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
import re
import shutil
import tempfile
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._apt import versions
from ansible_collections.holdfast.registry.plugins.module_utils._apt.holds import Holds
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result, Run, search_path
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host.quiet_units import QuietUnits

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_STEP = re.compile(r"(Inst|Remv) (\S+)(?: \[([^\]]+)\])?(?: \((\S+))?")
_LISTS = "/var/lib/apt/lists"
_INTERRUPTED = "/var/lib/dpkg/updates"  # dpkg's own journal: not empty after it was killed
_UNKNOWN = ("Unable to locate package", "has no installation candidate", "Version '", "404  Not Found", "Failed to fetch")
_LOCKED = ("Could not get lock", "Unable to lock", "Unable to acquire", "is locked by another process")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none", "NEEDRESTART_MODE": "l"}
_OPTIONS = ("--yes", "--quiet", "--no-install-recommends", "--no-remove", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The wanted packages."""

    names: list[str]
    keep_stopped: list[str]
    unless_command: list[str]
    cache_valid_time: int
    lock_timeout: int
    install: bool = True
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    hold: bool | None = None
    release: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, params: dict[str, t.Any]) -> Wanted:
        """Read module parameters. Raises HoldfastError where one of them can't be right."""
        for place, name in enumerate(params["names"]):
            if not _NAME.fullmatch(name):
                raise HoldfastError(f"names[{place}]: {name!r} is not the name of a package, such as redis-server")
        for place, name in enumerate(params.get("release") or []):
            if not _NAME.fullmatch(name) or name in params["names"]:
                raise HoldfastError(f"release[{place}]: {name!r} is {'in names too' if name in params['names'] else 'not the name of a package'}")
        for place, unit in enumerate(params["keep_stopped"]):
            if not re.fullmatch(r"[A-Za-z0-9:_.@\\-]+\.[a-z]+", unit):
                raise HoldfastError(f"keep_stopped[{place}]: {unit!r} is not the name of a unit, such as redis-server.service")
        for parameter in ("cache_valid_time", "lock_timeout"):
            if params[parameter] < 0:
                raise HoldfastError(f"{parameter}: {params[parameter]} is below 0")
        for name, version in (params.get("versions") or {}).items():
            if name not in params["names"]:
                raise HoldfastError(f"versions: {name!r} is not in names")
            versions.check(str(version), f"versions.{name}")
        given = {field.name: params[field.name] for field in dataclasses.fields(cls) if params.get(field.name) is not None}
        return cls(**{**given, "versions": {name: str(version) for name, version in given.get("versions", {}).items()}})


class Step(t.NamedTuple):
    """A package that is installed, or brought to another version because one that is installed needs it."""

    name: str
    version: str
    previous: str | None

    @property
    def result(self) -> dict[str, str]:
        return {"name": self.name, "version": self.version, **({"previous": self.previous} if self.previous else {})}

    def words(self, wanted: t.Container[str]) -> str:
        why = "" if self.name in wanted else ", which what is installed needs"
        return f"{self.name} {self.version}: " + (f"upgraded from {self.previous}{why}" if self.previous else "installed")


def install(run_program: Run, wanted: Wanted, check_mode: bool) -> dict[str, t.Any]:
    """Install what is missing. Returns what the module returns."""
    with contextlib.ExitStack() as cleanup:
        return _Packages(run_program, wanted, check_mode, cleanup).install()


class _Packages:
    def __init__(self, run_program: Run, wanted: Wanted, check_mode: bool, cleanup: contextlib.ExitStack) -> None:
        self._run, self._wanted, self._check_mode, self._cleanup = run_program, wanted, check_mode, cleanup
        self._units = QuietUnits(run_program)
        self._updated = False
        self._options: list[str] = []
        self._warnings: list[str] = []
        self._holds = Holds(run_program)
        self._begun: set[str] = set()

    def install(self) -> dict[str, t.Any]:
        versions = self._versions()
        missing = [name for name in self._wanted.names if name not in versions]
        program = self._program_of_others() if missing or not self._wanted.names or not self._wanted.install else ""
        if program or not self._wanted.install:
            missing = []
        elif self._wanted.versions:
            missing = self._with_versions(missing, versions)
        unfinished = [unit for unit in self._wanted.keep_stopped if self._units.is_unfinished(unit)]
        unnoted = [unit for unit in self._wanted.keep_stopped if unit not in unfinished and self._units.is_unnoted(unit)]
        steps = self._plan(missing) if missing else []
        names = [name.partition("=")[0] for name in missing]
        unplanned = [name for name in names if name not in {step.name for step in steps}]
        self._refuse_virtual(name for name in unplanned if name not in self._begun and name not in versions)
        begun = [name for name in unplanned if name in self._begun]
        versions.update({step.name: step.version for step in steps if step.name in names})
        if missing and not self._check_mode:
            with self._units.kept_stopped(self._wanted.keep_stopped):
                self._install(missing)
            versions = self._versions()
        elif unfinished and not self._check_mode:
            self._units.finish(unfinished)
        if not self._check_mode:
            self._units.note(unnoted)
        changes = [step.words(names) for step in steps]
        changes += [f"{name}: configured, which a run before had begun" for name in begun]
        changes += [f"{unit}: disabled, which a run before had begun" for unit in unfinished if not missing]
        changes += [f"{unit}: stays as it is when its package is upgraded" for unit in unnoted]
        if self._wanted.hold is not None or self._wanted.release:
            held = [name for name in self._wanted.names if name in versions] if self._wanted.hold and not program else []
            names = [*self._wanted.release, *([] if self._wanted.hold is None else self._wanted.names)]
            changes += self._holds.bring(names, held, {step.name for step in steps}, self._check_mode)
        return {
            "changed": bool(changes),
            "changes": changes,
            "installed": [step.result for step in steps],
            "versions": versions,
            "skipped_for": program,
            "warnings": self._warnings,
            "diff": {"prepared": "".join(f"{change}\n" for change in changes)},
        }

    def _with_versions(self, missing: list[str], there: dict[str, str]) -> list[str]:
        """The packages to install, with the versions that are asked for: those that are missing, and those in another version."""
        if "latest" in self._wanted.versions.values() and _age_of_lists() > self._wanted.cache_valid_time:
            self._refresh()
        found = []
        for name in self._wanted.names:
            wanted = self._wanted.versions.get(name, "")
            if wanted and (wanted == "latest" or not versions.fits(there.get(name, ""), wanted)):
                version = versions.find(self._run, name, wanted, self._options)
                if not version and not self._updated:
                    self._refresh()
                    version = versions.find(self._run, name, wanted, self._options)
                if not version:
                    known = ", ".join(versions.known(self._run, name, self._options)[:5]) or "none"
                    raise HoldfastError(f"versions.{name}: there is no {wanted} in the repositories of this host; those there are: {known}")
                if version != there.get(name):
                    found.append(f"{name}={version}")
            elif name in missing:
                found.append(name)
        return found

    def _versions(self) -> dict[str, str]:
        """The versions of the packages that are wholly installed."""
        if not self._wanted.names:
            return {}
        answer = self._run("dpkg-query", "--show", "--showformat", r"${Package}\t${Version}\t${db:Status-Status}\t${db:Status-Eflag}\n", *self._wanted.names)
        if answer.code == 127:
            raise HoldfastError("dpkg-query is not on this host: this module serves Ubuntu and Debian")
        found = {}
        for line in answer.out.splitlines():
            name, version, status, flaw = line.split("\t")
            if status == "installed" and flaw == "ok":
                found[name] = version
            elif status != "not-installed":
                self._begun.add(name)
        return found

    def _program_of_others(self) -> str:
        """The path of a program for which nothing is to be installed, or "". One of the very packages wanted is no reason."""
        for command in self._wanted.unless_command:
            path = shutil.which(command, path=search_path())
            if path:
                owners = self._run("dpkg-query", "--search", path).out
                if not {owner.split(":")[0].strip() for line in owners.splitlines() for owner in line.split(": ")[0].split(",")} & set(self._wanted.names):
                    return path
        return ""

    def _refresh(self) -> None:
        """Update the lists of packages: in check mode a copy of them, so that nothing on the host changes."""
        self._updated = True
        if self._check_mode:
            directory = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-lists."))
            os.chmod(directory, 0o755)  # apt downloads as a user of its own
            for name in ("lists/partial", "cache/archives/partial"):
                os.makedirs(os.path.join(directory, name))
            self._options = ["-o", f"Dir::State::Lists={directory}/lists", "-o", f"Dir::Cache={directory}/cache"]
        answer = self._waiting("apt-get", "--quiet", "update", *self._options)
        # Other repositories than the one that matters may be out of reach; whether what is left is enough, the plan shows.
        if answer.code != 0 or "Failed to fetch" in answer.err:
            self._warnings.append(f"the lists of packages could not be updated wholly: {answer.words}")

    def _plan(self, missing: list[str]) -> list[Step]:
        if _age_of_lists() > self._wanted.cache_valid_time:
            self._refresh()
        answer = self._simulate(missing)
        if answer.code != 0 and not self._updated and any(word in answer.err for word in _UNKNOWN):
            self._refresh()
            answer = self._simulate(missing)
        found = [match for match in map(_STEP.match, answer.out.splitlines()) if match]
        removed = [match[2] for match in found if match[1] == "Remv"]
        if removed:
            raise HoldfastError(
                f"names: {', '.join(missing)} cannot be installed together with {', '.join(removed)}, which would be removed. "
                "Nothing was changed. Remove it yourself, or leave out the package that takes its place"
            )
        if answer.code != 0:
            self._refuse_virtual(name.partition("=")[0] for name in missing)
            hint = "; ".join(self._warnings)
            raise HoldfastError(f"names: {', '.join(missing)} cannot be installed: {_apt_words(answer)}{f' ({hint})' if hint else ''}")
        steps = [Step(match[2].split(":")[0], match[4] or "", match[3]) for match in found]
        lower = [step for step in steps if step.previous and self._run("dpkg", "--compare-versions", step.version, "lt", step.previous).code == 0]
        if lower:
            said = ", ".join(f"{step.name} from {step.previous} to {step.version}" for step in lower)
            raise HoldfastError(f"names: {', '.join(missing)} cannot be installed without a downgrade of {said}. Nothing was changed")
        return steps

    def _refuse_virtual(self, names: t.Iterable[str]) -> None:
        """Raise HoldfastError for a name that only other packages have: dpkg never has it as installed, so each run would find it missing."""
        for name in names:
            lines = self._run("apt-cache", "showpkg", *self._options, name).out.splitlines()
            is_virtual = "Versions: " in lines and not lines[lines.index("Versions: ") + 1].strip()
            provides = lines[lines.index("Reverse Provides: ") + 1 :] if "Reverse Provides: " in lines else []
            providers = list(dict.fromkeys(line.split()[0] for line in provides if line.strip()))
            if is_virtual and providers:
                use = providers[0] if len(providers) == 1 else "one of them"
                raise HoldfastError(f"names: {name} is provided by {', '.join(providers)}; use {use}. Nothing was changed")

    def _simulate(self, missing: list[str]) -> Result:
        options = (*_OPTIONS[:3], *self._held_too(missing), *self._options, "-o", "Debug::NoLocking=true")
        return self._run("apt-get", "--simulate", *options, "install", *missing, environment=_QUIET)

    def _held_too(self, missing: list[str]) -> list[str]:
        """The option that lets apt change what this module itself holds. What others hold stays held."""
        names = {name.partition("=")[0] for name in missing}
        return ["--allow-change-held-packages"] if names & self._holds.ours() and not names & self._holds.of_others() else []

    def _install(self, missing: list[str]) -> None:
        # --no-remove: between the plan and this another run may have changed what apt would do.
        command = ("apt-get", *_OPTIONS, *self._held_too(missing), "-o", f"DPkg::Lock::Timeout={self._wanted.lock_timeout}", "install", *missing)
        if os.path.isdir(_INTERRUPTED) and os.listdir(_INTERRUPTED):
            self._waiting("dpkg", "--configure", "-a", "--force-confdef", "--force-confold")
        answer = self._waiting(*command)
        if answer.code != 0 and not self._updated and any(word in answer.err for word in _UNKNOWN):
            self._refresh()
            answer = self._waiting(*command)
        if answer.code != 0:
            raise HoldfastError(f"names: {', '.join(missing)} could not be installed: {_apt_words(answer)}")

    def _waiting(self, *command: str) -> Result:
        """Run a program that needs one of apt's locks, and wait while another program holds it."""
        deadline = time.monotonic() + self._wanted.lock_timeout
        while True:
            answer = self._run(*command, environment=_QUIET)
            if answer.code == 0 or not any(word in answer.err for word in _LOCKED) or time.monotonic() > deadline:
                return answer
            time.sleep(2)


def _age_of_lists() -> float:
    """Seconds since the lists of packages were updated; without lists, endless."""
    if not glob.glob(f"{_LISTS}/*_Packages*"):
        return float("inf")
    stamps = [path for path in ("/var/lib/apt/periodic/update-success-stamp", _LISTS) if os.path.exists(path)]
    return time.time() - max(os.stat(path).st_mtime for path in stamps)


def _apt_words(answer: Result) -> str:
    """The errors of apt: lines that begin with E:, and those about dependencies."""
    lines = [line.strip() for line in (answer.out + "\n" + answer.err).splitlines()]
    said = [line for line in lines if " Depends: " in line or " Conflicts: " in line or line.startswith("E: ")]
    return "; ".join(said[-8:]) or answer.words
