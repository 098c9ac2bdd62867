"""Files of other programs are left as they are; files of netwatch are recognised and complete."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core import owned_database
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import (
    MAX_SET_ASIDE,
    PAGE_SIZE,
    DamagedFileError,
    FileKind,
    ForeignFileError,
    OtherVersionError,
    connect,
    create,
    identify,
    is_damage,
    quick_check,
    set_aside,
)

KIND = FileKind("state file", 0x4E577374, 3, "CREATE TABLE one (number INTEGER PRIMARY KEY);")
OTHER = FileKind("outbox", 0x4E576F62, 1, "CREATE TABLE two (number INTEGER PRIMARY KEY)")


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def test_a_created_file_is_recognised_and_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert identify(path, KIND) == "missing"
    create(path, KIND)
    assert identify(path, KIND) == "own"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(connect(path, 1)) as database:
        quick_check(database)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_creating_does_not_replace_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("somebody was faster")
    create(path, KIND)
    assert contents(tmp_path) == {"file": b"somebody was faster"}


def test_without_hard_links_a_file_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(owned_database.errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", link)
    create(tmp_path / "file", KIND)
    assert identify(tmp_path / "file", KIND) == "own"
    (tmp_path / "other").write_text("here before")
    create(tmp_path / "other", KIND)
    assert contents(tmp_path)["other"] == b"here before"
    assert len(contents(tmp_path)) == 2


def make_database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    make_database(tmp_path / "plain", "CREATE TABLE a (b)")
    make_database(tmp_path / "wal", "PRAGMA journal_mode=WAL", "CREATE TABLE a (b)")
    make_database(tmp_path / "named", "PRAGMA application_id=7", "CREATE TABLE a (b)")
    make_database(tmp_path / "version", f"PRAGMA user_version={KIND.version}")
    create(tmp_path / "outbox", OTHER)
    before = contents(tmp_path)
    for name in before:
        with pytest.raises(ForeignFileError, match=f"{name}: is an SQLite database of another"):
            identify(tmp_path / name, KIND)
    assert contents(tmp_path) == before


@given(st.binary(max_size=2 * PAGE_SIZE))
def test_any_other_content_is_refused(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(octets)
    with pytest.raises(ForeignFileError, match="was left as it is"):
        identify(path, KIND)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "target", KIND)
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (
        ("link", "is a symbolic link"),
        ("folder", "is not a regular file"),
        ("pipe", "is not a regular file"),
    ):
        with pytest.raises(ForeignFileError, match=reason):
            identify(tmp_path / name, KIND)


def test_a_link_in_place_of_a_file_beside_the_database_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "file", KIND)
    (tmp_path / "file-wal").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ForeignFileError, match="file-wal: is a symbolic link"):
        identify(tmp_path / "file", KIND)


def test_a_log_without_its_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file-wal").write_bytes(b"log")
    with pytest.raises(ForeignFileError, match="belongs to a database that is gone"):
        identify(tmp_path / "file", KIND)
    assert contents(tmp_path) == {"file-wal": b"log"}


def test_another_version_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "file"
    create(path, KIND)
    make_database(path, "PRAGMA user_version=9")
    with pytest.raises(OtherVersionError, match=r"another version .* \(schema 9, expected 3\)"):
        identify(path, KIND)


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"text"])
def test_a_damaged_first_page_is_recognised_by_the_mark(tmp_path: Path, fill: bytes) -> None:
    path = tmp_path / "file"
    create(path, KIND)
    octets = (fill * PAGE_SIZE)[:PAGE_SIZE] + path.read_bytes()[PAGE_SIZE:]
    path.write_bytes(octets)
    assert identify(path, KIND) == "damaged"
    with pytest.raises(ForeignFileError):
        identify(path, OTHER)
    # Without the mark nothing says that the file is ours.
    path.write_bytes(octets[:PAGE_SIZE] + bytes(PAGE_SIZE) + octets[2 * PAGE_SIZE :])
    with pytest.raises(ForeignFileError):
        identify(path, KIND)


def test_a_folder_that_cannot_be_searched_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NetwatchError, match="cannot be opened: Not a directory"):
        identify(tmp_path / "file" / "below", KIND)


def test_damaged_files_are_kept_and_limited(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for number in range(1, MAX_SET_ASIDE + 1):
        path.write_text(str(number))
        path.with_name("file-wal").write_text(f"log {number}")
        assert set_aside(path).name == f"file.damaged-{number}"
    assert (tmp_path / "file.damaged-3").read_text() == "3"
    assert (tmp_path / "file.damaged-3-wal").read_text() == "log 3"
    path.write_text("one more")
    with pytest.raises(NetwatchError, match="remove them"):
        set_aside(path)
    assert path.read_text() == "one more"


def test_errors_of_the_file_are_told_from_those_that_may_pass(tmp_path: Path) -> None:
    path = tmp_path / "file"
    create(path, KIND)
    with closing(connect(path, 0)) as one, closing(connect(path, 0)) as two:
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as busy:
            two.execute("BEGIN IMMEDIATE")
        assert not is_damage(busy.value)
        one.execute("ROLLBACK")
        with pytest.raises(sqlite3.OperationalError) as missing:
            one.execute("SELECT * FROM nothing")
        assert is_damage(missing.value)
        one.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as full:
            one.execute("CREATE TABLE more (number)")
        assert not is_damage(full.value)
    assert is_damage(DamagedFileError("as it says"))
    assert not is_damage(sqlite3.ProgrammingError("closed"))


def test_a_file_with_connections_is_not_opened(tmp_path: Path) -> None:
    """Else their locks would be lost, and another process could remove the write-ahead log."""
    path = tmp_path / "file"
    create(path, KIND)
    probe = "; ".join(
        [
            "import sqlite3, sys",
            "database = sqlite3.connect(sys.argv[1], timeout=0)",
            "database.execute('BEGIN IMMEDIATE')",
        ]
    )
    command = [sys.executable, "-c", probe, str(path)]
    with closing(connect(path, 0)) as database:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("INSERT INTO one VALUES (1)")
        for _ in range(2):
            assert identify(path, KIND) == "own"
            done = subprocess.run(command, capture_output=True, text=True)
            assert "database is locked" in done.stderr
    assert identify(path, KIND) == "own"
    assert subprocess.run(command).returncode == 0
