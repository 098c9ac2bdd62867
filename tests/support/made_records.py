"""Records for the tests of the formats, with every field set or every optional one absent."""

from dataclasses import replace
from datetime import date

from support import bans

from netwatch.core.alert import (
    Alert,
    Answer,
    CandidateSet,
    ContradictionItem,
    ContradictionPlace,
    Destination,
    EvidenceItem,
    IncidentCounts,
    InstalledSet,
    Kind,
    Sensor,
)
from netwatch.core.message import DnsInfo, Observation, QuicInfo, TlsInfo
from netwatch.core.verdict import App, BindingPeriod, Device, Exemption, Network, RulePlace

TIME = 1_678_406_400_123_456_789  # 2023-03-10T00:00:00.123456789Z

BARE = Observation(
    time=TIME,
    time_digits=6,
    evidence="dns-query",
    name="tiktok.com",
    client_ip=bytes([10, 20, 0, 7]),
    client_port=53124,
    client_mac=None,
    server_ip=bytes([192, 0, 2, 53]),
    server_port=53,
    transport="udp",
    vlan=None,
    source="office.pcap",
    packet=17,
)

FULL = replace(
    BARE,
    evidence="dns-answer",
    raw="TikTok.com",
    asked="www.example.org",
    client_ip=bytes.fromhex("20010db8002000000000000000000007"),
    server_ip=bytes.fromhex("20010db8000000000000000000000053"),
    client_mac=bytes([2, 0, 0, 0, 0, 0xAB]),
    vlan=30,
    dns=DnsInfo(
        "A",
        "NOERROR",
        (("192.0.2.1", 60), ("192.0.2.2", 60)),
        ("a.example", "b.example"),
        ("public.example",),
        ("service.example",),
        ("public.example/42/0011223344556677/300",),
    ),
    tls=TlsInfo(
        "1.3", ("h2", "http/1.1"), "outer", lambda: "t13d1516h2_8daaf6152771_e5627efa2ab1", 42
    ),
    quic=QuicInfo("1"),
)

BAN = replace(bans.BAN, review=date(2023, 9, 1))

ITEM = EvidenceItem(
    time=TIME + 10**9,
    time_digits=6,
    type="tls-sni",
    name="v16-webapp.tiktok.com",
    rule="suffix tiktok.com",
    role="exclusive",
    source="office.pcap",
    packet=21,
    count=3,
    app_only=True,
    place=RulePlace("signatures/apps/tiktok.yaml", 21, ("nextdns", "v2fly")),
    raw="V16-webapp.TikTok.com",
    answer=Answer("192.0.2.80", 300, "NOERROR"),
    ja4="t13d1516h2_8daaf6152771_e5627efa2ab1",
)

EARLIER = replace(
    ITEM,
    time=TIME,
    type="dns-query",
    name="tiktok.com",
    packet=17,
    count=2,
    app_only=False,
    raw="tiktok.com",
    answer=None,
    ja4=None,
)

ALERT = Alert(
    id="3f1c",
    status="closed",
    verdict="violation",
    severity="high",
    confidence="confirmed",
    first_seen=TIME,
    last_seen=TIME + 100 * 10**9,
    time_digits=6,
    app=App("tiktok", "TikTok", "bytedance", "video"),
    ban=BAN,
    exemption=None,
    device=Device("lab-07", "10.20.0.7", None, None, None, "service"),
    network=Network("hq", "service", "BE-FED"),
    vlan=None,
    destinations=(),
    names=(),
    evidence=(),
    counts=IncidentCounts(),
    community_ids=(),
    sensor=Sensor("sensor-1", "0.1.0", "5e1a", "c0ff", "ba25"),
    kind=Kind("session", ("3 handshakes to names that only the app calls.",)),
    outcome="reached",
)

BLOCKED = replace(
    ALERT,
    severity="medium",
    confidence="probable",
    evidence=(
        replace(ITEM, type="dns-query", name="api16-normal-c-useast1a.tiktokv.com", count=6),
    ),
    counts=IncidentCounts(lookups=12, blocked=6, unknown=6),
    kind=Kind("lookup", ("Only lookups, no handshake.",)),
    outcome="blocked",
    blocked_by=("NXDOMAIN",),
)

FULL_ALERT = replace(
    ALERT,
    verdict="exempt",
    exemption=Exemption(
        ban="be-fed-tiktok-2023",
        device="lab-07",
        start=None,
        end=date(2023, 6, 30),
        reason="forensic research",
        approved_by="CISO",
        apps=frozenset({"tiktok", "capcut"}),
    ),
    device=Device(
        "lab-07",
        "10.20.0.7",
        "02:00:00:00:00:ab",
        "lab07",
        "R. Doe",
        "service",
        BindingPeriod("kea", TIME - 10**9, TIME + 10**9, "kea-leases4.csv", 7),
        "the inventory has its MAC: class of the entry",
        False,
    ),
    vlan=30,
    destinations=(
        Destination("192.0.2.80", 443, 64496, "Example", "BE"),
        Destination("2001:db8::80", 443, None, None, None),
    ),
    names=("tiktok.com", "v16-webapp.tiktok.com"),
    evidence=(ITEM, EARLIER),
    counts=IncidentCounts(2, 3, 1, 4000, 90000, reached=3, attempted=1, blocked=1, unknown=2),
    kind=Kind("background", ("3 handshakes in 1 h 40 min.", "4,000 bytes were sent")),
    outcome="reached",
    blocked_by=("NXDOMAIN", "10.20.0.80"),
    duration=101_500_000_000,
    confidence_reasons=("v16-webapp.tiktok.com is called by the app alone.",),
    contradictions=(
        ContradictionItem(
            "two-names",
            "The same connection shows another name as well: www.tiktok.com.",
            2,
            (ContradictionPlace(ALERT.first_seen, 6, "tls-sni", "www.tiktok.com", "a.pcap", 7),),
        ),
    ),
    candidates=(
        CandidateSet(("m.tiktok.com", "www.tiktok.com"), 3, "Its key was given for these."),
    ),
    community_ids=("1:abc", "1:def"),
    sensor=replace(
        ALERT.sensor, installed_set=InstalledSet(12, "0a1b2c3d4e5f", "2023-06-01T00:00:00Z")
    ),
)

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    "\rx",
    'quote", comma\nnext line\r\n{"time":0}',
    "\x1b[2J\x1b]0;title\x07",
    "\u202emoc.kotkit",
    "zero\u200bwidth\u2028line\x85\x7f",
    "[red]markup[/red] [link=x]",
    "lone \udcff surrogate",
    "tag \U000e0041 letter, \U0001d54f letter",
    "\\u202e backslash",
    "x" * 300,
    "a.b" * 90,
    "",
]
"""Names and other text that a sender chooses."""
