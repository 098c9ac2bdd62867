"""The pictures by network: of which share of the flows the name was read, and why not of the
others; and of incidents in two periods, with the uncertainty that blind spots leave.

The twelve reasons are drawn as five groups, because no reader tells twelve colours apart; the table
has each reason.

In the picture of two periods a point is what was seen. The bar to its right ends where the number
would be if the flows without a name had been like those with one: incidents divided by the share of
flows with a name. That is no confidence interval, and where nothing is known about the coverage
there is no bar.
"""

from collections.abc import Mapping, Sequence
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
    shown,
    specification,
)
from netwatch.language.language import Language

GROUPS: Mapping[str, tuple[str, ...]] = {
    "hidden": ("ech", "encrypted-dns"),
    "tunnel": ("vpn", "relay", "tor"),
    "no-name": ("no-sni", "no-hello", "flow-record", "one-of-k"),
    "cut": ("truncated", "hello-incomplete", "begun-before-capture", "one-direction"),
    "empty": ("no-data",),
}
"""The reasons why a name was not read (`netwatch.coverage.flow_visibility`), by group."""

_COLOURS = (
    ("named", picture.NAMED, picture.NAMED_LINE),
    ("hidden", picture.HIDDEN, picture.HIDDEN),
    ("tunnel", picture.TUNNEL, picture.TUNNEL_LINE),
    ("no-name", picture.NO_NAME, picture.NO_NAME),
    ("cut", picture.CUT, picture.CUT_LINE),
    ("empty", picture.EMPTY, picture.EMPTY_LINE),
)
MAX_NETWORKS = 24
"""Networks that are drawn, those with most flows first; the table has all."""

MAX_CHANGES = 20
"""Networks that are drawn, those with most incidents first; the table has all."""


@dataclass(frozen=True, slots=True)
class NetworkCoverage:
    """The flows of a network: how many there are, of how many the name was read, and the others by
    reason. They add up to `flows`."""

    network: str
    flows: int
    named: int
    unnamed: Mapping[str, int]


def coverage_picture(values: Sequence[NetworkCoverage], language: Language) -> Picture:
    """The picture of the coverage of networks."""
    return Picture(
        name="coverage",
        title=language.say("What could be read, by network"),
        summary=_summary(values, language),
        specifications={
            size: _specification(values, language, size) for size in ("wide", "narrow")
        },
        table=_table(values, language),
    )


def group_words(language: Language) -> dict[str, str]:
    """The words for groups of reasons, and for flows with a name."""
    return {
        "named": language.say("Name read"),
        "hidden": language.say("Name encrypted"),
        "tunnel": language.say("VPN, relay or Tor"),
        "no-name": language.say("No name sent"),
        "cut": language.say("Capture incomplete"),
        "empty": language.say("No content"),
    }


def reason_words(language: Language) -> dict[str, str]:
    """The words for the reasons why a name was not read."""
    return {
        "ech": language.say("Encrypted Client Hello"),
        "encrypted-dns": language.say("encrypted DNS"),
        "vpn": language.say("VPN"),
        "relay": language.say("relay service"),
        "tor": language.say("Tor"),
        "no-sni": language.say("handshake without a name"),
        "no-hello": language.say("protocol without a name"),
        "flow-record": language.say("flow record, which has no name"),
        "one-of-k": language.say("flow record, which may be of a banned app"),
        "truncated": language.say("packets cut short"),
        "hello-incomplete": language.say("handshake incomplete"),
        "begun-before-capture": language.say("begun before the capture"),
        "one-direction": language.say("one direction only"),
        "no-data": language.say("connection without content"),
    }


def _grouped(network: NetworkCoverage) -> dict[str, int]:
    counts = {"named": network.named}
    for group, reasons in GROUPS.items():
        counts[group] = sum(network.unnamed.get(reason, 0) for reason in reasons)
    return counts


def _axis_of(networks: list[str], limit: int, inner: float, outer: float) -> dict[str, Any]:
    """The axis of networks, with labels of at most `limit` pixels."""
    return {
        "field": "network",
        "type": "nominal",
        "sort": networks,
        "axis": {"title": None, "labelLimit": limit, "labelColor": picture.INK},
        "scale": {"paddingInner": inner, "paddingOuter": outer},
    }


def _look(field: str, domain: list[str], values: list[str]) -> dict[str, Any]:
    """What the values of a field look like."""
    scale = {"domain": domain, "range": values}
    return {"field": field, "type": "nominal", "sort": None, "scale": scale}


