"""Temporary files are in private folders, which go with the run or at the next start. Files that
name people are readable for their owner and group only.
"""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.temporary import leave_temporary

from netwatch.core import private_files
from netwatch.core.private_files import (
    LOCK,
    MARK,
    MODE,
    PrivateFolder,
    UnnamedFile,
    below,
    ended,
    in_use,
    open_for_append,
    remove_ended,
    set_permissions,
)

TIMEOUT = 60


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the system for temporary files."""
    folder = tmp_path / "system"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = [signal.getsignal(number) for number in private_files._numbers()]
    yield
    assert [signal.getsignal(number) for number in private_files._numbers()] == before


def test_a_folder_is_private_and_goes_with_its_context(system: Path) -> None:
    before = os.umask(0)
    try:
        with PrivateFolder() as path:
            assert path.parent == system
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
            assert stat.S_IMODE((path / LOCK).stat().st_mode) == 0o600
            (path / "file").write_text("10.0.0.7")
    finally:
        os.umask(before)
    assert list(system.iterdir()) == []


def test_a_folder_is_below_the_store_where_that_can_be_written(
    tmp_path: Path, system: Path
) -> None:
    store = tmp_path / "store"
    with below(str(store)), PrivateFolder() as path:
        assert path.parent == system
    store.mkdir()
    with below(str(store)):
        with PrivateFolder() as path, PrivateFolder(is_short=True) as short:
            assert (path.parent, short.parent) == (store, system)
        with below("s3://bucket/store"), PrivateFolder() as path:
            assert path.parent == system
        with PrivateFolder() as path:
            assert path.parent == store
    with PrivateFolder() as path:
        assert path.parent == system


def test_what_a_killed_process_left_is_removed_by_the_next_run(
    tmp_path: Path, system: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    lefts = [leave_temporary(store), leave_temporary(system)]
    assert [*ended(store), *ended(system)] == lefts
    with below(str(store)):
        assert not any(map(Path.exists, lefts))


def test_the_first_folder_of_a_place_removes_what_is_left_there(system: Path) -> None:
    left = leave_temporary(system)
    private_files._looked_at.discard(system)
    with PrivateFolder():
        assert not left.exists()


def test_a_folder_in_use_stays(system: Path) -> None:
    with PrivateFolder() as path:
        assert remove_ended(system) == 0
        assert (ended(system), in_use(system)) == ([], [path])
        assert path.exists()


def test_a_folder_is_in_use_as_long_as_a_process_of_its_run_lives(system: Path) -> None:
    """The process that made it was killed, and one that it forked goes on."""
    program = """
import os, sys
from netwatch.core.private_files import PrivateFolder
folder = PrivateFolder()
if os.fork():
    os._exit(0)
print(folder.path, flush=True)
sys.stdin.read()
os._exit(0)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        path = Path(process.stdout.readline().strip())
        process.wait(TIMEOUT)
        assert remove_ended(system) == 0
        assert path.exists()
        process.stdin.close()
        assert process.stdout.read() == ""
    assert remove_ended(system) == 1
    assert not path.exists()


def test_folders_of_others_are_left_alone(tmp_path: Path, system: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / LOCK).write_bytes(MARK)
    (outside / "file").write_text("theirs")
    (system / "netwatch-2-00000002").symlink_to(outside)
    strangers = {
        "netwatch-2-00000003": {"file": b"of another program"},
        "netwatch-2-00000004": {LOCK: b"of another program", "file": b"theirs"},
        "netwatch-2-00000005": {LOCK: MARK + MARK, "file": b"theirs"},
        "netwatch-abcdefgh": {LOCK: MARK, "file": b"theirs"},
    }
    for name, files in strangers.items():
        (system / name).mkdir()
        for each, content in files.items():
            (system / name / each).write_bytes(content)
    linked = system / "netwatch-2-00000006"
    linked.mkdir()
    (linked / LOCK).symlink_to(outside / LOCK)
    (system / "netwatch-2-00000007").write_text("a file")
    assert remove_ended(system) == 0
    assert len(list(system.iterdir())) == len(strangers) + 3
    assert sorted(path.name for path in outside.iterdir()) == ["file", LOCK]


