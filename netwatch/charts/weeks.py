"""The picture of incidents by week and verdict, with the days of the ban as rules.

A week without a capture is shaded: no incidents there says nothing.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Literal

from netwatch.charts import theme
from netwatch.charts.picture import (
    Picture,
    Size,
    Table,
    count_axis,
    data,
    day_axis,
    iso,
    specification,
    week_label,
)
from netwatch.core.dataclass import dataclass
from netwatch.language.language import Language

Event = Literal["from", "extended", "until", "review"]

_WEEK = timedelta(days=7)
_COLOURS = (
    ("violation", theme.VIOLATION, theme.VIOLATION),
    ("advisory", theme.ADVISORY, theme.ADVISORY_LINE),
    ("exempt", theme.EXEMPT, theme.EXEMPT_LINE),
)
_DASHES: dict[Event, list[int]] = {
    "from": [1, 0],
    "extended": [8, 3],
    "until": [1, 0],
    "review": [2, 3],
}
_CHARACTER = 6.4
"""The mean width of a character of a label, in CSS pixels."""


@dataclass(frozen=True, slots=True)
class Week:
    """The incidents that began in the seven days from `monday`. `captured` is whether there was a
    capture at any time of them."""

    monday: date
    violations: int
    advisories: int
    exempt: int
    captured: bool = True


@dataclass(frozen=True, slots=True)
class BanDay:
    """A day of the ban: it came into force, was extended, ended, or is due for review."""

    day: date
    event: Event


@dataclass(frozen=True, slots=True)
class WeeklyIncidents:
    """Incidents by week, in order and without a gap, with the days of the ban in these weeks."""

    weeks: Sequence[Week]
    days: Sequence[BanDay] = ()


def weeks_picture(values: WeeklyIncidents, language: Language) -> Picture:
    """The picture of incidents by week; there is at least one week."""
    return Picture(
        name="weeks",
        title=language.say("Incidents by week and verdict"),
        summary=_summary(values, language),
        specifications={
            size: _specification(values, language, size) for size in ("wide", "narrow")
        },
        table=_table(values, language),
    )


def verdict_words(language: Language) -> dict[str, str]:
    """The words for verdicts in a legend."""
    return {
        "violation": language.say("Violation"),
        "advisory": language.say("Advised against"),
        "exempt": language.say("Exempt"),
    }


def _event_words(language: Language) -> dict[Event, str]:
    return {
        "from": language.say("in force"),
        "extended": language.say("extended"),
        "until": language.say("ends"),
        "review": language.say("review"),
    }


def _counts(week: Week) -> tuple[int, int, int]:
    return week.violations, week.advisories, week.exempt


def _specification(values: WeeklyIncidents, language: Language, size: Size) -> Any:
    first, last = values.weeks[0].monday, values.weeks[-1].monday + _WEEK
    largest = max(1, *(sum(_counts(week)) for week in values.weeks))
    words = verdict_words(language)
    x = {
        "field": "from",
        "type": "temporal",
        "axis": day_axis(size, first, last),
        "scale": {"type": "utc", "domain": [iso(first), iso(last)]},
    }
    rules, levels = _rules(values, language, size, x)
    y = {
        "field": "low",
        "type": "quantitative",
        "axis": count_axis(largest, language.say("Incidents")),
        "scale": {"domain": [0, largest], "nice": largest > 4},
    }
    bars = {
        "data": data(_bars(values, language)),
        "mark": {"type": "rect", "strokeWidth": 1},
        "encoding": {
            "x": x,
            "x2": {"field": "to"},
            "y": y,
            "y2": {"field": "high"},
            "fill": {
                "field": "verdict",
                "type": "nominal",
                "sort": None,
                "scale": {
                    "domain": list(words.values()),
                    "range": [fill for _, fill, _ in _COLOURS],
                },
                "legend": {"columns": 3 if size == "wide" else 1, "offset": 8 + 15 * levels},
            },
            "stroke": {
                "field": "verdict",
                "type": "nominal",
                "sort": None,
                "scale": {
                    "domain": list(words.values()),
                    "range": [line for _, _, line in _COLOURS],
                },
            },
            "description": {"field": "text"},
        },
    }
    layers = [_blank(values, language, x), bars, *rules]
    return specification(size, 200 if size == "wide" else 180, layers)


def _bars(values: WeeklyIncidents, language: Language) -> list[dict[str, Any]]:
    """A row for each verdict of each week that has incidents. Bars leave room between weeks."""
    words = verdict_words(language)
    rows = []
    for week in values.weeks:
        low = 0
        for (verdict, _, _), count in zip(_COLOURS, _counts(week), strict=True):
            if count:
                label = week_label(language, week.monday)
                start = week.monday.isoformat()
                end = week.monday + timedelta(days=6)
                rows.append(
                    {
                        "from": f"{start}T12:00:00Z",
                        "to": f"{end.isoformat()}T12:00:00Z",
                        "low": low,
                        "high": low + count,
                        "verdict": words[verdict],
                        "text": f"{label}: {words[verdict]} {language.number(count)}",
                    }
                )
            low += count
    return rows


def _blank(values: WeeklyIncidents, language: Language, x: dict[str, Any]) -> dict[str, Any]:
    """The shades of weeks without a capture."""
    rows = [
        {
            "from": iso(week.monday),
            "to": iso(week.monday + _WEEK),
            "text": f"{week_label(language, week.monday)}: {language.say('no capture')}",
        }
        for week in values.weeks
        if not week.captured
    ]
    return {
        "data": data(rows),
        "mark": {"type": "rect", "fill": theme.SHADE},
        "encoding": {"x": x, "x2": {"field": "to"}, "description": {"field": "text"}},
    }


def _rules(
    values: WeeklyIncidents, language: Language, size: Size, x: dict[str, Any]
) -> tuple[list[dict[str, Any]], int]:
    """A rule with its label for each day of the ban, and how many lines the labels take: those that
    would overlap are put above each other."""
    words = _event_words(language)
    first = values.weeks[0].monday
    days = max(1, (values.weeks[-1].monday + _WEEK - first).days)
    plot = 660 if size == "wide" else 280
    ends: list[float] = []
    layers = []
    for each in sorted(values.days, key=lambda each: each.day):
        at = (each.day - first).days / days * plot
        label = words[each.event]
        is_right = at + len(label) * _CHARACTER > plot
        begin = at - (len(label) * _CHARACTER if is_right else 0)
        level = next((n for n, end in enumerate(ends) if end < begin), len(ends))
        ends[level : level + 1] = [begin + (len(label) + 2) * _CHARACTER]
        row = {"from": iso(each.day), "label": label, "text": f"{language.day(each.day)}: {label}"}
        layers += [
            # A rule may lie on a dark bar, so it has a light one behind it.
            _rule(row, x, level, {"stroke": theme.SURFACE, "strokeWidth": 4}),
            _rule(
                row,
                x,
                level,
                {
                    "stroke": theme.INK,
                    "strokeWidth": 1.5,
                    "strokeDash": _DASHES[each.event],
                },
            ),
            {
                "data": data([row]),
                "mark": {
                    "type": "text",
                    "align": "right" if is_right else "left",
                    "dx": -4 if is_right else 4,
                    "y": -8 - 15 * level,
                    "baseline": "middle",
                    "fill": theme.INK,
                },
                "encoding": {"x": x, "text": {"field": "label"}},
            },
        ]
    return layers, len(ends)


def _rule(
    row: dict[str, Any], x: dict[str, Any], level: int, look: dict[str, Any]
) -> dict[str, Any]:
    return {
        "data": data([row]),
        "mark": {"type": "rule", "y": -8 - 15 * level, "y2": "height", **look},
        "encoding": {"x": x, "description": {"field": "text"}},
    }


def _summary(values: WeeklyIncidents, language: Language) -> str:
    totals = [sum(counts) for counts in zip(*map(_counts, values.weeks), strict=True)]
    text = language.say(
        "Violations: %(violations)s; advised against: %(advisories)s; exempt: %(exempt)s.",
        violations=language.number(totals[0]),
        advisories=language.number(totals[1]),
        exempt=language.number(totals[2]),
    )
    blank = sum(not week.captured for week in values.weeks)
    if blank:
        text += " " + language.say_count(
            "%(count)s shaded week has no capture.",
            "%(count)s shaded weeks have no capture.",
            blank,
        )
    return text


def _table(values: WeeklyIncidents, language: Language) -> Table:
    words = _event_words(language)
    rows = []
    for week in values.weeks:
        notes = [
            f"{language.day(each.day)}: {words[each.event]}"
            for each in values.days
            if week.monday <= each.day < week.monday + _WEEK
        ]
        if not week.captured:
            notes.append(language.say("no capture"))
        counts = [language.number(count) for count in _counts(week)]
        rows.append((language.day(week.monday), *counts, "; ".join(notes)))
    headers = (
        language.say("Week from"),
        *verdict_words(language).values(),
        language.say("Note"),
    )
    return Table(headers, tuple(rows), frozenset({1, 2, 3}))
