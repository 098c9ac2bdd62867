"""Locks on open files. A folder that is held open. Files that are written whole."""

import errno
import os
from pathlib import Path

import pytest

from netwatch.core.system import files
from netwatch.core.system.files import (
    O_CLOEXEC,
    OpenFolder,
    lock,
    pread,
    publishing,
    sync_folder,
    write_new,
    write_whole,
)


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_a_lock_is_shared_or_exclusive_until_its_file_is_closed(tmp_path: Path) -> None:
    one, two, three = (opened(tmp_path / "lock") for _ in range(3))
    try:
        lock(one, exclusive=False)
        lock(two, exclusive=False)
        with pytest.raises(BlockingIOError):
            lock(three, exclusive=True)
        os.close(two)
        two = opened(tmp_path / "lock")
        os.close(one)
        one = opened(tmp_path / "lock")
        lock(three, exclusive=True, wait=True)
        with pytest.raises(BlockingIOError):
            lock(one, exclusive=False)
    finally:
        for each in (one, two, three):
            os.close(each)


def write(folder: OpenFolder, name: str, content: bytes) -> None:
    with os.fdopen(folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as stream:
        stream.write(content)


def test_files_are_below_it_whatever_becomes_of_its_path(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with OpenFolder(place) as folder:
        place.rename(tmp_path / "moved")
        place.mkdir()
        write(folder, "one", b"content")
        write(folder, "two", b"other")
        folder.replace("one", "two")
        assert folder.names() == ["two"]
        os.utime(tmp_path / "moved" / "two", (0, 0))
        folder.touch("two")
        assert folder.status("two").st_mtime > 0
        assert folder.status().st_ino == (tmp_path / "moved").stat().st_ino
        assert (tmp_path / "moved" / "two").read_bytes() == b"content"
        folder.remove("two")
        assert folder.names() == []
    assert not [*place.iterdir()]


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match="link"):
        OpenFolder(tmp_path / "link")


def test_a_read_at_an_offset(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one\r\ntwo\x1a")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY | O_CLOEXEC)
    try:
        assert pread(descriptor, 100, 3) == b"\r\ntwo\x1a"
    finally:
        os.close(descriptor)


def test_a_file_is_replaced_as_a_whole_with_its_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps = tmp_path / "file", list[str]()
    umask = os.umask(0o022)
    try:
        write_whole(path, b"before")
        assert path.stat().st_mode & 0o777 == 0o600
        (tmp_path / ".file.new").symlink_to(path)  # a link that somebody put there
        fsync, replace = os.fsync, Path.replace
        monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("flush"), fsync(fd))[1])
        monkeypatch.setattr(
            Path, "replace", lambda new, old: (steps.append("replace"), replace(new, old))[1]
        )
        write_whole(path, b"after", 0o666)
    finally:
        os.umask(umask)
    assert steps == ["flush", "replace", "flush"]
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", 0o644)
    assert [*tmp_path.iterdir()] == [path]


def test_a_new_file_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            write_new(tmp_path / name, b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("number", "lost"), [(errno.EIO, True), (errno.EINVAL, False)])
def test_an_entry_that_did_not_reach_the_disk_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, lost: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fail)
    if lost:
        with pytest.raises(OSError, match=os.strerror(number)):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)


def test_one_process_publishes_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    with publishing(folder, 0o700, ValueError):
        assert folder.stat().st_mode & 0o777 == 0o700
        with (
            pytest.raises(ValueError, match="another process publishes now"),
            publishing(folder, 0o700, ValueError),
        ):
            pass
    with publishing(folder, 0o700, ValueError):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(ValueError, match="file: cannot be made"),
        publishing(tmp_path / "file", 0o700, ValueError),
    ):
        pass
