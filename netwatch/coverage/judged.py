"""Judged coverage: for each network and hour, whether it was captured and by whom, how much was
readable, and by which bans and signatures it was judged; and the hours that it consists of.

Whatever is said of the past (the answer of a report, the pages of the console, ``store status``) is
computed from this. Unknown is a value here: what no source covers was not captured, and what no
version with the ban judged was not judged.

Times are sets of bits of an integer: bit `n` is the time with the number `n`, counted from the
first hour of what was read: quarters of an hour for what was captured and judged, hours for what a
network had. Ten years of quarters of an hour are 350,000 bits, which Python's integers join and
compare in some microseconds. A quarter is what all time zones of today can be cut into, so a day
that begins at half past an hour of UTC has whole quarters. Flows are counted by hours: one that a
day shares with its neighbour counts for both.

In the catalogue, hours and their quarters are numbered from the epoch, in UTC, and kept in blocks
of `BLOCK` hours, so that a year of a network takes a few kilobytes.
"""

import re
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from netwatch.core.flow import BYPASS_CATEGORIES
from netwatch.coverage.flow_visibility import VISIBILITIES

_NAMED = VISIBILITIES.index("named")
_NO_DATA = VISIBILITIES.index("no-data")
_FLOW_RECORD = VISIBILITIES.index("flow-record")
_ONE_OF_K = VISIBILITIES.index("one-of-k")
_VENDOR_NETWORK = VISIBILITIES.index("vendor-network")

_ONES = re.compile("1+")

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

OF_K = 128
"""Counts from this place on are how many of the flow records are ``one-of-k``, by their k. Rows of
facts do not show it: whoever judges flow records says so, and it may change with the bans."""

MOST_K = 126
"""The greatest k that is told apart."""

BY_VENDOR = 1
"""Stands in the place of k for flow records that are ``vendor-network``: one name alone is a
contact."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A version that judged: netwatch and the hashes of signatures and bans, as alerts name them,
    and the hash of what each ban said (`netwatch.rules.bans`), which is empty where an
    older netwatch stored it."""

    netwatch: str
    signatures: str
    bans: str
    contents: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class JudgedSpan:
    """A source was judged by `judge` from `since` up to, but without, `until` (ns); None is
    open."""

    judge: Judge
    since: int | None
    until: int | None


@dataclass(frozen=True, slots=True)
class FlowBlock:
    """The packed flows of a block of hours, which begins at the hour `begin` of what was read."""

    begin: int
    flows: bytes


