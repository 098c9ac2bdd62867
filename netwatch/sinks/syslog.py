"""Syslog (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425).

Syslog has no acknowledgement: what a write over TCP took may still be lost with the
receiver. So a batch is a connection: behind the last message our side is closed, and
the receiver, when it has read everything, closes its own. Only that end counts as
delivered; a reset, or no end, does not. Over UDP nobody can know; what the network
answers (port unreachable) is listened for.
"""

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netwatch.errors import NetwatchError
from netwatch.sinks import syslog_message
from netwatch.sinks.base import Delivered, Item, Outcome, UnavailableError
from netwatch.sinks.fit import fit
from netwatch.sinks.secrets import Secret
from netwatch.sinks.settings import duration, flag, host_port, size
from netwatch.sinks.tls import Tls
from netwatch.sinks.tls import read as read_tls
from netwatch.userfile import Fields

PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
"""By transport, as registered (RFC 5426, RFC 3195 for want of another, RFC 5425)."""

MAX_DATAGRAM = 65507
"""Bytes of a UDP payload over IPv4."""

_UDP_BATCH = 50
_UDP_LISTEN = 0.05
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
            fields.bad(key, f"'{key}' has no meaning with 'transport: udp'")
    facility = fields.choice("facility", syslog_message.FACILITIES, "local0")
    hostname = fields.text("hostname", socket.gethostname())
    most = size(fields, "max_bytes", 8192, least=480)
    if transport == "udp" and most > MAX_DATAGRAM:
        fields.bad("max_bytes", f"'max_bytes' is above {MAX_DATAGRAM}, what a datagram holds")
    timeout = duration(fields, "timeout", 10)
    tls = read_tls(fields, base)
    if tls and transport != "tls":
        fields.bad("tls", "'tls' needs 'transport: tls'")
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
        self.batch = _UDP_BATCH if settings.transport == "udp" else 500

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
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            if self._settings.transport == "udp":
                told = self._datagrams(messages)
            else:
                told = self._stream(messages)
        except ssl.SSLCertVerificationError as error:
            told = f"{where}: its certificate is refused: {error.verify_message}"
            raise UnavailableError(told) from None
        except TimeoutError:
            told = f"{where}: no answer within {self._settings.timeout:g} s"
            raise UnavailableError(told) from None
        except OSError as error:
            raise UnavailableError(f"{where}: {error.strerror or error}") from None
        return [Delivered(told + (", shortened" if cut else "")) for cut in short]

    def _datagrams(self, messages: Sequence[bytes]) -> str:
        settings = self._settings
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_DGRAM
        )
        with socket.socket(family, kind, protocol) as out:
            out.settimeout(_UDP_LISTEN)
            out.connect(address)
            for message in messages:
                out.send(message)
            # An ICMP error for one of these shows as an error of the socket.
            with suppress(TimeoutError):
                out.recv(_ANSWER)
        return "sent by UDP, which has no answer"

    def _stream(self, messages: Sequence[bytes]) -> str:
        settings = self._settings
        data = b"".join(framed(message, settings.framing) for message in messages)
        with socket.create_connection((settings.host, settings.port), settings.timeout) as plain:
            if settings.tls is None:
                plain.sendall(data)
                if not settings.confirm:
                    return "written"
                plain.shutdown(socket.SHUT_WR)
                self._read_end(plain)
            else:
                name = settings.tls.server_name or settings.host
                try:
                    context = settings.tls.context()
                except NetwatchError as error:
                    raise UnavailableError(str(error)) from None
                with context.wrap_socket(plain, server_hostname=name) as secure:
                    secure.sendall(data)
                    if not settings.confirm:
                        with suppress(OSError):
                            secure.unwrap()
                        return "written"
                    self._end_tls(secure)
        return "read to the end and closed by the receiver"

    def _end_tls(self, secure: ssl.SSLSocket) -> None:
        """Send close_notify (RFC 5425 section 4.4) and wait for the receiver's end."""
        try:
            under = secure.unwrap()
        except ssl.SSLEOFError:
            # It closed without a close_notify of its own, which many do.
            return
        except ssl.SSLError as error:
            if "after close notify" in str(error).lower():
                return
            raise
        with suppress(OSError):
            under.shutdown(socket.SHUT_WR)
        self._read_end(under)

    def _read_end(self, plain: socket.socket) -> None:
        while plain.recv(_ANSWER):
            pass

    def rest(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


def framed(message: bytes, framing: str) -> bytes:
    """A message as it stands in a stream (RFC 6587 section 3.4)."""
    if framing == "lf":
        return message.replace(b"\n", b" ") + b"\n"
    return b"%d %b" % (len(message), message)
