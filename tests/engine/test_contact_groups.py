"""Contacts that are alike are counted as one: the alerts are those of each contact by itself."""

import json
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.contacts import SENSOR
from support.office import CONFIG, configured

from netwatch import config
from netwatch.config import Config
from netwatch.core.flow import FlowProgress
from netwatch.core.message import AddressClaim, DnsInfo, Message, Packet, ShownName
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.verdict import Contact, Repeats
from netwatch.engine.contact_flows import ContactCollector, ContactFlows
from netwatch.engine.contact_groups import ContactGroups
from netwatch.engine.judge import Judge
from netwatch.formats import jsonl
from netwatch.incidents.aggregate import Incidents, under_each_ban
from netwatch.incidents.contacts import ContactProgress
from netwatch.inventory.learned import LearnedBindings

SECOND = 1_000_000_000
MIDNIGHT = 1_680_559_200 * SECOND
"""2023-04-04T00:00:00+02:00, when one ban ends, another begins, and an exemption ends."""
BANS = """
  - {id: region, authority: R, apps: [tiktok], forbids: [personal], advises: [service],
     from: 2023-01-01, until: 2023-04-03, timezone: Europe/Brussels, min_confidence: possible}
  - {id: state, authority: S, apps: [tiktok], forbids: [service], networks: [hq],
     from: 2023-04-04, timezone: Europe/Brussels}
  - {id: union, authority: U, apps: [tiktok], forbids: [service, personal, guest],
     timezone: Europe/Brussels,
     periods: [{from: 2023-01-01, until: 2023-04-03, kind: advice}, {from: 2023-04-04}]}
"""
LEAVE = """
  - {ban: union, device: 10.20.1.7, until: 2023-04-03, reason: research, approved_by: CISO}
"""
TEXT = (
    CONFIG.replace("exemptions:\n", f"{BANS}exemptions:{LEAVE.rstrip()}\n")
    .replace("\n\n", "\n")
    .replace("inventory: devices.csv", "inventory: devices.csv\n  learn: [dhcp, mdns, arp]")
    .replace("{quiet_gap: 30m}", "{quiet_gap: 20s}\nsinkholes: [10.20.0.90]")
)
CLIENTS = [bytes((10, 20, 1, 7)), bytes((10, 30, 4, 8)), bytes((10, 20, 0, 53)), bytes(4)]
MACS = [bytes.fromhex("020000200107"), bytes.fromhex("020000300408")]
SERVERS = [bytes((192, 0, 2, 1)), bytes((10, 20, 0, 90))]
NAMES = ["www.tiktok.com", "api.tiktokv.com", "www.example.org", "v.tiktok.com.corp.example"]
ANSWERS = [(), (("192.0.2.1", 60),), (("192.0.2.1", 50),), (("0.0.0.0", 60),)]

Event = tuple[Packet, Message] | None
"""A message with its packet; None where a block of packets ends."""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return config.load(configured(tmp_path_factory.mktemp("office"), TEXT))


@st.composite
def messages(draw: st.DrawFn, time: int, number: int) -> tuple[Packet, Message]:
    evidence = draw(
        st.sampled_from(["tls-sni", "dns-answer", "claim", "dns-query", "tls-sni", "tls-cert"])
    )
    client = draw(st.sampled_from([CLIENTS[0], *CLIENTS]))
    mac = draw(st.sampled_from(MACS))
    server, vlan = draw(st.sampled_from(SERVERS)), draw(st.sampled_from([None, 30]))
    port = 50_000 + draw(st.integers(0, 2))
    to_client = evidence in ("dns-answer", "tls-cert")
    ends = (client, port, mac), (server, 443, bytes(6))
    (src, sport, src_mac), (dst, dport, dst_mac) = reversed(ends) if to_client else ends
    packet = Packet(
        source="a.pcap",
        number=number,
        time=time,
        time_digits=draw(st.sampled_from([6, 6, 9])),
        transport="tcp",
        src=src,
        sport=sport,
        dst=dst,
        dport=dport,
        src_mac=src_mac,
        dst_mac=dst_mac,
        vlan=vlan,
        flow_id=draw(st.integers(1, 3)),
    )
    if evidence == "claim":
        kind = draw(st.sampled_from(["announcement", "lease", "release"]))
        claim = AddressClaim(
            kind,
            (client,),
            mac,
            on_link=kind == "announcement",
            hostname=draw(st.sampled_from(["", "phone", "laptop"])),
            lifetime=draw(st.sampled_from([None, 5, 40])),
        )
        return packet, Message((), 0, claims=(claim,))
    dns = None
    if evidence.startswith("dns"):
        code = draw(st.sampled_from(["NOERROR", "NXDOMAIN"]))
        is_answer = evidence == "dns-answer"
        dns = DnsInfo(
            "A",
            code if is_answer else None,
            draw(st.sampled_from(ANSWERS)) if is_answer and code == "NOERROR" else (),
        )
    shown = ShownName(evidence, draw(st.sampled_from([NAMES[0], *NAMES])), to_client)
    return packet, Message((shown,), 0, dns=dns)


