"""The report of blind spots, as a record for machines and as rows for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from netwatch.coverage.counts import SCHEMA, Report, Share

COLUMNS = ("network", "device", "flows", "named", "share", "not named, by reason")
"""What `rows` gives of each network and device."""

TOP = 10
"""Devices told of a network, those with most flows without a name, unless all are."""


def record(report: Report) -> dict[str, Any]:
    """A report as a mapping. Readings that were not met are left out of ``unnamed``."""
    return {
        "schema": SCHEMA,
        **_share(report.total),
        "packets": {
            "seen": report.packets,
            "cut": report.cut,
            "dropped": report.dropped,
            "unreadable": dict(report.unreadable),
        },
        "networks": [
            {
                "name": network.name,
                "class": network.device_class,
                **_share(network.total),
                "devices": [{"id": device, **_share(share)} for device, share in network.devices],
                "rest": _share(network.rest),
            }
            for network in report.networks
        ],
        "outside": _share(report.outside),
    }


def _share(share: Share) -> dict[str, Any]:
    return {"flows": share.flows, "named": share.named, "unnamed": dict(share.unnamed)}


def rows(report: Report, everything: bool) -> Iterator[tuple[str, ...]]:
    """The cells of a table in the order of `COLUMNS`: each network with its devices, most
    flows without a name first, then what is outside. Only the first `TOP` of a network are
    told by themselves, and of these only who has such flows, unless `everything` is."""
    for network in report.networks:
        word = "over" if network.rest.flows else "all"
        counted = f"{word} {len(network.devices):,}"
        yield (network.name, counted, *_cells([network.total]))
        ranked = sorted(network.devices, key=_blindest)
        told = ranked if everything else [each for each in ranked[:TOP] if each[1].unnamed]
        for device, share in told:
            yield ("", device, *_cells([share]))
        more = [share for _, share in ranked[len(told) :]]
        if told and more:
            yield ("", f"{len(more):,} more", *_cells(more))
        if network.rest.flows:
            yield ("", "beyond the limit", *_cells([network.rest]))
    if report.outside.flows:
        yield ("outside", "", *_cells([report.outside]))


def _blindest(row: tuple[str, Share]) -> tuple[int, int, str]:
    device, share = row
    return share.named - share.flows, -share.flows, device


def _cells(shares: Sequence[Share]) -> tuple[str, ...]:
    total = Share.sum(shares)
    return f"{total.flows:,}", f"{total.named:,}", f"{total.percent} %", reasons(total)


def reasons(share: Share) -> str:
    """The flows without a name by the reason, the most frequent first."""
    ranked = sorted(share.unnamed.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason} {count:,}" for reason, count in ranked)
