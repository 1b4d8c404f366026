# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The system's store: what a killed update leaves behind, what exclusive takes, and the paths of the Red Hat family."""

from __future__ import annotations

import os
import ssl

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import subject_hash
from ansible_collections.holdfast.registry.plugins.module_utils._trust.kept import Kept
from ansible_collections.holdfast.registry.plugins.module_utils._trust.system import SystemStore
from ansible_collections.holdfast.registry.plugins.module_utils._trust.trust import Stores, trust
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._trust.steps import (
    FIRST,
    SECOND,
    THIRD,
    absent,
    make_host,
    needs_update,
    present,
    request,
    snapshot,
    system_trusts,
)
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program

SYSTEM = ["system"]


@needs_update
class TestDebian:
    @pytest.fixture
    def host(self, tmp_path):
        return make_host(tmp_path)

    def test_the_half_bundle_of_a_killed_update_does_not_bring_a_removed_ca_back(self, host):
        present(host, FIRST, stores=SYSTEM)
        (host / "local/corp.crt").unlink()
        (host / "certs/ca-certificates.crt.new").write_text(FIRST.pem)
        (host / "local.pending").touch()
        assert absent(host, stores=SYSTEM)["changed"]
        assert system_trusts(host) == set()
        assert (host / "certs/ca-certificates.crt").read_text().count("BEGIN") == 1

    def test_the_links_of_other_cas_that_a_killed_update_took_away_come_back(self, host):
        present(host, FIRST, stores=SYSTEM)
        (host / f"certs/{subject_hash(run_program, THIRD.der)}.0").unlink()
        (host / "local.pending").touch()
        assert present(host, FIRST, stores=SYSTEM)["stores"]["system"]["reasons"] == [
            f"{host}/certs/ca-certificates.crt: an earlier run did not finish its refresh"
        ]
        assert system_trusts(host) == {"First"}

    def test_a_run_for_another_name_finishes_what_a_killed_one_began(self, host):
        present(host, FIRST, stores=SYSTEM)
        (host / "local/corp.crt").unlink()
        (host / "local.pending").touch()
        present(host, SECOND, stores=SYSTEM, name="other")
        assert system_trusts(host) == {"Second"}
        assert sorted(path.name for path in host.iterdir() if path.name.startswith(".")) == [".local.lock"]

    def test_exclusive_removes_what_it_put_there_under_other_names_and_nothing_else(self, host):
        present(host, FIRST, SECOND, stores=SYSTEM, name="old")
        (host / "local/theirs.crt").write_text(SECOND.pem)
        present(host, FIRST, stores=SYSTEM, exclusive=True)
        assert sorted(path.name for path in (host / "local").iterdir()) == ["corp.crt", "theirs.crt"]
        assert system_trusts(host) == {"First", "Second"}
        assert not present(host, FIRST, stores=SYSTEM, exclusive=True)["changed"]

    def test_a_strangers_file_of_the_same_name_is_neither_overwritten_nor_removed(self, host):
        anchor = host / "local/corp.crt"
        anchor.write_text(SECOND.pem)
        before = snapshot(host)
        for check_mode in (True, False):
            with pytest.raises(HoldfastError, match="corp.crt: exists, holds other certificates and was not written by this module"):
                trust(run_program, *request(host, [FIRST], stores=SYSTEM), check_mode=check_mode)
        assert not absent(host, stores=SYSTEM)["changed"]
        assert snapshot(host) == before
        present(host, SECOND, stores=SYSTEM)
        assert system_trusts(host) == {"Second"}
        absent(host, stores=SYSTEM)
        assert not anchor.exists()

    def test_a_strangers_files_named_as_those_of_a_bundle_stay(self, host):
        theirs = host / "local/corp-0123456789abcdef.crt"
        theirs.write_text(SECOND.pem)
        present(host, FIRST, stores=SYSTEM)
        absent(host, stores=SYSTEM)
        assert theirs.read_text() == SECOND.pem

    def test_a_dangling_link_elsewhere_is_not_this_modules(self, host):
        (host / "certs/theirs.pem").symlink_to("/nonexistent/theirs.crt")
        present(host, FIRST, stores=SYSTEM)
        assert not present(host, FIRST, stores=SYSTEM)["changed"]

    def test_an_update_command_that_cannot_be_run_is_an_error_in_words(self, host):
        (host / "update").write_bytes(b"\x7fELF not really")
        with pytest.raises(HoldfastError, match="update: Exec format error"):
            present(host, FIRST, stores=SYSTEM)


