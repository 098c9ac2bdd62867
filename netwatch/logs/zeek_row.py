"""A record of a Zeek log in any form: its columns by name, and their values typed; and the header
of a TSV log.

The lines of the header begin with ``#`` and name the separator, the marks for an unset or empty
column, the log, and the columns with their types. Bytes that are not printable are written
``\\xff`` in values.
"""

import re
from functools import lru_cache
from typing import Literal

from netwatch.core.errors import RecordError
from netwatch.logs.fields import number_of, packed_ip, packed_mac, port_of, texts_of
from netwatch.logs.layout import (
    ROLE_ANSWERS,
    ROLE_CLIENT_IP,
    ROLE_CLIENT_PORT,
    ROLE_NAME,
    ROLE_RCODE,
    ROLE_RCODE_NUMBER,
    ROLE_REFUSED,
    ROLE_SERVER_IP,
    ROLE_SERVER_PORT,
    ROLE_TIME,
    ROLE_TRANSPORT,
    ROLE_TTLS,
    ROLE_TYPE,
    ROLE_VLAN,
    Layout,
)
from netwatch.logs.records import Endpoint
from netwatch.logs.times import SECOND, MinuteTimes, epoch, number_time

MAX_SECONDS = 200_000_000
"""The longest interval in seconds, some years; a longer one is ignored."""
MAX_VALUES = 512
"""Maximum number of values of a set or vector to read."""

_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")
_MILLISECONDS = 100_000_000_000
"""From this number on, times of JSON logs are in milliseconds, below it in seconds since the
epoch."""
_LATEST = 9_000_000_000
"""The first second since the epoch that is too late for a count of ns in 64 bits, about."""
_LATEST_DIGITS = f"{_LATEST}000000"

MAX_COLUMNS = 1024
"""Maximum number of columns of a log."""

_READ = """
ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto vlan inner_vlan orig_l2_addr
query qtype qtype_name rcode rcode_name answers TTLs opcode
server_name version cipher established subject next_protocol ssl_history last_alert ja4 san.dns
client_protocol server_scid method host uri status_code
service duration orig_bytes resp_bytes orig_pkts resp_pkts conn_state history
client_addr server_addr mac host_name client_fqdn assigned_addr assigned_ip lease_time msg_types
"""
COLUMNS = frozenset(_READ.split())
"""The columns to read."""

_SIDES = {
    "id_orig_h": "id.orig_h",
    "id_orig_p": "id.orig_p",
    "id_resp_h": "id.resp_h",
    "id_resp_p": "id.resp_p",
}
"""The columns of the sides with the other separator of scopes (``Log::default_scope_sep``)."""

_ROLES = {
    "ts": ROLE_TIME,
    "id.orig_h": ROLE_CLIENT_IP,
    "id.orig_p": ROLE_CLIENT_PORT,
    "id.resp_h": ROLE_SERVER_IP,
    "id.resp_p": ROLE_SERVER_PORT,
    "proto": ROLE_TRANSPORT,
    "vlan": ROLE_VLAN,
    "inner_vlan": ROLE_REFUSED,
    "orig_l2_addr": ROLE_REFUSED,
    "opcode": ROLE_REFUSED,
    "query": ROLE_NAME,
    "qtype_name": ROLE_TYPE,
    "rcode": ROLE_RCODE_NUMBER,
    "rcode_name": ROLE_RCODE,
    "answers": ROLE_ANSWERS,
    "TTLs": ROLE_TTLS,
}
"""The columns of plain lines of ``dns``."""

_REQUIRED = (
    ROLE_TIME,
    ROLE_CLIENT_IP,
    ROLE_SERVER_IP,
    ROLE_TRANSPORT,
    ROLE_NAME,
    ROLE_TYPE,
)

_LISTS = (b"set[", b"vector[", b"table[")


