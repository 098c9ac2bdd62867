"""What the readers of lease files share: mistakes with their line, and DUIDs."""

from netwatch.core.errors import NetwatchError

SECOND = 1_000_000_000
"""A second in ns."""

_ETHERNET = b"\0\1"
_HARDWARE_AT = {b"\0\1": 8, b"\0\3": 4}  # DUID-LLT and DUID-LL (RFC 8415 section 11)


class LeaseSyntaxError(NetwatchError):
    """A line of a lease file cannot be read; the text says what was expected and found."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def mac_of_duid(duid: bytes) -> bytes | None:
    """The MAC in a DUID that was made of an Ethernet address; None where there is none."""
    at = _HARDWARE_AT.get(duid[:2])
    if at is None or duid[2:4] != _ETHERNET or len(duid) != at + 6:
        return None
    return duid[at:]


def bytes_of_hex(text: str) -> bytes:
    """The bytes of hexadecimal digits with colons between them; empty where it is none."""
    try:
        return bytes.fromhex(text.replace(":", ""))
    except ValueError:
        return b""
