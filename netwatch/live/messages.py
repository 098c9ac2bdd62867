"""The messages between the aggregator and the worker processes of a live capture, the channel that
they take, and the findings of a worker until they are sent.

A worker sends contacts as soon as a block of packets has been processed, and once a second a status
report. The counts in a report are totals since the worker started, so a report that could not be
sent costs nothing: the next one makes up for it.

Neither end of a channel ever blocks, unless it asks to wait for the rest of a message. Messages
that the other end does not read yet are queued in memory up to a limit; beyond it they are
discarded and counted. Messages are pickled, which is safe because both ends are the same program.
"""

import os
import pickle
import select
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from netwatch.config import Config
from netwatch.core.flow import Sender
from netwatch.core.message import Message, Packet
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Contact
from netwatch.coverage.counts import Coverage
from netwatch.incidents.contacts import ContactProgress, strip_frames, without_details

if TYPE_CHECKING:
    from netwatch.engine.facts_process import Recording

SENDER_LIMIT = 4096
"""Pairs of a MAC and a client that were sent and are not sent again, until there are more."""

QUEUE_LIMIT = 64 << 20
"""Bytes to queue for the other end; further messages are discarded."""

COMMAND_PATIENCE = 0.25
"""Seconds that a command to a worker may take to arrive as a whole. A configuration is larger than
the buffer of a socket; without waiting, packets and records would be judged by the old one
meanwhile. Packets wait in the ring, which lasts a second, and datagrams in the buffer of their
socket: then the old configuration judges them."""

_LENGTH_SIZE = 8
_READ_SIZE = 1 << 18


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How every worker runs.

    `live`: the sources are interfaces. They yield a block every 250 ms at the latest,
    also without packets, and packet time advances with the clock. `keep_frames`: each
    contact is sent with the packets that prove it. `recording`: where the facts of the capture go.
    """

    live: bool
    keep_frames: bool = False
    recording: "Recording | None" = None


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The outcome of contacts that were sent before; `contact` is one of them. It concerns the bans
    with these ids, None for all that apply to the contact."""

    contact: Contact
    progress: ContactProgress
    bans: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of one block of packets, in packet order.

    `config_serial` numbers the configuration that judged it (see `Reload`), `packet_time` is the
    time of the block's last packet in ns since the epoch. `positions` is how far the logs were read
    with these items, by the keys of `netwatch.logs.live.follower`; None removes one.
    """

    config_serial: int
    packet_time: int
    items: tuple[Contact | FollowUp, ...]
    positions: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The counters and gauges of one worker.

    `packet_time` is the current packet time in ns (None before the first packet), `last_packet` the
    wall-clock time at which a packet last arrived, in seconds. `dropped` counts packets that the
    kernel dropped, `ring_freezes` how often the ring was full, `interface_events` changes of
    interfaces by name; `notes` are sentences about them, and `interfaces_down` names the interfaces
    that deliver nothing now. `clock_steps` counts jumps of packet time. `findings_lost` were
    discarded because the channel to the aggregator was full; `bytes_queued` wait in it. `tables`
    maps each bounded table to its entries, its limit and its evictions. `coverage` of ended flows,
    and with a store `open_flows`, are only in every fifth report. For logs, `log_events` counts
    what happened to files and connections by name, and `log_lag` is the age in s of the last record
    that was read if there are more to read, otherwise 0 (None: no logs are read). `logs_unreadable`
    has the logs that cannot be read now, and why.
    """

    config_serial: int
    packet_time: int | None
    statistics: RunStatistics
    dropped: int = 0
    ring_freezes: int = 0
    interface_events: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    interfaces_down: tuple[str, ...] = ()
    clock_steps: int = 0
    findings_lost: int = 0
    bytes_queued: int = 0
    last_packet: float | None = None
    tables: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    coverage: Coverage | None = None
    open_flows: Coverage | None = None
    log_events: Mapping[str, int] = field(default_factory=dict)
    log_lag: float | None = None
    logs_unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AddressClaims:
    """A packet whose message says which host has which address (DHCP, mDNS, ARP). One worker
    receives the packet; the aggregator forwards the claims to all the others."""

    packet: Packet
    message: Message


@dataclass(frozen=True, slots=True)
class WorkerEnded:
    """The last message of a worker; `error` is the reason if it failed, and `traceback` the lines
    that locate a defect."""

    error: str | None = None
    traceback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reload:
    """To a worker: judge all further packets by this configuration, which has the number
    `config_serial`. The one that the process started with has number 0."""

    config_serial: int
    config: Config


