# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's configuration. The sources are the Markdown pages as they are in the repository, and the reference that docs/site/build generates."""

from __future__ import annotations

import pathlib
import zlib

HERE = pathlib.Path(__file__).parent

project = "holdfast.registry"
html_title = project
copyright = "holdfast.registry contributors"
extensions = ["myst_parser", "sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
root_doc = "docs/site/index"

# Anchors as on GitHub, so that a link works there and here.
myst_heading_anchors = 4
# JSON with "..." in it and the like: such a block is set without colours.
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "text"


def inventory_of_ansible() -> str:
    """Write what intersphinx would download from docs.ansible.com, for the few labels that are used: the build needs no network."""
    lines = [line.split() for line in (HERE / "ansible-labels.txt").read_text().splitlines() if line and not line.startswith("#")]
    head = b"# Sphinx inventory version 2\n# Project: ansible\n# Version: latest\n# The remainder of this file is compressed using zlib.\n"
    path = HERE.parents[1] / ".cache/docs/ansible.inv"
    path.write_bytes(head + zlib.compress("".join(f"{label} std:label -1 {page} -\n" for label, page in lines).encode()))
    return str(path)


intersphinx_mapping = {"ansible": ("https://docs.ansible.com/ansible/latest/", inventory_of_ansible())}

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["root"]
html_copy_source = False
html_theme_options = {"footer_icons": [], "source_repository": "https://github.com/holdfast/registry/", "source_branch": "main", "source_directory": ""}
