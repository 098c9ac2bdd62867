"""Elastic Common Schema 9.4 (github.com/elastic/ecs), which Kibana and other readers of ECS
understand without a custom mapping.

Fields that ECS defines have its names and types; the rest of the record goes under ``netwatch``,
so nothing is lost. Severities are the four that Elastic Security maps (21, 47, 73, 99), MAC
addresses are upper case with hyphens, and unknown values are omitted. A contact covered by an
exemption is reported for audit only: its ``event.kind`` is ``event`` instead of ``alert``, and so
is that of what people have decided.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from netwatch.core.alert import TRIAGE, AlertRecord
from netwatch.core.message import LOOKUPS
from netwatch.formats.alert_summary import (
    PRODUCT,
    AlertSummary,
    EventSeverity,
    action_of,
    summarize,
    without_empty,
)
from netwatch.formats.registry import ECS
from netwatch.formats.values import json_line

SEVERITIES: Mapping[EventSeverity, int] = {
    "informational": 21,
    "low": 21,
    "medium": 47,
    "high": 73,
    "critical": 99,
}

OUTCOMES: Mapping[str, str] = {"reached": "success", "blocked": "failure"}
"""`event.outcome` by the outcome of the record; any other is ``unknown``."""

TYPES: Mapping[str, tuple[str, ...]] = {
    "reached": ("info", "allowed"),
    "blocked": ("info", "denied"),
}
"""`event.type` by the outcome of the record; only ``info`` for any other."""

_IN_ECS_FIELDS = frozenset({"schema", "id", "first_seen", "last_seen", "community_ids", "sensor"})
"""Keys of the record that ECS fields express completely; they are not repeated."""


def render(record: AlertRecord) -> str:
    """Render an alert's record as one line of JSON."""
    return json_line(alert_document(record))


def alert_document(record: AlertRecord) -> dict[str, Any]:
    """An alert's record as an ECS document."""
    summary = summarize(record)
    device, network, ban = record["device"], record["network"], record["ban"]
    exempt = record["verdict"] == "exempt"
    document: dict[str, Any] = without_empty(
        {
            "@timestamp": record["last_seen"],
            "ecs": {"version": ECS},
            "message": summary.message,
            "tags": [PRODUCT, record["verdict"]],
            "event": {
                "kind": "event" if exempt or TRIAGE in record else "alert",
                "category": ["network"] if exempt else ["network", "intrusion_detection"],
                "type": TYPES.get(summary.outcome, ("info",)),
                "outcome": OUTCOMES.get(summary.outcome, "unknown"),
                "action": action_of(record),
                "module": PRODUCT,
                "dataset": f"{PRODUCT}.alert",
                "id": record["id"],
                "severity": SEVERITIES[summary.severity],
                "start": record["first_seen"],
                "end": record["last_seen"],
                "reason": summary.title,
            },
            "rule": {
                "id": ban["id"],
                "name": f"{record['app']['name']}: {ban['id']}",
                "description": ban["legal_basis"],
                "author": [ban["authority"]],
                "category": record["verdict"],
                "ruleset": f"{PRODUCT} bans",
            },
            "source": {
                "ip": device["ip"],
                "mac": _mac(device["mac"]),
                "domain": device["hostname"],
                "bytes": record["counts"]["bytes_out"],
            },
            "destination": _destination(record, summary),
            "device": {"id": device["id"]},
            "network": {
                "name": network["name"],
                "vlan": {"id": _text(network["vlan"])},
                "transport": summary.transport,
                "protocol": summary.service,
                "application": record["app"]["id"],
                "community_id": record["community_ids"],
            },
            **_protocol_names((item["type"], item["name"]) for item in record["evidence"]),
            "observer": {
                "name": record["sensor"]["name"],
                "type": "sensor",
                "vendor": PRODUCT,
                "product": PRODUCT,
                "version": record["sensor"]["version"],
            },
            "related": {
                "ip": _distinct(
                    [device["ip"], *(server["ip"] for server in record["destinations"])]
                ),
                "hosts": _distinct([*record["names"], device["hostname"]]),
            },
            PRODUCT: {
                "count": summary.sightings,
                **{key: value for key, value in record.items() if key not in _IN_ECS_FIELDS},
                "evidence": [_piece(item) for item in record["evidence"]],
            },
        }
    )
    return document


