"""One incident: what is kept of its contacts, and the alert that tells of it.

Contacts may come in any order, and two incidents may turn out to be one: `add` and
`absorb` commute. What is kept is bounded, and never by who came first: of too many keys
those that sort first are kept. A key once dropped has that many before it for ever, so
those kept have counted all their contacts.
"""

import hashlib
import json
from dataclasses import replace
from typing import Any, Protocol

from netwatch.core.addresses import ip_text
from netwatch.core.alert import Alert, Counts, Destination, EvidenceItem, Sensor
from netwatch.core.community_id import community_id
from netwatch.core.message import HANDSHAKES, LOOKUPS
from netwatch.core.verdict import CONFIDENCE_RANK, Confidence, Contact, Device, VerdictKind
from netwatch.incidents.evidence_frames import Proofs

SCHEMA = "netwatch.alert/1"
"""The version of what an alert's id is made of, and of its record."""

NAME_LIMIT = EVIDENCE_LIMIT = DESTINATION_LIMIT = 256
COMMUNITY_LIMIT = 64
FLOW_LIMIT = 1024

_ROLES = {"exclusive": 0, "vendor": 1, "embed": 2, "cdn": 3}
_PROTOCOLS = {"tcp": 6, "udp": 17}
_HASHES = 1 << 64

Key = tuple[str, str, str, VerdictKind]
"""What an incident is of: device id, app id, ban id, kind of verdict."""


class Places(Protocol):
    """Knows AS number, its organisation and country of an address, or None each."""

    def look(self, ip: bytes | str) -> tuple[int | None, str | None, str | None]:
        """What is known of a packed address."""
        ...


