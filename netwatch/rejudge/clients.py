"""Who the numbers of a store stand for, also where their addresses are sealed."""

from typing import TYPE_CHECKING

from sqlalchemy import select

from netwatch.core.errors import NetwatchError
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.stored_observations import StoredClient, stored_client

if TYPE_CHECKING:
    from netwatch.privacy.sealing import Sealing


def read_clients(
    catalogue: Catalogue, sealing: "Sealing | None"
) -> tuple[dict[int, StoredClient], frozenset[str]]:
    """The clients by number, and the pseudonyms of those that no key of `sealing` unseals."""
    client = tables.client.c
    found: dict[int, StoredClient] = {}
    unknown: set[str] = set()
    statement = select(
        client.number, client.ip, client.mac, client.network, client.pseudonym, client.sealed
    )
    with catalogue.database.reading() as connection:
        for row in connection.execute(statement):
            ip, mac = row.ip, row.mac
            if row.sealed is not None and sealing is not None:
                try:
                    identity = sealing.unseal_client(row.sealed)
                except NetwatchError:
                    pass
                else:
                    ip, mac = identity.ip, identity.mac
            if ip is None:
                unknown.add(row.pseudonym or "")
            else:
                found[row.number] = stored_client(ip, mac, network=row.network)
    return found, frozenset(unknown)
