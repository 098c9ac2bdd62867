"""CHLO: the client's hello of Google's own QUIC crypto, before QUIC took TLS.

A message of that crypto is a table of tags with their values ("QUIC Crypto", Langley and
Chang, 2016, section "Handshake messages"): the message's tag, the number of entries in
two bytes and two of padding, then for each entry its tag and the offset at which its
value ends, and then the values. Numbers are little-endian in every version. Google QUIC
up to Q050 speaks it; the server's name stands under the tag ``SNI``.
"""

import struct

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, QuicInfo, ShownName
from netwatch.core.names import normalise_name
from netwatch.protocols.client_hello import MAX_HELLO, MAX_NAME

MAX_ENTRIES = 128
"""Entries of a table that are read, as many as Chromium takes."""

TAG = b"CHLO"
"""What a client's hello starts with."""

_HEAD = 8
_ENTRY = struct.Struct("<4sI")


def chlo(
    data: bytes, last: bool, size: int, quic: QuicInfo, anomalies: tuple[str, ...] = ()
) -> Message:
    """The CHLO at the start of `data` as a message of `size` bytes.

    Shows ``quic-sni`` for the value of ``SNI``; a hello without shows nothing. Raises
    `Incomplete` while values are missing. With `last` a hello that breaks off is given,
    with the anomaly ``gquic-hello-cut``, if its name is wholly there, and else that is a
    `ParseError`, as are ``gquic-not-a-client-hello`` and ``gquic-tag-table`` (too many
    entries, or ends that do not rise, or that lead beyond 64 KiB).
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
    shown = tuple([ShownName("quic-sni", name) for name in names])
    return Message(shown, size, quic=quic, anomalies=anomalies)


def _names(data: bytes) -> tuple[list[str], int]:
    """The names that are wholly there, and where the message ends as far as it is known."""
    if len(data) < _HEAD:
        return [], _HEAD
    entries = int.from_bytes(data[4:6], "little")
    if entries > MAX_ENTRIES:
        raise ParseError("gquic-tag-table")
    values = _HEAD + _ENTRY.size * entries
    names: list[str] = []
    start = end = values
    for tag, offset in _ENTRY.iter_unpack(data[_HEAD : min(values, _whole(len(data)))]):
        start, end = end, values + offset
        if not start <= end <= MAX_HELLO:
            raise ParseError("gquic-tag-table")
        if tag == b"SNI\0" and start < end <= len(data) and end - start <= MAX_NAME:
            name = normalise_name(data[start:end])
            if name and name not in names:
                names.append(name)
    return names, end


def _whole(size: int) -> int:
    """Where the last entry ends that is wholly within `size` bytes."""
    return size - (size - _HEAD) % _ENTRY.size
