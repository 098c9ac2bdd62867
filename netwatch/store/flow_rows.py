"""Slots of the flow table as columns of the table ``flow``, without an object per flow, and the
names of flows in the store, which reveal nothing about their ends.

A column is computed for all flows at once, from the words of their slots. The result for each flow
is the same as from `netwatch.dissect.flows.records.to_flow`.

The packet loop finds a flow by a fast hash of its two ends. Anyone with that hash could try all
addresses, and find who is behind a pseudonym. So rows have another number: the hash encrypted with
AES, by a key that is random for each capture and only in the memory of its recorder. Rows of one
flow have the same number, which is enough to join them; nothing else follows from it. Flows from a
sensor get their numbers from its centre, by a key of the centre, whatever numbers the sensor used.
The numbers in files of an older netwatch are replaced when the store is upgraded
(`netwatch.store.opening`).
"""

import secrets
from array import array
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from netwatch.core.addresses import ip_text
from netwatch.core.flow import CONTESTED, DENIALS, INITIAL_WINDOW, NAME_STATUSES, REFUSAL
from netwatch.dissect.loop import layout
from netwatch.store.messages import Clients, client_places, readable
from netwatch.store.tables import FLOW_NAME

if TYPE_CHECKING:
    import pyarrow as pa

NOT_SAMPLED: Mapping[str, int] = MappingProxyType({})
"""No source is sampled."""

KEY_BYTES = 16
"""Bytes of a key."""

_POSITIVE = (1 << 63) - 1

Rows = TypeVar("Rows", "pa.RecordBatch", "pa.Table")

_SENT = ("nothing", "headers", "payload", REFUSAL, *DENIALS[1:])
_CHECKSUMS = ("unknown", "right", "wrong")
_TRANSPORTS = ("tcp", "udp")
_TCP = 6
_WORD = 0xFFFFFFFF
_CODES = 28
"""Bits of the number of a distinct half of an address."""


def new_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(KEY_BYTES)


class FlowNames:
    """Gives flows their names by `key`. A negative number is not a hash but the place of a record
    in a log without flow identifiers, and stays."""

    def __init__(self, key: bytes) -> None:
        # Each flow is one block, half of which is shown: equal blocks only mean the same flow of
        # the same capture.
        self._encryptor = Cipher(AES(key), ECB()).encryptor()

    def renamed(self, rows: Rows, capture: int | None = None) -> Rows:
        """Rows with names instead of the numbers of flows. Flows of several captures are told
        apart: `capture` is the capture of all rows, otherwise the rows have a column for it. Rows
        of a table without flows are returned unchanged."""
        import pyarrow as pa
        from pyarrow import compute

        at = rows.schema.get_field_index(FLOW_NAME)
        if at < 0 or not rows.num_rows:
            return rows
        flows = rows.column(FLOW_NAME)
        captures = (
            pa.repeat(pa.scalar(capture, pa.int64()), rows.num_rows)
            if capture is not None
            else rows.column("capture").cast(pa.int64())
        )
        blocks = array("q", bytes(16 * rows.num_rows))
        blocks[0::2], blocks[1::2] = _words(flows), _words(captures)
        hidden = array("q")
        hidden.frombytes(self._encryptor.update(blocks.tobytes()))
        names = compute.bit_wise_and(
            pa.Array.from_buffers(pa.int64(), rows.num_rows, [None, pa.py_buffer(hidden[0::2])]),
            _POSITIVE,
        )
        shown = compute.if_else(compute.less(flows, 0), flows, names)
        return rows.set_column(at, rows.schema.field(at), shown)


