"""Flows that have ended: their client and server, their times and bytes."""

import random
from collections.abc import Sequence
from ipaddress import ip_address

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import layers
from support.captures import START, block, dissector, timed
from support.frames import CLIENT, CLIENT6, LINKS, SERVER, SERVER6, tcp, udp
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch.core.flow import NAME_STATUSES, Flow, FlowClient
from netwatch.core.message import Message
from netwatch.dissect.flows import accounting
from netwatch.dissect.flows.records import to_flow
from netwatch.dissect.loop.layout import FLOW_WORDS
from netwatch.dissect.loop.loop import Loop

RAW = 101
NAME = "www.example.org"
HELLO = handshakes.records(handshakes.client_hello(NAME, random.Random(1)))
ENDS = {4: (CLIENT, SERVER), 6: (CLIENT6, SERVER6)}
OUT, BACK = (
    {"sport": 50000, "dport": 443},
    {"src": SERVER, "dst": CLIENT, "sport": 443, "dport": 50000},
)


def flows(frames: list[tuple[int, bytes]], link: int = RAW) -> list[Flow]:
    def name_status(message: Message) -> int:
        return NAME_STATUSES.index("ech" if message.names else "no-sni")

    reader = dissector(name_status=name_status)
    for _ in reader.messages(block(frames, link), "test"):
        pass
    for _ in reader.flush():
        pass
    found = [*reader.flows(), *reader.end_flows()]
    assert list(reader.end_flows()) == []
    return found


def of(*packets: bytes, link: int = RAW) -> list[Flow]:
    return flows(list(timed(packets)), link)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("swapped", [False, True])
def test_addresses_bytes_and_times(version: int, swapped: bool) -> None:
    client, server = ENDS[version][:: -1 if swapped else 1]
    out = {"src": client, "dst": server, "sport": 50000, "dport": 443}
    back = {"src": server, "dst": client, "sport": 443, "dport": 50000}
    (flow,) = of(
        tcp(flags="S", seq=1000, **out),
        tcp(flags="SA", seq=5000, **back),
        tcp(HELLO, **out),
        tcp(b"x" * 70, seq=5001, **back),
    )
    assert flow == Flow(
        first=START,
        last=START + 3_000_000,
        transport="tcp",
        client_ip=ip_address(client).packed,
        client_port=50000,
        server_ip=ip_address(server).packed,
        server_port=443,
        vlan=None,
        bytes_out=len(HELLO),
        bytes_in=70,
        name_status="ech",
        start_seen=True,
        incomplete_message=False,
        client_sent="payload",
        server_sent="payload",
        source="test",
        packet=1,
        client_acknowledged=flow.client_acknowledged,
        server_acknowledged=flow.server_acknowledged,
        client_checksums=flow.client_checksums,
        server_checksums=flow.server_checksums,
    )
    assert flow.client_acknowledged is not None


@pytest.mark.parametrize(
    ("packets", "client_port", "opened"),
    [
        pytest.param([tcp(flags="S", **OUT)], 50000, True, id="syn"),
        pytest.param([tcp(flags="SA", **BACK)], 50000, True, id="syn-ack"),
        pytest.param(
            [tcp(flags="S", sport=443, dport=50000, src=SERVER, dst=CLIENT)],
            443,
            True,
            id="syn-from-the-lower-port",
        ),
        pytest.param([tcp(b"x" * 30, **OUT)], 50000, False, id="midflow"),
        pytest.param([tcp(b"x" * 30, **BACK)], 50000, False, id="midflow-from-the-server"),
        pytest.param(
            [tcp(HELLO, src=SERVER, dst=CLIENT, sport=443, dport=50000)],
            443,
            False,
            id="hello-from-the-lower-port",
        ),
        pytest.param(
            [tcp(HELLO, **OUT), tcp(flags="SA", **BACK)], 50000, True, id="syn-ack-after-the-hello"
        ),
        pytest.param([udp(b"x" * 30, **OUT)], 50000, True, id="datagram"),
        pytest.param([udp(b"x" * 30, **BACK)], 50000, True, id="datagram-from-a-server"),
        pytest.param(
            [udp(b"x", sport=60000, dport=40000)], 60000, True, id="datagram-between-high-ports"
        ),
    ],
)
def test_which_end_is_the_client(packets: list[bytes], client_port: int, opened: bool) -> None:
    (flow,) = of(*packets)
    assert (flow.client_port, flow.start_seen) == (client_port, opened)
    expected = CLIENT if client_port >= 50000 else SERVER
    assert flow.client_ip == ip_address(expected).packed


