"""What an incident looks like: every threshold on both sides, and the reasons."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from support.contacts import NOON, SECOND, contact

from netwatch.core.alert import Kind
from netwatch.core.message import LOOKUPS
from netwatch.core.verdict import Contact
from netwatch.incidents.activity import ENTRY_LIMIT, ActivityTable, class_of
from netwatch.incidents.contacts import ContactProgress, use_of
from netwatch.incidents.kind import judge
from netwatch.incidents.kind_thresholds import THRESHOLDS, VALUES

Visit = tuple[Contact, ContactProgress]
OWN, PAGE, SHARED = "api.tiktok.com", "www.tiktok.com", "cdn.example.net"


def visit(
    at: float,
    name: str = OWN,
    bytes_in: int = 0,
    bytes_out: int = 0,
    lasts: float = 0.0,
    evidence: str = "tls-sni",
) -> Visit:
    """A contact `at` seconds, whose connection lasts so long."""
    role = "cdn" if name == SHARED else "exclusive"
    made = contact(at, evidence, name, role)
    made = replace(made, match=replace(made.match, embed_reachable=name == PAGE))
    last = NOON + int((at + lasts) * SECOND)
    use = use_of(bytes_in, int(lasts * SECOND))
    return made, ContactProgress(made.observation.time, bytes_out, bytes_in, last, use_in=use)


def judged(
    visits: Iterator[Visit] | list[Visit],
    outcome: str = "reached",
    lookups: int = 0,
    blocked: bool = False,
    asked: int = 0,
) -> Kind:
    activity = ActivityTable()
    for made, progress in visits:
        activity.add(made)
        if made.observation.evidence not in LOOKUPS:
            activity.add_progress(class_of(made.match), progress)
    return judge(activity, outcome, lookups=lookups, asked=asked, blocked_lookups=blocked)


def spread_over(
    number: int,
    seconds: float,
    bytes_in: int,
    bytes_out: int,
    names: tuple[str, ...] = (OWN,),
    lasts: float = 0.0,
) -> list[Visit]:
    """So many contacts over a time, with the bytes together."""
    step = seconds / max(1, number - 1)
    sizes = [(n + 1) * bytes_in // number - n * bytes_in // number for n in range(number)]
    sent = [(n + 1) * bytes_out // number - n * bytes_out // number for n in range(number)]
    return [visit(n * step, names[n % len(names)], sizes[n], sent[n], lasts) for n in range(number)]


IN, OUT = int(VALUES["session_bytes_in"]), int(VALUES["session_bytes_out"])


def session(**changed: float) -> list[Visit]:
    """The smallest session."""
    values: dict[str, float] = {
        "own": VALUES["session_app_only"],
        "contacts": VALUES["session_contacts"],
        "seconds": VALUES["session_seconds"],
        "bytes_in": IN,
        "bytes_out": OUT,
    }
    values |= changed
    own = spread_over(
        int(values["own"]), values["seconds"], int(values["bytes_in"]), int(values["bytes_out"])
    )
    others = int(values["contacts"] - values["own"])
    return [*own, *(visit(n, SHARED) for n in range(others))]


def long_connection(**changed: float) -> list[Visit]:
    values: dict[str, float] = {
        "bytes_in": VALUES["long_bytes_in"],
        "seconds": VALUES["long_seconds"],
        "bytes_out": OUT,
    }
    values |= changed
    return [visit(0, OWN, int(values["bytes_in"]), int(values["bytes_out"]), values["seconds"])]


def browser(**changed: float) -> list[Visit]:
    values: dict[str, float] = {
        "contacts": VALUES["page_contacts"],
        "bytes_in": VALUES["page_bytes_in"],
        "seconds": VALUES["page_seconds"],
        "minutes": VALUES["page_minutes"],
    }
    values |= changed
    minutes = int(values["minutes"])
    times = [0.0] * (int(values["contacts"]) - minutes) + [
        n * values["seconds"] / (minutes - 1) for n in range(minutes)
    ]
    first, *others = times
    return [
        visit(first, PAGE, int(values["bytes_in"]), OUT),
        *(visit(time, PAGE) for time in others),
    ]


def one_way(**changed: float) -> list[Visit]:
    values: dict[str, float] = {
        "contacts": VALUES["one_way_contacts"],
        "seconds": VALUES["one_way_seconds"],
        "bytes_out": VALUES["one_way_bytes_out"],
    }
    values |= changed
    return spread_over(int(values["contacts"]), values["seconds"], 0, int(values["bytes_out"]))


def regular(
    bursts: int = 5, every: float = 900.0, bytes_in: int = 100_000, jitter: float = 0.0
) -> list[Visit]:
    """Bursts that would be sessions, were they not so regular."""
    return [
        visit(n * every + (jitter if n % 2 else 0.0) + at, OWN, bytes_in // 4, 1000)
        for n in range(bursts)
        for at in (0, 10, 20, 30)
    ]


CASES: list[tuple[str, Callable[..., list[Visit]], dict[str, float], str, str]] = [
    ("session_app_only", session, {"own": VALUES["session_app_only"] - 1}, "reached", "background"),
    (
        "session_contacts",
        session,
        {"contacts": VALUES["session_contacts"] - 1},
        "reached",
        "background",
    ),
    (
        "session_seconds",
        session,
        {"seconds": VALUES["session_seconds"] - 0.001},
        "reached",
        "background",
    ),
    ("session_bytes_in", session, {"bytes_in": IN - 1}, "reached", "background"),
    ("session_bytes_out", session, {"bytes_out": OUT - 1}, "reached", "background"),
    (
        "long_bytes_in",
        long_connection,
        {"bytes_in": VALUES["long_bytes_in"] - 1},
        "reached",
        "background",
    ),
    (
        "long_seconds",
        long_connection,
        {"seconds": VALUES["long_seconds"] - 0.001},
        "reached",
        "background",
    ),
    ("session_bytes_out", long_connection, {"bytes_out": OUT - 1}, "reached", "background"),
    ("page_contacts", browser, {"contacts": VALUES["page_contacts"] - 1}, "reached", "embed"),
    ("page_bytes_in", browser, {"bytes_in": VALUES["page_bytes_in"] - 1}, "reached", "embed"),
    ("page_seconds", browser, {"seconds": VALUES["page_seconds"] - 0.001}, "reached", "embed"),
    ("page_minutes", browser, {"minutes": VALUES["page_minutes"] - 1}, "reached", "embed"),
    (
        "one_way_contacts",
        one_way,
        {"contacts": VALUES["one_way_contacts"] - 1},
        "unknown",
        "background",
    ),
    (
        "one_way_seconds",
        one_way,
        {"seconds": VALUES["one_way_seconds"] - 0.001},
        "unknown",
        "background",
    ),
    (
        "one_way_bytes_out",
        one_way,
        {"bytes_out": VALUES["one_way_bytes_out"] - 1},
        "unknown",
        "background",
    ),
]


@pytest.mark.parametrize(("name", "made", "below", "outcome", "else_"), CASES)
def test_a_threshold_is_a_session_from_its_value_on(
    name: str, made: Callable[..., list[Visit]], below: dict[str, float], outcome: str, else_: str
) -> None:
    assert judged(made(), outcome).value == "session"
    assert judged(made(**below), outcome).value == else_


def test_the_rate_of_a_session() -> None:
    minutes = 20
    enough = int(VALUES["session_rate"] * minutes)
    assert judged(spread_over(5, 60 * minutes, enough, OUT)).value == "session"
    assert judged(spread_over(5, 60 * minutes, enough - 1, OUT)).value == "background"


def test_small_connections_are_no_session_however_many_they_are() -> None:
    """Checks for messages of one device, or of several behind one address, add up."""
    least = int(VALUES["session_connection"])
    for size, kind in ((least, "session"), (least - 1, "background")):
        found = judged([visit(3 * n, OWN, size, 1000) for n in range(40)])
        assert found.value == kind
    assert found.reasons[-1] == (
        "Most of it came in connections of which each received less than 8,192 bytes within 5 min:"
        " checks for messages, of one device or of several behind its address."
    )


def test_a_slow_connection_is_no_session_however_long_it_is() -> None:
    for rate, kind in ((VALUES["long_rate"], "session"), (VALUES["long_rate"] - 1, "background")):
        made = visit(0, OWN, int(rate * 60 * 24), 500_000, 86_400)
        assert judged([made]).value == kind
    # One that is kept open takes nothing from what the app does beside it.
    kept = visit(0, OWN, 288_000, 57_600, 86_400)
    assert judged([kept]).value == "background"
    assert judged([kept, *spread_over(3, 40, 120_000, 4000)]).value == "session"
    assert judged([kept, *long_connection()]).value == "session"


def test_several_devices_behind_one_address_have_no_session_together() -> None:
    def stack(number: int, made: Visit) -> Visit:
        detail = replace(made[0].detail, ja4=f"t13d1516h2_{number:012x}_e5627efa2ab1")
        return replace(made[0], detail=detail), made[1]

    least = int(VALUES["device_stacks"])
    made = spread_over(10, 60, 400_000, 20_000)
    for stacks, kind in ((least - 1, "session"), (least, "background")):
        found = judged([stack(n % stacks, each) for n, each in enumerate(made)])
        assert found.value == kind
    assert found.reasons[-2:] == (
        "The hellos to hosts that only the app calls have 5 different lists of cipher suites"
        " (threshold: 5 lists): those of several devices behind one address.",
        "The contacts of several devices add up, so this shows no session of any of them.",
    )


def test_a_device_of_which_nobody_can_tell_which_one_it_is_has_no_session() -> None:
    activity = ActivityTable()
    for contacted, progress in spread_over(10, 60, 400_000, 20_000):
        activity.add(contacted)
        activity.add_progress(class_of(contacted.match), progress)
    values = {"lookups": 0, "asked": 0, "blocked_lookups": False}
    assert judge(activity, "reached", **values).value == "session"
    found = judge(activity, "reached", **values, several="Two devices have the address.")
    assert found.value == "background"
    assert "Two devices have the address." in found.reasons


def test_bursts_are_apart_by_more_than_the_gap() -> None:
    gap = VALUES["burst_gap"]
    # Both have the same contacts; only together are they many enough.
    for pause, kind in ((gap, "session"), (gap + 0.001, "background")):
        early = visit(0, OWN, 40_000, 4000)
        late = [visit(pause, OWN, 40_000, 4000), visit(pause, SHARED)]
        assert judged([early, *late]).value == kind


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (regular(), "background"),
        (regular(bursts=int(VALUES["regular_bursts"])), "background"),
        (regular(bursts=int(VALUES["regular_bursts"]) - 1), "session"),
        (regular(every=VALUES["regular_seconds"]), "background"),
        (regular(every=VALUES["regular_seconds"] - 1), "session"),
        (regular(bytes_in=int(VALUES["regular_bytes_in"])), "background"),
        (regular(bytes_in=int(VALUES["regular_bytes_in"]) + 4), "session"),
        # Intervals of 900 s, longer and shorter in turn by twice the jitter.
        (regular(jitter=900 * VALUES["regular_variation"] - 0.001), "background"),
        (regular(jitter=900 * VALUES["regular_variation"] + 0.001), "session"),
    ],
)
def test_a_timer_is_regular_slow_and_small(made: list[Visit], kind: str) -> None:
    assert judged(made).value == kind


def test_every_threshold_is_tested_and_has_a_reason() -> None:
    tested = {name for name, *_ in CASES} | {
        "session_rate",
        "session_connection",
        "long_rate",
        "device_stacks",
        "burst_gap",
        "regular_bursts",
        "regular_seconds",
        "regular_bytes_in",
        "regular_variation",
    }
    assert {row.name for row in THRESHOLDS} == tested
    assert all(row.reason and row.unit for row in THRESHOLDS)
    assert len(VALUES) == len(THRESHOLDS)


def test_a_pixel_and_a_long_embed_are_embeds() -> None:
    assert judged([visit(0, SHARED, 3000, 900)]).value == "embed"
    player = spread_over(30, 20, 9_000_000, 40_000, (PAGE, SHARED))
    kind = judged(player)
    assert kind.value == "embed"
    assert kind.reasons == (
        "No host that only the app calls was contacted.",
        "15 contacts with www.tiktok.com, which pages call as well.",
        "15 contacts with cdn.example.net, which others call as well.",
        "The device received 9,000,000 bytes and sent 40,000 in 1 burst of at most 20 s (threshold"
        " for a session without the app's own hosts: 10,485,760 bytes in 10 contacts over 180 s).",
    )


def test_an_embed_beside_the_background_of_the_app_is_no_session() -> None:
    player = spread_over(30, 20, 9_000_000, 40_000, (PAGE, SHARED))
    app = [visit(5, OWN, 4000, 900), visit(6, OWN, 3000, 800)]
    assert judged([*player, *app]).value == "background"


def test_the_reasons_of_a_session_have_its_numbers() -> None:
    names = tuple(f"api{n}.tiktok.com" for n in range(5))
    kind = judged(spread_over(24, 115, 4_000_000, 90_000, names))
    assert kind == Kind(
        "session",
        (
            "24 contacts with api0.tiktok.com, api1.tiktok.com, api2.tiktok.com and 2 more, which"
            " only the app calls, in use for 115 s (threshold: 2 contacts for 30 s).",
            "In 24 contacts with the app over 115 s the device received 4,000,000 bytes and sent"
            " 90,000 (threshold: 3 contacts over 30 s, 2,048 bytes). Of these, 4,000,000 came soon"
            " in connections with more than a check for messages, 2,086,957 a minute (threshold:"
            " 32,768 bytes, 6,144 bytes/min, 8,192 bytes in a connection).",
        ),
    )


def feed(own_lasts: float) -> list[Visit]:
    """The app's hosts at the beginning, then videos from a shared host."""
    own = [visit(0, OWN, 5000, 1000, own_lasts), visit(1, OWN, 5000, 1000, 2)]
    return [*own, *(visit(10 * n, SHARED, 200_000, 2000) for n in range(1, 9))]


