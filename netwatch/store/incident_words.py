"""The words by which incidents are found without reading all of them: what their devices are
called, and the names in their records.

A device is called by its id, address, MAC, host name and owner, whatever the case of their letters;
of each such word there is one row for each place where the device had incidents, however many they
were. So it is known at once that no incident is of a device, and at which addresses a device was.
A name has a row, which globs are compared with, and one row for each of its incidents in the order
of time. Texts are found by a hash: a writer has no number to look up or to share with others, and
characters that a database refuses do no harm. Records decide in the end, so an incident that is
found by mistake is not shown.

Rows are written in the transaction of the incidents, and go with the last incident that has them.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, delete, select, tuple_

from netwatch.core.addresses import mac_text, parse_mac
from netwatch.core.text import storable
from netwatch.store import catalogue_tables as tables
from netwatch.store.statements import (
    Where,
    among,
    chunks,
    delete_rows,
    is_glob,
    name_matches,
    upsert,
)

_AT_ONCE = 5_000
"""Incidents whose words are made at once when all are."""

_LONGEST = 200
"""Characters to look for in names, at most: databases limit them."""


class Called(NamedTuple):
    """What an incident is found by: its device, where that was, and by which `words` it is known in
    lower case; and the names in its record."""

    device: str
    network: str
    ip: str
    mac: str
    words: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Called":
        """The same of the record of an alert."""
        device = record["device"]
        known = (device.get(key) for key in ("id", "ip", "mac", "hostname", "owner"))
        return cls(
            device.get("id") or "",
            record["network"].get("name") or "",
            device.get("ip") or "",
            device.get("mac") or "",
            frozenset(word.lower() for word in known if word is not None),
            frozenset(map(storable, record.get("names") or ())),
        )


class Words:
    """Changes of the words because of new, changed and deleted rows of incidents."""

    def __init__(self) -> None:
        self._devices: Counter[tuple[int, str, str, int, str, str]] = Counter()
        self._names: Counter[str] = Counter()
        self._named: Counter[tuple[int, int, int, int]] = Counter()

    def add(self, run: int, position: int, first_seen: int, record: Mapping[str, Any]) -> None:
        """There is a row with a record."""
        self._count(run, position, first_seen, Called.of(record), 1)

    def remove(self, run: int, position: int, first_seen: int, line: str) -> None:
        """There is no longer a row with the record in a line of JSON."""
        self._count(run, position, first_seen, Called.of(read_record(line)), -1)

    def replace(
        self,
        run: int,
        position: int,
        old: tuple[int, str],
        first_seen: int,
        record: Mapping[str, Any],
    ) -> None:
        """A row has another record. `old` is when it began before, and its line of JSON."""
        before, now = Called.of(read_record(old[1])), Called.of(record)
        if (old[0], before) != (first_seen, now):
            self._count(run, position, old[0], before, -1)
            self._count(run, position, first_seen, now, 1)

    def _count(self, run: int, position: int, first_seen: int, called: Called, by: int) -> None:
        for word in called.words:
            place = called.device, called.network, run, called.ip, called.mac
            self._devices[(word_number(word), *place)] += by
        for name in called.names:
            self._names[name] += by
            self._named[word_number(name), first_seen, run, position] += by

    def write(self, connection: Connection) -> None:
        """Write the words, once the rows are written. All write in the same order, so that
        concurrent writers wait for each other and there is no deadlock."""
        _add_counts(connection, tables.incident_device_word, self._of_sensors(connection))
        _add_counts(
            connection,
            tables.incident_name,
            [
                {"name": name, "number": word_number(name), "incidents": count}
                for name, count in sorted(self._names.items())
                if count
            ],
        )
        names = ("number", "first_seen", "run", "position")
        gone = [dict(zip(names, key, strict=True)) for key, by in self._named.items() if by < 0]
        delete_rows(connection, tables.incident_named, gone)
        new = [dict(zip(names, key, strict=True)) for key, by in self._named.items() if by > 0]
        upsert(connection, tables.incident_named, new, lambda row: {"run": row.run})

    def _of_sensors(self, connection: Connection) -> list[dict[str, Any]]:
        """The changes of words of devices, by the sensors of their runs."""
        run = tables.run.c
        sensors: dict[int, str] = {}
        for part in chunks(sorted({key[3] for key in self._devices})):
            rows = connection.execute(select(run.id, run.sensor).where(run.id.in_(part)))
            sensors |= {each.id: each.sensor for each in rows}
        found: Counter[tuple[int, str, str, str, str, str]] = Counter()
        for (word, device, network, number, ip, mac), count in self._devices.items():
            found[word, device, network, sensors[number], ip, mac] += count
        names = ("word", "device", "network", "sensor", "ip", "mac")
        return [
            {**dict(zip(names, key, strict=True)), "incidents": count}
            for key, count in sorted(found.items())
            if count
        ]


def _add_counts(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add to the number of incidents of rows; those without any are removed."""
    upsert(connection, table, rows, lambda new: {"incidents": table.c.incidents + new.incidents})
    key = next(iter(table.primary_key.columns))
    fewer = sorted({row[key.name] for row in rows if row["incidents"] < 0})
    for part in chunks(fewer):
        connection.execute(delete(table).where(key.in_(part), table.c.incidents <= 0))


