"""The rows of an observation batch as columns of the table ``observation``.

They are taken from the memory of the batch column by column, without an object a row. Clients are
numbered in each chunk (`Clients`); the writer puts the numbers of the catalogue in their place.
"""

from typing import TYPE_CHECKING

from netwatch.core import observation_columns as columns
from netwatch.core.addresses import parse_ip
from netwatch.core.flow import CHECKSUM_PLACE, CHECKSUMS, PLACED, PLACES
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import EVIDENCE, TRANSPORTS
from netwatch.formats.column_buffers import ColumnBuffers, Integers, Strings
from netwatch.store.messages import Clients, client_places, readable

if TYPE_CHECKING:
    import pyarrow as pa


def observation_columns(
    batch: ObservationBatch, sequence: "pa.Array", clients: Clients
) -> "pa.RecordBatch":
    """The rows of a batch in the order of packets, by `netwatch.store.fact_tables.chunk_schema`.
    `sequence` has the place of each among the events of the capture. The result does not depend on
    the batch any more."""
    import pyarrow as pa

    from netwatch.store.fact_tables import chunk_schema

    found = _Columns(batch)
    ints, texts, lists = found.integers, found.texts, found.lists
    arrays = {
        "sequence": sequence,
        "time": ints(pa.int64(), columns.WORD_TIME),
        "time_digits": ints(pa.uint8(), columns.WORD_TIME_DIGITS),
        "evidence": found.constants(columns.WORD_EVIDENCE, list(EVIDENCE)),
        "name": texts(columns.WORD_NAME),
        "raw": texts(columns.WORD_RAW),
        "client": found.clients(clients),
        "client_port": ints(pa.uint16(), columns.WORD_CLIENT_PORT, absent=-1),
        "server_ip": texts(columns.WORD_SERVER_IP, is_address=True),
        "server_port": ints(pa.uint16(), columns.WORD_SERVER_PORT, absent=-1),
        "transport": found.constants(columns.WORD_TRANSPORT, _TRANSPORT_TEXTS),
        "vlan": ints(pa.uint16(), columns.WORD_VLAN, absent=-1),
        "source": found.constants(columns.WORD_SOURCE, list(map(readable, batch.sources))),
        "packet": found.places(),
        "flow": ints(pa.int64(), columns.WORD_FLOW),
        "dns_type": texts(columns.WORD_DNS_TYPE),
        "dns_rcode": texts(columns.WORD_DNS_RCODE),
        "dns_answers": lists(columns.WORD_DNS_ANSWERS, is_address=True),
        "dns_ttls": found.numbers(columns.WORD_DNS_ANSWERS),
        "dns_chain": lists(columns.WORD_DNS_CHAIN),
        "dns_asked": texts(columns.WORD_DNS_ASKED),
        "dns_service_targets": lists(columns.WORD_DNS_SERVICE_TARGETS),
        "dns_ech": lists(columns.WORD_DNS_ECH),
        "dns_ech_configs": lists(columns.WORD_DNS_ECH_CONFIGS),
        "tls_version": texts(columns.WORD_TLS_VERSION),
        "tls_alpn": lists(columns.WORD_TLS_ALPN),
        "tls_ja4": texts(columns.WORD_TLS_JA4),
        "tls_ech": texts(columns.WORD_TLS_ECH),
        "tls_ech_config_id": texts(columns.WORD_TLS_ECH_CONFIG_ID),
        "quic_version": texts(columns.WORD_QUIC_VERSION),
        "log_format": texts(columns.WORD_LOG_FORMAT),
        "log_lacks": lists(columns.WORD_LOG_LACKS),
        "log_outcome": texts(columns.WORD_LOG_OUTCOME),
        "log_blocked_by": texts(columns.WORD_LOG_BLOCKED_BY),
        "stream_place": found.mark_places(),
        "checksum": found.checksums(),
    }
    layout = chunk_schema("observation")
    return pa.RecordBatch.from_arrays([arrays[name] for name in layout.names], schema=layout)


_TRANSPORT_TEXTS = [TRANSPORTS.get(number, "") for number in range(max(TRANSPORTS) + 1)]


