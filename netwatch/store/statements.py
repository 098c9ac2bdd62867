"""Statements with many values, and with many rows, in SQLite and in PostgreSQL; and the filter of a
query, as conditions of such statements.

Databases limit the parameters of a statement, and listing the parameters individually costs the
library more than the rows cost the database. So many texts are one parameter: an array in
PostgreSQL, a JSON text in SQLite. Other values are passed a bounded number at a time.

Many rows are one statement for each database, including what happens to an existing row. The SQLite
driver takes them as tuples, at a third of the cost of mappings. PostgreSQL gets them as one JSON
text, from which it makes rows: so the statement, and the round trip, is the same for one row and
for thousands, and no driver quotes values individually.
"""

import fnmatch
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Engine,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    column,
    delete,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.names import normalise_name
from netwatch.store import catalogue_tables as tables

if TYPE_CHECKING:
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.chosen_incidents import Chosen

CHUNK = 400
"""Values in one statement."""

MANY = 10_000
"""Values of `among` in one statement."""

T = TypeVar("T")

Rows = Sequence[Mapping[str, Any]]
"""Rows by the names of their columns, which all have the same in the same order."""


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The values in parts of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def among(
    connection: Connection | Engine, place: Any, values: Collection[str] | Collection[int]
) -> Any:
    """Whether the column `place` has one of these values, as a condition with one parameter."""
    if connection.dialect.name == "postgresql":
        return place == any_(_array(values, place.type))
    return place.in_(select(_entries([*values], place.type).c.value))


def listed_among(place: Any, listed: str) -> Any:
    """Whether the column `place` has one of the values of a JSON list, as a condition for
    SQLite."""
    return place.in_(select(_entries_of(listed, place.type).c.value))


def pairs_among(
    connection: Connection, places: tuple[Any, Any], pairs: Collection[tuple[Any, Any]]
) -> Any:
    """Whether two columns have one of these pairs of values, as a condition."""
    if connection.dialect.name == "postgresql":
        halves = (
            func.unnest(_array([pair[half] for pair in pairs], places[half].type))
            for half in (0, 1)
        )
        return tuple_(*places).in_(select(*halves))
    entry = _entries([*pairs]).c.value
    return tuple_(*places).in_(
        select(func.json_extract(entry, "$[0]"), func.json_extract(entry, "$[1]"))
    )


def spans_as_rows(connection: Connection, spans: Sequence[tuple[int, int]]) -> tuple[Any, Any, Any]:
    """The columns of a table of spans: their numbers, which are in their order, begins and ends."""
    if connection.dialect.name == "postgresql":
        halves = (_array([span[half] for span in spans], BigInteger) for half in (0, 1))
        columns = (column("begin", BigInteger), column("end", BigInteger))
        rows = func.unnest(*halves).table_valued(*columns, with_ordinality="number", name="span")
        found = rows.render_derived().c
        return found.number, found.begin, found.end
    text = bindparam(None, orjson.dumps(spans).decode(), type_=Text, unique=True)
    entry = func.json_each(text).table_valued(column("key", BigInteger), column("value", Text)).c
    begin, end = (func.json_extract(entry.value, place) for place in ("$[0]", "$[1]"))
    return entry.key, begin, end


def _array(values: Collection[Any], kind: Any) -> Any:
    return bindparam(None, [*values], type_=ARRAY(kind), unique=True)


def _entries(values: Sequence[Any], kind: Any = Text) -> Any:
    return _entries_of(orjson.dumps(values).decode(), kind)


def _entries_of(listed: str, kind: Any) -> Any:
    text = bindparam(None, listed, type_=Text, unique=True)
    return func.json_each(text).table_valued(column("value", kind))


