# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""runs: what is in the quarantine, and until when it can be brought back."""

from __future__ import annotations

import argparse
import time

from registry_keeper.collect.collect import parse
from registry_keeper.collect.quarantine import age, runs
from registry_keeper.errors import DONE
from registry_keeper.report import Report, counted, human_bytes
from registry_keeper.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--files", action="store_true", help="list every path as well")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """List the runs."""
    undo = parse(settings).undo_seconds
    every = []
    for one in runs(settings.storage, settings.state):
        paths = [(relative, status.st_size) for relative, status in one.walk()]
        size = sum(size for relative, size in paths if relative.endswith("/data"))
        now = time.time()
        until = now + undo - age(one.info, now) if one.finished else None
        facts = {"run": one.name, "things": len(paths), "bytes": size, "until": int(until) if until else None, **one.info}
        if options.files:
            facts["files"] = sorted(relative for relative, _size in paths)
        every.append(facts)
        when = f"until {time.strftime('%Y-%m-%d %H:%M', time.localtime(until))}" if until else "interrupted; the next run finishes it"
        report.say(f"{one.name}  {counted(len(paths), 'thing')}, {human_bytes(size)}, {when}")
        for relative in facts.get("files", ()):
            report.say(f"  {relative}")
    report.add(runs=every)
    if not every:
        report.say("the quarantine is empty")
    return DONE
