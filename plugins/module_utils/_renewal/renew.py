# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and CRL of a host that has the CA itself, renewed when they are due, with no playbook involved."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import atomic_write, make_directories, remove_leftovers
from ansible_collections.holdfast.registry.plugins.module_utils._host import stamps
from ansible_collections.holdfast.registry.plugins.module_utils._host.systemd import Systemd
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.policy import Policy
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.renew import Authority, renew_crl
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.sign import sign
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host import install, request
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.request import OF_ANOTHER_CA
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import parse_pattern
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import EXPIRED, earliness, isoformat
from ansible_collections.holdfast.registry.plugins.module_utils._renewal.job import Job

# A renewed certificate ends with its CA: less than this before the CA's end, the playbook has to renew the CA.
_CA_NEARS_ITS_END = timedelta(days=90)


@dataclasses.dataclass
class Outcome:
    """What was done, what an administrator has to know, and what went wrong."""

    done: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    error: str = ""
    certificates: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)


def renew(job: Job, run_program: Run, now: datetime) -> Outcome:
    """Renew what is due, and let the services read it. What is in place stays where anything fails: error then says why."""
    outcome = Outcome()
    try:
        _renew(job, run_program, now, outcome)
    except HoldfastError as error:
        outcome.error = str(error)
    _write_status(job, outcome, now)
    return outcome


def _renew(job: Job, run_program: Run, now: datetime, outcome: Outcome) -> None:
    authority = renew_crl(job.ca_directory, lifetime_days=job.crl_lifetime_days, renew_before_days=job.crl_renew_before_days, now=now)
    outcome.done += [f"{job.ca_directory}: {reason}, issued again" for reason in authority.reasons]
    if authority.ends - now < _CA_NEARS_ITS_END:
        outcome.warnings.append(f"the CA in {job.ca_directory} ends on {isoformat(authority.ends)}; run the playbook, which renews it")
    early = earliness(authority.begins, now)
    if early:
        outcome.warnings.append(f"the CA in {job.ca_directory} is {early}; run the playbook, which makes its certificate again")
    asked = request.ensure(job.directory, job.certificates, ca_certificate=authority.certificate, crl=authority.crl, check_mode=False, now=now)
    outcome.certificates = asked["certificates"]
    signed = _sign(job, _without_those_of_before(asked["requests"], outcome), now, outcome)
    outcome.done += asked["changes"]
    installed = install.ensure(
        job.directory,
        signed,
        ca_certificate=authority.bundle,
        chain=authority.chain,
        names=[certificate.name for certificate in job.certificates],
        crl=authority.crl,
        crl_der=any(certificate.crl_url for certificate in job.certificates),
        ownership=Ownership(),
        check_mode=False,
    )
    outcome.done += installed["changes"]
    outcome.certificates = _certificates(job, authority, now)
    _reload_services(job, run_program, outcome)


def _without_those_of_before(requests: list[dict[str, t.Any]], outcome: Outcome) -> list[dict[str, t.Any]]:
    """The requests without those for certificates that a CA before this one has signed, and that clients still accept.

    Clients may not trust the new CA yet, where the playbook has not come to them, or was killed before: it lets them trust that CA first.
    """
    before = [entry for entry in requests if OF_ANOTHER_CA in entry["needs"] and EXPIRED not in entry["needs"]]
    outcome.warnings += [f"{entry['name']}: the CA was replaced, and the certificate stays that of the CA before; run the playbook" for entry in before]
    return [entry for entry in requests if entry not in before]


def _sign(job: Job, requests: list[dict[str, t.Any]], now: datetime, outcome: Outcome) -> list[dict[str, t.Any]]:
    if not requests:
        return []
    patterns = tuple(parse_pattern(text, f"allowed_names[{index}]") for index, text in enumerate(job.allowed_names))
    policy = Policy(names=tuple(job.allowed_names), patterns=patterns)
    signed = sign(job.ca_directory, requests, policy, passphrase=None, check_mode=False, now=now)
    outcome.warnings += signed.get("warnings", [])
    return list(signed["certificates"])


def _certificates(job: Job, authority: Authority, now: datetime) -> list[dict[str, t.Any]]:
    """The certificates as they are now."""
    found = request.ensure(job.directory, job.certificates, ca_certificate=authority.certificate, crl=authority.crl, check_mode=True, now=now)
    return list(found["certificates"])


def _reload_services(job: Job, run_program: Run, outcome: Outcome) -> None:
    """Reload the units that have not read their files, also after a run that was killed between the installation and the reload.

    One that cannot be reloaded does not keep the others from it. Raises HoldfastError that names each of those.
    """
    systemd, failed = Systemd(run_program), []
    for name in job.reload:
        unit = systemd.unit(name)
        if not unit.exists:
            outcome.warnings.append(f"{name}: there is no such unit (pki_reload_services)")
            continue
        try:
            if unit.is_active and _reload(job, unit.started, name, systemd):
                outcome.done.append(f"{name}: reloaded")
        except HoldfastError as error:
            failed.append(str(error))
    if failed:
        raise HoldfastError("; ".join(failed))


def _reload(job: Job, started: float, name: str, systemd: Systemd) -> bool:
    """Reload a unit that runs and has not read its files, and record that it has, as the module services does in a playbook.

    That module has recorded which files are a unit's. For one that it does not know, such as another web server, it is the certificates,
    the CA's certificate and the CRL.
    """
    known = stamps.read(name) or stamps.Stamp({}, dict.fromkeys(_files(job), ""))
    now = stamps.Stamp(known.restart, stamps.digests(list(known.reload)))
    if not stamps.unread(known.reload, now.reload, started):
        return False
    systemd.act("reload", name)
    stamps.write(name, now)
    return True


def _files(job: Job) -> list[str]:
    names = [f"{certificate.name}.{kind}" for certificate in job.certificates for kind in ("crt", "key")]
    return [os.path.join(job.directory, name) for name in [*names, "ca.crt", "ca.crl"]]


def _write_status(job: Job, outcome: Outcome, now: datetime) -> None:
    content = {"time": isoformat(now), **dataclasses.asdict(outcome)}
    make_directories(os.path.dirname(job.status), 0o755)
    remove_leftovers(job.status)  # systemd has one run of a unit at a time
    atomic_write(job.status, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode(), Ownership(mode=0o644))
