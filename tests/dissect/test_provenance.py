"""Frames that prove messages: which are buffered, for how long, and how many at most."""

import random

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.alerts import SECOND, frame
from support.captures import START, block, dissector, timed
from support.frames import SERVER, tcp, udp

from netwatch.dissect import provenance
from netwatch.dissect.provenance import FrameBuffer

RAW = 101


def test_frames_come_back_in_their_order_until_they_are_discarded() -> None:
    buffer = FrameBuffer()
    buffer.append("a", 0, (frame(2),))
    buffer.append("b", 0, (frame(3),))
    buffer.append("a", 1, (frame(1), frame(4)))
    assert [each.number for each in buffer.frames("a")] == [2, 1, 4]
    buffer.discard("a")
    assert buffer.frames("a") == ()
    assert len(buffer.frames("b")) == 1
    assert buffer.evicted == 0


def test_a_frame_is_buffered_once() -> None:
    buffer = FrameBuffer()
    buffer.append("a", 0, (frame(1),))
    buffer.append("a", 0, (frame(1), frame(2)))
    assert [each.number for each in buffer.frames("a")] == [1, 2]


def test_of_too_many_entries_the_least_recent_is_evicted() -> None:
    buffer = FrameBuffer(max_entries=2)
    for number, key in enumerate("abac"):
        buffer.append(key, 0, (frame(number),))
    assert [len(buffer.frames(key)) for key in "abc"] == [2, 0, 1]
    assert buffer.evicted == 1


def test_of_too_many_bytes_the_least_recent_entry_is_evicted() -> None:
    buffer = FrameBuffer(max_bytes=250)
    for key in "abc":
        buffer.append(key, 0, (frame(1, 100),))
    assert [len(buffer.frames(key)) for key in "abc"] == [0, 1, 1]
    assert buffer.evicted == 1


def test_an_entry_with_too_many_frames_is_evicted() -> None:
    buffer = FrameBuffer(max_frames=3)
    for number in range(4):
        buffer.append("a", 0, (frame(number),))
    assert buffer.frames("a") == ()
    assert buffer.evicted == 1


def test_an_incomplete_entry_stays_empty_until_it_is_discarded() -> None:
    buffer = FrameBuffer(max_entries=2, max_frames=3, complete_only=True)
    for number in range(6):
        buffer.append("a", 0, (frame(number),))
    assert buffer.frames("a") == ()
    for key in "bcd":
        buffer.append(key, 0, (frame(1),))
    buffer.append("b", 0, (frame(2),))
    assert [len(buffer.frames(key)) for key in "abcd"] == [0, 0, 1, 1]
    assert buffer.evicted == 2
    for key in "ab":
        buffer.discard(key)
        buffer.append(key, 0, (frame(9),))
    assert [len(buffer.frames(key)) for key in "ab"] == [1, 1]


def test_an_entry_that_timed_out_makes_room_without_being_counted() -> None:
    buffer = FrameBuffer(max_entries=2, timeout=5 * SECOND)
    for number, key in enumerate("abc"):
        buffer.append(key, 6 * number * SECOND, (frame(number),))
    assert [len(buffer.frames(key)) for key in "abc"] == [0, 1, 1]
    assert buffer.evicted == 0


def test_time_ends_only_what_is_asked_for() -> None:
    """What came for other entries does not: they may be read elsewhere."""
    buffer = FrameBuffer(timeout=5 * SECOND)
    buffer.append("a", 0, (frame(1),))
    buffer.append("b", 99 * SECOND, (frame(2),))
    assert len(buffer.frames("a")) == len(buffer.frames("a", 5 * SECOND)) == 1
    assert buffer.frames("a", 6 * SECOND) == ()
    buffer.expire("a", 5 * SECOND)
    assert "a" in buffer
    buffer.expire("a", 6 * SECOND)
    assert "a" not in buffer
    assert "b" in buffer


def test_the_answers_in_a_flow_with_a_contact_outlast_those_in_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provenance, "MAX_FIRST_PACKETS", 3)
    packets = [tcp(flags="SA", sport=443, dport=port) for port in range(50_001, 50_009)]
    for followed in (False, True):
        reader = dissector(keeps_frames_for=lambda address: False)
        trail = reader._provenance
        assert trail is not None
        frames = timed(packets)
        list(reader.messages(block(frames[:1], RAW), "test"))
        (flow,) = trail._answers._entries
        if followed:
            reader.report_end_of(flow)
        list(reader.messages(block(frames[1:], RAW, first=2), "test"))
        assert len(trail._answers._entries) == 3
        assert [each.number for each in reader.answers_in(flow)] == ([1] if followed else [])


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 90), st.booleans()),
        max_size=80,
    )
)
def test_any_frames_stay_within_the_limits(steps: list) -> None:
    buffer = FrameBuffer(max_entries=4, max_bytes=300, max_frames=5, timeout=4, complete_only=True)
    for key, now, size, is_complete in steps:
        buffer.append(key, now, (frame(size, size),))
        if is_complete:
            buffer.discard(key)
        entries = [frames for _, frames in buffer._entries.values()]
        assert len(entries) <= 4
        assert len(buffer._incomplete) <= 4
        assert all(len(frames) <= 5 for frames in entries)
        assert buffer._bytes == sum(len(each.data) for frames in entries for each in frames) <= 300


