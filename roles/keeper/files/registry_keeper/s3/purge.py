# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""purge, in an S3 store: remove for good what is in the quarantine and not needed."""

from __future__ import annotations

import argparse

from registry_keeper.collect.purge import add_arguments
from registry_keeper.collect.removal import due
from registry_keeper.errors import ATTENTION, DONE, KeeperError
from registry_keeper.report import Report, counted, human_bytes
from registry_keeper.s3.quarantine import named, runs
from registry_keeper.s3.work import Work, begun, end_killed
from registry_keeper.settings import Settings
from registry_keeper.storage.redis_cache import CacheError

__all__ = ["add_arguments", "run"]


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Purge. Returns an exit status; raises KeeperError."""
    work = Work(settings, report)
    work.refuse_mirror()
    with work.alone("purge"):
        every = begun(work)
        chosen = named(every, options.run)
        _marking, marked, rescue = work.mark(every)
        rescue.all()
        end_killed(work, every, rescue)
        work.problems(marked)
        going = chosen or due(runs(work.objects), work.options.undo_seconds, work.objects.now())
        try:
            work.purge(going, rescue)
        except CacheError as error:
            raise KeeperError(f"{error}: not everything was removed") from error
    work.tell_of_damaged(rescue)
    facts = report.facts
    names = ", ".join(facts["purged_runs"])
    blobs, size = counted(facts["purged_blobs"], "blob"), human_bytes(facts["purged_bytes"])
    report.say(f"removed for good: {blobs}, {size}, of {names}" if names else "nothing is old enough")
    return ATTENTION if work.attention else DONE
