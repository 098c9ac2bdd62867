"""Flows identified by an address that their client had resolved, and when they are not."""

import json
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from itertools import permutations
from pathlib import Path

import handshakes
import messages
import pytest
from craft import Conversation, Host, Wire
from hypothesis import given
from hypothesis import strategies as st
from support.made_flows import flow
from support.office import (
    CONFIG,
    DURING,
    FAR,
    FAR6,
    PERSONAL,
    RESOLVER,
    SERVICE,
    SERVICE6,
    TIKTOK,
    capture,
    configured,
)

from netwatch.cli import main
from netwatch.core.flow import DNS_TTL_GRACE, Flow
from netwatch.core.message import DnsInfo, Message, Observation, ShownName
from netwatch.dissect.flows.address_tables import AddressFilter
from netwatch.engine.resolved_addresses import ResolvedAddresses

SECOND = 1_000_000_000
ADDRESS = "203.0.113.10"
OTHER_NAME = ("other", "www.other.example")
APP = ("tiktok", TIKTOK)


def answer(
    *addresses: str, at: int = 0, ttl: int = 60, client: str = "10.20.1.7", name: str = TIKTOK
) -> Observation:
    """An answer for `name` with these addresses, `at` seconds after the epoch."""
    return Observation(
        time=at * SECOND,
        time_digits=9,
        evidence="dns-answer",
        name=name,
        client_ip=ip_address(client).packed,
        client_port=50000,
        client_mac=b"\2\0\0\0\0\1",
        server_ip=ip_address("10.20.0.53").packed,
        server_port=53,
        transport="udp",
        vlan=None,
        source="test",
        packet=1,
        dns=DnsInfo("A", "NOERROR", tuple((address, ttl) for address in addresses or (ADDRESS,))),
    )


def flow_at(second: float, server: str = ADDRESS, **fields: object) -> Flow:
    """A flow without a name whose first packet came `second` seconds after the epoch."""
    first = round(second * SECOND)
    return flow(server=server, first=first, last=first, **fields)


class Uninteresting:
    """Remembers nothing but that it was called."""

    def __init__(self) -> None:
        self.noted: list[tuple[bytes, bytes, int, int]] = []

    def answered(self, client: bytes, address: bytes, time: int) -> bool:
        return False

    def remember(self, client: bytes, address: bytes, time: int, until: int) -> None:
        self.noted.append((client, address, time, until))

    def asked(self, client: bytes, name: str, time: int) -> bool:
        return False

    def remember_name(self, client: bytes, name: str, time: int, until: int) -> None:
        """Names are no part of what is tested here."""


class Pairs:
    """Counts pairs of a client and a server."""

    def __init__(self, counts: Counter[tuple[bytes, bytes]]) -> None:
        self.counts = counts

    def add(self, client: bytes, server: bytes) -> None:
        self.counts[client, server] += 1

    def discard(self, client: bytes, server: bytes) -> None:
        self.counts[client, server] -= 1
        self.counts += Counter()  # without those that are at 0


def new_table(**limits: int) -> ResolvedAddresses:
    return ResolvedAddresses(Uninteresting(), AddressFilter(1), **limits)


def test_a_flow_is_identified_by_an_answer() -> None:
    resolved = new_table()
    resolved.add(answer(ADDRESS, "2001:db8::1"), APP)
    found = resolved.identify(flow_at(7, packet=99, vlan=5, source="later"))
    assert found is not None
    assert (found.evidence, found.name, found.time) == ("ip-from-dns", TIKTOK, 7 * SECOND)
    assert (found.server_ip, found.server_port) == (ip_address(ADDRESS).packed, 443)
    assert (found.client_port, found.transport) == (50000, "tcp")
    assert (found.packet, found.source, found.vlan) == (99, "later", 5)
    assert found.client_mac == b"\2\0\0\0\0\1"
    assert resolved.identify(flow_at(7, "2001:db8::1")) is not None


def test_an_alias_is_named_where_the_rule_matches_it() -> None:
    resolved = new_table()
    resolved.add(answer(name="short.example.org"), ("tiktok", "cdn.tiktok.com"))
    found = resolved.identify(flow_at(1))
    assert found is not None
    assert found.name == "cdn.tiktok.com"


