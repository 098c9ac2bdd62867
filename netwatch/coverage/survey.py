"""From a flow that is over to its place in the counts."""

from collections.abc import Callable, Sequence

from netwatch.core.flow import Flow
from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage
from netwatch.coverage.readings import facing, reading

CACHE_LIMIT = 65_536
"""Clients whose network and device are remembered; when there are more, all are forgotten."""


Client = tuple[bytes, int | None, bytes | None]
"""Address, VLAN and MAC of a client."""


class Survey:
    """Counts flows in `coverage`.

    `locate` tells the network (None: outside) and the device's id of a packed address seen
    in a VLAN under a MAC at a time in ns, `known` the category of `BYPASS_CATEGORIES` that a
    packed address belongs to, else None. `lasts` says whether the place of a packed address
    in a VLAN is the same at any time, by what is known now.
    """

    def __init__(
        self,
        coverage: Coverage,
        locate: Callable[[bytes, int | None, bytes | None, int], tuple[Network | None, str]],
        known: Callable[[bytes], str | None],
        lasts: Callable[[bytes, int | None], bool] = lambda ip, vlan: True,
    ) -> None:
        self._coverage = coverage
        self._locate = locate
        self._known = known
        self._lasts = lasts
        self._places: dict[Client, tuple[Network | None, str]] = {}

    def add(self, flow: Flow) -> None:
        """Count one flow."""
        if flow.transport == "udp":
            flow = facing(flow)
        place = self._place((flow.client_ip, flow.vlan, flow.client_mac), flow.first)
        self._coverage.add(*place, reading(flow, self._known(flow.server_ip)))

    def add_named(self, client: Client, times: Sequence[int]) -> None:
        """Count the flows of a client that have a name and say nothing more, and began at
        these times (ns)."""
        if self._lasts(client[0], client[1]):
            self._coverage.add(*self._lasting(client, times[0]), "named", len(times))
            return
        for time in times:
            self._coverage.add(*self._locate(*client, time), "named")

    def _place(self, client: Client, time: int) -> tuple[Network | None, str]:
        lasts = self._lasts(client[0], client[1])
        return self._lasting(client, time) if lasts else self._locate(*client, time)

    def _lasting(self, client: Client, time: int) -> tuple[Network | None, str]:
        """The place of a client, which is the same at any time."""
        place = self._places.get(client)
        if place is None:
            if len(self._places) >= CACHE_LIMIT:
                self._places.clear()
            place = self._places[client] = self._locate(*client, time)
        return place
