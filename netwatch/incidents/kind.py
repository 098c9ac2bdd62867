"""What an incident looks like: was the app used, or does something else explain the contacts.

A judgement by numbers, with its reasons; it is never part of the verdict. The hosts that were
contacted say most: what only the app calls shows that the app is there. Whether it was used is then
a question of volume both ways over time. Hosts that pages call as well show no app, unless so much
was transferred for so long that no embedded player explains it.

All thresholds are in `netwatch.incidents.kind_thresholds`.
"""

from collections.abc import Iterator, Sequence

from netwatch.core.alert import JudgedKind
from netwatch.core.verdict import Outcome
from netwatch.incidents.activity import APP_ONLY, ASKED, PAGE, SHARED, Activity, ActivityTable
from netwatch.incidents.bursts import (
    Burst,
    are_enough,
    are_regular,
    are_timed,
    bursts,
    seconds,
    spread,
)
from netwatch.incidents.kind_thresholds import VALUES, limit

NAMES_SHOWN = 3
"""Host names in a reason; of further ones the number is given."""


def judge(
    activity: ActivityTable, outcome: Outcome, *, lookups: int, blocked_lookups: bool
) -> JudgedKind:
    """The kind of an incident with this activity and outcome. It has so many `lookups`;
    `blocked_lookups` says that they were answered by a block."""
    found = list(bursts(activity))
    notes = tuple(_notes(activity, outcome, blocked_lookups=blocked_lookups))
    if not found:
        nothing = "no handshake with a host of the app and no flow to one"
        return JudgedKind("lookup", (f"{_number(lookups, 'lookup')}, {nothing}.", *notes))
    reasons = _session(activity, found, outcome)
    if reasons:
        return JudgedKind("session", (*reasons, *notes))
    if activity.is_app_seen:
        return JudgedKind("background", (*_background_reasons(activity, found), *notes))
    return JudgedKind("embed", (*_embed_reasons(activity, found), *notes))


def _session(activity: ActivityTable, found: Sequence[Burst], outcome: Outcome) -> tuple[str, ...]:
    """The reasons to call an incident a session; empty where there are none."""
    if outcome == "unknown" and not any(burst.all.bytes_in for burst in found):
        return next((reasons for burst in found if (reasons := _one_way(activity, burst))), ())
    if outcome != "reached" or are_timed(found):
        return ()
    for test in (_in_use, _long_connections, _watched_in_browser):
        for burst in found:
            reasons = test(activity, burst)
            if reasons:
                return reasons
    return ()


