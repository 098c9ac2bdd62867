"""Alerts as sensors of a fleet report them, made by hand."""

import json
from typing import Any

from netwatch.formats.values import rfc3339
from netwatch.incidents.alert_parts import incident_id
from netwatch.store.cases import SensorAlert

DAY = 1_679_270_400 * 10**9
"""2023-03-20, in ns."""

SECOND = 10**9
MINUTE = 60 * SECOND
GAP = 30 * MINUTE


def fleet_alert(
    sensor: str,
    first: int,
    last: int | None = None,
    *,
    device: str = "lab-07",
    ip: str | None = "10.20.1.7",
    mac: str | None = None,
    hostname: str | None = None,
    network: str = "hq",
    app: str = "tiktok",
    ban: str = "default",
    verdict: str = "violation",
    status: str = "closed",
    confidence: str = "confirmed",
    flows: tuple[str, ...] = (),
    count: int = 1,
    is_listed: bool = True,
    clock_offset: int = 0,
    **values: Any,
) -> SensorAlert:
    """The alert of an incident that a sensor saw from `first` to `last` (ns after `DAY`, by its own
    clock). `flows` are its Community IDs, and `count` is each of its counts."""
    last = first if last is None else last
    record: dict[str, Any] = {
        "schema": "netwatch.alert/1",
        "id": incident_id((device, app, ban, verdict), DAY + first, sensor),  # type: ignore[arg-type]
        "status": status,
        "verdict": verdict,
        "severity": "high",
        "confidence": confidence,
        "kind": {"value": "session", "reasons": ["It was used."]},
        "outcome": "reached",
        "blocked_by": [],
        "confidence_reasons": [],
        "first_seen": rfc3339(DAY + first, 6),
        "last_seen": rfc3339(DAY + last, 6),
        "duration": (last - first) / SECOND,
        "app": {"id": app, "name": app, "vendor": "bytedance"},
        "ban": {"id": ban, "authority": "City", "legal_basis": "Decision 2023/12", "from": None,
                "until": None, "review": None, "basis": ""},
        "exemption": None,
        "device": {"id": device, "ip": ip, "mac": mac, "hostname": hostname, "owner": None,
                   "class": "service", "reason": "", "randomised_mac": False},
        "network": {"name": network, "class": "service", "authority": "City", "vlan": None},
        "destinations": [{"ip": "203.0.113.10", "port": 443, "asn": None, "as_org": None,
                          "country": None}],
        "names": [f"www.{app}.com"],
        "evidence": [{
            "time": rfc3339(DAY + first, 6), "type": "tls-sni", "name": f"www.{app}.com",
            "rule": {"text": f"suffix {app}.com", "file": f"{app}.yaml", "line": 1, "sources": []},
            "role": "exclusive", "source": "eth1", "packet": 1, "count": count, "app_only": False,
            "raw": f"www.{app}.com", "chain": [], "answer": None, "tls": None,
        }],
        "counts": {"lookups": count, "handshakes": count, "flows": count, "bytes_out": count,
                   "bytes_in": count, "outcomes": {"reached": count, "attempted": count,
                                                   "blocked": count, "unknown": count}},
        "community_ids": sorted(flows),
        "sensor": {"name": f"{sensor}.example", "version": "1", "signatures": "s", "policy": "p"},
        "versions": {"netwatch": "1", "signatures": "s", "bans": "b", "configuration": "p",
                     "set": None},
        "binding": {"source": "inventory" if is_listed else "address", "from": None, "until": None,
                    "file": None, "line": None},
    }  # fmt: skip
    record |= values
    return SensorAlert(sensor, record, json.dumps(record), clock_offset)
