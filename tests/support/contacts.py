"""Contacts for incidents, made up."""

from dataclasses import replace
from datetime import date

from netwatch.model import (
    App,
    Ban,
    Contact,
    Device,
    Match,
    Network,
    Observation,
    Sensor,
    Verdict,
)
from netwatch.policy import confidence

SECOND = 10**9
GAP = 1800 * SECOND
NOON = 1_680_516_000 * SECOND
SENSOR = Sensor("probe-1", "0.1.0", "5e1a", "c0ff")
TIKTOK = App("tiktok", "TikTok", "bytedance", "video")
HQ = Network("hq", "service", "City of Example")
BAN = Ban(
    id="rule",
    authority="City of Example",
    apps=frozenset({"tiktok", "capcut"}),
    forbids=frozenset({"service"}),
    advises=frozenset({"personal"}),
    start=date(2023, 3, 10),
    end=None,
    review=None,
    timezone="Europe/Brussels",
    legal_basis="Decision 2023/12 art. 3",
    min_confidence="probable",
    severity="high",
)


def contact(
    at: float = 0.0,
    evidence: str = "tls-sni",
    name: str = "www.tiktok.com",
    role: str = "exclusive",
    who: int = 7,
    packet: int = 1,
    **changed: object,
) -> Contact:
    """A contact `at` seconds after noon, of device number `who`."""
    seen = Observation(
        time=NOON + int(at * SECOND),
        digits=9,
        evidence=evidence,
        name=name,
        client_ip=bytes((10, 20, who >> 8, who & 255)),
        client_port=50000,
        client_mac=None,
        server_ip=bytes((192, 0, 2, 1)),
        server_port=443,
        transport="tcp",
        vlan=20,
        source="eth1",
        packet=packet,
        flow=1,
    )
    return Contact(
        replace(seen, **changed),
        Match(TIKTOK, "suffix tiktok.com", role),
        Device(f"laptop-{who}", f"10.20.{who >> 8}.{who & 255}", None, None, None, "service"),
        HQ,
        Verdict("violation", confidence(evidence, role), "", BAN),
    )
