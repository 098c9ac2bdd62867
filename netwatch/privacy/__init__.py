"""Pseudonyms: which devices get one in alerts and in the store (``privacy`` in the configuration),
the keys that make them, and what the store keeps of such devices, encrypted.

A key is a text of at least 32 bytes in a file of its own, like other secrets of the configuration.
HKDF (RFC 5869) derives one key for each use from it, so that no use reveals anything about another:
pseudonyms, sealing, and the four hex digits by which pseudonyms and sealed values name their key. A
key that is replaced stays among the previous ones as long as anything made with it has to be read;
destroying a key destroys its pseudonyms for good.

A pseudonym is ``p``, the id of the key, a hyphen, and 80 bits of HMAC-SHA256 over the network and
the device, as 16 letters and digits: ``p3f9a-k7q2m5xw4n6b3c2d``. A device keeps its pseudonym as
long as the key is in use and it stays in the network, so that its incidents can be linked. Without
the key, a pseudonym cannot be reversed, not even by trying all addresses.

A sealed value (a client or an address claim) is ``nwS1``, the two bytes of the key's id, a nonce of
12 bytes, and the ciphertext of AES-256-GCM (NIST SP 800-38D) with its tag. Its purpose is
authenticated too, so that a value cannot be read as one of another kind. The nonce is a keyed hash
of the plaintext: the same client always seals to the same bytes under the same key, by which a
writer finds the row that it already has. Nothing else follows from two values being equal.

For the writer of facts::

    sealed = sealing.seal_client(network, ip, mac)   # SealedClient(pseudonym, sealed)
    claim = sealing.seal_claim(json_bytes)

To judge again, or to erase::

    identity = sealing.unseal_client(row.sealed)     # ClientIdentity(network, ip, mac)
    json_bytes = sealing.unseal_claim(claim)         # one that is not sealed is returned as it is

`netwatch.config.Config.privacy` has the `Sealing` of a configuration as ``privacy.sealing``.
`netwatch.engine.facts_process` decides whose clients are sealed.
"""

import base64
import hmac
import json
import os
import re
import secrets
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from netwatch.core.errors import NetwatchError
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, set_mode
from netwatch.core.verdict import Decision, Device, Network

MIN_KEY_BYTES = 32
"""The minimum length of a key's text, in bytes."""

ID_DIGITS = 4
"""Hex digits of a key's id."""

_FORBIDDEN = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP

_PSEUDONYM = re.compile(rf"p([0-9a-f]{{{ID_DIGITS}}})-[a-z2-7]{{16}}")
_BYTES = 10


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """The keys derived from one key. `id` names it in pseudonyms and sealed values. The keys never
    appear in the repr of this object."""

    id: str
    pseudonyms: bytes = field(repr=False)
    sealing: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "PseudonymKey":
        """The key in a text. Raises `NetwatchError`, whose text continues a sentence, if it is too
        short."""
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
        """HMAC-SHA256 of several texts, encoded unambiguously."""
        message = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
        return hmac.digest(self.pseudonyms, message, "sha256")


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key in use, and the keys that it replaced, newest first."""

    current: PseudonymKey
    previous: tuple[PseudonymKey, ...] = ()

    @property
    def keys(self) -> tuple[PseudonymKey, ...]:
        """All keys, the one in use first."""
        return self.current, *self.previous

    def named(self, key_id: str) -> PseudonymKey | None:
        """The key with this id; None if it is not one of these."""
        return next((key for key in self.keys if key.id == key_id), None)


def _derived(secret: bytes, use: str) -> bytes:
    """32 bytes for one use of the key."""
    return HKDF(SHA256(), 32, salt=None, info=f"netwatch {use} 1".encode()).derive(secret)


def mode_problem(path: Path) -> str:
    """Why others can read or replace a key file; empty if they cannot, or if there is no file. Its
    group may read it, so that a service can."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        return ""
    if not mode & _FORBIDDEN:
        return ""
    return f"{path} has mode {mode:04o}: expected 0600, or 0640 for a service: chmod 600 {path}"


def write_new_key(path: Path) -> PseudonymKey:
    """Make a key of 32 random bytes, as 64 hex digits in a new file for its owner only. Raises
    `NetwatchError` if there is already a file, or if none can be written."""
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
    """The pseudonym of a device in a network; `identity` is the id that alerts would have: of the
    inventory, the MAC, or the address."""
    digest = key.digest("device", network, identity)[:_BYTES]
    return f"p{key.id}-{base64.b32encode(digest).decode().lower()}"


def key_id_of(text: str) -> str | None:
    """The id of the key that made a pseudonym; None if the text is not a pseudonym."""
    match = _PSEUDONYM.fullmatch(text)
    return match[1] if match else None


