"""One process that captures: packets of its source become contacts, which it sends on.

It waits for nothing but packets. All that could hold it up, such as writing records,
storing state or reading a configuration, is done by the process at the other end of its
channel.
"""

import ctypes
import os
import signal
import sys
import time
from dataclasses import replace
from types import FrameType

from netwatch.capture.block import FIELDS, TIME, Block, Source
from netwatch.config import Config
from netwatch.core.errors import CaptureError
from netwatch.core.message import Message
from netwatch.core.packet import Packet
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Contact
from netwatch.coverage.counts import Coverage
from netwatch.engine.pipeline import Engine
from netwatch.incidents.incident import strip_frames
from netwatch.live.channel import Channel
from netwatch.live.clock import Clock
from netwatch.live.messages import Claimed, Ended, Manner, Reload, Seen, Spoken, Standing, Stop
from netwatch.live.sources import Opener
from netwatch.live.state_format import slim

SECOND = 1_000_000_000

STANDING = SECOND
"""How often a worker says how it stands, ns."""

SETTLE = 10 * SECOND
"""How often bytes are told, flows are looked at for their age and coverage is sent, ns."""

FAREWELL = 30.0
"""Seconds that the end waits to be taken."""

_PARENT_DEATH = 1


class _Gathered:
    """The contacts of a block, until they are sent; as `netwatch.engine.pipeline.Gathers`."""

    def __init__(self) -> None:
        self.items: list[Contact | Spoken] = []

    def add(self, contact: Contact) -> None:
        """Take a contact that is in question for an incident."""
        if contact.verdict.kind is not None:
            self.items.append(slim(contact))

    def add_bytes(self, contact: Contact, bytes_out: int, bytes_in: int) -> None:
        """Take what was said in its flow."""
        if contact.verdict.kind is not None:
            self.items.append(Spoken(strip_frames(slim(contact)), bytes_out, bytes_in))


class Worker:
    """One capture until it ends or is stopped. With `sharing` there are others, that are
    told what this one learns of devices."""

    def __init__(
        self, opener: Opener, config: Config, channel: Channel, manner: Manner, sharing: bool
    ) -> None:
        self._opener = opener
        self._channel = channel
        self._live = manner.live
        self._statistics = RunStatistics()
        self._coverage = Coverage()
        self._gathered = _Gathered()
        self._engine = Engine(
            config,
            self._statistics,
            self._gathered,
            self._coverage,
            keep_frames=manner.keep_frames,
            relay=self._share if sharing else _alone,
        )
        self._clock = Clock(manner.live)
        self._serial = 0
        self._untold = 0
        self._last_packet: float | None = None
        self._due_standing = self._due_settle = 0
        self._settled: int | None = None
        self._source: Source | None = None
        self._stopping = False
        self._reading = False

    def run(self) -> None:
        """Capture until the end; the channel is told, and why."""
        error = None
        try:
            self._capture()
        except CaptureError as why:
            error = str(why)
        except _Stopped:
            pass
        self._engine.end()
        self._send(self._clock.now(time.monotonic_ns()) or 0)
        self._stand(with_coverage=True, needed=True)
        self._channel.put(Ended(error), needed=True)
        self._channel.finish(FAREWELL)

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End soon; may be called from a signal handler."""
        self._stopping = True
        stop = getattr(self._source, "stop", None)
        if stop is not None:
            stop()
        elif self._reading:
            raise _Stopped

    def _capture(self) -> None:
        self._source = self._opener.open()
        blocks = iter(self._source.blocks())
        try:
            while not self._stopping or self._live:
                self._reading = True
                if self._stopping:
                    self.stop()
                block = next(blocks, None)
                self._reading = False
                if block is None:
                    return
                self._take(block)
        finally:
            self._reading = False
            self._source.close()

    def _take(self, block: Block) -> None:
        assert self._source is not None
        self._listen()
        at = time.monotonic_ns()
        now = self._clock.now(at)
        if block.count:
            now = max(block.records[TIME : block.count * FIELDS : FIELDS])
            self._clock.seen(now, at)
            self._last_packet = time.time()
        elif now is None:
            now = time.time_ns()
            self._clock.seen(now, at)
        name = self._source.name
        if self._live:
            name = block.interfaces[0].name or name
        # Also one without packets: it says that none came, and holds no memory.
        self._engine.block(block, name)
        self._send(now)
        self._tend(at)

    def _listen(self) -> None:
        """See to the channel. Before a block is read, so that it is judged by what holds."""
        self._channel.pump()
        messages, open_ = self._channel.take()
        for message in messages:
            if isinstance(message, Reload):
                self._serial = message.serial
                self._engine.reload(message.config)
            elif isinstance(message, Claimed):
                self._engine.learn(message.packet, message.message)
            elif isinstance(message, Stop):
                self.stop()
        if not open_:
            self.stop()

    def _tend(self, at: int) -> None:
        """See to what comes round with time."""
        now = self._clock.now(at)
        if self._settled is None:
            self._settled = now
        settle = at >= self._due_settle
        if now is not None and (settle or now - (self._settled or now) >= 6 * SETTLE):
            self._engine.settle(now)
            self._settled = now
            self._send(now)
        if settle or at >= self._due_standing:
            self._engine.count()
            self._due_standing = at + STANDING
            self._stand(with_coverage=settle)
        if settle:
            self._due_settle = at + SETTLE

    def _share(self, packet: Packet, message: Message) -> None:
        claims = Message(names=(), size=0, claims=message.claims)
        self._channel.put(Claimed(replace(packet, frames=()), claims))

    def _send(self, now: int) -> None:
        items = tuple(self._gathered.items)
        self._gathered.items.clear()
        if items and not self._channel.put(Seen(self._serial, now, items)):
            self._untold += len(items)

    def _stand(self, *, with_coverage: bool, needed: bool = False) -> None:
        source = self._source
        notes = []
        while source is not None and source.notes:
            notes.append(source.notes.pop(0))
        self._channel.put(
            Standing(
                serial=self._serial,
                time=self._clock.now(time.monotonic_ns()),
                statistics=self._statistics,
                dropped=source.dropped if source is not None else 0,
                freezes=getattr(source, "freezes", 0),
                events=dict(getattr(source, "events", {})),
                notes=tuple(notes),
                down=getattr(source, "down", ()),
                steps=self._clock.steps,
                untold=self._untold,
                waiting=self._channel.waiting,
                last_packet=self._last_packet,
                tables=self._engine.tables(),
                coverage=self._coverage if with_coverage else None,
            ),
            needed=needed,
        )


class _Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Ends a source that waits for bytes which may never come."""


def _end_with_parent() -> None:
    """Be woken by SIGTERM when the keeper is gone, also from a pipe that says nothing
    (prctl(2)); elsewhere the channel tells it with the next block."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DEATH, signal.SIGTERM, 0, 0, 0)


def _alone(packet: Packet, message: Message) -> None:
    """There is nobody to tell."""


def main(opener: Opener, config: Config, channel: Channel, manner: Manner, sharing: bool) -> None:
    """The whole life of a worker's process."""
    worker = Worker(opener, config, channel, manner, sharing)
    # These go to all processes of a terminal or unit; the keeper alone sees to them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, worker.stop)
    _end_with_parent()
    worker.run()
    os._exit(0)
