# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the copy: each blob and link at the target, as it was when its content was read again there and found right.

It is kept in a database, so that a run that is killed goes on where it was: what was verified is not copied again.
"""

from __future__ import annotations

import os
import sqlite3
import typing as t


class Row(t.NamedTuple):
    """digest is that of the blob, or the content of the link. source and target are the marks that both had when it was verified.

    target is empty for a link that was about to be written: it may be there or not, and it is ours.
    """

    digest: str
    source: str
    target: str


class Record:
    """The record of one copy. It is empty where the one in the file is of another source or target."""

    def __init__(self, path: str, source: str, target: str) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        os.close(handle)
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE IF NOT EXISTS of (source TEXT, target TEXT)")
        self._database.execute("CREATE TABLE IF NOT EXISTS items (path TEXT PRIMARY KEY, digest TEXT, source TEXT, target TEXT) WITHOUT ROWID")
        if self._database.execute("SELECT source, target FROM of").fetchall() != [(source, target)]:
            self._database.execute("DELETE FROM items")
            self._database.execute("DELETE FROM of")
            self._database.execute("INSERT INTO of VALUES (?, ?)", (source, target))
        self._database.commit()
        self.rows = {path: Row(*rest) for path, *rest in self._database.execute("SELECT path, digest, source, target FROM items")}

    def put(self, rows: t.Mapping[str, Row]) -> None:
        """Add or replace rows. They are on the disk when this returns."""
        self._database.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", [(path, *row) for path, row in rows.items()])
        self._database.commit()
        self.rows.update(rows)

    def drop(self, paths: t.Collection[str]) -> None:
        """Forget what is not at the target any more."""
        self._database.executemany("DELETE FROM items WHERE path = ?", [(path,) for path in paths])
        self._database.commit()
        for path in paths:
            self.rows.pop(path, None)

    def close(self) -> None:
        self._database.close()
