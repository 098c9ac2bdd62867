"""IBM QRadar's Log Event Extended Format, LEEF:2.0, with ``^`` between attributes.

The format has no escape, so the delimiter, the pipe and control characters in a value are
written as `values.plain` writes them (``\\u005e``), and so is what some readers know all the
same: a quote, within which they pass over delimiters, and a backslash where it would be
the start of an escape of theirs. A tab, the delimiter of LEEF 1.0, would not do: syslog
relays rewrite it. No key stands twice. EventID and ``cat`` are fixed words,
so that a QID map can be made of them; what has no predefined key is under ``nw…``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from netwatch.formats.facts import PRODUCT, Facts, Grade, Record, facts
from netwatch.formats.values import cut, joined, plain

SEVERITIES: Mapping[Grade, int] = {
    "informational": 1,
    "low": 3,
    "medium": 5,
    "high": 8,
    "critical": 10,
}
"""1 to 10, the most urgent."""

DELIMITER = "^"

_SPECIAL = f"|{DELIMITER}\"'"
_TAKEN = re.compile(r"\\(?=[\\tnrbfav0x]|$)")

_LONGEST = 4000
"""Characters of one value."""


def render(record: Record) -> str:
    """An alert's record as one line."""
    known = facts(record)
    header = (
        "LEEF:2.0",
        PRODUCT,
        PRODUCT,
        record["sensor"]["version"],
        f"ban-{record['verdict']}",
    )
    head = "|".join(_inert(plain(field, _SPECIAL)) for field in header)
    tail = DELIMITER.join(
        f"{key}={_text(value)}" for key, value in _attributes(record, known) if value
    )
    return f"{head}|{DELIMITER}|{tail}"


def _text(value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return _inert(plain(cut(value, _LONGEST), _SPECIAL))
    return _inert(joined(value, _LONGEST, _SPECIAL))


def _inert(text: str) -> str:
    return _TAKEN.sub(r"\\u005c", text)


def _attributes(record: Record, known: Facts) -> Iterator[tuple[str, str | Sequence[str]]]:
    device, network, ban = record["device"], record["network"], record["ban"]
    yield "devTime", str(known.last // 1_000_000)
    yield "cat", record["app"]["id"]
    yield "sev", str(SEVERITIES[known.grade])
    yield "src", device["ip"]
    yield "identSrc", device["ip"]
    yield "srcMAC", device["mac"] or ""
    yield "identMAC", device["mac"] or ""
    yield "identHostName", device["hostname"] or ""
    yield "proto", (known.transport or "").upper()
    yield "srcBytes", str(record["counts"]["bytes_out"])
    yield "dstBytes", str(record["counts"]["bytes_in"])
    yield "policy", ban["id"]
    if to := known.destination:
        yield "dst", to["ip"]
        yield "dstPort", str(to["port"])
        yield "nwDestinationAsn", "" if to["asn"] is None else str(to["asn"])
        yield "nwDestinationOrganisation", to["as_org"] or ""
        yield "nwDestinationCountry", to["country"] or ""
    yield "nwMessage", known.message
    yield "nwAlertId", record["id"]
    yield "nwStatus", record["status"]
    yield "nwVerdict", record["verdict"]
    yield "nwSeverity", record["severity"]
    yield "nwConfidence", record["confidence"]
    yield "nwFirstSeen", record["first_seen"]
    yield "nwLastSeen", record["last_seen"]
    yield "nwCount", str(known.sightings)
    yield "nwApp", record["app"]["name"]
    yield "nwVendor", record["app"]["vendor"]
    yield "nwAuthority", ban["authority"]
    yield "nwLegalBasis", ban["legal_basis"]
    yield "nwBanFrom", ban["from"] or ""
    yield "nwBanUntil", ban["until"] or ""
    yield "nwDevice", device["id"]
    yield "nwDeviceClass", device["class"]
    yield "nwOwner", device["owner"] or ""
    yield "nwNetwork", network["name"]
    yield "nwVlan", "" if network["vlan"] is None else str(network["vlan"])
    yield "nwNames", record["names"]
    yield "nwEvidence", sorted({item["type"] for item in record["evidence"]})
    yield "nwCommunityIds", record["community_ids"]
    if lead := known.lead:
        yield "nwName", lead["name"]
        yield "nwRule", lead["rule"]
        yield "nwRole", lead["role"]
        yield "nwSource", lead["source"]
        yield "nwPacket", str(lead["packet"])
    if exemption := record["exemption"]:
        yield "nwExemption", exemption["reason"]
        yield "nwApprovedBy", exemption["approved_by"]
    yield "nwSensor", record["sensor"]["name"]
