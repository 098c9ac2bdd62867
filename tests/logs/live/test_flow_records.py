"""Flow records as exporters send them, over UDP, TCP and TLS, and as a feed of logs."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.flow_messages import FLOW, flow, ipfix, netflow5, set_of, template
from support.waiting import wait_until

from netwatch.core.statistics import RunStatistics
from netwatch.logs.live.feed import LogFeed
from netwatch.logs.live.receivers import Receivers
from netwatch.logs.live.source import Batch, IpfixFrames, parse
from netwatch.logs.live.written import SentLogs
from netwatch.logs.records import BRIEFLY, LogFlow, LogFlows
from netwatch.logs.times import LogOptions

NOW = int(time.time())
CLIENT, SERVER = bytes([10, 20, 6, 20]), bytes([192, 0, 2, 1])
BACK = {"source": SERVER, "destination": CLIENT, "source_port": 443, "destination_port": 40000}
TIMES = {"first": (NOW - 9) * 1000, "last": (NOW - 3) * 1000}
DESCRIBED = ipfix(set_of(2, template(300, *FLOW)), seconds=NOW)
BOTH = ipfix(set_of(300, flow(**TIMES), flow(**BACK, octets=90_000, **TIMES)), seconds=NOW)


class Feed:
    """A feed of one receiver, and the flows that came out of it."""

    def __init__(self, address: str) -> None:
        self.receivers = Receivers([parse(address)])
        self.statistics = RunStatistics()
        self.feed = LogFeed([], self.receivers, LogOptions(), self.statistics, {})
        self.flows: list[LogFlow] = []

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.receivers.ports[0]

    def send(self, *messages: bytes) -> None:
        """Send datagrams."""
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            for each in messages:
                sender.sendto(each, self.address)

    def until(self, count: int) -> None:
        """Read until there are so many flows."""

        def is_all() -> bool:
            entries = [item.entry for item in self.feed.read(0.01)]
            for entry in entries:
                if isinstance(entry, LogFlows):
                    self.flows += entry.flows()
            return len(self.flows) >= count

        wait_until(is_all)
        assert len(self.flows) == count


@pytest.fixture
def udp() -> Iterator[Feed]:
    feed = Feed("udp://:0")
    yield feed
    feed.feed.close()


def test_ipfix_over_udp(udp: Feed) -> None:
    udp.send(DESCRIBED, BOTH)
    udp.until(1)
    (found,) = udp.flows
    assert (found.client.ip, found.server.ip) == (CLIENT, SERVER)
    assert found.bytes_in > found.bytes_out > 0
    assert udp.statistics.logs == {"ipfix": 1}


def test_netflow_over_udp(udp: Feed) -> None:
    udp.send(netflow5({}, {**BACK, "octets": 90_000}, seconds=NOW))
    udp.until(1)
    assert udp.flows[0].server.port == 443


def test_sampled_records_are_counted(udp: Feed) -> None:
    back = {**BACK, "octets": 90_000}
    udp.send(netflow5({}, back, seconds=NOW, sampling=0x4000 | 100))
    udp.until(1)
    assert udp.statistics.anomalies == {"flow-sampled": 2}


def test_what_is_wrong_is_counted(udp: Feed) -> None:
    udp.send(b"garbage" * 9, BOTH)
    wait_until(lambda: udp.feed.read(0.01) is not None and bool(udp.statistics.anomalies))
    assert udp.statistics.anomalies == {"flow-template-missing": 1}
    assert dict(udp.statistics.unread_records) == {("udp://:0", "flow-version"): 1}


def test_lost_records_are_counted(udp: Feed) -> None:
    later = ipfix(set_of(300, flow(**TIMES), flow(**BACK, **TIMES)), sequence=42, seconds=NOW)
    udp.send(DESCRIBED, BOTH, later)
    udp.until(2)
    assert udp.statistics.anomalies["flow-records-lost"] == 40


def test_ipfix_over_tcp() -> None:
    feed = Feed("tcp://:0")
    with closing(feed.feed), socket.create_connection(feed.address) as sender:
        for octet in DESCRIBED + BOTH:
            sender.send(bytes([octet]))
        feed.until(1)


def test_exporters_share_no_templates() -> None:
    receiver = parse("udp://:0")
    sent = SentLogs(LogOptions(), RunStatistics())
    wall = NOW * 10**9
    sent.read([Batch(1, [DESCRIBED], receiver=receiver, sender="192.0.2.7")], wall)
    assert not sent.read([Batch(2, [BOTH], receiver=receiver, sender="192.0.2.8")], wall)
    assert sent.read([Batch(3, [BOTH], receiver=receiver, sender="192.0.2.7")], wall)


def test_a_record_of_a_silent_exporter_does_not_wait_forever() -> None:
    receiver = parse("udp://:0")
    sent = SentLogs(LogOptions(), RunStatistics())
    wall = NOW * 10**9
    alone = ipfix(set_of(300, flow(**TIMES)), seconds=NOW)
    assert not sent.read([Batch(1, [DESCRIBED, alone], receiver=receiver, sender="::1")], wall)
    assert not sent.read([], wall + BRIEFLY)
    (item,) = sent.read([], wall + BRIEFLY + 1)
    assert isinstance(item.entry, LogFlows)
    assert not sent.read([], wall + 3 * BRIEFLY)


@examples(300)
@given(st.lists(st.integers(1, 60), max_size=20), st.binary(max_size=40))
def test_messages_of_a_stream(sizes: list[int], garbage: bytes) -> None:
    stream = (DESCRIBED + BOTH) * 2 + garbage
    frames, found = IpfixFrames(), []
    at = 0
    for size in [*sizes, len(stream)]:
        found += frames.feed(stream[at : at + size])[0]
        at += size
    assert found[:4] == [DESCRIBED, BOTH] * 2


def test_what_is_no_ipfix_ends_the_stream() -> None:
    frames = IpfixFrames()
    assert frames.feed(DESCRIBED + b"GET / HTTP/1.1\r\n\r\n") == ([DESCRIBED], b"")
    assert frames.failure == "flow-version"
