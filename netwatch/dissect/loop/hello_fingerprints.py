# cython: language_level=3, boundscheck=True, wraparound=False
"""JA4 in the packet loop, of hellos that are laid out as usual.

`netwatch.protocols.ja4` describes the fingerprint; this gives the same text. Clients of one make
offer the same, so hashes are kept by what they are of.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.dissect.loop.hello_layout import HelloLayout, is_grease
    from cython.cimports.netwatch.dissect.quic.sha256 import Sha256
else:
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.dissect.loop.hello_layout import HelloLayout, is_grease
    from netwatch.dissect.quic.sha256 import Sha256

from netwatch.core.buffers import Buffer, Words, zeroed

MAX_NUMBERS = cython.declare(cython.Py_ssize_t, 256)
"""Cipher suites, or extensions and signature algorithms, of a hello whose JA4 is made here."""

CACHED = cython.declare(cython.Py_ssize_t, 256)
"""Hashes that are kept, a power of two."""

CACHED_NUMBERS = cython.declare(cython.Py_ssize_t, 63)
"""Numbers that a hash is of which is kept."""

ENTRY = cython.declare(cython.Py_ssize_t, 64)
DIGITS = cython.declare(cython.Py_ssize_t, 12)
"""Hexadecimal digits of a hash in a JA4."""

SIZE = cython.declare(cython.Py_ssize_t, 36)
SERVER_NAME = cython.declare(cython.longlong, 0)
ALPN = cython.declare(cython.longlong, 16)
HASH_BASE = cython.declare(cython.ulonglong, 0x2545F4914F6CDD1D)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)


@cython.final
@cython.cclass
class HelloFingerprints:
    """Writes the JA4 of hellos to the texts of `batch`.

    `numbers` has what is hashed, `count` numbers of which the first `split` are sorted; those
    behind them follow after a ``_``. An entry of the `known` hashes has the two and the numbers,
    and its `digests` the digits.
    """

    def __init__(self, batch: ObservationBatch) -> None:
        self.batch = batch
        self.sha = Sha256(2, 1)
        self.hashed = 0
        self.numbers: Words = array("q", bytes(8 * MAX_NUMBERS))
        self.count = 0
        self.split = 0
        self.known: Words = zeroed("q", CACHED * ENTRY)
        self.digests: Buffer = zeroed("B", CACHED * DIGITS)

    def text(
        self, hello: HelloLayout, transport: cython.int, version: cython.int
    ) -> cython.longlong:
        """The JA4 of a hello as a text of the batch; -1 where it has more numbers than are read
        here. `transport` is its first character, and `version` the next two."""
        at: cython.Py_ssize_t = self.batch.used
        if (
            hello.ciphers_size > 2 * MAX_NUMBERS
            or hello.extensions + (hello.signatures_size >> 1) > MAX_NUMBERS
        ):
            return -1
        self.batch.octets[at] = transport
        self.batch.octets[at + 1] = version >> 8
        self.batch.octets[at + 2] = version & 255
        self.batch.octets[at + 3] = 100 if hello.name_size else 105  # "d" or "i"
        self.count = 0
        self.read_numbers(hello, hello.ciphers, hello.ciphers_size)
        self.sort()
        self.put_number(at + 4, self.count)
        self.put_hash(at + 11)
        self.put_number(at + 6, self.read_extensions(hello))
        self.put_alpn(at + 8, hello)
        self.put_hash(at + 24)
        self.batch.octets[at + 10] = 95
        self.batch.octets[at + 23] = 95
        return self.batch.add_text(SIZE)

    def read_numbers(
        self, hello: HelloLayout, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.void:
        """Add the numbers in a list, without GREASE."""
        number: cython.longlong
        end: cython.Py_ssize_t = at + size - 1
        while at < end:
            number = hello.u16(at)
            if not is_grease(number):
                self.numbers[self.count] = number
                self.count += 1
            at += 2

    def read_extensions(self, hello: HelloLayout) -> cython.longlong:
        """Let the numbers be the types of the extensions but server_name and ALPN, sorted, and the
        signature algorithms, where there are any of the former. The result is how many extensions
        there are, without GREASE."""
        i: cython.Py_ssize_t
        number: cython.longlong
        total: cython.longlong = 0
        self.count = 0
        for i in range(hello.extensions):
            number = hello.types[i]
            if is_grease(number):
                continue
            total += 1
            if number != SERVER_NAME and number != ALPN:
                self.numbers[self.count] = number
                self.count += 1
        self.sort()
        if self.count:
            self.read_numbers(hello, hello.signatures, hello.signatures_size)
        return total

    def sort(self) -> cython.void:
        """Sort the numbers; those that come later follow after a ``_``."""
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t
        number: cython.longlong
        for i in range(1, self.count):
            number = self.numbers[i]
            place = i
            while place > 0 and self.numbers[place - 1] > number:
                self.numbers[place] = self.numbers[place - 1]
                place -= 1
            self.numbers[place] = number
        self.split = self.count

    def put_number(self, at: cython.Py_ssize_t, number: cython.longlong) -> cython.void:
        """Write two decimal digits, ``99`` for more."""
        number = min(number, 99)
        self.batch.octets[at] = 48 + number // 10
        self.batch.octets[at + 1] = 48 + number % 10

    def put_alpn(self, at: cython.Py_ssize_t, hello: HelloLayout) -> cython.void:
        """Write the first and last character of the first ALPN protocol, or of its hexadecimal form
        if one of them is not alphanumeric."""
        size: cython.Py_ssize_t = 0
        first: cython.int
        last: cython.int
        if hello.alpn_size > 0:
            size = hello.data[hello.alpn]
        if size == 0:
            self.batch.octets[at] = 48
            self.batch.octets[at + 1] = 48
            return
        first = hello.data[hello.alpn + 1]
        last = hello.data[hello.alpn + size]
        if not (is_alphanumeric(first) and is_alphanumeric(last)):
            first = digit(first >> 4)
            last = digit(last & 15)
        self.batch.octets[at] = first
        self.batch.octets[at + 1] = last

    def put_hash(self, at: cython.Py_ssize_t) -> cython.void:
        """Write the digits of the hash of the numbers, zeros where there are none."""
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t
        head: cython.longlong = (self.split << 16) | self.count
        hash_: cython.ulonglong = head
        if self.count == 0:
            for i in range(DIGITS):
                self.batch.octets[at + i] = 48
            return
        if self.count > CACHED_NUMBERS:
            self.hash_numbers(self.batch.octets, at)
            return
        for i in range(self.count):
            hash_ = ((hash_ ^ self.numbers[i]) * HASH_BASE) & LOW63
        place = (hash_ >> 31) & (CACHED - 1)
        if not self.is_known(ENTRY * place, head):
            self.known[ENTRY * place] = head
            for i in range(self.count):
                self.known[ENTRY * place + 1 + i] = self.numbers[i]
            self.hash_numbers(self.digests, DIGITS * place)
        for i in range(DIGITS):
            self.batch.octets[at + i] = self.digests[DIGITS * place + i]

    def is_known(self, entry: cython.Py_ssize_t, head: cython.longlong) -> cython.bint:
        """Whether an entry of the known hashes is that of the numbers."""
        i: cython.Py_ssize_t = 0
        if self.known[entry] != head:
            return False
        while i < self.count and self.known[entry + 1 + i] == self.numbers[i]:
            i += 1
        return i == self.count

    def hash_numbers(self, out: Buffer, at: cython.Py_ssize_t) -> cython.void:
        """Write the first digits of the SHA-256 of the numbers as text: four hexadecimal digits
        each, between commas."""
        i: cython.Py_ssize_t
        self.hashed = 0
        for i in range(self.count):
            if i > 0:
                self.take(95 if i == self.split else 44)
            self.take(digit(self.numbers[i] >> 12))
            self.take(digit((self.numbers[i] >> 8) & 15))
            self.take(digit((self.numbers[i] >> 4) & 15))
            self.take(digit(self.numbers[i] & 15))
        self.close()
        for i in range(DIGITS):
            out[at + i] = digit((self.sha.states[8 + (i >> 3)] >> (28 - 4 * (i & 7))) & 15)

    def take(self, byte: cython.uint) -> cython.void:
        """Take a byte into the hash, whose state is number 1."""
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t = self.hashed & 63
        if place == 0:
            for i in range(16):
                self.sha.blocks[i] = 0
        self.sha.blocks[place >> 2] |= byte << (24 - 8 * (place & 3))
        self.hashed += 1
        if place == 63:
            self.sha.compress(0, 1 if self.hashed > 64 else 0, 1)

    def close(self) -> cython.void:
        """Take the end of the message (FIPS 180-4 section 5.1.1)."""
        bits: cython.longlong = 8 * self.hashed
        self.take(128)
        while self.hashed & 63 != 56:
            self.take(0)
        while self.hashed & 63 != 62:
            self.take(0)
        self.take((bits >> 8) & 255)
        self.take(bits & 255)


def digit(value: cython.longlong) -> cython.int:
    """A hexadecimal digit."""
    return 48 + value if value < 10 else 87 + value


def is_alphanumeric(byte: cython.int) -> cython.bint:
    """Whether a byte is an ASCII letter or digit."""
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122
