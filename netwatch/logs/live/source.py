"""Where logs come from that are written or sent now: what every source yields, and the table of
receivers, whose addresses a user writes in place of the path of a log.

A source yields batches of records with their numbers: a followed file those that were appended, a
receiver those of one sender. A new receiver is a module with its `Frames`, which divide what one
connection sends, and a row of `SCHEMES`. Nothing here has a socket.

Flow records come as datagrams of NetFlow and IPFIX (``udp://ADDRESS:PORT``), and as IPFIX over TCP
and TLS (``tcp://``, ``tls://``; RFC 7011 section 10.4). The other addresses are
``syslog+udp://ADDRESS:PORT``, ``syslog+tcp://ADDRESS:PORT``,
``syslog+tls://ADDRESS:PORT?cert=FILE&key=FILE`` and ``dnstap+unix:///PATH``. Without an address it
is that of loopback: to be reached from elsewhere is a decision.

A stream of syslog messages over TCP or TLS is divided by RFC 6587 and RFC 5425. With *octet
counting* each message begins with its length and a space, else each ends with a line feed
(*non-transparent framing*). Which of the two a sender uses is seen at its first byte: no message
begins with a digit from 1 to 9, digits and a space unless it is counted. A message that is longer
than the limit is skipped, however long it is.
"""

import grp
import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.logs.dnstap import FrameError, Handshake, frames
from netwatch.logs.ipfix import HEAD as IPFIX_HEAD
from netwatch.logs.ipfix import VERSION as IPFIX_VERSION

SYSLOG_PORT = 514
"""The port of syslog over UDP (RFC 5426) and, by convention, over TCP."""

SYSLOG_TLS_PORT = 6514
"""The port of syslog over TLS (RFC 5425)."""

NETFLOW_PORT = 2055
"""The port of NetFlow by convention."""

IPFIX_PORT = 4739
"""The port of IPFIX (RFC 7011 section 10)."""

IPFIX_TLS_PORT = 4740
"""The port of IPFIX over TLS."""

SOCKET_MODE = 0o600
"""Permissions of a Unix socket: who may write to it decides what is reported of whom."""

FLOW_RECORDS = "ipfix"
"""The format of what exporters send, whom the configuration names."""

MAX_MESSAGE = 1 << 17
"""Bytes of a message. RFC 5425 asks for 8192; records of Suricata are longer."""

_COUNT = re.compile(rb"([1-9][0-9]{0,8}) ")
_MAX_COUNT_DIGITS = 10


UNIX = "unix"
"""In place of the address of who sends to a Unix socket."""


class Batch(NamedTuple):
    """Records that came at a time, the first of which has the number `first` in its file, or among
    those of its receiver. `unread` are reasons, one for each that could not be read, and `nul_runs`
    counts the runs of NUL bytes that were skipped. `receiver` and `sender` are the address where
    they were received and that of who sent them (`UNIX` for a Unix socket), None and empty for
    those of a file. `numbers` are those of the records where they do not follow each other."""

    first: int
    records: Sequence[bytes]
    unread: Sequence[str] = ()
    nul_runs: int = 0
    receiver: "ReceiverAddress | None" = None
    sender: str = ""
    numbers: Sequence[int] | None = None

    def numbered(self) -> Iterable[tuple[int, bytes]]:
        """The records with their numbers."""
        if self.numbers is not None:
            return zip(self.numbers, self.records, strict=True)
        return enumerate(self.records, self.first)


