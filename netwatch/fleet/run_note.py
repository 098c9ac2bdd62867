"""A note in the spool of a sensor on the run that is being written, and up to when. Where a process
was killed, the next one finds it, and tells the centre since when something is missing.
"""

import json
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch.core.errors import NetwatchError
from netwatch.store.losses import UNSEEN

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "run.json"
"""The file of the note, in the folder of the spool."""


@dataclass(frozen=True, slots=True)
class KilledRun:
    """A run as its note says: the record of its key, the positions of its captures, the times of
    their facts from `first` to `last` (ns), and until when it may have seen more (`unseen`)."""

    run: Mapping[str, Any]
    positions: Collection[int]
    first: int
    last: int
    unseen: int


class RunNote:
    """The note in `folder`. `positions` are those of captures with facts, `last` is the time of the
    newest one. Raises `NetwatchError` where it cannot be written."""

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
        """The run of the note; None where there is none that can be read."""
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
        """Go on with the note of the same run, whose writer has died."""
        self.positions.update(found.positions)
        self.first, self.last = found.first, found.last

    def remove(self) -> None:
        """The run has ended."""
        self._path.unlink(missing_ok=True)
