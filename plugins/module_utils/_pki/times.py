# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Times in certificates and CRLs, always in UTC."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

if t.TYPE_CHECKING:
    from cryptography import x509

BACKDATED = timedelta(hours=1)  # a host whose clock is a little behind accepts a new certificate at once
EXPIRED = "expired"

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def not_before(certificate: x509.Certificate) -> datetime:
    if hasattr(certificate, "not_valid_before_utc"):  # from 42 on, where the other one is deprecated
        return certificate.not_valid_before_utc
    return certificate.not_valid_before.replace(tzinfo=timezone.utc)


def not_after(certificate: x509.Certificate) -> datetime:
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after.replace(tzinfo=timezone.utc)


def isoformat(moment: datetime) -> str:
    return moment.strftime(_FORMAT)


def from_isoformat(text: str) -> datetime:
    """Read what isoformat() wrote. Raises ValueError or TypeError for anything else."""
    return datetime.strptime(text, _FORMAT).replace(tzinfo=timezone.utc)


def days_left(end: datetime, now: datetime) -> int:
    """Whole days until end, below zero once it has passed."""
    return (end - now) // timedelta(days=1)


def earliness(start: datetime, now: datetime) -> str | None:
    """Why nobody accepts yet what begins then, or None. The clock was ahead when it was made, or is behind now."""
    return f"not valid before {isoformat(start)}" if start > now else None


def expiry(end: datetime, renew_before_days: int, now: datetime) -> str | None:
    """Why what ends then is due for renewal, or None where it is not."""
    if end <= now:
        return EXPIRED
    if end - now <= timedelta(days=renew_before_days):
        return f"expires in {days_left(end, now)} days"
    return None
