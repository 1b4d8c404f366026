# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import re
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper import lock, main
from registry_keeper.collect.quarantine import Run, runs
from registry_keeper.errors import ATTENTION, BUSY, DONE, FAILED, USAGE
from registry_keeper.retain import retention
from registry_keeper.storage.layout import Layout, read_link

DAY = 86400
RULE = {"repositories": ["**"], "keep_younger_than": "7d"}


class Storage:
    """A small storage and the settings of its instance."""

    def __init__(self, directory):
        self.path = str(directory / "images")
        self.tree = Layout(self.path)
        self.settings = directory / "registry.json"
        self.configure([RULE])

    def configure(self, rules, **more):
        self.settings.write_text(json.dumps({"instance": "registry", "storage": self.path, "retention": rules, **more}))

    def push(self, repository, tag, age_days=0.0, document=None):
        """As the registry stores a manifest and a tag; returns its digest."""
        content = json.dumps(document if document is not None else {"name": f"{repository}:{tag}"}).encode()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        for path, text in (
            (self.tree.data(digest), content),
            (f"{self.tree.revision(repository, digest)}/link", digest.encode()),
            (f"{self.tree.tag(repository, tag)}/index/{digest.replace(':', '/')}/link", digest.encode()),
            (self.link(repository, tag), digest.encode()),
        ):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            pathlib.Path(path).write_bytes(text)
        self.age(repository, tag, age_days)
        return digest

    def age(self, repository, tag, days):
        os.utime(self.link(repository, tag), (time.time() - days * DAY,) * 2)

    def link(self, repository, tag):
        return f"{self.tree.tag(repository, tag)}/current/link"

    def tags(self):
        return {f"{repository}:{tag}" for repository in self.tree.walk_repositories() for tag, _digest in self.tree.walk_tags(repository)}

    def everything(self):
        return {path: path.stat().st_mtime_ns for path in pathlib.Path(self.path).rglob("*")}

    def runs(self):
        return runs(self.path, os.path.join(self.path, "keeper"))


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "SETTLING_SECONDS", 0)
    monkeypatch.setattr(main, "become_owner", lambda *_: None)
    return Storage(tmp_path)


def retain(storage, *arguments):
    return main.main(
        ["--settings", str(storage.settings), *arguments[:1], "retain", *arguments[1:]]
        if "--json" in arguments
        else ["--settings", str(storage.settings), "retain", *arguments]
    )


def test_tags_go_and_their_images_stay_for_the_collection(storage):
    digest = storage.push("team/app", "old", 8)
    storage.push("team/app", "new", 6)
    assert retain(storage) == DONE
    assert storage.tags() == {"team/app:new"}
    assert not os.path.exists(storage.tree.tag("team/app", "old"))
    assert read_link(f"{storage.tree.revision('team/app', digest)}/link") == digest


def test_what_has_gone_is_in_the_quarantine_of_a_finished_run(storage):
    digest = storage.push("team/app", "old", 8)
    retain(storage)
    (run,) = storage.runs()
    assert (run.finished, run.info["command"], run.info["tags"]) == (True, "retain", 1)
    relative = os.path.relpath(storage.tree.tag("team/app", "old"), storage.path)
    assert run.put_back(relative)
    assert read_link(storage.link("team/app", "old")) == digest


def test_a_tag_that_an_undo_brings_back_is_young_again(storage):
    storage.push("app", "old", 30)
    for again in (lambda run: (run,), lambda _run: ("--image", "app:old")):
        assert retain(storage) == DONE and storage.tags() == set()
        assert main.main(["--settings", str(storage.settings), "undo", *again(storage.runs()[-1].name)]) == DONE
        assert retain(storage) == DONE and storage.tags() == {"app:old"}
        storage.age("app", "old", 30)


@pytest.mark.parametrize("repository", ["a/current/link", "blobs/a", "tags/current/link/index"])
@pytest.mark.parametrize("tag", ["current", "index", "link", "_.-", "sha256-0"])
def test_names_that_are_names_of_the_storages_own_directories_come_back_too(storage, repository, tag):
    storage.push(repository, tag, 30)
    before = storage.tags()
    assert retain(storage) == DONE and storage.tags() == set()
    (run,) = storage.runs()
    assert main.main(["--settings", str(storage.settings), "undo", run.name]) == DONE
    assert storage.tags() == before and storage.runs() == []