def under_pseudonym(device: Device, network: Network, key: PseudonymKey) -> Device:
    """A device reduced to pseudonyms of its id and address, its class with the reason, and when it
    had the address. The two pseudonyms are equal if it is known only by its address. Its binding
    does not have the line of the file, which names the device."""
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


MAGIC = b"nwS1"
"""The prefix of sealed values, with which no JSON begins."""

_NONCE = 12
_HEAD = len(MAGIC) + ID_DIGITS // 2

CLASSES = ("service", "personal", "guest", "infrastructure")
"""The classes whose devices can have pseudonyms."""


class SealedError(NetwatchError):
    """A sealed value cannot be read: no key of the configuration made it, or it is damaged."""


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A client: addresses as text, `mac` None if frames have none; `network` is the name of its
    network."""

    network: str
    ip: str
    mac: str | None


@dataclass(frozen=True, slots=True)
class SealedClient:
    """What the catalogue has instead of a client's address and MAC."""

    pseudonym: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Sealing:
    """Seals with the key in use, and reads what any key of `keys` sealed."""

    keys: Keyring

    def seal_client(self, network: str, ip: str, mac: str | None) -> SealedClient:
        """A client of a network. Its pseudonym is the one in alerts about a device known only by
        this address. Equal clients give equal values until the key is replaced."""
        content = json.dumps([network, ip, mac]).encode()
        key = self.keys.current
        return SealedClient(pseudonym(key, network, ip), _seal(key, b"client", content))

    def unseal_client(self, sealed: bytes) -> ClientIdentity:
        """The client that was sealed. Raises `SealedError`."""
        network, ip, mac = json.loads(self._unseal(b"client", sealed))
        return ClientIdentity(network, ip, mac)

    def seal_claim(self, claim: bytes) -> bytes:
        """The JSON of a claim."""
        return _seal(self.keys.current, b"claim", claim)

    def unseal_claim(self, claim: bytes) -> bytes:
        """The JSON of a claim, sealed or not. Raises `SealedError`."""
        return self._unseal(b"claim", claim) if is_sealed(claim) else claim

    def _unseal(self, use: bytes, sealed: bytes) -> bytes:
        key_id = sealing_key_of(sealed)
        key = self.keys.named(key_id)
        if key is None:
            raise SealedError(
                f"sealed by the key {key_id}, which is not in the configuration (privacy: key,"
                " previous)"
            )
        nonce, ciphertext = sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :]
        try:
            return AESGCM(key.sealing).decrypt(nonce, ciphertext, use)
        except (InvalidTag, ValueError):
            raise SealedError(f"sealed by a key with the id {key_id}, but not readable") from None


def is_sealed(value: bytes) -> bool:
    """Whether a value is sealed."""
    return value.startswith(MAGIC)


def sealing_key_of(sealed: bytes) -> str:
    """The id of the key that sealed a value. Raises `SealedError` if it is not sealed."""
    if not is_sealed(sealed) or len(sealed) < _HEAD + _NONCE:
        raise SealedError("not a sealed value")
    return sealed[len(MAGIC) : _HEAD].hex()


def _seal(key: PseudonymKey, use: bytes, content: bytes) -> bytes:
    nonce = hmac.digest(key.pseudonyms, b"nonce\0" + use + b"\0" + content, "sha256")[:_NONCE]
    return MAGIC + bytes.fromhex(key.id) + nonce + AESGCM(key.sealing).encrypt(nonce, content, use)


@dataclass(frozen=True, slots=True)
class Privacy:
    """Devices of `classes` get pseudonyms from `keys`."""

    classes: frozenset[str]
    keys: Keyring

    def covers(self, device_class: str) -> bool:
        """Whether devices of a class get pseudonyms."""
        return device_class in self.classes

    @property
    def sealing(self) -> Sealing:
        """Seals and reads clients and claims in the store."""
        return Sealing(self.keys)

    def device(self, device: Device, network: Network) -> Device:
        """A device as shown in alerts: unchanged, or its pseudonym. If a device cannot be
        distinguished from others, it has no class, and the class of its network decides."""
        is_told = device.device_class != "unknown"
        if not self.covers(device.device_class if is_told else network.device_class):
            return device
        return under_pseudonym(device, network, self.keys.current)

    def pseudonym(self, identity: str, network: Network) -> str:
        """The pseudonym of anything else that identifies a device in a network."""
        return pseudonym(self.keys.current, network.name, identity)

    def decision(self, decision: Decision, device: Device) -> Decision:
        """A decision on contacts of a device from `device`: its exemptions name the device as
        alerts do."""
        if not device.has_pseudonym or all(ruling.exemption is None for ruling in decision.rulings):
            return decision
        rulings = (
            replace(
                ruling, exemption=ruling.exemption and replace(ruling.exemption, device=device.id)
            )
            for ruling in decision.rulings
        )
        return replace(decision, rulings=tuple(rulings))
