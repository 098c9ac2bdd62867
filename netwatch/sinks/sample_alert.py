"""The record of a test alert. ``netwatch outputs test`` sends it; templates are tried with it."""

from datetime import UTC, datetime
from typing import Any

MARK = "netwatch-test"
"""The id of app, ban and device in a test alert."""


def sample_alert(now: float, sensor: str, version: str) -> dict[str, Any]:
    """The record of a test alert with every field, at the time `now` in s since the epoch."""
    time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    explanation = "test of an output, no incident"
    return {
        "schema": "netwatch.alert/1",
        "id": f"test-{int(now * 1000):x}",
        "status": "closed",
        "verdict": "exempt",
        "severity": "low",
        "confidence": "possible",
        "kind": {"value": "lookup", "reasons": [explanation]},
        "outcome": "unknown",
        "blocked_by": [],
        "confidence_reasons": [],
        "contradictions": [],
        "candidates": [],
        "first_seen": time,
        "last_seen": time,
        "duration": 0.0,
        "app": {"id": MARK, "name": "netwatch test", "vendor": MARK},
        "ban": {
            "id": MARK,
            "authority": explanation,
            "legal_basis": "",
            "from": None,
            "until": None,
            "review": None,
            "basis": "",
        },
        "exemption": None,
        "device": {
            "id": MARK,
            "ip": "192.0.2.1",
            "mac": None,
            "hostname": None,
            "owner": None,
            "class": "service",
        },
        "network": {"name": MARK, "class": "service", "authority": "", "vlan": None},
        "destinations": [
            {"ip": "198.51.100.1", "port": 443, "asn": None, "as_org": None, "country": None}
        ],
        "names": ["test.example"],
        "evidence": [
            {
                "time": time,
                "type": "tls-sni",
                "name": "test.example",
                "rule": {"text": explanation, "file": "", "line": 0, "sources": []},
                "role": "exclusive",
                "source": MARK,
                "packet": 1,
                "count": 1,
                "app_only": False,
                "raw": "test.example",
                "chain": [],
                "answer": None,
                "tls": None,
            }
        ],
        "counts": {
            "lookups": 0,
            "handshakes": 1,
            "flows": 0,
            "bytes_out": 0,
            "bytes_in": 0,
            "outcomes": {"reached": 0, "attempted": 0, "blocked": 0, "unknown": 1},
        },
        "community_ids": [],
        "sensor": {"name": sensor, "version": version},
    }
