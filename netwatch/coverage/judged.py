"""Judged coverage: for each network and hour, whether it was captured and by whom, how much was
readable, and by which bans and signatures it was judged.

Whatever is said of the past (the answer of a report, the pages of the console, ``store status``)
is computed from this. Unknown is a value here: what no source covers was not captured, and what no
version with the ban judged was not judged.

Times are sets of bits (`netwatch.coverage.hours`), counted from the first hour of what was read:
quarters of an hour for what was captured and judged, hours for what a network had.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from netwatch.coverage.hours import HOUR, QUARTER, QUARTERS, bits_or, mask, unpack_flows, widened
from netwatch.coverage.visibility import VISIBILITIES

_NAMED = VISIBILITIES.index("named")
_NO_DATA = VISIBILITIES.index("no-data")


@dataclass(frozen=True, slots=True)
class Judge:
    """A version that judged: netwatch and the hashes of signatures and bans, as alerts name them,
    and the hash of what each ban said (`netwatch.rules.ban_contents`), which is empty where an
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
    """A network in a source: the `hours` in which it was seen, and its flows."""

    device_class: str
    hours: int
    blocks: tuple[FlowBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A file, log or live run: the quarters in which it had packets, what it saw of networks, and
    by what it was judged. Sources with one `content` have the same packets; `place` is where the
    packets are from, in words. In the quarters `lost` not all is stored that was seen."""

    content: str
    sensor: str
    place: str
    quarters: int
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
    captured says so."""

    def __init__(
        self,
        first: int,
        hours: int,
        sources: Sequence[Source],
        listeners: Mapping[str, frozenset[str]],
    ) -> None:
        self.first = first
        self.hours = hours
        self.sources = sources
        self.listeners = listeners

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
        return bits_or(each.quarters for each in self._listening(network, by_anyone))

    def lost(self, network: str, *, by_anyone: bool = False) -> int:
        """The quarters in which sources of sensors that see a network had more than is stored."""
        return bits_or(each.lost for each in self._listening(network, by_anyone))

    @cached_property
    def lost_at_all(self) -> int:
        """The quarters in which any source had more than is stored."""
        return bits_or(source.lost for source in self.sources)

    def seen(self, network: str) -> int:
        """The hours in which a network was seen."""
        return bits_or(
            seen.hours for source in self.sources for seen in source.networks.get(network, ())
        )

    def judged(
        self, network: str, device_class: str, wanted: Wanted, *, by_anyone: bool = False
    ) -> int:
        """The captured quarters in which everything of a network was judged by versions that are
        `wanted`, while it had this class."""
        captured: dict[str, int] = {}
        judged: dict[str, int] = {}
        for each in self._listening(network, by_anyone):
            captured[each.content] = captured.get(each.content, 0) | each.quarters
            known = each.quarters & self._judged(each, wanted)
            for seen in each.networks.get(network, ()):
                if seen.device_class != device_class:
                    known &= ~widened(seen.hours, QUARTERS)
            judged[each.content] = judged.get(each.content, 0) | known
        missing = bits_or(quarters & ~judged[content] for content, quarters in captured.items())
        return bits_or(captured.values()) & ~missing

    def _judged(self, source: Source, wanted: Wanted) -> int:
        """The quarters all of which is in spans of versions that are wanted."""
        start, last = self.first * HOUR, self.hours * QUARTERS
        end = start + last * QUARTER
        spans = sorted(
            (start if each.since is None else each.since, end if each.until is None else each.until)
            for each in source.judged
            if wanted(each.judge)
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
        """The flows of a network by hour and by visibility, in the hours that times (ns) have a
        part in. Of sources with one content the last counts."""
        parts = [self.hours_of(*span) for span in spans]
        wanted = bits_or(mask(*part) for part in parts)
        found: dict[int, Counter[int]] = {}
        newest = {each.content: each for each in self.sources if network in each.networks}
        for source in newest.values():
            for seen in source.networks[network]:
                if device_class not in (None, seen.device_class):
                    continue
                for block in seen.blocks:
                    for at, counts in unpack_flows(block.flows).items():
                        hour = block.begin + at
                        if hour >= 0 and wanted >> hour & 1:
                            found.setdefault(hour, Counter()).update(counts)
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


def readable(counts: Mapping[int, int]) -> tuple[int, int]:
    """How many flows had content, and how many of these had a readable name."""
    return sum(counts.values()) - counts.get(_NO_DATA, 0), counts.get(_NAMED, 0)
