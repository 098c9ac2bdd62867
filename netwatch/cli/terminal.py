"""The streams of a command: records to standard output or a file, messages and the progress bar to
standard error; and where the observations of ``names`` and ``store query`` go, as text or as bytes.

The progress bar is shown only on a terminal.
"""

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO, TypeVar

from netwatch.capture.block import Named
from netwatch.capture.files import CaptureFile
from netwatch.cli.printing import print_message
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.private_files import set_permissions
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.engine.capture_files import Progress

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from rich.progress import Progress as Bar

    from netwatch.formats.registry import ObservationWriter

Stream = TypeVar("Stream", TextIO, BinaryIO)
"""A stream of text or of bytes."""


def note(args: argparse.Namespace, text: str) -> None:
    """Print a line on what a user may not expect, except with ``--quiet``."""
    if not args.quiet:
        print_message(f"netwatch: {text}")


def warn_interpreted(args: argparse.Namespace) -> None:
    """Warn if the packet loop is not compiled, which makes it a hundred times slower."""
    if args.quiet:
        return
    from netwatch.dissect.loop.loop import COMPILED

    if not COMPILED:
        from netwatch.core.installing import REMEDY, why_interpreted

        cause = why_interpreted()
        print_message(
            "netwatch: the packet loop is interpreted and therefore slow"
            f"{f' ({cause})' if cause else ''}; to compile it, {REMEDY}"
        )


@contextlib.contextmanager
def output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or the file `path`. An existing file is replaced only when the context
    ends without an error, and keeps its permissions; pipes and devices are written directly.
    Raises `NetwatchError` if the file cannot be written."""
    if path is None:
        with _standard_output() as stream:
            yield stream
        return
    with _file(path, _text) as text:
        yield text


@contextlib.contextmanager
def binary_output(path: str | None) -> Iterator[BinaryIO]:
    """The same for bytes."""
    if path is None:
        if sys.stdout is None:
            raise NetwatchError("standard output is closed; -o writes the records to a file")
        sys.stdout.flush()
        named = _NamedFile(sys.stdout.fileno(), "standard output", closefd=False)
        with _bytes(named) as stream:
            yield stream
        return
    with _file(path, _bytes) as stream:
        yield stream


@contextlib.contextmanager
def _file(path: str, wrap: "Callable[[_NamedFile], Stream]") -> "Iterator[Stream]":
    """The file of `output`, as the stream made by `wrap`."""
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            with wrap(_NamedFile(path, path)) as stream:
                yield stream
            return
        from netwatch.core.private_files import UnnamedFile

        new = UnnamedFile(target)
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None
    with new:
        with wrap(_NamedFile(os.dup(new.descriptor), path)) as stream:
            yield stream
        set_permissions(new.descriptor, target)
        new.replace_target()


@contextlib.contextmanager
def _standard_output() -> Iterator[TextIO]:
    if sys.stdout is None:
        raise NetwatchError("standard output is closed; -o writes the records to a file")
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        yield sys.stdout
        sys.stdout.flush()
        return
    if sys.platform == "win32" and sys.stdout.isatty():
        # The console takes characters; bytes would be read in the code page of the machine.
        yield sys.stdout
        sys.stdout.flush()
        return
    sys.stdout.flush()
    named = _NamedFile(descriptor, "standard output", closefd=False)
    with _text(named, sys.stdout.encoding, sys.stdout.errors) as stream:
        yield stream


def _text(file: "_NamedFile", encoding: str = "utf-8", errors: str | None = None) -> TextIO:
    buffered = io.BufferedWriter(file)
    return io.TextIOWrapper(buffered, encoding, errors, newline="", line_buffering=file.isatty())


def _bytes(file: "_NamedFile") -> BinaryIO:
    return io.BufferedWriter(file)


class _NamedFile(io.FileIO):
    """A file whose errors name it. After an error nothing is written any more, so that the error is
    not raised again when the file is closed."""

    def __init__(self, file: str | int, name: str, *, closefd: bool = True) -> None:
        super().__init__(file, "w", closefd=closefd)
        self._name = name
        self._failed = False

    def write(self, data: "ReadableBuffer") -> int:
        """Write bytes. Raises `NetwatchError`, and `BrokenPipeError` if the reader has gone."""
        if self._failed:
            return len(memoryview(data))
        try:
            return super().write(data)
        except BrokenPipeError:
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            raise NetwatchError(f"{self._name}: cannot be written: {error.strerror}") from None


def progress_bar() -> "Bar":
    """A bar on standard error with bytes, rate, time left and the field `counted` of its task; in
    colours that can be read on any background. As a context it is shown."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar
    from rich.theme import Theme

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[counted]}"),
        TimeRemainingColumn(),
    )
    plain = Theme({f"progress.{name}": "none" for name in ("download", "data.speed", "remaining")})
    return Bar(*columns, console=Console(stderr=True, theme=plain), transient=True)


@contextlib.contextmanager
def progress(
    args: argparse.Namespace, captures: Sequence[Sequence[CaptureFile]]
) -> Iterator[Progress | None]:
    """Shows a progress bar with bytes, packets, rate and time left. None if it is not shown:
    without a terminal, with ``--quiet``, and with several jobs."""
    if args.quiet or not sys.stderr.isatty() or args.jobs > 1:
        yield None
        return
    sizes = {found.path: _size(found) for files in captures for found in files}
    known = None if None in sizes.values() else sum(size or 0 for size in sizes.values())
    read: dict[str, int] = {}
    with progress_bar() as bar:
        task = bar.add_task("reading", total=known, counted="")

        def update(statistics: RunStatistics, source: Named, position: int) -> None:
            read[source.name] = position
            packets = quantity(statistics.packets, "packet")
            if statistics.records:
                packets = quantity(statistics.records, "record")
            bar.update(task, completed=sum(read.values()), counted=packets)

        yield update


def _size(found: CaptureFile) -> int | None:
    return found.size if found.error is None else 0


@contextlib.contextmanager
def observation_writer(args: argparse.Namespace, command: str) -> Iterator["ObservationWriter"]:
    """A writer to the output in the requested format, for `command`. Raises `ConfigError` if that
    needs an extra that is not installed, or is binary and goes to a terminal."""
    from netwatch.formats.registry import BINARY_FORMATS, FORMATS

    binary = BINARY_FORMATS.get(args.format)
    if binary is None:
        with output(args.output) as stream:
            writer = FORMATS[args.format].writer(stream)
            writer.begin("observations")
            yield writer
        return
    message = ""
    if args.output is None and sys.stdout is not None and sys.stdout.isatty():
        message = "is not text for a terminal: write it to a file with -o"
    try:
        importlib.import_module(binary.module)
    except ImportError:
        from netwatch.core.installing import install_command

        message = f"needs an extra: {install_command(binary.extra)}"
    if message:
        raise ConfigError.of(command, f"--format {args.format} {message}")
    with binary_output(args.output) as file:
        yield binary.writer(file)
