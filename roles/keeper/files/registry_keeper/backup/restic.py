# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""restic, as it is: run with its secrets in files and in its environment, and with errors that a person can act on."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import subprocess
import threading
import time
import typing as t

from registry_keeper.backup.settings import BackupSettings, read_environment
from registry_keeper.errors import BUSY, FAILED, KeeperError
from registry_keeper.report import counted

TAG = "holdfast-registry"
INCOMPLETE = "holdfast-incomplete"  # besides the other one: not known to be whole
AHEAD = "holdfast-future"  # likewise: from the future when backups were last forgotten
Facts = dict[str, t.Any]
# What restic says of it, in lower case, what that means, and the exit status. In this order.
_MEANINGS = (
    ("wrong password", "the password in {password} does not open the repository {repository}", FAILED),
    ("already locked", "another run of restic has the repository {repository}. The lock of a run that was killed goes away by itself after 30 minutes", BUSY),
    ("unable to create lock", "the repository {repository} cannot be locked", BUSY),
    ("no space left", "no room is left for the repository {repository}, or in {state}. Nothing is lost; make room, and the next run goes on", FAILED),
    ("disk quota", "no room is left for the repository {repository}. Nothing is lost; make room, and the next run goes on", FAILED),
    ("is there a repository", "there is no repository at {repository}, or it cannot be reached", FAILED),
    ("unable to open config file", "there is no repository at {repository}, or it cannot be reached", FAILED),
    ("does not exist", "there is no repository at {repository}, or it cannot be reached", FAILED),
)
_SHOWN_LINES = 4
_AHEAD = 3600  # seconds


class Failed(KeeperError):
    """restic ended with an error: its exit status, and what it said."""

    def __init__(self, message: str, status: int, code: int, said: str) -> None:
        super().__init__(message, status)
        self.code = code
        self.said = said


@dataclasses.dataclass
class Ended:
    """How a command ended, which is known after its last line."""

    code: int = 0
    # the end of standard error
    said: str = ""


