# cython: language_level=3
"""QUIC packets in a datagram: versions, long headers, coalesced packets.

The layout is that of RFC 9000 section 17.2, which all drafts since 22 share. Versions differ in
their salt and in the labels of their keys, and QUIC version 2 (RFC 9369) also in the numbers of its
packet types. Packets of versions without a known salt are not read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.protocol_numbers import QUIC_1, QUIC_2

if not cython.compiled:
    from netwatch.protocols.reader import Reader
else:
    from cython.cimports.netwatch.protocols.reader import Reader


@dataclass(frozen=True, slots=True)
class Version:
    """A version of QUIC.

    `salt` is that of its Initial secrets (20 bytes). `packet_types` are the type bits of its
    Initial, 0-RTT, Handshake and Retry packets, in this order. If `uses_tls` is false, its CRYPTO
    frames carry QUIC Crypto (see `netwatch.protocols.chlo`). `alternatives` are versions whose
    keys clients may have used instead.
    """

    name: str
    salt: bytes
    label_prefix: bytes = b"quic "
    packet_types: tuple[int, int, int, int] = (0, 1, 2, 3)
    crypto_frame_type: int = 6
    uses_tls: bool = True
    alternatives: tuple["Version", ...] = ()


_DRAFT_22 = bytes.fromhex("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a")
_DRAFT_23 = bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
_DRAFT_29 = bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899")
_V1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_Q050 = bytes.fromhex("504574efd066fe2f9d945cfcdbd3a7f0d3b56b45")
_T050 = bytes.fromhex("7ff579e5acd072915580304c43a2367c60488310")
_T051 = bytes.fromhex("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d")
_V2_DRAFT = bytes.fromhex("a707c203a59b47184a1d62ca570406ea7ae3e5d3")
_V2 = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")

VERSIONS = {
    0x00000001: Version(QUIC_1, _V1),
    0x6B3343CF: Version(QUIC_2, _V2, b"quicv2 ", (1, 2, 3, 0)),
    0xFF020000: Version("2-draft-00", _V2_DRAFT, b"quicv2 "),
    0xFF000016: Version("draft-22", _DRAFT_22),
    **{0xFF000000 | draft: Version(f"draft-{draft}", _DRAFT_23) for draft in range(23, 29)},
    **{0xFF000000 | draft: Version(f"draft-{draft}", _DRAFT_29) for draft in range(29, 33)},
    **{0xFF000000 | draft: Version(f"draft-{draft}", _V1) for draft in range(33, 35)},
    # Meta's own numbers for the drafts that it deployed.
    0xFACEB001: Version("mvfst-1", _DRAFT_22),
    0xFACEB002: Version("mvfst-2", _DRAFT_23),
    0xFACEB00E: Version("mvfst-e", _DRAFT_23),
    # Google's own versions, with an older numbering of frames.
    0x51303530: Version("Q050", _Q050, crypto_frame_type=8, uses_tls=False),
    0x54303530: Version("T050", _T050, crypto_frame_type=8),
    0x54303531: Version("T051", _T051, crypto_frame_type=8),
}
"""The versions that can be read, by their number on the wire (RFC 9001 section 5.2,
RFC 9369 section 3.3.1, and the drafts of quic-tls and quic-v2)."""

RESERVED = Version("reserved", _V1, alternatives=(Version("reserved", _DRAFT_29),))
"""A version that only forces version negotiation (RFC 9000 section 15). It has no keys: clients
protect its Initial packets like those of the version that they prefer."""

_MAX_CONNECTION_ID = 20


def version_of(number: int) -> Version | None:
    """The version with this number on the wire, None if it is unknown."""
    if number & 0x0F0F0F0F == 0x0A0A0A0A:
        return RESERVED
    return VERSIONS.get(number)


@cython.cclass
@dataclass(frozen=True)
class Initial:
    """The position of an Initial packet in its datagram.

    `start`, `number_offset` and `end` are the offsets of its first byte, of its packet number, and
    of the first byte behind it. `dcid` is its Destination Connection ID, 0 to 20 bytes.
    """

    version: Version
    dcid: bytes
    start: int
    number_offset: int
    end: int


def is_initial(datagram: bytes) -> bool:
    """Whether `datagram` starts with a possible Initial packet of a known version.

    The Fixed Bit is not checked, because a client may clear it (RFC 9287).
    """
    if len(datagram) < 7 or datagram[0] < 0x80 or datagram[5] > _MAX_CONNECTION_ID:
        return False
    version = version_of(int.from_bytes(datagram[1:5]))
    return version is not None and datagram[0] >> 4 & 3 == version.packet_types[0]


def initials(datagram: bytes) -> Iterator[Initial]:
    """The Initial packets that are coalesced in `datagram` (RFC 9000 section 12.2).

    Packets of other types are skipped by their length. The iteration ends at anything without a
    length: a short header, a Retry, an unknown version, padding. Raises `ParseError`
    ``quic-header`` if a header exceeds the datagram, or the length in it does.
    """
    reader: Reader = Reader(datagram, "quic-header")
    start: cython.Py_ssize_t
    number_offset: cython.Py_ssize_t
    first: cython.int
    kind: cython.int
    while reader.end - reader.pos >= 7:
        start = reader.pos
        first = reader.uint(1)
        version = version_of(reader.uint(4))
        if first < 0x80 or version is None:
            return
        initial, early, handshake, _ = version.packet_types
        kind = first >> 4 & 3
        dcid = reader.vector(1)
        reader.vector(1)
        if len(dcid) > _MAX_CONNECTION_ID or kind not in (initial, early, handshake):
            return
        if kind == initial:
            reader.read(reader.varint())  # the token
        length = reader.varint()
        number_offset = reader.pos
        reader.read(length)
        if kind == initial:
            yield Initial(version, dcid, start, number_offset, reader.pos)
