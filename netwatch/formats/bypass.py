"""Days on which devices hid their lookups, as records, as lines for people and as CSV."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any, TextIO

from netwatch.core.tabular import CsvWriter, aligned
from netwatch.coverage.bypass import Bypass, Finding, Interval
from netwatch.formats.values import endpoint, json_line

SCHEMA = "netwatch.bypass/1"
"""The schema of the record, with its version."""

COLUMNS = (
    "day", "device", "network", "class", "sensor", "contacts", "untold", "share", "low", "high",
    "past_share", "others_median", "lookups", "named", "reasons", "addresses",
)  # fmt: skip
"""The columns in CSV; lists are joined by spaces."""

_EPOCH = date(1970, 1, 1)


def bypass_record(found: Finding) -> dict[str, Any]:
    """The record of a finding. A sensor that is not known is omitted."""
    bypass = found.bypass
    own, past, others = bypass.own, bypass.past, bypass.others
    device = {"id": own.device.device, "network": own.device.network, "class": found.device_class}
    return {
        "schema": SCHEMA,
        "day": (_EPOCH + timedelta(own.day)).isoformat(),
        "device": device | ({"sensor": own.device.sensor} if own.device.sensor else {}),
        "contacts": own.contacts,
        "untold": own.untold,
        "share": round(own.share, 4),
        "interval": _interval(bypass.interval),
        "past": past
        and {
            "days": past.days,
            "contacts": past.contacts,
            "untold": past.untold,
            "interval": _interval(past.interval),
            "highest": round(past.highest, 4),
        },
        "others": others and {"devices": others.devices, "median": round(others.median, 4)},
        "lookups": own.lookups,
        "named": own.named,
        "addresses": [
            {"ip": each.ip, "port": each.port, "transport": each.transport,
             "contacts": each.contacts}
            for each in found.addresses
        ],
        "reasons": [{"code": code, "text": _text(code, bypass)} for code in bypass.reasons],
    }  # fmt: skip


def _interval(interval: Interval) -> list[float]:
    return [round(each, 4) for each in interval]


def _text(code: str, bypass: Bypass) -> str:
    """A reason as a sentence."""
    own, past, others = bypass.own, bypass.past, bypass.others
    if code == "share-above-past" and past is not None:
        return (
            f"{own.untold} of {own.contacts} contacts went to addresses that nobody had been told,"
            f" on earlier days {past.untold} of {past.contacts}"
        )
    if code == "share-above-others" and others is not None:
        return (
            f"of {others.devices} other devices of the network half had at most"
            f" {others.median:.0%} of such contacts on that day"
        )
    return {
        "fewer-lookups": f"it asked for far fewer names than before: {own.lookups} answers",
        "one-address": "nearly all went to one address, as with a tunnel or a proxy",
        "names-shown": f"{own.named} of them showed a name: only the lookups were hidden",
    }[code]


def write_bypasses(name: str, stream: TextIO, found: Iterable[Finding]) -> None:
    """Write findings as ``table``, ``jsonl`` or ``csv``."""
    if name == "jsonl":
        stream.writelines(f"{json_line(bypass_record(each))}\n" for each in found)
    elif name == "csv":
        CsvWriter(stream).rows([COLUMNS, *map(_cells, map(bypass_record, found))])
    else:
        rows = list(_rows(found))
        if rows:
            head = ("day", "device", "network", "untold", "share", "before", "others", "reasons")
            stream.writelines(f"{line.rstrip()}\n" for line in aligned([head, *rows]))


def _cells(record: dict[str, Any]) -> list[Any]:
    device, past, others = record["device"], record["past"], record["others"]
    return [
        record["day"], device["id"], device["network"], device["class"], device.get("sensor", ""),
        record["contacts"], record["untold"], record["share"], *record["interval"],
        round(past["untold"] / past["contacts"], 4) if past else "",
        others["median"] if others else "", record["lookups"], record["named"],
        " ".join(each["code"] for each in record["reasons"]),
        " ".join(endpoint(each["ip"], each["port"]) for each in record["addresses"]),
    ]  # fmt: skip


def _rows(found: Iterable[Finding]) -> Iterator[tuple[str, ...]]:
    for each in found:
        record = bypass_record(each)
        low, high = each.bypass.interval
        past, others = each.bypass.past, each.bypass.others
        yield (
            record["day"],
            record["device"]["id"],
            record["device"]["network"],
            f"{record['untold']}/{record['contacts']}",
            f"{record['share']:.0%} ({low:.0%}-{high:.0%})",
            f"{past.untold / past.contacts:.0%}" if past else "-",
            f"{others.median:.0%}" if others else "-",
            " ".join(each.bypass.reasons),
        )
