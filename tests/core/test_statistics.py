"""The counts of unknown EtherTypes are limited, and the same in whatever order parts were added."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.statistics import (
    ANOMALIES,
    ETHER_TYPE_LIMIT,
    is_unknown_ether_type,
    limit_ether_types,
)
from netwatch.dissect.loop.layout import unknown_ether_type

PARTS = st.lists(
    st.dictionaries(
        st.one_of(
            st.sampled_from(["wrapping-unknown", "encrypted-link"]),
            st.integers(0x600, 0x640).map(unknown_ether_type),
        ),
        st.integers(1, 9),
        max_size=40,
    ),
    max_size=5,
)


def total(parts: list[dict[str, int]], *, early: bool) -> Counter[str]:
    """The limited sum of all parts, each of which may have been limited before."""
    found: Counter[str] = Counter()
    for part in parts:
        found.update(limit_ether_types(part) if early else part)
        found = limit_ether_types(found) if early else found
    return limit_ether_types(found)


@given(PARTS, st.randoms())
def test_limits_lose_nothing_and_know_no_order(parts: list[dict[str, int]], order) -> None:
    whole = total(parts, early=False)
    order.shuffle(parts)
    assert total(parts, early=True) == whole
    assert whole.total() == sum(sum(part.values()) for part in parts)
    named = [name for name in whole if is_unknown_ether_type(name)]
    seen = {name for part in parts for name in part if is_unknown_ether_type(name)}
    assert sorted(named) == sorted(seen)[:ETHER_TYPE_LIMIT]


def test_only_numbered_names_are_those_of_unknown_types() -> None:
    assert is_unknown_ether_type(unknown_ether_type(0x9999))
    assert unknown_ether_type(0x0600) == "wrapping-unknown-0x0600"
    assert not any(map(is_unknown_ether_type, ANOMALIES))
