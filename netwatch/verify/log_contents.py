"""The records of a log that evidence names, read again without netwatch's log readers.

Lines come from the file as it is, in UTF-8 or UTF-16, or unpacked by the libraries of the
compressions: gzip, bzip2, xz, zstd, lz4. Frames of dnstap and messages of IPFIX are divided here,
and the program ``nfdump`` reads nfcapd files, as for the first reader. Rows of an SQLite database
are queried by their key, with the names that they refer to; records of a Windows event log come
from the package ``evtx``, which the first reader uses, too. Rows and events are found by their
content: older ones may have been deleted, so that they are numbered differently now. So are the
elements of a JSON list, since the number of those behind a damaged one depends on the reader.
"""

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any, NamedTuple

MAX_LINE = 1 << 20
"""Bytes of a line, and of a frame, to read."""

_TABLES = ("query_storage", "queries")
_NAMES = {"domain": "domain_by_id", "additional_info": "addinfo_by_id"}
_BUSY_SECONDS = 2.0
_IPFIX = b"\0\x0a"
_LIST = re.compile(rb"\s*\[\s*\{")
_PIECE = 1 << 20
_ELEMENT = re.compile(rb'\{(?:[^{}"]|"(?:[^"\\\n]|\\.)*")*\}')


class Found(NamedTuple):
    """A record as the log has it now, and further text with the names that it refers to."""

    record: bytes
    referred: bytes = b""


def look_up(path: Path, wanted: Mapping[int, bytes]) -> Mapping[int, Found] | str:
    """The records of a log with the numbers in `wanted`, which has them as kept in the evidence;
    why the log is not read, as a clause, if it is not."""
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
        if head.startswith(b"SQLite format 3\0"):
            return _rows(path, wanted)
        if head.startswith(b"ElfFile\0"):
            return _events(path, wanted)
        if head.startswith(b"\x0c\xa5\x02\0"):
            return _flows(path, wanted)
        with opened(path) as stream:
            is_list = _LIST.match(stream.read(64)) is not None
        with opened(path) as stream:
            return _elements(stream, wanted) if is_list else _numbered(stream, wanted)
    except FileNotFoundError:
        return "the log is not where it was"
    except ImportError as error:
        return f"the log cannot be read without the package {error.name}"
    except Exception as error:  # damaged bytes may raise anything in a library
        return f"the log cannot be read: {error}"


def opened(path: Path) -> IO[bytes]:
    """A file, unpacked if it is compressed. Raises `OSError` and `ImportError`."""
    with path.open("rb") as stream:
        head = stream.read(6)
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(path)  # type: ignore[return-value]
    if head.startswith(b"BZh"):
        return bz2.open(path)
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.open(path)
    if head.startswith(b"\x04\x22\x4d\x18"):
        import lz4.frame  # type: ignore[import-untyped]

        unpacked: IO[bytes] = lz4.frame.open(path, "rb")
        return unpacked
    # A frame to skip (RFC 8878 section 3.1.2) precedes pzstd's frames.
    if head.startswith(b"\x28\xb5\x2f\xfd") or head[1:4] == b"\x2a\x4d\x18":
        return _zstd(path)
    return path.open("rb")


def _zstd(path: Path) -> IO[bytes]:
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(
        path.open("rb"), read_across_frames=True, closefd=True
    )
    return io.BufferedReader(reader)


def _numbered(stream: IO[bytes], wanted: Mapping[int, bytes]) -> dict[int, Found] | str:
    """The lines or frames with these numbers."""
    head = stream.read(8)
    found: dict[int, Found] = {}
    last = max(wanted)
    # A control frame: an escape, and the length of what follows.
    is_frames = head[:4] == bytes(4) and any(head[4:])
    is_binary = is_frames or head.startswith(_IPFIX)
    if is_frames:
        records = _frames(head[4:], stream)
    else:
        records = _messages(head, stream) if is_binary else _lines(head, stream)
    for number, record in enumerate(records, 1):
        if not is_binary and b"\0" in record:
            # The text before NUL bytes in a line was cut off.
            record = record.strip(b"\0").rpartition(b"\0")[2]
        if number in wanted:
            found[number] = Found(record)
        if number >= last:
            break
    return found


