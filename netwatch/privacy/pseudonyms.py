"""Pseudonyms of devices.

A pseudonym is ``p``, the id of the key, a hyphen, and 80 bits of HMAC-SHA256 over the network and
the device, as 16 letters and digits: ``p3f9a-k7q2m5xw4n6b3c2d``. A device has the same one as long
as the key is in use and it stays in the network, so that its incidents can be seen together.
Without the key nobody can find out, by trying all addresses, of whom it is.
"""

import base64
import re
from dataclasses import replace

from netwatch.core.verdict import Device, Network
from netwatch.privacy.keys import ID_DIGITS, PseudonymKey

_PSEUDONYM = re.compile(rf"p([0-9a-f]{{{ID_DIGITS}}})-[a-z2-7]{{16}}")
_BYTES = 10


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
