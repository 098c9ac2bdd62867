"""The spool of a sensor: files that wait until the centre has committed them, a note on the run
that is being written, and the sender of the files.

The writer of facts adds files (`put`), the link to the centre reads and removes them. The name of a
file contains everything that must be known without opening it::

    00000001764200000000000000a3f1-0000000007-observation-30000.batch
    epoch                          sequence   table       rows

An epoch is one life of a writer; in it sequences count from 1. A file is written under another name
and renamed, so it is never half written, and leftovers of a killed writer are swept.

The note tells up to when the run is written. If a process was killed, the next one finds it, and
tells the centre since when something is missing.

Files are sent in order, and deleted when the centre has committed them. A few are in transit at a
time. If the centre does not commit any for a while, or another connection begins, everything is
sent again from the oldest on: the centre knows what it has.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from netwatch.core.errors import NetwatchError
from netwatch.fleet.envelope import CONTENT_BYTES
from netwatch.store.hour_rows import UNSEEN

if TYPE_CHECKING:
    import pyarrow as pa
import asyncio

from netwatch import __version__
from netwatch.fleet.access import subject
from netwatch.fleet.envelope import Envelope, cut

MAX_FILE_BYTES = CONTENT_BYTES["facts"]
"""Bytes of a file in the spool."""

_NAME = re.compile(r"(\d{20}[0-9a-f]{4})-(\d{10})-([a-z]{1,16})-(\d{1,9})\.batch")
_TEMPORARY = ".tmp"

NAME = "run.json"
"""The file of the note, in the folder of the spool."""

UNDER_WAY = 16
"""Files that are sent but not committed, at most."""

RESEND_SECONDS = 30.0
"""Seconds without a commit after which files are sent again."""

LOOK_SECONDS = 1.0
"""Seconds between two looks into the spool."""

FULL_SECONDS = 5.0
"""Seconds until a full stream is tried again."""

_FACTS = ("observation", "flow", "claim")


class SpoolFile(NamedTuple):
    """A file in the spool; in order of epoch and sequence, as they are sent."""

    epoch: str
    sequence: int
    table: str
    rows: int
    size: int

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return f"{self.epoch}-{self.sequence:010}-{self.table}-{self.rows}.batch"

    @property
    def id(self) -> str:
        """Identifies it among all files of its sensor."""
        return f"{self.epoch}-{self.sequence}"


class SpoolWriter:
    """Adds files to the spool in `folder`, which is made if there is none. Raises
    `NetwatchError` if that is not possible."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._epoch = f"{time.time_ns():020}{secrets.token_hex(2)}"
        self._sequence = 0
        try:
            folder.mkdir(0o700, parents=True, exist_ok=True)
            for path in folder.glob(f"*{_TEMPORARY}"):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise NetwatchError(f"the spool {folder}: {error.strerror}") from None

    def put(self, table: str, rows: int, content: bytes) -> None:
        """Add a file; it is on disk when this returns. Raises `NetwatchError`, and may then be
        called again."""
        file = SpoolFile(self._epoch, self._sequence + 1, table, rows, len(content))
        path = self._folder / file.name
        temporary = path.with_suffix(_TEMPORARY)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.rename(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise NetwatchError(f"the spool {self._folder}: {error.strerror}") from None
        self._sequence += 1


class Spool:
    """The files in `folder`, the oldest of which are evicted above `max_bytes`. `evicted_rows`
    counts their rows. For one process."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self.evicted_rows = 0
        self.problem = ""

    def files(self) -> list[SpoolFile]:
        """All waiting files, oldest first, after the eviction of excess ones. Empty if the folder
        cannot be read, with the reason in `problem`."""
        found = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    match = _NAME.fullmatch(entry.name)
                    if match is None:
                        continue
                    with suppress(FileNotFoundError):
                        size = entry.stat().st_size
                        found.append(
                            SpoolFile(match[1], int(match[2]), match[3], int(match[4]), size)
                        )
            self.problem = ""
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problem = f"the spool {self._folder}: {error.strerror}"
            return []
        found.sort()
        return self._evict(found)

    def _evict(self, files: list[SpoolFile]) -> list[SpoolFile]:
        total = sum(file.size for file in files)
        at = 0
        while total > self._max_bytes and at < len(files):
            total -= files[at].size
            self.evict(files[at])
            at += 1
        return files[at:]

    def evict(self, file: SpoolFile) -> None:
        """Delete a file that the centre does not have, and count that."""
        self.evicted_rows += file.rows
        self.remove([file])

    def read(self, file: SpoolFile) -> bytes | None:
        """The content of a file; None if it is gone or cannot be read."""
        try:
            return (self._folder / file.name).read_bytes()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self.problem = f"the spool {self._folder}: {error.strerror}"
            return None

    def remove(self, files: Iterable[SpoolFile]) -> None:
        """Delete files that are no longer needed."""
        for file in files:
            with suppress(OSError):
                (self._folder / file.name).unlink()


def before(files: Iterable[SpoolFile], file: SpoolFile) -> int:
    """The sequence of the file that precedes one in its epoch and still waits; 0 if none does. The
    centre only accepts a file when it has that one."""
    return max(
        (other.sequence for other in files if other.epoch == file.epoch and other < file), default=0
    )


@dataclass(frozen=True, slots=True)
class KilledRun:
    """A run according to its note: the record of its key, the positions of its captures, the times
    of their facts from `first` to `last` (ns), and until when it may have seen more (`unseen`)."""

    run: Mapping[str, Any]
    positions: Collection[int]
    first: int
    last: int
    unseen: int


class RunNote:
    """The note in `folder`. `positions` are the captures with facts, `last` is the time of the
    newest one. Raises `NetwatchError` if it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self.positions: set[int] = set()
        self.first: int | None = None
        self.last: int | None = None

    def see(self, times: "pa.Array") -> None:
        """Note the times of facts (ns)."""
        from pyarrow import compute

        if not len(times):
            return
        span = compute.min_max(times).as_py()
        self.first = span["min"] if self.first is None else min(self.first, span["min"])
        self.last = span["max"] if self.last is None else max(self.last, span["max"])

    def write(self, run: Mapping[str, Any]) -> None:
        """Write the note, of the run with this key."""
        content = {
            "run": run,
            "positions": sorted(self.positions),
            "first": self.first,
            "last": self.last,
            "at": time.time_ns(),
        }
        temporary = self._path.with_suffix(".tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                json.dump(content, stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self._path)
        except OSError as error:
            raise NetwatchError(f"the spool {self._path.parent}: {error.strerror}") from None

    def read(self) -> KilledRun | None:
        """The run of the note; None if there is no readable one."""
        try:
            found = json.loads(self._path.read_text())
            run, last, at = dict(found["run"]), int(found["last"]), int(found["at"])
            int(run["started"])
            unseen = last + min(max(0, time.time_ns() - at), UNSEEN)
            positions = [*map(int, found["positions"])]
            return KilledRun(run, positions, int(found["first"]), last, unseen)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def resume(self, found: KilledRun) -> None:
        """Continue the note of the same run, whose writer has died."""
        self.positions.update(found.positions)
        self.first, self.last = found.first, found.last

    def remove(self) -> None:
        """The run has ended."""
        self._path.unlink(missing_ok=True)


class FactSender:
    """Sends for `sensor` what is in `spool`. `committed` counts rows, `waiting` and `waiting_bytes`
    are the files that the spool has."""

    def __init__(self, sensor: str, spool: Spool) -> None:
        self._sensor = sensor
        self._spool = spool
        self._news = asyncio.Event()
        self._through: dict[str, int] = {}
        self._progress = 0.0
        self.committed = 0
        self.waiting = 0
        self.waiting_bytes = 0
        self.problem = ""

    def take_news(self, news: Mapping[str, Any]) -> None:
        """Note up to which file of an epoch the centre has committed; from the loop's thread."""
        epoch, through = news.get("epoch"), news.get("through")
        if isinstance(epoch, str) and type(through) is int:
            if through > self._through.get(epoch, 0):
                self._through[epoch] = through
                self._progress = time.monotonic()
            self._news.set()

    async def run(self, client: Any) -> None:
        """Send over a connection until this is cancelled. Raises errors of the library."""
        sent: set[SpoolFile] = set()
        attempt = 0
        self._progress = time.monotonic()
        while True:
            self._news.clear()
            files = await asyncio.to_thread(self._spool.files)
            files = await self._remove_committed(files)
            sent &= set(files)
            if sent and time.monotonic() - self._progress > RESEND_SECONDS:
                sent.clear()
                attempt += 1
                self._progress = time.monotonic()
            for file in files[:UNDER_WAY]:
                if file not in sent:
                    await self._send(client, files, file, attempt)
                    sent.add(file)
            if not sent:
                self._progress = time.monotonic()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _remove_committed(self, files: list[SpoolFile]) -> list[SpoolFile]:
        done = [file for file in files if file.sequence <= self._through.get(file.epoch, 0)]
        if done:
            await asyncio.to_thread(self._spool.remove, done)
            self.committed += sum(file.rows for file in done if file.table in _FACTS)
        gone = {*done}
        left = [file for file in files if file not in gone]
        epochs = {file.epoch for file in files}
        self._through = {
            epoch: through for epoch, through in self._through.items() if epoch in epochs
        }
        self.waiting, self.waiting_bytes = len(left), sum(file.size for file in left)
        return left

    async def _send(
        self, client: Any, files: list[SpoolFile], file: SpoolFile, attempt: int
    ) -> None:
        content = await asyncio.to_thread(self._spool.read, file)
        if content is None or len(content) > MAX_FILE_BYTES:
            # It was evicted meanwhile, or nobody can accept it.
            if content is not None:
                await asyncio.to_thread(self._spool.evict, file)
            return
        kind = "facts" if file.table in _FACTS else "coverage"
        envelope = Envelope(
            sensor=self._sensor,
            kind=kind,
            sequence=file.sequence,
            sent=time.time_ns(),
            version=__version__,
            id=file.id,
            payload=content,
            fields={
                "epoch": file.epoch,
                "after": before(files, file),
                "table": file.table,
                "rows": file.rows,
            },
        )
        for number, data in enumerate(cut(envelope), 1):
            await self._publish(client, kind, f"{file.id}.{number}.{attempt}", data)

    async def _publish(self, client: Any, kind: str, identity: str, data: bytes) -> None:
        """Publish a message, however long it takes until the stream has room."""
        from nats.js.errors import APIError, NoStreamResponseError

        jetstream = client.jetstream(timeout=10)
        name = identity
        while True:
            try:
                ack = await jetstream.publish(
                    subject(self._sensor, kind), data, headers={"Nats-Msg-Id": name}
                )
            except NoStreamResponseError:
                self.problem = "the centre has made no stream yet"
            except APIError as error:
                self.problem = f"the server: {error.code} {error.description}"
            else:
                self.problem = ""
                if not ack.duplicate or name != identity:
                    return
                # The centre may have confirmed it when nobody listened.
                name = f"{identity}.{time.monotonic_ns()}"
                continue
            await asyncio.sleep(FULL_SECONDS)


def read_news(data: bytes) -> Mapping[str, Any]:
    """What the centre has confirmed as committed; empty if not understood."""
    try:
        news = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return news if isinstance(news, dict) else {}
