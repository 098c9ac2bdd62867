import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.dnstap_frames import field, fixed32

from netwatch.core.errors import RecordError
from netwatch.logs.dnstap import MAX_FIELDS, Fields


def test_fields_by_their_numbers():
    found = Fields(
        field(1, 300) + field(2, b"abc") + fixed32(3, 7) + b"\x21" + bytes([9] + [0] * 7)
    )
    assert (found.number(1), found.octets(2), found.number(3), found.number(4)) == (
        300,
        b"abc",
        7,
        9,
    )
    assert (found.number(9), found.octets(9)) == (0, b"")


def test_the_last_of_several_counts():
    assert Fields(field(1, 1) + field(1, 2)).number(1) == 2


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x02a", b"\x0d\0", b"\x08", b"\x0b", b"\x08" + b"\xff" * 10 + b"\1"]
)
def test_what_is_no_message(data):
    with pytest.raises(RecordError, match="protobuf-invalid"):
        Fields(data)


def test_there_is_a_limit():
    Fields(field(1, 1) * MAX_FIELDS)
    with pytest.raises(RecordError, match="protobuf-invalid"):
        Fields(field(1, 1) * (MAX_FIELDS + 1))


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(0, 2**63) | st.binary(max_size=9))))
def test_what_was_written_is_read(fields):
    fields = fields[:MAX_FIELDS]
    found = Fields(b"".join(field(number, value) for number, value in fields))
    numbers = {number: value for number, value in fields if isinstance(value, int)}
    octets = {number: value for number, value in fields if isinstance(value, bytes)}
    assert all(found.number(number) == value for number, value in numbers.items())
    assert all(found.octets(number) == value for number, value in octets.items())


@given(st.binary(max_size=60))
def test_any_bytes(data):
    with contextlib.suppress(RecordError):
        Fields(data)
