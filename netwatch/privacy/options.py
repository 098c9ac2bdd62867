"""``privacy`` of the configuration: of whom alerts and the store say a pseudonym.

What the store keeps of devices with pseudonyms, encrypted: clients and address claims.

A sealed value is ``nwS1``, the two bytes of the key's id, a nonce of 12 bytes, and the ciphertext
of AES-256-GCM (NIST SP 800-38D) with its tag. What it is for is authenticated too, so that a value
cannot be read as one of another kind. The nonce is a hash by the key of what is sealed: the same
client seals to the same bytes under the same key, which is how a writer finds the row that it has
already. Nothing else follows from two values being equal.

For the writer of facts::

    sealed = sealing.seal_client(network, ip, mac)   # SealedClient(pseudonym, sealed)
    claim = sealing.seal_claim(json_bytes)

For whoever judges again, or erases::

    identity = sealing.unseal_client(row.sealed)     # ClientIdentity(network, ip, mac)
    json_bytes = sealing.unseal_claim(claim)         # one that is not sealed is returned as it is

`netwatch.config.Config.privacy` has the `Sealing` of a configuration as ``privacy.sealing``.
`netwatch.engine.facts_process` says whose clients are sealed.
"""

import hmac
import json
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from netwatch.core.errors import NetwatchError
from netwatch.core.verdict import Decision, Device, Network
from netwatch.privacy.keys import ID_DIGITS, Keyring, PseudonymKey, pseudonym, under_pseudonym

MAGIC = b"nwS1"
"""How each sealed value begins, which no JSON does."""

_NONCE = 12
_HEAD = len(MAGIC) + ID_DIGITS // 2

CLASSES = ("service", "personal", "guest", "infrastructure")
"""The classes whose devices can have pseudonyms."""


class SealedError(NetwatchError):
    """A sealed value cannot be read: no key of the configuration made it, or it is damaged."""


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Who a client is: addresses as text, `mac` None where frames have none; `network` is the
    name of its network."""

    network: str
    ip: str
    mac: str | None


@dataclass(frozen=True, slots=True)
class SealedClient:
    """What the catalogue has in place of a client's address and MAC."""

    pseudonym: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Sealing:
    """Seals by the key in use, and reads what any key of `keys` sealed."""

    keys: Keyring

    def seal_client(self, network: str, ip: str, mac: str | None) -> SealedClient:
        """A client of a network. Its pseudonym is that of alerts about a device that is known by
        this address alone. Equal clients give equal values, until the key is replaced."""
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
        key_id = key_id_of(sealed)
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


def key_id_of(sealed: bytes) -> str:
    """The id of the key that sealed a value. Raises `SealedError` where it is not sealed."""
    if not is_sealed(sealed) or len(sealed) < _HEAD + _NONCE:
        raise SealedError("not a sealed value")
    return sealed[len(MAGIC) : _HEAD].hex()


def _seal(key: PseudonymKey, use: bytes, content: bytes) -> bytes:
    nonce = hmac.digest(key.pseudonyms, b"nonce\0" + use + b"\0" + content, "sha256")[:_NONCE]
    return MAGIC + bytes.fromhex(key.id) + nonce + AESGCM(key.sealing).encrypt(nonce, content, use)


@dataclass(frozen=True, slots=True)
class Privacy:
    """Devices of `classes` have pseudonyms by `keys`."""

    classes: frozenset[str]
    keys: Keyring

    def covers(self, device_class: str) -> bool:
        """Whether devices of a class have pseudonyms."""
        return device_class in self.classes

    @property
    def sealing(self) -> Sealing:
        """What seals and reads clients and claims in the store."""
        return Sealing(self.keys)

    def device(self, device: Device, network: Network) -> Device:
        """A device as alerts show it: the same one, or its pseudonym. One that cannot be told from
        others has no class, and that of its network decides."""
        is_told = device.device_class != "unknown"
        if not self.covers(device.device_class if is_told else network.device_class):
            return device
        return under_pseudonym(device, network, self.keys.current)

    def pseudonym(self, identity: str, network: Network) -> str:
        """The pseudonym of anything else that tells who a device in a network is."""
        return pseudonym(self.keys.current, network.name, identity)

    def decision(self, decision: Decision, device: Device) -> Decision:
        """A decision on contacts of a device, which `device` gave: its exemptions name the device
        as alerts do."""
        if not device.has_pseudonym or all(ruling.exemption is None for ruling in decision.rulings):
            return decision
        rulings = (
            replace(
                ruling, exemption=ruling.exemption and replace(ruling.exemption, device=device.id)
            )
            for ruling in decision.rulings
        )
        return replace(decision, rulings=tuple(rulings))
