# cython: language_level=3, boundscheck=True, wraparound=False
"""Reads the plain lines of a log into rows of observation batches, as many as follow each other.

The rows are those that the reader of the format, and then `netwatch.engine.log_events`, would make
of the same lines; only the number of the flow is left to logs that are judged. A line of which
anything is not as the layout says goes to that reader.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.logs import layout as roles
    from cython.cimports.netwatch.logs.line_requests import LineRequests
    from cython.cimports.netwatch.logs.ordering import Rows
else:
    from netwatch.core import observation_columns as columns
    from netwatch.logs import layout as roles
    from netwatch.logs.line_requests import LineRequests
    from netwatch.logs.ordering import Rows

from netwatch.core.buffers import Words, array
from netwatch.logs.layout import Layout

IS_COMPILED = cython.compiled
"""Whether this is faster than the readers of the formats."""

ROWS = cython.declare(cython.Py_ssize_t, 4000)
"""Rows of one batch, but for those of the last line."""

TEXT_BYTES = cython.declare(cython.Py_ssize_t, 1 << 20)
"""Bytes of their texts."""

LONGEST_TYPE = cython.declare(cython.Py_ssize_t, 255)
LAST_TTL = cython.declare(cython.longlong, (1 << 31) - 1)
LONGEST_TTL = cython.declare(cython.longlong, 200_000_000)

COMMA = cython.declare(cython.uchar, 44)
POINT = cython.declare(cython.uchar, 46)
COLON = cython.declare(cython.uchar, 58)
PERCENT = cython.declare(cython.uchar, 37)
ZERO = cython.declare(cython.uchar, 48)
NINE = cython.declare(cython.uchar, 57)
RETURN = cython.declare(cython.uchar, 13)


@cython.final
@cython.cclass
class PlainLines(LineRequests):
    """Reads lines of a `layout`, which belong to a log of the format `name` in the file `source`.
    All have these `lacks`."""

    def __init__(self, layout: Layout, name: str, source: str, lacks: tuple[str, ...]) -> None:
        LineRequests.__init__(self, layout, name, lacks)
        self.layout = layout
        self.source = source
        self.has_requests = layout.outcome is not None
        self.by_port = layout.by_port
        self.silent_port = layout.silent_port
        self.has_lists = layout.has_lists
        self.list: Words = array("q", bytes(8 * 64))
        self.owners: Words = array("q", bytes(8 * 64))
        self.start = 0

    def read(
        self, data: bytearray, starts: Words, ends: Words, numbers: Words, i: int, count: int
    ) -> int:
        """Read lines from the one with the index `i` on, of `count` with their numbers in `data`;
        returns the index of the first one that is not plain, `count` if all are."""
        at: cython.Py_ssize_t = i
        until: cython.Py_ssize_t = count
        end: cython.Py_ssize_t
        begins = cython.declare(cython.longlong[::1], starts)  # type: ignore[misc]
        stops = cython.declare(cython.longlong[::1], ends)  # type: ignore[misc]
        lines = cython.declare(cython.longlong[::1], numbers)  # type: ignore[misc]
        self.data = self.raw = data
        while at < until and not self.is_full():
            end = stops[at]
            if end > begins[at] and self.data[end - 1] == RETURN:
                end -= 1
            if not self.split(begins[at], end):
                break
            if not (self.add_request(lines[at]) if self.has_requests else self.add(lines[at])):
                break
            at += 1
        self.data = b""
        self.raw = bytearray()
        return at

    def found(self) -> Rows | None:
        """The rows since the last call, None if there are none."""
        first = self.start
        batch = self.batch
        self.start = batch.count
        if self.is_full():
            self.begin_batch()
            self.start = 0
        if first == batch.count:
            return None
        return Rows(batch, first, batch.count, self.source)

    def is_full(self) -> cython.bint:
        """Whether the batch is full: of rows, or of texts of lines that were not plain."""
        return self.batch.count >= ROWS or self.batch.used >= TEXT_BYTES

    def add(self, line: cython.longlong) -> cython.bint:
        """Add the rows of the line that was divided; false if it is not plain."""
        name: cython.longlong
        kind: cython.longlong
        code: cython.longlong = 0
        client: cython.longlong
        server: cython.longlong
        client_port: cython.longlong
        server_port: cython.longlong
        vlan: cython.longlong = -1
        is_answer: cython.bint
        raw: cython.longlong
        at: cython.Py_ssize_t
        first: cython.Py_ssize_t
        batch = self.batch
        batch.reserve()
        if not self.read_time():
            return False
        client = self.address(self.begins[roles.ROLE_CLIENT_IP], self.ends[roles.ROLE_CLIENT_IP])
        server = self.address(self.begins[roles.ROLE_SERVER_IP], self.ends[roles.ROLE_SERVER_IP])
        client_port = self.number(roles.ROLE_CLIENT_PORT, 65535)
        server_port = self.number(roles.ROLE_SERVER_PORT, 65535)
        name = self.host(self.begins[roles.ROLE_NAME], self.ends[roles.ROLE_NAME])
        kind = self.text(roles.ROLE_TYPE)
        if (
            client <= 0
            or (server == 0 and self.begins[roles.ROLE_SERVER_IP] >= 0)
            or client_port < 0
            or server_port < 0
            or name == 0
            or not 0 < kind <= self.last_type
            or (self.silent_port and server_port == self.silent_port)
        ):
            return False
        if self.begins[roles.ROLE_VLAN] >= 0:
            vlan = self.number(roles.ROLE_VLAN, 4095)
            if vlan < 0:
                return False
        code = self.code()
        if code < 0:
            return False
        is_answer = code > 0
        if self.begins[roles.ROLE_MESSAGE] >= 0:
            is_answer = self.values[roles.ROLE_MESSAGE] == 1
            if not is_answer:
                code = 0
            elif code == 0:
                code = self.no_error
        self.answers = self.chain = 0
        self.aliases = 0
        raw = self.raw_text
        if is_answer:
            if not (self.recorded(name) if self.by_port else self.listed(kind)):
                return False
            if self.by_port and self.is_from_server(client_port, server_port):
                client, server = server, client
                client_port, server_port = server_port, client_port
        elif not self.by_port and self.begins[roles.ROLE_ANSWERS] >= 0:
            return False
        first = batch.count
        self.raw_text = raw
        at = self.new_row(line)
        batch.words[at + columns.WORD_EVIDENCE] = (
            columns.EVIDENCE_DNS_ANSWER if is_answer else columns.EVIDENCE_DNS_QUERY
        )
        batch.words[at + columns.WORD_NAME] = name
        batch.words[at + columns.WORD_CLIENT_IP] = client
        batch.words[at + columns.WORD_SERVER_IP] = server
        batch.words[at + columns.WORD_CLIENT_PORT] = client_port if client_port else -1
        batch.words[at + columns.WORD_SERVER_PORT] = server_port if server_port else -1
        batch.words[at + columns.WORD_TRANSPORT] = self.values[roles.ROLE_TRANSPORT]
        batch.words[at + columns.WORD_VLAN] = vlan
        batch.words[at + columns.WORD_DNS_TYPE] = kind
        batch.words[at + columns.WORD_DNS_RCODE] = code
        batch.words[at + columns.WORD_DNS_ANSWERS] = self.answers
        batch.words[at + columns.WORD_DNS_CHAIN] = self.chain
        if self.aliases:
            self.add_alias_rows(first, name)
        return True

    @cython.boundscheck(False)
    def add_alias_rows(self, first: cython.Py_ssize_t, name: cython.longlong) -> cython.void:
        """Add a row like the first one for each other name in the answer about `name`."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t
        batch = self.batch
        for i in range(self.aliases):
            if self.list[i] != name:
                at = batch.copied_row(first * columns.WORDS)
                batch.words[at + columns.WORD_EVIDENCE] = columns.EVIDENCE_DNS_CNAME
                batch.words[at + columns.WORD_NAME] = self.list[i]
                batch.words[at + columns.WORD_RAW] = 0
                batch.words[at + columns.WORD_DNS_ASKED] = name

    @cython.boundscheck(False)
    def is_from_server(
        self, source_port: cython.longlong, destination_port: cython.longlong
    ) -> cython.bint:
        """Whether the source of an answer is the server: by the ports, otherwise by the version."""
        source: cython.bint = source_port in (53, 5353, 5355)
        destination: cython.bint = destination_port in (53, 5353, 5355)
        if source != destination:
            return source
        return self.begins[roles.ROLE_VERSION] >= 0 and self.values[roles.ROLE_VERSION] >= 3

    def listed(self, kind: cython.longlong) -> cython.bint:
        """Read the data of an answer (`netwatch.logs.dns_values.listed`)."""
        at: cython.Py_ssize_t = self.begins[roles.ROLE_ANSWERS]
        end: cython.Py_ssize_t = self.ends[roles.ROLE_ANSWERS]
        ttl_at: cython.Py_ssize_t = self.begins[roles.ROLE_TTLS]
        ttl_end: cython.Py_ssize_t = self.ends[roles.ROLE_TTLS]
        start: cython.Py_ssize_t
        name: cython.longlong
        packed: cython.longlong
        ttl: cython.longlong
        addresses: cython.longlong = 0
        first: cython.Py_ssize_t = self.batch.list_words
        names: cython.bint = kind in (self.a, self.aaaa, self.cname)
        values: cython.Py_ssize_t = 0
        if at < 0:
            return True
        if not self.has_lists:
            ttl_at = -1
        while at <= end:
            start = at
            while at < end and self.data[at] != COMMA:
                at += 1
            ttl = 0
            if ttl_at >= 0 and ttl_at <= ttl_end:
                ttl = self.interval(ttl_at, ttl_end)
                ttl_at = self.ttl_end
            values += 1
            if ttl < 0 or values > 32 or (at < end and not self.has_lists):
                return False
            packed = self.packed_ipv4(start, at)
            if packed == 0 and self.may_be_address(start, at):
                packed = self.address(start, at)
                if packed == 0:
                    return False
            if packed:
                self.batch.add_to_list(packed)
                self.batch.add_to_list(ttl)
                addresses += 1
            elif names and addresses == 0:
                name = self.host(start, at)
                if name == 0:
                    return False
                self.add_alias(name)
            at += 1
        self.answers = self.batch.list_since(first, addresses)
        self.chain = self.chain_list()
        return True

    @cython.boundscheck(False)
    def may_be_address(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a value could be an address in another spelling, or is empty."""
        is_number: cython.bint = True
        while at < end:
            if self.data[at] == COLON or self.data[at] == PERCENT:
                return True
            is_number = is_number and (ZERO <= self.data[at] <= NINE or self.data[at] == POINT)
            at += 1
        return is_number

    @cython.boundscheck(False)
    def interval(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """The whole seconds in a value up to the next comma, with `ttl_end` after that; -1 if it
        is not plain."""
        start: cython.Py_ssize_t = at
        found: cython.longlong
        while at < end and self.data[at] not in (COMMA, POINT):
            at += 1
        found = self.digits_at(start, at)
        if at < end and self.data[at] == POINT:
            start = at + 1
            at = start
            while at < end and self.data[at] != COMMA:
                at += 1
            if at - start > 6 or self.digits_at(start, at) < 0:
                return -1
        self.ttl_end = at + 1
        return found if found < LONGEST_TTL else -1

    def recorded(self, name: cython.longlong) -> cython.bint:
        """Read the records of an answer for a name (`netwatch.logs.dns_values.answer`)."""
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        at: cython.Py_ssize_t
        first: cython.Py_ssize_t = self.batch.list_words
        kind: cython.longlong
        target: cython.longlong
        count: cython.longlong = 0
        size: cython.Py_ssize_t
        if self.records == 0:
            return self.begins[roles.ROLE_GROUPED] < 0
        # Of each record its owner, and its kind as text; 0 for those that do not matter.
        for i in range(self.records):
            at = i * roles.ROLES
            self.owners[2 * i] = self.owners[2 * i + 1] = 0
            if self.record_begins[at + roles.ROLE_RECORD_TYPE] < 0:
                continue
            size = (
                self.record_ends[at + roles.ROLE_RECORD_TYPE]
                - self.record_begins[at + roles.ROLE_RECORD_TYPE]
            )
            if not 0 < size < LONGEST_TYPE:
                return False
            kind = self.batch.text_of(
                self.data, self.record_begins[at + roles.ROLE_RECORD_TYPE], size
            )
            if kind not in (self.a, self.aaaa, self.cname):
                continue
            self.owners[2 * i] = self.host(
                self.record_begins[at + roles.ROLE_OWNER], self.record_ends[at + roles.ROLE_OWNER]
            )
            if self.owners[2 * i] == 0:
                return False
            self.owners[2 * i + 1] = kind
        # The aliases of the name, then those of each alias.
        j = -1
        while j < self.aliases:
            target = name if j < 0 else self.list[j]
            for i in range(self.records):
                if self.owners[2 * i] == target and self.owners[2 * i + 1] == self.cname:
                    at = i * roles.ROLES + roles.ROLE_DATA
                    kind = self.host(self.record_begins[at], self.record_ends[at])
                    if kind == 0:
                        return False
                    if kind != name:
                        self.add_alias(kind)
            j += 1
        for i in range(self.records):
            if self.owners[2 * i] == 0:
                continue
            at = i * roles.ROLES
            if self.owners[2 * i + 1] == self.cname:
                if (
                    self.host(
                        self.record_begins[at + roles.ROLE_DATA],
                        self.record_ends[at + roles.ROLE_DATA],
                    )
                    == 0
                ):
                    return False
                continue
            target = self.address(
                self.record_begins[at + roles.ROLE_DATA], self.record_ends[at + roles.ROLE_DATA]
            )
            kind = 0
            if self.record_begins[at + roles.ROLE_TTL] >= 0:
                kind = self.digits_at(
                    self.record_begins[at + roles.ROLE_TTL], self.record_ends[at + roles.ROLE_TTL]
                )
            if target == 0 or kind < 0:
                return False
            if self.is_asked(self.owners[2 * i], name):
                self.batch.add_to_list(target)
                self.batch.add_to_list(min(kind, LAST_TTL))
                count += 1
        self.answers = self.batch.list_since(first, count)
        self.chain = self.chain_list()
        return True

    @cython.boundscheck(False)
    def add_alias(self, name: cython.longlong) -> cython.void:
        """Add an alias to the chain, once."""
        i: cython.Py_ssize_t
        for i in range(self.aliases):
            if self.list[i] == name:
                return
        if self.aliases < 64:
            self.list[self.aliases] = name
            self.aliases += 1

    @cython.boundscheck(False)
    def is_asked(self, owner: cython.longlong, name: cython.longlong) -> cython.bint:
        """Whether an owner is the name asked for, or one of its aliases."""
        i: cython.Py_ssize_t
        for i in range(self.aliases):
            if self.list[i] == owner:
                return True
        return owner == name

    def chain_list(self) -> cython.longlong:
        """The word of the list of aliases."""
        i: cython.Py_ssize_t
        first: cython.Py_ssize_t = self.batch.list_words
        for i in range(self.aliases):
            self.batch.add_to_list(self.list[i])
        return self.batch.list_since(first, self.aliases)
