"""Dead letters: alerts that a receiver refused permanently, and records that can no longer be read,
stored with the reason until somebody looks at them.

There is one file of JSON lines per output, in the outbox's folder ``dead``. A line is written and
synced before the outbox forgets its alert. Writers and `replay` lock the file and then check that
it still has its name, because `replay` renames it.
"""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, lock

MAX_DEAD_BYTES = 100 << 20
"""Bytes of the dead letters of one output, at most; further ones are dropped and counted."""

FOLDER = "dead"
"""The name of the folder in the outbox's folder."""

_REPLAY_BATCH = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An alert that cannot be delivered, and why. Without a `record`, it is the text that was
    stored instead of one. `recipients` are those that did not get it, empty if nobody did."""

    reason: str
    record: AlertRecord | None = None
    unreadable: str = ""
    recipients: tuple[str, ...] = ()


def path_of(outbox_folder: Path, output: str) -> Path:
    """The file with the dead letters of an output."""
    return outbox_folder / FOLDER / f"{output}.jsonl"


def append(outbox_folder: Path, output: str, letters: Sequence[DeadLetter], now: float) -> int:
    """Append dead letters. Returns how many fitted into the file, always the first ones. Raises
    OSError."""
    path = path_of(outbox_folder, output)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, "is a symbolic link", str(path.parent))
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    with _locked(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND) as descriptor:
        size = size_before = os.fstat(descriptor).st_size
        lines = []
        for dead in letters:
            letter: dict[str, object] = {"time": time, "output": output, "reason": dead.reason}
            letter["alert"] = dead.record
            if dead.record is None:
                letter["unreadable"] = dead.unreadable
            if dead.recipients:
                letter["recipients"] = dead.recipients
            line = json.dumps(letter, separators=(",", ":")).encode() + b"\n"
            if size + len(line) > MAX_DEAD_BYTES:
                break
            size += len(line)
            lines.append(line)
        data = memoryview(b"".join(lines))
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size_before)
            raise
    return len(lines)


def count(outbox_folder: Path, output: str) -> int:
    """How many dead letters an output has. Raises `NetwatchError` if they cannot be read."""
    path = path_of(outbox_folder, output)
    try:
        with path.open("rb") as stream:
            return sum(1 for _ in stream)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be read: {error.strerror}") from None


def replay(
    outbox_folder: Path, output: str, put: Callable[[list[AlertRecord], tuple[str, ...]], None]
) -> tuple[int, int]:
    """Pass the dead letters of an output to `put` in batches with the same recipients, duplicates
    once. Returns how many alerts these were and how many lines could not be read.

    The file is removed at the end; if it has unreadable lines, it is renamed to ``.unread``
    instead. If `put` raises, the file is retained for the next replay. Raises OSError."""
    path = path_of(outbox_folder, output)
    replayed = path.with_suffix(".replay")
    if not replayed.exists():
        with contextlib.suppress(FileNotFoundError), _locked(path, os.O_RDWR):
            path.rename(replayed)
    if not replayed.exists():
        return 0, 0
    digests: set[bytes] = set()
    batch: list[AlertRecord] = []
    batch_recipients: tuple[str, ...] = ()
    unreadable = 0
    with replayed.open("rb") as stream:
        for line in stream:
            try:
                letter = json.loads(line)
                record, recipients = letter["alert"], tuple(letter.get("recipients", ()))
                text = json.dumps([record, recipients], sort_keys=True)
            except (ValueError, KeyError, TypeError, RecursionError):
                record = None
            if not isinstance(record, dict):
                unreadable += 1
                continue
            digest = hashlib.sha256(text.encode()).digest()
            if digest in digests:
                continue
            digests.add(digest)
            if batch and (len(batch) == _REPLAY_BATCH or recipients != batch_recipients):
                put(batch, batch_recipients)
                batch = []
            batch.append(record)
            batch_recipients = recipients
    if batch:
        put(batch, batch_recipients)
    if unreadable:
        replayed.replace(path.with_suffix(".unread"))
    else:
        replayed.unlink()
    return len(digests), unreadable


def rewrite(path: Path, keep: Callable[[bytes], bool]) -> int:
    """Rewrite a file of dead letters with the lines that `keep` keeps. Returns how many were
    removed. A writer that appends waits, and then appends to the new file. Raises OSError."""
    with _locked(path, os.O_RDWR):
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if keep(line)]
        if len(kept) == len(lines):
            return 0
        temporary = path.with_name(f".{path.name}.part")
        temporary.unlink(missing_ok=True)
        if not kept:
            path.unlink()
            return len(lines)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_CLOEXEC | O_NOFOLLOW
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as stream:
            stream.writelines(kept)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        return len(lines) - len(kept)


@contextlib.contextmanager
def _locked(path: Path, flags: int) -> Iterator[int]:
    """A descriptor of the file that has this name, locked exclusively."""
    while True:
        descriptor = os.open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0o600)
        try:
            lock(descriptor, exclusive=True, wait=True)
            try:
                is_current = path.stat().st_ino == os.fstat(descriptor).st_ino
            except FileNotFoundError:
                is_current = False
            if is_current:
                yield descriptor
                return
        finally:
            os.close(descriptor)
