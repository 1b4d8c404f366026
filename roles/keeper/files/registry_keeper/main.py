# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command line.

A command is a module with add_arguments(parser) and run(settings, options, report), which returns an exit status (errors.py) or
raises KeeperError. What run() puts into the report is printed as JSON by --json, and kept as status/COMMAND.json for `status`.
"""

from __future__ import annotations

import argparse
import contextlib
import grp
import importlib
import os
import pwd
import signal
import sys
import time
import typing as t

from registry_keeper import settings as settings_file
from registry_keeper.errors import ATTENTION, BUSY, DONE, FAILED, USAGE, KeeperError
from registry_keeper.report import Report, tell

# Each command: its module, what it is for, and whether its outcome is kept for `status`.
COMMANDS: dict[str, tuple[str, str, bool]] = {
    "status": ("status.status", "say how the registry is, and what needs attention", False),
    "metrics": ("status.metrics", "the same as metrics for Prometheus", False),
    "reserve": ("status.reserve", "say whether there is space for uploads", False),
    "collect": ("collect.collect", "take what no tag needs into the quarantine, while the registry runs", True),
    "undo": ("collect.undo", "bring back what a run has taken, or one image", True),
    "runs": ("collect.runs", "list what is in the quarantine", False),
    "purge": ("collect.purge", "remove for good what is in the quarantine and not needed", True),
    "scrub": ("scrub.scrub", "read stored blobs again, and find what is damaged or incomplete", True),
    "repair": ("scrub.repair", "bring back from the backup what scrub found damaged or missing", False),
    "backup": ("backup.backup", "back up this host's images, users and CA with restic", True),
    "restore": ("backup.restore", "bring back an image, a repository or everything from the backup", False),
    "retain": ("retain.retention", "apply the rules about tags", True),
    "backup-bucket": ("bucket_backup.backup", "back up the images of an S3 store into another bucket", True),
    "restore-bucket": ("bucket_backup.restore", "bring back images of an S3 store from the backup in another bucket", False),
}

# The same for images in an S3 store, as far as there is a module for it.
ON_S3 = {
    "collect": "s3.collect",
    "undo": "s3.undo",
    "runs": "s3.runs",
    "purge": "s3.purge",
    "retain": "s3.retention",
    "scrub": "s3.scrub",
    "status": "status.status",
    "metrics": "status.metrics",
    "backup-bucket": "bucket_backup.backup",
    "restore-bucket": "bucket_backup.restore",
}

EPILOG = f"""exit status:
  {DONE}  done
  {FAILED}  failed; nothing is lost, the message says why, and the next run does the work
  {USAGE}  wrong arguments or settings; nothing was begun
  {ATTENTION}  done, but something needs a person: the output names it
  {BUSY}  another run works on this storage, or its images are being moved
"""


def parser(arguments: t.Container[str]) -> argparse.ArgumentParser:
    """The program's arguments, with those of each command that is among the given ones: the others need not be loaded."""
    whole = argparse.ArgumentParser(
        prog="registry-keeper", description="Keep the storage of a registry.", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    whole.add_argument("--instance", default=settings_file.FIRST_INSTANCE, metavar="NAME", help="the registry or mirror (default: %(default)s)")
    whole.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    whole.add_argument("--settings", metavar="FILE", help=f"the settings file (default: {settings_file.DIRECTORY}/INSTANCE.json)")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, purpose, _kept) in COMMANDS.items():
        one = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        if name in arguments:
            _module(module).add_arguments(one)
    return whole


def _module(name: str) -> t.Any:
    return importlib.import_module(f"registry_keeper.{name}")


def _on_s3(command: str, settings: settings_file.Settings) -> t.Any:
    """The module for images in a store, with the store's key in the environment. Raises KeeperError."""
    if command not in ON_S3:
        raise KeeperError(f"{command}: is only for images in files, and those of {settings.instance} are in an S3 store", USAGE)
    _module("s3.settings").read_key(settings)
    module = _module(ON_S3[command])
    if hasattr(module, "prepare"):
        module.prepare(settings)
    return module


