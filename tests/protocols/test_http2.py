import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st
from support.handshake_samples import PREFACE, http2_frame, http2_requests, request_fields
from support.protocol_samples import sound_outcome

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message
from netwatch.protocols import http2

SETTINGS = http2_frame(4, b"")
BLOCK = Encoder().encode(request_fields("www.example.com"))
WHOLE = PREFACE + SETTINGS + http2_frame(1, BLOCK, 0x05, 1)
TWO = http2_requests("www.example.com:8080", "other.example")


def read(data: bytes, last: bool = False) -> Message:
    """The first message of a connection."""
    return http2.Connection().read(data, last)


def names(found) -> list[str]:
    assert all(one.evidence == "http-host" and not one.client_is_destination for one in found.names)
    return [one.name for one in found.names]


def block_of(authority: str | None, **more: str) -> bytes:
    return PREFACE + http2_frame(1, Encoder().encode(request_fields(authority, **more)), 4, 1)


def test_all_requests_that_are_there():
    found = read(TWO)
    assert names(found) == ["www.example.com", "other.example"]
    assert (found.size, found.anomalies) == (len(TWO), ())
    assert names(read(http2_requests(*["a.example"] * 3))) == ["a.example"]


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (block_of("WWW.Example.com"), "www.example.com"),
        (block_of("user@www.example.com:443"), "www.example.com"),
        (block_of("[2001:db8::7]:443"), "2001:db8::7"),
        (block_of(None, host="a.example:80"), "a.example"),
        (block_of("a.example", host="b.example"), "a.example"),
    ],
)
def test_the_host_of_a_request(data, host):
    assert names(read(data)) == [host]


def test_the_target_of_connect():
    block = Encoder().encode([(":method", "CONNECT"), (":authority", "a.example:443")])
    assert names(read(PREFACE + http2_frame(1, block, 4, 1))) == ["a.example"]


def test_a_request_without_a_host_shows_nothing():
    assert read(block_of(None)).names == ()


def test_a_connection_truncated_at_every_byte_waits_for_the_first_request():
    for end in range(len(WHOLE)):
        with pytest.raises(Incomplete) as raised:
            read(WHOLE[:end])
        assert end < raised.value.bytes_needed <= len(WHOLE)
        with pytest.raises(ParseError) as refused:
            read(WHOLE[:end], last=True)
        assert refused.value.anomaly == "http2-cut"
    for end in range(len(http2_requests("www.example.com:8080")), len(TWO)):
        assert len(read(TWO[:end]).names) == 1


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_block_over_frames(size):
    parts = [BLOCK[at : at + size] for at in range(0, len(BLOCK), size)]
    frames = [http2_frame(9 if at else 1, part, 0, 1) for at, part in enumerate(parts)]
    data = PREFACE + b"".join(frames) + http2_frame(9, b"", 4, 1)
    found = read(data + b"\0\0\5")
    assert names(found) == ["www.example.com"]
    assert found.size == len(data)


def grown(ends: list[int], data: bytes) -> list[str]:
    """The names of a connection that is given as its bytes come, those up to each end."""
    connection, done, found = http2.Connection(), 0, []
    for end in ends:
        while done < end:
            given_, missing = data[done:end], 1
            try:
                message = connection.read(given_)
            except Incomplete as more:
                missing = more.bytes_needed - len(given_)
                break
            assert 0 < message.size <= end - done
            assert message.anomalies == ()
            found += names(message)
            done += message.size
        assert missing > 0
    assert done == len(data)
    return found


MANY = ["a.example", "b.example", "a.example", "c.example:81", "d.example", "b.example"]


@given(st.sets(st.integers(1, 400), max_size=20), st.sampled_from([1, 40, 9999]))
def test_requests_however_their_bytes_come(cuts, size):
    """Blocks that lean on the table of those before, whole or over frames."""
    encoder, data = Encoder(), PREFACE + SETTINGS
    for at, authority in enumerate(MANY):
        block = encoder.encode(request_fields(authority, accept="*/*", cookie="x" * 30 + str(at)))
        parts = [block[start : start + size] for start in range(0, len(block), size)]
        for number, part in enumerate(parts):
            ends = 4 if number == len(parts) - 1 else 0
            data += http2_frame(9 if number else 1, part, ends, 2 * at + 1)
        data += http2_frame(0, bytes(at), 1, 2 * at + 1)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    assert grown(ends, data) == ["a.example", "b.example", "c.example", "d.example"]


def test_an_error_ends_the_connection():
    connection = http2.Connection()
    assert connection.read(WHOLE).size == len(WHOLE)
    with pytest.raises(ParseError) as raised:
        connection.read(http2_frame(9, b"", 4, 3))
    assert raised.value.anomaly == "http2-continuation"
    other = http2.Connection()
    assert other.read(WHOLE + http2_frame(9, b"", 4, 3)).anomalies == ("http2-continuation",)
    rest = http2_frame(1, Encoder().encode(request_fields("b.example")), 4, 5)
    assert other.read(rest) == Message((), len(rest))


