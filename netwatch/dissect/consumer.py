"""The seam between reading packets and using what they show.

A `Consumer` says which messages it wants, and is handed flows and address claims. It is the only
object that a dissector and an observer call back.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from netwatch.core.flow import NAME_STATUSES, Flow, FlowClient
from netwatch.core.message import Message, Packet
from netwatch.coverage.flow_visibility import Visibility
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.dissect.loop.division import Division


@dataclass(frozen=True, slots=True)
class DissectorOptions:
    """What a dissector reads beside the messages that its consumer wants.

    `domains` are the domains of interest, in lower case: a message with no name in one of
    them is counted and dropped in the packet loop, before the consumer is asked; None means
    that every name is of interest. `learn_from` are words of `core.message.LEARNING_SOURCES`: what
    address claims are read from. With `flows` the flows that have ended are counted and
    handed over. With `keep_frames` packets come with the captured frames that prove what they show.
    Without, the packet loop itself reads messages that are laid out as usual, unless `parse_all`
    says otherwise; where flows are counted by a consumer that `knows_bypasses`, which has to be
    asked what a message tells of its flow, it leaves hellos and requests to parsers. With
    `fingerprints` the observations of hellos have a JA4. Where `division` is given, the packets are
    divided among several workers, and the dissector is that of the one with the number `worker`.
    """

    domains: Sequence[bytes] | None = None
    learn_from: Collection[str] = ()
    flows: FlowOptions | None = None
    keep_frames: bool = False
    parse_all: bool = False
    knows_bypasses: bool = True
    fingerprints: bool = False
    division: Division | None = None
    worker: int = 0


class Consumer(Protocol):
    """Whoever uses what the packets of one capture show."""

    def wanted(self, message: Message) -> bool:
        """Whether a message with names in the domains of interest is to be handed over.

        Messages that claim addresses are handed over without being asked for.
        """
        ...

    def name_status(self, message: Message) -> int:
        """What a message tells of the name of its flow, as an index into
        `core.flow.NAME_STATUSES`. Called only where flows are recorded."""
        ...

    def keeps_frames_for(self, address: bytes) -> bool:
        """Whether a flow with this packed address may later need its first frame as evidence.
        Called only where frames are kept."""
        ...

    def address_claimed(self, packet: Packet, message: Message) -> None:
        """Take a message that claims addresses, in the order of packets and before the names
        that it shows."""
        ...

    def flow_ended(self, flow: Flow) -> None:
        """Take a flow that has ended and that may matter by itself: its end was asked for, or its
        server's address was resolved for an app. It is also counted."""
        ...

    def flows_counted(
        self, client: FlowClient, visibility: Visibility, flows: int, times: Sequence[int]
    ) -> None:
        """Take the number of flows of a client that have ended with this visibility. Of clients
        outside of all ranges of networks it has no address (``b""``). `times` are those of the
        first packets of the flows, in ns since the epoch; of an address whose device does not
        depend on the time there may be none, else there are all."""
        ...


class WantsEverything:
    """A `Consumer` that wants every message and ignores flows and address claims."""

    def wanted(self, message: Message) -> bool:
        """Want the message."""
        return True

    def name_status(self, message: Message) -> int:
        """Tell named and nameless flows apart, and nothing more."""
        return NAME_STATUSES.index("named" if message.names else "none")

    def keeps_frames_for(self, address: bytes) -> bool:
        """Keep the first frame of every flow."""
        return True

    def address_claimed(self, packet: Packet, message: Message) -> None:
        """Ignore the claim."""

    def flow_ended(self, flow: Flow) -> None:
        """Ignore the flow."""

    def flows_counted(
        self, client: FlowClient, visibility: Visibility, flows: int, times: Sequence[int]
    ) -> None:
        """Ignore the flows."""
