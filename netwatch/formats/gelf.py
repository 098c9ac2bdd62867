"""Graylog Extended Log Format 1.1 (go2docs.graylog.org, GELF).

Additional fields may only be texts and numbers, their names start with an underscore, and ``_id``
is reserved; lists are therefore words separated by spaces. Fields that Graylog's information model
defines have its names; the others start with ``_netwatch_``. No text is longer than the 32,766
bytes that the index behind Graylog accepts as one term, because it would refuse the whole message.
"""

from collections.abc import Mapping
from typing import Any

from netwatch.core.alert import AlertRecord
from netwatch.formats.alert_summary import (
    PRODUCT,
    AlertSummary,
    EventSeverity,
    action_of,
    rule_text,
    seen_fields,
    seen_words,
    summarize,
    version_words,
    without_empty,
)
from netwatch.formats.values import endpoint, join_words, json_line, period_texts, truncate

LEVELS: Mapping[EventSeverity, int] = {
    "informational": 6,
    "low": 5,
    "medium": 4,
    "high": 3,
    "critical": 2,
}
"""The severities of syslog (RFC 5424 section 6.2.1)."""

_MAX_LENGTH = 8000
"""Characters of a text. Each takes at most four bytes."""


def render(record: AlertRecord) -> str:
    """Render an alert's record as one line of JSON. Framing (NUL bytes, chunks) is left to the
    transport."""
    return json_line(alert_message(record))


def alert_message(record: AlertRecord) -> dict[str, Any]:
    """An alert's record as a GELF message."""
    summary = summarize(record)
    device, destination = record["device"], summary.destination or {}
    fields = {
        "source_ip": device["ip"],
        "source_mac": device["mac"],
        "source_hostname": device["hostname"],
        "source_bytes_sent": record["counts"]["bytes_out"],
        "destination_ip": destination.get("ip"),
        "destination_port": destination.get("port") or None,
        "destination_hostname": summary.name,
        "destination_as_number": destination.get("asn"),
        "destination_as_organization": destination.get("as_org"),
        "destination_geo_country_iso": destination.get("country"),
        "destination_bytes_sent": record["counts"]["bytes_in"],
        "network_transport": summary.transport,
        "network_protocol": summary.service,
        "vlan_id": record["network"]["vlan"],
        "alert_signature": summary.title,
        "alert_category": record["verdict"],
        "alert_severity": summary.severity,
        "event_source_product": PRODUCT,
        "vendor_event_action": action_of(record),
        "vendor_event_outcome": summary.outcome,
    }
    fields |= {
        f"{PRODUCT}_{key}": value for key, value in _netwatch_fields(record, summary).items()
    }
    message: dict[str, Any] = {
        "version": "1.1",
        "host": record["sensor"]["name"] or PRODUCT,
        "short_message": truncate(summary.message, _MAX_LENGTH),
        "timestamp": summary.last_seen // 1_000_000 / 1000,
        "level": LEVELS[summary.severity],
    }
    message |= {f"_{key}": _additional(value) for key, value in without_empty(fields).items()}
    return message


def _additional(value: Any) -> Any:
    """The value of an additional field, which is a number or a text."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int | float) else truncate(value, _MAX_LENGTH)


def _netwatch_fields(record: AlertRecord, summary: AlertSummary) -> dict[str, Any]:
    """The record as a flat mapping: keys of nested mappings are joined by an underscore, lists
    become words separated by spaces, and lists of reasons sentences."""
    fields: dict[str, Any] = {}
    for key, value in record.items():
        if key != "versions":  # written as words
            _flatten(key, value, fields)
    fields["kind_reasons"] = summary.kind_reasons
    fields["confidence_reasons"] = summary.confidence_reasons
    fields["contradictions"] = summary.contradictions
    fields["destinations"] = [endpoint(to["ip"], to["port"]) for to in record["destinations"]]
    fields["ban_periods"] = period_texts(record["ban"])
    fields["candidates"] = ["|".join(each["names"]) for each in record.get("candidates") or ()]
    fields["evidence"] = [f"{item['type']}={item['name']}" for item in record["evidence"]]
    fields["evidence_seen"] = seen_words(record)
    if "seen_by" in record:  # a case
        fields["seen_by"] = [f"{each['sensor']}={each['incident']}" for each in record["seen_by"]]
    fields["versions"] = version_words(record)
    fields["sightings"] = summary.sightings
    if summary.strongest_evidence is not None:
        strongest = summary.strongest_evidence
        fields |= {key: strongest[key] for key in ("name", "role", "source")}
        fields |= {f"seen_{key}": word for key, word in seen_fields(strongest).items()}
        if log := strongest.get("log"):
            fields |= {f"log_{key}": value for key, value in log.items()}
        else:
            fields["packet"] = strongest["packet"]
        fields["rule"] = rule_text(summary.strongest_evidence)
    return {
        key: join_words(value, _MAX_LENGTH) if isinstance(value, list | tuple) else value
        for key, value in fields.items()
    }


def _flatten(key: str, value: Any, fields: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for below, inner in value.items():
            _flatten(f"{key}_{below}", inner, fields)
    else:
        fields[key] = value
