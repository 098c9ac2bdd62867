import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import (
    extension,
    hello,
    real_hello,
    records,
    server_name,
    sound_outcome,
    vector,
)

from netwatch.core.errors import Incomplete, ParseError
from netwatch.protocols import tls

HELLO = hello(server_name(b"www.example.com"))


def test_a_real_hello():
    raw = real_hello("v16-webapp.example.com", ("h2", "http/1.1"))
    found = tls.parse(raw + b"\x14\3\3\0\1\1")
    assert [(one.evidence, one.name) for one in found.names] == [
        ("tls-sni", "v16-webapp.example.com")
    ]
    assert not found.names[0].client_is_destination
    assert found.size == len(raw)
    assert found.tls.version == "1.3"
    assert found.tls.alpn == ("h2", "http/1.1")
    assert found.tls.ja4.startswith("t13d")
    assert (found.tls.ech, found.quic, found.anomalies) == (None, None, ())


def test_dpkt_reads_the_same_hello():
    raw = real_hello()
    theirs = dpkt.ssl.TLSHandshake(dpkt.ssl.TLSRecord(raw).data).data
    ours = tls.parse(raw)
    # OpenSSL offers no GREASE.
    assert ours.tls.ja4[4:8] == f"{len(theirs.ciphersuites):02}{len(theirs.extensions):02}"
    assert dict(theirs.extensions)[0][5:].decode() == ours.names[0].name


def test_a_hello_without_a_name_shows_nothing():
    found = tls.parse(real_hello(None))
    assert found.names == found.anomalies == ()
    assert found.tls.ja4.startswith("t13i")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100, 16384])
def test_a_hello_in_records_of_any_size_waits_until_it_is_complete(size):
    raw = records(HELLO, size)
    for end in range(len(raw)):
        with pytest.raises(Incomplete) as raised:
            tls.parse(raw[:end])
        assert end < raised.value.bytes_needed <= len(raw)
    found = tls.parse(raw + b"more")
    assert found.names[0].name == "www.example.com"
    assert found.size == len(raw)
    assert found.anomalies == ()


def test_a_real_hello_truncated_at_every_byte():
    raw = real_hello()
    for end in range(len(raw)):
        with pytest.raises(Incomplete) as raised:
            tls.parse(raw[:end])
        assert end < raised.value.bytes_needed <= len(raw)


def test_a_hello_that_ends_within_its_record():
    raw = records(HELLO + b"\x0b\0\0\x40" + bytes(64))
    assert tls.parse(raw).size == len(raw)
    assert tls.parse(raw[:-60]).names[0].name == "www.example.com"


def test_the_last_bytes_are_read_as_far_as_they_go():
    raw = records(hello(server_name(b"www.example.com") + extension(21, bytes(900))), 300)
    found = tls.parse(raw[:500], last=True)
    assert found.names[0].name == "www.example.com"
    assert found.anomalies == ("tls-hello-cut",)
    assert found.tls.ja4 is None
    assert found.size == 500
    with pytest.raises(ParseError) as raised:
        tls.parse(raw[:60], last=True)
    assert raised.value.anomaly == "tls-hello-cut"


@pytest.mark.parametrize(
    ("raw", "anomaly"),
    [
        (b"GET / HTTP/1.1\r\n", "tls-not-a-record"),
        (b"\x17\3\3\0\5", "tls-not-a-record"),
        (b"\x16\2\0\0\5", "tls-not-a-record"),
        (b"\x16\3\1\xff\xff", "tls-record-length"),
        (b"\x16\3\3\0\4\2\0\0\0", "tls-not-a-client-hello"),
        (b"\x16\3\3\0\4\1\1\0\0", "tls-hello-length"),
        (b"\x80\x2e\1\3\1" + bytes(43), "tls-sslv2-hello"),
        (b"\x16\3\1\0\0" * 33, "tls-empty-records"),
        (b"\x16\3\1\0\2\1\0\x15\3\1\0\2\2\0", "tls-interleaved"),
        (b"\x15\3\1\0\2\1\0" * 17, "tls-interleaved"),
    ],
)
def test_bytes_that_are_no_hello_are_rejected_at_once(raw, anomaly):
    with pytest.raises(ParseError) as raised:
        tls.parse(raw)
    assert raised.value.anomaly == anomaly


