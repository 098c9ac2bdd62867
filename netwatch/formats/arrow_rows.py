"""An observation batch as an Arrow record batch, column by column and without an object per row.

`schema` and `record_batch` follow from `netwatch.core.observation_columns.COLUMNS`. They need
pyarrow (the extra ``arrow``), which is imported when they are called.

The writers make an Arrow IPC stream or a Parquet file from them.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import (
    COLUMNS,
    EVIDENCE,
    TRANSPORTS,
    WORD_NAME,
    WORD_TIME_DIGITS,
    Column,
    Kind,
)
from netwatch.formats.column_buffers import NEVER, ColumnBuffers, Integers, Strings
from netwatch.formats.values import json_line

if TYPE_CHECKING:
    import pyarrow as pa
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "netwatch.observation/1"
"""The value of the key ``schema`` in the metadata of a schema."""

TIME_DIGITS = "time_digits"
"""The column after `time`: how many digits after the second the time had in the capture."""


def field_type(column: Column) -> "pa.DataType":
    """The Arrow type of a column. Texts and addresses are dictionaries."""
    import pyarrow as pa

    match column.kind:
        case "time":
            return pa.timestamp("ns", tz="UTC")
        case "evidence" | "transport":
            return pa.dictionary(pa.int8(), pa.string())
        case "text" | "address" | "source" | "place":
            return pa.dictionary(pa.int32(), pa.string())
        case "number" | "positive number":
            return pa.uint64()
        case "optional number":
            return pa.uint16()
        case "texts" | "addresses":
            return pa.list_(pa.field("element", pa.string(), nullable=False))
        case "mac" | "community id":
            return pa.string()


_OPTIONAL: frozenset[Kind] = frozenset(
    {"optional number", "positive number", "address", "mac", "place", "texts", "addresses",
     "community id"}
)  # fmt: skip


def schema() -> "pa.Schema":
    """The schema of a record batch: the columns by their CSV names, in the order of the JSON
    record, with `TIME_DIGITS` after the time."""
    import pyarrow as pa

    fields = []
    for column in COLUMNS:
        is_text = column.kind == "text" and column.word != WORD_NAME
        nullable = column.kind in _OPTIONAL or is_text
        metadata = {"title": column.title}
        fields.append(pa.field(column.name, field_type(column), nullable, metadata))
        if column.kind == "time":
            title = {"title": "digits of the time after the second"}
            fields.append(pa.field(TIME_DIGITS, pa.uint8(), False, title))
    return pa.schema(fields, {"schema": SCHEMA})


def record_batch(batch: ObservationBatch, layout: "pa.Schema | None" = None) -> "pa.RecordBatch":
    """The rows of a batch in the order of packets, with the columns of `schema` (passed as `layout`
    if known). The result does not depend on the batch any more."""
    import pyarrow as pa

    buffers = ColumnBuffers(batch)
    arrays: list[pa.Array] = []
    for column in COLUMNS:
        arrays.append(_ARRAYS[column.kind](column, buffers, batch))
        if column.kind == "time":
            digits = buffers.integers(WORD_TIME_DIGITS, 1)
            arrays.append(_integers(pa.uint8(), buffers.count, digits))
    return pa.RecordBatch.from_arrays(arrays, schema=layout or schema())


def _integers(kind: "pa.DataType", count: int, found: Integers) -> "pa.Array":
    import pyarrow as pa

    valid = pa.py_buffer(found.valid) if found.missing else None
    return pa.Array.from_buffers(kind, count, [valid, pa.py_buffer(found.values)], found.missing)


def _strings(found: Strings, valid: Integers | None = None) -> "pa.Array":
    import pyarrow as pa

    missing = valid.missing if valid is not None else 0
    bits = pa.py_buffer(valid.valid) if valid is not None and missing else None
    parts = [bits, pa.py_buffer(found.offsets), pa.py_buffer(found.octets)]
    return pa.Array.from_buffers(pa.string(), found.number, parts, missing)


def _number(column: Column, buffers: ColumnBuffers, _: ObservationBatch) -> "pa.Array":
    kind = field_type(column)
    size = kind.bit_width // 8
    absent = _ABSENT.get(column.kind, NEVER)
    found = buffers.integers(column.word, size, absent)
    return _integers(kind, buffers.count, found)


def _dictionary(column: Column, buffers: ColumnBuffers, _: ObservationBatch) -> "pa.Array":
    import pyarrow as pa

    codes, strings = buffers.dictionary(column.word, column.kind == "address")
    indices = _integers(pa.int32(), buffers.count, codes)
    return pa.DictionaryArray.from_arrays(indices, _strings(strings))


def _constants(texts: list[str]) -> Callable[..., "pa.Array"]:
    """A column whose words are indices of constant texts."""

    def array(column: Column, buffers: ColumnBuffers, _: ObservationBatch) -> "pa.Array":
        import pyarrow as pa

        codes = _integers(pa.int8(), buffers.count, buffers.integers(column.word, 1))
        return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string()))

    return array


def _source(column: Column, buffers: ColumnBuffers, batch: ObservationBatch) -> "pa.Array":
    import pyarrow as pa

    codes = _integers(pa.int32(), buffers.count, buffers.integers(column.word, 4))
    names = pa.array(list(map(_readable, batch.sources)), pa.string())
    return pa.DictionaryArray.from_arrays(codes, names)


def _place(column: Column, buffers: ColumnBuffers, batch: ObservationBatch) -> "pa.Array":
    """A column of places, whose words are the number of their name plus 1."""
    import pyarrow as pa

    codes = _integers(pa.int32(), buffers.count, buffers.integers(column.word, 4, 0))
    names = pa.array(["", *map(_readable, batch.sources)], pa.string())
    return pa.DictionaryArray.from_arrays(codes, names)


def _readable(source: str) -> str:
    """The name of a source for strict readers of its JSON: without unpaired surrogates."""
    return source if source.isascii() else json.loads(json_line({"": source}))[""]


def _list(column: Column, buffers: ColumnBuffers, _: ObservationBatch) -> "pa.Array":
    import pyarrow as pa

    offsets, strings = buffers.lists(column.word, column.kind == "addresses")
    valid = pa.py_buffer(offsets.valid) if offsets.missing else None
    return pa.Array.from_buffers(
        field_type(column),
        buffers.count,
        [valid, pa.py_buffer(offsets.values)],
        offsets.missing,
        children=[_strings(strings)],
    )


def _mac(column: Column, buffers: ColumnBuffers, _: ObservationBatch) -> "pa.Array":
    valid, strings = buffers.macs(column.word)
    return _strings(strings, valid)


def _community_id(_: Column, buffers: ColumnBuffers, __: ObservationBatch) -> "pa.Array":
    valid, strings = buffers.community_ids()
    return _strings(strings, valid)


_TRANSPORT_TEXTS = [TRANSPORTS.get(number, "") for number in range(max(TRANSPORTS) + 1)]

_ABSENT: Mapping[Kind, int] = {"optional number": -1, "positive number": 0}
"""The word for a missing number, by its kind."""

_ARRAYS: Mapping[Kind, Callable[[Column, ColumnBuffers, ObservationBatch], Any]] = {
    "time": _number,
    "evidence": _constants(list(EVIDENCE)),
    "text": _dictionary,
    "address": _dictionary,
    "number": _number,
    "optional number": _number,
    "positive number": _number,
    "mac": _mac,
    "transport": _constants(_TRANSPORT_TEXTS),
    "source": _source,
    "place": _place,
    "texts": _list,
    "addresses": _list,
    "community id": _community_id,
}
"""The functions that make the array of a column, by the kind of its values."""


ROW_GROUP = 131_072
"""Rows in a row group of a Parquet file, at least, except for the last one."""

_REPEATED = frozenset(
    {"evidence", "text", "address", "mac", "transport", "source", "place", "texts", "addresses"}
)
"""The kinds of columns whose values repeat."""

_NUMBERS = frozenset({"time", "number", "optional number", "positive number"})


class ArrowWriter:
    """Writes one record batch for each batch. Readers of streams differ in whether a dictionary may
    change from one record batch to the next, so texts and addresses are plain strings."""

    def __init__(self, stream: BinaryIO) -> None:
        import pyarrow as pa

        self._layout = schema()
        fields = [
            field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
            for field in self._layout
        ]
        self._plain = pa.schema(fields, self._layout.metadata)
        self._writer = pa.ipc.new_stream(stream, self._plain)

    def observations(self, batch: ObservationBatch) -> None:
        """Write all observations of a batch."""
        import pyarrow as pa

        found = record_batch(batch, self._layout)
        columns = [
            column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
            for column in found.columns
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._plain))

    def end(self) -> None:
        """Write the end of the stream."""
        self._writer.close()


class ParquetWriter:
    """Collects record batches and writes row groups of at least `ROW_GROUP` rows. Pages are
    compressed with zstd. Only numbers have statistics: rows are in the order of packets, so a
    reader could skip none by their texts."""

    def __init__(self, stream: BinaryIO) -> None:
        from pyarrow import parquet

        self._layout = schema()
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._writer = parquet.ParquetWriter(
            stream,
            self._layout,
            compression="zstd",
            use_dictionary=[_path(column) for column in COLUMNS if column.kind in _REPEATED],
            write_statistics=[column.name for column in COLUMNS if column.kind in _NUMBERS],
            write_batch_size=ROW_GROUP,
        )

    def observations(self, batch: ObservationBatch) -> None:
        """Write all observations of a batch."""
        found = record_batch(batch, self._layout)
        self._waiting.append(found)
        self._rows += found.num_rows
        if self._rows >= ROW_GROUP:
            self._write_group()

    def end(self) -> None:
        """Write the last row group and what follows it."""
        if self._rows:
            self._write_group()
        self._writer.close()

    def __del__(self) -> None:
        # After an error, pyarrow would write the end to a file that is closed.
        if hasattr(self, "_writer"):
            self._writer.is_open = False

    def _write_group(self) -> None:
        import pyarrow as pa

        # The batches have dictionaries of their own; those in a row group become one.
        group = pa.Table.from_batches(self._waiting, self._layout).unify_dictionaries()
        self._writer.write_table(group.combine_chunks(), row_group_size=self._rows)
        self._waiting = []
        self._rows = 0


def _path(column: Column) -> str:
    """The path of a column of Parquet, whose lists have three levels."""
    is_list = column.kind in ("texts", "addresses")
    return f"{column.name}.list.element" if is_list else column.name