def incident_id(key: Key, first_seen: int) -> str:
    """The id of an incident, 32 hex digits: the same however often it is replayed, from
    whichever file, since only who, what, which ban and when it began go into it."""
    text = json.dumps([SCHEMA, *key, first_seen], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Kept:
    """The `limit` keys that sort first, each with its count and first sight, and the
    `total` of all counts ever offered."""

    __slots__ = ("items", "limit", "total", "worst")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self.worst: Any = None
        self.items: dict[Any, tuple[int, Any]] = {}

    def add(self, key: Any, first: Any = (), count: int = 1) -> None:
        """Count `key`; its first sight is the least of those given."""
        self.total += count
        known = self.items.get(key)
        if known is not None:
            self.items[key] = known[0] + count, min(known[1], first)
            return
        if len(self.items) >= self.limit:
            if self.worst is None:
                self.worst = max(self.items)
            if key > self.worst:
                return
            del self.items[self.worst]
        self.worst = None
        self.items[key] = count, first

    def absorb(self, other: "Kept") -> None:
        """Count everything that another counted."""
        for key, (count, first) in other.items.items():
            self.add(key, first, count)
        self.total += other.left_out

    @property
    def left_out(self) -> int:
        """The counts of the keys that are not kept."""
        return self.total - sum(count for count, _ in self.items.values())


class Incident:
    """Everything known of one incident: from `first` to `last` contact, ns. `gap` is the
    quiet gap that would end it."""

    def __init__(self, contact: Contact, gap: int) -> None:
        self.first = self.last = contact.observation.time
        self.first_rank = _rank(contact)
        self.first_contact = bare(contact)
        self.named_rank = _named(contact)
        self.named = contact.device
        self.digits = 0
        self.confidence: Confidence | None = None
        self.lookups = self.handshakes = self.bytes_out = self.bytes_in = 0
        self.names = Kept(NAME_LIMIT)
        self.evidence = Kept(EVIDENCE_LIMIT)
        self.destinations = Kept(DESTINATION_LIMIT)
        self.communities = Kept(COMMUNITY_LIMIT)
        self.flows = Kept(FLOW_LIMIT)
        self.proofs = Proofs(gap)
        self.add(contact)

    def add(self, contact: Contact) -> None:
        """Take in a contact of the same device, app, ban and kind of verdict."""
        if contact.observation.frames:
            self.proofs.add(contact)
            contact = bare(contact)
        seen, match = contact.observation, contact.match
        self.last = max(self.last, seen.time)
        if seen.time <= self.first:
            self._start(seen.time, _rank(contact), contact)
        self._name(_named(contact), contact.device)
        self.digits = max(self.digits, seen.digits)
        self._raise(contact.verdict.confidence)
        strength = -CONFIDENCE_RANK.get(contact.verdict.confidence or "", 0)
        sight = (seen.time, seen.source, seen.packet, seen.digits, match.rule, match.role)
        self.names.add((_ROLES[match.role], seen.name))
        self.evidence.add((strength, seen.evidence, seen.name), sight)
        looked_up = seen.evidence in LOOKUPS
        self.lookups += looked_up
        community = community_id(
            seen.client_ip,
            seen.server_ip,
            seen.client_port,
            seen.server_port,
            _PROTOCOLS[seen.transport],
        )
        # handshakes sort first: their flows are what other sensors are asked about
        self.communities.add((looked_up, community))
        if seen.evidence in HANDSHAKES:
            self.handshakes += 1
            flow = f"{seen.source}\0{seen.flow}".encode(errors="surrogatepass")
            self.flows.add(int.from_bytes(hashlib.blake2b(flow, digest_size=8).digest()))
        # a certificate comes back from the server that the device reached
        if not looked_up and seen.evidence != "ip-asn":
            self.destinations.add((len(seen.server_ip), seen.server_ip, seen.server_port))

    def absorb(self, other: "Incident") -> None:
        """Take in all of another incident of the same key."""
        self.last = max(self.last, other.last)
        if other.first <= self.first:
            self._start(other.first, other.first_rank, other.first_contact)
        self._name(other.named_rank, other.named)
        self.digits = max(self.digits, other.digits)
        self._raise(other.confidence)
        self.lookups += other.lookups
        self.handshakes += other.handshakes
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in
        self.names.absorb(other.names)
        self.evidence.absorb(other.evidence)
        self.destinations.absorb(other.destinations)
        self.communities.absorb(other.communities)
        self.flows.absorb(other.flows)
        self.proofs.absorb(other.proofs)

    def _start(self, time: int, rank: tuple[Any, ...], contact: Contact) -> None:
        if rank < self.first_rank:
            self.first, self.first_rank, self.first_contact = time, rank, contact

    def _name(self, rank: tuple[Any, ...], device: Device) -> None:
        # what a device is called may be learned only after its first contact
        if rank < self.named_rank:
            self.named_rank, self.named = rank, device

    def _raise(self, confidence: Confidence | None) -> None:
        if CONFIDENCE_RANK.get(confidence or "", 0) > CONFIDENCE_RANK.get(self.confidence or "", 0):
            self.confidence = confidence

    @property
    def told(self) -> bool:
        """Whether the best evidence is as strong as the ban asks for."""
        ban = self.first_contact.verdict.ban
        assert ban is not None
        return CONFIDENCE_RANK.get(self.confidence or "", 0) >= CONFIDENCE_RANK[ban.min_confidence]

    @property
    def flow_count(self) -> int:
        """Exact up to the limit; beyond it estimated from how dense the smallest hashes
        lie (k minimum values), which keeps within a few percent and needs no more."""
        kept = self.flows.items
        if not self.flows.left_out:
            return len(kept)
        densest: int = max(kept)
        return max(len(kept), (len(kept) - 1) * _HASHES // densest)

    @property
    def left_out(self) -> dict[str, int]:
        """Contacts whose key is not kept, by table; only tables that were full."""
        tables = {
            "names": self.names,
            "evidence": self.evidence,
            "destinations": self.destinations,
            "community_ids": self.communities,
        }
        return {name: table.left_out for name, table in tables.items() if table.left_out}

    def alert(self, key: Key, geo: Places | None, sensor: Sensor) -> Alert:
        """The incident as told when it is over."""
        contact = self.first_contact
        verdict, ban = contact.verdict, contact.verdict.ban
        assert verdict.kind is not None
        assert ban is not None
        assert self.confidence is not None
        evidence = [
            EvidenceItem(time, digits, kind, name, rule, role, source, packet, count)
            for (_, kind, name), (count, sight) in self.evidence.items.items()
            for time, source, packet, digits, rule, role in (sight,)
        ]
        destinations = []
        for _, ip, port in sorted(self.destinations.items):
            place = geo.look(ip) if geo else (None, None, None)
            destinations.append(Destination(ip_text(ip), port, *place))
        left_out = self.left_out
        return Alert(
            id=incident_id(key, self.first),
            status="closed",
            verdict=verdict.kind,
            severity=ban.severity,
            confidence=self.confidence,
            first_seen=self.first,
            last_seen=self.last,
            digits=self.digits,
            app=contact.match.app,
            ban=ban,
            exemption=verdict.exemption,
            device=replace(
                contact.device,
                mac=self.named.mac,
                hostname=self.named.hostname,
                owner=self.named.owner,
            ),
            network=contact.network,
            vlan=contact.observation.vlan,
            destinations=tuple(destinations),
            names=tuple(sorted({name for _, name in self.names.items})),
            evidence=tuple(sorted(evidence, key=_place_of)),
            counts=Counts(
                lookups=self.lookups,
                handshakes=self.handshakes,
                flows=self.flow_count,
                bytes_out=self.bytes_out,
                bytes_in=self.bytes_in,
            ),
            community_ids=tuple(sorted({text for _, text in self.communities.items})),
            sensor=sensor,
            extra={"left_out": left_out} if left_out else {},
            proof=tuple(self.proofs),
        )


def bare(contact: Contact) -> Contact:
    """A contact without its packets, which are kept in another place."""
    if not contact.observation.frames:
        return contact
    return replace(contact, observation=replace(contact.observation, frames=()))


def _rank(contact: Contact) -> tuple[Any, ...]:
    seen, device = contact.observation, contact.device
    where = (seen.vlan or 0, contact.network.name, device.ip, device.mac or "")
    return seen.time, seen.source, seen.packet, *where


def _named(contact: Contact) -> tuple[Any, ...]:
    return contact.device.hostname is None, *_rank(contact)


def _place_of(item: EvidenceItem) -> tuple[Any, ...]:
    return item.time, item.source, item.packet, item.type, item.name, item.role