def test_videos_are_a_session_while_the_app_itself_is_in_use() -> None:
    assert judged(feed(VALUES["session_seconds"])).value == "session"
    assert judged(feed(VALUES["session_seconds"] - 0.001)).value == "background"


def test_a_connection_that_idles_behind_a_short_burst_is_no_session() -> None:
    made = [visit(n, OWN, 20_000, 1000, 90) for n in range(4)]
    assert judged(made).value == "background"


def test_what_was_blocked_or_not_answered_is_no_session() -> None:
    for outcome in ("blocked", "attempted"):
        kind = judged(session(), outcome)
        assert kind.value == "background"
    assert "refused or reset" in judged(session(), "blocked").reasons[-1]
    assert "No answer" in judged(session(), "attempted").reasons[-1]


def lookups(every: float, number: int, name: str = OWN) -> list[Visit]:
    return [
        visit(n * every + part, name, evidence=evidence)
        for n in range(number)
        for part, evidence in ((0, "dns-query"), (0.01, "dns-answer"))
    ]


def test_lookups_that_a_filter_answered_show_that_the_app_is_there() -> None:
    kind = judged(lookups(900, 5), "blocked", lookups=5, blocked=True, asked=5)
    assert kind == Kind(
        "lookup",
        (
            "5 lookups, no handshake with a host of the app and no flow to one.",
            "The lookups were answered by a block.",
            "The app is probably still installed: app-only names were asked for 5 times at regular"
            " intervals (api.tiktok.com).",
            "5 bursts of lookups at regular intervals, 15 min on average (variation 0%, regular up"
            " to 35%).",
        ),
    )


def test_lookups_of_names_that_pages_call_do_not_show_the_app() -> None:
    kind = judged(lookups(900, 5, PAGE), "blocked", lookups=5, blocked=True, asked=5)
    assert (kind.value, len(kind.reasons)) == ("lookup", 2)
    assert judged([], "attempted", lookups=1).reasons == (
        "1 lookup, no handshake with a host of the app and no flow to one.",
    )


def test_the_table_is_bounded_and_its_totals_are_not() -> None:
    activity = ActivityTable()
    number = ENTRY_LIMIT + 10
    for n in reversed(range(number)):
        made, progress = visit(60 * n, OWN, 10, 1)
        activity.add(made)
        activity.add_progress(class_of(made.match), progress)
    assert len(activity.entries) == ENTRY_LIMIT
    assert min(activity.entries) == (NOON // (60 * SECOND), 0)
    assert (activity.total(0).contacts, activity.total(0).bytes_in) == (number, 10 * number)
