"""Whatever fills the cells, the numbers and the times of all flows come out."""

from array import array
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_flows import slot

from netwatch.dissect.flows import accounting
from netwatch.dissect.flows.accounting import FlowAccounting, FlowOptions
from netwatch.dissect.flows.address_tables import AddressFilter, words_of
from netwatch.dissect.loop import layout


@given(
    flows=st.lists(
        st.tuples(
            st.ip_addresses(network="10.0.0.0/29"),
            st.sampled_from([None, 7, 30]),
            st.sampled_from(["none", "no-sni", "ech"]),
            st.integers(0, 3),
        ),
        max_size=40,
    ),
    changing=st.sets(st.ip_addresses(network="10.0.0.0/29"), max_size=2),
    cells=st.sampled_from([1, 4, 64]),
    times=st.sampled_from([1, 4, 64]),
)
def test_cells_add_up(flows: list, changing: set, cells: int, times: int) -> None:
    filter_ = AddressFilter(0)
    for address in changing:
        filter_.add(address.packed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounting, "CELLS", cells)
        patch.setattr(accounting, "TIMES", times)
        found = FlowAccounting(FlowOptions(changing=filter_), 3)
    words = array("q")
    for address, vlan, status, time in flows:
        each = slot(address.packed, status=status, vlan=vlan)
        each[layout.FLOW_FIRST] = time
        words.extend(each)
    at, seen, timed = 0, Counter(), Counter()
    while True:
        at = found.account(words, at, set(), [])
        for about, mac, client, number, began in found.others.take():
            seen[about >> 16, mac, client, about & 255] += number
            timed.update((client, time) for time in began)
            assert len(began) in (0, number)
        assert found.others.flows == found.others.used == found.others.times_used == 0
        if at == len(words):
            break
    # By the numbers of no-hello, no-sni and ech.
    visibilities = {"none": 12, "no-sni": 2, "ech": 1}
    assert seen == Counter(
        (0 if vlan is None else vlan + 1, 0, words_of(address.packed), visibilities[status])
        for address, vlan, status, _ in flows
    )
    clients = {words_of(address.packed) for address in changing}
    expected = Counter((words_of(address.packed), time) for address, *_, time in flows)
    assert all(timed[key] == expected[key] for key in expected if key[0] in clients)
    assert timed <= expected