def read_record(line: str) -> Mapping[str, Any]:
    """The record in a line of JSON."""
    try:
        record: Mapping[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:  # half a character, which other readers take
        record = json.loads(line)
    return record


@lru_cache(1 << 14)
def word_number(text: str) -> int:
    """The number by which a text is found."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def index_all(connection: Connection) -> None:
    """Make the words of all incidents, some at a time, for a catalogue that has none."""
    column = tables.incident.c
    key = (column.run, column.position, column.id)
    statement = select(*key, column.first_seen, column.record).order_by(*key).limit(_AT_ONCE)
    after: tuple[Any, ...] | None = None
    while True:
        behind = statement if after is None else statement.where(tuple_(*key) > after)
        rows = connection.execute(behind).all()
        words = Words()
        for run, position, _, first_seen, line in rows:
            words.add(run, position, first_seen, read_record(line))
        words.write(connection)
        if len(rows) < _AT_ONCE:
            return
        after = tuple(rows[-1][:3])


def _numbers_of(word: str) -> list[int]:
    """The numbers of a word for a device, and of a MAC also in its normal spelling."""
    mac = parse_mac(word)
    texts = {word.lower()} if mac is None else {word.lower(), mac_text(mac)}
    return sorted(map(word_number, texts))


def devices_called(connection: Connection, word: str) -> list[str]:
    """The ids of the devices of incidents that a word names."""
    column = tables.incident_device_word.c
    statement = select(column.device).where(column.word.in_(_numbers_of(word))).distinct()
    return sorted(connection.execute(statement).scalars())


def places_called(
    connection: Connection, word: str, devices: Collection[str] | None = None
) -> set[Where]:
    """Where incidents of the devices were that a word names, if their address or their MAC is
    known; of devices with one of the ids alone, where `devices` are given."""
    column = tables.incident_device_word.c
    statement = select(column.ip, column.mac, column.network, column.sensor).where(
        column.word.in_(_numbers_of(word))
    )
    if devices is not None:
        statement = statement.where(among(connection, column.device, devices))
    return {
        (ip or None, mac or None, network or None, sensor)
        for ip, mac, network, sensor in connection.execute(statement)
        if ip or mac
    }


class Named(NamedTuple):
    """The numbers of names, and how many incidents have them; one with two of them counts twice."""

    numbers: tuple[int, ...]
    incidents: int


def names_matching(connection: Connection, patterns: Iterable[str]) -> Named:
    """The names of incidents that match one of the patterns of `name_pattern`. All names are
    compared, which the database does faster for a part of the pattern."""
    column = tables.incident_name.c
    found: dict[int, int] = {}
    for pattern in patterns:
        part, text = _literal(pattern), storable(pattern)
        statement = select(column.name, column.number, column.incidents)
        if part:
            statement = statement.where(column.name.contains(part, autoescape=True))
        rows = connection.execute(statement)
        found |= {each.number: each.incidents for each in rows if name_matches(text, each.name)}
    return Named(tuple(found), sum(found.values()))


def _literal(pattern: str) -> str:
    """The longest text that all names have which match a pattern."""
    text = storable(pattern)
    parts: Iterator[str] = iter([text])
    if is_glob(pattern):
        parts = iter(re.split(r"[*?]", text.partition("[")[0]))
    return max(parts, key=len)[-_LONGEST:]