def test_complete_messages_leave_no_frames_behind() -> None:
    """Only the first packets of flows stay buffered, and separately those of flows to an address
    of interest."""
    reader = dissector(keeps_frames_for=lambda address: address == bytes([203, 0, 113, 10]))
    packets = [
        tcp(flags="S", seq=1000),
        tcp(b"no protocol that is known here", seq=1001),
        tcp(flags="S", seq=1000, dst="203.0.113.99"),
        udp(b"nothing", dst=SERVER, dport=9999),
    ]
    assert list(reader.messages(block(timed(packets), 101), "test")) == []
    trail = reader._provenance
    assert trail is not None
    assert list(trail._messages._entries) == []
    assert list(trail._flows_by_address._entries) == [("test", 1), ("test", 4)]
    assert len(trail._flow_starts._entries) == 3
    assert reader.loop.candidates.total == 0


def test_a_datagram_that_times_out_comes_with_its_fragments() -> None:
    def first_fragment(name: str, ident: int) -> bytes:
        """The only fragment of a datagram that has more."""
        packet = bytearray(udp(messages.query(1, name, "A")))
        packet[4:8] = ident.to_bytes(2) + b"\x20\x00"
        return bytes(packet)

    frames = [
        (START, first_fragment("a.example.org", 1)),
        (START + 120 * SECOND, first_fragment("b.example.org", 2)),
    ]
    reader = dissector(keeps_frames_for=lambda address: True)
    found = [*reader.messages(block(frames, RAW), "test"), *reader.flush()]
    proven = [(message.names[0].name, [each.number for each in p.frames]) for p, message in found]
    assert proven == [("a.example.org", [1]), ("b.example.org", [2])]


def first_part(kind: str, name: str, port: int) -> bytes:
    """The first packet of a message that has more; the name is in it."""
    if kind == "http":
        head = f"GET / HTTP/1.1\r\nHost: {name}\r\nAccept".encode()
        return tcp(head, sport=port, dport=80)
    for seed in range(100):
        rng = random.Random(seed)
        if kind == "tls":
            hello = handshakes.client_hello(name, rng, post_quantum=True)[:1000]
            packet = tcp(handshakes.records(hello), sport=port)
        else:
            hello = handshakes.client_hello(name, rng, post_quantum=True, quic=1)[:1000]
            part = handshakes.crypto_frame(hello, 0, len(hello))
            packet = udp(
                handshakes.quic_initial(1, rng.randbytes(8), b"", 0, part), sport=port, dport=443
            )
        # The extensions are in any order, so the name may be in the second packet.
        if name.encode() in hello:
            return packet
    raise AssertionError(name)


@pytest.mark.parametrize("other", ["http", "tls", "quic"])
@pytest.mark.parametrize("kind", ["http", "tls", "quic"])
def test_a_message_that_times_out_comes_with_its_frames(kind: str, other: str) -> None:
    first, second = (
        first_part(kind, "a.example.org", 50001),
        first_part(other, "b.example.org", 50002),
    )
    reader = dissector(keeps_frames_for=lambda address: True)
    frames = [(START, first), (START + 120 * SECOND, second)]
    found = [*reader.messages(block(frames, RAW), "test"), *reader.flush()]
    proven = [(message.names[0].name, [each.number for each in p.frames]) for p, message in found]
    assert proven == [("a.example.org", [1]), ("b.example.org", [2])]


@pytest.mark.parametrize("pause", [60, 61])
def test_a_message_comes_with_all_its_frames_or_has_timed_out(pause: int) -> None:
    """Whether it has does not depend on other packets."""
    record = handshakes.records(handshakes.client_hello("a.example.org", random.Random(1)))
    other = tcp(
        handshakes.records(handshakes.client_hello("b.example.org", random.Random(2))), sport=50003
    )
    for between in ([], [(START + 60 * SECOND, other)]):
        reader = dissector(keeps_frames_for=lambda address: True)
        last = START + pause * SECOND, tcp(record[99:], seq=1100)
        frames = [(START, tcp(record[:99])), *between, last]
        found = [*reader.messages(block(frames, RAW), "test"), *reader.flush()]
        proven = [
            [each.number for each in packet.frames]
            for packet, message in found
            if message.names[0].name == "a.example.org"
        ]
        assert proven == ([[1, len(frames)]] if pause == 60 else [])
        assert reader.anomalies().get("tcp-stream-aged", 0) == (pause > 60)
