# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The EXAMPLES of every filter and test: their expressions evaluate, with what a play of a reader knows besides."""

from __future__ import annotations

import functools
import importlib
import pathlib

import pytest

yaml = pytest.importorskip("yaml")
jinja2 = pytest.importorskip("jinja2")
nativetypes = pytest.importorskip("jinja2.nativetypes")
core = pytest.importorskip("ansible.plugins.filter.core")

COLLECTION = "ansible_collections.holdfast.registry.plugins"
DIRECTORY = pathlib.Path(__file__).parents[4] / "plugins"
PLUGINS = {path.stem: path.parent.name for kind in ("filter", "test") for path in DIRECTORY.glob(f"{kind}/*.py")}
# What the examples speak of, and do not show.
KNOWN = {
    "holdfast_users": [{"name": "alice"}],
    "certificates": [{"name": "registry", "names": ["registry.example.org"]}],
    "requested": {"requests": [{"name": "registry", "csr": ""}]},
}


def loaded(name):
    return importlib.import_module(f"{COLLECTION}.{PLUGINS[name]}.{name}")


def environment(called):
    """Jinja as Ansible has it, which notes the plugins of this collection that are called."""
    made = nativetypes.NativeEnvironment(undefined=jinja2.StrictUndefined)
    made.filters.update(core.FilterModule().filters())
    for name, kind in PLUGINS.items():
        module = loaded(name)
        function = (module.FilterModule().filters() if kind == "filter" else module.TestModule().tests())[name]

        @functools.wraps(function)
        def noted(*arguments, _name=name, _function=function, **options):
            called.append(_name)
            return _function(*arguments, **options)

        (made.filters if kind == "filter" else made.tests)[f"holdfast.registry.{name}"] = noted
    return made


def evaluated(value, jinja, known):
    if isinstance(value, dict):
        return {key: evaluated(inner, jinja, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [evaluated(item, jinja, known) for item in value]
    return jinja.from_string(value).render(known) if isinstance(value, str) and "{{" in value else value


def evaluate(task):
    """What a task comes to, and the plugins of this collection that it has called."""
    called = []
    jinja = environment(called)
    known = {**KNOWN}
    for name, value in task.get("vars", {}).items():
        known[name] = evaluated(value, jinja, known)
    expressions = {"when": f"{{{{ {task['when']} }}}}"} if "when" in task else {}
    return evaluated({**task, **expressions}, jinja, known), called


@pytest.mark.parametrize("name", sorted(PLUGINS))
def test_its_examples_evaluate_and_use_it(name):
    called = []
    for task in yaml.safe_load(loaded(name).EXAMPLES):
        evaluated_task, plugins = evaluate(task)
        assert evaluated_task.get("ansible.builtin.debug", {"msg": "other tasks show nothing"})["msg"], task["name"]
        called += plugins
    assert name in called


@pytest.mark.parametrize(("old", "new"), [("sections=", "section="), ("(settings |", "(setting |"), ("registry.keepers", "registry.keeper")])
def test_a_wrong_example_is_found(old, new):
    (task,) = yaml.safe_load(loaded("keepers").EXAMPLES)
    task["ansible.builtin.debug"]["msg"] = task["ansible.builtin.debug"]["msg"].replace(old, new)
    with pytest.raises((TypeError, jinja2.TemplateError), match=new.strip("(=| ")):
        evaluate(task)
