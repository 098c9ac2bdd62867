"""Syslog (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425).

Syslog has no acknowledgement: what a write over TCP took may still be lost with the
receiver. So a batch is a connection: behind the last message our side is closed, and
the receiver, when it has read everything, closes its own. Only that end counts as
delivered; a reset, or no end, does not. What it has read it may still lose with its
memory: where it is gone soon after, the last batch is sent once more. Over UDP nobody
can know; what the network answers (port unreachable) is listened for.
"""

import errno
import fcntl
import socket
import ssl
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields
from netwatch.sinks import syslog_message
from netwatch.sinks.base import Delivered, Item, Outcome, UnavailableError
from netwatch.sinks.fit import fit
from netwatch.sinks.secrets import Secret
from netwatch.sinks.settings import duration, flag, host_port, size
from netwatch.sinks.tls import Tls, plainly
from netwatch.sinks.tls import read as read_tls

PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
"""By transport, as registered (RFC 5426, RFC 3195 for want of another, RFC 5425)."""

MAX_DATAGRAM = 65507
"""Bytes of a UDP payload over IPv4."""

SUSPECT = 10.0
"""Seconds: a receiver that cannot be reached so soon after a batch may have lost that."""

# A receiver's buffer is some 200 KiB and drops in silence: after so many bytes in a burst
# it is given time, in s.
_BURST = 16384
_PAUSE = 0.01
_MOMENT = 0.3
_ANSWER = 65536


@dataclass(frozen=True, slots=True)
class SyslogSettings:
    """`transport` is a key of `PORTS`; `framing` is ``octet-counting`` or ``lf`` (RFC 6587
    section 3.4); `confirm`: a receiver has to close its side before a batch counts as
    delivered; `max_bytes` of a message with its header; `timeout` in s, for each step."""

    host: str
    port: int
    transport: str
    framing: str
    confirm: bool
    facility: int
    hostname: str
    max_bytes: int
    timeout: float
    tls: Tls | None

    def secrets(self) -> tuple[Secret, ...]:
        """None: a client proves itself by its certificate."""
        return ()

    def open(self) -> "SyslogSink":
        """The sink."""
        return SyslogSink(self)


def read(fields: Fields, base: Path) -> SyslogSettings:
    """The keys ``host``, ``transport``, ``framing``, ``confirm``, ``facility``,
    ``hostname``, ``max_bytes``, ``timeout`` and ``tls``."""
    transport = fields.choice("transport", PORTS, "udp", required=f"one of {', '.join(PORTS)}")
    host, port = host_port(fields, "host", PORTS[transport], "the receiver, as host:port")
    framing = fields.choice("framing", ("octet-counting", "lf"), "octet-counting")
    confirm = flag(fields, "confirm", True)
    for key in ("framing", "confirm"):
        if transport == "udp" and fields.has(key):
            fields.add_problem(key, f"'{key}' has no meaning with 'transport: udp'")
    facility = fields.choice("facility", syslog_message.FACILITIES, "local0")
    hostname = fields.text("hostname", socket.gethostname())
    most = size(fields, "max_bytes", 8192, least=480)
    if transport == "udp" and most > MAX_DATAGRAM:
        fields.add_problem(
            "max_bytes", f"'max_bytes' is above {MAX_DATAGRAM}, what a datagram holds"
        )
    timeout = duration(fields, "timeout", 10)
    tls = read_tls(fields, base)
    if tls and transport != "tls":
        fields.add_problem("tls", "'tls' needs 'transport: tls'")
    if transport == "tls":
        tls = tls or Tls()
    return SyslogSettings(
        host,
        port,
        transport,
        framing,
        confirm,
        syslog_message.FACILITIES[facility],
        hostname,
        most,
        timeout,
        tls,
    )


