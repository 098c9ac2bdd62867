# cython: language_level=3, boundscheck=True, wraparound=False
"""AES-128 in Galois/Counter Mode, as far as opening a QUIC Initial takes it.

The keys of Initial packets can be had by anybody (RFC 9001 section 5.2), so that tables,
whose timing tells of keys, do no harm here. AES (FIPS 197) is done by four tables of a
round's steps, GHASH (NIST SP 800-38D) by a table of the products of each byte.
"""

from array import array

import cython

M32 = cython.declare(cython.ulonglong, 0xFFFFFFFF)
WORDS = cython.declare(cython.Py_ssize_t, 44)
"""Of a key that was expanded, for eleven rounds of four."""

REDUCED = cython.declare(cython.ulonglong, 0xE100000000000000)
"""What a bit that leaves a field element of GHASH on the right comes back as."""


def _double(number: int) -> int:
    """A byte times x in the field of AES (FIPS 197 section 4.2.1)."""
    return number << 1 ^ (0x11B if number & 0x80 else 0)


def _boxes() -> list[int]:
    """The S-box (FIPS 197 section 5.1.1)."""
    powers = []
    power = 1
    while len(powers) < 255:
        powers.append(power)
        power ^= _double(power)
    inverse = [0] * 256
    for at, power in enumerate(powers):
        inverse[power] = powers[(255 - at) % 255]
    spread = [each * 0x101 for each in inverse]
    return [(s ^ s >> 4 ^ s >> 5 ^ s >> 6 ^ s >> 7 ^ 0x63) & 255 for s in spread]


