"""Whatever a user names as a file is read within bounds, or refused with the reason."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.core import user_yaml
from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import read_user_file


def refused(path: Path, limit: int | None = None) -> str:
    with pytest.raises(NetwatchError) as caught:
        read_user_file(path, limit)
    return str(caught.value)


def test_reads_a_file_up_to_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    content = bytes(range(256)) * 9000
    file.write_bytes(content)
    assert read_user_file(file) == content
    assert read_user_file(file, len(content)) == content
    expected = "cannot be read: expected at most 2,303,999 bytes, found more"
    assert refused(file, len(content) - 1) == expected


def _folder(place: Path) -> Path:
    place.mkdir()
    return place


def _socket(place: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
    return place


def _closed(place: Path) -> Path:
    place.symlink_to(place)
    return place


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_folder, "expected a file, found a folder"),
        (lambda _: Path("/dev/zero"), "expected a file, found a device"),
        (lambda _: Path("/dev/null"), "expected a file, found a device"),
        (lambda place: place, "No such file or directory"),
        (
            lambda place: place.with_name("a\0"),
            "the name contains a NUL byte or an invalid character",
        ),
        (
            lambda place: place.with_name("\ud800"),
            "the name contains a NUL byte or an invalid character",
        ),
        (lambda place: place.with_name("a" * 300), "File name too long"),
        (_socket, "No such device or address"),
        (_closed, "Too many levels of symbolic links"),
    ],
)
def test_refuses_everything_else(make: Callable[[Path], Path], reason: str, tmp_path: Path) -> None:
    assert refused(make(tmp_path / "place")) == f"cannot be read: {reason}"


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_into_which_nobody_writes_is_not_waited_for_long(
    pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_yaml, "MAX_PIPE_SECONDS", 0.05)
    assert refused(pipe).startswith("cannot be read: expected a pipe whose writer closes it within")
    # A writer that neither writes nor closes.
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    os.write(writer, b"version: 1\n")
    assert refused(pipe).startswith("cannot be read: expected a pipe whose writer closes it within")
    os.close(writer)
    os.close(reader)


def test_a_pipe_is_read_to_its_end_whenever_its_writer_comes(pipe: Path) -> None:
    content = b"0123456789" * 50_000
    writer = threading.Timer(0.1, pipe.write_bytes, [content])
    writer.start()
    assert read_user_file(pipe) == content
    writer.join()


def test_an_endless_pipe_is_read_up_to_the_limit(pipe: Path) -> None:
    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.write_bytes(bytes(1 << 22))

    writer = threading.Thread(target=write)
    writer.start()
    assert refused(pipe, 1 << 20) == "cannot be read: expected at most 1,048,576 bytes, found more"
    writer.join()
