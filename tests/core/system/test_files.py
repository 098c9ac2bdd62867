"""Locks on open files. A folder that is held open."""

import os
from pathlib import Path

import pytest

from netwatch.core.system.files import O_CLOEXEC, OpenFolder, lock, pread


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
