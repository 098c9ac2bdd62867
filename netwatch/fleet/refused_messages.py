"""What a centre refused, set aside to be looked at: a folder for each sensor with a file for each
message.

::

    refused/brussels-1/01764200000000000000.message
    {"schema": "netwatch.refused/1", "sensor": "brussels-1", "kind": "facts", "reason": …}
    <the message as it came, up to `MAX_BYTES`>

A message that cannot be stored is tried once, kept here, and never comes again. The folder is
bounded, sensor by sensor: of more, the oldest go, and a sensor that floods is kept a sample of.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.core.sensor_name import is_sensor_name
from netwatch.fleet.connection import write_private

FOLDER = "refused"
"""The folder in that of a centre."""

SCHEMA = "netwatch.refused/1"

MAX_FILES = 100
"""Messages of a sensor that are kept."""

MAX_BYTES = 256 << 10
"""Bytes of each message that are kept."""

PER_MINUTE = 30
"""Messages of a sensor that are kept in a minute; further ones are counted alone."""

MAX_REASON = 500
"""Characters of a reason."""

_SUFFIX = ".message"


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that was refused at `time` (ns); `size` are the bytes that it had."""

    sensor: str
    kind: str
    time: int
    reason: str
    size: int

    @property
    def id(self) -> str:
        """What names it."""
        return f"{self.sensor}/{self.time}"


class RefusedMessages:
    """The messages in `folder`. Nothing raises where the disk is full: they are counted anyway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._minute = 0
        self._kept: Counter[str] = Counter()

    def keep(self, sensor: str, kind: str, data: bytes, reason: str) -> None:
        """Set a message aside."""
        now = time.time_ns()
        if (minute := now // 60_000_000_000) != self._minute:
            self._minute, self._kept = minute, Counter()
        self._kept[sensor] += 1
        if self._kept[sensor] > PER_MINUTE or not is_sensor_name(sensor):
            return
        about = {"schema": SCHEMA, "sensor": sensor, "kind": kind, "time": now,
                 "reason": reason[:MAX_REASON], "size": len(data)}  # fmt: skip
        folder = self.folder / sensor
        with suppress(OSError, NetwatchError):
            folder.mkdir(0o700, parents=True, exist_ok=True)
            found = sorted(folder.glob(f"*{_SUFFIX}"))
            for path in found[: max(0, len(found) + 1 - MAX_FILES)]:
                path.unlink(missing_ok=True)
            content = json.dumps(about).encode() + b"\n" + data[:MAX_BYTES]
            write_private(folder / f"{now:020}{_SUFFIX}", content)

    def listing(self) -> list[RefusedMessage]:
        """All that are kept, the oldest first."""
        paths = sorted(self.folder.glob(f"*/*{_SUFFIX}"), key=lambda path: path.name)
        return [found for path in paths for found, _ in _read(path)]

    def show(self, identity: str) -> tuple[RefusedMessage, bytes]:
        """A message and its bytes. Raises `NetwatchError` where it is not kept."""
        sensor, _, number = identity.partition("/")
        if is_sensor_name(sensor) and number.isascii() and number.isdigit() and len(number) < 21:
            for found in _read(self.folder / sensor / f"{int(number):020}{_SUFFIX}"):
                return found
        raise NetwatchError(
            f"no message {identity[:80]!r} is kept in {self.folder}: expected an id that 'netwatch"
            " fleet refused list' shows"
        )

    def forget(self, sensor: str) -> None:
        """Delete what is kept of a sensor."""
        with suppress(OSError):
            for path in (self.folder / sensor).glob(f"*{_SUFFIX}"):
                path.unlink(missing_ok=True)
            (self.folder / sensor).rmdir()


def _read(path: Path) -> Iterator[tuple[RefusedMessage, bytes]]:
    """The message in a file; nothing where it is gone or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        line, _, data = path.read_bytes().partition(b"\n")
        about: dict[str, Any] = json.loads(line)
        names = ("sensor", "kind", "time", "reason", "size")
        yield RefusedMessage(*(about[name] for name in names)), data
