# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""retain, in an S3 store: remove the tags that the rules do not keep. The same rules as on files, but for those about pulls.

Each host knows only what was pulled from itself, so a rule about pulls would remove what is pulled elsewhere, and is refused.
"""

from __future__ import annotations

import argparse
import functools
import typing as t

from registry_keeper.collect.mark import Mark
from registry_keeper.errors import ATTENTION, DONE, USAGE, KeeperError
from registry_keeper.report import Report, counted
from registry_keeper.retain import policy
from registry_keeper.retain.retention import Manifests, Plan, add_arguments, counts, fact, line, read_rules, rules_of, tell
from registry_keeper.retain.verdicts import Tag, Verdict, subject_of, verdicts
from registry_keeper.s3.listing import TREE, Listing
from registry_keeper.s3.mark import Marking, Taken
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.quarantine import Run, runs
from registry_keeper.s3.rescue import Rescue, tag_path
from registry_keeper.s3.sweep import Sweep
from registry_keeper.s3.work import Work, end_killed
from registry_keeper.settings import Settings

__all__ = ["add_arguments", "run"]


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Apply the rules. Returns an exit status; raises KeeperError."""
    if options.rules and not options.dry_run:
        raise KeeperError("--rules: is for --dry-run only", USAGE)
    rules = rules_of(read_rules(options.rules) if options.rules else settings.retention, False, "images in files and access_logs")
    work = Work(settings, report)
    work.refuse_mirror()
    if options.dry_run:
        tell(_plan(work, rules), report)
        return ATTENTION if work.attention else DONE
    with work.alone("retain"):
        killed = [one for one in runs(work.objects) if not one.finished and one.info.get("command") == "retain"]
        end_killed(work, killed, _rescue(work, killed))
        _remove(work, _plan(work, rules))
    return ATTENTION if work.attention else DONE


def _rescue(work: Work, every: t.Sequence[Run]) -> Rescue:
    marking = Marking(work.objects, work.objects.now(), work.options.grace_seconds, frozenset(), Taken.of(every))
    return Rescue(marking, Mark(marking.rules))


def _plan(work: Work, rules: t.Sequence[policy.Rule]) -> Plan:
    """What becomes of each tag, by repository."""
    plan: Plan = []
    if not rules:
        return plan
    now = work.objects.now()
    listing = Listing.whole(work.objects, blobs=False)
    with_rules = [name for name in sorted(listing.repositories) if any(rule.has_repository(name) for rule in rules)]
    listing.read_tags(with_rules)
    for repository in with_rules:
        work.report.progress(f"looking at {repository}")
        manifests = Manifests(lambda digest: work.objects.read(TREE.data(digest)), functools.partial(_is_there, work.objects, repository))
        tags = [_tag(listing, repository, name) for name in sorted(listing.get(repository).tags)]
        if tags:
            plan.append((repository, verdicts(rules, repository, tags, now, needs=manifests.needs)))
            work.attention |= not manifests.tell_of_unread(repository, work.report)
    return plan


def _is_there(objects: Objects, repository: str, digest: str) -> bool:
    return objects.head(f"{TREE.revision(repository, digest)}/link") is not None


def _tag(listing: Listing, repository: str, name: str) -> Tag:
    there = listing.get(repository)
    subject = subject_of(name)
    # Without its image it is a tag like any other.
    known = subject is not None and any(key.hex() == subject.partition(":")[2] for key in there.revisions)
    path = tag_path(repository, name)
    return Tag(name, listing.digest(path), listing.pushed(path), 0.0, subject if known else None)


def _remove(work: Work, plan: Plan) -> None:
    """Move the tags that go into the quarantine, and look again."""
    report = work.report
    going = {repository: [verdict for verdict in found if verdict.goes] for repository, found in plan}
    total = sum(map(len, going.values()))
    report.add(dry_run=False, **counts(plan), run=None, removed=0, changed=0)
    if not total:
        report.say(f"none of {counts(plan)['looked_at']} tags goes")
        return
    this = Run.begin(work.objects, "retain")
    sweep = Sweep(this, _rescue(work, []), None, None, work.options.settle_seconds, report)
    for repository, found in going.items():
        if found:
            _take(sweep, work.objects, repository, found)
        report.progress(f"removed {len(sweep.tags)} of {total} tags")
    sweep.look_later_at_tags()
    left = set(sweep.tags_taken)
    gone = [(repository, verdict) for repository, found in going.items() for verdict in found if (repository, verdict.tag.name) in left]
    for repository, verdict in gone:
        report.say(line("gone", repository, verdict))
    this.finish(tags=len(gone))
    report.add(run=this.name if gone else None, removed=len(gone), changed=total - len(gone), gone=[fact(*one) for one in gone])
    undo = f"`registry-keeper --instance {work.settings.instance} undo {this.name}` brings them back"
    report.say(f"gone: {counted(len(gone), 'tag')}; {undo}" if gone else "no tag has gone")


def _take(sweep: Sweep, objects: Objects, repository: str, found: t.Sequence[Verdict]) -> None:
    """Only those that are still what the rules were applied to, in a list of the other kind."""
    listing = Listing.of(objects, repository, version=1)
    there = listing.get(repository).tags
    still = [verdict.tag for verdict in found if verdict.tag.name in there]
    same = {tag.name: tag.digest for tag in still if listing.pushed(tag_path(repository, tag.name)) == tag.pushed}
    expected = {(repository, name): digest for name, digest in same.items() if digest is not None}
    sweep.take_tags(list(expected), listing, expected)
