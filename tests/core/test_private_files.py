"""Files that name people are readable for their owner and group only."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwatch.core.private_files import MODE, open_for_append, set_permissions


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
