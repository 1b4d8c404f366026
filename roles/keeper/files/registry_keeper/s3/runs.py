# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""runs, in an S3 store: what is in the quarantine, whichever host has put it there."""

from __future__ import annotations

import argparse
import time

from registry_keeper.collect.runs import add_arguments
from registry_keeper.errors import DONE
from registry_keeper.report import Report, counted, human_bytes
from registry_keeper.s3.quarantine import runs
from registry_keeper.s3.work import Work
from registry_keeper.settings import Settings

__all__ = ["add_arguments", "run"]


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """List the runs."""
    work = Work(settings, report)
    every = []
    for one in runs(work.objects):
        blobs, links = one.blobs(), one.links()
        size = sum(blobs.values())
        until = float(one.info["ended"]) + work.options.undo_seconds if one.finished else None
        facts = {**one.info, "run": one.name, "things": len(blobs) + len(links), "bytes": size, "until": int(until) if until else None}
        if options.files:
            facts["files"] = sorted([*blobs, *links])
        every.append(facts)
        when = f"until {time.strftime('%Y-%m-%d %H:%M', time.localtime(until))}" if until else "goes on, or was interrupted; then the next run finishes it"
        report.say(f"{one.name}  {counted(len(blobs) + len(links), 'thing')}, {human_bytes(size)}, {when}, by {one.info.get('host', 'a host of unknown name')}")
        for path in facts.get("files", ()):
            report.say(f"  {path}")
    report.add(runs=every)
    if not every:
        report.say("the quarantine is empty")
    return DONE
