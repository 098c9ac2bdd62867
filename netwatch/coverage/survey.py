"""From a flow that is over to its place in the counts."""

from collections.abc import Callable

from netwatch.coverage.counts import Coverage
from netwatch.coverage.readings import facing, reading
from netwatch.model import Flow, Network

CACHE_LIMIT = 65_536
"""Clients whose network and device are remembered; when there are more, all are forgotten."""


Client = tuple[bytes, int | None, bytes | None]
"""Address, VLAN and MAC of a client."""


class Survey:
    """Counts flows in `coverage`.

    `locate` tells the network (None: outside) and the device's id of a packed address seen
    in a VLAN under a MAC at a time in ns, `known` the category of `model.BYPASS` that a
    packed address belongs to, else None. Where a client's place is the same at any time
    (`lasting`) it is remembered.
    """

    def __init__(
        self,
        coverage: Coverage,
        locate: Callable[[bytes, int | None, bytes | None, int], tuple[Network | None, str]],
        known: Callable[[bytes], str | None],
        *,
        lasting: bool = True,
    ) -> None:
        self._coverage = coverage
        self._locate = locate
        self._known = known
        self._lasting = lasting
        self._places: dict[Client, tuple[Network | None, str]] = {}

    def add(self, flow: Flow) -> None:
        """Count one flow."""
        if flow.transport == "udp":
            flow = facing(flow)
        client = flow.client_ip, flow.vlan, flow.client_mac
        place = self._places.get(client)
        if place is None:
            if len(self._places) >= CACHE_LIMIT:
                self._places.clear()
            place = self._locate(*client, flow.first)
            if self._lasting:
                self._places[client] = place
        self._coverage.add(*place, reading(flow, self._known(flow.server_ip)))
