"""What an incident looks like: was the app used, or does something else explain the contacts.

A judgement by numbers, with its reasons; it is never part of the verdict. The hosts that were
contacted say most: what only the app calls proves that the app is there. Whether it was used is
then a question of volume both ways over time. Hosts that pages call as well prove no app, unless so
much was transferred for so long that no embedded player explains it.

All thresholds are in `THRESHOLDS`.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netwatch.core.alert import JudgedKind
from netwatch.core.verdict import Outcome
from netwatch.incidents.activity import (
    APP_ONLY,
    ASKED,
    PAGE,
    SHARED,
    Activity,
    ActivityTable,
)

SECOND = 1_000_000_000
KIB = 1024
MIB = 1 << 20

NAMES_SHOWN = 3
"""Host names in a reason; of further ones the number is given."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number that the judgement depends on, and why it is what it is."""

    name: str
    value: float
    unit: str
    reason: str


THRESHOLDS: tuple[Threshold, ...] = (
    Threshold(
        "burst_gap",
        300,
        "s",
        "contacts further apart belong to different bursts of activity; an app in use opens "
        "connections more often, an app in the background seldom does",
    ),
    Threshold(
        "session_app_only",
        2,
        "contacts",
        "hosts that only the app calls, contacted in the burst; a single contact may be a check "
        "for messages",
    ),
    Threshold(
        "session_contacts",
        3,
        "contacts",
        "hosts of the app, contacted in the burst; opening an app takes a dozen or more",
    ),
    Threshold(
        "session_seconds",
        30,
        "s",
        "between the first and the last contact of the burst with hosts that only the app calls; "
        "what an app fetches in the background it fetches within seconds",
    ),
    Threshold(
        "session_bytes_in",
        32 * KIB,
        "bytes",
        "received in the burst; a check for messages takes a few thousand for each connection, "
        "most of them for the handshake",
    ),
    Threshold(
        "session_bytes_out",
        2 * KIB,
        "bytes",
        "sent in the burst; more than the hellos of its connections",
    ),
    Threshold(
        "session_rate",
        6 * KIB,
        "bytes/min",
        "received in the burst by the minute; contacts every minute with a few thousand bytes "
        "each are the app's heartbeat",
    ),
    Threshold(
        "long_bytes_in",
        256 * KIB,
        "bytes",
        "received from hosts that only the app calls, where the app multiplexes its use over few "
        "long connections",
    ),
    Threshold(
        "long_seconds",
        60,
        "s",
        "from the first contact to the last packet of such connections",
    ),
    Threshold(
        "regular_bursts",
        4,
        "bursts",
        "at least so many bursts are needed to speak of regular intervals",
    ),
    Threshold(
        "regular_variation",
        0.35,
        "ratio",
        "standard deviation of the intervals by their mean; a timer with the tolerance of a "
        "mobile system stays below, people (1 for random times) stay above",
    ),
    Threshold(
        "regular_seconds",
        600,
        "s",
        "mean interval of regular bursts that are taken for a timer of the app",
    ),
    Threshold(
        "regular_bytes_in",
        512 * KIB,
        "bytes",
        "received in each of the regular bursts; more is no check for messages",
    ),
    Threshold(
        "page_contacts",
        10,
        "contacts",
        "with hosts of the app that pages call as well, in a burst without the app's own hosts",
    ),
    Threshold(
        "page_bytes_in",
        10 * MIB,
        "bytes",
        "received in such a burst; an embedded player loads a few million bytes and stops",
    ),
    Threshold(
        "page_seconds",
        180,
        "s",
        "between the first and the last contact of such a burst; a page loads what it embeds "
        "within seconds",
    ),
    Threshold(
        "page_minutes",
        4,
        "minutes",
        "of such a burst that have new contacts; who goes from video to video makes them again "
        "and again",
    ),
    Threshold(
        "one_way_contacts",
        8,
        "contacts",
        "with hosts that only the app calls, where only what the device sent was captured",
    ),
    Threshold(
        "one_way_seconds",
        60,
        "s",
        "between the first and the last of them",
    ),
    Threshold(
        "one_way_bytes_out",
        16 * KIB,
        "bytes",
        "sent to them; more than their hellos",
    ),
)
"""All thresholds of the judgement: at least the value, for `burst_gap`, `regular_variation` and
`regular_bytes_in` at most."""

