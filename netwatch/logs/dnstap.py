"""dnstap: the DNS messages that a name server itself sent and received, with their sides.

The container in files and over sockets is Frame Streams; a record is one frame, a ``Dnstap``
message of dnstap.proto (dnstap.info) in the wire format of Protocol Buffers ("Encoding",
protobuf.dev), in which the DNS message is in wire format. Messages of the types ``CLIENT``,
``AUTH``, ``STUB`` and ``TOOL`` come from the client at the query address. ``RESOLVER`` and
``FORWARDER`` messages are the server's own questions, on behalf of a client that they do not name.

A data frame is its length (4 bytes, big endian) and its payload. A length of 0 escapes to a control
frame: the length of the rest, a type, and fields (https://farsightsec.github.io/fstrm/ and
``fstrm/control.h``). In a file the frames are START, data, STOP. Over a socket the sender sends
READY, receives ACCEPT, sends START and data, and ends with STOP, which is answered with FINISH; a
sender that does not wait for answers begins with START.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol

from netwatch.core.errors import ParseError, RecordError
from netwatch.core.names import escape_bytes
from netwatch.core.verdict import Outcome
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    LogEntry,
    LogName,
    RecordReader,
    Sample,
)
from netwatch.logs.times import SECOND
from netwatch.protocols import dns

MAX_FILE_FRAME = 1 << 20
"""Bytes of a frame in a file, at most; a longer one is skipped."""

MAX_FRAME = 1 << 17
"""Bytes of a data frame, at most. A dnstap frame holds at most two DNS messages."""

MAX_CONTROL = 512
"""Bytes of a control frame (``FSTRM_CONTROL_FRAME_LENGTH_MAX``)."""

DNSTAP = b"protobuf:dnstap.Dnstap"
"""The content type of dnstap."""

ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
"""The types of control frames."""

_CONTENT_TYPE = 1
_HEAD = re.compile(rb"\0\0\0\0\0\0[\0-\2].\0\0\0[\1-\5]", 16)  # re.DOTALL


class Bytes(Protocol):
    """Where frames are read from."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        ...


def file_frames(source: Bytes) -> Iterator[bytes | None]:
    """The data frames, None for each that is too long. Raises `FrameError` if they end within a
    frame, or a control frame is invalid."""
    while head := source.read(4):
        size = _number(head)
        if size:
            yield _data_frame(source, size)
            continue
        size = _number(source.read(4))
        control = source.read(size) if size <= MAX_CONTROL else b""
        if size < 4 or len(control) < size:
            raise FrameError(f"a control frame of {size} bytes is not possible")
        if _number(control[:4]) == STOP:
            # Files that were concatenated continue with a START.
            continue


def _data_frame(source: Bytes, size: int) -> bytes | None:
    if size <= MAX_FILE_FRAME:
        frame = source.read(size)
        if len(frame) < size:
            raise FrameError("it ends within a frame")
        return frame
    while size > 0:
        got = source.read(min(size, MAX_FILE_FRAME))
        if not got:
            raise FrameError("it ends within a frame")
        size -= len(got)
    return None


def _number(octets: bytes) -> int:
    if len(octets) < 4:
        raise FrameError("it ends within the length of a frame")
    return int.from_bytes(octets)


class FrameError(Exception):
    """These bytes are not Frame Streams. The argument is the reason, as in a
    `netwatch.core.errors.RecordError`; for a file it is a sentence."""


class Frame(NamedTuple):
    """A frame that ends at `end`: data (`control` is None), or a control frame of a type with its
    content types."""

    end: int
    payload: bytes
    control: int | None = None
    content_types: tuple[bytes, ...] = ()


def is_frame_streams(head: bytes) -> bool:
    """Whether a file or a stream begins with a control frame."""
    return _HEAD.match(head) is not None


def frames(data: bytes, at: int = 0) -> Iterator[Frame]:
    """The complete frames from a position on. Raises `FrameError`."""
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size:
            if size > MAX_FRAME:
                raise FrameError("frame-too-long")
            end = at + 4 + size
            if end > len(data):
                return
            yield Frame(end, data[at + 4 : end])
        else:
            if at + 8 > len(data):
                return
            (size,) = struct.unpack_from(">I", data, at + 4)
            if not 4 <= size <= MAX_CONTROL:
                raise FrameError("control-frame-invalid")
            end = at + 8 + size
            if end > len(data):
                return
            yield _control(data[at + 8 : end], end)
        at = end


