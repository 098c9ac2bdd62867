"""Hours in blocks, and back."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from netwatch.coverage.bits import runs
from netwatch.coverage.hours import (
    BLOCK,
    QUARTERS,
    flow_blocks,
    pack_flows,
    quarter_blocks,
    unpack_flows,
)
from netwatch.coverage.visibility import VISIBILITIES

HOURS = st.dictionaries(
    st.integers(0, 4 * BLOCK),
    st.dictionaries(st.integers(0, len(VISIBILITIES) - 1), st.integers(1, 10**9)).map(Counter),
    max_size=40,
)


@given(HOURS)
def test_flows_of_hours_are_packed_and_unpacked(hours: dict[int, Counter[int]]) -> None:
    for found in flow_blocks(hours).values():
        assert unpack_flows(pack_flows(found)) == found
    assert {
        block * BLOCK + at: counts
        for block, found in flow_blocks(hours).items()
        for at, counts in found.items()
    } == hours


@given(st.sets(st.integers(0, 3 * BLOCK * QUARTERS), max_size=50))
def test_quarters_by_block(quarters: set[int]) -> None:
    assert {
        block * BLOCK * QUARTERS + at
        for block, bits in quarter_blocks(quarters).items()
        for begin, end in runs(bits)
        for at in range(begin, end)
    } == quarters