@dataclass(frozen=True, slots=True)
class Resume:
    """To a worker that reads logs: how far they were read by the last run. Nothing is read before
    this has arrived."""

    positions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: send what is left, and end."""


class FindingsBuffer:
    """The findings of a block. It replaces `netwatch.incidents.aggregate.Incidents` as the receiver
    of the engine's contacts."""

    def __init__(self) -> None:
        self.items: list[Contact | FollowUp] = []
        self._senders: set[Sender] = set()

    def add(self, contact: Contact) -> None:
        """Take a contact, or several that are alike."""
        self.items.append(without_details(contact))

    def add_sender(self, contact: Contact) -> None:
        """Take a contact to which no ban applies, if it tells something new about whose packets a
        MAC sends."""
        if contact.sender is not None and contact.sender not in self._senders:
            if len(self._senders) >= SENDER_LIMIT:
                self._senders.clear()
            self._senders.add(contact.sender)
            self.items.append(strip_frames(without_details(contact)))

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Take outcomes of contacts."""
        self.items.append(FollowUp(strip_frames(without_details(contact)), progress, bans))

    def take(self) -> tuple[Contact | FollowUp, ...]:
        """The findings since the last call."""
        items = tuple(self.items)
        self.items.clear()
        return items


class Channel:
    """One end of a channel over the pipe to the other process.

    `queued` are bytes that the other end has not read yet, `discarded` counts messages
    that did not fit into the queue.
    """

    def __init__(self, end: Connection, limit: int = QUEUE_LIMIT) -> None:
        os.set_blocking(end.fileno(), False)
        self._end = end
        self._limit = limit
        self._outgoing: deque[memoryview] = deque()
        self._incoming = bytearray()
        self.queued = 0
        self.discarded = 0

    def send(self, message: Any, *, required: bool = False) -> bool:
        """Queue a message and send what the socket accepts; False if it was discarded. A `required`
        message is queued even beyond the limit."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if self.queued + len(data) > self._limit and not required:
            self.discarded += 1
            return False
        framed = len(data).to_bytes(_LENGTH_SIZE, "big") + data
        self._outgoing.append(memoryview(framed))
        self.queued += len(framed)
        self.flush()
        return True

    def flush(self) -> None:
        """Send as much of the queue as the socket accepts without blocking. The queue is cleared if
        the other end is gone."""
        try:
            while self._outgoing:
                sent = os.write(self._end.fileno(), self._outgoing[0])
                self.queued -= sent
                if sent < len(self._outgoing[0]):
                    self._outgoing[0] = self._outgoing[0][sent:]
                else:
                    self._outgoing.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()
            self.queued = 0

    def finish(self) -> None:
        """Send the rest of the queue, however long the other end takes to read it, as long as it is
        there; from now on `send` waits as well."""
        os.set_blocking(self._end.fileno(), True)
        self.flush()

    def receive(self, patience: float = 0.0) -> tuple[list[Any], bool]:
        """The messages that have arrived, and whether the other end is still open. If one has only
        arrived in part, because it is larger than the buffer of the socket, its rest is waited for,
        at most `patience` seconds."""
        messages, is_open = self._receive()
        end = time.monotonic() + patience
        while self._incoming and is_open and (left := end - time.monotonic()) > 0:
            poll = select.poll()
            poll.register(self._end.fileno(), select.POLLIN)
            poll.poll(left * 1000)
            more, is_open = self._receive()
            messages += more
        return messages, is_open

    def _receive(self) -> tuple[list[Any], bool]:
        is_open = True
        try:
            while len(self._incoming) < self._limit and (
                data := os.read(self._end.fileno(), _READ_SIZE)
            ):
                self._incoming += data
            is_open = len(self._incoming) >= self._limit
        except BlockingIOError:
            pass
        except OSError:
            is_open = False
        messages = []
        at = 0
        while len(self._incoming) - at >= _LENGTH_SIZE:
            size = int.from_bytes(self._incoming[at : at + _LENGTH_SIZE], "big")
            if len(self._incoming) - at - _LENGTH_SIZE < size:
                break
            at += _LENGTH_SIZE
            messages.append(pickle.loads(memoryview(self._incoming)[at : at + size].tobytes()))
            at += size
        del self._incoming[:at]
        return messages, is_open

    def close(self) -> None:
        """Close this end; the other end notices when it next reads."""
        self._end.close()


def pair() -> tuple[Channel, Channel]:
    """The two ends of a new channel."""
    one, other = Pipe()
    return Channel(one), Channel(other)