@pytest.mark.parametrize(
    ("second", "known"),
    [
        (-0.001, False),
        (0, True),
        (60, True),
        (60 + DNS_TTL_GRACE / SECOND, True),
        (60.001 + DNS_TTL_GRACE / SECOND, False),
    ],
)
def test_from_the_answer_to_the_end_of_ttl_and_grace(second: float, known: bool) -> None:
    resolved = new_table()
    resolved.add(answer(), APP)
    assert (resolved.identify(flow_at(second)) is not None) == known


def test_a_repeated_answer_prolongs_the_first() -> None:
    resolved = new_table()
    for moment in (0, 100, 300):
        resolved.add(answer(at=moment), APP)
    assert resolved.identify(flow_at(1)) is not None
    assert resolved.identify(flow_at(300 + 360)) is not None
    assert resolved.identify(flow_at(300 + 361)) is None
    assert resolved.shared == 0


def test_a_repeated_answer_after_the_first_expired_leaves_a_gap() -> None:
    resolved = new_table()
    resolved.add(answer(), APP)
    resolved.add(answer(at=1000), APP)
    assert [resolved.identify(flow_at(second)) is not None for second in (1, 500, 1001)] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("name_status", ["named", "encrypted-dns", "vpn", "relay", "tor"])
def test_a_flow_that_shows_what_it_is_is_not_identified_by_address(name_status: str) -> None:
    resolved = new_table()
    resolved.add(answer(), APP)
    assert resolved.identify(flow_at(1, name_status=name_status)) is None


@pytest.mark.parametrize("name_status", ["none", "truncated", "no-sni", "ech"])
def test_a_flow_without_a_name_is_identified_by_address(name_status: str) -> None:
    resolved = new_table()
    resolved.add(answer(), APP)
    assert resolved.identify(flow_at(1, name_status=name_status)) is not None


@pytest.mark.parametrize("other", [OTHER_NAME, None])
def test_another_app_or_name_takes_the_evidence_away(other: tuple[str, str] | None) -> None:
    resolved = new_table()
    resolved.add(answer(), APP)
    resolved.add(answer(at=10, ttl=30, name="www.other.example"), other)
    assert resolved.identify(flow_at(5)) is not None
    assert resolved.identify(flow_at(20)) is None
    assert resolved.shared == 1
    resolved.add(answer(at=395), APP)
    assert resolved.identify(flow_at(396)) is not None


def test_another_client_takes_no_evidence_away() -> None:
    resolved = new_table()
    resolved.add(answer(), APP)
    resolved.add(answer(client="10.20.1.8", name="www.other.example"), None)
    assert resolved.identify(flow_at(1)) is not None
    assert resolved.identify(flow_at(1, client_ip=ip_address("10.20.1.8").packed)) is None


def test_an_answer_for_no_app_identifies_nothing() -> None:
    resolved = new_table()
    resolved.add(answer(), None)
    assert resolved.identify(flow_at(1)) is None


def message(*addresses: str) -> Message:
    dns = DnsInfo("A", "NOERROR", tuple((address, 60) for address in addresses))
    return Message((ShownName("dns-answer", "x.example", client_is_destination=True),), 10, dns=dns)


def test_which_messages_have_addresses() -> None:
    assert ResolvedAddresses.has_addresses(message(ADDRESS))
    assert not ResolvedAddresses.has_addresses(message())
    assert not ResolvedAddresses.has_addresses(Message((), 0))


def test_an_address_that_was_not_resolved_for_an_app_is_uninteresting() -> None:
    uninteresting = Uninteresting()
    noted = uninteresting.noted
    resolved = ResolvedAddresses(uninteresting, AddressFilter(1))
    resolved.add(answer("192.0.2.1", "2001:db8::1", at=5), None)
    client = ip_address("10.20.1.7").packed
    assert noted == [
        (client, ip_address(text).packed, 5 * SECOND, 65 * SECOND + DNS_TTL_GRACE)
        for text in ("192.0.2.1", "2001:db8::1")
    ]
    resolved.add(answer("192.0.2.1"), APP)
    resolved.add(answer("192.0.2.1", at=7), None)
    assert len(noted) == 2
    assert len(resolved) == 1


