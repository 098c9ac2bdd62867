"""One file of a log, divided into records, and which of them may be of interest.

Lines come in a buffer of fixed size, of which only those that pass a `LineFilter` become objects,
so that memory does not depend on the file. The records of the binary containers all come.

A record with a name in one of the domains is of interest, and so are those that belong to it: other
lines of the same lookup, the flow. If a log has flows named by other records, an address may belong
to several names. Then all answers with an address that a name of interest was resolved to are of
interest, because the flow may be to another name. A first pass over the log collects what these
records have in common.
"""

import time
from collections.abc import Callable, Collection, Generator, Iterator
from ipaddress import ip_address
from pathlib import Path

from netwatch.capture.block import Named
from netwatch.capture.files import CaptureFile, Content, open_content
from netwatch.capture.stream import ReadFailure, Stream
from netwatch.core.addresses import ip_text
from netwatch.core.errors import CaptureError
from netwatch.core.statistics import RunStatistics
from netwatch.logs.dnstap import FrameError, file_frames
from netwatch.logs.ipfix import MessageError, file_messages
from netwatch.logs.json_lists import ListError, file_elements
from netwatch.logs.log_stream import (
    MAX_LINE,
    NUL_BYTES,
    ON_DISK,
    StreamReader,
    TextStream,
    line_behind,
    on_disk,
    open_text,
)
from netwatch.logs.ordering import Rows
from netwatch.logs.plain_lines import PlainLines
from netwatch.logs.prefilter import MAX_WORDS, LineFilter
from netwatch.logs.records import LogEntry, LogName
from netwatch.logs.registry import LogFormat
from netwatch.logs.sqlite_rows import DatabaseError, rows

PlainReader = Callable[[], PlainLines | None]
"""Returns what reads the next lines if they are plain."""

Progress = Callable[[RunStatistics, Named, int], None]
"""Called now and then with the statistics so far, the file, and the bytes of it that were read."""

BUFFER = MAX_LINE + (1 << 18)
"""Bytes of a file in memory: a line, and preceding ones that may belong to it."""

REPORT_EVERY = 4096
"""Records of a binary container after which progress is reported."""


class LogFile:
    """A file of `log_format`. Its records, those that could not be separated, and what prevents its
    reading are counted in `statistics`."""

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
        """When the file was last written, in ns since the epoch; now if it is not a local file."""
        if self._file.url is None:
            try:
                return Path(self.name).stat().st_mtime_ns
            except (OSError, ValueError):
                pass
        return time.time_ns()

    def records(
        self, lines: LineFilter, plain: PlainReader | None = None
    ) -> Generator[tuple[int, bytes | Rows], None, None]:
        """The records that pass, with their numbers in the file, from 1. Where `plain` is given,
        plain lines come as rows, with how many they are. A file that cannot be read, or not to its
        end, is noted."""
        statistics = self._statistics
        try:
            match self._format.container:
                case "lines":
                    yield from self._lines(lines, plain)
                case "frame-streams":
                    yield from self._streamed(file_frames)
                case "ipfix":
                    yield from self._streamed(file_messages)
                case "json-list":
                    yield from self._streamed(file_elements)
                case _:
                    yield from self._from_disk()
            self.is_read = True
        except CaptureError as error:
            statistics.unread.append(str(error))
        except (FrameError, MessageError, ListError, DatabaseError) as error:
            statistics.unread.append(f"{self.name}: cannot be read on: {error}")

    def _lines(
        self, lines: LineFilter, plain: PlainReader | None
    ) -> Iterator[tuple[int, bytes | Rows]]:
        content = open_text(self._file)
        stream = content.stream
        try:
            buffer = bytearray(BUFFER)
            view = memoryview(buffer)
            # Up to `start` are lines that were checked, from there on is one without its end.
            start, filled, is_skipped = 0, 0, False
            while got := stream.readinto(view[filled:]):
                filled += got
                end = buffer.rfind(b"\n", filled - got, filled) + 1
                if end and is_skipped:
                    start, is_skipped = buffer.index(b"\n") + 1, False
                yield from self._passing(lines, buffer, start, end, plain)
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
                yield from self._passing(lines, buffer, start, filled, plain)
            self._end(content)
        finally:
            stream.close()

    def _passing(
        self,
        lines: LineFilter,
        buffer: bytearray,
        at: int,
        end: int,
        plain: PlainReader | None,
    ) -> Iterator[tuple[int, bytes | Rows]]:
        """The lines of ``buffer[at:end]`` that pass and are not empty."""
        before = lines.lines
        while at < end:
            passed_all = lines.passes_all
            at = lines.find(buffer, at, end)
            i = -1
            while (i := i + 1) < lines.count:
                while plain is not None and (reader := plain()) is not None:
                    first, i = (
                        i,
                        reader.read(
                            buffer, lines.starts, lines.ends, lines.numbers, i, lines.count
                        ),
                    )
                    if (rows := reader.found()) is not None:
                        yield i - first, rows
                    if i == first:
                        break
                if i == lines.count:
                    break
                number, line_end = lines.numbers[i], lines.ends[i]
                line = bytes(buffer[lines.starts[i] : line_end])
                if b"\0" in line:
                    line = line_behind(line)
                if line.endswith(b"\r"):
                    line = line[:-1]
                if line:
                    yield number, line
                if lines.passes_all and not passed_all:
                    # This line lets all lines after it pass.
                    lines.forget()
                    lines.lines, at = number, line_end + 1
                    break
        self._statistics.records += lines.lines - before

    def _streamed(
        self, divide: Callable[[StreamReader], Iterator[bytes | None]]
    ) -> Iterator[tuple[int, bytes]]:
        content = open_content(self._file)
        try:
            yield from self._numbered(divide(StreamReader(content.stream)), content.stream)
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
                found = ON_DISK[self._format.container](path, self.name)
                yield from self._numbered(found, None)

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
        """Note the stream's anomalies, at the end."""
        stream = content.stream
        if isinstance(stream, TextStream) and stream.runs:
            self._statistics.anomalies[NUL_BYTES] += stream.runs
        for note in stream.notes:
            is_failure = isinstance(note, ReadFailure)
            to = self._statistics.unread if is_failure else self._statistics.notes
            to.append(f"{self.name}: {note}")
        if stream.damaged:
            self._statistics.damaged[self.name] = stream.left(content.size)


