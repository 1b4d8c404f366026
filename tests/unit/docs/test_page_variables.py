# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Variables, YAML and paths of the documentation."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import site
from ansible_collections.holdfast.registry.tests.unit.docs.pages import PAGES, ROOT, Page

yaml = pytest.importorskip("yaml")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
NAME = re.compile(r"(?<![\w./-])(?:holdfast|pki|acme|redis|registry|nginx_auth|keeper|docker_client|virtual_address)_[a-z0-9_]+(?![\w/-]|\.py)")
# Variables of others' roles, which docs/migration.md and docs/comparison.md compare with ours.
OF_OTHERS = {"registry_storage", "registry_auth", "registry_http", "registry_redis", "registry_proxy", "registry_log"}
# Of debops, and of the benchmark's own nginx, whose name its script puts together.
PATHS_OF_OTHERS = re.compile("docker-registry-gc|holdfast-bench")
SOURCES = [
    path
    for pattern in ("roles/**/*", "plugins/**/*.py", "playbooks/**/*.yml")
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix not in (".md", ".pyc") and "__pycache__" not in path.parts
]
CODE = "\n".join(path.read_text() for path in SOURCES)


class Loader(yaml.SafeLoader):
    """Reads an inventory, with values that Ansible Vault has encrypted."""


Loader.add_constructor("!vault", lambda loader, node: loader.construct_scalar(node))


def known_variables():
    """The settings of site.yml, the variables of the roles, what playbooks read with -e, and modules whose names look alike."""
    found = set(site.SPEC) | set(site.RESULTS) | {path.stem for path in (ROOT / "plugins/modules").glob("*.py")} | {"registry_servers"}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
        found |= set(options) | {name for option in options.values() for name in option.get("options", {})}
    found |= set(re.findall(r"^ +register: ([a-z]\w+)", CODE, re.MULTILINE))  # results that a role leaves to later tasks
    # keeper_restore_...: of playbooks/restore.yml, in its first lines
    return found | set(re.findall(r"^#   (\w+) ", (ROOT / "playbooks/restore.yml").read_text(), re.MULTILINE))


KNOWN = known_variables()


def unknown_variables(page):
    """The names in code that look like variables of the collection and are none. A metric begins with registry_keeper_; NAME_... stands for several."""
    code = "\n".join([*page.fences("", "yaml", "ini", "sh"), *re.findall(r"`([^`\n]+)`", page.prose)])
    for name in sorted(set(NAME.findall(code))):
        if name.startswith("registry_keeper_") or name in OF_OTHERS and page.path.stem in ("migration", "comparison"):
            continue
        if name not in KNOWN and not (name.endswith("_") and any(one.startswith(name) for one in KNOWN)):
            yield name


def unknown_paths(page):
    """The paths of the collection that no role, module or playbook mentions. What an administrator chooses is in /srv, /home or such."""
    for path in sorted(set(re.findall(r"/(?:etc|usr/local|var|run|opt)/[\w./@-]*(?:holdfast|registry-keeper|docker-registry)[\w./@-]*", page.text))):
        directory = re.sub(r"[./]+$", "", path)
        while directory.count("/") > 2 and directory not in CODE:
            directory = directory.rpartition("/")[0]
        if directory not in CODE and not re.search(r"NAME|REGISTRY|/docker-registry-[a-z]+/", path) and not PATHS_OF_OTHERS.search(path):
            yield path


@each_page
def test_every_variable_exists(page):
    assert list(unknown_variables(page)) == []


@pytest.mark.parametrize("text", ["`holdfast_no_such_setting`", "```yaml\nnginx_auth_no_such: 1\n```", "```\nmake site ARGS='-e keeper_no_such=1'\n```"])
def test_a_variable_that_does_not_exist_is_found(text):
    assert list(unknown_variables(Page(ROOT / "page.md", f"{text}\n"))) != []


@each_page
def test_every_block_of_yaml_and_json_can_be_read(page):
    for body in page.fences("yaml"):
        yaml.load(body, Loader)
    for body in page.fences("json"):
        json.loads(body)


@each_page
def test_every_path_of_the_collection_is_one_that_the_code_uses(page):
    assert list(unknown_paths(page)) == []


def test_a_path_that_no_code_uses_is_found():
    assert list(unknown_paths(Page(ROOT / "page.md", "in `/etc/holdfast-gatway/nginx.conf`"))) != []


def fragments(message):
    """The parts of a message between what stands for anything."""
    return [part.strip() for part in message.split("...") if re.search(r"\w", part)]


def missing_messages(page):
    """The first cells of tables headed `message` of which a part is in no source. Source is compared without line ends and quotes."""
    source = re.sub(r"[\s\"\\]+", " ", re.sub(r"\"\s*\n\s*f?\"", "", CODE))
    for table in re.findall(r"^\| message \|.*\n\|.*\n((?:\|.*\n)+)", page.text, re.MULTILINE):
        for message in re.findall(r"^\| (.+?) \|", table, re.MULTILINE):
            for code in re.findall(r"`([^`]+)`", message):
                yield from (f"{code}: {part}" for part in fragments(code) if re.sub(r"[\s\"\\]+", " ", part) not in source)


def test_every_message_in_troubleshooting_is_one_that_the_code_prints():
    (page,) = [page for page in PAGES if page.path.stem == "troubleshooting"]
    assert page.text.count("| message |") >= 4
    assert list(missing_messages(page)) == []


def test_a_message_that_the_code_does_not_print_is_found():
    assert list(missing_messages(Page(ROOT / "page.md", "| message | what to do |\n| --- | --- |\n| `has no systemd as process 7` | boot |\n"))) != []


def test_every_guarantee_names_tests_that_exist():
    (readme,) = [page for page in PAGES if page.name == "README.md"]
    named = set(re.findall(r"`((?:molecule|tests)/[\w/.-]+)`", readme.text))
    assert len(named) > 20
    assert sorted(path for path in named if not (ROOT / path).exists()) == []
