# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job of the timer that renews certificates on the CA's host: what role pki writes of it, read and checked."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.wanted import WantedCertificate, parse_wanted

_DEFAULTS = {
    "common_name": None,
    "key_type": "ec-p256",
    "usages": ["server"],
    "crl_url": "",
    "owner": None,
    "group": None,
    "mode": "0600",
}


@dataclasses.dataclass(frozen=True)
class Job:
    """What to renew, and which services read it."""

    ca_directory: str
    directory: str
    certificates: list[WantedCertificate]
    allowed_names: list[str]
    crl_lifetime_days: int
    crl_renew_before_days: int
    reload: list[str]
    status: str

    @classmethod
    def read(cls, path: str) -> Job:
        """Read a job from its file. Raises HoldfastError that names the file and the key."""
        content = read_bytes(path)
        if content is None:
            raise HoldfastError(f"{path}: there is no such file; role pki writes it")
        try:
            return cls.of(json.loads(content))
        except (ValueError, TypeError, AttributeError) as error:
            raise HoldfastError(f"{path}: is not what role pki has written ({error}); run the playbook again") from None
        except KeyError as error:
            raise HoldfastError(f"{path}: {error} is missing; run the playbook again") from None
        except HoldfastError as error:
            raise HoldfastError(f"{path}: {error}") from None

    @classmethod
    def of(cls, found: dict[str, t.Any]) -> Job:
        days = ("lifetime_days", "renew_before_days")
        entries = [{**_DEFAULTS, **entry, **{key: int(entry[key]) for key in days}} for entry in found["certificates"]]
        return cls(
            ca_directory=found["ca_directory"],
            directory=found["directory"],
            certificates=parse_wanted(entries, check_mode=False)[0],
            allowed_names=list(found["allowed_names"]),
            crl_lifetime_days=int(found["crl_lifetime_days"]),
            crl_renew_before_days=int(found["crl_renew_before_days"]),
            reload=list(found["reload"]),
            status=found["status"],
        )
