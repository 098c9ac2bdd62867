"""The flows in files of an older netwatch get names that say nothing of their ends."""

import json
import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from sqlalchemy import select, text
from support.made_store import EMPTY, write_rows

from netwatch.core.errors import NetwatchError
from netwatch.privacy import Keyring, PseudonymKey, Sealing
from netwatch.store import catalogue_tables as tables
from netwatch.store import opening
from netwatch.store.fact_tables import FactRemoval
from netwatch.store.opening import UseLock, open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress
from netwatch.store.tables import FACTS, FORMAT_VERSION

SEALING = Sealing(Keyring(PseudonymKey.of("k" * 32)))
CHANCE = random.Random(7)
HASHES = [CHANCE.getrandbits(54) << 9 | 0x100 for _ in range(12)]
CLAIM = {"address": "10.0.0.7", "transport": "udp", "time_digits": 6, "flow_id": HASHES[0]}


@pytest.fixture(params=["sqlite", "postgresql"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> StoreOptions:
    is_server = request.param == "postgresql"
    catalogue = request.getfixturevalue("postgres_url") if is_server else ""
    return StoreOptions(str(tmp_path / "store"), catalogue)


def row(table: str, **values: Any) -> dict[str, Any]:
    nothing = {each.name: None if each.nullable else EMPTY[each.kind] for each in FACTS[table]}
    return nothing | {"source": "eth0", "packet": 1, "client": 1} | values


def make_old(options: StoreOptions) -> None:
    """A store of version 8: two captures with flows by their hashes, a log's record without one,
    and claims, in landing files and in those of buckets."""
    with open_catalogue(options, create=True) as catalogue:
        run = catalogue.begin_run("scan", "gate")
        captures = [catalogue.begin_capture(run, position, []) for position in (0, 1)]
        catalogue.client_numbers([ClientAddress(f"10.0.0.{each}", None) for each in (7, 8)], "gate")
        for capture in captures:
            for is_compacted in (False, True):
                found = [
                    row("observation", capture=capture, sequence=at, time=at, flow=flow, name="a")
                    for at, flow in enumerate([*HASHES, HASHES[0], -4])
                ]
                write_rows(catalogue, options, "observation", found, compacted=is_compacted)
            ended = [
                row("flow", capture=capture, sequence=50 + at, first=at, last=at, flow=flow)
                for at, flow in enumerate(HASHES)
            ]
            write_rows(catalogue, options, "flow", ended)
            text_of = json.dumps(CLAIM).encode()
            claims = [text_of, SEALING.seal_claim(text_of), b'no claim "flow_id"']
            write_rows(
                catalogue,
                options,
                "claim",
                [
                    row("claim", capture=capture, sequence=90 + at, time=at, claim=claim)
                    for at, claim in enumerate(claims)
                ],
            )
        with catalogue.database.writing() as connection:
            connection.execute(text("UPDATE store SET schema = 8, format = 3"))
            connection.execute(text("ALTER TABLE store DROP COLUMN flow_key"))
            if not options.catalogue:
                connection.exec_driver_sql("PRAGMA user_version = 8")


def files(options: StoreOptions) -> Iterator[tuple[str, dict[bytes, bytes], list[dict[str, Any]]]]:
    """Every file below the store: its table, what it says of itself, and its rows."""
    for path in sorted(Path(options.path).rglob("*.parquet")):
        found = parquet.ParquetFile(path)
        table = path.relative_to(options.path).parts[0]
        yield table, found.schema_arrow.metadata, found.read().to_pylist()


def flows(options: StoreOptions) -> dict[int, set[tuple[int, int]]]:
    """The capture and the number of each flow, by the places of rows that have it, which stay."""
    places: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for table, _, rows in files(options):
        if table != "claim":
            for each in rows:
                places[each["capture"], each["flow"]].add(each["sequence"])
    found: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
    for flow, sequences in places.items():
        for sequence in sequences:
            found[sequence].add(flow)
    return dict(found)


def check_renamed(options: StoreOptions) -> None:
    # One name for each flow of each capture, in all files: its rows can be joined.
    found = flows(options)
    for at in range(len(HASHES)):
        assert found[at] == found[50 + at]
        assert len(found[at]) == 2
    assert found[0] == found[len(HASHES)]
    named = [flow for at in range(len(HASHES)) for flow in found[at]]
    assert len({number for _, number in named}) == 2 * len(HASHES)
    assert {number for _, number in found[len(HASHES) + 1]} == {-4}
    for table, about, rows in files(options):
        assert about[b"netwatch.format"].decode() == str(FORMAT_VERSION)
        if table == "claim":
            plain, sealed, other = (each["claim"] for each in rows)
            kept = {key: value for key, value in CLAIM.items() if key != "flow_id"}
            assert json.loads(plain) == kept
            assert SEALING.unseal_claim(sealed) == json.dumps(CLAIM).encode()
            assert other == b'no claim "flow_id"'
    # Nobody can find the old numbers again.
    numbers = {number for group in found.values() for _, number in group}
    assert numbers.isdisjoint(HASHES)
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        store = connection.execute(select(tables.store)).one()
        assert (store.schema, store.format, store.flow_key) == (
            tables.SCHEMA_VERSION,
            FORMAT_VERSION,
            None,
        )


def test_all_files_are_written_anew(
    options: StoreOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_old(options)
    assert {number for group in flows(options).values() for _, number in group} == {*HASHES, -4}
    key = bytes(range(100, 116))
    monkeypatch.setattr(opening, "new_key", lambda: key)
    open_catalogue(options).close()
    check_renamed(options)
    assert "are replaced in 8 files" in capsys.readouterr().err
    content = b"".join(each.read_bytes() for each in Path(options.path).glob("catalogue.sqlite*"))
    assert key not in content
    before = {*Path(options.path).rglob("*.parquet")}
    open_catalogue(options).close()
    assert {*Path(options.path).rglob("*.parquet")} == before


@pytest.mark.parametrize("after", [0, 1, 5])
def test_whoever_is_killed_goes_on(
    options: StoreOptions, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    make_old(options)
    replace, count = FactRemoval.replace, 0

    def die(*arguments: Any) -> bool:
        nonlocal count
        count += 1
        if count > after:
            raise KeyboardInterrupt
        return replace(*arguments)

    with monkeypatch.context() as context:
        context.setattr(FactRemoval, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            open_catalogue(options)
    open_catalogue(options).close()
    check_renamed(options)


def test_nothing_is_done_while_an_older_one_writes(options: StoreOptions) -> None:
    make_old(options)
    with UseLock(options), pytest.raises(NetwatchError, match="stop live, scan and the centre"):
        open_catalogue(options)
    assert {number for group in flows(options).values() for _, number in group} == {*HASHES, -4}
    open_catalogue(options).close()
    check_renamed(options)


def test_another_process_waits(options: StoreOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(options)
    begun, go_on = threading.Event(), threading.Event()
    replace = FactRemoval.replace

    def wait(*arguments: Any) -> bool:
        begun.set()
        assert go_on.wait(60)
        return replace(*arguments)

    monkeypatch.setattr(FactRemoval, "replace", wait)
    monkeypatch.setattr(opening, "_POLL", 0.01)
    first = threading.Thread(target=lambda: open_catalogue(options).close())
    first.start()
    assert begun.wait(60)
    second = threading.Thread(target=lambda: open_catalogue(options).close())
    second.start()
    go_on.set()
    first.join(60)
    second.join(60)
    assert not first.is_alive()
    assert not second.is_alive()
    check_renamed(options)


def test_a_damaged_file_and_one_that_is_missing_are_named(
    options: StoreOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    make_old(options)
    damaged, missing, *_ = sorted(Path(options.path).rglob("flow/**/*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    missing.unlink()
    open_catalogue(options).close()
    said = capsys.readouterr().err
    assert f"{damaged.relative_to(options.path).as_posix()}: is damaged" in said
    assert f"{missing.relative_to(options.path).as_posix()} is missing" in said
    damaged.unlink()
    assert {about[b"netwatch.format"].decode() for _, about, _ in files(options)} == {
        str(FORMAT_VERSION)
    }