@cython.cclass
class Gcm:
    """Keys that were expanded lie in `rounds`, `WORDS` each; `block` is the block at hand,
    `high` and `low` the sum of GHASH."""

    def __init__(self) -> None:
        boxes = _boxes()
        self.boxes = array("I", boxes)
        tables: list[list[int]] = [[], [], [], []]
        for box in boxes:
            double = _double(box)
            word = double << 24 | box << 16 | box << 8 | double ^ box
            for table in tables:
                table.append(word)
                word = (word & 0xFF) << 24 | word >> 8
        self.table0, self.table1, self.table2, self.table3 = [array("I", t) for t in tables]
        self.rounds = array("I", bytes(4 * 2 * WORDS))
        self.block = array("I", bytes(4 * 4))
        self.highs = array("Q", bytes(8 * 256))
        self.lows = array("Q", bytes(8 * 256))
        folds = []
        for byte in range(256):
            high, low = 0, byte
            for _ in range(8):
                out = low & 1
                high, low = high >> 1 ^ (0xE1 << 56 if out else 0), low >> 1 | (high & 1) << 63
            folds.append(high)
        self.folds = array("Q", folds)
        self.high = 0
        self.low = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def expand(
        self,
        words: cython.const[cython.uint][::1],
        at: cython.Py_ssize_t,
        key: cython.Py_ssize_t,
    ) -> cython.void:
        """Expand the four words at `at` as key number `key` (FIPS 197 section 5.2)."""
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t = WORDS * key
        word: cython.uint
        constant: cython.uint = 1
        for i in range(4):
            self.rounds[place + i] = words[at + i]
        for i in range(4, 44):
            word = self.rounds[place + i - 1]
            if i & 3 == 0:
                word = (
                    (self.boxes[(word >> 16) & 255] << 24)
                    | (self.boxes[(word >> 8) & 255] << 16)
                    | (self.boxes[word & 255] << 8)
                    | self.boxes[word >> 24]
                ) ^ (constant << 24)
                constant = (constant << 1) ^ (0x11B if constant & 128 else 0)
            self.rounds[place + i] = self.rounds[place + i - 4] ^ word

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def encrypt(self, key: cython.Py_ssize_t) -> cython.void:
        """Encrypt the block at hand by key number `key` (FIPS 197 section 5.1)."""
        t0: cython.uint[::1] = self.table0
        t1: cython.uint[::1] = self.table1
        t2: cython.uint[::1] = self.table2
        t3: cython.uint[::1] = self.table3
        k: cython.uint[::1] = self.rounds
        at: cython.Py_ssize_t = WORDS * key
        stop: cython.Py_ssize_t = at + 40
        a: cython.uint = self.block[0] ^ k[at]
        b: cython.uint = self.block[1] ^ k[at + 1]
        c: cython.uint = self.block[2] ^ k[at + 2]
        d: cython.uint = self.block[3] ^ k[at + 3]
        e: cython.uint
        f: cython.uint
        g: cython.uint
        h: cython.uint
        at += 4
        while at < stop:
            e = t0[a >> 24] ^ t1[(b >> 16) & 255] ^ t2[(c >> 8) & 255] ^ t3[d & 255] ^ k[at]
            f = t0[b >> 24] ^ t1[(c >> 16) & 255] ^ t2[(d >> 8) & 255] ^ t3[a & 255] ^ k[at + 1]
            g = t0[c >> 24] ^ t1[(d >> 16) & 255] ^ t2[(a >> 8) & 255] ^ t3[b & 255] ^ k[at + 2]
            h = t0[d >> 24] ^ t1[(a >> 16) & 255] ^ t2[(b >> 8) & 255] ^ t3[c & 255] ^ k[at + 3]
            a = e
            b = f
            c = g
            d = h
            at += 4
        self.block[0] = self.last(a, b, c, d) ^ k[at]
        self.block[1] = self.last(b, c, d, a) ^ k[at + 1]
        self.block[2] = self.last(c, d, a, b) ^ k[at + 2]
        self.block[3] = self.last(d, a, b, c) ^ k[at + 3]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def last(
        self, a: cython.uint, b: cython.uint, c: cython.uint, d: cython.uint
    ) -> cython.uint:
        """A word of the last round, which mixes no columns."""
        return (
            (self.boxes[a >> 24] << 24)
            | (self.boxes[(b >> 16) & 255] << 16)
            | (self.boxes[(c >> 8) & 255] << 8)
            | self.boxes[d & 255]
        )

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def authenticate(self, key: cython.Py_ssize_t) -> cython.void:
        """Make the table of GHASH for key number `key`, and start with a sum of none."""
        i: cython.Py_ssize_t = 128
        j: cython.Py_ssize_t
        high: cython.ulonglong
        low: cython.ulonglong
        out: cython.ulonglong
        for j in range(4):
            self.block[j] = 0
        self.encrypt(key)
        high = self.block[0]
        high = (high << 32) | self.block[1]
        low = self.block[2]
        low = (low << 32) | self.block[3]
        while i > 0:
            self.highs[i] = high
            self.lows[i] = low
            out = low & 1
            low = (low >> 1) | ((high & 1) << 63)
            high >>= 1
            if out:
                high ^= REDUCED
            i >>= 1
        i = 2
        while i < 256:
            for j in range(1, i):
                self.highs[i + j] = self.highs[i] ^ self.highs[j]
                self.lows[i + j] = self.lows[i] ^ self.lows[j]
            i <<= 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def multiply(self, high: cython.ulonglong, low: cython.ulonglong) -> cython.void:
        """Take a block into the sum: add it, and multiply by the key (NIST SP 800-38D
        section 6.3), a byte at a time from the right."""
        i: cython.int
        byte: cython.Py_ssize_t
        out: cython.Py_ssize_t
        x: cython.ulonglong = self.low ^ low
        up: cython.ulonglong = 0
        down: cython.ulonglong = 0
        for i in range(16):
            if i == 8:
                x = self.high ^ high
            byte = x & 255
            x >>= 8
            out = down & 255
            down = ((down >> 8) | ((up & 255) << 56)) ^ self.lows[byte]
            up = (up >> 8) ^ self.folds[out] ^ self.highs[byte]
        self.high = up
        self.low = down

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def take(
        self,
        data: cython.const[cython.uchar][::1],
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.void:
        """Take bytes into the sum, filled up with zeros to whole blocks."""
        i: cython.Py_ssize_t
        high: cython.ulonglong
        low: cython.ulonglong
        while at < end:
            high = 0
            low = 0
            for i in range(8):
                high = (high << 8) | (data[at + i] if at + i < end else 0)
            for i in range(8, 16):
                low = (low << 8) | (data[at + i] if at + i < end else 0)
            self.multiply(high, low)
            at += 16

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def decrypt(
        self,
        key: cython.Py_ssize_t,
        nonce: cython.const[cython.uint][::1],
        data: cython.const[cython.uchar][::1],
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        out: cython.uchar[::1],
    ) -> cython.void:
        """Decrypt into `out`; `nonce` is of three words."""
        counter: cython.uint = 1
        i: cython.Py_ssize_t
        to: cython.Py_ssize_t = 0
        while at < end:
            counter += 1
            for i in range(3):
                self.block[i] = nonce[i]
            self.block[3] = counter
            self.encrypt(key)
            for i in range(min(16, end - at)):
                out[to + i] = data[at + i] ^ ((self.block[i >> 2] >> (24 - 8 * (i & 3))) & 255)
            at += 16
            to += 16