def word_conditions(
    columns: Any, wanted: Mapping[str, Set[str]], excluded: Mapping[str, Set[str]]
) -> Iterator[Any]:
    """The conditions that each column has one of the `wanted` words, by its name, and none of the
    `excluded` ones. A column without a value has none of these, which ``NOT IN`` does not say."""
    for name, words in wanted.items():
        yield columns[name].in_(sorted(words))
    for name, words in excluded.items():
        has_none = columns[name].not_in(sorted(words))
        yield or_(has_none, columns[name].is_(None)) if columns[name].nullable else has_none


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows, however many."""
    if rows:
        _write(connection, table, rows, lambda statement: statement)


def upsert(
    connection: Connection,
    table: Table,
    rows: Rows,
    changes: Callable[[Any], Mapping[str, Any]],
) -> None:
    """Insert rows, no two of which have the same primary key. If a row with the key exists,
    `changes` lists its columns to update, from the columns of the row that is not inserted."""
    if rows:
        _write(
            connection,
            table,
            rows,
            lambda statement: statement.on_conflict_do_update(
                index_elements=list(table.primary_key.columns),
                set_=dict(changes(statement.excluded)),
            ),
        )


def _write(
    connection: Connection, table: Table, rows: Rows, completed: Callable[[Any], Any]
) -> None:
    names = list(rows[0])
    if connection.dialect.name == "postgresql":
        found = select(*_recordset(table, names).c)
        statement = postgresql.insert(table).from_select(names, found)
        connection.execute(completed(statement), {"all_rows": _json_rows(rows)})
        return
    compiled = completed(sqlite.insert(table)).compile(
        dialect=connection.dialect, column_keys=names
    )
    order = compiled.positiontup
    constant = {name: compiled.params[name] for name in order if name not in rows[0]}
    if constant:
        rows = [{**row, **constant} for row in rows]
    connection.exec_driver_sql(str(compiled), list(map(itemgetter(*order), rows)))


def delete_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Delete the rows with these values, which are those of the primary key."""
    if not rows:
        return
    names = list(rows[0])
    if connection.dialect.name == "postgresql":
        found = select(*_recordset(table, names).c)
        place = tuple_(*(table.c[name] for name in names)).in_(found)
        connection.execute(delete(table).where(place), {"all_rows": _json_rows(rows)})
        return
    condition = and_(*(table.c[name] == bindparam(f"is_{name}") for name in names))
    connection.execute(
        delete(table).where(condition),
        [{f"is_{name}": row[name] for name in names} for row in rows],
    )


def _recordset(table: Table, names: Sequence[str]) -> Any:
    """The rows of the parameter ``all_rows`` as a table, in PostgreSQL."""
    text = cast(bindparam("all_rows", type_=Text), JSON)
    columns = (column(name, table.c[name].type) for name in names)
    found = func.json_to_recordset(text).table_valued(*columns, name="found")
    return found.render_derived(with_types=True)


def _json_rows(rows: Rows) -> str:
    return orjson.dumps([dict(row) for row in rows]).decode()


_WILDCARDS = frozenset("*?[")

Address = tuple[bytes | None, bytes | None]
"""A packed address, a packed MAC, or both."""

