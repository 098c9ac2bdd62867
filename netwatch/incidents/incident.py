"""One incident: what is stored of its contacts, and the alert that reports it.

Contacts may arrive in any order, and two incidents may turn out to be one: `add` and `merge` give
the same result in any order. Memory is bounded by `BoundedTable`, which never decides by the order
of arrival. Bans that treat all contacts alike share an incident, which `alert` reports for each of
them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Self

from netwatch.core.alert import COMMUNITY_LIMIT, Alert, IncidentCounts, Sensor
from netwatch.core.community_id import community_id
from netwatch.core.flow import RANKED, origin_of
from netwatch.core.message import LOOKUPS
from netwatch.core.verdict import (
    CONFIDENCE_RANK,
    RESET,
    Confidence,
    Contact,
    Device,
    Outcome,
    Ruling,
)
from netwatch.incidents.alert_parts import (
    SET_LIMIT,
    GeoLookup,
    candidate_sets,
    evidence_items,
    first_sighting,
    incident_id,
    located,
    logged_answers,
    severity_of,
)
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.confidence import IncidentConfidence
from netwatch.incidents.contacts import (
    ContactProgress,
    FirstContacts,
    client_ports,
    named_order,
    overall,
    settled,
    strip_frames,
)
from netwatch.incidents.evidence_frames import IncidentFrames
from netwatch.incidents.kind import judged_kind
from netwatch.incidents.origin_counts import OriginCounts, distinct, joined
from netwatch.incidents.senders import Contradictions, SenderTable

NAME_LIMIT = 256
"""Names stored for one incident, at most."""

EVIDENCE_LIMIT = 256
"""Items of evidence stored for one incident, at most."""

DESTINATION_LIMIT = 256
"""Destinations (address and port) stored for one incident, at most."""

ANSWER_LIMIT = 256
"""Answers (name and address) stored for one incident, to tell which one led to a server."""

CLIENT_LIMIT = 4096
"""Clients of an incident of unknown clients to count exactly; more are estimated."""

BLOCK_LIMIT = 16
"""Response codes and addresses that blocked contacts of one incident, to store at most."""

_ROLES = {"exclusive": 0, "vendor": 1, "embed": 2, "cdn": 3}
_PROTOCOLS = {"tcp": 6, "udp": 17}


class Incident:
    """Everything known about one incident. `first` and `last` are the times of its first and last
    contact, `gap` is the quiet gap that ends it; all in ns. `origins` has the counts by origin.
    `clients` are the hashes of the clients in an incident of unknown clients."""

    def __init__(self, contact: Contact, gap: int) -> None:
        self.first = self.last = contact.observation.time
        self.firsts = FirstContacts()
        self.firsts.add(contact)
        self.named_order = named_order(contact)
        self.named_device = contact.device
        self.time_digits = 0
        self.grounds = IncidentConfidence()
        self.names = BoundedTable(NAME_LIMIT)
        self.evidence = BoundedTable(EVIDENCE_LIMIT)
        self.destinations = BoundedTable(DESTINATION_LIMIT)
        self.communities = BoundedTable(COMMUNITY_LIMIT)
        self.frames = IncidentFrames(gap)
        self.blocks = BoundedTable(BLOCK_LIMIT)
        self.answers = BoundedTable(ANSWER_LIMIT)
        self.contradictions = Contradictions()
        self.candidates = BoundedTable(SET_LIMIT)
        self.clients = BoundedTable(CLIENT_LIMIT)
        self.origins: dict[str, OriginCounts] = {}

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
        self.first = min(self.first, observation.time)
        self.firsts.add(contact)
        if (contact.device.hostname is None, observation.time) <= self.named_order[:2]:
            self._set_named(named_order(contact), contact.device)
        self.time_digits = max(self.time_digits, observation.time_digits)
        self._add_grounds(contact)
        if contact.contradictions:
            self.contradictions.add(contact, count)
        first = first_sighting(contact)
        self.names.add((_ROLES[match.role], observation.name), (), count)
        origin = origin_of(observation.log)
        self.evidence.add(self._evidence_key(contact, origin), first, count)
        if contact.candidates is not None:
            self.candidates.add(tuple(contact.candidates), (), count)
            if contact.candidates.shared:
                self.counts_of(origin)
                return  # It may not be a contact with the app at all, so it counts as none.
        self.counts_of(origin).add(contact)
        is_lookup = observation.evidence in LOOKUPS
        if observation.evidence == "dns-answer":
            when = observation.time, observation.source, observation.packet
            answers = logged_answers(contact) if observation.log else contact.detail.answers
            for address, ttl in answers:
                self.answers.add((observation.name, address), (*when, ttl), count)
        if contact.blocked_by not in ("", RESET):
            self.blocks.add(contact.blocked_by, (), count)
        # Handshakes sort first: other sensors report their flows too. A device with a pseudonym has
        # none, since the hashed address could be found by trying all.
        has_id = not contact.device.has_pseudonym and bool(observation.server_ip)
        ports = client_ports(contact) if has_id else ()
        for port, contacts in ports:
            if observation.log is not None and 0 in (port, observation.server_port):
                continue
            community = community_id(
                observation.client_ip,
                observation.server_ip,
                port,
                observation.server_port,
                _PROTOCOLS[observation.transport],
            )
            self.communities.add((is_lookup, community), (), contacts)
        # A certificate comes from the server that the device reached, so it names a destination.
        if not is_lookup and observation.evidence != "ip-asn" and observation.server_ip:
            server = observation.server_ip
            self.destinations.add((len(server), server, observation.server_port), (), count)

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Add the outcome of contacts that were added before; `contact` is one of them. It concerns
        the bans with these ids, None for all bans of the incident. How a contact was seen does not
        depend on bans."""
        origin = origin_of(contact.observation.log)
        if progress.seen is None:
            self.counts_of(origin).add_progress(contact, progress, bans)
            return
        self._add_grounds(contact)
        if progress.contacts:
            self.contradictions.add(contact, progress.contacts)
        if progress.frames:
            self.frames.add_answers(contact, progress.frames)
        key = self._evidence_key(contact, origin)
        if key in self.evidence.items:
            self.evidence.add(key, first_sighting(contact), 0)

    def _add_grounds(self, contact: Contact) -> None:
        """Add a contact, or what else was seen of it, as a reason for the confidence."""
        self.grounds.add(contact)
        if contact.contradictions:
            self.contradictions.add_grounds(contact)

    def _evidence_key(self, contact: Contact, origin: str) -> tuple[int, str, str, str]:
        strength = -CONFIDENCE_RANK.get(contact.confidence or "", 0)
        return strength, contact.observation.evidence, contact.observation.name, origin

    def counts_of(self, origin: str) -> OriginCounts:
        """What one origin shows of the incident."""
        counts = self.origins.get(origin)
        if counts is None:
            counts = self.origins[origin] = OriginCounts()
        return counts

    @property
    def counts(self) -> OriginCounts:
        """What all origins together show of the incident."""
        return joined(self.origins)

    @property
    def partial(self) -> set[frozenset[str]]:
        """The sets of bans with outcomes of contacts that only apply under them."""
        return {bans for counts in self.origins.values() for bans in counts.partial}

    @property
    def first_contact(self) -> Contact:
        """The contact that the incident begins with (`netwatch.incidents.contacts`)."""
        return self.firsts.first

    def copy(self) -> "Incident":
        """A copy that changes independently of this one."""
        made = Incident(self.first_contact, self.frames.gap)
        made.merge(self)
        return made

    def under(self, bans: frozenset[str]) -> "Incident":
        """The incident under bans with the same information: with the outcomes of contacts under
        them, and not under all bans of the incident."""
        concerned = [
            (origin, totals)
            for origin, counts in self.origins.items()
            for ids, totals in counts.partial.items()
            if bans <= ids
        ]
        if not concerned:
            return self
        made = self.copy()
        for origin, totals in concerned:
            made.counts_of(origin).totals.merge(totals)
        return made

    def settled(self, senders: SenderTable) -> "Incident":
        """The incident once the routers are known: without contradictions that only exist if a
        router's frames are not a router's."""
        if not self.contradictions.by_sender:
            return self
        made = self.copy()
        made.contradictions.settle(senders, made.grounds)
        return made

    def become(self, device: Device) -> None:
        """Become an incident of another device, with the same contacts. Contradictions are
        forgotten, since they are about the device."""
        self.firsts.become(device)
        self.named_device = device
        self.contradictions = Contradictions()

    @property
    def is_proven(self) -> bool:
        """Whether both ends took part in any of its handshakes or requests."""
        return any(
            kind not in LOOKUPS
            and RANKED[first[0]].server
            and RANKED[first[0]].directions == "both"
            for (_, kind, _, _), (_, first) in self.evidence.items.items()
        )

    @property
    def client_count(self) -> int:
        """The number of clients in an incident of unknown clients: exact up to `CLIENT_LIMIT`, then
        estimated to within a few percent; 0 for an incident of one device."""
        return distinct(self.clients)

    def merge(self, other: "Incident") -> None:
        """Add all contacts of another incident with the same key."""
        self.last = max(self.last, other.last)
        self.first = min(self.first, other.first)
        self.firsts.merge(other.firsts)
        self._set_named(other.named_order, other.named_device)
        self.time_digits = max(self.time_digits, other.time_digits)
        self.grounds.merge(other.grounds)
        self.names.merge(other.names)
        self.evidence.merge(other.evidence)
        self.destinations.merge(other.destinations)
        self.communities.merge(other.communities)
        self.blocks.merge(other.blocks)
        self.answers.merge(other.answers)
        self.contradictions.merge(other.contradictions)
        self.candidates.merge(other.candidates)
        self.clients.merge(other.clients)
        self.frames.merge(other.frames)
        for origin, counts in other.origins.items():
            self.counts_of(origin).merge(counts)

    def _set_named(self, order: tuple[Any, ...], device: Device) -> None:
        # The host name of a device may only be learned after its first contact.
        if order < self.named_order:
            self.named_order, self.named_device = order, device

    @property
    def confidence(self) -> Confidence | None:
        """The confidence of all contacts together; None if no contact has one."""
        return self.grounds.value

    def is_reportable(self, ban: str) -> bool:
        """Whether the confidence is at least the `min_confidence` of a ban, by its id."""
        return bool(self.reportable([self.first_contact.decision.ruling_of(ban)]))

    def reportable(self, rulings: Iterable[Ruling]) -> list[Ruling]:
        """The rulings whose ban does not require a higher confidence."""
        rank = CONFIDENCE_RANK.get(self.confidence or "", 0)
        return [ruling for ruling in rulings if CONFIDENCE_RANK[ruling.ban.min_confidence] <= rank]

    @property
    def outcome(self) -> Outcome:
        """The outcome of the incident: the strongest outcome of its flows, otherwise of its
        lookups."""
        counts = self.counts
        return overall(counts.totals.tallies, _outcomes(counts))

    def blocked_by(self, counts: OriginCounts) -> tuple[str, ...]:
        """What blocked contacts, given these `counts`."""
        refusals = {by for by, contacts in counts.totals.refusals.items() if contacts > 0}
        return *sorted(self.blocks.items), *sorted(refusals - set(self.blocks.items))[:BLOCK_LIMIT]

    @property
    def left_out(self) -> dict[str, int]:
        """Contacts whose key was evicted, by table; only tables that were full."""
        tables = {
            "names": self.names,
            "evidence": self.evidence,
            "destinations": self.destinations,
            "community_ids": self.communities,
            "contradictions": self.contradictions.table,
            "candidates": self.candidates,
        }
        found = {name: table.left_out for name, table in tables.items()}
        found["progress"] = sum(counts.partial_dropped for counts in self.origins.values())
        return {name: contacts for name, contacts in found.items() if contacts}

    def alert(self, ban: str, geo: GeoLookup | None, sensor: Sensor) -> Alert:
        """The incident as an alert of status `closed` under a ban, by its id; `geo` locates the
        destinations."""
        ruling = self.first_contact.decision.ruling_of(ban)
        return next(self.alerts([ruling], geo, sensor))

    def alerts(
        self, rulings: Iterable[Ruling], geo: GeoLookup | None, sensor: Sensor
    ) -> Iterator[Alert]:
        """The incident as an alert of status `closed` for each of these rulings, which are its
        first contact's. What does not depend on the ban is the same object in all of them."""
        contact = self.first_contact
        confidence = self.confidence
        assert confidence is not None
        left_out = self.left_out
        counted = self.counts
        outcomes = _outcomes(counted)
        outcome = overall(counted.totals.tallies, outcomes)
        several = contact.device.reason if contact.device.device_class == "unknown" else ""
        kind = judged_kind(counted, outcome, several)
        named, app, first = self.named_device, contact.match.app, contact.observation.time
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
        candidates = candidate_sets(self.candidates)
        counts = IncidentCounts(
            counted.lookups,
            counted.handshakes,
            counted.flow_count,
            counted.totals.bytes_out,
            counted.totals.bytes_in,
            **outcomes,
        )
        communities = tuple(sorted({text for _, text in self.communities.items}))
        last = max((part.until for part in counted.totals.activity.totals.values()), default=first)
        duration = max(self.last, last, first) - first
        blocked_by, reasons = self.blocked_by(counted), self.grounds.reasons
        frames = tuple(self.frames)
        contradictions = tuple(self.contradictions.items())
        extra: dict[str, Any] = {"left_out": left_out} if left_out else {}
        if self.clients.total:
            extra["clients"] = self.client_count
        for ruling in rulings:
            ban = ruling.ban
            yield Alert(
                id=incident_id((device.id, app.id, ban.id, ruling.kind), first, sensor.name_in_ids),
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
                contradictions=contradictions,
                candidates=candidates,
                duration=duration,
                extra=extra,
                evidence_frames=frames,
            )


def _outcomes(counts: OriginCounts) -> dict[Outcome, int]:
    """How many of the contacts have which outcome."""
    return settled(counts.totals.tallies, counts.lookup_answers.tallies())
