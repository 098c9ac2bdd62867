"""Colours of pictures, and the style sheet that makes them dark.

A rendered picture has the light colours as presentation attributes, so it is right without any
style sheet. Each colour of `LIGHT` is used for one purpose and differs from all others, so a rule
``[fill="#9c3d0e"]`` finds what has that purpose: the dark theme is such rules, and needs neither a
second rendering nor a class or style in the picture.

Colours can be distinguished without colour vision and in black and white print: those side by side
differ in lightness, pale ones have an outline, and the order of a legend is that of the marks. Text
has a contrast of at least 4.5, outlines and marks of at least 3 against the background (WCAG 2.2).
"""

from collections.abc import Mapping
from typing import Any

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
"""The dark colour in place of each light one."""

FONT_SIZE = 12
"""CSS pixels of all texts in a picture."""

MEASURED_SIZE = 14
"""The size with which the renderer makes room for texts. It measures them in its own font, and the
font of a page may be as much wider."""

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
"""What all specifications have in common."""


def dark_rules(scope: str) -> str:
    """The rules of CSS that make pictures dark inside `scope` (a selector such as ``svg.chart``).
    The caller puts them into a media query, or below a selector for a theme that was chosen."""
    return "\n".join(
        f'{scope} [{attribute}="{light}"]{{{attribute}:{dark}}}'
        for light, dark in DARK.items()
        for attribute in ("fill", "stroke")
    )
