"""The tables of facts as schemas of Arrow, which their Parquet files have.

Texts are dictionaries in memory; in a file each page has the encoding that suits it. This needs
pyarrow, which is imported when the functions are called.
"""

from functools import cache
from typing import TYPE_CHECKING

from netwatch.store.tables import FACTS, FORMAT_VERSION, FactColumn

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT_KEY = "netwatch.format"
"""The key of `FORMAT_VERSION` in the metadata of a file."""

CAPTURE = "capture"
"""The column that the writer fills: who reads a capture does not know its number."""

CLIENT = "client"
"""The column in which the writer puts numbers of the catalogue in place of those of a chunk."""

TIME_COLUMN = {"observation": "time", "flow": "first", "claim": "time"}
"""The column of each table that says which day a row is of."""


def arrow_type(column: FactColumn) -> "pa.DataType":
    """The type of a column."""
    import pyarrow as pa

    match column.kind:
        case "bool":
            return pa.bool_()
        case "uint8":
            return pa.uint8()
        case "uint16":
            return pa.uint16()
        case "int32":
            return pa.int32()
        case "uint32":
            return pa.uint32()
        case "int64":
            return pa.int64()
        case "text":
            return pa.dictionary(pa.int32(), pa.string())
        case "texts":
            return pa.list_(pa.field("element", pa.string(), nullable=False))
        case "numbers":
            return pa.list_(pa.field("element", pa.uint32(), nullable=False))
        case "blob":
            return pa.binary()


@cache
def schema(table: str) -> "pa.Schema":
    """The schema of the files of a table."""
    import pyarrow as pa

    fields = [pa.field(column.name, arrow_type(column), column.nullable) for column in FACTS[table]]
    return pa.schema(fields, {FORMAT_KEY: str(FORMAT_VERSION)})


@cache
def chunk_schema(table: str) -> "pa.Schema":
    """The schema of the chunks that are sent to the writer: without `CAPTURE`."""
    found = schema(table)
    return found.remove(found.get_field_index(CAPTURE))
