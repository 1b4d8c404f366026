# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command `retain`: applies the rules (policy.py, verdicts.py) to the tags of a storage.

A tag is removed by moving its directory into the quarantine of a run, from which `undo` brings it back. The registry reads tags
from the storage at every request, so it is gone at once; its image goes with the next collection that nothing else needs it for.

A client may push the tag again meanwhile. So each tag is looked at right before it is moved, and once more after all have been,
when a write that had begun before the move has ended; one that has changed is put back.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
import typing as t

from registry_keeper import lock
from registry_keeper.collect.quarantine import Run, runs
from registry_keeper.errors import ATTENTION, DONE, USAGE, KeeperError
from registry_keeper.report import Report, counted
from registry_keeper.retain import policy, pulled
from registry_keeper.retain.verdicts import Tag, Verdict, subject_of, verdicts
from registry_keeper.settings import Settings
from registry_keeper.storage import manifest
from registry_keeper.storage.layout import Layout, digest_of, key_of, read_link, refuse_mirror

# The registry has written a link long before this.
SETTLING_SECONDS = 2.0
_LARGEST_MANIFEST = 8 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would go and why each tag stays, and change nothing")
    parser.add_argument("--rules", metavar="FILE", help="rules to use with --dry-run in place of those of the settings, as JSON; - is the standard input")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Apply the rules. Returns an exit status; raises KeeperError and OSError."""
    if options.rules and not options.dry_run:
        raise KeeperError("--rules: is for --dry-run only", USAGE)
    refuse_mirror(settings.storage)
    rules = rules_of(read_rules(options.rules) if options.rules else settings.retention, bool(settings.access_logs))
    if options.dry_run:
        record = _pulls(settings, rules, report)
        plan, known = _plan(settings, rules, record, report)
        tell(plan, report)
        return DONE if known else ATTENTION
    with lock.alone(settings, "retain"):
        _finish_killed(settings)
        record = _pulls(settings, rules, report)
        if settings.access_logs:
            longest = max((rule.pulled_within or 0 for rule in rules), default=0)
            pulled.save(pulled.path_of(settings.state), record, time.time(), max(2.0 * longest, pulled.KEEP_SECONDS))
        plan, known = _plan(settings, rules, record, report)
        _remove(settings, plan, report)
    return DONE if known else ATTENTION


def rules_of(written: t.Any, knows_pulls: bool, log_setting: str = "access_logs") -> list[policy.Rule]:
    """The rules. Raises KeeperError with all that is wrong with them."""
    rules, problems = policy.rules_of(written, knows_pulls=knows_pulls, log_setting=log_setting)
    if problems:
        raise KeeperError("; ".join(problems), USAGE)
    return rules


def read_rules(path: str) -> t.Any:
    try:
        if path == "-":
            return json.load(sys.stdin)
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise KeeperError(f"--rules: {error}", USAGE) from error


def _pulls(settings: Settings, rules: t.Sequence[policy.Rule], report: Report) -> pulled.Record:
    """What was pulled, the latest included. Raises KeeperError where the log cannot be read and a rule asks."""
    record = pulled.load(pulled.path_of(settings.state))
    if settings.access_logs:
        report.progress("reading the access log")
        pulled.update(record, settings.access_logs, settings.server_names, report.warn if any(rule.pulled_within for rule in rules) else _ignore)
    return record


def _ignore(_line: str) -> None:
    """A warning that is of no use to anybody."""


Plan = list[tuple[str, list[Verdict]]]


def _plan(settings: Settings, rules: t.Sequence[policy.Rule], record: pulled.Record, report: Report) -> tuple[Plan, bool]:
    """What becomes of each tag, by repository, and whether all manifests could be read. Repositories that no rule applies to are not looked into."""
    tree, now = Layout(settings.storage), time.time()
    plan: Plan = []
    known = True
    if not rules:
        return plan, known
    for repository in tree.walk_repositories():
        if not any(rule.has_repository(repository) for rule in rules):
            continue
        report.progress(f"looking at {repository}")
        manifests = Manifests(lambda digest: _read_file(tree.data(digest)), functools.partial(_is_there, tree, repository))
        tags = [tag for tag in (_tag(tree, repository, name, digest, record, manifests) for name, digest in tree.walk_tags(repository)) if tag is not None]
        if tags:
            plan.append((repository, verdicts(rules, repository, tags, now, pulls_since=record.since, needs=manifests.needs)))
            known &= manifests.tell_of_unread(repository, report)
    return plan, known


def _is_there(tree: Layout, repository: str, digest: str) -> bool:
    """Whether a repository has a manifest, as far as its links say."""
    return os.path.exists(f"{tree.revision(repository, digest)}/link")


def _tag(tree: Layout, repository: str, name: str, digest: str | None, record: pulled.Record, manifests: Manifests) -> Tag | None:
    """A tag as the rules see it; None where it has gone meanwhile."""
    pushed = link_time(tree, repository, name)
    if pushed is None:
        # A directory without a link: what a killed registry leaves, which is no tag for anybody.
        return None
    when, known = 0.0, True
    if repository in record.pulls:
        # Whoever pulls an image of an index by its digest uses the index's tag.
        needed = manifests.needs(digest) if digest else ()
        known = needed is not None
        when = record.last_pull(repository, name, *([digest, *(needed or ())] if digest else []))
    subject = subject_of(name)
    # Without its image it is a tag like any other.
    there = subject is not None and os.path.isdir(tree.revision(repository, subject))
    return Tag(name, digest, pushed / 1e9, when, subject if there else None, known)


def link_time(tree: Layout, repository: str, tag: str) -> int | None:
    """When a tag was pushed last, in nanoseconds since the epoch: the registry writes its link at each push. None where there is no such tag."""
    try:
        return os.stat(f"{tree.tag(repository, tag)}/current/link").st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None


class Manifests:
    """What the images of a repository need of each other, each manifest read once."""

    def __init__(self, read: t.Callable[[str], bytes | None], is_there: t.Callable[[str], bool]) -> None:
        """read gives what a digest stands for; None where that cannot be read. is_there says whether the repository has such a manifest."""
        self._content, self._is_there = read, is_there
        self._known: dict[str, tuple[str, ...] | None] = {}

    def needs(self, digest: str) -> tuple[str, ...] | None:
        """The images of an index, and the subject of a referrer. None where nobody can tell: the manifest is damaged or lost, and may come back."""
        if digest not in self._known:
            self._known[digest] = self._read(digest)
        return self._known[digest]

    def _read(self, digest: str) -> tuple[str, ...] | None:
        try:
            references = manifest.parse(self._content(digest) or b"", key_of(digest))
        except manifest.NotAManifest:
            # What was deleted needs nothing, nor does a platform that was never pushed.
            return None if self._is_there(digest) else ()
        # Not its layers, which are no images.
        images = [key for key in references.needed if key in references.elsewhere]
        return tuple(digest_of(key) for key in (*images, *([references.subject] if references.subject is not None else [])))

    def tell_of_unread(self, repository: str, report: Report) -> bool:
        """Say which manifests nobody knows the needs of; returns whether there is none."""
        unread = [digest for digest, needs in self._known.items() if needs is None]
        if unread:
            report.warn(f"{repository}: cannot read {counted(len(unread), 'manifest')}, such as {unread[0]}: tags whose images they may need stay")
        return not unread


def _read_file(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST_MANIFEST)
    except OSError:
        return None


def tell(plan: Plan, report: Report) -> None:
    """Say what would become of each tag."""
    report.add(dry_run=True, **counts(plan), tags=[fact(repository, verdict) for repository, found in plan for verdict in found])
    for repository, found in plan:
        for verdict in found:
            report.say(line("would go" if verdict.goes else "stays   ", repository, verdict))
    numbers = counts(plan)
    report.say(f"{numbers['going']} of {counted(numbers['looked_at'], 'tag')} would go, in {counted(numbers['repositories'], 'repository')} with rules")


def counts(plan: Plan) -> dict[str, int]:
    every = [verdict for _repository, found in plan for verdict in found]
    return {"repositories": len(plan), "looked_at": len(every), "going": sum(verdict.goes for verdict in every)}


def fact(repository: str, verdict: Verdict) -> dict[str, t.Any]:
    tag = verdict.tag
    return {
        "repository": repository,
        "tag": tag.name,
        "digest": tag.digest,
        "pushed": int(tag.pushed),
        "pulled": int(tag.pulled) or None,
        "goes": verdict.goes,
        "rule": verdict.rule,
        "why": list(verdict.why),
    }


def line(word: str, repository: str, verdict: Verdict) -> str:
    rule = "" if verdict.rule is None else f" [rule {verdict.rule}]"
    return f"{word} {repository}:{verdict.tag.name}  {', '.join(verdict.why)}{rule}"


def _remove(settings: Settings, plan: Plan, report: Report) -> None:
    """Move the tags that go into the quarantine, and look again."""
    going = [(repository, verdict) for repository, found in plan for verdict in found if verdict.goes]
    report.add(dry_run=False, **counts(plan), run=None, removed=0, changed=0)
    if not going:
        report.say(f"none of {counts(plan)['looked_at']} tags goes")
        return
    tree = Layout(settings.storage)
    quarantine = Run.begin(settings.storage, settings.state, "retain")
    moved: list[tuple[str, Verdict, int]] = []
    try:
        for repository, verdict in going:
            written = _unchanged(tree, repository, verdict.tag)
            if written is not None and quarantine.take(_relative(tree, repository, verdict.tag.name)):
                moved.append((repository, verdict, written))
            report.progress(f"removed {len(moved)} of {len(going)} tags")
        time.sleep(SETTLING_SECONDS)
    finally:
        back = _put_back_changed(tree, quarantine, moved)
        gone = [(repository, verdict) for repository, verdict, _written in moved if (repository, verdict.tag.name) not in back]
        for repository, verdict in gone:
            report.say(line("gone", repository, verdict))
        quarantine.finish(tags=len(gone), looked_again=True)
    report.add(run=quarantine.name if gone else None, removed=len(gone), changed=len(going) - len(gone), gone=[fact(*one) for one in gone])
    undo = f"`registry-keeper --instance {settings.instance} undo {quarantine.name}` brings them back"
    report.say(f"gone: {counted(len(gone), 'tag')}; {undo}" if gone else "no tag has gone")


def _finish_killed(settings: Settings) -> None:
    """Look again at what runs have taken that were killed before they did: what was pushed since they began goes back."""
    for killed in runs(settings.storage, settings.state):
        # A collection may have called it finished meanwhile.
        if killed.info.get("looked_again") or killed.info.get("command") != "retain":
            continue
        links = [(relative, status) for relative, status in killed.walk() if relative.endswith("/current/link")]
        for relative, status in links:
            if status.st_mtime >= killed.began:
                killed.put_back(relative[: -len("/current/link")], touch=False)
        killed.finish(tags=len(links), looked_again=True)


def _relative(tree: Layout, repository: str, tag: str) -> str:
    return os.path.relpath(tree.tag(repository, tag), tree.storage)


def _unchanged(tree: Layout, repository: str, tag: Tag) -> int | None:
    """When the tag's link was written, if it is still the one that the rules were applied to; else None."""
    written = link_time(tree, repository, tag.name)
    same = written is not None and written / 1e9 == tag.pushed and read_link(f"{tree.tag(repository, tag.name)}/current/link") == tag.digest
    return written if same else None


def _put_back_changed(tree: Layout, quarantine: Run, moved: t.Sequence[tuple[str, Verdict, int]]) -> set[tuple[str, str]]:
    """Put back what a client was pushing when it was moved, unless the push has made it anew. Returns what is back."""
    back = set()
    for repository, verdict, written in moved:
        relative = _relative(tree, repository, verdict.tag.name)
        link = quarantine.place(f"{relative}/current/link")
        try:
            same = os.stat(link).st_mtime_ns == written and read_link(link) == verdict.tag.digest
        except FileNotFoundError:
            same = False
        if not same:
            quarantine.put_back(relative, touch=False)
        if not same or os.path.exists(f"{tree.tag(repository, verdict.tag.name)}/current/link"):
            back.add((repository, verdict.tag.name))
    return back
