"""What is missing, compared with a slow and obvious computation over random schedules."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from netwatch.core.period import DAYS, parse_expected, period
from netwatch.coverage.judged import (
    HOUR,
    QUARTER,
    QUARTERS,
    FlowBlock,
    Judge,
    JudgedCoverage,
    JudgedSpan,
    SeenNetwork,
    Source,
    bits_of,
    pack_flows,
    runs,
    says,
)
from netwatch.coverage.missing import BLIND_FLOWS, Limits, NetworkInScope, look
from netwatch.coverage.visibility import VISIBILITIES

FIRST = date(2023, 3, 23)  # a Thursday; clocks change in Brussels on the Sunday that follows
BASE = int(datetime(2023, 3, 22, tzinfo=UTC).timestamp()) // 3600
HOURS = 6 * 24
NAMED, HIDDEN = VISIBILITIES.index("named"), VISIBILITIES.index("vpn")
JUDGES = {
    "this": Judge("1", "s", "b", {"city": "content"}),
    "another": Judge("2", "s", "b", {"city": "other content"}),
    "without": Judge("2", "s", "b", {"else": "content"}),
    "old, the same": Judge("0", "s", "b", {}),
    "old": Judge("0", "r", "b", {}),
}
GOOD = {"this", "old, the same"}


def times(lowest: int, highest: int) -> Any:
    """Some long spans, of which some have holes."""
    span = st.tuples(st.integers(lowest, highest), st.integers(1, highest - lowest))
    return st.lists(span, min_size=1, max_size=3).map(
        lambda spans: (
            {at for begin, size in spans for at in range(begin, begin + size)}
            & {*range(lowest, highest)}
        )
    )


HOLED = st.tuples(st.integers(96, HOURS * QUARTERS - 200), st.integers(3, 5)).map(
    lambda hole: {*range(HOURS * QUARTERS)} - {*range(hole[0], sum(hole))}
)


SOURCES = st.lists(
    st.fixed_dictionaries(
        {
            "content": st.sampled_from("abc"),
            "sensor": st.sampled_from(["one", "two"]),
            "quarters": st.one_of(
                HOLED, HOLED, st.just({*range(HOURS * QUARTERS)}), times(0, HOURS * QUARTERS)
            ),
            "hours": st.one_of(
                st.just({*range(7, HOURS, 24)}), st.just({*range(HOURS)}), times(0, HOURS)
            ),
            "flows": st.sampled_from([(0, 0), (100, 0), (95, 5), (90, 10), (1, BLIND_FLOWS)]),
            "class": st.sampled_from(["service", "service", "personal"]),
            "judged": st.lists(
                st.tuples(
                    st.sampled_from([*JUDGES, "this", "this"]),
                    st.none() | st.integers(0, HOURS * 4),
                    st.none() | st.integers(0, HOURS * 4),
                ),
                max_size=3,
            ),
            "lost": st.one_of(
                st.just(set[int]()), st.sets(st.integers(0, HOURS * QUARTERS - 1), max_size=4)
            ),
        }
    ),
    max_size=3,
)


def coverage_of(sources: list[dict[str, Any]], listeners: set[str]) -> JudgedCoverage:
    made = []
    for each in sources:
        flows = {at: counter(each) for at in each["hours"]}
        seen = SeenNetwork(
            each["class"], bits_of(each["hours"]), (FlowBlock(0, pack_flows(flows)),)
        )
        judged = [
            JudgedSpan(JUDGES[name], when(since), when(until))
            for name, since, until in each["judged"]
        ]
        made.append(
            Source(
                each["content"], each["sensor"], "", bits_of(each["quarters"]),
                {"hq": (seen,)} if each["hours"] else {}, judged, bits_of(each["lost"]),
            )
        )  # fmt: skip
    known = {"hq": frozenset(listeners)} if listeners else {}
    return JudgedCoverage(BASE, HOURS, made, known)


def counter(source: dict[str, Any]) -> Counter[int]:
    named, hidden = source["flows"]
    return Counter({NAMED: named, HIDDEN: hidden})


def when(quarters: int | None) -> int | None:
    """Amid a quarter where the number is odd."""
    return None if quarters is None else BASE * HOUR + quarters * QUARTER + (quarters % 2) * 7


def slow(
    sources: list[dict[str, Any]],
    listeners: set[str],
    expected: str | None,
    spans: list[tuple[int, int]],
    zone: str,
) -> dict[str, set[int]]:
    """For each quarter, one after the other, what is missing."""
    listening = [each for each in sources if each["sensor"] in listeners]
    if expected == "never" and not listeners:
        listening = sources
    wanted = [
        {
            at
            for at in range(HOURS * QUARTERS)
            if BASE * HOUR + at * QUARTER < end and BASE * HOUR + (at + 1) * QUARTER > begin
        }
        for begin, end in spans
    ]
    captured = {at for each in listening for at in each["quarters"]}
    holes = set[int]()
    for part in wanted:
        for at in part - captured:
            # The hole goes as far as nothing is captured within the span.
            first, last = at, at
            while first - 1 in part - captured:
                first -= 1
            while last + 1 in part - captured:
                last += 1
            if last - first + 1 >= QUARTERS:
                holes.add(at)
    there = set().union(*wanted) - holes
    unjudged_then = {
        at
        for at in there
        for each in listening
        if at in each["quarters"]
        and not any(
            is_judged(other, at)
            for other in listening
            if other["content"] == each["content"] and at in other["quarters"]
        )
    }
    unjudged = {*unjudged_then}
    for at in there - captured:
        # A pause that is no gap counts as the times at its ends.
        first, last = at, at
        while first in there - captured:
            first -= 1
        while last in there - captured:
            last += 1
        if any(end in there and end in unjudged_then for end in (first, last)):
            unjudged.add(at)
    seen = {at for each in sources for at in each["hours"]}
    silent = {at for at in there if is_silent(at, seen, expected, spans, zone)}
    newest = {each["content"]: each for each in sources if each["hours"]}
    flows: dict[int, tuple[int, int]] = {}
    for at in seen:
        inside = any(
            (BASE + at) * HOUR < end and (BASE + at + 1) * HOUR > begin for begin, end in spans
        )
        here = [each["flows"] for each in newest.values() if at in each["hours"]]
        if inside:
            flows[at] = sum(named for named, _ in here), sum(hidden for _, hidden in here)
    named, hidden = (sum(each[i] for each in flows.values()) for i in (0, 1))
    blind = set()
    for at in there - unjudged - silent:
        if not named + hidden:
            if at // QUARTERS in seen:
                blind.add(at)
            continue
        for begin, end in days_of(at, zone):
            inside = [
                flows[hour]
                for hour in flows
                if (BASE + hour) * HOUR < end and (BASE + hour + 1) * HOUR > begin
            ]
            read, lost = (sum(each[i] for each in inside) for i in (0, 1))
            is_blind = lost >= BLIND_FLOWS and lost > read
            if is_blind or (hidden > 0.05 * (named + hidden) and lost > 0.05 * (read + lost)):
                blind.add(at)
    return {
        "not-captured": holes,
        "lost": {at for each in listening for at in each["lost"] if at in there},
        "not-judged": unjudged,
        "silent": silent,
        "unreadable": blind,
    }


def is_judged(source: dict[str, Any], quarter: int) -> bool:
    """Whether there is a wanted version at every 7 ns amid the quarter and at both of its ends."""
    if source["class"] != "service" and quarter // QUARTERS in source["hours"]:
        return False
    begin = BASE * HOUR + quarter * QUARTER
    for moment in (begin, begin + 3, begin + 7, begin + 8, begin + QUARTER - 1):
        if not any(
            name in GOOD
            and (since is None or when(since) <= moment)  # type: ignore[operator]
            and (until is None or moment < when(until))  # type: ignore[operator]
            for name, since, until in source["judged"]
        ):
            return False
    return True


def days_of(quarter: int, zone: str) -> list[tuple[int, int]]:
    """The days of a zone that a quarter is in."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(minutes=15 * (BASE * 4 + quarter))
    found = period(*[moment.astimezone(ZoneInfo(zone)).date()] * 2, zone)
    assert found.start is not None
    assert found.end is not None
    return [(found.start, found.end)]


