"""What becomes of contacts: the bytes of their flows, and what their servers answered."""

from dataclasses import field
from typing import Protocol

from netwatch.core.dataclass import dataclass
from netwatch.core.flow import Flow, FlowProgress, Sent
from netwatch.core.verdict import Contact, Outcome
from netwatch.dissect.dissector import Dissector
from netwatch.incidents.aggregate import key_of
from netwatch.incidents.incident import Key, first_tally, strip_frames
from netwatch.incidents.progress import ContactProgress, Tally

FLOW_LIMIT = 65536
"""Flows with contacts whose progress is followed at a time."""

UDP_WINDOW = 14_720
"""Payload that a QUIC client may send before its server acknowledges any of it, bytes (RFC 9002
section 7.2). Where it sends more, the server has answered outside of the capture."""


class ContactCollector(Protocol):
    """Takes contacts, and what became of them."""

    def add(self, contact: Contact) -> object:
        """Take a contact."""
        ...

    def add_progress(self, contact: Contact, progress: ContactProgress) -> None:
        """Take what became of contacts that were added before; `contact` is one of them."""
        ...


@dataclass(slots=True)
class _Group:
    """Contacts of one flow that are in the same incident, because each is within the quiet gap of
    the one before: the first, the time of the last, and how many are counted as what. With
    `counts_bytes` the incident gets the payload of the flow, of which `bytes_out` and `bytes_in`
    were reported; `is_settled` if the address of the server has decided."""

    contact: Contact
    last: int
    counts_bytes: bool
    is_settled: bool
    counts: dict[Tally, int] = field(default_factory=dict)
    bytes_out: int = 0
    bytes_in: int = 0


class ContactFlows:
    """Reports the progress of flows with contacts to a collector, payload once for each ban.

    `quiet_gap` is that of incidents, in ns. Flows beyond `limit` are not followed; `rejected` is
    their number.
    """

    def __init__(
        self,
        dissector: Dissector,
        collector: ContactCollector,
        quiet_gap: int,
        limit: int = FLOW_LIMIT,
    ) -> None:
        self._dissector = dissector
        self._collector = collector
        self._flows: dict[int, dict[Key, list[_Group]]] = {}
        self.quiet_gap = quiet_gap
        self.limit = limit
        self.rejected = 0

    def __len__(self) -> int:
        return len(self._flows)

    def add(self, contact: Contact) -> None:
        """Follow a contact from now to the end of its flow."""
        flow, key = contact.observation.flow_id, key_of(contact)
        if key is None:
            return
        if flow not in self._flows and len(self._flows) >= self.limit:
            self.rejected += 1
            return
        followed = self._flows.setdefault(flow, {})
        groups = followed.setdefault(key, [])
        time, tally = contact.observation.time, first_tally(contact)
        if not groups or time - groups[-1].last > self.quiet_gap:
            # The ban's first contact of the flow gets its bytes; key[2] is the id of the ban.
            is_first = not groups and not any(
                other[2] == key[2] for other in followed if other != key
            )
            groups.append(_Group(strip_frames(contact), time, is_first, tally != "silent"))
        group = groups[-1]
        if time > group.last:
            group.last = time
        group.counts[tally] = group.counts.get(tally, 0) + 1
        self._dissector.report_end_of(flow)

    def flow_ended(self, flow: Flow) -> None:
        """Report what was not reported yet of a flow that has ended, if it is followed."""
        followed = self._flows.pop(flow.flow_id, {})
        for groups in followed.values():
            observation = groups[0].contact.observation
            if (observation.client_ip, observation.client_port) == (
                flow.client_ip,
                flow.client_port,
            ):
                counts = flow.bytes_out, flow.bytes_in
                progress = FlowProgress(*counts, flow.last, flow.server_sent)
            else:
                counts = flow.bytes_in, flow.bytes_out
                progress = FlowProgress(*counts, flow.last, flow.client_sent)
            self._report(groups, progress)

    def report(self) -> None:
        """Report what was not reported yet of all flows; forget those that the flow table has
        evicted."""
        for flow, followed in list(self._flows.items()):
            for groups in followed.values():
                progress = self._dissector.progress_of(groups[0].contact.observation)
                if progress is None:
                    self._flows.pop(flow, None)
                else:
                    self._report(groups, progress)

    def _report(self, groups: list[_Group], flow: FlowProgress) -> None:
        """Report what there is more than was reported before to the incidents of one key."""
        transport = groups[0].contact.observation.transport
        now = tally_of(flow.server_sent, transport, flow.bytes_out)
        for group in groups:
            more_out = more_in = 0
            if group.counts_bytes:
                more_out, more_in = flow.bytes_out - group.bytes_out, flow.bytes_in - group.bytes_in
                group.bytes_out, group.bytes_in = flow.bytes_out, flow.bytes_in
            last = flow.last if group.counts_bytes else group.last
            for was, contacts in group.counts.items():
                to = was if group.is_settled else now
                if was != to or more_out or more_in:
                    self._collector.add_progress(
                        group.contact,
                        ContactProgress(more_out, more_in, last, was, to, contacts),
                    )
                    more_out = more_in = 0
            if not group.is_settled:
                group.counts = {now: sum(group.counts.values())}


def tally_of(server_sent: Sent, transport: str, bytes_out: int) -> Tally:
    """What a contact counts as by what its server was seen to send.

    A client that has sent payload over TCP has received a SYN-ACK; where none was seen, the capture
    lacks one direction. A datagram needs no answer.
    """
    if server_sent == "payload":
        return "reached"
    if server_sent == "refusal":
        return "blocked"
    if server_sent == "headers":
        return "attempted"
    if transport == "tcp":
        return "unknown" if bytes_out else "silent"
    return "unknown" if bytes_out > UDP_WINDOW else "silent"


def outcome_of(flow: Flow) -> Outcome:
    """The outcome of a contact that is a flow without a name."""
    tally = tally_of(flow.server_sent, flow.transport, flow.bytes_out)
    return "attempted" if tally == "silent" else tally
