"""Takes messages of sensors as they come: which belong to the fleet, which are parts of one
content, which are refused, and which sensor's are committed next.

Messages of a durable consumer are pulled a bounded number at a time. One request for messages is
open at any time. What arrives while a batch is being committed is the next batch; the server sends
no more than was requested.

Sensors take turns, so a sensor that sends much only delays itself. A bounded number of messages per
sensor waits here; the server keeps the rest and redelivers it later.

Refused messages are set aside for inspection: a folder for each sensor with a file for each
message.

::

    refused/brussels-1/01764200000000000000.message
    {"schema": "netwatch.refused/1", "sensor": "brussels-1", "kind": "facts", "reason": …}
    <the message as it came, up to `MAX_BYTES`>

An unstorable message is tried once, kept here, and never comes again. The folder is bounded per
sensor: the oldest are deleted, and only a sample is kept of a flood.
"""

import asyncio
import json
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.core.text import is_sensor_name
from netwatch.fleet.access import STREAM, sender_of
from netwatch.fleet.border import MAX_SENTENCE, BorderError, Outside
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.connection import write_private
from netwatch.fleet.envelope import Assembler, Envelope, Key, decode, key_of
from netwatch.fleet.roster_keeper import RosterKeeper

FOLDER = "refused"
"""The folder in the centre's folder."""

SCHEMA = "netwatch.refused/1"

MAX_FILES = 100
"""Messages of a sensor to keep."""

MAX_BYTES = 256 << 10
"""Bytes of each message to keep."""

PER_MINUTE = 30
"""Messages of a sensor to keep per minute; further ones are only counted."""

MAX_REASON = 500
"""Characters of a reason."""

_SUFFIX = ".message"

EXPIRES = 20.0
"""Seconds after which the server ends a request that it could not fulfil."""

_GATHER_SECONDS = 0.02
_NOBODY = "503"
_GONE = ("deleted", "not found", "leadership")

SHARE_MESSAGES = 64
"""Messages of a sensor that may wait here: everything that one has in transit fits in."""

SHARE_BYTES = 24 << 20
"""Bytes of these messages."""


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that was refused at `time` (ns); `size` is its number of bytes."""

    sensor: str
    kind: str
    time: int
    reason: str
    size: int

    @property
    def id(self) -> str:
        """Its name."""
        return f"{self.sensor}/{self.time}"


class RefusedMessages:
    """The messages in `folder`. Nothing raises if the disk is full: they are counted anyway."""

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
        """All kept messages, oldest first."""
        paths = sorted(self.folder.glob(f"*/*{_SUFFIX}"), key=lambda path: path.name)
        return [found for path in paths for found, _ in _read(path)]

    def show(self, identity: str) -> tuple[RefusedMessage, bytes]:
        """A message and its bytes. Raises `NetwatchError` if it is not kept."""
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
    """The message in a file; nothing if it is gone or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        line, _, data = path.read_bytes().partition(b"\n")
        about: dict[str, Any] = json.loads(line)
        names = ("sensor", "kind", "time", "reason", "size")
        yield RefusedMessage(*(about[name] for name in names)), data


class StreamGoneError(NetwatchError):
    """The stream or the consumer no longer exists."""


