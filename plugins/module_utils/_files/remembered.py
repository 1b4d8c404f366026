# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What callers of a module have made, by their names, so that it can be told from what others have made and taken back."""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership

Record = dict[str, dict[str, t.Any]]


def read(path: str) -> Record:
    """The record of each caller by its name. Raises HoldfastError where the file is not one that write() has made."""
    content = whole.read_bytes(path)
    try:
        record = json.loads(content or b"{}")
    except ValueError:
        record = None
    if not isinstance(record, dict) or not all(isinstance(made, dict) for made in record.values()):
        raise HoldfastError(f"{path}: is damaged; remove it, and what is recorded in it counts as made by somebody else")
    return record


def write(path: str, record: Record) -> None:
    """Replace the record. The caller holds its lock. Names without anything are left out, and a record without names is removed."""
    kept = {name: made for name, made in record.items() if made}
    if not kept:
        whole.remove(path)
        return
    whole.make_directories(os.path.dirname(path), 0o755)
    whole.atomic_write(path, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode("ascii"), Ownership(mode=0o600))