class TestRedHat:
    """update-ca-trust is a script here that does with the anchors what p11-kit does: each certificate below a line with its label."""

    @pytest.fixture
    def root(self, tmp_path):
        for directory in ("etc/pki/ca-trust/source/anchors", "etc/pki/ca-trust/extracted/pem", "usr/bin"):
            (tmp_path / directory).mkdir(parents=True)
        command = tmp_path / "usr/bin/update-ca-trust"
        command.write_text(
            f'#!/bin/sh\necho "run $*" >>{tmp_path}/log\ncd {tmp_path}/etc/pki/ca-trust || exit 1\n'
            'for anchor in source/anchors/*; do [ -e "$anchor" ] && { echo "# label"; sed -n "/BEGIN/,/END/p" "$anchor"; }; done >extracted/pem/new\n'
            "exec mv extracted/pem/new extracted/pem/tls-ca-bundle.pem\n"
        )
        command.chmod(0o755)
        return tmp_path

    def run(self, root, *certificates, name="corp", exclusive=False, check_mode=False):
        system = SystemStore.of_this_host(None, root=str(root))
        return trust(run_program, Kept(name, list(certificates), [], exclusive=exclusive), Stores(system, {}), check_mode=check_mode)

    def trusted(self, root):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bundle = (root / "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem").read_text()
        if "BEGIN" in bundle:
            context.load_verify_locations(cadata=bundle)
        return {certificate["subject"][0][0][1] for certificate in context.get_ca_certs()}

    def test_it_is_known_by_its_directory_and_has_its_own_paths_and_command(self, root):
        store = SystemStore.of_this_host(None, root=str(root))
        assert store.anchors == f"{root}/etc/pki/ca-trust/source/anchors"
        assert store.command == f"{root}/usr/bin/update-ca-trust"
        assert store.hashes is None

    def test_what_is_trusted_follows_add_change_and_removal_with_one_update_each(self, root):
        for count, (certificates, expected) in enumerate(
            [([FIRST], {"First"}), ([SECOND], {"Second"}), ([FIRST, SECOND], {"First", "Second"}), ([FIRST], {"First"}), ([], set())], start=1
        ):
            before = snapshot(root)
            predicted = self.run(root, *certificates, check_mode=True)
            assert snapshot(root) == before
            assert self.run(root, *certificates) == predicted
            assert predicted["changed"] and self.trusted(root) == expected
            assert not self.run(root, *certificates)["changed"]
            assert (root / "log").read_text() == "run \n" * count
        assert os.listdir(root / "etc/pki/ca-trust/source/anchors") == []

    def test_exclusive_removes_other_names_and_strangers_stay(self, root):
        self.run(root, SECOND, name="old")
        (root / "etc/pki/ca-trust/source/anchors/theirs.pem").write_text(THIRD.pem)
        self.run(root, FIRST, exclusive=True)
        assert self.trusted(root) == {"First", "Third"}

    def test_an_update_that_was_killed_is_run_again(self, root):
        (root / "usr/bin/update-ca-trust").rename(root / "working")
        (root / "usr/bin/update-ca-trust").write_text("#!/bin/sh\nkill -9 $$\n")
        (root / "usr/bin/update-ca-trust").chmod(0o755)
        with pytest.raises(HoldfastError, match="failed with exit code -9"):
            self.run(root, FIRST)
        (root / "working").rename(root / "usr/bin/update-ca-trust")
        assert self.run(root, FIRST)["changed"]
        assert self.trusted(root) == {"First"}
        assert not self.run(root, FIRST)["changed"]

    def test_a_missing_command_is_named(self, root, monkeypatch):
        (root / "usr/bin/update-ca-trust").unlink()
        monkeypatch.setenv("PATH", "")
        with pytest.raises(HoldfastError, match="needs update-ca-trust.*install the package ca-certificates"):
            self.run(root, FIRST)
