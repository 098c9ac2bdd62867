"""Flows are counted where their client was at the time."""

from support.made_flows import HQ

from netwatch.core.flow import FlowClient
from netwatch.coverage.counts import Coverage, FlowCounts
from netwatch.coverage.flow_counter import CACHE_LIMIT, FlowCounter, Location

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
    assert directory.located == [INSIDE, FAR]
    report = coverage.report(4, {})
    (network,) = report.networks
    assert network.devices == (("ws-1", FlowCounts({"named": 3, "vpn": 2})),)
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
    FlowCounter(other, Directory()).add(UNTAGGED, "no-data", 1, [4])
    coverage.merge(other)
    report = coverage.report(5, {})
    assert report.outside.flows == 5
    assert report.missed == {"only in VLAN 30": 4}