def test_empty_records_are_skipped_and_named():
    raw = records(HELLO[:9]) + b"\x16\3\1\0\0" * 3 + records(HELLO[9:])
    found = tls.parse(raw)
    assert found.names[0].name == "www.example.com"
    assert found.anomalies == ("tls-empty-record",)


EMPTY, EMPTY_CCS = b"\x16\3\1\0\0", b"\x14\3\1\0\0"
ALERT = b"\x15\3\1\0\2\1\0"


@pytest.mark.parametrize(
    ("before", "between", "anomalies"),
    [
        (EMPTY * 32, EMPTY * 32, ("tls-empty-record",)),
        (EMPTY_CCS, EMPTY, ("tls-empty-record",)),
        (ALERT * 8, ALERT * 8, ("tls-warning-alert",)),
        (EMPTY + ALERT, b"", ("tls-empty-record", "tls-warning-alert")),
    ],
)
def test_records_that_servers_skip_are_skipped_and_named(before, between, anomalies):
    raw = before + records(HELLO[:9]) + between + records(HELLO[9:])
    found = tls.parse(raw)
    assert found.names[0].name == "www.example.com"
    assert (found.anomalies, found.size) == (anomalies, len(raw))
    assert tls.begins(raw)
    for end in range(1, len(raw)):
        with pytest.raises(Incomplete) as raised:
            tls.parse(raw[:end])
        assert end < raised.value.bytes_needed <= len(raw)


@pytest.mark.parametrize("version", [0x0300, 0x0305, 0x0399, 0x03FF])
def test_the_version_of_a_record_is_ignored(version):
    raw = records(HELLO)
    found = tls.parse(raw[:1] + version.to_bytes(2) + raw[3:])
    assert (found.names, found.anomalies) == (tls.parse(raw).names, ())


def test_a_name_before_a_foreign_record_is_still_shown():
    long = hello(server_name(b"www.example.com") + extension(21, bytes(300)))
    raw = records(long[:120]) + b"\x15\3\1\0\2\2\x28" + records(long[120:])
    found = tls.parse(raw)
    assert found.names[0].name == "www.example.com"
    assert found.anomalies == ("tls-hello-cut", "tls-interleaved")
    assert found.size == 125


@pytest.mark.parametrize(
    ("versions", "text"),
    [
        ("03040303", "1.3"),
        ("7a7a0303", "1.2"),
        ("0301", "1.0"),
        ("fb1a", "0xfb1a"),
        ("6a6a", "1.2"),  # nothing meant: legacy_version stands
    ],
)
def test_the_highest_version_offered(versions, text):
    raw = records(hello(extension(43, vector(1, bytes.fromhex(versions)))))
    assert tls.parse(raw).tls.version == text


def test_protocol_names_cannot_break_a_line():
    raw = records(hello(extension(16, vector(2, vector(1, b"h\n2")))))
    assert tls.parse(raw).tls.alpn == ("h\\0102",)


def test_ech_is_reported():
    assert tls.parse(records(hello(extension(0xFE0D, bytes(40))))).tls.ech == "present"


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes_are_a_message_or_a_named_error(data, framed, last):
    raw = b"\x16\x03\x01" + data if framed else data
    assert sound_outcome(lambda given: tls.parse(given, last), raw, "tls-")


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    st.integers(1, 400),
    st.booleans(),
)
def test_a_valid_hello_with_some_bytes_changed(changes, size, last):
    data = bytearray(records(real_hello()[5:], size))
    for at, value in changes:
        data[at % len(data)] = value
    assert sound_outcome(lambda given: tls.parse(given, last), bytes(data), "tls-")
