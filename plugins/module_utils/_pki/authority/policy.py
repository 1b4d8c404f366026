# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The policy of a CA: requests are parsed, and refused if they ask for anything that it does not allow."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import host_problem
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import alternative_names, common_name, extension, name_text, usages_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import KEY_TYPES, key_type_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import Pattern, matches, parse_name, parse_pattern
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import MAX_DAYS, USAGES, check_common_name, check_crl_url
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import check_no_key

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

if t.TYPE_CHECKING:
    from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import PublicKey

_LEAST_EXPONENT = 65537


class Policy(t.NamedTuple):
    """The policy of a CA. Without names and common names, every name is allowed."""

    max_lifetime_days: int = 825
    names: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    common_names: tuple[str, ...] = ()
    key_types: tuple[str, ...] = KEY_TYPES
    usages: tuple[str, ...] = USAGES

    @classmethod
    def of(cls, params: dict[str, t.Any]) -> Policy:
        """Read module parameters."""
        for parameter in ("allowed_key_types", "allowed_usages"):
            if not params[parameter]:
                raise HoldfastError(f"{parameter}: must hold at least one value; leave it out to allow all")
        if not 1 <= params["max_lifetime_days"] <= MAX_DAYS:
            raise HoldfastError(f"max_lifetime_days: {params['max_lifetime_days']} must be between 1 and {MAX_DAYS}")
        names = tuple(params["allowed_names"] or ())
        return cls(
            params["max_lifetime_days"],
            names,
            tuple(parse_pattern(text, f"allowed_names[{index}]") for index, text in enumerate(names)),
            tuple(params["allowed_common_names"] or ()),
            tuple(params["allowed_key_types"]),
            tuple(params["allowed_usages"]),
        )

    def refused(self, names: t.Iterable[str], subject: str | None, usages: t.Sequence[str]) -> list[str]:
        """Which of the names of a request, and of its common name, are not allowed."""
        found = [name for name in names if self.patterns and not matches(name, self.patterns)]
        if subject is not None and not self._allows_common_name(subject, usages):
            found.append(subject)
        return list(dict.fromkeys(found))

    def _allows_common_name(self, subject: str, usages: t.Sequence[str]) -> bool:
        if subject in self.common_names or subject in self.names or not (self.names or self.common_names):
            return True
        # Servers know a client by its common name to the letter; to a host's name the case of letters does not matter.
        name = subject if "client" in usages else subject.lower()
        return host_problem(name.removeprefix("*.")) is None and matches(name, self.patterns)


class Request(t.NamedTuple):
    """A request that the policy allows. warnings say what of it will not be in the certificate."""

    name: str
    where: str
    public_key: PublicKey
    names: list[str]
    common_name: str | None
    lifetime_days: int
    usages: list[str]
    crl_url: str
    warnings: list[str]


def parse_request(entry: dict[str, t.Any], policy: Policy, *, where: str) -> Request:
    """Read one request and hold it against the policy. Raises HoldfastError saying why it is refused."""
    _check_settings(entry, policy, where)
    csr, public_key, names = _read(entry["csr"], where)
    _check_key(public_key, policy, where)
    _check_extensions(csr, entry["usages"], where)
    if not names:
        raise HoldfastError(f"{where}: the csr holds no subject alternative names; clients look at no others")
    names = [parse_name(name, f"{where}: subject alternative name") for name in names]
    subject = common_name(csr.subject)
    if subject is not None:
        check_common_name(subject, where=f"{where}: common name")
    refused = policy.refused(names, subject, entry["usages"])
    if refused:
        allowed = "allowed_names or allowed_common_names" if policy.common_names else "allowed_names"
        raise HoldfastError(f"{where}: {', '.join(refused)} is not among {allowed}")
    warnings = _subject_warnings(csr.subject, where)
    return Request(entry["name"], where, public_key, names, subject, entry["lifetime_days"], entry["usages"], entry["crl_url"], warnings)


def _check_settings(entry: dict[str, t.Any], policy: Policy, where: str) -> None:
    if entry["lifetime_days"] < 1 or entry["lifetime_days"] > policy.max_lifetime_days:
        raise HoldfastError(f"{where}: lifetime_days {entry['lifetime_days']} must be between 1 and max_lifetime_days ({policy.max_lifetime_days})")
    if not entry["usages"]:
        raise HoldfastError(f"{where}: usages must hold at least one of {', '.join(USAGES)}")
    check_crl_url(entry["crl_url"], where=f"{where}: crl_url")
    unwanted = [usage for usage in entry["usages"] if usage not in policy.usages]
    if unwanted:
        raise HoldfastError(f"{where}: usage {', '.join(unwanted)} is not among allowed_usages ({', '.join(policy.usages)})")


def _read(text: str, where: str) -> tuple[x509.CertificateSigningRequest, PublicKey, list[str]]:
    check_no_key(text, where=f"{where}: csr")
    try:
        csr = x509.load_pem_x509_csr(text.encode())
        public_key, names, proven = csr.public_key(), alternative_names(csr), csr.is_signature_valid
        list(csr.extensions), usages_of(csr), name_text(csr.subject)  # read lazily: a broken one shows here
    except library.UNREADABLE:
        raise HoldfastError(f"{where}: csr is not a certificate signing request in PEM form (-----BEGIN CERTIFICATE REQUEST-----)") from None
    if not proven:
        raise HoldfastError(f"{where}: the csr's signature is wrong: whoever made it does not hold the key, or it was damaged on its way")
    return csr, public_key, names


def _check_key(public_key: PublicKey, policy: Policy, where: str) -> None:
    key_type = key_type_of(public_key)
    if key_type not in KEY_TYPES:
        raise HoldfastError(f"{where}: the csr's key is of type {key_type}; it must be one of {', '.join(KEY_TYPES)}")
    if key_type not in policy.key_types:
        raise HoldfastError(f"{where}: the csr's key is of type {key_type}, which is not among allowed_key_types ({', '.join(policy.key_types)})")
    if isinstance(public_key, rsa.RSAPublicKey):
        exponent = public_key.public_numbers().e
        if exponent < _LEAST_EXPONENT:
            raise HoldfastError(f"{where}: the csr's RSA key has the public exponent {exponent}; it must be {_LEAST_EXPONENT} or more")


def _check_extensions(csr: x509.CertificateSigningRequest, usages: t.Sequence[str], where: str) -> None:
    """Refuse a request for anything that the certificate would not contain, rather than ignore it silently."""
    constraints = extension(csr, x509.BasicConstraints)
    if constraints and constraints.ca:
        raise HoldfastError(f"{where}: the csr asks for the certificate of a CA (basicConstraints CA:TRUE), and this CA signs none")
    usage = extension(csr, x509.KeyUsage)
    if usage and (usage.key_cert_sign or usage.crl_sign):
        raise HoldfastError(f"{where}: the csr asks for the key usage of a CA (keyCertSign or cRLSign), and this CA signs none")
    others = [found for found in usages_of(csr) if found not in usages]
    if others:
        raise HoldfastError(f"{where}: the csr asks for the extended key usage {', '.join(others)}, which is not among usages ({', '.join(usages)})")
    known = (x509.SubjectAlternativeName, x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectKeyIdentifier)
    for found in csr.extensions:
        if not isinstance(found.value, known):
            raise HoldfastError(f"{where}: the csr asks for the extension {found.oid.dotted_string}, which this CA does not sign; make the request without it")


def _subject_warnings(subject: x509.Name, where: str) -> list[str]:
    if len(list(subject)) <= len(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[:1]):
        return []
    return [f"{where}: of the subject {name_text(subject)} only the common name goes into the certificate"]
