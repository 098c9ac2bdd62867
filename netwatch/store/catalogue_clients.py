"""Clients in the catalogue: a random number for each address in frames of a MAC, in a network, as
a sensor saw it.

Facts name a client by its number alone. So who it is can be erased in one place. Many sites use the
same private addresses, and call their networks alike: only one that looks at both could tell
whether two sensors saw one device. So a number never stands for what several of them saw, nor for
an address in several networks of one, and nobody gets the facts of a stranger. A device that two
sensors of a site see has two numbers, as one with two addresses has.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.statements import CHUNK, chunks

ClientKey = tuple[str | bytes | None, ...]
"""What tells the clients of a sensor apart."""


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """An address in frames of a MAC, both as text (`mac` None where there is none), with the name
    and class of its network, None outside of all. A client that is known by a pseudonym has no `ip`
    and `mac`."""

    ip: str | None
    mac: str | None
    network: str | None = None
    network_class: str | None = None
    pseudonym: str | None = None
    sealed: bytes | None = None

    @property
    def key(self) -> ClientKey:
        """What tells it from others of its sensor. One pseudonym is of all that have the address;
        sealed, equal clients are equal. The class does not count: a network that gets another one
        keeps its clients."""
        return self.network, self.ip, self.mac, self.pseudonym, self.sealed

    @property
    def network_and_class(self) -> tuple[str, str] | None:
        """Its network and the class of that; None outside of all."""
        return None if self.network is None else (self.network, self.network_class or "")


def find_clients(
    connection: Connection, clients: Sequence[ClientAddress], sensor: str
) -> dict[ClientKey, int]:
    """The numbers of those clients of a sensor that the catalogue has, by key."""
    column = tables.client.c
    parts = (column.network, column.ip, column.mac, column.pseudonym, column.sealed)
    found: dict[ClientKey, int] = {}
    wanted = {client.key for client in clients}
    for place, values in (
        (column.pseudonym, {client.pseudonym for client in clients if client.pseudonym}),
        (column.ip, {client.ip for client in clients if client.ip is not None}),
    ):
        for part in chunks(sorted(values)):
            rows = connection.execute(
                select(column.number, *parts)
                .where(column.sensor == sensor, place.in_(part))
                .order_by(column.number)
            )
            for number, *key in rows:
                if tuple(key) in wanted:
                    found.setdefault(tuple(key), number)
    return found


def add_clients(
    connection: Connection, clients: Sequence[ClientAddress], sensor: str
) -> dict[ClientKey, int]:
    """Store clients of a sensor under numbers that are free; the numbers by key."""
    column = tables.client.c.number
    free: set[int] = set()
    while len(free) < len(clients):
        drawn = {secrets.randbelow(2**31 - 1) + 1 for _ in range(min(CHUNK, len(clients)))} - free
        drawn -= {*connection.execute(select(column).where(column.in_(drawn))).scalars()}
        free |= drawn
    added: dict[ClientKey, int] = {}
    rows = []
    for client, number in zip(clients, free, strict=False):
        added[client.key] = number
        rows.append(
            {
                "number": number,
                "sensor": sensor,
                "ip": client.ip,
                "mac": client.mac,
                "network": client.network,
                "class": client.network_class,
                "pseudonym": client.pseudonym,
                "sealed": client.sealed,
            }
        )
    if rows:
        connection.execute(insert(tables.client), rows)
    return added
