# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole module with made-up input: plans for files compared with a simple model, and what nobody should pass."""

from __future__ import annotations

import os
import tempfile

import pytest
from ansible_collections.holdfast.registry.plugins.modules import htpasswd

bcrypt = pytest.importorskip("bcrypt")
pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ONE, TWO = "correct horse", "correct horse 2"
# What the files consist of: hashes made by bcrypt itself and by other tools, with their password, scheme and cost.
HASHES = {
    "$2y$04$2/VlrMyrRj/85rvYSi7cSeA5iYwoGEPzz9E1dRFsBm19AA1YR9fp.": (ONE, "bcrypt", 4),
    "$2b$05$KuQGPK9HHQH2JpWQ0kt4G.mxHDI4Qi7dRt1K5wxH29FhB4GeZthBG": (TWO, "bcrypt", 5),
    "$6$oWH8ozir79bRVjC9$sIXKFgOuoiCAFYg4C774e0XHnv7nxw0DBmhBOWdycFFDlDQluTe1EyKdZHiFuQBose2oSu3rPIsW6yicXIUyE.": (ONE, "sha512-crypt", 5000),
    "$6$rounds=1000$e6vH5M9xm8O/apvt$pBcU3jE8y3U31G901hq4Q5HDUKxpdUQ77RNWRrPYPw.QBf.p7iaX3CdM724R.SPmFzGvyMsZPi7hiY3vJx.Bm.": (TWO, "sha512-crypt", 1000),
    "$apr1$TvoBTwCW$fLVnU5v7QKgbYfLbBIWiC/": (ONE, "apr1", 0),
    "{SHA}wdQUbo1KQkcsUZOoE8RWUQyhjXw=": (TWO, "sha1", 0),
    "plain": (None, "unknown", 0),
}
READY = [ready for ready, (_password, scheme, _cost) in HASHES.items() if scheme not in ("sha1", "unknown")]
NAMES = ["alice", "bob", "bob b", "ä", "-n"]
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

texts = st.sampled_from(["", "   ", "# comment", "#alice:$apr1$x", "  # indented"])
entries = st.builds(
    lambda name, hashed, rest: f"{name}:{hashed}{rest}", st.sampled_from(NAMES), st.sampled_from(list(HASHES)), st.sampled_from(["", "", ":note", ":a:b"])
)
secrets = st.one_of(
    st.builds(lambda password: {"password": password}, st.sampled_from([ONE, TWO])),
    st.builds(lambda ready: {"password_hash": ready}, st.sampled_from(READY)),
    st.just({"state": "absent"}),
)
plans = st.dictionaries(st.sampled_from(NAMES), secrets).map(lambda chosen: [{"name": name, **secret} for name, secret in chosen.items()])
policies = st.fixed_dictionaries(
    {
        "exclusive": st.booleans(),
        "update_password": st.sampled_from(["always", "on_create"]),
        "bcrypt_cost": st.sampled_from([4, 5]),
        "backup": st.booleans(),
    }
)


def stays(user, hashed, policy):
    """Whether the entry of a listed user stays as it is."""
    if policy["update_password"] == "on_create":
        return True
    if "password_hash" in user:
        return user["password_hash"].replace("$2b$", "$2y$") == hashed.replace("$2b$", "$2y$")
    password, scheme, cost = HASHES[hashed]
    return (password, scheme) == (user["password"], "bcrypt") and cost >= policy["bcrypt_cost"]


def model(lines, users, policy):
    """The file after a run: lines that must be there as they are, and (user, rest of the line) where the hash is a new one."""
    listed = {user["name"]: user for user in users}
    result, seen = [], set()
    for line in lines:
        name, _colon, value = line.partition(":")
        if not line.strip() or line.lstrip().startswith("#"):
            result.append(line)
        elif name not in seen:
            seen.add(name)
            user = listed.get(name)
            hashed, _colon, _rest = value.partition(":")
            if user is None:
                result += [] if policy["exclusive"] else [line]
            elif "state" not in user:
                result.append(line if stays(user, hashed, policy) else (user, value[len(hashed) :]))
    return result + [(user, "") for user in users if "state" not in user and user["name"] not in seen]


