"""Incidents that are wanted by their ids, of which there may be many: those that a database other
than the catalogue says something of, and those that it says nothing of.
"""

from collections.abc import Set
from dataclasses import dataclass

from sqlalchemy import ColumnElement, not_

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.statements import among


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The incidents with these `ids`, or all `others`; `condition` says the same of the column."""

    ids: Set[str]
    others: bool
    condition: ColumnElement[bool]


def chosen(catalogue: Catalogue, ids: Set[str], *, others: bool = False) -> Chosen:
    """The incidents of a catalogue with these ids, or all `others`."""
    condition = among(catalogue.database.engine, tables.incident.c.id, ids)
    return Chosen(ids, others, not_(condition) if others else condition)
