"""The report of blind spots, as a JSON record for programs and as table rows for people."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from netwatch.core.text import quantity
from netwatch.coverage.counts import SCHEMA, CoverageReport, FlowCounts, NetworkReport
from netwatch.coverage.flow_visibility import VISIBILITIES

COLUMNS = ("network", "device", "flows", "named", "share", "not named, by reason")
"""The columns of a row of `report_rows`."""

CSV_COLUMNS = ("network", "class", "device", "flows", "named", "unnamed")
"""The columns of a row of `csv_rows`."""

DEVICES_SHOWN = 10
"""Devices listed per network, those with most unnamed flows first, unless all are requested."""


def report_record(report: CoverageReport) -> dict[str, Any]:
    """The JSON record of a report. Reasons that did not occur are omitted from ``unnamed``."""
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
        "outside": {**_share(report.outside), "missed": dict(report.missed)},
        "without_verdict": dict(report.without_verdict),
        **({"one_of_k": _by_k(report.one_of)} if report.one_of else {}),
    }


def _by_k(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(names): flows for names, flows in counts.items()}


def _share(share: FlowCounts) -> dict[str, Any]:
    return {"flows": share.flows, "named": share.named, "unnamed": dict(share.unnamed)}


def read_report(record: Mapping[str, Any]) -> CoverageReport:
    """The report from which `report_record` made a record."""
    return CoverageReport(
        total=_read_share(record),
        networks=tuple(
            NetworkReport(
                network["name"],
                network["class"],
                _read_share(network),
                tuple((device["id"], _read_share(device)) for device in network["devices"]),
                _read_share(network["rest"]),
            )
            for network in record["networks"]
        ),
        outside=_read_share(record["outside"]),
        missed=record["outside"]["missed"],
        packets=record["packets"]["seen"],
        cut=record["packets"]["cut"],
        dropped=record["packets"]["dropped"],
        unreadable=record["packets"]["unreadable"],
        without_verdict=record["without_verdict"],
        one_of={int(names): flows for names, flows in record.get("one_of_k", {}).items()},
    )


def _read_share(record: Mapping[str, Any]) -> FlowCounts:
    counts = {"named": record["named"], **record["unnamed"]}
    return FlowCounts(
        {visibility: counts[visibility] for visibility in VISIBILITIES if counts.get(visibility)}
    )


def csv_rows(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str, int, int, str]]:
    """The rows of a record with `CSV_COLUMNS`: for each network, its devices, and the clients
    outside all networks. `unnamed` has the flows by reason: ``ech=3 no-sni=1``."""
    for network in record["networks"]:
        yield (network["name"], network["class"], "", *_counts(network))
        for device in network["devices"]:
            yield (network["name"], network["class"], device["id"], *_counts(device))
    yield ("", "", "", *_counts(record["outside"]))


def narrowed(
    record: Mapping[str, Any], networks: Collection[str], devices: Collection[str]
) -> dict[str, Any]:
    """A record with only the requested networks and devices (ids in lower case); all if none are
    requested. Its own counts are the sum of what is left, and none of the clients outside all
    networks are. What is known of the run alone stays: its packets, the contacts without a verdict
    and the flows of which each has one of several names."""
    if not (networks or devices):
        return {**record}
    shown, counted = [], []
    for network in record["networks"]:
        if networks and network["name"] not in networks:
            continue
        if devices:
            found = [each for each in network["devices"] if each["id"].lower() in devices]
            if not found:
                continue
            network = {**network, "devices": found}
            counted += found
        else:
            counted.append(network)
        shown.append(network)
    total = FlowCounts.sum(_read_share(each) for each in counted)
    outside = {**_share(FlowCounts({})), "missed": {}}
    return {**record, **_share(total), "networks": shown, "outside": outside}


def _counts(share: Mapping[str, Any]) -> tuple[int, int, str]:
    unnamed = " ".join(f"{reason}={count}" for reason, count in share["unnamed"].items())
    return share["flows"], share["named"], unnamed


def report_rows(report: CoverageReport, everything: bool) -> Iterator[tuple[str, ...]]:
    """The rows of a table with the columns `COLUMNS`: each network, followed by its devices with
    most unnamed flows first, then the clients outside all networks, the unreadable packets, which
    belong to no flow, and the contacts without a known device. Unless `everything` is set, at most
    `DEVICES_SHOWN` devices per network are listed, and only those with unnamed flows."""
    for network in report.networks:
        word = "over" if network.rest.flows else "all"
        yield (network.name, f"{word} {len(network.devices):,}", *_cells([network.total]))
        ranked = sorted(network.devices, key=_blindest)
        listed = ranked
        if not everything:
            listed = [row for row in ranked[:DEVICES_SHOWN] if row[1].unnamed]
        for device, share in listed:
            yield ("", device, *_cells([share]))
        more = [share for _, share in ranked[len(listed) :]]
        if listed and more:
            yield ("", f"{len(more):,} more", *_cells(more))
        if network.rest.flows:
            yield ("", "beyond the limit", *_cells([network.rest]))
    if report.outside.flows:
        yield ("outside", "", *_cells([report.outside]))
        for reason, flows in report.missed.items():
            yield ("", "by its tag", f"{flows:,}", "", "", reason)
    if report.unreadable:
        counts = Counter(report.unreadable)
        packets = f"{counts.total():,} of {report.packets:,} packets"
        why = ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
        yield ("unreadable", packets, "", "", "", why)
    for reason, contacts in report.without_verdict.items():
        yield ("no verdict", quantity(contacts, "contact"), "", "", "", reason)
    if report.one_of:
        yield ("one of k", "", f"{sum(report.one_of.values()):,}", "", "", k_words(report.one_of))


def k_words(counts: Mapping[int, int]) -> str:
    """Flows of which each has one of k names, by their k, in words: ``k 2: 10, k 5: 1``."""
    return ", ".join(f"k {names}: {flows:,}" for names, flows in sorted(counts.items()))


def _blindest(row: tuple[str, FlowCounts]) -> tuple[int, int, str]:
    device, share = row
    return share.named - share.flows, -share.flows, device


def _cells(shares: Sequence[FlowCounts]) -> tuple[str, ...]:
    total = FlowCounts.sum(shares)
    return f"{total.flows:,}", f"{total.named:,}", f"{total.percent} %", reasons(total)


def reasons(share: FlowCounts) -> str:
    """The numbers of unnamed flows by reason, the most frequent reason first."""
    ranked = sorted(share.unnamed.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason} {count:,}" for reason, count in ranked)
