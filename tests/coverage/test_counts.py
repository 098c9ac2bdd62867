"""Counts add up to the flows seen, in any order and number of processes, within limits.

Flows are counted where their client was at the time.

Coverage that was written and read again adds up as the one that was written.
"""

import pickle
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_flows import BYOD, HQ

from netwatch.cluster.result_file import coverage_state, restored_coverage
from netwatch.core.flow import FlowClient
from netwatch.core.typed_json import MISMATCHES, dumps, loads
from netwatch.core.verdict import Network
from netwatch.coverage.counts import CACHE_LIMIT, Coverage, FlowCounter, FlowCounts, Location
from netwatch.coverage.flow_visibility import VISIBILITIES, Visibility

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


@pytest.mark.parametrize(
    ("packets", "lost", "percent"), [(0, 0, 0), (0, 1, 0), (200, 3, 1), (200, 5, 2), (7, 9, 100)]
)
def test_the_share_of_unreadable_packets(packets: int, lost: int, percent: int) -> None:
    report = Coverage().report(packets, {"encrypted-ip": lost, "payload-cut": 5})
    assert report.unreadable_percent == percent


@given(st.lists(FLOWS, max_size=30), st.lists(FLOWS, max_size=30))
def test_what_was_counted_since_is_what_came_later(
    first: list[CountedFlow], second: list[CountedFlow]
) -> None:
    since = counted(first + second).since(counted(first)).report(0, {})
    later = counted(second).report(0, {})
    assert (since.total, since.outside) == (later.total, later.outside)
    # A network in which nothing came later is there with no flow.
    assert [each for each in since.networks if each.total.flows] == [*later.networks]


INSIDE = FlowClient(bytes((10, 20, 1, 7)), None, None)
FAR = FlowClient(bytes((198, 51, 100, 7)), None, None)
UNTAGGED = FlowClient(bytes((172, 16, 0, 9)), None, None)


class Directory:
    """Addresses of 10.0.0.0/8 are in the network; every other one is outside."""

    def __init__(self) -> None:
        self.located: list[FlowClient] = []

    def locate(self, client: FlowClient, time: int | None) -> Location:
        self.located.append(client)
        return (HQ, "ws-1") if client.ip[0] == 10 else (None, "far")

    def missed(self, client: FlowClient) -> str:
        return "only in VLAN 30" if client.ip[0] == 172 else ""

    def is_permanent(self, client: FlowClient) -> bool:
        return client.ip[0] != 172


class LearningDirectory(Directory):
    """The device of a client depends on the time once something was learned of its address."""

    def __init__(self) -> None:
        super().__init__()
        self.learned: set[bytes] = set()

    def locate(self, client: FlowClient, time: int | None) -> Location:
        return HQ, f"at-{time}"

    def is_permanent(self, client: FlowClient) -> bool:
        return client.ip not in self.learned


def test_a_client_is_located_once() -> None:
    coverage, directory = Coverage(), Directory()
    counter = FlowCounter(coverage, directory)
    counter.add(INSIDE, "named", 3, [1, 2, 3])
    counter.add(INSIDE, "vpn", 2, [])
    counter.add(FAR, "no-hello", 7, [])
    counter.add(INSIDE, "vpn", 1, [])
    assert directory.located == [INSIDE, FAR]
    report = coverage.report(4, {})
    (network,) = report.networks
    assert network.devices == (("ws-1", FlowCounts({"named": 3, "vpn": 3})),)
    assert report.outside == FlowCounts({"no-hello": 7})


def test_a_client_whose_device_may_change_is_located_for_each_flow() -> None:
    coverage, directory = Coverage(), LearningDirectory()
    counter = FlowCounter(coverage, directory)
    counter.add(INSIDE, "named", 2, [3, 4])
    directory.learned.add(INSIDE.ip)
    counter.add(INSIDE, "named", 1, [5])
    counter.add(INSIDE, "no-data", 3, [6, 6, 7])
    (network,) = coverage.report(9, {}).networks
    assert [(id, counts.flows) for id, counts in network.devices] == [
        ("at-5", 1),
        ("at-6", 2),
        ("at-7", 1),
        ("at-None", 2),
    ]


def test_the_cache_of_locations_is_bounded() -> None:
    counter = FlowCounter(Coverage(), Directory())
    for vlan in range(CACHE_LIMIT + 1):
        counter.add(INSIDE._replace(vlan=vlan), "no-data", 1, [])
    assert len(counter._locations) == 1


def test_flows_that_only_their_tag_puts_outside_are_counted_by_the_reason() -> None:
    coverage, other = Coverage(), Coverage()
    counter = FlowCounter(coverage, Directory())
    counter.add(UNTAGGED, "no-hello", 1, [1])
    counter.add(FAR, "no-hello", 1, [])
    counter.add(UNTAGGED, "named", 2, [1, 2])
    counter.add(UNTAGGED, "named", 3, [])
    FlowCounter(other, Directory()).add(UNTAGGED, "no-data", 1, [4])
    coverage.merge(other)
    report = coverage.report(5, {})
    assert report.outside.flows == 8
    assert report.missed == {"only in VLAN 30": 7}


def counted_device(device: str = "a") -> Coverage:
    coverage = Coverage()
    coverage.add(Network("hq", "service"), device, "named", 3)
    coverage.add(Network("hq", "service"), "b", "no-hello")
    coverage.add(None, "c", "named")
    coverage.add_missed("another VLAN", 2)
    return coverage


def again(coverage: Coverage) -> Coverage:
    return restored_coverage(loads(dumps(coverage_state(coverage))))


def test_counts_are_the_same_and_can_be_merged() -> None:
    assert again(counted_device()).report(1, {}) == counted_device().report(1, {})
    merged, expected = again(counted_device()), counted_device()
    merged.merge(again(counted_device("d")))
    expected.merge(counted_device("d"))
    assert merged.report(1, {}) == expected.report(1, {})


@pytest.mark.parametrize(
    "change",
    [
        {"outside": [1]},
        {"missed": []},
        {"networks": [["hq", "palace", [0] * 40]]},
        {"networks": []},
        {"devices": [["hq", "a", ["1"]]]},
    ],
)
def test_what_is_no_coverage_is_refused(change: dict[str, Any]) -> None:
    state = loads(dumps(coverage_state(counted_device()))) | change
    with pytest.raises(MISMATCHES):
        restored_coverage(state)
