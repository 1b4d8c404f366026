# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys: made, read, written, told apart."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library

if library.HAS_CRYPTOGRAPHY:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    PublicKey = CertificatePublicKeyTypes
    PrivateKey = t.Union[ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey]

KEY_TYPES = ("ec-p256", "ec-p384", "rsa-3072", "rsa-4096", "ed25519")

_CURVES = {"secp256r1": "ec-p256", "secp384r1": "ec-p384"}


def generate_key(key_type: str) -> PrivateKey:
    """A new private key of one of KEY_TYPES."""
    if key_type == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if key_type.startswith("rsa-"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type[4:]))
    return ec.generate_private_key(ec.SECP384R1() if key_type == "ec-p384" else ec.SECP256R1())


def key_type_of(key: PrivateKey | PublicKey) -> str:
    """The type of a key in the words of KEY_TYPES; for any other key in words that are not among them."""
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        return _CURVES.get(key.curve.name, f"ec-{key.curve.name}")
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        return f"rsa-{key.key_size}"
    return "ed25519" if isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)) else "unsupported"


def key_to_pem(key: PrivateKey, passphrase: str | None = None) -> bytes:
    """A private key as PKCS #8, encrypted where there is a passphrase."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key in PEM is encrypted, in PKCS #8 or in the older form."""
    return b"ENCRYPTED" in pem


def key_from_pem(pem: bytes, path: str, passphrase: str | None = None) -> PrivateKey:
    """Read the private key from the content of the file at path. A passphrase that an open key does not need is ignored."""
    encrypted = is_encrypted(pem)
    if encrypted and not passphrase:
        raise HoldfastError(f"{path}: the private key is encrypted and no passphrase for it was given")
    try:
        key = serialization.load_pem_private_key(pem, passphrase.encode() if encrypted and passphrase else None)
    except library.UNREADABLE:
        if encrypted:
            raise HoldfastError(f"passphrase: does not open {path}: the passphrase is wrong, or the file is damaged") from None
        raise HoldfastError(f"{path}: holds no private key in PEM form; it was left as it is: restore it, or move it away") from None
    if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey)):
        return key
    raise HoldfastError(f"{path}: holds a private key of another kind than EC, RSA and Ed25519; it was left as it is: move it away")


def key_bits(key: PrivateKey | PublicKey) -> bytes:
    """What makes two keys the same pair, in bytes."""
    public = key.public_key() if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey)) else key
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def signing_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """The hash to sign with: Ed25519 has its own, the larger curve gets the larger one."""
    kind = key_type_of(key)
    if kind == "ed25519":
        return None
    return hashes.SHA384() if kind == "ec-p384" else hashes.SHA256()
