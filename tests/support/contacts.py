"""Contacts with given fields."""

from dataclasses import replace

from support import bans

from netwatch.core.alert import Sensor
from netwatch.core.flow import Seen
from netwatch.core.message import Observation
from netwatch.core.verdict import (
    App,
    Ban,
    Contact,
    Decision,
    Device,
    Match,
    Network,
    Outcome,
    Ruling,
)
from netwatch.rules.policy import confidence

SECOND = 10**9
GAP = 1800 * SECOND
ANSWERED = Seen(True, "both", "right")
"""How a contact is seen whose server answered."""
NOON = 1_680_516_000 * SECOND
SENSOR = Sensor("probe-1", "0.1.0", "5e1a", "c0ff")
APPS = {
    "tiktok": App("tiktok", "TikTok", "bytedance", "video"),
    "capcut": App("capcut", "CapCut", "bytedance", "video"),
}
HQ = Network("hq", "service", "City of Example")
BAN = replace(bans.BAN, id="rule", authority="City of Example", apps=frozenset(APPS))


def contact(
    at: float = 0.0,
    evidence: str = "tls-sni",
    name: str = "www.tiktok.com",
    role: str = "exclusive",
    who: int = 7,
    app: str = "tiktok",
    kind: str = "violation",
    ban: Ban = BAN,
    server: int = 1,
    port: int = 443,
    packet: int = 1,
    source: str = "a.pcap",
    flow: int = 1,
    outcome: Outcome = "attempted",
    more: tuple[Ban, ...] = (),
    seen: Seen = ANSWERED,
    **changed: object,
) -> Contact:
    """A contact, under `ban` and `more`, `at` seconds after noon, of device number `who`, whose
    server answered unless `seen` says otherwise."""
    observation = Observation(
        time=NOON + int(at * SECOND),
        time_digits=6,
        evidence=evidence,
        name=name,
        client_ip=bytes((10, 20, who >> 8, who & 255)),
        client_port=50000 + flow,
        client_mac=None,
        server_ip=bytes((192, 0, 2, server)),
        server_port=port,
        transport="tcp",
        vlan=20,
        source=source,
        packet=packet,
        flow_id=flow,
    )
    bans_ = (*((ban,) if ban is not None else ()), *more)
    match = Match(APPS[app], f"suffix {name.partition('.')[2]}", role)
    return Contact(
        replace(observation, **changed),
        match,
        Device(f"laptop-{who}", f"10.20.{who >> 8}.{who & 255}", None, None, None, "service"),
        HQ,
        Decision.of(tuple(Ruling(each, kind) for each in bans_ if kind is not None)),
        confidence(evidence, match),
        outcome,
        seen=seen,
    )
