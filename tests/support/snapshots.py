"""Snapshots of captures: one that has just begun, and a busy one."""

from dataclasses import replace

from support.alerts import ALERT, START

from netwatch.core.alert import EvidenceItem, Kind
from netwatch.watch.snapshot import (
    Backlog,
    ContactCount,
    EvidenceFiles,
    FleetStatus,
    OutputQueue,
    PublishedStatus,
    Snapshot,
    TableUsage,
    UpdateStatus,
)

NOW = 1_679_302_800.0

ITEM = EvidenceItem(
    time=START,
    time_digits=9,
    type="tls-sni",
    name="v16-webapp.tiktok.com",
    rule="suffix tiktok.com",
    role="exclusive",
    source="eth1",
    packet=5,
    count=12,
)
OPEN = replace(ALERT, status="open", evidence=(ITEM,), kind=Kind("session", ()), outcome="reached")

QUIET = Snapshot(now=NOW, started=NOW - 3, version="0.1.0", interfaces=("eth1",))
BUSY = Snapshot(
    now=NOW,
    updates=UpdateStatus(12, NOW + 86_400, 3600.0, NOW - 600, 2),
    fleet=FleetStatus(
        connected=True,
        waiting=3,
        waiting_bytes=90_000,
        committed=7,
        offset=0.25,
        published=PublishedStatus({"set": 7}, {"forged": 2}),
    ),
    started=NOW - 273_912,
    version="0.1.0",
    interfaces=("eth1", "eth2"),
    signatures="2024-11-02",
    packets=123_456_789,
    wire_bytes=10**12,
    candidates=4_000,
    dropped=12,
    ring_freezes=1,
    interface_events={"interface-down": 2},
    records=70_000,
    unread_records={"time-invalid": 3},
    log_events={"log-rotated": 5},
    log_lag=1.5,
    clock_steps=1,
    state_failures=4,
    last_packet=NOW - 0.2,
    last_drop=NOW - 7200,
    reloads=3,
    refused_reloads=1,
    last_reload=NOW - 60,
    observations={"tls-sni": 3000, "dns-query": 9000},
    anomalies={"tcp-retransmission": 1200, "not-ip": 800},
    without_verdict={"the client is outside the configured networks": 3},
    flows={"named": 8304, "encrypted-dns": 402, "ech": 98},
    incidents={"violation": 9, "advisory": 2},
    judged={("session", "reached"): 4, ("lookup", "blocked"): 6},
    open_incidents={"violation": 1},
    tables={"flows": TableUsage(4000, 65536, 7)},
    backlogs={"findings": Backlog(512, 3)},
    outputs={"siem": OutputQueue(5, NOW - 20, 100, 2, 1), "mail": OutputQueue(0)},
    evidence=EvidenceFiles(11, 40_000, {"evidence-age": 2}),
    recent=(
        OPEN,
        replace(ALERT, verdict="advisory", outcome="blocked"),
        replace(ALERT, verdict="exempt"),
    ),
    apps=(ContactCount("TikTok", 120, 4), ContactCount("WeChat", 33, 1)),
    devices=tuple(ContactCount(f"ws-{number:03}", 90 - number, 1) for number in range(9)),
)
