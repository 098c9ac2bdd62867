"""Capture files in, blocks of packets out: which files belong together, and which cannot be read;
and a log as a unit of a run alongside captures.

A unit of a run is a capture of one file or more, or a log. The formats of logs are imported only
if an option names one, or a file may be a log.
"""

import contextlib
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.capture.block import CAPTURED, OFFSET, TIME, Block, Interface, Named
from netwatch.capture.files import (
    STDIN,
    CaptureFile,
    NotACaptureError,
    OwnEvidenceError,
    find_captures,
    has_capture_name,
    may_be_text,
    open_source,
)
from netwatch.capture.stream import ReadFailure, Windows
from netwatch.core.encapsulation import LINK_TYPES
from netwatch.core.errors import CaptureError
from netwatch.core.statistics import RunStatistics
from netwatch.logs import LogOptions

if TYPE_CHECKING:
    from netwatch.logs.log_files import Log

Progress = Callable[[RunStatistics, Named, int], None]
"""Called after each block with the statistics so far, the source, and the bytes of it that were
read."""

LINK_TYPES_NAMED = 8
"""Link types of a capture to name in a note, at most."""

_READ_LINK_TYPES = frozenset(row.number for row in LINK_TYPES)

SEED_BYTES = 2048
"""Bytes of the first packet that the seed of a capture depends on."""


DAY = 86_400_000_000_000
"""A day, ns."""


