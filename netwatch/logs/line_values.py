# cython: language_level=3, boundscheck=True, wraparound=False
"""The values of fields of plain lines, as words and texts of an observation batch.

Each is read exactly as `netwatch.logs.fields`, `netwatch.logs.times` and `netwatch.core.names` read
it in its usual form; a value in any other form is not plain.
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
    from cython.cimports.netwatch.logs.splitter import Splitter
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.logs import layout as roles
    from netwatch.logs.splitter import Splitter

from netwatch.core.buffers import Octets, Words, array
from netwatch.core.protocol_numbers import RCODES, TYPES
from netwatch.logs.fields import packed_ip
from netwatch.logs.layout import Layout

LONGEST_NAME = cython.declare(cython.Py_ssize_t, 255)
CODES = cython.declare(cython.longlong, 64)

SECOND = cython.declare(cython.longlong, 1_000_000_000)
LATEST = cython.declare(cython.longlong, 8_999_999_000_000_000_000)
LATEST_SECOND = cython.declare(cython.longlong, 9_000_000_000)

POINT = cython.declare(cython.uchar, 46)
ZERO = cython.declare(cython.uchar, 48)
NINE = cython.declare(cython.uchar, 57)

_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
_LOWERED = bytes(byte if byte in _NAME_BYTES else 0 for byte in range(256)).lower()


@cython.cclass
class LineValues(Splitter):
    """Reads the values of a line of the format `name`, with these `lacks`, into texts of `batch`.
    `data` and `raw` are both the bytes that the line is in."""

    def __init__(self, layout: Layout, name: str, lacks: tuple[str, ...]) -> None:
        Splitter.__init__(self, layout)
        self.name, self.lacks = name, lacks
        self.lowered: Octets = _LOWERED
        self.raw: bytearray = bytearray()
        self.minute_of: Callable[[str], int | None] | None = layout.minute
        self.minute: Octets = b""
        self.minute_start = self.minute_size = 0
        self.time = self.digits = 0
        self.codes: Words = array("q", bytes(8 * CODES))
        self.begin_batch()

    def begin_batch(self) -> None:
        """Begin a batch, whose first texts are known types and codes."""
        batch: ObservationBatch = ObservationBatch()
        self.batch = batch
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
        """The number in a field, 0 if it is missing; -1 if it is not a number up to `most`, or has
        zeros before it."""
        found: cython.longlong
        if self.begins[role] < 0:
            return 0
        if self.ends[role] - self.begins[role] > 1 and self.data[self.begins[role]] == ZERO:
            return -1
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
        text = self.raw[at:end].decode("ascii")
        packed = packed_ip(text) if "%" not in text else None
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

    @cython.boundscheck(False)
    def read_time(self) -> cython.bint:
        """Read the time with its fraction of up to nine digits: seconds since the epoch, or what
        the layout reads up to the minute; false for other times."""
        at: cython.Py_ssize_t = self.begins[roles.ROLE_TIME]
        end: cython.Py_ssize_t = self.ends[roles.ROLE_TIME]
        point: cython.Py_ssize_t = at
        stop: cython.Py_ssize_t
        second: cython.longlong
        fraction: cython.longlong
        i: cython.longlong
        while point < end and self.data[point] != POINT:
            point += 1
        stop = point + 1
        while stop < end and ZERO <= self.data[stop] <= NINE:
            stop += 1
        self.digits = stop - point - 1
        if point - at < 10 or not 0 < self.digits <= 9:
            return False
        fraction = self.digits_at(point + 1, stop)
        i = self.digits
        while i < 9:
            fraction *= 10
            i += 1
        if self.minute_of is None:
            second = self.digits_at(at, point)
            if point - at != 10 or stop != end or not 0 <= second < LATEST_SECOND:
                return False
            self.time = second * SECOND + fraction
            return True
        second = self.digits_at(point - 2, point)
        if not 0 <= second < 60 or not self.is_in_minute(at, point - 2, stop, end):
            return False
        self.time = self.minute_start + second * SECOND + fraction
        return True

    def is_in_minute(
        self,
        at: cython.Py_ssize_t,
        minute_end: cython.Py_ssize_t,
        zone: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.bint:
        """Whether the minute and the zone of a time are the last ones, which are read if not."""
        size: cython.Py_ssize_t = minute_end - at
        if self.minute_size == size and (
            len(self.minute) == size + end - zone
            and self.is_at(at, minute_end, self.minute, 0, size)
            and self.is_at(zone, end, self.minute, size, end - zone)
        ):
            return True
        start = bytes(self.raw[at:minute_end])
        behind = bytes(self.raw[zone:end])
        assert self.minute_of is not None
        found = self.minute_of((start + b"00.000000" + behind).decode("ascii"))
        if found is None or not 0 <= found <= LATEST:
            return False
        self.minute, self.minute_start = start + behind, found
        self.minute_size = size
        return True

    def new_row(self, line: cython.longlong) -> cython.Py_ssize_t:
        """Add a row of this line with what all rows have, and return where its words start."""
        at: cython.Py_ssize_t = self.batch.new_row()
        batch = self.batch
        batch.words[at + columns.WORD_TIME] = self.time
        batch.words[at + columns.WORD_TIME_DIGITS] = self.digits
        batch.words[at + columns.WORD_RAW] = self.raw_text
        batch.words[at + columns.WORD_VLAN] = -1
        batch.words[at + columns.WORD_FLOW] = -line
        batch.words[at + columns.WORD_LOG_LINE] = line
        batch.words[at + columns.WORD_LOG_FORMAT] = self.format
        batch.words[at + columns.WORD_LOG_LACKS] = self.lacks_word
        return at
