"""Elastic Common Schema 9.4 (github.com/elastic/ecs): what Kibana, and all that reads ECS,
finds its way in without a mapping.

Fields that ECS has are filled under its names and types; the rest of the record goes
under ``netwatch``, so nothing is lost. Severities are the four that Elastic Security maps
(21, 47, 73, 99), MAC addresses are upper-case with hyphens, and what is not known is left
out. An exemption is told for audit: its ``event.kind`` is ``event``, not ``alert``.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from netwatch.core.message import LOOKUPS
from netwatch.formats.facts import PRODUCT, Facts, Grade, Record, facts, told
from netwatch.formats.values import json_line

VERSION = "9.4.0"
"""Of the schema, as each document says."""

SEVERITIES: Mapping[Grade, int] = {
    "informational": 21,
    "low": 21,
    "medium": 47,
    "high": 73,
    "critical": 99,
}

_ELSEWHERE = frozenset({"schema", "id", "first_seen", "last_seen", "community_ids", "sensor"})
"""Keys of the record that ECS has fields for as they are."""


def render(record: Record) -> str:
    """An alert's record as one line of JSON."""
    return json_line(alert(record))


def alert(record: Record) -> dict[str, Any]:
    """An alert's record as an ECS document."""
    known = facts(record)
    device, network, ban = record["device"], record["network"], record["ban"]
    exempt = record["verdict"] == "exempt"
    document: dict[str, Any] = told(
        {
            "@timestamp": record["last_seen"],
            "ecs": {"version": VERSION},
            "message": known.message,
            "tags": [PRODUCT, record["verdict"]],
            "event": {
                "kind": "event" if exempt else "alert",
                "category": ["network"] if exempt else ["network", "intrusion_detection"],
                "type": ["info"],
                "action": f"{record['verdict']}-{record['status']}",
                "module": PRODUCT,
                "dataset": f"{PRODUCT}.alert",
                "id": record["id"],
                "severity": SEVERITIES[known.grade],
                "start": record["first_seen"],
                "end": record["last_seen"],
                "reason": known.title,
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
            "destination": _destination(record, known),
            "device": {"id": device["id"]},
            "network": {
                "name": network["name"],
                "vlan": {"id": _text(network["vlan"])},
                "transport": known.transport,
                "protocol": known.service,
                "application": record["app"]["id"],
                "community_id": record["community_ids"],
            },
            **_named((item["type"], item["name"]) for item in record["evidence"]),
            "observer": {
                "name": record["sensor"]["name"],
                "type": "sensor",
                "vendor": PRODUCT,
                "product": PRODUCT,
                "version": record["sensor"]["version"],
            },
            "related": {
                "ip": _distinct([device["ip"], *(to["ip"] for to in record["destinations"])]),
                "hosts": _distinct([*record["names"], device["hostname"]]),
            },
            PRODUCT: {
                "count": known.sightings,
                **{key: value for key, value in record.items() if key not in _ELSEWHERE},
            },
        }
    )
    return document


def _destination(record: Record, known: Facts) -> dict[str, Any]:
    to = known.destination
    if to is None:
        return {}
    return {
        "ip": to["ip"],
        "port": to["port"],
        "domain": None if known.service == "dns" else known.name,
        "bytes": record["counts"]["bytes_in"],
        "as": {"number": to["asn"], "organization": {"name": to["as_org"]}},
        "geo": {"country_iso_code": to["country"]},
    }


def _named(seen: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The names under the fields of the protocols that showed them: the first of each, of
    certificates all."""
    fields: dict[str, Any] = {}
    certified = []
    for kind, name in seen:
        if kind == "tls-cert":
            certified.append(name)
        elif kind in LOOKUPS:
            if kind != "dns-cname":
                fields.setdefault("dns", {"question": {"name": name}})
        elif kind.endswith("-sni"):
            fields.setdefault("tls", {}).setdefault("client", {"server_name": name})
        elif kind in ("http-host", "socks-host"):
            fields.setdefault("url", {"domain": name})
    if certified:
        server = {"x509": {"alternative_names": _distinct(certified)}}
        fields.setdefault("tls", {})["server"] = server
    return fields


def render_observation(record: Record) -> str:
    """An observation's record as one line of JSON."""
    return json_line(observation(record))


def observation(record: Record) -> dict[str, Any]:
    """An observation's record as an ECS document."""
    client, server, kind = record["client"], record["server"], record["evidence"]
    looked_up = kind in LOOKUPS
    document: dict[str, Any] = told(
        {
            "@timestamp": record["time"],
            "ecs": {"version": VERSION},
            "message": f"{client['ip']} showed {record['name']} ({kind})",
            "tags": [PRODUCT],
            "event": {
                "kind": "event",
                "category": ["network"],
                "type": ["protocol", "info"],
                "action": kind,
                "module": PRODUCT,
                "dataset": f"{PRODUCT}.name",
            },
            "source": {"ip": client["ip"], "port": client["port"], "mac": _mac(client.get("mac"))},
            "destination": {
                "ip": server["ip"],
                "port": server["port"],
                "domain": None if looked_up else record["name"],
            },
            "network": {
                "transport": record["transport"],
                "vlan": {"id": _text(record.get("vlan"))},
                "community_id": record["community_id"],
            },
            **_protocol(record),
            "observer": {"type": "sensor", "vendor": PRODUCT, "product": PRODUCT},
            "related": {
                "ip": _distinct([client["ip"], server["ip"]]),
                "hosts": [record["name"]],
            },
            PRODUCT: record,
        }
    )
    return document


def _protocol(record: Record) -> dict[str, Any]:
    fields = _named([(record["evidence"], record["name"])])
    if dns := record.get("dns"):
        answered = dns.get("answers", [])
        known = {
            "type": "query" if record["evidence"] == "dns-query" else "answer",
            "response_code": dns.get("rcode"),
            "resolved_ip": answered,
        }
        question = {"type": dns["type"], **fields.get("dns", {}).get("question", {})}
        fields["dns"] = {**known, "question": question}
    if tls := record.get("tls"):
        fields.setdefault("tls", {})["version"] = tls["version"]
    return fields


def _distinct(texts: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _mac(text: str | None) -> str | None:
    return None if text is None else text.upper().replace(":", "-")
