"""What a flow that is over says of its ends, and of messages that never became whole."""

import random

import handshakes
import pytest
from craft import Conversation, Host, Wire
from support.captures import block, timed
from support.frames import CLIENT, SERVER, udp

from netwatch.core.flow import NAME_STATUSES, Flow
from netwatch.core.message import Message
from netwatch.dissect.dissector import Dissector
from netwatch.protocols import PROTOCOLS, looks_like

RAW = 101


def flows(frames: list[tuple[int, bytes]], link: int = 1, snap: int = 1 << 18) -> list[Flow]:
    def name_status(message: Message) -> int:
        return NAME_STATUSES.index("ech" if message.names else "no-sni")

    by = Dissector(PROTOCOLS, looks_like, name_status=name_status)
    for _ in by.messages(block(frames, link, snap=snap), "test"):
        pass
    for _ in by.flush():
        pass
    return [*by.flows(), *by.finish()]


@pytest.mark.parametrize("greater", [False, True])
def test_a_client_is_told_with_its_own_mac(greater: bool) -> None:
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


def test_a_quic_hello_that_never_became_whole_is_waited_for() -> None:
    rng = random.Random(2)
    _, second = handshakes.quic_hello(1, "www.example.org", rng, post_quantum=True)
    whole, *_ = handshakes.quic_hello(1, "www.example.org", rng)
    (flow,) = flows(list(timed([udp(second, dport=443)])), RAW)
    assert (flow.name_status, flow.incomplete_message) == ("none", True)
    (flow,) = flows(list(timed([udp(whole, dport=443)])), RAW)
    assert flow.name_status == "ech"


def test_a_payload_that_was_not_captured_is_truncated() -> None:
    wire = Wire("2023-03-20T10:00:00+01:00", 1)
    ends = Host(CLIENT, "02:00:00:00:00:0a"), Host(SERVER, "02:00:00:00:00:0b")
    talk = Conversation(wire, *ends, 22)
    talk.say(b"x" * 400)
    (flow,) = flows(wire.frames, snap=54)
    assert flow.name_status == "truncated"
