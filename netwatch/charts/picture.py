"""The common parts of all charts: one language, the colours, and the style sheet for dark mode.

Texts come from packets and configurations, so all of them are escaped before they get into a
specification (`shown`), and none is ever part of an expression: data are values, and fields have
fixed names.

A rendered chart has the light colours as presentation attributes, so it is right without a style
sheet. Each colour of `LIGHT` has one purpose and differs from all others, so a rule
``[fill="#9c3d0e"]`` finds what has that purpose: the dark theme consists of such rules, and needs
neither a second rendering nor a class or style in the chart.

The charts can be read without colour vision and in black and white: adjacent colours differ in
lightness, pale ones have an outline, and the legend is in the order of the marks. Text has a
contrast of at least 4.5, outlines and marks of at least 3 against the background (WCAG 2.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from netwatch.core.text import escaped
from netwatch.language.language import Language

INK = "#1f2933"
MUTED = "#52606d"
LINE = "#7b8794"
GRID = "#dde3e9"
SURFACE = "#fefefe"
SHADE = "#eef1f4"
HATCH = "#e3e8ed"

VIOLATION = "#9c3d0e"
OPEN = "#f0a987"
OPEN_LINE = "#a4532a"
BLOCKED = "#3f9a72"
BLOCKED_LINE = "#2c7455"
EMBED = "#cfe3d5"
EMBED_LINE = "#4c7a60"
LOOKUP = "#7361ab"
POSSIBLE = "#e4def2"
POSSIBLE_LINE = "#7a6ba6"
ADVISORY = "#e8b04a"
ADVISORY_LINE = "#8a5a00"
EXEMPT = "#d3e3ef"
EXEMPT_LINE = "#3a6a90"

NAMED = "#d9e2ea"
NAMED_LINE = "#66788a"
HIDDEN = "#432a6b"
TUNNEL = "#d98032"
TUNNEL_LINE = "#9a5210"
NO_NAME = "#1d6f78"
CUT = "#f2d27a"
CUT_LINE = "#857000"
EMPTY = "#f7f8fa"
EMPTY_LINE = "#828d98"

ONCE = "#f3c6a5"
ONCE_LINE = "#9a5a2e"
SOME = "#b24c17"
MANY = "#6e2506"

BEFORE = "#8597a8"
BEFORE_LINE = "#5f7183"
AFTER = "#1b5e94"

DARK: Mapping[str, str] = {
    INK: "#e8ebee",
    MUTED: "#aeb9c4",
    LINE: "#7f8b97",
    GRID: "#323c46",
    SURFACE: "#161b20",
    SHADE: "#262e36",
    HATCH: "#2b343d",
    VIOLATION: "#ef8a54",
    OPEN: "#6b3a22",
    OPEN_LINE: "#d08a66",
    BLOCKED: "#2f7d5a",
    BLOCKED_LINE: "#6fd0a6",
    EMBED: "#24382e",
    EMBED_LINE: "#86b79c",
    LOOKUP: "#b3a2ec",
    POSSIBLE: "#332d4a",
    POSSIBLE_LINE: "#a99ad6",
    ADVISORY: "#8a6a24",
    ADVISORY_LINE: "#f0c263",
    EXEMPT: "#2b4257",
    EXEMPT_LINE: "#8dbde4",
    NAMED: "#33404c",
    NAMED_LINE: "#8797a6",
    HIDDEN: "#bda2f0",
    TUNNEL: "#a55b1a",
    TUNNEL_LINE: "#e39a58",
    NO_NAME: "#62c3cd",
    CUT: "#6d5f17",
    CUT_LINE: "#d8bd4c",
    EMPTY: "#1d232a",
    EMPTY_LINE: "#8a96a2",
    ONCE: "#5b3520",
    ONCE_LINE: "#c98a5e",
    SOME: "#d9733a",
    MANY: "#ffc39b",
    BEFORE: "#6c7d8d",
    BEFORE_LINE: "#93a3b2",
    AFTER: "#6db3ea",
}
"""The dark colour for each light one."""

FONT_SIZE = 12
"""The size of all texts in a chart, in CSS pixels."""

MEASURED_SIZE = 14
"""The size for which the renderer makes room for texts. It measures them in its own font; the font
of a page may be wider by this much."""

CONFIG: Mapping[str, Any] = {
    "background": None,
    "font": "sans-serif",
    "padding": {"left": 2, "right": 8, "top": 4, "bottom": 2},
    "view": {"stroke": None},
    "aria": True,
    "axis": {
        "labelColor": MUTED,
        "labelFontSize": MEASURED_SIZE,
        "titleColor": MUTED,
        "titleFontSize": MEASURED_SIZE,
        "titleFontWeight": "normal",
        "domainColor": LINE,
        "tickColor": LINE,
        "gridColor": GRID,
        "labelPadding": 6,
        "labelSeparation": 6,
    },
    "axisY": {"domain": False, "ticks": False},
    "legend": {
        "orient": "top",
        "direction": "horizontal",
        "title": None,
        "labelColor": INK,
        "labelFontSize": MEASURED_SIZE,
        "labelLimit": 300,
        "symbolType": "square",
        "symbolSize": 120,
        "symbolStrokeWidth": 1,
        "columnPadding": 16,
        "rowPadding": 4,
        "offset": 12,
    },
    "text": {"color": INK, "fontSize": MEASURED_SIZE},
    "scale": {"bandPaddingInner": 0.2},
}
"""The configuration that all specifications have in common."""

Size = Literal["wide", "narrow"]

WIDTHS: Mapping[Size, int] = {"wide": 720, "narrow": 328}
"""The width of a chart in CSS pixels, including axes. A narrow one is for windows from 360 px."""

MAX_TEXT = 60
"""Characters of a sender's text that are shown in a chart; the table has the whole text."""

