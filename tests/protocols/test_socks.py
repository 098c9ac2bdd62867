import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import sound_outcome, vector

from netwatch.core.errors import Incomplete, ParseError
from netwatch.protocols import socks

PORT = b"\x01\xbb"
GREETING = b"\x05\x03\x00\x01\x02"
LOGIN = b"\x01\x05alice\x06secret"
V4 = b"\x04\x01" + PORT + b"\xc0\0\2\1" + b"alice\0"
V4A = b"\x04\x01" + PORT + b"\0\0\0\1" + b"\0" + b"WWW.example.com\0"
V6 = bytes.fromhex("20010db8000000000000000000000007")


def v5(kind: int, address: bytes, command: int = 1) -> bytes:
    return bytes([5, command, 0, kind]) + address + PORT


DOMAIN = v5(3, vector(1, b"www.example.com"))
REQUESTS = [
    (V4, "192.0.2.1"),
    (V4A, "www.example.com"),
    (b"\x04\x02" + V4[2:], "192.0.2.1"),
    (DOMAIN, "www.example.com"),
    (v5(1, b"\xc0\0\2\1"), "192.0.2.1"),
    (v5(4, V6), "2001:db8::7"),
    (v5(3, vector(1, b"192.0.2.1"), 2), "192.0.2.1"),
    (v5(3, vector(1, b"a.example"), 3), "a.example"),
    (v5(1, b"\x01\0\0\1", 2), "1.0.0.1"),
    (v5(1, b"\x05\0\0\1", 2), "5.0.0.1"),
    (b"\x05\x01\x00" + DOMAIN, "www.example.com"),
    (b"\x05\x02\x00\x01" + DOMAIN, "www.example.com"),
    (b"\x05\x02\x00\x01" + v5(1, b"\xc0\0\2\1"), "192.0.2.1"),
    (GREETING + DOMAIN, "www.example.com"),
    (GREETING + LOGIN + DOMAIN, "www.example.com"),
    (b"\x05\x01\x02\x01\0\0" + DOMAIN, "www.example.com"),
    (b"\x05\xff" + bytes(255) + DOMAIN, "www.example.com"),
]


@pytest.mark.parametrize(("data", "host"), REQUESTS)
def test_the_host_of_a_request(data, host):
    found = socks.parse(data + b"\x16\x03\x01")
    assert [(one.evidence, one.name) for one in found.names] == [("socks-host", host)]
    assert not found.names[0].client_is_destination
    assert found.size == len(data)
    assert socks.parse(data) == found


@pytest.mark.parametrize("data", [request for request, _ in REQUESTS])
def test_a_request_truncated_at_every_byte_waits(data):
    for end in range(len(data)):
        with pytest.raises(Incomplete) as raised:
            socks.parse(data[:end])
        assert end < raised.value.bytes_needed <= len(data)
        with pytest.raises(ParseError) as refused:
            socks.parse(data[:end], last=True)
        assert refused.value.anomaly == "socks-cut"


@pytest.mark.parametrize("data", [v5(1, bytes(4), 3), v5(4, bytes(16), 3), v5(3, b"\0")])
def test_nothing_that_is_asked_for_shows_nothing(data):
    assert socks.parse(data).names == ()


@pytest.mark.parametrize(
    "data",
    [
        b"\x06",
        b"GET / HTTP/1.1\r\n",
        b"\x04\x03",
        b"\x04\x01" + bytes(6) + b"x" * 300,
        b"\x04\x01" + PORT + b"\0\0\0\1\0" + b"x" * 300,
        b"\x05\0\0\0",
        b"\x05\x01\x00\x07",
        b"\x05\x01\x02" + b"\x05\x04\x00\x01\xc0\0\2\1" + PORT,
        b"\x05\x01\x02" + b"\x05\x01\x01\x01\xc0\0\2\1" + PORT,
        b"\x05\x01\x02" + b"\x05\x01\x00\x02\xc0\0\2\1" + PORT,
        b"\x05\x01\x02" + LOGIN + b"\x04\x01\x00\x01\xc0\0\2\1" + PORT,
        b"\x05\x01\x01" + b"\x01\x01\0\x04gsss",
    ],
)
def test_bytes_that_are_no_request_are_rejected(data):
    with pytest.raises(ParseError) as raised:
        socks.parse(data)
    assert raised.value.anomaly == "socks-request"


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x04", b"\x05", GREETING]), st.booleans())
def test_any_bytes_are_a_message_or_a_named_error(data, head, last):
    assert sound_outcome(lambda given: socks.parse(given, last), head + data, "socks-")


@given(
    st.sampled_from([request for request, _ in REQUESTS]),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4),
)
def test_a_valid_request_with_some_bytes_changed(request_bytes, changes):
    data = bytearray(request_bytes)
    for at, value in changes:
        data[at % len(data)] = value
    assert sound_outcome(socks.parse, bytes(data), "socks-")


@given(
    st.binary(min_size=1, max_size=255),
    st.binary(max_size=255),
    st.sets(st.integers(0, 255), max_size=20).map(lambda methods: methods | {2}),
)
def test_any_login_is_skipped(user, password, methods):
    greeting = b"\x05" + vector(1, bytes(sorted(methods)))
    login = b"\x01" + vector(1, user) + vector(1, password)
    assert socks.parse(greeting + login + DOMAIN).names[0].name == "www.example.com"