SYN, SYN_ACK = tcp(flags="S", seq=1000, **OUT), tcp(flags="SA", seq=5000, **BACK)
RESET = tcp(flags="RA", seq=5001, **BACK)
HELLO_OUT = tcp(HELLO, seq=1001, **OUT)


@pytest.mark.parametrize(
    ("packets", "client", "server"),
    [
        pytest.param([SYN], "headers", "nothing", id="syn"),
        pytest.param([SYN, RESET], "headers", "refusal", id="refused"),
        pytest.param([SYN, SYN_ACK], "headers", "headers", id="accepted"),
        pytest.param([SYN, SYN_ACK, HELLO_OUT], "payload", "headers", id="no-answer"),
        pytest.param([SYN, HELLO_OUT], "payload", "nothing", id="one-direction"),
        pytest.param([SYN, SYN_ACK, HELLO_OUT, RESET], "payload", "refusal", id="reset"),
        pytest.param(
            [SYN, SYN_ACK, HELLO_OUT, tcp(b"x" * 40, seq=5001, **BACK), RESET],
            "payload",
            "payload",
            id="reset-behind-payload",
        ),
        pytest.param(
            [HELLO_OUT, RESET, *(tcp(bytes(1460), seq=5001 + 1460 * n, **BACK) for n in range(10))],
            "payload",
            "refusal",
            id="an-initial-window-behind-a-reset",
        ),
        pytest.param(
            [HELLO_OUT, RESET, *(tcp(bytes(1460), seq=5001 + 1460 * n, **BACK) for n in range(11))],
            "payload",
            "payload",
            id="more-than-an-initial-window",
        ),
        pytest.param(
            [SYN, SYN_ACK, tcp(flags="R", seq=1001, **OUT)], "refusal", "headers", id="given-up"
        ),
        pytest.param([udp(b"x" * 30, **OUT)], "payload", "nothing", id="datagram"),
    ],
)
def test_what_the_sides_sent(packets: list[bytes], client: str, server: str) -> None:
    (flow,) = of(*packets)
    assert (flow.client_sent, flow.server_sent) == (client, server)


def tls_alert(level: int, description: int) -> bytes:
    return b"\x15\x03\x03\0\2" + bytes((level, description))


def response(status: int, size: int = 0) -> bytes:
    return b"HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n" % (status, size) + bytes(size)


@pytest.mark.parametrize(
    ("answers", "sent"),
    [
        ([tls_alert(2, 40)], "tls-alert handshake_failure"),
        ([tls_alert(2, 112), tls_alert(2, 0)], "tls-alert unrecognized_name"),
        ([tls_alert(2, 251)], "tls-alert 251"),
        ([tls_alert(1, 112), b"\x16\x03\x03" + bytes(90)], "payload"),
        ([b"\x16\x03\x03" + bytes(90), tls_alert(2, 40)], "payload"),
        ([tls_alert(2, 40)[:6]], "payload"),
        ([tls_alert(2, 40), bytes(14_600)], "payload"),
        ([response(403)], "HTTP 403"),
        ([response(403, 1400), *[bytes(1400)] * 20], "HTTP 403"),
        ([response(451)], "HTTP 451"),
        ([response(511)], "HTTP 511"),
        ([response(407), response(407), response(403)], "HTTP 403"),
        ([response(407), response(200), bytes(900)], "payload"),
        ([response(407), response(100)], "HTTP 407"),
        ([response(200), response(403)], "payload"),
        ([response(404)], "payload"),
        ([b"HTTP/1.1 403"[:11]], "payload"),
    ],
)
def test_what_denies_is_told_from_an_answer(answers: list[bytes], sent: str) -> None:
    at, packets = 5001, [SYN, SYN_ACK, HELLO_OUT]
    for each in answers:
        packets.append(tcp(each, seq=at, **BACK))
        at += len(each)
    (flow,) = of(*packets)
    assert (flow.client_sent, flow.server_sent) == ("payload", sent)


def test_the_client_takes_no_denial_back() -> None:
    forged = response(200)
    (flow,) = of(
        *(SYN, SYN_ACK, HELLO_OUT, tcp(response(403), seq=5001, **BACK)),
        tcp(forged, seq=1001 + len(HELLO), **OUT),
    )
    assert (flow.client_sent, flow.server_sent) == ("payload", "HTTP 403")


def long_header(kind: int, version: int, size: int) -> bytes:
    return bytes((0xC0 | kind << 4,)) + version.to_bytes(4) + bytes(size - 5)


def dtls(kind: int, first: int, second: int = 0) -> bytes:
    return bytes((kind, 254, 253)) + bytes(10) + bytes((first, second)) + bytes(20)


