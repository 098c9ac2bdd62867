"""Takes a pseudonym back, by the key that made it: which device it is of.

A pseudonym is a hash, so all devices that it may be of are tried: those of the inventory, the
clients of the store, and all addresses of the configured networks. Each time is noted in the
journal before anything is said.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import insert

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.errors import NetwatchError
from netwatch.inventory.entry_table import Entry
from netwatch.inventory.networks import Scope
from netwatch.privacy.options import Keyring, key_id_of, pseudonym
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.resolving import NOBODYS, StoredClient

MAX_TRIED = 1 << 20
"""Addresses of a network that are tried; of a larger one, only those that are stored are."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a pseudonym is of: the name of the network, what the pseudonym was made of (an id, a MAC
    or an address), and what is known beside it. Where several `sensors` know it, each may speak of
    another device, if their sites call their networks alike."""

    network: str
    identity: str
    ips: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    hostname: str | None = None
    owner: str | None = None
    sensors: tuple[str, ...] = ()


def write_journal(catalogue: Catalogue, user: str, text: str, reason: str) -> None:
    """Note that somebody asks of whom a pseudonym is. Raises `NetwatchError`."""
    detail = json.dumps({"pseudonym": text, "reason": reason}, ensure_ascii=False)
    with catalogue.database.writing() as connection:
        connection.execute(
            insert(tables.journal).values(
                time=time.time_ns(), user=user, action="identify", detail=detail
            )
        )


def identify(
    text: str,
    keys: Keyring,
    entries: Iterable[Entry],
    clients: Iterable[StoredClient],
    scopes: Iterable[Scope],
) -> Identity | None:
    """Who a pseudonym is of; None where that is not found. Raises `NetwatchError` for a text that
    is none, and for one of a key that is not at hand."""
    key_id = key_id_of(text)
    if key_id is None:
        raise NetwatchError(f"'{text}' is not a pseudonym, like p3f9a-k7q2m5xw4n6b3c2d")
    key = keys.named(key_id)
    if key is None:
        raise NetwatchError(
            f"{text} was made by the key {key_id}, which is not in the configuration (privacy:"
            " key, previous)"
        )
    devices, known, places = list(entries), list(clients), list(scopes)
    networks = {scope.network.name for scope in places}
    networks |= {client.network or "" for client in known}
    for network, identity in _candidates(devices, known, places, networks):
        if pseudonym(key, network, identity) == text:
            return _described(network, identity, devices, known)
    return None


def _candidates(
    entries: list[Entry], clients: list[StoredClient], scopes: list[Scope], networks: set[str]
) -> Iterator[tuple[str, str]]:
    """Whatever the pseudonym may be of: network and identity."""
    for entry in entries:
        found = [entry.id, *map(ip_text, entry.ips)]
        found += map(mac_text, entry.macs)
        yield from ((network, each) for network in sorted(networks) for each in found)
    for client in clients:
        for identity in (client.ip, client.mac):
            if identity is not None:
                yield from ((network, identity) for network in sorted(networks))
    for scope in scopes:
        for span in scope.ranges:
            if span.num_addresses <= MAX_TRIED:
                yield from ((scope.network.name, str(address)) for address in span)


def _described(
    network: str, identity: str, entries: list[Entry], clients: list[StoredClient]
) -> Identity:
    """What is known of a device by its id, MAC or address."""
    ips, macs, sensors = set[str](), set[str](), set[str]()
    hostname = owner = None
    for entry in entries:
        own = {entry.id, *map(ip_text, entry.ips)}
        own |= set(map(mac_text, entry.macs))
        if identity in own:
            ips |= set(map(ip_text, entry.ips))
            macs |= set(map(mac_text, entry.macs))
            hostname, owner = hostname or entry.hostname, owner or entry.owner
    own_macs = frozenset(macs)
    for client in clients:
        # The same address in another network is of somebody else.
        is_there = client.ip == identity and (client.network or "") == network
        if client.ip and (is_there or client.mac == identity or client.mac in own_macs):
            ips |= {client.ip} - NOBODYS
            macs |= {client.mac} if client.mac else set()
            sensors |= {client.sensor} if client.sensor else set()
    return Identity(
        network,
        identity,
        tuple(sorted(ips)),
        tuple(sorted(macs)),
        hostname,
        owner,
        tuple(sorted(sensors)),
    )
