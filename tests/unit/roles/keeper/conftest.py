# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import functools
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from keeping import Keeper
from registry_keeper import main

# To make the parser of a command takes a third of the time of a run here.
_parser = functools.cache(main.parser)
main.parser = lambda arguments: _parser(frozenset(main.COMMANDS.keys() & set(arguments)))


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # it stays who it is
    return Keeper(tmp_path)