def group_files(
    files: Iterable[CaptureFile], continuous: bool, by_day: bool = False
) -> Iterator[Sequence[CaptureFile]]:
    """The files of each capture: one each or, with `continuous`, all files as one split capture, in
    the order of their first packets. With `by_day` it is one for each folder and each day (UTC) of
    the first packets."""
    if continuous and by_day:
        days: dict[tuple[str, int], list[tuple[int, CaptureFile]]] = {}
        for file in files:
            time = _first_packet_time(file)
            folder = file.path.rpartition("/")[0]
            days.setdefault((folder, time // DAY), []).append((time, file))
        for _, found in sorted(days.items(), key=lambda day: day[0]):
            yield [file for _, file in sorted(found, key=lambda timed: timed[0])]
    elif continuous:
        yield sorted(files, key=_first_packet_time)
    else:
        for file in files:
            yield (file,)


def _first_packet_time(file: CaptureFile) -> int:
    """The time of the first packet in ns since the epoch; 0 if there is none."""
    if file.error is None and file.path != STDIN:
        with contextlib.suppress(CaptureError):
            for block in open_source(file).blocks():
                return block.records[TIME]
    return 0


def expected_packets(files: Iterable[CaptureFile]) -> float:
    """Roughly how many packets the files have, from their sizes and their first packets; infinite
    if the size of one is not known."""
    packets = 0.0
    for file in files:
        if file.error is not None:
            continue
        with contextlib.suppress(CaptureError):
            if file.size is None and (file.path == STDIN or file.url or Path(file.path).exists()):
                return math.inf
            source = open_source(file)
            for block in source.blocks():
                packets += block.count * (source.size or 0) / max(1, block.position)
                break
    return packets


def capture_seed(block: Block) -> int:
    """A 62-bit number for the hash tables of a capture, from the first packet of its first block,
    which must have one: only live sources yield blocks without packets.

    Each capture is read in the same way every time. Senders of packets cannot choose those that
    collide in a table, because the time and the content of the first packet are not known.
    """
    time, offset, captured = block.records[TIME], block.records[OFFSET], block.records[CAPTURED]
    packet = bytes(block.data[offset : offset + min(captured, SEED_BYTES)])
    digest = hashlib.blake2b(time.to_bytes(8, signed=True) + packet, digest_size=8).digest()
    return int.from_bytes(digest) >> 2


class _LinkTypes:
    """The link types of a capture that are not read."""

    def __init__(self) -> None:
        self._interfaces: tuple[Interface, ...] = ()
        self._unknown: set[int] = set()

    def add(self, interfaces: tuple[Interface, ...]) -> None:
        """Look at the interfaces of a block, which are usually the same as in the previous one."""
        if interfaces is not self._interfaces:
            self._interfaces = interfaces
            self._unknown |= {interface.link_type for interface in interfaces} - _READ_LINK_TYPES

    def notes(self) -> Iterator[str]:
        """A sentence if there are any."""
        if self._unknown:
            numbers = sorted(self._unknown)
            more = f" and {len(numbers) - LINK_TYPES_NAMED} more" * (
                len(numbers) > LINK_TYPES_NAMED
            )
            named = ", ".join(map(str, numbers[:LINK_TYPES_NAMED]))
            yield f"packets of link type {named}{more} are not read (numbers of tcpdump.org)"


def read_blocks(
    files: Iterable[CaptureFile],
    statistics: RunStatistics,
    progress: Progress | None = None,
    windows: Windows | None = None,
) -> Iterator[tuple[Block, str]]:
    """The blocks of all files, one file after the other, each with the name of its source. Their
    bytes are in `windows`, if given.

    A file that cannot be read is noted in `statistics` and the next one is read. So is a truncated
    file, after its readable part, and one whose storage fails midway, which counts as unread.
    """
    for file in files:
        if file.error:
            statistics.unread.append(file.error)
            continue
        try:
            source = open_source(file, windows)
            link_types = _LinkTypes()
            for block in source.blocks():
                link_types.add(block.interfaces)
                yield block, source.name
                if progress is not None:
                    progress(statistics, source, block.position)
            statistics.anomalies.update(+Counter({"capture-dropped": source.dropped}))
            statistics.files += 1
            notes = [*source.notes, *link_types.notes()]
            for note in notes:
                is_failure = isinstance(note, ReadFailure)
                to = statistics.unread if is_failure else statistics.notes
                to.append(f"{source.name}: {note}")
            if source.unread is not None:
                statistics.damaged[source.name] = source.unread
        except OwnEvidenceError:
            statistics.own_evidence.append(file.path)
        except NotACaptureError as error:
            if file.named_by_user or has_capture_name(file.path):
                statistics.unread.append(str(error))
            else:
                statistics.skipped.append(file.path)
                if file.hint:
                    statistics.notes.append(f"{file.path}: {file.hint}")
        except CaptureError as error:
            statistics.unread.append(str(error))


@dataclass(frozen=True, slots=True)
class LogUnit:
    """All files of one log, which are judged together, with the user's options for logs. If it
    `counts_flows`, all its records are read for the coverage: whether a flow had a name is in
    records that are otherwise of no interest."""

    log: "Log"
    options: LogOptions
    counts_flows: bool = False

    @property
    def files(self) -> Sequence[CaptureFile]:
        """Its files, in order of time."""
        return self.log.files


Capture = Sequence[CaptureFile]
"""The files of one capture."""

Unit = Capture | LogUnit
"""The captures that one worker reads."""


def find_units(
    paths: Sequence[str],
    options: LogOptions,
    *,
    continuous: bool = False,
    by_day: bool = False,
    counts_flows: bool = False,
) -> tuple[list[Capture], list[LogUnit]]:
    """The captures and the logs in `paths`, which are as for `find_captures`. With `continuous` and
    `by_day` captures consist of several files (see `group_files`); with `counts_flows` the coverage
    of the flows in logs is wanted. Raises `ConfigError` for a URL that no installed package
    opens."""
    captures, logs = divided(find_captures(paths), options)
    units = [LogUnit(log, options, counts_flows) for log in logs]
    return list(group_files(captures, continuous, by_day)), units


def divided(
    files: Sequence[CaptureFile], options: LogOptions
) -> "tuple[Sequence[CaptureFile], Sequence[Log]]":
    """The captures and the logs among files (see `netwatch.logs.log_files.divide`)."""
    if all(
        file.error is not None or (has_capture_name(file.path) and not may_be_text(file))
        for file in files
    ):
        # Importing all formats takes longer than reading a small capture.
        return ([] if options.only == "logs" else files), ()
    from netwatch.logs.log_files import divide

    return divide(files, options)
