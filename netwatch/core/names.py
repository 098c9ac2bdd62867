"""One spelling for a name, wherever it comes from.

Names compare lower-case, without the trailing dot, IDNA in its A-label form. Bytes that
no host name holds stay visible, escaped as in a zone file (RFC 1035 section 5.1), so
that what was on the wire can be told and can neither break a line nor pose as another
name.
"""

import idna

_PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789-_."
_VISIBLE = bytes(byte for byte in range(0x21, 0x7F) if byte != 0x5C)


def normalise(raw: bytes) -> str:
    """The spelling of a name given in text form (SNI, Host, user input), without a port.

    A root dot at the end goes; an empty name stays empty.
    """
    low = raw.lower()
    if low.endswith(b"."):
        low = low[:-1]
    if not low.translate(None, _PLAIN):
        return low.decode("ascii")
    if not low.isascii():
        try:
            return idna.encode(low.decode("utf-8"), uts46=True).decode("ascii")
        except UnicodeError:  # idna.IDNAError is one
            pass
    return escape(low)


def escape(raw: bytes) -> str:
    """Bytes as text: printable ASCII as it is, a backslash doubled, all else ``\\DDD``."""
    if not raw.translate(None, _VISIBLE):
        return raw.decode("ascii")
    return "".join(
        "\\\\" if byte == 0x5C else chr(byte) if 0x21 <= byte <= 0x7E else f"\\{byte:03d}"
        for byte in raw
    )
