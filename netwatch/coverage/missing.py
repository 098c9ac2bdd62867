"""What is missing for an answer: the times in which a network was not captured, not judged, silent
or not readable; and how many contacts the flows without a readable name could hide, an upper bound.

The assumption of the bound is that a device hides the names of its contacts with the apps of a ban
as often as those of its other flows: the share ``s`` of its flows that had no readable name.
Whether it hides them flow by flow, or an app as a whole, is left open. Then a device that has
contacts shows none of them with a probability of at most ``s``: P(all are hidden) <= P(the first
one is hidden) = s.

Of devices that have contacts, the number that show one is therefore at least a sum of independent
trials with the probabilities 1 - s (a Poisson binomial). The bound inverts the exact test of that
number, as Clopper and Pearson (Biometrika 26, 1934, 404-413) do for equal probabilities; for the
distribution with unequal ones see Wang (Statistica Sinica 3, 1993, 295-312). It gives the greatest
number ``k`` of further devices that can have contacts without one being seen. Which devices these
are is not known, so those that are easiest to hide count for ``k``, and those with most unread
flows for the contacts.

What shows a contact may hide more of the same, and the assumption does not bound that: of such
devices every unread flow counts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    is_by_flows,
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

LEVEL = 0.95
"""The probability with which the bound holds where the assumption does."""

MIN_FLOWS = 20
"""Unread flows from which a device that shows no name at all is one that hides everything; of a
device with fewer, such as a printer, all of them count."""

MAX_SHOWING = 2_000
"""Devices that show a contact, up to which there is a bound: the time grows with their square."""


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
    `wanted`, `captured` with nothing lost, of these `by_flows` alone and `by_logs` alone (of
    services, which do not show what went past them), `judged` and `readable`, and what is missing
    by reason. `flows` are its flows by visibility; `is_known` says whether any
    sensor ever saw it."""

    network: NetworkInScope
    wanted: int
    captured: int
    by_flows: int
    by_logs: int
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
    hours = coverage.hourly(network.name, spans)
    by_flows = there & bits_of(
        QUARTERS * hour + quarter
        for hour, counts in hours.items()
        if is_by_flows(counts)
        for quarter in range(QUARTERS)
    )
    traffic = coverage.traffic(network.name, by_anyone=is_unused)
    by_logs = there & (
        bits_or(long_runs(part & ~traffic, tolerated) for part in parts)
        | _only_logged(coverage, network.name, days)
    )
    by_flows &= ~by_logs
    silent = there & ~by_logs & _silent(coverage, network, days, timezone)
    unreadable = _unreadable(coverage, network.name, hours, days, limits) | by_flows | by_logs
    blind = judged & ~silent & unreadable
    flows: Counter[int] = Counter()
    for counts in hours.values():
        flows.update(counts)
    return NetworkAnswer(
        network,
        need,
        there & ~lost,
        by_flows & ~lost,
        by_logs & ~lost,
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


def _only_logged(
    coverage: JudgedCoverage, network: str, days: Iterable[tuple[date, int, int]]
) -> int:
    """The days on which logs of services tell of a network whose traffic was not seen at all."""
    seen, traffic = coverage.seen(network), coverage.seen_traffic(network)
    found = 0
    for _, begin, end in days:
        first, last = coverage.hours_of(begin, end)
        day = mask(first, last)
        if seen & day and not traffic & day:
            found |= coverage.quarters_of(begin, end)
    return found


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
    seen = coverage.seen_traffic(network.name)
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


@dataclass(frozen=True, slots=True)
class DeviceFlows:
    """The flows with content of a device: with a readable name, `contacts` of them with the apps of
    the ban; without one (`unread`); and those of the unread ones that are tunnels."""

    named: int
    unread: int
    contacts: int = 0
    tunnels: int = 0


@dataclass(frozen=True, slots=True)
class HiddenBound:
    """With the probability `LEVEL` at most `contacts` of the `unread` flows are contacts; `named`
    flows had a readable name."""

    contacts: int
    named: int
    unread: int


@dataclass(frozen=True, slots=True)
class NoBound:
    """Why there is no bound: a code, and its numbers."""

    code: str
    values: Mapping[str, int]


def hidden_bound(devices: Iterable[DeviceFlows]) -> HiddenBound | NoBound:
    """How many contacts the unread flows of devices can be, or why nothing can be said of that."""
    found = list(devices)
    named, unread = sum(device.named for device in found), sum(device.unread for device in found)
    if not named:
        return NoBound("no-names", {"flows": unread})
    for code, failing in (
        ("tunnels", [device for device in found if device.tunnels]),
        (
            "hides-all",
            [device for device in found if not device.named and device.unread >= MIN_FLOWS],
        ),
    ):
        if failing:
            flows = sum(
                device.tunnels if code == "tunnels" else device.unread for device in failing
            )
            return NoBound(code, {"devices": len(failing), "flows": flows})
    showing = [device for device in found if device.contacts]
    if len(showing) > MAX_SHOWING:
        return NoBound("many-contacts", {"devices": len(showing)})
    # Of a device that shows no name nothing is known: all that it hides counts.
    counted = sum(device.unread for device in found if device.contacts or not device.named)
    others = [device for device in found if device.unread and device.named and not device.contacts]
    further = hidden_devices(
        [_share(device) for device in showing], [_share(device) for device in others]
    )
    largest = sorted((device.unread for device in others), reverse=True)[:further]
    return HiddenBound(counted + sum(largest), named, unread)


def hidden_devices(showing: Sequence[float], others: Iterable[float]) -> int:
    """How many of `others` can have contacts without showing one, where all of `showing` did; both
    are shares of unread flows. It is the greatest number for which so few devices would show one
    with a probability of more than 1 - `LEVEL`."""
    likely = [1.0] + [0.0] * len(showing)
    for share in showing:
        likely = _with_trial(likely, 1 - share)
    found = 0
    for share in sorted(others, reverse=True):
        likely = _with_trial(likely, 1 - share)
        if sum(likely) <= 1 - LEVEL:
            break
        found += 1
    return found


def _with_trial(likely: Sequence[float], success: float) -> list[float]:
    """The probabilities of 0, 1, … successes after one more trial, as many as there were."""
    fewer = 1 - success
    return [
        here * fewer + before * success
        for here, before in zip(likely, (0.0, *likely), strict=False)
    ]


def _share(device: DeviceFlows) -> float:
    return device.unread / (device.named + device.unread)