def _specification(values: Sequence[NetworkCoverage], language: Language, size: Size) -> Any:
    drawn = sorted(values, key=lambda network: -network.flows)[:MAX_NETWORKS]
    words = group_words(language)
    names = [shown(network.network, 24) for network in drawn]
    y = _axis_of(names, 150 if size == "wide" else 84, 0.4, 0.2)
    used = [key for key, _, _ in _COLOURS if any(_grouped(network)[key] for network in drawn)]
    colours = [colour for colour in _COLOURS if colour[0] in used]
    domain = [words[key] for key, _, _ in colours]
    bars = {
        "data": data(_bars(drawn, language)),
        "mark": {"type": "rect", "strokeWidth": 1},
        "encoding": {
            "y": y,
            "x": {
                "field": "low",
                "type": "quantitative",
                "axis": {
                    "title": language.say("Share of flows"),
                    "format": ".0%",
                    "values": [0, 0.25, 0.5, 0.75, 1],
                },
                "scale": {"domain": [0, 1]},
            },
            "x2": {"field": "high"},
            "fill": {
                **_look("group", domain, [fill for _, fill, _ in colours]),
                "legend": {"columns": 3 if size == "wide" else 1},
            },
            "stroke": _look("group", domain, [line for _, _, line in colours]),
            "description": {"field": "text"},
        },
    }
    labels = {
        "data": data(
            [
                {
                    "network": shown(network.network, 24),
                    "label": _share(network.named, network.flows, language),
                    "text": f"{shown(network.network)}: {words['named']}"
                    f" {_share(network.named, network.flows, language)}",
                }
                for network in drawn
            ]
        ),
        "mark": {"type": "text", "align": "left", "x": "width", "dx": 8, "fill": picture.INK},
        "encoding": {
            "y": y,
            "text": {"field": "label"},
            "description": {"field": "text"},
        },
    }
    return specification(size, max(1, len(drawn)) * 34, [bars, labels])


def _bars(values: Sequence[NetworkCoverage], language: Language) -> list[dict[str, Any]]:
    words = group_words(language)
    rows = []
    for network in values:
        low = 0
        for group, count in _grouped(network).items():
            if count:
                share = _share(count, network.flows, language)
                rows.append(
                    {
                        "network": shown(network.network, 24),
                        "low": low / network.flows,
                        "high": (low + count) / network.flows,
                        "group": words[group],
                        "text": f"{shown(network.network)}: {words[group]}"
                        f" {language.number(count)} ({share})",
                    }
                )
            low += count
    return rows


def _share(part: int, whole: int, language: Language) -> str:
    """A share in percent."""
    return language.share(part / whole) if whole else "-"


def _summary(values: Sequence[NetworkCoverage], language: Language) -> str:
    flows, named = sum(one.flows for one in values), sum(one.named for one in values)
    empty = sum(network.unnamed.get("no-data", 0) for network in values)
    return language.say(
        "Of all %(flows)s flows of all networks, %(content)s with content, the name was read of"
        " %(named)s (%(share)s).",
        flows=language.number(flows),
        content=language.number(flows - empty),
        named=language.number(named),
        share=_share(named, flows, language),
    )


def _table(values: Sequence[NetworkCoverage], language: Language) -> Table:
    words = reason_words(language)
    rows = []
    for network in values:
        reasons = sorted(network.unnamed.items(), key=lambda item: (-item[1], item[0]))
        why = "; ".join(
            f"{words.get(reason, escaped_name(reason))} {language.number(count)}"
            for reason, count in reasons
            if count
        )
        rows.append(
            (
                escaped_name(network.network),
                language.number(network.flows),
                language.number(network.named),
                _share(network.named, network.flows, language),
                why,
            )
        )
    headers = (
        language.say("Network"),
        language.say("Flows"),
        language.say("Name read"),
        language.say("Share"),
        language.say("Not read, by reason"),
    )
    return Table(headers, tuple(rows), frozenset({1, 2, 3}))


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

    @property
    def incidents(self) -> int:
        """Those of both."""
        return (self.before.incidents or 0) + (self.after.incidents or 0)


def before_after(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language
) -> Picture:
    """The picture of the two periods called `names`."""
    ranked = sorted(values, key=lambda change: (-change.incidents, change.network))
    return Picture(
        name="change",
        title=language.say("Before and after, by network"),
        summary=_change_summary(ranked, names, language),
        specifications={
            size: _change_specification(ranked[:MAX_CHANGES], names, language, size)
            for size in ("wide", "narrow")
        },
        table=_change_table(ranked, names, language),
    )


def _change_specification(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language, size: Size
) -> Any:
    rows = _rows(values, names, language)
    largest = max([1.0, *(row["high"] for row in rows)])
    networks = [shown(change.network, 24) for change in values]
    labels = [shown(name) for name in names]
    y = _axis_of(networks, 150 if size == "wide" else 90, 0.25, 0.1)
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
        return {**_look("period", labels, values), "legend": legend}

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
    points = {
        "data": data(rows),
        "mark": {"type": "point", "size": 90, "strokeWidth": 2, "opacity": 1},
        "encoding": {**place, **look, "shape": by_period(["circle", "diamond"])},
    }
    return specification(size, max(1, len(values)) * 46, [span, points])


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


def _change_summary(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language
) -> str:
    totals = []
    for seen in ([change.before for change in values], [change.after for change in values]):
        known = [period.incidents for period in seen if period.incidents is not None]
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


def _change_table(
    values: Sequence[NetworkChange], names: tuple[str, str], language: Language
) -> Table:
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
