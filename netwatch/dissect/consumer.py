"""The seam between reading packets and using what they show.

A `Consumer` decides which messages it wants, and is handed flows and address claims. It is the only
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
    """What a dissector reads besides the messages that its consumer wants.

    `domains` are the domains of interest, in lower case: a message without a name in one of them is
    counted and dropped in the packet loop, before it reaches the consumer; None means that every
    name is of interest. `learn_from` are the `core.message.LEARNING_SOURCES` to read address claims
    from. With `flows`, ended flows are counted and handed over. With `keep_frames`, packets come
    with the captured frames that prove what they show. Without it, the packet loop itself reads
    messages with the usual layout, unless `parse_all` is set; but it leaves hellos and requests to
    parsers if flows are counted by a consumer that `knows_bypasses`, since only the consumer knows
    what a message reveals about its flow. With `fingerprints` the observations of hellos have a
    JA4. With `division`, the packets are divided among several workers, and the dissector belongs
    to the one with the number `worker`.
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
    """A user of what the packets of one capture show."""

    def wanted(self, message: Message) -> bool:
        """Whether to hand over a message with names in the domains of interest.

        Messages that claim addresses are handed over anyway.
        """
        ...

    def name_status(self, message: Message) -> int:
        """What a message reveals about the name of its flow, as an index into
        `core.flow.NAME_STATUSES`. Called only if flows are recorded."""
        ...

    def keeps_frames_for(self, address: bytes) -> bool:
        """Whether a flow with this packed address may later need its first frame as evidence.
        Called only if frames are kept."""
        ...

    def address_claimed(self, packet: Packet, message: Message) -> None:
        """Take a message that claims addresses, in the order of packets and before the names
        that it shows."""
        ...

    def flow_ended(self, flow: Flow) -> None:
        """Take an ended flow that may matter by itself: its end was requested, or its server's
        address was resolved for an app. It is also counted."""
        ...

    def flows_counted(
        self, client: FlowClient, visibility: Visibility, flows: int, times: Sequence[int]
    ) -> None:
        """Take the number of a client's ended flows with this visibility. A client outside all
        network ranges has no address (``b""``). `times` are the times of the first packets of the
        flows, in ns since the epoch; they may be missing for an address whose device does not
        depend on the time, otherwise they are complete."""
        ...


class WantsEverything:
    """A `Consumer` that wants every message and ignores flows and address claims."""

    def wanted(self, message: Message) -> bool:
        """Want the message."""
        return True

    def name_status(self, message: Message) -> int:
        """Tell named flows from nameless ones, and nothing more."""
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
