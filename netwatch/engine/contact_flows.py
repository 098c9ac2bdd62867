"""How many bytes went through the flows in which contacts were made."""

from dataclasses import dataclass
from typing import Protocol

from netwatch.core.flow import Flow
from netwatch.core.verdict import Contact
from netwatch.dissect.dissector import Dissector
from netwatch.incidents.incident import strip_frames

FLOW_LIMIT = 65536
"""Flows with contacts whose bytes are counted at a time."""


class ContactCollector(Protocol):
    """Takes contacts, and the bytes of their flows."""

    def add(self, contact: Contact) -> object:
        """Take a contact."""
        ...

    def add_bytes(self, contact: Contact, bytes_out: int, bytes_in: int) -> None:
        """Add further payload of the flow of a contact that was added before."""
        ...


@dataclass(slots=True)
class _Reported:
    """The first contact of a flow with a ban, and the payload that was reported for it."""

    contact: Contact
    bytes_out: int = 0
    bytes_in: int = 0


class ContactFlows:
    """Reports the payload of flows with contacts to a collector, once for each ban.

    Flows beyond `limit` are not counted; `rejected` is their number.
    """

    def __init__(
        self, dissector: Dissector, collector: ContactCollector, limit: int = FLOW_LIMIT
    ) -> None:
        self._dissector = dissector
        self._collector = collector
        self._flows: dict[int, dict[str, _Reported]] = {}
        self.limit = limit
        self.rejected = 0

    def __len__(self) -> int:
        return len(self._flows)

    def add(self, contact: Contact) -> None:
        """Count the payload of a contact's flow from its start to its end."""
        flow, ban = contact.observation.flow_id, contact.verdict.ban
        if ban is None:
            return
        if flow not in self._flows and len(self._flows) >= self.limit:
            self.rejected += 1
            return
        self._flows.setdefault(flow, {}).setdefault(ban.id, _Reported(strip_frames(contact)))
        self._dissector.report_end_of(flow)

    def flow_ended(self, flow: Flow) -> None:
        """Report what was not reported yet of a flow that has ended, if it is counted."""
        for reported in self._flows.pop(flow.flow_id, {}).values():
            observation = reported.contact.observation
            client = observation.client_ip, observation.client_port
            if client == (flow.client_ip, flow.client_port):
                self._report(reported, flow.bytes_out, flow.bytes_in)
            else:
                self._report(reported, flow.bytes_in, flow.bytes_out)

    def report(self) -> None:
        """Report what was not reported yet of all flows; forget those that the flow table has
        evicted."""
        for flow, contacts in list(self._flows.items()):
            for reported in contacts.values():
                counts = self._dissector.bytes_of(reported.contact.observation)
                if counts == (0, 0):
                    self._flows.pop(flow, None)
                else:
                    self._report(reported, *counts)

    def _report(self, reported: _Reported, bytes_out: int, bytes_in: int) -> None:
        """Report how much more there is than was reported before."""
        more_out, more_in = bytes_out - reported.bytes_out, bytes_in - reported.bytes_in
        if more_out or more_in:
            reported.bytes_out, reported.bytes_in = bytes_out, bytes_in
            self._collector.add_bytes(reported.contact, more_out, more_in)
