"""Messages from the processes of a run to the writer of the store, and its answers.

A process that reads a capture connects to the writer's socket and sends chunks of rows, in which a
client is a place in the chunk's list of clients; the writer replaces it by the catalogue's number.
The process that started the writer has a pipe to it, for the run and its decisions, and by which it
learns how many rows are stored.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, NamedTuple

from netwatch.coverage.judged import OneOf
from netwatch.formats.values import json_line
from netwatch.inventory.entry_table import EntryTable
from netwatch.store.hour_counting import Hides
from netwatch.store.hour_rows import Losses
from netwatch.store.run_rows import ClientAddress, VersionHashes

if TYPE_CHECKING:
    import pyarrow as pa


class ClientKey(NamedTuple):
    """A client as frames show it: its packed address, its MAC and the VLAN of the frame."""

    ip: bytes
    mac: bytes | None
    vlan: int | None


class Clients:
    """The clients of a chunk of rows by their number in it."""

    def __init__(self) -> None:
        self.keys: dict[ClientKey, int] = {}

    def number(self, key: ClientKey) -> int:
        """The number of a client, which is assigned on first use."""
        return self.keys.setdefault(key, len(self.keys))


def client_places(
    ips: "pa.Array",
    addresses: Sequence[bytes],
    macs: "pa.Array",
    tags: "pa.Array",
    clients: Clients,
) -> "pa.Array":
    """The number among `clients` of the client of each row. `ips` are places in `addresses`, `macs`
    words with bit 48 set, 0 if there is no MAC, and `tags` VLAN ids plus 1, 0 without one."""
    import pyarrow as pa
    from pyarrow import compute

    encoded = macs.dictionary_encode()
    # Three codes that fit into an integer distinguish clients.
    key = compute.bit_wise_or(
        compute.shift_left(ips.cast(pa.int64()), 36),
        compute.bit_wise_or(compute.shift_left(encoded.indices.cast(pa.int64()), 16), tags),
    ).dictionary_encode()
    hardware = [
        mac.to_bytes(7, "big")[1:] if mac else None for mac in encoded.dictionary.to_pylist()
    ]
    numbers = [
        clients.number(
            ClientKey(
                addresses[each >> 36],
                hardware[each >> 16 & 0xFFFFF],
                (each & 0xFFFF) - 1 if each & 0xFFFF else None,
            )
        )
        for each in key.dictionary.to_pylist()
    ]
    return pa.array(numbers, pa.int32()).take(key.indices)


def readable(source: str) -> str:
    """The name of a source for strict readers of its JSON: without unpaired surrogates."""
    return source if source.isascii() else json.loads(json_line({"": source}))[""]


@dataclass(frozen=True, slots=True)
class CaptureBegun:
    """The capture at this position of the run has packets. `paths` are its files, empty for what
    cannot be read again (a pipe or an interface)."""

    position: int
    paths: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a table as an Arrow stream, of the capture at a position of the run. In the column
    ``client`` they have places in `clients`."""

    position: int
    table: str
    rows: int
    stream: bytes
    clients: Sequence[ClientKey]

    def __reduce__(self) -> tuple[Any, ...]:
        # Three columns cost far less than an object for each client.
        clients = tuple(zip(*self.clients, strict=True)) or ((), (), ())
        return _chunk, (self.position, self.table, self.rows, self.stream, *clients)


def _chunk(
    position: int,
    table: str,
    rows: int,
    stream: bytes,
    ips: Sequence[bytes],
    macs: Sequence[bytes | None],
    vlans: Sequence[int | None],
) -> Chunk:
    # Without a call in Python for each.
    keys = map(partial(tuple.__new__, ClientKey), zip(ips, macs, vlans, strict=True))
    return Chunk(position, table, rows, stream, tuple(keys))


@dataclass(frozen=True, slots=True)
class CaptureEnded:
    """All rows of a capture were sent, except `lost_rows`. It `is_whole` unless reading it failed
    midway. `first` and `last` are the times of its packets."""

    position: int
    is_whole: bool
    first: int | None
    last: int | None
    lost_rows: int = 0


@dataclass(frozen=True, slots=True)
class CaptureLosses:
    """The losses so far of the capture at a position of the run."""

    position: int
    losses: Losses


@dataclass(frozen=True, slots=True)
class OneOfNames:
    """Further flow records of the capture at a position of the run that are ``one-of-k``."""

    position: int
    found: OneOf


@dataclass(frozen=True, slots=True)
class RunLosses:
    """The losses so far of all captures of the run."""

    losses: Losses


@dataclass(frozen=True, slots=True)
class Incidents:
    """Alerts of the run as JSON lines, without their ends."""

    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class CoverageRecord:
    """The coverage of the run, as a JSON line."""

    line: str


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """The evidence capture of an incident."""

    incident: str
    path: str


@dataclass(frozen=True, slots=True)
class HourCoverage:
    """The coverage of an hour of a live run, which has the number `part`, as a JSON line. It
    replaces the one that was sent before the hour was over."""

    part: int
    first: int
    last: int
    line: str


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """The current status of a live capture, as in `netwatch.watch.health`."""

    sensor: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """What the configuration says of addresses: the ranges of its networks, and the inventory."""

    ranges: Sequence[IPv4Network | IPv6Network] = ()
    entries: EntryTable = field(default_factory=EntryTable)


@dataclass(frozen=True, slots=True)
class Described:
    """From now on these functions describe clients and seal claims about them; `hides` knows which
    apps hide names. What is seen is judged by `versions`, with bans of these `contents`; None: it
    is not judged. `known` are addresses, for judging days."""

    locate: Callable[[ClientKey], ClientAddress]
    seal: Callable[[bytes], bytes] | None
    hides: Hides | None = None
    versions: VersionHashes | None = None
    contents: Mapping[str, str] = field(default_factory=dict)
    known: Known = field(default_factory=Known)


@dataclass(frozen=True, slots=True)
class BypassesTold:
    """The outputs have the findings with these ids."""

    ids: Sequence[str]


Decision = (
    Incidents | HourCoverage | EvidenceFile | SensorStatus | Described | RunLosses | BypassesTold
)
"""What the process of a live capture sends, while the workers send facts. Taking one twice has the
same result as once."""


def records_in(decision: object) -> int:
    """How many records are lost with a decision."""
    return len(decision.lines) if isinstance(decision, Incidents) else 1


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more follows: write what is waiting, and end the run. A live run has so many
    `recorded` rows; those that are not stored are lost."""

    recorded: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """The store can be written to; the number of the run there. Of the rows that the previous
    writer was about to make visible when it died, `unseen` are not."""

    run: int
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """The store cannot be written to now, and why; empty once it can be again."""

    problem: str


@dataclass(frozen=True, slots=True)
class Bypasses:
    """Records of devices that hid their lookups, which the outputs do not have yet."""

    records: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is stored. `partial` are the paths of captures with missing rows. Compaction follows,
    whose failure loses nothing."""

    rows: int
    partial: Sequence[str]


@dataclass(frozen=True, slots=True)
class Failed:
    """The store cannot be written to, and why."""

    error: Exception
