# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of the role keeper, with which a move has to agree."""

from __future__ import annotations

import importlib
import pathlib
import sys
import typing as t


def registry_keeper(name: str) -> t.Any:
    """A module of the program."""
    place = str(pathlib.Path(__file__).parents[5] / "roles/keeper/files")
    if place not in sys.path:
        sys.path.insert(0, place)
    return importlib.import_module(f"registry_keeper.{name}")
