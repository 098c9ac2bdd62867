"""Open Cybersecurity Schema Framework 1.8 (schema.ocsf.io): a Detection Finding, class 2004.

It uses the profile ``security_control`` as an observer that takes no action; if something else
blocked the contact, the finding says so. Each piece of evidence, each server and each flow is an
entry of ``evidences``; the ban is the ``policy``. The class allows no keys except its own, so
everything that it cannot express is in ``unmapped``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from netwatch.core.alert import TRIAGE, AlertRecord, TriageState
from netwatch.core.message import LOOKUPS
from netwatch.formats.alert_summary import (
    PRODUCT,
    AlertSummary,
    EventSeverity,
    event_uid,
    rule_text,
    summarize,
    without_empty,
)
from netwatch.formats.registry import OCSF
from netwatch.formats.values import epoch_ns, json_line

CATEGORY, CLASS = (2, "Findings"), (2004, "Detection Finding")

ACTIVITIES: Mapping[str, tuple[int, str]] = {
    "open": (1, "Create"),
    "update": (2, "Update"),
    "closed": (3, "Close"),
}
"""By the status of the alert. `scan` reports an incident once, as ``closed``."""

SEVERITIES: Mapping[EventSeverity, tuple[int, str]] = {
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

STATES: Mapping[TriageState, tuple[int, str]] = {
    "new": (1, "New"),
    "seen": (2, "In Progress"),
    "in-work": (2, "In Progress"),
    "justified": (4, "Resolved"),
    "false": (3, "Suppressed"),
}
"""By what people decided; a suppressed finding is one that was found to be false."""

_IN_OCSF_FIELDS = frozenset(
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
"""Keys of the record that attributes of the class express completely."""

_DENIED, _OBSERVED = (2, "Denied"), (3, "Observed")
_BLOCKED, _DETECTED, _LOGGED = (2, "Blocked"), (15, "Detected"), (17, "Logged")
_NEW, _SUPPRESSED = (1, "New"), (3, "Suppressed")
_HOSTNAME, _ADDRESS, _MAC = (1, "Hostname"), (2, "IP Address"), (3, "MAC Address")
_RULE = (1, "Rule")
UNKNOWN_DEVICE = (0, "Unknown")
_OUTBOUND = (2, "Outbound")


def render(record: AlertRecord) -> str:
    """Render an alert's record as one line of JSON."""
    return json_line(detection_finding(record))


