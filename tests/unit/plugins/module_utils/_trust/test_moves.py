# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Trust that moves: to another name, out of a store, from one CA to the next, and away without a trace."""

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._trust.trust import trust
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._trust.steps import (
    ALL,
    FIRST,
    SECOND,
    absent,
    make_client,
    make_host,
    needs_update,
    present,
    request,
    system_trusts,
)
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program

BY_REGISTRY = ALL[1:]


@pytest.fixture
def host(tmp_path):
    return make_host(tmp_path)


def kept(host):
    """Every file below the stores, without their locks."""
    found = []
    for store in (*BY_REGISTRY, "local"):
        found += [str(path.relative_to(host)) for path in (host / store).rglob("*") if not path.is_dir() and not path.name.endswith(".lock")]
    return sorted(found)


@pytest.mark.parametrize("stores", [BY_REGISTRY, pytest.param(ALL, marks=needs_update)], ids=["by registry", "all"])
def test_two_ports_of_one_host_do_not_take_each_other_s_trust_away(host, stores):
    ports = {"r_5000": ["r:5000"], "r_5001": ["r:5001"]}
    for name, endpoints in ports.items():
        present(host, FIRST, name=name, endpoints=endpoints, stores=stores)
    for name, endpoints in ports.items():
        assert not present(host, FIRST, name=name, endpoints=endpoints, stores=stores)["changed"]
    before = kept(host)
    absent(host, name="r_5001", stores=stores)
    assert kept(host) == [path for path in before if "5001" not in path]
    assert not present(host, FIRST, name="r_5000", endpoints=["r:5000"], stores=stores)["changed"]
    if "system" in stores:
        assert system_trusts(host) == {"First"}


@pytest.mark.parametrize("endpoint", ["r", "r:5000", "[2001:db8::5]", "[2001:db8::5]:5000"])
def test_two_cas_during_a_rotation_and_then_the_new_one_alone(host, endpoint):
    for certificates in ([FIRST], [FIRST, SECOND], [SECOND]):
        present(host, *certificates, endpoints=[endpoint], stores=BY_REGISTRY)
        for store in BY_REGISTRY:
            text = (host / store / "certs.d" / endpoint / "corp.crt").read_text()
            assert [each.pem in text for each in (FIRST, SECOND)] == [each in certificates for each in (FIRST, SECOND)]


@pytest.mark.parametrize("stores", [BY_REGISTRY, pytest.param(ALL, marks=needs_update)], ids=["by registry", "all"])
def test_what_was_kept_under_a_former_name_goes_in_the_same_step(host, stores):
    client = make_client(host)
    present(host, FIRST, name="old", endpoints=["r:5000", "was:5000"], stores=stores, client=client)
    changed = present(host, FIRST, name="new", endpoints=["r:5000"], stores=stores, client=client, former=["old"])
    assert all(changed["stores"][store]["changed"] for store in stores)
    assert not [path for path in kept(host) if "old" in path or "was" in path]
    assert "/old." not in (host / "containerd/certs.d/r:5000/hosts.toml").read_text()
    assert not present(host, FIRST, name="new", endpoints=["r:5000"], stores=stores, client=client, former=["old"])["changed"]
    if "system" in stores:
        assert system_trusts(host) == {"First"}


def test_a_former_name_is_also_removed_with_the_name_itself(host):
    present(host, FIRST, name="old", endpoints=["r"], stores=BY_REGISTRY)
    absent(host, name="new", stores=BY_REGISTRY, former=["old"])
    assert kept(host) == []


def test_a_file_of_others_under_a_former_name_stays(host):
    directory = host / "docker/certs.d/r"
    directory.mkdir(parents=True)
    (directory / "old.crt").write_text(SECOND.pem)
    present(host, FIRST, name="new", endpoints=["r"], stores=["docker"], former=["old"])
    assert (directory / "old.crt").read_text() == SECOND.pem


@needs_update
def test_a_store_that_is_left_keeps_nothing_and_the_daemons_that_read_it_are_told(host):
    present(host, FIRST, endpoints=["r"])
    predicted = trust(run_program, *request(host, [FIRST], stores=["docker"], endpoints=["r"], left=["system", "containers", "containerd"]), check_mode=True)
    changed = present(host, FIRST, endpoints=["r"], stores=["docker"], left=["system", "containers", "containerd"])
    assert changed["stores"] == predicted["stores"]
    assert kept(host) == ["docker/certs.d/r/corp.crt"]
    assert system_trusts(host) == set()
    assert changed["restart"] == ["containerd"]
    assert not present(host, FIRST, endpoints=["r"], stores=["docker"], left=["system", "containers", "containerd"])["changed"]


@needs_update
def test_removal_leaves_no_trace_of_any_kind(host):
    empty = {path.relative_to(host) for path in host.rglob("*")}
    present(host, FIRST, SECOND, endpoints=["r", "[2001:db8::5]:5000"], client=make_client(host / "hooks"))
    absent(host)
    left = {str(path.relative_to(host)) for path in host.rglob("*")} - {str(path) for path in empty}
    directories = {"docker", "containers", "containerd", *(f"{store}/certs.d" for store in BY_REGISTRY)}
    locks = {"local/.pending.lock", ".local.lock", *(f"{store}/.certs.d.lock" for store in BY_REGISTRY)}
    assert {path for path in left if not path.startswith(("hooks/", "certs/", "log"))} <= directories | locks