Position = tuple[Any, ...]
"""Where a record is among all of its kind: new records do not change it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The filter of records; an empty field matches everything.

    `since` and `until` (ns) are a period that the record overlaps, without `until` itself. `apps`,
    `bans` and `networks` are ids and names, `names` are patterns (`name_matches`). `device` is the
    word for a device, `addresses` are its addresses in the inventory, and `device_ids` its ids in
    lower case, for records that have nothing else of it; `clients` are its numbers in the
    catalogue, if already known. `confidences`, `kinds`, `outcomes`, `statuses` and `severities` are
    words of incidents, `sensors` those that saw them; `sort` is their order, one of
    `netwatch.core.filter_words.SORTS` unless it is that of time. Of incidents and cases, those with
    an `excluded` word (by the name of the column), one of `excluded_names` (patterns) or of
    `excluded_devices` (words for devices) are left out. `chosen` are incidents by id, or cases by
    those of theirs. At most `limit` records are wanted; at most `most_read` are read where a record
    has to be looked into to know whether it fits.
    """

    since: int | None = None
    until: int | None = None
    apps: frozenset[str] = frozenset()
    bans: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    verdicts: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    device: str = ""
    addresses: tuple[Address, ...] = ()
    device_ids: frozenset[str] = frozenset()
    clients: tuple[int, ...] | None = None
    limit: int | None = None
    confidences: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    outcomes: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    severities: frozenset[str] = frozenset()
    sensors: frozenset[str] = frozenset()
    sort: str = ""
    excluded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    excluded_names: tuple[str, ...] = ()
    excluded_devices: tuple[str, ...] = ()
    chosen: "Chosen | None" = None
    most_read: int | None = None

    @property
    def looks_inside(self) -> bool:
        """Whether columns do not say which incidents and cases are wanted."""
        return bool(self.device or self.names or self.excluded_names or self.excluded_devices)

    @property
    def words(self) -> Mapping[str, frozenset[str]]:
        """The words that are wanted of an incident or a case, by the name of the column."""
        words = {
            "app": self.apps, "ban": self.bans, "network": self.networks,
            "verdict": self.verdicts, "confidence": self.confidences, "kind": self.kinds,
            "outcome": self.outcomes, "status": self.statuses, "severity": self.severities,
        }  # fmt: skip
        return {name: wanted for name, wanted in words.items() if wanted}

    @property
    def excluded_words(self) -> Mapping[str, frozenset[str]]:
        """The words that are left out, likewise."""
        return {name: left for name, left in self.excluded.items() if name != "sensor"}

    @property
    def excluded_sensors(self) -> frozenset[str]:
        """The sensors whose incidents are left out."""
        return self.excluded.get("sensor", frozenset())


def name_pattern(text: str) -> str:
    """A pattern for names as a user writes it, in normal spelling: a domain, which stands for
    itself and all names below it, or a glob, whose ``*`` also matches dots."""
    return text.lower().rstrip(".") if is_glob(text) else normalise_name(text.encode())


def is_glob(pattern: str) -> bool:
    """Whether a pattern for names is a glob, no domain."""
    return bool(_WILDCARDS & set(pattern))