def test_a_request_that_the_capture_truncated_ends_it_too():
    connection = http2.Connection()
    assert names(connection.read(WHOLE + b"\0\0\5", last=True)) == ["www.example.com"]
    assert connection.read(WHOLE[len(PREFACE) :]).names == ()


@pytest.mark.parametrize(
    ("flags", "payload"),
    [
        (0x0C, b"\3" + BLOCK + bytes(3)),
        (0x24, b"\x80\0\0\1\x10" + BLOCK),
        (0x2C, b"\2\x80\0\0\1\x10" + BLOCK + bytes(2)),
    ],
)
def test_padding_and_priority(flags, payload):
    assert names(read(PREFACE + http2_frame(1, payload, flags, 1))) == ["www.example.com"]


def test_frames_between_are_skipped():
    between = http2_frame(8, b"\0\0\1\0") + http2_frame(0, bytes(3000), 1, 1)
    between += http2_frame(0xBE, b"unknown")
    rest = http2_requests("www.example.com")[len(PREFACE) :]
    assert names(read(PREFACE + between + rest)) == ["www.example.com"]


def test_the_table_may_grow_as_the_server_grants():
    encoder = Encoder()
    encoder.header_table_size = http2.MAX_TABLE
    data = PREFACE + http2_frame(1, encoder.encode(request_fields("a.example")), 4, 1)
    assert names(read(data)) == ["a.example"]


def test_requests_have_a_limit():
    many = [f"h{at}.example" for at in range(http2.MAX_REQUESTS + 9)]
    data = http2_requests(*many)
    found = read(data)
    assert names(found) == many[: http2.MAX_REQUESTS]
    assert found.size == len(data)
    assert found.anomalies == ("http2-requests",)


def test_frames_before_a_request_have_a_limit():
    before = http2_frame(8, b"\0\0\1\0") * (http2.MAX_FRAMES - 1)
    request = http2_frame(1, BLOCK, 4, 1)
    assert names(read(PREFACE + before + request)) == ["www.example.com"]
    with pytest.raises(ParseError) as raised:
        read(PREFACE + before + SETTINGS + request)
    assert raised.value.anomaly == "http2-frames"


def test_a_name_that_is_too_long_is_left():
    found = read(block_of("a" * 300))
    assert (found.names, found.anomalies) == ((), ("http-host-length",))


def bomb() -> bytes:
    """A block that refers to one long field many times: 50 kB that would grow to 50 MB."""
    long = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000
    return long + b"\xbe" * 12000


@pytest.mark.parametrize(
    ("frames", "anomaly"),
    [
        (http2_frame(1, bomb()[:16384], 4, 1), "http2-hpack"),
        (http2_frame(1, b"\x80", 4, 1), "http2-hpack"),
        (http2_frame(1, b"\x3f" + b"\xff" * 20, 4, 1), "http2-hpack"),
        (http2_frame(1, b"\x40\x0aabc", 4, 1), "http2-hpack"),
        (http2_frame(1, bytes(http2.MAX_BLOCK + 1), 4, 1), "http2-block"),
        (b"\xff\xff\xff\0\0" + bytes(4), "http2-frame-size"),
        (http2_frame(1, b"\x09abc", 0x0C, 1), "http2-padding"),
        (http2_frame(1, b"", 0x0C, 1), "http2-padding"),
        (http2_frame(1, b"abc", 0x24, 1), "http2-padding"),
        (http2_frame(9, b"abc", 0x04, 1), "http2-continuation"),
        (http2_frame(1, BLOCK, 0, 1) + SETTINGS, "http2-continuation"),
        (http2_frame(1, BLOCK, 0, 1) + http2_frame(9, b"", 4, 3), "http2-continuation"),
    ],
)
def test_an_error_before_a_request_and_an_anomaly_after(frames, anomaly):
    with pytest.raises(ParseError) as raised:
        read(PREFACE + frames)
    assert raised.value.anomaly == anomaly
    found = read(WHOLE + frames)
    assert names(found) == ["www.example.com"]
    assert found.anomalies == (anomaly,)
    assert found.size == len(WHOLE + frames)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", PREFACE[:-1] + b"x", b"PRI * HTTP/1.1"])
def test_what_has_no_preface_is_refused(data):
    with pytest.raises(ParseError) as raised:
        read(data)
    assert raised.value.anomaly == "http2-preface"


@given(st.binary(max_size=200), st.sampled_from(["", "preface", "block"]), st.booleans())
def test_any_bytes_are_a_message_or_a_named_error(data, framed, last):
    raw = {"": data, "preface": PREFACE + data, "block": PREFACE + http2_frame(1, data, 4, 1)}
    assert sound_outcome(lambda given: read(given, last), raw[framed], "http")


@given(
    st.lists(st.tuples(st.integers(24, len(TWO) - 1), st.integers(0, 255)), max_size=6),
    st.booleans(),
)
def test_a_valid_connection_with_some_bytes_changed(changes, last):
    data = bytearray(TWO)
    for at, value in changes:
        data[at] = value
    assert sound_outcome(lambda given: read(given, last), bytes(data), "http")
