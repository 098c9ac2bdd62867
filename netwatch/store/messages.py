"""What the processes of a run say to the writer of the store, and what it answers.

A process that reads a capture connects to the socket of the writer and sends chunks of rows, whose
clients are a column of places in the chunk's list of clients; the writer puts the numbers of the
catalogue in their place. The process that started the writer has a pipe to it, by which it names
the run and its decisions, and by which it learns how many rows are stored.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from netwatch.formats.values import json_line
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
        """The number of a client, which is given when it is first asked for."""
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
    # Three codes that fit into an integer tell one client from another.
    key = compute.bit_wise_or(
        compute.shift_left(ips.cast(pa.int64()), 36),
        compute.bit_wise_or(compute.shift_left(encoded.indices.cast(pa.int64()), 16), tags),
    ).dictionary_encode()
    known = encoded.dictionary.to_pylist()
    numbers = [
        clients.number(_client(addresses, known, each)) for each in key.dictionary.to_pylist()
    ]
    return pa.array(numbers, pa.int32()).take(key.indices)


def readable(source: str) -> str:
    """The name of a source as strict readers of its JSON get it: without unpaired surrogates."""
    return source if source.isascii() else json.loads(json_line({"": source}))[""]


def _client(addresses: Sequence[bytes], macs: Sequence[int], key: int) -> ClientKey:
    mac, tag = macs[key >> 16 & 0xFFFFF], key & 0xFFFF
    return ClientKey(
        addresses[key >> 36], mac.to_bytes(7, "big")[1:] if mac else None, tag - 1 if tag else None
    )


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


@dataclass(frozen=True, slots=True)
class CaptureEnded:
    """All rows of a capture were sent, but for `lost_rows`. It `is_whole` unless reading it failed
    midway. `first` and `last` are the times of its packets."""

    position: int
    is_whole: bool
    first: int | None
    last: int | None
    lost_rows: int = 0


@dataclass(frozen=True, slots=True)
class CaptureLosses:
    """What is lost so far of the capture at a position of the run."""

    position: int
    losses: Losses


@dataclass(frozen=True, slots=True)
class RunLosses:
    """What is lost so far of all captures of the run."""

    losses: Losses


@dataclass(frozen=True, slots=True)
class Incidents:
    """Alerts of the run as lines of JSON, without their ends."""

    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class CoverageRecord:
    """The coverage of the run, as a line of JSON."""

    line: str


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """The evidence capture of an incident."""

    incident: str
    path: str


@dataclass(frozen=True, slots=True)
class HourCoverage:
    """The coverage of an hour of a live run, which has the number `part`, as a line of JSON. It
    replaces the one that was sent before the hour was over."""

    part: int
    first: int
    last: int
    line: str


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """What a live capture says of itself now, as `netwatch.watch.health` has it."""

    sensor: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Described:
    """From now on clients are described, and claims about them sealed, by these functions; `hides`
    knows which apps hide names. What is seen is judged by `versions`, whose bans say `contents`;
    None: it is not judged."""

    locate: Callable[[ClientKey], ClientAddress]
    seal: Callable[[bytes], bytes] | None
    hides: Hides | None = None
    versions: VersionHashes | None = None
    contents: Mapping[str, str] = field(default_factory=dict)


Decision = Incidents | HourCoverage | EvidenceFile | SensorStatus | Described | RunLosses
"""What the process of a live capture sends, while the workers send facts. Taking one twice is the
same as once."""


def records_in(decision: object) -> int:
    """How many records are lost with a decision."""
    return len(decision.lines) if isinstance(decision, Incidents) else 1


@dataclass(frozen=True, slots=True)
class End:
    """Nothing follows: write what is waiting, and end the run. Of a live run so many rows were
    `recorded`; those that are not stored are lost."""

    recorded: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """The store can be written to; the number of the run there. Of what a writer before was about
    to make visible when it died, `unseen` rows are not."""

    run: int
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """The store cannot be written to now, and why; empty once it can be again."""

    problem: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is stored. `partial` are the paths of captures of which rows are missing. What
    follows is compaction, whose failure loses nothing."""

    rows: int
    partial: Sequence[str]


@dataclass(frozen=True, slots=True)
class Failed:
    """The store cannot be written to, and why."""

    error: Exception
