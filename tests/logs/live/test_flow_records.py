"""Flow records as exporters send them, over UDP, TCP and TLS, and as a feed of logs."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.flow_messages import FLOW, flow, ipfix, netflow5, set_of, template
from support.waiting import wait_until

from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.flow_export.known_exporters import ARRIVAL, Exporters, KnownExporter
from netwatch.logs import LogOptions
from netwatch.logs.ipfix import LATE
from netwatch.logs.live import feed as feed_module
from netwatch.logs.live import receivers as receivers_module
from netwatch.logs.live.feed import LogFeed
from netwatch.logs.live.receivers import Receivers
from netwatch.logs.live.source import Batch, IpfixFrames, parse
from netwatch.logs.live.written import SentLogs
from netwatch.logs.log_reader import LogItem
from netwatch.logs.records import BRIEFLY, LogFlow, LogFlows, LogLoss

NOW = int(time.time())
CLIENT, SERVER = bytes([10, 20, 6, 20]), bytes([192, 0, 2, 1])
BACK = {"source": SERVER, "destination": CLIENT, "source_port": 443, "destination_port": 40000}
TIMES = {"first": (NOW - 9) * 1000, "last": (NOW - 3) * 1000}
DESCRIBED = ipfix(set_of(2, template(300, *FLOW)), seconds=NOW)
BOTH = ipfix(set_of(300, flow(**TIMES), flow(**BACK, octets=90_000, **TIMES)), seconds=NOW)


@pytest.fixture(autouse=True)
def messages_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of feeds begins when the messages of this module were made, minutes ago if many
    tests ran since: exporters would seem to be late."""
    began = time.monotonic_ns()
    monkeypatch.setattr(
        feed_module,
        "time",
        SimpleNamespace(
            time_ns=lambda: NOW * 10**9 + time.monotonic_ns() - began,
            monotonic=time.monotonic,
            sleep=time.sleep,
        ),
    )


class Feed:
    """A feed of one receiver, and the flows that came out of it."""

    def __init__(self, address: str, exporters: Exporters | None = None) -> None:
        self.receivers = Receivers([parse(address)], exporters)
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


def known(address: str, **keys: object) -> Exporters:
    """A configuration that names one exporter."""
    return Exporters([KnownExporter(address=ip_network(address), **keys)])  # type: ignore[arg-type]


WALL = NOW * 10**9


def flow_of(item: LogItem) -> LogFlow:
    """The only flow of an item."""
    assert isinstance(item.entry, LogFlows)
    (found,) = item.entry.flows()
    return found


def judged(
    *messages: bytes, exporters: Exporters | None = None, wall: int = WALL
) -> tuple[list[LogItem], RunStatistics, SentLogs]:
    """What messages of an exporter say that arrive at a time (ns)."""
    statistics = RunStatistics()
    sent = SentLogs(LogOptions(), statistics, exporters)
    batch = Batch(1, messages, receiver=parse("udp://:0"), sender="192.0.2.7")
    return sent.read([batch], wall), statistics, sent


def test_an_unknown_exporter_is_refused_counted_and_named() -> None:
    feed = Feed("udp://:0", known("192.0.2.7"))
    with closing(feed.feed):
        feed.send(DESCRIBED, BOTH)
        wait_until(lambda: not feed.feed.read(0.01) and feed.feed.events["exporter-unknown"] == 2)
        (note,) = feed.feed.notes
        assert "127.0.0.1 is none of the 'exporters'" in note
        assert not feed.statistics.logs
        # A reload of the configuration takes it from now on.
        feed.feed.reload(known("127.0.0.0/8"))
        feed.send(DESCRIBED, BOTH)
        feed.until(1)


def test_an_unknown_exporter_cannot_connect() -> None:
    feed = Feed("tcp://:0", known("192.0.2.7"))
    with closing(feed.feed), socket.create_connection(feed.address) as sender:
        wait_until(lambda: not feed.feed.read(0.01) and feed.feed.events["exporter-unknown"] == 1)
        assert sender.recv(1) == b""


def test_senders_of_syslog_are_no_exporters() -> None:
    feed = Feed("syslog+udp://:0", known("192.0.2.7"))
    with closing(feed.feed):
        feed.send(b"<30>Nov 27 00:00:00 resolver dnsmasq[1]: started")
        wait_until(lambda: len(feed.feed._sent) > 0 or feed.feed.read(0.01) is None)
        assert not feed.feed.events["exporter-unknown"]