def _in_use(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    """New contacts over time, the app's own hosts in use meanwhile, and volume both ways."""
    own, whole = burst.app_only, burst.all
    time, in_use = seconds(whole.first, whole.last), seconds(own.first, own.until)
    rate = whole.bytes_in / max(1.0, time / 60)
    if (
        own.contacts < VALUES["session_app_only"]
        or whole.contacts < VALUES["session_contacts"]
        or min(time, in_use) < VALUES["session_seconds"]
        or whole.bytes_in < VALUES["session_bytes_in"]
        or whole.bytes_out < VALUES["session_bytes_out"]
        or rate < VALUES["session_rate"]
    ):
        return ()
    return (
        f"{_contacts(own)} with {_hosts(activity, APP_ONLY)}, which only the app calls, in use for"
        f" {_time(in_use)} (threshold: {limit('session_app_only')} for"
        f" {limit('session_seconds')}).",
        f"In {_contacts(whole)} with the app over {_time(time)} the device received"
        f" {whole.bytes_in:,} bytes, {rate:,.0f} a minute, and sent {whole.bytes_out:,} (threshold:"
        f" {limit('session_contacts')} over {limit('session_seconds')},"
        f" {limit('session_bytes_in')}, {limit('session_rate')}, {limit('session_bytes_out')}).",
    )


def _long_connections(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    """Volume both ways over time in few connections to the app's own hosts."""
    own = burst.app_only
    time = seconds(own.first, own.until)
    if (
        not own.contacts
        or time < VALUES["long_seconds"]
        or own.bytes_in < VALUES["long_bytes_in"]
        or own.bytes_out < VALUES["session_bytes_out"]
    ):
        return ()
    return (
        f"{_contacts(own)} with {_hosts(activity, APP_ONLY)}, which only the app calls; the"
        f" connections were in use for {_time(time)} (threshold: {limit('long_seconds')}).",
        f"In them the device received {own.bytes_in:,} bytes and sent {own.bytes_out:,}"
        f" (threshold: {limit('long_bytes_in')}, {limit('session_bytes_out')}).",
    )


def _watched_in_browser(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    """So much from hosts that pages call too, for so long, that no embed explains it."""
    page, whole = burst.page, burst.all
    time = seconds(page.first, page.last)
    if (
        page.contacts < VALUES["page_contacts"]
        or whole.bytes_in < VALUES["page_bytes_in"]
        or whole.bytes_out < VALUES["session_bytes_out"]
        or time < VALUES["page_seconds"]
        or burst.minutes < VALUES["page_minutes"]
    ):
        return ()
    return (
        f"{_contacts(page)} with {_hosts(activity, PAGE)}, which pages call as well as the app, in"
        f" {burst.minutes} minutes within {_time(time)} (threshold: {limit('page_contacts')} in"
        f" {limit('page_minutes')} over {limit('page_seconds')}).",
        f"In this burst the device received {whole.bytes_in:,} bytes and sent"
        f" {whole.bytes_out:,}, more than a page loads that embeds a player (threshold:"
        f" {limit('page_bytes_in')}).",
    )


def _one_way(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    """What the device sent, where nothing that it received was captured."""
    own = burst.app_only
    time = seconds(own.first, own.last)
    if (
        own.contacts < VALUES["one_way_contacts"]
        or time < VALUES["one_way_seconds"]
        or own.bytes_out < VALUES["one_way_bytes_out"]
    ):
        return ()
    return (
        f"{_contacts(own)} with {_hosts(activity, APP_ONLY)}, which only the app calls, within"
        f" {_time(time)} (threshold: {limit('one_way_contacts')} over"
        f" {limit('one_way_seconds')}).",
        f"The device sent {own.bytes_out:,} bytes (threshold: {limit('one_way_bytes_out')}).",
    )


def _background_reasons(activity: ActivityTable, found: Sequence[Burst]) -> Iterator[str]:
    own = activity.total(APP_ONLY)
    yield f"{_contacts(own)} with {_hosts(activity, APP_ONLY)}, which only the app calls."
    yield from _intervals([burst.all.first for burst in found if burst.app_only.contacts], "bursts")
    most = max(found, key=lambda burst: burst.all.bytes_in).all
    received = sum(burst.all.bytes_in for burst in found)
    sent = sum(burst.all.bytes_out for burst in found)
    if are_timed(found):
        why = (
            "so regular and so small that a timer of the app explains them (threshold:"
            f" {limit('regular_bytes_in')} in a burst, {limit('regular_seconds')} between them)"
        )
    else:
        why = (
            f"too few or too short for a session (threshold: {limit('session_bytes_in')} in"
            f" {limit('session_contacts')} over {limit('session_seconds')} with"
            f" {limit('session_rate')}, or {limit('long_bytes_in')} in connections of"
            f" {limit('long_seconds')})"
        )
    yield (
        f"The device received {received:,} bytes and sent {sent:,}, of them at most"
        f" {most.bytes_in:,} received in one burst, of {_contacts(most)} within"
        f" {_time(seconds(most.first, most.last))}: {why}."
    )


def _embed_reasons(activity: ActivityTable, found: Sequence[Burst]) -> Iterator[str]:
    page, shared = activity.total(PAGE), activity.total(SHARED)
    yield "No host that only the app calls was contacted."
    if page.contacts:
        yield f"{_contacts(page)} with {_hosts(activity, PAGE)}, which pages call as well."
    if shared.contacts:
        yield f"{_contacts(shared)} with {_hosts(activity, SHARED)}, which others call as well."
    longest = max(seconds(burst.all.first, burst.all.last) for burst in found)
    yield (
        f"The device received {page.bytes_in + shared.bytes_in:,} bytes and sent"
        f" {page.bytes_out + shared.bytes_out:,} in {_number(len(found), 'burst')} of at most"
        f" {_time(longest)} (threshold for a session without the app's own hosts:"
        f" {limit('page_bytes_in')} in {limit('page_contacts')} over {limit('page_seconds')})."
    )


def _notes(activity: ActivityTable, outcome: Outcome, *, blocked_lookups: bool) -> Iterator[str]:
    """What else a reader should know of the incident."""
    if blocked_lookups:
        yield "The lookups were answered by a block."
        if activity.names(ASKED):
            yield from _installed(activity)
    elif not activity.has_contacts:
        return
    elif outcome == "blocked":
        yield "Connections were refused or reset before the server answered, or led to a filter."
    elif outcome == "attempted":
        yield "No answer of a server of the app was seen."
    elif outcome == "unknown":
        yield "Only one direction of the traffic was captured, so the volume is not known."


def _installed(activity: ActivityTable) -> Iterator[str]:
    """What blocked lookups of the app's own hosts show."""
    asked = activity.total(ASKED).contacts
    starts = [burst.all.first for burst in bursts(activity, (ASKED,))]
    times = f" {_number(asked, 'time')}" if asked else ""
    regularly = " at regular intervals" if are_regular(starts) else ""
    yield (
        f"The app is probably still installed: app-only names were asked for{times}{regularly}"
        f" ({_hosts(activity, ASKED)})."
    )
    yield from _intervals(starts, "bursts of lookups")


def _intervals(starts: Sequence[int], what: str) -> Iterator[str]:
    """How regular bursts are, where there are enough of them."""
    if not are_enough(starts):
        return
    mean, variation = spread(starts)
    kind = "regular" if are_regular(starts) else "irregular"
    yield (
        f"{len(starts):,} {what} at {kind} intervals, {_time(mean)} on average (variation"
        f" {variation:.0%}, regular up to {VALUES['regular_variation']:.0%})."
    )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _contacts(activity: Activity) -> str:
    return _number(activity.contacts, "contact")


def _time(span: float) -> str:
    """A span of seconds as text: in seconds below two minutes, else in minutes or hours."""
    if span < 120:
        return f"{span:.0f} s"
    return f"{span / 60:.0f} min" if span < 7200 else f"{span / 3600:.1f} h"


def _hosts(activity: ActivityTable, kind: int) -> str:
    names = activity.names(kind)
    more = len(names) - NAMES_SHOWN
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
