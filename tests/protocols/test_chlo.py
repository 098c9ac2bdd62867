import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.handshake_samples import chlo_message, padded_chlo
from support.protocol_samples import sound_outcome

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import QuicInfo
from netwatch.protocols.chlo import MAX_ENTRIES, chlo

INFO = QuicInfo("Q043")
HELLO = padded_chlo(b"WWW.Example.com.", 40)


def read(data: bytes, last: bool = False):
    return chlo(data, last, len(data), INFO)


def test_the_name_is_under_its_tag():
    found = read(HELLO)
    assert [(one.evidence, one.name) for one in found.names] == [("quic-sni", "www.example.com")]
    assert (found.quic, found.tls, found.size, found.anomalies) == (INFO, None, len(HELLO), ())


def test_a_hello_truncated_at_every_byte_waits():
    for end in range(len(HELLO)):
        with pytest.raises(Incomplete) as raised:
            read(HELLO[:end])
        assert end < raised.value.bytes_needed <= len(HELLO)


def test_a_truncated_hello_shows_its_name_once_that_is_there():
    behind = HELLO.index(b"WWW") + 16
    for end in range(len(HELLO)):
        if end >= behind:
            assert read(HELLO[:end], last=True).names[0].name == "www.example.com"
            assert read(HELLO[:end], last=True).anomalies == ("gquic-hello-cut",)
        else:
            with pytest.raises(ParseError) as raised:
                read(HELLO[:end], last=True)
            assert raised.value.anomaly == "gquic-hello-cut"


@pytest.mark.parametrize("data", [chlo_message((b"VER\0", b"Q043")), chlo_message((b"SNI\0", b""))])
def test_a_hello_without_a_name_shows_nothing(data):
    assert read(data).names == read(data).anomalies == ()


def test_two_names_are_both_shown():
    found = read(chlo_message((b"SNI\0", b"a.example"), (b"SNI\0", b"b.example")))
    assert [one.name for one in found.names] == ["a.example", "b.example"]
    assert found.anomalies == ("gquic-many-server-names",)


@pytest.mark.parametrize(
    ("data", "anomaly"),
    [
        (chlo_message((b"SNI\0", b"a"), tag=b"REJ\0"), "gquic-not-a-client-hello"),
        (b"CHLX", "gquic-not-a-client-hello"),
        (b"CHLO" + (MAX_ENTRIES + 1).to_bytes(2, "little") + b"\0\0", "gquic-tag-table"),
        (b"CHLO\2\0\0\0SNI\0\5\0\0\0VER\0\4\0\0\0", "gquic-tag-table"),
        (b"CHLO\1\0\0\0SNI\0\0\0\1\0", "gquic-tag-table"),
        (b"CHLO\1\0\0\0SNI\0\xff\xff\xff\xff", "gquic-tag-table"),
    ],
)
def test_bytes_that_are_no_hello_are_rejected(data, anomaly):
    with pytest.raises(ParseError) as raised:
        read(data)
    assert raised.value.anomaly == anomaly


@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_any_bytes_are_a_message_or_a_named_error(data, framed, last):
    raw = b"CHLO" + data if framed else data
    assert sound_outcome(lambda given: read(given, last), raw, "gquic-")


@given(st.lists(st.tuples(st.integers(0, len(HELLO) - 1), st.integers(0, 255)), max_size=6))
def test_a_valid_hello_with_some_bytes_changed(changes):
    data = bytearray(HELLO)
    for at, value in changes:
        data[at] = value
    assert sound_outcome(read, bytes(data), "gquic-")
