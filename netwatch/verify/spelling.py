"""Names as packets have them, compared with names as records spell them."""

from netwatch.core.names import normalise_name
from netwatch.core.text import escaped


def same_name(raw: bytes, name: str) -> bool:
    """Whether bytes of the wire are a name as records spell it; a port of HTTP's is no part of the
    name."""
    host = raw
    before, colon, port = raw.rpartition(b":")
    if colon and (port.isdigit() or not port) and b":" not in before:
        host = before
    if escaped(normalise_name(host)) == name:
        return True
    return _unescaped(name) == host.lower().removesuffix(b".")


def _unescaped(name: str) -> bytes:
    """The bytes of a name in the spelling of zone files (RFC 1035 section 5.1)."""
    out, at = bytearray(), 0
    while at < len(name):
        digits = name[at + 1 : at + 4]
        if name[at] == "\\" and digits.isdigit() and len(digits) == 3 and int(digits) < 256:
            out.append(int(digits))
            at += 4
        elif name[at] == "\\" and at + 1 < len(name):
            out += name[at + 1].encode()
            at += 2
        else:
            out += name[at].encode("utf-8", "surrogatepass")
            at += 1
    return bytes(out)
