"""The seam between reading packets and using what they show.

A `Consumer` says which messages it wants, and is handed flows and address claims. It is the only
object that a dissector and an observer call back.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from netwatch.core.dataclass import dataclass
from netwatch.core.flow import NAME_STATUSES, Flow, FlowClient
from netwatch.core.message import Message
from netwatch.core.packet import Packet


@dataclass(frozen=True, slots=True)
class DissectorOptions:
    """What a dissector reads beside the messages that its consumer wants.

    `domains` are the domains of interest, in lower case: a message with no name in one of
    them is counted and dropped in the packet loop, before the consumer is asked; None means
    that every name is of interest. `learn_from` are words of `core.message.LEARNING_SOURCES`: what
    address claims are read from. With `record_flows` each flow is handed over when it has
    ended. With `keep_frames` packets come with the captured frames that prove what they show.
    Without, the packet loop itself reads messages that are laid out as usual, unless `parse_all`
    says otherwise; with `fingerprints` the observations of hellos have a JA4.
    """

    domains: Sequence[bytes] | None = None
    learn_from: Collection[str] = ()
    record_flows: bool = False
    keep_frames: bool = False
    parse_all: bool = False
    fingerprints: bool = False


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
        """Take a flow that has ended."""
        ...

    def named_flows(self, client: FlowClient, times: Sequence[int]) -> None:
        """Take flows of a client that have ended, by the times of their first packets, in ns
        since the epoch. Nothing but that their name was read is known of them; a flow is
        handed over either here or to `flow_ended`."""
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

    def named_flows(self, client: FlowClient, times: Sequence[int]) -> None:
        """Ignore the flows."""
