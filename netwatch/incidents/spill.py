"""Incidents on disk, where a scan finds more of them than fit into memory.

All incidents in memory are written to a file at once, in pieces of partitions by a hash of the
device, and memory is free again. At the end one piece after the other is read from all files and
merged, because incidents of one device are always in the same one. This is external
aggregation as databases do it: the incidents are the same, however many files were written and by
whom.

The files are in a folder in the temporary directory (``TMPDIR``), which only their owner can read.
It is created when the first file is written.
"""

import hashlib
import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.core.verdict import Contact
from netwatch.incidents.incident import Incident
from netwatch.incidents.progress import ContactProgress
from netwatch.incidents.shared import SharedKey

PARTITIONS = 64
"""Partitions of incidents."""

PIECES = 4
"""Pieces of a partition in a file. One of them has to fit into memory, and one alert of each."""


@dataclass(frozen=True, slots=True)
class LateProgress:
    """What became of a contact whose incident is in a file already."""

    key: SharedKey
    contact: Contact
    progress: ContactProgress
    bans: frozenset[str] | None


Entry = tuple[SharedKey, Incident | Contact] | LateProgress
"""What a piece of a partition consists of: incidents, those of one contact as that contact, and
progress."""


@dataclass(frozen=True, slots=True)
class SpillFile:
    """A file of incidents; piece `n` starts at ``offsets[n]``. Partition `m` has the pieces `m`,
    ``m + PARTITIONS`` and so on."""

    path: Path
    offsets: tuple[int, ...]

    def read(self, piece: int) -> Sequence[Entry]:
        """The entries of a piece."""
        import pickle

        with self.path.open("rb") as stream:
            stream.seek(self.offsets[piece])
            entries: Sequence[Entry] = pickle.load(stream)
        return entries


class SpillFolder:
    """The folder of the files of one scan. All its processes write into it; the process that
    created this object removes it."""

    @cached_property
    def _path(self) -> Path:
        import tempfile  # not at the top, because few scans need the folder

        # The name cannot be guessed, so nobody else can create the folder before.
        return Path(tempfile.gettempdir(), f"netwatch-{os.urandom(12).hex()}")

    def __getstate__(self) -> dict[str, Path]:
        return {"_path": self._path}  # other processes use the same one

    def write_incidents(self, entries: Iterable[Entry]) -> SpillFile:
        """Write entries to a new file. Raises `NetwatchError` where it cannot be written."""
        pieces: list[list[Entry]] = [[] for _ in range(PARTITIONS * PIECES)]
        for entry in entries:
            key = entry.key if isinstance(entry, LateProgress) else entry[0]
            pieces[piece_of(key)].append(entry)
        path, offsets = self._write("incidents", pieces)
        return SpillFile(path, offsets)

    def write_alerts(self, alerts: Iterable[Alert]) -> Path:
        """Write alerts, which are in order, to a new file. Raises `NetwatchError` where it cannot
        be written."""
        return self._write("alerts", alerts)[0]

    def remove(self) -> None:
        """Delete all files."""
        if "_path" in self.__dict__:
            import shutil

            shutil.rmtree(self._path, ignore_errors=True)

    def _write(self, name: str, values: Iterable[Any]) -> tuple[Path, tuple[int, ...]]:
        import pickle
        import tempfile

        try:
            self._path.mkdir(mode=0o700, exist_ok=True)
            handle, path = tempfile.mkstemp(prefix=f"{name}-", dir=self._path)
            offsets = []
            with os.fdopen(handle, "wb") as stream:
                for value in values:
                    offsets.append(stream.tell())
                    pickle.dump(value, stream)
        except OSError as error:
            raise NetwatchError(
                f"{self._path}: cannot store incidents that do not fit into memory:"
                f" {error.strerror}; the variable TMPDIR names the folder for temporary files"
            ) from error
        return Path(path), tuple(offsets)


class MergedAlerts:
    """The alerts of several files, each of which is in order, in one order. They can be iterated
    more than once, while the files exist."""

    def __init__(self, files: Sequence[Path], order: Callable[[Alert], Any]) -> None:
        self._files = files
        self._order = order

    def __iter__(self) -> Iterator[Alert]:
        return heapq.merge(*(_read_alerts(file) for file in self._files), key=self._order)


def _read_alerts(path: Path) -> Iterator[Alert]:
    import pickle

    with path.open("rb") as stream:
        while True:
            try:
                alert: Alert = pickle.load(stream)
            except EOFError:
                return
            yield alert


def partition_of(key: SharedKey) -> int:
    """The partition that the incidents of a key are in."""
    return piece_of(key) % PARTITIONS


def piece_of(key: SharedKey) -> int:
    """The piece that the incidents of a key are in."""
    # By device alone: an incident of a ban may consist of several shared ones, and whether a client
    # is proven is asked of all its apps.
    digest = hashlib.blake2b(key[0].encode(), digest_size=8).digest()
    return int.from_bytes(digest) % (PARTITIONS * PIECES)