def name_matches(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern of `name_pattern`."""
    if is_glob(pattern):
        return fnmatch.fnmatchcase(name, pattern)
    return name == pattern or name.endswith(f".{pattern}")


def name_condition(column: str, pattern: str, parameters: list[Any]) -> str:
    """The same as an SQL condition, whose values are appended to `parameters`."""
    if is_glob(pattern):
        parameters.append(pattern.replace("[!", "[^"))
        return f"{column} GLOB ?"
    parameters += [pattern, f".{pattern}"]
    return f"({column} = ? OR ends_with({column}, ?))"


def mentions_device(word: str) -> Callable[[str], bool]:
    """Whether a record may be of the device that a word names, by its line of JSON: far faster than
    to read all lines in which the word is not."""
    mac = parse_mac(word)
    texts = [word.lower(), *([] if mac is None else [mac_text(mac)])]
    if not _is_plain(word):
        return lambda _: True

    def mentions(line: str) -> bool:
        lower = line.lower()
        return any(text in lower for text in texts)

    return mentions


def mentions_name(patterns: Sequence[str]) -> Callable[[str], bool]:
    """The same for a record with a name that matches one of the patterns of `name_pattern`."""
    if any(is_glob(pattern) or not _is_plain(pattern) for pattern in patterns):
        return lambda _: True
    return lambda line: any(pattern in line for pattern in patterns)


def _is_plain(text: str) -> bool:
    """Whether a text is in JSON as it is: other characters may be escaped there."""
    return text.isascii() and text.isprintable() and not set(text) & set('"\\')


def is_device(word: str, device: Mapping[str, Any]) -> bool:
    """Whether a word names the device of an alert's record: its id, address, MAC, host name or
    owner."""
    mac = parse_mac(word)
    if mac is not None and device["mac"] == mac_text(mac):
        return True
    lower = word.lower()
    return any(
        device[key] is not None and device[key].lower() == lower
        for key in ("id", "ip", "mac", "hostname", "owner")
    )


def fits(wanted: Filter, is_of: Callable[[str, Mapping[str, Any]], bool]) -> Callable[[str], bool]:
    """Whether the record in a line of JSON has the device and one of the names of a filter, and
    none of the excluded ones. It is `is_of` that compares a word for a device with a record."""
    by_device, by_name = mentions_device(wanted.device), mentions_name(wanted.names)

    def does(line: str) -> bool:
        if (wanted.device and not by_device(line)) or (wanted.names and not by_name(line)):
            return False
        record = json.loads(line)
        if wanted.device and not is_of(wanted.device, record):
            return False
        if any(is_of(word, record) for word in wanted.excluded_devices):
            return False
        names = record["names"]
        if wanted.names and not _has_name(names, wanted.names):
            return False
        return not _has_name(names, wanted.excluded_names)

    return does


def _has_name(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(name_matches(pattern, name) for pattern in patterns for name in names)


Where = tuple[str | None, str | None, str | None, str]
"""An address and a MAC, one of which may be None, in a network, None outside all, as a sensor saw
it."""

_Known = tuple[str | None, ...]
"""The same, or anywhere."""


def device_clients(catalogue: "Catalogue", wanted: Filter, places: Iterable[Where]) -> list[int]:
    """The numbers of the clients that are a device: those with its address, MAC or pseudonym, with
    its addresses in the inventory, and with those at the `places` where incidents found it. The
    latter only in the same network, as seen by the same sensor: sites have equal addresses."""
    word = wanted.device
    packed, mac = parse_ip(word), parse_mac(word)
    addresses: set[_Known] = {
        (ip_text(ip) if ip else None, mac_text(of) if of else None) for ip, of in wanted.addresses
    }
    if packed:
        addresses.add((ip_text(packed), None))
    if mac:
        addresses.add((None, mac_text(mac)))
    return _clients(catalogue, word, (addresses - {(None, None)}) | {*places})


def _clients(catalogue: "Catalogue", word: str, known: Set[_Known]) -> list[int]:
    """The numbers of the clients with a pseudonym or one of these addresses. A store may have
    millions of clients, so only those with the values are read."""
    client = tables.client.c
    ips = sorted({ip for ip, *_ in known if ip is not None})
    macs = sorted({mac for ip, mac, *_ in known if ip is None and mac is not None})
    statement = select(client.number, client.ip, client.mac, client.network, client.sensor)
    with catalogue.database.reading() as connection:
        found = set(
            connection.execute(select(client.number).where(client.pseudonym == word)).scalars()
        )
        for column, values in ((client.ip, ips), (client.mac, macs)):
            for part in chunks(values):
                rows = connection.execute(statement.where(column.in_(part)))
                found |= {
                    number
                    for number, ip, mac, *where in rows
                    for each in ((ip, mac), (ip, None), (None, mac))
                    if each in known or (*each, *where) in known
                }
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Place:
    """Where clients are: a network by its name, empty outside all or if unknown, and the sensor
    that saw them, empty if there may be several."""

    network: str
    sensor: str


def client_places(catalogue: "Catalogue", numbers: Sequence[int]) -> dict[Place, list[int]]:
    """The numbers of clients by where they are, in the order of names."""
    client = tables.client.c
    found: defaultdict[Place, list[int]] = defaultdict(list)
    with catalogue.database.reading() as connection:
        for part in chunks(numbers):
            for number, network, sensor in connection.execute(
                select(client.number, client.network, client.sensor).where(client.number.in_(part))
            ):
                found[Place(network or "", sensor or "")].append(number)
    return dict(sorted(found.items(), key=lambda item: (item[0].network, item[0].sensor)))
