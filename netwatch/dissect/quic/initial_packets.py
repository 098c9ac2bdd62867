# cython: language_level=3, boundscheck=True, wraparound=False
"""A client's QUIC Initial packets: their headers, their keys, and the frames in them.

`InitialPackets` is the only reader of them. The packet loop opens most, to read the name, which is
mostly of no interest. `netwatch.protocols.quic` has all others opened, whatever is unusual about
them.

The layout is RFC 9000 section 17.2, which all drafts since 22 share. The keys follow from the
Destination Connection ID that the client chose (RFC 9001 section 5.2), so there is no secret to
guard here. HKDF (RFC 5869) needs one block per key, and every hashed message fits one block of
SHA-256 (FIPS 180-4) after the pad of HMAC (RFC 2104); what does not depend on the connection is
hashed once.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.quic.aes_gcm import Gcm
    from cython.cimports.netwatch.dissect.quic.sha256 import Sha256
else:
    from netwatch.dissect.quic.aes_gcm import Gcm
    from netwatch.dissect.quic.sha256 import Sha256

from netwatch.core.buffers import Buffer, Octets, Words, array, zeroed
from netwatch.dissect.quic.versions import ALL, VERSIONS

ONE_BIT = cython.declare(cython.uint, 0x80000000)
INNER = cython.declare(cython.uint, 0x36363636)
OUTER = cython.declare(cython.uint, 0x5C5C5C5C)

# States, eight words each: the initial state, the pads (inner, then outer) of each salt, the pads
# of the current secret, and the last result.
_SALTS = tuple(dict.fromkeys(version.salt for version in ALL))
START = cython.declare(cython.Py_ssize_t, 0)
SALTED = cython.declare(cython.Py_ssize_t, 1)
PADS = cython.declare(cython.Py_ssize_t, 1 + 2 * len(_SALTS))
SECRET = cython.declare(cython.Py_ssize_t, 3 + 2 * len(_SALTS))

# Blocks, sixteen words each: the current one, the label of the client's secret, and the labels of
# key, IV and header protection key of each prefix.
_PREFIXES = tuple(dict.fromkeys(version.label_prefix for version in ALL))
AT_HAND = cython.declare(cython.Py_ssize_t, 0)
CLIENT_IN = cython.declare(cython.Py_ssize_t, 1)
LABELS = cython.declare(cython.Py_ssize_t, 2)

_BLOCK = 64

LONGEST = cython.declare(cython.Py_ssize_t, 65535)
"""The longest packet, a whole UDP datagram, bytes."""
MAX_ID = cython.declare(cython.Py_ssize_t, 20)

# Results of `InitialPackets.packet`: nothing that can be read, or that has a length; an Initial
# packet; another one; a header or a length that exceeds the datagram.
NOTHING = cython.declare(cython.int, 0)
INITIAL = cython.declare(cython.int, 1)
OTHER = cython.declare(cython.int, 2)
BROKEN = cython.declare(cython.int, 3)

# Results of `InitialPackets.frame`: the end; a CRYPTO frame; a frame that exceeds the packet; one
# that an Initial packet must not contain (RFC 9000 section 17.2.2).
END = cython.declare(cython.int, 0)
CRYPTO = cython.declare(cython.int, 1)
CUT = cython.declare(cython.int, 2)
FORBIDDEN = cython.declare(cython.int, 3)

PING = cython.declare(cython.int, 1)
ACK = cython.declare(cython.longlong, 2)
ACK_ECN = cython.declare(cython.longlong, 3)
CLOSE = cython.declare(cython.longlong, 0x1C)

FORGED = cython.declare(cython.Py_ssize_t, -1)
SHORT = cython.declare(cython.Py_ssize_t, -2)

VERSION_2 = cython.declare(cython.longlong, 1)
"""The number in `ALL` of QUIC version 2, whose packet types have other numbers."""
TAG = cython.declare(cython.Py_ssize_t, 16)
SAMPLED = cython.declare(cython.Py_ssize_t, 20)
"""Bytes from the packet number on that header protection needs (RFC 9001 section 5.4.2)."""

LOW = cython.declare(cython.longlong, 0xFFFFFFFF)
NUMBER_BITS = cython.declare(cython.longlong, 0x0F0F0F0F)
RESERVED_BITS = cython.declare(cython.longlong, 0x0A0A0A0A)

# The two keys of a connection, by their number.
PAYLOAD = cython.declare(cython.Py_ssize_t, 0)
HEADER = cython.declare(cython.Py_ssize_t, 1)


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4]) for at in range(0, len(data), 4)]


def _last(message: bytes) -> list[int]:
    """A message after a pad, as the last block of the hash."""
    bits = 8 * (_BLOCK + len(message))
    return _words((message + b"\x80").ljust(_BLOCK - 8, b"\0") + bits.to_bytes(8))


def _label(size: int, label: bytes) -> list[int]:
    """The `info` of HKDF-Expand-Label (RFC 8446 section 7.1) and HKDF's counter."""
    full = b"tls13 " + label
    return _last(size.to_bytes(2) + bytes([len(full)]) + full + b"\0\x01")


