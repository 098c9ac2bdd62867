"""Handshakes over UDP: which datagrams belong together, and when connections are dropped."""

import random
from collections.abc import Callable, Sequence

import handshakes as crafted
import pytest
from support.captures import START, observed, timed
from support.frames import CLIENT, SERVER, udp

from netwatch.core.errors import ParseError
from netwatch.core.message import Message, Packet, ShownName
from netwatch.dissect.reassembly.handshakes import PORT_REUSE_DELAY, HandshakeTable

RAW = 101
SECOND = 1_000_000_000


class Toy:
    """``+x`` adds x to the name, ``=x`` completes it, everything else is refused."""

    def __init__(self, is_uninteresting: Callable[[bytes], bool]) -> None:
        self.is_uninteresting = is_uninteresting
        self.name = ""
        self.done = False
        self.unread = False

    def remember(self, hello: bytes) -> None:
        self.name = hello.decode()

    def answered(self) -> None:
        self.unread = "?" in self.name

    def feed(self, datagram: bytes) -> Message | None:
        if datagram[:1] not in (b"+", b"="):
            raise ParseError("not-decrypted")
        if self.done:
            return None
        self.name += datagram[1:].decode()
        self.done = datagram[:1] == b"="
        if self.done and self.is_uninteresting(self.name.encode()):
            return None
        return self._message() if self.done else None

    def finish(self) -> Message | None:
        if "!" in self.name:
            raise ParseError("bad")
        return None if self.done or not self.name else self._message()

    def _message(self) -> Message:
        return Message((ShownName("quic-sni", self.name),), 0)


class Feeder:
    """Feeds datagrams and collects (packet number, name)."""

    def __init__(self, uninteresting: tuple[tuple[int, bytes], ...] = (), **limits: int) -> None:
        self.table = HandshakeTable(Toy, lambda flow, name: (flow, name) in uninteresting, **limits)
        self.number = 0
        self.found: list[tuple[int, str]] = []

    def send(self, datagram: bytes, *, flow: int = 256, side: int = 0, at: int = 0) -> None:
        self.number += 1
        ends = (b"a" * 4, 1, b"b" * 4, 443)
        packet = Packet("test", self.number, START + at, 9, "udp", *ends, None, None, None, flow)
        if not self.table.is_from_server(flow, side, packet.time):
            self._collect(self.table.feed(flow, side, datagram, packet))

    def flush(self) -> None:
        self._collect(list(self.table.flush()))

    def _collect(self, found: Sequence[tuple[Packet, Message]]) -> None:
        self.found += [(last.number, message.names[0].name) for last, message in found]


def test_a_hello_over_two_datagrams_comes_with_the_last() -> None:
    feeder = Feeder()
    feeder.send(b"+one.")
    feeder.send(b"=two")
    feeder.flush()
    assert feeder.found == [(2, "one.two")]


def test_an_uninteresting_hello_is_not_returned() -> None:
    feeder = Feeder(uninteresting=((512, b"one.two"),))
    for flow in (256, 512):
        feeder.send(b"+one.", flow=flow)
        feeder.send(b"=two", flow=flow)
    feeder.flush()
    assert feeder.found == [(2, "one.two")]


def test_datagrams_of_the_server_are_ignored() -> None:
    feeder = Feeder()
    feeder.send(b"?", side=1)
    feeder.send(b"+one.")
    feeder.send(b"=evil", side=1)
    feeder.send(b"=two")
    assert feeder.found == [(4, "one.two")]
    assert feeder.table.anomalies == {"not-decrypted": 1}


def test_clients_are_told_apart() -> None:
    feeder = Feeder()
    for flow in range(1, 6):
        feeder.send(b"+n%d" % flow, flow=flow << 8)
    for flow in range(5, 0, -1):
        feeder.send(b"=", flow=flow << 8)
    assert feeder.found == [(6, "n5"), (7, "n4"), (8, "n3"), (9, "n2"), (10, "n1")]


def test_a_retransmitted_hello_comes_once() -> None:
    feeder = Feeder()
    for _ in range(4):
        feeder.send(b"=one")
    assert feeder.found == [(1, "one")]


@pytest.mark.parametrize(("delay", "hellos"), [(PORT_REUSE_DELAY, 1), (PORT_REUSE_DELAY + 1, 2)])
def test_the_same_ports_after_a_delay_are_another_connection(delay: int, hellos: int) -> None:
    feeder = Feeder()
    feeder.send(b"=one")
    feeder.send(b"=two", side=1, at=delay)
    assert len(feeder.found) == hellos


def test_incomplete_hellos_are_read_at_the_end() -> None:
    feeder = Feeder()
    feeder.send(b"+one")
    feeder.send(b"+bad!", flow=512)
    feeder.send(b"=whole", flow=768)
    feeder.flush()
    assert feeder.found == [(3, "whole"), (1, "one")]
    assert feeder.table.anomalies == {"bad": 1}


def test_of_too_many_the_least_recent_is_dropped() -> None:
    feeder = Feeder(max_connections=3)
    for flow in range(1, 5):
        feeder.send(b"+n%d" % flow, flow=flow << 8)
        feeder.send(b"+x", flow=256)
    assert feeder.found == [(3, "n2")]


def test_a_connection_times_out() -> None:
    feeder = Feeder(timeout=SECOND)
    feeder.send(b"+old")
    feeder.send(b"+new", flow=512, at=SECOND)
    assert feeder.found == []
    feeder.send(b"+newer", flow=768, at=SECOND + 1)
    assert feeder.found == [(1, "old")]


def test_real_initials_of_several_clients_in_any_order_with_their_servers() -> None:
    rng = random.Random(5)
    packets, replies = [], []
    for number in range(4):
        name, port = f"n{number}.example.org", 50000 + number
        hello = crafted.quic_hello(crafted.QUIC_V1, name, rng, post_quantum=number % 2 == 0)
        frames = crafted.crypto_frame(crafted.server_hello(rng), 0, 1200)
        reply = crafted.quic_initial(
            crafted.QUIC_V1, b"", b"server", 0, frames, key_id=hello[0][6:14], side="server"
        )
        packets += [udp(part, sport=port, dport=443) for part in hello]
        replies.append(udp(reply, src=SERVER, sport=443, dst=CLIENT, dport=port))
    for order in (packets + replies, replies + packets, packets[::-1] + replies):
        found = observed(timed(order), RAW)
        assert sorted(each.name for each in found) == [f"n{n}.example.org" for n in range(4)]
        assert {each.evidence for each in found} == {"quic-sni"}
        assert {each.server_port for each in found} == {443}
