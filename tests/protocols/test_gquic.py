import itertools
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.handshake_samples import DCID, clear_packet_of, padded_chlo, stream_frame
from support.protocol_samples import SALTS, sealed, sound_outcome, varint

from netwatch.core.errors import ParseError
from netwatch.protocols import gquic
from netwatch.protocols.gquic import clear_packet, handshake_pieces

HELLO = padded_chlo(b"www.example.com")
VERSIONS = [24, 25, 30, 33, 34, 35, 37, 38, 39, 43, 44, 46]
Q050 = 0x51303530


def whole(version: int = 43, number_size: int = 1, before: bytes = b"") -> bytes:
    return clear_packet_of(version, before + stream_frame(version, HELLO), number_size)


def name(found) -> str:
    (shown,) = found.names
    assert shown.evidence == "quic-sni"
    assert not shown.client_is_destination
    return shown.name


def protected(data: bytes, number: int = 0, offset: int = 0) -> bytes:
    frames = b"\x08" + varint(offset) + varint(len(data)) + data
    with patch.dict(SALTS, {Q050: "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45"}):
        return sealed(frames, DCID, number, version=Q050, pad_to=1200)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("number_size", [1, 2, 4])
def test_every_version_unencrypted(version, number_size):
    connection = gquic.ClientHandshake()
    datagram = whole(version, number_size) + bytes(50)
    found = connection.feed(datagram)
    assert name(found) == "www.example.com"
    assert (found.size, found.anomalies) == (len(datagram), ())
    assert found.quic.version == f"Q{version:03}"
    assert connection.done
    assert connection.feed(datagram) is None


def test_a_packet_number_of_six_bytes():
    assert name(gquic.ClientHandshake().feed(whole(43, 6))) == "www.example.com"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("version", [25, 43, 46])
def test_a_hello_over_packets_in_any_order(order, version):
    cut = [0, 30, 600, len(HELLO)]
    packets = [
        clear_packet_of(version, stream_frame(version, HELLO[cut[at] : cut[at + 1]], cut[at]))
        for at in range(3)
    ]
    connection = gquic.ClientHandshake()
    found = [one for one in [connection.feed(packets[at]) for at in order] if one]
    assert [name(one) for one in found] == ["www.example.com"]


def test_a_later_hello_is_read_where_the_capture_starts_with_it():
    packet = clear_packet_of(43, stream_frame(43, HELLO, 1024))
    assert name(gquic.ClientHandshake().feed(packet)) == "www.example.com"


@pytest.mark.parametrize(
    ("version", "frame"),
    [
        (43, b"\x40\x05\0\x10\x05\0"),  # ACK, without timestamps
        (
            43,
            b"\x65\0\x05\0\x10\x01\0\x02\x01\0\x03\x02\1\0\0\0\0\1\0\0",
        ),  # with more blocks, times
        (33, b"\x40\x07\x05\0\x10\0"),
        (33, b"\x60\x07\x05\0\x10\1\x01\0\0\0\0\1\x01\x02\1\x03"),  # with a range and a revival
        (43, b"\x06\x01"),  # STOP_WAITING
        (33, b"\x06\x07\x01"),
        (43, b"\x07"),
        (43, bytes(5)),
        (43, b"\x01" + bytes(16)),
        (43, b"\x02\0\0\0\1\0\3bye"),
        (43, b"\x03\0\0\0\1\0\0\0\1\0\3bye"),
        (43, b"\x04" + bytes(12) + b"\x05" + bytes(4)),
        (43, stream_frame(43, b"abc", stream=5)),
    ],
)
def test_frames_before_the_hello_are_skipped(version, frame):
    assert name(gquic.ClientHandshake().feed(whole(version, before=frame))) == "www.example.com"


def test_a_hello_to_the_end_of_its_packet():
    packet = clear_packet_of(43, b"\x80\x01" + HELLO)
    assert name(gquic.ClientHandshake().feed(packet)) == "www.example.com"


def test_packets_of_an_fec_group():
    packet = bytearray(whole(25))
    at = len(whole(25)) - len(stream_frame(25, HELLO)) - 1
    packet[at : at + 1] = b"\x02\x01"
    assert name(gquic.ClientHandshake().feed(bytes(packet))) == "www.example.com"
    packet[at] = 0x04
    with pytest.raises(ParseError):
        gquic.ClientHandshake().feed(bytes(packet))


