"""Finds out who is meant: an id, address, MAC, host name, owner or pseudonym becomes a person.

What is known about devices is in the inventory, in the catalogue's clients and incidents, and in
address claims; sealed clients and claims are used as far as a key reads them. Each may add
something: the inventory the MAC of an id, a claim the address that a MAC had, and when. They are
searched again until nothing new is found. An address leads to a device only if a source says so,
since addresses change hands; the MAC of a router, which is in the frames of many, leads nowhere.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.text import quantity
from netwatch.inventory.entry_table import Entry
from netwatch.privacy import Sealing, key_id_of, pseudonym
from netwatch.store import catalogue_tables as tables
from netwatch.store.claims import StoredClaim, stored_claims
from netwatch.store.fact_tables import FactRemoval
from netwatch.store.person import ALWAYS, NOBODYS, Person, Span, stored_clients

_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Resolved:
    """The person that is meant, and sentences on what could not be determined. `devices` are their
    names, for people."""

    person: Person
    devices: tuple[str, ...]
    notes: tuple[str, ...]


class Resolver:
    """Resolves a user's input. `entries` are the inventory's, `networks` the names of the
    configured networks, `sealing` reads what is sealed. Raises `NetwatchError`."""

    def __init__(
        self,
        facts: FactRemoval,
        entries: Iterable[Entry] = (),
        networks: Iterable[str] = (),
        sealing: Sealing | None = None,
    ) -> None:
        self._facts = facts
        self._entries = list(entries)
        self._sealing = sealing
        self._clients = list(stored_clients(facts.catalogue, sealing))
        self._claims = list(stored_claims(facts, sealing))
        self._devices = list(_incident_devices(facts))
        named = {client.network for client in self._clients if client.network}
        self._networks = {*networks, *named, *(device.network for device in self._devices)}
        self._macs: set[str] = set()
        self._words: set[str] = set()
        self._spans: defaultdict[str, set[Span]] = defaultdict(set)
        self._notes: list[str] = []

    def resolve(self, text: str) -> Resolved:
        """Who is meant by an id, address, MAC, host name, owner or pseudonym."""
        self._begin(text.strip())
        for _ in range(_ROUNDS):
            before = self._size()
            self._ask_inventory(text)
            self._ask_clients()
            self._ask_incidents(text)
            self._ask_claims(text)
            if self._size() == before:
                break
        self._add_owners(text)
        self._add_sightings()
        self._add_pseudonyms()
        numbers, shared = self._numbers()
        self._note_places({*numbers, *shared})
        self._note_unread({*numbers, *shared})
        person = Person(
            macs=self._macs,
            words=self._words,
            addresses=self._spans,
            numbers=numbers,
            shared=shared,
        )
        devices = sorted(each for each in {*self._words, *self._macs} if key_id_of(each) is None)
        devices += sorted(span for span in self._spans if key_id_of(span) is None)
        return Resolved(person, tuple(dict.fromkeys(devices)), tuple(self._notes))

    def _begin(self, text: str) -> None:
        packed, mac = parse_ip(text), parse_mac(text)
        if packed is not None:
            self._add_address(ip_text(packed), ALWAYS)
        elif mac is not None:
            self._macs.add(mac_text(mac))
        elif key_id_of(text) is not None:
            self._words.add(text)
            self._begin_with_pseudonym(text)
        else:
            self._words.add(text)

    def _begin_with_pseudonym(self, text: str) -> None:
        """Whose a pseudonym is, if a key of the configuration made it."""
        key = self._sealing.keys.named(key_id_of(text) or "") if self._sealing else None
        if key is None:
            self._notes.append(
                "no key of the configuration made this pseudonym: only what is stored under it can"
                " be erased"
            )
            return
        identities = {each for client in self._clients for each in (client.ip, client.mac) if each}
        for entry in self._entries:
            identities |= {entry.id, *_addresses(entry)}
        for identity in sorted(identities):
            if any(pseudonym(key, network, identity) == text for network in self._networks):
                self._begin(identity)
                return
        self._notes.append(
            "neither the store nor the inventory resolves this pseudonym to a device: only what is"
            " stored under it can be erased"
        )

    def _size(self) -> int:
        return len(self._macs) + len(self._words) + sum(map(len, self._spans.values()))

    def _ask_inventory(self, text: str) -> None:
        for entry in self._entries:
            if self._is_hers(entry) or _same(entry.owner, text):
                self._macs.update(map(mac_text, entry.macs))
                self._add_device(entry.id, None, entry.hostname)
                for ip in map(ip_text, entry.ips):
                    self._add_address(ip, _validity(entry))

    def _is_hers(self, entry: Entry) -> bool:
        if not self._macs.isdisjoint(map(mac_text, entry.macs)):
            return True
        if entry.id in self._words or self._has_word(entry.hostname):
            return True
        return any(ALWAYS in self._spans.get(ip, ()) for ip in map(ip_text, entry.ips))

    def _add_device(self, identity: str, mac: str | None, hostname: str | None) -> None:
        if mac:
            self._macs.add(mac)
        if hostname:
            self._words |= {hostname, hostname.partition(".")[0]}
        if parse_ip(identity) is None and parse_mac(identity) is None:
            self._words.add(identity)

    def _add_address(self, ip: str, span: Span) -> None:
        """An address was theirs for a time. The address of a device without one belongs to
        nobody."""
        if ip not in NOBODYS:
            self._spans[ip].add(span)

    def _has_word(self, hostname: str | None) -> bool:
        if not hostname:
            return False
        known = {word.lower() for word in self._words}
        return hostname.lower() in known or hostname.partition(".")[0].lower() in known

    def _ask_clients(self) -> None:
        """A client with an address that is theirs only has their MAC, unless that is a router's."""
        addresses: defaultdict[str, set[str]] = defaultdict(set)
        for client in self._clients:
            if client.mac and client.ip and ":" not in client.ip:
                addresses[client.mac].add(client.ip)
        listed = {mac_text(mac) for entry in self._entries for mac in entry.macs}
        for client in self._clients:
            if client.mac is None or client.ip is None or client.mac in listed | self._macs:
                continue
            if ALWAYS in self._spans.get(client.ip, ()) and len(addresses[client.mac]) <= 1:
                self._macs.add(client.mac)

    def _ask_incidents(self, text: str) -> None:
        for each in self._devices:
            device = each.device
            is_hers = (
                device["id"] in self._words | self._macs
                or device["mac"] in self._macs
                or self._has_word(device["hostname"])
                or _same(device["owner"], text)
                or ALWAYS in self._spans.get(device["ip"] or "", ())
            )
            if is_hers and key_id_of(device["id"]) is None:
                self._add_device(device["id"], device["mac"], device["hostname"])
                if device["ip"]:
                    self._add_address(device["ip"], (each.first, each.last))

    def _ask_claims(self, text: str) -> None:
        """Claims tell which address a MAC had, from when on, and its host name. A host name only
        leads to a MAC if it is the user's input: many devices have the same one."""
        by_address: defaultdict[str, list[StoredClaim]] = defaultdict(list)
        for claim in self._claims:
            for address in claim.addresses:
                by_address[address].append(claim)
            if claim.hostname and _same(claim.hostname.partition(".")[0], text.partition(".")[0]):
                if claim.mac:
                    self._macs.add(claim.mac)
                for address in claim.addresses:
                    self._add_address(address, (claim.time, claim.time))
            if claim.mac in self._macs and claim.hostname:
                self._add_device(claim.hostname, None, claim.hostname)
        for address, claims in by_address.items():
            claims.sort(key=lambda claim: claim.time)
            for at, claim in enumerate(claims):
                if claim.mac and claim.mac in self._macs:
                    self._add_address(address, _until_others(claims, at, self._macs))

    def _add_owners(self, text: str) -> None:
        """The owner's name is theirs, unless the owner's other devices stay."""
        for owner in sorted({entry.owner for entry in self._entries if entry.owner}):
            owned = [entry for entry in self._entries if entry.owner == owner]
            hers = [entry for entry in owned if self._is_hers(entry)]
            if hers and len(hers) == len(owned):
                self._words.add(owner)
            elif hers:
                self._notes.append(
                    "the owner has other devices in the inventory, which stay: name the owner to"
                    " erase all of them"
                )
        for device in self._devices:
            if _same(device.device["owner"], text):
                self._words.add(device.device["owner"])

    def _add_sightings(self) -> None:
        """An address seen with their MAC was theirs from the first to the last time."""
        hers = {c.number: c.ip for c in self._clients if c.mac in self._macs and c.ip}
        unknown = {number for number, ip in hers.items() if ip not in self._spans}
        if not unknown:
            return
        for file in self._facts.all_files():
            time = "first" if file.table == "flow" else "time"
            table = self._facts.read(file, ["client", time])
            for number, first, last in _spans_of(table, time, unknown):
                self._add_address(hers[number], (first, last))

    def _add_pseudonyms(self) -> None:
        if self._sealing is None:
            return
        for key in self._sealing.keys.keys:
            for network in self._networks:
                for identity in [*self._words, *self._macs]:
                    if key_id_of(identity) is None:
                        self._words.add(pseudonym(key, network, identity))
                for ip, spans in [*self._spans.items()]:
                    if key_id_of(ip) is None:
                        self._spans[pseudonym(key, network, ip)] |= spans

    def _note_places(self, numbers: set[int]) -> None:
        """Report where they are known, if in several networks or by several sensors: an address,
        and everything it leads to, may be another person's there."""
        found = {
            (client.network or "no network", client.sensor or "several")
            for client in self._clients
            if client.number in numbers
        }
        if len(found) > 1:
            places = ", ".join(f"{network} (sensor {sensor})" for network, sensor in sorted(found))
            self._notes.append(
                f"it is known in {places}: if these are several sites, an address belongs to"
                " another device in each, and all of them are meant"
            )

    def _note_unread(self, numbers: set[int]) -> None:
        """Report clients that may be theirs, which nobody can tell."""
        unread = sum(
            client.ip is client.mac is None and client.number not in numbers
            for client in self._clients
        )
        if unread:
            self._notes.append(
                f"no key of the configuration reads {quantity(unread, 'client')} of the store: what"
                " is stored of the person under these stays"
            )

    def _numbers(self) -> tuple[set[int], dict[int, set[Span]]]:
        """The clients that are theirs only, and those with an address that was theirs for a
        time."""
        numbers: set[int] = set()
        shared: dict[int, set[Span]] = {}
        for client in self._clients:
            spans = self._spans.get(client.ip or client.pseudonym or "", set())
            if client.mac in self._macs or ALWAYS in spans or client.pseudonym in self._words:
                numbers.add(client.number)
            elif spans:
                shared[client.number] = spans
        return numbers, shared


