"""The hours in which packets were there: when something was captured, and how many flows each
network had in each hour; and sets of such numbered times as bits of an integer: bit `n` is the time
with the number `n`.

Hours and their quarters are numbered from the epoch, in UTC. A quarter is what all time zones of
today can be cut into, so a day that begins at half past an hour of UTC has whole quarters. Flows
are counted by hours: one that a day shares with its neighbour counts for both.

They are kept in blocks of `BLOCK` hours, so that a year of a network takes a few kilobytes.

Ten years of quarters of an hour are 350,000 bits, which Python's integers join and compare in some
microseconds.
"""

import re
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from netwatch.coverage.visibility import VISIBILITIES

_ONES = re.compile("1+")

Run = tuple[int, int]
"""Numbers from the first up to, but without, the second."""

HOUR = 3_600_000_000_000
"""An hour in ns."""

QUARTERS = 4
"""Parts of an hour that are told apart where nothing was captured."""

QUARTER = HOUR // QUARTERS
"""A quarter of an hour in ns."""

BLOCK = 1024
"""Hours that are kept together, some six weeks."""

CELL = 8
"""Bytes of the number of flows of an hour with one visibility."""

_VISIBILITY_BITS = 8

FlowHours = dict[int, Counter[int]]
"""Of each hour the numbers of flows by their place in `VISIBILITIES`. An hour without a flow, in
which the network was seen otherwise, has no count."""


def mask(begin: int, end: int) -> int:
    """The bits from `begin` up to, but without, `end`."""
    return ((1 << (end - begin)) - 1) << begin if end > begin else 0


def bits_of(numbers: Iterable[int]) -> int:
    """The set of these numbers."""
    found = sorted(set(numbers))
    if not found:
        return 0
    content = bytearray(found[-1] // 8 + 1)
    for number in found:
        content[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(content, "little")


def runs(bits: int) -> Iterator[Run]:
    """The runs of bits that are set, in order."""
    text = f"{bits:b}"[::-1] if bits else ""
    for found in _ONES.finditer(text):
        yield found.span()


def long_runs(bits: int, length: int) -> int:
    """The bits of those runs that have at least `length` bits."""
    reached, begins = 1, bits
    while reached < length and begins:
        step = min(reached, length - reached)
        begins &= begins >> step
        reached += step
    found, reached = begins, 1
    while reached < length and found:
        step = min(reached, length - reached)
        found |= found << step
        reached += step
    return found


def widened(bits: int, factor: int) -> int:
    """Each bit as `factor` of them: hours as parts of an hour."""
    return bits_or(mask(begin * factor, end * factor) for begin, end in runs(bits))


def narrowed(bits: int, factor: int) -> int:
    """The numbers of which any of `factor` bits is set: the hours of parts of an hour."""
    return bits_or(mask(begin // factor, -(-end // factor)) for begin, end in runs(bits))


def bits_or(parts: Iterable[int]) -> int:
    """The union of sets."""
    found = 0
    for part in parts:
        found |= part
    return found


@dataclass(slots=True)
class HourCounts:
    """What was seen by a part of a run: `quarters` in which there were packets, and the flows of
    each network, with its class, by the hour."""

    quarters: set[int] = field(default_factory=set)
    networks: dict[tuple[str, str], FlowHours] = field(default_factory=dict)

    def see(self, network: tuple[str, str], hour: int) -> Counter[int]:
        """The counts of an hour in which a network was seen."""
        return self.networks.setdefault(network, {}).setdefault(hour, Counter())


def quarter_blocks(quarters: Iterable[int]) -> dict[int, int]:
    """Quarters as sets of bits by block."""
    found: dict[int, list[int]] = {}
    for quarter in quarters:
        block, at = divmod(quarter, BLOCK * QUARTERS)
        found.setdefault(block, []).append(at)
    return {block: bits_of(each) for block, each in found.items()}


def flow_blocks(hours: Mapping[int, Counter[int]]) -> dict[int, FlowHours]:
    """The hours of a network by block, each by its place there."""
    found: dict[int, FlowHours] = {}
    for hour, counts in hours.items():
        block, at = divmod(hour, BLOCK)
        found.setdefault(block, {})[at] = counts
    return found


def pack_flows(hours: Mapping[int, Counter[int]]) -> bytes:
    """Hours of a block as bytes."""
    words = array("I")
    for at, counts in sorted(hours.items()):
        words.append(at << _VISIBILITY_BITS | 0xFF)
        words.append(0)
        for visibility, flows in sorted(counts.items()):
            if flows:
                words.append(at << _VISIBILITY_BITS | visibility)
                words.append(min(flows, 0xFFFFFFFF))
    if sys.byteorder == "big":
        words.byteswap()
    # Bytes of the same place in numbers are alike, and compress to half the size together.
    content = words.tobytes()
    return zlib.compress(b"".join(content[at::CELL] for at in range(CELL)))


def unpack_flows(content: bytes) -> FlowHours:
    """The hours of a block that `pack_flows` made bytes of."""
    found: FlowHours = {}
    for at, visibility, flows in _cells(content):
        counts = found.setdefault(at, Counter())
        if flows:
            counts[visibility] = flows
    return found


def _cells(content: bytes) -> Iterator[tuple[int, int, int]]:
    shuffled = zlib.decompress(content)
    plain = bytearray(len(shuffled))
    size = len(shuffled) // CELL
    for at in range(CELL):
        plain[at::CELL] = shuffled[at * size : (at + 1) * size]
    words = array("I", bytes(plain))
    if sys.byteorder == "big":
        words.byteswap()
    for at in range(0, len(words), 2):
        place = words[at]
        yield place >> _VISIBILITY_BITS, place & 0xFF, words[at + 1]


def by_name(counts: Mapping[int, int]) -> dict[str, int]:
    """Flows by the words of `VISIBILITIES`, in their order."""
    return {VISIBILITIES[count]: counts[count] for count in sorted(counts) if counts[count]}