Specification = Mapping[str, Any]
"""A specification of Vega-Lite 6."""

_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 600, 120_000)
"""Months between two ticks."""

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"


def dark_rules(scope: str) -> str:
    """The CSS rules that make charts dark inside `scope` (a selector such as ``svg.chart``). The
    caller puts them into a media query, or below a selector for a chosen theme."""
    return "\n".join(
        f'{scope} [{attribute}="{light}"]{{{attribute}:{dark}}}'
        for light, dark in DARK.items()
        for attribute in ("fill", "stroke")
    )


@dataclass(frozen=True, slots=True)
class Table:
    """The data of a chart: `headers`, and `rows` with one cell for each. Cells of the columns in
    `numbers` (by index) are numbers, which are aligned to the right."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart in one language: its `title`, a `summary` of one or two sentences for readers who
    cannot see it, a specification for each size, and the table of its data."""

    name: str
    title: str
    summary: str
    specifications: Mapping[Size, Specification]
    table: Table


def shown(text: str, limit: int = MAX_TEXT) -> str:
    """A sender's text as shown in a chart."""
    safe = escaped(text)
    return safe if len(safe) <= limit else f"{safe[: limit - 1]}…"


def escaped_name(text: str) -> str:
    """A sender's name as shown in a table: not shortened."""
    return shown(text, 1 << 16)


def specification(
    size: Size, height: int, layers: Sequence[Mapping[str, Any]], **more: Any
) -> Specification:
    """Layers as a specification for a size; `height` is the height of the plot in CSS pixels."""
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
    """The beginning of a day for a scale in UTC; charts have whole days of the report's time
    zone."""
    return f"{day.isoformat()}T00:00:00Z"


def week_label(language: Language, monday: date) -> str:
    """A week, named by its first day."""
    return language.say("week of %(day)s", day=language.day(monday))


def day_axis(size: Size, first: date, last: date) -> Mapping[str, Any]:
    """The axis of the days from `first` to `last`: a tick each week, month or quarter, depending on
    the space."""
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


def names_axis(names: list[str], limit: int, inner: float, outer: float) -> dict[str, Any]:
    """The encoding of rows with names of networks; labels have at most `limit` pixels."""
    return {
        "field": "network",
        "type": "nominal",
        "sort": names,
        "axis": {"title": None, "labelLimit": limit, "labelColor": INK},
        "scale": {"paddingInner": inner, "paddingOuter": outer},
    }


def matched(field: str, domain: list[str], values: list[str]) -> dict[str, Any]:
    """The encoding of `field` that maps the texts in `domain` to `values`."""
    scale = {"domain": domain, "range": values}
    return {"field": field, "type": "nominal", "sort": None, "scale": scale}


def count_axis(largest: float, title: str) -> Mapping[str, Any]:
    """The axis of counts up to `largest`, with ticks at whole numbers."""
    axis: dict[str, Any] = {"title": title, "format": ",d", "tickCount": 4}
    if largest <= 4:
        axis["values"] = list(range(int(largest) + 1))
    return axis
