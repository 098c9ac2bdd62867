"""Stored flows as records, as lines for people and as CSV."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

from netwatch.core.addresses import parse_ip
from netwatch.core.community_id import community_id
from netwatch.core.observation_columns import TRANSPORTS
from netwatch.core.tabular import GAP, Columns, CsvWriter
from netwatch.core.text import escaped
from netwatch.formats.values import endpoint, json_line, rfc3339

FORMATS = ("table", "jsonl", "csv")
"""The formats of flows."""

COLUMNS = (
    "first", "last", "client_ip", "client_port", "client_mac", "client_network", "server_ip",
    "server_port", "transport", "vlan", "community_id", "bytes_out", "bytes_in", "name_status",
    "start_seen", "incomplete_message", "client_sent", "server_sent", "source", "packet",
    "log_format", "log_line", "sampling", "sensor",
)  # fmt: skip
"""The columns in CSV, which are the keys of the record joined by ``_``."""

_PROTOCOLS = {name: number for number, name in TRANSPORTS.items()}
_GROUPS = ("client", "server", "log")


class FlowWriter(Protocol):
    """Writes flows to a text stream as they come."""

    def flow(self, row: Mapping[str, Any]) -> None:
        """Write a flow by its columns (`netwatch.store.tables.FLOW`), with those of its client."""
        ...


def flow_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a flow. Keys whose value is not known are omitted. Times have the digits that
    they need: six, or nine if packets have ns."""
    log = row.get("log_format")
    digits = 6 if row["first"] % 1000 == row["last"] % 1000 == 0 else 9
    values = {
        **row,
        "first": rfc3339(row["first"], digits),
        "last": rfc3339(row["last"], digits),
        "community_id": _community_id(row),
        "packet": None if log else row["packet"],
        "log_format": log,
        "log_line": row["packet"] if log else None,
    }
    if log:
        # A log may lack the ports.
        values |= {key: row[key] or None for key in ("client_port", "server_port")}
    record: dict[str, Any] = {}
    for column in COLUMNS:
        if values[column] is None:
            continue
        group, _, key = column.partition("_")
        if group in _GROUPS and key != "sent":
            record.setdefault(group, {})[key] = values[column]
        else:
            record[column] = values[column]
    return record


def _community_id(row: Mapping[str, Any]) -> str | None:
    client, server = (parse_ip(row[key] or "") for key in ("client_ip", "server_ip"))
    if client is None or server is None:
        return None
    if row.get("log_format") and 0 in (row["client_port"], row["server_port"]):
        return None
    protocol = _PROTOCOLS[row["transport"]]
    return community_id(client, server, row["client_port"], row["server_port"], protocol)


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def flow(self, row: Mapping[str, Any]) -> None:
        self._stream.write(json_line(flow_record(row)) + "\n")


class _Csv:
    def __init__(self, stream: TextIO) -> None:
        self._writer = CsvWriter(stream)
        self._writer.row(COLUMNS)

    def flow(self, row: Mapping[str, Any]) -> None:
        record = flow_record(row)
        flat = {**record, **{f"{g}_{k}": v for g in _GROUPS for k, v in record.get(g, {}).items()}}
        self._writer.row(map(flat.get, COLUMNS))


class _Table:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._columns = Columns([27, 21, 4, 21, 10, 10], numbers={4, 5})

    def flow(self, row: Mapping[str, Any]) -> None:
        cells = [
            rfc3339(row["first"], 6),
            endpoint(row["client_ip"] or "?", row["client_port"]),
            row["transport"],
            endpoint(row["server_ip"] or "?", row["server_port"]),
            f"{row['bytes_out']:,} out",
            f"{row['bytes_in']:,} in",
        ]
        self._columns.widen(cells)
        padded = self._columns.padded(cells)
        # Sites often have the same addresses, so an address means little without these two.
        where = f"{row['client_network'] or '-'}  {row['sensor'] or '-'}"
        self._stream.write(escaped(GAP.join([*padded, row["name_status"], where])) + "\n")


def flow_writer(name: str, stream: TextIO) -> FlowWriter:
    """A writer in one of `FORMATS`."""
    writers: Mapping[str, Callable[[TextIO], FlowWriter]] = {
        "table": _Table,
        "jsonl": _Lines,
        "csv": _Csv,
    }
    return writers[name](stream)
