"""The key that signs what a centre publishes, and its public half as sensors are given it.

The private key is a file in the folder of keys of the centre, as a publisher of sets has them
(`netwatch.updates.keys`). The public key is one word, ``ed25519:`` and base64, which stands in the
file that a sensor is enrolled with.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from netwatch.core.errors import NetwatchError

ROLE = "fleet"
"""The beginning of the name of the key's file."""

_PREFIX = "ed25519:"


class SigningKey:
    """A private key of a centre. `key_id` names it in signatures, `public` is for sensors."""

    def __init__(self, signer: Any) -> None:
        self._signer = signer
        raw = bytes.fromhex(signer.public_key.keyval["public"])
        self.public = _PREFIX + base64.b64encode(raw).decode()
        self.key_id = key_id(raw)

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes, 64 bytes."""
        return bytes.fromhex(self._signer.sign(data).signature)


def open_signing_key(folder: Path) -> SigningKey:
    """The key in `folder`, which is made where there is none. Raises `NetwatchError`."""
    # Not at the top: sensors, which only verify, need no python-tuf.
    from netwatch.updates.keys import KeyFolder

    keys = KeyFolder(folder)
    return SigningKey(keys.only(ROLE) or keys.create(ROLE))


def key_id(raw: bytes) -> str:
    """The id of a public key of 32 bytes: the beginning of its SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:16]


def read_public_keys(words: Sequence[str]) -> dict[str, Ed25519PublicKey]:
    """The public keys that these words stand for, by their ids. Raises `NetwatchError`."""
    keys = {}
    for word in words:
        try:
            if not word.startswith(_PREFIX):
                raise ValueError(word)
            raw = base64.b64decode(word.removeprefix(_PREFIX), validate=True)
            keys[key_id(raw)] = Ed25519PublicKey.from_public_bytes(raw)
        except (ValueError, binascii.Error):
            raise NetwatchError(
                f"expected a public key like {_PREFIX}…, as netwatch fleet enrol writes it, found"
                f" '{word[:60]}'"
            ) from None
    return keys
