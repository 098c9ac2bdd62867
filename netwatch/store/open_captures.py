"""The captures of a run that its writer has begun and not ended, because it died."""

from sqlalchemy import select

from netwatch.store import catalogue_tables as tables
from netwatch.store.database import Database


def open_captures(database: Database, run: int) -> dict[int, int]:
    """The numbers of these captures by their position in the run. Raises `NetwatchError`."""
    column = tables.capture.c
    with database.reading() as connection:
        rows = connection.execute(
            select(column.position, column.id).where(column.run == run, column.state == "open")
        ).all()
    return {row.position: row.id for row in rows}
