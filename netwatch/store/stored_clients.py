"""The clients of a catalogue, those that are sealed as far as a key reads them."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from netwatch.privacy.sealing import SealedError, Sealing
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class StoredClient:
    """A client. `ip` and `mac` are None for one that is sealed and that no key reads, `sensor` for
    one that several sensors may have seen."""

    number: int
    sensor: str | None
    ip: str | None
    mac: str | None
    network: str | None
    network_class: str | None
    pseudonym: str | None


def stored_clients(catalogue: Catalogue, sealing: Sealing | None) -> Iterator[StoredClient]:
    """All clients. Raises `NetwatchError`."""
    with catalogue.database.reading() as connection:
        rows = connection.execute(select(tables.client)).all()
    for row in rows:
        ip, mac = row.ip, row.mac
        if row.sealed is not None and sealing is not None:
            try:
                identity = sealing.unseal_client(bytes(row.sealed))
            except SealedError:
                pass
            else:
                ip, mac = identity.ip, identity.mac
        yield StoredClient(
            row.number, row.sensor, ip, mac, row.network, row._mapping["class"], row.pseudonym
        )
