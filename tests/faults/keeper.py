# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kill registry-keeper at its changes to the disk and between them, let a client push meanwhile, and see that no image is lost.

After each kill every tagged image is whole, before anything else runs. Then a client pushes an image that the run was taking, the next
run finishes, everything that a tag names is whole, what none names has gone, and an undo of all runs gives every file back.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "unit/roles/keeper"))
from trees import PROGRAM, Storage

DAY = 86400
# Runs the program, and kills it with its children before its n-th change to the disk. Without n it prints how many there are.
DRIVER = """
import os, signal, sys
limit, count, first = int(sys.argv.pop(1)), 0, os.getpid()
changing = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.utime", "shutil.rmtree"}
def hook(event, arguments):
    global count
    if event in changing or event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        if os.getpid() == first:
            count += 1
            if count == limit:
                os.killpg(0, signal.SIGKILL)
sys.addaudithook(hook)
from registry_keeper.main import main
status = main()
print(count, file=sys.stderr)
sys.exit(status)
"""


class Tally(t.NamedTuple):
    """The kills, and how many of them met the quarantine empty, complete, or in between; and what went wrong."""

    kills: int
    before: int
    after: int
    between: int
    problems: list[str]


class Scene:
    """A storage with images that stay and images that go."""

    def __init__(self, directory: pathlib.Path, chance: random.Random) -> None:
        self.directory, self.chance = directory, chance
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.storage = Storage(str(directory / "storage"))
        self.kept: list[tuple[str, str]] = []
        self.gone: list[tuple[str, str]] = []
        for repository in ("a", "b/c"):
            shared = [b"a layer that both have", f"one of {repository}".encode()]
            self.storage.image(repository, f"{repository} kept", "kept", shared=shared)
            children = [self.storage.image(repository, f"{repository} child {number}", shared=shared) for number in range(2)]
            self.storage.index(repository, children, "multi")
            self.storage.image(repository, "signature", children[0].replace(":", "-") + ".sig")
            for number in range(2):
                self.gone.append((repository, self.storage.image(repository, f"{repository} gone {number}", shared=shared[:1])))
            gone = self.storage.index(repository, [self.storage.image(repository, f"{repository} gone child")])
            self.gone.append((repository, gone))
        self.kept = self.storage.tags()
        self.storage.age(2 * DAY)
        (directory / "access.log").touch()
        self.settings(7 * DAY)

    def settings(self, undo_seconds: float) -> None:
        collect = {"grace_seconds": DAY, "settle_seconds": 0, "undo_seconds": undo_seconds, "memory_cache": False}
        document = {"instance": "registry", "storage": self.storage.path, "collect": collect, "access_logs": [str(self.directory / "access.log")]}
        (self.directory / "settings.json").write_text(json.dumps(document))

    def run(self, *arguments: str, limit: int = 0, seconds: float = 0.0) -> tuple[int, int]:
        """Run the program, killed or not. Its exit status (-9 where killed), and how often it changed the disk."""
        command = [sys.executable, "-c", DRIVER, str(limit), "--settings", str(self.directory / "settings.json"), "--json", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(PROGRAM)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            try:
                _out, errors = process.communicate(timeout=seconds or 60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return (-9, 0) if seconds else (1, 0)
        last = errors.strip().splitlines()[-1:] or ["0"]
        return process.returncode, int(last[0]) if last[0].isdigit() else 0

    def runs(self) -> list[str]:
        try:
            return sorted(os.listdir(self.directory / "storage/keeper/runs"))
        except FileNotFoundError:
            return []

    def quarantined(self) -> int:
        return sum(1 for path in (self.directory / "storage/keeper").rglob("*") if path.is_file() and "tree" in path.parts)

    def whole(self) -> list[str]:
        return [problem for repository, tag in self.kept if (problem := self.storage.pull(repository, tag))]

    def push_again(self, repository: str, digest: str, tag: str, content: dict[str, bytes]) -> None:
        """What a client does: asks for each layer, uploads what it is told is not there, then the manifest and the tag."""
        self._manifest(repository, digest, content)
        self.storage.tag(repository, tag, digest)
        self.kept.append((repository, tag))

    def _manifest(self, repository: str, digest: str, content: dict[str, bytes]) -> None:
        document = json.loads(content[digest])
        for child in document.get("manifests", ()):
            self._manifest(repository, child["digest"], content)
        for layer in [*([document["config"]] if "config" in document else []), *document.get("layers", ())]:
            tree = self.storage.tree
            if os.path.exists(tree.layer(repository, layer["digest"]) + "/link") and os.path.exists(tree.data(layer["digest"])):
                moment = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
                line = {"time": moment, "method": "HEAD", "path": f"/v2/{repository}/blobs/{layer['digest']}", "status": 200}
                with open(self.directory / "access.log", "a") as log:
                    log.write(json.dumps(line, separators=(",", ":")) + "\n")
            else:
                self.storage.layer(repository, content[layer["digest"]])
        self.storage.manifest(repository, document)


def kill_often(count: int, directory: pathlib.Path, chance: random.Random) -> Tally:
    """Kill each command in turn."""
    problems: list[str] = []
    where = [0, 0, 0]
    changes: dict[str, int] = {}
    done = 0
    while done < count:
        command = ("collect", "collect", "undo", "purge")[done % 4]
        scene = Scene(directory, chance)
        original = scene.storage.files()
        content = {"sha256:" + path.split("/")[-2]: data for path, data in original.items() if path.startswith("blobs/")}
        arguments = [command]
        if command != "collect":
            scene.run("collect")
            arguments = [command, *scene.runs()]
        full = scene.quarantined()
        if command not in changes:
            # Once whole, on a scene that is then made anew.
            changes[command] = scene.run(*arguments)[1]
            continue
        if chance.random() < 1 / 4:
            status, _count = scene.run(*arguments, seconds=chance.uniform(0.05, 0.4))
        else:
            status, _count = scene.run(*arguments, limit=chance.randint(1, changes[command]))
        if status != -signal.SIGKILL:
            continue
        done += 1
        now = scene.quarantined()
        where[0 if now == 0 else 1 if now == full or (not full and now >= 30) else 2] += 1
        found = scene.whole()
        again = chance.choice(scene.gone)
        if chance.random() < 1 / 2 and command != "purge":
            scene.push_again(*again, "again", content)
        found += finish(scene, command, arguments, original)
        problems += [f"registry-keeper, kill {done} of {command}: {problem}" for problem in found]
    return Tally(done, *where, problems)


def finish(scene: Scene, command: str, arguments: list[str], original: dict[str, bytes]) -> list[str]:
    """The runs after a kill, and what is wrong then."""
    problems = []
    if command == "undo" and scene.runs() and scene.run("undo", *scene.runs())[0]:
        problems.append("the second undo fails")
    status, _count = scene.run("collect")
    if status:
        problems.append(f"the next collection ends with {status}")
    problems += scene.whole()
    if command == "purge":
        scene.settings(0)
        if scene.run("purge")[0] or scene.quarantined():
            problems.append("the next purge does not finish")
        return problems + scene.whole()
    named = set(scene.kept)
    for repository, digest in scene.gone:
        if (repository, "again") not in named and command == "collect" and scene.storage.pull(repository, digest) is None:
            problems.append(f"{repository}@{digest} is still there")
    for run in scene.runs():
        if scene.run("undo", run)[0]:
            problems.append(f"undo of {run} fails")
    files = scene.storage.files()
    problems += [f"{path} is lost" for path in original if files.get(path) != original[path]]
    return problems + scene.whole()
