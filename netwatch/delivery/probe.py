"""Is a receiver there? A test alert goes the way of all others to it, and is marked as none;
or it is reached without sending it anything.
"""

from datetime import UTC, datetime
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.delivery.attempt import Result, attempt
from netwatch.delivery.outbox import Row, key_of
from netwatch.sinks.base import Output
from netwatch.sinks.secrets import redacted

MARK = "netwatch-test"
"""Id of app, ban and device in a test alert."""


def record(now: float, sensor: str, version: str) -> dict[str, Any]:
    """A test alert, complete in every field, of the moment `now` in s since the epoch."""
    time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    told = "test of an output, no incident"
    return {
        "schema": "netwatch.alert/1",
        "id": f"test-{int(now * 1000):x}",
        "status": "closed",
        "verdict": "exempt",
        "severity": "low",
        "confidence": "possible",
        "first_seen": time,
        "last_seen": time,
        "app": {"id": MARK, "name": "netwatch test", "vendor": MARK},
        "ban": {
            "id": MARK,
            "authority": told,
            "legal_basis": "",
            "from": None,
            "until": None,
            "review": None,
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
                "rule": told,
                "role": "exclusive",
                "source": MARK,
                "packet": 1,
                "count": 1,
            }
        ],
        "counts": {"lookups": 0, "handshakes": 1, "flows": 0, "bytes_out": 0, "bytes_in": 0},
        "community_ids": [],
        "sensor": {"name": sensor, "version": version},
    }


def send(output: Output, record: dict[str, Any], now: float) -> Result:
    """Send an alert to one output at once, past the outbox. Raises `NetwatchError` where the
    output cannot even be opened."""
    sink = output.settings.open()
    try:
        return attempt(output, sink, [Row(1, key_of(record), now, record)])
    finally:
        sink.close()


def reach(output: Output) -> tuple[bool, str]:
    """Whether the receiver of an output can be reached, without sending it an alert, and
    what it said or why not."""
    try:
        sink = output.settings.open()
        try:
            found, told = True, sink.reach()
        finally:
            sink.close()
    except NetwatchError as error:
        found, told = False, str(error)
    except Exception as error:  # of a receiver's library
        found, told = False, f"{type(error).__name__}: {error}"
    return found, redacted(told, output.settings.secrets())