class Frames:
    """Divides what one connection sends. `too_long` counts records that were skipped; `has_begun`
    says whether the other side has sent what only a sender of this kind sends. `failure` is the
    reason why nothing more can be read, a constant of a few words in the form ``frame-too-long``,
    empty while it can."""

    def __init__(self) -> None:
        self.too_long = 0
        self.has_begun = False
        self.failure = ""

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The records that are complete with more bytes, and the answer."""
        raise NotImplementedError

    def end(self) -> list[bytes]:
        """What is left: the sender has closed the connection. An incomplete frame is no record."""
        return []


class SyslogFrames(Frames):
    """Divides a stream of syslog messages; nothing is ever answered."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()
        self._is_counted: bool | None = None
        self._skip = 0
        self._skipping_line = False

    @property
    def waiting(self) -> int:
        """Bytes of an incomplete message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The messages that are complete with more bytes."""
        self._buffer += data
        if self._is_counted is None:
            self._find_framing()
            if self._is_counted is None:
                return [], b""
        messages = self._counted() if self._is_counted else self._lines()
        self.has_begun = self.has_begun or bool(messages)
        return messages, b""

    def end(self) -> list[bytes]:
        """A last line without an end: the sender has closed the stream."""
        data, self._buffer = bytes(self._buffer), bytearray()
        if self._is_counted or self._skipping_line:
            return []
        line = data.rstrip(b"\r\n\0")
        return [line] if line else []

    def _find_framing(self) -> None:
        if _COUNT.match(self._buffer):
            self._is_counted = True
        elif len(self._buffer) > _MAX_COUNT_DIGITS or not self._buffer.isdigit():
            self._is_counted = False

    def _counted(self) -> list[bytes]:
        messages = []
        at = 0
        while at < len(self._buffer):
            if self._skip:
                skipped = min(self._skip, len(self._buffer) - at)
                self._skip -= skipped
                at += skipped
                continue
            found = _COUNT.match(self._buffer, at)
            if found is None:
                rest = self._buffer[at : at + _MAX_COUNT_DIGITS]
                if len(rest) == _MAX_COUNT_DIGITS or not rest.isdigit():
                    self.failure = "frame-length-invalid"
                break
            size = int(found[1])
            if size > MAX_MESSAGE:
                self.too_long += 1
                self._skip = size
                at = found.end()
                continue
            if found.end() + size > len(self._buffer):
                break
            at = found.end() + size
            messages.append(bytes(self._buffer[found.end() : at]).rstrip(b"\r\n\0"))
        del self._buffer[:at]
        return messages

    def _lines(self) -> list[bytes]:
        end = self._buffer.rfind(b"\n")
        if end < 0:
            if len(self._buffer) > MAX_MESSAGE:
                self.too_long += not self._skipping_line
                self._skipping_line = True
                self._buffer.clear()
            return []
        lines = bytes(self._buffer[:end]).split(b"\n")
        del self._buffer[: end + 1]
        if self._skipping_line:
            self._skipping_line = False
            del lines[0]
        kept = []
        for line in lines:
            if len(line) > MAX_MESSAGE:
                self.too_long += 1
            elif line := line.rstrip(b"\r\0"):
                kept.append(line)
        return kept


class DnstapFrames(Frames):
    """Divides dnstap, which comes in Frame Streams."""

    def __init__(self) -> None:
        super().__init__()
        self._handshake = Handshake()
        self._buffer = b""

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The payloads of data frames, and the answers to control frames."""
        self._buffer += data
        records: list[bytes] = []
        answer = b""
        end = 0
        try:
            for frame in frames(self._buffer):
                answer += self._handshake.take(frame)
                end = frame.end
                if frame.control is None:
                    records.append(frame.payload)
        except FrameError as error:
            self.failure = str(error)
        self._buffer = self._buffer[end:]
        self.has_begun = self._handshake.is_started
        return records, answer


class IpfixFrames(Frames):
    """Divides a stream of IPFIX messages, each of which has its length in its head."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The messages that are complete with more bytes."""
        self._buffer += data
        messages = []
        at = 0
        while len(self._buffer) - at >= IPFIX_HEAD:
            length = int.from_bytes(self._buffer[at + 2 : at + 4])
            if self._buffer[at : at + 2] != IPFIX_VERSION or length < IPFIX_HEAD:
                self.failure = "flow-version"
                break
            if at + length > len(self._buffer):
                break
            messages.append(bytes(self._buffer[at : at + length]))
            at += length
        del self._buffer[:at]
        self.has_begun = self.has_begun or bool(messages)
        return messages, b""

    def end(self) -> list[bytes]:
        """What is left is the beginning of a message."""
        if self._buffer:
            self.failure = "flow-message-cut"
        return []


class Scheme(NamedTuple):
    """A kind of receiver: the port that it has by default, 0 for a Unix socket; what divides a
    connection, None where each datagram is a record; its options; the only format that it brings,
    whose records nothing carries; and whether connections are encrypted."""

    port: int
    frames: Callable[[], Frames] | None
    options: tuple[str, ...] = ("from",)
    format: str | None = None
    is_tls: bool = False


