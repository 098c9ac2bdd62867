# cython: language_level=3, boundscheck=True, wraparound=False
"""JA4: a fingerprint of the TLS client from its ClientHello.

The method is FoxIO's (BSD-3-Clause), as described in ``technical_details/JA4.md`` of
github.com/FoxIO-LLC/ja4: what the client offers is counted, and hashed in sorted order, so that
shuffling the extensions does not change the fingerprint. GREASE is ignored. Clients of one make
offer the same, so hashes are cached by their input.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.client_hello import ClientHello, is_grease
    from cython.cimports.netwatch.dissect.quic.sha256 import Sha256
else:
    from netwatch.dissect.loop.client_hello import ClientHello, is_grease
    from netwatch.dissect.quic.sha256 import Sha256

from netwatch.core.buffers import Buffer, Words, array, zeroed

MOST_NUMBERS = cython.declare(cython.Py_ssize_t, 65536)
"""More than the cipher suites, or extensions and signature algorithms, in a hello of 64 KiB, the
longest that is read."""

CACHED = cython.declare(cython.Py_ssize_t, 256)
"""Cached hashes, a power of two."""

CACHED_NUMBERS = cython.declare(cython.Py_ssize_t, 63)
"""Numbers in the input of a hash that is cached, at most."""

ENTRY = cython.declare(cython.Py_ssize_t, 64)
DIGITS = cython.declare(cython.Py_ssize_t, 12)
"""Hexadecimal digits of a hash in a JA4."""

JA4_SIZE = cython.declare(cython.Py_ssize_t, 36)
HASH_BASE = cython.declare(cython.ulonglong, 0x2545F4914F6CDD1D)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)


SERVER_NAME = cython.declare(cython.longlong, 0)
ALPN = cython.declare(cython.longlong, 16)


@cython.final
@cython.cclass
class HelloFingerprints:
    """Writes the JA4 of hellos to `text`.

    `numbers` is the input of a hash: `count` numbers, of which the first `split` are sorted; the
    rest follow after a ``_``. An entry of the `known` hashes has the two counts and the numbers,
    and its `digests` the digits.
    """

    def __init__(self) -> None:
        self.text: Buffer = array("B", bytes(JA4_SIZE))
        self.sha = Sha256(2, 1)
        self.hashed = 0
        self.numbers: Words = zeroed("q", MOST_NUMBERS)
        self.count = 0
        self.split = 0
        self.known: Words = zeroed("q", CACHED * ENTRY)
        self.digests: Buffer = zeroed("B", CACHED * DIGITS)

    def write(self, hello: ClientHello, transport: cython.int, version: cython.int) -> cython.void:
        """Write the JA4 of a complete hello. `transport` is its first character, and `version` the
        next two."""
        self.text[0] = transport
        self.text[1] = version >> 8
        self.text[2] = version & 255
        self.count = 0
        self.read_numbers(hello, hello.ciphers, hello.ciphers_size)
        self.sort()
        self.put_number(4, self.count)
        self.put_hash(11)
        self.put_number(6, self.read_extensions(hello))
        self.put_alpn(8, hello)
        self.put_hash(24)
        self.text[10] = self.text[23] = 95

    def read_numbers(
        self, hello: ClientHello, at: cython.Py_ssize_t, size: cython.Py_ssize_t
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

    def read_extensions(self, hello: ClientHello) -> cython.longlong:
        """Set the numbers to the sorted types of the extensions except server_name and ALPN, and to
        the signature algorithms, if there are any extensions. Returns the number of extensions
        without GREASE. Writes whether server_name is one of them."""
        number: cython.longlong
        total: cython.longlong = 0
        pos: cython.Py_ssize_t = hello.first
        self.count = 0
        self.text[3] = 105  # "i"
        while pos < hello.stop:
            number = hello.u16(pos)
            pos += 4 + hello.u16(pos + 2)
            if is_grease(number):
                continue
            total += 1
            if number == SERVER_NAME:
                self.text[3] = 100  # "d"
            elif number != ALPN:
                self.numbers[self.count] = number
                self.count += 1
        self.sort()
        if self.count:
            self.read_numbers(hello, hello.signatures, hello.signatures_size)
        return total

    def sort(self) -> cython.void:
        """Sort the numbers (with Shellsort: a client may send tens of thousands); those that come
        later follow after a ``_``."""
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t
        number: cython.longlong
        gap: cython.Py_ssize_t = 1
        while gap < self.count // 9:
            gap = 3 * gap + 1
        while gap > 0:
            for i in range(gap, self.count):
                number = self.numbers[i]
                place = i
                while place >= gap and self.numbers[place - gap] > number:
                    self.numbers[place] = self.numbers[place - gap]
                    place -= gap
                self.numbers[place] = number
            gap //= 3
        self.split = self.count

    def put_number(self, at: cython.Py_ssize_t, number: cython.longlong) -> cython.void:
        """Write two decimal digits, ``99`` for more."""
        number = min(number, 99)
        self.text[at] = 48 + number // 10
        self.text[at + 1] = 48 + number % 10

    def put_alpn(self, at: cython.Py_ssize_t, hello: ClientHello) -> cython.void:
        """Write the first and last character of the first ALPN protocol, or of its hexadecimal form
        if one of them is not alphanumeric."""
        size: cython.Py_ssize_t = 0
        first: cython.int = 48
        last: cython.int = 48
        if hello.alpn_size > 0:
            size = hello.data[hello.alpn]
        if size > 0:
            first = hello.data[hello.alpn + 1]
            last = hello.data[hello.alpn + size]
            if not (is_alphanumeric(first) and is_alphanumeric(last)):
                first = digit(first >> 4)
                last = digit(last & 15)
        self.text[at] = first
        self.text[at + 1] = last

    def put_hash(self, at: cython.Py_ssize_t) -> cython.void:
        """Write the digits of the hash of the numbers, zeros if there are none."""
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t
        head: cython.longlong = (self.split << 16) | self.count
        hash_: cython.ulonglong = head
        if self.count == 0:
            for i in range(DIGITS):
                self.text[at + i] = 48
            return
        if self.count > CACHED_NUMBERS:
            self.hash_numbers(self.text, at)
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
            self.text[at + i] = self.digests[DIGITS * place + i]

    def is_known(self, entry: cython.Py_ssize_t, head: cython.longlong) -> cython.bint:
        """Whether an entry of the known hashes has these numbers."""
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
        """Add a byte to the hash, whose state is number 1."""
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
        """Add the end of the message (FIPS 180-4 section 5.1.1)."""
        bits: cython.longlong = 8 * self.hashed
        self.take(128)
        while self.hashed & 63 != 56:
            self.take(0)
        while self.hashed & 63 != 60:
            self.take(0)
        self.take((bits >> 24) & 255)
        self.take((bits >> 16) & 255)
        self.take((bits >> 8) & 255)
        self.take(bits & 255)


def digit(value: cython.longlong) -> cython.int:
    """A hexadecimal digit."""
    return 48 + value if value < 10 else 87 + value


def is_alphanumeric(byte: cython.int) -> cython.bint:
    """Whether a byte is an ASCII letter or digit."""
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122
