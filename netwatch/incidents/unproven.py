"""Clients whose presence no handshake proves, and the incidents that sum them up.

Anyone who can send packets can send them from any address: a lookup over UDP, or a hello without an
answer, only shows that somebody sent it. As long as few unknown clients do so, each has its own
incident. If more than a limit begin one in a network within an hour, none of them has: their
contacts go into the incidents of one device, ``unproven:NETWORK``, one for each app and ban. A
client in the inventory, and one with a handshake that its server took part in, always keeps its
own.

The result at the end of a run depends neither on the order of the contacts nor on the number of
workers.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Self

from netwatch.core.message import LOOKUPS
from netwatch.core.verdict import Contact, Device, Network
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.incident import Incident
from netwatch.incidents.spill import SharedKey
from netwatch.language.sentences import sentence

HOUR = 3_600_000_000_000
"""The time in which unknown clients are counted, ns."""

SUMMED = "clients-unproven"
"""The anomaly that counts contacts that were summed up."""

PREFIX = "unproven:"
"""The prefix of the device id for unknown clients; its network follows."""

_REASON = sentence("device-unproven")
_LISTED = frozenset(
    sentence(f"device-{by}-{classed}")
    for by in ("mac", "address", "hostname")
    for classed in ("entry", "network")
)

Place = tuple[str, int]
"""A network, and an hour since the epoch."""


def is_listed(device: Device) -> bool:
    """Whether a device is in the inventory."""
    return device.reason in _LISTED


def place_of(network: Network, time: int) -> Place:
    """The network, and the hour that contains a time (ns)."""
    return network.name, time // HOUR


def proves_client(contact: Contact) -> bool:
    """Whether a contact, as it was seen, proves that its client is at its address: both ends took
    part in a handshake or request. The answer to a lookup does not, since a resolver answers anyone
    who seems to ask."""
    seen = contact.seen
    is_lookup = contact.observation.evidence in LOOKUPS
    return not is_lookup and seen.server and seen.directions == "both"


def began_at(entry: Contact | Incident) -> Place:
    """Where an incident began, or the lone contact that is one."""
    if isinstance(entry, Contact):
        return place_of(entry.network, entry.observation.time)
    return place_of(entry.first_contact.network, entry.first)


def unproven_places(entries: Iterable[Contact | Incident]) -> frozenset[Place]:
    """Where one device, with these contacts and incidents in a run, began an incident without being
    proven. Empty if the inventory has it, or any of them proves that it is there."""
    places = set()
    for entry in entries:
        contact = entry if isinstance(entry, Contact) else entry.first_contact
        is_proven = proves_client(entry) if isinstance(entry, Contact) else entry.is_proven
        if is_proven or is_listed(contact.device):
            return frozenset()
        places.add(began_at(entry))
    return frozenset(places)


def crowded(devices: Mapping[Place, int], limit: int) -> frozenset[Place]:
    """The places with more unproven devices than the limit."""
    return frozenset(place for place, count in devices.items() if count > limit)


def count_devices(devices: Iterable[Iterable[Contact | Incident]]) -> Counter[Place]:
    """How many unproven devices there are in each place; `devices` has the contacts and incidents
    of each."""
    found: Counter[Place] = Counter()
    for entries in devices:
        found.update(unproven_places(entries))
    return found


def summed_device(device: Device, network: Network) -> Device:
    """The device that represents the unknown clients of a network. `device` is one of them."""
    return replace(
        device,
        id=f"{PREFIX}{network.name}",
        ip="",
        mac=None,
        hostname=None,
        owner=None,
        binding=None,
        reason=_REASON,
        randomised_mac=False,
    )


def client_number(device: str) -> int:
    """A 64-bit number by which distinct clients are counted."""
    return int.from_bytes(hashlib.blake2b(device.encode(), digest_size=8).digest())


def summed_contact(contact: Contact) -> Contact:
    """A contact as one of the device that represents all unknown clients of its network."""
    device = summed_device(contact.device, contact.network)
    return replace(contact, device=device, sender=None, contradictions=())


class UnprovenSums:
    """The incidents of the devices that represent unknown clients. `incidents` has them, and
    `count` is the number of contacts that they sum up; `quiet_gap` is in ns."""

    def __init__(self, quiet_gap: int) -> None:
        self.incidents = Incidents(quiet_gap, limit=sys.maxsize)
        self.count = 0

    def add(self, key: SharedKey, entry: Contact | Incident) -> None:
        """Add the only contact of an incident, or an incident, which must not be used
        afterwards."""
        if isinstance(entry, Contact):
            self.count += 1 if entry.repeats is None else entry.repeats.count
            incident = self.incidents.add(summed_contact(entry))
            assert incident is not None
            incident.clients.add(client_number(entry.device.id))
            return
        self.count += entry.names.total
        contact = entry.first_contact
        entry.become(summed_device(contact.device, contact.network))
        entry.clients.add(client_number(contact.device.id))
        self._insert((entry.first_contact.device.id, *key[1:]), entry)

    def merge(self, other: Self) -> None:
        """Add those of another part, which must not be used afterwards."""
        self.count += other.count
        for key, incident in other.incidents:
            self._insert(key, incident)

    def _insert(self, key: SharedKey, incident: Incident) -> None:
        near = self.incidents.near(key, incident)
        if len(near) == 1:
            # Usually a small one: merging the large one into it would take long.
            near[0].merge(incident)
        else:
            self.incidents.insert(key, incident)
