"""Shared incidents become the incidents of each ban, on disk if a scan finds more of them than fit
into memory.

Contacts are aggregated once for all bans that treat them alike (`netwatch.incidents.aggregate`).
What bans say may change from one contact to the next: a period begins at midnight, an exemption
ends. Then an incident of a ban consists of several shared ones, which are merged as if their
contacts had arrived in any order. Bans that are in the same shared incidents have the same
incidents.

All incidents in memory are written to a file at once, in pieces of partitions by a hash of the
device, and memory is free again. At the end one piece after the other is read from all files and
merged, because incidents of one device are always in the same one. This is external aggregation as
in databases: the incidents are the same, however many files were written and by whichever process.
The files are in a private folder (`netwatch.core.private_files`), which is created when the first
file is written, or before other processes of the scan begin.
"""

import contextlib
import hashlib
import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import PrivateFolder
from netwatch.core.verdict import Contact, Ruling
from netwatch.incidents.contacts import ContactProgress
from netwatch.incidents.incident import Incident

SharedKey = tuple[str, ...]
"""The common key of all contacts of a shared incident: device id, app id, and the key of their
`Decision`. If one ban decides, it is the key of the incident under this ban."""

PARTITIONS = 64
"""Partitions of incidents."""

PIECES = 4
"""Pieces of a partition in a file. One of them must fit into memory, and one alert of each."""


class Reported(NamedTuple):
    """An incident, and the rulings under which it is one, from its first contact."""

    incident: Incident
    rulings: Sequence[Ruling]


def reported(
    shared: Iterable[tuple[SharedKey, Sequence[Incident]]], quiet_gap: int
) -> Iterator[Reported]:
    """The incidents of all bans, each once with all its rulings. `shared` has the incidents of each
    key; `quiet_gap` is in ns."""
    subjects: dict[SharedKey, list[Sequence[Incident]]] = {}
    for key, incidents in shared:
        subjects.setdefault(key[:2], []).append(incidents)
    for parts in subjects.values():
        if len(parts) == 1:
            for incident in parts[0]:
                yield from _by_progress(incident, incident.first_contact.decision.rulings)
        else:
            yield from _of_subject(parts, quiet_gap)


def _of_subject(parts: Sequence[Sequence[Incident]], quiet_gap: int) -> Iterator[Reported]:
    """The incidents of one device and app whose contacts bans treat differently."""
    places: dict[tuple[str, str], list[int]] = {}
    for number, incidents in enumerate(parts):
        for ruling in incidents[0].first_contact.decision.rulings:
            places.setdefault((ruling.ban.id, ruling.kind), []).append(number)
    said_together: dict[tuple[int, ...], set[tuple[str, str]]] = {}
    for said, numbers in places.items():
        said_together.setdefault(tuple(numbers), set()).add(said)
    for together, all_said in said_together.items():
        for incident in _joined([parts[number] for number in together], quiet_gap):
            rulings = [
                each
                for each in incident.first_contact.decision.rulings
                if (each.ban.id, each.kind) in all_said
            ]
            yield from _by_progress(incident, rulings)


def _joined(parts: Sequence[Sequence[Incident]], quiet_gap: int) -> Iterable[Incident]:
    """The incidents of several parts, those within the quiet gap merged. None is changed."""
    if len(parts) == 1:
        return parts[0]
    found: list[Incident] = []
    copied: set[int] = set()
    for incident in sorted(chain.from_iterable(parts), key=lambda each: each.first):
        if not found or incident.first > found[-1].last + quiet_gap:
            found.append(incident)
            continue
        if len(found) not in copied:
            copied.add(len(found))
            found[-1] = found[-1].copy()
        found[-1].merge(incident)
    return found


def _by_progress(incident: Incident, rulings: Sequence[Ruling]) -> Iterator[Reported]:
    """The incident under bans with the same information about outcomes."""
    if not incident.partial:
        yield Reported(incident, rulings)
        return
    alike: dict[tuple[bool, ...], list[Ruling]] = {}
    for ruling in rulings:
        concerned = tuple(ruling.ban.id in bans for bans in incident.partial)
        alike.setdefault(concerned, []).append(ruling)
    for each in alike.values():
        yield Reported(incident.under(frozenset(ruling.ban.id for ruling in each)), each)


@dataclass(frozen=True, slots=True)
class LateProgress:
    """The outcome of a contact whose incident is already in a file."""

    key: SharedKey
    contact: Contact
    progress: ContactProgress
    bans: frozenset[str] | None


Entry = tuple[SharedKey, Incident | Contact] | LateProgress
"""The content of a piece of a partition: incidents, those of one contact as just that contact, and
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

    def __init__(self) -> None:
        self._path: Path | None = None
        self._folder: PrivateFolder | None = None

    def share(self) -> None:
        """Create the folder, before other processes use it too. If that is not possible it is
        retried when there is something to write."""
        with contextlib.suppress(OSError):
            self._create()

    def __getstate__(self) -> dict[str, Path | None]:
        self.share()
        return {"_path": self._path, "_folder": None}

    def _create(self) -> Path:
        """The path of the folder."""
        if self._path is None:
            self._folder = PrivateFolder()
            self._path = self._folder.path
        return self._path

    def write_incidents(self, entries: Iterable[Entry]) -> SpillFile:
        """Write entries to a new file. Raises `NetwatchError` if it cannot be written."""
        pieces: list[list[Entry]] = [[] for _ in range(PARTITIONS * PIECES)]
        for entry in entries:
            key = entry.key if isinstance(entry, LateProgress) else entry[0]
            pieces[piece_of(key)].append(entry)
        path, offsets = self._write("incidents", pieces)
        return SpillFile(path, offsets)

    def write_alerts(self, alerts: Iterable[Alert]) -> Path:
        """Write alerts, which are in order, to a new file. Raises `NetwatchError` if it cannot
        be written."""
        return self._write("alerts", alerts)[0]

    def remove(self) -> None:
        """Delete all files."""
        if self._folder is not None:
            self._folder.remove()

    def _write(self, name: str, values: Iterable[Any]) -> tuple[Path, tuple[int, ...]]:
        import pickle
        import tempfile

        try:
            handle, path = tempfile.mkstemp(prefix=f"{name}-", dir=self._create())
            offsets = []
            with os.fdopen(handle, "wb") as stream:
                for value in values:
                    offsets.append(stream.tell())
                    pickle.dump(value, stream)
        except OSError as error:
            raise NetwatchError(
                f"{error.filename or self._path}: cannot store incidents that do not fit into"
                f" memory: {error.strerror}; without a store, the variable TMPDIR names the folder"
                " for temporary files"
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
    # By device only: an incident of a ban may consist of several shared ones, and whether a client
    # is proven depends on all its apps.
    digest = hashlib.blake2b(key[0].encode(), digest_size=8).digest()
    return int.from_bytes(digest) % (PARTITIONS * PIECES)
