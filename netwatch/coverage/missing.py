"""What is missing for an answer: the times in which a network was not captured, not judged, silent
or not readable."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from netwatch.core.period import WORKING_DAYS, ExpectedUse, period
from netwatch.coverage.judged import (
    HOUR,
    QUARTER,
    QUARTERS,
    JudgedCoverage,
    Wanted,
    bits_of,
    bits_or,
    long_runs,
    mask,
    readable,
    runs,
    widened,
)

MissingReason = Literal["not-captured", "lost", "not-judged", "silent", "unreadable"]
MISSING_REASONS: tuple[MissingReason, ...] = get_args(MissingReason)

BLIND_FLOWS = 20
"""Flows without a readable name from which a day on which most flows had none is not readable,
however readable the rest of the period is."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)

Span = tuple[int, int]
"""A time from the first up to, but without, the second, in ns since the epoch."""


@dataclass(frozen=True, slots=True)
class NetworkInScope:
    """A network that a ban is about, and when it is used (None: the configuration does not say)."""

    name: str
    device_class: str
    expected: ExpectedUse | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest time without a packet (ns) that is no gap, and the greatest share of flows
    without a readable name."""

    gap: int = HOUR
    unnamed: float = 0.05


@dataclass(frozen=True, slots=True)
class NetworkAnswer:
    """What is known of a network in the times of a ban, as quarters of an hour: those that were
    `wanted`, `captured` with nothing lost, `judged` and `readable`, and what is missing by reason.
    `flows` are its flows by visibility; `is_known` says whether any sensor ever saw it."""

    network: NetworkInScope
    wanted: int
    captured: int
    judged: int
    readable: int
    missing: Mapping[MissingReason, int]
    flows: Counter[int]
    is_known: bool


def look(
    coverage: JudgedCoverage,
    network: NetworkInScope,
    spans: Sequence[Span],
    timezone: str,
    wanted: Wanted,
    limits: Limits,
) -> NetworkAnswer:
    """What is known of a network in `spans`, whole days of a time zone, for a ban that versions
    which are `wanted` have judged."""
    is_unused = network.expected is not None and not network.expected.spans
    is_known = bool(coverage.listeners.get(network.name))
    parts = [coverage.quarters_of(*span) for span in spans]
    need = bits_or(parts)
    captured = coverage.captured(network.name, by_anyone=is_unused)
    tolerated = max(1, limits.gap // QUARTER)
    holes = bits_or(long_runs(part & ~captured, tolerated) for part in parts)
    there = need & ~holes
    lost = there & coverage.lost(network.name, by_anyone=is_unused)
    judged_then = coverage.judged(network.name, network.device_class, wanted, by_anyone=is_unused)
    unjudged = _with_pauses(there & captured & ~judged_then, there & ~captured)
    judged = there & ~unjudged
    days = [*_days(spans, timezone)]
    silent = there & _silent(coverage, network, days, timezone)
    hours = coverage.hourly(network.name, spans)
    blind = judged & ~silent & _unreadable(coverage, network.name, hours, days, limits)
    flows: Counter[int] = Counter()
    for counts in hours.values():
        flows.update(counts)
    return NetworkAnswer(
        network,
        need,
        there & ~lost,
        judged & ~lost,
        judged & ~lost & ~silent & ~blind,
        {
            "not-captured": holes,
            "lost": lost,
            "not-judged": unjudged,
            "silent": silent,
            "unreadable": blind,
        },
        flows,
        is_known,
    )


def _with_pauses(quarters: int, pauses: int) -> int:
    """These quarters with the pauses next to them. A time without a packet that is too short for a
    gap counts as what is next to it: it is not judged if that was not."""
    found, before = quarters, 0
    while found != before:
        before = found
        found |= (found << 1 | found >> 1) & pauses
    return found


def spans_of(coverage: JudgedCoverage, quarters: int) -> Iterator[Span]:
    """Quarters as times (ns)."""
    for begin, end in runs(quarters):
        yield coverage.time_of(begin), coverage.time_of(end)


def _days(spans: Sequence[Span], timezone: str) -> Iterator[tuple[date, int, int]]:
    """The days of a time zone that spans have, with their beginning and end (ns)."""
    zone = ZoneInfo(timezone)
    for begin, end in spans:
        day = (_EPOCH + timedelta(microseconds=begin // 1000)).astimezone(zone).date()
        while True:
            found = period(day, day, timezone)
            assert found.start is not None
            assert found.end is not None
            if found.start >= end:
                break
            yield day, found.start, found.end
            day += _DAY


def _silent(
    coverage: JudgedCoverage,
    network: NetworkInScope,
    days: Sequence[tuple[date, int, int]],
    timezone: str,
) -> int:
    """The quarters in which a network should have been seen and was not: the hours in which it is
    said to be used, else working days on which it was not seen at all."""
    seen = coverage.seen(network.name)
    found: list[int] = []
    if network.expected is None:
        for day, begin, end in days:
            first, last = coverage.hours_of(begin, end)
            if day.weekday() in WORKING_DAYS and not seen >> first & mask(0, last - first):
                found += _numbers(coverage.quarters_of(begin, end))
        return bits_of(found)
    for since, until in _times_of_use(network.expected, [day for day, *_ in days], timezone):
        first, last = -(-since // HOUR) - coverage.first, until // HOUR - coverage.first
        for hour in range(max(0, first), min(last, coverage.hours)):
            if not seen >> hour & 1:
                found += range(hour * QUARTERS, (hour + 1) * QUARTERS)
    return bits_of(found)


def _times_of_use(expected: ExpectedUse, days: Sequence[date], timezone: str) -> list[Span]:
    """The times (ns) in which a network is used on days and on those next to them. An hour of UTC
    in which one day follows another belongs to a time that goes on over midnight."""
    beside = {day + by * _DAY for day in days for by in (-1, 0, 1)}
    times = sorted(
        (_clock(day, since, timezone), _clock(day, until, timezone))
        for day in beside
        for since, until in expected.on(day.weekday())
    )
    found: list[Span] = []
    for since, until in times:
        if found and since <= found[-1][1]:
            found[-1] = found[-1][0], max(until, found[-1][1])
        else:
            found.append((since, until))
    return found


def _clock(day: date, minutes: int, timezone: str) -> int:
    """When a clock shows so many minutes of a day (ns)."""
    days, minutes = divmod(minutes, 24 * 60)
    local = datetime.combine(day + days * _DAY, datetime.min.time(), ZoneInfo(timezone))
    moment = local.replace(hour=minutes // 60, minute=minutes % 60)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _numbers(bits: int) -> Iterator[int]:
    for begin, end in runs(bits):
        yield from range(begin, end)


def _unreadable(
    coverage: JudgedCoverage,
    network: str,
    hours: Mapping[int, Counter[int]],
    days: Sequence[tuple[date, int, int]],
    limits: Limits,
) -> int:
    """The quarters that do not count as readable. If too many names are missing over the whole
    time, these are the days on which too many were; otherwise the days on which most were. Of a
    network that had no flow with content it is not known, and nothing is readable."""
    content, named = readable(_sum(hours))
    if not content:
        return widened(coverage.seen(network), QUARTERS)
    is_too_much = content - named > limits.unnamed * content
    found = 0
    for _, begin, end in days:
        first, last = coverage.hours_of(begin, end)
        flows, read = readable(_sum({at: hours[at] for at in range(first, last) if at in hours}))
        hidden = flows - read
        is_blind = hidden >= BLIND_FLOWS and 2 * hidden > flows
        if is_blind or (is_too_much and hidden > limits.unnamed * flows):
            found |= coverage.quarters_of(begin, end)
    return found


def _sum(hours: Mapping[int, Counter[int]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for counts in hours.values():
        total.update(counts)
    return total
