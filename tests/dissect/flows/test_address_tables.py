"""Tables of addresses never miss what they contain, and the exact one nothing else matches."""

from array import array
from ipaddress import IPv4Network, IPv6Network, ip_address

from hypothesis import given
from hypothesis import strategies as st
from support.made_flows import counted, slot

from netwatch.dissect.flows import accounting, address_tables
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.dissect.flows.address_tables import AddressCategories, AddressFilter, AddressRanges
from netwatch.dissect.loop.layout import CELL_OUTSIDE

ADDRESSES = st.one_of(
    st.ip_addresses(v=4), st.ip_addresses(v=6), st.ip_addresses(network="10.0.0.0/28")
).map(lambda address: address.packed)
RANGES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(
        lambda pair: IPv4Network(pair, strict=False)
    ),
    st.tuples(st.ip_addresses(network="2001:db8::/48"), st.integers(0, 128)).map(
        lambda pair: IPv6Network(pair, strict=False)
    ),
)


@given(st.lists(RANGES, max_size=6), ADDRESSES, st.sampled_from([None, 7, 30]))
def test_no_client_in_a_range_is_outside(
    ranges: list[IPv4Network | IPv6Network], client: bytes, vlan: int | None
) -> None:
    bounds = [(each.network_address.packed, each.broadcast_address.packed) for each in ranges]
    ((about, _, words, flows, _),), _ = counted(
        FlowOptions(ranges=AddressRanges(bounds, {30})), slot(client, vlan=vlan)
    )
    is_inside = any(ip_address(client) in each for each in ranges) or vlan == 30
    is_outside = bool(about & CELL_OUTSIDE)
    assert flows == 1
    assert not (is_inside and is_outside)
    assert words == ((0, 0, 0, 0) if is_outside else address_tables.words_of(client))
    if len(client) == 4:
        assert is_outside != is_inside


@given(st.dictionaries(ADDRESSES, st.sampled_from([5, 6, 7, 8]), max_size=20), ADDRESSES)
def test_categories_are_those_of_the_exact_address(
    categories: dict[bytes, int], other: bytes
) -> None:
    for address in (*categories, other):
        client = bytes(len(address))
        ((about, *_),), _ = counted(
            FlowOptions(categories=AddressCategories(categories)), slot(client, address)
        )
        expected = categories.get(address)
        # A name status and its visibility differ by two.
        assert about & 255 == (12 if expected is None else expected - 2)


@given(st.lists(st.tuples(ADDRESSES, ADDRESSES), min_size=1, max_size=20))
def test_a_pair_matches_until_it_is_discarded(pairs: list[tuple[bytes, bytes]]) -> None:
    pairs = [pair for pair in pairs if len(pair[0]) == len(pair[1])] or [(bytes(4), bytes(4))]
    for pair in pairs:
        assert counted(FlowOptions(), slot(*pair), pair=pair)[1] == [0]
        assert counted(FlowOptions(), slot(*pair, status="vpn"), pair=pair)[1] == []
    found = accounting.FlowAccounting(FlowOptions(), 3)
    for pair in pairs:
        found.resolved.add(*pair)
    for pair in pairs[1:]:
        found.resolved.discard(*pair)
    for index, pair in enumerate(pairs):
        reported: list[int] = []
        found.account(array("q", slot(*pair)), 0, set(), reported)
        assert reported == [0] or (index and pair != pairs[0])


def test_a_full_counter_of_a_filter_stays_full() -> None:
    found = AddressFilter(3)
    for _ in range(300):
        found.add(b"abcd")
    for _ in range(300):
        found.discard(b"abcd")
    options = FlowOptions(changing=found)
    assert [times for *_, times in counted(options, slot(b"abcd"))[0]] == [[77]]


def test_times_are_kept_of_addresses_whose_device_may_change() -> None:
    changing = AddressFilter(0)
    changing.add(b"abcd")
    cells, _ = counted(FlowOptions(changing=changing), *[slot(b"abcd")] * 3, slot(b"efgh"))
    assert [(flows, times) for *_, flows, times in cells] == [(3, [77, 77, 77]), (1, [])]