def control_frame(kind: int, content_type: bytes = b"") -> bytes:
    """A control frame of a type, with a content type if one is given."""
    fields = struct.pack(">II", _CONTENT_TYPE, len(content_type)) + content_type
    body = struct.pack(">I", kind) + (fields if content_type else b"")
    return struct.pack(">II", 0, len(body)) + body


def _control(body: bytes, end: int) -> Frame:
    (kind,) = struct.unpack_from(">I", body)
    content_types = []
    at = 4
    while at < len(body):
        if at + 8 > len(body):
            raise FrameError("control-frame-invalid")
        field, size = struct.unpack_from(">II", body, at)
        at += 8
        if field != _CONTENT_TYPE or size > len(body) - at:
            raise FrameError("control-frame-invalid")
        content_types.append(body[at : at + size])
        at += size
    if not ACCEPT <= kind <= FINISH:
        raise FrameError("control-frame-invalid")
    return Frame(end, b"", kind, tuple(content_types))


class Handshake:
    """The receiver's side of one connection: its answers to control frames, and whether data are
    accepted. Raises `FrameError` if a sender violates the order."""

    def __init__(self, content_type: bytes = DNSTAP) -> None:
        self._content_type = content_type
        self._state: Literal["new", "accepted", "started", "stopped"] = "new"
        self._is_bidirectional = False

    @property
    def is_started(self) -> bool:
        """Whether data frames may come."""
        return self._state == "started"

    @property
    def is_stopped(self) -> bool:
        """Whether the sender has ended the stream."""
        return self._state == "stopped"

    def take(self, frame: Frame) -> bytes:
        """Take the next frame; returns the answer, which may be empty."""
        if frame.control is None:
            if self._state != "started":
                raise FrameError("frame-unexpected")
            return b""
        step = (self._state, frame.control)
        if step == ("new", READY):
            self._require(frame, anyone_of=True)
            self._state, self._is_bidirectional = "accepted", True
            return control_frame(ACCEPT, self._content_type)
        if step in (("new", START), ("accepted", START)):
            self._require(frame, anyone_of=False)
            self._state = "started"
            return b""
        if step == ("started", STOP):
            self._state = "stopped"
            return control_frame(FINISH) if self._is_bidirectional else b""
        raise FrameError("frame-unexpected")

    def _require(self, frame: Frame, *, anyone_of: bool) -> None:
        """READY offers content types, START has the chosen one; without one it is any."""
        offered = frame.content_types
        chosen = self._content_type in offered if anyone_of else offered == (self._content_type,)
        if offered and not chosen:
            raise FrameError("content-type-other")


MAX_FIELDS = 64
"""Maximum number of fields of one message; dnstap has 15."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
"""What the first control frame of a stream states about its frames."""

_MESSAGE, _TYPE = 14, 15
_KIND, _PROTOCOL, _CLIENT, _SERVER, _CLIENT_PORT, _SERVER_PORT = 1, 3, 4, 5, 6, 7
_ASKED_AT, _ASKED_AT_NS, _QUERY, _ANSWERED_AT, _ANSWERED_AT_NS, _RESPONSE = 8, 9, 10, 12, 13, 14
_POLICY, _POLICY_RULE, _POLICY_ACTION = 15, 2, 3
_OF_SERVER = frozenset({3, 4, 7, 8})
"""RESOLVER_QUERY, RESOLVER_RESPONSE, FORWARDER_QUERY, FORWARDER_RESPONSE."""
_OF_CLIENT = frozenset({1, 2, 5, 6, 9, 10, 11, 12})
_TCP = frozenset({2, 3, 4, 6})  # TCP, DNS over TLS and HTTPS, DNSCrypt over TCP
_ACTIONS = {1: "NXDOMAIN", 2: "NODATA", 4: "DROP", 5: "TRUNCATE", 6: "LOCAL_DATA"}
_LATEST = (1 << 63) // SECOND


class Fields:
    """The fields of one message. Raises `RecordError` ``protobuf-invalid`` if the bytes are not
    valid: a field that ends beyond the message, a number of more than ten bytes, a group."""

    def __init__(self, data: bytes) -> None:
        self._numbers: dict[int, int] = {}
        self._bytes: dict[int, bytes] = {}
        at = 0
        for _ in range(MAX_FIELDS):
            if at == len(data):
                return
            at = self._field(data, at)
        if at != len(data):
            raise RecordError("protobuf-invalid")

    def number(self, field: int) -> int:
        """A number, 0 if there is none."""
        return self._numbers.get(field, 0)

    def octets(self, field: int) -> bytes:
        """Bytes, empty if there are none."""
        return self._bytes.get(field, b"")

    def _field(self, data: bytes, at: int) -> int:
        """Read the field at `at`, and return where it ends."""
        key, at = _varint(data, at)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            self._numbers[field], at = _varint(data, at)
            return at
        if kind == _BYTES:
            size, at = _varint(data, at)
        else:
            size = {_FIXED32: 4, _FIXED64: 8}.get(kind, len(data) + 1)
        end = at + size
        if end > len(data):
            raise RecordError("protobuf-invalid")
        if kind == _BYTES:
            self._bytes[field] = data[at:end]
        else:
            self._numbers[field] = int.from_bytes(data[at:end], "little")
        return end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for end in range(at, min(at + 10, len(data))):
        value |= (data[end] & 0x7F) << shift
        if data[end] < 0x80:
            return value, end + 1
        shift += 7
    raise RecordError("protobuf-invalid")


def recognise(sample: Sample) -> int:
    """The first control frame names the type of the content."""
    return max(len(sample.lines), 1) if CONTENT_TYPE in sample.head[:512] else 0


class DnstapReader(RecordReader):
    """Reads one stream of frames."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a frame (see `netwatch.logs.records.RecordReader`)."""
        outer = Fields(record)
        if outer.number(_TYPE) != 1:
            return ()  # MESSAGE is the only type defined
        return _message(Fields(outer.octets(_MESSAGE)))


