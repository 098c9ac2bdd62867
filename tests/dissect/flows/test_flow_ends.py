"""The client of a flow that has ended, and messages that never became complete."""

import random

import handshakes
import pytest
from craft import Conversation, Host, Wire
from support.captures import block, dissector, timed
from support.frames import CLIENT, SERVER, udp

from netwatch.core.flow import NAME_STATUSES, Flow
from netwatch.core.message import Message

RAW = 101


def flows(frames: list[tuple[int, bytes]], link: int = 1, snap: int = 1 << 18) -> list[Flow]:
    def name_status(message: Message) -> int:
        return NAME_STATUSES.index("ech" if message.names else "no-sni")

    reader = dissector(name_status=name_status)
    for _ in reader.messages(block(frames, link, snap=snap), "test"):
        pass
    for _ in reader.flush():
        pass
    return [*reader.flows(), *reader.end_flows()]


@pytest.mark.parametrize("greater", [False, True])
def test_a_flow_has_the_mac_of_its_client(greater: bool) -> None:
    ends = ["10.20.0.1", "203.0.113.9"]
    client = Host(ends[greater], "02:00:00:00:00:0a")
    server = Host(ends[not greater], "02:00:00:00:00:0b")
    wire = Wire("2023-03-20T10:00:00+01:00", 1)
    hello = handshakes.records(handshakes.client_hello("www.example.org", random.Random(1)))
    talk = Conversation(wire, client, server, 443)
    talk.say(hello)
    talk.close()
    (flow,) = flows(wire.frames)
    assert flow.client_mac == bytes.fromhex("02000000000a")
    assert (flow.name_status, flow.packet, flow.source) == ("ech", 1, "test")
    assert flow.bytes_out == len(hello)


def test_a_flow_with_an_incomplete_quic_hello_is_waiting() -> None:
    rng = random.Random(2)
    _, second = handshakes.quic_hello(1, "www.example.org", rng, post_quantum=True)
    whole, *_ = handshakes.quic_hello(1, "www.example.org", rng)
    (flow,) = flows(list(timed([udp(second, dport=443)])), RAW)
    assert (flow.name_status, flow.incomplete_message) == ("none", True)
    (flow,) = flows(list(timed([udp(whole, dport=443)])), RAW)
    assert flow.name_status == "ech"


def test_a_payload_that_was_not_captured_makes_its_flow_truncated() -> None:
    wire = Wire("2023-03-20T10:00:00+01:00", 1)
    ends = Host(CLIENT, "02:00:00:00:00:0a"), Host(SERVER, "02:00:00:00:00:0b")
    talk = Conversation(wire, *ends, 22)
    talk.say(b"x" * 400)
    (flow,) = flows(wire.frames, snap=54)
    assert flow.name_status == "truncated"
