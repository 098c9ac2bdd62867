"""Tables in memory that is provided when it is written."""

import os
import resource
import struct

import pytest

from netwatch.core.buffers import zeroed


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
