# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The time of `registry-keeper backup` beside a plain `restic backup` of the same directory: the first run, and one without changes.

It runs on this machine, with the restic that is installed, in a directory that needs three times the size. The plain restic copies the
storage as it is, links included, and promises nothing about images that are pushed meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = CHECKOUT / "roles/keeper/files"
_LAYERS = 8  # of each image
_KEPT = '{"last": 3}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=20_000, metavar="N", help="size of the storage (%(default)s)")
    parser.add_argument("--layer-kilobytes", type=int, default=4_000, metavar="N", help="size of a layer (%(default)s)")
    parser.add_argument("--directory", type=pathlib.Path, default=CHECKOUT / ".cache/bench", help="where to work (%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, default=CHECKOUT / ".cache/bench/backup.json", metavar="FILE", help="where the figures go (%(default)s)")
    options = parser.parse_args()
    if shutil.which("restic") is None:
        sys.exit("restic is not installed: apt-get install restic")
    options.directory.mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(options.directory).free / 1e6
    if room < 3.2 * options.megabytes:
        sys.exit(f"{options.directory} has room for {room:.0f} MB, and {3.2 * options.megabytes:.0f} are needed; say --megabytes or --directory")
    load_before = os.getloadavg()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        figures = measure(pathlib.Path(directory), options.megabytes, options.layer_kilobytes)
    figures["load before"] = load_before
    figures["restic"] = subprocess.run(["restic", "version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[1]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    show(figures)
    print(f"\n{options.json}")


def measure(directory: pathlib.Path, megabytes: int, layer_kilobytes: int) -> dict[str, t.Any]:
    """Both contenders, in turns. Times are in seconds."""
    storage = directory / "storage"
    facts = make_storage(storage, megabytes * 1_000_000, layer_kilobytes * 1000)
    (directory / "backup").mkdir()
    (directory / "backup/password").write_text("a password of the bench\n")
    settings = {
        "host": "bench",
        "repository": str(directory / "of-the-keeper"),
        "instances": [{"name": "registry", "storage": str(storage)}],
        "keep": json.loads(_KEPT),
        "prune_days": 0,
        "check_days": 0,
        "state": str(directory / "state"),
    }
    (directory / "backup/settings.json").write_text(json.dumps(settings))
    keeper = [sys.executable, "-m", "registry_keeper", "backup", "--backup-settings", str(directory / "backup")]
    plain = ["restic", "--repo", str(directory / "plain"), "--password-file", str(directory / "backup/password"), "--cache-dir", str(directory / "cache")]
    subprocess.run([*plain, "init", "--quiet"], check=True)
    times: dict[str, dict[str, float]] = {"first": {}, "unchanged": {}}
    for row, contenders in times.items():
        contenders["plain restic"] = timed([*plain, "backup", "--quiet", str(storage / "docker")])
        contenders["registry-keeper"] = timed(keeper)
        print(f"{row}: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in contenders.items())}", flush=True)
    times["unchanged again"] = {
        "plain restic": timed([*plain, "backup", "--quiet", str(storage / "docker")]),
        "registry-keeper": timed(keeper),
    }
    return {**facts, "seconds": times}


def timed(command: list[str]) -> float:
    os.sync()
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(PROGRAM), "PYTHONDONTWRITEBYTECODE": "1"})
    return time.monotonic() - began


def make_storage(path: pathlib.Path, size: int, layer: int) -> dict[str, int]:
    """Images of random bytes, which restic can neither compress nor find twice."""
    source = random.Random(1)
    root = path / "docker/registry/v2"
    images = max(size // (layer * _LAYERS), 1)
    for number in range(images):
        repository = root / f"repositories/team-{number % 20}/app-{number % 200}"
        digests = [_blob(root, source.randbytes(layer)) for _index in range(_LAYERS)]
        manifest = _blob(root, json.dumps({"schemaVersion": 2, "layers": [{"digest": digest} for digest in digests]}).encode())
        for digest in digests:
            _link(repository / "_layers" / digest.replace(":", "/"), digest)
        _link(repository / "_manifests/revisions" / manifest.replace(":", "/"), manifest)
        _link(repository / f"_manifests/tags/{number}/current", manifest)
        _link(repository / f"_manifests/tags/{number}/index" / manifest.replace(":", "/"), manifest)
    return {"bytes": images * layer * _LAYERS, "images": images, "blobs": images * (_LAYERS + 1)}


def _blob(root: pathlib.Path, content: bytes) -> str:
    name = hashlib.sha256(content).hexdigest()
    directory = root / "blobs/sha256" / name[:2] / name
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "data").write_bytes(content)
    return f"sha256:{name}"


def _link(directory: pathlib.Path, digest: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "link").write_text(digest)


def show(figures: t.Mapping[str, t.Any]) -> None:
    print(f"\n{figures['bytes'] / 1e9:.1f} GB in {figures['blobs']} blobs, restic {figures['restic']}")
    print(f"{'run':<16} {'plain restic':>14} {'registry-keeper':>16} {'ratio':>6}")
    for row, seconds in figures["seconds"].items():
        plain, keeper = seconds["plain restic"], seconds["registry-keeper"]
        print(f"{row:<16} {plain:>12.1f} s {keeper:>14.1f} s {keeper / plain:>6.2f}")


if __name__ == "__main__":
    main()
