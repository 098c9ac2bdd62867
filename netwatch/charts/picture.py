"""What every picture consists of, in one language.

Texts come from packets and configurations, so all of them are escaped before they get into a
specification (`shown`), and none is ever part of an expression: data are values, and fields have
fixed names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from netwatch.charts.theme import CONFIG
from netwatch.core.text import escaped
from netwatch.language.language import Language

Size = Literal["wide", "narrow"]

WIDTHS: Mapping[Size, int] = {"wide": 720, "narrow": 328}
"""The width of a picture in CSS pixels, axes included. A narrow one is for windows from 360 px."""

MAX_TEXT = 60
"""Characters of a text of a sender that are shown in a picture; the table has all of it."""

Specification = Mapping[str, Any]
"""A specification of Vega-Lite 6."""

_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 600, 120_000)
"""Months between two ticks."""

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"


@dataclass(frozen=True, slots=True)
class Table:
    """The data of a picture: the texts of `headers`, and `rows` with as many cells each. Cells of
    the columns in `numbers` (by index) are numbers, which are aligned to the right."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in one language: its `title`, what it shows as a `summary` in one or two sentences
    for who does not see it, a specification a size, and the table of its data."""

    name: str
    title: str
    summary: str
    specifications: Mapping[Size, Specification]
    table: Table


def shown(text: str, limit: int = MAX_TEXT) -> str:
    """A text of a sender as it stands in a picture."""
    safe = escaped(text)
    return safe if len(safe) <= limit else f"{safe[: limit - 1]}…"


def specification(
    size: Size, height: int, layers: Sequence[Mapping[str, Any]], **more: Any
) -> Specification:
    """Layers as a specification of a size; `height` is that of the plot in CSS pixels."""
    return {
        "$schema": _SCHEMA,
        "width": WIDTHS[size],
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        "layer": list(layers),
        **more,
    }


def data(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Rows as the data of a layer."""
    return {"values": list(rows)}


def iso(day: date) -> str:
    """The beginning of a day, for a scale in UTC: pictures have whole days of the report's zone."""
    return f"{day.isoformat()}T00:00:00Z"


def week_label(language: Language, monday: date) -> str:
    """A week by its first day."""
    return language.say("week of %(day)s", day=language.day(monday))


def day_axis(size: Size, first: date, last: date) -> Mapping[str, Any]:
    """The axis of the days from `first` to `last`: a tick each week, each month or each quarter,
    as there is room for."""
    room = 18 if size == "wide" else 5
    weeks = (last - first).days // 7 + 1
    if weeks <= room:
        monday = first - timedelta(days=first.weekday())
        step = 1 if weeks <= room // 2 else 2
        ticks = [monday + timedelta(weeks=number) for number in range(0, weeks + 1, step)]
        pattern = "%-d %b"
    else:
        months = _months(first, last)
        most = 14 if size == "wide" else 5
        step = next(step for step in _STEPS if len(months) / step <= most)
        ticks = [day for day in months if (12 * day.year + day.month - 1) % step == 0]
        pattern = "%b %Y" if size == "narrow" or len(months) <= 8 else "%b"
        if pattern == "%b" and first.year != last.year:
            pattern = "%b %y"
    values = [iso(day) for day in ticks if first <= day <= last]
    return {
        "values": values,
        "format": pattern,
        "title": None,
        "grid": False,
        "labelFlush": False,
        "labelOverlap": "greedy",
    }


def _months(first: date, last: date) -> list[date]:
    found = []
    day = first.replace(day=1)
    while day <= last:
        found.append(day)
        day = (day + timedelta(days=32)).replace(day=1)
    return found


def count_axis(largest: float, title: str) -> Mapping[str, Any]:
    """The axis of counts up to `largest`, with ticks at whole numbers."""
    axis: dict[str, Any] = {"title": title, "format": ",d", "tickCount": 4}
    if largest <= 4:
        axis["values"] = list(range(int(largest) + 1))
    return axis
