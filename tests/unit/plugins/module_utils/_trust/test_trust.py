# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import dataclasses
import os
import shutil
import stat
import threading

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole as files
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._trust import system as system_trust
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import subject_hash
from ansible_collections.holdfast.registry.plugins.module_utils._trust.trust import trust
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._trust.steps import (
    ENDPOINTS,
    FIRST,
    SECOND,
    THIRD,
    absent,
    make_ca,
    make_host,
    needs_update,
    present,
    request,
    snapshot,
    system_trusts,
)
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program


@pytest.fixture
def host(tmp_path):
    return make_host(tmp_path)


@pytest.fixture(scope="module")
def host_that_trusts(tmp_path_factory):
    """host_that_trusts(*certificates) is a host as after a run. Each is prepared once, and then put back where it was made: its files name its path."""
    base = tmp_path_factory.mktemp("prepared")

    def host_that_trusts(*certificates):
        path, copy = base / "host", base / "-".join(["copy", *(certificate.fingerprint_sha256 for certificate in certificates)])
        shutil.rmtree(path, ignore_errors=True)
        if copy.exists():
            return shutil.copytree(copy, path, symlinks=True)
        path.mkdir()
        make_host(path)
        if certificates:
            present(path, *certificates)
        shutil.copytree(path, copy, symlinks=True)
        return path

    return host_that_trusts


