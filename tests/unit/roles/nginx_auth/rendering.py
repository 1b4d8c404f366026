# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The gateway's configuration as the role writes it, made without Ansible, and what its maps say of a request."""

from __future__ import annotations

import functools
import pathlib
import re
import typing as t

import jinja2
import jinja2.nativetypes
import yaml
from ansible_collections.holdfast.registry.plugins.filter.gateway import gateway

ROLE = pathlib.Path(__file__).parents[4] / "roles/nginx_auth"
TEMPLATES = ROLE / "templates/configuration"
REQUIRED = {
    "nginx_auth_server_name": "registry.example.org",
    "nginx_auth_certificate": "/etc/ssl/r.crt",
    "nginx_auth_certificate_key": "/etc/ssl/r.key",
    "nginx_auth_users": [{"name": "alice"}, {"name": "bob"}],
    "ansible_managed": "managed",
    "ansible_facts": {"memtotal_mb": 1024, "all_ipv6_addresses": []},
    "__nginx_auth_packages": {"versions": {"nginx": "1.26.3-3"}},
}


def rendered(**settings: t.Any) -> dict[str, str]:
    """Each file of the configuration, by its name, with these variables of the role."""
    variables = _variables(settings)
    return {name[: -len(".j2")]: template.render(variables) for name, template in _templates().items()}


def unit(name: str, **settings: t.Any) -> str:
    """A unit of the role, with these variables of it."""
    return _environment(ROLE / "templates/units").get_template(f"{name}.j2").render(_variables(settings))


def _variables(settings: dict[str, t.Any]) -> dict[str, t.Any]:
    variables = {**_written(ROLE / "defaults/main.yml"), **_written(ROLE / "vars/main.yml"), **REQUIRED, **settings}
    variables["__nginx_auth_gateway"] = _value(variables["__nginx_auth_resolved"], variables)
    return variables


# Most tests render all files once. To read and compile them takes far longer than that, so this is done once. Nothing changes what it gives.


@functools.cache
def _written(path: pathlib.Path) -> dict[str, t.Any]:
    return yaml.safe_load(path.read_text())


@functools.cache
def _templates() -> dict[str, jinja2.Template]:
    environment = _environment(TEMPLATES)
    return {path.name: environment.get_template(path.name) for path in TEMPLATES.glob("*.conf.j2")}


@functools.cache
def _environment(directory: pathlib.Path) -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(directory)
    environment = jinja2.Environment(loader=loader, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    _know_ansible(environment)
    return environment


@functools.cache
def _expression(written: str) -> jinja2.Template:
    environment = jinja2.nativetypes.NativeEnvironment(undefined=jinja2.StrictUndefined)
    _know_ansible(environment)
    return environment.from_string(written)


class _Context(jinja2.runtime.Context):
    """Variables that may be made of others."""

    def resolve_or_missing(self, key: str) -> t.Any:
        return _value(super().resolve_or_missing(key), self.get_all())


def _value(written: t.Any, variables: t.Mapping[str, t.Any]) -> t.Any:
    if isinstance(written, dict):
        return {key: _value(value, variables) for key, value in written.items()}
    if isinstance(written, list):
        return [_value(value, variables) for value in written]
    if not isinstance(written, str) or "{{" not in written:
        return written
    return _expression(written).render(variables)


def _know_ansible(environment: jinja2.Environment) -> None:
    """What the templates use of Ansible's."""
    environment.context_class = _Context
    environment.filters["holdfast.registry.gateway"] = gateway
    environment.filters["bool"] = bool
    environment.filters["length"] = lambda items: len(list(items))
    environment.filters["flatten"] = lambda lists: [item for items in lists for item in items]
    environment.filters["regex_replace"] = lambda text, pattern, replacement: re.sub(pattern, replacement, text)
    environment.filters["regex_escape"] = re.escape
    environment.filters["regex_search"] = lambda text, pattern: (re.search(pattern, text) or [""])[0]
    environment.filters["ternary"] = lambda condition, one, other: one if condition else other
    environment.filters["basename"] = lambda path: pathlib.Path(path).name
    environment.filters["dirname"] = lambda path: str(pathlib.Path(path).parent)
    environment.tests["version"] = lambda one, other, operator: (_numbers(one) < _numbers(other)) == (operator == "<")
    environment.tests["match"] = lambda text, pattern: bool(re.match(pattern, text))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


class Nginx:
    """What nginx would make of a request, as far as maps and what servers set are concerned."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        written = "".join(files[name] for name in ("what-is-asked.conf", "who-is-it.conf", "may-they.conf", "registries.conf"))
        written = written.replace("    include rules.conf;\n", files["rules.conf"])
        maps = re.findall(r'^map (".*?"|\S+) \$(\w+) \{\n(.*?)^\}', written, re.MULTILINE | re.DOTALL)
        self._maps = {name: (source, _lines(lines)) for source, name, lines in maps}
        # by their ports
        self._servers = dict(re.findall(r"^server \{\n    listen (\d+)(.*?)^\}", files["registries.conf"], re.MULTILINE | re.DOTALL))

    def __call__(self, wanted: str, **variables: str) -> str:
        """The value of a variable, where the others have these values."""
        if wanted in variables or wanted not in self._maps:
            return variables.get(wanted, "")
        source, lines = self._maps[wanted]
        text = self._filled(source.strip('"'), variables)
        for pattern, value in sorted(lines, key=lambda line: line[0].startswith("~")):
            if pattern.startswith("~"):
                found = re.search(_python(pattern[1:]), text)
                if found:
                    return self._filled(value, {**variables, **{name: group or "" for name, group in found.groupdict().items()}})
            elif pattern != "default" and pattern.lower() == text.lower():
                return self._filled(value, variables)
        return self._filled(dict(lines).get("default", ""), variables)

    def _filled(self, text: str, variables: dict[str, str]) -> str:
        return re.sub(r"\$(\w+)", lambda match: self(match[1], **variables), text)

    def sets(self, port: str, **variables: str) -> dict[str, str]:
        """What the server at a port sets for a request, and the path that its locations see."""
        found = dict(variables)
        for name, value in re.findall(r"^    set \$(\w+)\s+(.*);$", self._servers[port], re.MULTILINE):
            found[name] = self._filled(value.strip("'"), found)
        rewrite = re.search(r'if \(\$(\w+)\) \{\s+rewrite "(.*)" (.*);', self._servers[port])
        if rewrite and self(rewrite[1], **found):
            path = re.search(_python(rewrite[2]), found["uri"])
            assert path
            found["path"] = self._filled(rewrite[3], {**found, **path.groupdict()})
        return {"path": found["uri"], **found}


def _lines(text: str) -> list[tuple[str, str]]:
    """The lines of a map. Several may stand in one."""
    found = re.findall(r'("(?:\\.|[^"\\])*"|[^\s;"]+)\s+("(?:\\.|[^"\\])*"|[^\s;"]*);', re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE))
    return [(pattern.strip('"'), value.strip('"')) for pattern, value in found]


def _python(pcre: str) -> str:
    # nginx reads \\ in quotes as one backslash
    text = pcre.replace("\\\\", "\\").replace(r"\z", r"\Z").replace("(?<", "(?P<").replace("(?P<!", "(?<!").replace("(?>", "(?:")
    return re.sub(r"\\k<(\w+)>", r"(?P=\1)", text)
