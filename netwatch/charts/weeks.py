"""The chart of incidents by week and by how they count for the answer, with rules for the days of
the ban and of measures.

Days without a capture are hatched: the absence of incidents means nothing there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from netwatch.charts import picture
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
from netwatch.language.language import Language

Event = Literal["from", "extended", "until", "review", "exemption", "exemption-ends", "block"]

_WEEK = timedelta(days=7)
_COLOURS = (
    ("proved", picture.VIOLATION, picture.VIOLATION),
    ("open", picture.OPEN, picture.OPEN_LINE),
    ("blocked", picture.BLOCKED, picture.BLOCKED_LINE),
    ("embed", picture.EMBED, picture.EMBED_LINE),
    ("lookup", picture.LOOKUP, picture.LOOKUP),
    ("possible", picture.POSSIBLE, picture.POSSIBLE_LINE),
    ("advisory", picture.ADVISORY, picture.ADVISORY_LINE),
    ("exempt", picture.EXEMPT, picture.EXEMPT_LINE),
)
CATEGORIES = tuple(category for category, _, _ in _COLOURS)
"""How incidents count for the answer; ``open`` are violations that are not proved, ``possible`` are
incidents that do not count."""

ALWAYS = frozenset({"proved", "blocked", "embed", "lookup", "exempt"})
"""The categories that tables have even if they have no incident."""

MAX_MARKS = 12
"""Days that are marked; those of exemptions are left out first."""

_DASHES: dict[Event, list[int]] = {
    "from": [1, 0],
    "extended": [8, 3],
    "until": [1, 0],
    "review": [2, 3],
    "exemption": [4, 2],
    "exemption-ends": [4, 2],
    "block": [6, 2, 2, 2],
}
_CHARACTER = 6.4
"""The mean width of a label's characters, in CSS pixels."""


