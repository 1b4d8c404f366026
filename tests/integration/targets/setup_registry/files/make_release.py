# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make_release.py VERSION FILE: an archive like upstream's, of the packaged registry that says it is of that version.

Writes FILE, the same whenever it is made, and as upstream does its checksum to FILE.sha256.
"""

import gzip
import hashlib
import io
import pathlib
import subprocess
import sys
import tarfile

PACKAGED = "/usr/bin/docker-registry"


def main() -> None:
    version, archive = sys.argv[1], pathlib.Path(sys.argv[2])
    said = subprocess.run([PACKAGED, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1].removeprefix("v")
    packaged = said.partition("+")[0]
    # Nothing in the program moves, so that it goes on working.
    assert len(version) == len(packaged), f"{version} is not as long as {packaged}"
    program = pathlib.Path(PACKAGED).read_bytes().replace(said.encode(), said.replace(packaged, version).encode())
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(pack({"LICENSE": b"x\n", "README.md": b"x\n", "registry": program}))
    archive.with_name(f"{archive.name}.sha256").write_text(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}\n")


def pack(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as compressed, tarfile.open(fileobj=compressed, mode="w|") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


main()
