"""The information elements of flow records that are read, and how a template lays them out.

A template says which fields its records have, in which order, with which lengths (RFC 3954
section 5.2, RFC 7011 section 3.4). `Layout` makes of it one `struct.Struct`, in which fields that
nobody asks for are padding, so that a record of any template becomes the same `Values` without a
loop over its fields. Records with fields of variable length (RFC 7011 section 7) are divided field
by field first.

The numbers are those of IANA's registry "IPFIX Information Elements", whose first 127 are those of
NetFlow v9. Reverse elements (RFC 5103 section 6.1) have the same numbers under the private
enterprise number 29305.
"""

import struct
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

REVERSE = 29305
"""The private enterprise number of the elements of the other direction (RFC 5103 section 6.1)."""

VARIABLE = 0xFFFF
"""The length of a field in a template whose records say the length (RFC 7011 section 7)."""

MAX_FIELDS = 256
"""Fields of a template. Exporters send some dozens."""

_MAX_RECORD = 0xFFFF
"""Bytes of a record, whose message has no more."""


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

_NATIVE = {1: "B", 2: "H", 4: "I", 8: "Q"}
_PLACES = {name: place for place, name in enumerate(Values._fields)}


class Layout:
    """How the records of a template are read. `clock` is the unit of their times, empty where they
    have none, and `size` the length of a record in bytes, the shortest where it varies.

    Raises `ValueError` where a record would have no bytes, or more than `_MAX_RECORD`.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)
        self._lengths = [field.length for field in fields]
        self.is_fixed = VARIABLE not in self._lengths
        self.size = sum(1 if length == VARIABLE else length for length in self._lengths)
        if not 0 < self.size <= _MAX_RECORD:
            raise ValueError("a record has no bytes, or too many")
        self.clock, chosen = _chosen(self.fields)
        self._fields = sorted(chosen.items())
        # Values of a record, and behind them one None for what no field says.
        order = {name: number for number, (_, name) in enumerate(self._fields)}
        missing = len(self._fields)
        self._pick = itemgetter(*(order.get(name, missing) for name in Values._fields))
        self._numbers = [
            _PLACES[name]
            for at, name in self._fields
            if name not in _TEXTS and self._lengths[at] not in _NATIVE
        ]
        self._struct = self._packing() if self.is_fixed else None

    def _packing(self) -> struct.Struct:
        """The struct of a record of fixed length."""
        names = dict(self._fields)
        parts = [
            _NATIVE[length]
            if at in names and names[at] not in _TEXTS and length in _NATIVE
            else f"{length}{'s' if at in names else 'x'}"
            for at, length in enumerate(self._lengths)
        ]
        return struct.Struct(">" + "".join(parts))

    def records(self, data: bytes) -> Iterator[Values]:
        """The records of a set, whose end may be padding that is shorter than a record. Raises
        `ValueError` where a field of variable length exceeds it."""
        if self._struct is None:
            yield from self._varying(data)
            return
        whole = len(data) - len(data) % self.size
        pick, numbers = self._pick, self._numbers
        nothing = (None,)
        for found in self._struct.iter_unpack(memoryview(data)[:whole]):
            values = Values._make(pick(found + nothing))
            yield _with_numbers(values, numbers) if numbers else values

    def _varying(self, data: bytes) -> Iterator[Values]:
        names = dict(self._fields)
        at = 0
        while len(data) - at >= self.size:
            found: dict[str, bytes | int] = {}
            for number, length in enumerate(self._lengths):
                if length == VARIABLE:
                    at, length = _length(data, at)
                end = at + length
                if end > len(data):
                    raise ValueError("a record exceeds its set")
                name = names.get(number)
                if name is not None:
                    octets = data[at:end]
                    found[name] = octets if name in _TEXTS else int.from_bytes(octets)
                at = end
            yield Values(**found)  # type: ignore[arg-type]


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Where a field of variable length begins, and its length."""
    if at >= len(data):
        raise ValueError("a record exceeds its set")
    if data[at] < 255:
        return at + 1, data[at]
    if at + 3 > len(data):
        raise ValueError("a record exceeds its set")
    return at + 3, int.from_bytes(data[at + 1 : at + 3])


def _with_numbers(values: Values, places: Sequence[int]) -> Values:
    """The values with numbers of lengths that `struct` does not know (RFC 7011 section 6.2)."""
    found = list(values)
    for place in places:
        found[place] = int.from_bytes(found[place])  # type: ignore[arg-type]
    return Values._make(found)


def _chosen(fields: Sequence[Field]) -> tuple[str, dict[int, str]]:
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
