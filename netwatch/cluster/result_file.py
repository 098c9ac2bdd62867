"""The file of a result: what a unit gave, or several together.

It begins with `MAGIC`, the size of the head (8 bytes, big-endian), its seal (`seal_of`, 32 bytes)
and the head, a zstd frame of JSON: what it is the result of, statistics, coverage, whose packets
each MAC sends, and how many incidents and bytes each partition has, with their SHA-256. The
partitions follow, each a zstd frame. So the digest of the head is that of all, and who knows it
notices whatever was altered. Their lines are JSON lists: ``[kind, value]`` is a value that
incidents share, ``["incident", key, state]`` an incident. They are sorted
(`netwatch.incidents.scan.entry_order`), so that any number of files are merged with one incident of
each in memory, and incidents of one device are always in the same partition.

Nothing in it can run, and whatever is not as it should be is a `ResultError`.
"""

import hashlib
import hmac
import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, TypeVar

import zstandard

from netwatch.cluster.storage import MissingError, Storage
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.core.typed_json import MISMATCHES, dumps, field_names, loads, read, reader
from netwatch.core.verdict import DeviceClass
from netwatch.coverage.counts import Coverage
from netwatch.coverage.flow_visibility import VISIBILITIES
from netwatch.incidents.incident import Incident
from netwatch.incidents.incident_state import SharedValues, incident_state, restored_incident
from netwatch.incidents.senders import SenderTable
from netwatch.incidents.spill import PARTITIONS, SharedKey

MAGIC = b"netwatch result 2\n"

SCHEMA = "netwatch.result/2"

MAX_HEAD = 256 << 20
"""Bytes of a head. It grows with the devices of its coverage and with the notes on captures."""

MAX_LINE = 256 << 20
"""Bytes of a line: an incident with the packets that prove it."""

BLOCK = 1 << 18
"""Bytes of a partition that are read at a time."""

_STEP = 1 << 12
_SEAL_BYTES = 32
_WINDOW_LOG = 17
_PARAMETERS = zstandard.ZstdCompressionParameters.from_level(
    3, window_log=_WINDOW_LOG, write_checksum=True
)
WRONG = (*MISMATCHES, IndexError, zstandard.ZstdError)
"""What reading something raises that is not as it was written."""


Entry = tuple[SharedKey, Incident]
T = TypeVar("T")


class ResultError(NetwatchError):
    """A result that is damaged, or of something else than its name says. `name` is that of its
    object."""

    def __init__(self, storage: Storage, name: str, reason: str) -> None:
        super().__init__(f"{storage.shown}/{name}: {reason}")
        self.name = name


class Written(NamedTuple):
    """A result that was written: the name of its object, and the SHA-256 of its head."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Part:
    """A partition of a file: its incidents, its place, and its SHA-256."""

    entries: int
    start: int
    end: int
    digest: str


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a result before its incidents are read. `name` is that of its object, `of`
    says in words what it is the result of."""

    name: str
    of: str
    statistics: RunStatistics
    coverage: Coverage
    senders: SenderTable
    parts: tuple[Part, ...]

    @property
    def entries(self) -> int:
        """The number of incidents."""
        return sum(part.entries for part in self.parts)


def write_result(
    storage: Storage,
    name: str,
    of: str,
    statistics: RunStatistics,
    coverage: Coverage,
    senders: SenderTable,
    partitions: Iterable[Iterable[T]],
    write: "Callable[[LineWriter, Iterable[T]], int]",
    key: bytes = b"",
) -> Written:
    """Write a result, whose partitions are sorted, as the object `name`, sealed with `key`. `write`
    writes those of a partition and says how many there were: `write_entries` where they are
    incidents. Raises `netwatch.cluster.storage.StorageError`."""
    with tempfile.TemporaryFile(prefix="netwatch-") as body:
        sizes = []
        for entries in partitions:
            before, hashed = body.tell(), HashedStream(body)
            writer = LineWriter(hashed)
            count = write(writer, entries)
            writer.close()
            sizes.append([count, body.tell() - before, hashed.digest])
        head = {
            "schema": SCHEMA,
            "name": name,
            "of": of,
            "statistics": _statistics_state(statistics),
            "coverage": coverage_state(coverage),
            "senders": senders.state(),
            "partitions": sizes,
        }
        packed = zstandard.ZstdCompressor(compression_params=_PARAMETERS).compress(dumps(head))
        body.seek(0)
        with storage.writing(name) as stream:
            stream.write(MAGIC + len(packed).to_bytes(8) + seal_of(key, name, packed) + packed)
            shutil.copyfileobj(body, stream)
    return Written(name, hashlib.sha256(packed).hexdigest())


