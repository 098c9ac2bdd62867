"""Tables in memory that is provided when it is written.

Letters of host names, eight at a time, in both forms.
"""

import os
import resource
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import block, timed
from support.examples import only_long
from support.filling import hold_to_parsers
from support.frames import tcp, udp

from netwatch.core.buffers import (
    hash_of,
    lowered,
    lowered_name,
    number_at,
    put_word,
    word_of,
    zeroed,
)


@pytest.mark.parametrize(("typecode", "size"), [("B", 1), ("q", 8)])
@pytest.mark.parametrize("count", [0, 1, 511, 513, 100_000])
def test_it_is_zero_writable_and_of_its_type(typecode: str, size: int, count: int) -> None:
    table = zeroed(typecode, count)
    assert (len(table), table.format, table.itemsize) == (count, typecode, size)
    assert not any(table)
    for place in range(0, count, 97):
        table[place] = 200
    assert sum(table) == 200 * -(-count // 97)


def test_it_is_signed() -> None:
    table = zeroed("q", 2)
    table[0], table[1] = -1, 2**63 - 1
    assert bytes(table) == struct.pack("qq", -1, 2**63 - 1)


def test_pages_that_are_not_written_are_not_provided() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tables = [zeroed("q", 1 << 20) for _ in range(8)]
    for table in tables:
        table[1 << 19] = 1
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 200, "64 MB are 16,384 pages"


def test_a_forked_process_has_its_own() -> None:
    table = zeroed("q", 8)
    child = os.fork()
    if not child:
        table[3] = 1
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not any(table)


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
    """What the functions of buffers.pxd reject, the loop leaves to the parser."""
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


@given(st.integers(0, 8), st.integers(0, (1 << 64) - 1), st.binary(max_size=9))
def test_a_number_has_its_highest_byte_first(size: int, number: int, before: bytes) -> None:
    number &= (1 << 8 * size) - 1
    data = before + number.to_bytes(size, "big") + b"after"
    assert number_at(data, len(before), size) == number
