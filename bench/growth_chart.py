"""The pictures of growth: CPU seconds and peak memory by size, a small chart for each quantity.

Both axes are logarithmic, so that a straight line is a power of the size. The exponent of the fit
is in the heading of each chart.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared import ROOT

from netwatch.charts.picture import AFTER, GRID, INK, SURFACE, Picture, Table, data, specification
from netwatch.charts.render import Renderer
from netwatch.language.language import language

FOLDER = ROOT / "docs" / "assets" / "growth"
COLUMNS = 4
SIDE = 120
"""Width and height of the plot of a small chart, in CSS pixels."""

CPU_TITLE = "CPU seconds of a whole process by size"
MEMORY_TITLE = "Peak memory in MB by size"


def write(curves: Sequence[Mapping[str, Any]], folder: Path = FOLDER) -> list[Path]:
    """Write both pictures, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with Renderer() as renderer:
        for picture in (cpu_picture(curves), memory_picture(curves)):
            path = folder / f"{picture.name}.svg"
            svg = renderer.svg(picture, "wide", language("en"))
            path.write_text(f"{svg.strip()}\n", encoding="utf-8")
            paths.append(path)
    return paths


def cpu_picture(curves: Sequence[Mapping[str, Any]]) -> Picture:
    """The CPU seconds of each curve, with the exponent of its fit."""
    rows = _rows(curves, lambda point: point["cpu"], lambda curve: f"n^{curve['exponent']:.2f}")
    return _picture("cpu", CPU_TITLE, rows, [0.05, 100])


def memory_picture(curves: Sequence[Mapping[str, Any]]) -> Picture:
    """The peak memory of each curve."""
    rows = _rows(curves, lambda point: point["rss"] / 1e6)
    return _picture("memory", MEMORY_TITLE, rows, [10, 1000])


def _rows(curves: Any, value: Any, more: Any = lambda curve: "") -> list[dict[str, Any]]:
    return [
        {"curve": f"{curve['what']} {more(curve)}".strip(), "x": point["size"], "y": value(point)}
        for curve in curves
        for point in curve["points"]
    ]


def _picture(name: str, title: str, rows: list[dict[str, Any]], domain: list[float]) -> Picture:
    names = list(dict.fromkeys(row["curve"] for row in rows))
    axis = {"gridColor": GRID, "title": None, "format": "~g"}
    encoding = {
        "x": {
            "field": "x", "type": "quantitative", "scale": {"type": "log"},
            "axis": axis | {"values": [10**decade for decade in (1, 3, 5, 7)], "format": "~s"},
        },
        "y": {
            "field": "y", "type": "quantitative", "scale": {"type": "log", "domain": domain},
            "axis": axis | {"values": [0.1, 1, 10, 100, 1000]},
        },
    }  # fmt: skip
    mark = {"type": "line", "color": AFTER, "point": {"color": AFTER, "size": 30}}
    whole = dict(specification("wide", SIDE, []))
    whole = {key: whole[key] for key in ("$schema", "config")}
    whole |= {
        "background": SURFACE,
        "data": data(rows),
        "facet": {
            "field": "curve", "type": "nominal", "sort": names, "title": None,
            "header": {"labelColor": INK, "labelFontSize": 12},
        },
        "columns": COLUMNS,
        "spacing": 18,
        "spec": {"width": SIDE, "height": SIDE, "mark": mark, "encoding": encoding},
        "resolve": {"scale": {"x": "independent"}},
    }  # fmt: skip
    cells = tuple((row["curve"], f"{row['x']:,}", f"{row['y']:.2f}") for row in rows)
    table = Table(("curve", "size", "value"), cells, frozenset({1, 2}))
    summary = "; ".join(f"{row['curve']}, {row['x']:,}: {row['y']:.2f}" for row in _last(rows))
    return Picture(name, title, summary, {"wide": whole}, table)


def _last(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The largest step of each curve."""
    return list({row["curve"]: row for row in rows}.values())
