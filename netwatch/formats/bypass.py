"""Days on which devices hid their lookups, as records, as lines for people and as CSV."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, TextIO

from netwatch.core.tabular import CsvWriter, aligned
from netwatch.coverage.bypass import Bypass, DeviceKey, Finding, Interval
from netwatch.formats.values import endpoint, json_line, rfc3339

SCHEMA = "netwatch.bypass/1"
"""The schema of the record, with its version."""

COLUMNS = (
    "day", "device", "network", "class", "sensor", "contacts", "untold", "share", "low", "high",
    "past_share", "others_median", "lookups", "named", "reasons", "addresses",
)  # fmt: skip
"""The columns in CSV; lists are joined by spaces."""

SEVERITY = "medium"
"""The severity of a finding: it breaks no ban, and may hide what does."""

BypassRecord = Mapping[str, Any]
"""A record, as JSON has it."""

_EPOCH = date(1970, 1, 1)
_DAY = 86_400 * 1_000_000_000


def day_text(day: int) -> str:
    """A day by its number since the epoch, as records have it."""
    return (_EPOCH + timedelta(day)).isoformat()


def day_number(record: BypassRecord) -> int:
    """The day of a record, since the epoch."""
    return (date.fromisoformat(record["day"]) - _EPOCH).days


def bypass_id(day: int, device: DeviceKey) -> str:
    """What names the finding on a device and a day."""
    return hashlib.sha256("\0".join(("bypass", str(day), *device)).encode()).hexdigest()[:16]


def bypass_record(found: Finding) -> dict[str, Any]:
    """The record of a finding. A sensor that is not known is omitted."""
    bypass = found.bypass
    own, past, others = bypass.own, bypass.past, bypass.others
    device = {"id": own.device.device, "network": own.device.network, "class": found.device_class}
    day = day_text(own.day)
    return {
        "schema": SCHEMA,
        "id": bypass_id(own.day, own.device),
        "status": "closed",
        "severity": SEVERITY,
        "first_seen": rfc3339(own.day * _DAY, 0),
        "last_seen": rfc3339((own.day + 1) * _DAY - 1, 0),
        "message": f"on {day}, {own.untold} of {own.contacts} contacts of"
        f" {own.device.device} ({own.device.network}) went to addresses that no visible lookup had"
        " named",
        "day": day,
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


def write_bypasses(name: str, stream: TextIO, found: Iterable[BypassRecord]) -> None:
    """Write findings as ``table``, ``jsonl`` or ``csv``."""
    if name == "jsonl":
        stream.writelines(f"{json_line(each)}\n" for each in found)
    elif name == "csv":
        CsvWriter(stream).rows([COLUMNS, *map(_cells, found)])
    else:
        rows = list(_rows(found))
        if rows:
            head = ("day", "device", "network", "untold", "share", "before", "others", "reasons")
            stream.writelines(f"{line.rstrip()}\n" for line in aligned([head, *rows]))


def _cells(record: BypassRecord) -> list[Any]:
    device, past, others = record["device"], record["past"], record["others"]
    return [
        record["day"], device["id"], device["network"], device["class"], device.get("sensor", ""),
        record["contacts"], record["untold"], record["share"], *record["interval"],
        round(past_share(record) or 0.0, 4) if past else "",
        others["median"] if others else "", record["lookups"], record["named"],
        " ".join(codes(record)),
        " ".join(endpoint(each["ip"], each["port"]) for each in record["addresses"]),
    ]  # fmt: skip


def past_share(record: BypassRecord) -> float | None:
    """The share on earlier days; None if there are too few."""
    past = record["past"]
    return past["untold"] / past["contacts"] if past else None


def codes(record: BypassRecord) -> list[str]:
    """The codes of the reasons."""
    return [each["code"] for each in record["reasons"]]


def _rows(found: Iterable[BypassRecord]) -> Iterator[tuple[str, ...]]:
    for each in found:
        (low, high), others, past = each["interval"], each["others"], past_share(each)
        yield (
            each["day"],
            each["device"]["id"],
            each["device"]["network"],
            f"{each['untold']}/{each['contacts']}",
            f"{each['share']:.0%} ({low:.0%}-{high:.0%})",
            "-" if past is None else f"{past:.0%}",
            f"{others['median']:.0%}" if others else "-",
            " ".join(codes(each)),
        )
