"""Host names in DHCP messages: text, or labels in the wire format of DNS.

The name that a client gives itself is untrusted text. It is normalised by `netwatch.core.names`, so
that it can neither break a line of output nor imitate another name.
"""

from netwatch.core.errors import ParseError
from netwatch.core.names import normalise_name
from netwatch.dissect.loop.dns_names import join_labels
from netwatch.protocols.reader import Reader

MAX_NAME = 255
"""The longest host name that is accepted, in bytes (RFC 1035 section 2.3.4)."""


def from_text(raw: bytes, anomaly: str) -> str:
    """A name in text form, without the trailing NUL that some clients send (RFC 2132 section 2).
    Raises `ParseError` with `anomaly` if it is too long."""
    raw = raw.rstrip(b"\0").strip()
    if len(raw) > MAX_NAME:
        raise ParseError(anomaly)
    return normalise_name(raw)


def from_labels(raw: bytes, anomaly: str) -> str:
    """A name in the wire format of RFC 1035 section 3.1, without compression. A partial name has
    no root label (RFC 4702 section 2.3.1, RFC 4704 section 4.2). Raises `ParseError` with
    `anomaly`."""
    reader = Reader(raw, anomaly)
    labels: list[bytes] = []
    while reader.remaining:
        label = reader.vector(1)
        if not label:
            break
        if len(label) > 63 or reader.pos > MAX_NAME:
            raise ParseError(anomaly)
        labels.append(label)
    return join_labels(labels)