def assert_as_foretold(content, expected, policy):
    lines = content.split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(expected)
    for line, wanted in zip(lines, expected):
        if isinstance(wanted, str):
            assert line == wanted
            continue
        user, rest = wanted
        assert line.startswith(user["name"] + ":")
        hashed = line[len(user["name"]) + 1 : len(line) - len(rest)]
        assert line.endswith(rest)
        if "password_hash" in user:
            assert hashed == user["password_hash"]
        else:
            assert hashed.startswith(f"$2y$0{policy['bcrypt_cost']}$")
            assert bcrypt.checkpw(user["password"].encode(), hashed.encode())


def tree(directory):
    result = {}
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), "rb") as handle:
            result[name] = handle.read()
    return result


@QUICK
@given(lines=st.lists(st.one_of(texts, entries, entries), max_size=7), users=plans, policy=policies)
def test_any_plan_for_any_file_does_what_the_model_and_check_mode_say_and_then_nothing(run, lines, users, policy):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "htpasswd")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write("".join(line + "\n" for line in lines))
        os.chmod(path, 0o640)
        old = tree(directory)
        arguments = {"path": path, "users": users, **policy}

        forecast = run(htpasswd, check=True, **arguments)
        assert tree(directory) == old
        result = run(htpasswd, **arguments)
        assert not result.get("failed"), result
        for key in ("changed", "added", "updated", "removed", "reasons", "file_changes", "diff"):
            assert result[key] == forecast[key]

        new = tree(directory)
        assert_as_foretold(new["htpasswd"].decode(), model(lines, users, policy), policy)
        assert result["changed"] is (new["htpasswd"] != old["htpasswd"])
        assert ("backup_file" in result) is (policy["backup"] and result["changed"])
        if "backup_file" in result:
            assert new[os.path.basename(result["backup_file"])] == old["htpasswd"]

        again = run(htpasswd, **arguments)
        assert (again["changed"], again["reasons"], again["file_changes"]) == (False, {}, [])
        assert tree(directory) == new


# --- what nobody should pass

bytes_like_a_file = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.one_of(
            st.sampled_from([*NAMES, *HASHES, ":", "\n", "\r\n", " ", "#", "$2y$", "$6$", "$apr1$", "{SHA}", "\0"]).map(str.encode), st.binary(max_size=3)
        ),
        max_size=12,
    ).map(b"".join),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from([*NAMES, *HASHES, ONE]),
)
anything = st.recursive(scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)), max_leaves=6)
keys = st.sampled_from(["name", "name", "password", "password_hash", "state", "passwrd"])
odd_users = st.one_of(anything, st.lists(st.one_of(anything, st.dictionaries(keys, st.one_of(scalars, scalars, anything), max_size=4)), max_size=3))
odd_parameters = st.dictionaries(
    st.sampled_from(["mode", "owner", "group", "scheme", "bcrypt_cost", "update_password", "exclusive", "backup", "path", "nonsense"]), anything, max_size=2
)


@QUICK
@given(content=bytes_like_a_file, users=st.one_of(plans, odd_users), parameters=st.one_of(st.just({}), odd_parameters), check=st.booleans())
def test_whatever_is_passed_the_answer_is_a_message_or_success_and_never_a_traceback(run, content, users, parameters, check):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "htpasswd")
        with open(path, "wb") as handle:
            handle.write(content)
        arguments = {"path": path, "users": users, "bcrypt_cost": 4, **parameters}
        if "path" in parameters:
            arguments["path"] = os.path.join(directory, str(parameters["path"]).replace("/", ""))
        result = run(htpasswd, check=check, **arguments)
        assert ("msg" in result) is bool(result.get("failed"))
        assert "Traceback" not in str(result)
        if result.get("failed") or check:
            assert tree(directory).pop("htpasswd") == content
