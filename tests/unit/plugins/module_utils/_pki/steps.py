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
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._module import current_time
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority import ca as authority
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority import sign as authority_sign
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.policy import Policy
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.revoke import parse_revocations
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.revoke import revoke as authority_revoke
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.settings import CaSettings
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import certificates_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host import install as host_install
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host import request as host_request
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.request import build_csr
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.wanted import parse_wanted
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import KEY_TYPES, generate_key, key_bits, key_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import USAGES

NOW = current_time()
DAY = timedelta(days=1)
PASSPHRASE = "correct horse battery staple"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def ca(directory, *, check_mode=False, now=NOW, **changed):
    params = {
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
        "crl_lifetime_days": 825,
        "crl_renew_before_days": 400,
        "parent_certificate": None,
        "parent_crl": None,
        "signed_certificate": None,
    }
    return authority.ensure(str(directory), CaSettings.of({**params, **changed}), check_mode=check_mode, now=now)


def entry(**changed):
    defaults = {
        "name": "registry",
        "names": ["registry.example.org", "192.0.2.10"],
        "common_name": None,
        "key_type": "ec-p256",
        "usages": ["server"],
        "crl_url": "",
    }
    return {**defaults, "lifetime_days": 397, "renew_before_days": 30, "owner": None, "group": None, "mode": "0600", **changed}


def request(directory, ca_pem, *entries, check_mode=False, now=NOW, crl=None):
    wanted, warnings = parse_wanted(list(entries or [entry()]), check_mode=check_mode)
    result = host_request.ensure(str(directory), wanted, ca_certificate=ca_pem, crl=crl, check_mode=check_mode, now=now)
    return {**result, "warnings": warnings}


def policy(**changed):
    params = {"max_lifetime_days": 825, "allowed_names": None, "allowed_common_names": None}
    return Policy.of({**params, "allowed_key_types": list(KEY_TYPES), "allowed_usages": list(USAGES), **changed})


def sign(directory, requests, *, check_mode=False, now=NOW, passphrase=None, **changed):
    return authority_sign.sign(str(directory), requests, policy(**changed), passphrase=passphrase, check_mode=check_mode, now=now)


def install(directory, certificates, ca_pem, *, check_mode=False, crl=None, chain=None, names=(), crl_der=False, **ownership):
    more = {"chain": chain, "names": names, "crl_der": crl_der, "ownership": Ownership(**ownership), "check_mode": check_mode}
    return host_install.ensure(str(directory), certificates, ca_certificate=ca_pem, crl=crl, **more)


def revoke(directory, *entries, check_mode=False, now=NOW, passphrase=None):
    blank = {"serial": None, "name": None, "certificate": None, "reason": "unspecified"}
    wanted = parse_revocations([{**blank, **single} for single in entries])
    return authority_revoke(str(directory), wanted, passphrase=passphrase, check_mode=check_mode, now=now)


def converge(tmp_path, *entries, now=NOW, check_mode=False, **ca_changed):
    """One run of all four steps. Returns their results."""
    made = ca(tmp_path / "ca", check_mode=check_mode, now=now, **ca_changed)
    requested = request(tmp_path / "tls", made["certificate"], *entries, now=now, check_mode=check_mode, crl=made["crl"])
    signed = sign(tmp_path / "ca", requested["requests"], check_mode=check_mode, now=now, passphrase=ca_changed.get("passphrase"))
    return made, requested, signed, install(tmp_path / "tls", signed["certificates"], made["bundle"], check_mode=check_mode, crl=made["crl"])


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
    key = key or generate_key("ec-p256")
    return build_csr(key, parse_wanted([entry(**changed)], check_mode=False)[0][0])


def asked(name="registry", **changed):
    settings = {key: changed.pop(key) for key in ("lifetime_days", "usages", "csr") if key in changed}
    return {
        "name": name,
        "csr": csr(**changed) if "csr" not in settings else "",
        "needs": [],
        "lifetime_days": 397,
        "usages": ["server"],
        "crl_url": "",
        **settings,
    }


def pair_matches(tls, key="registry.key"):
    key = key_from_pem((tls / key).read_bytes(), "key")
    certificate = certificates_from_pem((tls / "registry.crt").read_bytes(), "crt")[0]
    return key_bits(key) == key_bits(certificate.public_key())


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
STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate")


def writes(_path, _mode, flags):
    """Whether this opens a file to write it.

    Opening a directory to flush it is no step: a killed process leaves the same files before a flush and after it.
    """
    return bool(flags & os.O_CREAT)


def copy_of(prepared, step):
    """A copy of a directory that was prepared once, beside it, for the run that is killed at this step, or for all of them."""
    place = prepared.parent / str(step)
    shutil.copytree(prepared, place, symlinks=True)
    return place


class _Copies:
    """An audit hook that copies a directory before each step."""

    def __init__(self, directory):
        self.directory, self.step, self.is_copying = directory, itertools.count(), False

    def __call__(self, event, arguments):
        if event in STEPS and not self.is_copying and (event != "open" or writes(*arguments)):
            self.is_copying = True
            shutil.copytree(self.directory, self.directory.parent / f"killed-{next(self.step)}", symlinks=True)
            self.is_copying = False


def left_by_kills(prepared, work):
    """What work(directory) leaves of a copy of the directory prepared: for each of its steps if it is killed there, and in the end.

    One process does the work once, and the directory is copied before each step: a killed process leaves on disk what is there at that moment.
    To kill a process of its own at each step would do all the steps before it again, and again.
    """
    place = copy_of(prepared, "work")
    child = os.fork()
    if not child:
        code = 1
        try:
            sys.addaudithook(_Copies(place))
            work(place)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    kills = len(list(prepared.parent.glob("killed-*")))
    return [*(prepared.parent / f"killed-{step}" for step in range(kills)), place]


def killed_at(step, work):
    """Run work() in a process that is killed at its step-th step. Returns whether it was killed."""
    child = os.fork()
    if not child:
        counter = itertools.count()

        def hook(event, arguments):
            if event in STEPS and (event != "open" or writes(*arguments)) and next(counter) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
