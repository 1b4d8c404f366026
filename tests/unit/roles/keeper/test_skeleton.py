# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import io
import json
import os
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).parents[4] / "roles/keeper/files"
sys.path.insert(0, str(PROGRAM))
from registry_keeper import settings
from registry_keeper.errors import USAGE, KeeperError
from registry_keeper.report import Report
from registry_keeper.storage import layout

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param([], "must be an object", id="no object"),
        pytest.param({"instance": "registry"}, "storage: is missing", id="no storage"),
        pytest.param({"instance": "registry", "storage": "here"}, "storage: must be", id="relative storage"),
        pytest.param({"instance": "registry", "storage": "/s", "freeze_file": "read-only"}, "freeze_file: must be", id="relative file"),
        pytest.param({"instance": "registry", "storage": "/s", "redsi": None}, "redsi: there is no such setting", id="misspelt"),
        pytest.param({"instance": "registry", "storage": "/s", "redis": {"host": "h", "port": 0}}, "redis.port: must be", id="wrong port"),
        pytest.param({"instance": "registry", "storage": "/s", "redis": {"host": "h", "prot": 1}}, "redis.prot: there is no", id="misspelt inside"),
    ],
)
def test_wrong_settings_are_refused_by_name(document, message):
    with pytest.raises(KeeperError, match=message) as caught:
        settings.parse(document)
    assert caught.value.status == USAGE


def test_somebody_who_may_not_read_the_settings_is_told_to_be_root(monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(KeeperError, match="registry.json: Permission denied; run registry-keeper as root") as caught:
        settings.load("/etc/registry-keeper/registry.json")
    assert caught.value.status == USAGE


def test_settings_show_no_password():
    parsed = settings.parse({"instance": "a", "storage": "/s", "redis": {"host": "h", "port": 1, "password": "hidden words"}})
    assert parsed.redis.password == "hidden words" and "hidden" not in repr(parsed)


def test_a_digest_survives_its_compact_form():
    for digest in (DIGEST, "sha512:" + "01" * 64):
        assert layout.digest_of(layout.key_of(digest)) == digest


def test_walks_find_nested_repositories_and_pass_over_broken_links(tmp_path):
    tree = layout.Layout(str(tmp_path))
    for repository in ("a", "a/b/c"):
        os.makedirs(tree.tag(repository, "good") + "/current")
        pathlib.Path(tree.tag(repository, "good"), "current/link").write_text(DIGEST)
        os.makedirs(tree.tag(repository, "empty") + "/current")
        pathlib.Path(tree.tag(repository, "empty"), "current/link").touch()
    assert list(tree.walk_repositories()) == ["a", "a/b/c"]
    assert list(tree.walk_tags("a/b/c")) == [("empty", None), ("good", DIGEST)]
    assert list(tree.walk_tags("missing")) == []


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("streams", [(1,), (2,), (1, 2)])
def test_a_reader_that_has_gone_ends_no_run(tmp_path, as_json, streams):
    """As head, a pager that is left, or a terminal that was closed."""
    said = "for line in range(3): report.say('a line'); report.warn('a warning')"
    program = f"from registry_keeper.report import Report\nreport = Report({as_json})\n{said}\nreport.finish('collect', 0, {str(tmp_path)!r})"
    reading, writing = os.pipe()
    os.close(reading)
    pipes = {name: writing if number in streams else subprocess.PIPE for number, name in ((1, "stdout"), (2, "stderr"))}
    ended = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(PROGRAM)}, check=False, **pipes)
    os.close(writing)
    assert ended.returncode == 0 and b"Broken" not in (ended.stderr or b"")
    assert len(json.loads((tmp_path / "status/collect.json").read_text())["warnings"]) == 3
    if streams == (2,):
        assert ended.stdout


def test_the_document_is_printed_and_kept(tmp_path):
    out = io.StringIO()
    report = Report(as_json=True, out=out, err=io.StringIO())
    report.say("not in JSON")
    report.warn("look at it")
    report.add(freed=5)
    report.finish("collect", 3, str(tmp_path))
    printed, kept = json.loads(out.getvalue()), json.loads((tmp_path / "status/collect.json").read_text())
    assert printed == kept and printed["freed"] == 5 and printed["warnings"] == ["look at it"] and printed["exit_status"] == 3
