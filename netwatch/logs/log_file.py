"""One file of a log, divided into records.

Lines come in a buffer of fixed size, of which only those that pass a `LineFilter` become objects,
so that memory does not depend on the file. The records of the binary containers all come.
"""

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from netwatch.capture.block import Named
from netwatch.capture.files import CaptureFile, Content, open_content
from netwatch.capture.stream import ReadFailure, Stream
from netwatch.core.errors import CaptureError
from netwatch.core.statistics import RunStatistics
from netwatch.logs import windows_events
from netwatch.logs.frame_streams import FrameError, frames
from netwatch.logs.log_stream import MAX_LINE, StreamReader, on_disk, open_text
from netwatch.logs.nul_bytes import NUL_BYTES, TextStream, line_behind
from netwatch.logs.prefilter import LineFilter
from netwatch.logs.registry import LogFormat
from netwatch.logs.sqlite_rows import DatabaseError, rows

Progress = Callable[[RunStatistics, Named, int], None]
"""Called now and then with the statistics so far, the file, and the bytes of it that were read."""

BUFFER = MAX_LINE + (1 << 18)
"""Bytes of a file in memory: a line, and those before it that may belong to it."""

REPORT_EVERY = 4096
"""Records of a binary container after which progress is reported."""


class LogFile:
    """A file of `log_format`. Its records and those that could not be divided from others are
    counted in `statistics`, and so is what prevents its reading."""

    def __init__(
        self,
        file: CaptureFile,
        log_format: LogFormat,
        statistics: RunStatistics,
        progress: Progress | None = None,
    ) -> None:
        self.name = file.path
        self._file = file
        self._format = log_format
        self._statistics = statistics
        self._progress = progress
        self.is_read = False

    def written(self) -> int:
        """When the file was last written, in ns since the epoch; now for what is no local file."""
        if self._file.url is None:
            try:
                return Path(self.name).stat().st_mtime_ns
            except (OSError, ValueError):
                pass
        return time.time_ns()

    def records(self, lines: LineFilter) -> Generator[tuple[int, bytes], None, None]:
        """The records that pass, with their numbers in the file, from 1. A file that cannot be
        read, or not to its end, is noted."""
        statistics = self._statistics
        try:
            match self._format.container:
                case "lines":
                    yield from self._lines(lines)
                case "frame-streams":
                    yield from self._frames()
                case _:
                    yield from self._from_disk()
            self.is_read = True
        except CaptureError as error:
            statistics.unread.append(str(error))
        except (FrameError, DatabaseError) as error:
            statistics.unread.append(f"{self.name}: cannot be read on: {error}")

    def _lines(self, lines: LineFilter) -> Iterator[tuple[int, bytes]]:
        content = open_text(self._file)
        stream = content.stream
        try:
            buffer = bytearray(BUFFER)
            view = memoryview(buffer)
            # Up to `start` are lines that were looked at, from there on is one without its end.
            start, filled, is_skipped = 0, 0, False
            while got := stream.readinto(view[filled:]):
                filled += got
                end = buffer.rfind(b"\n", filled - got, filled) + 1
                if end and is_skipped:
                    start, is_skipped = buffer.index(b"\n") + 1, False
                yield from self._passing(lines, buffer, start, end)
                if not end and filled == BUFFER:
                    if not is_skipped:
                        lines.lines += 1
                        self._statistics.records += 1
                        self._note_unread("line-too-long")
                    lines.forget()
                    is_skipped, start, filled = True, 0, 0
                elif end:
                    keep = lines.keep_from(end)
                    if end - keep > BUFFER - MAX_LINE:
                        lines.forget()
                        keep = end
                    lines.moved(keep)
                    view[: filled - keep] = view[keep:filled]
                    start, filled = end - keep, filled - keep
                self._report(stream)
            if not is_skipped:
                yield from self._passing(lines, buffer, start, filled)
            self._end(content)
        finally:
            stream.close()

    def _passing(
        self, lines: LineFilter, buffer: bytearray, at: int, end: int
    ) -> Iterator[tuple[int, bytes]]:
        """The lines of ``buffer[at:end]`` that pass and are not empty."""
        before = lines.lines
        while at < end:
            passed_all = lines.passes_all
            at = lines.find(buffer, at, end)
            for i in range(lines.count):
                number, line_end = lines.numbers[i], lines.ends[i]
                line = bytes(buffer[lines.starts[i] : line_end])
                if b"\0" in line:
                    line = line_behind(line)
                if line.endswith(b"\r"):
                    line = line[:-1]
                if line:
                    yield number, line
                if lines.passes_all and not passed_all:
                    # What this line says lets all lines behind it pass.
                    lines.forget()
                    lines.lines, at = number, line_end + 1
                    break
        self._statistics.records += lines.lines - before

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        content = open_content(self._file)
        try:
            yield from self._numbered(frames(StreamReader(content.stream)), content.stream)
            self._end(content)
        finally:
            content.stream.close()

    def _from_disk(self) -> Iterator[tuple[int, bytes]]:
        with on_disk(self._file) as path:
            if self._format.container == "sqlite":
                for number, record in rows(path, self._format.tables):
                    self._statistics.records += 1
                    yield number, record
            else:
                yield from self._numbered(windows_events.events(path, self.name), None)

    def _numbered(
        self, found: Iterator[bytes | None], stream: Stream | None
    ) -> Iterator[tuple[int, bytes]]:
        for number, record in enumerate(found, 1):
            self._statistics.records += 1
            if record is None:
                self._note_unread("record-damaged")
                continue
            yield number, record
            if stream is not None and number % REPORT_EVERY == 0:
                self._report(stream)

    def _note_unread(self, reason: str) -> None:
        self._statistics.unread_records[self.name, reason] += 1

    def _report(self, stream: Stream) -> None:
        if self._progress is not None:
            self._progress(self._statistics, self, stream.position)

    def _end(self, content: Content) -> None:
        """Note what the stream says of its bytes, at the end."""
        stream = content.stream
        if isinstance(stream, TextStream) and stream.runs:
            self._statistics.anomalies[NUL_BYTES] += stream.runs
        for note in stream.notes:
            is_failure = isinstance(note, ReadFailure)
            to = self._statistics.unread if is_failure else self._statistics.notes
            to.append(f"{self.name}: {note}")
        if stream.damaged:
            self._statistics.damaged[self.name] = stream.left(content.size)
