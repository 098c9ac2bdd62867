"""What an incident looks like: was the app used, or does something else explain the contacts?

A judgement by numbers, with its reasons; it is never part of the verdict. The contacted hosts
matter most: hosts that only the app calls show that the app is installed. Whether it was used is
then a question of volume both ways over time. Hosts that pages call as well do not show the app,
unless so much was transferred for so long that no embedded player explains it.

All thresholds are in `netwatch.incidents.kind_thresholds`.
"""

from collections.abc import Iterator, Sequence

from netwatch.core.alert import Kind
from netwatch.core.text import quantity
from netwatch.core.verdict import Outcome
from netwatch.incidents.activity import (
    APP_ONLY,
    ASKED,
    FILTERED,
    PAGE,
    SHARED,
    Activity,
    ActivityTable,
    Burst,
    are_enough,
    are_regular,
    are_timed,
    bursts,
    seconds,
    spread,
)
from netwatch.incidents.kind_thresholds import VALUES, limit
from netwatch.incidents.origin_counts import OriginCounts
from netwatch.language.sentences import sentence

NAMES_SHOWN = 3
"""Host names in a reason; further ones are counted."""


def judge(
    activity: ActivityTable,
    outcome: Outcome,
    *,
    lookups: int,
    asked: int,
    blocked_lookups: bool,
    several: str = "",
) -> Kind:
    """The kind of an incident with this activity and outcome. Of its `lookups`, `asked` were for
    hosts that only the app calls; `blocked_lookups` means that they were answered by a block.
    `several` is the reason, a sentence, why the address is known to belong to several devices;
    empty if it does not."""
    found = list(bursts(activity))
    notes = tuple(_notes(activity, outcome, asked, blocked_lookups=blocked_lookups))
    if not found:
        return Kind("lookup", (*_lookup_reasons(activity, lookups), *notes))
    reasons = _session(activity, found, outcome)
    if reasons:
        many = _several_devices(activity, several)
        if not many:
            return Kind("session", (*reasons, *notes))
        notes = (*many, *notes)
    if activity.is_app_seen:
        return Kind("background", (*_background_reasons(activity, found), *notes))
    return Kind("embed", (*_embed_reasons(activity, found), *notes))


def _session(activity: ActivityTable, found: Sequence[Burst], outcome: Outcome) -> tuple[str, ...]:
    """The reasons to call an incident a session; empty if there are none."""
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


def _several_devices(activity: ActivityTable, several: str) -> tuple[str, ...]:
    """The reasons to attribute the contacts to several devices, which together did what no single
    device has done; empty if there are none."""
    stacks = len(activity.stacks.items)
    found = [several] if several else []
    if stacks >= VALUES["device_stacks"]:
        found.append(sentence("many-stacks", stacks=str(stacks), least=limit("device_stacks")))
    return (*found, sentence("no-session-of-several")) if found else ()


