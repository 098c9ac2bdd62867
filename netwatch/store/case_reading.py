"""Reads the incidents of cases, of as many keys as wanted by a statement or two.

`StoredState` is what is stored of an incident without its record, which most often is not needed:
the state that a sensor sends next says everything again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, select

from netwatch.core.alert import UNHEARD
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Key, Member, Rank, rank_of
from netwatch.store.chunks import among, pairs_among


@dataclass(frozen=True, slots=True)
class StoredState:
    """The newest state of an incident that is stored: `line` is its record, `seen` when that was
    seen last, and `first_seen` and `last_seen` are what all its states span (ns)."""

    run: int
    case: str
    clock_offset: int
    first_seen: int
    last_seen: int
    line: str
    status: str
    seen: int

    @property
    def rank(self) -> Rank:
        """How new the state is, like `Member.rank`."""
        # No text in JSON has this: its quotes are escaped there.
        is_marked = self.status == "closed" and f'"{UNHEARD}":' in self.line
        unheard = orjson.loads(self.line).get(UNHEARD) if is_marked else None
        return rank_of(self.status, self.seen, unheard)

    def member(self, sensor: str) -> Member:
        """The incident as a member of its case, for which its record is read."""
        return Member.of(
            sensor,
            orjson.loads(self.line),
            self.line,
            self.clock_offset,
            (self.first_seen, self.last_seen),
            run=self.run,
            case=self.case,
        )


def stored_states(connection: Connection, keys: Collection[Key]) -> dict[Key, StoredState]:
    """What is stored of the incidents with these keys."""
    column = tables.fleet_case_incident.c
    if not keys:
        return {}
    return _states(connection, pairs_among(connection, (column.sensor, column.incident), keys))


def stored_members(connection: Connection, keys: Collection[Key]) -> dict[Key, Member]:
    """The members with these keys that are stored."""
    found = stored_states(connection, keys)
    return {key: state.member(key[0]) for key, state in found.items()}


def members_of_cases(connection: Connection, cases: Collection[str]) -> dict[Key, Member]:
    """All members of cases."""
    found = _states(connection, among(connection, tables.fleet_case_incident.c.case, cases))
    return {key: state.member(key[0]) for key, state in found.items()}


def keys_of_cases(connection: Connection, cases: Collection[str]) -> list[tuple[Key, str]]:
    """The keys of all members of cases, each with its case."""
    column = tables.fleet_case_incident.c
    statement = select(column.sensor, column.incident, column.case)
    rows = connection.execute(statement.where(among(connection, column.case, cases))).all()
    return [((sensor, incident), case) for sensor, incident, case in rows]


def _states(connection: Connection, where: Any) -> dict[Key, StoredState]:
    column, incident = tables.fleet_case_incident.c, tables.incident.c
    statement = (
        select(
            column.sensor, column.incident, column.run, column.case, column.clock_offset,
            column.first_seen, column.last_seen, incident.record, incident.status,
            incident.last_seen,
        )
        .join_from(
            tables.fleet_case_incident,
            tables.incident,
            (incident.run == column.run) & (incident.id == column.incident),
        )
        .where(where)
    )  # fmt: skip
    rows = connection.execute(statement).all()
    return {(sensor, incident): StoredState(*values) for sensor, incident, *values in rows}
