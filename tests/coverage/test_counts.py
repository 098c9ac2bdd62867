"""Counts add up to the flows seen, in any order and number of processes, within limits."""

import pickle
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from support.made_flows import BYOD, HQ

from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage, FlowCounts
from netwatch.coverage.visibility import VISIBILITIES, Visibility

CountedFlow = tuple[Network | None, str, Visibility]

FLOWS = st.tuples(
    st.sampled_from([HQ, BYOD, None]),
    st.sampled_from([f"10.20.1.{n}" for n in range(9)]),
    st.sampled_from(VISIBILITIES),
)


def counted(flows: list[CountedFlow], limit: int = 20_000) -> Coverage:
    coverage = Coverage(limit)
    for each in flows:
        coverage.add(*each)
    return coverage


@given(st.lists(FLOWS, max_size=60), st.integers(1, 12))
def test_counts_add_up_to_the_flows(flows: list[CountedFlow], limit: int) -> None:
    report = counted(flows, limit).report(0, {})
    assert report.total.flows == len(flows)
    assert report.total.counts == Counter(visibility for _, _, visibility in flows)
    inside = sum(network.total.flows for network in report.networks)
    assert inside + report.outside.flows == len(flows)
    for network in report.networks:
        parts = [*(counts for _, counts in network.devices), network.rest]
        assert FlowCounts.sum(parts) == network.total
        names = [place.name for place, *_ in flows if place]
        assert network.total.flows == names.count(network.name)
    assert sum(len(network.devices) for network in report.networks) <= limit


@given(st.lists(FLOWS, max_size=60), st.integers(1, 12), st.randoms(), st.integers(0, 60))
def test_neither_order_nor_merging_matters(
    flows: list[CountedFlow], limit: int, random: object, cut: int
) -> None:
    shuffled = list(flows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    whole = counted(flows, limit).report(3, {"payload-cut": 1})
    merged = Coverage(limit)
    for part in (shuffled[:cut], shuffled[cut:]):
        merged.merge(pickle.loads(pickle.dumps(counted(part, limit))))
    assert merged.report(3, {"payload-cut": 1}) == whole


def test_a_device_is_reported_with_all_its_flows_or_not_at_all() -> None:
    flows: list[CountedFlow] = [(HQ, device, "named") for device in "cbacbd"]
    (network,) = counted(flows, 2).report(0, {}).networks
    assert network.devices == (("a", FlowCounts({"named": 1})), ("b", FlowCounts({"named": 2})))
    assert network.rest == FlowCounts({"named": 3})


def test_flow_counts() -> None:
    counts = FlowCounts({"named": 199, "ech": 1})
    assert (counts.flows, counts.named, counts.unnamed, counts.percent) == (
        200,
        199,
        {"ech": 1},
        99,
    )
    assert FlowCounts({}).percent == 0


def test_packets_lost_before_they_became_part_of_a_flow() -> None:
    anomalies = {
        "payload-cut": 3,
        "ip-header-cut": 1,
        "wlan-protected": 4,
        "encrypted-ip": 2,
        "tcp-retransmission": 9,
    }
    report = Coverage().report(100, anomalies)
    assert (report.packets, report.cut) == (100, 4)
    assert report.unreadable == {"encrypted-ip": 2, "wlan-protected": 4}