class Puller:
    """The consumer ``centre-<name>``; takes at most `batch` messages and `max_bytes` of them at a
    time."""

    def __init__(self, client: Any, name: str, batch: int, max_bytes: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.centre-{name}"
        self._batch = batch
        self._max_bytes = max_bytes
        self._queue = asyncio.Queue[Any]()
        self._inbox = ""
        self._owed = 0
        self._asked_at = 0.0

    async def start(self) -> None:
        """Subscribe to the answers."""
        self._inbox = self._client.new_inbox()

        async def receive(message: Any) -> None:
            self._queue.put_nowait(message)

        await self._client.subscribe(self._inbox, cb=receive)

    async def take(self) -> list[Any]:
        """The next messages, as soon as there is one. Raises `StreamGoneError`."""
        while True:
            if self._owed <= 0 or time.monotonic() - self._asked_at > EXPIRES + 5:
                await self._ask()
            try:
                first = await asyncio.wait_for(self._queue.get(), EXPIRES + 5)
            except TimeoutError:
                raise StreamGoneError("the server does not answer a request for messages") from None
            await asyncio.sleep(_GATHER_SECONDS)
            found = [first]
            while not self._queue.empty():
                found.append(self._queue.get_nowait())
            if messages := await self._counted(found):
                return messages

    async def ready(self) -> list[Any]:
        """The messages that are already there. Raises `StreamGoneError`."""
        found = []
        while not self._queue.empty():
            found.append(self._queue.get_nowait())
        return await self._counted(found)

    async def _counted(self, found: Sequence[Any]) -> list[Any]:
        """The messages among these; the next ones are requested."""
        messages = [message for message in found if not self._is_status(message)]
        self._owed -= len(messages)
        if messages and self._owed <= 0:
            await self._ask()
        return messages

    async def _ask(self) -> None:
        request = {
            "batch": self._batch,
            "expires": int(EXPIRES * 1e9),
            "max_bytes": self._max_bytes,
        }
        self._owed, self._asked_at = self._batch, time.monotonic()
        await self._client.publish(self._subject, json.dumps(request).encode(), self._inbox)

    def _is_status(self, message: Any) -> bool:
        """Whether a message is about the request, which is then over, unless messages follow."""
        status = (message.headers or {}).get("Status")
        if status is None:
            return False
        said = (message.headers or {}).get("Description", "")
        if status == _NOBODY or any(word in said.lower() for word in _GONE):
            reason = f"{status} {said}".strip()
            raise StreamGoneError(f"the server ends a request for messages: {reason}")
        # It is answered: nothing was there (404), it has expired (408), or has all its bytes (409).
        self._owed = 0
        return True


class Receiver:
    """Decodes messages, and knows which of them make up each content. Refused ones are set aside in
    `kept`. Messages of sensors that are no longer enrolled are dropped."""

    def __init__(
        self,
        status: CentreStatus,
        roster: RosterKeeper,
        kept: RefusedMessages,
        is_enrolled: Callable[[str], bool],
    ) -> None:
        self._status = status
        self._is_enrolled = is_enrolled
        self._roster = roster
        self._kept = kept
        self._assembler = Assembler()
        self._parts: dict[Key, list[Any]] = {}

    async def decode(
        self, messages: Sequence[Any], *, reads_content: bool
    ) -> tuple[list[Envelope], list[Any]]:
        """The complete envelopes, with or without parsing their content, and the messages that are
        done with once these are committed. A message that does not belong to the fleet is refused,
        counted, and never comes again."""
        envelopes, done = [], []
        for message in messages:
            sensor, kind = "", ""
            try:
                sensor, kind = sender_of(message.subject)
                if not self._is_enrolled(sensor):
                    await message.term()
                    continue
                envelope = decode(message.data, sensor, kind, reads_content=reads_content)
                if self._assembler.has(envelope):
                    await message.ack()
                    continue
                whole = self._assembler.add(envelope)
            except (BorderError, ValueError) as error:
                self.refuse(sensor, kind, message.data, str(error))
                await message.term()
                await self._drop()
                continue
            parts = [message] if envelope.parts == 1 else self._parts.setdefault(
                key_of(envelope), []
            )  # fmt: skip
            if envelope.parts > 1:
                parts.append(message)
                await self._drop()
            if whole is not None:
                envelopes.append(whole)
                done += self._parts.pop(key_of(whole), parts)
        return envelopes, done

    def waiting(self, sensor: str) -> tuple[int, int]:
        """The waiting parts of a sensor, and their bytes."""
        return self._assembler.waiting(sensor)

    async def _drop(self) -> None:
        """Let the server forget parts that waited for others in vain. Their sensor sends them
        again, since they were never confirmed."""
        for key in self._assembler.dropped:
            self._status.dropped[key[0]] += 1
            for message in self._parts.pop(key, ()):
                await message.term()
        self._assembler.dropped.clear()

    def refuse(self, sensor: str, kind: str, data: bytes, reason: str) -> None:
        """Count what is refused, show why on the roster, and set it aside."""
        self._status.refused[sensor] += 1
        self._roster.refused(sensor, reason)
        self._kept.keep(sensor, kind, data, reason)

    def refuse_envelope(self, envelope: Envelope, reason: str) -> None:
        """The same for a decoded message."""
        self.refuse(envelope.sensor, envelope.kind, envelope.encode(), reason)

    def note_outside(self, outside: Mapping[str, Outside]) -> None:
        """Note that sensors reported on networks or devices that are not their own."""
        for sensor, found in outside.items():
            if found.networks:
                self._status.outside_networks[sensor] += 1
                self._note(sensor, "sensor-network", "networks", found.networks)
            if found.devices:
                self._status.outside_devices[sensor] += 1
                self._note(sensor, "sensor-device", "devices", found.devices)

    def _note(self, sensor: str, kind: str, what: str, found: Collection[str | None]) -> None:
        names = ", ".join(sorted(name or "none" for name in found))
        said = f"{sensor} speaks of {what} that are not its own: {names}"
        self._status.contradictions[sensor, kind] = said[:MAX_SENTENCE]

    def note_lag(self, envelopes: Sequence[Envelope]) -> None:
        """Note how long messages were in transit until they were committed."""
        now = time.time_ns()
        for envelope in envelopes:
            offset = self._status.offsets.get(envelope.sensor, 0)
            self._status.lag[envelope.sensor] = max(0.0, (now - envelope.sent + offset) / 1e9)


class Pace:
    """How many messages per second and sensor are processed; further ones are not."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = 0
        self._seen: Counter[str] = Counter()

    def allows(self, sensor: str) -> bool:
        """Whether to process another message of a sensor now."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._seen = second, Counter()
        self._seen[sensor] += 1
        return self._seen[sensor] <= self._limit


class Turns:
    """Waiting messages, by sensor. At most `count` of them, of about `size` bytes, are taken at a
    time, and a quarter of that from one sensor: later ones wait until these are committed."""

    def __init__(self, count: int, size: int) -> None:
        self._count, self._size = count, size
        self._waiting: OrderedDict[str, deque[tuple[Any, int]]] = OrderedDict()
        self._bytes: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, sensor: str, message: Any, size: int) -> bool:
        """Let a message wait; returns whether its sensor has room for it."""
        own = self._waiting.get(sensor)
        if own is None:
            self._waiting[sensor] = deque([(message, size)])
            self._bytes[sensor] = size
            return True
        if len(own) >= SHARE_MESSAGES or self._bytes[sensor] + size > SHARE_BYTES:
            return False
        own.append((message, size))
        self._bytes[sensor] += size
        return True

    def take(self) -> list[Any]:
        """The next messages: one of each sensor, then another one of each, and so on."""
        found: list[Any] = []
        left = self._size
        for _ in range(max(1, self._count // 4)):
            for sensor in [*self._waiting]:
                if len(found) >= self._count or left <= 0:
                    return found
                own = self._waiting[sensor]
                message, size = own.popleft()
                self._bytes[sensor] -= size
                left -= size
                found.append(message)
                self._waiting.move_to_end(sensor)
                if not own:
                    del self._waiting[sensor], self._bytes[sensor]
        return found
