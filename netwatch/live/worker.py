"""One worker process: reads packets from its source and sends the contacts they make.

A worker only blocks on its source. Anything else that could delay it, such as writing records,
saving state or reading a configuration, is done by the aggregator at the other end of its channel.
"""

import secrets
import time
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from netwatch.capture.block import Block, Source
from netwatch.capture.framing import latest_time
from netwatch.config import Config
from netwatch.core.errors import CaptureError
from netwatch.core.message import Message, Packet
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine.engine import FLOW_TIMEOUT, Engine
from netwatch.live.messages import (
    COMMAND_PATIENCE,
    AddressClaims,
    Channel,
    Findings,
    FindingsBuffer,
    Reload,
    StatusReport,
    Stop,
    WorkerEnded,
    WorkerOptions,
)
from netwatch.live.packet_clock import PacketClock
from netwatch.live.source_openers import SourceOpener

if TYPE_CHECKING:
    from netwatch.engine.record_facts import Recorder

SECOND = 1_000_000_000

REPORT_INTERVAL = SECOND
"""Time between two status reports, ns."""

SETTLE_INTERVAL = 5 * SECOND
"""How often flow bytes and coverage are sent and inactive flows are ended, ns."""

SETTLE_SHARE = 20
"""It may take one part in so many of the time: to count the open flows of 65,536 clients takes a
second, and a worker that did so again at once would read no packet any more."""

SETTLE_PACKET_TIME = 60 * SECOND
"""Packet time after which the same is done even if less real time has passed, ns: a file
is read much faster than its packets were captured."""

RECORD_LAG = SECOND // 8
"""Age of packets from which they are not recorded for the store, ns, if many wait after them. At
200,000 packets a second the ring lasts a third of a second."""

RECORD_WAITING = 16_384
"""How many are many: fewer are recorded within a tenth of a second, however old they are, and are a
quarter of a ring's capacity. So a machine that halts for a moment loses nothing as long as few
packets come."""


def next_settle(began: int, ended: int) -> int:
    """When to settle again after it was done from `began` to `ended`, ns of the monotonic clock."""
    return max(began + SETTLE_INTERVAL, ended + SETTLE_SHARE * (ended - began))


