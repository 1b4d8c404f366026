# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images without a registry, and the images that they stand for."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import parse_endpoint

_PATH = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")


def read_short_names(given: t.Mapping[str, t.Any], parameter: str) -> dict[str, str]:
    """Check names and images. Raises HoldfastError naming the parameter and the name."""
    for name, image in given.items():
        if not _PATH.fullmatch(str(name)):
            raise HoldfastError(f"{parameter}: {name!r} is no name without a registry and a tag; use app or team/app")
        registry, slash, repository = str(image).partition("/")
        if not slash or not _PATH.fullmatch(repository) or ("." not in registry and ":" not in registry and registry != "localhost"):
            raise HoldfastError(f"{parameter}[{name!r}]: {image!r} is no image with a registry and without a tag; use registry.example.org/team/app")
        parse_endpoint(registry, parameter=f"{parameter}[{name!r}]")
    return {str(name): str(image) for name, image in given.items()}