def test_of_too_many_addresses_the_oldest_are_evicted() -> None:
    resolved = new_table(limit=3)
    resolved.add(answer("192.0.2.1"), APP)
    resolved.add(answer(*(f"192.0.2.{number}" for number in range(2, 5))), APP)
    assert resolved.evicted == 1
    assert resolved.identify(flow_at(1, "192.0.2.1")) is None
    assert resolved.identify(flow_at(1, "192.0.2.4")) is not None


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(0, 900), st.integers(0, 4)),
        max_size=60,
    )
)
def test_any_answers_stay_within_the_limit(answers: list[tuple[int, int, int, int]]) -> None:
    pairs: Counter[tuple[bytes, bytes]] = Counter()
    resolved = ResolvedAddresses(Uninteresting(), Pairs(pairs), limit=4)
    for client, address, moment, app in sorted(answers, key=lambda each: each[2]):
        given_ = answer(f"192.0.2.{address}", at=moment, client=f"10.20.1.{client}")
        resolved.add(given_, (str(app), TIKTOK) if app else None)
        assert len(resolved._answers) <= 4
        assert pairs == Counter(resolved._answers.keys())
        assert len(resolved._addresses) <= 16
        assert all(len(each) <= 8 for each in resolved._answers.values())
        observation = resolved.identify(flow_at(moment, f"192.0.2.{address}"))
        assert observation is None or observation.name == TIKTOK


# the whole pipeline


def nameless(wire: Wire, client: Host, server: Host = FAR, port: int = 443) -> None:
    """A TCP connection that shows no name."""
    talk = Conversation(wire, client, server, port)
    talk.say(b"\x17\x03\x03\0\x40" + bytes(64))
    talk.reply(b"\x17\x03\x03\1\0" + bytes(256))
    talk.close()


def over_udp(wire: Wire, client: Host, name: str = TIKTOK, server: Host = FAR) -> None:
    """A lookup over UDP, with an answer for this server."""
    kind = "AAAA" if ":" in server.ip else "A"
    resolver = RESOLVER.at("2001:db8:20::53") if ":" in client.ip else RESOLVER
    wire.lookup(client, resolver, name, [(name, kind, 60, server.ip)], kind=kind)


POSSIBLE = CONFIG.replace("severity: high", "severity: high\n    min_confidence: possible")


