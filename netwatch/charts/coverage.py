"""The picture of coverage: of which share of the flows of each network the name was read, and why
not of the others.

The twelve reasons are drawn as five groups, because no reader tells twelve colours apart; the table
has each reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netwatch.charts import picture
from netwatch.charts.picture import Picture, Size, Table, data, shown, specification
from netwatch.language.language import Language

GROUPS: Mapping[str, tuple[str, ...]] = {
    "hidden": ("ech", "encrypted-dns"),
    "tunnel": ("vpn", "relay", "tor"),
    "no-name": ("no-sni", "no-hello", "flow-record"),
    "cut": ("truncated", "hello-incomplete", "begun-before-capture", "one-direction"),
    "empty": ("no-data",),
}
"""The reasons why a name was not read (`netwatch.coverage.visibility`), by group."""

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
    drawn = sorted(values, key=lambda each: -each.flows)[:MAX_NETWORKS]
    words = group_words(language)
    names = [shown(each.network, 24) for each in drawn]
    y = {
        "field": "network",
        "type": "nominal",
        "sort": names,
        "axis": {
            "title": None,
            "labelLimit": 150 if size == "wide" else 84,
            "labelColor": picture.INK,
        },
        "scale": {"paddingInner": 0.4, "paddingOuter": 0.2},
    }
    used = [key for key, _, _ in _COLOURS if any(_grouped(each)[key] for each in drawn)]
    colours = [each for each in _COLOURS if each[0] in used]
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
                "field": "group",
                "type": "nominal",
                "sort": None,
                "scale": {"domain": domain, "range": [fill for _, fill, _ in colours]},
                "legend": {"columns": 3 if size == "wide" else 1},
            },
            "stroke": {
                "field": "group",
                "type": "nominal",
                "sort": None,
                "scale": {"domain": domain, "range": [line for _, _, line in colours]},
            },
            "description": {"field": "text"},
        },
    }
    labels = {
        "data": data(
            [
                {
                    "network": shown(each.network, 24),
                    "label": _share(each.named, each.flows, language),
                    "text": f"{shown(each.network)}: {words['named']}"
                    f" {_share(each.named, each.flows, language)}",
                }
                for each in drawn
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
    for each in values:
        low = 0
        for group, count in _grouped(each).items():
            if count:
                share = _share(count, each.flows, language)
                rows.append(
                    {
                        "network": shown(each.network, 24),
                        "low": low / each.flows,
                        "high": (low + count) / each.flows,
                        "group": words[group],
                        "text": f"{shown(each.network)}: {words[group]}"
                        f" {language.number(count)} ({share})",
                    }
                )
            low += count
    return rows


def _share(part: int, whole: int, language: Language) -> str:
    """A share in percent."""
    return language.share(part / whole) if whole else "-"


def _summary(values: Sequence[NetworkCoverage], language: Language) -> str:
    flows, named = sum(each.flows for each in values), sum(each.named for each in values)
    empty = sum(each.unnamed.get("no-data", 0) for each in values)
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
    for each in values:
        reasons = sorted(each.unnamed.items(), key=lambda item: (-item[1], item[0]))
        why = "; ".join(
            f"{words.get(reason, escaped_name(reason))} {language.number(count)}"
            for reason, count in reasons
            if count
        )
        rows.append(
            (
                escaped_name(each.network),
                language.number(each.flows),
                language.number(each.named),
                _share(each.named, each.flows, language),
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


def escaped_name(text: str) -> str:
    """A name of a sender as it stands in a table: whole."""
    return shown(text, 1 << 16)
