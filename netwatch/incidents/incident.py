"""One incident: what is stored of its contacts, and the alert that reports it.

Contacts may arrive in any order, and two incidents may turn out to be one: `add` and `merge` give
the same result in any order. Memory is bounded by `BoundedTable`, which never decides by the
order of arrival. Bans that say the same of all contacts share an incident, which `alert` reports
for each of them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from json.encoder import encode_basestring_ascii
from typing import Any, Self

from netwatch.core.alert import COMMUNITY_LIMIT, Alert, IncidentCounts, JudgedKind, Sensor
from netwatch.core.community_id import community_id
from netwatch.core.message import HANDSHAKES, LOOKUPS
from netwatch.core.verdict import (
    CONFIDENCE_RANK,
    RESET,
    Confidence,
    Contact,
    Device,
    Outcome,
    Ruling,
    VerdictKind,
)
from netwatch.incidents.activity import class_of
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.confidence import IncidentConfidence
from netwatch.incidents.contacts import (
    client_ports,
    contact_order,
    first_tally,
    named_order,
    single,
    strip_frames,
)
from netwatch.incidents.destinations import GeoLookup, located
from netwatch.incidents.evidence_frames import IncidentFrames
from netwatch.incidents.evidence_items import evidence_items, first_sighting
from netwatch.incidents.kind import judge
from netwatch.incidents.lookup_answers import LookupAnswers
from netwatch.incidents.outcomes import overall, settled
from netwatch.incidents.progress import ContactProgress
from netwatch.incidents.severity import severity_of
from netwatch.incidents.totals import Totals

SCHEMA = "netwatch.alert/1"
"""The version of the alert record, and of the values that an alert's id is computed from."""

NAME_LIMIT = 256
"""Names stored of one incident."""

EVIDENCE_LIMIT = 256
"""Items of evidence stored of one incident."""

DESTINATION_LIMIT = 256
"""Destinations (address and port) stored of one incident."""

FLOW_LIMIT = 1024
"""Flows of one incident that are counted exactly; more are estimated."""

ANSWER_LIMIT = 256
"""Answers (name and address) stored of one incident, to say which one led to a server."""

BLOCK_LIMIT = 16
"""Response codes and addresses stored that contacts of one incident were blocked by."""

PARTIAL_LIMIT = 64
"""Sets of bans for which an incident stores what became of contacts under them alone."""

_ROLES = {"exclusive": 0, "vendor": 1, "embed": 2, "cdn": 3}
_PROTOCOLS = {"tcp": 6, "udp": 17}
_HASHES = 1 << 64

Key = tuple[str, str, str, VerdictKind]
"""What all contacts of an incident under one ban share: device id, app id, ban id and kind of
verdict."""


