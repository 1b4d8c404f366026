# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that every program says who wrote it and under which license; with --write, add that where it is missing.

REUSE.toml says it of all other files, and `reuse lint` checks that no file says anything else.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
HEADER = """\
# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
COPYRIGHT, LICENSE = HEADER.splitlines()[:2]


def programs() -> list[pathlib.Path]:
    """Python and shell, whether or not the name says so. Templates are left out: a comment of theirs would go into what they make."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name and not name.endswith(".j2")]
    return [path for path in files if path.is_file() and not path.is_symlink() and (path.suffix in (".py", ".sh") or path.read_bytes().startswith(b"#!"))]


def lacks_header(text: str) -> bool:
    lines = text.splitlines()[:5]
    return bool(text) and not (COPYRIGHT in lines and LICENSE in lines)


def with_header(text: str) -> str:
    """The header on top, or behind the line that names the interpreter."""
    first, rest = text.split("\n", 1) if text.startswith("#!") else ("", text)
    return f"{first}\n{HEADER}{rest}" if first else HEADER + rest


def main() -> int:
    missing = [path for path in programs() if lacks_header(path.read_text(encoding="utf-8"))]
    for path in missing:
        if "--write" in sys.argv[1:]:
            path.write_text(with_header(path.read_text(encoding="utf-8")), encoding="utf-8")
        else:
            print(f"{path.relative_to(ROOT)}: the first lines lack the license; add it with: python tests/license_headers.py --write")
    return 1 if missing and "--write" not in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