class Worker:
    """Captures from one source until that ends or the worker is stopped. With
    `shares_claims` there are other workers, and address claims are sent for them."""

    def __init__(
        self,
        opener: SourceOpener,
        config: Config,
        channel: Channel,
        options: WorkerOptions,
        *,
        shares_claims: bool,
        number: int = 0,
    ) -> None:
        self._opener = opener
        self._channel = channel
        self._live = options.live
        self._statistics = RunStatistics()
        self._coverage = Coverage()
        self._findings = FindingsBuffer()
        self._engine = Engine(
            config,
            self._statistics,
            self._findings,
            self._coverage,
            seed=secrets.randbits(62),
            keep_frames=options.keep_frames,
            share_claim=self._share_claims if shares_claims else None,
        )
        self._number, self._recording = number, options.recording
        self._recorder: Recorder | None = None
        self._clock = PacketClock(options.live)
        self._config_serial = 0
        self._findings_lost = 0
        self._last_packet: float | None = None
        self._next_report = self._next_settle = 0
        self._settled_at: int | None = None
        self._source: Source | None = None
        self._stopping = False
        self._reading = False

    def run(self) -> None:
        """Capture until the end, then send the last findings, a final report and the reason
        of the end."""
        error = None
        if self._recording is not None:
            # It has a thread, which can only be started by the process that has it.
            self._recorder = self._recording.recorder(self._number, (), self._statistics)
        try:
            self._capture()
        except CaptureError as failure:
            error = str(failure)
        except _Stopped:
            self._reading = False
        self._engine.finish()
        # Findings come first: facts can be had again, if the packets are kept anywhere.
        self._send_findings(self._clock.now(time.monotonic_ns()) or 0)
        self._channel.finish()
        if self._recorder is not None:
            self._recorder.finish()
        self._send_report(with_coverage=True, required=True)
        self._channel.send(WorkerEnded(error), required=True)
        self._channel.finish()

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End soon; may be called from a signal handler."""
        self._stopping = True
        stop = getattr(self._source, "stop", None)
        if stop is not None:
            stop()
        elif self._reading:
            raise _Stopped

    def _capture(self) -> None:
        # Opening a named pipe waits until somebody opens it for writing.
        self._reading = not self._live
        if self._stopping and self._reading:
            raise _Stopped
        self._source = self._opener.open()
        self._reading = False
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
                self._process(block)
        finally:
            self._reading = False
            self._source.close()
            unread = getattr(self._source, "unread", None)
            if unread is not None:
                self._statistics.damaged[self._source.name] = unread

    def _process(self, block: Block) -> None:
        assert self._source is not None
        # Commands come first, so that the block is judged by the current configuration.
        self._handle_commands()
        at = time.monotonic_ns()
        packet_time = self._clock.now(at)
        if block.count:
            packet_time = latest_time(block.records, block.count)  # type: ignore[arg-type]
            self._clock.update(packet_time, at)
            self._last_packet = time.time()
        elif packet_time is None:
            packet_time = time.time_ns()
            self._clock.update(packet_time, at)
        name = self._source.name
        if self._live:
            name = block.interfaces[0].name or name
        # A block without packets is processed too: it ends what waits for further packets.
        self._engine.process(block, name)
        # An alert that a contact of the block updates includes the outcome of earlier ones.
        self._engine.report_recent()
        now = self._clock.now(at)
        settles = self._is_time_to_settle(at, now)
        if settles and now is not None:
            # Outcomes of contacts are sent with them: a block of a file may span hours, and the
            # aggregator closes an incident by the time of its last packet.
            self._engine.checkpoint(now)
            self._settled_at = now
        self._send_findings(packet_time, ends_incidents=settles)
        self._record(block, name, packet_time)
        if settles and now is not None and self._recorder is not None:
            self._recorder.checkpoint(now - FLOW_TIMEOUT)
        self._report(at)

    def _record(self, block: Block, name: str, packet_time: int) -> None:
        """Record the facts of a block for the store, unless packets are behind: then the time is
        needed to judge them."""
        if self._recorder is None:
            return
        if self._live and time.time_ns() - packet_time > RECORD_LAG and self._is_behind():
            self._recorder.skip(block)
        else:
            self._recorder.process(block, name)
        if getattr(self._source, "sampling", 1) > 1:
            self._recorder.note_sampled(block)

    def _is_behind(self) -> bool:
        """Whether more packets wait than can be recorded soon; true if unknown."""
        waiting = getattr(self._source, "waiting", None)
        return waiting is None or waiting() > RECORD_WAITING

    def _handle_commands(self) -> None:
        self._channel.flush()
        messages, is_open = self._channel.receive(COMMAND_PATIENCE)
        for message in messages:
            if isinstance(message, Reload):
                self._config_serial = message.config_serial
                self._engine.reload(message.config)
                reload = getattr(self._source, "reload", None)
                if reload is not None:
                    reload(message.config.exporters)
            elif isinstance(message, AddressClaims):
                self._engine.learn(message.packet, message.message)
            elif isinstance(message, Stop):
                self.stop()
        if not is_open:
            # The aggregator has died.
            self.stop()

    def _is_time_to_settle(self, at: int, now: int | None) -> bool:
        """Whether flow bytes and coverage are to be sent, at a time and a packet time (ns)."""
        if self._settled_at is None:
            self._settled_at = now
        is_later = now is not None and now - (self._settled_at or now) >= SETTLE_PACKET_TIME
        return at >= self._next_settle or is_later

    def _report(self, at: int) -> None:
        settle_due = at >= self._next_settle
        if settle_due or at >= self._next_report:
            self._engine.update_statistics()
            if self._recorder is not None:
                self._recorder.send_waiting()
            self._next_report = at + REPORT_INTERVAL
            self._send_report(with_coverage=settle_due)
        if settle_due:
            self._next_settle = next_settle(at, time.monotonic_ns())

    def _share_claims(self, packet: Packet, message: Message) -> None:
        claims = Message(names=(), size=0, claims=message.claims)
        self._channel.send(AddressClaims(replace(packet, frames=()), claims))

    def _send_findings(self, packet_time: int, *, ends_incidents: bool = False) -> None:
        """Send the findings. With `ends_incidents` the aggregator is told the time even without
        any, since nothing else may tell it how quiet it has been."""
        items = self._findings.take()
        if (items or ends_incidents) and not self._channel.send(
            Findings(self._config_serial, packet_time, items)
        ):
            self._findings_lost += len(items)

    def _send_report(self, *, with_coverage: bool, required: bool = False) -> None:
        source = self._source
        notes = []
        while source is not None and source.notes:
            notes.append(source.notes.pop(0))
        self._channel.send(
            StatusReport(
                config_serial=self._config_serial,
                packet_time=self._clock.now(time.monotonic_ns()),
                statistics=self._statistics,
                dropped=source.dropped if source is not None else 0,
                ring_freezes=getattr(source, "freezes", 0),
                interface_events=dict(getattr(source, "events", {})),
                notes=tuple(notes),
                interfaces_down=getattr(source, "down", ()),
                clock_steps=self._clock.steps,
                findings_lost=self._findings_lost,
                bytes_queued=self._channel.queued,
                last_packet=self._last_packet,
                tables=self._engine.table_usage(),
                coverage=self._coverage if with_coverage else None,
                open_flows=self._open_flows() if with_coverage else None,
            ),
            required=required,
        )

    def _open_flows(self) -> Coverage | None:
        """What the store keeps of flows that have not ended; to count them takes a while."""
        return self._engine.open_flows() if self._recorder is not None else None


class _Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Interrupts a read from a pipe into which nothing more may be written."""