def detection_finding(record: AlertRecord) -> dict[str, Any]:
    """An alert's record as a Detection Finding. Times are ms since the epoch."""
    summary = summarize(record)
    exempt, blocked = record["verdict"] == "exempt", summary.outcome == "blocked"
    triage = record.get(TRIAGE)
    activity = ACTIVITIES["update" if triage else record["status"]]
    status = STATES[triage["state"]] if triage else _SUPPRESSED if exempt else _NEW
    type_uid = CLASS[0] * 100 + activity[0]
    finding: dict[str, Any] = without_empty(
        {
            "category_uid": CATEGORY[0],
            "category_name": CATEGORY[1],
            "class_uid": CLASS[0],
            "class_name": CLASS[1],
            **_enum("activity", activity, "activity_name"),
            "type_uid": type_uid,
            "type_name": f"{CLASS[1]}: {activity[1]}",
            "time": _ms(summary.last_seen),
            "start_time": _ms(summary.first_seen),
            "end_time": _ms(summary.last_seen),
            "duration": _ms(summary.last_seen) - _ms(summary.first_seen),
            "timezone_offset": 0,
            "count": summary.sightings,
            "message": summary.message,
            **_enum("severity", SEVERITIES[summary.severity]),
            **_enum("confidence", CONFIDENCES[record["confidence"]]),
            # The progress of the finding's analyst, which netwatch knows from its console alone.
            **_enum("status", status),
            "status_detail": record["status"],
            **_enum("action", _DENIED if blocked else _OBSERVED),
            **_enum("disposition", _BLOCKED if blocked else _LOGGED if exempt else _DETECTED),
            "is_alert": not exempt and triage is None,
            "metadata": {
                "version": OCSF,
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
            "finding_info": _finding_info(record, summary),
            "policy": _policy(record["ban"]),
            "device": _device(record),
            "evidences": list(_evidences(record)),
            "observables": list(_observables(record)),
            "unmapped": {key: value for key, value in record.items() if key not in _IN_OCSF_FIELDS},
        }
    )
    return finding


def _enum(name: str, value: tuple[int, str], caption: str = "") -> dict[str, Any]:
    return {f"{name}_id": value[0], caption or name: value[1]}


def _ms(ns: int) -> int:
    return ns // 1_000_000


def _finding_info(record: AlertRecord, summary: AlertSummary) -> dict[str, Any]:
    app = record["app"]
    return {
        "uid": record["id"],
        "title": f"{summary.title}: {app['name']}",
        "desc": summary.message,
        "types": [record["verdict"], *filter(None, [summary.kind])],
        "analytic": {
            **_enum("type", _RULE),
            "uid": app["id"],
            "name": app["name"],
            "desc": None
            if summary.strongest_evidence is None
            else rule_text(summary.strongest_evidence),
        },
        "data_sources": sorted({item["type"] for item in record["evidence"]}),
        "first_seen_time": _ms(summary.first_seen),
        "last_seen_time": _ms(summary.last_seen),
    }


def _policy(ban: AlertRecord) -> dict[str, Any]:
    return {
        "uid": ban["id"],
        "name": ban["id"],
        "desc": ban["legal_basis"],
        "group": {"name": ban["authority"]} if ban["authority"] else None,
        "is_applied": True,
    }


def _device(record: AlertRecord) -> dict[str, Any]:
    device, network = record["device"], record["network"]
    return {
        **_enum("type", UNKNOWN_DEVICE),
        "uid": device["id"],
        "ip": device["ip"],
        "mac": device["mac"],
        "hostname": device["hostname"],
        "owner": {"name": device["owner"]} if device["owner"] else None,
        "is_personal": device["class"] == "personal",
        "zone": network["name"],
        "vlan_uid": None if network["vlan"] is None else str(network["vlan"]),
    }


def _evidences(record: AlertRecord) -> Iterator[dict[str, Any]]:
    """Separate entries for names, servers and flows, because the record does not say which name
    belongs to which server."""
    client = {"uid": record["device"]["id"], "ip": record["device"]["ip"]}
    for item in record["evidence"]:
        is_lookup = item["type"] in LOOKUPS
        yield {
            "name": item["type"],
            "src_endpoint": client,
            "query" if is_lookup else "dst_endpoint": {"hostname": item["name"]},
            "data": {**item, "time": _ms(epoch_ns(item["time"]))},
        }
    for server in record["destinations"]:
        yield {
            "name": "destination",
            "src_endpoint": client,
            "dst_endpoint": {
                "ip": server["ip"],
                "port": server["port"] or None,
                "autonomous_system": {"number": server["asn"], "name": server["as_org"]},
                "location": {"country": server["country"]},
            },
        }
    for community_id in record["community_ids"]:
        yield {
            "name": "flow",
            "connection_info": {**_enum("direction", _OUTBOUND), "community_uid": community_id},
        }


def _observables(record: AlertRecord) -> Iterator[dict[str, Any]]:
    device = record["device"]
    observables = [
        ("device.ip", _ADDRESS, device["ip"]),
        ("device.mac", _MAC, device["mac"]),
        ("device.hostname", _HOSTNAME, device["hostname"]),
    ]
    names = dict.fromkeys((item["type"] in LOOKUPS, item["name"]) for item in record["evidence"])
    for is_lookup, name in names:
        place = "query" if is_lookup else "dst_endpoint"
        observables.append((f"evidences[].{place}.hostname", _HOSTNAME, name))
    servers = dict.fromkeys(server["ip"] for server in record["destinations"])
    observables += [("evidences[].dst_endpoint.ip", _ADDRESS, ip) for ip in servers]
    for name, kind, value in observables:
        if value:
            yield {"name": name, **_enum("type", kind), "value": value}
