"""Host names as DHCP carries them: as text, or as labels in the wire format of DNS.

What a client calls itself is text of a stranger. It gets the one spelling of
`netwatch.core.names`, so that it can neither break a line nor pose as another name.
"""

from netwatch.core.errors import ParseError
from netwatch.core.names import normalise_name
from netwatch.protocols.dns_name import spell
from netwatch.protocols.reader import Reader

MAX_NAME = 255
"""The longest host name that is taken, bytes (RFC 1035 section 2.3.4)."""


def from_text(raw: bytes, anomaly: str) -> str:
    """A name in text form; a NUL at its end goes, which some clients send (RFC 2132
    section 2). Raises `ParseError` under `anomaly` where it is longer than a name can be."""
    raw = raw.rstrip(b"\0").strip()
    if len(raw) > MAX_NAME:
        raise ParseError(anomaly)
    return normalise_name(raw)


def from_labels(raw: bytes, anomaly: str) -> str:
    """A name in the wire format of RFC 1035 section 3.1, without compression; a partial
    one has no root label (RFC 4702 section 2.3.1, RFC 4704 section 4.2). Raises
    `ParseError` under `anomaly`."""
    reader = Reader(raw, anomaly)
    labels: list[bytes] = []
    while reader.left:
        label = reader.vector(1)
        if not label:
            break
        if len(label) > 63 or reader.pos > MAX_NAME:
            raise ParseError(anomaly)
        labels.append(label)
    return spell(labels)
