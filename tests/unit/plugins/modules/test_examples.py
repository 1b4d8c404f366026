# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The EXAMPLES of every module hold parameters that it has, with values that it takes.

The integration target "examples" runs them; this finds a misspelt parameter in a second. A value that has an expression in it
stands for a valid one, since only a play knows it.
"""

from __future__ import annotations

import importlib
import pathlib

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

yaml = pytest.importorskip("yaml")

PACKAGE = "ansible_collections.holdfast.registry.plugins.modules"
DIRECTORY = pathlib.Path(__file__).parents[4] / "plugins/modules"
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.py"))
# A value of each type, for an expression in its place.
SAMPLES = {"bool": True, "int": 1, "float": 1.0, "list": [], "dict": {}, "path": "/any", "raw": "any", "str": "any"}


def parameters_of(name, monkeypatch):
    """What a module tells AnsibleModule of its parameters: their specification, and rules such as required_if."""
    module = importlib.import_module(f"{PACKAGE}.{name}")
    if name == "check_settings":  # all of it runs on the controller, with the specification of its documentation
        options = yaml.safe_load(module.DOCUMENTATION)["options"]
        return {key: {field: value for field, value in option.items() if field != "description"} for key, option in options.items()}, {}
    told = {}
    monkeypatch.setattr(module, "run", lambda work, options, *, explain=None, **rules: told.update(options=options, rules=rules))
    module.main()
    return told["options"], told["rules"]


def filled_in(value, option):
    """The value with a sample of the right type for each expression."""
    if isinstance(value, str) and "{{" in value:
        return option["choices"][0] if "choices" in option else SAMPLES[option.get("type", "str")]
    below = option.get("options", {})
    if isinstance(value, dict):
        return {key: filled_in(inner, below.get(key, {})) for key, inner in value.items()}
    if isinstance(value, list):
        element = {"type": option.get("elements", "str"), "options": below, **{key: option[key] for key in ("choices",) if key in option}}
        return [filled_in(item, element) for item in value]
    return value


def problems(arguments, options, rules):
    return ArgumentSpecValidator(options, **rules).validate(filled_in(arguments, {"options": options})).error_messages


def examples(name):
    return yaml.safe_load(importlib.import_module(f"{PACKAGE}.{name}").EXAMPLES)


@pytest.mark.parametrize("name", NAMES)
def test_its_examples_have_parameters_and_values_that_modules_take(name, monkeypatch):
    called = []
    for task in examples(name):
        for key, arguments in task.items():
            collection, module = key.rpartition(".")[::2]
            if collection == "holdfast.registry":
                called.append(module)
                assert module in NAMES, f"{task['name']}: there is no module {key}"
                assert problems(arguments or {}, *parameters_of(module, monkeypatch)) == [], task["name"]
    assert name in called, "none of its examples uses it"


@pytest.mark.parametrize("name", NAMES)
def test_each_example_has_a_name_and_one_module_by_its_full_name(name):
    for task in examples(name):
        assert task["name"][0].isupper()
        assert len([key for key in task if key.count(".") >= 2 or key == "block"]) == 1, task["name"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pathh": "/x"}, "pathh"),
        ({"users": [{"name": "alice", "passwort": "x"}]}, "passwort"),
        ({"mode": None, "users": "{{ people }}", "path": None}, "path"),
        ({"users": [{"name": "{{ who }}", "state": "gone"}]}, "state"),
    ],
    ids=["misspelt", "misspelt-below", "missing", "no-choice"],
)
def test_a_wrong_example_is_found(change, said, monkeypatch):
    arguments = {key: value for key, value in {"path": "/etc/users", "users": [], **change}.items() if value is not None}
    found = problems(arguments, *parameters_of("htpasswd", monkeypatch))
    assert len(found) == 1 and said in found[0]
