# cython: language_level=3, boundscheck=False, wraparound=False
"""AES-128 in Galois/Counter Mode, as far as needed to open a QUIC Initial.

It is our own because the packet loop does not hold the GIL, which `cryptography` needs: a hello is
opened and read in 4.9 µs, while that package alone takes 12.7 µs for the Initial.

Anybody can derive the keys of Initial packets (RFC 9001 section 5.2), so tables, whose timing
reveals keys, do no harm here. AES (FIPS 197) uses four tables of a round's steps, GHASH (NIST SP
800-38D) a table of the products of each byte, or the processor's instructions if it has them
(`instructions.h`). Indexes are not checked individually, but bounds are before a loop; places in
tables are bytes.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core.instructions import (
        netwatch_aes,
        netwatch_aes_counter,
        netwatch_ghash,
        netwatch_ghash_block,
        netwatch_has_aes,
    )

from netwatch.core.buffers import Buffer, Octets, Words

WORDS = cython.declare(cython.Py_ssize_t, 44)
"""Words of an expanded key, eleven rounds of four."""
KEYS = cython.declare(cython.Py_ssize_t, 2)

M56 = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFF)
REDUCED = cython.declare(cython.ulonglong, 0xE100000000000000)
"""The reduction of a bit that leaves a field element of GHASH on the right."""

MOST_BLOCKS = cython.declare(cython.Py_ssize_t, 4097)
"""Blocks that are encrypted at once: those of the longest packet, and one for its tag."""


def _double(number: int) -> int:
    """A byte times x in the field of AES (FIPS 197 section 4.2.1)."""
    return number << 1 ^ (0x11B if number & 0x80 else 0)


def _boxes() -> list[int]:
    """The S-box (FIPS 197 section 5.1.1)."""
    powers: list[int] = []
    power = 1
    while len(powers) < 255:
        powers.append(power)
        power ^= _double(power)
    inverse = [0] * 256
    for at, power in enumerate(powers):
        inverse[power] = powers[(255 - at) % 255]
    spread = [each * 0x101 for each in inverse]
    return [(s ^ s >> 4 ^ s >> 5 ^ s >> 6 ^ s >> 7 ^ 0x63) & 255 for s in spread]


def _steps(boxes: list[int]) -> list[int]:
    """A byte after a round's S-box and columns, for each of the four rows."""
    tables: list[list[int]] = [[], [], [], []]
    for box in boxes:
        double = _double(box)
        word = double << 24 | box << 16 | box << 8 | double ^ box
        for table in tables:
            table.append(word)
            word = (word & 0xFF) << 24 | word >> 8
    return [word for table in tables for word in table]


def _folds() -> list[int]:
    """The reduction of a byte that leaves a field element of GHASH on the right."""
    folds = []
    for byte in range(256):
        high, low = 0, byte
        for _ in range(8):
            out = low & 1
            high, low = high >> 1 ^ (0xE1 << 56 if out else 0), low >> 1 | (high & 1) << 63
        folds.append(high)
    return folds


