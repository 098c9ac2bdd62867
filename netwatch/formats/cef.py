"""ArcSight's Common Event Format, CEF:0: for ArcSight, Sentinel and all that reads it.

In the header a backslash and a pipe are escaped, in the extension a backslash and an
equals sign. That would leave line breaks, which CEF can carry as ``\\n``, and in the
extension the pipe and the quote, which readers disagree on (some pass over fields within
quotes): these are written as `values.plain` writes them (``\\u000a``, ``\\u007c``), so that
what a sender put into a name is seen and does nothing.
Keys are those of the standard's dictionary with their limits of length; for what it has
none, keys of our own start with ``netwatch``; Sentinel keeps these in one text, apart by
semicolons, so none of their values has a semicolon. ``src`` and ``dst`` are IPv4 only, IPv6 goes
into the custom addresses 2 and 3.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netwatch.formats.facts import PRODUCT, Facts, Grade, Record, facts
from netwatch.formats.values import cut, epoch_ns, joined, plain

SEVERITIES: Mapping[Grade, int] = {
    "informational": 1,
    "low": 3,
    "medium": 6,
    "high": 8,
    "critical": 10,
}
"""0 to 3 is low, 4 to 6 medium, 7 and 8 high, 9 and 10 very high."""

LIMITS: Mapping[str, int] = {
    "app": 31,
    "cat": 1023,
    "dhost": 1023,
    "dvchost": 100,
    "externalId": 40,
    "flexString1": 1023,
    "flexString2": 1023,
    "msg": 1023,
    "proto": 31,
    "reason": 1023,
    "shost": 1023,
}
"""Characters that a field takes; custom strings, and our own, take 4,000."""

_LONGEST = 4000

Field = tuple[str, str | Sequence[str]]
"""A key and its text, or the words of a list; an empty one is left out."""


def render(record: Record) -> str:
    """An alert's record as one line."""
    known = facts(record)
    header = (
        "CEF:0",
        PRODUCT,
        PRODUCT,
        cut(record["sensor"]["version"], 31),
        f"ban-{record['verdict']}",
        known.title,
        str(SEVERITIES[known.grade]),
    )
    head = "|".join(_escaped(plain(field), "|") for field in header)
    tail = " ".join(
        f"{key}={_escaped(_text(key, value), '=')}"
        for key, value in _extension(record, known)
        if value
    )
    return f"{head}|{tail}"


def _text(key: str, value: str | Sequence[str]) -> str:
    special = '|";' if key.startswith(PRODUCT) else '|"'
    if isinstance(value, str):
        return plain(cut(value, LIMITS.get(key, _LONGEST)), special)
    return joined(value, _LONGEST, special)


def _escaped(text: str, special: str) -> str:
    return text.replace("\\", "\\\\").replace(special, f"\\{special}")


def _extension(record: Record, known: Facts) -> Iterator[Field]:
    device, network, ban = record["device"], record["network"], record["ban"]
    yield "rt", _ms(known.last)
    yield "start", _ms(known.first)
    yield "end", _ms(known.last)
    yield "externalId", record["id"]
    yield "cnt", str(known.sightings)
    yield "cat", record["app"]["id"]
    yield "msg", known.message
    yield "dvchost", record["sensor"]["name"]
    yield from _address("src", "c6a2", "Source IPv6 Address", device["ip"])
    yield "smac", device["mac"] or ""
    yield "shost", device["hostname"] or ""
    if to := known.destination:
        yield from _address("dst", "c6a3", "Destination IPv6 Address", to["ip"])
        yield "dpt", str(to["port"])
        yield from _custom("cn3", "Destination ASN", to["asn"])
        yield "netwatchDestinationCountry", to["country"] or ""
        yield "netwatchDestinationOrganisation", to["as_org"] or ""
    yield "dhost", known.name or ""
    yield "proto", (known.transport or "").upper()
    yield "app", known.service or ""
    yield "out", str(record["counts"]["bytes_out"])
    yield "in", str(record["counts"]["bytes_in"])
    yield "reason", ban["legal_basis"]
    yield from _custom("cs1", "Ban", ban["id"])
    yield from _custom("cs2", "Evidence", sorted({i["type"] for i in record["evidence"]}))
    yield from _custom("cs3", "Rule", known.lead and known.lead["rule"])
    yield from _custom("cs4", "Community ID", record["community_ids"])
    yield from _custom("cs5", "App", record["app"]["name"])
    yield from _custom("cs6", "Authority", ban["authority"])
    yield from _custom("flexString1", "Verdict", record["verdict"])
    yield from _custom("flexString2", "Network", network["name"])
    yield from _custom("cn2", "VLAN", network["vlan"])
    yield from _custom("deviceCustomDate1", "Ban From", _day(ban["from"]))
    yield from _custom("deviceCustomDate2", "Ban Until", _day(ban["until"]))
    yield "netwatchStatus", record["status"]
    yield "netwatchConfidence", record["confidence"]
    yield "netwatchSeverity", record["severity"]
    yield "netwatchDevice", device["id"]
    yield "netwatchDeviceClass", device["class"]
    yield "netwatchOwner", device["owner"] or ""
    yield "netwatchNames", record["names"]
    if lead := known.lead:
        yield "netwatchSource", lead["source"]
        yield "netwatchPacket", str(lead["packet"])
    if exemption := record["exemption"]:
        yield "netwatchExemption", exemption["reason"]
        yield "netwatchApprovedBy", exemption["approved_by"]


def _custom(key: str, label: str, value: Any) -> Iterator[Field]:
    """A field of the dictionary that is named by its label."""
    if value not in (None, "", []):
        yield key, str(value) if isinstance(value, int) else value
        yield f"{key}Label", label


def _address(key: str, long_key: str, label: str, ip: str) -> Iterator[Field]:
    if ":" in ip:
        yield from _custom(long_key, label, ip)
    else:
        yield key, ip


def _ms(ns: int) -> str:
    return str(ns // 1_000_000)


def _day(day: str | None) -> str | None:
    return None if day is None else _ms(epoch_ns(f"{day}T00:00:00Z"))
