"""The sentence above each picture says what its data say, in each language."""

from datetime import date, timedelta

import pytest
from charts.pictures import MONDAY

from netwatch.charts import FOLDER
from netwatch.charts.change import NetworkChange, Seen, before_after
from netwatch.charts.coverage import NetworkCoverage, coverage_picture
from netwatch.charts.days import BanDay
from netwatch.charts.heat_map import DeviceWeeks, heat_map
from netwatch.charts.weeks import Week, WeeklyIncidents, weeks_picture
from netwatch.language.language import LANGUAGES, Language, language

NEXT = MONDAY + timedelta(weeks=1)
ENGLISH = language("en", FOLDER)


@pytest.fixture(params=LANGUAGES)
def used(request: pytest.FixtureRequest) -> Language:
    return language(request.param, FOLDER)


def has(text: str, used: Language, *values: float | date | str) -> None:
    """All values are in a text, in this order, as the language writes them."""
    place = 0
    for value in values:
        shown = used.day(value) if isinstance(value, date) else value
        shown = shown if isinstance(shown, str) else used.number(shown)
        place = text.find(shown, place)
        assert place >= 0, (value, text)
        place += len(shown)


def test_of_weeks_it_has_the_total_what_is_proved_and_the_most(used: Language) -> None:
    weeks = [
        Week(MONDAY, {"proved": 1100, "blocked": 200}),
        Week(NEXT, {"proved": 34, "embed": 1500}, [NEXT, NEXT + timedelta(days=1)]),
    ]
    days = [BanDay(MONDAY + timedelta(days=9), "block"), BanDay(MONDAY, "from")]
    summary = weeks_picture(WeeklyIncidents(weeks, days), used).summary
    has(summary, used, 2834, 1134, 1534, NEXT, MONDAY + timedelta(days=9), 2)


def test_of_one_incident_it_has_its_week(used: Language) -> None:
    values = WeeklyIncidents([Week(MONDAY, {}), Week(NEXT, {"proved": 1})])
    summary = weeks_picture(values, used).summary
    has(summary, used, NEXT, 1)
    assert used.day(MONDAY) not in summary


def test_no_incident_where_nothing_was_captured_is_another_sentence(used: Language) -> None:
    captured = weeks_picture(WeeklyIncidents([Week(MONDAY, {})]), used).summary
    blank = weeks_picture(WeeklyIncidents([Week(MONDAY, {}, captured=False)]), used).summary
    assert captured != blank
    assert used.say("No incident in this time.") == captured


def test_of_networks_it_has_the_one_of_which_least_was_read(used: Language) -> None:
    networks = [
        NetworkCoverage("hq", 3000, 2700, {"ech": 200, "no-data": 100}),
        NetworkCoverage("guests", 1000, 250, {"vpn": 750}),
        NetworkCoverage("lab", 0, 0, {}),
    ]
    summary = coverage_picture(networks, used).summary
    shares = used.share(2950 / 4000), used.share(0.25)
    has(summary, used, 2950, 4000, shares[0], 3900, "guests", shares[1], 1)


def test_of_networks_of_which_all_was_read_none_is_the_least() -> None:
    networks = [NetworkCoverage(name, 10, 10, {}) for name in ("hq", "lab")]
    assert coverage_picture(networks, ENGLISH).summary.endswith("(100\u00a0%); 20 carried content.")


def test_of_devices_it_has_who_came_back(used: Language) -> None:
    devices = [
        DeviceWeeks("ws-021", {MONDAY: 9}),
        DeviceWeeks("ws-033", {MONDAY: 1, NEXT: 1}),
    ]
    summary = heat_map(devices, MONDAY, NEXT, used, [MONDAY]).summary
    has(summary, used, 2, 1, "ws-033", 2, 1)
    assert "ws-021" not in summary
    # Nobody came back.
    assert "ws-021" not in heat_map([devices[0]] * 2, MONDAY, NEXT, used).summary


def test_of_one_device_it_has_the_week_with_the_most(used: Language) -> None:
    summary = heat_map([DeviceWeeks("ws-021", {MONDAY: 2, NEXT: 5})], MONDAY, NEXT, used).summary
    has(summary, used, 7, 2, 5, NEXT)
    summary = heat_map([DeviceWeeks("ws-021", {NEXT: 5})], MONDAY, NEXT, used).summary
    has(summary, used, 5, NEXT)
    none = heat_map([DeviceWeeks("ws-021", {})], MONDAY, NEXT, used).summary
    assert none == heat_map([], MONDAY, NEXT, used).summary == used.say("No incident in this time.")


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (Seen(30, 0.9), Seen(8, 0.5),
         "Those are fewer, even if unreadable flows were like the others."),
        (Seen(8, 0.5), Seen(30, 0.9),
         "Those are more, even if unreadable flows were like the others."),
        (Seen(30, 0.9), Seen(20, 0.5), "The difference may be due to what could not be read."),
        (Seen(30, 0.9), Seen(8, None),
         "How much could be read is not known: the difference says little."),
        (Seen(8, 0.5), Seen(8, 1.0), "Those are as many as before."),
        (Seen(5, 1.0), Seen(0, 0.5),
         "Those are fewer, even if unreadable flows were like the others."),
    ],
)  # fmt: skip
def test_of_two_periods_it_has_what_the_difference_says(
    before: Seen, after: Seen, sentence: str, used: Language
) -> None:
    summary = before_after([NetworkChange("hq", before, after)], ("May", "June"), used).summary
    has(summary, used, "May", before.incidents or 0, "June", after.incidents or 0)
    assert used.say(sentence) in summary


def test_networks_of_one_period_are_not_compared(used: Language) -> None:
    changes = [
        NetworkChange("hq", Seen(30, 1.0), Seen(8, 1.0)),
        NetworkChange("lab", Seen(None, None), Seen(70, 1.0)),
    ]
    summary = before_after(changes, ("May", "June"), used).summary
    has(summary, used, "May", 30, "June", 78)
    assert used.say("Those are fewer, even if unreadable flows were like the others.") in summary
    assert used.say("What was not captured is hatched, and is not compared.") in summary
    alone = before_after(changes[1:], ("May", "June"), used).summary
    assert used.say("Those are more, even if unreadable flows were like the others.") not in alone