def _statistics_state(statistics: RunStatistics) -> dict[str, Any]:
    """The counts of a unit, as JSON can have them: its keys are texts."""
    state = {name: getattr(statistics, name) for name in field_names(RunStatistics)}
    state["unread_records"] = [[*key, count] for key, count in statistics.unread_records.items()]
    return state


def _statistics(state: Any) -> RunStatistics:
    """The counts of which `_statistics_state` gave this."""
    unread = read(list[tuple[str, str, int]], state["unread_records"])
    statistics: RunStatistics = read(RunStatistics, state | {"unread_records": {}})
    statistics.unread_records.update({(path, reason): count for path, reason, count in unread})
    return statistics


def write_entries(writer: "LineWriter", entries: Iterable[Entry]) -> int:
    """Write incidents, and what they share before them; how many there were."""
    shared, count = SharedValues(lambda kind, value: writer.line([kind, value])), 0
    for key, incident in entries:
        # What it shares is written while its state is made, so it is before it.
        writer.line(["incident", key, incident_state(incident, shared)])
        count += 1
    return count


def read_head(storage: Storage, written: Written) -> Head:
    """The head of a result. Raises `ResultError`, also where it is not what was written, and
    `netwatch.cluster.storage.StorageError`."""
    name, digest = written
    prefix, packed, _ = _packed_head(storage, name)
    size = len(packed)
    if not hmac.compare_digest(hashlib.sha256(packed).hexdigest(), digest):
        raise ResultError(storage, name, "is not what was written")
    try:
        found = loads(b"".join(_decompressed([packed], MAX_HEAD)))
        if found["schema"] != SCHEMA or found["name"] != name:
            raise ValueError("it is the result of another unit")
        statistics = _statistics(found["statistics"])
        coverage = restored_coverage(found["coverage"])
        senders = SenderTable.restored(found["senders"])
        sizes = read(list[tuple[int, int, str]], found["partitions"])
        of = read(str, found["of"])
    except WRONG as error:
        raise ResultError(storage, name, f"is damaged ({error})") from None
    parts, at = [], prefix + size
    for entries, octets, part_digest in sizes:
        parts.append(Part(entries, at, at + octets, part_digest))
        at += octets
    if len(parts) != PARTITIONS:
        raise ResultError(storage, name, f"has {len(parts)} partitions")
    return Head(name, of, statistics, coverage, senders, tuple(parts))


def sealed(storage: Storage, name: str, key: bytes) -> Written | None:
    """The result that is there, if it is sealed with a key; else None."""
    try:
        _, packed, seal = _packed_head(storage, name)
    except (ResultError, MissingError):
        return None
    if not hmac.compare_digest(seal, seal_of(key, name, packed)):
        return None
    return Written(name, hashlib.sha256(packed).hexdigest())


def seal_of(key: bytes, name: str, packed: bytes) -> bytes:
    """HMAC-SHA256 of the name of an object and its packed head."""
    named = len(name.encode()).to_bytes(4) + name.encode()
    return hmac.digest(key, named + packed, "sha256")


def _packed_head(storage: Storage, name: str) -> tuple[int, bytes, bytes]:
    """How many bytes are before the head of a result, the head as it is written, and its seal.
    Raises `ResultError` and `netwatch.cluster.storage.StorageError`."""
    prefix = len(MAGIC) + 8 + _SEAL_BYTES
    first = storage.read(name, 0, BLOCK)
    if first[: len(MAGIC)] != MAGIC or len(first) < prefix:
        raise ResultError(storage, name, "is no result of this version of netwatch")
    size = int.from_bytes(first[len(MAGIC) : len(MAGIC) + 8])
    if size > MAX_HEAD:
        raise ResultError(storage, name, "is damaged")
    packed = first[prefix : prefix + size]
    if prefix + size > len(first):
        packed += storage.read(name, len(first), prefix + size)
    return prefix, packed, first[prefix - _SEAL_BYTES : prefix]


def read_entries(storage: Storage, head: Head, partition: int, quiet_gap: int) -> Iterator[Entry]:
    """The incidents of a partition, in order; `quiet_gap` is in ns. Raises `ResultError` and
    `netwatch.cluster.storage.StorageError`."""
    part, shared, count = head.parts[partition], SharedValues(), 0
    if not part.entries:
        return
    try:
        for line in lines(storage, head.name, part.start, part.end, part.digest):
            kind, *rest = loads(line)
            if kind != "incident":
                shared.add(kind, *rest)
                continue
            count += 1
            key, state = rest
            yield read(tuple[str, ...], key), restored_incident(state, quiet_gap, shared)
    except MissingError as error:
        raise ResultError(storage, head.name, "is not there any more") from error
    except WRONG as error:
        raise ResultError(storage, head.name, f"is damaged ({error})") from None
    if count != part.entries:
        raise ResultError(storage, head.name, "is damaged: incidents are missing")


