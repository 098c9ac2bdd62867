"""Rows of the store that are made of objects one by one, as chunks for its writer."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from netwatch.core.addresses import ip_text
from netwatch.core.flow import Flow
from netwatch.store.claims import encode_claim
from netwatch.store.messages import ClientKey, Clients, readable

if TYPE_CHECKING:
    import pyarrow as pa


class RowBuffer:
    """Rows of objects that wait to be sent."""

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
    """The row of a claim, given with its packet. It is about the address that it names first."""
    packet, claim = value
    address = (claim.addresses or (packet.src,))[0]
    return ClientKey(address, claim.mac, packet.vlan), (
        packet.time,
        claim.kind,
        packet.vlan,
        readable(packet.source),
        packet.number,
        encode_claim(packet, claim),
    )


def array_of(values: Sequence[Any], kind: "pa.DataType") -> "pa.Array":
    """Values as an array of a type, which may be that of a dictionary."""
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
    )


def stream_of(batches: "list[pa.RecordBatch]") -> bytes:
    """Batches as an Arrow stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    octets: bytes = sink.getvalue().to_pybytes()
    return octets
