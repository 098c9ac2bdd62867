"""Where a receiver listens, as a user writes it in place of the path of a log; what one connection
to it sends, as records, and what it is answered. Nothing here has a socket.

A stream of syslog messages over TCP or TLS is divided by RFC 6587 and RFC 5425. With *octet
counting* each message begins with its length and a space, else each ends with a line feed
(*non-transparent framing*). Which of the two a sender uses is seen at its first byte: no message
begins with a digit from 1 to 9, digits and a space unless it is counted. A message that is longer
than the limit is skipped, however long it is.

Addresses are ``syslog+udp://ADDRESS:PORT``, ``syslog+tcp://ADDRESS:PORT``,
``syslog+tls://ADDRESS:PORT?cert=FILE&key=FILE`` and ``dnstap+unix:///PATH``. Without an address it
is that of loopback: to be reached from elsewhere is a decision.
"""

import grp
import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, Protocol, get_args
from urllib.parse import parse_qsl, urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.logs.dnstap import FrameError, Handshake, frames

SYSLOG_PORT = 514
"""The port of syslog over UDP (RFC 5426) and, by convention, over TCP."""

SYSLOG_TLS_PORT = 6514
"""The port of syslog over TLS (RFC 5425)."""

SOCKET_MODE = 0o600
"""Permissions of a Unix socket: who may write to it decides what is reported of whom."""

Scheme = Literal["syslog+udp", "syslog+tcp", "syslog+tls", "dnstap+unix"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

_OPTIONS: dict[Scheme, tuple[str, ...]] = {
    "syslog+udp": ("from",),
    "syslog+tcp": ("from",),
    "syslog+tls": ("from", "cert", "key"),
    "dnstap+unix": ("mode", "group"),
}


@dataclass(frozen=True, slots=True)
class ReceiverAddress:
    """Where a receiver listens. `text` is what the user wrote. `host` and `port` are those of an IP
    socket, `path`, `mode` and `group` those of a Unix socket (`group` None for that of the
    process). Senders are accepted from `senders` only, from everywhere where there are none."""

    text: str
    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""
    mode: int = SOCKET_MODE
    group: int | None = None
    certificate: str = ""
    key: str = ""
    senders: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

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
    scheme, _, _ = text.partition("://")
    known = next((known for known in SCHEMES if known == scheme), None)
    if known is None:
        raise NetwatchError(f"{text}: expected a path, or {', '.join(SCHEMES)} and an address")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError as error:
        raise NetwatchError(f"{text}: {error}") from None
    options = _options(text, known, url.query)
    if known == "dnstap+unix":
        return _unix(text, url.netloc + url.path, options)
    if url.path.strip("/") or url.username is not None:
        raise NetwatchError(f"{text}: expected {known}://ADDRESS:PORT")
    try:
        host = str(ipaddress.ip_address(host or "127.0.0.1"))
    except ValueError:
        raise NetwatchError(f"{text}: {host!r} is no IP address") from None
    if known == "syslog+tls" and not options.get("cert"):
        raise NetwatchError(f"{text}: expected ?cert=FILE&key=FILE behind the port")
    default = SYSLOG_TLS_PORT if known == "syslog+tls" else SYSLOG_PORT
    return ReceiverAddress(
        text,
        known,
        host,
        default if port is None else port,
        certificate=options.get("cert", ""),
        key=options.get("key", options.get("cert", "")),
        senders=_senders(text, options.get("from", "")),
    )


def _options(text: str, scheme: Scheme, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS[scheme]:
            expected = ", ".join(_OPTIONS[scheme])
            raise NetwatchError(f"{text}: there is no option {name!r}, expected {expected}")
    return options


def _unix(text: str, path: str, options: dict[str, str]) -> ReceiverAddress:
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
    return ReceiverAddress(text, "dnstap+unix", path=path, mode=mode, group=group)


def _senders(text: str, given: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in given.split(",") if part)
    except ValueError as error:
        raise NetwatchError(f"{text}: {error}") from None


MAX_MESSAGE = 1 << 17
"""Bytes of a message. RFC 5425 asks for 8192; records of Suricata are longer."""

_COUNT = re.compile(rb"([1-9][0-9]{0,8}) ")
_MAX_COUNT_DIGITS = 10


class SyslogFrames:
    """Divides one stream. `too_long` counts messages that were skipped. `failure` is the reason why
    the stream cannot be divided any further, empty while it can."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_counted: bool | None = None
        self._skip = 0
        self._skipping_line = False
        self.too_long = 0
        self.failure = ""

    @property
    def waiting(self) -> int:
        """Bytes of an incomplete message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with more bytes."""
        self._buffer += data
        if self._is_counted is None:
            self._find_framing()
            if self._is_counted is None:
                return []
        return self._counted() if self._is_counted else self._lines()

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


class Sender(Protocol):
    """One connection. `too_long` counts records that were skipped; `has_begun` says whether the
    other side has sent what only a sender of this kind sends. `failure` is the reason why nothing
    more can be read, a constant of a few words in the form ``frame-too-long``, empty while it
    can."""

    @property
    def too_long(self) -> int: ...  # noqa: D102

    @property
    def has_begun(self) -> bool: ...  # noqa: D102

    @property
    def failure(self) -> str: ...  # noqa: D102

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The records that are complete with more bytes, and the answer."""
        ...

    def end(self) -> list[bytes]:
        """What is left: the sender has closed the connection."""
        ...


class SyslogSender:
    """A connection over which syslog messages come."""

    def __init__(self) -> None:
        self._frames = SyslogFrames()
        self.has_begun = False

    @property
    def too_long(self) -> int:
        """Messages that were skipped."""
        return self._frames.too_long

    @property
    def failure(self) -> str:
        """Why the stream cannot be divided."""
        return self._frames.failure

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The messages that are complete; nothing is ever answered."""
        records = self._frames.feed(data)
        self.has_begun = self.has_begun or bool(records)
        return records, b""

    def end(self) -> list[bytes]:
        """A last line without an end."""
        return self._frames.end()


class DnstapSender:
    """A connection over which dnstap comes in Frame Streams."""

    def __init__(self) -> None:
        self._handshake = Handshake()
        self._buffer = b""
        self.too_long = 0
        self.failure = ""

    @property
    def has_begun(self) -> bool:
        """Whether the stream has been started."""
        return self._handshake.is_started

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
        return records, answer

    def end(self) -> list[bytes]:
        """An incomplete frame is no record."""
        return []
