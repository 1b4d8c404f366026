# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all roles have."""

from __future__ import annotations

import pathlib

import pytest

yaml = pytest.importorskip("yaml")

ROOT = pathlib.Path(__file__).parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


@each_role
def test_it_says_what_it_is_for_and_where_it_runs(role):
    galaxy = yaml.safe_load((role / "meta/main.yml").read_text())["galaxy_info"]
    assert f">={galaxy['min_ansible_version']}.0" == yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]
    assert {platform["name"] for platform in galaxy["platforms"]} == {"Ubuntu", "Debian"}
    assert (role / "README.md").exists()


@each_role
def test_its_arguments_are_documented(role):
    main = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    assert main["short_description"] and main["description"]
    assert all(option["description"] for option in main["options"].values())
