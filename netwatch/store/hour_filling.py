"""Counts the hours of runs again from the facts that are left of them: of those that an older
netwatch stored, or whose writer was killed before it had stored them."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from sqlalchemy import select

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.fact_files import FactFiles
from netwatch.store.hour_counting import Hides, HourCounter
from netwatch.store.tables import FACTS

if TYPE_CHECKING:
    import pyarrow as pa


def runs_without_hours(catalogue: Catalogue) -> list[int]:
    """The runs of which no hour is known."""
    run, hour = tables.run.c, tables.hour_captured.c
    has_hours = select(hour.run).where(hour.run == run.id).exists()
    with catalogue.database.reading() as connection:
        return [*connection.execute(select(run.id).where(~has_hours)).scalars()]


def fill_hours(catalogue: Catalogue, files: FactFiles, hides: Hides | None = None) -> int:
    """Count the hours of all runs that have none; how many there were. Raises `NetwatchError`."""
    wanted = {*runs_without_hours(catalogue)}
    if not wanted:
        return 0
    captures, networks = _captures(catalogue, wanted), _networks(catalogue)
    counters = {run: HourCounter(hides) for run in wanted}
    from netwatch.store.fact_tables import read_file

    # Names come first: they say of which flows the name hides another.
    for table in FACTS:
        for file in catalogue.files(table):
            for batch in read_file(files, file).to_batches():
                _count(table, batch, captures, networks, counters)
    for run, counter in counters.items():
        if counter.parts:
            catalogue.add_hours(run, counter.parts)
    return len(wanted)


def _captures(catalogue: Catalogue, runs: Collection[int]) -> dict[int, tuple[int, int]]:
    """The run and the part of each capture of runs."""
    run, capture = tables.run.c, tables.capture.c
    with catalogue.database.reading() as connection:
        rows = connection.execute(
            select(capture.id, capture.run, run.command).join_from(
                tables.capture, tables.run, capture.run == run.id
            )
        ).all()
    return {
        number: (of, 0 if command == "live" else number)
        for number, of, command in rows
        if of in runs
    }


def _networks(catalogue: Catalogue) -> dict[int, tuple[str, str] | None]:
    """The network of each client, with its class."""
    client = tables.client.c
    with catalogue.database.reading() as connection:
        return {
            number: None if name is None else (name, kind or "")
            for number, name, kind in connection.execute(
                select(client.number, client.network, client["class"])
            )
        }


def _count(
    table: str,
    batch: "pa.RecordBatch",
    captures: dict[int, tuple[int, int]],
    networks: dict[int, tuple[str, str] | None],
    counters: dict[int, HourCounter],
) -> None:
    import pyarrow as pa
    from pyarrow import compute

    for capture in compute.unique(batch.column("capture")).to_pylist():
        if capture not in captures:
            continue
        run, part = captures[capture]
        rows = batch.filter(compute.equal(batch.column("capture"), capture))
        clients = rows.column("client").dictionary_encode()
        known = [networks.get(number) for number in clients.dictionary.to_pylist()]
        at = rows.schema.get_field_index("client")
        places = clients.indices.cast(pa.int32())
        counters[run].add(part, capture, table, rows.set_column(at, "client", places), known)
