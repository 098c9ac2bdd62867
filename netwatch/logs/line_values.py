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
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.logs import layout as roles
    from cython.cimports.netwatch.logs.splitter import Splitter
else:
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
MINUTE = cython.declare(cython.Py_ssize_t, 17)  # 2023-03-20T10:04:
ZONE = cython.declare(cython.Py_ssize_t, 26)
ZONE_BYTES = cython.declare(cython.Py_ssize_t, 8)

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
        self.minute_start = 0
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
