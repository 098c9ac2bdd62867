import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import varint

from netwatch.core.errors import ParseError
from netwatch.protocols.reader import Reader


def test_numbers_bytes_and_vectors_in_turn():
    reader = Reader(bytes.fromhex("01 0203 040506 02aabb 0001cc"), "odd")
    assert [reader.uint(1), reader.uint(2), reader.uint(3)] == [1, 0x0203, 0x040506]
    assert reader.vector(1) == b"\xaa\xbb"
    assert reader.remaining == 3
    assert reader.vector(2) == b"\xcc"
    assert reader.remaining == 0


@pytest.mark.parametrize(
    "read",
    [
        lambda reader: reader.uint(4),
        lambda reader: reader.read(4),
        lambda reader: reader.vector(1),
        lambda reader: reader.vector(4),
        lambda reader: reader.varint(),
    ],
)
def test_no_read_past_the_end_of_the_span(read):
    reader = Reader(b"\x00\xc3\x01\x02\x03\x04\x05\x06\x07\x08", "odd", 1, 4)
    with pytest.raises(ParseError) as raised:
        read(reader)
    assert raised.value.anomaly == "odd"
    assert (reader.pos, reader.remaining) == (1, 3)


def test_a_span_ends_with_the_data():
    assert Reader(b"abc", "odd", 1, 99).remaining == 2
    assert Reader(b"abc", "odd", 7).remaining == 0


@pytest.mark.parametrize(
    ("raw", "number"),  # RFC 9000 appendix A.1
    [
        ("c2197c5eff14e88c", 151288809941952652),
        ("9d7f3e7d", 494878333),
        ("7bbd", 15293),
        ("25", 37),
        ("4025", 37),
    ],
)
def test_variable_length_integers_of_the_rfc(raw, number):
    reader = Reader(bytes.fromhex(raw), "odd")
    assert reader.varint() == number
    assert reader.remaining == 0


@given(st.integers(0, (1 << 62) - 1))
def test_variable_length_integers_come_back(number):
    assert Reader(varint(number), "odd").varint() == number