@dataclass(frozen=True, slots=True)
class SeenNetwork:
    """A network in a source: the `hours` in which it was seen, those in which its `traffic` was,
    and its flows."""

    device_class: str
    hours: int
    traffic: int
    blocks: tuple[FlowBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A file, log or live run: the quarters in which it had packets or records, those in which it
    had `traffic` (packets, or records of all flows), what it saw of networks, and by what it was
    judged. Sources with one `content` have the same packets; `place` is where the packets are from,
    in words. In the quarters `lost` not all is stored that was seen."""

    content: str
    sensor: str
    place: str
    quarters: int
    traffic: int
    networks: Mapping[str, tuple[SeenNetwork, ...]]
    judged: Sequence[JudgedSpan]
    lost: int = 0


Wanted = Callable[[Judge], bool]
"""Whether what a version decided counts."""


def says(ban: str, content: str, signatures: str, bans: str) -> Wanted:
    """Whether a version has a ban with this content; of one of which that is not known, whether all
    of its signatures and bans are these."""

    def wanted(judge: Judge) -> bool:
        if judge.contents:
            return judge.contents.get(ban) == content
        return (judge.signatures, judge.bans) == (signatures, bans)

    return wanted


class JudgedCoverage:
    """What is known of `hours` hours, the first of which is `first` (since the epoch). `listeners`
    are the sensors that ever saw a network, by its name: where it was silent, only what these
    captured says so. `watchers` are those that ever saw its traffic: a log of a resolver or a proxy
    tells of a network too, but not of what went past that service."""

    def __init__(
        self,
        first: int,
        hours: int,
        sources: Sequence[Source],
        listeners: Mapping[str, frozenset[str]],
        watchers: Mapping[str, frozenset[str]],
    ) -> None:
        self.first = first
        self.hours = hours
        self.sources = sources
        self.listeners = listeners
        self.watchers = watchers

    # Times

    def quarters_of(self, begin: int, end: int) -> int:
        """The quarters that a time (ns) has a part in."""
        start = self.first * HOUR
        return self._within((begin - start) // QUARTER, -((start - end) // QUARTER))

    def hours_of(self, begin: int, end: int) -> tuple[int, int]:
        """The hours that a time (ns) has a part in, as the first and the one behind the last."""
        first, last = begin // HOUR - self.first, -(-end // HOUR) - self.first
        return max(0, first), max(0, min(last, self.hours))

    def time_of(self, quarter: int) -> int:
        """When a quarter begins (ns)."""
        return self.first * HOUR + quarter * QUARTER

    def _within(self, first: int, last: int) -> int:
        return mask(max(0, first), max(0, min(last, self.hours * QUARTERS)))

    # What was there

    @cached_property
    def captured_at_all(self) -> int:
        """The quarters in which any source had packets."""
        return bits_or(source.quarters for source in self.sources)

    def networks(self) -> list[str]:
        """The networks that were seen."""
        return sorted({name for source in self.sources for name in source.networks})

    def captured(self, network: str, *, by_anyone: bool = False) -> int:
        """The quarters in which sources of sensors that see a network had packets; with
        `by_anyone`, any source where no sensor ever saw it."""
        return bits_or(source.quarters for source in self._listening(network, by_anyone))

    def traffic(self, network: str, *, by_anyone: bool = False) -> int:
        """The quarters in which sources of sensors that see the traffic of a network had any; with
        `by_anyone`, any source where no sensor ever saw it."""
        sensors = self.watchers.get(network, frozenset())
        is_any = by_anyone and not sensors
        return bits_or(
            source.traffic for source in self.sources if is_any or source.sensor in sensors
        )

    def lost(self, network: str, *, by_anyone: bool = False) -> int:
        """The quarters in which sources of sensors that see a network had more than is stored."""
        return bits_or(source.lost for source in self._listening(network, by_anyone))

    @cached_property
    def lost_at_all(self) -> int:
        """The quarters in which any source had more than is stored."""
        return bits_or(source.lost for source in self.sources)

    def seen(self, network: str) -> int:
        """The hours in which a network was seen."""
        return bits_or(
            seen.hours for source in self.sources for seen in source.networks.get(network, ())
        )

    def seen_traffic(self, network: str) -> int:
        """The hours in which traffic of a network was seen."""
        return bits_or(
            seen.traffic for source in self.sources for seen in source.networks.get(network, ())
        )

    def judged(
        self, network: str, device_class: str, wanted: Wanted, *, by_anyone: bool = False
    ) -> int:
        """The captured quarters in which everything of a network was judged by versions that are
        `wanted`, while it had this class."""
        captured: dict[str, int] = {}
        judged: dict[str, int] = {}
        for heard in self._listening(network, by_anyone):
            captured[heard.content] = captured.get(heard.content, 0) | heard.quarters
            known = heard.quarters & self._judged(heard, wanted)
            for seen in heard.networks.get(network, ()):
                if seen.device_class != device_class:
                    known &= ~widened(seen.hours, QUARTERS)
            judged[heard.content] = judged.get(heard.content, 0) | known
        missing = bits_or(quarters & ~judged[content] for content, quarters in captured.items())
        return bits_or(captured.values()) & ~missing

    def _judged(self, source: Source, wanted: Wanted) -> int:
        """The quarters all of which is in spans of versions that are wanted."""
        start, last = self.first * HOUR, self.hours * QUARTERS
        end = start + last * QUARTER
        spans = sorted(
            (
                start if judged.since is None else judged.since,
                end if judged.until is None else judged.until,
            )
            for judged in source.judged
            if wanted(judged.judge)
        )
        found, reached = 0, start
        begun: int | None = None
        for since, until in spans:
            if begun is None or since > reached:
                found |= self._whole(begun, reached)
                begun = since
            reached = max(reached, until)
        return found | self._whole(begun, reached)

    def _whole(self, since: int | None, until: int) -> int:
        """The quarters all of which is in a time (ns)."""
        if since is None:
            return 0
        start = self.first * HOUR
        return self._within(-((start - since) // QUARTER), (until - start) // QUARTER)

    def _listening(self, network: str, by_anyone: bool = False) -> Iterable[Source]:
        sensors = self.listeners.get(network, frozenset())
        if not sensors and by_anyone:
            return self.sources
        return [source for source in self.sources if source.sensor in sensors]

    # Flows

    def hourly(
        self, network: str, spans: Sequence[tuple[int, int]], device_class: str | None = None
    ) -> dict[int, Counter[int]]:
        """The flows of a network by hour and by visibility (with their k from `OF_K` on), in the
        hours that times (ns) have a part in. Of sources with one content the last counts."""
        parts = [self.hours_of(*span) for span in spans]
        wanted = bits_or(mask(*part) for part in parts)
        found: dict[int, Counter[int]] = {}
        newest = {source.content: source for source in self.sources if network in source.networks}
        for source in newest.values():
            for seen in source.networks[network]:
                if device_class not in (None, seen.device_class):
                    continue
                for block in seen.blocks:
                    for at, counts in unpack_flows(block.flows).items():
                        hour = block.begin + at
                        if hour >= 0 and wanted >> hour & 1:
                            found.setdefault(hour, Counter()).update(counts)
        for counts in found.values():
            _move_one_of(counts)
        return found

    def flows(self, network: str, begin: int, end: int) -> dict[str, Counter[int]]:
        """The flows of a network in a time (ns), by its class and by visibility."""
        found = {}
        for kind in sorted(
            {
                seen.device_class
                for source in self.sources
                for seen in source.networks.get(network, ())
            }
        ):
            total: Counter[int] = Counter()
            for counts in self.hourly(network, [(begin, end)], kind).values():
                total.update(counts)
            found[kind] = total
        return found


_OF_FLOW_RECORDS = frozenset({_FLOW_RECORD, _ONE_OF_K, _NO_DATA}) | {
    VISIBILITIES.index(category) for category in BYPASS_CATEGORIES
}


def is_by_flows(counts: Mapping[int, int]) -> bool:
    """Whether flow records alone tell of these flows, by visibility: who talked to which address is
    known then, and no name."""
    is_any = counts.get(_FLOW_RECORD) or counts.get(_ONE_OF_K)
    return bool(is_any) and _OF_FLOW_RECORDS.issuperset(at for at in counts if at < OF_K)


def readable(counts: Mapping[int, int]) -> tuple[int, int]:
    """How many flows had content, and how many of these had a readable name."""
    flows = sum(count for at, count in counts.items() if at < OF_K)
    return flows - counts.get(_NO_DATA, 0), counts.get(_NAMED, 0)


def one_of_place(names: int) -> int:
    """The place in counts of flow records that are one of so many names."""
    return OF_K + min(names, MOST_K)


def by_k(counts: Mapping[int, int]) -> dict[int, int]:
    """The flows ``one-of-k`` by their k, in order."""
    least = OF_K + BY_VENDOR
    return {at - OF_K: counts[at] for at in sorted(counts) if at > least and counts[at]}


def k_spread(one_of: Mapping[int, int]) -> tuple[int, int, int]:
    """The least, the median and the greatest k of flows by their k, of which there is any."""
    names = sorted(one_of)
    upto = accumulate(one_of[each] for each in names)
    half = sum(one_of.values()) / 2
    median = next(each for each, flows in zip(names, upto, strict=True) if flows >= half)
    return names[0], median, names[-1]


def _move_one_of(counts: Counter[int]) -> None:
    """Count flow records as ``one-of-k`` or ``vendor-network`` of which that was said."""
    by_vendor = counts.get(OF_K + BY_VENDOR, 0)
    said = sum(flows for at, flows in counts.items() if at >= OF_K) - by_vendor
    for place, flows in ((_ONE_OF_K, said), (_VENDOR_NETWORK, by_vendor)):
        if moved := min(flows, counts[_FLOW_RECORD]):
            counts[_FLOW_RECORD] -= moved
            counts[place] += moved


Run = tuple[int, int]
"""Numbers from the first up to, but without, the second."""


FlowHours = dict[int, Counter[int]]
"""Of each hour the numbers of flows by their place in `VISIBILITIES`, or from `OF_K` on. An hour
without a flow, in which the network was seen otherwise, has no count."""


OneOf = Sequence[tuple[str, str, int, int, int]]
"""Flow records that are ``one-of-k``: a network, its class, the hour since the epoch, k, and their
number."""


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
    """What a part of a run saw: the `quarters` that had packets or records, and which of them had
    `traffic`; the flows of each network, with its class, by the hour, and the hours in which its
    traffic was seen (`watched`)."""

    quarters: set[int] = field(default_factory=set)
    traffic: set[int] = field(default_factory=set)
    networks: dict[tuple[str, str], FlowHours] = field(default_factory=dict)
    watched: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def see(self, network: tuple[str, str], hour: int, *, is_traffic: bool = True) -> Counter[int]:
        """The counts of an hour in which a network was seen, or its traffic was."""
        if is_traffic:
            self.watched.setdefault(network, set()).add(hour)
        return self.networks.setdefault(network, {}).setdefault(hour, Counter())


def bit_blocks(numbers: Iterable[int], parts: int = 1) -> dict[int, int]:
    """Hours, or their `parts`, as sets of bits by block."""
    found: dict[int, list[int]] = {}
    for number in numbers:
        block, at = divmod(number, BLOCK * parts)
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
    return {
        VISIBILITIES[count]: counts[count]
        for count in sorted(counts)
        if counts[count] and count < OF_K
    }
