"""Removes runs whose captures were stored again.

A run is replaced by a later run of the same command that stored all of its captures, known by the
hashes of their content, completely: it judged the same packets, so its incidents would be there
twice. A run of ``names`` judges nothing, so any complete storing of its captures replaces it, an
earlier one too. A run that reads only some of the captures of another replaces nothing, because the
incidents of the other one may run across them; queries then show each capture and each incident
once, that of the newest run.

Evidence captures of a run that was removed stay known, because they have to be found when a person
is erased. What was removed leaves rows in files, which no reader shows any more (it reads rows of
captures that the catalogue has) and which the next compaction drops.
"""

from collections import defaultdict

from sqlalchemy import Connection, delete, select, update

from netwatch.store import catalogue_tables as tables
from netwatch.store.coverage_rows import remove_coverage
from netwatch.store.hour_rows import remove_hours
from netwatch.store.incident_rows import remove_incidents

_PARTS = (tables.evidence, tables.capture, tables.loss, tables.run_writing)


def supersede(connection: Connection, run: int) -> list[int]:
    """Remove the runs that `run`, which has ended, replaces, or `run` itself where it adds nothing;
    the numbers of removed runs."""
    commands = {
        row.id: row.command
        for row in connection.execute(
            select(tables.run.c.id, tables.run.c.command).where(tables.run.c.command != "live")
        )
    }
    if run not in commands:
        return []
    contents: defaultdict[int, set[str]] = defaultdict(set)
    complete: defaultdict[int, set[str]] = defaultdict(set)
    columns = tables.capture.c
    for row in connection.execute(select(columns.run, columns.content, columns.state)):
        contents[row.run].add(row.content)
        if row.content and row.state == "complete":
            complete[row.run].add(row.content)
    replaced = {
        other: run
        for other, command in commands.items()
        if other < run
        and command in (commands[run], "names")
        and contents[other]
        and contents[other] <= complete[run]
    }
    if commands[run] == "names" and contents[run]:
        for other, command in commands.items():
            if command == "scan" and contents[run] <= complete[other]:
                replaced[run] = other
    for number, successor in replaced.items():
        _remove(connection, number, replaced.get(successor, successor))
    return list(replaced)


def _remove(connection: Connection, run: int, successor: int) -> None:
    """Remove a run; its evidence captures become those of its successor, unless that has them."""
    evidence = tables.evidence
    own = [evidence.c.incident, evidence.c.path]
    known = {
        tuple(row) for row in connection.execute(select(*own).where(evidence.c.run == successor))
    }
    for number, *key in connection.execute(
        select(evidence.c.id, *own).where(evidence.c.run == run)
    ).all():
        if tuple(key) not in known:
            row = evidence.c.id == number
            connection.execute(update(evidence).where(row).values(run=successor))
    remove_incidents(connection, tables.incident.c.run == run)
    remove_coverage(connection, tables.coverage.c.run == run)
    remove_hours(connection, run)
    for part in _PARTS:
        connection.execute(delete(part).where(part.c.run == run))
    connection.execute(delete(tables.run).where(tables.run.c.id == run))
