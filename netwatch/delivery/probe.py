"""Checks of an output for ``netwatch outputs test`` and ``netwatch doctor``: send it a marked test
alert, or check the connection without sending anything.
"""

from datetime import UTC, datetime
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.delivery.attempt import AttemptResult, attempt
from netwatch.delivery.output import Output
from netwatch.delivery.queue_values import QueuedAlert
from netwatch.delivery.stored_record import deduplication_key
from netwatch.sinks.redaction import redact

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


def send(output: Output, record: dict[str, Any]) -> AttemptResult:
    """Send an alert to one output immediately, bypassing the outbox. Raises `NetwatchError` if the
    output cannot even be opened."""
    sink = output.options.open()
    try:
        alert = QueuedAlert(1, deduplication_key(record), 0.0, record)
        return attempt(output, sink, [alert])
    finally:
        sink.close()


def check_connection(output: Output) -> tuple[bool, str]:
    """Whether the receiver of an output can be reached, without sending it an alert, and its answer
    or the reason why not."""
    try:
        sink = output.options.open()
        try:
            reached, text = True, sink.check_connection()
        finally:
            sink.close()
    except NetwatchError as error:
        reached, text = False, str(error)
    except Exception as error:  # From a receiver's library.
        reached, text = False, f"{type(error).__name__}: {error}"
    return reached, redact(text, output.options.secrets())
