"""Clients in the catalogue: a random number for each address in frames of a MAC.

Facts name a client by its number alone. So who it is can be erased in one place.
"""

import secrets
from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from netwatch.core.dataclass import dataclass
from netwatch.store import catalogue_tables as tables
from netwatch.store.chunks import CHUNK, chunks

ClientKey = tuple[str | bytes | None, ...]
"""What tells clients apart."""


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """An address in frames of a MAC, both as text (`mac` None where there is none), with the name
    and class of its network. A client that is known by a pseudonym has no `ip` and `mac`."""

    ip: str | None
    mac: str | None
    network: str | None = None
    network_class: str | None = None
    pseudonym: str | None = None
    sealed: bytes | None = None

    @property
    def key(self) -> ClientKey:
        """What tells it from others. One pseudonym is of all that have the address; sealed, equal
        clients are equal."""
        return (self.pseudonym, self.sealed) if self.pseudonym else (self.ip, self.mac)


def find_clients(connection: Connection, clients: Sequence[ClientAddress]) -> dict[ClientKey, int]:
    """The numbers of those clients that the catalogue has, by key."""
    columns = tables.client.c
    found: dict[ClientKey, int] = {}
    wanted = {client.key for client in clients}
    for column, values in (
        (columns.pseudonym, [client.pseudonym for client in clients if client.pseudonym]),
        (columns.ip, [client.ip for client in clients if not client.pseudonym]),
    ):
        for part in chunks(values):
            rows = connection.execute(
                select(columns.number, columns.ip, columns.mac, columns.pseudonym, columns.sealed)
                .where(column.in_(part))
                .order_by(columns.number)
            )
            for number, ip, mac, pseudonym, sealed in rows:
                key: ClientKey = (pseudonym, sealed) if pseudonym else (ip, mac)
                if key in wanted:
                    found.setdefault(key, number)
    return found


def add_clients(connection: Connection, clients: Sequence[ClientAddress]) -> dict[ClientKey, int]:
    """Store clients under numbers that are free; the numbers by key."""
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
