"""``netwatch store sql``: read-only SQL over the tables of a store.

Rows with any columns are shown to people aligned, and not wider than the terminal.
"""

import argparse
import decimal
import json
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, TextIO

from netwatch.cli.group import Group, add_store_option
from netwatch.cli.store import store_options
from netwatch.core.tabular import CsvWriter, ResultTable

if TYPE_CHECKING:
    import pyarrow as pa

    from netwatch.store.catalogue import Catalogue
    from netwatch.store.options import StoreOptions

_EPILOG = """examples:
  netwatch store sql tables
  netwatch store sql describe observation
  netwatch store sql 'SELECT name, count(*) AS seen FROM observation GROUP BY name ORDER BY 2 DESC LIMIT 20'
  netwatch store sql "SELECT DISTINCT client_ip FROM observation WHERE day = '2023-03-20'
                      AND (name = 'tiktok.com' OR name LIKE '%.tiktok.com')"
  netwatch store sql 'SELECT client_ip, sum(bytes_in) FROM flow GROUP BY ALL ORDER BY 2 DESC' --format csv
  netwatch store sql "SELECT device, record->>'$.device.owner' AS owner, count(*) FROM incident GROUP BY ALL"

The query is one SELECT of DuckDB's SQL. It reads the tables of the store and no other file, cannot
write, and is ended after --timeout seconds. Comparisons with `day` and `time_ns` are the fast ones:
they leave out files.
"""  # noqa: E501


def add_sql(group: Group) -> None:
    """Add the subcommand."""
    help_ = "run a read-only SQL query over the store, list the tables, describe one"
    parser = group.command("sql", sql, help_, _EPILOG, table=False)
    parser.add_argument(
        "query", metavar="QUERY", nargs="+", help="a SELECT, `tables`, or `describe TABLE`"
    )
    add_store_option(parser)
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="stop the query after this time (default 60)",
    )
    parser.add_argument(
        "--format",
        choices=("table", "jsonl", "csv"),
        default="table",
        help="format of the output (default table)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the rows to FILE")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds up to 86400, found {text!r}"
        )
    return seconds


def sql(args: argparse.Namespace) -> int:
    """Run ``netwatch store sql``; returns the exit status."""
    options = store_options(args)
    from netwatch.cli import terminal
    from netwatch.store.opening import open_catalogue

    with open_catalogue(options) as catalogue:
        words = [word.lower() for word in args.query]
        if words == ["tables"]:
            with terminal.output(args.output) as stream:
                _list_tables(args.format, stream)
        elif len(words) == 2 and words[0] == "describe":
            _describe(args, catalogue, options, words[1])
        else:
            _run(args, options)
    return 0


def _list_tables(format_: str, stream: TextIO) -> None:
    from netwatch.store.tables import TABLE_TITLES

    writer = _writer(format_, stream, ["table", "rows are"], [False, False])
    for table, title in TABLE_TITLES.items():
        writer.row([table, title])
    writer.end()


def _describe(
    args: argparse.Namespace, catalogue: "Catalogue", options: "StoreOptions", table: str
) -> None:
    from netwatch.cli import terminal
    from netwatch.core.errors import ConfigError
    from netwatch.store.tables import TABLE_TITLES, column_titles
    from netwatch.store.views import Views

    if table not in TABLE_TITLES:
        known = ", ".join(TABLE_TITLES)
        message = f"there is no table '{table}'; expected one of {known}"
        raise ConfigError.of("netwatch store sql", message)
    titles = column_titles(table)
    with Views(catalogue, options, [table]) as views, terminal.output(args.output) as stream:
        writer = _writer(args.format, stream, ["column", "type", "meaning"], [False] * 3)
        for name, kind, *_ in views.connection.execute(f"DESCRIBE {table}").fetchall():
            writer.row([name, kind, titles[name]])
        writer.end()


def _run(args: argparse.Namespace, options: "StoreOptions") -> None:
    from netwatch.cli import terminal
    from netwatch.store import sandbox

    timeout = sandbox.TIMEOUT if args.timeout is None else args.timeout
    query = " ".join(args.query)
    with (
        sandbox.run(options, query, timeout=timeout) as (fields, batches),
        terminal.output(args.output) as stream,
    ):
        names = [field.name for field, _ in fields]
        numbers = [_is_number(field) for field, _ in fields]
        writer = _writer(args.format, stream, names, numbers)
        is_json = [args.format == "jsonl" and kind == "JSON" for _, kind in fields]
        for batch in batches:
            columns = [*map(_values, names, batch.columns, is_json)]
            for row in zip(*columns, strict=True):
                writer.row(row)
        writer.end()


def _is_number(field: "pa.Field") -> bool:
    import pyarrow as pa

    kind = field.type
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _values(name: str, column: "pa.Array", is_json: bool) -> list[Any]:
    """The values of a column for JSON; texts that are JSON themselves (`is_json`) become their
    values. Raises `ConfigError` for values that neither Python nor JSON has."""
    from netwatch.core.errors import ConfigError

    try:
        return _plain_values(column, is_json)
    except (ValueError, TypeError, ArithmeticError, LookupError, NotImplementedError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"column {name}: a value cannot be shown ({reason}): cast it to VARCHAR"
        raise ConfigError.of("netwatch store sql", message) from None


def _plain_values(column: "pa.Array", is_json: bool) -> list[Any]:
    import pyarrow as pa

    from netwatch.formats.values import rfc3339

    if pa.types.is_timestamp(column.type):
        times = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()).to_pylist()
        digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[column.type.unit]
        return [None if time is None else rfc3339(time, digits) for time in times]
    values = [_plain(value) for value in column.to_pylist()]
    if is_json:
        return [None if text is None else json.loads(text) for text in values]
    return values


def _plain(value: Any) -> Any:
    """A Python value for JSON."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (timedelta, uuid.UUID)):
        return str(value)
    return value


class _Jsonl:
    def __init__(self, stream: TextIO, columns: list[str]) -> None:
        self._stream, self._columns = stream, columns

    def row(self, values: Any) -> None:
        from netwatch.formats.values import json_line

        record = dict(zip(self._columns, values, strict=True))
        self._stream.write(json_line(record) + "\n")

    def end(self) -> None:
        self._stream.flush()


class _Csv:
    def __init__(self, stream: TextIO, columns: list[str]) -> None:
        self._writer = CsvWriter(stream)
        self._writer.row(columns)

    def row(self, values: Any) -> None:
        self._writer.row(map(_text, values))

    def end(self) -> None:
        pass


class _Table:
    def __init__(self, stream: TextIO, columns: list[str], numbers: list[bool]) -> None:
        self._table = ResultTable(stream, columns, numbers)

    def row(self, values: Any) -> None:
        self._table.row([_text(each) for each in values])

    def end(self) -> None:
        self._table.end()


def _writer(
    format_: str, stream: TextIO, columns: list[str], numbers: list[bool]
) -> "_Jsonl | _Csv | _Table":
    writers: dict[str, Callable[[], _Jsonl | _Csv | _Table]] = {
        "jsonl": lambda: _Jsonl(stream, columns),
        "csv": lambda: _Csv(stream, columns),
        "table": lambda: _Table(stream, columns, numbers),
    }
    return writers[format_]()


def _text(value: Any) -> str:
    """A value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)