@cython.final
@cython.cclass
class Keys:
    """Derives into `made`: key (4 words), IV (3) and header protection key (4)."""

    def __init__(self) -> None:
        blocks = [[0] * 16, _label(32, b"client in")]
        for prefix in _PREFIXES:
            parts = ((16, b"key"), (12, b"iv"), (16, b"hp"))
            blocks += [_label(size, prefix + part) for size, part in parts]
        self.sha = Sha256(SECRET + 1, len(blocks))
        for number, word in enumerate([word for block in blocks for word in block]):
            self.sha.blocks[number] = word
        self.made: Words = array("I", bytes(4 * 11))
        self.salts: Buffer = array("B", [_SALTS.index(version.salt) for version in ALL])
        self.prefixes: Buffer = array("B", [_PREFIXES.index(each.label_prefix) for each in ALL])
        for place, salt in enumerate(_SALTS):
            for number, word in enumerate(_words(salt.ljust(32, b"\0"))):
                self.sha.states[8 * SECRET + number] = word
            self.pad(SECRET)
            for number in range(16):
                word = self.sha.states[8 * PADS + number]
                self.sha.states[8 * (SALTED + 2 * place) + number] = word

    def mac(
        self, block: cython.Py_ssize_t, pads: cython.Py_ssize_t, to: cython.Py_ssize_t
    ) -> cython.void:
        """HMAC of a one-block message, under the key of `pads`, into state `to`."""
        i: cython.Py_ssize_t
        self.sha.compress(block, pads, to)
        for i in range(8):
            self.sha.blocks[16 * AT_HAND + i] = self.sha.states[8 * to + i]
            self.sha.blocks[16 * AT_HAND + 8 + i] = 0
        self.sha.blocks[16 * AT_HAND + 8] = ONE_BIT
        self.sha.blocks[16 * AT_HAND + 15] = 8 * (64 + 32)
        self.sha.compress(AT_HAND, pads + 1, to)

    def pad(self, secret: cython.Py_ssize_t) -> cython.void:
        """Make the pads of a key, which is a state."""
        i: cython.Py_ssize_t
        for i in range(8):
            self.sha.blocks[16 * AT_HAND + i] = self.sha.states[8 * secret + i] ^ INNER
            self.sha.blocks[16 * AT_HAND + 8 + i] = INNER
        self.sha.compress(AT_HAND, START, PADS)
        for i in range(8):
            self.sha.blocks[16 * AT_HAND + i] = self.sha.states[8 * secret + i] ^ OUTER
            self.sha.blocks[16 * AT_HAND + 8 + i] = OUTER
        self.sha.compress(AT_HAND, START, PADS + 1)

    def derive(
        self,
        data: Octets,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
        version: cython.Py_ssize_t,
    ) -> cython.void:
        """Make the keys of the connection whose id, 0 to 20 bytes, is at `at`; `version` is a
        number in `ALL`."""
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t = 16 * AT_HAND
        byte: cython.uint
        for i in range(16):
            self.sha.blocks[place + i] = 0
        for i in range(size + 1):
            byte = data[at + i] if i < size else 128
            self.sha.blocks[place + (i >> 2)] |= byte << (24 - 8 * (i & 3))
        self.sha.blocks[place + 15] = 8 * (64 + size)
        self.mac(AT_HAND, SALTED + 2 * self.salts[version], SECRET)
        self.pad(SECRET)
        self.mac(CLIENT_IN, PADS, SECRET)
        self.pad(SECRET)
        for i in range(11):
            if i == 0 or i == 4 or i == 7:
                self.mac(LABELS + 3 * self.prefixes[version] + (i + 1) // 4, PADS, SECRET)
                place = 8 * SECRET - i
            self.made[i] = self.sha.states[place + i]


@cython.final
@cython.cclass
class InitialPackets:
    """Reads packets, and opens them into `plain`. The keys of the last `connection` are kept.

    Of the last packet, `version` is the number in `ALL`, `id` is where the length of its
    Destination Connection ID is, `pos` where its number is, and `packet_end` where it ends. Of an
    opened packet `number` is its whole number, and `pos` where its frames start in the datagram. Of
    the last CRYPTO frame, `offset` and `length` are its fields, and `pos` is where its bytes are in
    `plain`.
    """

    def __init__(self) -> None:
        self.keys = Keys()
        self.gcm = Gcm()
        self.header: Buffer = zeroed("B", LONGEST)
        self.plain: Buffer = zeroed("B", LONGEST)
        self.nonce: Words = array("I", bytes(4 * 3))
        self.numbers: Words = array("q", list(VERSIONS))
        self.crypto_types: Buffer = array("B", [version.crypto_frame_type for version in ALL])
        # The number in `ALL`, size of the id, and the id; no version has the number 255.
        self.connection: Buffer = array("B", b"\xff" + bytes(1 + MAX_ID))
        self.version = 0
        self.id = self.pos = self.packet_end = 0
        self.number = 0
        self.offset = 0
        self.length = 0

    def varint(self, data: Octets, end: cython.Py_ssize_t) -> cython.longlong:
        """The variable-length integer at `pos` (RFC 9000 section 16); -1 if it exceeds `end`."""
        size: cython.Py_ssize_t
        value: cython.longlong
        i: cython.Py_ssize_t
        if self.pos >= end:
            return -1
        value = data[self.pos]
        size = 1 << (value >> 6)
        value &= 63
        if self.pos + size > end:
            return -1
        for i in range(1, size):
            value = (value << 8) | data[self.pos + i]
        self.pos += size
        return value

    def version_of(self, number: cython.longlong) -> cython.Py_ssize_t:
        """The number in `ALL` of the version with a number on the wire, -1 if there is none."""
        i: cython.Py_ssize_t
        count: cython.Py_ssize_t = len(self.numbers)
        for i in range(count):
            if self.numbers[i] == number:
                return i
        return count if number & NUMBER_BITS == RESERVED_BITS else -1

    def packet(self, data: Octets, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """Read the long header at `at` of a datagram that ends at `end`; returns what it is. The
        Fixed Bit is not checked, because a client may clear it (RFC 9287)."""
        kind: cython.int
        size: cython.longlong
        number: cython.longlong
        if end - at < 7 or data[at] < 0x80:
            return NOTHING
        number = (data[at + 1] << 8) | data[at + 2]
        number = (number << 16) | (data[at + 3] << 8) | data[at + 4]
        self.version = self.version_of(number)
        if self.version < 0:
            return NOTHING
        self.id = at + 5
        self.pos = at + 6 + data[at + 5]
        if self.pos >= end:
            return BROKEN
        self.pos += 1 + data[self.pos]
        if self.pos > end:
            return BROKEN
        # Of version 2, the types are one higher.
        kind = ((data[at] >> 4) - (1 if self.version == VERSION_2 else 0)) & 3
        if data[at + 5] > MAX_ID or kind == 3:
            return NOTHING
        if kind == 0:
            size = self.varint(data, end)
            if size < 0 or size > end - self.pos:
                return BROKEN
            self.pos += size
        size = self.varint(data, end)
        if size < 0 or size > end - self.pos:
            return BROKEN
        self.packet_end = self.pos + size
        return INITIAL if kind == 0 else OTHER

    def open(
        self,
        data: Octets,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Open the Initial packet at `at` of a datagram that ends at `end`, the first one of its
        client (RFC 9000 section 17.2.2), if it is version 1 or 2. Returns how many bytes of frames
        there are, negative if it is not opened. Clients that begin with another version send their
        hello again in a version that the server has named (section 6.2)."""
        if self.packet(data, at, end) != INITIAL or self.version > VERSION_2:
            return FORGED
        self.derive(data, self.id, self.version)
        return self.unprotect(data, at, -1)

    def derive(
        self,
        data: Octets,
        at: cython.Py_ssize_t,
        version: cython.Py_ssize_t,
    ) -> cython.void:
        """Make the keys of a version (in `ALL`) for the connection id whose length is at `at`,
        unless they are the last packet's keys."""
        i: cython.Py_ssize_t = 0
        size: cython.Py_ssize_t = data[at]
        if self.connection[0] == version:
            while i <= size and self.connection[1 + i] == data[at + i]:
                i += 1
            if i > size:
                return
        self.connection[0] = version
        for i in range(size + 1):
            self.connection[1 + i] = data[at + i]
        self.keys.derive(data, at + 1, size, version)
        self.gcm.expand(self.keys.made, 0, PAYLOAD)
        self.gcm.expand(self.keys.made, 7, HEADER)
        self.gcm.authenticate(PAYLOAD)

    def unprotect(
        self, data: Octets, at: cython.Py_ssize_t, largest: cython.longlong
    ) -> cython.Py_ssize_t:
        """Remove the protection of the last packet, at `at` (RFC 9001 sections 5.3 and 5.4), if
        `largest` is the largest number of an earlier packet. Returns how many bytes of frames there
        are, `FORGED` if it has other keys, `SHORT` if it is too short."""
        i: cython.Py_ssize_t
        size: cython.Py_ssize_t = self.pos - at
        more: cython.Py_ssize_t
        word: cython.uint
        if self.packet_end - self.pos < SAMPLED:
            return SHORT
        if size + 4 > len(self.header):
            return FORGED
        for i in range(4):
            word = (data[self.pos + 4 + 4 * i] << 8) | data[self.pos + 5 + 4 * i]
            word = (word << 8) | data[self.pos + 6 + 4 * i]
            self.gcm.blocks[i] = (word << 8) | data[self.pos + 7 + 4 * i]
        self.gcm.encrypt(HEADER, 1)
        for i in range(size):
            self.header[i] = data[at + i]
        self.header[0] ^= self.mask(0) & 15
        more = (self.header[0] & 3) + 1
        self.number = 0
        for i in range(more):
            word = data[self.pos + i] ^ self.mask(i + 1)
            self.header[size + i] = word
            self.number = (self.number << 8) | word
        self.number = full_number(self.number, more, largest)
        self.nonce[0] = self.keys.made[4]
        self.nonce[1] = self.keys.made[5] ^ (self.number >> 32)
        self.nonce[2] = self.keys.made[6] ^ (self.number & LOW)
        size += more
        self.pos += more
        i = self.packet_end - TAG
        if not self.gcm.decrypt(PAYLOAD, self.nonce, data, self.pos, i, self.plain):
            return FORGED
        return i - self.pos if self.sealed(data, size) else FORGED

    def frame(self, size: cython.Py_ssize_t) -> cython.int:
        """Read on from `pos` of the `size` bytes of frames in `plain`, past PADDING, PING, ACK and
        CONNECTION_CLOSE; returns what was found."""
        kind: cython.longlong
        while True:
            self.pos = self.behind_padding(self.pos, size)
            if self.pos >= size:
                return END
            kind = self.varint(self.plain, size)
            if kind == self.crypto_types[self.version]:
                self.offset = self.varint(self.plain, size)
                self.length = self.varint(self.plain, size)
                if self.offset < 0 or self.length < 0 or self.length > size - self.pos:
                    return CUT
                return CRYPTO
            if kind in (ACK, ACK_ECN):
                if not self.skip_ack(size, kind):
                    return CUT
            elif kind == CLOSE:
                if self.varint(self.plain, size) < 0 or self.varint(self.plain, size) < 0:
                    return CUT
                kind = self.varint(self.plain, size)
                if kind < 0 or kind > size - self.pos:
                    return CUT
                self.pos += kind
            else:
                return CUT if kind < 0 else FORBIDDEN

    def skip_ack(self, size: cython.Py_ssize_t, kind: cython.longlong) -> cython.bint:
        """Whether the rest of an ACK frame (RFC 9000 section 19.3) is there, and skip it."""
        left: cython.longlong
        if self.varint(self.plain, size) < 0 or self.varint(self.plain, size) < 0:
            return False
        left = self.varint(self.plain, size)
        if left < 0 or left > size:
            return False
        left = 1 + 2 * left + (3 if kind == ACK_ECN else 0)
        while left > 0:
            if self.varint(self.plain, size) < 0:
                return False
            left -= 1
        return True

    @cython.boundscheck(False)
    def behind_padding(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The first frame, from `at` on of `size` bytes of frames, that is not PADDING or PING;
        there are many of those."""
        plain = self.plain
        while at < size and plain[at] <= PING:
            at += 1
        return at

    def mask(self, i: cython.Py_ssize_t) -> cython.uint:
        """A byte of the block that was encrypted first."""
        return (self.gcm.blocks[i >> 2] >> (24 - 8 * (i & 3))) & 255

    def sealed(self, data: Octets, header: cython.Py_ssize_t) -> cython.bint:
        """Whether the tag matches the `header` bytes of header and the bytes decrypted from `pos`
        on (NIST SP 800-38D section 7.2)."""
        i: cython.Py_ssize_t
        stop: cython.Py_ssize_t = self.packet_end - TAG
        high: cython.ulonglong
        low: cython.ulonglong
        byte: cython.ulonglong
        self.gcm.high = 0
        self.gcm.low = 0
        self.gcm.take(self.header, 0, header)
        self.gcm.take(data, self.pos, stop)
        self.gcm.multiply(8 * header, 8 * (stop - self.pos))
        high = self.gcm.high
        low = self.gcm.low
        for i in range(8):
            byte = self.mask(i) ^ data[stop + i]
            if (high >> (56 - 8 * i)) & 255 != byte:
                return False
            byte = self.mask(8 + i) ^ data[stop + 8 + i]
            if (low >> (56 - 8 * i)) & 255 != byte:
                return False
        return True


def full_number(
    number: cython.longlong, size: cython.Py_ssize_t, largest: cython.longlong
) -> cython.longlong:
    """The packet number whose last `size` bytes are `number` (RFC 9000 appendix A.3)."""
    window: cython.longlong = 1
    expected: cython.longlong = largest + 1
    candidate: cython.longlong
    window <<= 8 * size
    candidate = (expected & ~(window - 1)) | number
    if candidate + window // 2 <= expected:
        return candidate + window
    if candidate > expected + window // 2 and candidate >= window:
        return candidate - window
    return candidate
