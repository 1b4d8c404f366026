# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""purge: remove for good what is in the quarantine, if nothing needs it. collect does the same for runs that are old enough."""

from __future__ import annotations

import argparse

from registry_keeper import lock
from registry_keeper.collect import removal
from registry_keeper.collect.collect import Collection
from registry_keeper.collect.quarantine import run_named, runs
from registry_keeper.errors import ATTENTION, DONE, KeeperError
from registry_keeper.report import Report
from registry_keeper.settings import Settings
from registry_keeper.storage.redis_cache import CacheError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", nargs="*", help="these runs, although they could still be undone (default: those that are old enough)")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Purge. Returns an exit status; raises KeeperError and OSError."""
    work = Collection(settings, report)
    work.check_storage()
    with lock.alone(settings, "purge"):
        try:
            work.tell_of_killed()
            named = [run_named(settings.storage, settings.state, name) for name in options.run]
            _index, marked, rescue = work.mark()
            rescue.all()
            work.problems(marked)
            every = named or removal.due(runs(settings.storage, settings.state), work.options.undo_seconds, work.now)
            work.purge_due(rescue, every)
        except CacheError as error:
            raise KeeperError(f"{error}: nothing was removed") from error
    if not every:
        report.say("nothing is old enough")
    return ATTENTION if work.attention else DONE
