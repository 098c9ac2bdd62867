"""What is missing, compared with a slow and obvious computation over random schedules.

The bound of hidden contacts: its numbers, its coverage, and where it says nothing.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from netwatch.core.period import DAYS, parse_expected, period
from netwatch.coverage.flow_visibility import VISIBILITIES
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
from netwatch.coverage.missing import (
    BLIND_FLOWS,
    LEVEL,
    MAX_SHOWING,
    DeviceFlows,
    HiddenBound,
    Limits,
    NetworkInScope,
    NoBound,
    hidden_bound,
    hidden_devices,
    look,
)

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
            "log": st.sampled_from([False, False, True]),
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
            each["class"],
            bits_of(each["hours"]),
            0 if each["log"] else bits_of(each["hours"]),
            (FlowBlock(0, pack_flows(flows)),),
        )
        judged = [
            JudgedSpan(JUDGES[name], when(since), when(until))
            for name, since, until in each["judged"]
        ]
        made.append(
            Source(
                each["content"], each["sensor"], "", bits_of(each["quarters"]),
                0 if each["log"] else bits_of(each["quarters"]),
                {"hq": (seen,)} if each["hours"] else {}, judged, bits_of(each["lost"]),
            )
        )  # fmt: skip
    watchers = watchers_of(sources, listeners)
    known = {"hq": frozenset(listeners)} if listeners else {}
    watching = {"hq": frozenset(watchers)} if watchers else {}
    return JudgedCoverage(BASE, HOURS, made, known, watching)


def watchers_of(sources: list[dict[str, Any]], listeners: set[str]) -> set[str]:
    """The listeners that have more than logs of services."""
    return {each["sensor"] for each in sources if not each["log"]} & listeners


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
    holes = long_gaps(wanted, captured)
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
    logged, watched = logged_only(sources, listeners, expected, wanted, zone)
    logged &= there
    silent = {at for at in there - logged if is_silent(at, watched, expected, spans, zone)}
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
    blind = logged - unjudged
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


def long_gaps(wanted: list[set[int]], known: set[int]) -> set[int]:
    """The quarters of gaps of an hour or longer in what is known; one ends with its span."""
    found = set[int]()
    for part in wanted:
        for at in part - known:
            first, last = at, at
            while first - 1 in part - known:
                first -= 1
            while last + 1 in part - known:
                last += 1
            if last - first + 1 >= QUARTERS:
                found.add(at)
    return found


def logged_only(
    sources: list[dict[str, Any]],
    listeners: set[str],
    expected: str | None,
    wanted: list[set[int]],
    zone: str,
) -> tuple[set[int], set[int]]:
    """The quarters of which only logs of services tell, and the hours of traffic."""
    watchers = watchers_of(sources, listeners)
    watching = [
        each
        for each in sources
        if not each["log"]
        and (each["sensor"] in watchers or (expected == "never" and not watchers))
    ]
    traffic = {at for each in watching for at in each["quarters"]}
    found = long_gaps(wanted, traffic)
    seen = {at for each in sources for at in each["hours"]}
    watched = {at for each in sources if not each["log"] for at in each["hours"]}
    for at in set().union(*wanted):
        for begin, end in days_of(at, zone):
            day = {
                hour
                for hour in seen
                if (BASE + hour) * HOUR < end and (BASE + hour + 1) * HOUR > begin
            }
            if day and not day & watched:
                found.add(at)
    return found, watched


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
        "log": False,
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


def contacts(*devices: DeviceFlows) -> int:
    found = hidden_bound(devices)
    assert isinstance(found, HiddenBound)
    return found.contacts


@pytest.mark.parametrize("share", [0.01, 0.05, 0.051, 0.1, 0.3, 0.5, 0.9])
def test_without_a_contact_it_is_the_closed_form(share: float) -> None:
    # All k are hidden with share**k, which is more than 5 % up to ln 0.05 / ln share.
    assert hidden_devices([], [share] * 200) == math.ceil(math.log(1 - LEVEL) / math.log(share)) - 1


def test_equal_shares_give_the_limits_of_clopper_and_pearson() -> None:
    # The upper 95 % limit of 0 of 5 is 0.4507, that of 1 of 5 is 0.6574 and that of 3 of 10 is
    # 0.6066 (one-sided): so many fail to show a contact where it is just above 1 - share.
    assert hidden_devices([], [1 - 0.4500] * 9) == 5
    assert hidden_devices([], [1 - 0.4515] * 9) == 4
    assert hidden_devices([1 - 0.6570], [1 - 0.6570] * 9) == 4
    assert hidden_devices([1 - 0.6580], [1 - 0.6580] * 9) == 3
    assert hidden_devices([1 - 0.6060] * 3, [1 - 0.6060] * 9) == 7
    assert hidden_devices([1 - 0.6070] * 3, [1 - 0.6070] * 9) == 6


@given(st.lists(st.floats(0.01, 0.99), max_size=3), st.lists(st.floats(0.01, 0.99), max_size=5))
def test_is_what_all_outcomes_add_up_to(showing: list[float], others: list[float]) -> None:
    def likely(shares: Sequence[float]) -> float:
        return math.fsum(
            math.prod(s if is_hidden else 1 - s for s, is_hidden in zip(shares, each, strict=True))
            for each in itertools.product([False, True], repeat=len(shares))
            if each.count(False) <= len(showing)
        )

    ranked = sorted(others, reverse=True)
    number = hidden_devices(showing, others)
    assert number == 0 or likely([*showing, *ranked[:number]]) > 1 - LEVEL - 1e-9
    if number < len(others):
        assert likely([*showing, *ranked[: number + 1]]) <= 1 - LEVEL + 1e-9


def test_where_little_is_hidden_nothing_is() -> None:
    assert contacts(*[DeviceFlows(960, 40)] * 100) == 0


def test_a_device_that_hides_a_tenth_may_hide_its_contacts() -> None:
    assert contacts(*[DeviceFlows(960, 40)] * 100, DeviceFlows(90, 10)) == 40


def test_what_shows_a_contact_may_hide_more() -> None:
    assert contacts(DeviceFlows(980, 20, contacts=1)) == 20


def test_the_few_flows_of_a_device_without_names_all_count() -> None:
    assert contacts(DeviceFlows(1000, 0), DeviceFlows(0, 19)) == 19


@pytest.mark.parametrize(
    ("devices", "code"),
    [
        ([], "no-names"),
        ([DeviceFlows(0, 12)], "no-names"),
        ([DeviceFlows(1000, 0), DeviceFlows(0, 20)], "hides-all"),
        ([DeviceFlows(1000, 3, tunnels=1)], "tunnels"),
        ([DeviceFlows(9, 1, contacts=1)] * (MAX_SHOWING + 1), "many-contacts"),
    ],
)
def test_where_the_assumption_fails_it_says_so(devices: list[DeviceFlows], code: str) -> None:
    found = hidden_bound(devices)
    assert isinstance(found, NoBound)
    assert found.code == code


@given(
    st.lists(
        st.builds(
            DeviceFlows, st.integers(1, 500), st.integers(0, 500), st.sampled_from([0, 0, 0, 1])
        ),
        min_size=1,
        max_size=12,
    )
)
def test_is_never_more_than_what_was_not_read(devices: list[DeviceFlows]) -> None:
    assert 0 <= contacts(*devices) <= sum(each.unread for each in devices)


Rates = Callable[[random.Random], Callable[[], float]]
"""Makes for a device what gives the rate at which it hides the flows of its next app."""


def flow_by_flow(numbers: random.Random) -> Callable[[], float]:
    rate = numbers.random() * 0.4
    return lambda: rate


def app_by_app(numbers: random.Random) -> Callable[[], float]:
    rate = numbers.random() * 0.4
    return lambda: float(numbers.random() < rate)


def some_of_each_app(numbers: random.Random) -> Callable[[], float]:
    rate = 0.02 + numbers.random() * 0.4
    return lambda: numbers.betavariate(2 * rate, 2 * (1 - rate))


@pytest.mark.parametrize("rates", [flow_by_flow, app_by_app, some_of_each_app])
@pytest.mark.parametrize("having", [1, 3, 8])
def test_covers_what_is_hidden_at_random(rates: Rates, having: int) -> None:
    numbers = random.Random(having)
    draws = 200
    covered = sum(_is_covered(numbers, rates, having) for _ in range(draws))
    # 183 of 200 or fewer would come about once in 50 times if the bound held in just 95 %.
    assert covered > 183


def _is_covered(numbers: random.Random, rates: Rates, having: int) -> bool:
    """Whether the bound holds in a network of 12 devices with 15 apps each, of which `having` also
    have the app of the ban."""
    devices, hidden = [], 0
    for device in range(12):
        rate = rates(numbers)
        named = unread = shown = 0
        for app in range(15 + (device < having)):
            size = 1 + int(numbers.lognormvariate(1, 1))
            now = rate()
            unnamed = sum(numbers.random() < now for _ in range(size))
            named, unread = named + size - unnamed, unread + unnamed
            if app == 15:
                hidden += unnamed
                shown = size - unnamed
        devices.append(DeviceFlows(named, unread, shown))
    found = hidden_bound(devices)
    return isinstance(found, NoBound) or hidden <= found.contacts