@pytest.mark.parametrize(
    ("address", "exporters", "is_said"),
    [
        ("udp://0.0.0.0:0", None, True),
        ("udp://[::]:0", None, True),
        ("udp://127.0.0.1:0", None, False),
        ("udp://0.0.0.0:0", Exporters([]), False),
        ("syslog+udp://0.0.0.0:0", None, False),
    ],
)
def test_that_all_may_send_is_said(
    address: str, exporters: Exporters | None, is_said: bool
) -> None:
    with closing(Receivers([parse(address)], exporters)) as opened:
        assert any("of all senders are taken" in note for note in opened.notes) == is_said


def test_senders_are_no_option_of_a_receiver_of_flow_records() -> None:
    with pytest.raises(NetwatchError, match=r"no option 'from'; 'exporters' in netwatch\.yaml"):
        parse("udp://:2055?from=192.0.2.7")


def test_the_configuration_says_how_an_exporter_samples() -> None:
    exporters = known("192.0.2.0/24", sampling=512)
    (item,), statistics, _ = judged(DESCRIBED, BOTH, exporters=exporters)
    assert flow_of(item).sampling == 512
    assert statistics.anomalies == {"flow-sampled": 2}
    back = {**BACK, "octets": 90_000}
    said = netflow5({}, back, seconds=NOW, sampling=0x4000 | 100)
    (item,), statistics, _ = judged(said, exporters=exporters)
    assert flow_of(item).sampling == 512
    assert statistics.anomalies["flow-sampling-differs"] == 2
    (item,), statistics, _ = judged(said)
    assert flow_of(item).sampling == 100


def test_a_wrong_clock_is_counted_and_said_once() -> None:
    late = WALL + 7200 * 10**9
    items, statistics, sent = judged(DESCRIBED, BOTH, wall=late)
    assert statistics.anomalies == {"flow-clock-wrong": 2}
    (note,) = sent.notes
    assert "the clock of 192.0.2.7 is 2 hours behind" in note
    assert [flow_of(item).last for item in items if isinstance(item.entry, LogFlows)] == [
        WALL - 3 * 10**9
    ]
    assert not judged(DESCRIBED, BOTH, wall=WALL + 59 * 10**9)[1].anomalies


@pytest.mark.parametrize("clock", [ARRIVAL, -7200 * 10**9])
def test_the_configuration_mends_a_clock(clock: object) -> None:
    late = WALL + 7200 * 10**9
    exporters = known("192.0.2.7", name="core", clock=clock)
    (item,), statistics, sent = judged(DESCRIBED, BOTH, exporters=exporters, wall=late)
    assert (flow_of(item).first, flow_of(item).last) == (late - 9 * 10**9, late - 3 * 10**9)
    assert (statistics.anomalies, sent.notes) == ({}, [])


def test_an_exporter_without_a_clock() -> None:
    uptime = 5 * 86_400
    times = {"first": (uptime - 9) * 1000, "last": (uptime - 3) * 1000}
    message = ipfix(set_of(300, flow(**times), flow(**BACK, **times)), seconds=uptime)
    described = ipfix(set_of(2, template(300, *FLOW)), seconds=uptime)
    items, statistics, _ = judged(described, message)
    assert not items
    assert statistics.anomalies == {"flow-clock-wrong": 2, "flow-time-impossible": 2}
    exporters = known("192.0.2.7", clock=ARRIVAL)
    (item,), statistics, _ = judged(described, message, exporters=exporters)
    assert flow_of(item).last == WALL - 3 * 10**9
    assert not statistics.anomalies


def test_a_time_to_come_ends_no_message() -> None:
    soon = {"first": (NOW + 9) * 1000, "last": (NOW + 10) * 1000}
    to_come = ipfix(set_of(300, flow(**soon)), seconds=NOW + 10**9)
    items, statistics, _ = judged(DESCRIBED, to_come, DESCRIBED, BOTH)
    assert len(items) == 1
    assert statistics.anomalies["flow-clock-wrong"] == 1


def test_a_forged_time_ages_no_template() -> None:
    for seconds in (NOW + 70 * 365 * 86_400, 0):
        forged = ipfix(set_of(300, flow()), seconds=seconds)
        items, statistics, _ = judged(DESCRIBED, forged, BOTH)
        assert len(items) == 1
        assert "flow-template-old" not in statistics.anomalies


