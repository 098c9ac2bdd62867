"""Incidents that are wanted by their ids, of which there may be many: those that other tables say
something of, and those that they say nothing of; and the cases with such an incident.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, literal_column, not_, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import Database
from netwatch.store.statements import listed_among


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The condition on the incidents, or on the cases; at most `size` of them fulfil it, None if
    that may be many."""

    condition: ColumnElement[bool]
    size: int | None

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
    case, member = tables.fleet_case.c, tables.fleet_case_incident.c
    place, found = member.incident if of_cases else tables.incident.c.id, ids.subquery()
    is_server = catalogue.database.engine.dialect.name == "postgresql"
    listed = literal_column("''") if is_server else func.json_group_array(found.c[0])
    with database.reading() as connection:
        text, size = connection.execute(select(listed, func.count()).select_from(found)).one()
    condition = place.in_(ids) if is_server else listed_among(place, text)
    if not of_cases:
        return Chosen(not_(condition), None) if others else Chosen(condition, int(size))
    cases = select(member.case)
    if others:
        # Most cases have one, so it is soon found for each.
        return Chosen(cases.where(member.case == case.id, not_(condition)).exists(), None)
    return Chosen(case.id.in_(cases.where(condition)), None)
