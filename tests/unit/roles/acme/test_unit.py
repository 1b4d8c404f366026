# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The unit of the role acme."""

from __future__ import annotations

import pathlib
import re

import jinja2
import pytest
import yaml

ROLE = pathlib.Path(__file__).parents[4] / "roles/acme"


def unit(**settings):
    jinja = jinja2.Environment(undefined=jinja2.StrictUndefined)
    jinja.filters["basename"] = lambda path: pathlib.Path(path).name
    jinja.tests["match"] = lambda text, pattern: bool(re.match(pattern, text))
    variables = {name: value for file in ("defaults", "vars") for name, value in yaml.safe_load((ROLE / file / "main.yml").read_text()).items()}
    return jinja.from_string((ROLE / "templates/units/acme.service.j2").read_text()).render({**variables, "ansible_managed": "managed", **settings})


@pytest.mark.parametrize(
    ("settings", "closed"),
    [
        ({}, True),
        ({"acme_webroot": "/srv/home/www"}, True),
        ({"acme_webroot": "/home/www"}, False),
        ({"acme_webroot": "/home/www", "acme_challenge": "dns-01", "acme_dns_hook": "/usr/local/bin/hook"}, True),
        ({"acme_challenge": "dns-01", "acme_dns_hook": "/home/dns/hook"}, False),
        ({"acme_challenge": "dns-01", "acme_dns_hook": "/usr/local/bin/hook", "acme_dns_cleanup_hook": "/home/dns/clean"}, False),
    ],
)
def test_home_directories_are_closed_to_what_asks_unless_it_needs_something_in_one(settings, closed):
    assert ("\nProtectHome=true\n" in unit(**settings)) is closed
