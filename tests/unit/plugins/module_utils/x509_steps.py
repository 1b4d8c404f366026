# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps from a CA to an installed certificate, for the tests of each of them."""

from __future__ import annotations

import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils import (
    x509,
    x509_ca,
    x509_ca_certificate,
    x509_install,
    x509_request,
    x509_revoke,
    x509_sign,
)

NOW = x509.current_time()
DAY = timedelta(days=1)
PASSPHRASE = "correct horse battery staple"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def ca(directory, check_mode=False, now=NOW, **changed):
    params = {
        "directory": str(directory),
        "common_name": "Test CA",
        "generation": 1,
        "keep_previous": True,
        "key_type": "ec-p256",
        "passphrase": None,
        "new_passphrase": None,
        "lifetime_days": 3650,
        "renew_before_days": 90,
        "permitted_dns_domains": None,
        "permitted_ip_ranges": None,
        "path_length": 0,
        "crl_lifetime_days": 825,
        "crl_renew_before_days": 400,
    }
    return x509_ca.ensure(x509_ca_certificate.Wanted.of({**params, **changed}), check_mode, now)


def entry(**changed):
    defaults = {"name": "registry", "names": ["registry.example.org", "192.0.2.10"], "common_name": None, "key_type": "ec-p256", "usages": ["server"]}
    return {**defaults, "lifetime_days": 397, "renew_before_days": 30, **changed}


def request(directory, ca_pem, *entries, check_mode=False, now=NOW, crl=None):
    return x509_request.ensure(str(directory), x509_request.parse(list(entries or [entry()])), ca_pem, check_mode, now, crl)


def sign(directory, requests, check_mode=False, now=NOW, passphrase=None, max_lifetime_days=825, allowed_names=None, **policy):
    return x509_sign.sign(str(directory), passphrase, requests, x509_sign.Policy.of(max_lifetime_days, allowed_names, **policy), check_mode, now)


def install(directory, certificates, ca_pem, check_mode=False, crl=None):
    return x509_install.ensure(str(directory), certificates, ca_pem, check_mode, crl)


def revoke(directory, *entries, check_mode=False, now=NOW, passphrase=None):
    blank = {"serial": None, "name": None, "certificate": None, "reason": "unspecified"}
    return x509_revoke.revoke(str(directory), passphrase, x509_revoke.parse([{**blank, **single} for single in entries]), check_mode, now)


def converge(tmp_path, *entries, now=NOW, check_mode=False, **ca_changed):
    """One run of all four steps. Returns their results."""
    made = ca(tmp_path / "ca", check_mode, now=now, **ca_changed)
    requested = request(tmp_path / "tls", made["certificate"], *entries, now=now, check_mode=check_mode, crl=made["crl"])
    signed = sign(tmp_path / "ca", requested["requests"], check_mode, now=now, passphrase=ca_changed.get("passphrase"))
    return made, requested, signed, install(tmp_path / "tls", signed["certificates"], made["bundle"], check_mode, made["crl"])


def predict(tmp_path, *entries, now=NOW, **ca_changed):
    """The same as a check run."""
    return converge(tmp_path, *entries, now=now, check_mode=True, **ca_changed)


def needs(requested):
    return [request["needs"] for request in requested["requests"]]


def mode(path):
    return oct(os.stat(path).st_mode & 0o7777)


def tree(path):
    return {str(p): (p.stat().st_mode, p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else None) for p in sorted(pathlib.Path(path).rglob("*"))}


def openssl(*arguments, **options):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def csr(key=None, **changed):
    key = key or x509.generate_key("ec-p256")
    return x509_request.build_csr(key, x509_request.parse([entry(**changed)])[0])


def asked(name="registry", **changed):
    settings = {key: changed.pop(key) for key in ("lifetime_days", "usages", "csr") if key in changed}
    return {"name": name, "csr": csr(**changed) if "csr" not in settings else "", "needs": [], "lifetime_days": 397, "usages": ["server"], **settings}


def in_children(count, work):
    """Run work(number) in count processes at once. Returns their exit codes."""
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            code = 1
            try:
                work(number)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


# What a run does to the file system, as Python's audit hooks see it.
STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.chown", "tempfile.mkstemp")


def killed_at(step, root, work):
    """Run work() in a process that is killed at its step-th step below root. Returns whether it was killed."""
    child = os.fork()
    if not child:
        counter = itertools.count()

        def hook(event, arguments):
            below = event != "open" or (isinstance(arguments[0], str) and arguments[0].startswith(str(root)))
            if event in STEPS and below and next(counter) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
