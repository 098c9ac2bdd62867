"""Letters of host names, eight at a time, in both forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import block, timed
from support.examples import only_long
from support.filling import hold_to_parsers
from support.frames import tcp, udp

from netwatch.core.host_words import hash_of, lowered, lowered_name, put_word, word_of

RAW = 101
LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=20), st.integers(0, 12))
def test_a_word_has_the_bytes_in_their_order(data: bytes, size: int) -> None:
    word = word_of(b"x" + data, 1, min(size, len(data)))
    out = bytearray(b"." * 10)
    put_word(out, 1, word)
    assert out == b"." + data[: min(size, 8)].ljust(8, b"-") + b"."


@pytest.mark.parametrize("place", range(8))
def test_each_byte_is_judged(place: int) -> None:
    for byte in range(256):
        raw = b"aZ09-_bC"
        raw = raw[:place] + bytes([byte]) + raw[place + 1 :]
        word = word_of(raw, 0, 8)
        lower = word_of(raw.lower(), 0, 8)
        known = bytes([byte]).lower() in LETTERS
        assert lowered(word) == (lower if known else 0)
        assert lowered_name(word) == (lower if known or byte == 46 else 0)


@pytest.mark.parametrize("size", [1, only_long(2), 7, 8, 9, only_long(16), 17])
def test_each_byte_of_a_label_is_judged_alike_in_the_loop(size: int) -> None:
    """What the functions of host_words.pxd reject, the loop leaves to the parser."""
    packets, read_by_loop = [], 0
    for place in sorted({0, size // 2, size - 1}):
        for byte in range(256):
            label = b"a" * place + bytes([byte]) + b"a" * (size - 1 - place)
            packets.append(
                udp(b"\0\1\1\0\0\1\0\0\0\0\0\0" + bytes([size]) + label + b"\2de\0\0\1\0\1")
            )
            port = 1024 + len(packets)
            packets.append(tcp(b"GET / HTTP/1.1\r\nHost: x" + label + b"x\r\n\r\n", sport=port))
            known = bytes([byte]).lower() in LETTERS
            # A port and a user are cut off a host, so they end a name that is read.
            read_by_loop += known + (known or byte in b".:@")
    assert hold_to_parsers([block(timed(packets), RAW)]) == read_by_loop


@given(st.binary(max_size=30), st.integers(0, 1 << 62))
def test_a_hash_depends_on_the_bytes_and_the_salt_alone(data: bytes, salt: int) -> None:
    assert hash_of(b"..." + data, 3, len(data), salt) == hash_of(data, 0, len(data), salt)
    assert 0 <= hash_of(data, 0, len(data), salt) < 1 << 63
