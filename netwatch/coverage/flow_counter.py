"""Counts each flow that has ended for its network, its device and its visibility."""

from collections.abc import Sequence
from typing import Protocol

from netwatch.core.flow import Flow, FlowClient
from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage
from netwatch.coverage.visibility import correct_direction, flow_visibility

CACHE_LIMIT = 65_536
"""Clients whose location is cached; a full cache is emptied as a whole."""

Location = tuple[Network | None, str]
"""The network of a client (None: outside of all networks) and the id of its device."""


class Directory(Protocol):
    """What is known of addresses: where a client is, and which apps servers belong to."""

    def locate(self, client: FlowClient, time: int) -> Location:
        """The network and device of a client at a time, in ns since the epoch."""
        ...

    def missed(self, client: FlowClient) -> str:
        """For a client outside of all networks, which one it would be in with another VLAN tag, in
        words; empty where there is none."""
        ...

    def is_permanent(self, client: FlowClient) -> bool:
        """Whether the location of a client is the same at any time, by what is known now."""
        ...

    def bypass_category(self, address: bytes) -> str | None:
        """The category in `BYPASS_CATEGORIES` of the app at a packed address, else None."""
        ...


class FlowCounter:
    """Counts flows in `coverage`, with the networks, devices and apps of `directory`."""

    def __init__(self, coverage: Coverage, directory: Directory) -> None:
        self._coverage = coverage
        self._directory = directory
        self._locations: dict[FlowClient, Location] = {}

    def add(self, flow: Flow) -> None:
        """Count one flow."""
        if flow.transport == "udp":
            flow = correct_direction(flow)
        client = FlowClient(flow.client_ip, flow.vlan, flow.client_mac)
        network, device = self._locate(client, flow.first)
        category = self._directory.bypass_category(flow.server_ip)
        self._coverage.add(network, device, flow_visibility(flow, category))
        if network is None:
            self._count_missed(client, 1)

    def add_named(self, client: FlowClient, times: Sequence[int]) -> None:
        """Count flows of a client whose name was read, by the times of their first packets, in
        ns since the epoch."""
        if self._directory.is_permanent(client):
            network, device = self._locate(client, times[0])
            self._coverage.add(network, device, "named", len(times))
            if network is None:
                self._count_missed(client, len(times))
            return
        for time in times:
            network, device = self._directory.locate(client, time)
            self._coverage.add(network, device, "named")
            if network is None:
                self._count_missed(client, 1)

    def _count_missed(self, client: FlowClient, flows: int) -> None:
        missed = self._directory.missed(client)
        if missed:
            self._coverage.add_missed(missed, flows)

    def _locate(self, client: FlowClient, time: int) -> Location:
        """The location of a client at a time, from the cache where it is permanent."""
        if not self._directory.is_permanent(client):
            return self._directory.locate(client, time)
        location = self._locations.get(client)
        if location is None:
            if len(self._locations) >= CACHE_LIMIT:
                self._locations.clear()
            location = self._locations[client] = self._directory.locate(client, time)
        return location
