"""Contradictions: what was seen that speaks against a contact, and says that somebody else may have
sent its packets."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

ContradictionType = Literal[
    "mac-not-bound",
    "address-claimed-twice",
    "two-names",
    "overlap",
    "sensor-network",
    "sensor-device",
]
"""What speaks against a contact: the MAC in the frame is not that of the device, two MACs claim its
address, its connection showed another name as well, bytes that overlap differ, or a sensor speaks
of a network or a device that is not its own."""

CONTRADICTION_TYPES: tuple[ContradictionType, ...] = get_args(ContradictionType)
"""All of them, in the order in which alerts have them."""


@dataclass(frozen=True, slots=True, order=True)
class Contradiction:
    """Something that speaks against a contact, as a sentence.

    `sender` is the MAC in its frames where there is nothing to explain if that belongs to a router;
    a pseudonym of it where the device has one. Otherwise it is empty.
    """

    type: ContradictionType
    text: str
    sender: str = ""


class Sender(NamedTuple):
    """Whose packets a MAC sends: the MAC, or a pseudonym of it, and the client."""

    mac: str
    client: str
