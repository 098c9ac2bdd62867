"""The table `fleet_case_word`: by which hashes of its device an incident is found, and when.

The table only has to find all incidents that could be one case; which of them are is decided by
their records. So it has spans that are widened to whole units of `SPAN`: an incident that goes on
changes no row most of the time, and what is looked for within a gap is found, with some that are a
little further away.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Key, Member
from netwatch.store.chunks import pairs_among
from netwatch.store.upsert import upsert

SPAN = 300 * 10**9
"""The unit of the spans in the table (ns)."""


Words = Mapping[Key, Mapping[str, tuple[int, int]]]
"""The words of incidents, each with its span."""


def write_words(connection: Connection, members: Sequence[Member], known: Words) -> None:
    """Store the words of members, and remove those that they do not have any more: of what is
    `known` to be stored. Only rows that are different are written."""
    rows, stale = [], []
    for member in members:
        sensor, incident = member.key
        before = known.get(member.key, {})
        first, last = member.first // SPAN * SPAN, -(-member.last // SPAN) * SPAN
        rows += [
            {"word": word, "sensor": sensor, "incident": incident,
             "first_seen": first, "last_seen": last}
            for word in sorted(member.words)
            if before.get(word) != (first, last)
        ]  # fmt: skip
        stale += [
            {"word_of": word, "sensor_of": sensor, "incident_of": incident}
            for word in before.keys() - member.words
        ]
    _remove(connection, stale, ("word", "sensor", "incident"))
    upsert(
        connection,
        tables.fleet_case_word,
        rows,
        lambda new: {"first_seen": new.first_seen, "last_seen": new.last_seen},
    )


def remove_words(connection: Connection, keys: Collection[Key]) -> None:
    """Remove all words of incidents."""
    rows = [{"sensor_of": sensor, "incident_of": incident} for sensor, incident in keys]
    _remove(connection, rows, ("sensor", "incident"))


def stored_words(connection: Connection, members: Collection[Member]) -> Words:
    """The words that are stored of those members that are."""
    keys = [each.key for each in members if each.case]
    found: defaultdict[Key, dict[str, tuple[int, int]]] = defaultdict(dict)
    if not keys:
        return found
    column = tables.fleet_case_word.c
    statement = select(
        column.sensor, column.incident, column.word, column.first_seen, column.last_seen
    ).where(pairs_among(connection, (column.sensor, column.incident), keys))
    for sensor, incident, word, first, last in connection.execute(statement).all():
        found[sensor, incident][word] = first, last
    return found


def _remove(connection: Connection, rows: Sequence[dict[str, str]], names: Sequence[str]) -> None:
    if rows:
        column = tables.fleet_case_word.c
        places = [column[name] == bindparam(f"{name}_of") for name in names]
        connection.execute(delete(tables.fleet_case_word).where(*places), rows)
