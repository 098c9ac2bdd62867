"""Bytes are copied where they are and have room, and else not at all."""

from array import array

from hypothesis import given
from hypothesis import strategies as st
from support.interpreted import interpreted

SIZE = st.integers(-3, 20)


@given(st.binary(max_size=16), SIZE, SIZE, SIZE)
def test_bytes_are_copied_within_their_bounds(data: bytes, at: int, size: int, to: int) -> None:
    out = array("B", b"." * 12)
    fits = size >= 0 and 0 <= at <= len(data) - size and 0 <= to <= 12 - size
    assert bool(COPY(data, at, size, out, to)) == fits
    moved = data[at : at + size] if fits else b""
    expected = b"." * to + moved + b"." * (12 - to - size) if fits else b"." * 12
    assert bytes(out) == expected


COPY = type(interpreted().Loop(8).hellos.buffer).place.__globals__["copy"]
