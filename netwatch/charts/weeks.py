"""The chart of incidents by week and by how they count for the answer, with rules for the days of
the ban and of measures.

Days without a capture are hatched: the absence of incidents means nothing there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from netwatch.charts import picture
from netwatch.charts.days import (
    BanDay,
    blank_sentence,
    day_spans,
    event_words,
    hatched,
    no_capture,
    on,
    rules,
)
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
class WeeklyIncidents:
    """Incidents by week, in order and without gaps, with the days to mark in these weeks."""

    weeks: Sequence[Week]
    days: Sequence[BanDay] = ()

    @property
    def missing(self) -> list[date]:
        """All days without a capture."""
        return [day for week in self.weeks for day in week.missing]


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
    plot = 660 if size == "wide" else 280
    marks, levels = rules(values.days, (first, last), language, plot, x)
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
    layers = [hatched(values.missing, language, x), bars, *marks]
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


def _summary(values: WeeklyIncidents, language: Language) -> str:
    most = max(values.weeks, key=lambda week: week.total)
    total = sum(week.total for week in values.weeks)
    found = {
        "all": language.number(total),
        "proved": language.number(_totals(values)["proved"]),
        "most": language.number(most.total),
        "day": language.day(most.monday),
    }
    if total > 1:
        text = language.say(
            "Incidents: %(all)s, of which proved: %(proved)s; the most in a week: %(most)s, in the"
            " week from %(day)s.",
            **found,
        )
    elif total:
        text = language.say("One incident, in the week from %(day)s; proved: %(proved)s.", **found)
    elif any(week.captured for week in values.weeks):
        text = language.say("No incident in this time.")
    else:
        text = language.say("Nothing was captured: that there is no incident proves nothing.")
    blocked = [each.day for each in values.days if each.event == "block"]
    if blocked:
        text += " " + language.say("First blocked on %(day)s.", day=language.day(min(blocked)))
    return text + blank_sentence(values.missing, language)


def _table(values: WeeklyIncidents, language: Language) -> Table:
    words, events = category_words(language), event_words(language)
    used = used_categories(_totals(values))
    rows = []
    for week in values.weeks:
        notes = [
            on(language.day(day.day), events[day.event], language)
            for day in values.days
            if week.monday <= day.day < week.monday + _WEEK
        ]
        is_blank = not week.captured and not week.total
        if is_blank:
            notes.append(language.say("no capture"))
        else:
            notes += [no_capture(first, last, language) for first, last in day_spans(week.missing)]
        counts = ["" if is_blank else language.number(week.counts.get(key, 0)) for key in used]
        rows.append((language.day(week.monday), *counts, "; ".join(notes)))
    headers = (
        language.say("Week from"),
        *(words[key] for key in used),
        language.say("Note"),
    )
    return Table(headers, tuple(rows), frozenset(range(1, len(used) + 1)))
