"""What a running capture says of itself in a store, where consoles and reports read it.

The record has counters and states, as the metrics have them, and nothing of a packet or a person.
"""

from typing import Any

from netwatch.watch.health import Thresholds, troubles
from netwatch.watch.snapshot import Snapshot

SCHEMA = "netwatch.sensor/1"


def status_record(
    snapshot: Snapshot, before: Snapshot | None, thresholds: Thresholds
) -> dict[str, Any]:
    """The status of a capture as a record; times are s since the epoch, rates a second since the
    snapshot `before`, null without one."""
    return {
        "schema": SCHEMA,
        "version": snapshot.version,
        "signatures": snapshot.signatures,
        "started": snapshot.started,
        "last_packet": snapshot.last_packet,
        "interfaces": [
            {"name": name, "up": name not in snapshot.interfaces_down}
            for name in snapshot.interfaces
        ],
        "packets": snapshot.packets,
        "bytes": snapshot.wire_bytes,
        "dropped": snapshot.dropped,
        "last_drop": snapshot.last_drop,
        "rates": _rates(snapshot, before),
        "flows": dict(snapshot.flows),
        "open_incidents": dict(snapshot.open_incidents),
        "troubles": [
            {"kind": each.kind, "where": each.where, "message": each.message}
            for each in troubles(snapshot, thresholds)
        ],
        "outputs": [
            {"name": name, "waiting": queue.waiting, "oldest": queue.oldest, "lost": queue.lost}
            for name, queue in sorted(snapshot.outputs.items())
        ],
        "store": {
            "rows": snapshot.store.rows,
            "lost": snapshot.store.lost,
            "skipped": snapshot.store.skipped,
            "records_lost": snapshot.store.decisions_lost,
        },
    }


def _rates(snapshot: Snapshot, before: Snapshot | None) -> dict[str, float] | None:
    if before is None or snapshot.now <= before.now:
        return None
    seconds = snapshot.now - before.now
    names = sum(snapshot.observations.values()) - sum(before.observations.values())
    return {
        "packets": (snapshot.packets - before.packets) / seconds,
        "bits": 8 * (snapshot.wire_bytes - before.wire_bytes) / seconds,
        "dropped": (snapshot.dropped - before.dropped) / seconds,
        "names": names / seconds,
    }