def test_links_in_a_folder_that_was_left_are_not_followed(tmp_path: Path, system: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("theirs")
    left = leave_temporary(system)
    (left / "link").symlink_to(outside)
    (left / "below" / "link").symlink_to(outside / "file")
    assert remove_ended(system) == 1
    assert (outside / "file").read_text() == "theirs"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_folders_of_another_user_are_left_alone(system: Path) -> None:
    left = leave_temporary(system)
    os.chown(left, 12345, 12345)
    assert remove_ended(system) == 0
    os.chown(system, 12345, 12345)  # the service, in whose store root erases
    assert remove_ended(system) == 1


def test_an_empty_folder_of_a_process_that_was_killed_at_once_is_removed(system: Path) -> None:
    (system / "netwatch-3-00000001").mkdir(0o700)
    assert remove_ended(system) == 1
    assert list(system.iterdir()) == []


def test_a_file_that_comes_while_the_folder_goes_is_not_in_a_new_one(system: Path) -> None:
    folder = PrivateFolder()
    folder.remove()
    with pytest.raises(FileNotFoundError):
        (folder.path / "late").write_text("10.0.0.7")
    assert list(system.iterdir()) == []


def test_a_place_that_is_missing_is_an_error_that_names_it(system: Path) -> None:
    system.rmdir()
    with pytest.raises(FileNotFoundError, match=str(system)):
        PrivateFolder()


def test_a_thread_can_have_a_folder(system: Path) -> None:
    found = list[Path]()

    def use() -> None:
        with PrivateFolder() as path:
            found.append(path)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found[0].parent == system
    assert not found[0].exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT", "exit"])
def test_the_end_of_a_process_removes_its_folder(system: Path, name: str) -> None:
    program = """
import os, signal, sys, time
from netwatch.core.private_files import PrivateFolder
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)  # nohup and shells ignore some of them
folder = PrivateFolder()
(folder.path / "file").write_text("10.0.0.7")
reads, writes = os.pipe()
if child := os.fork():
    os.read(reads, 1)
    os.kill(child, signal.SIGTERM)  # a fork has nothing to remove
    assert os.waitpid(child, 0)[1] == signal.SIGTERM
else:
    os.write(writes, b"!")
    while True:  # a signal that comes just before a pause would not end it
        time.sleep(0.01)
assert (folder.path / "file").exists()
if sys.argv[1] != "exit":
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
"""
    done = subprocess.run([sys.executable, "-c", program, name], timeout=TIMEOUT)
    assert done.returncode == (0 if name == "exit" else -getattr(signal, name))
    assert list(system.iterdir()) == []


@pytest.mark.parametrize("has_unnamed", [True, False])
def test_a_file_appears_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_unnamed: bool
) -> None:
    if not has_unnamed:
        monkeypatch.setattr("netwatch.core.private_files.O_TMPFILE", 0)
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "alerts"
    target.write_text("old")
    with UnnamedFile(target) as new:
        os.write(new.descriptor, b"half")
        assert len(list(folder.iterdir())) == (1 if has_unnamed else 2)
    assert [path.read_text() for path in folder.iterdir()] == ["old"]
    with UnnamedFile(target) as new:
        os.write(new.descriptor, b"new")
        new.replace_target()
    assert [path.read_text() for path in folder.iterdir()] == ["new"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def append(path: Path, text: bytes) -> None:
    descriptor = open_for_append(path)
    os.write(descriptor, text)
    os.close(descriptor)


def test_a_new_file_is_private_and_an_existing_one_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    append(path, b"one")
    assert mode(path) == MODE
    path.chmod(0o644)
    append(path, b"two")
    assert (path.read_bytes(), mode(path)) == (b"onetwo", 0o644)


def test_the_target_of_a_link_is_private_if_it_is_new(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    append(tmp_path / "link", b"one")
    assert mode(tmp_path / "target") == MODE
    (tmp_path / "target").chmod(0o666)
    append(tmp_path / "link", b"two")
    assert mode(tmp_path / "target") == 0o666


def test_a_replacement_has_the_permissions_of_the_file(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    with new.open("wb") as stream:
        set_permissions(stream.fileno(), old)
        assert mode(new) == MODE
        old.touch()
        old.chmod(0o604)
        set_permissions(stream.fileno(), old)
    assert mode(new) == 0o604


def test_a_file_system_without_permissions_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    monkeypatch.setattr(os, "chown", refuse)
    path = tmp_path / "file"
    append(path, b"one")
    with (tmp_path / "new").open("wb") as stream:
        set_permissions(stream.fileno(), path)
    assert path.read_bytes() == b"one"
