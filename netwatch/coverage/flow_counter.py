"""Counts flows that have ended for their network, their device and their visibility."""

from collections.abc import Sequence
from typing import Protocol

from netwatch.core.flow import FlowClient
from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage
from netwatch.coverage.visibility import Visibility

CACHE_LIMIT = 65_536
"""Clients whose location is cached; a full cache is emptied as a whole."""

Location = tuple[Network | None, str]
"""The network of a client (None: outside of all networks) and the id of its device."""


class Directory(Protocol):
    """What is known of addresses: where a client is."""

    def locate(self, client: FlowClient, time: int | None) -> Location:
        """The network and device of a client at a time, in ns since the epoch; None where they are
        permanent."""
        ...

    def missed(self, client: FlowClient) -> str:
        """For a client outside of all networks, which one it would be in with another VLAN tag, in
        words; empty where there is none."""
        ...

    def is_permanent(self, client: FlowClient) -> bool:
        """Whether the location of a client is the same at any time, by what is known now."""
        ...


class FlowCounter:
    """Counts flows in `coverage`, with the networks and devices of `directory`."""

    def __init__(self, coverage: Coverage, directory: Directory) -> None:
        self._coverage = coverage
        self._directory = directory
        self._locations: dict[FlowClient, Location] = {}

    def add(
        self, client: FlowClient, visibility: Visibility, flows: int, times: Sequence[int]
    ) -> None:
        """Count flows of a client. `times` are those of their first packets, in ns since the epoch,
        or none where the client's location is known to be permanent."""
        if not times or self._directory.is_permanent(client):
            network, device = self._locate(client)
            self._coverage.add(network, device, visibility, flows)
            if network is None:
                self._count_missed(client, flows)
            return
        for time in times:
            network, device = self._directory.locate(client, time)
            self._coverage.add(network, device, visibility)
            if network is None:
                self._count_missed(client, 1)

    def _count_missed(self, client: FlowClient, flows: int) -> None:
        missed = self._directory.missed(client)
        if missed:
            self._coverage.add_missed(missed, flows)

    def _locate(self, client: FlowClient) -> Location:
        """The location of a client where it is permanent, from the cache."""
        location = self._locations.get(client)
        if location is None:
            if len(self._locations) >= CACHE_LIMIT:
                self._locations.clear()
            location = self._locations[client] = self._directory.locate(client, None)
        return location