def become_owner(storage: str, logs: t.Sequence[str]) -> None:
    """As root, become who owns the storage, which is the instance's user; keep the groups that may read the access logs.

    Files that root left behind could be read or removed by nobody else. Raises KeeperError.
    """
    try:
        owner = os.stat(storage)
        account = pwd.getpwuid(owner.st_uid)
    except OSError as error:
        raise KeeperError(f"{storage}: {error.strerror}", USAGE) from error
    except KeyError:
        raise KeeperError(f"{storage}: its owner, {owner.st_uid}, is no user of this host", USAGE) from None
    if owner.st_uid == 0:
        return
    groups = set(os.getgrouplist(account.pw_name, account.pw_gid))
    for log in logs:
        try:
            group = os.stat(log).st_gid
        except OSError:
            continue  # a log that has not been written yet
        if group and grp.getgrgid(group):
            groups.add(group)
    os.setgroups(sorted(groups))
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
    os.umask(0o027)


@contextlib.contextmanager
def _sigterm(record: t.Callable[[], None]) -> t.Iterator[None]:
    """Record that systemd ends this run, at the end of its time or by `stop`, before the signal ends it as it always did.

    So nothing is left but what a run leaves that is killed. An exception would run through whatever is being done, and wait for processes that
    the same signal has ended.
    """
    process = os.getpid()

    def ended(number: int, _frame: t.Any) -> None:
        signal.signal(number, signal.SIG_IGN)  # timeout sends it twice
        if os.getpid() == process:
            with contextlib.suppress(Exception):
                record()
        else:
            # One that was forked. systemd signals all at once, and if this one ended first, another would be made in its place.
            until = time.monotonic() + 1
            while os.getppid() == process and time.monotonic() < until:
                time.sleep(0.01)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser(arguments).parse_args(arguments)
    module, _purpose, kept = COMMANDS[options.command]
    command = _module(module)
    whole_host = getattr(command, "WHOLE_HOST", False)
    report = Report(options.json)
    state: str | None = None
    in_store: settings_file.Settings | None = None
    status, error = FAILED, None

    def end(status: int, error: str | None) -> None:
        """Say what came of it, and keep that for `status`."""
        if error is not None:
            tell(f"registry-keeper: {error}", sys.stderr)
        keep = status not in (USAGE, BUSY) and not report.did_nothing
        document = report.finish(options.command, status, state if keep else None, error)
        if whole_host and kept and keep:
            command.publish(options, document)
        if in_store is not None and kept and state and keep and status in (DONE, ATTENTION):
            _module("s3.status").publish(in_store, document)

    def end_by_signal() -> None:
        report.as_json = False  # it may be in the middle of a line
        end(FAILED, "ended by SIGTERM; nothing is lost, the next run does the work")

    try:
        with _sigterm(end_by_signal) if kept else contextlib.nullcontext():
            if whole_host:
                # It reads what only root may read, and says itself which settings it has.
                status = command.run_host(options, report)
            else:
                settings = settings_file.load(options.settings or settings_file.path_of(options.instance))
                if settings.s3:
                    command, in_store = _on_s3(options.command, settings), settings
                if os.geteuid() == 0:
                    become_owner(settings.storage, settings.access_logs)
                state = settings.state if kept and not getattr(options, "dry_run", False) else None
                status = command.run(settings, options, report)
    except KeeperError as failure:
        status, error = failure.status, str(failure)
    except OSError as failure:
        error = f"{failure.filename or options.command}: {failure.strerror or failure}"
    except KeyboardInterrupt:
        error = "interrupted; nothing is lost, the next run does the work"
    except Exception as failure:  # noqa: BLE001 - or `status` would go on telling of the run before
        import traceback

        traceback.print_exc()
        error = f"{type(failure).__name__}: {failure}"
    end(status, error)
    return status
