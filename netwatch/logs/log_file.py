"""One file of a log: its records, one after the other, and what they say."""

from collections.abc import Callable, Iterator
from datetime import tzinfo

from netwatch.capture.files import CaptureFile, open_file
from netwatch.capture.stream import FileStream
from netwatch.core.errors import CaptureError
from netwatch.core.statistics import RunStatistics
from netwatch.logs.reading import PLAIN, ReaderContext, RecordError
from netwatch.logs.records import LogEntry
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LocalTimes

Progress = Callable[[RunStatistics, "LogFile", int], None]
"""Called now and then with the statistics so far, the file, and the bytes of it that were read."""


class LogFile:
    """A file of one format, whose counts go to `statistics`."""

    def __init__(
        self,
        file: CaptureFile,
        name: str,
        year: int | None,
        zone: tzinfo | None,
        statistics: RunStatistics,
    ) -> None:
        self.name = file.path
        self.size = file.size
        self._file = file
        self._format = name
        self._statistics = statistics
        self._times = LocalTimes(zone, year)

    def entries(self, progress: Progress | None) -> Iterator[tuple[int, bytes, LogEntry]]:
        """What the records say, each with the number of its record and the record."""
        reader = LOG_FORMATS[self._format].reader(ReaderContext(self._times, self.name))
        try:
            opened, _ = open_file(self._file)
        except CaptureError as error:
            self._statistics.unread.append(str(error))
            return
        stream = FileStream(opened, [])
        rest, line = b"", 0
        buffer = memoryview(bytearray(1 << 20))
        record = b""
        while got := stream.readinto(buffer):
            lines = (rest + buffer[:got]).split(b"\n")
            rest = lines.pop()
            for record in lines:
                line += 1
                self._statistics.records += 1
                try:
                    for entry in reader.read(record, PLAIN):
                        yield line, record, entry
                except RecordError as error:
                    self._statistics.unread_records[self.name, str(error)] += 1
            if progress is not None:
                progress(self._statistics, self, stream.position)
        for entry in reader.flush():
            yield line, record, entry
        stream.close()
