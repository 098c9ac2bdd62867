"""The picture of two periods by network, with the uncertainty that blind spots leave.

A point is what was seen. The bar to its right ends where the number would be if the flows without a
name had been like those with one: incidents divided by the share of flows with a name. That is no
confidence interval, and where nothing is known about the coverage there is no bar.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netwatch.charts import picture
from netwatch.charts.coverage import escaped_name
from netwatch.charts.picture import Picture, Size, Table, count_axis, data, shown, specification
from netwatch.language.language import Language

MAX_NETWORKS = 20
"""Networks that are drawn, those with most incidents first; the table has all."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Incidents of a network in a period, and the share (0 to 1) of its flows whose name was read;
    None where no flow is known. The incidents are None where nothing was captured."""

    incidents: int | None
    named_share: float | None

    @property
    def at_most(self) -> float | None:
        """How many incidents there would be if all flows had been like those with a name."""
        if not self.named_share or self.incidents is None:
            return None
        return self.incidents / self.named_share


@dataclass(frozen=True, slots=True)
class NetworkChange:
    """A network in the two periods."""

    network: str
    before: Seen
    after: Seen


def before_after(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language
) -> Picture:
    """The picture of the two periods called `names`."""
    ranked = sorted(values, key=lambda each: (-_total(each), each.network))
    return Picture(
        name="change",
        title=language.say("Before and after, by network"),
        summary=_summary(ranked, names, language),
        specifications={
            size: _specification(ranked[:MAX_NETWORKS], names, language, size)
            for size in ("wide", "narrow")
        },
        table=_table(ranked, names, language),
    )


def _total(value: NetworkChange) -> int:
    return (value.before.incidents or 0) + (value.after.incidents or 0)


def _specification(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language, size: Size
) -> Any:
    rows = _rows(values, names, language)
    largest = max([1.0, *(row["high"] for row in rows)])
    networks = [shown(each.network, 24) for each in values]
    labels = [shown(name) for name in names]
    y = {
        "field": "network",
        "type": "nominal",
        "sort": networks,
        "axis": {
            "title": None,
            "labelLimit": 150 if size == "wide" else 90,
            "labelColor": picture.INK,
        },
        "scale": {"paddingInner": 0.25, "paddingOuter": 0.1},
    }
    x = {
        "field": "low",
        "type": "quantitative",
        "axis": count_axis(largest, language.say("Incidents")),
        "scale": {"domain": [0, largest], "nice": largest > 4},
    }
    offset = {"field": "period", "type": "nominal", "sort": labels, "scale": {"domain": labels}}

    def by_period(values: list[str]) -> dict[str, Any]:
        return {
            "field": "period",
            "type": "nominal",
            "sort": None,
            "scale": {"domain": labels, "range": values},
            "legend": {"columns": 2 if size == "wide" else 1},
        }

    look = {
        "fill": by_period([picture.BEFORE, picture.AFTER]),
        "stroke": by_period([picture.BEFORE_LINE, picture.AFTER]),
        "description": {"field": "text"},
    }
    span = {
        "data": data([row for row in rows if row["high"] > row["low"]]),
        "mark": {"type": "rect", "height": 6, "fillOpacity": 0.35, "strokeWidth": 1},
        "encoding": {
            "y": y,
            "yOffset": offset,
            "x": x,
            "x2": {"field": "high"},
            **look,
        },
    }
    points = {
        "data": data(rows),
        "mark": {"type": "point", "size": 90, "strokeWidth": 2, "opacity": 1},
        "encoding": {
            "y": y,
            "yOffset": offset,
            "x": x,
            **look,
            "shape": by_period(["circle", "diamond"]),
        },
    }
    return specification(size, max(1, len(values)) * 46, [span, points])


def _rows(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language
) -> list[dict[str, Any]]:
    return [
        {
            "network": shown(each.network, 24),
            "period": shown(name),
            "low": seen.incidents,
            "high": seen.incidents if seen.at_most is None else seen.at_most,
            "text": f"{shown(each.network)}, {shown(name)}: {_words(seen, language)}",
        }
        for each in values
        for name, seen in zip(names, (each.before, each.after), strict=True)
        if seen.incidents is not None
    ]


def _words(seen: Seen, language: Language) -> str:
    assert seen.incidents is not None
    count = language.say_count("%(count)s incident", "%(count)s incidents", seen.incidents)
    if seen.at_most is None:
        return language.say("%(incidents)s; coverage not known", incidents=count)
    most = round(seen.at_most, 1)
    if most <= seen.incidents:
        return count
    return language.say(
        "%(incidents)s; with its blind spots up to %(most)s",
        incidents=count,
        most=language.number(most),
    )


def _summary(values: Sequence[NetworkChange], names: tuple[str, str], language: Language) -> str:
    totals = []
    for seen in ([each.before for each in values], [each.after for each in values]):
        known = [each.incidents for each in seen if each.incidents is not None]
        totals.append(language.number(sum(known)) if known else language.say("not captured"))
    return language.say(
        "Incidents. %(before)s: %(first)s; %(after)s: %(second)s. The bar to"
        " the right of a point ends at the number that would result if"
        " unreadable flows were like the others.",
        before=shown(names[0]),
        after=shown(names[1]),
        first=totals[0],
        second=totals[1],
    )


def _table(values: Sequence[NetworkChange], names: tuple[str, str], language: Language) -> Table:
    rows = []
    for each in values:
        cells = [escaped_name(each.network)]
        for seen in (each.before, each.after):
            most = seen.at_most
            if seen.incidents is None:
                cells += [language.say("not captured"), ""]
                continue
            cells.append(language.number(seen.incidents))
            cells.append(
                language.say("not known") if most is None else language.number(round(most, 1))
            )
        rows.append(tuple(cells))
    at_most = language.say("at most")
    headers = (
        language.say("Network"),
        shown(names[0]),
        f"{shown(names[0])}, {at_most}",
        shown(names[1]),
        f"{shown(names[1])}, {at_most}",
    )
    return Table(headers, tuple(rows), frozenset({1, 2, 3, 4}))
