"""The messages between the aggregator and the worker processes of a live capture, and the findings
of a worker until they are sent.

A worker sends contacts as soon as a block of packets has been processed, and once a second a status
report. The counts in a report are totals since the worker started, so a report that could not be
sent costs nothing: the next one makes up for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netwatch.config import Config
from netwatch.core.message import Message
from netwatch.core.packet import Packet
from netwatch.core.seen import Sender
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Contact
from netwatch.coverage.counts import Coverage
from netwatch.incidents.contacts import ContactProgress, strip_frames, without_details

if TYPE_CHECKING:
    from netwatch.engine.facts_process import Recording

SENDER_LIMIT = 4096
"""Pairs of a MAC and a client that were sent and are not sent again, until there are more."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How every worker runs.

    `live`: the sources are interfaces. They yield a block at least every 100 ms, also
    without packets, and packet time advances with the clock. `keep_frames`: each
    contact is sent with the packets that prove it. `recording`: where the facts of the capture go.
    """

    live: bool
    keep_frames: bool = False
    recording: "Recording | None" = None


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What became of contacts that were sent before; `contact` is one of them. It concerns the bans
    with these ids, None for all that apply to the contact."""

    contact: Contact
    progress: ContactProgress
    bans: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What one block of packets gave, in packet order.

    `config_serial` numbers the configuration that judged it (see `Reload`), `packet_time`
    is the time of the block's last packet in ns since the epoch. `positions` says how far the logs
    were read with these items, by the keys of `netwatch.logs.live.follower`; None removes one.
    """

    config_serial: int
    packet_time: int
    items: tuple[Contact | FollowUp, ...]
    positions: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The counters and gauges of one worker.

    `packet_time` is the current packet time in ns (None before the first packet),
    `last_packet` the wall-clock time at which a packet last arrived, in seconds.
    `dropped` counts packets that the kernel dropped, `ring_freezes` how often the ring was
    full, `interface_events` changes of interfaces by name; `notes` are sentences about
    them, and `interfaces_down` names the interfaces that deliver nothing now. `clock_steps`
    counts jumps of packet time. `findings_lost` were discarded because the channel to the
    aggregator was full; `bytes_queued` wait in it. `tables` maps each bounded table to its
    entries, its limit and its evictions. `coverage` of flows that have
    ended, and `open_flows` of those that go on, are only in every fifth report. Of logs,
    `log_events` counts what happened to files and connections by name, and `log_lag` is the age in
    s of the last record that was read where there are more to read, else 0 (None: no logs are
    read). `logs_unreadable` has the logs that cannot be read now, and why.
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
    """The last message of a worker; `error` gives the reason where it failed, and `traceback` the
    lines that locate a defect."""

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
    this has come."""

    positions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: send what is left, and end."""


class FindingsBuffer:
    """The findings of a block. It stands in for `netwatch.incidents.aggregate.Incidents` as the
    receiver of the engine's contacts."""

    def __init__(self) -> None:
        self.items: list[Contact | FollowUp] = []
        self._senders: set[Sender] = set()

    def add(self, contact: Contact) -> None:
        """Take a contact, or several that are alike."""
        self.items.append(without_details(contact))

    def add_sender(self, contact: Contact) -> None:
        """Take a contact to which no ban applies, if it says something new of whose packets a MAC
        sends."""
        if contact.sender is not None and contact.sender not in self._senders:
            if len(self._senders) >= SENDER_LIMIT:
                self._senders.clear()
            self._senders.add(contact.sender)
            self.items.append(strip_frames(without_details(contact)))

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Take what became of contacts."""
        self.items.append(FollowUp(strip_frames(without_details(contact)), progress, bans))

    def take(self) -> tuple[Contact | FollowUp, ...]:
        """The findings since the last call."""
        items = tuple(self.items)
        self.items.clear()
        return items
