"""dnstap, with frames written as dnstap.proto has them.

Frame Streams: frames, and the handshake of a receiver.
"""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from support.dnstap_frames import (
    CLIENT_QUERY,
    CLIENT_RESPONSE,
    NXDOMAIN_ACTION,
    PASS_ACTION,
    RESOLVER_QUERY,
    field,
    frame,
    policy,
    stream,
    varint,
)
from support.log_records import SAMPLES, read, read_any, sample_of, short

from netwatch.core.errors import RecordError
from netwatch.logs import dnstap
from netwatch.logs.dnstap import (
    ACCEPT,
    DNSTAP,
    FINISH,
    MAX_FRAME,
    READY,
    START,
    STOP,
    Frame,
    FrameError,
    Handshake,
    control_frame,
    frames,
    is_frame_streams,
)
from netwatch.logs.recognise import recognise_head
from netwatch.logs.records import LogName

QUERY = bytes(DNS(id=7, rd=1, qd=DNSQR(qname="www.TikTok.com")))
ANSWER = bytes(
    DNS(
        id=7,
        qr=1,
        qd=DNSQR(qname="www.TikTok.com"),
        an=[
            DNSRR(rrname="www.tiktok.com", type="CNAME", ttl=300, rdata="edge.example.net"),
            DNSRR(rrname="edge.example.net", type="A", ttl=20, rdata="203.0.113.10"),
        ],
    )
)
REFUSED = bytes(DNS(id=7, qr=1, rcode=3, qd=DNSQR(qname="www.tiktok.com")))
CLIENT, SERVER = "10.20.1.31:51612", "10.20.0.53:53"


def test_the_query_of_a_client_and_its_answer():
    asked, answered, alias = read(
        dnstap, [frame(CLIENT_QUERY, QUERY), frame(CLIENT_RESPONSE, ANSWER)]
    )
    assert short(asked) == ("dns-query", "www.tiktok.com", CLIENT, SERVER, None)
    assert short(answered) == ("dns-answer", "www.tiktok.com", CLIENT, SERVER, "NOERROR")
    assert short(alias) == ("dns-cname", "edge.example.net", CLIENT, SERVER, "NOERROR")
    assert (asked.time, asked.time_digits, asked.raw) == (
        1679303071118342001,
        9,
        "www.TikTok.com",
    )
    assert answered.dns.answers == (("203.0.113.10", 20),)
    assert alias.asked == "www.tiktok.com"
    assert asked.transport == "udp"


@pytest.mark.parametrize(
    ("protocol", "transport"), [(1, "udp"), (2, "tcp"), (3, "tcp"), (4, "tcp")]
)
def test_the_transport(protocol, transport):
    (entry,) = read(dnstap, [frame(CLIENT_QUERY, QUERY, protocol=protocol)])
    assert entry.transport == transport


def test_a_query_of_the_resolver_itself_has_no_client():
    """Whoever has asked it is in no field, so that nobody is named."""
    (entry,) = read(dnstap, [frame(RESOLVER_QUERY, QUERY, client=b"\x0a\x14\x00\x35")])
    assert short(entry)[:3] == ("dns-query", "www.tiktok.com", "-:0")
    assert entry.lacks == ("client",)


def test_a_server_may_leave_out_addresses():
    (entry,) = read(dnstap, [frame(CLIENT_QUERY, QUERY, server=b"")])
    assert short(entry)[2:4] == (CLIENT, "-:53")
    six = bytes.fromhex("20010db8002000000000000000000031")
    (entry,) = read(dnstap, [frame(CLIENT_QUERY, QUERY, client=six)])
    assert short(entry)[2] == "2001:db8:20::31:51612"


def test_a_response_policy_zone_has_blocked():
    blocked = policy(b"www.tiktok.com.rpz.example.", NXDOMAIN_ACTION)
    (entry,) = read(dnstap, [frame(CLIENT_RESPONSE, REFUSED, policy=blocked)])
    assert (entry.outcome, entry.blocked_by) == (
        "blocked",
        "NXDOMAIN (www.tiktok.com.rpz.example.)",
    )
    assert entry.dns.rcode == "NXDOMAIN"
    (entry,) = read(dnstap, [frame(CLIENT_RESPONSE, REFUSED, policy=policy(b"x.", PASS_ACTION))])
    assert (entry.outcome, entry.blocked_by) == (None, "")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\x08", "protobuf-invalid"),
        (b"\x72\x05ab", "protobuf-invalid"),
        (b"\xff" * 11, "protobuf-invalid"),
        (varint(3 << 3 | 3), "protobuf-invalid"),  # a group
        (field(14, field(1, 5)) + field(15, 1), "dns-message-missing"),
        (frame(CLIENT_QUERY, QUERY[:8]), "dns-cut"),
        (frame(CLIENT_QUERY, QUERY, client=b"abc"), "address-invalid"),
        (frame(CLIENT_QUERY, QUERY, nanoseconds=10**9), "time-invalid"),
        (frame(CLIENT_QUERY, QUERY, seconds=1 << 40), "time-invalid"),
        (frame(CLIENT_QUERY, QUERY, seconds=0), "time-missing"),
    ],
)
def test_what_cannot_be_read(record, reason):
    with pytest.raises(RecordError, match=reason):
        read(dnstap, [record])


