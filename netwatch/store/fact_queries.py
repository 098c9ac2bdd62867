"""Observations and flows by filter, read from the files that can have them.

Names are compared once each, and clients by their numbers; then rows are taken by a semi-join,
which DuckDB hands down to the reader of files. Rows come capture by capture in the order in which
the packets were read, as `netwatch names` prints them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
from sqlalchemy import select

from netwatch.core.observation_batch import ObservationBatch
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.filters import Filter, device_clients, name_condition
from netwatch.store.incident_queries import records_of_incidents
from netwatch.store.options import StoreOptions
from netwatch.store.stored_observations import (
    COLUMNS,
    StoredClient,
    observation_batch,
    stored_client,
)
from netwatch.store.views import FilesError, Views

ROWS = 4096
"""Rows that are read at once."""

NOBODY = b"unknown"
"""In place of the address of a client that the catalogue has forgotten."""

_DAY = 86_400_000_000_000

IsOfApp = Callable[[str], bool]
"""Whether the signatures attribute a name to an app that is asked for."""


def observations(
    catalogue: Catalogue, options: StoreOptions, wanted: Filter, is_of_app: IsOfApp | None = None
) -> Iterator[ObservationBatch]:
    """The observations, in batches. With `is_of_app`, those with such a name. Where the store has
    several sensors, each says which one saw it, and in which network: sites have equal addresses.
    Raises `NetwatchError`."""
    clients = _clients(catalogue, wanted)
    known = known_clients(catalogue)
    shown = [f"f.{name}" for name in COLUMNS]
    if len(catalogue.sensors()) > 1:
        shown.append("s.sensor")

    def read() -> Iterator[ObservationBatch]:
        with Views(
            catalogue,
            options,
            ["observation"],
            since=wanted.since,
            until=wanted.until,
            clients=clients,
        ) as views:
            parts = ["f.capture = s.value"]
            if wanted.since is not None:
                parts.append(f"f.time >= {wanted.since}")
            if wanted.until is not None:
                parts.append(f"f.time < {wanted.until}")
            parts += _client_conditions(views, wanted, clients)
            parts += _name_conditions(views, wanted, parts, is_of_app)
            columns = ", ".join(shown)
            query = _ordered(f"SELECT {columns} FROM netwatch.observation_rows f", parts, wanted)
            for rows in views.connection.sql(query).to_arrow_reader(ROWS):
                if rows.num_rows:
                    yield observation_batch(rows, known, NOBODY)

    yield from once_more(read)


def flows(
    catalogue: Catalogue, options: StoreOptions, wanted: Filter, is_of_app: IsOfApp | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of flows as values by column, with `client_ip`, `client_mac` and `client_network`,
    and the `sensor` that saw them. A filter by name or app asks for flows in which such a name was
    observed."""
    clients = _clients(catalogue, wanted)
    by_name = bool(wanted.names) or is_of_app is not None

    def read() -> Iterator[dict[str, Any]]:
        # The names of a flow may have been observed on the day before.
        since = wanted.since - _DAY if by_name and wanted.since is not None else wanted.since
        with Views(
            catalogue,
            options,
            ["flow", *(["observation"] if by_name else [])],
            since=since,
            until=wanted.until,
            clients=clients,
        ) as views:
            parts = ["f.capture = s.value"]
            if wanted.since is not None:
                parts.append(f"f.last >= {wanted.since}")
            if wanted.until is not None:
                parts.append(f"f.first < {wanted.until}")
            parts += _client_conditions(views, wanted, clients)
            if by_name:
                names = _name_conditions(views, wanted, [], is_of_app)
                parts.append(
                    "(f.capture, f.flow) IN (SELECT (f.capture, f.flow) FROM"
                    f" netwatch.observation_rows f WHERE {' AND '.join(names)})"
                )
            query = _ordered(
                "SELECT f.*, c.ip AS client_ip, c.mac AS client_mac, c.network AS client_network,"
                " s.sensor FROM netwatch.flow_rows f"
                " LEFT JOIN netwatch.client c ON c.number = f.client",
                parts,
                wanted,
            )
            for rows in views.connection.sql(query).to_arrow_reader(ROWS):
                yield from rows.to_pylist()

    yield from once_more(read)


def once_more(read: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """What `read` gives. Where a file has gone meanwhile, because compaction or retention put
    others in its place, the list of files is taken once more, unless something was given already.
    Raises `FilesError`."""
    for attempt in (1, 2):
        given = False
        try:
            for each in read():
                given = True
                yield each
            return
        except FilesError:
            if attempt == 2 or given:
                raise
        except duckdb.Error as error:
            if attempt == 2 or given:
                raise FilesError(error) from None


def known_clients(catalogue: Catalogue) -> dict[int, StoredClient]:
    """All clients by their numbers."""
    client = tables.client.c
    with catalogue.database.reading() as connection:
        rows = connection.execute(
            select(client.number, client.ip, client.mac, client.pseudonym, client.network)
        )
        return {number: stored_client(*who) for number, *who in rows}


def _clients(catalogue: Catalogue, wanted: Filter) -> list[int] | None:
    """The numbers of the clients that are the device that is asked for; None where none is."""
    if wanted.clients is not None:
        return [*wanted.clients]
    if not wanted.device:
        return None
    return device_clients(catalogue, wanted, records_of_incidents(catalogue))


def _ordered(select_from: str, parts: Sequence[str], wanted: Filter) -> str:
    """A query for rows in the order of captures and packets."""
    limit = "" if wanted.limit is None else f" LIMIT {wanted.limit}"
    source, _, join = select_from.partition(" LEFT JOIN ")
    join = f" LEFT JOIN {join}" if join else ""
    return (
        f"{source} JOIN netwatch.shown s ON s.value = f.capture{join}"
        f" WHERE {' AND '.join(parts)} ORDER BY s.place, f.sequence{limit}"
    )


def _client_conditions(
    views: Views, wanted: Filter, clients: Sequence[int] | None
) -> Iterator[str]:
    if clients is not None:
        views.register("wanted_client", clients, "INTEGER")
        yield "f.client IN (SELECT value FROM netwatch.wanted_client)"
    if wanted.networks:
        views.register("wanted_network", sorted(wanted.networks), "VARCHAR")
        yield (
            "f.client IN (SELECT number FROM netwatch.client WHERE network IN"
            " (SELECT value FROM netwatch.wanted_network))"
        )


def _name_conditions(
    views: Views, wanted: Filter, parts: Sequence[str], is_of_app: IsOfApp | None
) -> Iterator[str]:
    """The condition on names: the distinct names are compared once each. `parts` are the other
    conditions, which rule names out."""
    if not wanted.names and is_of_app is None:
        return
    parameters: list[Any] = []
    conditions = [name_condition("f.name", each, parameters) for each in wanted.names]
    where = [*(part for part in parts if "s.value" not in part)]
    if conditions:
        where.append(f"({' OR '.join(conditions)})")
    clause = f" WHERE {' AND '.join(where)}" if where else ""
    query = f"SELECT DISTINCT f.name FROM netwatch.observation_rows f{clause}"
    cursor = views.connection.execute(query, parameters)
    names = []
    while rows := cursor.fetchmany(ROWS):
        names += [name for (name,) in rows if is_of_app is None or is_of_app(name)]
    views.register("wanted_name", names, "VARCHAR")
    yield "f.name IN (SELECT value FROM netwatch.wanted_name)"
