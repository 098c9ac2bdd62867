"""What an incident takes of a contact: its place in an order, its counts, and itself alone."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from netwatch.core.message import HANDSHAKES
from netwatch.core.verdict import Contact
from netwatch.incidents.progress import Tally


def first_tally(contact: Contact) -> Tally:
    """What a contact other than a lookup is counted as when it is seen. Of the server of a
    handshake nothing is known then, unless its address tells."""
    is_open = contact.outcome == "attempted" and contact.observation.evidence in HANDSHAKES
    return "silent" if is_open else contact.outcome


def strip_frames(contact: Contact) -> Contact:
    """A contact without its packets."""
    if not contact.observation.frames:
        return contact
    return replace(contact, observation=replace(contact.observation, frames=()))


def without_details(contact: Contact) -> Contact:
    """A contact without the protocol details, which neither its incident nor the evidence
    capture needs, and without the address of a device that has a pseudonym and the number of its
    flow, which a hash of addresses is."""
    observation = replace(contact.observation, dns=None, tls=None, quic=None)
    if contact.device.has_pseudonym:
        observation = replace(observation, client_ip=b"", client_port=0, client_mac=None, flow_id=0)
    return replace(contact, observation=observation)


def single(contact: Contact) -> Contact:
    """The first of the contacts of a group, without its packets."""
    contact = strip_frames(contact)
    return contact if contact.repeats is None else replace(contact, repeats=None)


def client_ports(contact: Contact) -> Iterable[tuple[int, int]]:
    """The ports of the client, and of how many contacts each is."""
    if contact.repeats is None:
        return ((contact.observation.client_port, 1),)
    return contact.repeats.ports.items()


def contact_order(contact: Contact) -> tuple[Any, ...]:
    """By what the first of several contacts is found, in whatever order they come."""
    observation, device = contact.observation, contact.device
    where = (observation.vlan or 0, contact.network.name, device.ip, device.mac or "")
    return observation.time, observation.source, observation.packet, *where


def named_order(contact: Contact) -> tuple[Any, ...]:
    """The same, but contacts of devices with a host name come first."""
    return contact.device.hostname is None, *contact_order(contact)