def is_silent(
    quarter: int, seen: set[int], expected: str | None, spans: list[tuple[int, int]], zone: str
) -> bool:
    hour = quarter // QUARTERS
    begin = datetime.fromtimestamp((BASE + hour) * 3600, ZoneInfo(zone))
    if expected is None:
        ((first, end),) = days_of(quarter, zone)
        day = datetime.fromtimestamp(first // 10**9, ZoneInfo(zone))
        inside = {at for at in seen if (BASE + at) * HOUR < end and (BASE + at + 1) * HOUR > first}
        return day.weekday() < 5 and not inside
    if hour in seen or expected == "never":
        return False
    if expected == "always":
        return True
    days, hours = expected.split(" ")
    opens, closes = (int(each[:2]) * 60 + int(each[3:]) for each in hours.split("-"))
    names = DAYS[DAYS.index(days[:3]) : DAYS.index(days[-3:]) + 1]
    minutes = begin.hour * 60 + begin.minute
    return DAYS[begin.weekday()] in names and opens <= minutes and minutes + 60 <= closes


@examples(150)
@given(
    SOURCES,
    st.sets(st.sampled_from(["one", "two"])),
    st.sampled_from([None, None, "never", "always", "Mon-Fri 07:00-19:00", "Fri-Sun 08:30-12:00"]),
    st.sampled_from(["Europe/Brussels", "UTC", "Asia/Kathmandu", "America/St_Johns"]),
    st.integers(0, 3),
)
def test_what_is_missing_is_what_a_slow_computation_finds(
    sources: list[dict[str, Any]],
    listeners: set[str],
    expected: str | None,
    zone: str,
    days: int,
) -> None:
    whole = period(FIRST, FIRST + timedelta(days=days), zone)
    assert whole.start is not None
    assert whole.end is not None
    spans = [(whole.start, whole.end)]
    use = None if expected is None else parse_expected(expected)
    found = look(
        coverage_of(sources, listeners),
        NetworkInScope("hq", "service", use),
        spans,
        zone,
        says("city", "content", "s", "b"),
        Limits(),
    )
    expected_missing = slow(sources, listeners, expected, spans, zone)
    assert {
        reason: {at for begin, end in runs(bits) for at in range(begin, end)}
        for reason, bits in found.missing.items()
    } == expected_missing
    lacks = set().union(*expected_missing.values())
    assert found.readable.bit_count() == found.wanted.bit_count() - len(lacks)


def test_a_pause_is_judged_if_the_times_on_both_sides_are() -> None:
    """A time without a packet that is too short for a gap says nothing by itself: where the times
    beside it were not judged, nobody looked."""
    pauses = {100, 101, 102, 120, 124}
    source = {
        "content": "a",
        "sensor": "one",
        "quarters": {*range(HOURS * QUARTERS)} - pauses,
        "hours": {*range(HOURS)},
        "flows": (100, 0),
        "class": "service",
        "lost": set(),
    }
    span = period(FIRST, FIRST, "UTC")
    assert span.start is not None
    assert span.end is not None
    network, wanted = NetworkInScope("hq", "service"), says("city", "content", "s", "b")
    for judged, expected in (
        ([], set()),
        ([("this", 110, 130)], {*range(110, 130)}),
        ([("this", 110, 124)], {*range(110, 124)}),
        ([("this", 121 - 1, 130)], {*range(121, 130)}),
    ):
        coverage = coverage_of([source | {"judged": judged}], {"one"})
        found = look(coverage, network, [(span.start, span.end)], "UTC", wanted, Limits())
        assert found.captured == found.wanted
        assert found.judged == bits_of(expected)
        assert found.missing["not-judged"] == found.wanted & ~bits_of(expected)