class Interest:
    """What is of interest: names in `zones`, None for all. With `all_flows` also all flows. Until
    `ask_for_words` was called, no record is of interest because of another one."""

    def __init__(self, zones: Collection[bytes] | None, all_flows: bool = True) -> None:
        self.zones = None if zones is None else tuple(zones)
        self.all_flows = all_flows
        self._names = frozenset(map(bytes.decode, self.zones or ()))
        self._words: set[bytes] = set()
        self._in_use: frozenset[bytes] = frozenset()
        self._asks = False

    def lines(self, log_format: LogFormat, is_first_pass: bool = False) -> LineFilter:
        """The prefilter of a file, in the first pass without flows."""
        zones = None if log_format.encoded else self.zones
        needles = log_format.always
        if self.all_flows and not is_first_pass:
            needles += log_format.flows
        found = LineFilter(
            zones, needles, log_format.labels, log_format.around, sample=not is_first_pass
        )
        if self._asks and not is_first_pass:
            found.set_words(self._in_use.union(log_format.words))
        return found

    def add(self, entry: LogEntry, record: bytes, log_format: LogFormat) -> None:
        """Remember what other records have in common with one of interest."""
        if not isinstance(entry, LogName) or len(self._words) > MAX_WORDS:
            return
        chain = entry.dns.chain if entry.dns is not None else ()
        if not any(map(self._is_of_interest, (entry.name, *chain))):
            return
        for text, _ in entry.dns.answers if entry.dns is not None else ():
            self._words.update(_spellings(text))
        if entry.flow:
            self._words.add(entry.flow.lower().encode())
        word = log_format.joins(record) if log_format.joins is not None else None
        if word:
            self._words.add(word.lower())

    def wants(self, entry: LogEntry) -> bool:
        """Whether an entry is more than a sample: it has a name of interest, or an address that
        such a name was resolved to, in its answer or as its server."""
        if not isinstance(entry, LogName) or self.zones is None:
            return True
        chain = entry.dns.chain if entry.dns is not None else ()
        if any(map(self._is_of_interest, (entry.name, *chain))):
            return True
        if not self._in_use:
            return False
        if entry.server.ip is not None and ip_text(entry.server.ip).encode() in self._in_use:
            return True
        answers = entry.dns.answers if entry.dns is not None else ()
        return any(text.lower().encode() in self._in_use for text, _ in answers)

    def ask_for_words(self) -> None:
        """The first pass has ended: from now on, records that belong to records of interest are,
        too."""
        self._asks = True
        self._in_use = frozenset(self._words)

    def _is_of_interest(self, name: str) -> bool:
        if self.zones is None:
            return True
        parts = name.split(".")
        return any(".".join(parts[at:]) in self._names for at in range(len(parts)))


def _spellings(text: str) -> set[bytes]:
    """How logs write an address: Suricata writes IPv6 addresses in full."""
    try:
        address = ip_address(text)
    except ValueError:
        return {text.lower().encode()}
    words = {text.lower(), str(address), address.exploded}
    if address.version == 6:
        words.add(":".join(f"{int(part, 16):x}" for part in address.exploded.split(":")))
    return {word.encode() for word in words}
