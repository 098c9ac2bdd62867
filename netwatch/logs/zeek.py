"""Logs of Zeek: ``dns``, ``ssl``, ``quic``, ``http``, ``conn`` and ``dhcp``, as TSV or JSON.

TSV logs say in their header what the columns are ("Zeek Log Formats and Inspection" in the book of
Zeek); a file may have several headers, where rotated logs were put together. JSON records have the
name of the log as ``_path`` where the package json-streaming-logs or the option of Zeek adds it;
else the log is recognised by the keys. Records of other logs say nothing that is read here.

What a log says is in `zeek_records`; each log has a row in `_LOGS`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import orjson

from netwatch.logs import zeek_records
from netwatch.logs.reading import Carried, ReaderContext, RecordError, Sample
from netwatch.logs.records import LogEntry
from netwatch.logs.timestamps import MinuteTimes
from netwatch.logs.zeek_row import Header, Row, json_row, unescaped

_LOGS: Mapping[str, tuple[Callable[[Row], Iterable[LogEntry]], frozenset[str]]] = {
    "dns": (zeek_records.dns, frozenset({"query", "qtype", "qtype_name", "rcode", "rcode_name"})),
    "quic": (zeek_records.quic, frozenset({"client_initial_dcid", "client_scid", "server_scid"})),
    "ssl": (zeek_records.ssl, frozenset({"established", "ssl_history", "curve"})),
    "http": (zeek_records.http, frozenset({"request_body_len", "status_code"})),
    "conn": (zeek_records.conn, frozenset({"conn_state", "local_orig", "missed_bytes"})),
    "dhcp": (zeek_records.dhcp, frozenset({"assigned_addr", "msg_types", "assigned_ip"})),
}
"""How the records of a log are read, and keys of which no other log has one."""


def recognise(sample: Sample) -> int:
    """The header of TSV logs begins with the separator. Records in JSON have the identifier of the
    connection, or name the log."""
    if sample.lines and sample.lines[0].startswith((b"#separator ", b"#fields\tts\t")):
        return len(sample.lines)
    return sum(1 for found in sample.objects if found is not None and _is_record(found))


def _is_record(found: Mapping[str, object]) -> bool:
    if "ts" not in found:
        return False
    identifier = found.get("id")
    has_sides = (
        "id.orig_h" in found
        or "id_orig_h" in found
        or (isinstance(identifier, dict) and "orig_h" in identifier)
    )
    return has_sides or isinstance(found.get("_path"), str) or not _DHCP.isdisjoint(found)


_DHCP = _LOGS["dhcp"][1]
_UID = re.compile(rb"\bC[A-Za-z0-9]{12,17}\b")


class Reader:
    """Reads one log of Zeek."""

    def __init__(self, context: ReaderContext) -> None:
        self._times = MinuteTimes(context.times)
        self._header = Header(self._times)

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a record says (see `netwatch.logs.reading.RecordReader`)."""
        if record.startswith(b"#"):
            self._header.read(record)
            return ()
        if record.startswith(b"{"):
            return self._json(record)
        if not record.strip():
            return ()
        known = _LOGS.get(self._header.path)
        if known is None:
            if not self._header.path:
                raise RecordError("header-missing")
            return ()
        return known[0](self._header.row(record))

    def flush(self) -> Iterable[LogEntry]:
        """Nothing waits for a later record."""
        return ()

    def _json(self, record: bytes) -> Iterable[LogEntry]:
        try:
            found = orjson.loads(record)
        except ValueError:
            raise RecordError("json-invalid") from None
        path = found.get("_path")
        if not isinstance(path, str):
            path = log_of(found)
        known = _LOGS.get(path)
        if known is None:
            return ()
        if b"\\\\x" in record:
            found = {key: unescaped(value) for key, value in found.items()}
        return known[0](json_row(found, self._times))


def connection(record: bytes) -> bytes | None:
    """The identifier of the connection of a record (``uid``), None where it has none."""
    found = _UID.search(record)
    return found[0] if found is not None else None


def log_of(keys: Iterable[str] | Sequence[str]) -> str:
    """The log whose records have these keys, empty where that is none that is read here."""
    present = frozenset(keys)
    for name, (_, known) in _LOGS.items():
        if not known.isdisjoint(present):
            return name
    return ""
