# cython: language_level=3, boundscheck=True, wraparound=False
"""Reads the plain lines of a log into rows of observation batches, as many as follow each other.

The rows are those that the reader of the format, and then `netwatch.engine.log_events`, would make
of the same lines; only the number of the flow is left to logs that are judged. A line of which
anything is not as the layout says goes to that reader.
"""

from collections.abc import Callable

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.logs import layout as roles
    from cython.cimports.netwatch.logs.ordering import Rows
    from cython.cimports.netwatch.logs.splitter import Splitter
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.logs import layout as roles
    from netwatch.logs.ordering import Rows
    from netwatch.logs.splitter import Splitter

from netwatch.core.buffers import Octets, Words, array
from netwatch.core.protocol_numbers import RCODES, TYPES
from netwatch.logs.fields import packed_ip
from netwatch.logs.layout import Layout

IS_COMPILED = cython.compiled
"""Whether this is faster than the readers of the formats."""

ROWS = cython.declare(cython.Py_ssize_t, 4000)
"""Rows of one batch, but for those of the last line."""

TEXT_BYTES = cython.declare(cython.Py_ssize_t, 1 << 20)
"""Bytes of their texts."""

LONGEST_NAME = cython.declare(cython.Py_ssize_t, 255)
CODES = cython.declare(cython.longlong, 64)

SECOND = cython.declare(cython.longlong, 1_000_000_000)
LATEST = cython.declare(cython.longlong, 8_999_999_000_000_000_000)
LATEST_SECOND = cython.declare(cython.longlong, 9_000_000_000)
MINUTE = cython.declare(cython.Py_ssize_t, 17)  # 2023-03-20T10:04:
ZONE = cython.declare(cython.Py_ssize_t, 26)
ZONE_BYTES = cython.declare(cython.Py_ssize_t, 8)
LAST_TTL = cython.declare(cython.longlong, (1 << 31) - 1)
LONGEST_TTL = cython.declare(cython.longlong, 200_000_000)

COMMA = cython.declare(cython.uchar, 44)
POINT = cython.declare(cython.uchar, 46)
COLON = cython.declare(cython.uchar, 58)
PERCENT = cython.declare(cython.uchar, 37)
BLANK = cython.declare(cython.uchar, 32)
ZERO = cython.declare(cython.uchar, 48)
NINE = cython.declare(cython.uchar, 57)
RETURN = cython.declare(cython.uchar, 13)

_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
_LOWERED = bytes(byte if byte in _NAME_BYTES else 0 for byte in range(256)).lower()


