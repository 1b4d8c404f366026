# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role docker_client makes of the names of registries and mirrors, whichever way they are written."""

from __future__ import annotations

import pathlib

import pytest
from ansible_collections.holdfast.registry.plugins.filter import spellings

yaml = pytest.importorskip("yaml")

jinja2 = pytest.importorskip("jinja2")
core = pytest.importorskip("ansible.plugins.filter.core")
mathstuff = pytest.importorskip("ansible.plugins.filter.mathstuff")
core_tests = pytest.importorskip("ansible.plugins.test.core")
nativetypes = pytest.importorskip("jinja2.nativetypes")

ROLE = pathlib.Path(__file__).parents[4] / "roles/docker_client"


class Context(jinja2.runtime.Context):
    """Variables that may be made of others."""

    def resolve_or_missing(self, key):
        written = super().resolve_or_missing(key)
        return self.environment.from_string(written).render(self.get_all()) if isinstance(written, str) and "{{" in written else written


def value(name, **settings):
    """A variable of the role, with these settings and what the host would have answered."""
    environment = nativetypes.NativeEnvironment(undefined=jinja2.StrictUndefined)
    environment.context_class = Context
    environment.filters.update({**mathstuff.FilterModule().filters(), **core.FilterModule().filters()})
    environment.filters.update({f"holdfast.registry.{name}": function for name, function in spellings.FilterModule().filters().items()})
    environment.tests.update(core_tests.TestModule().tests())
    written = [yaml.safe_load((ROLE / directory / "main.yml").read_text()) for directory in ("defaults", "vars")]
    nothing = {"stdout_lines": []}
    looked = {"__docker_client_looked": nothing, "__docker_client_looked_again": nothing, "__docker_client_engine": {"skipped_for": ""}}
    return environment.from_string(f"{{{{ {name} }}}}").render({**written[0], **written[1], **looked, **settings})


@pytest.mark.parametrize(
    ("registry", "former", "blocks"),
    [
        ("r.example.org", [], ["r.example.org:443"]),
        ("r.example.org:443", [], ["r.example.org"]),
        ("r.example.org:5000", [], []),
        ("[2001:db8::5]", [], ["[2001:db8::5]:443"]),
        ("r.example.org:5000", ["old.example.org", "r.example.org:6000"], ["old.example.org", "old.example.org:443", "r.example.org:6000"]),
    ],
)
def test_the_block_of_a_registry_is_found_with_and_without_the_usual_port(registry, former, blocks):
    found = value("__docker_client_former_hosts_names", docker_client_registry=registry, docker_client_former_registries=former)
    assert sorted(found) == sorted(blocks)


@pytest.mark.parametrize("upstream", ["docker.io", "Docker.io"])
def test_the_engine_is_told_the_mirror_of_docker_hub_in_whatever_case_that_is_written(upstream):
    mirrors = [{"upstream": upstream, "mirror": "m:5444"}, {"upstream": "mydocker.io", "mirror": "m:5444"}]
    found = value("__docker_client_daemon_mirrors", docker_client_registry="r", docker_client_clients=["docker"], docker_client_mirrors=mirrors)
    assert found == ["https://m:5444"]


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        ("r.example.org", "holdfast-r.example.org_443"),
        ("r.example.org:443", "holdfast-r.example.org_443"),
        ("r.example.org:5443", "holdfast-r.example.org_5443"),
        ("[2001:db8::5]", "holdfast-2001-db8--5_443"),
        ("[2001:db8::443]:5000", "holdfast-2001-db8--443_5000"),
    ],
)
def test_what_is_kept_for_a_registry_is_under_its_name_and_port(registry, name):
    assert value("__docker_client_trust_name", docker_client_registry=registry) == name


def test_a_former_registry_that_is_the_one_of_now_is_not_forgotten():
    formers = ["r.example.org:443", "r.example.org", "r.example.org:5000"]
    assert value("__docker_client_forgotten", docker_client_registry="r.example.org", docker_client_former_registries=formers) == ["r.example.org:5000"]