@needs_update
class TestSystemStore:
    def test_what_is_trusted_follows_add_change_and_removal(self, host):
        for certificates, expected in [([FIRST], {"First"}), ([SECOND], {"Second"}), ([FIRST, SECOND], {"First", "Second"}), ([FIRST], {"First"}), ([], set())]:
            assert trust(run_program, *request(host, certificates, stores=["system"]), check_mode=False)["changed"]
            assert system_trusts(host) == expected
        assert list((host / "local").iterdir()) == []

    def test_a_single_certificate_is_named_plainly_and_several_by_their_fingerprints(self, host):
        present(host, FIRST, stores=["system"])
        assert [path.name for path in (host / "local").iterdir()] == ["corp.crt"]
        present(host, FIRST, SECOND, stores=["system"])
        names = {path.name for path in (host / "local").iterdir()}
        assert names == {f"corp-{certificate.fingerprint_sha256[:16]}.crt" for certificate in (FIRST, SECOND)}

    def test_files_of_other_names_stay(self, host):
        (host / "local/corp-two.crt").write_text(SECOND.pem)
        (host / "local/corp.crt.bak").write_text("theirs")
        present(host, FIRST, stores=["system"])
        absent(host, stores=["system"])
        assert {path.name for path in (host / "local").iterdir()} == {"corp-two.crt", "corp.crt.bak"}

    def test_a_new_anchor_does_not_take_the_other_links_away(self, host):
        present(host, FIRST, stores=["system"])
        assert (host / "log").read_text() == "run \n"

    @pytest.mark.parametrize("damage", ["anchor only", "bundle", "link", "stale link", "dangling", "mode", "pending", "leftover"])
    def test_what_a_killed_run_or_a_stranger_left_is_noticed_and_mended(self, host, damage):
        anchor = host / "local/corp.crt"
        if damage == "anchor only":
            anchor.write_text(FIRST.pem)
            anchor.chmod(0o644)
        else:
            present(host, FIRST, stores=["system"])
        if damage == "bundle":
            (host / "certs/ca-certificates.crt").write_text(THIRD.pem)
        elif damage == "link":
            (host / f"certs/{subject_hash(run_program, FIRST.der)}.0").unlink()
        elif damage == "stale link":
            (host / f"certs/{subject_hash(run_program, FIRST.der)}.0").rename(host / "certs/00000000.0")
        elif damage == "dangling":
            (host / "certs/corp-0123456789abcdef.pem").symlink_to(host / "local/corp-0123456789abcdef.crt")
        elif damage == "mode":
            anchor.chmod(0o600)
        elif damage == "pending":
            (host / "local.pending").touch()
        elif damage == "leftover":
            (host / "local/.corp.crt.abcd1234.holdfast-tmp").write_text("half")
        wanted = request(host, [FIRST], stores=["system"])
        predicted = trust(run_program, *wanted, check_mode=True)
        done = trust(run_program, *wanted, check_mode=False)
        assert done["stores"]["system"]["reasons"]
        assert done == predicted
        assert system_trusts(host) == {"First"}
        assert not trust(run_program, *wanted, check_mode=False)["changed"]
        assert {path.name for path in (host / "local").iterdir()} == {"corp.crt"}

    def test_a_removal_killed_before_the_update_is_finished_by_the_next_run(self, host):
        present(host, FIRST, stores=["system"])
        (host / "local/corp.crt").unlink()
        assert absent(host, stores=["system"])["changed"]
        assert system_trusts(host) == set()

    def test_a_ca_kept_under_two_names_is_trusted_until_both_are_gone(self, host):
        present(host, FIRST, stores=["system"])
        present(host, FIRST, stores=["system"], name="other")
        assert not present(host, FIRST, stores=["system"])["changed"]
        absent(host, stores=["system"])
        assert system_trusts(host) == {"First"}
        absent(host, stores=["system"], name="other")
        assert system_trusts(host) == set()

    def test_a_name_that_would_take_a_public_certificates_link_is_refused(self, host):
        present(host, FIRST, stores=["system"])
        before = snapshot(host)
        with pytest.raises(HoldfastError, match=r"^name: .*Public_Root.pem already belongs to another certificate"):
            present(host, FIRST, stores=["system"], name="Public_Root")
        assert snapshot(host) == before

    def test_runs_at_the_same_time_lose_nothing(self, host):
        threads = [
            threading.Thread(target=present, args=(host, certificate), kwargs={"name": name, "stores": ["system", "containerd"]})
            for name, certificate in (("one", FIRST), ("two", SECOND))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert system_trusts(host) == {"First", "Second"}
        hosts = (host / "containerd/certs.d/registry.example.com/hosts.toml").read_text()
        assert "/one.crt" in hosts and "/two.crt" in hosts

    def test_two_cas_of_one_subject_are_both_found(self, host):
        successor = make_ca("First")
        present(host, FIRST, successor, stores=["system"])
        assert len(list((host / "certs").glob(f"{subject_hash(run_program, FIRST.der)}.*"))) == 2
        assert not present(host, FIRST, successor, stores=["system"])["changed"]

    def test_an_update_that_does_not_reach_the_bundle_is_reported(self, host):
        (host / "update").write_text("#!/bin/sh\nexit 0\n")
        with pytest.raises(HoldfastError, match=r"lacks CN=First.*does it read .*local\?"):
            present(host, FIRST, stores=["system"])

    def test_an_update_that_fails_is_reported_with_its_words_and_tried_again_by_the_next_run(self, host):
        working = (host / "update").read_text()
        (host / "update").write_text("#!/bin/sh\necho disk full\nexit 3\n")
        with pytest.raises(HoldfastError, match="exit code 3: disk full"):
            present(host, FIRST, stores=["system"])
        (host / "update").write_text(working)
        assert present(host, FIRST, stores=["system"])["changed"]
        assert system_trusts(host) == {"First"}

    def test_the_update_keeps_the_lock_when_its_caller_is_gone(self, host):
        (host / "update").write_text(f"#!/bin/sh\nfor fd in /proc/$$/fd/*; do readlink $fd; done >{host}/descriptors\n")
        with pytest.raises(HoldfastError):
            present(host, FIRST, stores=["system"])
        assert str(host / ".local.lock") in (host / "descriptors").read_text()


def test_a_missing_update_command_is_refused_before_anything_changes_and_predicted_in_check_mode(tmp_path):
    kept, stores = request(tmp_path, [FIRST], endpoints=ENDPOINTS)
    assert stores.system is not None
    wanted = kept, dataclasses.replace(stores, system=dataclasses.replace(stores.system, command=None))
    assert trust(run_program, *wanted, check_mode=True)["changed"]
    with pytest.raises(HoldfastError, match="install the package ca-certificates"):
        trust(run_program, *wanted, check_mode=False)
    assert list(tmp_path.iterdir()) == []


class TestEndpointStores:
    STORES = ("docker", "containers", "containerd")

    def test_each_endpoint_has_a_directory_of_its_name_with_every_certificate(self, tmp_path):
        present(tmp_path, FIRST, SECOND, stores=self.STORES)
        for store in self.STORES:
            for endpoint in ENDPOINTS:
                path = tmp_path / store / "certs.d" / endpoint / "corp.crt"
                assert path.read_text().endswith(FIRST.pem + SECOND.pem)
                assert stat.S_IMODE(path.stat().st_mode) == 0o644
                assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755

    def test_directories_are_world_readable_whatever_the_umask(self, tmp_path):
        umask = os.umask(0o077)
        try:
            present(tmp_path, FIRST, stores=["docker"])
        finally:
            os.umask(umask)
        assert {stat.S_IMODE(os.stat(path).st_mode) for path in (tmp_path / "docker", tmp_path / "docker/certs.d")} == {0o755}

    def test_containerd_is_told_of_every_ca_of_the_endpoint(self, tmp_path):
        present(tmp_path, FIRST, stores=["containerd"])
        present(tmp_path, SECOND, stores=["containerd"], name="more")
        directory = tmp_path / "containerd/certs.d/[2001:db8::5]:5000"
        assert (directory / "hosts.toml").read_text().splitlines()[1:] == [
            'server = "https://[2001:db8::5]:5000"',
            'capabilities = ["pull", "resolve", "push"]',
            f'ca = ["{directory}/corp.crt", "{directory}/more.crt"]',
        ]
        assert not present(tmp_path, FIRST, stores=["containerd"])["changed"]
        absent(tmp_path, stores=["containerd"])
        assert f'ca = ["{directory}/more.crt"]' in (directory / "hosts.toml").read_text()

    def test_an_endpoint_no_longer_listed_is_no_longer_trusted(self, tmp_path):
        present(tmp_path, FIRST, stores=self.STORES)
        result = present(tmp_path, FIRST, stores=self.STORES, endpoints=ENDPOINTS[:1])
        assert all(store["changed"] for store in result["stores"].values())
        assert os.listdir(tmp_path / "docker/certs.d") == ENDPOINTS[:1]

    def test_absent_removes_from_the_endpoints_listed_or_from_all_and_keeps_the_base(self, tmp_path):
        present(tmp_path, FIRST, stores=self.STORES)
        absent(tmp_path, stores=self.STORES, endpoints=ENDPOINTS[:1])
        assert os.listdir(tmp_path / "containerd/certs.d") == ENDPOINTS[1:]
        absent(tmp_path, stores=self.STORES)
        assert all(os.listdir(tmp_path / store / "certs.d") == [] for store in self.STORES)
        assert not absent(tmp_path, stores=self.STORES)["changed"]

    def test_an_empty_directory_that_a_killed_run_left_goes(self, tmp_path):
        (tmp_path / "containers/certs.d" / ENDPOINTS[1]).mkdir(parents=True)
        present(tmp_path, FIRST, stores=["containers"], endpoints=ENDPOINTS[:1])
        assert os.listdir(tmp_path / "containers/certs.d") == ENDPOINTS[:1]

    def test_what_is_not_ours_stays(self, tmp_path):
        directory = tmp_path / "docker/certs.d" / ENDPOINTS[0]
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_text(SECOND.pem)
        present(tmp_path, FIRST, stores=["docker"])
        absent(tmp_path, stores=["docker"])
        absent(tmp_path, stores=["docker"], name="ca")
        assert (directory / "ca.crt").read_text() == SECOND.pem

    @pytest.mark.parametrize(
        ("store", "path", "content"),
        [
            ("docker", f"{ENDPOINTS[0]}/corp.crt", SECOND.pem),
            ("containerd", f"{ENDPOINTS[1]}/hosts.toml", 'server = "https://mirror.example.com"\n'),
            ("containerd", "[2001:db8::5]_5000_/hosts.toml", "\n"),
        ],
        ids=["docker", "containerd", "containerd at an IPv6 address"],
    )
    def test_what_stands_in_the_way_is_refused_before_anything_changes(self, tmp_path, store, path, content):
        obstacle = tmp_path / store / "certs.d" / path
        obstacle.parent.mkdir(parents=True)
        obstacle.write_text(content)
        before = snapshot(tmp_path)
        for check_mode in (True, False):
            with pytest.raises(HoldfastError, match="exists"):
                trust(run_program, *request(tmp_path, [FIRST], stores=self.STORES, endpoints=ENDPOINTS), check_mode=check_mode)
        assert snapshot(tmp_path) == before

    def test_a_run_waits_for_the_run_before_it(self, tmp_path):
        base = tmp_path / "docker/certs.d"
        base.mkdir(parents=True)
        thread = threading.Thread(target=present, args=(tmp_path, FIRST), kwargs={"stores": ["docker"]})
        with locked(str(base)):
            thread.start()
            thread.join(0.5)
            assert list(base.iterdir()) == []
        thread.join()
        assert len(list(base.iterdir())) == 2

    def test_the_same_certificate_put_there_by_hand_is_taken_over(self, tmp_path):
        path = tmp_path / "docker/certs.d" / ENDPOINTS[0] / "corp.crt"
        path.parent.mkdir(parents=True)
        path.write_text(FIRST.pem)
        present(tmp_path, FIRST, stores=["docker"])
        absent(tmp_path, stores=["docker"])
        assert not path.exists()

    def test_a_symbolic_link_is_not_written_through(self, tmp_path):
        target = tmp_path / "ca.pem"
        target.write_text(FIRST.pem)
        directory = tmp_path / "docker/certs.d" / ENDPOINTS[0]
        directory.mkdir(parents=True)
        (directory / "corp.crt").symlink_to(target)
        with pytest.raises(HoldfastError, match="is a symbolic link"):
            present(tmp_path, FIRST, stores=["docker"])
        assert target.read_text() == FIRST.pem

    def test_what_a_killed_run_left_does_not_keep_a_directory_alive(self, tmp_path):
        present(tmp_path, FIRST, stores=["containerd"])
        for name in ("corp.crt", "hosts.toml"):
            (tmp_path / "containerd/certs.d" / ENDPOINTS[0] / f".{name}.abcd1234.holdfast-tmp").write_text("half")
        absent(tmp_path, stores=["containerd"])
        assert os.listdir(tmp_path / "containerd/certs.d") == []


@needs_update
@pytest.mark.parametrize("start", [[], [FIRST], [FIRST, SECOND]])
@pytest.mark.parametrize("certificates", [[], [FIRST], [SECOND], [SECOND, FIRST]])
@pytest.mark.parametrize("endpoints", [ENDPOINTS, ENDPOINTS[1:]])
def test_check_mode_says_what_a_real_run_does_and_writes_nothing_and_a_second_run_finds_nothing_to_do(host_that_trusts, start, certificates, endpoints):
    host = host_that_trusts(*start)
    wanted = request(host, certificates, endpoints=endpoints)
    before = snapshot(host)
    predicted = trust(run_program, *wanted, check_mode=True)
    assert snapshot(host) == before
    assert trust(run_program, *wanted, check_mode=False) == predicted
    after = snapshot(host)
    again = trust(run_program, *wanted, check_mode=False)
    assert not again["changed"] and not any(store["reasons"] for store in again["stores"].values())
    assert again["diff"] == []
    assert snapshot(host) == after


class Killed(BaseException):
    pass


@needs_update
@pytest.mark.parametrize("stop", range(1, 14))
def test_a_run_ended_before_any_one_change_is_finished_by_the_next(host_that_trusts, monkeypatch, stop):
    host = host_that_trusts(FIRST, SECOND)
    calls = []

    def counted(function):
        def call(*arguments, **keywords):
            calls.append(function)
            if len(calls) == stop:
                raise Killed
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(files, "atomic_write", counted(files.atomic_write))
        patched.setattr(files, "remove", counted(files.remove))
        patched.setattr(system_trust, "_refresh", counted(system_trust._refresh))
        with pytest.raises(Killed):
            present(host, SECOND, endpoints=ENDPOINTS[1:])
    present(host, SECOND, endpoints=ENDPOINTS[1:])
    assert system_trusts(host) == {"Second"}
    assert os.listdir(host / "docker/certs.d") == ENDPOINTS[1:]
    assert not present(host, SECOND, endpoints=ENDPOINTS[1:])["changed"]
    assert not (host / "local.pending").exists()


@needs_update
def test_a_daemon_must_restart_only_when_the_system_store_changed_and_its_own_does_not_serve_it(host):
    assert present(host, FIRST, stores=["system"])["restart"] == ["docker", "containerd"]
    assert present(host, FIRST, stores=["system"])["restart"] == []
    assert present(host, SECOND, stores=["system", "docker", "containerd"])["restart"] == []
    assert present(host, SECOND, stores=["containers", "containerd"])["restart"] == []


def test_the_certificates_are_described(tmp_path):
    described = present(tmp_path, FIRST, stores=["docker"])["certificates"]
    assert described == [
        {"subject": "CN=First", "fingerprint_sha256": FIRST.fingerprint_sha256, "not_after": FIRST.not_after.strftime("%Y-%m-%dT%H:%M:%SZ")},
    ]


def test_the_diff_has_every_file_before_and_after(tmp_path):
    present(tmp_path, FIRST, stores=["docker"], endpoints=ENDPOINTS[:1])
    [diff] = present(tmp_path, SECOND, stores=["docker"], endpoints=ENDPOINTS[:1])["diff"]
    assert diff["before"].endswith(FIRST.pem) and diff["after"].endswith(SECOND.pem)
