"""Open Cybersecurity Schema Framework 1.8 (schema.ocsf.io): a Detection Finding, class 2004.

With the profile ``security_control``: an observer that acts on nothing. Each piece of
evidence, each server and each flow is an entry of ``evidences``; who may not contact what,
and since when, is the ``policy``. What the class has no place for stands in ``unmapped``.
The class takes no keys but its own, so none is there beside these.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from netwatch.core.message import LOOKUPS
from netwatch.formats.facts import PRODUCT, Facts, Grade, Record, event_uid, facts, told
from netwatch.formats.values import epoch_ns, json_line

VERSION = "1.8.0"
"""Of the schema, as each finding says."""

CATEGORY, CLASS = (2, "Findings"), (2004, "Detection Finding")

ACTIVITIES: Mapping[str, tuple[int, str]] = {
    "open": (1, "Create"),
    "update": (2, "Update"),
    "closed": (3, "Close"),
}
"""By the status of the alert. `scan` tells an incident once, when it is over."""

SEVERITIES: Mapping[Grade, tuple[int, str]] = {
    "informational": (1, "Informational"),
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
CONFIDENCES: Mapping[str, tuple[int, str]] = {
    "possible": (1, "Low"),
    "probable": (2, "Medium"),
    "confirmed": (3, "High"),
}

_PLACED = frozenset(
    {
        "schema",
        "id",
        "status",
        "first_seen",
        "last_seen",
        "device",
        "destinations",
        "evidence",
        "community_ids",
        "sensor",
    }
)
"""Keys of the record that the class has a place for as a whole."""

_OBSERVED, _DETECTED, _LOGGED = (3, "Observed"), (15, "Detected"), (17, "Logged")
_NEW, _SUPPRESSED = (1, "New"), (3, "Suppressed")
_HOSTNAME, _ADDRESS, _MAC = (1, "Hostname"), (2, "IP Address"), (3, "MAC Address")
_RULE = (1, "Rule")
_UNKNOWN_DEVICE = (0, "Unknown")
_OUTBOUND = (2, "Outbound")


def render(record: Record) -> str:
    """An alert's record as one line of JSON."""
    return json_line(alert(record))


def alert(record: Record) -> dict[str, Any]:
    """An alert's record as a Detection Finding. Times are ms since the epoch."""
    known = facts(record)
    exempt = record["verdict"] == "exempt"
    activity = ACTIVITIES[record["status"]]
    type_uid = CLASS[0] * 100 + activity[0]
    finding: dict[str, Any] = told(
        {
            "category_uid": CATEGORY[0],
            "category_name": CATEGORY[1],
            "class_uid": CLASS[0],
            "class_name": CLASS[1],
            **_enum("activity", activity, "activity_name"),
            "type_uid": type_uid,
            "type_name": f"{CLASS[1]}: {activity[1]}",
            "time": _ms(known.last),
            "start_time": _ms(known.first),
            "end_time": _ms(known.last),
            "duration": _ms(known.last) - _ms(known.first),
            "timezone_offset": 0,
            "count": known.sightings,
            "message": known.message,
            **_enum("severity", SEVERITIES[known.grade]),
            **_enum("confidence", CONFIDENCES[record["confidence"]]),
            # whether somebody has looked at it is not ours to say, however it ended
            **_enum("status", _SUPPRESSED if exempt else _NEW),
            "status_detail": record["status"],
            **_enum("action", _OBSERVED),
            **_enum("disposition", _LOGGED if exempt else _DETECTED),
            "is_alert": not exempt,
            "metadata": {
                "version": VERSION,
                "profiles": ["security_control"],
                "product": {
                    "name": PRODUCT,
                    "vendor_name": PRODUCT,
                    "version": record["sensor"]["version"],
                },
                "reporter": {"name": record["sensor"]["name"]},
                "log_name": f"{PRODUCT}.alert",
                "uid": event_uid(record),
                "correlation_uid": record["id"],
            },
            "finding_info": _finding(record, known),
            "policy": _policy(record["ban"]),
            "device": _device(record),
            "evidences": list(_evidences(record)),
            "observables": list(_observables(record)),
            "unmapped": {key: value for key, value in record.items() if key not in _PLACED},
        }
    )
    return finding


def _enum(name: str, value: tuple[int, str], caption: str = "") -> dict[str, Any]:
    return {f"{name}_id": value[0], caption or name: value[1]}


def _ms(ns: int) -> int:
    return ns // 1_000_000


def _finding(record: Record, known: Facts) -> dict[str, Any]:
    app = record["app"]
    return {
        "uid": record["id"],
        "title": f"{known.title}: {app['name']}",
        "desc": known.message,
        "types": [record["verdict"]],
        "analytic": {
            **_enum("type", _RULE),
            "uid": app["id"],
            "name": app["name"],
            "desc": None if known.lead is None else known.lead["rule"],
        },
        "data_sources": sorted({item["type"] for item in record["evidence"]}),
        "first_seen_time": _ms(known.first),
        "last_seen_time": _ms(known.last),
    }


def _policy(ban: Record) -> dict[str, Any]:
    return {
        "uid": ban["id"],
        "name": ban["id"],
        "desc": ban["legal_basis"],
        "group": {"name": ban["authority"]} if ban["authority"] else None,
        "is_applied": True,
    }


def _device(record: Record) -> dict[str, Any]:
    device, network = record["device"], record["network"]
    return {
        **_enum("type", _UNKNOWN_DEVICE),
        "uid": device["id"],
        "ip": device["ip"],
        "mac": device["mac"],
        "hostname": device["hostname"],
        "owner": {"name": device["owner"]} if device["owner"] else None,
        "is_personal": device["class"] == "personal",
        "zone": network["name"],
        "vlan_uid": None if network["vlan"] is None else str(network["vlan"]),
    }


def _evidences(record: Record) -> Iterator[dict[str, Any]]:
    """Entries for names, for servers and for flows: the record does not say which name
    came from which server."""
    client = {"uid": record["device"]["id"], "ip": record["device"]["ip"]}
    for item in record["evidence"]:
        looked_up = item["type"] in LOOKUPS
        yield {
            "name": item["type"],
            "src_endpoint": client,
            "query" if looked_up else "dst_endpoint": {"hostname": item["name"]},
            "data": {**item, "time": _ms(epoch_ns(item["time"]))},
        }
    for to in record["destinations"]:
        network = {"number": to["asn"], "name": to["as_org"]}
        yield {
            "name": "destination",
            "src_endpoint": client,
            "dst_endpoint": {
                "ip": to["ip"],
                "port": to["port"],
                "autonomous_system": network,
                "location": {"country": to["country"]},
            },
        }
    for community in record["community_ids"]:
        yield {
            "name": "flow",
            "connection_info": {**_enum("direction", _OUTBOUND), "community_uid": community},
        }


def _observables(record: Record) -> Iterator[dict[str, Any]]:
    device = record["device"]
    found = [
        ("device.ip", _ADDRESS, device["ip"]),
        ("device.mac", _MAC, device["mac"]),
        ("device.hostname", _HOSTNAME, device["hostname"]),
    ]
    names = dict.fromkeys((item["type"] in LOOKUPS, item["name"]) for item in record["evidence"])
    for looked_up, name in names:
        place = "query" if looked_up else "dst_endpoint"
        found.append((f"evidences[].{place}.hostname", _HOSTNAME, name))
    reached = dict.fromkeys(to["ip"] for to in record["destinations"])
    found += [("evidences[].dst_endpoint.ip", _ADDRESS, ip) for ip in reached]
    for name, kind, value in found:
        if value:
            yield {"name": name, **_enum("type", kind), "value": value}