@cython.final
@cython.cclass
class Gcm:
    """Expanded keys are in `rounds`, `WORDS` each; `blocks` are the current ones, four words each;
    `high` and `low` are the sum of GHASH. `products` are the products of its key with each byte,
    two words each."""

    def __init__(self) -> None:
        boxes = _boxes()
        self.boxes: Words = array("I", boxes)
        self.steps: Words = array("I", _steps(boxes))
        self.rounds: Words = array("I", bytes(4 * KEYS * WORDS))
        self.blocks: Words = array("I", bytes(4 * 4 * MOST_BLOCKS))
        self.products: Words = array("Q", bytes(8 * 2 * 256))
        self.folds: Words = array("Q", _folds())
        self.high = 0
        self.low = 0
        self.native = cython.compiled and netwatch_has_aes() != 0

    def expand(
        self,
        words: Words,
        at: cython.Py_ssize_t,
        key: cython.Py_ssize_t,
    ) -> cython.void:
        """Expand the four words at `at` as key number `key` (FIPS 197 section 5.2)."""
        i: cython.Py_ssize_t
        box = self.boxes
        k = self.rounds
        place: cython.Py_ssize_t = WORDS * key
        word: cython.uint
        constant: cython.uint = 1
        if at < 0 or at + 4 > len(words) or not 0 <= key < KEYS:
            return
        for i in range(4):
            k[place + i] = words[at + i]
        for i in range(4, 44):
            word = k[place + i - 1]
            if i & 3 == 0:
                word = (
                    (box[(word >> 16) & 255] << 24)
                    | (box[(word >> 8) & 255] << 16)
                    | (box[word & 255] << 8)
                    | box[word >> 24]
                ) ^ (constant << 24)
                constant = (constant << 1) ^ (0x11B if constant & 128 else 0)
            k[place + i] = k[place + i - 4] ^ word

    def encrypt(self, key: cython.Py_ssize_t, count: cython.Py_ssize_t) -> cython.void:
        """Encrypt the first `count` blocks by key number `key` (FIPS 197 section 5.1)."""
        t = self.steps
        k = self.rounds
        box = self.boxes
        out = self.blocks
        first: cython.Py_ssize_t = WORDS * key
        at: cython.Py_ssize_t
        i: cython.Py_ssize_t = 0
        a: cython.uint
        b: cython.uint
        c: cython.uint
        d: cython.uint
        e: cython.uint
        f: cython.uint
        g: cython.uint
        h: cython.uint
        if count > MOST_BLOCKS or not 0 <= key < KEYS:
            return
        if cython.compiled and self.native:
            for at in range(count):
                netwatch_aes(cython.address(k[first]), cython.address(out[4 * at]))
            return
        while i < 4 * count:
            a = out[i] ^ k[first]
            b = out[i + 1] ^ k[first + 1]
            c = out[i + 2] ^ k[first + 2]
            d = out[i + 3] ^ k[first + 3]
            at = first + 4
            while at < first + 40:
                e = t[a >> 24] ^ t[256 + ((b >> 16) & 255)] ^ k[at]
                f = t[b >> 24] ^ t[256 + ((c >> 16) & 255)] ^ k[at + 1]
                g = t[c >> 24] ^ t[256 + ((d >> 16) & 255)] ^ k[at + 2]
                h = t[d >> 24] ^ t[256 + ((a >> 16) & 255)] ^ k[at + 3]
                e ^= t[512 + ((c >> 8) & 255)] ^ t[768 + (d & 255)]
                f ^= t[512 + ((d >> 8) & 255)] ^ t[768 + (a & 255)]
                g ^= t[512 + ((a >> 8) & 255)] ^ t[768 + (b & 255)]
                h ^= t[512 + ((b >> 8) & 255)] ^ t[768 + (c & 255)]
                a = e
                b = f
                c = g
                d = h
                at += 4
            # The last round mixes no columns.
            e = (box[a >> 24] << 24) | (box[(b >> 16) & 255] << 16)
            f = (box[b >> 24] << 24) | (box[(c >> 16) & 255] << 16)
            g = (box[c >> 24] << 24) | (box[(d >> 16) & 255] << 16)
            h = (box[d >> 24] << 24) | (box[(a >> 16) & 255] << 16)
            out[i] = (e | (box[(c >> 8) & 255] << 8) | box[d & 255]) ^ k[at]
            out[i + 1] = (f | (box[(d >> 8) & 255] << 8) | box[a & 255]) ^ k[at + 1]
            out[i + 2] = (g | (box[(a >> 8) & 255] << 8) | box[b & 255]) ^ k[at + 2]
            out[i + 3] = (h | (box[(b >> 8) & 255] << 8) | box[c & 255]) ^ k[at + 3]
            i += 4

    def authenticate(self, key: cython.Py_ssize_t) -> cython.void:
        """Make the table of GHASH for key number `key`, of which the processor's own instructions
        only need the middle; its sum is reset."""
        i: cython.Py_ssize_t = 128
        j: cython.Py_ssize_t
        table = self.products
        high: cython.ulonglong
        low: cython.ulonglong
        out: cython.ulonglong
        for j in range(4):
            self.blocks[j] = 0
        self.encrypt(key, 1)
        high = self.blocks[0]
        high = (high << 32) | self.blocks[1]
        low = self.blocks[2]
        low = (low << 32) | self.blocks[3]
        self.high = 0
        self.low = 0
        if cython.compiled and self.native:
            table[2 * i] = high
            table[2 * i + 1] = low
            return
        while i > 0:
            table[2 * i] = high
            table[2 * i + 1] = low
            out = low & 1
            low = (low >> 1) | ((high & 1) << 63)
            high >>= 1
            if out:
                high ^= REDUCED
            i >>= 1
        i = 2
        while i < 256:
            for j in range(1, i):
                table[2 * (i + j)] = table[2 * i] ^ table[2 * j]
                table[2 * (i + j) + 1] = table[2 * i + 1] ^ table[2 * j + 1]
            i <<= 1

    def multiply(self, high: cython.ulonglong, low: cython.ulonglong) -> cython.void:
        """Add a block to the sum, and multiply by the key (NIST SP 800-38D section 6.3), a byte at
        a time from the right."""
        i: cython.int
        byte: cython.Py_ssize_t
        out: cython.Py_ssize_t
        x: cython.ulonglong = self.low ^ low
        up: cython.ulonglong = 0
        down: cython.ulonglong = 0
        products = self.products
        folds = self.folds
        if cython.compiled and self.native:
            netwatch_ghash_block(
                cython.address(products[2 * 128]),
                cython.address(self.high),
                cython.address(self.low),
                high,
                low,
            )
            return
        for i in range(16):
            if i == 8:
                x = self.high ^ high
            byte = 2 * (x & 255)
            x >>= 8
            out = down & 255
            down = ((down >> 8) | ((up & 255) << 56)) ^ products[byte + 1]
            up = (up >> 8) ^ folds[out] ^ products[byte]
        self.high = up
        self.low = down

    def take(
        self,
        data: Octets,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.bint:
        """Add bytes to the sum, padded with zeros to whole blocks; false if they are not there."""
        i: cython.Py_ssize_t
        high: cython.ulonglong
        low: cython.ulonglong
        if at < 0 or end > len(data):
            return False
        if cython.compiled and self.native and at < end:
            netwatch_ghash(
                cython.address(self.products[2 * 128]),
                cython.address(self.high),
                cython.address(self.low),
                cython.address(data[at]),
                end - at,
            )
            return True
        while at + 16 <= end:
            high = 0
            low = 0
            for i in range(8):
                high = (high << 8) | data[at + i]
                low = (low << 8) | data[at + 8 + i]
            self.multiply(high, low)
            at += 16
        if at < end:
            high = 0
            low = 0
            for i in range(16):
                high = ((high & M56) << 8) | (low >> 56)
                low = ((low & M56) << 8) | (data[at + i] if at + i < end else 0)
            self.multiply(high, low)
        return True

    def decrypt(
        self,
        key: cython.Py_ssize_t,
        nonce: Words,
        data: Octets,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        out: Buffer,
    ) -> cython.bint:
        """Decrypt into `out`; `nonce` has three words. The first block is then what must be added
        to the sum of GHASH for the tag. False if there is no room."""
        stream = self.blocks
        size: cython.Py_ssize_t = end - at
        count: cython.Py_ssize_t = (size + 15) // 16 + 1
        i: cython.Py_ssize_t
        if at < 0 or size < 0 or end > len(data) or size > len(out):
            return False
        if count > MOST_BLOCKS or len(nonce) < 3 or not 0 <= key < KEYS:
            return False
        if cython.compiled and self.native and size > 0:
            netwatch_aes_counter(
                cython.address(self.rounds[WORDS * key]),
                cython.address(nonce[0]),
                cython.address(data[at]),
                cython.address(out[0]),
                size,
                cython.address(stream[0]),
            )
            return True
        for i in range(count):
            stream[4 * i] = nonce[0]
            stream[4 * i + 1] = nonce[1]
            stream[4 * i + 2] = nonce[2]
            stream[4 * i + 3] = i + 1
        self.encrypt(key, count)
        for i in range(size):
            out[i] = data[at + i] ^ ((stream[4 + (i >> 2)] >> (24 - 8 * (i & 3))) & 255)
        return True
