# cython: language_level=3, boundscheck=True, wraparound=False
"""Flows that flow records show: many, of which nearly none goes to an address that matters.

Those that may be contacts are judged one by one, as all other flows are. The rest is counted by
client and visibility alone, without an object a flow.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.coverage.flow_visibility import FlowVisibility
    from cython.cimports.netwatch.flow_export.conversations import Conversation
else:
    from netwatch.coverage.flow_visibility import FlowVisibility
    from netwatch.flow_export.conversations import Conversation

from netwatch.core.buffers import Words, array
from netwatch.core.flow import NAME_STATUSES, Flow, FlowClient, NameStatus
from netwatch.coverage.counts import Directory, FlowCounter
from netwatch.coverage.flow_visibility import VISIBILITIES
from netwatch.engine.replay import Event

Client = tuple[bytes, int | None, bytes | None]
"""The address, VLAN and MAC of a client."""

MAX_CLIENTS = 4096
"""Clients whose flows wait to be counted."""

_VISIBILITIES = cython.declare(cython.Py_ssize_t, len(VISIBILITIES))
_FLOW_RECORD = cython.declare(cython.int, VISIBILITIES.index("flow-record"))
_NO_DATA = cython.declare(cython.int, VISIBILITIES.index("no-data"))
_NONE = cython.declare(cython.longlong, NAME_STATUSES.index("none"))
_CHANGING = cython.declare(cython.Py_ssize_t, -1)


class RecordedFlows:
    """Flows without a name, each of which `flow` can make of what is known of it."""

    __slots__ = ("conversations", "flow")

    def __init__(
        self, conversations: list[Conversation], flow: Callable[[Conversation], Flow]
    ) -> None:
        self.conversations = conversations
        self.flow = flow


def one_by_one(events: Iterable[Event | RecordedFlows]) -> Iterator[Event]:
    """The events, with all flows that were recorded."""
    for event in events:
        if isinstance(event, RecordedFlows):
            yield from map(event.flow, event.conversations)
        else:
            yield event


@cython.final
@cython.cclass
class RecordedFlowCounter:
    """Counts flows with `counter`. `directory` says whether the location of a client may change,
    and `categories` (name statuses, by packed address) which apps that hide names have a server
    there."""

    def __init__(
        self, counter: FlowCounter, directory: Directory, categories: Mapping[bytes, NameStatus]
    ) -> None:
        self.counter = counter
        self.directory = directory
        self.categories = {
            address: NAME_STATUSES.index(category) for address, category in categories.items()
        }
        # The numbers of clients, and behind each other how many flows of each there are.
        self.rows: dict[Client, int] = {}
        self.counts: Words = array("q", bytes(8 * MAX_CLIENTS * len(VISIBILITIES)))
        self.rules = FlowVisibility()

    def add(self, conversations: list[Conversation], but: Container[bytes]) -> list[Conversation]:
        """Count the conversations, but for those with a server at one of these packed addresses:
        give these back."""
        each: Conversation
        place: cython.Py_ssize_t
        found = []
        for each in conversations:
            if each.server_ip in but:
                found.append(each)
                continue
            client = each.client_ip, None if each.vlan < 0 else each.vlan, each.client_mac
            row = self.rows.get(client)
            place = self.row(client) if row is None else row
            if place == _CHANGING:
                visibility = VISIBILITIES[self.visibility(each)]
                self.counter.add(FlowClient(*client), visibility, 1, (each.first,))
            else:
                self.counts[place * _VISIBILITIES + self.visibility(each)] += 1
        return found

    def settle(self) -> None:
        """Count what waits, by what is known now of where clients are."""
        place: cython.Py_ssize_t
        for client, row in self.rows.items():
            if row == _CHANGING:
                continue
            for number in range(len(VISIBILITIES)):
                place = row * len(VISIBILITIES) + number
                if self.counts[place]:
                    visibility = VISIBILITIES[number]
                    self.counter.add(FlowClient(*client), visibility, self.counts[place], ())
                    self.counts[place] = 0
        self.rows.clear()

    def row(self, client: Client) -> cython.Py_ssize_t:
        """The number of a client that is met now."""
        if len(self.rows) >= MAX_CLIENTS:
            self.settle()
        row: cython.Py_ssize_t = len(self.rows)
        if not self.directory.is_permanent(FlowClient(*client)):
            row = _CHANGING
        self.rows[client] = row
        return row

    def visibility(self, each: Conversation) -> cython.int:
        """The visibility of a flow without a name, as a place in `VISIBILITIES`."""
        found: cython.int
        server: cython.longlong = each.server_port
        if self.rules.is_reversed(each.is_tcp, each.client_port, server, _NONE):
            server = each.client_port
        found = self.rules.by_name_and_port(
            each.is_tcp, server, each.bytes_out | each.bytes_in, _NONE
        )
        if found < 0:
            found = self.rules.by_address(self.categories.get(each.server_ip, _NONE), server)
        # What a record has of payload is an estimate.
        return _FLOW_RECORD if found < 0 or found == _NO_DATA else found
