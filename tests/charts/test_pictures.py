"""What pictures say: their tables, their summaries, and which colours they use."""

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from charts.pictures import HOSTILE, MONDAY, all_pictures, weekly

from netwatch.charts import FOLDER, theme
from netwatch.charts.before_after import Seen
from netwatch.charts.coverage import GROUPS, NetworkCoverage, coverage_picture, reason_words
from netwatch.charts.heat_map import DeviceWeeks, heat_map
from netwatch.charts.locales import number_locale, time_locale
from netwatch.charts.timeline import Sighting, timeline
from netwatch.charts.weeks import Week, WeeklyIncidents, weeks_picture
from netwatch.coverage.visibility import VISIBILITIES
from netwatch.language.language import LANGUAGES, language

ENGLISH = language("en", FOLDER)


def test_each_picture_has_its_table_in_each_language() -> None:
    titles = set()
    for code in LANGUAGES:
        for picture in all_pictures(language(code, FOLDER)):
            titles.add(picture.title)
            assert picture.summary
            widths = {len(row) for row in picture.table.rows} | {len(picture.table.headers)}
            assert len(widths) == 1
            assert max(picture.table.numbers) < len(picture.table.headers)
    assert len(titles) == len(LANGUAGES) * 5


def test_the_table_of_weeks_has_each_number_and_why_a_week_is_empty() -> None:
    table = weeks_picture(weekly(6), ENGLISH).table
    assert table.headers == ("Week from", "Violation", "Advised against", "Exempt", "Note")
    assert table.rows[0] == ("27 February 2023", "3", "1", "0", "")
    assert table.rows[1] == ("6 March 2023", "0", "0", "0", "10 March 2023: in force")
    assert table.rows[4][4] == "no capture"


def test_bars_of_a_week_are_stacked_and_empty_ones_left_out() -> None:
    picture = weeks_picture(WeeklyIncidents([Week(MONDAY, 2, 0, 3)]), ENGLISH)
    bars = picture.specifications["wide"]["layer"][1]["data"]["values"]
    assert [(bar["low"], bar["high"], bar["verdict"]) for bar in bars] == [
        (0, 2, "Violation"),
        (2, 5, "Exempt"),
    ]


def test_every_reason_is_in_one_group_and_has_words() -> None:
    grouped = [reason for reasons in GROUPS.values() for reason in reasons]
    assert sorted([*grouped, "named"]) == sorted(VISIBILITIES)
    assert set(reason_words(ENGLISH)) == set(grouped)


def test_a_share_is_a_hundred_percent_only_where_nothing_is_missing() -> None:
    almost = NetworkCoverage("hq", 100_000, 99_999, {"ech": 1})
    full = NetworkCoverage("lab", 3, 3, {})
    rows = coverage_picture([almost, full], ENGLISH).table.rows
    assert [row[3] for row in rows] == ["99.9\u00a0%", "100\u00a0%"]


def test_devices_of_most_weeks_come_first() -> None:
    devices = [
        DeviceWeeks("once", {MONDAY: 9}),
        DeviceWeeks("twice", {MONDAY: 1, MONDAY + timedelta(weeks=1): 1}),
    ]
    table = heat_map(devices, MONDAY, MONDAY + timedelta(weeks=3), ENGLISH).table
    assert [row[:3] for row in table.rows] == [("twice", "2", "2"), ("once", "9", "1")]


@pytest.mark.parametrize(
    ("seen", "at_most"),
    [(Seen(8, 0.5), 16.0), (Seen(0, 0.5), 0.0), (Seen(3, None), None), (Seen(3, 0.0), None)],
)
def test_what_blind_spots_leave(seen: Seen, at_most: float | None) -> None:
    assert seen.at_most == at_most


def test_times_are_those_of_the_zone_on_both_sides_of_a_change_of_clocks() -> None:
    zone = ZoneInfo("Europe/Brussels")
    sightings = [
        Sighting(datetime(2023, 3, 26, 0, 59, tzinfo=UTC), "a.example", "tls-sni", "handshake"),
        Sighting(datetime(2023, 3, 26, 1, 1, tzinfo=UTC), "a.example", "tls-sni", "handshake"),
    ]
    picture = timeline(sightings, zone, ENGLISH)
    assert [row[0] for row in picture.table.rows] == [
        "26 March 2023 01:59:00.000",
        "26 March 2023 03:01:00.000",
    ]
    values = picture.specifications["wide"]["layer"][0]["data"]["values"]
    assert [row["time"] for row in values] == [
        "2023-03-26T01:59:00.000Z",
        "2023-03-26T03:01:00.000Z",
    ]


