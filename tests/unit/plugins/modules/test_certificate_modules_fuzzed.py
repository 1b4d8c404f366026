# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever is fed to the certificate modules, the user gets a result or a message."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import tempfile

import pytest

pytest.importorskip("cryptography")
hypothesis = pytest.importorskip("hypothesis")
from ansible_collections.holdfast.registry.plugins.modules import (
    ca,
    certificate_info,
    certificate_install,
    certificate_request,
    certificate_revoke,
    certificate_sign,
)
from ansible_collections.holdfast.registry.tests.unit.module_arguments import patch_module_args
from hypothesis import strategies as st

fuzzed = hypothesis.settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck))


def call(module, **args):
    """What a module prints, run as Ansible does."""
    out = io.StringIO()
    with patch_module_args({**args, "_ansible_check_mode": False}), contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        module.main()
    result = json.loads(out.getvalue())
    assert "exception" not in result
    assert "Traceback" not in out.getvalue()
    return result


@pytest.fixture(scope="module")
def pems():
    """A CA with a request and a certificate, as PEM text."""
    with tempfile.TemporaryDirectory() as root:
        made = call(ca, directory=f"{root}/ca")
        wanted = [{"name": "a", "names": ["a.example.org"]}]
        requested = call(certificate_request, directory=f"{root}/tls", ca_certificate=made["certificate"], certificates=wanted)
        signed = call(certificate_sign, directory=f"{root}/ca", requests=requested["requests"])
        yield root, {"CERTIFICATE": made["bundle"], "X509 CRL": made["crl"], "CERTIFICATE REQUEST": requested["requests"][0]["csr"]}, signed["certificates"][0]


def mutated(pem, label):
    """PEM blocks whose DER was changed in some places, cut, or stretched, and texts that are no PEM at all."""
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))

    def change(edits):
        content = bytearray(der)
        for place, value in edits:
            content[place % len(content)] = value
        body = base64.encodebytes(bytes(content)).decode()
        return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n"

    edits = st.lists(st.tuples(st.integers(0, len(der) - 1), st.integers(0, 255)), max_size=4)
    cut = st.integers(0, len(pem)).map(lambda place: pem[:place])
    return st.one_of(edits.map(change), cut, st.text(max_size=80), st.text("-BEGINCRTFA \n=Ab", max_size=80).map(lambda text: pem + text))


@pytest.mark.parametrize("label", ["CERTIFICATE", "X509 CRL", "CERTIFICATE REQUEST"])
def test_no_damaged_pem_gives_a_traceback(pems, label):
    root, texts, signed = pems

    @fuzzed
    @hypothesis.given(mutated(texts[label], label))
    def check(text):
        good = texts["CERTIFICATE"]
        with tempfile.TemporaryDirectory() as fresh:
            if label == "CERTIFICATE REQUEST":
                call(certificate_sign, directory=f"{root}/ca", requests=[{"name": "a", "csr": text}])
                return
            crl = text if label == "X509 CRL" else None
            ca_certificate = text if label == "CERTIFICATE" else good
            wanted = [{"name": "a", "names": ["a.example.org"]}]
            call(certificate_request, directory=f"{root}/tls", ca_certificate=ca_certificate, crl=crl, certificates=wanted)
            call(certificate_install, directory=f"{root}/tls", ca_certificate=ca_certificate, crl=crl, certificates=[{"name": "a", **signed}])
            call(certificate_revoke, directory=f"{root}/ca", certificates=[{"certificate": text}])
            with open(f"{fresh}/x.crt", "w", encoding="utf-8", errors="surrogatepass") as file:
                file.write(text)
            call(certificate_info, certificates=[{"path": f"{fresh}/x.crt", "server_names": ["a.example.org"]}])

    check()


def test_no_damaged_file_of_a_ca_gives_a_traceback(pems):
    root, texts, _signed = pems
    contents = {name: open(f"{root}/ca/{name}", "rb").read() for name in ("ca.key", "ca.crt", "ca-bundle.crt", "ca.crl", "issued.jsonl")}  # noqa: SIM115
    line = st.fixed_dictionaries(
        {},
        optional={
            "serial": st.one_of(st.text("0123456789abcdefx-_ ", max_size=45), st.integers()),
            "not_after": st.one_of(st.sampled_from(["2030-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "x"]), st.none()),
            "revoked": st.one_of(st.sampled_from(["2026-01-01T00:00:00Z", "1900-01-01T00:00:00Z"]), st.integers()),
            "reason": st.one_of(st.sampled_from(["keyCompromise", "x"]), st.lists(st.integers())),
            "names": st.one_of(st.lists(st.integers()), st.integers()),
            "subject": st.one_of(st.text(max_size=5), st.integers()),
            "issuer_key": st.text(max_size=5),
        },
    )
    lines = st.lists(st.one_of(line.map(json.dumps), st.text(max_size=20), st.just("[" * 100000)), max_size=3)
    record = lines.map(lambda found: "\n".join(found).encode("utf-8", "surrogatepass"))
    damaged = st.one_of(st.tuples(st.just("issued.jsonl"), record), st.tuples(st.sampled_from(sorted(contents)), st.binary(max_size=60)))
    cut = st.tuples(st.sampled_from(sorted(contents)), st.integers(0, 400)).map(lambda found: (found[0], contents[found[0]][: found[1]]))

    @fuzzed
    @hypothesis.given(st.one_of(damaged, cut))
    def check(change):
        with tempfile.TemporaryDirectory() as directory:
            for name, content in {**contents, change[0]: change[1]}.items():
                with open(f"{directory}/{name}", "wb") as file:
                    file.write(content)
            call(ca, directory=directory, generation=2)
            call(certificate_revoke, directory=directory, certificates=[{"name": "a.example.org"}])
            call(certificate_sign, directory=directory, requests=[{"name": "a", "csr": texts["CERTIFICATE REQUEST"]}])
            call(certificate_info, certificates=[{"path": directory}])

    check()


def test_no_parameter_gives_a_traceback():
    text = st.one_of(st.text(max_size=70), st.sampled_from(["*.a.org", "192.0.2.0/24", "::1", "a" * 64, "x G2", "\0"]))

    @fuzzed
    @hypothesis.given(text, st.integers(-(2**40), 2**40), st.lists(text, max_size=2))
    def check(word, number, words):
        with tempfile.TemporaryDirectory() as root:
            call(ca, directory=f"{root}/a", common_name=word)
            call(ca, directory=f"{root}/b", generation=number)
            call(ca, directory=f"{root}/c", lifetime_days=number, crl_lifetime_days=number, renew_before_days=0, crl_renew_before_days=0)
            made = call(ca, directory=f"{root}/d", permitted_dns_domains=words, permitted_ip_ranges=words)
            if "certificate" in made:
                wanted = [{"name": word, "names": words, "common_name": word, "lifetime_days": number}]
                call(certificate_request, directory=f"{root}/t", ca_certificate=made["certificate"], certificates=wanted)
                call(certificate_revoke, directory=f"{root}/d", certificates=[{"serial": word}, {"name": word}])
                call(certificate_sign, directory=f"{root}/d", requests=[], allowed_names=words, max_lifetime_days=number)

    check()