SCHEMES = {
    "syslog+udp": Scheme(SYSLOG_PORT, None),
    "syslog+tcp": Scheme(SYSLOG_PORT, SyslogFrames),
    "syslog+tls": Scheme(SYSLOG_TLS_PORT, SyslogFrames, ("from", "cert", "key"), is_tls=True),
    "udp": Scheme(NETFLOW_PORT, None, (), FLOW_RECORDS),
    "tcp": Scheme(IPFIX_PORT, IpfixFrames, (), FLOW_RECORDS),
    "tls": Scheme(IPFIX_TLS_PORT, IpfixFrames, ("cert", "key"), FLOW_RECORDS, is_tls=True),
    "dnstap+unix": Scheme(0, DnstapFrames, ("mode", "group"), "dnstap"),
}
"""The receivers by the schemes of their addresses."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class ReceiverAddress:
    """Where a receiver listens. `text` is what the user wrote, without the options, which may name
    the file of a key: alerts have it as the source of a record. An IP socket has `host` and `port`,
    a Unix socket `path`, `mode` and `group` (None for the group of the process). If `senders` is
    not empty, only these may send."""

    text: str
    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""
    mode: int = SOCKET_MODE
    group: int | None = None
    certificate: str = ""
    key: str = ""
    senders: tuple[Network, ...] = ()

    def accepts(self, sender: str) -> bool:
        """Whether records of a sender at this address are taken."""
        if not self.senders:
            return True
        address = ipaddress.ip_address(sender.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.senders)


def is_receiver(text: str) -> bool:
    """Whether this is the address of a receiver and not a path."""
    return "://" in text


def parse(text: str) -> ReceiverAddress:
    """The address that a user wrote. Raises `NetwatchError`, which says what is expected."""
    name, _, _ = text.partition("://")
    scheme = SCHEMES.get(name)
    if scheme is None:
        raise NetwatchError(f"{text}: expected a path, or {', '.join(SCHEMES)} and an address")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError as error:
        raise NetwatchError(f"{text}: {error}") from None
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    for option in options:
        if option not in scheme.options:
            expected = f", expected {', '.join(scheme.options)}" if scheme.options else ""
            if option == "from" and scheme.format == FLOW_RECORDS:
                expected = "; 'exporters' in netwatch.yaml says whose flow records are taken"
            raise NetwatchError(f"{text}: there is no option {option!r}{expected}")
    if not scheme.port:
        return _unix(text, scheme, url.netloc + url.path, options)
    if url.path.strip("/") or url.username is not None:
        raise NetwatchError(f"{text}: expected {name}://ADDRESS:PORT")
    try:
        host = str(ipaddress.ip_address(host or "127.0.0.1"))
    except ValueError:
        raise NetwatchError(f"{text}: {host!r} is no IP address") from None
    if scheme.is_tls and not options.get("cert"):
        raise NetwatchError(f"{text}: expected ?cert=FILE&key=FILE behind the port")
    try:
        senders = [
            ipaddress.ip_network(each) for each in options.get("from", "").split(",") if each
        ]
    except ValueError as error:
        raise NetwatchError(f"{text}: {error}") from None
    return ReceiverAddress(
        text.partition("?")[0],
        scheme,
        host,
        scheme.port if port is None else port,
        certificate=options.get("cert", ""),
        key=options.get("key", options.get("cert", "")),
        senders=tuple(senders),
    )


def _unix(text: str, scheme: Scheme, path: str, options: dict[str, str]) -> ReceiverAddress:
    if not path.startswith("/"):
        raise NetwatchError(f"{text}: expected dnstap+unix:///PATH")
    mode, group = SOCKET_MODE, None
    if "mode" in options:
        if options["mode"] not in ("600", "0600", "660", "0660"):
            raise NetwatchError(f"{text}: expected mode=600 or mode=660")
        mode = int(options["mode"], 8)
    if "group" in options:
        try:
            group = grp.getgrnam(options["group"]).gr_gid
        except KeyError:
            reason = f"there is no group {options['group']!r} on this machine"
            raise NetwatchError(f"{text}: {reason}") from None
    return ReceiverAddress(text.partition("?")[0], scheme, path=path, mode=mode, group=group)
