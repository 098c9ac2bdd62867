"""Names of flows in the store: numbers that say nothing of the ends of a flow.

The packet loop finds a flow by a fast hash of its two ends. Whoever had that hash could try all
addresses, and would find who is behind a pseudonym. So rows have another number: the hash under
AES, by a key that is random for each capture and is in the memory of its recorder alone. Rows of
one flow have the same number, which is all that is needed to join them; nothing else follows from
it, neither of a flow nor of two.

What a sensor sent gets its numbers from its centre, by a key of the centre, whatever the sensor
made of them. The numbers of files of an older netwatch are replaced when the store is brought up to
date (`netwatch.store.renaming`).
"""

import secrets
from array import array
from typing import TYPE_CHECKING, TypeVar

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from netwatch.store.tables import FLOW_NAME

if TYPE_CHECKING:
    import pyarrow as pa

KEY_BYTES = 16
"""Bytes of a key."""

_POSITIVE = (1 << 63) - 1

Rows = TypeVar("Rows", "pa.RecordBatch", "pa.Table")


def new_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(KEY_BYTES)


class FlowNames:
    """Gives flows their names by `key`. A number that is negative is no hash but the place of a
    record in a log that names no flow, and stays."""

    def __init__(self, key: bytes) -> None:
        # Each flow is one block, of which half is shown: nothing is told by equal blocks but that
        # they are of the same flow of the same capture.
        self._encryptor = Cipher(AES(key), ECB()).encryptor()

    def renamed(self, rows: Rows, capture: int | None = None) -> Rows:
        """Rows with names in place of the numbers of flows. Flows of several captures are told
        apart: `capture` is that of all rows, else the rows have a column for it. Rows of a table
        without flows are returned as they are."""
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
    """Integers of 64 bits, none of which is missing."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0)
    words = array("q")
    octets = memoryview(column.buffers()[1]).cast("B")
    words.frombytes(octets[8 * column.offset : 8 * (column.offset + len(column))])
    return words