@st.composite
def traffic(draw: st.DrawFn) -> list[Event]:
    """Messages around midnight, not always in order, in several blocks. There are few, each of them
    several times, so that many are alike."""
    kinds = [draw(messages(MIDNIGHT, 0)) for _ in range(draw(st.integers(1, 4)))]
    time, events = MIDNIGHT - draw(st.sampled_from([1, 70])) * SECOND, []
    for number in range(1, draw(st.integers(1, 25))):
        time += draw(st.sampled_from([0, 1, 1, 19, 20, 21, -1])) * SECOND
        packet, message = draw(st.sampled_from(kinds))
        fields = {name: getattr(packet, name) for name in Packet.__dataclass_fields__}
        fields |= {"time": time, "number": number}
        if draw(st.booleans()):
            fields |= {"flow_id": draw(st.integers(1, 3))}
            to_client = any(shown.client_is_destination for shown in message.names)
            fields["dport" if to_client else "sport"] = 50_000 + draw(st.integers(0, 2))
        events.append((Packet(**fields), message))
        if draw(st.integers(0, 5)) == 0:
            events.append(None)
    return events


class OfEachBan:
    """Collects contacts under each ban by itself."""

    def __init__(self, incidents: Incidents) -> None:
        self.incidents = incidents

    def add(self, contact: Contact) -> None:
        for under in under_each_ban(contact):
            self.incidents.add(under)

    def add_sender(self, contact: Contact) -> None:
        self.incidents.add_sender(contact)

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        for under in under_each_ban(contact):
            if bans is None or under.decision.rulings[0].ban.id in bans:
                self.incidents.add_progress(under, progress)


def judged(
    events: Sequence[Event],
    office: Config,
    *,
    grouped: bool = True,
    collector: ContactCollector | None = None,
) -> dict[str, Any]:
    """What a capture of these messages gives."""
    far = FlowProgress(500, 900, MIDNIGHT + 99 * SECOND, "payload")
    dissector: Any = SimpleNamespace(
        report_end_of=lambda flow: None, progress_of=lambda seen: far, answers_in=lambda flow: ()
    )
    batch, incidents = ObservationBatch(["a.pcap"]), Incidents(office.quiet_gap)
    collector = collector or (incidents if grouped else OfEachBan(incidents))

    def network_of(ip: bytes, vlan: int | None) -> str | None:
        network = office.networks.find(ip, vlan)
        return network.name if network is not None else None

    learned, without = LearnedBindings(network_of, office.quiet_gap), Counter[str]()
    flows = ContactFlows(dissector, collector, office.quiet_gap)
    groups = ContactGroups(Judge(office, learned), collector, without, flows)
    for event in events:
        if event is None:
            groups.flush()
            flows.report()
            batch.clear()
            continue
        packet, message = event
        if message.claims:
            learned.record(packet, message)
        groups.add_rows(batch, *batch.append(packet, message, 0, False))
        if not grouped:
            groups.flush()
    groups.flush()
    flows.report()
    found = incidents.found(office.geo, SENSOR)
    return {
        "alerts": [json.dumps(jsonl.alert_record(alert)) for alert in found.alerts],
        "counts": found[1:],
        "without verdict": without,
        "shared": (learned.shared_addresses, learned.shared_macs),
    }


