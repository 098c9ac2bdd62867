"""``store verify`` finds what is wrong with files, and queries say which file they cannot read."""

import os
import time
from pathlib import Path

import pytest
from support.asked_stores import AskedStore, filled_store
from support.paths import PCAPS

from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


@pytest.fixture(scope="module")
def office_day(tmp_path_factory: pytest.TempPathFactory) -> AskedStore:
    folder = tmp_path_factory.mktemp("filled")
    return filled_store(folder, str(folder / "kept"), "", [PCAPS / "office-day.pcap"])


@pytest.fixture
def store(office_day: AskedStore, tmp_path: Path) -> AskedStore:
    return office_day.copied(tmp_path)


@pytest.fixture
def file(store: AskedStore) -> Path:
    """A file of observations."""
    return next(Path(store.path, "observation").rglob("*.parquet"))


def found(store: AskedStore) -> list[tuple[str, str]]:
    """What is wrong, by file."""
    ran = store.ask("verify", "--format", "jsonl")
    assert ran.status == (1 if any(each["found"] != "stray" for each in ran.records) else 0)
    return [(each["found"], each["path"].split("/")[0]) for each in ran.records]


def test_a_file_that_is_gone(store: AskedStore, file: Path) -> None:
    file.unlink()
    assert found(store) == [("missing", "observation")]
    ran = store.ask("query", "observations")
    assert (ran.status, ran.output) == (1, "")
    assert file.name in ran.errors
    assert store.ask("query", "flows").status == 0


def test_a_file_that_was_cut(store: AskedStore, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])
    assert found(store) == [("changed", "observation")]
    assert store.ask("sql", "SELECT count(*) FROM observation").status == 1


def test_a_bit_that_flipped(store: AskedStore, file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    assert found(store) == [("changed", "observation")]


def test_rows_that_the_catalogue_does_not_expect(store: AskedStore) -> None:
    with open_catalogue(StoreOptions(store.path)) as catalogue:
        with catalogue.database.writing() as connection:
            connection.exec_driver_sql("UPDATE file SET rows = rows + 1 WHERE \"table\" = 'flow'")
            connection.exec_driver_sql("UPDATE file SET first = 1 WHERE \"table\" = 'observation'")
        flows = len(catalogue.files("flow"))
        observations = len(catalogue.files("observation"))
    assert found(store) == [("wrong", "observation")] * observations + [("wrong", "flow")] * flows


def test_a_client_that_is_not_known(store: AskedStore) -> None:
    with (
        open_catalogue(StoreOptions(store.path)) as catalogue,
        catalogue.database.writing() as connection,
    ):
        connection.exec_driver_sql(
            "DELETE FROM client WHERE number IN (SELECT number FROM client LIMIT 1)"
        )
    ran = store.ask("verify")
    assert ran.status == 1
    assert "1 of its clients are not in the catalogue" in ran.output


def test_files_that_nobody_sees_are_harmless(store: AskedStore, file: Path) -> None:
    stray = file.with_name("0" * 32 + ".parquet")
    stray.write_bytes(file.read_bytes())
    # It may be one that a writer is about to register.
    assert found(store) == []
    before = time.time() - 7200
    os.utime(stray, (before, before))
    assert found(store) == [("stray", "observation")]


def test_files_that_are_replaced_meanwhile_are_looked_up_again(
    store: AskedStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compaction has put another file in the place of one whose path a reader has taken."""
    expected = store.ask("query", "observations", "--format", "jsonl").output
    options = StoreOptions(store.path)
    path = file.relative_to(store.path).as_posix()
    taken = Catalogue.files

    def files(self: Catalogue, *arguments: object, **options_: object) -> object:
        rows = taken(self, *arguments, **options_)  # type: ignore[arg-type]
        if file.exists():
            moved = file.with_name("1" * 32 + ".parquet")
            (row,) = [row for row in rows if row.path == path]
            new = moved.relative_to(options.path).as_posix()
            from dataclasses import replace

            moved.write_bytes(file.read_bytes())
            self.replace_files([replace(row, path=new)], [path])
            file.unlink()
        return rows

    monkeypatch.setattr(Catalogue, "files", files)
    assert store.ask("query", "observations", "--format", "jsonl").output == expected
    assert not file.exists()


def test_a_query_is_ended_in_time(store: AskedStore) -> None:
    query = (
        "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range = 3"
    )
    ran = store.ask("sql", query, "--timeout", "0.3")
    assert (ran.status, ran.output) == (1, "")
    assert ran.errors == (
        "netwatch: the query took longer than 0.3 s and was ended; narrow it down, or give it more"
        " time with --timeout\n"
    )


def test_a_query_that_needs_too_much_memory_fails(store: AskedStore) -> None:
    ran = store.ask("sql", "SELECT list(a.range) FROM range(400000000) a")
    assert (ran.status, ran.output) == (1, "")
    assert ran.errors.startswith("netwatch: the query needs more than 1 GB of memory")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["query", "flows", "--ban", "x"],
            "--ban is not a filter of flows; it is one of incidents",
        ),
        (["query", "flows", "--format", "cef"], "--format cef has no flows; use table, jsonl, csv"),
        (["query", "observations", "--app", "tictoc"], "found unknown app 'tictoc'"),
        (["query", "incidents", "--since", "yesterday"], "an age like 7d; found 'yesterday'"),
        (["query", "incidents", "--verdict", "guilty"], "expected violation, advisory or exempt"),
        (["sql", "SELECT nope FROM observation"], 'Referenced column "nope" not found'),
        (["sql", "SELECT FROM WHERE"], "syntax error"),
    ],
)
def test_mistakes_are_explained(store: AskedStore, arguments: list[str], expected: str) -> None:
    ran = store.ask(*arguments)
    assert (ran.status, ran.output) == (2, "")
    assert expected in ran.errors


def test_there_is_no_store(tmp_path: Path) -> None:
    config = tmp_path / "netwatch.yaml"
    config.write_text(f"version: 1\nstore: {{path: '{tmp_path}/none'}}\n")
    store = AskedStore(str(config), "", "", "")
    for command in (["status"], ["query", "incidents"], ["sql", "SELECT 1"], ["verify"]):
        ran = store.ask(*command)
        assert ran.status == 1
        assert "there is no store; 'netwatch scan --store' creates one" in ran.errors
    assert not (tmp_path / "none").exists()
