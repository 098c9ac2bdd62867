"""What decided on the records of a run, and its number in the catalogue."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.hour_rows import add_contents


@dataclass(frozen=True, slots=True)
class VersionHashes:
    """The version of netwatch, and content hashes as alerts name them."""

    netwatch: str
    signatures: str
    bans: str
    configuration: str


def find_version(connection: Connection, hashes: VersionHashes) -> int | None:
    """The number of a version; None where it is not stored."""
    columns = tables.version.c
    return connection.execute(
        select(columns.id).where(
            columns.netwatch == hashes.netwatch,
            columns.signatures == hashes.signatures,
            columns.bans == hashes.bans,
            columns.configuration == hashes.configuration,
        )
    ).scalar()


def version_number(connection: Connection, hashes: VersionHashes) -> int:
    """The number of a version within a transaction that hands out numbers; it is stored when it is
    first used."""
    known = find_version(connection, hashes)
    if known is not None:
        return known
    values = {
        "netwatch": hashes.netwatch,
        "signatures": hashes.signatures,
        "bans": hashes.bans,
        "configuration": hashes.configuration,
    }
    result = connection.execute(insert(tables.version).values(first_used=time.time_ns(), **values))
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def version_with(connection: Connection, hashes: VersionHashes, contents: Mapping[str, str]) -> int:
    """The same, with what its bans say."""
    number = version_number(connection, hashes)
    add_contents(connection, number, contents)
    return number
