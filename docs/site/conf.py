# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's configuration. The sources are the Markdown pages as they are in the repository, and the reference that docs/site/build generates."""

from __future__ import annotations

project = "holdfast.registry"
author = copyright = "holdfast.registry contributors"  # noqa: A001
html_title = project
extensions = ["myst_parser", "sphinx_antsibull_ext"]
root_doc = "docs/site/index"
exclude_patterns = ["docs/site/build"]

# Anchors as on GitHub, so that a link works there and here.
myst_heading_anchors = 4
# The fences of the pages name languages that Pygments does not know on every line ("..." in JSON); such a block is set without colours.
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "text"

html_theme = "furo"
html_theme_options = {
    "source_repository": "https://github.com/holdfast/registry/",
    "source_branch": "main",
    "source_directory": "",
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
