# cython: language_level=3, boundscheck=True, wraparound=False
"""The keys of a QUIC client's Initial packets, derived in the packet loop.

They follow from the Destination Connection ID that the client chose (RFC 9001 section
5.2), so there is no secret to guard here. HKDF (RFC 5869) needs one block a key, and every
message that is hashed fits one block of SHA-256 (FIPS 180-4) behind the pad of HMAC (RFC
2104); what does not depend on the connection is hashed once.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.quic.sha256 import Sha256
else:
    from netwatch.dissect.quic.sha256 import Sha256

from netwatch.core.buffers import Octets, Words

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
