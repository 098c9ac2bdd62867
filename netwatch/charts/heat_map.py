"""The chart of devices by weeks: which had incidents once, and which repeatedly.

Each cell shows its number as well as its colour, if there is room for it. Days without a capture
are hatched, and the days of the ban and of measures are marked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

from netwatch.charts import picture
from netwatch.charts.days import BanDay, blank_sentence, hatched, rules
from netwatch.charts.picture import (
    Picture,
    Size,
    Table,
    data,
    day_axis,
    escaped_name,
    iso,
    shown,
    specification,
    week_label,
)
from netwatch.language.language import Language

_WEEK = timedelta(days=7)
_COLOURS = (
    (1, picture.ONCE, picture.ONCE_LINE),
    (4, picture.SOME, picture.SOME),
    (1 << 62, picture.MANY, picture.MANY),
)
MAX_DEVICES = 40
"""Devices that are drawn, those with incidents in most weeks first; the table lists all."""


@dataclass(frozen=True, slots=True)
class DeviceWeeks:
    """The incidents of a device by the first day of the week."""

    device: str
    weeks: Mapping[date, int]

    @property
    def incidents(self) -> int:
        """How many incidents the device has."""
        return sum(self.weeks.values())


def heat_map(
    values: Sequence[DeviceWeeks],
    first: date,
    last: date,
    language: Language,
    missing: Sequence[date] = (),
    marks: Sequence[BanDay] = (),
) -> Picture:
    """The chart of devices by weeks, from the Monday `first` to the Monday `last`; `missing` are
    the days without a capture, and `marks` those of the ban and of measures."""
    ranked = sorted(values, key=lambda row: (-len(row.weeks), -row.incidents, row.device))
    drawn = ranked[:MAX_DEVICES]
    rows = _cells(drawn, language)
    return Picture(
        name="devices",
        title=language.say("Devices with incidents, week by week"),
        summary=_summary(ranked, language) + blank_sentence(missing, language),
        specifications={
            size: _specification(
                drawn, rows, _Time(first, last + _WEEK, missing, marks), language, size
            )
            for size in ("wide", "narrow")
        },
        table=_table(ranked, language),
    )


@dataclass(frozen=True, slots=True)
class _Time:
    """The days of a chart from `first` up to, but without, `end`."""

    first: date
    end: date
    missing: Sequence[date]
    marks: Sequence[BanDay]


def _classes(language: Language) -> list[str]:
    return [
        language.say("1 incident"),
        language.say("2 to 4 incidents"),
        language.say("5 or more incidents"),
    ]


def _specification(
    values: Sequence[DeviceWeeks],
    rows: Sequence[Mapping[str, Any]],
    time: _Time,
    language: Language,
    size: Size,
) -> Any:
    first, last = time.first, time.end
    weeks = (last - first).days // 7
    names = [shown(row.device, 24) for row in values]
    y = {
        "field": "device",
        "type": "nominal",
        "sort": names,
        "scale": {"paddingInner": 0.15, "paddingOuter": 0.1},
        "axis": {
            "title": None,
            "labelLimit": 170 if size == "wide" else 96,
            "labelColor": picture.INK,
        },
    }
    x = {
        "field": "from",
        "type": "temporal",
        "axis": {**day_axis(size, first, last), "orient": "bottom"},
        "scale": {"type": "utc", "domain": [iso(first), iso(last)]},
    }
    words = _classes(language)
    plot = 540 if size == "wide" else 190
    marks, levels = rules(time.marks, (first, last), language, plot, x)
    cells = {
        "data": data(rows),
        "mark": {"type": "rect", "strokeWidth": 1},
        "encoding": {
            "x": x,
            "x2": {"field": "to"},
            "y": y,
            "fill": {
                "field": "class",
                "type": "nominal",
                "sort": None,
                "scale": {"domain": words, "range": [fill for _, fill, _ in _COLOURS]},
                "legend": {"columns": 3 if size == "wide" else 1, "offset": 12 + 15 * levels},
            },
            "stroke": {
                "field": "class",
                "type": "nominal",
                "sort": None,
                "scale": {"domain": words, "range": [line for _, _, line in _COLOURS]},
            },
            "description": {"field": "text"},
        },
    }
    lanes = {
        "data": data([{"device": name} for name in names]),
        "mark": {"type": "rule", "stroke": picture.GRID},
        "encoding": {"y": y, "description": {"field": "device"}},
    }
    layers = [hatched(time.missing, language, x), lanes, cells]
    if weeks <= (20 if size == "wide" else 8):
        layers += [
            {
                "data": data([row for row in rows if row["class"] in chosen]),
                "mark": {"type": "text", "fill": colour},
                "encoding": {
                    "x": {**x, "field": "middle"},
                    "y": y,
                    "text": {"field": "count", "format": ",d"},
                    "description": {"field": "text"},
                },
            }
            for chosen, colour in ((words[:1], picture.INK), (words[1:], picture.SURFACE))
        ]
    return specification(size, max(1, len(values)) * 22, [*layers, *marks])


def _cells(values: Sequence[DeviceWeeks], language: Language) -> list[dict[str, Any]]:
    """The cells of all devices. Many have the same week and number, and formatting these in a
    language takes longer than everything else."""
    words = _classes(language)

    @cache
    def week(monday: date) -> tuple[str, dict[str, str]]:
        return week_label(language, monday), {
            "from": f"{monday.isoformat()}T08:00:00Z",
            "middle": f"{(monday + timedelta(days=3)).isoformat()}T12:00:00Z",
            "to": f"{(monday + timedelta(days=6)).isoformat()}T16:00:00Z",
        }

    @cache
    def number(count: int) -> tuple[str, dict[str, Any]]:
        place = next(place for place, (most, _, _) in enumerate(_COLOURS) if count <= most)
        text = language.say_count("%(count)s incident", "%(count)s incidents", count)
        return text, {"count": count, "class": words[place]}

    rows = []
    for row in values:
        short, name = shown(row.device, 24), shown(row.device)
        for monday, count in sorted(row.weeks.items()):
            label, days = week(monday)
            text, counted = number(count)
            rows.append({"device": short, **days, **counted, "text": f"{name}, {label}: {text}"})
    return rows


def _summary(values: Sequence[DeviceWeeks], language: Language) -> str:
    """`values` begin with the device that has incidents in most weeks."""
    if not values or not values[0].weeks:
        return language.say("No incident in this time.")
    worst = values[0]
    if len(values) == 1:
        most = max(worst.weeks, key=lambda monday: (worst.weeks[monday], monday))
        found = {
            "all": language.number(worst.incidents),
            "weeks": language.number(len(worst.weeks)),
            "most": language.number(worst.weeks[most]),
            "day": language.day(most),
        }
        if len(worst.weeks) == 1:
            return language.say("Incidents: %(all)s, in the week from %(day)s.", **found)
        return language.say(
            "Incidents: %(all)s, in %(weeks)s weeks; the most: %(most)s, in the week from %(day)s.",
            **found,
        )
    repeated = sum(len(row.weeks) > 1 for row in values)
    text = language.say(
        "Devices with incidents: %(all)s, of which in more than one week: %(repeated)s.",
        all=language.number(len(values)),
        repeated=language.number(repeated),
    )
    if repeated:
        text += " " + language.say_count(
            "In most weeks: %(device)s, in %(count)s week.",
            "In most weeks: %(device)s, in %(count)s weeks.",
            len(worst.weeks),
            device=shown(worst.device),
        )
    if len(values) > MAX_DEVICES:
        text += " " + language.say(
            "The picture shows the first %(count)s, the table shows all.",
            count=language.number(MAX_DEVICES),
        )
    return text


def _table(values: Sequence[DeviceWeeks], language: Language) -> Table:
    rows = tuple(
        (
            escaped_name(row.device),
            language.number(row.incidents),
            language.number(len(row.weeks)),
            language.day(min(row.weeks)) if row.weeks else "",
            language.day(max(row.weeks)) if row.weeks else "",
        )
        for row in values
    )
    headers = (
        language.say("Device"),
        language.say("Incidents"),
        language.say("Weeks"),
        language.say("First week from"),
        language.say("Last week from"),
    )
    return Table(headers, rows, frozenset({1, 2}))