def incident_id(key: Key, first_seen: int) -> str:
    """The id of an incident, 32 hex digits. It is a hash of the key and of the time of the first
    contact (ns), so that the same incident has the same id however often it is replayed."""
    # A JSON array, as `json.dumps` writes it.
    text = f"[{', '.join(map(encode_basestring_ascii, (SCHEMA, *key)))}, {first_seen}]"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Incident:
    """Everything known of one incident. `first` and `last` are the times of its first and last
    contact, `gap` is the quiet gap that ends it; all in ns."""

    def __init__(self, contact: Contact, gap: int) -> None:
        self.first = self.last = contact.observation.time
        self.first_order = contact_order(contact)
        self.first_contact = single(contact)
        self.named_order = named_order(contact)
        self.named_device = contact.device
        self.time_digits = 0
        self.grounds = IncidentConfidence()
        self.lookups = self.handshakes = 0
        self.names = BoundedTable(NAME_LIMIT)
        self.evidence = BoundedTable(EVIDENCE_LIMIT)
        self.destinations = BoundedTable(DESTINATION_LIMIT)
        self.communities = BoundedTable(COMMUNITY_LIMIT)
        self.flows = BoundedTable(FLOW_LIMIT)
        self.frames = IncidentFrames(gap)
        self.lookup_answers = LookupAnswers()
        self.blocks = BoundedTable(BLOCK_LIMIT)
        self.answers = BoundedTable(ANSWER_LIMIT)
        self.totals = Totals()
        # What became of contacts under some bans only, by their ids.
        self.partial: dict[frozenset[str], Totals] = {}
        self.partial_dropped = 0

    @classmethod
    def of(cls, contact: Contact, gap: int) -> Self:
        """The incident of one contact."""
        incident = cls(contact, gap)
        incident.add(contact)
        return incident

    def add(self, contact: Contact) -> None:
        """Add a contact with the same key."""
        if contact.observation.frames:
            self.frames.add(contact)
            contact = strip_frames(contact)
        observation, match, repeats = contact.observation, contact.match, contact.repeats
        count, last = (1, observation.time) if repeats is None else (repeats.count, repeats.last)
        self.last = max(self.last, last)
        if observation.time <= self.first:
            self._set_first(observation.time, contact_order(contact), contact)
        if (contact.device.hostname is None, observation.time) <= self.named_order[:2]:
            self._set_named(named_order(contact), contact.device)
        self.time_digits = max(self.time_digits, observation.time_digits)
        self.grounds.add(contact)
        strength = -CONFIDENCE_RANK.get(contact.confidence or "", 0)
        first = first_sighting(contact)
        self.names.add((_ROLES[match.role], observation.name), (), count)
        self.evidence.add((strength, observation.evidence, observation.name), first, count)
        is_lookup = observation.evidence in LOOKUPS
        if is_lookup:
            self.lookups += count
            self.lookup_answers.add(contact)
            if observation.evidence == "dns-answer":
                when = observation.time, observation.source, observation.packet
                for address, ttl in contact.detail.answers:
                    self.answers.add((observation.name, address), (*when, ttl), count)
        else:
            self.totals.tallies[first_tally(contact)] += count
        if contact.blocked_by == RESET:
            self.totals.resets += count
        elif contact.blocked_by:
            self.blocks.add(contact.blocked_by, (), count)
        self.totals.activity.add(contact)
        # Handshakes sort first: their flows are those that other sensors report too. A device with
        # a pseudonym has none, since whoever tries all addresses finds the one that it is a hash
        # of.
        ports = () if contact.device.has_pseudonym else client_ports(contact)
        for port, contacts in ports:
            community = community_id(
                observation.client_ip,
                observation.server_ip,
                port,
                observation.server_port,
                _PROTOCOLS[observation.transport],
            )
            self.communities.add((is_lookup, community), (), contacts)
        if observation.evidence in HANDSHAKES:
            self.handshakes += count
            for number in (observation.flow_id,) if repeats is None else repeats.flows:
                flow = f"{observation.source}\0{number}".encode(errors="surrogatepass")
                self.flows.add(int.from_bytes(hashlib.blake2b(flow, digest_size=8).digest()))
        # A certificate comes from the server that the device reached, so it names a destination.
        if not is_lookup and observation.evidence != "ip-asn":
            self.destinations.add(
                (len(observation.server_ip), observation.server_ip, observation.server_port),
                (),
                count,
            )

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Add what became of contacts that were added before; `contact` is one of them. It concerns
        the bans with these ids, None for all bans of the incident."""
        totals = self.totals if bans is None else self._partial_of(bans)
        if totals is None:
            self.partial_dropped += 1
        else:
            totals.add_progress(class_of(contact.match), progress)

    def _partial_of(self, bans: frozenset[str]) -> Totals | None:
        """What became of contacts under these bans only; None where the limit is reached."""
        totals = self.partial.get(bans)
        if totals is None and len(self.partial) < PARTIAL_LIMIT:
            totals = self.partial[bans] = Totals()
        return totals

    def copy(self) -> "Incident":
        """An incident that changes independently of this one."""
        made = Incident(self.first_contact, self.frames.gap)
        made.merge(self)
        return made

    def under(self, bans: frozenset[str]) -> "Incident":
        """The incident under bans of which each knows the same: with what became of contacts under
        them, and not under all bans of the incident."""
        concerned = [totals for ids, totals in self.partial.items() if bans <= ids]
        if not concerned:
            return self
        made = self.copy()
        for totals in concerned:
            made.totals.merge(totals)
        return made

    def merge(self, other: "Incident") -> None:
        """Add all contacts of another incident with the same key."""
        self.last = max(self.last, other.last)
        if other.first <= self.first:
            self._set_first(other.first, other.first_order, other.first_contact)
        self._set_named(other.named_order, other.named_device)
        self.time_digits = max(self.time_digits, other.time_digits)
        self.grounds.merge(other.grounds)
        self.lookups += other.lookups
        self.handshakes += other.handshakes
        self.names.merge(other.names)
        self.evidence.merge(other.evidence)
        self.destinations.merge(other.destinations)
        self.communities.merge(other.communities)
        self.flows.merge(other.flows)
        self.blocks.merge(other.blocks)
        self.answers.merge(other.answers)
        self.lookup_answers.merge(other.lookup_answers)
        self.frames.merge(other.frames)
        self.totals.merge(other.totals)
        for bans, theirs in other.partial.items():
            ours = self._partial_of(bans)
            if ours is None:
                self.partial_dropped += 1
            else:
                ours.merge(theirs)
        self.partial_dropped += other.partial_dropped

    def _set_first(self, time: int, order: tuple[Any, ...], contact: Contact) -> None:
        if order < self.first_order:
            self.first, self.first_order = time, order
            self.first_contact = single(contact)

    def _set_named(self, order: tuple[Any, ...], device: Device) -> None:
        # The host name of a device may be learned only after its first contact.
        if order < self.named_order:
            self.named_order, self.named_device = order, device

    @property
    def confidence(self) -> Confidence | None:
        """The confidence of all contacts together; None where no contact has one."""
        return self.grounds.value

    def is_reportable(self, ban: str) -> bool:
        """Whether the confidence is at least the `min_confidence` of a ban, by its id."""
        return bool(self.reportable([self.first_contact.decision.ruling_of(ban)]))

    def reportable(self, rulings: Iterable[Ruling]) -> list[Ruling]:
        """Those of the rulings whose ban requires no higher confidence."""
        rank = CONFIDENCE_RANK.get(self.confidence or "", 0)
        return [each for each in rulings if CONFIDENCE_RANK[each.ban.min_confidence] <= rank]

    @property
    def outcome(self) -> Outcome:
        """What the incident came to: the strongest outcome of its flows, else of its lookups."""
        return overall(self.totals.tallies, self.outcomes)

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many of its contacts have which outcome."""
        return settled(self.totals.tallies, self.lookup_answers.tallies())

    @property
    def blocked_by(self) -> tuple[str, ...]:
        """By what contacts were blocked."""
        resets = [RESET] if self.totals.resets > 0 else []
        return *sorted(self.blocks.items), *resets

    def judged_kind(self, outcome: Outcome) -> JudgedKind:
        """What the incident looks like, given its outcome."""
        return judge(
            self.totals.activity,
            outcome,
            lookups=self.lookups,
            blocked_lookups=self.lookup_answers.are_blocked,
        )

    @property
    def flow_count(self) -> int:
        """The number of distinct flows: exact up to `FLOW_LIMIT`, beyond it estimated to within
        a few percent from the density of the smallest hashes (k minimum values)."""
        stored = self.flows.items
        if not self.flows.left_out:
            return len(stored)
        largest: int = max(stored)
        return max(len(stored), (len(stored) - 1) * _HASHES // largest)

    @property
    def left_out(self) -> dict[str, int]:
        """Contacts whose key was evicted, by table; only tables that were full."""
        tables = {
            "names": self.names,
            "evidence": self.evidence,
            "destinations": self.destinations,
            "community_ids": self.communities,
        }
        found = {name: table.left_out for name, table in tables.items()}
        found["progress"] = self.partial_dropped
        return {name: contacts for name, contacts in found.items() if contacts}

    def alert(self, ban: str, geo: GeoLookup | None, sensor: Sensor) -> Alert:
        """The incident as an alert of status `closed` under a ban, by its id; `geo` locates the
        destinations."""
        ruling = self.first_contact.decision.ruling_of(ban)
        return next(self.alerts([ruling], geo, sensor))

    def alerts(
        self, rulings: Iterable[Ruling], geo: GeoLookup | None, sensor: Sensor
    ) -> Iterator[Alert]:
        """The incident as an alert of status `closed` for each of these rulings, which are of its
        first contact. What does not depend on the ban is the same object in all of them."""
        contact = self.first_contact
        confidence = self.confidence
        assert confidence is not None
        left_out = self.left_out
        outcomes = self.outcomes
        outcome = overall(self.totals.tallies, outcomes)
        kind = self.judged_kind(outcome)
        named, app, first = self.named_device, contact.match.app, self.first
        device = contact.device
        if named is not device:
            device = replace(
                device,
                mac=named.mac,
                hostname=named.hostname,
                owner=named.owner,
                randomised_mac=named.randomised_mac,
            )
        destinations = tuple(located(self.destinations.items, geo))
        names = tuple(sorted({name for _, name in self.names.items}))
        evidence = evidence_items(self.evidence, self.answers)
        counts = IncidentCounts(
            self.lookups,
            self.handshakes,
            self.flow_count,
            self.totals.bytes_out,
            self.totals.bytes_in,
            **outcomes,
        )
        communities = tuple(sorted({text for _, text in self.communities.items}))
        duration = self.duration
        blocked_by, reasons, frames = self.blocked_by, self.grounds.reasons, tuple(self.frames)
        for ruling in rulings:
            ban = ruling.ban
            yield Alert(
                id=incident_id((device.id, app.id, ban.id, ruling.kind), first),
                status="closed",
                verdict=ruling.kind,
                severity=severity_of(ban.severity, outcome, kind.value),
                confidence=confidence,
                first_seen=first,
                last_seen=self.last,
                time_digits=self.time_digits,
                app=app,
                ban=ban,
                exemption=ruling.exemption,
                device=device,
                network=contact.network,
                vlan=contact.observation.vlan,
                destinations=destinations,
                names=names,
                evidence=evidence,
                counts=counts,
                community_ids=communities,
                sensor=sensor,
                kind=kind,
                outcome=outcome,
                blocked_by=blocked_by,
                confidence_reasons=reasons,
                duration=duration,
                extra={"left_out": left_out} if left_out else {},
                evidence_frames=frames,
            )

    @property
    def duration(self) -> int:
        """The time from the first contact to the last packet of its flows, ns."""
        last = (part.until for part in self.totals.activity.totals.values())
        return max(self.last, *last, self.first) - self.first
