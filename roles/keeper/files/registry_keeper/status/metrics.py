# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the registry is, as metrics for Prometheus."""

from __future__ import annotations

import argparse
import os
import re
import typing as t

from registry_keeper.errors import DONE, USAGE, KeeperError
from registry_keeper.report import Report, write_whole
from registry_keeper.settings import Settings
from registry_keeper.status.status import Facts, gather, limits_of

FILE = "metrics.prom"
PREFIX = "registry_keeper"
_ESCAPED = {"\\": r"\\", '"': r"\"", "\n": r"\n"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", action="store_true", help=f"write them to {FILE} where the gateway serves it, instead of printing them")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Print the metrics, or write them."""
    text = "".join(f"{line}\n" for line in exposition(gather(settings, limits_of(settings), report.progress)))
    if not options.write:
        report.say(text.rstrip("\n"))
        return DONE
    directories = [name for name in os.environ.get("RUNTIME_DIRECTORY", "").split(":") if name]
    if not directories:
        raise KeeperError("metrics --write: the environment has no RUNTIME_DIRECTORY to write to", USAGE)
    for directory in directories:
        write_whole(os.path.join(directory, FILE), text)
    return DONE


class _Lines:
    """The lines of the text format, each metric with its help before its first value. A value that is not known is left out."""

    def __init__(self, registry: str) -> None:
        self._registry = registry
        self._described: set[str] = set()
        self.lines: list[str] = []

    def gauge(self, name: str, description: str, value: float | None, **labels: str) -> None:
        if value is None:
            return
        full = f"{PREFIX}_{name}"
        if full not in self._described:
            self._described.add(full)
            self.lines += [f"# HELP {full} {description}", f"# TYPE {full} gauge"]
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in {"registry": self._registry, **labels}.items())
        self.lines.append(f"{full}{{{shown}}} {value if isinstance(value, float) else int(value)}")


def exposition(facts: Facts) -> list[str]:
    """The lines of the text format of Prometheus."""
    out = _Lines(facts["instance"])
    registry, space, stored = facts["registry"], facts["space"], facts["stored"]
    out.gauge("written_timestamp_seconds", "When these metrics were written.", facts["time"])
    out.gauge("needs_a_hand", "Number of reasons for which somebody has to do something; registry-keeper status has them.", len(facts["needs_a_hand"]))
    out.gauge("registry_up", "Whether the registry runs.", registry["up"])
    out.gauge("registry_info", "The version of the registry that runs.", 1 if registry["version"] else None, version=registry["version"])
    out.gauge("known_vulnerabilities", "Number of known vulnerabilities of that version, most of which the gateway closes.", len(facts["vulnerabilities"]))
    if space:
        out.gauge("space_bytes", "Size of the file system of the images.", space["total"])
        out.gauge("space_free_bytes", "Free space of that file system.", space["free"])
        out.gauge("space_reserve_bytes", "Free space below which uploads are refused.", space["reserve"])
        out.gauge("uploads_refused", "Whether uploads are refused because the disk is nearly full.", space["uploads_refused"])
        out.gauge("growth_bytes_per_second", "Rate at which the used space grows.", space["growth_per_second"])
        out.gauge("full_in_seconds", "Time until the reserve is reached at that rate. Missing while nothing grows.", space["seconds_until_full"])
    if "store" in facts:
        out.gauge("store_up", "Whether the S3 store answers.", facts["store"]["up"])
    if stored:
        out.gauge("stored_timestamp_seconds", "When the storage was looked at.", stored["taken"])
        out.gauge("stored_bytes", "Bytes of all blobs.", stored["bytes"])
        out.gauge("stored_blobs", "Number of blobs.", stored["blobs"])
        out.gauge("repositories", "Number of repositories.", stored["repositories"])
        out.gauge("tags", "Number of tags.", stored["tags"])
        out.gauge("open_uploads", "Number of uploads that have been begun and not ended.", stored["open_uploads"])
        out.gauge("set_aside_bytes", "Bytes that collections have set aside and will free.", stored["set_aside_bytes"])
    out.gauge("collectable_bytes", "Bytes that a collection would have freed when one last only looked.", facts["collectable_bytes"])
    for one in stored["largest"] if stored else ():
        out.gauge("repository_bytes", "Bytes of the layers of the largest repositories.", one["bytes"], repository=one["repository"])
    _traffic(out, facts)
    for one in facts["certificates"]:
        help_text = "When a certificate ends, or a CRL has to be renewed."
        out.gauge("certificate_end_timestamp_seconds", help_text, one["ends"], path=one["path"])
    known = {name: outcome for name, outcome in facts["commands"].items() if outcome}
    for name, outcome in known.items():
        out.gauge("command_last_run_timestamp_seconds", "When a command of the keeper was run last.", outcome["began"], command=name)
    for name in known:
        help_text = "So long after its last run a command is overdue, by its schedule."
        out.gauge("command_overdue_after_seconds", help_text, facts["overdue_after_seconds"].get(name), command=name)
    for name, outcome in known.items():
        out.gauge("command_duration_seconds", "How long that took.", float(outcome.get("seconds", 0)), command=name)
    for name, outcome in known.items():
        out.gauge("command_exit_status", "Its exit status: 0 done, 1 failed, 3 needs a person, 4 postponed.", outcome.get("exit_status"), command=name)
    return out.lines


def _traffic(out: _Lines, facts: Facts) -> None:
    seen, redis = facts["traffic"], facts["redis"]
    if seen:
        for kind in ("requests", "refused", "errors"):
            out.gauge("gateway_last_hour", "Requests of the last hour by outcome: all, refused to the client, failed.", seen[kind], outcome=kind)
        for cache, ratio in seen["hit_ratios"].items():
            out.gauge("cache_hit_ratio", "Part of what was asked for that a cache had.", float(ratio), cache=cache)
    if redis:
        ratio = redis.get("hit_ratio")
        out.gauge("cache_hit_ratio", "Part of what was asked for that a cache had.", None if ratio is None else float(ratio), cache="redis")
        out.gauge("redis_up", "Whether Redis answers.", redis["up"])
        out.gauge("redis_used_bytes", "Memory that Redis uses.", redis.get("used_memory"))
        out.gauge("redis_limit_bytes", "Memory that Redis may use.", redis.get("maxmemory") or None)


def _escaped(text: t.Any) -> str:
    return re.sub(r'[\\"\n]', lambda match: _ESCAPED[match[0]], str(text))