def _lines(head: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    """The lines without their ends, in UTF-8; the beginning of lines that are too long."""
    whole = io.BufferedReader(_Behind(head, stream))
    if head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        for number, octets in enumerate(_bounded(whole)):
            yield octets.removeprefix(b"\xef\xbb\xbf") if number == 0 else octets
        return
    text = io.TextIOWrapper(whole, encoding="utf-16", errors="replace", newline="\n")
    while line := text.readline(MAX_LINE):
        rest = line
        while not rest.endswith("\n") and (rest := text.readline(MAX_LINE)):
            pass
        yield line.removesuffix("\n").encode("utf-8", "replace")


class _Behind(io.RawIOBase):
    """A stream whose first bytes were already read."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head, self._stream = head, stream

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        got = self._head or self._stream.read(len(buffer))
        self._head = got[len(buffer) :]
        got = got[: len(buffer)]
        buffer[: len(got)] = got
        return len(got)


def _bounded(stream: IO[bytes]) -> Iterator[bytes]:
    while line := stream.readline(MAX_LINE):
        while line.endswith(b"\0") and (behind := stream.readline(MAX_LINE)):
            # A run of NUL bytes has any length.
            line = b"\0" + behind
        rest = line
        while not rest.endswith(b"\n") and (rest := stream.readline(MAX_LINE)):
            pass
        yield line.removesuffix(b"\n")


def _frames(head: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    """The data frames of Frame Streams, after the first escape; `head` was read of them."""
    stream = io.BufferedReader(_Behind(head, stream))
    size = 0
    while True:
        if size:
            frame = stream.read(min(size, MAX_LINE))
            left = size - len(frame)
            while left > 0 and (skipped := stream.read(min(left, MAX_LINE))):
                left -= len(skipped)
            yield frame if size <= MAX_LINE else b""
        else:
            stream.read(min(int.from_bytes(stream.read(4)), MAX_LINE))
        head = stream.read(4)
        if len(head) < 4:
            return
        size = int.from_bytes(head)


def _messages(head: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    """The messages of an IPFIX file (RFC 5655), each with its length after its version."""
    while head.startswith(_IPFIX) and len(head) == 8:
        message = head + stream.read(max(0, int.from_bytes(head[2:4]) - 8))
        yield message
        head = stream.read(8)


def _elements(stream: IO[bytes], wanted: Mapping[int, bytes]) -> dict[int, Found]:
    """The elements of a JSON list that are as they were, which are shorter than a piece."""
    missing: dict[bytes, list[int]] = {}
    for number, record in wanted.items():
        missing.setdefault(record, []).append(number)
    found: dict[int, Found] = {}
    data = b""
    while missing and (piece := stream.read(_PIECE)):
        data += piece
        end = 0
        for element in _ELEMENT.finditer(data):
            end = element.end()
            for number in missing.pop(element[0], ()):
                found[number] = Found(element[0])
        data = data[max(end, len(data) - _PIECE) :]
    return found


def _flows(path: Path, wanted: Mapping[int, bytes]) -> dict[int, Found] | str:
    """The flows of a file of nfcapd with these numbers."""
    command = ["nfdump", "-q", "-r", str(path.absolute()), "-o", "ndjson"]
    found: dict[int, Found] = {}
    try:
        running = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TZ": "UTC", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        return "the log cannot be read without the program nfdump"
    with running:
        assert running.stdout is not None
        for number, line in zip(range(1, max(wanted) + 1), _bounded(running.stdout), strict=False):
            if number in wanted:
                found[number] = Found(line)
        running.kill()
    return found


def _events(path: Path, wanted: Mapping[int, bytes]) -> dict[int, Found]:
    """The records of an event log: unchanged ones, otherwise those with the number."""
    import evtx

    numbers: dict[bytes, list[int]] = {}
    for number, record in wanted.items():
        numbers.setdefault(record, []).append(number)
    same: dict[int, Found] = {}
    others: dict[int, Found] = {}
    try:
        records = evtx.PyEvtxParser(str(path), number_of_threads=1).records_json()
        for number, event in enumerate(_undamaged(records), 1):
            text = event.encode("utf-8", "surrogatepass")
            for each in numbers.get(text, ()):
                same[each] = Found(text)
            if number in wanted:
                others[number] = Found(text)
            if len(same) == len(wanted):
                break
    except BaseException as error:
        # A panic of the library is not an Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError(str(error)) from None
    return others | same


def _undamaged(records: Iterator[Any]) -> Iterator[str]:
    """The records as JSON, empty for those that are damaged."""
    for _ in range(1 << 32):
        try:
            record = next(records, None)
        except RuntimeError:
            yield ""
            continue
        if record is None:
            return
        yield str(record["data"])


def _rows(path: Path, wanted: Mapping[int, bytes]) -> dict[int, Found] | str:
    """The rows of the database of Pi-hole FTL with the keys of `wanted`."""
    # If nobody has it open with a write-ahead log, SQLite would create files next to it.
    options = "mode=ro&readonly_shm=1" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    found: dict[int, Found] = {}
    uri = f"{path.resolve().as_uri()}?{options}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as database:
        database.text_factory = lambda octets: octets.decode("utf-8", "backslashreplace")
        database.execute("PRAGMA trusted_schema = OFF")
        for number, record in wanted.items():
            try:
                values = json.loads(record)
                table, key = values.pop("_table"), values["id"]
            except (ValueError, TypeError, KeyError, AttributeError):
                return "the evidence is no row with a key"
            if table not in _TABLES or not isinstance(key, int) or abs(key) >= 1 << 63:
                return f"rows of the table {table} are not read"
            row = _row(database, table, key)
            if row is not None:
                now = record if row == values else json.dumps({"_table": table, **row}).encode()
                found[number] = Found(now, _referred(database, row))
    return found


def _row(database: sqlite3.Connection, table: str, key: int) -> dict[str, Any] | None:
    if not database.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? AND rootpage > 0", (table,)
    ).fetchone():
        return None
    found = database.execute(f"SELECT * FROM {table} WHERE id = ?", (key,))
    row = found.fetchone()
    if row is None:
        return None
    return {
        column[0]: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for column, value in zip(found.description, row, strict=True)
    }


def _referred(database: sqlite3.Connection, row: Mapping[str, Any]) -> bytes:
    """The names to which the columns of a row refer."""
    names: list[str] = []
    for column, table in _NAMES.items():
        other = _row(database, table, row[column]) if isinstance(row.get(column), int) else None
        if other is not None:
            names += [value for value in other.values() if isinstance(value, str)]
    return "\n".join(names).encode()
