"""What pictures say: their tables, their summaries, and which colours they use."""

import json
from datetime import date, timedelta
from itertools import pairwise

import pytest
from charts.pictures import HOSTILE, MONDAY, all_pictures, weekly

from netwatch.charts import FOLDER
from netwatch.charts import picture as theme
from netwatch.charts.change import NetworkChange, Seen, before_after
from netwatch.charts.coverage import GROUPS, NetworkCoverage, coverage_picture, reason_words
from netwatch.charts.days import MAX_MARKS, BanDay
from netwatch.charts.heat_map import DeviceWeeks, heat_map
from netwatch.charts.render import number_locale, time_locale
from netwatch.charts.weeks import Week, WeeklyIncidents, weeks_picture
from netwatch.coverage.flow_visibility import VISIBILITIES
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
    assert len(titles) == len(LANGUAGES) * 4


def test_the_table_of_weeks_has_each_number_and_what_was_not_captured() -> None:
    table = weeks_picture(weekly(7), ENGLISH).table
    assert table.headers == (
        "Week from", "Proved", "Not proved", "Blocked", "Embedded in a page", "Only looked up",
        "Advised against", "Exempt", "Note",
    )  # fmt: skip
    assert table.rows[0] == ("27 February 2023", "3", "0", "0", "0", "0", "1", "0", "")
    assert table.rows[1] == ("6 March 2023", *"0000000", "10 March 2023: in force")
    assert table.rows[4] == ("27 March 2023", *[""] * 7, "no capture")
    assert table.rows[6][-1].endswith("12 April 2023 to 13 April 2023: no capture")


def test_what_was_blocked_or_embedded_is_not_drawn_as_a_violation() -> None:
    week = Week(MONDAY, {"proved": 2, "blocked": 30, "embed": 4, "lookup": 5, "exempt": 3})
    picture = weeks_picture(WeeklyIncidents([week]), ENGLISH)
    layer = picture.specifications["wide"]["layer"][1]
    assert [(bar["low"], bar["high"], bar["category"]) for bar in layer["data"]["values"]] == [
        (0, 2, "Proved"),
        (2, 32, "Blocked"),
        (32, 36, "Embedded in a page"),
        (36, 41, "Only looked up"),
        (41, 44, "Exempt"),
    ]
    assert layer["encoding"]["fill"]["scale"]["domain"] == [
        "Proved", "Blocked", "Embedded in a page", "Only looked up", "Exempt",
    ]  # fmt: skip


def test_days_without_a_capture_are_one_hatched_mark() -> None:
    picture = weeks_picture(weekly(7), ENGLISH)
    layer = picture.specifications["wide"]["layer"][0]
    assert layer["mark"]["fill"] == theme.HATCH
    assert [(row["from"][:10], row["to"][:10]) for row in layer["data"]["values"]] == [
        ("2023-03-27", "2023-04-03"),
        ("2023-04-12", "2023-04-14"),
    ]


def test_the_picture_of_devices_hatches_days_and_marks_measures_as_that_of_weeks() -> None:
    devices = [DeviceWeeks("ws-021", {MONDAY: 2})]
    week = weeks_picture(weekly(), ENGLISH).specifications
    heat = heat_map(devices, MONDAY, MONDAY + timedelta(weeks=8), ENGLISH, weekly().missing,
                    weekly().days).specifications  # fmt: skip
    for size in ("wide", "narrow"):
        assert heat[size]["layer"][0]["data"] == week[size]["layer"][0]["data"]
        assert heat[size]["layer"][0]["mark"]["fill"] == theme.HATCH
        marks = week[size]["layer"][2:]
        assert [each["data"] for each in heat[size]["layer"][-len(marks) :]] == [
            each["data"] for each in marks
        ]


