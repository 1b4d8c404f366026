# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import os

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._trust.trust import trust
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._trust.steps import (
    ENDPOINTS,
    FIRST,
    NOW,
    SECOND,
    absent,
    make_client,
    pair,
    present,
    request,
    sign,
    snapshot,
)
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program
from cryptography import x509
from cryptography.hazmat.primitives import serialization

STORES = ("docker", "containers", "containerd")
ONE = ENDPOINTS[:1]


@pytest.fixture
def client(tmp_path):
    (tmp_path / "tls").mkdir()
    return make_client(tmp_path / "tls")


def entries(host, store, endpoint=ENDPOINTS[0]):
    return sorted(os.listdir(host / store / "certs.d" / endpoint))


class TestWhatIsRefused:
    def refused(self, client, message):
        with pytest.raises(HoldfastError, match=message) as refusal:
            client.check(run_program, NOW)
        with open(client.files.key, errors="replace") as key:
            assert not any(line and line in str(refusal.value) for line in key.read().splitlines()[1:-1])

    def test_a_pair_that_fits_is_accepted_with_its_chain_and_without_any_usage(self, tmp_path, client):
        client.check(run_program, NOW)
        with open(client.files.certificate, "a") as handle:
            handle.write(FIRST.pem)
        client.check(run_program, NOW)
        make_client(tmp_path, "plain", usages=None).check(run_program, NOW)

    def test_a_key_of_another_certificate(self, tmp_path, client):
        other = make_client(tmp_path, "other")
        self.refused(pair(client.files.certificate, other.files.key), "^client_key_path: .*other.key is not the key of .*client.crt$")

    def test_a_chain_whose_first_certificate_is_not_the_clients(self, tmp_path, client):
        text = open(client.files.certificate).read()  # noqa: SIM115
        (tmp_path / "turned.crt").write_text(FIRST.pem + text)
        self.refused(pair(str(tmp_path / "turned.crt"), client.files.key), "^client_key_path: .* is not the key of")

    def test_a_servers_certificate(self, tmp_path):
        self.refused(make_client(tmp_path, usages=[x509.ExtendedKeyUsageOID.SERVER_AUTH]), r"^client_certificate_path: .*CN=client.* lacks clientAuth")

    def test_an_expired_certificate(self, tmp_path):
        self.refused(make_client(tmp_path, days=-1), r"^client_certificate_path: .*\(CN=client\) expired on")

    @pytest.mark.parametrize("mode", [0o644, 0o604, 0o606, 0o601])
    def test_a_key_open_to_every_user(self, client, mode):
        os.chmod(client.files.key, mode)
        self.refused(client, f"^client_key_path: .*open to every user .mode {mode:04o}.")

    def test_a_key_open_to_a_group_is_accepted(self, client):
        os.chmod(client.files.key, 0o640)
        client.check(run_program, NOW)

    @pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
    def test_an_encrypted_key(self, client, form):
        key = serialization.load_pem_private_key(open(client.files.key, "rb").read(), None)  # noqa: SIM115
        with open(client.files.key, "wb") as handle:
            handle.write(key.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"correct horse")))
        self.refused(client, "^client_key_path: .* is encrypted")

    @pytest.mark.parametrize("content", ["", "\0", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", "\ud800"])
    def test_what_is_no_key(self, client, content):
        with open(client.files.key, "w", errors="surrogatepass") as handle:
            handle.write(content)
        self.refused(client, "^client_key_path: .* is not a private key in PEM form")

    def test_a_key_in_the_certificates_file(self, client):
        with open(client.files.key) as key, open(client.files.certificate, "a") as certificate:
            certificate.write(key.read())
        self.refused(client, "^client_certificate_path: .* holds a private key")

    def test_what_is_no_file(self, tmp_path, client):
        os.mkfifo(tmp_path / "fifo")
        for parameter, wrong in (
            ("client_certificate_path", pair("/nonexistent", client.files.key)),
            ("client_certificate_path", pair(str(tmp_path), client.files.key)),
            ("client_key_path", pair(client.files.certificate, str(tmp_path / "fifo"))),
        ):
            with pytest.raises(HoldfastError, match=f"^{parameter}: .*; use a file on the host"):
                wrong.check(run_program, NOW)


class TestStores:
    def test_every_store_points_to_the_pair_and_absent_leaves_the_pair_itself(self, tmp_path, client):
        present(tmp_path, FIRST, stores=STORES, client=client)
        for store in STORES:
            for endpoint in ENDPOINTS:
                directory = tmp_path / store / "certs.d" / endpoint
                assert os.readlink(directory / "corp.cert") == client.files.certificate
                assert os.readlink(directory / "corp.key") == client.files.key
        before = snapshot(tmp_path / "tls")
        assert not present(tmp_path, FIRST, stores=STORES, client=client)["changed"]
        absent(tmp_path, stores=STORES)
        assert snapshot(tmp_path / "tls") == before
        assert all(os.listdir(tmp_path / store / "certs.d") == [] for store in STORES)

    def test_containerd_is_told_of_the_pair(self, tmp_path, client):
        present(tmp_path, FIRST, stores=["containerd"], client=client)
        directory = tmp_path / "containerd/certs.d/[2001:db8::5]:5000"
        assert (directory / "hosts.toml").read_text().splitlines()[-1] == f'client = [["{directory}/corp.cert", "{directory}/corp.key"]]'

    def test_two_names_have_a_pair_each(self, tmp_path, client):
        present(tmp_path, FIRST, stores=["containerd"], client=client, endpoints=ONE)
        present(tmp_path, SECOND, stores=["containerd"], client=make_client(tmp_path / "tls", "other"), endpoints=ONE, name="more")
        assert entries(tmp_path, "containerd") == ["corp.cert", "corp.crt", "corp.key", "hosts.toml", "more.cert", "more.crt", "more.key"]
        absent(tmp_path, stores=["containerd"])
        assert entries(tmp_path, "containerd") == ["hosts.toml", "more.cert", "more.crt", "more.key"]
        assert "corp" not in (tmp_path / "containerd/certs.d" / ENDPOINTS[0] / "hosts.toml").read_text()

    def test_another_pair_replaces_it_and_none_removes_it(self, tmp_path, client):
        present(tmp_path, FIRST, stores=STORES, client=client, endpoints=ONE)
        other = make_client(tmp_path / "tls", "other")
        changed = present(tmp_path, FIRST, stores=STORES, client=other, endpoints=ONE)
        assert changed["stores"]["docker"]["reasons"][0].endswith(f"corp.key: points to {other.files.key} instead of {client.files.key}")
        removed = present(tmp_path, FIRST, stores=STORES, endpoints=ONE)
        assert removed["changed"] and not present(tmp_path, FIRST, stores=STORES, endpoints=ONE)["changed"]
        assert entries(tmp_path, "docker") == ["corp.crt"]
        assert "client" not in (tmp_path / "containerd/certs.d" / ENDPOINTS[0] / "hosts.toml").read_text()

    @pytest.mark.parametrize("first", [False, True])
    @pytest.mark.parametrize("second", [False, True])
    def test_check_mode_and_the_real_run_agree_and_the_diff_shows_no_key(self, tmp_path, client, first, second):
        present(tmp_path, FIRST, stores=STORES, client=client if first else None)
        wanted = {"stores": STORES, "client": client if second else None, "endpoints": ENDPOINTS[1:]}
        before = snapshot(tmp_path)
        predicted = trust(run_program, *request(tmp_path, [SECOND], **wanted), check_mode=True)
        assert snapshot(tmp_path) == before
        assert present(tmp_path, SECOND, **wanted) == predicted
        with open(client.files.key) as handle:
            assert not any(line in str(predicted) for line in handle.read().splitlines())
        assert not present(tmp_path, SECOND, **wanted)["changed"]

    @pytest.mark.parametrize("name", ["corp.key", "corp.cert"])
    def test_a_strangers_file_or_link_is_refused_and_stays(self, tmp_path, client, name):
        path = tmp_path / "docker/certs.d" / ENDPOINTS[0] / name
        path.parent.mkdir(parents=True)
        for obstacle in (lambda: path.write_text("theirs"), lambda: path.symlink_to("/theirs")):
            obstacle()
            before = snapshot(tmp_path)
            with pytest.raises(HoldfastError, match=f"{name}: exists and was not put there by this module"):
                present(tmp_path, FIRST, stores=["docker"], client=client)
            assert snapshot(tmp_path) == before
            present(tmp_path, FIRST, stores=["docker"], endpoints=ONE)
            absent(tmp_path, stores=["docker"])
            assert os.listdir(path.parent) == [name]
            path.unlink()

    def test_a_key_put_in_the_place_of_a_link_is_never_removed(self, tmp_path, client):
        present(tmp_path, FIRST, stores=["docker"], client=client, endpoints=ONE)
        path = tmp_path / "docker/certs.d" / ENDPOINTS[0] / "corp.key"
        path.unlink()
        path.write_text("the only copy")
        with pytest.raises(HoldfastError, match="corp.key: exists"):
            present(tmp_path, FIRST, stores=["docker"], client=client, endpoints=ONE)
        absent(tmp_path, stores=["docker"])
        assert entries(tmp_path, "docker") == ["corp.key"]

    def test_a_link_to_itself_is_refused(self, tmp_path, client):
        present(tmp_path, FIRST, stores=["docker"], client=client, endpoints=ONE)
        directory = tmp_path / "docker/certs.d" / ENDPOINTS[0]
        (tmp_path / "short").symlink_to(directory)
        for place in (directory, tmp_path / "short"):
            with pytest.raises(HoldfastError, match="^client_key_path: .* is where this module puts its link"):
                present(tmp_path, FIRST, stores=["docker"], client=pair(str(place / "corp.cert"), str(place / "corp.key")), endpoints=ONE)

    def test_a_renewed_pair_needs_no_call(self, tmp_path, client):
        present(tmp_path, FIRST, stores=["docker"], client=client, endpoints=ONE)
        make_client(tmp_path / "tls")
        assert not present(tmp_path, FIRST, stores=["docker"], client=client, endpoints=ONE)["changed"]
        with open(client.files.key) as renewed:
            assert (tmp_path / "docker/certs.d" / ENDPOINTS[0] / "corp.key").read_text() == renewed.read()


class TestExclusive:
    def test_other_names_go_with_their_pairs_and_empty_directories_and_strangers_stay(self, tmp_path, client):
        present(tmp_path, SECOND, stores=STORES, name="old", client=client)
        theirs = tmp_path / "docker/certs.d" / ENDPOINTS[1] / "ca.crt"
        theirs.write_text(sign("Theirs")[0])
        result = present(tmp_path, FIRST, stores=STORES, endpoints=ONE, exclusive=True)
        assert f"{tmp_path}/docker/certs.d/{ENDPOINTS[0]}/old.key: removed" in result["stores"]["docker"]["reasons"]
        assert entries(tmp_path, "docker") == entries(tmp_path, "containers") == ["corp.crt"]
        assert entries(tmp_path, "containerd") == ["corp.crt", "hosts.toml"]
        assert "old.crt" not in (tmp_path / "containerd/certs.d" / ENDPOINTS[0] / "hosts.toml").read_text()
        assert entries(tmp_path, "docker", ENDPOINTS[1]) == ["ca.crt"]
        assert os.listdir(tmp_path / "containers/certs.d") == ONE
        assert not present(tmp_path, FIRST, stores=STORES, endpoints=ONE, exclusive=True)["changed"]

    def test_stores_not_listed_and_runs_without_it_leave_other_names_alone(self, tmp_path):
        present(tmp_path, SECOND, stores=STORES, name="old", endpoints=ONE)
        present(tmp_path, FIRST, stores=STORES, endpoints=ONE)
        present(tmp_path, FIRST, stores=["docker"], endpoints=ONE, exclusive=True)
        assert entries(tmp_path, "docker") == ["corp.crt"]
        assert entries(tmp_path, "containers") == ["corp.crt", "old.crt"]

    def test_directories_and_links_of_strangers_stay(self, tmp_path):
        present(tmp_path, SECOND, stores=["docker"], name="old", endpoints=ENDPOINTS[1:])
        directory = tmp_path / "docker/certs.d" / ENDPOINTS[0]
        (directory / "sub.crt").mkdir(parents=True)
        (directory / "link.crt").symlink_to(f"../{ENDPOINTS[1]}/old.crt")
        present(tmp_path, FIRST, stores=["docker"], endpoints=ONE, exclusive=True)
        assert entries(tmp_path, "docker") == ["corp.crt", "link.crt", "sub.crt"]
