"""Incidents that are wanted by what other tables say of them, of which there may be many: by their
ids, with the cases that have such an incident, and by the sensors of their runs.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Select,
    and_,
    false,
    func,
    literal_column,
    not_,
    select,
)

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import Database
from netwatch.store.statements import listed_among

_BESIDE = tables.fleet_case_incident.alias()
_SEEN = tables.incident.alias("seen")
_ROW, _ROW_SEEN = (literal_column(f"{name}.rowid", Integer) for name in ("incident", "seen"))
BY_IDS = 5_000
"""Incidents, or cases, that are looked up by their ids; of more, an index of all is read."""
_ALL_BY_IDS = 20_000  # cases that are looked up by their ids where all of them are wanted


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The condition on the incidents, or on the cases; at most `size` of them fulfil it, None if
    that may be many. A page of many cases is found in the order of time, and all of them by
    `by_ids`, unless that is None. Cases may be told by those that are `left_out`."""

    condition: ColumnElement[bool]
    size: int | None
    by_ids: ColumnElement[bool] | None = None
    left_out: "Chosen | None" = None

    @classmethod
    def all_but(cls, left_out: "Chosen") -> "Chosen":
        """All others."""
        return cls(not_(left_out.condition), None, left_out=left_out)

    def without(self, other: "Chosen") -> "Chosen":
        """Those that are not of the `other`."""
        return Chosen(and_(self.condition, not_(other.condition)), self.size)


NONE = Chosen(false(), 0)
"""No incident, and no case."""


def chosen(
    catalogue: Catalogue,
    database: Database,
    ids: Select[Any],
    *,
    others: bool = False,
    of_cases: bool = False,
) -> Chosen:
    """The incidents of a catalogue whose ids a statement over `database` finds, or all `others`; or
    the cases with such an incident. PostgreSQL has both in one database. SQLite gives the ids as
    one JSON text, which is not read here: that costs a tenth of reading them. Raises
    `NetwatchError`."""
    engine, place = database.engine, tables.incident.c.id
    is_server = engine.dialect.name == "postgresql"
    text, size = _listed(database, ids)

    def among(place: Any) -> Any:
        return place.in_(ids) if is_server else listed_among(place, text)

    if not of_cases:
        return Chosen(not_(among(place)), None) if others else Chosen(among(place), size)
    case, member = tables.fleet_case.c, tables.fleet_case_incident.c
    cases, is_wanted = select(member.case), among(member.incident)
    if is_server:
        of_case = member.case == case.id
        return Chosen(cases.where(of_case, not_(is_wanted) if others else is_wanted).exists(), None)
    # SQLite lists the cases; of `others` it lists those that have no other.
    cases = cases.where(is_wanted).group_by(member.case)
    if others:
        every = select(func.count()).where(_BESIDE.c.case == member.case)
        cases = cases.having(func.count() == every.scalar_subquery())
    text, number = _listed(catalogue.database, cases)
    by_ids = listed_among(case.id, text) if number <= _ALL_BY_IDS else None
    # What is computed is in no index: many are found in the order of time.
    in_order = listed_among(case.id if number <= BY_IDS else case.id.concat(""), text)
    found = Chosen(in_order, number, by_ids)
    return Chosen.all_but(found) if others else found


def _listed(database: Database, found: Select[Any]) -> tuple[str, int]:
    """What a statement finds, as a JSON list, which PostgreSQL does not need; and how much it
    is."""
    is_server, place = database.engine.dialect.name == "postgresql", found.subquery().c[0]
    text = literal_column("''") if is_server else func.json_group_array(place)
    with database.reading() as connection:
        listed, size = connection.execute(select(text, func.count(place))).one()
    return listed, int(size)


def is_shown(engine: Connection | Engine) -> ColumnElement[bool]:
    """Whether an incident is shown, for counts of all runs: SQLite counts these in the index of
    places, without the rows that it lists as hidden."""
    if engine.dialect.name != "sqlite":
        return tables.incident.c.shown == 1
    hidden = select(_ROW_SEEN).select_from(_SEEN).where(_SEEN.c.shown == 0)
    return (_ROW + 0).not_in(hidden)


def seen_by(
    engine: Connection | Engine, wanted: Set[str], excluded: Set[str], *, are_few: bool
) -> Iterator[ColumnElement[bool]]:
    """The conditions that incidents are of runs of one of the `wanted` sensors, unless there are
    none, and of none of the `excluded` ones. No index of SQLite that has what lists compare has
    runs too, so unless incidents are few by other conditions, it lists the rows of the runs, which
    costs a quarter of reading all incidents. What is computed is in no index, so that it does not
    begin with these."""
    run = tables.run.c
    for sensors, is_wanted in (wanted, True), (excluded, False):
        if not sensors:
            continue
        place: ColumnElement[int] = tables.incident.c.run
        found = select(run.id).where(run.sensor.in_(sorted(sensors)))
        if engine.dialect.name == "sqlite" and not are_few:
            place = _ROW + 0
            found = select(_ROW_SEEN).select_from(_SEEN).where(_SEEN.c.run.in_(found))
        yield place.in_(found) if is_wanted else place.not_in(found)