def test_what_was_not_captured_of_a_network_is_hatched() -> None:
    pictures = (
        before_after(
            [NetworkChange("hq", Seen(None, None), Seen(2, 0.5))], ("May", "June"), ENGLISH
        ),
        coverage_picture(
            [NetworkCoverage("hq", 0, 0, {}), NetworkCoverage("x", 1, 1, {})], ENGLISH
        ),
    )
    for picture, text in zip(
        pictures, ("hq, May: not captured", "hq: no flow was captured"), strict=True
    ):
        for specification in picture.specifications.values():
            found = [
                layer["data"]["values"]
                for layer in specification["layer"]
                if layer["mark"].get("fill") == theme.HATCH
            ]
            assert [[row["text"] for row in rows] for rows in found] == [[text]]


def test_measures_are_marked_and_those_of_one_day_together() -> None:
    texts = json.dumps(weeks_picture(weekly(), ENGLISH).specifications["wide"])
    assert "20 March 2023: exemption (2)" in texts
    assert "20 April 2023: first blocked" in texts


def test_no_rule_crosses_the_label_of_another_day() -> None:
    days = [BanDay(MONDAY + timedelta(days=n), "from" if n else "block") for n in (0, 1, 2, 9)]
    picture = weeks_picture(WeeklyIncidents(weekly().weeks, days), ENGLISH)
    layers = picture.specifications["narrow"]["layer"][2:]
    levels = {
        layer["data"]["values"][0]["from"][:10]: -layer["mark"]["y"]
        for layer in layers
        if layer["mark"]["type"] == "text"
    }
    # The label of an earlier day is above, and its rule is on the left of those below.
    assert [levels[day.day.isoformat()] for day in days] == [53, 38, 23, 8]


def test_many_exemptions_leave_room_for_the_days_of_the_ban() -> None:
    days = [BanDay(MONDAY + timedelta(days=n), "exemption") for n in range(30)]
    days.append(BanDay(MONDAY + timedelta(days=30), "block"))
    weeks = [Week(MONDAY + timedelta(weeks=n), {}) for n in range(5)]
    picture = weeks_picture(WeeklyIncidents(weeks, days), ENGLISH)
    labels = [
        layer["data"]["values"][0]["label"]
        for layer in picture.specifications["wide"]["layer"][2:]
        if layer["mark"]["type"] == "text"
    ]
    assert len(labels) == MAX_MARKS
    assert labels[0] == "first blocked"


def test_of_a_network_that_was_not_captured_no_number_is_drawn() -> None:
    change = NetworkChange("hq", Seen(None, None), Seen(2, 0.5))
    picture = before_after([change], ("May", "June"), ENGLISH)
    assert picture.table.rows == (("hq", "not captured", "", "2", "4"),)
    points = picture.specifications["wide"]["layer"][1]["data"]["values"]
    assert [(row["period"], row["low"]) for row in points] == [("June", 2)]
    assert "May: not captured; June: 2." in picture.summary


def test_the_two_totals_of_flows_are_named() -> None:
    networks = [NetworkCoverage("hq", 100, 80, {"no-data": 15, "ech": 5})]
    summary = coverage_picture(networks, ENGLISH).summary
    assert "80 of 100 flows" in summary
    assert "; 85 carried content." in summary


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
        theme.VIOLATION, theme.OPEN_LINE, theme.BLOCKED_LINE, theme.EMBED_LINE, theme.LOOKUP,
        theme.POSSIBLE_LINE, theme.ADVISORY_LINE, theme.EXEMPT_LINE, theme.NAMED_LINE, theme.HIDDEN,
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
        (
            theme.VIOLATION,
            theme.OPEN,
            theme.BLOCKED,
            theme.EMBED,
            theme.LOOKUP,
            theme.POSSIBLE,
            theme.ADVISORY,
            theme.EXEMPT,
        ),
        (theme.VIOLATION, theme.BLOCKED, theme.LOOKUP, theme.EXEMPT),
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
                [Week(MONDAY + timedelta(weeks=n), {"proved": 1}) for n in range(weeks)]
            )
            picture = weeks_picture(values, ENGLISH)
            axis = picture.specifications[size]["layer"][1]["encoding"]["x"]["axis"]  # type: ignore[index]
            assert len(axis["values"]) <= most
            assert all(date.fromisoformat(value[:10]) >= MONDAY for value in axis["values"])
