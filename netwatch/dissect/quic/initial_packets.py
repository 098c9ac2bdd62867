# cython: language_level=3, boundscheck=True, wraparound=False
"""A client's QUIC Initial packets, opened in the packet loop.

Most of them are of two versions and carry a hello of no interest; they are opened here, so
that the loop can read the name. Whatever is not as usual (another version, a packet that
does not open with keys from its own Destination Connection ID) is not opened, and goes
to `netwatch.protocols.quic`, which reads all of it.

The keys follow from the Destination Connection ID that the client chose (RFC 9001 section 5.2), so
there is no secret to guard here. HKDF (RFC 5869) needs one block a key, and every message that is
hashed fits one block of SHA-256 (FIPS 180-4) behind the pad of HMAC (RFC 2104); what does not
depend on the connection is hashed once.
"""

from array import array

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

from netwatch.core.buffers import Buffer, Octets, Words

ONE_BIT = cython.declare(cython.uint, 0x80000000)
INNER = cython.declare(cython.uint, 0x36363636)
OUTER = cython.declare(cython.uint, 0x5C5C5C5C)

# States, eight words each: that before any block, the pads (inner, then outer) of the
# salts of versions 1 and 2, those of the secret at hand, and what came out last.
START = cython.declare(cython.Py_ssize_t, 0)
SALTED = cython.declare(cython.Py_ssize_t, 1)
PADS = cython.declare(cython.Py_ssize_t, 5)
SECRET = cython.declare(cython.Py_ssize_t, 7)

# Blocks, sixteen words each: the one at hand, the label of the client's secret, and those
# of key, IV and header protection key of versions 1 and 2.
AT_HAND = cython.declare(cython.Py_ssize_t, 0)
CLIENT_IN = cython.declare(cython.Py_ssize_t, 1)
LABELS = cython.declare(cython.Py_ssize_t, 2)

_SALTS = (
    bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
)
"""Of version 1 (RFC 9001 section 5.2) and 2 (RFC 9369 section 3.3.1)."""

_BLOCK = 64

MAX_PACKET = cython.declare(cython.Py_ssize_t, 2048)
"""The longest Initial packet that is opened here, bytes."""
MAX_HEADER = cython.declare(cython.Py_ssize_t, 512)
"""The longest header of one, token and all, bytes."""
MAX_ID = cython.declare(cython.Py_ssize_t, 20)

VERSION_2 = cython.declare(cython.longlong, 0x6B3343CF)
TAG = cython.declare(cython.Py_ssize_t, 16)
SAMPLED = cython.declare(cython.Py_ssize_t, 20)
"""Bytes from the packet number on that header protection needs (RFC 9001 section 5.4.2)."""

# The two keys of a connection, by their number.
PAYLOAD = cython.declare(cython.Py_ssize_t, 0)
HEADER = cython.declare(cython.Py_ssize_t, 1)


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4]) for at in range(0, len(data), 4)]