def test_datagrams_gather_while_a_turn_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    feed, rests = Feed("udp://:0"), list[float]()

    def rest(seconds: float) -> None:
        rests.append(seconds)
        feed.send(BOTH)

    monkeypatch.setattr(receivers_module.time, "sleep", rest)
    with closing(feed.feed):
        feed.send(DESCRIBED, BOTH)
        (batch,) = feed.receivers.poll(1.0, 0.0)
        assert (batch.first, batch.records) == (1, [DESCRIBED, BOTH])
        assert not rests
        (batch,) = feed.receivers.poll(1.0, 0.0)
        naps = receivers_module.NAPS
        assert (batch.first, batch.records, len(rests)) == (3, [BOTH] * naps, naps)
        assert 0 < sum(rests) <= receivers_module.MAX_REST
        # Nobody waits while nothing comes.
        monkeypatch.setattr(receivers_module.time, "sleep", rests.append)
        assert feed.receivers.poll(0.01, 0.0) == feed.receivers.poll(0.01, 0.0) == []
        assert len(rests) == 2 * naps


def test_syslog_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed("syslog+udp://:0")
    monkeypatch.setattr(receivers_module.time, "sleep", lambda _: pytest.fail("it rests"))
    with closing(feed.feed):
        for _ in range(2):
            feed.send(b"<30>Nov 27 00:00:00 resolver dnsmasq[1]: started")
            (batch,) = feed.receivers.poll(1.0, 0.0)
            assert len(batch.records) == 1


def test_messages_that_come_together_say_the_same() -> None:
    later = ipfix(set_of(300, flow(**TIMES), flow(**BACK, **TIMES)), sequence=42, seconds=NOW)
    wrong = ipfix(seconds=NOW)[:9]
    messages = (DESCRIBED, BOTH, wrong, BOTH, later, BOTH)
    items, statistics, _ = judged(*messages)
    (together,) = (item.entry for item in items if isinstance(item.entry, LogFlows))
    places = [each.shown_in.line for each in together.conversations if each.shown_in]
    assert places == [2, 4, 5, 6]
    assert statistics.records == len(messages)
    assert dict(statistics.unread_records) == {("udp://:0", "flow-message-cut"): 1}


def test_what_did_not_arrive_is_lost_between_two_messages() -> None:
    later = ipfix(set_of(300, flow(**TIMES), flow(**BACK, **TIMES)), sequence=42, seconds=NOW)
    _, statistics, sent = judged(DESCRIBED, BOTH)
    receiver = parse("udp://:0")

    def losses(message: bytes, wall: int) -> list[LogLoss]:
        batch = Batch(9, [message], receiver=receiver, sender="192.0.2.7")
        entries = [item.entry for item in sent.read([batch], wall)]
        return [each for each in entries if isinstance(each, LogLoss)]

    at = WALL + 5 * 10**9
    # It may still come: datagrams overtake each other.
    assert losses(later, at) == []
    following = ipfix(sequence=44, seconds=NOW)
    assert losses(following, at + LATE) == []
    assert losses(following, at + LATE + 1) == [LogLoss(at + LATE + 1, WALL, at, 40)]
    assert losses(following, at + 2 * LATE) == []
    assert statistics.anomalies["flow-records-lost"] == 40


def test_a_message_that_came_late_is_not_lost() -> None:
    messages = [
        ipfix(set_of(300, flow(**TIMES), flow(**BACK, **TIMES)), sequence=each, seconds=NOW)
        for each in (0, 4, 2, 6)
    ]
    _, statistics, sent = judged(DESCRIBED, *messages)
    assert statistics.anomalies["flow-message-late"] == 1
    assert not [item for item in sent.flush() if isinstance(item.entry, LogLoss)]


def test_records_before_their_template_are_lost() -> None:
    _, _, sent = judged(BOTH)
    (found,) = [item.entry for item in sent.flush()]
    assert found == LogLoss(WALL, WALL, WALL, 1)


IMPOSSIBLE = {"octets": (1 << 64) - 1}


@pytest.mark.parametrize(
    ("described", "seconds", "why"),
    [
        ({**TIMES, **IMPOSSIBLE}, NOW, "flow-number-impossible"),
        ({"first": 1000, "last": 2000}, NOW, "flow-time-impossible"),
        # The times of the flows are right, but not those of their messages.
        (TIMES, 5, "flow-time-impossible"),
        (TIMES, (1 << 32) - 1, "flow-time-impossible"),
    ],
    ids=["numbers", "times", "message of 1970", "message of 2106"],
)
def test_what_cannot_be_accuses_nobody_and_is_lost(
    described: dict[str, int], seconds: int, why: str
) -> None:
    both = flow(**described), flow(**BACK, **described)
    lie = ipfix(set_of(300, *both), seconds=seconds)
    items, statistics, sent = judged(DESCRIBED, lie)
    assert not items
    assert statistics.anomalies[why] == 2
    assert [item.entry for item in sent.flush()] == [LogLoss(WALL, WALL, WALL, 2)]