def _in_use(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    """New contacts over time, the app's own hosts in use meanwhile, and volume both ways."""
    own, whole = burst.app_only, burst.all
    time, in_use = seconds(whole.first, whole.last), seconds(own.first, own.until)
    rate = whole.use_in / max(1.0, time / 60)
    if (
        own.contacts < VALUES["session_app_only"]
        or whole.contacts < VALUES["session_contacts"]
        or min(time, in_use) < VALUES["session_seconds"]
        or whole.use_in < VALUES["session_bytes_in"]
        or whole.bytes_out < VALUES["session_bytes_out"]
        or rate < VALUES["session_rate"]
    ):
        return ()
    return (
        sentence(
            "in-use",
            contacts=_contacts(own),
            hosts=_hosts(activity, APP_ONLY),
            time=_time(in_use),
            least=limit("session_app_only"),
            least_time=limit("session_seconds"),
        ),
        sentence(
            "in-use-volume",
            contacts=_contacts(whole),
            time=_time(time),
            **_bytes(whole),
            use=f"{whole.use_in:,}",
            rate=f"{rate:,.0f}",
            least_use=limit("session_connection"),
            least=limit("session_contacts"),
            least_time=limit("session_seconds"),
            least_in=limit("session_bytes_in"),
            least_rate=limit("session_rate"),
            least_out=limit("session_bytes_out"),
        ),
    )


def _long_connections(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    """Volume both ways over time in few connections to the app's own hosts."""
    own = burst.app_only
    time = seconds(own.first, own.until)
    rate = own.use_in / max(1.0, min(time, VALUES["burst_gap"]) / 60)
    if (
        not own.contacts
        or time < VALUES["long_seconds"]
        or own.bytes_in < VALUES["long_bytes_in"]
        or own.bytes_out < VALUES["session_bytes_out"]
        or rate < VALUES["long_rate"]
    ):
        return ()
    return (
        sentence(
            "long-connections",
            contacts=_contacts(own),
            hosts=_hosts(activity, APP_ONLY),
            time=_time(time),
            least_time=limit("long_seconds"),
        ),
        sentence(
            "long-connections-volume",
            **_bytes(own),
            rate=f"{rate:,.0f}",
            least_rate=limit("long_rate"),
            least_in=limit("long_bytes_in"),
            least_out=limit("session_bytes_out"),
        ),
    )


def _watched_in_browser(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    """Volume from hosts that pages call too, for so long that no embed explains it."""
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
        sentence(
            "in-browser",
            contacts=_contacts(page),
            hosts=_hosts(activity, PAGE),
            minutes=str(burst.minutes),
            time=_time(time),
            least=limit("page_contacts"),
            least_minutes=limit("page_minutes"),
            least_time=limit("page_seconds"),
        ),
        sentence("in-browser-volume", **_bytes(whole), least_in=limit("page_bytes_in")),
    )


def _one_way(activity: ActivityTable, burst: Burst) -> tuple[str, ...]:
    """What the device sent, if nothing that it received was captured."""
    own = burst.app_only
    time = seconds(own.first, own.last)
    if (
        own.contacts < VALUES["one_way_contacts"]
        or time < VALUES["one_way_seconds"]
        or own.bytes_out < VALUES["one_way_bytes_out"]
    ):
        return ()
    return (
        sentence(
            "one-way",
            contacts=_contacts(own),
            hosts=_hosts(activity, APP_ONLY),
            time=_time(time),
            least=limit("one_way_contacts"),
            least_time=limit("one_way_seconds"),
        ),
        sentence("one-way-volume", sent=f"{own.bytes_out:,}", least_out=limit("one_way_bytes_out")),
    )


def _lookup_reasons(activity: ActivityTable, lookups: int) -> Iterator[str]:
    """Why an incident without contacts with hosts of the app is only lookups."""
    filtered = activity.total(FILTERED)
    if lookups or not filtered.contacts:
        yield sentence("only-lookups", lookups=quantity(lookups, "lookup"))
    if filtered.contacts:
        hosts = _hosts(activity, FILTERED)
        yield sentence("only-filter", contacts=_contacts(filtered), hosts=hosts)


def _background_reasons(activity: ActivityTable, found: Sequence[Burst]) -> Iterator[str]:
    own = activity.total(APP_ONLY)
    yield sentence("own-hosts", contacts=_contacts(own), hosts=_hosts(activity, APP_ONLY))
    yield from _intervals([burst.all.first for burst in found if burst.app_only.contacts], "bursts")
    most = max(found, key=lambda burst: burst.all.bytes_in).all
    received = sum(burst.all.bytes_in for burst in found)
    sent = sum(burst.all.bytes_out for burst in found)
    values = {
        "received": f"{received:,}",
        "sent": f"{sent:,}",
        "most": f"{most.bytes_in:,}",
        "contacts": _contacts(most),
        "time": _time(seconds(most.first, most.last)),
    }
    if are_timed(found):
        yield sentence(
            "timer",
            **values,
            least_in=limit("regular_bytes_in"),
            least_time=limit("regular_seconds"),
        )
    else:
        yield sentence(
            "too-little",
            **values,
            least_in=limit("session_bytes_in"),
            least=limit("session_contacts"),
            least_time=limit("session_seconds"),
            least_rate=limit("session_rate"),
            long_in=limit("long_bytes_in"),
            long_time=limit("long_seconds"),
        )
        if any(
            burst.all.bytes_in >= VALUES["session_bytes_in"] > burst.all.use_in for burst in found
        ):
            yield sentence(
                "small-connections",
                least=limit("session_connection"),
                least_time=_time(VALUES["burst_gap"]),
            )


def _embed_reasons(activity: ActivityTable, found: Sequence[Burst]) -> Iterator[str]:
    page, shared = activity.total(PAGE), activity.total(SHARED)
    yield sentence("no-own-host")
    if page.contacts:
        yield sentence("page-hosts", contacts=_contacts(page), hosts=_hosts(activity, PAGE))
    if shared.contacts:
        yield sentence("shared-hosts", contacts=_contacts(shared), hosts=_hosts(activity, SHARED))
    longest = max(seconds(burst.all.first, burst.all.last) for burst in found)
    yield sentence(
        "embed-volume",
        received=f"{page.bytes_in + shared.bytes_in:,}",
        sent=f"{page.bytes_out + shared.bytes_out:,}",
        bursts=quantity(len(found), "burst"),
        time=_time(longest),
        least_in=limit("page_bytes_in"),
        least=limit("page_contacts"),
        least_time=limit("page_seconds"),
    )


def _notes(
    activity: ActivityTable, outcome: Outcome, asked: int, *, blocked_lookups: bool
) -> Iterator[str]:
    """What else a reader should know about the incident."""
    if blocked_lookups:
        yield sentence("lookups-blocked")
        if activity.names(ASKED):
            yield from _installed(activity, asked)
    elif not activity.has_contacts:
        return
    elif outcome == "blocked":
        yield sentence("connections-blocked")
    elif outcome == "attempted":
        yield sentence("no-answer")
    elif outcome == "unknown":
        yield sentence("one-direction")


def _installed(activity: ActivityTable, asked: int) -> Iterator[str]:
    """What blocked lookups of the app's own hosts show, which were looked up `asked` times."""
    starts = [burst.all.first for burst in bursts(activity, (ASKED,))]
    hosts, times = _hosts(activity, ASKED), quantity(asked, "time")
    if not asked:
        yield sentence("installed", hosts=hosts)
    elif are_regular(starts):
        yield sentence("installed-regularly", hosts=hosts, times=times)
    else:
        yield sentence("installed-asked", hosts=hosts, times=times)
    yield from _intervals(starts, "bursts of lookups")


def _intervals(starts: Sequence[int], what: str) -> Iterator[str]:
    """How regular bursts are, if there are enough of them."""
    if not are_enough(starts):
        return
    mean, variation = spread(starts)
    yield sentence(
        "regular" if are_regular(starts) else "irregular",
        bursts=f"{len(starts):,} {what}",
        time=_time(mean),
        variation=f"{variation:.0%}",
        most_variation=f"{VALUES['regular_variation']:.0%}",
    )


def _contacts(activity: Activity) -> str:
    return quantity(activity.contacts, "contact")


def _bytes(activity: Activity) -> dict[str, str]:
    return {"received": f"{activity.bytes_in:,}", "sent": f"{activity.bytes_out:,}"}


def _time(span: float) -> str:
    """A span of seconds as text: in seconds below two minutes, otherwise in minutes or hours."""
    if span < 120:
        return f"{span:.0f} s"
    return f"{span / 60:.0f} min" if span < 7200 else f"{span / 3600:.1f} h"


def _hosts(activity: ActivityTable, kind: int) -> str:
    names = activity.names(kind)
    more = len(names) - NAMES_SHOWN
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def judged_kind(counts: OriginCounts, outcome: Outcome, several: str) -> Kind:
    """The kind of an incident from these counts, given its outcome and why its address belongs to
    several devices."""
    return judge(
        counts.totals.activity,
        outcome,
        lookups=counts.lookups,
        asked=counts.lookup_answers.questions_of(counts.totals.activity.names(ASKED)),
        blocked_lookups=counts.lookup_answers.are_blocked,
        several=several,
    )
