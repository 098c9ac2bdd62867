"""Alerts that a receiver will never take, with the reason, until a person looks.

One file of JSON lines an output, in the folder ``dead`` of the spool. A line is written
and synced before the cursor moves past its alert. Writers and `replay` lock the file, and
look after that whether it is still the one of its name: `replay` moves it away.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from netwatch.sinks.base import Record

MAX_DEAD_BYTES = 100 << 20
"""Bytes of dead letters of one output; what comes then is dropped and counted."""

FOLDER = "dead"
"""In the folder of the spool."""

_CHUNK = 500


def path_of(spool: Path, name: str) -> Path:
    """The file for an output's dead letters."""
    return spool / FOLDER / f"{name}.jsonl"


def add(spool: Path, name: str, letters: Sequence[tuple[Record, str]], now: float) -> int:
    """Write alerts with the reasons for which they were refused; how many had place. Raises
    OSError."""
    path = path_of(spool, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    with _locked(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND) as handle:
        size = kept = os.fstat(handle).st_size
        lines = []
        for record, reason in letters:
            letter = {"time": time, "output": name, "reason": reason, "alert": record}
            line = json.dumps(letter, separators=(",", ":")).encode() + b"\n"
            if size + len(line) > MAX_DEAD_BYTES:
                break
            size += len(line)
            lines.append(line)
        data = memoryview(b"".join(lines))
        try:
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, kept)
            raise
    return len(lines)


def waiting(spool: Path, name: str) -> int:
    """How many dead letters there are."""
    try:
        with path_of(spool, name).open("rb") as stream:
            return sum(1 for _ in stream)
    except OSError:
        return 0


def replay(spool: Path, name: str, put: Callable[[list[Record]], None]) -> tuple[int, int]:
    """Hand the alerts in an output's dead letters to `put`, each once, some at a time; how
    many these were, and how many lines could not be read. The file goes when all is done
    (one with such lines is kept as ``.unread``); if `put` raises it stays for another
    time. Raises OSError."""
    path = path_of(spool, name)
    moved = path.with_suffix(".replay")
    if not moved.exists():
        with contextlib.suppress(FileNotFoundError), _locked(path, os.O_RDWR):
            path.rename(moved)
    if not moved.exists():
        return 0, 0
    seen: set[bytes] = set()
    waiting: list[Record] = []
    bad = 0
    with moved.open("rb") as stream:
        for line in stream:
            try:
                alert = json.loads(line)["alert"]
                text = json.dumps(alert, sort_keys=True)
            except (ValueError, KeyError, TypeError, RecursionError):
                alert = None
            if not isinstance(alert, dict):
                bad += 1
                continue
            digest = hashlib.sha256(text.encode()).digest()
            if digest not in seen:
                seen.add(digest)
                waiting.append(alert)
            if len(waiting) == _CHUNK:
                put(waiting)
                waiting = []
    if waiting:
        put(waiting)
    if bad:
        moved.replace(path.with_suffix(".unread"))
    else:
        moved.unlink()
    return len(seen), bad


@contextlib.contextmanager
def _locked(path: Path, flags: int) -> Iterator[int]:
    while True:
        handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                same = path.stat().st_ino == os.fstat(handle).st_ino
            except FileNotFoundError:
                same = False
            if same:
                yield handle
                return
        finally:
            os.close(handle)
