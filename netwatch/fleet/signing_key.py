"""The key that signs what a centre publishes, and its public half as sensors are given it.

The private key is a file in the folder of keys of the centre, as a publisher of sets has them
(`netwatch.updates.repository`). The public key, 64 hexadecimal digits, stands as ``publisher`` in
the file that a sensor is enrolled with.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from netwatch.core.errors import NetwatchError

ROLE = "fleet"
"""The beginning of the name of the key's file."""

_PUBLIC = re.compile(r"[0-9a-f]{64}")


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
