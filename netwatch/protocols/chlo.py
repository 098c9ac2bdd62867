"""CHLO: the client hello of QUIC Crypto, which Google QUIC up to Q050 used instead of TLS.

A message of QUIC Crypto is a table of tags with values ("QUIC Crypto", Langley and Chang, 2016,
section "Handshake messages"): the tag of the message, the number of entries in two bytes and two
bytes of padding, then for each entry its tag and the offset of the end of its value, and then the
values. Numbers are little-endian in every version. The value of the tag ``SNI`` is the name of the
server.
"""

import struct

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, QuicInfo, ShownName
from netwatch.core.names import normalise_name, raw_name
from netwatch.protocols.tls import MAX_HELLO

MAX_ENTRIES = 128
"""Maximum number of entries of a table, the same as in Chromium."""

LONGEST = 255
"""The longest server name that is accepted, in bytes."""

TAG = b"CHLO"
"""The first bytes of a client hello."""

_HEAD = 8
_ENTRY = struct.Struct("<4sI")


def chlo(
    data: bytes, last: bool, size: int, quic: QuicInfo, anomalies: tuple[str, ...] = ()
) -> Message:
    """Parse the CHLO at the start of `data` as a message of `size` bytes.

    It shows ``quic-sni`` for the value of ``SNI``, if there is one. Raises `Incomplete` while
    values are missing. With `last`, a truncated hello with a complete name is returned with the
    anomaly ``gquic-hello-cut``; without a complete name, that is a `ParseError`. Other errors:
    ``gquic-not-a-client-hello``, ``gquic-tag-table`` (too many entries, or end offsets that
    decrease or exceed 64 KiB).
    """
    if data[:4] != TAG[: len(data)]:
        raise ParseError("gquic-not-a-client-hello")
    names, end = _names(data)
    if len(data) < end:
        if not last:
            raise Incomplete(end)
        if not names:
            raise ParseError("gquic-hello-cut")
        anomalies = (*anomalies, "gquic-hello-cut")
    if len(names) > 1:
        anomalies = (*anomalies, "gquic-many-server-names")
    shown = tuple([ShownName("quic-sni", name, False, raw) for name, raw in names.items()])
    return Message(shown, size, quic=quic, anomalies=anomalies)


def _names(data: bytes) -> tuple[dict[str, str], int]:
    """The complete names, each as spelled in the packet if the spelling differs, and the offset of
    the end of the message as far as it is known."""
    if len(data) < _HEAD:
        return {}, _HEAD
    entries = int.from_bytes(data[4:6], "little")
    if entries > MAX_ENTRIES:
        raise ParseError("gquic-tag-table")
    values = _HEAD + _ENTRY.size * entries
    names: dict[str, str] = {}
    start = end = values
    for tag, offset in _ENTRY.iter_unpack(data[_HEAD : min(values, _end_of_last_entry(len(data)))]):
        start, end = end, values + offset
        if not start <= end <= MAX_HELLO:
            raise ParseError("gquic-tag-table")
        if tag == b"SNI\0" and start < end <= len(data) and end - start <= LONGEST:
            name = normalise_name(data[start:end])
            if name and name not in names:
                names[name] = raw_name(data[start:end], name)
    return names, end


def _end_of_last_entry(size: int) -> int:
    """The offset of the end of the last entry that is complete within `size` bytes."""
    return size - (size - _HEAD) % _ENTRY.size
