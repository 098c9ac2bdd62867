"""The chart of incidents in two periods, by network, with the uncertainty that blind spots leave.

A point is the number that was seen. The bar to its right ends at the number that would have been
seen if the flows without a name had been like those with one: incidents divided by the share of
flows with a name. This is not a confidence interval, and there is no bar if nothing is known about
the coverage. What was not captured is hatched.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from netwatch.charts import picture
from netwatch.charts.picture import (
    Picture,
    Size,
    Table,
    count_axis,
    data,
    escaped_name,
    matched,
    names_axis,
    shown,
    specification,
)
from netwatch.language.language import Language

MAX_CHANGES = 20
"""Networks that are drawn, those with most incidents first; the table lists all."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The incidents of a network in a period, None if nothing was captured; and the share (0 to 1)
    of its flows whose name was read, None if no flow is known."""

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

    @property
    def incidents(self) -> int:
        """The incidents of both periods."""
        return (self.before.incidents or 0) + (self.after.incidents or 0)


def before_after(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language
) -> Picture:
    """The chart of the two periods called `names`."""
    ranked = sorted(values, key=lambda change: (-change.incidents, change.network))
    return Picture(
        name="change",
        title=language.say("Before and after, by network"),
        summary=_summary(ranked, names, language),
        specifications={
            size: _specification(ranked[:MAX_CHANGES], names, language, size)
            for size in ("wide", "narrow")
        },
        table=_table(ranked, names, language),
    )


def _specification(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language, size: Size
) -> Any:
    rows = _rows(values, names, language)
    largest = max([1.0, *(row["high"] for row in rows)])
    networks = [shown(change.network, 24) for change in values]
    labels = [shown(name) for name in names]
    y = names_axis(networks, 150 if size == "wide" else 90, 0.25, 0.1)
    x = {
        "field": "low",
        "type": "quantitative",
        "axis": count_axis(largest, language.say("Incidents")),
        "scale": {"domain": [0, largest], "nice": largest > 4},
    }
    offset = {"field": "period", "type": "nominal", "sort": labels, "scale": {"domain": labels}}
    place = {"y": y, "yOffset": offset, "x": x}

    def by_period(values: list[str]) -> dict[str, Any]:
        legend = {"columns": 2 if size == "wide" else 1}
        return {**matched("period", labels, values), "legend": legend}

    look = {
        "fill": by_period([picture.BEFORE, picture.AFTER]),
        "stroke": by_period([picture.BEFORE_LINE, picture.AFTER]),
        "description": {"field": "text"},
    }
    span = {
        "data": data([row for row in rows if row["high"] > row["low"]]),
        "mark": {"type": "rect", "height": 6, "fillOpacity": 0.35, "strokeWidth": 1},
        "encoding": {**place, "x2": {"field": "high"}, **look},
    }
    blank = {
        "data": data(_not_captured(values, names, largest, language)),
        "mark": {"type": "rect", "fill": picture.HATCH},
        "encoding": {**place, "x2": {"field": "high"}, "description": {"field": "text"}},
    }
    points = {
        "data": data(rows),
        "mark": {"type": "point", "size": 90, "strokeWidth": 2, "opacity": 1},
        "encoding": {**place, **look, "shape": by_period(["circle", "diamond"])},
    }
    return specification(size, max(1, len(values)) * 46, [span, points, blank])


def _rows(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language
) -> list[dict[str, Any]]:
    return [
        {
            "network": shown(change.network, 24),
            "period": shown(name),
            "low": seen.incidents,
            "high": seen.incidents if seen.at_most is None else seen.at_most,
            "text": f"{shown(change.network)}, {shown(name)}: {_words(seen, language)}",
        }
        for change in values
        for name, seen in zip(names, (change.before, change.after), strict=True)
        if seen.incidents is not None
    ]


def _not_captured(
    values: Sequence[NetworkChange], names: tuple[str, str], largest: float, language: Language
) -> list[dict[str, Any]]:
    nothing = language.say("not captured")
    return [
        {
            "network": shown(change.network, 24),
            "period": shown(name),
            "low": 0,
            "high": largest,
            "text": f"{shown(change.network)}, {shown(name)}: {nothing}",
        }
        for change in values
        for name, seen in zip(names, (change.before, change.after), strict=True)
        if seen.incidents is None
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
    sentences = [
        language.say(
            "Incidents. %(before)s: %(first)s; %(after)s: %(second)s.",
            before=shown(names[0]),
            after=shown(names[1]),
            first=_number(_together(change.before for change in values), language),
            second=_number(_together(change.after for change in values), language),
        )
    ]
    both = [each for each in values if None not in (each.before.incidents, each.after.incidents)]
    if len(both) < len(values):
        sentences.append(language.say("What was not captured is hatched, and is not compared."))
    if both:
        sentences += [
            _comparison(
                _together(each.before for each in both),
                _together(each.after for each in both),
                language,
            ),
            language.say(
                "The bar to the right of a point ends at the number that would result if unreadable"
                " flows were like the others."
            ),
        ]
    return " ".join(sentences)


def _together(networks: Iterable[Seen]) -> Seen:
    """What was seen in all networks; the share is the one that leaves the sum of what each might
    have had, None if it is not known of any network with incidents."""
    known = [each for each in networks if each.incidents is not None]
    if not known:
        return Seen(None, None)
    total = sum(each.incidents or 0 for each in known)
    most = [each.at_most for each in known]
    if None in most or not sum(each or 0 for each in most):
        return Seen(total, None if None in most else 1.0)
    return Seen(total, total / sum(each or 0 for each in most))


def _number(seen: Seen, language: Language) -> str:
    if seen.incidents is None:
        return language.say("not captured")
    return language.number(seen.incidents)


def _comparison(before: Seen, after: Seen, language: Language) -> str:
    """Whether there are more or fewer, and whether blind spots may be the reason."""
    assert before.incidents is not None
    assert after.incidents is not None
    if before.at_most is None or after.at_most is None:
        return language.say("How much could be read is not known: the difference says little.")
    if after.at_most < before.incidents:
        return language.say("Those are fewer, even if unreadable flows were like the others.")
    if after.incidents > before.at_most:
        return language.say("Those are more, even if unreadable flows were like the others.")
    if after.incidents == before.incidents:
        return language.say("Those are as many as before.")
    return language.say("The difference may be due to what could not be read.")


def _table(values: Sequence[NetworkChange], names: tuple[str, str], language: Language) -> Table:
    rows = []
    for change in values:
        cells = [escaped_name(change.network)]
        for seen in (change.before, change.after):
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
