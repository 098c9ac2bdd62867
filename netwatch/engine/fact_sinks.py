"""Where a recorder sends facts: to the writer of the store, with or without waiting for it; and
rows made from single objects, as chunks for that writer."""

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from netwatch.core.addresses import ip_text
from netwatch.core.flow import Flow
from netwatch.store.claims import encode_claim
from netwatch.store.messages import CaptureBegun, Chunk, ClientKey, Clients, readable

if TYPE_CHECKING:
    import pyarrow as pa

QUEUED_ROWS = 500_000
"""Rows in the queue of a live capture, at most, some 50 MB."""

CLOSE_TIMEOUT = 20.0
"""How long the end of a live capture waits for a writer that takes nothing from its queue, in s."""

MAX_SAMPLING = (1 << 32) - 1
"""The greatest sampling that a row has: a greater one is this one."""

_POLL = 0.1


class FactSink(Protocol):
    """Takes the messages of a recorder."""

    def send(self, message: object) -> bool:
        """Take a message; False if it is lost."""
        ...

    def close(self) -> None:
        """Nothing more follows."""
        ...


class WriterConnection:
    """A connection to the store's writer at the address of its socket. If the writer is behind,
    `send` waits; if it has ended, messages are lost."""

    def __init__(self, address: str) -> None:
        self._connection: Connection | None = None
        with contextlib.suppress(OSError):
            connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connected.connect(address)
            self._connection = Connection(connected.detach())

    @property
    def is_open(self) -> bool:
        """Whether somebody listens at the address."""
        return self._connection is not None

    def send(self, message: object) -> bool:
        """Send a message; False if the writer has ended."""
        if self._connection is None:
            return False
        try:
            self._connection.send(message)
        except OSError:
            self.close()
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class QueuedSink:
    """A sink that never waits: a thread sends from a bounded queue to the writer at an address. If
    the writer dies, it continues with the next one there; what does not fit into the queue
    meanwhile is lost, and so is what follows once nobody listens there any more."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection = WriterConnection(address)
        self._begun: CaptureBegun | None = None
        self._queue = SimpleQueue[object]()
        self._is_open = True
        self._put = self._taken = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def send(self, message: object) -> bool:
        """Queue a message; False if it is lost."""
        rows = message.rows if isinstance(message, Chunk) else 0
        if not self._is_open or (rows and self._put - self._taken + rows > QUEUED_ROWS):
            return False
        self._put += rows
        self._queue.put(message)
        return True

    def close(self) -> None:
        """Let the thread send what is queued, and wait for it, as long as the writer takes
        something within `CLOSE_TIMEOUT`."""
        self._queue.put(None)
        # Only count the time in which this process itself was not stopped.
        taken, waited = self._taken, 0.0
        while self._thread.is_alive() and waited < CLOSE_TIMEOUT:
            self._thread.join(_POLL)
            waited = waited + _POLL if self._taken == taken else 0.0
            taken = self._taken

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            while self._is_open and not self._connection.send(message):
                self._reconnect()
            if isinstance(message, CaptureBegun):
                self._begun = message
            self._taken += message.rows if isinstance(message, Chunk) else 0
        self._connection.close()

    def _reconnect(self) -> None:
        """Connect to the next writer, which must learn about the capture first."""
        self._connection = WriterConnection(self._address)
        self._is_open = self._connection.is_open
        if self._is_open and self._begun is not None:
            self._connection.send(self._begun)


class RowBuffer:
    """Rows of objects that are waiting to be sent."""

    def __init__(self, table: str, row: Callable[[Any], tuple[ClientKey, tuple[Any, ...]]]) -> None:
        self.table = table
        self.clients = Clients()
        self._row = row
        self._rows: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, sequence: int, value: Any) -> None:
        """Add the row of a value."""
        client, row = self._row(value)
        self._rows.append((sequence, self.clients.number(client), *row))

    def batch(self) -> "pa.RecordBatch":
        """All rows, as a batch."""
        import pyarrow as pa

        from netwatch.store.fact_tables import chunk_schema

        layout = chunk_schema(self.table)
        names = ["sequence", "client", *(name for name in layout.names[1:] if name != "client")]
        columns = dict(zip(names, zip(*self._rows, strict=True), strict=True))
        return pa.RecordBatch.from_arrays(
            [array_of(columns[field.name], field.type) for field in layout], schema=layout
        )

    def clear(self) -> None:
        """Forget the rows."""
        self._rows.clear()
        self.clients = Clients()


def claim_row(value: Any) -> tuple[ClientKey, tuple[Any, ...]]:
    """The row of a claim, given with its packet and the format of its log, if it is from one. It is
    about the first address in the claim."""
    packet, claim, log = value
    address = (claim.addresses or (packet.src,))[0]
    return ClientKey(address, claim.mac, packet.vlan), (
        packet.time,
        claim.kind,
        packet.vlan,
        readable(packet.source),
        packet.number,
        encode_claim(packet, claim),
        log or None,
    )


def array_of(values: Sequence[Any], kind: "pa.DataType") -> "pa.Array":
    """Values as an array of a type, possibly a dictionary type."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)


def flow_row(flow: Flow) -> tuple[ClientKey, tuple[Any, ...]]:
    """The row of a flow, without its number among events and clients."""
    return ClientKey(flow.client_ip, flow.client_mac, flow.vlan), (
        flow.first,
        flow.last,
        flow.transport,
        flow.client_port,
        ip_text(flow.server_ip) if flow.server_ip else None,
        flow.server_port,
        flow.vlan,
        flow.bytes_out,
        flow.bytes_in,
        flow.name_status,
        flow.start_seen,
        flow.incomplete_message,
        flow.client_sent,
        flow.server_sent,
        readable(flow.source),
        flow.packet,
        flow.flow_id,
        flow.log or None,
        flow.client_acknowledged,
        flow.server_acknowledged,
        flow.client_checksums,
        flow.server_checksums,
        min(flow.sampling, MAX_SAMPLING) if flow.sampling > 1 else None,
        flow.is_doubted or None,
    )
