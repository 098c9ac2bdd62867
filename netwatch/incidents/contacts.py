"""What an incident stores of a contact: its place in an order, its counts, the contact itself, and
its outcome.

A contact is counted when its name is seen; what its server did is known later, at the latest when
the flow has ended. This is added as a difference to what was counted before, so that it can be
added in any order, and to an incident that has been written to disk in the meantime.

A log may give the time of something only to the second which packets show to the nanosecond. So
that an incident has the same id for every sensor, the first contact is chosen from those that may
have been the earliest one, and the most exact of these is taken: packets, then the one with the
most digits. This does not depend on the order in which contacts arrive.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from netwatch.core.flow import Frame, Seen
from netwatch.core.message import HANDSHAKES
from netwatch.core.verdict import OUTCOMES, Contact, Device, Outcome
from netwatch.incidents.kind_thresholds import VALUES

SECOND = 1_000_000_000

Tally = Literal["reached", "attempted", "blocked", "unknown", "silent"]
"""An outcome, or ``silent``, for contacts without anything seen of the server: the incident as a
whole tells whether these are ``attempted`` or, in a one-way capture, ``unknown``."""

EXACT = 10
"""The precision of packets, whose time is the capture's. A log's precision is the number of digits
of its time after the second."""

ORDER = OUTCOMES
"""Outcomes, strongest first. An incident has the strongest one of its contacts."""


@dataclass(frozen=True, slots=True)
class ContactProgress:
    """The outcome of `contacts` contacts of one flow: they were counted as `was` and are to be
    counted as `now`. The first of them was at `time` (ns). Their device sent and received further
    payload in the flow, `bytes_out` and `bytes_in`; the flow's last packet so far was at `last`
    (ns). `use_in` is the difference in `use_of` for the flow. Contacts that are blocked were
    blocked by `was_by`, and are by `by`; empty if the contact itself tells. With `seen` no outcome
    is counted: it tells how one contact was seen, as far as its flow shows by now, and `contacts`
    is 1 if it has a contradiction that was not known before; `frames` are packets that acknowledge
    it, if frames are kept."""

    time: int
    bytes_out: int
    bytes_in: int
    last: int
    was: Tally = "silent"
    now: Tally = "silent"
    contacts: int = 0
    use_in: int = 0
    was_by: str = ""
    by: str = ""
    seen: Seen | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)


def use_of(bytes_in: int, duration: int) -> int:
    """What a device received in a flow of a duration (ns) that looks like use: soon after the
    contact, if the flow was even, and more than for a check for messages; otherwise 0."""
    window = int(VALUES["burst_gap"]) * SECOND
    soon = bytes_in if duration <= window else bytes_in * window // duration
    return soon if soon >= VALUES["session_connection"] else 0


def first_tally(contact: Contact) -> Tally:
    """The initial outcome of a contact other than a lookup. Nothing is known about the server of a
    handshake then, unless its address tells."""
    is_open = contact.outcome == "attempted" and contact.observation.evidence in HANDSHAKES
    return "silent" if is_open else contact.outcome


def strip_frames(contact: Contact) -> Contact:
    """A contact without its packets."""
    if not contact.observation.frames:
        return contact
    return replace(contact, observation=replace(contact.observation, frames=()))


def without_details(contact: Contact) -> Contact:
    """A contact without the protocol details, which neither its incident nor the evidence capture
    needs, and without the address and the flow number (a hash of addresses) of a device that has a
    pseudonym."""
    observation = replace(contact.observation, dns=None, tls=None, quic=None)
    if contact.device.has_pseudonym:
        observation = replace(observation, client_ip=b"", client_port=0, client_mac=None, flow_id=0)
    return replace(contact, observation=observation)


def single(contact: Contact) -> Contact:
    """The first of the contacts of a group, without its packets."""
    contact = strip_frames(contact)
    return contact if contact.repeats is None else replace(contact, repeats=None)


def client_ports(contact: Contact) -> Iterable[tuple[int, int]]:
    """The client's ports, each with its number of contacts."""
    if contact.repeats is None:
        return ((contact.observation.client_port, 1),)
    return contact.repeats.ports.items()