@pytest.mark.parametrize("rule", [{"keep_newest": 2}, {"keep_younger_than": "7d"}])
def test_a_clock_that_was_ahead_for_a_while_lets_no_later_push_go(storage, rule):
    """What was pushed then is the newest until the clock gets there, and would push out whatever is pushed from now on."""
    for tag, days in (("ahead", -300), ("also ahead", -299), ("third ahead", -298), ("now", 0), ("yesterday", 1), ("old", 30)):
        storage.push("app", tag, days)
    storage.configure([{"repositories": ["**"], **rule}])
    assert retain(storage) == DONE
    assert storage.tags() == {f"app:{tag}" for tag in ("ahead", "also ahead", "third ahead", "now", "yesterday")}


def test_a_run_without_work_leaves_no_run(storage):
    storage.push("app", "new")
    assert retain(storage) == DONE
    assert storage.runs() == []


def test_a_dry_run_says_what_a_run_does_and_changes_nothing(storage, capsys):
    for number in range(12):
        storage.push(f"app{number % 2}", f"t{number}", number)
    before = storage.everything()
    assert retain(storage, "--json", "--dry-run") == DONE
    told = json.loads(capsys.readouterr().out)
    assert storage.everything() == before
    assert retain(storage) == DONE
    gone = {f"{tag['repository']}:{tag['tag']}" for tag in told["tags"] if tag["goes"]}
    assert len(gone) == 5
    assert storage.tags() == {f"app{number % 2}:t{number}" for number in range(12)} - gone
    assert all(tag["why"] for tag in told["tags"])


def test_a_dry_run_tells_people_why_each_tag_stays_or_goes(storage, capsys):
    storage.push("app", "old", 8)
    storage.push("app", "new", 6)
    retain(storage, "--dry-run")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "stays    app:new  pushed within 7 days [rule 0]",
        "would go app:old  not pushed within 7 days [rule 0]",
        "1 of 2 tags would go, in 1 repository with rules",
    ]


def test_a_dry_run_takes_other_rules(storage, capsys, monkeypatch):
    storage.push("app", "old", 8)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps([{**RULE, "keep_younger_than": "9d"}])))
    assert retain(storage, "--dry-run", "--rules", "-") == DONE
    assert "stays    app:old" in capsys.readouterr().out
    assert retain(storage, "--rules", "-") == USAGE
    assert storage.tags() == {"app:old"}


