"""Observations as an Arrow IPC stream and as a Parquet file.

Both need pyarrow (the extra ``arrow``), which is imported when a writer is made.
"""

from typing import TYPE_CHECKING, BinaryIO

from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import COLUMNS, Column
from netwatch.formats.arrow_rows import record_batch, schema

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 131_072
"""Rows of a row group of a Parquet file at least, but for the last one."""

_REPEATED = frozenset(
    {"evidence", "text", "address", "mac", "transport", "source", "place", "texts", "addresses"}
)
"""The kinds of columns that repeat their values."""


class ArrowWriter:
    """Writes one record batch for each batch. Readers of streams differ in whether a dictionary may
    change from one record batch to the next, so that texts and addresses are plain strings."""

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
    """Writes row groups of at least `ROW_GROUP` rows, for which it keeps record batches until there
    are as many. Pages are compressed by zstd and have statistics."""

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
            write_statistics=True,
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

        # The batches have dictionaries of their own; those of a row group become one.
        group = pa.Table.from_batches(self._waiting, self._layout).unify_dictionaries()
        self._writer.write_table(group.combine_chunks(), row_group_size=self._rows)
        self._waiting = []
        self._rows = 0


def _path(column: Column) -> str:
    """The path of a column of Parquet, whose lists have three levels."""
    is_list = column.kind in ("texts", "addresses")
    return f"{column.name}.list.element" if is_list else column.name
