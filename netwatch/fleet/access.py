"""Access control of a fleet: the subjects, streams and buckets of its server, who may use which,
and the keys that identify sensors and the centre.

A sensor publishes below its own name and reads what is addressed to it or to all. The server
enforces that (`accounts_of`), so a sensor that pretends to be another is refused there, and the
centre can rely on the sender's name in a subject.

Users of a NATS server have nkeys: a seed that stays with the user, and its public key. The server
only knows the public key and has the user sign a challenge, so nothing on the server or in its
configuration gives access to anybody else.

If the administrator has no certificates, the centre has an authority of its own. Sensors verify the
server with the authority's certificate, which is in their credentials. So the server's certificate
can be renewed at any time.

The private key that signs what a centre publishes is a file in the centre's folder of keys, as for
a publisher of sets (`netwatch.updates.repository`). The public key, 64 hexadecimal digits, is
``publisher`` in the file with which a sensor is enrolled.
"""

import hashlib
import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
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
from netwatch.core.text import is_sensor_name

CENTRE = "NETWATCH"
"""The account of the centre on the server, with its streams and buckets."""

ROOT = "netwatch.v1"
"""The prefix of all subjects of the fleet."""

STREAM = "NETWATCH"
"""The stream of what the centre must commit."""

HEALTH_BUCKET = "netwatch-health"
"""The bucket with the last sign of life of each sensor, under its name."""

PUBLISHED_BUCKET = "netwatch-published"
"""The bucket with what is published to sensors: the index of versions under `ALL` or
``sensor.<name>``, and below these the parts of each."""

ALL = "all"
"""The key of what is published to all sensors."""

STREAM_KINDS = ("alerts", "facts", "coverage", "applied")
"""Kinds of messages that the stream keeps until the centre has committed them."""

MAX_PAYLOAD = 1 << 20
"""Bytes of a message that the server accepts, at most."""

MAPPED = "_R_."
"""The prefix of the subject of an answer that the server carries into a sensor's account."""

AUTHORITY_DAYS = 20 * 365
"""Days for which the authority is valid."""

SERVER_DAYS = 825
"""Days for which a server's certificate is valid."""

RENEW_DAYS = 90
"""Days before its end from which a certificate is renewed when the centre starts."""

_SKEW = timedelta(days=1)

ROLE = "fleet"
"""The prefix of the key file's name."""

_PUBLIC = re.compile(r"[0-9a-f]{64}")


def subject(sensor: str, kind: str) -> str:
    """The subject of a kind of messages of a sensor, or to it (``committed``); ``*`` for any."""
    return f"{ROOT}.{sensor}.{kind}"


def sender_of(subject: str) -> tuple[str, str]:
    """The sensor and the kind in a subject. Raises `ValueError` for any other subject."""
    parts = subject.split(".")
    if len(parts) != 4 or ".".join(parts[:2]) != ROOT or not is_sensor_name(parts[2]):
        raise ValueError(f"{subject!r} is no subject of a sensor")
    return parts[2], parts[3]


def bucket_subject(bucket: str, key: str) -> str:
    """The subject to which a value of a bucket is published."""
    return f"$KV.{bucket}.{key}"


def published_keys(sensor: str) -> tuple[str, str]:
    """The keys of `PUBLISHED_BUCKET` that a sensor reads."""
    return ALL, f"sensor.{sensor}"


def is_audience(text: str) -> bool:
    """Whether a text is a key of `published_keys`, of any sensor."""
    return text == ALL or (text.startswith("sensor.") and is_sensor_name(text[len("sensor.") :]))


def audience_text(key: str) -> str:
    """A key of `published_keys` as people name it."""
    return "all sensors" if key == ALL else key.replace("sensor.", "sensor ", 1)


def published_parts(key: str, sha256: str, count: int) -> list[str]:
    """The keys below one of `published_keys` with the parts of a content, which has this hash."""
    return [f"{key}.{sha256[:32]}.{number}" for number in range(count)]


def inbox(sensor: str) -> str:
    """The prefix of the subjects of answers to a sensor."""
    return f"_INBOX.{sensor}"


def is_own_reply(sensor: str, reply: str) -> bool:
    """Whether an answer to this subject only reaches its sensor."""
    return reply.startswith((MAPPED, f"{inbox(sensor)}."))


def accounts_of(centre: str, sensors: Mapping[str, str]) -> Mapping[str, Any]:
    """The accounts of the centre, whose public key is `centre`, and of each sensor by its own, for
    nats-server's configuration.

    Each sensor has an account of its own, with its name. What it may send is a service of the
    centre's account that it imports, so an answer, also the server's own acknowledgement, goes back
    into the sensor's account, whatever subject it requested.
    """
    exports = [_export("service", service) for service in _services("*")]
    exports += [_export("stream", stream) for stream in _streams("*")]
    accounts: dict[str, Any] = {
        CENTRE: {"jetstream": "enabled", "users": [{"nkey": centre}], "exports": exports}
    }
    for sensor, user in sensors.items():
        services, streams = _services(sensor), _streams(sensor)
        permissions = {
            "publish": {"allow": services},
            "subscribe": {"allow": [*streams, f"{inbox(sensor)}.>"]},
        }
        accounts[sensor] = {
            "users": [{"nkey": user, "permissions": permissions}],
            "imports": [
                *({"service": {"account": CENTRE, "subject": service}} for service in services),
                *({"stream": {"account": CENTRE, "subject": stream}} for stream in streams),
            ],
        }
    return accounts


def _export(kind: str, exported: str) -> Mapping[str, Any]:
    """What others can import from the centre's account: with a name in it, only that account."""
    tokens = exported.split(".")
    place = {"account_token_position": tokens.index("*") + 1} if "*" in tokens else {}
    return {kind: exported, **place}


def _published(sensor: str) -> list[str]:
    keys = [name for key in published_keys(sensor) for name in (key, f"{key}.>")]
    return [bucket_subject(PUBLISHED_BUCKET, key) for key in keys]


def _services(sensor: str) -> list[str]:
    """Subjects that a sensor publishes to."""
    return [
        *(subject(sensor, kind) for kind in (*STREAM_KINDS, "clock")),
        bucket_subject(HEALTH_BUCKET, sensor),
        *(f"$JS.API.DIRECT.GET.KV_{PUBLISHED_BUCKET}.{key}" for key in _published(sensor)),
    ]


def _streams(sensor: str) -> list[str]:
    """What a sensor reads."""
    return [subject(sensor, "committed"), *_published(sensor)]


def new_seed() -> str:
    """The seed of a new user."""
    import nkeys

    return str(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())


def public_key(seed: str) -> str:
    """The public key of a user with this seed. Raises `NetwatchError` for an invalid seed."""
    import nkeys

    try:
        pair = nkeys.from_seed(bytearray(seed.encode("ascii")))
        return str(pair.public_key.decode())
    except Exception:  # The library raises any exception; a seed must not be repeated in a message.
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
    """The key in `folder`, created if there is none. Raises `NetwatchError`."""
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
