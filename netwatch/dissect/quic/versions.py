"""The versions of QUIC whose Initial packets can be read: RFC 9001 section 5.2, RFC 9369 section
3.3.1, and the drafts of quic-tls and quic-v2. They differ in their salt and in the labels of their
keys, and QUIC version 2 also in the numbers of its packet types."""

from dataclasses import dataclass

from netwatch.core.protocol_numbers import QUIC_1, QUIC_2


@dataclass(frozen=True, slots=True)
class Version:
    """A version of QUIC.

    `salt` is the salt of its Initial secrets (20 bytes), `label_prefix` the prefix of the labels of
    its keys. If `uses_tls` is false, its CRYPTO frames carry QUIC Crypto (see
    `netwatch.protocols.chlo`).
    """

    name: str
    salt: bytes
    label_prefix: bytes = b"quic "
    crypto_frame_type: int = 6
    uses_tls: bool = True


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
    0x6B3343CF: Version(QUIC_2, _V2, b"quicv2 "),
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
"""The versions by their number on the wire. Packets of versions without a known salt are not
read."""

RESERVED = (Version("reserved", _V1), Version("reserved", _DRAFT_29))
"""A version that only forces version negotiation (RFC 9000 section 15), once for each of the keys
that it may have. It has no own keys: clients protect its Initial packets like those of the version
that they prefer."""

ALL = (*VERSIONS.values(), *RESERVED)
"""All versions, in the order of their numbers in `InitialPackets`."""