@dataclass(frozen=True, slots=True)
class Week:
    """The incidents that began in the seven days from `monday` by category (those with 0 may be
    missing); `missing` are the days of the report without a capture. `captured` is whether there
    was a capture at any time on the other days."""

    monday: date
    counts: Mapping[str, int]
    missing: Sequence[date] = ()
    captured: bool = True

    @property
    def total(self) -> int:
        """How many incidents there are."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class BanDay:
    """A day of the ban: it came into force, was extended, ended, or is due for review; or of a
    measure: an exemption began or ended, or a contact was blocked for the first time."""

    day: date
    event: Event


@dataclass(frozen=True, slots=True)
class WeeklyIncidents:
    """Incidents by week, in order and without gaps, with the days to mark in these weeks."""

    weeks: Sequence[Week]
    days: Sequence[BanDay] = ()


def weeks_picture(values: WeeklyIncidents, language: Language) -> Picture:
    """The chart of incidents by week; there is at least one week."""
    return Picture(
        name="weeks",
        title=language.say("Incidents by week, and how they count"),
        summary=_summary(values, language),
        specifications={
            size: _specification(values, language, size) for size in ("wide", "narrow")
        },
        table=_table(values, language),
    )


def category_words(language: Language) -> dict[str, str]:
    """The words for the categories, in the legend and as column headers."""
    return {
        "proved": language.say("Proved"),
        "open": language.say("Not proved"),
        "blocked": language.say("Blocked"),
        "embed": language.say("Embedded in a page"),
        "lookup": language.say("Only looked up"),
        "possible": language.say("Without weight"),
        "advisory": language.say("Advised against"),
        "exempt": language.say("Exempt"),
    }


def used_categories(counts: Mapping[str, int]) -> list[str]:
    """The categories in a table with these total counts."""
    return [key for key in CATEGORIES if key in ALWAYS or counts.get(key)]


def _event_words(language: Language) -> dict[Event, str]:
    return {
        "from": language.say("in force"),
        "extended": language.say("extended"),
        "until": language.say("ends"),
        "review": language.say("review"),
        "exemption": language.say("exemption"),
        "exemption-ends": language.say("exemption ends"),
        "block": language.say("first blocked"),
    }


def _totals(values: WeeklyIncidents) -> Counter[str]:
    totals: Counter[str] = Counter()
    for week in values.weeks:
        totals.update(week.counts)
    return totals


def _specification(values: WeeklyIncidents, language: Language, size: Size) -> Any:
    first, last = values.weeks[0].monday, values.weeks[-1].monday + _WEEK
    largest = max(1, *(week.total for week in values.weeks))
    words = category_words(language)
    totals = _totals(values)
    colours = [colour for colour in _COLOURS if totals[colour[0]]] or list(_COLOURS[:1])
    domain = [words[category] for category, _, _ in colours]
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
                "field": "category",
                "type": "nominal",
                "sort": None,
                "scale": {"domain": domain, "range": [fill for _, fill, _ in colours]},
                "legend": {"columns": 4 if size == "wide" else 2, "offset": 8 + 15 * levels},
            },
            "stroke": {
                "field": "category",
                "type": "nominal",
                "sort": None,
                "scale": {"domain": domain, "range": [line for _, _, line in colours]},
            },
            "description": {"field": "text"},
        },
    }
    layers = [_blank(values, language, x), bars, *rules]
    return specification(size, 200 if size == "wide" else 180, layers)


def _bars(values: WeeklyIncidents, language: Language) -> list[dict[str, Any]]:
    """A row for each category of each week that has incidents. There is a gap between the bars of
    two weeks."""
    words = category_words(language)
    rows = []
    for week in values.weeks:
        low = 0
        for category in CATEGORIES:
            count = week.counts.get(category, 0)
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
                        "category": words[category],
                        "text": f"{label}: {words[category]} {language.number(count)}",
                    }
                )
            low += count
    return rows


def _blank(values: WeeklyIncidents, language: Language, x: dict[str, Any]) -> dict[str, Any]:
    """The hatched days without a capture; adjacent days are one mark."""
    rows = [
        {
            "from": iso(first),
            "to": iso(last + timedelta(days=1)),
            "text": _no_capture(first, last, language),
        }
        for first, last in day_spans([day for week in values.weeks for day in week.missing])
    ]
    return {
        "data": data(rows),
        "mark": {"type": "rect", "fill": picture.HATCH},
        "encoding": {"x": x, "x2": {"field": "to"}, "description": {"field": "text"}},
    }


def day_spans(days: Sequence[date]) -> list[tuple[date, date]]:
    """The first and last day of each run of consecutive days."""
    found: list[tuple[date, date]] = []
    for day in sorted(days):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = found[-1][0], day
        else:
            found.append((day, day))
    return found


def _days(first: date, last: date, language: Language) -> str:
    if first == last:
        return language.day(first)
    return language.say("%(first)s to %(last)s", first=language.day(first), last=language.day(last))


def _on(what: str, text: str, language: Language) -> str:
    """The event on a day or days; the space before the colon depends on the language."""
    return language.say("%(what)s: %(text)s", what=what, text=text)


def _no_capture(first: date, last: date, language: Language) -> str:
    return _on(_days(first, last, language), language.say("no capture"), language)


def _marked(values: WeeklyIncidents, language: Language) -> list[tuple[BanDay, str]]:
    """The days to mark with their labels; those of exemptions only if there is room."""
    words = _event_words(language)
    counts = Counter(values.days)
    ranked = sorted(counts, key=lambda mark: (mark.event.startswith("exemption"), mark.day))
    return [
        (mark, words[mark.event] if counts[mark] == 1 else f"{words[mark.event]} ({counts[mark]})")
        for mark in sorted(ranked[:MAX_MARKS], key=lambda each: each.day)
    ]


def _rules(
    values: WeeklyIncidents, language: Language, size: Size, x: dict[str, Any]
) -> tuple[list[dict[str, Any]], int]:
    """A labelled rule for each day of the ban, and how many lines the labels take: overlapping
    labels are put above each other."""
    first = values.weeks[0].monday
    days = max(1, (values.weeks[-1].monday + _WEEK - first).days)
    plot = 660 if size == "wide" else 280
    ends: list[float] = []
    layers = []
    for each, label in _marked(values, language):
        at = (each.day - first).days / days * plot
        is_right = at + len(label) * _CHARACTER > plot
        begin = at - (len(label) * _CHARACTER if is_right else 0)
        level = next((n for n, end in enumerate(ends) if end < begin), len(ends))
        ends[level : level + 1] = [begin + (len(label) + 2) * _CHARACTER]
        text = _on(language.day(each.day), label, language)
        row = {"from": iso(each.day), "label": label, "text": text}
        layers += [
            # A rule may cross a dark bar, so it has a light line under it.
            _rule(row, x, level, {"stroke": picture.SURFACE, "strokeWidth": 4}),
            _rule(
                row,
                x,
                level,
                {
                    "stroke": picture.INK,
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
                    "fill": picture.INK,
                },
                "encoding": {
                    "x": x,
                    "text": {"field": "label"},
                    "description": {"field": "text"},
                },
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
    words, totals = category_words(language), _totals(values)
    listed = [f"{words[key]} {language.number(totals[key])}" for key in used_categories(totals)]
    text = f"{'; '.join(listed)}."
    blank = sum(len(week.missing) for week in values.weeks)
    if blank:
        text += " " + language.say_count(
            "%(count)s day was not captured and is hatched.",
            "%(count)s days were not captured and are hatched.",
            blank,
        )
    return text


def _table(values: WeeklyIncidents, language: Language) -> Table:
    words, events = category_words(language), _event_words(language)
    used = used_categories(_totals(values))
    rows = []
    for week in values.weeks:
        notes = [
            _on(language.day(day.day), events[day.event], language)
            for day in values.days
            if week.monday <= day.day < week.monday + _WEEK
        ]
        is_blank = not week.captured and not week.total
        if is_blank:
            notes.append(language.say("no capture"))
        else:
            notes += [_no_capture(first, last, language) for first, last in day_spans(week.missing)]
        counts = ["" if is_blank else language.number(week.counts.get(key, 0)) for key in used]
        rows.append((language.day(week.monday), *counts, "; ".join(notes)))
    headers = (
        language.say("Week from"),
        *(words[key] for key in used),
        language.say("Note"),
    )
    return Table(headers, tuple(rows), frozenset(range(1, len(used) + 1)))