def _words(column: "pa.Array | pa.ChunkedArray") -> "array[int]":
    """64-bit integers, none of which is missing."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0)
    words = array("q")
    octets = memoryview(column.buffers()[1]).cast("B")
    words.frombytes(octets[8 * column.offset : 8 * (column.offset + len(column))])
    return words


def flow_columns(
    words: "array[int]",
    sequence: "pa.Array",
    sources: Sequence[str],
    clients: Clients,
    sampled: Mapping[str, int] = NOT_SAMPLED,
) -> "pa.RecordBatch":
    """The flows in these slots (`layout.FLOW_WORDS` integers each), by
    `netwatch.store.fact_tables.chunk_schema`. `sequence` has the place of each among the events of
    the capture, `sources` are named by their number, and `sampled` has the sampling of those that
    were."""
    import pyarrow as pa

    from netwatch.store.fact_tables import chunk_schema

    slots = _Slots(words)
    served = slots.not_(slots.client)
    ports, packet, tag = slots.word(layout.FLOW_PORTS), slots.word(layout.FLOW_PACKET), slots.tag
    low, high = slots.shift(ports, 16), slots.bits(ports, 0xFFFF)
    ips, addresses = slots.addresses(slots.client)
    server_ips, server_addresses = slots.addresses(served)
    macs = slots.of_side(slots.client, layout.FLOW_MACS)
    generation = slots.bits(slots.word(layout.FLOW_GENERATION), 255)
    arrays = {
        "sequence": sequence,
        "first": slots.word(layout.FLOW_FIRST),
        "last": slots.word(layout.FLOW_LAST),
        "transport": _texts(slots.transport(), _TRANSPORTS),
        "client": client_places(ips, addresses, macs, tag, clients),
        "client_port": slots.either(slots.client, high, low),
        "server_ip": _texts(server_ips, list(map(ip_text, server_addresses))),
        "server_port": slots.either(served, high, low),
        "vlan": slots.vlan(),
        "bytes_out": slots.of_side(slots.client, layout.FLOW_BYTES),
        "bytes_in": slots.of_side(served, layout.FLOW_BYTES),
        "name_status": _texts(slots.status, NAME_STATUSES),
        "start_seen": slots.has(slots.about, layout.FLAG_START_SEEN),
        "incomplete_message": slots.incomplete(),
        "client_sent": _texts(slots.sent(slots.client), _SENT),
        "server_sent": _texts(slots.sent(served), _SENT),
        "source": _texts(slots.shift(packet, 40), list(map(readable, sources))),
        "packet": slots.bits(packet, (1 << 40) - 1),
        "flow": slots.or_(slots.word(layout.FLOW_KEY), generation),
        "log_format": pa.nulls(len(generation), pa.string()),
        "client_acknowledged": slots.acknowledged(slots.client),
        "server_acknowledged": slots.acknowledged(served),
        "client_checksums": _texts(slots.checksums(slots.client), _CHECKSUMS),
        "server_checksums": _texts(slots.checksums(served), _CHECKSUMS),
        "sampling": pa.array([sampled.get(source) for source in sources], pa.uint32()).take(
            slots.shift(packet, 40)
        ),
        "is_doubted": pa.nulls(len(generation), pa.bool_()),
    }
    schema = chunk_schema("flow")
    return pa.RecordBatch.from_arrays(
        [_cast(arrays[field.name], field.type) for field in schema], schema=schema
    )


class _Slots:
    """The words of slots by column. For each flow, `client` is whether its client is side 1,
    `about` the word of its flags, `tag` its VLAN id plus 1, and `status` the number of its name
    status."""

    def __init__(self, words: "array[int]") -> None:
        import pyarrow as pa
        from pyarrow import compute

        self._compute: Any = compute
        size = layout.FLOW_WORDS
        self._flat = pa.Array.from_buffers(pa.int64(), len(words), [None, pa.py_buffer(words)])
        self._starts = pa.array(range(0, len(words), size), pa.int64())
        self.about = self.word(layout.FLOW_FLAGS)
        self.tag = self.shift(self.about, 16)
        self.status = self.shift(self.word(layout.FLOW_GENERATION), 8)
        self.client = self._client_side()

    def word(self, number: int) -> "pa.Array":
        """A word of all slots."""
        return self._flat.take(self._compute.add(self._starts, number))

    def of_side(self, side: "pa.Array", number: int, step: int = 1) -> "pa.Array":
        """One of two words: side 1's, `step` after side 0's, if `side` is true."""
        offsets = self._compute.if_else(side, number + step, number)
        return self._flat.take(self._compute.add(self._starts, offsets))

    def bits(self, values: "pa.Array", mask: int) -> "pa.Array":
        """Some bits of values."""
        return self._compute.bit_wise_and(values, mask)

    def has(self, values: "pa.Array", mask: int) -> "pa.Array":
        """Whether values have one of these bits."""
        return self._compute.not_equal(self.bits(values, mask), 0)

    def shift(self, values: "pa.Array", by: int) -> "pa.Array":
        """Values without their `by` lowest bits."""
        return self._compute.shift_right(values, by)

    def or_(self, values: "pa.Array", others: "pa.Array") -> "pa.Array":
        """The bits of both."""
        return self._compute.bit_wise_or(values, others)

    def not_(self, values: "pa.Array") -> "pa.Array":
        """The opposite of booleans."""
        return self._compute.invert(values)

    def either(self, where: "pa.Array", values: Any, others: Any) -> "pa.Array":
        """Values where a boolean is true, otherwise the others."""
        return self._compute.if_else(where, values, others)

    def transport(self) -> "pa.Array":
        """Places in `_TRANSPORTS`."""
        return self._compute.not_equal(self.bits(self.about, 255), _TCP)

    def vlan(self) -> "pa.Array":
        """The VLAN ids, null if there is none."""
        import pyarrow as pa

        absent = pa.scalar(None, pa.int64())
        return self.either(
            self._compute.greater(self.tag, 0), self._compute.subtract(self.tag, 1), absent
        )

    def incomplete(self) -> "pa.Array":
        """Whether a message of either side was expected to continue, and no name was read."""
        state = self.word(layout.FLOW_STATE)
        waits = [
            self._compute.equal(self.bits(self.shift(state, 8 * side), 7), layout.STATE_EXPECTING)
            for side in (0, 1)
        ]
        unread = self._compute.less(self.status, layout.NAME_NO_SNI)
        return self._compute.and_(self._compute.or_(*waits), unread)

    def sent(self, side: "pa.Array") -> "pa.Array":
        """Places in `_SENT` for what a side was seen to send."""
        state, payload = self.word(layout.FLOW_STATE), self.of_side(side, layout.FLOW_BYTES)
        seen = self.either(side, self.has(state, 255 << 8), self.has(state, 255))
        refused = self.either(
            side, self.has(state, layout.REFUSED_1), self.has(state, layout.REFUSED_0)
        )
        refused = self._compute.and_(refused, self._compute.less_equal(payload, INITIAL_WINDOW))
        denial = self.shift(state, layout.DENIAL)
        by_side = self._compute.equal(
            self.bits(self.shift(state, layout.DENIED_BY), 1), self.either(side, 1, 0)
        )
        few = self._compute.or_(
            self._compute.greater_equal(denial, layout.DENIAL_403),
            self._compute.less_equal(payload, INITIAL_WINDOW),
        )
        denied = self._compute.and_(
            self._compute.and_(self._compute.greater(denial, 0), by_side), few
        )
        unanswered = self.either(
            side,
            self.has(state, 2 << layout.UNANSWERED),
            self.has(state, 1 << layout.UNANSWERED),
        )
        has_payload = self._compute.greater(payload, 0)
        headers = self.either(self._compute.or_(seen, has_payload), 1, 0)
        answered = self._compute.and_(has_payload, self.not_(unanswered))
        with_payload = self.either(answered, 2, headers)
        with_denial = self.either(denied, self._compute.add(denial, 3), with_payload)
        return self.either(refused, 3, with_denial)

    def acknowledged(self, side: "pa.Array") -> "pa.Array":
        """What a side has had acknowledged, null if nothing."""
        import pyarrow as pa

        word = self.of_side(side, layout.FLOW_ACKED)
        absent = pa.scalar(None, pa.int64())
        is_contested = self.has(word, 1 << layout.ACKED_CONTESTED)
        known = self.either(is_contested, CONTESTED, self.bits(word, _WORD))
        return self.either(self._compute.not_equal(word, 0), known, absent)

    def checksums(self, side: "pa.Array") -> "pa.Array":
        """Places in `_CHECKSUMS` for the checksum state of a side."""
        state = self.word(layout.FLOW_STATE)
        right, wrong = layout.CHECKSUMS_RIGHT_0, layout.CHECKSUMS_WRONG_0
        is_right = self.either(side, self.has(state, right << 1), self.has(state, right))
        is_wrong = self.either(side, self.has(state, wrong << 1), self.has(state, wrong))
        return self.either(is_right, 1, self.either(is_wrong, 2, 0))

    def addresses(self, side: "pa.Array") -> "tuple[pa.Array, list[bytes]]":
        """The distinct packed addresses of a side, and which of them each flow has."""
        is_ipv6 = self.has(self.about, layout.FLAG_IPV6)
        parts = [self.of_side(side, layout.FLOW_ADDRESSES + i, 4) for i in range(4)]
        halves = [
            self.or_(self._compute.shift_left(parts[i], 32), self.bits(parts[i + 1], _WORD))
            for i in (0, 2)
        ]
        upper = self.either(is_ipv6, halves[0], parts[0]).dictionary_encode()
        lower = self.either(is_ipv6, halves[1], 0).dictionary_encode()
        key = self.or_(
            self._compute.shift_left(_long(upper.indices), _CODES + 1),
            self.or_(self._compute.shift_left(_long(lower.indices), 1), self.either(is_ipv6, 1, 0)),
        ).dictionary_encode()
        uppers, lowers = upper.dictionary.to_pylist(), lower.dictionary.to_pylist()
        addresses = [
            _half(uppers[each >> _CODES + 1]) + _half(lowers[each >> 1 & (1 << _CODES) - 1])
            if each & 1
            else uppers[each >> _CODES + 1].to_bytes(4)
            for each in key.dictionary.to_pylist()
        ]
        return key.indices, addresses

    def _client_side(self) -> "pa.Array":
        """Whether side 1 is the client: it opened the flow, or has the greater port."""
        ports = self.word(layout.FLOW_PORTS)
        by_port = self._compute.less(self.shift(ports, 16), self.bits(ports, 0xFFFF))
        known = self.has(self.about, layout.FLAG_CLIENT_KNOWN)
        return self.either(known, self.has(self.about, layout.FLAG_CLIENT_1), by_port)


def _half(value: int) -> bytes:
    """The eight bytes of half an address of IPv6."""
    return (value & (1 << 64) - 1).to_bytes(8)


def _long(values: "pa.Array") -> "pa.Array":
    import pyarrow as pa

    return values.cast(pa.int64())


def _texts(codes: "pa.Array", texts: Sequence[str]) -> "pa.Array":
    """A column of texts by their places."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(codes.cast(pa.int32()), pa.array(texts, pa.string()))


def _cast(values: "pa.Array", kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(values.type):
        return values.dictionary_encode()
    return values if values.type == kind else values.cast(kind)