@dataclass(frozen=True, slots=True)
class _IncidentDevice:
    device: dict[str, Any]
    network: str
    first: int
    last: int


def _incident_devices(facts: FactRemoval) -> Iterator[_IncidentDevice]:
    """The devices of all incidents, as in their records."""
    column = tables.incident.c
    with facts.catalogue.database.reading() as connection:
        rows = connection.execute(
            select(column.record, column.network, column.first_seen, column.last_seen)
        ).all()
    for row in rows:
        yield _IncidentDevice(
            json.loads(row.record)["device"], row.network, row.first_seen, row.last_seen
        )


def _same(one: str | None, other: str) -> bool:
    return one is not None and one.lower() == other.strip().lower()


def _validity(entry: Entry) -> Span:
    """The time in which an entry is valid."""
    return (
        ALWAYS[0] if entry.since is None else entry.since,
        ALWAYS[1] if entry.until is None else entry.until - 1,
    )


def _addresses(entry: Entry) -> set[str]:
    found = set(map(ip_text, entry.ips))
    return found | {mac_text(entry.mac)} if entry.mac is not None else found


def _until_others(claims: list[StoredClaim], at: int, macs: set[str]) -> Span:
    """For how long the address in a claim was theirs: between the claims of others."""
    others = [claim.time for claim in claims if claim.mac and claim.mac not in macs]
    time = claims[at].time
    before = [each for each in others if each < time]
    after = [each for each in others if each > time]
    return (max(before) + 1 if before else ALWAYS[0], min(after) - 1 if after else ALWAYS[1])


def _spans_of(table: Any, time: str, numbers: set[int]) -> Iterator[tuple[int, int, int]]:
    """The first and the last time of rows of these clients."""
    import pyarrow as pa
    from pyarrow import compute

    mine = compute.is_in(table.column("client"), value_set=pa.array(sorted(numbers), pa.int32()))
    found = table.filter(mine).group_by("client").aggregate([(time, "min"), (time, "max")])
    columns = [found.column(name).to_pylist() for name in ("client", f"{time}_min", f"{time}_max")]
    yield from zip(*columns, strict=True)
