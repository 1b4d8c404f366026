# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole module with made-up input: sequences of calls compared with a simple model, and what nobody should pass."""

from __future__ import annotations

import itertools
import os
import pathlib
import tempfile

import pytest
from ansible_collections.holdfast.registry.plugins.modules import ca_trust
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._trust.steps import make_client, sign, snapshot

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

STORES = ["docker", "containers", "containerd"]
NAMES = ["corp", "more"]
ENDPOINTS = ["registry.example.com", "registry.example.com:5000", "[2001:db8::5]:5000"]
CAS = [sign("First")[0], sign("Second")[0], sign("Third")[0] + sign("Fourth")[0]]
KEY = sign("Fifth")[1]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

calls = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "content": st.sampled_from(CAS),
        "state": st.sampled_from(["present", "present", "absent"]),
        "stores": st.lists(st.sampled_from(STORES), min_size=1, unique=True),
        "endpoints": st.lists(st.sampled_from(ENDPOINTS), min_size=1, unique=True),
        "pair": st.sampled_from([None, None, "client", "other"]),
        "exclusive": st.booleans(),
    }
)


def arguments(directory, call):
    given = {key: value for key, value in call.items() if key != "pair"}
    given.update({f"{store}_directory": str(directory / store / "certs.d") for store in STORES})
    if call["pair"] and call["state"] == "present":
        given.update({f"client_{kind}_path": str(directory / f"tls/{call['pair']}.{end}") for kind, end in (("certificate", "crt"), ("key", "key"))})
    return {**given, "exclusive": call["exclusive"] and call["state"] == "present"}


def expect(model, call):
    """What is kept afterwards: by store, endpoint and name its certificates and pair."""
    for store in call["stores"]:
        if call["state"] == "absent":
            for endpoint in call["endpoints"]:
                model.pop((store, endpoint, call["name"]), None)
            continue
        for place in [place for place in model if place[0] == store and (place[2] == call["name"] or call["exclusive"])]:
            del model[place]
        model.update({(store, endpoint, call["name"]): (call["content"], call["pair"]) for endpoint in call["endpoints"]})


def found(directory):
    kept = {}
    for store, endpoint, name in itertools.product(STORES, ENDPOINTS, NAMES):
        path = directory / store / "certs.d" / endpoint / f"{name}.crt"
        if path.exists():
            links = [path.with_suffix(end) for end in (".cert", ".key")]
            pair = {pathlib.Path(os.readlink(link)).stem for link in links if link.is_symlink()}
            content = path.read_text()
            kept[store, endpoint, name] = (content[content.index("-----") :], pair.pop() if pair else None)
    return kept


@QUICK
@given(steps=st.lists(calls, min_size=1, max_size=5))
def test_after_any_calls_there_is_what_the_last_ones_asked_for_and_check_mode_said_so_and_a_repetition_does_nothing(run, steps):
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        (directory / "tls").mkdir()
        for name in ("client", "other"):
            make_client(directory / "tls", name)
        model = {}
        for step in steps:
            before = snapshot(directory)
            predicted = run(ca_trust, True, **arguments(directory, step))
            assert snapshot(directory) == before
            done = run(ca_trust, **arguments(directory, step))
            assert not done.get("failed"), done
            assert {key: done[key] for key in ("changed", "stores", "diff")} == {key: predicted[key] for key in ("changed", "stores", "diff")}
            expect(model, step)
            assert found(directory) == model
            assert not run(ca_trust, **arguments(directory, step))["changed"]
        for name in NAMES:
            run(ca_trust, **arguments(directory, {**steps[0], "name": name, "state": "absent", "stores": STORES, "endpoints": []}))
        assert all(os.listdir(path) == [] for path in directory.glob("*/certs.d"))


blocks = st.sampled_from(
    [*CAS, KEY[:60], "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n", "-----BEGIN X509 CRL-----\n", "# text\n", "MIIB\n", "\0"]
)


def mutated(text, place, piece):
    return text[: place % len(text)] + piece + text[place % len(text) + len(piece) :]


contents = st.one_of(
    st.text(max_size=100),
    st.lists(blocks, max_size=5).map("".join),
    st.builds(mutated, st.sampled_from(CAS), st.integers(0, 2000), st.text("Aa0+/=-\n", min_size=1, max_size=8)),
)
anything = st.text(max_size=30)


@QUICK
@given(content=contents)
@example("n")
def test_any_content_is_kept_whole_or_refused_in_words(run, content):
    with tempfile.TemporaryDirectory() as temporary:
        result = run(ca_trust, name="corp", content=content, stores=["docker"], endpoints=ENDPOINTS[:1], docker_directory=f"{temporary}/certs.d")
        assert "exception" not in result
        if result.get("failed"):
            assert result["msg"].startswith("content: ") and os.listdir(temporary) == []
        else:
            assert result["changed"] and result["certificates"]


@QUICK
@given(
    name=anything,
    endpoint=anything,
    directory=anything,
    pair=anything,
    hosts=st.one_of(st.none(), st.binary(max_size=60), st.just(b"# Managed by the Ansible module holdfast.registry.ca_trust\nserver = [")),
)
def test_any_other_text_is_refused_in_words_and_nothing_leaves_its_directory(run, name, endpoint, directory, pair, hosts):
    with tempfile.TemporaryDirectory() as temporary:
        base = pathlib.Path(temporary, "base")
        place = base / "certs.d" / ENDPOINTS[0]
        place.mkdir(parents=True)
        if hosts is not None:
            (place / "hosts.toml").write_bytes(hosts)
        usual = {"name": "corp", "content": CAS[0], "stores": ["containerd"], "endpoints": ENDPOINTS[:1], "containerd_directory": str(base / "certs.d")}
        for odd in (
            {},
            {"name": name},
            {"endpoints": [endpoint]},
            {"endpoints": [f"{ENDPOINTS[0]}:{endpoint}"]},
            {"containerd_directory": f"{base}/{directory}"},
            {"client_certificate_path": f"{base}/{pair}", "client_key_path": pair},
            {"state": "absent"},
        ):
            result = run(ca_trust, check="containerd_directory" in odd, **{**usual, **odd})
            assert "exception" not in result and (result.get("failed") or "stores" in result)
        assert os.listdir(temporary) == ["base"]
        assert not hosts or hosts.startswith(b"# Managed") or (place / "hosts.toml").read_bytes() == hosts
