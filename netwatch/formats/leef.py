"""IBM QRadar's Log Event Extended Format, LEEF:2.0, with ``^`` between attributes.

LEEF has no escape. The delimiter, the pipe and control characters inside a value are written by
`values.escape_for` (``\\u005e``). So are characters that some readers interpret anyway: quotes,
within which they skip delimiters, and a backslash that they would read as the start of an escape. A
tab, the delimiter of LEEF 1.0, is not usable because syslog relays rewrite it. No key occurs twice.
The EventID and ``cat`` are fixed words, so that they can be mapped to QIDs; attributes without a
predefined key start with ``nw``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from netwatch.core.alert import TRIAGE, AlertRecord
from netwatch.formats.alert_summary import (
    PRODUCT,
    AlertSummary,
    EventSeverity,
    rule_text,
    seen_fields,
    summarize,
    version_words,
)
from netwatch.formats.values import escape_for, join_words, truncate

SEVERITIES: Mapping[EventSeverity, int] = {
    "informational": 1,
    "low": 3,
    "medium": 5,
    "high": 8,
    "critical": 10,
}
"""From 1 to 10, which is the most severe."""

DELIMITER = "^"
"""Between attributes, as the header of each line declares."""

_SPECIAL = f"|{DELIMITER}\"'"
_ESCAPE_OF_SOME_READERS = re.compile(r"\\(?=[\\tnrbfav0x]|$)")

_MAX_LENGTH = 4000
"""Characters of one value."""


def render(record: AlertRecord) -> str:
    """Render an alert's record as one line."""
    summary = summarize(record)
    header_fields = (
        "LEEF:2.0",
        PRODUCT,
        PRODUCT,
        record["sensor"]["version"],
        "triage" if TRIAGE in record else f"ban-{record['verdict']}",
    )
    header = "|".join(_without_escapes(escape_for(field, _SPECIAL)) for field in header_fields)
    attributes = DELIMITER.join(
        f"{key}={_text(value)}" for key, value in _attributes(record, summary) if value
    )
    return f"{header}|{DELIMITER}|{attributes}"


def _text(value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return _without_escapes(escape_for(truncate(value, _MAX_LENGTH), _SPECIAL))
    return _without_escapes(join_words(value, _MAX_LENGTH, _SPECIAL))


def _without_escapes(text: str) -> str:
    return _ESCAPE_OF_SOME_READERS.sub(r"\\u005c", text)


def _attributes(
    record: AlertRecord, summary: AlertSummary
) -> Iterator[tuple[str, str | Sequence[str]]]:
    device, network, ban = record["device"], record["network"], record["ban"]
    yield "devTime", str(summary.last_seen // 1_000_000)
    yield "cat", record["app"]["id"]
    yield "sev", str(SEVERITIES[summary.severity])
    yield "src", device["ip"] or ""
    yield "identSrc", device["ip"] or ""
    yield "srcMAC", device["mac"] or ""
    yield "identMAC", device["mac"] or ""
    yield "identHostName", device["hostname"] or ""
    yield "proto", (summary.transport or "").upper()
    yield "srcBytes", str(record["counts"]["bytes_out"])
    yield "dstBytes", str(record["counts"]["bytes_in"])
    yield "policy", ban["id"]
    if destination := summary.destination:
        yield "dst", destination["ip"]
        yield "dstPort", str(destination["port"] or "")
        yield "nwDestinationAsn", "" if destination["asn"] is None else str(destination["asn"])
        yield "nwDestinationOrganisation", destination["as_org"] or ""
        yield "nwDestinationCountry", destination["country"] or ""
    yield "nwMessage", summary.message
    yield "nwAlertId", record["id"]
    yield "nwStatus", record["status"]
    yield "nwVerdict", record["verdict"]
    yield "nwSeverity", record["severity"]
    yield "nwConfidence", record["confidence"]
    yield "nwKind", summary.kind
    yield "nwOutcome", summary.outcome
    yield "nwBlockedBy", record.get("blocked_by") or ()
    yield "nwKindReasons", summary.kind_reasons
    yield "nwConfidenceReasons", summary.confidence_reasons
    yield "nwContradictions", summary.contradictions
    yield "nwFirstSeen", record["first_seen"]
    yield "nwLastSeen", record["last_seen"]
    yield "nwCount", str(summary.sightings)
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
    if strongest := summary.strongest_evidence:
        yield "nwName", strongest["name"]
        yield "nwRule", rule_text(strongest)
        yield "nwRole", strongest["role"]
        for key, word in seen_fields(strongest).items():
            yield f"nwSeen{key.title()}", word
        yield "nwSource", strongest["source"]
        if log := strongest.get("log"):
            yield "nwLogFormat", log["format"]
            yield "nwLogLine", str(log["line"])
            yield "nwLogLacks", log["lacks"]
        else:
            yield "nwPacket", str(strongest["packet"])
    if exemption := record["exemption"]:
        yield "nwExemption", exemption["reason"]
        yield "nwApprovedBy", exemption["approved_by"]
    if triage := record.get(TRIAGE):
        yield "nwTriage", triage["state"]
        yield "nwTriageBy", triage["by"]
        yield "nwTriageAt", triage["at"]
    yield "nwSensor", record["sensor"]["name"]
    yield "nwVersions", version_words(record)