class HashedStream:
    """Writes to a stream; `digest` is the SHA-256 of what was written."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write bytes."""
        self._hash.update(data)
        return self._stream.write(data)

    @property
    def digest(self) -> str:
        """The SHA-256 so far, in hex digits."""
        return self._hash.hexdigest()


class LineWriter:
    """Writes JSON lines as one zstd frame to a stream, and nothing if there is no line."""

    def __init__(self, stream: HashedStream) -> None:
        self._stream: Any = stream  # Of a file, a compressor needs `write` alone.
        self._writer: Any = None
        self._buffer = io.BytesIO()

    def line(self, value: Any) -> None:
        """Write a value."""
        self.text(dumps(value))

    def text(self, line: bytes) -> None:
        """Write a value that is JSON already."""
        self._buffer.write(line)
        self._buffer.write(b"\n")
        if self._buffer.tell() > BLOCK:
            self._flush()

    def close(self) -> None:
        """End the frame. The stream stays open."""
        if self._writer is None and not self._buffer.tell():
            return
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._writer is None:
            # Most of the partitions of a unit are empty, and a compressor costs more than a line.
            compressor = zstandard.ZstdCompressor(compression_params=_PARAMETERS)
            self._writer = compressor.stream_writer(self._stream, closefd=False)
        self._writer.write(self._buffer.getvalue())
        self._buffer = io.BytesIO()


def lines(storage: Storage, name: str, start: int, end: int, digest: str) -> Iterator[bytes]:
    """The lines of a frame that `LineWriter` wrote at this place of an object. Raises `ValueError`
    at its end where its SHA-256 is another one."""
    rest = b""
    for piece in _decompressed(_blocks(storage, name, start, end, digest), None):
        whole = (rest + piece).split(b"\n")
        rest = whole.pop()
        if len(rest) > MAX_LINE:
            raise ValueError("a line is too long")
        yield from whole
    if rest:
        raise ValueError("the last line is cut")


def _blocks(storage: Storage, name: str, start: int, end: int, digest: str) -> Iterator[bytes]:
    found = hashlib.sha256()
    for at in range(start, end, BLOCK):
        block = storage.read(name, at, min(end, at + BLOCK))
        found.update(block)
        yield block
    if not hmac.compare_digest(found.hexdigest(), digest):
        raise ValueError("it is not what was written")


def _decompressed(blocks: Iterable[bytes], limit: int | None) -> Iterator[bytes]:
    """The content of a frame, piece by piece. Raises `ValueError` if it is cut or longer than
    `limit` bytes, and `zstandard.ZstdError`."""
    total = 0
    frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    for block in blocks:
        # In small steps, because a few bytes may become very many.
        for at in range(0, len(block), _STEP):
            if frame.eof:
                raise ValueError("something follows its end")
            piece = frame.decompress(block[at : at + _STEP])
            total += len(piece)
            if limit is not None and total > limit:
                raise ValueError("it is too long")
            yield piece
    if not frame.eof:
        raise ValueError("its end is missing")


_NUMBERS = [int] * len(VISIBILITIES)
_read_text = reader(str)


def coverage_state(coverage: Coverage) -> dict[str, Any]:
    """All counts, as JSON can have them. Numbers are in the order of `VISIBILITIES`."""
    return {
        "outside": coverage._outside,
        "missed": coverage._missed,
        "one_of": {str(names): flows for names, flows in coverage._one_of.items()},
        "networks": [
            [name, device_class, counts]
            for name, (device_class, counts) in sorted(coverage._networks.items())
        ],
        "devices": [[*key, counts] for key, counts in sorted(coverage._devices.items())],
    }


def restored_coverage(state: Any) -> Coverage:
    """The counts that `coverage_state` gave. Raises one of
    `netwatch.core.typed_json.MISMATCHES`."""
    coverage = Coverage()
    coverage._outside = _counts(state["outside"])
    coverage._missed.update(read(dict[str, int], state["missed"]))
    for names, flows in read(dict[str, int], state["one_of"]).items():
        coverage._one_of[int(names)] = flows
    for name, device_class, counts in state["networks"]:
        networks = coverage._networks
        networks[read(str, name)] = read(DeviceClass, device_class), _counts(counts)
    for network, device, counts in state["devices"][: coverage._limit]:
        coverage._devices[_read_text(network), _read_text(device)] = _counts(counts)
    if any(network not in coverage._networks for network, _ in coverage._devices):
        raise ValueError("a device is in no network")
    return coverage


def _counts(found: Any) -> list[int]:
    # An archive has a list for each device of each capture: one comparison is a tenth of the time.
    if not isinstance(found, list) or [*map(type, found)] != _NUMBERS:
        raise ValueError(f"expected {len(VISIBILITIES)} numbers")
    return found
