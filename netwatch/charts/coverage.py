"""The chart of coverage by network: the share of flows whose name was read, with the reasons for
the others.

The reasons are drawn as five groups, because no reader can distinguish so many colours; the table
lists each reason. Networks without any flow are hatched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netwatch.charts import picture
from netwatch.charts.picture import (
    Picture,
    Size,
    Table,
    data,
    escaped_name,
    matched,
    names_axis,
    shown,
    specification,
)
from netwatch.language.language import Language

GROUPS: Mapping[str, tuple[str, ...]] = {
    "hidden": ("ech", "encrypted-dns"),
    "tunnel": ("vpn", "relay", "tor"),
    "no-name": ("no-sni", "no-hello", "flow-record", "one-of-k", "vendor-network"),
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
"""Networks that are drawn, those with most flows first; the table lists all."""


@dataclass(frozen=True, slots=True)
class NetworkCoverage:
    """The flows of a network: all, those whose name was read, and the others by reason. They add up
    to `flows`."""

    network: str
    flows: int
    named: int
    unnamed: Mapping[str, int]


def coverage_picture(values: Sequence[NetworkCoverage], language: Language) -> Picture:
    """The chart of the coverage of networks."""
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
    """The words for the groups of reasons, and for flows with a name."""
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
        "vendor-network": language.say("flow record, to a network of a banned app's vendor"),
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


def _specification(values: Sequence[NetworkCoverage], language: Language, size: Size) -> Any:
    drawn = sorted(values, key=lambda network: -network.flows)[:MAX_NETWORKS]
    words = group_words(language)
    names = [shown(network.network, 24) for network in drawn]
    y = names_axis(names, 150 if size == "wide" else 84, 0.4, 0.2)
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
                **matched("group", domain, [fill for _, fill, _ in colours]),
                "legend": {"columns": 3 if size == "wide" else 1},
            },
            "stroke": matched("group", domain, [line for _, _, line in colours]),
            "description": {"field": "text"},
        },
    }
    nothing = [each for each in drawn if not each.flows]
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
    layers = [_blank(nothing, bars["encoding"], language), bars, labels]
    return specification(size, max(1, len(drawn)) * 34, layers)


def _blank(
    networks: Sequence[NetworkCoverage], encoding: Mapping[str, Any], language: Language
) -> dict[str, Any]:
    """The hatched networks without any flow."""
    none = language.say("no flow was captured")
    rows = [
        {"network": shown(each.network, 24), "low": 0, "high": 1,
         "text": f"{shown(each.network)}: {none}"}
        for each in networks
    ]  # fmt: skip
    return {
        "data": data(rows),
        "mark": {"type": "rect", "fill": picture.HATCH},
        "encoding": {name: encoding[name] for name in ("x", "x2", "y", "description")},
    }


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
    text = language.say(
        "Across all networks, the name could be read in %(named)s of %(flows)s flows (%(share)s);"
        " %(content)s carried content.",
        flows=language.number(flows),
        content=language.number(flows - empty),
        named=language.number(named),
        share=_share(named, flows, language),
    )
    seen = [each for each in values if each.flows]
    least = min(seen, key=lambda each: each.named / each.flows, default=None)
    if least is not None and len(seen) > 1 and least.named < least.flows:
        text += " " + language.say(
            "The share was lowest in %(network)s (%(share)s).",
            network=shown(least.network),
            share=_share(least.named, least.flows, language),
        )
    if nothing := len(values) - len(seen):
        text += " " + language.say_count(
            "In %(count)s network no flow was captured; it is hatched.",
            "In %(count)s networks no flow was captured; they are hatched.",
            nothing,
        )
    return text


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