def test_the_outcome_is_kept_for_status_unless_nothing_was_done(storage):
    storage.push("app", "old", 8)
    kept = pathlib.Path(storage.path, "keeper/status/retain.json")
    retain(storage, "--dry-run")
    assert not kept.exists()
    retain(storage)
    assert json.loads(kept.read_text())["removed"] == 1


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([{"repositories": ["**"]}], "retention[0]: keeps nothing"),
        ([{**RULE, "keep_pulled_within": "7d"}], "retention[0].keep_pulled_within: needs access_logs"),
        ([RULE, RULE], "retention[1]: never applies"),
        ("all", "retention: must be a list"),
    ],
    ids=["keeps nothing", "no log", "contradicting", "no list"],
)
@pytest.mark.parametrize("arguments", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_wrong_rules_are_refused_by_name_and_nothing_changes(storage, capsys, rules, message, arguments):
    storage.push("app", "old", 8)
    storage.configure(rules)
    before = storage.everything()
    assert retain(storage, *arguments) == USAGE
    assert message in capsys.readouterr().err
    assert storage.everything() == before


@pytest.mark.parametrize("command", ["retain", "collect"])
def test_a_mirror_is_refused(storage, capsys, command):
    storage.push("app", "old", 8)
    pathlib.Path(storage.path, "scheduler-state.json").write_text("{}")
    assert main.main(["--settings", str(storage.settings), command]) == USAGE
    assert "is a mirror's" in capsys.readouterr().err
    assert storage.tags() == {"app:old"}


def test_one_run_at_a_time(storage, capsys):
    storage.push("app", "old", 8)
    with lock.hold(os.path.join(storage.path, "keeper"), "collect"):
        assert retain(storage) == BUSY
        assert retain(storage, "--dry-run") == DONE
    assert storage.tags() == {"app:old"}


@pytest.mark.parametrize("when", ["before the move", "right after it", "in place"])
def test_a_tag_that_is_pushed_meanwhile_stays(storage, monkeypatch, when):
    storage.push("app", "old", 8, {"v": 1})
    storage.push("app", "older", 9)
    take = Run.take

    def raced(run, relative):
        if not relative.endswith("/old"):
            return take(run, relative)
        assert when != "before the move", "clients would miss it for a moment"
        if when == "in place":
            # the registry has opened the link, and writes when it is elsewhere
            with open(storage.link("app", "old"), "r+b") as link:
                assert take(run, relative)
                link.write(("sha256:" + "1" * 64).encode())
                os.utime(link.fileno())
            return True
        assert take(run, relative)
        storage.push("app", "old", 0, {"v": 2})
        return True

    monkeypatch.setattr(Run, "take", raced)
    if when == "before the move":
        plan = retention._plan
        monkeypatch.setattr(retention, "_plan", lambda *arguments: (plan(*arguments), storage.push("app", "old", 0, {"v": 2}))[0])
    assert retain(storage) == DONE
    assert storage.tags() == {"app:old"}
    assert time.time() - os.stat(storage.link("app", "old")).st_mtime < 60


def test_a_tag_that_has_gone_meanwhile_is_no_error(storage, monkeypatch):
    storage.push("app", "old", 8)
    plan = retention._plan
    monkeypatch.setattr(retention, "_plan", lambda *arguments: (plan(*arguments), os.unlink(storage.link("app", "old")))[0])
    assert retain(storage) == DONE


def test_a_run_that_was_killed_is_looked_at_again(storage, monkeypatch):
    storage.push("app", "old", 8)
    storage.push("app", "older", 9)

    def killed(*_):
        raise SystemExit

    monkeypatch.setattr(retention, "_put_back_changed", killed)
    with pytest.raises(SystemExit):
        retain(storage)
    monkeypatch.undo()
    monkeypatch.setattr(main, "become_owner", lambda *_: None)
    (run,) = storage.runs()
    assert not run.finished
    # what a push wrote in the moment before
    os.utime(run.place(os.path.relpath(storage.link("app", "old"), storage.path)))
    assert retain(storage) == DONE
    assert storage.tags() == {"app:old"}
    assert [run.finished for run in storage.runs()] == [True]


def test_a_full_disk_removes_nothing(storage, monkeypatch, capsys):
    storage.push("app", "old", 8)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Run, "save", full)
    assert retain(storage) == FAILED
    assert "No space left" in capsys.readouterr().err
    assert storage.tags() == {"app:old"}


def test_images_of_a_kept_index_and_subjects_keep_their_tags(storage):
    amd = storage.push("app", "1-amd64", 99)
    storage.push("app", "1", 0, {"manifests": [{"digest": amd}]})
    subject = storage.push("app", "signed", 99)
    storage.push("app", "sbom", 0, {"subject": {"digest": subject}})
    storage.push("app", "old", 99)
    retain(storage)
    assert storage.tags() == {"app:1", "app:1-amd64", "app:signed", "app:sbom"}


@pytest.mark.parametrize("more", [b"[" * 9000 + b"]" * 9000, b'"J\xfcrgen"', b"1" * 5000])
def test_an_odd_index_that_the_registry_accepts_keeps_its_images_too(more):
    image, subject = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
    written = b'{"Manifests":[{"Digest":"%s"}],"Subject":{"Digest":"%s"},"layers":[{"digest":"sha256:%s"}],"more":%s}'
    content = written % (image.encode(), subject.encode(), b"ef" * 32, more)
    needs = retention.Manifests(lambda _digest: content, lambda _digest: True).needs
    assert needs("sha256:" + hashlib.sha256(content).hexdigest()) == (image, subject)