class Row:
    """The columns of a record, by name, without unset ones."""

    __slots__ = ("_times", "values")

    def __init__(self, values: dict[str, object], times: MinuteTimes) -> None:
        self.values = values
        self._times = times

    def text(self, key: str) -> str:
        """The text of a column, empty if it is unset."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def texts(self, key: str) -> list[str]:
        """The texts of a set or vector."""
        return texts_of(self.values, key, MAX_VALUES)

    def number(self, key: str) -> int:
        """A count, 0 if it is unset."""
        return number_of(self.values, key)

    def flag(self, key: str) -> bool:
        """A truth value."""
        return self.values.get(key) in (True, "T")

    def seconds(self, key: str) -> int:
        """An interval in ns, 0 if it is unset."""
        return seconds(self.values.get(key))

    def mac(self, key: str) -> bytes | None:
        """A MAC address."""
        written = self.text(key)
        return packed_mac(written) if written else None

    def time(self) -> tuple[int, int]:
        """The time of the record in ns since the epoch, and its digits after the second."""
        written = self.values.get("ts")
        if isinstance(written, str):
            if len(written) == 17 and written[10] == "." and written.isascii():
                digits = written[:10] + written[11:]
                if digits.isdecimal() and digits < _LATEST_DIGITS:
                    return int(digits) * 1000, 6
            if "T" in written or ":" in written:
                return self._times.read(written)
            time, digits_read = epoch(written)
            if time >= _LATEST * SECOND:
                raise RecordError("time-invalid")
            return time, digits_read
        if not isinstance(written, int | float) or isinstance(written, bool):
            raise RecordError("time-missing")
        if _MILLISECONDS <= written < _LATEST * 1000:
            return int(written * 1000) * 1000, 3
        return number_time(written, _LATEST)

    def sides(self) -> tuple[Endpoint, Endpoint]:
        """The side that opened the connection, and the other one. Raises `RecordError`."""
        values = self.values
        client, server = packed_ip(self.text("id.orig_h")), packed_ip(self.text("id.resp_h"))
        if client is None or server is None:
            raise RecordError("address-invalid")
        return Endpoint(client, port_of(values, "id.orig_p")), Endpoint(
            server, port_of(values, "id.resp_p")
        )

    def vlan(self) -> int | None:
        """The innermost VLAN (policy/protocols/conn/vlan-logging)."""
        for key in ("inner_vlan", "vlan"):
            if key in self.values:
                found = self.number(key)
                return found if found < 4096 else None
        return None

    def transport(self) -> Literal["tcp", "udp"] | None:
        """The protocol of the transport layer, None for one without ports."""
        found = self.text("proto")
        return "tcp" if found == "tcp" else "udp" if found == "udp" else None


def json_row(found: dict[str, object], times: MinuteTimes) -> Row:
    """The row of a record in JSON. Tools that read such logs may nest the sides in ``id``, and the
    separator of scopes may be another one (``Log::default_scope_sep``)."""
    identifier = found.get("id")
    if isinstance(identifier, dict):
        found = found | {f"id.{key}": value for key, value in identifier.items()}
    elif "id_orig_h" in found:
        found = found | {f"id.{key[3:]}": found[key] for key in found if key.startswith("id_")}
    return Row(found, times)


def seconds(value: object) -> int:
    """An interval in seconds, as text or number, in ns; 0 if it is not valid."""
    return _nanoseconds(value) if isinstance(value, str | int | float) else 0


@lru_cache(4096)
def _nanoseconds(value: str | float) -> int:
    try:
        found = float(value) if not isinstance(value, str) or len(value) < 32 else 0
    except (ValueError, OverflowError):
        return 0
    return round(found * 1_000_000) * 1000 if 0 < found < MAX_SECONDS else 0


def unescape(value: str) -> str:
    """A text in which bytes written ``\\xff`` are bytes again: as the surrogates that stand for
    non-text bytes, so that a host name is what it was on the wire."""
    if "\\x" not in value:
        return value
    raw = _ESCAPED.sub(lambda found: _character(int(found[1], 16)), value)
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def unescaped(value: object) -> object:
    """The same for any value of a record, and for the texts in a list."""
    if isinstance(value, str):
        return unescape(value)
    if isinstance(value, list):
        return [unescape(each) if isinstance(each, str) else each for each in value]
    return value


def _character(byte: int) -> str:
    return chr(byte) if byte < 128 else chr(0xDC00 + byte)


class Header:
    """The last header; without one a record is refused.

    `path` is the name of the log, without a suffix that a site has added (``dns_red`` is another
    log).
    """

    def __init__(self, times: MinuteTimes) -> None:
        self._times = times
        self.path = ""
        self._separator = b"\t"
        self._set_separator = ","
        self._unset, self._empty = "-", "(empty)"
        self._names: list[str] = []
        self._columns: list[tuple[int, str]] = []
        self._lists: list[tuple[int, str]] = []

    def read(self, line: bytes) -> None:
        """Read one line of a header. Raises `RecordError` if it is not valid."""
        if line.startswith(b"#separator "):
            written = line[11:].strip().decode("ascii", "replace")
            if written == "\\t":
                written = ""  # as written by some programs that convert logs
            self._separator = unescape(written).encode("latin-1", "replace") or b"\t"
            self.path, self._names = "", []
            self._columns, self._lists = [], []
            self._set_separator, self._unset, self._empty = ",", "-", "(empty)"
            return
        name, _, rest = line[1:].partition(self._separator)
        value = rest.decode("utf-8", "replace")
        if name == b"set_separator":
            self._set_separator = unescape(value) or ","
        elif name == b"empty_field":
            self._empty = unescape(value)
        elif name == b"unset_field":
            self._unset = unescape(value)
        elif name == b"path":
            self.path = value
        elif name == b"fields":
            self._set_columns(rest)
        elif name == b"types":
            self._set_types(rest.split(self._separator))

    def _set_columns(self, rest: bytes) -> None:
        names = [
            _SIDES.get(name, name)
            for name in rest.decode("utf-8", "replace").split(self._separator.decode("latin-1"))
        ]
        if len(names) > MAX_COLUMNS:
            raise RecordError("header-columns")
        self._names = names
        self._columns = [(at, name) for at, name in enumerate(names) if name in COLUMNS]
        self._lists = []

    def _set_types(self, types: list[bytes]) -> None:
        self._lists = [
            (at, name)
            for at, name in self._columns
            if at < len(types) and types[at].startswith(_LISTS)
        ]
        lists = {at for at, _ in self._lists}
        self._columns = [(at, name) for at, name in self._columns if at not in lists]

    def layout(self, silent_port: int) -> Layout | None:
        """Where the columns of a lookup are in plain lines, None if they are written otherwise than
        by default. Lookups of the `silent_port` are not read."""
        marks = self._separator, self._set_separator, self._unset, self._empty
        roles = {at: _ROLES[name] for at, name in enumerate(self._names) if name in _ROLES}
        lists = {name for _, name in self._lists if name in _ROLES}
        if (
            marks != (b"\t", ",", "-", "(empty)")
            or self._names[:1] != ["ts"]
            or len({self._names[at] for at in roles}) < len(roles)
            or lists not in (set(), {"answers", "TTLs"})
        ):
            return None
        return Layout(
            "tabs",
            roles,
            _REQUIRED,
            {ROLE_TRANSPORT: {"tcp": 6, "udp": 17}},
            columns=len(self._names),
            silent_port=silent_port,
            has_lists=bool(lists),
        )

    def row(self, record: bytes) -> Row:
        """The columns of a record. Raises `RecordError` if it has another number of them."""
        found = record.decode("utf-8", "surrogateescape").split(self._separator.decode("latin-1"))
        if len(found) != len(self._names):
            raise RecordError("columns-missing")
        unset, empty = self._unset, self._empty
        escaped = b"\\x" in record
        values: dict[str, object] = {}
        for at, name in self._columns:
            value = found[at]
            if value != unset:
                if escaped:
                    value = unescape(value)
                values[name] = "" if value == empty else value
        for at, name in self._lists:
            value = found[at]
            if value not in (unset, empty):
                # A separator in a value is escaped, so the list is divided first.
                several = value.split(self._set_separator, MAX_VALUES)[:MAX_VALUES]
                values[name] = [unescape(each) for each in several] if escaped else several
        return Row(values, self._times)
