"""ArcSight's Common Event Format, CEF:0, for ArcSight, Microsoft Sentinel and other CEF readers.

In the header, CEF escapes backslash and pipe; in the extension, backslash and equals sign. Readers
disagree on line breaks, which CEF can carry as ``\\n``, and on the pipe and the quote in the
extension (some skip fields inside quotes). These are written as `values.escape_for` writes them
(``\\u000a``, ``\\u007c``), so text chosen by a sender is visible but cannot end its field.

Keys are those of the CEF dictionary, within its length limits. What the dictionary does not cover
goes under keys that start with ``netwatch``. Sentinel stores those in one text separated by
semicolons, so none of their values contains a semicolon. ``src`` and ``dst`` take IPv4 only; IPv6
goes into the custom addresses 2 and 3.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
from netwatch.formats.values import epoch_ns, escape_for, join_words, truncate

SEVERITIES: Mapping[EventSeverity, int] = {
    "informational": 1,
    "low": 3,
    "medium": 6,
    "high": 8,
    "critical": 10,
}
"""CEF calls 0 to 3 low, 4 to 6 medium, 7 and 8 high, 9 and 10 very high."""

ACTIONS: Mapping[str, str] = {"reached": "allowed", "blocked": "blocked"}
"""`act` by the outcome of the record; absent for any other."""

OUTCOMES: Mapping[str, str] = {"reached": "success", "blocked": "failure"}
"""`outcome` by the outcome of the record, in the words of the dictionary; ``unknown`` for any
other."""

MAX_LENGTHS: Mapping[str, int] = {
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
"""The longest value of a key, in characters. Custom strings and our own keys allow 4,000."""

_DEFAULT_MAX_LENGTH = 4000

Field = tuple[str, str | Sequence[str]]
"""A key with its text or its list of words. Fields with an empty value are omitted."""


def render(record: AlertRecord) -> str:
    """Render an alert's record as one line."""
    summary = summarize(record)
    header_fields = (
        "CEF:0",
        PRODUCT,
        PRODUCT,
        truncate(record["sensor"]["version"], 31),
        "triage" if TRIAGE in record else f"ban-{record['verdict']}",
        summary.title,
        str(SEVERITIES[summary.severity]),
    )
    header = "|".join(_backslash_escaped(escape_for(field), "|") for field in header_fields)
    extension = " ".join(
        f"{key}={_backslash_escaped(_text(key, value), '=')}"
        for key, value in _extension(record, summary)
        if value
    )
    return f"{header}|{extension}"


def _text(key: str, value: str | Sequence[str]) -> str:
    special = '|";' if key.startswith(PRODUCT) else '|"'
    if isinstance(value, str):
        return escape_for(truncate(value, MAX_LENGTHS.get(key, _DEFAULT_MAX_LENGTH)), special)
    return join_words(value, _DEFAULT_MAX_LENGTH, special)


def _backslash_escaped(text: str, special: str) -> str:
    return text.replace("\\", "\\\\").replace(special, f"\\{special}")


def _extension(record: AlertRecord, summary: AlertSummary) -> Iterator[Field]:
    device, network, ban = record["device"], record["network"], record["ban"]
    strongest = summary.strongest_evidence
    yield "rt", _ms(summary.last_seen)
    yield "start", _ms(summary.first_seen)
    yield "end", _ms(summary.last_seen)
    yield "externalId", record["id"]
    yield "cnt", str(summary.sightings)
    yield "cat", record["app"]["id"]
    yield "act", ACTIONS.get(summary.outcome, "")
    yield "outcome", OUTCOMES.get(summary.outcome, "unknown")
    yield "msg", summary.message
    yield "dvchost", record["sensor"]["name"]
    yield from _address("src", "c6a2", "Source IPv6 Address", device["ip"] or "")
    yield "smac", device["mac"] or ""
    yield "shost", device["hostname"] or ""
    if destination := summary.destination:
        yield from _address("dst", "c6a3", "Destination IPv6 Address", destination["ip"])
        yield "dpt", str(destination["port"] or "")
        yield from _custom("cn3", "Destination ASN", destination["asn"])
        yield "netwatchDestinationCountry", destination["country"] or ""
        yield "netwatchDestinationOrganisation", destination["as_org"] or ""
    yield "dhost", summary.name or ""
    yield "proto", (summary.transport or "").upper()
    yield "app", summary.service or ""
    yield "out", str(record["counts"]["bytes_out"])
    yield "in", str(record["counts"]["bytes_in"])
    yield "reason", ban["legal_basis"]
    yield from _custom("cs1", "Ban", ban["id"])
    yield from _custom("cs2", "Evidence", sorted({item["type"] for item in record["evidence"]}))
    yield from _custom("cs3", "Rule", strongest and rule_text(strongest))
    yield from _custom("cs4", "Community ID", record["community_ids"])
    yield from _custom("cs5", "App", record["app"]["name"])
    yield from _custom("cs6", "Authority", ban["authority"])
    yield from _custom("flexString1", "Verdict", record["verdict"])
    yield from _custom("flexString2", "Network", network["name"])
    yield from _custom("cn2", "VLAN", network["vlan"])
    yield from _custom("deviceCustomDate1", "Ban From", _day(ban["from"]))
    yield from _custom("deviceCustomDate2", "Ban Until", _day(ban["until"]))
    yield "netwatchStatus", record["status"]
    if triage := record.get(TRIAGE):
        yield "netwatchTriage", triage["state"]
        yield "netwatchTriageBy", triage["by"]
        yield "netwatchTriageAt", triage["at"]
    yield "netwatchVersions", version_words(record)
    yield "netwatchConfidence", record["confidence"]
    yield "netwatchSeverity", record["severity"]
    yield "netwatchKind", summary.kind
    yield "netwatchOutcome", summary.outcome
    yield "netwatchBlockedBy", record.get("blocked_by") or ()
    yield "netwatchKindReasons", summary.kind_reasons
    yield "netwatchConfidenceReasons", summary.confidence_reasons
    yield "netwatchContradictions", summary.contradictions
    yield "netwatchDevice", device["id"]
    yield "netwatchDeviceClass", device["class"]
    yield "netwatchOwner", device["owner"] or ""
    yield "netwatchNames", record["names"]
    if strongest:
        for key, word in seen_fields(strongest).items():
            yield f"netwatchSeen{key.title()}", word
        yield "netwatchSource", strongest["source"]
        if log := strongest.get("log"):
            yield "netwatchLogFormat", log["format"]
            yield "netwatchLogLine", str(log["line"])
            yield "netwatchLogLacks", log["lacks"]
        else:
            yield "netwatchPacket", str(strongest["packet"])
    if exemption := record["exemption"]:
        yield "netwatchExemption", exemption["reason"]
        yield "netwatchApprovedBy", exemption["approved_by"]


def _custom(key: str, label: str, value: Any) -> Iterator[Field]:
    """A custom field of the dictionary, which a second key, its label, describes."""
    if value not in (None, "", []):
        yield key, str(value) if isinstance(value, int) else value
        yield f"{key}Label", label


def _address(ipv4_key: str, ipv6_key: str, label: str, ip: str) -> Iterator[Field]:
    if ":" in ip:
        yield from _custom(ipv6_key, label, ip)
    else:
        yield ipv4_key, ip


def _ms(ns: int) -> str:
    return str(ns // 1_000_000)


def _day(day: str | None) -> str | None:
    return None if day is None else _ms(epoch_ns(f"{day}T00:00:00Z"))
