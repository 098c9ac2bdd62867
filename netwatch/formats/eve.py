"""Suricata's EVE: an event of type ``alert``, valid by the schema that OISF ships
(etc/schema.json).

The top level and ``alert`` allow no keys except Suricata's own. The rest of the record is
therefore in ``alert.metadata``: flat, each value a list of texts, as the schema requires. Readers
of EVE treat it like any alert of Suricata; ``gid`` tells the two apart.
"""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from netwatch.core.alert import AlertRecord, place_of
from netwatch.formats.alert_summary import (
    PRODUCT,
    AlertSummary,
    EventSeverity,
    rule_text,
    seen_words,
    summarize,
    without_empty,
)
from netwatch.formats.values import endpoint, json_line, period_texts, rfc3339

GENERATOR = 7100
"""The ``gid``. Suricata's rules use 1 and its built-in events other small numbers."""

SEVERITIES: Mapping[EventSeverity, int] = {
    "critical": 1,
    "high": 1,
    "medium": 2,
    "low": 3,
    "informational": 3,
}
"""1 is the most severe, like Suricata's priorities."""

_CATEGORY = "Potential Corporate Privacy Violation"
"""The description of ``policy-violation`` in Suricata's classification.config."""

_LOCAL_RULES = 1_000_000
"""The first of the 1,000,000 signature ids reserved for local use (sidallocation.org)."""

_IN_EVE_FIELDS = frozenset(
    {"schema", "last_seen", "destinations", "evidence", "community_ids", "sensor"}
)


def render(record: AlertRecord) -> str:
    """Render an alert's record as one line of JSON."""
    return json_line(alert_event(record))


def alert_event(record: AlertRecord) -> dict[str, Any]:
    """An alert's record as an event of type ``alert``."""
    summary = summarize(record)
    device, network = record["device"], record["network"]
    destination = summary.destination or {}
    community_ids = record["community_ids"]
    event: dict[str, Any] = without_empty(
        {
            "timestamp": _time(summary.last_seen),
            "event_type": "alert",
            "host": record["sensor"]["name"],
            "vlan": [] if network["vlan"] is None else [network["vlan"]],
            "src_ip": device["ip"],
            "dest_ip": destination.get("ip"),
            "dest_port": destination.get("port") or None,
            "proto": summary.transport and summary.transport.upper(),
            "ip_v": _ip_version(device["ip"]),
            "app_proto": summary.service,
            "ether": {"src_mac": device["mac"]},
            "community_id": community_ids[0] if community_ids else None,
            **_protocol_object(summary),
            "flow": {
                "start": _time(summary.first_seen),
                "bytes_toserver": record["counts"]["bytes_out"],
                "bytes_toclient": record["counts"]["bytes_in"],
            },
        }
    )
    ban = record["ban"]["id"]
    event["alert"] = {
        "action": "blocked" if summary.outcome == "blocked" else "allowed",
        "gid": GENERATOR,
        "signature_id": signature_id(record["app"]["id"], ban),
        "rev": 1,
        "signature": f"{PRODUCT}: {summary.title}: {record['app']['name']}, {ban}",
        "category": _CATEGORY,
        "severity": SEVERITIES[summary.severity],
        "metadata": _metadata(record, summary),
    }
    return event


def signature_id(app: str, ban: str) -> int:
    """A stable signature id, in Suricata's local range, for an app under a ban. Two pairs can
    collide; the text of the signature then tells them apart."""
    return _LOCAL_RULES + crc32(f"{app}\0{ban}".encode(errors="surrogatepass")) % _LOCAL_RULES


def _ip_version(address: str | None) -> int | None:
    """None if the device has a pseudonym instead of an address."""
    if address is None:
        return None
    return 6 if ":" in address else 4


def _time(ns: int) -> str:
    return f"{rfc3339(ns, 6)[:-1]}+0000"


def _protocol_object(summary: AlertSummary) -> dict[str, Any]:
    """The object of the protocol that showed the name, under its key."""
    if summary.strongest_evidence is None:
        return {}
    kind, name = summary.strongest_evidence["type"], summary.strongest_evidence["name"]
    if kind in ("dns-query", "dns-answer"):
        direction = "request" if kind == "dns-query" else "response"
        return {"dns": {"version": 3, "type": direction, "queries": [{"rrname": name}]}}
    if kind in ("tls-sni", "dtls-sni"):
        return {"tls": {"sni": name}}
    if kind == "quic-sni":
        return {"quic": {"sni": name}}
    if kind == "tls-cert":
        return {"tls": {"subjectaltname": [name]}}
    return {"http": {"hostname": name}} if kind == "http-host" else {}


def _metadata(record: AlertRecord, summary: AlertSummary) -> dict[str, list[str]]:
    flat: dict[str, Any] = {
        "signature_severity": summary.severity,
        "policy": record["ban"]["id"],
        "message": summary.message,
        "sightings": summary.sightings,
        "destinations": [endpoint(to["ip"], to["port"]) for to in record["destinations"]],
        "community_ids": record["community_ids"],
        "sensor_version": record["sensor"]["version"],
    }
    flat["evidence"] = [f"{item['type']}={item['name']}" for item in record["evidence"]]
    flat["evidence_seen"] = seen_words(record)
    flat["evidence_place"] = [place_of(item) for item in record["evidence"]]
    if summary.strongest_evidence is not None:
        strongest = summary.strongest_evidence
        flat |= {"name": strongest["name"], "rule": rule_text(strongest), "role": strongest["role"]}
    for key, value in record.items():
        if key not in _IN_EVE_FIELDS:
            _flatten(key, value, flat)
    flat["ban_periods"] = period_texts(record["ban"])
    return {
        key: [str(each) for each in (value if isinstance(value, list) else [value])]
        for key, value in without_empty(flat).items()
    }


def _flatten(key: str, value: Any, flat: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for below, inner in value.items():
            _flatten(f"{key}_{below}", inner, flat)
    else:
        flat[key] = value
