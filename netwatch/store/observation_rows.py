"""Rows of the table ``observation``, made from an observation batch, and converted back to one, so
that they are written and judged like those from packets.

Nothing here makes an object per row. The columns of a table are taken from the memory of a batch;
clients are numbered in each chunk (`Clients`), and the writer replaces these by the catalogue's
numbers. The words of a batch are filled column by column: numbers are copied from Arrow's memory,
and each distinct text is looked up once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import compute

from netwatch.core import observation_columns as columns
from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.buffers import array, zeroed
from netwatch.core.flow import CHECKSUM_PLACE, CHECKSUMS, PLACED, PLACES
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import EVIDENCE, LIST_SHIFT, TRANSPORTS, WORDS
from netwatch.formats.column_buffers import ColumnBuffers, Integers, Strings
from netwatch.store.fact_tables import chunk_schema
from netwatch.store.messages import Clients, client_places, readable

_TRANSPORT_TEXTS = [TRANSPORTS.get(number, "") for number in range(max(TRANSPORTS) + 1)]

COLUMNS = (
    "time", "time_digits", "evidence", "name", "raw", "client", "client_port", "server_ip",
    "server_port", "transport", "vlan", "source", "packet", "flow", "dns_type", "dns_rcode",
    "dns_answers", "dns_ttls", "dns_chain", "dns_asked", "dns_service_targets", "dns_ech",
    "dns_ech_configs", "tls_version", "tls_alpn", "tls_ja4", "tls_ech", "tls_ech_config_id",
    "quic_version", "log_format", "log_lacks", "log_outcome", "log_blocked_by", "stream_place",
    "checksum",
)  # fmt: skip
"""The columns of the table from which a batch is made."""

_NUMBERS = {
    "time": columns.WORD_TIME,
    "time_digits": columns.WORD_TIME_DIGITS,
    "client_port": columns.WORD_CLIENT_PORT,
    "server_port": columns.WORD_SERVER_PORT,
    "vlan": columns.WORD_VLAN,
    "flow": columns.WORD_FLOW,
}
_TEXTS = {
    "name": columns.WORD_NAME,
    "raw": columns.WORD_RAW,
    "dns_type": columns.WORD_DNS_TYPE,
    "dns_rcode": columns.WORD_DNS_RCODE,
    "dns_asked": columns.WORD_DNS_ASKED,
    "tls_version": columns.WORD_TLS_VERSION,
    "tls_ja4": columns.WORD_TLS_JA4,
    "tls_ech": columns.WORD_TLS_ECH,
    "tls_ech_config_id": columns.WORD_TLS_ECH_CONFIG_ID,
    "quic_version": columns.WORD_QUIC_VERSION,
    "log_format": columns.WORD_LOG_FORMAT,
    "log_outcome": columns.WORD_LOG_OUTCOME,
    "log_blocked_by": columns.WORD_LOG_BLOCKED_BY,
}
_LISTS = {
    "dns_chain": columns.WORD_DNS_CHAIN,
    "dns_service_targets": columns.WORD_DNS_SERVICE_TARGETS,
    "dns_ech": columns.WORD_DNS_ECH,
    "dns_ech_configs": columns.WORD_DNS_ECH_CONFIGS,
    "tls_alpn": columns.WORD_TLS_ALPN,
    "log_lacks": columns.WORD_LOG_LACKS,
}
_MAC_BIT = 1 << 48
_EVIDENCE_NUMBERS = {text: number for number, text in enumerate(EVIDENCE)}
_TRANSPORT_NUMBERS = {text: number for number, text in TRANSPORTS.items()}


def observation_columns(
    batch: ObservationBatch, sequence: pa.Array, clients: Clients, sampling: int = 1
) -> pa.RecordBatch:
    """The rows of a batch in the order of packets, by `netwatch.store.fact_tables.chunk_schema`.
    `sequence` has the place of each among the events of the capture; of their packets one of
    `sampling` was looked at. The result does not depend on the batch any more."""
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
        "sampling": pa.repeat(
            pa.scalar(sampling if sampling > 1 else None, pa.uint32()), len(sequence)
        ),
    }
    layout = chunk_schema("observation")
    return pa.RecordBatch.from_arrays([arrays[name] for name in layout.names], schema=layout)


class _Columns:
    """The columns of a batch as arrays of Arrow."""

    def __init__(self, batch: ObservationBatch) -> None:
        self._batch = batch
        self._buffers = ColumnBuffers(batch)

    def integers(self, kind: pa.DataType, word: int, absent: int | None = None) -> pa.Array:
        size = kind.bit_width // 8
        if absent is None:
            return self._integers(kind, self._buffers.integers(word, size))
        return self._integers(kind, self._buffers.integers(word, size, absent))

    def places(self) -> pa.Array:
        """The number of the packet of each row, or of the log record."""
        # One of the two is 0.
        packets = self.integers(pa.int64(), columns.WORD_PACKET)
        return compute.add(packets, self.integers(pa.int64(), columns.WORD_LOG_LINE))

    def mark_places(self) -> pa.Array:
        """The place of each packet in what its side sent, null if it has none."""
        marks = self.integers(pa.int64(), columns.WORD_MARK)
        is_placed = compute.not_equal(compute.bit_wise_and(marks, PLACED), 0)
        places = compute.bit_wise_and(marks, PLACES)
        return compute.if_else(is_placed, places, pa.scalar(None, pa.int64()))

    def checksums(self) -> pa.Array:
        """The checksum state of each packet."""
        marks = self.integers(pa.int64(), columns.WORD_MARK)
        codes = compute.bit_wise_and(compute.shift_right(marks, CHECKSUM_PLACE), 3)
        return pa.DictionaryArray.from_arrays(
            codes.cast(pa.int32()), pa.array(CHECKSUMS, pa.string())
        )

    def constants(self, word: int, texts: list[str]) -> pa.Array:
        """A column whose words are indices of these texts."""
        codes = self._integers(pa.int32(), self._buffers.integers(word, 4))
        return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string()))

    def texts(self, word: int, *, is_address: bool = False) -> pa.Array:
        codes, strings = self._buffers.dictionary(word, is_address)
        indices = self._integers(pa.int32(), codes)
        return pa.DictionaryArray.from_arrays(indices, _strings(strings))

    def lists(self, word: int, *, is_address: bool = False) -> pa.Array:
        offsets, strings = self._buffers.lists(word, is_address)
        return self._list(pa.string(), offsets, _strings(strings))

    def numbers(self, word: int) -> pa.Array:
        """The TTLs of a column of answers."""
        offsets, values = self._buffers.list_numbers(word)
        entries = pa.Array.from_buffers(
            pa.uint32(), len(values) // 4, [None, pa.py_buffer(values)], 0
        )
        return self._list(pa.uint32(), offsets, entries)

    def clients(self, clients: Clients) -> pa.Array:
        """The number of the client of each row among `clients`."""
        ips, packed = self._buffers.dictionary(columns.WORD_CLIENT_IP, False)
        macs = self.integers(pa.int64(), columns.WORD_CLIENT_MAC)
        tags = compute.add(self.integers(pa.int64(), columns.WORD_VLAN), 1)
        addresses = _strings(packed).view(pa.binary()).to_pylist()
        if ips.missing:
            # A log may not name the client.
            known = self._integers(pa.int32(), ips)
            addresses.append(b"")
            places = compute.fill_null(known, len(addresses) - 1)
            return client_places(places, addresses, macs, tags, clients)
        return client_places(self._integers(pa.int32(), ips), addresses, macs, tags, clients)

    def _integers(self, kind: pa.DataType, found: Integers) -> pa.Array:
        valid = pa.py_buffer(found.valid) if found.missing else None
        count = self._buffers.count
        return pa.Array.from_buffers(
            kind, count, [valid, pa.py_buffer(found.values)], found.missing
        )

    def _list(self, kind: pa.DataType, offsets: Integers, entries: pa.Array) -> pa.Array:
        valid = pa.py_buffer(offsets.valid) if offsets.missing else None
        return pa.Array.from_buffers(
            pa.list_(pa.field("element", kind, nullable=False)),
            self._buffers.count,
            [valid, pa.py_buffer(offsets.values)],
            offsets.missing,
            children=[entries],
        )


def _strings(found: Strings) -> pa.Array:
    parts = [None, pa.py_buffer(found.offsets), pa.py_buffer(found.octets)]
    return pa.Array.from_buffers(pa.string(), found.number, parts, 0)


@dataclass(frozen=True, slots=True)
class StoredClient:
    """The client behind a number: the packed address, or the pseudonym instead, the MAC, and the
    name of the network."""

    ip: bytes | None
    mac: bytes | None
    network: str | None = None


def observation_batch(
    rows: pa.RecordBatch, clients: Mapping[int, StoredClient], nobody: bytes = b""
) -> ObservationBatch:
    """A batch of these rows, which have `COLUMNS`, in their order. A client that is not known has
    `nobody` instead of an address. Rows that also have the column ``sensor`` are shown with it and
    with the network of the client. The result does not depend on the rows any more."""
    return _Words(rows, clients, nobody).batch()


class _Words:
    """The words, lists and texts of a batch while it is made."""

    def __init__(
        self, rows: pa.RecordBatch, clients: Mapping[int, StoredClient], nobody: bytes
    ) -> None:
        self._rows = rows
        self._nobody = nobody
        self._clients = clients
        self._words = zeroed("q", rows.num_rows * WORDS)
        self._lists = array("q")
        self._numbers: dict[bytes, int] = {b"": 0}
        self._octets = bytearray()
        self._starts = array("q", [0, 0])

    def batch(self) -> ObservationBatch:
        sources: list[str] = []
        if count := self._rows.num_rows:
            for name, word in _NUMBERS.items():
                self._put(word, self._rows.column(name).cast(pa.int64()).fill_null(-1))
            for name, word in _TEXTS.items():
                self._put(word, self._mapped(name, self._text))
            for name, word in _LISTS.items():
                self._put_list(name, word)
            self._put_answers()
            self._put_places()
            self._put_marks()
            self._put(columns.WORD_EVIDENCE, self._mapped("evidence", _EVIDENCE_NUMBERS.get))
            self._put(columns.WORD_TRANSPORT, self._mapped("transport", _TRANSPORT_NUMBERS.get))
            self._put(columns.WORD_SERVER_IP, self._mapped("server_ip", self._address))
            self._put(columns.WORD_CLIENT_IP, self._mapped("client", self._client_ip))
            self._put(columns.WORD_CLIENT_MAC, self._mapped("client", self._client_mac))
            numbers: dict[str, int] = {}
            places = self._mapped("source", lambda text: numbers.setdefault(text, len(numbers)))
            self._put(columns.WORD_SOURCE, places)
            if "sensor" in self._rows.schema.names:
                self._put_where(numbers)
            sources = list(numbers)
        batch: ObservationBatch = ObservationBatch(sources)
        words = memoryview(self._words).cast("B")[: 8 * count * WORDS]
        batch.restore(
            bytes(words), self._lists.tobytes(), bytes(self._octets), self._starts.tobytes()
        )
        batch.add_span(0, count)
        return batch

    def _put(self, word: int, values: pa.Array) -> None:
        """Fill a column with integers, of which none is null."""
        self._words[word::WORDS] = _memory(values)

    def _mapped(self, name: str, number: Callable[[Any], int | None]) -> pa.Array:
        """The column `name` with a number for each distinct value; 0 if there is none."""
        return _mapped(self._rows.column(name), number)

    def _text(self, text: str) -> int:
        return self._number(text.encode())

    def _address(self, text: str) -> int:
        return self._number(parse_ip(text) or b"")

    def _client_ip(self, number: int) -> int:
        client = self._clients.get(number)
        # A log may not name the client; that is not the same as having forgotten it.
        return self._number(self._nobody if client is None else client.ip or b"")

    def _client_mac(self, number: int) -> int:
        client = self._clients.get(number)
        return _MAC_BIT | int.from_bytes(client.mac) if client and client.mac else 0

    def _put_where(self, numbers: dict[str, int]) -> None:
        """Fill the columns of sensors and of networks; `numbers` are the numbers of their names."""

        def number(name: str) -> int:
            return numbers.setdefault(name, len(numbers)) + 1

        def network(client: int) -> int:
            found = self._clients.get(client)
            return number(found.network) if found is not None and found.network else 0

        self._put(columns.WORD_SENSOR, self._mapped("sensor", number))
        self._put(columns.WORD_CLIENT_NETWORK, self._mapped("client", network))

    def _number(self, octets: bytes) -> int:
        """The number of a text, which is stored on first use."""
        number = self._numbers.setdefault(octets, len(self._numbers))
        if number == len(self._starts) - 1:
            self._octets += octets
            self._starts.append(len(self._octets))
        return number

    def _put_list(self, name: str, word: int) -> None:
        """Fill a column with lists of texts."""
        lists = self._rows.column(name)
        if lists.null_count == len(lists):
            return
        places = self._places(lists, 1)
        self._lists.frombytes(_memory(_mapped(lists.flatten(), self._text)).cast("B"))
        self._put(word, places)

    def _put_places(self) -> None:
        """Fill the columns of the numbers of packets, and of log records."""
        numbers = self._rows.column("packet").cast(pa.int64())
        is_log = compute.is_valid(self._rows.column("log_format"))
        self._put(columns.WORD_PACKET, compute.if_else(is_log, 0, numbers))
        self._put(columns.WORD_LOG_LINE, compute.if_else(is_log, numbers, 0))

    def _put_marks(self) -> None:
        """Fill the column of how packets were seen."""
        places = self._rows.column("stream_place").cast(pa.int64())
        placed = compute.if_else(compute.is_valid(places), PLACED, 0)
        codes = self._mapped("checksum", CHECKSUMS.index)
        marks = compute.bit_wise_or(places.fill_null(0), placed)
        self._put(
            columns.WORD_MARK,
            compute.bit_wise_or(marks, compute.shift_left(codes.cast(pa.int64()), CHECKSUM_PLACE)),
        )

    def _put_answers(self) -> None:
        """Fill the column of answers: pairs of an address and its TTL."""
        answers = self._rows.column("dns_answers")
        if answers.null_count == len(answers):
            return
        places = self._places(answers, 2)
        numbers = _memory(_mapped(answers.flatten(), self._address))
        ttls = _memory(self._rows.column("dns_ttls").flatten().cast(pa.int64()))
        if len(ttls) != len(numbers):
            raise ValueError("answers and their times to live differ in number")
        pairs = memoryview(array("q", bytes(16 * len(numbers))))
        pairs[0::2] = numbers
        pairs[1::2] = ttls
        self._lists.frombytes(pairs.cast("B"))
        self._put(columns.WORD_DNS_ANSWERS, places)

    def _places(self, lists: pa.Array, words: int) -> pa.Array:
        """The words of lists whose entries, of so many `words`, come after the existing ones."""
        counts = compute.list_value_length(lists).cast(pa.int64()).fill_null(0)
        ends = compute.cumulative_sum(counts)
        starts = compute.multiply(compute.subtract(ends, counts), words)
        starts = compute.add(starts, len(self._lists))
        places = compute.bit_wise_or(compute.shift_left(starts, LIST_SHIFT), counts)
        return compute.if_else(compute.greater(counts, 0), places, 0)


def _mapped(values: pa.Array, number: Callable[[Any], int | None]) -> pa.Array:
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    numbers = [number(each) or 0 for each in values.dictionary.to_pylist()]
    return pa.array(numbers, pa.int64()).take(values.indices).fill_null(0)


def _memory(values: pa.Array) -> memoryview:
    """The memory of an array of int64 without nulls."""
    whole = memoryview(values.buffers()[1] or b"").cast("B")
    return whole[8 * values.offset : 8 * (values.offset + len(values))].cast("q")


def stored_client(
    ip: str | None, mac: str | None, pseudonym: str | None = None, network: str | None = None
) -> StoredClient:
    """A client of the catalogue."""
    place = parse_ip(ip) if ip else None
    if pseudonym:
        place = pseudonym.encode("ascii")
    return StoredClient(place, parse_mac(mac) if mac else None, network)