def _piece(item: AlertRecord) -> AlertRecord:
    """A piece of evidence, with its rule as an object also if an earlier netwatch stored it as a
    text: an index has one type for a field."""
    return {**item, "rule": {"text": item["rule"]}} if isinstance(item["rule"], str) else item


def _destination(record: AlertRecord, summary: AlertSummary) -> dict[str, Any]:
    destination = summary.destination
    if destination is None:
        return {}
    return {
        "ip": destination["ip"],
        "port": destination["port"] or None,
        "domain": None if summary.service == "dns" else summary.name,
        "bytes": record["counts"]["bytes_in"],
        "as": {"number": destination["asn"], "organization": {"name": destination["as_org"]}},
        "geo": {"country_iso_code": destination["country"]},
    }


def _protocol_names(evidence: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The names of (type, name) pairs in the fields of the protocols that showed them: the first
    name of each protocol, but all names of certificates."""
    fields: dict[str, Any] = {}
    certificate_names = []
    for kind, name in evidence:
        if kind == "tls-cert":
            certificate_names.append(name)
        elif kind in LOOKUPS:
            if kind != "dns-cname":
                fields.setdefault("dns", {"question": {"name": name}})
        elif kind.endswith("-sni"):
            fields.setdefault("tls", {}).setdefault("client", {"server_name": name})
        elif kind in ("http-host", "socks-host"):
            fields.setdefault("url", {"domain": name})
    if certificate_names:
        server = {"x509": {"alternative_names": _distinct(certificate_names)}}
        fields.setdefault("tls", {})["server"] = server
    return fields


def render_observation(record: AlertRecord) -> str:
    """Render an observation's record as one line of JSON."""
    return json_line(observation_document(record))


def observation_document(record: AlertRecord) -> dict[str, Any]:
    """An observation's record as an ECS document."""
    client, server = record.get("client", {}), record.get("server", {})
    kind = record["evidence"]
    is_lookup = kind in LOOKUPS
    who = client.get("ip") or client.get("hostname") or "an unknown client"
    document: dict[str, Any] = without_empty(
        {
            "@timestamp": record["time"],
            "ecs": {"version": ECS},
            "message": f"{who} showed {record['name']} ({kind})",
            "tags": [PRODUCT],
            "event": {
                "kind": "event",
                "category": ["network"],
                "type": ["protocol", "info"],
                "action": kind,
                "module": PRODUCT,
                "dataset": f"{PRODUCT}.name",
            },
            "source": {
                "ip": client.get("ip"),
                "port": client.get("port"),
                "mac": _mac(client.get("mac")),
                "domain": client.get("hostname"),
            },
            "destination": {
                "ip": server.get("ip"),
                "port": server.get("port"),
                "domain": None if is_lookup else record["name"],
            },
            "network": {
                "name": client.get("network"),
                "transport": record["transport"],
                "vlan": {"id": _text(record.get("vlan"))},
                "community_id": record.get("community_id"),
            },
            **_protocol_fields(record),
            "observer": {
                "type": "sensor",
                "vendor": PRODUCT,
                "product": PRODUCT,
                "name": record.get("sensor"),
            },
            "related": {
                "ip": _distinct([client.get("ip"), server.get("ip")]),
                "hosts": [record["name"]],
            },
            PRODUCT: record,
        }
    )
    return document


def _protocol_fields(record: AlertRecord) -> dict[str, Any]:
    fields = _protocol_names([(record["evidence"], record["name"])])
    dns = record.get("dns")
    if dns and "type" in dns:
        question = {"type": dns["type"], **fields.get("dns", {}).get("question", {})}
        fields["dns"] = {
            "type": "query" if record["evidence"] == "dns-query" else "answer",
            "response_code": dns.get("rcode"),
            "resolved_ip": dns.get("answers", []),
            "question": question,
        }
    if tls := record.get("tls"):
        fields.setdefault("tls", {})["version"] = tls.get("version")
    return fields


def _distinct(texts: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _mac(text: str | None) -> str | None:
    return None if text is None else text.upper().replace(":", "-")
