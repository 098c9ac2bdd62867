"""Suricata's EVE: an alert event, valid by the schema that OISF ships (etc/schema.json).

The root and ``alert`` take no keys but Suricata's own, so all else of the record stands in
``alert.metadata``, flat, each value a list of texts, as that object asks. What reads EVE
takes it like any alert of Suricata; ``gid`` tells the two apart.
"""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from netwatch.formats.facts import PRODUCT, Facts, Grade, Record, facts, told
from netwatch.formats.values import endpoint, json_line, rfc3339

GENERATOR = 7100
"""The ``gid``: rules of Suricata are of 1, its own events of other small numbers."""

SEVERITIES: Mapping[Grade, int] = {
    "critical": 1,
    "high": 1,
    "medium": 2,
    "low": 3,
    "informational": 3,
}
"""1 is the most urgent, as with Suricata's priorities."""

_CATEGORY = "Potential Corporate Privacy Violation"
"""What Suricata's classification.config calls ``policy-violation``."""

_LOCAL_RULES = 1_000_000
"""Signature ids from here on, as many, are for local use (sidallocation.org)."""

_PLACED = frozenset({"schema", "last_seen", "destinations", "evidence", "community_ids", "sensor"})


def render(record: Record) -> str:
    """An alert's record as one line of JSON."""
    return json_line(alert(record))


def alert(record: Record) -> dict[str, Any]:
    """An alert's record as an event of type ``alert``."""
    known = facts(record)
    device, network, to = record["device"], record["network"], known.destination or {}
    communities = record["community_ids"]
    event: dict[str, Any] = told(
        {
            "timestamp": _time(known.last),
            "event_type": "alert",
            "host": record["sensor"]["name"],
            "vlan": [] if network["vlan"] is None else [network["vlan"]],
            "src_ip": device["ip"],
            "dest_ip": to.get("ip"),
            "dest_port": to.get("port"),
            "proto": known.transport and known.transport.upper(),
            "ip_v": 6 if ":" in device["ip"] else 4,
            "app_proto": known.service,
            "ether": {"src_mac": device["mac"]},
            "community_id": communities[0] if communities else None,
            **_protocol(known),
            "flow": {
                "start": _time(known.first),
                "bytes_toserver": record["counts"]["bytes_out"],
                "bytes_toclient": record["counts"]["bytes_in"],
            },
        }
    )
    ban = record["ban"]["id"]
    event["alert"] = {
        "action": "allowed",
        "gid": GENERATOR,
        "signature_id": signature_id(record["app"]["id"], ban),
        "rev": 1,
        "signature": f"{PRODUCT}: {known.title}: {record['app']['name']}, {ban}",
        "category": _CATEGORY,
        "severity": SEVERITIES[known.grade],
        "metadata": _metadata(record, known),
    }
    return event


def signature_id(app: str, ban: str) -> int:
    """A number for an app under a ban that stays the same, from Suricata's local range. Two
    pairs can share one, which the signature's text then tells apart."""
    return _LOCAL_RULES + crc32(f"{app}\0{ban}".encode(errors="surrogatepass")) % _LOCAL_RULES


def _time(ns: int) -> str:
    return f"{rfc3339(ns, 6)[:-1]}+0000"


def _protocol(known: Facts) -> dict[str, Any]:
    """The object of the protocol that showed the name."""
    if known.lead is None:
        return {}
    kind, name = known.lead["type"], known.lead["name"]
    if kind in ("dns-query", "dns-answer"):
        asked = "request" if kind == "dns-query" else "response"
        return {"dns": {"version": 3, "type": asked, "queries": [{"rrname": name}]}}
    if kind in ("tls-sni", "dtls-sni"):
        return {"tls": {"sni": name}}
    if kind == "quic-sni":
        return {"quic": {"sni": name}}
    if kind == "tls-cert":
        return {"tls": {"subjectaltname": [name]}}
    return {"http": {"hostname": name}} if kind == "http-host" else {}


def _metadata(record: Record, known: Facts) -> dict[str, list[str]]:
    flat: dict[str, Any] = {
        "signature_severity": known.grade,
        "policy": record["ban"]["id"],
        "message": known.message,
        "sightings": known.sightings,
        "destinations": [endpoint(to["ip"], to["port"]) for to in record["destinations"]],
        "community_ids": record["community_ids"],
        "sensor_version": record["sensor"]["version"],
    }
    flat["evidence"] = [f"{item['type']}={item['name']}" for item in record["evidence"]]
    flat["evidence_place"] = [f"{item['source']}#{item['packet']}" for item in record["evidence"]]
    if known.lead is not None:
        flat |= {key: known.lead[key] for key in ("name", "rule", "role")}
    for key, value in record.items():
        if key not in _PLACED:
            _flatten(key, value, flat)
    return {
        key: [str(each) for each in (value if isinstance(value, list) else [value])]
        for key, value in told(flat).items()
    }


def _flatten(key: str, value: Any, flat: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for below, inner in value.items():
            _flatten(f"{key}_{below}", inner, flat)
    else:
        flat[key] = value
