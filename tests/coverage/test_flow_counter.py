"""Each flow is counted where its client was at the time."""

from support.made_flows import HQ, flow

from netwatch.core.flow import FlowClient
from netwatch.coverage.counts import Coverage, FlowCounts
from netwatch.coverage.flow_counter import CACHE_LIMIT, FlowCounter, Location

RESOLVER = bytes([203, 0, 113, 53])


class Directory:
    """Addresses of 10.0.0.0/8 are in the network; every other one is outside."""

    def __init__(self) -> None:
        self.located: list[FlowClient] = []

    def locate(self, client: FlowClient, time: int) -> Location:
        self.located.append(client)
        return (HQ, "ws-1") if client.ip[0] == 10 else (None, "far")

    def missed(self, client: FlowClient) -> str:
        return "only in VLAN 30" if client.ip[0] == 172 else ""

    def is_permanent(self, client: FlowClient) -> bool:
        return client.ip[0] != 172

    def bypass_category(self, address: bytes) -> str | None:
        return "encrypted-dns" if address == RESOLVER else None


class LearningDirectory(Directory):
    """The device of a client depends on the time once something was learned of its address."""

    def __init__(self) -> None:
        super().__init__()
        self.learned: set[bytes] = set()

    def locate(self, client: FlowClient, time: int) -> Location:
        return HQ, f"at-{time}"

    def is_permanent(self, client: FlowClient) -> bool:
        return client.ip not in self.learned


def test_a_client_is_located_once() -> None:
    coverage, directory = Coverage(), Directory()
    counter = FlowCounter(coverage, directory)
    for each in (
        flow(name_status="named"),
        flow(server="203.0.113.53"),
        flow("198.51.100.7", "10.20.1.7"),
        flow("203.0.113.10", "10.20.1.7", transport="udp", client_port=51820, server_port=40000),
    ):
        counter.add(each)
    assert len(directory.located) == 2
    report = coverage.report(4, {})
    (network,) = report.networks
    assert network.devices == (("ws-1", FlowCounts({"named": 1, "encrypted-dns": 1, "vpn": 1})),)
    assert report.outside == FlowCounts({"no-hello": 1})


def test_a_client_whose_device_may_change_is_located_for_each_flow() -> None:
    coverage, directory = Coverage(), LearningDirectory()
    counter = FlowCounter(coverage, directory)
    client = FlowClient(flow().client_ip, None, None)
    for first in (1, 2):
        counter.add(flow(name_status="named", first=first))
    counter.add_named(client, [3, 4])
    directory.learned.add(client.ip)
    counter.add(flow(name_status="named", first=5))
    counter.add_named(client, [6, 6, 7])
    (network,) = coverage.report(9, {}).networks
    assert [(id, counts.flows) for id, counts in network.devices] == [
        ("at-1", 4),
        ("at-5", 1),
        ("at-6", 2),
        ("at-7", 1),
    ]


def test_the_cache_of_locations_is_bounded() -> None:
    counter = FlowCounter(Coverage(), Directory())
    for vlan in range(CACHE_LIMIT + 1):
        counter.add(flow(vlan=vlan))
    assert len(counter._locations) == 1


def test_flows_that_only_their_tag_puts_outside_are_counted_by_the_reason() -> None:
    coverage, other = Coverage(), Coverage()
    counter = FlowCounter(coverage, Directory())
    counter.add(flow("172.16.0.9"))
    counter.add(flow("192.0.2.9"))
    counter.add_named(FlowClient(bytes((172, 16, 0, 9)), None, None), [1, 2])
    FlowCounter(other, Directory()).add(flow("172.16.0.9", "10.20.1.7"))
    coverage.merge(other)
    report = coverage.report(5, {})
    assert report.outside.flows == 5
    assert report.missed == {"only in VLAN 30": 4}
