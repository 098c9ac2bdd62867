"""The header of a Zeek log in TSV, and its records.

The lines of the header begin with ``#`` and name the separator, the sign of a column that is unset
or empty, the log, and the columns with their types. Bytes that are not printable are written
``\\xff`` in values.
"""

from netwatch.logs.minute_times import MinuteTimes
from netwatch.logs.reading import RecordError
from netwatch.logs.zeek_row import MAX_VALUES, Row, unescape

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
"""The columns that are read."""

_SIDES = {
    "id_orig_h": "id.orig_h",
    "id_orig_p": "id.orig_p",
    "id_resp_h": "id.resp_h",
    "id_resp_p": "id.resp_p",
}
"""The columns of the sides with the other separator of scopes (``Log::default_scope_sep``)."""

_LISTS = (b"set[", b"vector[", b"table[")


class Header:
    """The header that was read last; without one a record is refused.

    `path` is the name of the log, without what a site has put behind it (``dns_red`` is another
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
                written = ""  # as some programs write it that convert logs
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