class _Columns:
    """The columns of a batch as arrays of Arrow."""

    def __init__(self, batch: ObservationBatch) -> None:
        self._batch = batch
        self._buffers = ColumnBuffers(batch)

    def integers(self, kind: "pa.DataType", word: int, absent: int | None = None) -> "pa.Array":
        size = kind.bit_width // 8
        if absent is None:
            return self._integers(kind, self._buffers.integers(word, size))
        return self._integers(kind, self._buffers.integers(word, size, absent))

    def places(self) -> "pa.Array":
        """The number of the packet of each row, or of the record of a log."""
        import pyarrow as pa
        from pyarrow import compute

        # One of the two is 0.
        packets = self.integers(pa.int64(), columns.WORD_PACKET)
        return compute.add(packets, self.integers(pa.int64(), columns.WORD_LOG_LINE))

    def mark_places(self) -> "pa.Array":
        """The place of each packet in what its side sent, null where it has none."""
        import pyarrow as pa
        from pyarrow import compute

        marks = self.integers(pa.int64(), columns.WORD_MARK)
        is_placed = compute.not_equal(compute.bit_wise_and(marks, PLACED), 0)
        places = compute.bit_wise_and(marks, PLACES)
        return compute.if_else(is_placed, places, pa.scalar(None, pa.int64()))

    def checksums(self) -> "pa.Array":
        """What the checksum of each packet is."""
        import pyarrow as pa
        from pyarrow import compute

        marks = self.integers(pa.int64(), columns.WORD_MARK)
        codes = compute.bit_wise_and(compute.shift_right(marks, CHECKSUM_PLACE), 3)
        return pa.DictionaryArray.from_arrays(
            codes.cast(pa.int32()), pa.array(CHECKSUMS, pa.string())
        )

    def constants(self, word: int, texts: list[str]) -> "pa.Array":
        """A column whose words are indices of these texts."""
        import pyarrow as pa

        codes = self._integers(pa.int32(), self._buffers.integers(word, 4))
        return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string()))

    def texts(self, word: int, *, is_address: bool = False) -> "pa.Array":
        import pyarrow as pa

        codes, strings = self._buffers.dictionary(word, is_address)
        indices = self._integers(pa.int32(), codes)
        return pa.DictionaryArray.from_arrays(indices, _strings(strings))

    def lists(self, word: int, *, is_address: bool = False) -> "pa.Array":
        import pyarrow as pa

        offsets, strings = self._buffers.lists(word, is_address)
        return self._list(pa.string(), offsets, _strings(strings))

    def numbers(self, word: int) -> "pa.Array":
        """The TTLs of a column of answers."""
        import pyarrow as pa

        offsets, values = self._buffers.list_numbers(word)
        entries = pa.Array.from_buffers(
            pa.uint32(), len(values) // 4, [None, pa.py_buffer(values)], 0
        )
        return self._list(pa.uint32(), offsets, entries)

    def clients(self, clients: Clients) -> "pa.Array":
        """The number of the client of each row among `clients`."""
        import pyarrow as pa
        from pyarrow import compute

        ips, strings = self._buffers.dictionary(columns.WORD_CLIENT_IP, True)
        macs = self.integers(pa.int64(), columns.WORD_CLIENT_MAC)
        tags = compute.add(self.integers(pa.int64(), columns.WORD_VLAN), 1)
        addresses = list(map(_packed, _strings(strings).to_pylist()))
        if ips.missing:
            # A log may not say who the client is.
            known = self._integers(pa.int32(), ips)
            addresses.append(b"")
            places = compute.fill_null(known, len(addresses) - 1)
            return client_places(places, addresses, macs, tags, clients)
        return client_places(self._integers(pa.int32(), ips), addresses, macs, tags, clients)

    def _integers(self, kind: "pa.DataType", found: Integers) -> "pa.Array":
        import pyarrow as pa

        valid = pa.py_buffer(found.valid) if found.missing else None
        count = self._buffers.count
        return pa.Array.from_buffers(
            kind, count, [valid, pa.py_buffer(found.values)], found.missing
        )

    def _list(self, kind: "pa.DataType", offsets: Integers, entries: "pa.Array") -> "pa.Array":
        import pyarrow as pa

        valid = pa.py_buffer(offsets.valid) if offsets.missing else None
        return pa.Array.from_buffers(
            pa.list_(pa.field("element", kind, nullable=False)),
            self._buffers.count,
            [valid, pa.py_buffer(offsets.values)],
            offsets.missing,
            children=[entries],
        )


def _packed(text: str) -> bytes:
    packed = parse_ip(text)
    assert packed is not None
    return packed


def _strings(found: Strings) -> "pa.Array":
    import pyarrow as pa

    parts = [None, pa.py_buffer(found.offsets), pa.py_buffer(found.octets)]
    return pa.Array.from_buffers(pa.string(), found.number, parts, 0)
