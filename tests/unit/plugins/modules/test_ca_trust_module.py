# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.holdfast.registry.plugins.modules import ca_trust
from ansible_collections.holdfast.registry.tests.unit.module_arguments import patch_module_args
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEY = ec.generate_private_key(ec.SECP256R1())
KEY_PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def make_ca():
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "First")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(KEY.public_key()).serial_number(7)
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    signed = builder.add_extension(x509.BasicConstraints(True, None), critical=True).sign(KEY, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


CA = make_ca()


@pytest.fixture
def run(tmp_path, capsys):
    def run(check=False, diff=False, **parameters):
        parameters = {
            "name": "corp",
            "content": CA,
            "stores": ["docker"],
            "endpoints": ["registry.example.com"],
            "docker_directory": str(tmp_path / "docker/certs.d"),
            "_ansible_check_mode": check,
            "_ansible_diff": diff,
            "_ansible_verbosity": 4,
            **parameters,
        }
        with patch_module_args({key: value for key, value in parameters.items() if value is not None}), pytest.raises(SystemExit):
            ca_trust.main()
        output = capsys.readouterr()
        assert output.err == ""
        return json.loads(output.out)

    return run


def test_check_mode_real_run_and_second_run_agree(run, tmp_path):
    predicted = run(check=True, diff=True)
    assert predicted["changed"] and list(tmp_path.iterdir()) == []
    done = run(diff=True)
    assert {key: done[key] for key in ("changed", "stores", "restart", "certificates", "diff")} == {
        key: predicted[key] for key in ("changed", "stores", "restart", "certificates", "diff")
    }
    assert not run()["changed"]
    assert run(state="absent", content=None, endpoints=None)["changed"]


def test_the_diff_shows_the_certificate_and_comes_only_when_asked_for(run):
    assert "diff" not in run(check=True)
    assert CA in run(diff=True)["diff"][0]["after"]


@pytest.mark.parametrize("content", [KEY_PEM, CA + KEY_PEM, CA + KEY_PEM[:100]], ids=["key", "certificate and key", "certificate and part of a key"])
def test_a_private_key_pasted_by_mistake_is_in_no_output(run, content):
    result = run(content=content)
    assert result["failed"] and "private key" in result["msg"]
    assert not any(line in json.dumps(result) for line in KEY_PEM.splitlines()[1:-1])
    assert not any(line in json.dumps(result) for line in content.splitlines())


def test_a_refusal_is_a_message_and_no_traceback(run):
    result = run(endpoints=["registry.example.com/path"])
    assert result["failed"] and result["msg"].startswith("endpoints[0]: ")
    assert "exception" not in result


def test_content_is_required_to_trust(run):
    assert "content" in run(content=None)["msg"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"name": "a/b"}, "name: 'a/b' cannot name a file"),
        ({"name": ".."}, "name: '..' cannot name a file"),
        ({"name": "-x"}, "name: '-x' cannot name a file"),
        ({"name": "a\n"}, "name: 'a\\n' cannot name a file"),
        ({"name": "corp-0123456789abcdef"}, "name: 'corp-0123456789abcdef' ends like the files of a bundle"),
        ({"stores": []}, "stores: is empty"),
        ({"endpoints": []}, "endpoints: is empty, but the stores docker keep"),
        ({"endpoints": ["ok", "https://registry.example.com"]}, "endpoints[1]: "),
        ({"docker_directory": "certs.d"}, "docker_directory: 'certs.d' is not an absolute path"),
        ({"content": "MIIB"}, "content: holds no certificate"),
        ({"state": "absent", "exclusive": True}, "exclusive: goes with state=present only"),
        ({"stores": ["system"], "client_certificate_path": "/x", "client_key_path": "/y"}, "client_certificate_path: the store system has no place"),
        ({"client_certificate_path": "/x", "client_key_path": "client.key"}, "client_key_path: 'client.key' is not an absolute path"),
    ],
)
def test_wrong_parameters_are_refused_by_name_before_anything_changes(run, tmp_path, parameters, message):
    result = run(**parameters)
    assert result["failed"] and result["msg"].startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_still_to_be_made_are_a_warning_in_check_mode_and_an_error_otherwise(run, tmp_path):
    pair = {"client_certificate_path": str(tmp_path / "client.crt"), "client_key_path": str(tmp_path / "client.key")}
    predicted = run(check=True, **pair)
    assert predicted["changed"]
    assert f"client_key_path: {tmp_path}/client.key does not exist; a real run would fail here" in str(predicted["warnings"])
    assert run(**pair)["msg"].startswith("client_certificate_path: ")


def test_an_endpoint_given_twice_is_one_and_absent_needs_neither_content_nor_endpoints(run):
    assert len(run(endpoints=["registry.example.com"] * 2)["stores"]["docker"]["reasons"]) == 1
    assert run(state="absent", content=None, endpoints=None)["changed"]


@pytest.mark.parametrize(
    ("parameters", "stores"),
    [
        ({"endpoints": None}, {"system"}),
        ({}, {"system", "docker"}),
        ({"endpoints": None, "state": "absent", "content": None}, {"system", "docker"}),
    ],
)
def test_the_stores_by_default_are_those_that_the_other_parameters_can_mean(run, tmp_path, parameters, stores):
    assert set(run(check=True, stores=None, anchors_directory=str(tmp_path / "anchors"), **parameters)["stores"]) == stores


@pytest.mark.parametrize("former", ["corp", "a/b", "corp-0123456789abcdef"])
def test_a_former_name_that_is_none_is_refused(run, former):
    result = run(former_names=[former])
    assert result["failed"] and result["msg"].startswith("former_names[0]: ")


def test_what_stores_that_are_not_listed_keep_is_removed_where_that_is_asked_for(run, tmp_path):
    stores = {f"{store}_directory": str(tmp_path / store) for store in ("containers", "containerd")}
    stores["anchors_directory"] = str(tmp_path / "anchors")
    run(stores=["docker", "containers"], **stores)
    assert not run(stores=["docker"], **stores)["changed"]
    result = run(stores=["docker"], only_these_stores=True, check=True, **stores)
    assert result["stores"]["containers"]["changed"] and not result["stores"]["docker"]["changed"]
    assert (tmp_path / "containers/registry.example.com/corp.crt").exists()


def test_with_additional_the_one_before_stays_and_the_result_names_both(run, tmp_path):
    run()
    other = make_ca()
    predicted = run(check=True, diff=True, content=other, additional=True)
    done = run(diff=True, content=other, additional=True)
    same = ("changed", "stores", "certificates", "diff")
    assert [done[key] for key in same] == [predicted[key] for key in same]
    assert len(done["certificates"]) == 2
    assert not run(content=other, additional=True)["changed"]
    text = (tmp_path / "docker/certs.d/registry.example.com/corp.crt").read_text()
    assert CA in text and other in text


@pytest.mark.parametrize(
    ("option", "value"), [("exclusive", True), ("only_these_stores", True), ("former_names", ["old"])], ids=["exclusive", "only_these_stores", "former_names"]
)
def test_additional_does_not_go_with_what_removes(run, tmp_path, option, value):
    result = run(additional=True, **{option: value})
    assert result["failed"] and result["msg"] == f"additional: removes nothing, so it does not go with {option}; leave one of them out"
    assert list(tmp_path.iterdir()) == []


def test_additional_does_not_go_with_absent(run):
    result = run(additional=True, state="absent", content=None)
    assert result["failed"] and result["msg"].startswith("additional: goes with state=present only")
