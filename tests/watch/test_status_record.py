"""The status that a running capture keeps in a store."""

import json

from netwatch.watch.health import Thresholds
from netwatch.watch.snapshot import OutputQueue, Snapshot
from netwatch.watch.status_record import status_record

FIRST = Snapshot(
    now=1000.0, started=900.0, version="1", interfaces=("eth0", "eth1"),
    interfaces_down=("eth1",), packets=100, wire_bytes=1000, observations={"tls-sni": 5},
    last_packet=999.0, outputs={"siem": OutputQueue(3, oldest=990.0)},
)  # fmt: skip
SECOND = Snapshot(
    now=1010.0, started=900.0, version="1", packets=1100, wire_bytes=6000, dropped=20,
    observations={"tls-sni": 10, "dns-query": 25}, last_packet=1009.0, last_drop=1009.0,
)  # fmt: skip


def test_rates_are_of_the_time_between() -> None:
    assert status_record(FIRST, None, Thresholds())["rates"] is None
    record = status_record(SECOND, FIRST, Thresholds())
    assert record["rates"] == {"packets": 100.0, "bits": 4000.0, "dropped": 2.0, "names": 3.0}
    assert [each["kind"] for each in record["troubles"]] == ["dropping"]


def test_interfaces_and_outputs() -> None:
    record = json.loads(json.dumps(status_record(FIRST, None, Thresholds())))
    assert record["interfaces"] == [{"name": "eth0", "up": True}, {"name": "eth1", "up": False}]
    assert record["outputs"] == [{"name": "siem", "waiting": 3, "oldest": 990.0, "lost": 0}]
    assert "down" in [each["kind"] for each in record["troubles"]]