def contact_order(contact: Contact) -> tuple[Any, ...]:
    """The order in which the first of several contacts is found, however they arrive."""
    observation, device = contact.observation, contact.device
    where = (observation.vlan or 0, contact.network.name, device.ip, device.mac or "")
    return observation.time, observation.source, observation.packet, *where


def named_order(contact: Contact) -> tuple[Any, ...]:
    """The same, but contacts of devices with a host name come first."""
    return contact.device.hostname is None, *contact_order(contact)


class FirstContacts:
    """The first contact of each precision, with its place in the order of contacts."""

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first: dict[int, tuple[tuple[Any, ...], Contact]] = {}

    def add(self, contact: Contact) -> None:
        """Take a contact."""
        observation = contact.observation
        precision = EXACT if observation.log is None else observation.time_digits
        known = self._first.get(precision)
        if known is not None and observation.time > known[0][0]:
            return
        order = contact_order(contact)
        if known is None or order < known[0]:
            self._first[precision] = order, single(contact)

    def merge(self, other: "FirstContacts") -> None:
        """Take the contacts of another part of the incident."""
        for precision, (order, contact) in other._first.items():
            known = self._first.get(precision)
            if known is None or order < known[0]:
                self._first[precision] = order, contact

    def become(self, device: Device) -> None:
        """Become the first contacts of another device. Their order stays."""
        for precision, (order, contact) in self._first.items():
            self._first[precision] = order, replace(contact, device=device)

    def __iter__(self) -> Iterator[Contact]:
        """The contacts, the most exact first."""
        return (self._first[precision][1] for precision in sorted(self._first, reverse=True))

    @property
    def first(self) -> Contact:
        """The first contact of the incident."""
        if len(self._first) == 1:
            return next(iter(self._first.values()))[1]
        latest = min(order[0] + _span(precision) for precision, (order, _) in self._first.items())
        return next(each for each in self if each.observation.time <= latest)


def _span(precision: int) -> int:
    """How much later than its time a contact may have been, ns."""
    return 0 if precision >= 9 else 10 ** (9 - precision) - 1


def settled(flows: Mapping[Tally, int], lookups: Iterable[tuple[Tally, int]]) -> dict[Outcome, int]:
    """The number of contacts by outcome, from the counts of flows and lookups.

    Contacts without anything seen of the server were attempts without an answer, unless only one
    direction was captured: there are connections without anything seen of the server that were
    established, and no server answered in the whole incident.
    """
    counts: dict[Tally, int] = {"reached": 0, "attempted": 0, "blocked": 0, "unknown": 0}
    counts["silent"] = 0
    for tally, contacts in flows.items():
        counts[tally] += contacts
    for tally, contacts in lookups:
        counts[tally] += contacts
    silent = counts.pop("silent")
    one_direction = counts["unknown"] > 0 and not (
        counts["reached"] or counts["attempted"] or counts["blocked"]
    )
    counts["unknown" if one_direction else "attempted"] += silent
    # In a live capture the progress of a contact may come after its incident has ended.
    return {outcome: max(0, counts[outcome]) for outcome in ORDER}


def overall(flows: Mapping[Tally, int], counts: Mapping[Outcome, int]) -> Outcome:
    """The outcome of an incident, from the counts of flows and the outcomes of all its contacts
    (from `settled`).

    A usable answer to a lookup only shows that the device could continue. If it did, the outcome of
    its connections decides: if all of them were reset, the block worked.
    """
    of_flows = strongest(settled(flows, ())) if flows else "unknown"
    return strongest(counts) if of_flows == "unknown" else of_flows


def strongest(counts: Mapping[Outcome, int]) -> Outcome:
    """The outcome of an incident with these outcomes of contacts."""
    return next((outcome for outcome in ORDER if counts[outcome]), "unknown")
