"""Alerts, and the packets that prove them."""

from dataclasses import replace

from support.bans import BAN

from netwatch.core.alert import Alert, IncidentCounts, Sensor
from netwatch.core.flow import EvidenceFrames, Frame
from netwatch.core.verdict import App, Device, Network
from netwatch.incidents.alert_parts import incident_id

START = 1_679_302_800_000_000_000
SECOND = 1_000_000_000

ALERT = Alert(
    id="0" * 32,
    status="closed",
    verdict="violation",
    severity="high",
    confidence="confirmed",
    first_seen=START,
    last_seen=START + 100 * SECOND,
    time_digits=6,
    app=App("tiktok", "TikTok", "bytedance", "video"),
    ban=BAN,
    exemption=None,
    device=Device("ws-021", "10.20.1.21", "02:00:00:20:01:21", "ws-021", "R. Doe", "service"),
    network=Network("hq", "service", "BE-FED"),
    vlan=None,
    destinations=(),
    names=("www.tiktok.com",),
    evidence=(),
    counts=IncidentCounts(1, 1, 1, 600, 4000),
    community_ids=(),
    sensor=Sensor("sensor-1", "0.1.0"),
)


def frame(number: int, size: int = 100, source: str = "eth1", second: float | None = None) -> Frame:
    """A packet, a second after the one before."""
    time = START + round((number if second is None else second) * SECOND)
    return Frame(source, number, time, 9, 1, source, size, -1, bytes([number % 256]) * size)


def proof(*frames: Frame, kind: str = "tls-sni", name: str = "www.tiktok.com") -> EvidenceFrames:
    """A contact that the last of its packets shows."""
    last = frames[-1]
    return EvidenceFrames(kind, name, last.time, last.source, last.number, frames)


def alert(*proofs: EvidenceFrames, **fields: object) -> Alert:
    """An alert of an incident that begins with the first of these."""
    first = min((each.time for each in proofs), default=START)
    made = replace(ALERT, first_seen=first, evidence_frames=proofs, extra={})
    key = made.device.id, made.app.id, made.ban.id, made.verdict
    return replace(made, **({"id": incident_id(key, first)} | fields))