def test_other_messages_say_nothing():
    update = field(14, field(1, 13)) + field(15, 1)
    assert read(dnstap, [b"", field(15, 2), update]) == []


def test_the_content_type_tells_the_format():
    made = stream([frame(CLIENT_QUERY, QUERY)])
    assert recognise_head(made).format is None  # standard input cannot be read twice
    assert dnstap.recognise(sample_of([made])) > 0
    other = made.replace(b"protobuf:dnstap.Dnstap", b"protobuf:another.Types")
    assert dnstap.recognise(sample_of([other])) == 0
    sample = (SAMPLES / "dnstap" / "resolver.dnstap").read_bytes()
    assert dnstap.recognise(sample_of([sample])) > 0


@given(st.lists(st.binary(max_size=200), max_size=4), st.data())
def test_any_bytes(records, data):
    damaged = bytearray(frame(CLIENT_RESPONSE, ANSWER, policy=policy(b"x.", 1)))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    found = read_any(dnstap, [*records, bytes(damaged)])
    assert len(found) < 100
    assert all(isinstance(each, LogName) for each in found)


def data_frame(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


def test_start_frame_of_a_file() -> None:
    # The first bytes of every dnstap file, as fstrm writes them.
    start = bytes.fromhex("00000000 00000022 00000002 00000001 00000016") + DNSTAP
    assert control_frame(START, DNSTAP) == start
    assert is_frame_streams(start)
    assert list(frames(start + data_frame(b"abc"))) == [
        Frame(len(start), b"", START, (DNSTAP,)),
        Frame(len(start) + 7, b"abc"),
    ]


@pytest.mark.parametrize("head", [b"", b"Nov 27 00:00:00 dnsmasq", bytes(12), b"SQLite format 3\0"])
def test_other_files_are_none(head: bytes) -> None:
    assert not is_frame_streams(head)


def test_incomplete_frames_wait() -> None:
    data = control_frame(STOP) + data_frame(b"abcd")
    for size in range(len(data)):
        assert len(list(frames(data[:size]))) == (1 if size >= 12 else 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack(">I", MAX_FRAME + 1), "frame-too-long"),
        (struct.pack(">II", 0, 3) + b"abc", "control-frame-invalid"),
        (struct.pack(">II", 0, 513), "control-frame-invalid"),
        (struct.pack(">III", 0, 4, 9), "control-frame-invalid"),
        (struct.pack(">IIIII", 0, 12, START, 2, 0), "control-frame-invalid"),
        (struct.pack(">IIIII", 0, 12, START, 1, 9), "control-frame-invalid"),
        (struct.pack(">IIII", 0, 8, START, 1), "control-frame-invalid"),
    ],
)
def test_damaged_frames_are_named(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        list(frames(data))


def take(handshake: Handshake, data: bytes) -> bytes:
    return b"".join(map(handshake.take, frames(data)))


def test_handshake_of_both_sides() -> None:
    handshake = Handshake()
    assert take(handshake, control_frame(READY, DNSTAP)) == control_frame(ACCEPT, DNSTAP)
    assert not handshake.is_started
    assert take(handshake, control_frame(START, DNSTAP) + data_frame(b"abc")) == b""
    assert handshake.is_started
    assert take(handshake, control_frame(STOP)) == control_frame(FINISH)
    assert handshake.is_stopped


def test_sender_that_waits_for_no_answer() -> None:
    handshake = Handshake()
    assert take(handshake, control_frame(START) + data_frame(b"a") + control_frame(STOP)) == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (data_frame(b"early"), "frame-unexpected"),
        (control_frame(STOP), "frame-unexpected"),
        (control_frame(READY, b"protobuf:other"), "content-type-other"),
        (control_frame(START, b"protobuf:other"), "content-type-other"),
        (control_frame(START) * 2, "frame-unexpected"),
        (control_frame(START) + control_frame(STOP) + data_frame(b"late"), "frame-unexpected"),
        (control_frame(ACCEPT), "frame-unexpected"),
    ],
)
def test_order_is_kept(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        take(Handshake(), data)


@given(st.binary(max_size=600))
def test_any_bytes_of_a_stream(data: bytes) -> None:
    found = []
    with contextlib.suppress(FrameError):
        found += frames(data)
    assert all(frame.end <= len(data) for frame in found)
