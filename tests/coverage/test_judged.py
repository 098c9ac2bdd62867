"""Hours in blocks and back, and sets of times as bits, compared with sets of numbers."""

from collections import Counter
from itertools import pairwise
from statistics import median_low

from hypothesis import given
from hypothesis import strategies as st

from netwatch.coverage.flow_visibility import VISIBILITIES
from netwatch.coverage.judged import (
    BLOCK,
    QUARTERS,
    bit_blocks,
    bits_of,
    bits_or,
    flow_blocks,
    k_spread,
    long_runs,
    mask,
    narrowed,
    one_of_place,
    pack_flows,
    runs,
    unpack_flows,
    widened,
)

HOURS = st.dictionaries(
    st.integers(0, 4 * BLOCK),
    st.dictionaries(
        st.integers(0, len(VISIBILITIES) - 1) | st.integers(0, 10**4).map(one_of_place),
        st.integers(1, 10**9),
    ).map(Counter),
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


@given(st.lists(st.integers(2, 130), min_size=1, max_size=40))
def test_the_spread_of_k(names: list[int]) -> None:
    assert k_spread(Counter(names)) == (min(names), median_low(names), max(names))


@given(st.sets(st.integers(0, 3 * BLOCK * QUARTERS), max_size=50))
def test_quarters_by_block(quarters: set[int]) -> None:
    assert {
        block * BLOCK * QUARTERS + at
        for block, bits in bit_blocks(quarters, QUARTERS).items()
        for begin, end in runs(bits)
        for at in range(begin, end)
    } == quarters


NUMBERS = st.sets(st.integers(0, 300), max_size=120)


def numbers(bits: int) -> set[int]:
    return {at for at in range(bits.bit_length()) if bits >> at & 1}


@given(NUMBERS)
def test_runs_have_all_bits(found: set[int]) -> None:
    bits = bits_of(found)
    assert numbers(bits) == found
    spans = [*runs(bits)]
    assert {at for begin, end in spans for at in range(begin, end)} == found
    assert all(end < begin for (_, end), (begin, _) in pairwise(spans))
    assert bits_or(mask(begin, end) for begin, end in spans) == bits


@given(NUMBERS, st.integers(1, 20))
def test_long_runs_are_those_with_enough_bits(found: set[int], length: int) -> None:
    kept = {
        at
        for begin, end in runs(bits_of(found))
        if end - begin >= length
        for at in range(begin, end)
    }
    assert numbers(long_runs(bits_of(found), length)) == kept


@given(NUMBERS)
def test_hours_and_their_quarters(found: set[int]) -> None:
    assert numbers(narrowed(bits_of(found), 4)) == {at // 4 for at in found}
    assert numbers(widened(bits_of(found), 4)) == {4 * at + i for at in found for i in range(4)}
