# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The programs that roles write to hosts, as modules to test. They have no suffix by which Python would find them."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import pathlib
import sys
import types
import typing as t

import pytest


@contextlib.contextmanager
def loaded(path: pathlib.Path) -> t.Iterator[types.ModuleType]:
    """The program as a module, which is known by its name meanwhile: dataclasses look there."""
    loader = importlib.machinery.SourceFileLoader(path.name.replace("-", "_"), str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setitem(sys.modules, loader.name, module)
        loader.exec_module(module)
        yield module