@pytest.mark.parametrize(
    ("answers", "sent"),
    [
        ([long_header(0, 0, 40)], "headers"),
        ([long_header(3, 1, 90)], "headers"),
        ([long_header(3, 1, 90), long_header(0, 1, 1200)], "payload"),
        ([long_header(0, 0x6B3343CF, 90)], "headers"),
        ([long_header(3, 0xFF00001D, 90)], "headers"),
        ([long_header(0, 1, 80)], "headers"),
        ([long_header(0, 1, 80), long_header(0, 1, 1200)], "payload"),
        ([long_header(0, 1, 1200)], "payload"),
        ([long_header(1, 0x6B3343CF, 1199)], "headers"),
        ([long_header(2, 1, 90)], "payload"),
        ([long_header(3, 7, 90)], "payload"),
        ([b"\x40" * 30], "payload"),
        ([dtls(22, 3)], "headers"),
        ([dtls(22, 3), dtls(22, 2)], "payload"),
        ([dtls(21, 2, 40)], "tls-alert handshake_failure"),
        ([dtls(21, 1, 40)], "payload"),
    ],
)
def test_a_datagram_may_come_before_any_answer(answers: list[bytes], sent: str) -> None:
    (flow,) = of(udp(b"x" * 1200, **OUT), *(udp(each, **BACK) for each in answers))
    assert flow.server_sent == sent


GATEWAY, GATEWAY6 = "10.20.0.1", "2001:db8:20::1"


def icmp(kind: int, code: int, quoted: bytes, version: int = 4) -> bytes:
    """An ICMP error from a router to the client."""
    error = bytes((kind, code)) + bytes(6) + quoted
    if version == 6:
        source, destination = ip_address(GATEWAY6).packed, ip_address(CLIENT6).packed
        head = b"\x60\0\0\0" + len(error).to_bytes(2) + bytes((58, 64))
        return head + source + destination + error
    source, destination = ip_address(GATEWAY).packed, ip_address(CLIENT).packed
    head = b"\x45\0" + (20 + len(error)).to_bytes(2) + bytes(4) + bytes((64, 1)) + bytes(2)
    return head + source + destination + error


DATAGRAM, DATAGRAM6 = udp(b"x" * 40, **OUT), udp(b"x" * 40, src=CLIENT6, dst=SERVER6, **OUT)


@pytest.mark.parametrize(
    ("packets", "sent"),
    [
        pytest.param([DATAGRAM, icmp(3, 3, DATAGRAM[:28])], "refusal", id="port"),
        pytest.param([DATAGRAM, icmp(3, 13, DATAGRAM)], "refusal", id="prohibited"),
        pytest.param([DATAGRAM6, icmp(1, 4, DATAGRAM6, 6)], "refusal", id="port6"),
        pytest.param([DATAGRAM6, icmp(1, 1, DATAGRAM6[:52], 6)], "refusal", id="prohibited6"),
        pytest.param([SYN, icmp(3, 10, SYN)], "refusal", id="syn"),
        pytest.param([DATAGRAM, icmp(3, 1, DATAGRAM)], "nothing", id="host"),
        pytest.param([DATAGRAM, icmp(3, 4, DATAGRAM)], "nothing", id="too-big"),
        pytest.param([DATAGRAM, icmp(8, 3, DATAGRAM)], "nothing", id="echo"),
        pytest.param([DATAGRAM6, icmp(3, 3, DATAGRAM6, 6)], "nothing", id="time-exceeded6"),
        pytest.param([DATAGRAM, icmp(3, 3, DATAGRAM[:23])], "nothing", id="cut"),
        pytest.param([DATAGRAM, icmp(3, 3, SYN)], "nothing", id="of-another-flow"),
        pytest.param(
            [DATAGRAM, icmp(3, 3, b"\x4f" + DATAGRAM[1:])], "nothing", id="header-too-long"
        ),
        pytest.param(
            [DATAGRAM, udp(b"x" * 40, **BACK), icmp(3, 3, DATAGRAM)], "payload", id="answered"
        ),
    ],
)
def test_icmp_errors_refuse_a_flow(packets: list[bytes], sent: str) -> None:
    (flow,) = of(*packets)
    assert flow.server_sent == sent


def test_an_icmp_error_opens_no_flow() -> None:
    assert of(icmp(3, 3, DATAGRAM)) == []


@given(st.binary(max_size=60), st.sampled_from([4, 6]), st.sampled_from([1, 3]))
def test_any_quotation_is_read(quoted: bytes, version: int, kind: int) -> None:
    assert len(of(DATAGRAM, icmp(kind, 3, quoted, version), DATAGRAM6)) == 2