class Collected:
    """Collects contacts as they come."""

    def __init__(self) -> None:
        self.contacts: list[Contact] = []

    def add(self, contact: Contact) -> None:
        self.contacts.append(contact)

    def add_sender(self, contact: Contact) -> None: ...

    def add_progress(self, *progress: object) -> None: ...


def hello(
    at: float,
    port: int = 50_000,
    flow: int = 1,
    mac: bytes = MACS[0],
    name: str = NAMES[0],
    udp: bool = False,
) -> Event:
    ends = CLIENTS[0], port, SERVERS[0], 443, mac, bytes(6)
    time = MIDNIGHT + int(at * SECOND)
    packet = Packet("a.pcap", 1 + int(at * 10), time, 6, "udp" if udp else "tcp", *ends, None, flow)
    return packet, Message((ShownName("quic-sni" if udp else "tls-sni", name),), 0)


def answer(at: float, rcode: str) -> Event:
    ends = SERVERS[0], 53, CLIENTS[0], 50_000, bytes(6), MACS[0]
    time = MIDNIGHT + int(at * SECOND)
    packet = Packet("a.pcap", 1 + int(at * 10), time, 6, "udp", *ends, None, 0)
    return packet, Message((ShownName("dns-answer", NAMES[0], True),), 0, dns=DnsInfo("A", rcode))


def claim(at: float, mac: bytes) -> Event:
    event = hello(at, mac=mac)
    assert event is not None
    told = AddressClaim("announcement", (CLIENTS[0],), mac, on_link=True)
    return event[0], Message((), 0, claims=(told,))


def passed_on(events: Sequence[Event], office: Config) -> list[Contact]:
    """The contacts that a collector gets."""
    collected = Collected()
    judged(events, office, collector=collected)
    return collected.contacts


def test_contacts_alike_are_passed_on_as_one(office: Config) -> None:
    events = [hello(0, 50_001, 1), hello(1, 50_002, 2), hello(2, 50_001, 3)]
    (one,) = passed_on(events, office)
    assert one.observation.time == MIDNIGHT
    ports = {50_001: 2, 50_002: 1}
    assert one.repeats == Repeats(3, MIDNIGHT + 2 * SECOND, ports, frozenset({1, 2, 3}))


@pytest.mark.parametrize(
    "events",
    [
        [hello(0), None, hello(1)],
        [hello(0), hello(20.1)],
        [hello(1), hello(0)],
        [hello(59), hello(61)],
        [hello(0), hello(1, mac=MACS[1])],
        [hello(0), claim(1, MACS[0]), hello(2)],
        [answer(0, "NXDOMAIN"), answer(1, "NOERROR")],
    ],
    ids=["block", "gap", "order", "minute", "mac", "learned", "answer"],
)
def test_what_separates_groups(events: list[Event], office: Config) -> None:
    first, second = passed_on(events, office)
    assert first.repeats is second.repeats is None
    # The same with one more of each: both are groups.
    twice = [each for event in events for each in (event, event)]
    assert [each.repeats.count for each in passed_on(twice, office) if each.repeats] == [2, 2]


@pytest.mark.parametrize(
    ("events", "against"),
    [
        ([hello(0), hello(1, name=NAMES[1])], [[], ["two-names"]]),
        ([hello(0), None, hello(9, name=NAMES[1])], [[], ["two-names"]]),
        ([hello(0), hello(1), hello(2)], [[]]),
        ([hello(0), hello(1, flow=2, name=NAMES[1])], [[], []]),
        ([hello(0), hello(1, port=443, name=NAMES[1])], [[], []]),
        ([hello(0, udp=True), hello(1, name=NAMES[1], udp=True)], [[], ["two-names"]]),
        ([hello(0, udp=True), hello(11, name=NAMES[1], udp=True)], [[], []]),
    ],
    ids=["two", "late", "one", "flows", "side", "datagrams", "port-again"],
)
def test_a_second_name_in_a_flow_is_a_contradiction(
    events: list[Event], against: list[list[str]], office: Config
) -> None:
    contacts = passed_on(events, office)
    assert [[each.type for each in found.contradictions] for found in contacts] == against


@settings(deadline=None)
@given(events=traffic())
def test_groups_give_the_alerts_of_each_contact(events: list[Event], office: Config) -> None:
    assert judged(events, office, grouped=True) == judged(events, office, grouped=False)
