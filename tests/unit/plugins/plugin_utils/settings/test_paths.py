# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Directories that people write in more than one way, as the playbook and the roles pass them on."""

from __future__ import annotations

import os
import pathlib
import re

import jinja2
import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[5]
WIRING = ROOT / "playbooks/site_wiring/vars/main.yml"
ACME = ROOT / "roles/acme/vars/main.yml"


def rendered(file, *names, **variables):
    written = yaml.safe_load(file.read_text())
    for name in names:
        written = written[name]
    jinja = jinja2.Environment(undefined=jinja2.ChainableUndefined)
    jinja.filters["regex_replace"] = lambda text, pattern, by: re.sub(pattern, by, text)
    jinja.filters["expanduser"] = os.path.expanduser
    jinja.tests["ansible.builtin.abs"] = os.path.isabs
    return jinja.from_string(written).render(lookup=lambda _plugin, name: os.environ.get(name, ""), **variables)


@pytest.mark.parametrize("given", ["/etc/ssl/own", "/etc/ssl/own/"])
def test_a_slash_at_the_end_makes_no_other_path(given):
    host = {"pki_directory": given, "acme_directory": given}
    known = {"hostvars": {"server": host}, "holdfast_server": "server"}
    assert rendered(WIRING, "holdfast_pki_directory", **known) == "/etc/ssl/own"
    assert rendered(WIRING, "holdfast_certificate_directory", holdfast_source="acme", **known) == "/etc/ssl/own"
    for what, path in (("certificate", "/etc/ssl/own/registry.crt"), ("key", "/etc/ssl/own/registry.key")):
        assert rendered(ACME, "__acme_settings", what, acme_directory=given) == path


def test_generated_passwords_may_be_in_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    assert rendered(WIRING, "holdfast_secrets", holdfast_secrets_directory="~/secrets") == "/home/alice/secrets"


@pytest.mark.parametrize(
    ("data", "directory"),
    [
        ("/srv/data", "/srv/data"),
        # The XDG Base Directory Specification has programs ignore a relative path.
        ("data", "/home/alice/.local/share"),
        ("./data", "/home/alice/.local/share"),
        ("", "/home/alice/.local/share"),
        (None, "/home/alice/.local/share"),
    ],
)
def test_otherwise_they_are_in_the_directory_for_data_of_users(monkeypatch, data, directory):
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    if data is not None:
        monkeypatch.setenv("XDG_DATA_HOME", data)
    assert rendered(WIRING, "holdfast_secrets", holdfast_server_name="r.example.org") == f"{directory}/holdfast-registry/r.example.org"