def test_a_reset_opens_no_flow() -> None:
    assert of(RESET) == []


def test_a_reset_of_an_earlier_connection_is_forgotten_when_its_ports_are_used_again() -> None:
    again = tcp(flags="S", seq=90000, **OUT)
    first, second = of(SYN, RESET, again, tcp(flags="SA", seq=7000, **BACK))
    assert (first.server_sent, second.server_sent) == ("refusal", "headers")


def test_reused_ports_are_another_flow() -> None:
    packets = [tcp(flags="S", seq=1000), tcp(HELLO), tcp(flags="S", seq=90000)]
    packets += [tcp(b"x" * 50, seq=90001)]
    one, two = of(*packets)
    assert (one.bytes_out, one.name_status, one.packet) == (len(HELLO), "ech", 1)
    assert (two.bytes_out, two.name_status, two.first) == (50, "none", START + 2_000_000)
    assert (two.packet, two.start_seen) == (3, True)


def test_a_retransmitted_syn_is_not_another_flow() -> None:
    syn = tcp(flags="S", seq=1000)
    for packets in ([syn] * 4 + [tcp(HELLO)], [tcp(HELLO), syn], [syn, tcp(HELLO), syn]):
        (flow,) = of(*packets)
        assert flow.name_status == "ech"


def test_dns_lookups_are_not_flows() -> None:
    query = messages.query(1, NAME, "A")
    framed = len(query).to_bytes(2) + query
    assert of(udp(query), tcp(framed, dport=53), tcp(flags="S", dport=53, sport=50001)) == []


@pytest.mark.parametrize("link", LINKS[:5], ids=lambda link: link.name)
def test_the_vlan_of_a_flow(link) -> None:
    (flow,) = of(link.frame(tcp(HELLO)), link=link.number)
    assert flow.vlan == link.vlan
    assert flow.client_mac is not None


def test_a_flow_in_a_tunnel_has_the_inner_addresses() -> None:
    for wrapping in WRAPPINGS:
        wrapped = Wrapped(CARRIERS[0], (wrapping,))
        packet = tcp(HELLO, src=CLIENT6, dst=SERVER6)
        (flow,) = of(*wrapped.frames(packet), link=1)
        assert flow.client_ip == ip_address(CLIENT6).packed
        assert (flow.client_mac, flow.vlan) == (wrapped.mac, wrapped.vlan)


def test_a_flow_in_fragments_is_counted_once() -> None:
    (flow,) = of(*layers.fragments(tcp(HELLO), (10, 20)))
    assert (flow.name_status, flow.bytes_out, flow.packet) == ("ech", len(HELLO), 3)


def test_a_flow_with_an_incomplete_hello_is_waiting() -> None:
    (flow,) = of(tcp(flags="S", seq=1000), tcp(HELLO[:300]))
    assert (flow.name_status, flow.incomplete_message) in {("none", True), ("ech", False)}
    (flow,) = of(tcp(flags="S", seq=1000), tcp(HELLO[:20]))
    assert (flow.name_status, flow.incomplete_message) == ("none", True)


def test_more_flows_than_one_list_has_room_for_are_all_reported() -> None:
    ports = range(1024, 1024 + 9000)
    found = of(*[tcp(flags="S", sport=port) for port in ports])
    assert sorted(flow.client_port for flow in found) == list(ports)


def test_ended_flows_wait_until_they_are_taken() -> None:
    loop, ports = Loop(8, recording=True), range(1024, 1024 + 15_000)
    frames = timed([tcp(flags="S", sport=port) for port in ports])
    held = [len(loop.flows.hold_closed()) for _ in loop.walk(block(frames, RAW))]
    assert len(held) == 4
    assert sorted(held) == held
    assert loop.flows.close_flows()
    words = loop.flows.take_closed()
    found = [to_flow(slot, ["test"]) for slot in zip(*[iter(words)] * FLOW_WORDS, strict=True)]
    assert sorted(flow.client_port for flow in found) == list(ports)
    assert len(loop.flows.take_closed()) == 0


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.booleans()), max_size=80))
def test_every_flow_is_reported_once_however_small_the_table(packets: list) -> None:
    """A flow is reported when the table evicts it, or at the end."""
    loop = Loop(8, recording=True)
    frames = [
        tcp(flags="S" if syn else "A", seq=number * 99, sport=2000 + port)
        if syn
        else (tcp if stream else udp)(b"x" * 9, sport=2000 + port, dport=443)
        for number, (port, syn, stream) in enumerate(packets)
    ]
    words: list[int] = []
    for _ in loop.walk(block(timed(frames), RAW)):
        words += loop.flows.take_closed()
    assert loop.flows.close_flows()
    words += loop.flows.take_closed()
    found = [to_flow(slot, ["test"]) for slot in zip(*[iter(words)] * FLOW_WORDS, strict=True)]
    assert len(words) == FLOW_WORDS * len(found)
    assert len(found) == loop.flows.total
    sent = sum(9 for _, syn, _ in packets if not syn)
    assert sum(flow.bytes_out + flow.bytes_in for flow in found) == sent