@cython.final
@cython.cclass
class PlainLines(Splitter):
    """Reads lines of a `layout`, which belong to a log of the format `name` in the file `source`.
    All have these `lacks`."""

    def __init__(self, layout: Layout, name: str, source: str, lacks: tuple[str, ...]) -> None:
        Splitter.__init__(self, layout)
        self.layout = layout
        self.name, self.source, self.lacks = name, source, lacks
        self.lowered: Octets = _LOWERED
        self.raw: bytearray = bytearray()
        self.minute_of: Callable[[str], int | None] | None = layout.minute
        self.by_port = layout.by_port
        self.silent_port = layout.silent_port
        self.has_lists = layout.has_lists
        self.minute: Octets = b""
        self.minute_start = 0
        self.time = self.digits = 0
        self.codes: Words = array("q", bytes(8 * CODES))
        self.list: Words = array("q", bytes(8 * 64))
        self.owners: Words = array("q", bytes(8 * 64))
        self.start = 0
        self._begin_batch()

    def _begin_batch(self) -> None:
        """Begin a batch, whose first texts are known types and codes."""
        batch: ObservationBatch = ObservationBatch()
        self.batch = batch
        self.start = 0
        for kind in TYPES.values():
            self.last_type = batch.number_of_text(kind)
        self.a, self.aaaa = batch.number_of_text("A"), batch.number_of_text("AAAA")
        self.cname = batch.number_of_text("CNAME")
        for number, code in RCODES.items():
            self.last_code = batch.number_of_text(code)
            if number < CODES:
                self.codes[number] = self.last_code
        self.no_error = batch.number_of_text("NOERROR")
        self.format = batch.number_of_text(self.name)
        self.lacks_word = batch.lacks_word(self.lacks)

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
            if not self.split(begins[at], end) or not self.add(lines[at]):
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
            self._begin_batch()
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
        i: cython.Py_ssize_t
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
            or server <= 0
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
        at = batch.new_row()
        batch.words[at + columns.WORD_TIME] = self.time
        batch.words[at + columns.WORD_TIME_DIGITS] = self.digits
        batch.words[at + columns.WORD_EVIDENCE] = (
            columns.EVIDENCE_DNS_ANSWER if is_answer else columns.EVIDENCE_DNS_QUERY
        )
        batch.words[at + columns.WORD_NAME] = name
        batch.words[at + columns.WORD_RAW] = raw
        batch.words[at + columns.WORD_CLIENT_IP] = client
        batch.words[at + columns.WORD_SERVER_IP] = server
        batch.words[at + columns.WORD_CLIENT_PORT] = client_port if client_port else -1
        batch.words[at + columns.WORD_SERVER_PORT] = server_port if server_port else -1
        batch.words[at + columns.WORD_TRANSPORT] = self.values[roles.ROLE_TRANSPORT]
        batch.words[at + columns.WORD_VLAN] = vlan
        batch.words[at + columns.WORD_FLOW] = -line
        batch.words[at + columns.WORD_LOG_LINE] = line
        batch.words[at + columns.WORD_LOG_FORMAT] = self.format
        batch.words[at + columns.WORD_LOG_LACKS] = self.lacks_word
        batch.words[at + columns.WORD_DNS_TYPE] = kind
        batch.words[at + columns.WORD_DNS_RCODE] = code
        batch.words[at + columns.WORD_DNS_ANSWERS] = self.answers
        batch.words[at + columns.WORD_DNS_CHAIN] = self.chain
        for i in range(self.aliases):
            if self.list[i] != name:
                at = batch.copied_row(first * columns.WORDS)
                batch.words[at + columns.WORD_EVIDENCE] = columns.EVIDENCE_DNS_CNAME
                batch.words[at + columns.WORD_NAME] = self.list[i]
                batch.words[at + columns.WORD_RAW] = 0
                batch.words[at + columns.WORD_DNS_ASKED] = name
        return True

    @cython.boundscheck(False)
    def digits_at(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """The number whose digits are there, 18 at most; -1 if anything else is."""
        found: cython.longlong = 0
        if at >= end or end - at > 18:
            return -1
        while at < end:
            if not ZERO <= self.data[at] <= NINE:
                return -1
            found = 10 * found + self.data[at] - ZERO
            at += 1
        return found

    @cython.boundscheck(False)
    def number(self, role: cython.longlong, most: cython.longlong) -> cython.longlong:
        """The number in a field, 0 if it is missing; -1 if it is not a number up to `most`."""
        found: cython.longlong
        if self.begins[role] < 0:
            return 0
        found = self.digits_at(self.begins[role], self.ends[role])
        return found if found <= most else -1

    @cython.boundscheck(False)
    def text(self, role: cython.longlong) -> cython.longlong:
        """The text of a field, 0 if it is missing or too long."""
        if self.begins[role] < 0 or self.ends[role] - self.begins[role] > LONGEST_NAME:
            return 0
        return self.batch.text_of(self.data, self.begins[role], self.ends[role] - self.begins[role])

    @cython.boundscheck(False)
    def code(self) -> cython.longlong:
        """The text of the response code, 0 if there is none; -1 for one that is not known."""
        found: cython.longlong
        if self.begins[roles.ROLE_RCODE_NUMBER] >= 0:
            found = self.number(roles.ROLE_RCODE_NUMBER, CODES - 1)
            if found < 0 or self.codes[found] == 0:
                return -1
            return self.codes[found]
        if self.begins[roles.ROLE_RCODE] < 0:
            return 0
        found = self.text(roles.ROLE_RCODE)
        return found if self.last_type < found <= self.last_code else -1

    @cython.boundscheck(False)
    def host(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """The text of a name in its normal spelling, and in `raw_text` of the name as it is, 0 if
        that is the same. Returns 0 if it is not a plain name."""
        i: cython.Py_ssize_t
        size: cython.Py_ssize_t = end - at
        byte: cython.uchar
        found: cython.longlong
        is_same: cython.bint = True
        batch = self.batch
        used: cython.Py_ssize_t = batch.used
        self.raw_text = 0
        if at < 0 or size <= 0 or size > LONGEST_NAME or used + size > len(batch.octets):
            return 0
        if self.data[end - 1] == POINT:
            size -= 1
            is_same = False
        for i in range(size):
            byte = self.lowered[self.data[at + i]]
            if byte == 0:
                return 0
            is_same = is_same and byte == self.data[at + i]
            batch.octets[used + i] = byte
        found = batch.add_text(size)
        if found and not is_same:
            self.raw_text = batch.text_of(self.data, at, end - at)
        return found

    def address(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """The text of a packed address; 0 if there is none."""
        found: cython.longlong = self.packed_ipv4(at, end)
        if found != 0 or at < 0 or end - at > 64:
            return found
        packed = packed_ip(self.raw[at:end].decode("ascii"))
        return self.batch.number_of(packed) if packed is not None else 0

    @cython.boundscheck(False)
    def packed_ipv4(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """The text of a packed IPv4 address in its usual spelling; 0 for anything else."""
        part: cython.int = 0
        value: cython.int
        start: cython.Py_ssize_t
        batch = self.batch
        if at < 0 or batch.used + 4 > len(batch.octets):
            return 0
        for part in range(4):
            value = 0
            start = at
            while at < end and ZERO <= self.data[at] <= NINE and at - start < 3:
                value = 10 * value + self.data[at] - ZERO
                at += 1
            if at == start or value > 255 or (at - start > 1 and self.data[start] == ZERO):
                return 0
            batch.octets[batch.used + part] = value
            if part < 3:
                if at >= end or self.data[at] != POINT:
                    return 0
                at += 1
        return batch.add_text(4) if at == end else 0

    def read_time(self) -> cython.bint:
        """Read the time in microseconds, since the epoch or of RFC 3339; false for other times."""
        at: cython.Py_ssize_t = self.begins[roles.ROLE_TIME]
        end: cython.Py_ssize_t = self.ends[roles.ROLE_TIME]
        second: cython.longlong
        fraction: cython.longlong
        self.digits = 6
        if self.minute_of is None:
            if end - at != 17 or self.data[at + 10] != POINT:
                return False
            second = self.digits_at(at, at + 10)
            fraction = self.digits_at(at + 11, end)
            if second < 0 or fraction < 0 or second >= LATEST_SECOND:
                return False
            self.time = second * SECOND + fraction * 1000
            return True
        if not ZONE < end - at <= ZONE + ZONE_BYTES or self.data[at + 19] != POINT:
            return False
        second = self.digits_at(at + 17, at + 19)
        fraction = self.digits_at(at + 20, at + ZONE)
        if not 0 <= second < 60 or fraction < 0 or not self.is_in_minute(at, end):
            return False
        self.time = self.minute_start + second * SECOND + fraction * 1000
        return True

    def is_in_minute(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether the minute and the zone of a time are the last ones, which are read if not."""
        size: cython.Py_ssize_t = MINUTE + end - at - ZONE
        if (
            len(self.minute) == size
            and self.is_at(at, at + MINUTE, self.minute, 0, MINUTE)
            and (self.is_at(at + ZONE, end, self.minute, MINUTE, size - MINUTE))
        ):
            return True
        start = bytes(self.raw[at : at + MINUTE])
        zone = bytes(self.raw[at + ZONE : end])
        assert self.minute_of is not None
        found = self.minute_of((start + b"00.000000" + zone).decode("ascii"))
        if found is None or found > LATEST:
            return False
        self.minute, self.minute_start = start + zone, found
        return True

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
            if not 0 < size < LONGEST_NAME:
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