class SyslogSink:
    """Sends to one receiver; holds no connection between batches."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings
        self._last: tuple[float, list[bytes]] = (0.0, [])
        self._repeat: list[bytes] = []
        self.batch = 50 if settings.transport == "udp" else 500

    def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Send messages. Raises `UnavailableError` where the receiver cannot be reached, does
        not prove who it is, or does not say that it has read all."""
        messages, short = [], []
        for item in items:
            head = syslog_message.header(
                item.record, self._settings.facility, self._settings.hostname
            )
            body, cut = fit(item, max(1, self._settings.max_bytes - len(head)))
            messages.append(head + body)
            short.append(cut)
        try:
            with self._named():
                if self._settings.transport == "udp":
                    told = self._datagrams(messages)
                else:
                    told = self._stream([*self._repeat, *messages])
        except OSError as error:
            if time.monotonic() - self._last[0] < SUSPECT:
                self._repeat = self._last[1]
            raise UnavailableError(f"{self._where}: {plainly(error)}") from None
        self._last, self._repeat = (time.monotonic(), messages), []
        return [Delivered(told + (", shortened" if cut else "")) for cut in short]

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What says that the receiver is not who or where it should be, in plain words."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise UnavailableError(f"{self._where}: {plainly(error)}") from None
        except TimeoutError:
            told = f"{self._where}: no answer within {self._settings.timeout:g} s"
            raise UnavailableError(told) from None

    def _datagrams(self, messages: Sequence[bytes]) -> str:
        settings = self._settings
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_DGRAM
        )
        with socket.socket(family, kind, protocol) as out:
            out.settimeout(_PAUSE)
            out.connect(address)
            burst = 0
            for number, message in enumerate(messages, 1):
                out.send(message)
                burst += len(message)
                if burst > _BURST or number == len(messages):
                    # An ICMP error for one of these shows as an error of the socket.
                    with suppress(TimeoutError):
                        out.recv(_ANSWER)
                    burst = 0
        return "sent by UDP, which has no answer"

    def _stream(self, messages: Sequence[bytes]) -> str:
        data = b"".join(framed(message, self._settings.framing) for message in messages)
        with self._connected() as out:
            out.sendall(data)
            if isinstance(out, ssl.SSLSocket):
                if self._settings.confirm:
                    self._end_tls(out)
                else:
                    with suppress(OSError):
                        out.unwrap()
            elif self._settings.confirm:
                out.shutdown(socket.SHUT_WR)
                self._read_end(out)
        return "read to the end and closed by the receiver" if self._settings.confirm else "written"

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        settings = self._settings
        with socket.create_connection((settings.host, settings.port), settings.timeout) as plain:
            if settings.tls is None:
                yield plain
                return
            try:
                context = settings.tls.context()
            except NetwatchError as error:
                raise UnavailableError(str(error)) from None
            name = settings.tls.server_name or settings.host
            with context.wrap_socket(plain, server_hostname=name) as secure:
                yield secure

    def reach(self) -> str:
        """Resolve the name and, but for UDP, connect: with TLS both sides prove who they are.
        A server that refuses our certificate says so with its first answer alone (TLS 1.3),
        so that is waited for a moment."""
        settings = self._settings
        try:
            if settings.transport == "udp":
                socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM)
                return f"{self._where}: the name is known; over UDP nobody answers"
            with self._named(), self._connected() as out:
                if not isinstance(out, ssl.SSLSocket):
                    return f"{self._where} takes connections"
                out.settimeout(_MOMENT)
                with suppress(TimeoutError):
                    out.recv(1)
                return f"{self._where} takes connections, {out.version()}"
        except OSError as error:
            raise UnavailableError(f"{self._where}: {plainly(error)}") from None

    def _end_tls(self, secure: ssl.SSLSocket) -> None:
        """Send close_notify (RFC 5425 section 4.4) and wait for the receiver's end, which
        comes without one from most."""
        with suppress(ssl.SSLEOFError):
            secure.unwrap()
        # From here on the bytes are TCP's own.
        with suppress(OSError):
            secure.shutdown(socket.SHUT_WR)
        self._read_end(secure)

    def _read_end(self, out: socket.socket) -> None:
        """Wait for its end. That may have come before it had read ours: then what we sent was
        answered by a reset, which shows in the socket's error alone, and maybe later."""
        deadline = time.monotonic() + self._settings.timeout
        try:
            while out.recv(_ANSWER):
                pass
            while _unacknowledged(out) and time.monotonic() < deadline:
                time.sleep(_PAUSE)
        except TimeoutError:
            if not _unacknowledged(out):
                told = f"did not close within {self._settings.timeout:g} s after it had all"
                raise UnavailableError(f"{self._where}: {told}, see 'confirm'") from None
            raise
        error = out.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error or _unacknowledged(out):
            raise ConnectionResetError(errno.ECONNRESET, "closed before it had read everything")

    def rest(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


def _unacknowledged(out: socket.socket) -> int:
    """Bytes that the receiver's system has not acknowledged, where ours tells that."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(out.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0


def framed(message: bytes, framing: str) -> bytes:
    """A message as it stands in a stream (RFC 6587 section 3.4)."""
    if framing == "lf":
        return message.replace(b"\n", b" ") + b"\n"
    return b"%d %b" % (len(message), message)
