# cython: language_level=3
"""DNS messages: the names that are looked up, and their aliases and addresses.

All are read by `netwatch.dissect.loop.dns_messages`. Most are read in the packet loop; this module
is for single messages: in streams, in logs, and those that the loop leaves. A truncated message
yields everything before the truncation, with an anomaly.
"""

import struct
import threading

from netwatch.core.buffers import array
from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message
from netwatch.core.observation_batch import ObservationBatch
from netwatch.dissect.loop.cursor import Cursor
from netwatch.dissect.loop.dns_messages import DnsMessages
from netwatch.dissect.loop.dns_names import HOST_NAME_BYTES, MAX_NAME
from netwatch.dissect.loop.observation_rows import ObservationRows

_readers = threading.local()


def _reader() -> DnsMessages:
    """The reader of this thread."""
    reader: DnsMessages | None = getattr(_readers, "messages", None)
    if reader is None:
        rows = ObservationRows(Cursor(), ObservationBatch(), False, False)
        reader = _readers.messages = DnsMessages(rows, array("q", [0]))
    return reader


def parse(payload: bytes) -> Message:
    """Parse one DNS message, the payload of a UDP datagram.

    A query shows ``dns-query`` for each queried name. A response shows ``dns-answer`` for each,
    whatever the response code, and ``dns-cname`` for each alias target (CNAME, and SVCB and HTTPS
    of RFC 9460 in alias mode) that the names lead to in the answer section. The addresses belong to
    these names and to the hosts that provide their services, including the hints in SVCB and HTTPS
    records; the ECH configurations belong to these names in such records. If a response has no
    question but aliases or services, its question is assumed to be the owner of the first record.
    If it has none of these (mDNS), it shows no names, and the addresses are from all records. The
    root shows nothing, nor do messages with an opcode other than QUERY (``dns-opcode-5``): a zone
    update is not a lookup.

    Anomalies: ``dns-truncated`` (the TC bit of a response), ``dns-cut``, and whatever ended the
    parsing after the first question. Raises `ParseError` if the first question cannot be read:
    ``dns-cut``, ``dns-label-type``, ``dns-label-loop``, ``dns-name-length``.
    """
    return _reader().read_alone(payload, len(payload), False)


def announced(payload: bytes) -> tuple[list[tuple[str, bytes]], bool]:
    """See `DnsMessages.announced`."""
    return _reader().announced(payload)


def begins_stream(data: bytes) -> bool:
    """Whether these bytes look like the start of a TCP stream of DNS messages: the length of a
    message that has one question of class IN, with a name of letters, digits, ``-`` and ``_``. As
    much of the question is checked as there is."""
    if len(data) < 19 or (data[0] << 8 | data[1]) < 17:
        return False
    flags, questions, answers, authorities = struct.unpack_from(">4H", data, 4)
    if questions != 1 or flags & 0x7840 or flags & 0xF > 10:
        return False
    if not flags & 0x8000 and (answers or authorities):
        return False
    pos = 14
    while pos < len(data) and data[pos]:
        size = data[pos]
        label = data[pos + 1 : pos + 1 + size]
        if size > 63 or label.lower().translate(None, HOST_NAME_BYTES) or pos > 14 + MAX_NAME:
            return False
        pos += 1 + size
    # Type and class follow the root label, or are not there yet.
    return pos > 14 and data[pos + 3 : pos + 5] in (b"\0\1", b"\x80\1", b"\0", b"\x80", b"")


def parse_stream(data: bytes, last: bool = False) -> Message:
    """Parse the DNS message at the start of a TCP stream, after its length (RFC 1035 section
    4.2.2).

    `size` of the result includes the two bytes of the length. Raises `Incomplete` while the message
    is not complete; with `last`, its beginning is parsed, with the anomaly ``dns-cut``. Raises
    `ParseError` as `parse` does, and ``dns-tcp-length`` if the length is less than a header's.
    """
    size = 14
    if len(data) >= 2:
        size = 2 + (data[0] << 8 | data[1])
        if size < 14:
            raise ParseError("dns-tcp-length")
    if len(data) >= size:
        return _reader().read_alone(data[2:size], size, False)
    if last:
        return _reader().read_alone(data[2:], len(data), True)
    raise Incomplete(size)