_VALUES = {row.name: row.value for row in THRESHOLDS}


@dataclass(frozen=True, slots=True)
class Burst:
    """Contacts without a longer pause between them: those with hosts that only the app calls, those
    with its hosts that pages call as well, and all of them; `minutes` have new contacts."""

    app_only: Activity
    page: Activity
    all: Activity
    minutes: int


def judge(
    activity: ActivityTable, outcome: Outcome, *, lookups: int, blocked_lookups: bool
) -> JudgedKind:
    """The kind of an incident with this activity and outcome. It has so many `lookups`;
    `blocked_lookups` says that they were answered by a block."""
    bursts = list(_bursts(activity, (APP_ONLY, PAGE, SHARED)))
    notes = tuple(_notes(activity, outcome, blocked_lookups=blocked_lookups))
    if not bursts:
        return JudgedKind("lookup", (*_lookup_reasons(activity, lookups), *notes))
    reasons = _session(activity, bursts, outcome)
    if reasons:
        return JudgedKind("session", (*reasons, *notes))
    if activity.is_app_seen:
        return JudgedKind("background", (*_background_reasons(activity, bursts), *notes))
    return JudgedKind("embed", (*_embed_reasons(activity, bursts), *notes))


def _bursts(activity: ActivityTable, classes: Sequence[int]) -> Iterator[Burst]:
    """The bursts of contacts of these classes, in order of time."""
    burst: dict[int, Activity] = {}
    minutes: set[int] = set()
    last: int | None = None
    for minute, kind in sorted(activity.entries):
        if kind not in classes:
            continue
        entry = activity.entries[minute, kind]
        if last is not None and entry.first - last > _VALUES["burst_gap"] * SECOND:
            yield _burst(burst, len(minutes))
            burst, minutes, last = {}, set(), None
        minutes.add(minute)
        last = max(entry.last, last or entry.last)
        if kind in burst:
            burst[kind].add(entry)
        else:
            burst[kind] = entry.copy()
    if burst:
        yield _burst(burst, len(minutes))


def _burst(parts: dict[int, Activity], minutes: int) -> Burst:
    whole: Activity | None = None
    for part in parts.values():
        if whole is None:
            whole = part.copy()
        else:
            whole.add(part)
    assert whole is not None
    nothing = Activity(0, 0, 0)
    return Burst(parts.get(APP_ONLY, nothing), parts.get(PAGE, nothing), whole, minutes)


def _session(activity: ActivityTable, bursts: Sequence[Burst], outcome: Outcome) -> tuple[str, ...]:
    """The reasons to call an incident a session; empty where there are none."""
    if outcome == "unknown" and not any(burst.all.bytes_in for burst in bursts):
        return next((found for burst in bursts if (found := _one_way(activity, burst))), ())
    if outcome != "reached" or _is_timer(bursts):
        return ()
    for test in (_in_use, _long_connections, _watched_in_browser):
        for burst in bursts:
            reasons = test(activity, burst)
            if reasons:
                return reasons
    return ()


