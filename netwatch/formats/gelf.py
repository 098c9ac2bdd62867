"""Graylog Extended Log Format 1.1 (go2docs.graylog.org, GELF).

Additional fields are texts and numbers only, under names that start with an underscore, and
never ``_id``; lists are words apart by spaces. Those that Graylog's information model has
a name for have that name, the others start with ``_netwatch_``. No text is longer than
what the index behind Graylog takes as one term (32,766 bytes): it would refuse the whole
message.
"""

from collections.abc import Mapping
from typing import Any

from netwatch.formats.facts import PRODUCT, Facts, Grade, Record, facts, told
from netwatch.formats.values import cut, endpoint, joined, json_line

LEVELS: Mapping[Grade, int] = {
    "informational": 6,
    "low": 5,
    "medium": 4,
    "high": 3,
    "critical": 2,
}
"""Severities of syslog (RFC 5424 section 6.2.1)."""

_LONGEST = 8000
"""Characters of a text: at most four bytes each."""


def render(record: Record) -> str:
    """An alert's record as one line of JSON; the frame (NUL, chunks) is the transport's."""
    return json_line(alert(record))


def alert(record: Record) -> dict[str, Any]:
    """An alert's record as a GELF message."""
    known = facts(record)
    device, to = record["device"], known.destination or {}
    fields = {
        "source_ip": device["ip"],
        "source_mac": device["mac"],
        "source_hostname": device["hostname"],
        "source_bytes_sent": record["counts"]["bytes_out"],
        "destination_ip": to.get("ip"),
        "destination_port": to.get("port"),
        "destination_hostname": known.name,
        "destination_as_number": to.get("asn"),
        "destination_as_organization": to.get("as_org"),
        "destination_geo_country_iso": to.get("country"),
        "destination_bytes_sent": record["counts"]["bytes_in"],
        "network_transport": known.transport,
        "network_protocol": known.service,
        "vlan_id": record["network"]["vlan"],
        "alert_signature": known.title,
        "alert_category": record["verdict"],
        "alert_severity": known.grade,
        "event_source_product": PRODUCT,
        "vendor_event_action": f"{record['verdict']}-{record['status']}",
    }
    fields |= {f"{PRODUCT}_{key}": value for key, value in _own(record, known).items()}
    message: dict[str, Any] = {
        "version": "1.1",
        "host": record["sensor"]["name"] or PRODUCT,
        "short_message": cut(known.message, _LONGEST),
        "timestamp": known.last // 1_000_000 / 1000,
        "level": LEVELS[known.grade],
    }
    message |= {
        f"_{key}": value if isinstance(value, int) else cut(value, _LONGEST)
        for key, value in told(fields).items()
    }
    return message


def _own(record: Record, known: Facts) -> dict[str, Any]:
    """The fields of the record that are texts or numbers, joined by an underscore, and its
    lists in words."""
    own: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            own |= {f"{key}_{below}": inner for below, inner in value.items()}
        else:
            own[key] = value
    own["destinations"] = [endpoint(to["ip"], to["port"]) for to in record["destinations"]]
    own["evidence"] = [f"{item['type']}={item['name']}" for item in record["evidence"]]
    own["sightings"] = known.sightings
    if known.lead is not None:
        own |= {key: known.lead[key] for key in ("name", "rule", "role", "source", "packet")}
    return {
        key: joined(value, _LONGEST) if isinstance(value, list | tuple) else value
        for key, value in own.items()
    }
