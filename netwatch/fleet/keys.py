"""The keys of a fleet: of users of its server, of the authority that its server is verified with,
and the key that signs what a centre publishes.

Users of a NATS server have nkeys: a seed that stays with the user, and its public key. The server
knows the public key alone and has the user sign a challenge, so nothing that the server or its
configuration has lets anybody else in.

If the administrator has no certificates, the centre has an authority of its own. Sensors verify the
server with its certificate, which is in their credentials. So the certificate of the server can be
made anew at any time.

The private key is a file in the folder of keys of the centre, as a publisher of sets has them
(`netwatch.updates.repository`). The public key, 64 hexadecimal digits, is ``publisher`` in the file
that a sensor is enrolled with.
"""

import hashlib
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netwatch.core.errors import NetwatchError

AUTHORITY_DAYS = 20 * 365
"""Days that the authority is valid."""

SERVER_DAYS = 825
"""Days that the certificate of a server is valid."""

RENEW_DAYS = 90
"""Days before its end from which a certificate is made anew when the centre starts."""

_SKEW = timedelta(days=1)

ROLE = "fleet"
"""The beginning of the name of the key's file."""

_PUBLIC = re.compile(r"[0-9a-f]{64}")


def new_seed() -> str:
    """The seed of a new user."""
    import nkeys

    return str(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())


def public_key(seed: str) -> str:
    """The public key of a user with this seed. Raises `NetwatchError` for what is no seed."""
    import nkeys

    try:
        pair = nkeys.from_seed(bytearray(seed.encode("ascii")))
        return str(pair.public_key.decode())
    except Exception:  # The library raises whatever it meets; a seed must not be repeated.
        raise NetwatchError("expected the seed of a user of NATS, which begins with SU") from None


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


def new_authority() -> Pair:
    """An authority with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "netwatch fleet")])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return Pair(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def new_server(authority: Pair, hosts: Sequence[str]) -> Pair:
    """The certificate of a server that is reached under these names and addresses."""
    signer = serialization.load_pem_private_key(authority.key.encode(), None)
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    builder = (
        _builder(name, issuer.subject, key.public_key(), SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(list(map(_general, hosts))), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    return Pair(_pem(builder.sign(signer, hashes.SHA256())), _key_pem(key))


def serves(certificate: str, hosts: Sequence[str]) -> bool:
    """Whether a certificate is valid for these names and addresses for some time to come."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    until = found.not_valid_after_utc - timedelta(days=RENEW_DAYS)
    return datetime.now(UTC) < until and all(_general(host) in names for host in hosts)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


class SigningKey:
    """A private key of a centre. `key_id` names it in signatures, `public` is for sensors."""

    def __init__(self, signer: Any) -> None:
        self._signer = signer
        self.public = str(signer.public_key.keyval["public"])
        self.key_id = key_id(self.public)

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes, 64 bytes."""
        return bytes.fromhex(self._signer.sign(data).signature)


def open_signing_key(folder: Path) -> SigningKey:
    """The key in `folder`, which is made where there is none. Raises `NetwatchError`."""
    # Not at the top: sensors, which only verify, need no python-tuf.
    from netwatch.updates.repository import KeyFolder

    keys = KeyFolder(folder)
    return SigningKey(keys.only(ROLE) or keys.create(ROLE))


def key_id(public: str) -> str:
    """The id of a public key: the beginning of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def read_public_key(text: str) -> dict[str, Ed25519PublicKey]:
    """A public key by its id. Raises `NetwatchError`."""
    if not _PUBLIC.fullmatch(text):
        raise NetwatchError(
            "expected a public key of 64 hexadecimal digits, as netwatch fleet enrol writes it,"
            f" found '{text[:80]}'"
        )
    return {key_id(text): Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))}