def _in_use(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    own, whole = burst.app_only, burst.all
    seconds = _span(own.first, own.last)
    rate = whole.bytes_in / max(1.0, _span(whole.first, whole.last) / 60)
    if (
        own.contacts < _VALUES["session_app_only"]
        or whole.contacts < _VALUES["session_contacts"]
        or seconds < _VALUES["session_seconds"]
        or whole.bytes_in < _VALUES["session_bytes_in"]
        or whole.bytes_out < _VALUES["session_bytes_out"]
        or rate < _VALUES["session_rate"]
    ):
        return ()
    return (
        f"{_contacts(own)} with {_hosts(activity, APP_ONLY)}, which only the app calls, within"
        f" {_time(seconds)} (threshold: {_limit('session_app_only')} within"
        f" {_limit('session_seconds')})",
        f"in this time the device received {whole.bytes_in:,} bytes and sent"
        f" {whole.bytes_out:,} in {whole.contacts:,} contacts with the app, {rate:,.0f} bytes"
        f" received a minute (threshold: {_limit('session_bytes_in')},"
        f" {_limit('session_bytes_out')}, {_limit('session_contacts')}, {_limit('session_rate')})",
    )


def _long_connections(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    own = burst.app_only
    seconds = _span(own.first, own.until)
    if (
        not own.contacts
        or seconds < _VALUES["long_seconds"]
        or own.bytes_in < _VALUES["long_bytes_in"]
        or own.bytes_out < _VALUES["session_bytes_out"]
    ):
        return ()
    return (
        f"{_contacts(own)} with {_hosts(activity, APP_ONLY)}, which only the app calls; the"
        f" connections were in use for {_time(seconds)} (threshold: {_limit('long_seconds')})",
        f"in them the device received {own.bytes_in:,} bytes and sent {own.bytes_out:,} (threshold:"
        f" {_limit('long_bytes_in')}, {_limit('session_bytes_out')})",
    )


def _watched_in_browser(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    page, whole = burst.page, burst.all
    seconds = _span(page.first, page.last)
    if (
        page.contacts < _VALUES["page_contacts"]
        or whole.bytes_in < _VALUES["page_bytes_in"]
        or whole.bytes_out < _VALUES["session_bytes_out"]
        or seconds < _VALUES["page_seconds"]
        or burst.minutes < _VALUES["page_minutes"]
    ):
        return ()
    return (
        f"{_contacts(page)} with {_hosts(activity, PAGE)}, which the app and pages call, in"
        f" {burst.minutes} minutes of {_time(seconds)} (threshold: {_limit('page_contacts')} in"
        f" {_limit('page_minutes')} of {_limit('page_seconds')})",
        f"in this time the device received {whole.bytes_in:,} bytes and sent {whole.bytes_out:,},"
        f" more than a page loads that embeds a player (threshold: {_limit('page_bytes_in')})",
    )


def _one_way(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    own = burst.app_only
    seconds = _span(own.first, own.last)
    if (
        own.contacts < _VALUES["one_way_contacts"]
        or seconds < _VALUES["one_way_seconds"]
        or own.bytes_out < _VALUES["one_way_bytes_out"]
    ):
        return ()
    return (
        f"{_contacts(own)} with {_hosts(activity, APP_ONLY)}, which only the app calls, within"
        f" {_time(seconds)} (threshold: {_limit('one_way_contacts')} within"
        f" {_limit('one_way_seconds')})",
        f"the device sent {own.bytes_out:,} bytes (threshold: {_limit('one_way_bytes_out')}); what"
        " it received is not in the capture",
    )


def _background_reasons(activity: ActivityTable, bursts: Sequence[Burst]) -> Iterator[str]:
    own = activity.total(APP_ONLY)
    yield (
        f"{_contacts(own)} with {_hosts(activity, APP_ONLY)}, which only the app calls: it is"
        " installed, or was used in a browser"
    )
    yield from _intervals(
        [burst.all.first for burst in bursts if burst.app_only.contacts], "bursts"
    )
    most = max(bursts, key=lambda burst: burst.all.bytes_in)
    received, sent = (
        sum(burst.all.bytes_in for burst in bursts),
        sum(burst.all.bytes_out for burst in bursts),
    )
    yield (
        f"the device received {received:,} bytes and sent {sent:,},"
        f" at most {most.all.bytes_in:,} received in {_contacts(most.all)} within"
        f" {_time(_span(most.all.first, most.all.last))}: too little for a session (threshold:"
        f" {_limit('session_bytes_in')} in {_limit('session_contacts')} within"
        f" {_limit('session_seconds')}, {_limit('session_rate')}; or {_limit('long_bytes_in')} in"
        f" connections of {_limit('long_seconds')})"
    )


def _embed_reasons(activity: ActivityTable, bursts: Sequence[Burst]) -> Iterator[str]:
    page, shared = activity.total(PAGE), activity.total(SHARED)
    yield "no host that only the app calls was contacted"
    if page.contacts:
        yield f"{_contacts(page)} with {_hosts(activity, PAGE)}, which pages call too"
    if shared.contacts:
        yield (
            f"{_contacts(shared)} with {_hosts(activity, SHARED)}, which other pages or apps call"
        )
    longest = max(bursts, key=lambda burst: burst.all.last - burst.all.first).all
    yield (
        f"the device received {page.bytes_in + shared.bytes_in:,} bytes and sent"
        f" {page.bytes_out + shared.bytes_out:,}, the contacts came within"
        f" {_time(_span(longest.first, longest.last))}"
        + (f" in each of {len(bursts)} bursts" if len(bursts) > 1 else "")
        + f" (threshold of a session without the app's own hosts: {_limit('page_bytes_in')} in"
        f" {_limit('page_contacts')} over {_limit('page_seconds')})"
    )


def _lookup_reasons(activity: ActivityTable, lookups: int) -> Iterator[str]:
    yield (f"{_number(lookups, 'lookup')}, and no handshake and no flow to a server of the app")


def _notes(activity: ActivityTable, outcome: Outcome, *, blocked_lookups: bool) -> Iterator[str]:
    """What else a reader should know of the judgement."""
    asked = activity.total(ASKED)
    if blocked_lookups:
        yield "the lookups were answered by a block"
        if activity.names(ASKED):
            starts = [burst.all.first for burst in _bursts(activity, (ASKED,))]
            regular = " at regular intervals" if _is_regular(starts) else ""
            times = f" {_number(asked.contacts, 'time')}" if asked.contacts else ""
            yield (
                "the app is probably still installed: app-only names were asked for"
                f"{times}{regular} ({_hosts(activity, ASKED)})"
            )
            yield from _intervals(starts, "bursts of lookups")
    elif not activity.has_contacts:
        return
    elif outcome == "blocked":
        yield "every connection was refused or reset before the server answered, or led to a filter"
    elif outcome == "attempted":
        yield "no answer of a server of the app was seen"
    elif outcome == "unknown":
        yield "only one direction of the traffic was captured, so that the volume is not known"


def _intervals(starts: Sequence[int], what: str) -> Iterator[str]:
    """How regular bursts are, where there are enough of them."""
    if len(starts) < _VALUES["regular_bursts"]:
        return
    mean, variation = _spread(starts)
    kind = "regular" if variation <= _VALUES["regular_variation"] else "irregular"
    yield (
        f"{len(starts):,} {what} at {kind} intervals of {_time(mean)} on average (variation"
        f" {variation:.0%}, regular up to {_VALUES['regular_variation']:.0%})"
    )


def _is_timer(bursts: Sequence[Burst]) -> bool:
    """Whether bursts come so regularly, and are so small, that a timer of the app explains them."""
    starts = [burst.all.first for burst in bursts]
    return (
        _is_regular(starts)
        and _spread(starts)[0] >= _VALUES["regular_seconds"]
        and all(burst.all.bytes_in <= _VALUES["regular_bytes_in"] for burst in bursts)
    )


def _is_regular(starts: Sequence[int]) -> bool:
    return (
        len(starts) >= _VALUES["regular_bursts"]
        and _spread(starts)[1] <= _VALUES["regular_variation"]
    )


def _spread(starts: Sequence[int]) -> tuple[float, float]:
    """The mean interval (s) of times in order (ns), and its coefficient of variation."""
    gaps = [(later - earlier) / SECOND for earlier, later in itertools.pairwise(starts)]
    mean = math.fsum(gaps) / len(gaps)
    variance = math.fsum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    return mean, math.sqrt(variance) / mean


def _span(first: int, last: int) -> float:
    """Seconds from one time to another (ns)."""
    return (last - first) / SECOND


def _limit(name: str) -> str:
    """A threshold as text."""
    row = next(row for row in THRESHOLDS if row.name == name)
    return f"{row.value:,g} {row.unit}" if row.value < 1_000_000 else f"{row.value:,} {row.unit}"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _contacts(activity: Activity) -> str:
    return _number(activity.contacts, "contact")


def _time(seconds: float) -> str:
    """A span of time as text: seconds below two minutes, else minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _hosts(activity: ActivityTable, kind: int) -> str:
    names = activity.names(kind)
    more = len(names) - NAMES_SHOWN
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
