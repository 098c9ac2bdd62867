"""A user's queries on a store: incidents and coverage as they were written, and observations and
flows, by filter; and whether the words of a query are known.

Names of facts are compared once each, and clients by their numbers; then rows are selected by a
semi-join, which DuckDB pushes down to the reader of files. Rows come capture by capture in the
order in which the packets were read, as `netwatch names` prints them.

An unknown word is a typing mistake: a query for it would find nothing, which reads as if a ban had
been complied with. Known words are those of the configuration, and those of the store, also if they
are no longer in the configuration.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import duckdb
from sqlalchemy import Column, Select, select, tuple_

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.user_yaml import did_you_mean
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_search import incidents_after
from netwatch.store.incident_words import devices_called, places_called
from netwatch.store.observation_rows import (
    COLUMNS,
    StoredClient,
    observation_batch,
    stored_client,
)
from netwatch.store.options import StoreOptions
from netwatch.store.statements import (
    Filter,
    Position,
    device_clients,
    mentions_device,
    name_condition,
)
from netwatch.store.views import FilesError, Views, streamed

ROWS = 4096
"""Rows to read at once."""

NOBODY = b"unknown"
"""Instead of the address of a client that the catalogue has forgotten."""

_DAY = 86_400_000_000_000

IsOfApp = Callable[[str], bool]
"""Whether the signatures attribute a name to a requested app."""

_OTHERS: Mapping[str, tuple[Column[str], ...]] = {
    "network": (tables.client.c.network, tables.coverage_network.c.network),
}
"""Where a store has words of each kind beside its incidents."""


def incidents(catalogue: Catalogue, wanted: Filter) -> Iterator[str]:
    """The records of incidents, each as its JSON line, in the order of time and then of the output
    of their run. If several runs found an incident, the newest run's."""
    return (text for text, _ in incidents_after(catalogue, wanted))


def coverage(catalogue: Catalogue, wanted: Filter) -> Iterator[tuple[int | None, int | None, str]]:
    """The records of coverage with the times of their first and last packet (ns), each as its JSON
    line, in the order of runs."""
    return ((first, last, text) for first, last, text, _ in coverage_after(catalogue, wanted))


def coverage_after(
    catalogue: Catalogue,
    wanted: Filter,
    after: Position | None = None,
    *,
    timeout: float | None = None,
) -> Iterator[tuple[int | None, int | None, str, Position]]:
    """The same behind a position, each with its own. Raises `QueryTimeoutError` after `timeout`
    s."""
    columns = tables.coverage.c
    place = (columns.run, columns.part)
    statement = select(columns.first, columns.last, columns.record, *place)
    if wanted.since is not None:
        statement = statement.where(columns.last >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(columns.first < wanted.until)
    if after is not None:
        statement = statement.where(tuple_(*place) > after)
    found, mentions = 0, [*map(mentions_device, wanted.device_ids)]
    for first, last, text, *position in streamed(catalogue, statement.order_by(*place), timeout):
        if mentions and not any(may_be(text) for may_be in mentions):
            continue
        if not _covers(text, wanted):
            continue
        yield first, last, text, tuple(position)
        found += 1
        if found == wanted.limit:
            return


def _covers(text: str, wanted: Filter) -> bool:
    """Whether a record of coverage has a requested network or device."""
    if not wanted.networks and not wanted.device:
        return True
    return any(
        (not wanted.networks or network["name"] in wanted.networks)
        and (
            not wanted.device
            or any(device["id"].lower() in wanted.device_ids for device in network["devices"])
        )
        for network in json.loads(text)["networks"]
    )


def observations(
    catalogue: Catalogue, options: StoreOptions, wanted: Filter, is_of_app: IsOfApp | None = None
) -> Iterator[ObservationBatch]:
    """The observations, in batches. With `is_of_app`, those with such a name. If the store has
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
    and the `sensor` that saw them. A filter by name or app selects flows in which such a name was
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
    """The results of `read`. If a file has gone meanwhile, because compaction or retention replaced
    it, the list of files is read once more, unless something was already returned. Raises
    `FilesError`."""
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
    """The numbers of the clients that are the requested device; None if none is requested."""
    if wanted.clients is not None:
        return [*wanted.clients]
    if not wanted.device:
        return None
    with catalogue.database.reading() as connection:
        places = places_called(connection, wanted.device)
    return device_clients(catalogue, wanted, places)


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
    conditions, which rule out names."""
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


def unknown_words(
    catalogue: Catalogue, kind: str, words: Iterable[str], configured: Set[str]
) -> Iterator[tuple[str, str]]:
    """The words that are neither configured nor in the store, each with the hint to append. `kind`
    is ``app``, ``ban``, ``network`` or ``sensor``."""
    for word in sorted({*words} - configured):
        if not _has(catalogue, kind, word):
            yield word, did_you_mean(word, configured | _stored(catalogue, kind), 0.5)


def _has(catalogue: Catalogue, kind: str, word: str) -> bool:
    with catalogue.database.reading() as connection:
        return any(
            connection.execute(words.where(column == word).limit(1)).first() is not None
            for column, words in _places_of(kind)
        )


def _stored(catalogue: Catalogue, kind: str) -> set[str]:
    with catalogue.database.reading() as connection:
        return {
            word
            for _, words in _places_of(kind)
            for word in connection.execute(words.distinct()).scalars()
            if word
        }


def _places_of(kind: str) -> Iterator[tuple[Column[str], Select[Any]]]:
    """Where a store has words of a kind: the columns, with statements for all of their words. Those
    of shown incidents are where these are counted, of which there are few rows."""
    if kind == "sensor":
        for place in (tables.run.c.sensor, tables.fleet_sensor.c.name):
            yield place, select(place)
        return
    shown, incident = tables.incident_day.c[kind], tables.incident.c
    yield shown, select(shown)
    yield incident[kind], select(incident[kind]).where(incident.shown == 0)
    for column in _OTHERS.get(kind, ()):
        yield column, select(column)


def is_known_device(catalogue: Catalogue, word: str) -> bool:
    """Whether a word can name a device that is not in the inventory: it is an address, a MAC or a
    pseudonym, or a device in an incident or a record of coverage has this name, or one that hid its
    lookups."""
    if parse_ip(word) or parse_mac(word):
        return True
    client = tables.client.c
    statement = select(client.number).where(client.pseudonym == word).limit(1)
    with catalogue.database.reading() as connection:
        if connection.execute(statement).first() is not None or devices_called(connection, word):
            return True
    mentions = mentions_device(word)
    lower = word.lower()
    hid = streamed(catalogue, select(tables.bypass.c.device).distinct())
    return any(device.lower() == lower for (device,) in hid) or any(
        device["id"].lower() == lower
        for (text,) in streamed(catalogue, select(tables.coverage.c.record))
        if mentions(text)
        for network in json.loads(text)["networks"]
        for device in network["devices"]
    )