class Restic:
    """The repository of one host's backup. All methods raise KeeperError."""

    def __init__(self, settings: BackupSettings, program: str = "restic") -> None:
        self.settings = settings
        self._program = program
        self._environment = {
            # what a proxy or a certificate's place may be said by
            **os.environ,
            **read_environment(settings.environment_file),
            "RESTIC_REPOSITORY": settings.repository,
            "RESTIC_PASSWORD_FILE": settings.password_file,
            "RESTIC_CACHE_DIR": os.path.join(settings.state, "cache"),
            "RESTIC_PROGRESS_FPS": "2",
        }

    def run(self, *arguments: str) -> str:
        """Run a command, and return what it printed."""
        with self._started(arguments) as process:
            said = _Drain(process.stderr)
            printed = t.cast(t.IO[bytes], process.stdout).read()
            process.wait()
            text = self._shown(said)
        self._judge(arguments, process.returncode, text)
        return printed.decode("utf-8", "replace")

    def lines(self, *arguments: str, allowed: t.Collection[int] = (0,), ended: Ended | None = None) -> t.Iterator[bytes]:
        """Run a command, and return its lines while it prints them. Exit statuses in allowed are no errors.

        With ended, which then has how it ended, come last the messages about errors that were on standard error: where they are differs by version.
        """
        with self._started(arguments) as process:
            said = _Drain(process.stderr)
            yield from t.cast(t.IO[bytes], process.stdout)
            process.wait()
            text = self._shown(said)
        self._judge(arguments, process.returncode, text, allowed)
        if ended:
            ended.code, ended.said = process.returncode, _last(text)
            yield from said.errors

    def _started(self, arguments: t.Sequence[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [self._program, *arguments], env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except FileNotFoundError:
            raise KeeperError(f"{self._program} is not installed") from None

    def _judge(self, arguments: t.Sequence[str], code: int, said: str, allowed: t.Collection[int] = (0,)) -> None:
        if code in allowed:
            return
        command = next((argument for argument in arguments if not argument.startswith("-")), "")
        last = _last(said) or f"exit status {code}"
        places = {"repository": self.settings.shown_repository, "password": self.settings.password_file, "state": self.settings.state}
        for sign, meaning, status in _MEANINGS:
            if sign in said.lower():
                raise Failed(f"{meaning.format(**places)} (restic {command}: {last})", status, code, said)
        raise Failed(f"restic {command} failed: {last}", FAILED, code, said)

    def _shown(self, said: _Drain) -> str:
        return said.text().replace(self.settings.repository, self.settings.shown_repository)

    def repository_id(self) -> str | None:
        """What the repository is called in itself; None where there is none, or none can be reached."""
        try:
            found: Facts = json.loads(self.run("cat", "config", "--no-lock", "--quiet"))
        except Failed as error:
            if error.status == FAILED and "there is no repository" in str(error):
                return None
            raise
        return str(found["id"])

    def run_alone(self, *arguments: str) -> str:
        """Run a command that nobody else may run beside. The lock of a run that has gone is removed first where it is in the way.

        restic knows such a lock by its process, or after 30 minutes without a sign of life. That of a live run stays, and is an error.
        """
        try:
            return self.run(*arguments)
        except Failed as error:
            if error.status != BUSY:
                raise
        self.run("unlock", "--quiet")
        return self.run(*arguments)

    def snapshots(self) -> list[Facts]:
        """This host's own backups, the oldest first.

        Those from the future come before the others: a clock was ahead when they were made, and as the newest ones they would be restored in
        place of whatever is backed up until their time has come.
        """
        printed = self.run("snapshots", "--json", "--no-lock", "--host", self.settings.host, "--tag", TAG)
        return sorted(json.loads(printed) or [], key=lambda snapshot: (not is_ahead(snapshot), moment_of(snapshot)))

    def snapshot(self, name: str | None, warn: t.Callable[[str], None]) -> Facts:
        """The newest of this host's backups that is whole, or the one whose ID begins with name."""
        newest = name in (None, "latest")
        every = [one for one in self.snapshots() if newest or str(one["id"]).startswith(str(name))]
        if not every:
            asked = "no backup of" if newest else f"no backup {name} of"
            raise KeeperError(f"{asked} {self.settings.host} is in {self.settings.shown_repository}; `registry-keeper backup --list` lists them")
        last = every[-1]
        ahead = [one for one in every if is_ahead(one)] if newest else []
        if ahead:
            first, at = str(ahead[0]["id"])[:8], shown_time(ahead[0])
            warn(f"{counted(len(ahead), 'backup')} with a time in the future, such as {first} of {at}, count as the oldest: a clock is wrong, or was")
        if not is_incomplete(last):
            return last
        short = str(last["id"])[:8]
        if not newest:
            warn(f"the backup {short} is incomplete: it may lack files")
            return last
        whole = [one for one in every if not is_incomplete(one)]
        if not whole:
            raise KeeperError(f"no backup of {self.settings.host} is whole; `--snapshot {short}` restores what the newest one has")
        taken, at = str(whole[-1]["id"])[:8], shown_time(whole[-1])
        warn(f"the backup {taken} of {at} is taken, since newer ones are incomplete; `--snapshot {short}` takes the newest one")
        return whole[-1]

    def dump(self, snapshot: str, path: str) -> t.Iterator[bytes]:
        """The lines of a file in a backup."""
        return self.lines("dump", "--no-lock", snapshot, path)

    def sizes(self, snapshot: str, *paths: str) -> dict[str, int]:
        """The files below these directories of a backup, with their sizes."""
        found = {}
        for line in self.lines("ls", "--json", "--no-lock", "--recursive", snapshot, *paths):
            with contextlib.suppress(ValueError):
                node = json.loads(line)
                if node.get("type") == "file":
                    found[str(node["path"])] = int(node.get("size", 0))
        return found


def shown_time(snapshot: t.Mapping[str, t.Any]) -> str:
    """When a snapshot was made, for people: in its host's time."""
    return str(snapshot["time"])[:19].replace("T", " ")


def moment_of(snapshot: t.Mapping[str, t.Any]) -> float:
    """When a snapshot was made, in seconds since 1970. restic says it with nine decimals, and with the time zone that the host had."""
    match = t.cast("re.Match[str]", re.fullmatch(r"([0-9]+-[0-9]+-[0-9]+)(T[0-9:]+)?(\.[0-9]+)?(Z|[+-][0-9:]+)?", str(snapshot["time"])))
    day, hour, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z") else zone
    return datetime.datetime.fromisoformat(f"{day}{hour or 'T00:00:00'}{zone}").timestamp() + float(fraction or 0)


def is_ahead(snapshot: t.Mapping[str, t.Any]) -> bool:
    """Whether a snapshot is from the future: by more than hosts that share a repository differ."""
    return moment_of(snapshot) > time.time() + _AHEAD


def is_incomplete(tagged: t.Mapping[str, t.Any]) -> bool:
    """Whether restic says so of a snapshot, or of a group of them. Earlier versions had no tag for it, so theirs are whole."""
    return INCOMPLETE in (tagged.get("tags") or ())


def _last(said: str) -> str:
    return "; ".join([_plain(line) for line in said.splitlines() if line.strip()][-_SHOWN_LINES:])


def _plain(line: str) -> str:
    """A line for people: with --json, newer versions of restic say in JSON as well why they end."""
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict) and said.get("message_type") == "exit_error":
            return str(said.get("message", line))
    return line


class _Drain:
    """Reads a stream to its end beside the other one, and keeps the last of it, and all messages about errors."""

    def __init__(self, stream: t.IO[bytes] | None) -> None:
        self._stream = t.cast(t.IO[bytes], stream)
        self._kept = b""
        self.errors: list[bytes] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):  # closed meanwhile
            self._read_all()

    def _read_all(self) -> None:
        for line in self._stream:
            self._kept = (self._kept + line)[-20_000:]
            if line.startswith(b"{") and b'"error"' in line:
                self.errors.append(line)

    def text(self) -> str:
        """What there was. Not longer than a moment after the program's end: something that it started may have the stream still."""
        self._thread.join(5)
        return self._kept.decode("utf-8", "replace")
