"""The information elements of flow records that are read, and how a template lays them out.

A template says which fields its records have, in which order, with which lengths (RFC 3954
section 5.2, RFC 7011 section 3.4). `chosen` says which of them are read, as which of the `Values`;
`netwatch.flow_export.layouts` reads them.

The numbers are those of IANA's registry "IPFIX Information Elements", whose first 127 are those of
NetFlow v9. Reverse elements (RFC 5103 section 6.1) have the same numbers under the private
enterprise number 29305.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

REVERSE = 29305
"""The private enterprise number of the elements of the other direction (RFC 5103 section 6.1)."""

VARIABLE = 0xFFFF
"""The length of a field in a template whose records say the length (RFC 7011 section 7)."""

MAX_FIELDS = 256
"""Fields of a template. Exporters send some dozens."""


class Field(NamedTuple):
    """A field of a template: the number of its element, the enterprise that has given it (0:
    IANA), and its length in bytes or `VARIABLE`."""

    element: int
    enterprise: int
    length: int


class Values(NamedTuple):
    """What a record says, as it says it: None where it has no such field.

    Addresses and MACs are packed, `started` and `ended` numbers of the unit that the layout's
    `clock` names, the counters bytes and packets of the payload of layer 3. Those with `reverse`
    are of the other direction.
    """

    source: bytes | None = None
    destination: bytes | None = None
    source_port: int | None = None
    destination_port: int | None = None
    protocol: int | None = None
    started: int | None = None
    ended: int | None = None
    octets: int | None = None
    packets: int | None = None
    reverse_octets: int | None = None
    reverse_packets: int | None = None
    tcp_flags: int | None = None
    reverse_tcp_flags: int | None = None
    vlan: int | None = None
    source_mac: bytes | None = None
    boot_time: int | None = None
    duration: int | None = None
    sampler: int | None = None
    sampling_interval: int | None = None
    sampling_space: int | None = None
    biflow_direction: int | None = None


_ADDRESSES = frozenset({"source", "destination"})
_TEXTS = frozenset({"source", "destination", "source_mac"})

_ELEMENTS: dict[int, tuple[str, int]] = {
    # The value, and which of several elements for it is preferred: the greatest number.
    8: ("source", 1),
    27: ("source", 1),
    12: ("destination", 1),
    28: ("destination", 1),
    7: ("source_port", 1),
    180: ("source_port", 0),  # udpSourcePort
    182: ("source_port", 0),  # tcpSourcePort
    11: ("destination_port", 1),
    181: ("destination_port", 0),
    183: ("destination_port", 0),
    4: ("protocol", 1),
    1: ("octets", 2),  # octetDeltaCount
    85: ("octets", 1),  # octetTotalCount
    231: ("octets", 3),  # initiatorOctets
    232: ("reverse_octets", 3),  # responderOctets
    2: ("packets", 2),
    86: ("packets", 1),
    298: ("packets", 3),  # initiatorPackets
    299: ("reverse_packets", 3),  # responderPackets
    6: ("tcp_flags", 1),
    58: ("vlan", 2),
    243: ("vlan", 1),  # dot1qVlanId
    56: ("source_mac", 1),
    160: ("boot_time", 1),  # systemInitTimeMilliseconds
    161: ("duration", 1),  # flowDurationMilliseconds
    48: ("sampler", 2),
    302: ("sampler", 1),  # selectorId
    34: ("sampling_interval", 2),
    50: ("sampling_interval", 1),  # samplerRandomInterval
    305: ("sampling_interval", 1),  # samplingPacketInterval
    306: ("sampling_space", 1),
    239: ("biflow_direction", 1),
}

MICROSECONDS_BEFORE = "microseconds-before"

_CLOCKS: dict[int, tuple[str, str]] = {
    154: ("started", "ntp"),
    155: ("ended", "ntp"),
    156: ("started", "ntp"),
    157: ("ended", "ntp"),
    152: ("started", "milliseconds"),
    153: ("ended", "milliseconds"),
    158: ("started", MICROSECONDS_BEFORE),
    159: ("ended", MICROSECONDS_BEFORE),
    150: ("started", "seconds"),
    151: ("ended", "seconds"),
    22: ("started", "uptime"),
    21: ("ended", "uptime"),
}
"""The times, from the most exact element to the least: what each is, and its unit. ``uptime`` is in
ms since the exporter was started, ``ntp`` in the 64 bits of RFC 5905 section 6, the microseconds
are before the time of export; the others are since 1970."""

_PLACES = {name: place for place, name in enumerate(Values._fields)}


def chosen(fields: Sequence[Field]) -> tuple[str, dict[int, str]]:
    """The unit of the times, and the names of the fields that are read by their places."""
    clock = _clock(fields)
    best: dict[str, tuple[int, int]] = {}
    for at, field in enumerate(fields):
        for name, preference in _meanings(field, clock):
            if name not in best or preference > best[name][0]:
                best[name] = preference, at
    return clock, {at: name for name, (_, at) in best.items()}


def _clock(fields: Sequence[Field]) -> str:
    elements = {field.element for field in fields if not field.enterprise}
    for element, (_, clock) in _CLOCKS.items():
        if element in elements:
            return clock
    return ""


def _meanings(field: Field, clock: str) -> Iterator[tuple[str, int]]:
    """What a field says: the name of the value and its preference."""
    if field.enterprise not in (0, REVERSE):
        return
    name, preference = _ELEMENTS.get(field.element, ("", 0))
    if field.enterprise == REVERSE:
        name = f"reverse_{name}"
    elif field.element in _CLOCKS and _CLOCKS[field.element][1] == clock:
        name, preference = _CLOCKS[field.element][0], 1
    if name in _ADDRESSES and field.length not in (4, 16):
        return
    if name == "source_mac" and field.length != 6:
        return
    if name in _PLACES and (name in _TEXTS or 1 <= field.length <= 8 or field.length == VARIABLE):
        yield name, preference