def _message(message: Fields) -> Iterator[LogName]:
    kind = message.number(_KIND)
    if kind not in _OF_CLIENT and kind not in _OF_SERVER:
        return  # an update of a zone
    is_response = kind % 2 == 0
    payload = message.octets(_RESPONSE if is_response else _QUERY)
    if not payload:
        raise RecordError("dns-message-missing")
    try:
        parsed = dns.parse(payload)
    except ParseError as error:
        raise RecordError(error.anomaly) from None
    is_of_server = kind in _OF_SERVER
    transport: Literal["tcp", "udp"] = "tcp" if message.number(_PROTOCOL) in _TCP else "udp"
    action = _ACTIONS.get(Fields(message.octets(_POLICY)).number(_POLICY_ACTION), "")
    blocked: Outcome | None = "blocked" if action and is_response else None
    template = LogName(
        _time(message, is_response),
        9,
        "dns-query",
        "",
        NOWHERE if is_of_server else _endpoint(message, _CLIENT, _CLIENT_PORT),
        _endpoint(message, _SERVER, _SERVER_PORT),
        transport,
        dns=parsed.dns,
        outcome=blocked,
        blocked_by=_blocked_by(message, action) if blocked else "",
        lacks=("client",) if is_of_server else (),
    )
    for shown in parsed.names:
        yield replace(
            template,
            evidence=shown.evidence,
            name=shown.name,
            raw=shown.raw,
            asked=shown.asked,
        )


def _blocked_by(message: Fields, action: str) -> str:
    """What a response policy zone did, and its rule."""
    rule = Fields(message.octets(_POLICY)).octets(_POLICY_RULE)[:255]
    return f"{action} ({escape_bytes(rule)})" if rule else action


def _time(message: Fields, is_response: bool) -> int:
    """When the message was sent or received. A response may only have the time of its query."""
    for seconds, nanoseconds in (
        ((_ANSWERED_AT, _ANSWERED_AT_NS), (_ASKED_AT, _ASKED_AT_NS))
        if is_response
        else ((_ASKED_AT, _ASKED_AT_NS),)
    ):
        found = message.number(seconds)
        if found:
            if found >= _LATEST or message.number(nanoseconds) >= SECOND:
                raise RecordError("time-invalid")
            return found * SECOND + message.number(nanoseconds)
    raise RecordError("time-missing")


def _endpoint(message: Fields, address: int, port: int) -> Endpoint:
    """A side; some servers leave it out, and some only the other one."""
    packed = message.octets(address)
    number = message.number(port)
    if not packed:
        return Endpoint(None, number if number < 65536 else 0)
    if len(packed) not in (4, 16):
        raise RecordError("address-invalid")
    return Endpoint(packed, number if number < 65536 else 0)