def spoil(storage, digest, how):
    """Do to a manifest what a failing disk does, or scrub when it has found that."""
    data = pathlib.Path(storage.tree.data(digest))
    content = data.read_bytes()
    if how == "moved away":
        data.unlink()
    elif how == "cut short":
        data.write_bytes(content[: len(content) // 2])
    else:  # in a digest that it names
        data.write_bytes(re.sub(rb"sha256:....", b"sha256:0000", content))


SPOILT = pytest.mark.parametrize("how", ["changed", "cut short", "moved away"])


@SPOILT
def test_no_tag_goes_where_nobody_knows_what_an_image_that_stays_needs(storage, capsys, how):
    amd = storage.push("app", "1-amd64", 99)
    index = storage.push("app", "1", 0, {"manifests": [{"digest": amd}]})
    storage.push("other", "old", 99)
    spoil(storage, index, how)
    assert retain(storage, "--json", "--dry-run") == ATTENTION
    told = json.loads(capsys.readouterr().out)
    assert {tag["tag"]: tag["why"] for tag in told["tags"]}["1-amd64"] == ["the manifest of 1 cannot be read, so it is not known what that needs"]
    assert retain(storage) == ATTENTION
    assert f"app: cannot read 1 manifest, such as {index}" in capsys.readouterr().err
    assert storage.tags() == {"app:1", "app:1-amd64"}


def test_a_tag_whose_image_was_deleted_needs_nothing(storage):
    amd = storage.push("app", "1-amd64", 99)
    index = storage.push("app", "1", 0, {"manifests": [{"digest": amd}]})
    os.unlink(f"{storage.tree.revision('app', index)}/link")
    os.unlink(storage.tree.data(index))
    assert retain(storage) == DONE
    assert storage.tags() == {"app:1"}


@SPOILT
def test_where_it_is_not_known_which_images_an_index_has_they_may_have_been_pulled(storage, tmp_path, how):
    amd = storage.push("app", "amd64", 0)
    index = storage.push("app", "used", 300, {"manifests": [{"digest": amd}]})
    storage.push("app", "unused", 300)
    (tmp_path / "access.log").write_text(log_line("x", 60) + log_line(amd, 5))
    rule = {"repositories": ["**"], "keep_pulled_within": "30d", "keep_younger_than": "1d"}
    storage.configure([rule], access_logs=[str(tmp_path / "access.log")], server_names=["registry"])
    spoil(storage, index, how)
    assert retain(storage) == ATTENTION
    assert "app:used" in storage.tags()


def test_fallback_tags_go_with_their_subject_and_without_one_like_any_other(storage):
    name = storage.push("app", "signed", 99).replace(":", "-")
    for tag in (name, f"{name}.sig", "sha256-" + "ab" * 32):
        storage.push("app", tag, 99)
    retain(storage)
    assert storage.tags() == {f"app:{name}", f"app:{name}.sig"}


def test_what_is_broken_stays(storage):
    storage.push("app", "empty", 99)
    pathlib.Path(storage.link("app", "empty")).write_text("")
    storage.age("app", "empty", 99)
    storage.push("app", "no manifest", 0)
    os.makedirs(f"{storage.tree.tag('app', 'no link')}/current")
    assert retain(storage) == DONE
    assert storage.tags() == {"app:empty", "app:no manifest", "app:no link"}


def log_line(tag, days):
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - days * DAY))
    fields = {"time": at, "registry": "registry", "action": "pull", "repository": "app", "method": "GET", "status": 200}
    return json.dumps({**fields, "path": f"/v2/app/manifests/{tag}"}, separators=(",", ":")) + "\n"


@pytest.mark.parametrize("by", ["tag", "digest", "image of the index"])
def test_what_was_pulled_stays_also_when_the_log_has_gone(storage, tmp_path, by):
    image = storage.push("app", "amd64", 0)
    digest = storage.push("app", "used", 300, {"manifests": [{"digest": image}]})
    storage.push("app", "unused", 300)
    log = tmp_path / "access.log"
    reference = {"tag": "used", "digest": digest, "image of the index": image}[by]
    log.write_text(log_line("x", 60) + log_line(reference, 5) + log_line("unused", 31))
    storage.configure([{"repositories": ["**"], "keep_pulled_within": "30d", "keep_younger_than": "1d"}], access_logs=[str(log)], server_names=["registry"])
    assert retain(storage) == DONE
    assert storage.tags() == {"app:amd64", "app:used"}
    log.write_text(log_line("x", 59) + log_line("y", 0))
    assert retain(storage) == DONE
    assert storage.tags() == {"app:amd64", "app:used"}


def test_the_log_is_read_without_rules_too(storage, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(log_line("1", 5))
    storage.configure([], access_logs=[str(log)], server_names=["registry"])
    os.makedirs(storage.path)
    assert retain(storage) == DONE
    assert "app" in json.loads(pathlib.Path(storage.path, "keeper/pulled/record.json").read_text())["pulls"]
