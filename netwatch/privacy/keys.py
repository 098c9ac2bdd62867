"""Keys of pseudonyms (made, read and derived from), and the pseudonyms of devices.

A key is a text of at least 32 bytes in a file of its own, like other secrets of the configuration.
From it HKDF (RFC 5869) derives one key for each use, so that no use tells anything about another:
pseudonyms, sealing, and the four hex digits by which pseudonyms and sealed values say which key
they are of. A key that is replaced stays among the previous ones as long as what it made has to be
read: with a key, its pseudonyms are destroyed for good.

A pseudonym is ``p``, the id of the key, a hyphen, and 80 bits of HMAC-SHA256 over the network and
the device, as 16 letters and digits: ``p3f9a-k7q2m5xw4n6b3c2d``. A device has the same one as long
as the key is in use and it stays in the network, so that its incidents can be seen together.
Without the key nobody can find out, by trying all addresses, of whom it is.
"""

import base64
import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from netwatch.core.errors import NetwatchError
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, set_mode
from netwatch.core.verdict import Device, Network

MIN_KEY_BYTES = 32
"""Bytes that the text of a key has at least."""

ID_DIGITS = 4
"""Hex digits of the id of a key."""

_FORBIDDEN = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP

_PSEUDONYM = re.compile(rf"p([0-9a-f]{{{ID_DIGITS}}})-[a-z2-7]{{16}}")
_BYTES = 10


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """What is derived from one key. `id` names it in pseudonyms and sealed values. The keys never
    appear in the text of this object."""

    id: str
    pseudonyms: bytes = field(repr=False)
    sealing: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "PseudonymKey":
        """The key that a text is. Raises `NetwatchError`, whose text continues a sentence, where it
        is too short."""
        secret = text.encode()
        if len(secret) < MIN_KEY_BYTES:
            raise NetwatchError(
                f"expected at least {MIN_KEY_BYTES} bytes, found {len(secret)}:"
                " netwatch store key new FILE makes a key"
            )
        return cls(
            id=_derived(secret, "key id")[: ID_DIGITS // 2].hex(),
            pseudonyms=_derived(secret, "pseudonyms"),
            sealing=_derived(secret, "sealing"),
        )

    def digest(self, *parts: str) -> bytes:
        """HMAC-SHA256 of some texts, of which none can be taken for a part of another."""
        message = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
        return hmac.digest(self.pseudonyms, message, "sha256")


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key in use, and those that it replaced, the newest first."""

    current: PseudonymKey
    previous: tuple[PseudonymKey, ...] = ()

    @property
    def keys(self) -> tuple[PseudonymKey, ...]:
        """All keys, the one in use first."""
        return self.current, *self.previous

    def named(self, key_id: str) -> PseudonymKey | None:
        """The key with this id; None where it is not among these."""
        return next((key for key in self.keys if key.id == key_id), None)


def _derived(secret: bytes, use: str) -> bytes:
    """32 bytes for one use of a key."""
    return HKDF(SHA256(), 32, salt=None, info=f"netwatch {use} 1".encode()).derive(secret)


def mode_problem(path: Path) -> str:
    """Why others can read or replace the file of a key; empty where they cannot, and where there is
    no file. Its group may read it, so that a service can."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        return ""
    if not mode & _FORBIDDEN:
        return ""
    return f"{path} has mode {mode:04o}: expected 0600, or 0640 for a service: chmod 600 {path}"


def write_new_key(path: Path) -> PseudonymKey:
    """Make a key of 32 random bytes, as 64 hex digits in a new file for its owner alone. Raises
    `NetwatchError` where there is a file already, and where none can be written."""
    text = secrets.token_hex(MIN_KEY_BYTES)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_NOFOLLOW | O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise NetwatchError(
            f"{path} exists already, and a key that is overwritten is lost: expected a new name"
        ) from None
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w") as stream:
            set_mode(descriptor, 0o600)
            stream.write(f"{text}\n")
            stream.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None
    return PseudonymKey.of(text)


def pseudonym(key: PseudonymKey, network: str, identity: str) -> str:
    """The pseudonym of a device in a network, by its name; `identity` is the id that alerts would
    have: that of the inventory, the MAC, or the address."""
    digest = key.digest("device", network, identity)[:_BYTES]
    return f"p{key.id}-{base64.b32encode(digest).decode().lower()}"


def key_id_of(text: str) -> str | None:
    """The id of the key that made a pseudonym; None where a text is none."""
    match = _PSEUDONYM.fullmatch(text)
    return match[1] if match else None


def under_pseudonym(device: Device, network: Network, key: PseudonymKey) -> Device:
    """A device of which nothing is left but pseudonyms of its id and address, its class with the
    reason, and when it had the address. The two are equal where it is known by its address alone.
    Its binding does not have the line of a file, which names the device."""
    binding = device.binding and replace(device.binding, file="", line=0)
    return Device(
        id=pseudonym(key, network.name, device.id),
        ip=pseudonym(key, network.name, device.ip),
        mac=None,
        hostname=None,
        owner=None,
        device_class=device.device_class,
        binding=binding,
        reason=device.reason,
        randomised_mac=device.randomised_mac,
        has_pseudonym=True,
    )
