"""Landing and compaction in a folder and in a bucket, with SQLite and PostgreSQL: the same rows."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from support.made_facts import DAY, made_batches

from netwatch.core.errors import NetwatchError
from netwatch.store import compaction, landing
from netwatch.store.catalogue import Catalogue, StaleFilesError
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import read_file, schema, write_file
from netwatch.store.landing import Landing
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

ROWS = 1600
BUCKETS = 4


class Store:
    """An open store with a capture, whose number is 1."""

    def __init__(self, options: StoreOptions) -> None:
        self.files = FactFiles(options.path)
        self.catalogue = open_catalogue(options, create=True)
        self.run = self.catalogue.begin_run("scan", "test")
        assert self.catalogue.begin_capture(self.run, 0, []) == 1

    def write(self, seed: int = 1, part: int = 200, *, divides: bool = False) -> Landing:
        rows = Landing(self.files, self.catalogue, divides=divides)
        for batch in made_batches(ROWS, devices=50, names=300, seed=seed):
            for at in range(0, batch.num_rows, part):
                rows.add("observation", batch.slice(at, part))
                rows.write_due()
        rows.flush()
        return rows

    def rows(self) -> Counter[str]:
        """All rows of all files."""
        found = Counter[str]()
        for row in self.catalogue.files("observation"):
            table = read_file(self.files, row)
            assert table.schema == schema("observation")
            assert table.num_rows == row.rows
            found.update(map(repr, table.to_pylist()))
        return found


@pytest.fixture
def store(options: StoreOptions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(landing, "LANDING_ROWS", ROWS // 4)
    monkeypatch.setattr(landing, "MERGED_ROWS", ROWS // 5)
    opened = Store(options)
    with opened.catalogue:
        yield opened


def test_rows_are_read_as_they_were_written(store: Store) -> None:
    """Column by column, nulls and lists too."""
    landed = store.write()
    written = Counter(
        repr(row)
        for batch in made_batches(ROWS, devices=50, names=300)
        for row in batch.to_pylist()
    )
    assert landed.stored == ROWS
    assert landed.waiting == 0
    assert store.rows() == written
    assert len(store.catalogue.files("observation")) == 4


def test_buckets_have_clients_and_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compacted file has the clients of one bucket, ordered by name and time; a second compaction
    takes small files in, and leaves large ones."""
    monkeypatch.setattr(compaction, "BUCKETS", BUCKETS)
    monkeypatch.setattr(compaction, "BUCKET_ROWS", ROWS // 2)
    store.write()
    before = store.rows()
    done = compaction.compact(store.files, store.catalogue)
    assert store.rows() == before
    assert (done.rows, done.removed) == (ROWS, 4)
    for row in store.catalogue.files("observation"):
        table = read_file(store.files, row).to_pylist()
        assert {each["client"] % BUCKETS for each in table} == {row.bucket}
        order = [(each["name"], each["time"]) for each in table]
        assert order == sorted(order)
        assert (row.first, row.last) == (min(t for _, t in order), max(t for _, t in order))
    files = len(store.catalogue.files("observation"))
    store.write()
    both = store.rows()
    compaction.compact(store.files, store.catalogue)
    assert store.rows() == both
    assert len(store.catalogue.files("observation")) == files
    monkeypatch.setattr(compaction, "FILE_ROWS", ROWS // 4)
    store.write(seed=3)
    compaction.compact(store.files, store.catalogue)
    assert store.rows().total() == 3 * ROWS


def test_a_run_that_ends_needs_no_landing_files(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its buckets have the same rows as those that compaction makes of landing files; few rows are
    landing files still, and so are those whose files another process replaces meanwhile."""
    monkeypatch.setattr(compaction, "BUCKETS", BUCKETS)
    monkeypatch.setattr(compaction, "BUCKET_ROWS", ROWS // 2)
    store.write()
    compaction.compact(store.files, store.catalogue)
    once = store.rows()
    landed = store.write(divides=True)
    assert (landed.stored, landed.waiting, len(landed.days)) == (ROWS, 0, 1)
    # The files of the first run were merged with these.
    assert [row.bucket for row in store.catalogue.files("observation")] == [*range(BUCKETS)]
    assert store.rows() == once + once

    replace = store.catalogue.replace_files

    def stale(new: Any, old: Any) -> None:
        if old:
            raise StaleFilesError("replaced")
        replace(new, old)

    monkeypatch.setattr(store.catalogue, "replace_files", stale)
    assert store.write(divides=True).stored == ROWS
    monkeypatch.setattr(compaction, "BUCKET_ROWS", 2 * ROWS)
    assert store.write(divides=True).stored == ROWS
    landed_files = [row for row in store.catalogue.files("observation") if row.bucket is None]
    assert sum(row.rows for row in landed_files) == 2 * ROWS
    assert store.rows() == Counter({row: 4 * count for row, count in once.items()})


def test_rows_of_captures_that_are_gone_go(store: Store) -> None:
    """Those of a run that was replaced are in no file that is written later."""
    import pyarrow as pa

    rows = Landing(store.files, store.catalogue)
    for batch in made_batches(100, devices=5, names=5):
        rows.add("observation", batch)
        column = pa.repeat(pa.scalar(77, pa.int32()), 100)
        rows.add("observation", batch.set_column(0, batch.schema.field(0), column))
        rows.flush()
        rows.add("observation", batch.set_column(0, batch.schema.field(0), column))
        rows.flush()
    compaction.compact(store.files, store.catalogue)
    assert store.rows().total() == 100


def test_a_file_that_another_process_has_just_replaced_ends_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is gone although the catalogue has it is an error, as before."""
    monkeypatch.setattr(compaction, "BUCKET_ROWS", ROWS // 2)
    monkeypatch.setattr(compaction, "BUCKETS", 4)
    store.write()
    before = store.rows()
    days = [*store.catalogue.files("observation")]
    compaction.compact(store.files, store.catalogue)
    monkeypatch.setattr(store.catalogue, "files", lambda table: days * (table == "observation"))
    with pytest.raises(NetwatchError):
        compaction.compact(store.files, store.catalogue)
    monkeypatch.undo()
    listed = iter([days])
    files = store.catalogue.files
    monkeypatch.setattr(store.catalogue, "files", lambda table: next(listed, None) or files(table))
    compaction.compact(store.files, store.catalogue)
    assert store.rows() == before


def test_another_process_compacts_at_the_same_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of the first one count, those of the second are removed."""
    store.write()
    before = store.rows()
    write = compaction.write_file
    calls = list[Any]()

    def interrupted(*args: Any) -> Any:
        if not calls:
            calls.append(args)
            compaction.compact(store.files, store.catalogue)
        return write(*args)

    monkeypatch.setattr(compaction, "write_file", interrupted)
    compaction.compact(store.files, store.catalogue)
    assert store.rows() == before
    compaction.sweep(store.files, store.catalogue, age=-1)
    paths = {path for path, _ in store.files.walk("observation")}
    assert paths == {row.path for row in store.catalogue.files("observation")}


def test_leftovers_are_swept_once_they_are_old(store: Store) -> None:
    """A file that is not registered may be one that is being written."""
    store.write()
    before = store.rows()
    (batch, *_) = made_batches(100, devices=5, names=5)
    import pyarrow as pa

    left = write_file(
        store.files, "observation", "2023-11-14", None, pa.Table.from_batches([batch])
    )
    assert compaction.sweep(store.files, store.catalogue) == []
    assert compaction.sweep(store.files, store.catalogue, age=-1) == [left.path]
    assert store.rows() == before


def test_days_are_apart(store: Store) -> None:
    """The day is that of the time, before 1970 too."""
    import pyarrow as pa

    (batch, *_) = made_batches(3, devices=1, names=1)
    times = pa.array([-1, DAY, DAY + landing.DAY], pa.int64())
    at = batch.schema.get_field_index("time")
    rows = Landing(store.files, store.catalogue)
    rows.add("observation", batch.set_column(at, batch.schema.field(at), times))
    rows.flush()
    days = [(row.day, row.first) for row in store.catalogue.files("observation")]
    assert days == [("1969-12-31", -1), ("2023-11-14", DAY), ("2023-11-15", DAY + landing.DAY)]


def test_what_fails_is_written_by_the_next_attempt(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, although the transaction may have been committed when the connection broke."""
    register = Catalogue.register_files
    failing = [True, False]

    def broken(self: Catalogue, files: Any) -> None:
        if failing.pop(0):
            register(self, files)
            raise NetwatchError("the connection is gone")
        register(self, files)

    monkeypatch.setattr(Catalogue, "register_files", broken)
    rows = Landing(store.files, store.catalogue)
    (batch, *_) = made_batches(600, devices=5, names=5)
    rows.add("observation", batch)
    with pytest.raises(NetwatchError):
        rows.flush()
    rows.flush()
    assert rows.stored == store.rows().total() == 600
    monkeypatch.setattr(FactFiles, "write", _full)
    rows.add("observation", batch)
    with pytest.raises(NetwatchError):
        rows.flush()
    monkeypatch.undo()
    rows.flush()
    assert rows.stored == store.rows().total() == 1200


def _full(*_: Any) -> None:
    raise NetwatchError("no space left")