def test_q050_is_opened_and_put_together():
    connection = gquic.ClientHandshake()
    assert connection.feed(protected(HELLO[:700])) is None
    assert not connection.done
    found = connection.feed(protected(HELLO[700:], 1, 700))
    assert name(found) == "www.example.com"
    assert found.quic.version == "Q050"
    assert connection.done
    assert connection.feed(protected(HELLO)) is None
    with pytest.raises(ParseError) as raised:
        gquic.ClientHandshake().feed(protected(b"REJ\0" + bytes(40)))
    assert raised.value.anomaly == "gquic-not-a-client-hello"


@pytest.mark.parametrize("packet", [clear_packet_of(43, stream_frame(43, HELLO[:-2])), None])
def test_a_truncated_hello_shows_its_name_at_the_end(packet):
    connection = gquic.ClientHandshake()
    assert connection.feed(packet or protected(HELLO[:-1])) is None
    found = connection.finish()
    assert name(found) == "www.example.com"
    assert (found.size, found.anomalies) == (0, ("gquic-hello-cut",))
    assert connection.finish() is None


def test_nothing_comes_of_a_hello_without_its_start():
    connection = gquic.ClientHandshake()
    assert connection.feed(clear_packet_of(43, stream_frame(43, HELLO[30:], 30))) is None
    assert connection.finish() is None
    other = gquic.ClientHandshake()
    assert other.feed(clear_packet_of(43, stream_frame(43, HELLO[:30]))) is None
    assert other.finish() is None


def test_pieces_before_the_start_have_a_limit():
    connection = gquic.ClientHandshake()
    for at in range(gquic.MAX_PIECES + 1):
        piece = stream_frame(43, b"x", 5000 + 2 * at)
        assert connection.feed(clear_packet_of(43, piece)) is None
    assert connection.feed(whole()).anomalies == ("gquic-stream-limit",)


@pytest.mark.parametrize(
    ("datagram", "anomaly"),
    [
        (b"", "gquic-header"),
        (b"\x09", "gquic-header"),
        (whole()[:20], "gquic-header"),
        (b"\x08" + whole()[1:], "gquic-header"),  # no version
        (b"\x0b" + whole()[1:], "gquic-header"),  # a reset
        (whole().replace(b"Q043", b"Q047"), "gquic-header"),
        (whole().replace(b"Q043", b"Q04\xb2"), "gquic-header"),
        (whole().replace(b"Q043", b"Q046", 1), "gquic-header"),
        (b"\xd3" + whole(46)[1:], "gquic-header"),  # 0-RTT
        (clear_packet_of(43, b"\x10" + HELLO), "gquic-no-handshake"),
        (clear_packet_of(43, stream_frame(43, HELLO, stream=5)), "gquic-no-handshake"),
        (clear_packet_of(43, stream_frame(43, HELLO)[:40]), "gquic-no-handshake"),
    ],
)
def test_datagrams_that_give_nothing(datagram, anomaly):
    with pytest.raises(ParseError) as raised:
        gquic.ClientHandshake().feed(datagram)
    assert raised.value.anomaly == anomaly


@pytest.mark.parametrize("version", [33, 43, 46])
def test_a_packet_truncated_at_every_byte(version):
    datagram = whole(version)
    for end in range(len(datagram)):
        connection = gquic.ClientHandshake()
        with pytest.raises(ParseError) as raised:
            connection.feed(datagram[:end])
        assert raised.value.anomaly.startswith("gquic-")
        assert connection.finish() is None


@given(st.binary(max_size=300), st.sampled_from(VERSIONS), st.booleans())
def test_any_bytes_are_a_message_or_a_named_error(data, version, framed):
    raw = clear_packet_of(version, data) if framed else data
    connection = gquic.ClientHandshake()
    assert sound_outcome(connection.feed, raw, "gquic-")
    assert sound_outcome(lambda _: connection.finish(), raw, "gquic-")


@given(
    st.sampled_from(VERSIONS),
    st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 255)), max_size=6),
)
def test_a_valid_packet_with_some_bytes_changed(version, changes):
    data = bytearray(whole(version))
    for at, value in changes:
        data[at % len(data)] = value
    assert sound_outcome(gquic.ClientHandshake().feed, bytes(data), "gquic-")


@given(st.binary(max_size=200))
def test_pieces_lie_within_the_packet(frames):
    datagram = clear_packet_of(43, frames)
    for _, data in handshake_pieces(datagram, clear_packet(datagram)):
        assert data in frames