@pytest.fixture
def alerts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Scans a wire with a configuration; the alerts, and the summary."""

    def _alerts(wire: Wire, text: str = CONFIG, *options: str) -> tuple[list[dict], str]:
        path = capture(tmp_path / "a.pcap", wire)
        command = ["scan", path, "-c", configured(tmp_path, text), "--format", "jsonl", *options]
        assert main(command) == 0
        captured = capsys.readouterr()
        return [json.loads(line) for line in captured.out.splitlines()], captured.err

    return _alerts


@pytest.mark.parametrize(("client", "server"), [(SERVICE, FAR), (SERVICE6, FAR6)])
def test_a_flow_to_an_address_of_a_banned_name_joins_its_incident(
    alerts, client: Host, server: Host
) -> None:
    wire = Wire(DURING, 1)
    over_udp(wire, client, server=server)
    nameless(wire, client, server)
    (alert,), _ = alerts(wire)
    kinds = {each["type"]: each for each in alert["evidence"]}
    assert set(kinds) == {"dns-query", "dns-answer", "ip-from-dns"}
    assert kinds["ip-from-dns"]["name"] == TIKTOK
    assert kinds["ip-from-dns"]["packet"] == 3
    assert alert["confidence"] == "probable"
    assert [each["ip"] for each in alert["destinations"]] == [server.ip]
    assert (alert["counts"]["bytes_out"], alert["counts"]["bytes_in"]) == (69, 261)


def test_alone_it_alerts_only_if_the_ban_accepts_possible(alerts) -> None:
    """The lookup comes a second before the ban is in force, the flow in its first second."""
    wire = Wire("2023-03-09T23:59:59+01:00", 1)
    over_udp(wire, SERVICE)
    wire.go_to("2023-03-10T00:00:00+01:00")
    nameless(wire, SERVICE)
    found, summary = alerts(wire)
    assert found == []
    assert "ip-from-dns" not in summary
    (alert,), _ = alerts(wire, POSSIBLE)
    assert (alert["confidence"], alert["verdict"]) == ("possible", "violation")
    assert [each["type"] for each in alert["evidence"]] == ["ip-from-dns"]
    assert alert["names"] == [TIKTOK]


def test_an_alias_that_a_rule_matches_is_named(alerts) -> None:
    aliases = [("alias.example.org", "CNAME", 60, TIKTOK), (TIKTOK, "A", 60, FAR.ip)]
    wire = Wire(DURING, 1)
    wire.lookup(SERVICE, RESOLVER, "alias.example.org", aliases)
    nameless(wire, SERVICE)
    (alert,), _ = alerts(wire)
    names = {each["type"]: each["name"] for each in alert["evidence"]}
    assert names == {"dns-cname": TIKTOK, "ip-from-dns": TIKTOK}


def test_a_flow_with_a_name_is_not_identified_by_its_address(alerts) -> None:
    wire = Wire(DURING, 1)
    over_udp(wire, SERVICE)
    talk = Conversation(wire, SERVICE, FAR, 443)
    talk.say(handshakes.records(handshakes.client_hello("www.example.org", wire.rng)))
    talk.close()
    (alert,), _ = alerts(wire, POSSIBLE)
    assert {each["type"] for each in alert["evidence"]} == {"dns-query", "dns-answer"}


@pytest.mark.parametrize("names", list(permutations((TIKTOK, "shop.example.org"))))
def test_an_innocent_name_at_the_same_address_takes_the_evidence_away(
    alerts, names: list[str]
) -> None:
    wire = Wire(DURING, 1)
    for name in names:
        over_udp(wire, SERVICE, name)
    nameless(wire, SERVICE)
    (alert,), summary = alerts(wire, POSSIBLE)
    assert {each["type"] for each in alert["evidence"]} == {"dns-query", "dns-answer"}
    assert "resolved-address-shared" in summary


def over_tcp(wire: Wire, client: Host, name: str, server: Host = FAR) -> None:
    """A lookup over TCP, which the packet loop leaves to a parser."""
    talk = Conversation(wire, client, RESOLVER, 53)
    for say, data in (
        (talk.say, messages.query(7, name, "A")),
        (talk.reply, messages.answer(7, name, "A", [(name, "A", 60, server.ip)])),
    ):
        say(len(data).to_bytes(2) + data)
    talk.close()


@pytest.mark.parametrize("order", list(permutations(range(2))))
@pytest.mark.parametrize("other", ["shop.example.org", "unknown.tiktok.example"])
@pytest.mark.parametrize("ways", [(over_tcp, over_udp), (over_tcp, over_tcp), (over_udp, over_tcp)])
def test_an_address_is_shared_however_and_whenever_the_other_name_was_resolved(
    alerts, order: tuple[int, ...], other: str, ways: tuple[Callable[..., None], ...]
) -> None:
    wire = Wire(DURING, 1)
    lookups = ((ways[0], other), (ways[1], TIKTOK))
    for at in order:
        look_up, name = lookups[at]
        look_up(wire, SERVICE, name)
    nameless(wire, SERVICE)
    (alert,), summary = alerts(wire, POSSIBLE)
    assert {each["type"] for each in alert["evidence"]} == {"dns-query", "dns-answer"}
    assert "resolved-address-shared" in summary


def test_an_address_is_not_shared_with_another_client_or_time(alerts) -> None:
    wire = Wire("2023-03-20T08:00:00+01:00", 1)
    over_tcp(wire, SERVICE, "shop.example.org")
    wire.go_to(DURING)
    over_tcp(wire, PERSONAL, "shop.example.org")
    over_udp(wire, SERVICE)
    nameless(wire, SERVICE)
    (alert,), _ = alerts(wire, POSSIBLE)
    assert "ip-from-dns" in {each["type"] for each in alert["evidence"]}