def _last(message: bytes) -> list[int]:
    """A message behind a pad, as the last block of what is hashed."""
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
        for prefix in (b"quic ", b"quicv2 "):
            parts = ((16, b"key"), (12, b"iv"), (16, b"hp"))
            blocks += [_label(size, prefix + part) for size, part in parts]
        self.sha = Sha256(SECRET + 1, len(blocks))
        for number, word in enumerate([word for block in blocks for word in block]):
            self.sha.blocks[number] = word
        self.made: Words = array("I", bytes(4 * 11))
        for version, salt in enumerate(_SALTS):
            for number, word in enumerate(_words(salt.ljust(32, b"\0"))):
                self.sha.states[8 * SECRET + number] = word
            self.pad(SECRET)
            for number in range(16):
                word = self.sha.states[8 * PADS + number]
                self.sha.states[8 * (SALTED + 2 * version) + number] = word

    def mac(
        self, block: cython.Py_ssize_t, pads: cython.Py_ssize_t, to: cython.Py_ssize_t
    ) -> cython.void:
        """HMAC of a message that is one block, under the key of `pads`, into state `to`."""
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
        """Make the keys of the connection whose id, 0 to 20 bytes, is at `at`; `version` is
        0 for version 1 and 1 for version 2."""
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t = 16 * AT_HAND
        byte: cython.uint
        for i in range(16):
            self.sha.blocks[place + i] = 0
        for i in range(size + 1):
            byte = data[at + i] if i < size else 128
            self.sha.blocks[place + (i >> 2)] |= byte << (24 - 8 * (i & 3))
        self.sha.blocks[place + 15] = 8 * (64 + size)
        self.mac(AT_HAND, SALTED + 2 * version, SECRET)
        self.pad(SECRET)
        self.mac(CLIENT_IN, PADS, SECRET)
        self.pad(SECRET)
        for i in range(11):
            if i == 0 or i == 4 or i == 7:
                self.mac(LABELS + 3 * version + (i + 1) // 4, PADS, SECRET)
                place = 8 * SECRET - i
            self.made[i] = self.sha.states[place + i]


@cython.final
@cython.cclass
class InitialPackets:
    """Opens packets into `plain`; `packet_end` is then where the packet ends. The keys of the
    last connection are kept."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.gcm = Gcm()
        self.header: Buffer = array("B", bytes(MAX_HEADER))
        self.plain: Buffer = array("B", bytes(MAX_PACKET))
        self.nonce: Words = array("I", bytes(4 * 3))
        # version, size of the id, and the id; no version has the number 255
        self.connection: Buffer = array("B", b"\xff" + bytes(1 + MAX_ID))
        self.pos = 0
        self.packet_end = 0

    def varint(self, data: Octets, end: cython.Py_ssize_t) -> cython.longlong:
        """The variable-length integer at `pos` (RFC 9000 section 16); -1 where `end` comes
        first."""
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

    def open(
        self,
        data: Octets,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Open the Initial packet at `at` of a datagram that ends at `end` (RFC 9000
        section 17.2.2): how many bytes of frames there are, -1 where it is not opened."""
        version: cython.longlong
        form: cython.int
        size: cython.longlong
        if end - at < 7 or data[at] < 0x80:
            return -1
        version = (data[at + 1] << 8) | data[at + 2]
        version = (version << 16) | (data[at + 3] << 8) | data[at + 4]
        form = (data[at] >> 4) & 3
        if not ((version == 1 and form == 0) or (version == VERSION_2 and form == 1)):
            return -1
        size = data[at + 5]
        self.pos = at + 6 + size
        if size > MAX_ID or self.pos >= end:
            return -1
        self.pos += 1 + data[self.pos]
        size = self.varint(data, end)
        if size < 0 or size > end - self.pos:
            return -1
        self.pos += size
        size = self.varint(data, end)
        if size < SAMPLED or size > MAX_PACKET or size > end - self.pos:
            return -1
        if self.pos + 4 - at > MAX_HEADER:
            return -1
        self.packet_end = self.pos + size
        self.derive(data, at + 5, 0 if version == 1 else 1)
        return self.unprotect(data, at)

    def derive(
        self,
        data: Octets,
        at: cython.Py_ssize_t,
        version: cython.Py_ssize_t,
    ) -> cython.void:
        """Make the keys for the connection id whose length is at `at`, unless they are those
        of the last packet."""
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

    def unprotect(self, data: Octets, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Take the protection off the packet at `at` whose number is at `pos` (RFC 9001
        sections 5.3 and 5.4): how many bytes of frames there are, -1 where it is forged."""
        i: cython.Py_ssize_t
        size: cython.Py_ssize_t = self.pos - at
        more: cython.Py_ssize_t
        number: cython.uint = 0
        word: cython.uint
        for i in range(4):
            word = (data[self.pos + 4 + 4 * i] << 8) | data[self.pos + 5 + 4 * i]
            word = (word << 8) | data[self.pos + 6 + 4 * i]
            self.gcm.blocks[i] = (word << 8) | data[self.pos + 7 + 4 * i]
        self.gcm.encrypt(HEADER, 1)
        for i in range(size):
            self.header[i] = data[at + i]
        self.header[0] ^= self.mask(0) & 15
        more = (self.header[0] & 3) + 1
        for i in range(more):
            word = data[self.pos + i] ^ self.mask(i + 1)
            self.header[size + i] = word
            number = (number << 8) | word
        self.nonce[0] = self.keys.made[4]
        self.nonce[1] = self.keys.made[5]
        self.nonce[2] = self.keys.made[6] ^ number
        size += more
        self.pos += more
        i = self.packet_end - TAG
        if not self.gcm.decrypt(PAYLOAD, self.nonce, data, self.pos, i, self.plain):
            return -1
        return i - self.pos if self.sealed(data, size) else -1

    def mask(self, i: cython.Py_ssize_t) -> cython.uint:
        """A byte of the block that was encrypted first."""
        return (self.gcm.blocks[i >> 2] >> (24 - 8 * (i & 3))) & 255

    def sealed(self, data: Octets, header: cython.Py_ssize_t) -> cython.bint:
        """Whether the tag is that of the `header` bytes of header and of what was decrypted
        from `pos` on (NIST SP 800-38D section 7.2)."""
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