def test_doubt_ends_an_hour_after_the_last_lie_and_is_of_one_exporter() -> None:
    sent = SentLogs(LogOptions(), RunStatistics())
    hour = 3600 * 10**9

    def doubted(sender: str, wall: int, *records: bytes) -> list[bool]:
        at = {"sequence": 0, "seconds": wall // 10**9}
        messages = (ipfix(set_of(2, template(300, *FLOW)), set_of(300, *records), **at),)
        batch = Batch(1, messages, receiver=parse("udp://:0"), sender=sender)
        entries = [item.entry for item in sent.read([batch], wall)]
        flows = [each for entry in entries if isinstance(entry, LogFlows) for each in entry.flows()]
        return [each.is_doubted for each in flows]

    both = flow(**TIMES), flow(**BACK, **TIMES)
    assert doubted("192.0.2.7", WALL, *both) == [False]
    assert doubted("192.0.2.7", WALL, flow(**TIMES, **IMPOSSIBLE), *both) == [True]
    assert doubted("192.0.2.8", WALL, *both) == [False]
    assert doubted("192.0.2.7", WALL + hour - 1, *both) == [True]
    assert doubted("192.0.2.7", WALL + hour, *both) == [False]


@pytest.mark.parametrize("length", [*range(16), 65535])
def test_a_length_that_cannot_be_ends_the_connection(length: int) -> None:
    frames = IpfixFrames()
    message = b"\0\x0a" + length.to_bytes(2) + bytes(12)
    assert frames.feed(message) == ([], b"")
    if length < 16:
        assert frames.failure == "flow-version"
    else:
        assert not frames.failure
        assert frames.end() == []
        assert frames.failure == "flow-message-cut"


def test_peers_that_say_nothing_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers_module, "MAX_CONNECTIONS", 3)
    feed = Feed("tcp://:0")
    with closing(feed.feed):
        peers = [socket.create_connection(feed.address) for _ in range(3)]
        try:
            # One says nothing, one half a message, one a byte now and then.
            peers[1].send(DESCRIBED[:20])
            wait_until(lambda: not feed.feed.read(0.01) and len(feed.receivers) == 3)
            with socket.create_connection(feed.address) as sender:
                peers[2].send(b"\0")
                sender.send(DESCRIBED + BOTH)
                feed.until(1)
            assert feed.feed.events["connection-evicted"] == 1
        finally:
            for each in peers:
                each.close()


def test_half_a_message_is_counted() -> None:
    feed = Feed("tcp://:0")
    with closing(feed.feed):
        with socket.create_connection(feed.address) as sender:
            sender.send(DESCRIBED + BOTH + DESCRIBED[:20])
            feed.until(1)
        wait_until(lambda: not feed.feed.read(0.01) and feed.feed.events["flow-message-cut"] == 1)
        assert len(feed.receivers) == 0


def test_a_peer_that_is_silent_is_dropped_in_time() -> None:
    feed = Feed("tcp://:0")
    with closing(feed.feed), socket.create_connection(feed.address) as sender:
        sender.send(DESCRIBED[:20])
        now = time.monotonic()
        wait_until(lambda: not feed.receivers.poll(0.01, now) and len(feed.receivers) == 1)
        feed.receivers.poll(0.01, now + receivers_module.BEGIN_SECONDS + 1)
        wait_until(lambda: sender.recv(1) == b"")
        assert feed.receivers.events["connection-idle"] == 1


def test_a_rest_ends_when_much_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers_module, "_SO_RCVBUFFORCE", -1)
    monkeypatch.setattr(receivers_module, "RECEIVE_BUFFER", 64 << 10)
    feed, rests = Feed("udp://:0"), list[float]()

    def rest(seconds: float) -> None:
        rests.append(seconds)
        for _ in range(80):
            feed.send(BOTH)

    monkeypatch.setattr(receivers_module.time, "sleep", rest)
    with closing(feed.feed):
        feed.send(BOTH)
        feed.receivers.poll(1.0, 0.0)
        (batch,) = feed.receivers.poll(1.0, 0.0)
        assert len(rests) == 1
        assert len(batch.records) == 80
        assert not feed.receivers.dropped