def test_names_of_senders_are_values_and_never_part_of_an_expression() -> None:
    for picture in all_pictures(ENGLISH):
        text = json.dumps(picture.specifications, ensure_ascii=False)
        assert "\u202e" not in text
        assert "\\u001b" not in text.replace("\\\\u001b", "")
        assert "expr" not in text
        assert "signal" not in text
    assert any(HOSTILE[:8] in json.dumps(each.specifications) for each in all_pictures(ENGLISH))


def test_locales_have_the_months_and_separators_of_each_language() -> None:
    found = {
        code: (
            time_locale(used)["months"][2],
            time_locale(used)["days"][0],
            number_locale(used)["decimal"],
        )
        for code in LANGUAGES
        for used in [language(code, FOLDER)]
    }
    assert found == {
        "en": ("March", "Sunday", "."),
        "fr": ("mars", "dimanche", ","),
        "nl": ("maart", "zondag", ","),
        "de": ("März", "Sonntag", ","),
    }


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _both(colour: str) -> list[tuple[str, str]]:
    """A colour with the background in the light and in the dark theme."""
    return [(colour, theme.SURFACE), (theme.DARK[colour], theme.DARK[theme.SURFACE])]


def test_contrasts() -> None:
    for text in (theme.INK, theme.MUTED):
        assert all(_contrast(*pair) >= 4.5 for pair in _both(text))
    outlines = (
        theme.VIOLATION, theme.ADVISORY_LINE, theme.EXEMPT_LINE, theme.NAMED_LINE, theme.HIDDEN,
        theme.TUNNEL_LINE, theme.NO_NAME, theme.CUT_LINE, theme.EMPTY_LINE, theme.ONCE_LINE,
        theme.SOME, theme.MANY, theme.BEFORE_LINE, theme.AFTER, theme.LINE,
    )  # fmt: skip
    assert {each: pair for each in outlines for pair in _both(each) if _contrast(*pair) < 3} == {}
    for cell in (theme.SOME, theme.MANY):
        assert all(_contrast(*pair) >= 4.5 for pair in _both(cell))
    assert _contrast(theme.INK, theme.ONCE) >= 4.5
    assert _contrast(theme.DARK[theme.INK], theme.DARK[theme.ONCE]) >= 4.5


def test_marks_beside_each_other_differ_without_colour() -> None:
    for order in (
        (theme.VIOLATION, theme.ADVISORY, theme.EXEMPT),
        (theme.NAMED, theme.HIDDEN, theme.TUNNEL, theme.NO_NAME, theme.CUT, theme.EMPTY),
        (theme.ONCE, theme.SOME, theme.MANY),
        (theme.BEFORE, theme.AFTER),
    ):
        for one, other in pairwise(order):
            least = 1.15 if theme.EMPTY in (one, other) else 1.35
            assert _contrast(one, other) >= least, (one, other)
            assert _contrast(theme.DARK[one], theme.DARK[other]) >= least, (one, other)


def test_each_colour_has_one_purpose() -> None:
    assert len(set(theme.DARK)) == len(theme.DARK)
    colours = {
        value
        for name, value in vars(theme).items()
        if name.isupper() and str(value).startswith("#")
    }
    assert colours == set(theme.DARK)


def test_a_long_year_has_a_readable_axis() -> None:
    for weeks in (1, 6, 20, 53, 160, 600):
        for size, most in (("wide", 18), ("narrow", 6)):
            values = WeeklyIncidents(
                [Week(MONDAY + timedelta(weeks=n), 1, 0, 0) for n in range(weeks)]
            )
            picture = weeks_picture(values, ENGLISH)
            axis = picture.specifications[size]["layer"][1]["encoding"]["x"]["axis"]  # type: ignore[index]
            assert len(axis["values"]) <= most
            assert all(date.fromisoformat(value[:10]) >= MONDAY for value in axis["values"])
