"""What the processes of a live capture tell each other.

A worker tells contacts as they are made, and once a second how it stands. Counts are
totals since its start, so that one that is left out costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from netwatch.config import Config
from netwatch.core.message import Message
from netwatch.core.packet import Packet
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Contact
from netwatch.coverage.counts import Coverage


@dataclass(frozen=True, slots=True)
class Manner:
    """How workers work. `live`: their sources go by the clock, and give a block every now
    and then even where no packet comes. `keep_frames`: contacts come with their packets."""

    live: bool
    keep_frames: bool = False


@dataclass(frozen=True, slots=True)
class Spoken:
    """Further payload of the flow of a contact, out of and into the device."""

    contact: Contact
    bytes_out: int
    bytes_in: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a block made, in its order, judged by the configuration number `serial`. `time`
    is that of the block's last packet, ns."""

    serial: int
    time: int
    items: tuple[Contact | Spoken, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a worker stands: packet time (None before the first packet), what it counted, what
    its source lost and says, which of its interfaces are down, when a packet came last (by
    the clock on the wall, s), and the sizes of its tables: entries now and at most, and how
    many had to go. `untold` contacts found no room on the way to the keeper, `waiting` bytes
    are on it. `coverage` is there now and then."""

    serial: int
    time: int | None
    statistics: RunStatistics
    dropped: int = 0
    freezes: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    steps: int = 0
    untold: int = 0
    waiting: int = 0
    last_packet: float | None = None
    tables: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    coverage: Coverage | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the message of a packet claims of who has which address: one worker sees it, and
    all have to know."""

    packet: Packet
    message: Message


@dataclass(frozen=True, slots=True)
class Ended:
    """The capture of a worker is over; `error` says why where it should not be."""

    error: str | None = None


@dataclass(frozen=True, slots=True)
class Reload:
    """To a worker: judge by this configuration from now on."""

    serial: int
    config: Config


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: tell what there is, and end."""