def test_named_flows_are_reported_by_client() -> None:
    def name_status(message: Message) -> int:
        return NAME_STATUSES.index("named" if message.names else "no-sni")

    six = {"src": CLIENT6, "dst": SERVER6}
    ethernet = [LINKS[0].frame(tcp(HELLO, sport=port, dport=443)) for port in (2001, 2002)]
    ethernet += [LINKS[0].frame(tcp(HELLO, sport=2003, dport=853))]
    ethernet += [LINKS[0].frame(tcp(HELLO, sport=2004, dport=443, **six))]
    ethernet += [LINKS[0].frame(tcp(b"x" * 9, sport=2005, dport=443))]
    counted: list[tuple[FlowClient, str, int, Sequence[int]]] = []
    reader = dissector(
        name_status=name_status, flows_counted=lambda *counts: counted.append(counts)
    )
    assert list(reader.messages(block(timed(ethernet), 1), "test")) != []
    others = list(reader.flows())
    reader.hand_over_named_flows()
    assert (others, counted) == ([], [])
    others = list(reader.end_flows())
    assert sorted(flow.client_port for flow in others) == [2003, 2005]
    first, second, _, fourth, _ = (time for time, _ in timed(ethernet))
    client, client6 = (ip_address(each).packed for each in (CLIENT, CLIENT6))
    assert {
        (each.ip, len(each.mac or b""), *rest[:2], *sorted(rest[2])) for each, *rest in counted
    } == {
        (client, 6, "named", 2, first, second),
        (client6, 6, "named", 1, fourth),
        (client, 6, "encrypted-dns", 1),
        (client, 6, "begun-before-capture", 1),
    }


def test_a_flow_is_reported_individually_once() -> None:
    counted: list[tuple[str, int]] = []
    reader = dissector(
        name_status=lambda message: NAME_STATUSES.index("named"),
        flows_counted=lambda client, visibility, flows, times: counted.append((visibility, flows)),
    )
    block_ = block(list(timed([tcp(HELLO, **OUT)])), RAW)
    ((packet, _),) = reader.messages(block_, "test")
    reader.report_end_of(packet.flow_id)
    assert [each.flow_id for each in reader.end_flows()] == [packet.flow_id]
    reader.report_end_of(packet.flow_id)
    # Later packets between the same ports are another flow.
    later = block(list(timed([tcp(HELLO, seq=90000, **OUT)])), RAW)
    assert len(list(reader.messages(later, "test"))) == 1
    assert list(reader.end_flows()) == []
    assert counted == [("named", 1), ("named", 1)]


def test_a_flow_that_has_ended_but_was_not_reported_can_still_be_reported_individually() -> None:
    reader = dissector(name_status=lambda message: NAME_STATUSES.index("named"))
    again = [tcp(flags="S", seq=7, **OUT), tcp(HELLO, **OUT), tcp(flags="S", seq=90000, **OUT)]
    (found,) = reader.messages(block(list(timed(again)), RAW), "test")
    reader.report_end_of(found[0].flow_id)
    assert [each.flow_id for each in (*reader.flows(), *reader.end_flows())][:1] == [
        found[0].flow_id
    ]


def test_named_flows_that_fill_their_table_are_handed_over_with_those_of_their_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accounting, "NAMED_BATCH", 2)
    counted: list[int] = []
    reader = dissector(
        name_status=lambda message: NAME_STATUSES.index("named"),
        flows_counted=lambda client, visibility, flows, times: counted.append(flows),
    )
    ends = [{"sport": 2000 + number, "dport": 443} for number in range(5)]
    packets = [
        tcp(*content, seq=seq, flags=flags, **each)
        for each in ends
        for content, seq, flags in (((), 7, "S"), ((HELLO,), 8, "PA"), ((), 90000, "S"))
    ]
    assert len(list(reader.messages(block(timed(packets), RAW), "test"))) == 5
    assert list(reader.flows()) == []
    assert counted == [4]
    reader.hand_over_named_flows()
    assert counted == [4, 1]
    assert len(list(reader.end_flows())) == 5
    assert counted == [4, 1, 5]
