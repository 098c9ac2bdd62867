"""Host names in one spelling, wherever they come from.

Names compare in lower case, without the trailing dot, in the A-label form of IDNA (RFC 5890).
Bytes that cannot be part of a host name are escaped as in a zone file (RFC 1035 section 5.1): what
was on the wire remains visible, and can neither break a line of output nor imitate another name.
Where the spelling in the packet matters, as in a proof, `raw_name` has it.
"""

_HOST_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyz0123456789-_."
_VISIBLE = bytes(byte for byte in range(0x21, 0x7F) if byte != 0x5C)


def normalise_name(raw: bytes) -> str:
    """The normal spelling of a name in text form (SNI, Host, user input), without a port.

    A trailing dot is removed. An empty name stays empty.
    """
    lower = raw.lower()
    if lower.endswith(b"."):
        lower = lower[:-1]
    if not lower.translate(None, _HOST_NAME_BYTES):
        return lower.decode("ascii")
    if not lower.isascii():
        import idna  # not at the top: few captures have such a name

        try:
            return idna.encode(lower.decode("utf-8"), uts46=True).decode("ascii")
        except UnicodeError:  # the base class of idna.IDNAError
            pass
    return escape_bytes(lower)


def escape_bytes(raw: bytes) -> str:
    """Bytes as text: printable ASCII unchanged, a backslash doubled, other bytes as ``\\DDD``."""
    if not raw.translate(None, _VISIBLE):
        return raw.decode("ascii")
    return "".join(
        "\\\\" if byte == 0x5C else chr(byte) if 0x21 <= byte <= 0x7E else f"\\{byte:03d}"
        for byte in raw
    )


def raw_name(raw: bytes, name: str) -> str:
    """A name as it is in the packet, with its bytes escaped as in a zone file; empty where that is
    its normal spelling `name`."""
    text = escape_bytes(raw)
    return "" if text == name else text
