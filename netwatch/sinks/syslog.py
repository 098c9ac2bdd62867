"""Syslog (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425).

Receivers limit the size of a message. Lists that only add detail are shortened first, which is done
by the formats; then long free text. If a message is still too long, it is cut off at a character
boundary and marked. An alert is never split into two messages, because the receiver would take the
second half for another message.

Syslog has no acknowledgement: data that TCP has accepted may still be lost if the receiver ends. A
batch is therefore one connection. After the last message we close our side of it; a receiver that
has read everything then closes its own. Only that counts as delivered; a connection that is reset
or stays open does not. Over UDP nothing confirms delivery; the only sign is an ICMP error (port
unreachable). Even a receiver that has read a batch may lose it with its memory: if it becomes
unreachable shortly afterwards, the last batch is sent once more.
"""

import errno
import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import Address, connect, exchange, resolve, time_left
from netwatch.core.file_keys import key
from netwatch.core.system.kernel import unacknowledged_bytes
from netwatch.core.tls_sockets import describe_error
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import BOOLEAN, DURATION, TEXT, choice, size
from netwatch.sinks.base import Delivered, Outcome, OutgoingAlert, UnavailableError
from netwatch.sinks.options import TLS, TLS_MEANING, TlsOptions, host_port
from netwatch.sinks.secrets import Secret

# A receiver's UDP buffer is some 200 KiB and drops silently, so it gets time after each burst.
_BURST_BYTES = 16384
_BURST_PAUSE = 0.01
_ACK_POLL = 0.01
_CERTIFICATE_VERDICT_TIMEOUT = 0.3
_READ_BYTES = 65536

FACILITIES = {
    "user": 1,
    "daemon": 3,
    "auth": 4,
    "authpriv": 10,
    "audit": 13,
    "alert": 14,
    **{f"local{number}": 16 + number for number in range(8)},
}
"""Facility codes (RFC 5424 table 1) by the names that syslog daemons use."""

FRAMINGS = ("octet-counting", "lf")
"""How messages are separated in a stream (RFC 6587 section 3.4)."""

_SEVERITIES = {"critical": 2, "high": 3, "medium": 4, "low": 5}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?Z")
_NOT_PRINTUSASCII = re.compile(r"[^!-~]")

MARK = "…"
"""Marks where text was cut off."""

_TEXT_LIMITS = (120, 40, 12)
_FREE_TEXT = {
    *("name", "names", "hostname", "owner", "authority", "legal_basis", "vendor", "as_org"),
    *("basis", "reason", "approved_by", "source", "rule"),
    *("text", "file", "sources", "raw", "chain"),
}

PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
"""The default port of each transport, as registered with IANA (RFC 5426, RFC 3195, RFC 5425)."""

MAX_DATAGRAM = 65507
"""Bytes of a UDP payload over IPv4."""

MIN_MESSAGE = 480
"""Bytes that every receiver must accept (RFC 5424 section 6.1)."""

RESEND_WINDOW = 10.0
"""A receiver that becomes unreachable within so many seconds may have lost the last batch."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where to send to. `tls` is None for plain TCP. `timeout` in s applies to a whole batch: to
    connect, send and confirm. As text: ``host:port``."""

    host: str
    port: int
    timeout: float
    tls: TlsOptions | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def resolve_udp(receiver: Receiver) -> list[Address]:
    """The addresses of a receiver of datagrams. Raises OSError."""
    with exchange(receiver.timeout):
        return resolve(receiver.host, receiver.port, socket.SOCK_DGRAM)


def send_datagrams(receiver: Receiver, messages: Sequence[bytes]) -> None:
    """Send each message as a UDP datagram. Raises OSError if the receiver's port is closed, as far
    as the network reports that in time."""
    (family, kind, protocol, address), *_ = resolve_udp(receiver)
    with socket.socket(family, kind, protocol) as sock:
        sock.settimeout(_BURST_PAUSE)
        sock.connect(address)
        burst = 0
        for number, message in enumerate(messages, 1):
            sock.send(message)
            burst += len(message)
            if burst > _BURST_BYTES or number == len(messages):
                # An ICMP error that answers one of these is raised by the next call.
                with suppress(TimeoutError):
                    sock.recv(_READ_BYTES)
                burst = 0


def send_stream(receiver: Receiver, data: bytes, *, confirm: bool) -> None:
    """Send data over one connection. With `confirm`, return only after the receiver has read
    everything and closed the connection. Raises OSError or `UnavailableError`."""
    with exchange(receiver.timeout), open_stream(receiver) as sock:
        sock.sendall(data)
        if isinstance(sock, ssl.SSLSocket):
            if confirm:
                _finish_tls(sock, receiver)
            else:
                with suppress(OSError):
                    sock.unwrap()
        elif confirm:
            sock.shutdown(socket.SHUT_WR)
            _wait_for_close(sock, receiver)


@contextmanager
def open_stream(receiver: Receiver) -> Iterator[socket.socket]:
    """A connection to the receiver, with TLS if it is configured. Raises OSError or
    `UnavailableError`."""
    with connect(receiver.host, receiver.port) as sock:
        if receiver.tls is None:
            yield sock
            return
        try:
            context = receiver.tls.context()
        except NetwatchError as error:
            raise UnavailableError(str(error)) from None
        server_name = receiver.tls.server_name or receiver.host
        with context.wrap_socket(sock, server_hostname=server_name) as secure:
            yield secure


def check_connection(receiver: Receiver) -> str:
    """Connect without sending anything; returns what was found, for people. A TLS 1.3 server that
    rejects our certificate says so only after the handshake, so it gets a moment for that. Raises
    OSError or `UnavailableError`."""
    with exchange(receiver.timeout), open_stream(receiver) as sock:
        if not isinstance(sock, ssl.SSLSocket):
            return f"{receiver} accepts connections"
        with suppress(TimeoutError), exchange(_CERTIFICATE_VERDICT_TIMEOUT):
            sock.recv(1)
        return f"{receiver} accepts connections, {sock.version()}"


def _finish_tls(sock: ssl.SSLSocket, receiver: Receiver) -> None:
    """Send close_notify (RFC 5425 section 4.4) and wait until the receiver closes the connection.
    Most receivers do not send a close_notify of their own."""
    with suppress(ssl.SSLEOFError):
        sock.unwrap()
    # From here on the socket carries plain TCP.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
    _wait_for_close(sock, receiver)


def _wait_for_close(sock: socket.socket, receiver: Receiver) -> None:
    """Wait until the receiver closes the connection. If it closed before it had read everything, it
    answers our data with a reset. That shows as an error of the socket only, possibly later, so
    wait also until all data is acknowledged."""
    try:
        while sock.recv(_READ_BYTES):
            pass
    except TimeoutError:
        if not unacknowledged_bytes(sock):
            raise UnavailableError(
                f"{receiver}: received everything but did not close the connection within"
                f" {receiver.timeout:g} s, see the option 'confirm'"
            ) from None
        raise
    with suppress(TimeoutError):
        while unacknowledged_bytes(sock):
            time.sleep(min(_ACK_POLL, time_left()))
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error or unacknowledged_bytes(sock):
        raise ConnectionResetError(
            errno.ECONNRESET, "closed the connection before it had read everything"
        )


def header(record: AlertRecord, facility: int, hostname: str) -> bytes:
    """Everything before the message text: PRI, the time of the alert (`last_seen`), HOSTNAME,
    APP-NAME ``netwatch``, no PROCID, MSGID ``alert`` and no structured data. A byte order mark is
    omitted, because parsers of JSON and CEF do not expect one."""
    priority = facility * 8 + _SEVERITIES.get(str(record.get("severity")), 3)
    host = _NOT_PRINTUSASCII.sub("", hostname)[:255] or "-"
    return f"<{priority}>1 {_timestamp(record)} {host} netwatch - alert - ".encode("ascii")


def _timestamp(record: AlertRecord) -> str:
    """TIMESTAMP allows at most six digits of a second's fraction."""
    match = _TIME.fullmatch(str(record.get("last_seen")))
    if not match:
        return "-"
    return f"{match[1]}.{match[2]}Z" if match[2] else f"{match[1]}Z"


def frame(message: bytes, framing: str) -> bytes:
    """A message as part of a stream, with one of `FRAMINGS`."""
    if framing == "lf":
        return message.replace(b"\n", b" ") + b"\n"
    return b"%d %b" % (len(message), message)


def encode_within(alert: OutgoingAlert, limit: int) -> tuple[bytes, bool]:
    """The alert in the output's format as UTF-8 in at most `limit` bytes, and whether something had
    to be left out for that."""
    data = _encode(alert.text)
    if len(data) <= limit:
        return data, False
    for text_limit in (None, *_TEXT_LIMITS):
        record = alert.record if text_limit is None else _shorten_texts(alert.record, text_limit)
        data = _encode(alert.render_within(record, limit))
        if len(data) <= limit:
            return data, True
    mark = MARK.encode()
    return data[: max(0, limit - len(mark))].decode("utf-8", "ignore").encode() + mark, True


def _shorten_texts(value: Any, limit: int, free_text: bool = False) -> Any:
    """A copy with free text cut to `limit` characters. Fixed words, times and addresses are never
    cut."""
    if isinstance(value, str):
        return value[:limit] + MARK if free_text and len(value) > limit else value
    if isinstance(value, dict):
        return {
            key: _shorten_texts(inner, limit, key in _FREE_TEXT) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_shorten_texts(inner, limit, free_text) for inner in value]
    return value


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogOptions:
    """`transport` is a key of `PORTS` and `framing` one of `FRAMINGS`. With `confirm`, the receiver
    must close the connection before a batch counts as delivered. `facility` is a key of
    `FACILITIES`. `max_bytes` limits a message with its header. `timeout` in s applies to a whole
    batch. `tls` is None unless the transport is ``tls``."""

    receiver: tuple[str, int] = key(
        host_port(PORTS["udp"]),
        "the receiver; the default port depends on `transport`: "
        + ", ".join(f"{port} for `{word}`" for word, port in PORTS.items()),
        name="host",
        required="the receiver, as host:port",
    )
    transport: str = key(
        choice(PORTS), f"one of {', '.join(PORTS)}", required=f"one of {', '.join(PORTS)}"
    )
    framing: str = key(
        choice(FRAMINGS),
        "`octet-counting` or `lf`, with `tcp` and `tls`",
        "octet-counting",
    )
    confirm: bool = key(
        BOOLEAN,
        "whether a batch counts as delivered only when the receiver has closed the connection after"
        " we have closed our side. `false` for receivers that never do. With `tcp` and `tls`",
        True,
    )
    facility: str = key(
        choice(FACILITIES),
        f"one of {', '.join(FACILITIES)}",
        "local0",
    )
    hostname: str = key(TEXT, "HOSTNAME of the messages", shown="the name of this host")
    max_bytes: int = key(
        size(MIN_MESSAGE),
        "limit of a message with its header. A longer alert is shortened, never split",
        "8k",
    )
    timeout: float = key(DURATION, "limit for a batch: to connect, send and confirm", "10s")
    tls: TlsOptions | None = key(TLS, TLS_MEANING)

    @property
    def host(self) -> str:
        """The name or address of the receiver."""
        return self.receiver[0]

    @property
    def port(self) -> int:
        """Its port."""
        return self.receiver[1] or PORTS[self.transport]

    def checked(self, fields: Fields, _: Path) -> Self:
        """The options, checked together."""
        for name in ("framing", "confirm"):
            if self.transport == "udp" and fields.is_set(name):
                fields.add_problem(name, f"'{name}' has no effect with 'transport: udp'")
        if self.transport == "udp" and self.max_bytes > MAX_DATAGRAM:
            fields.add_problem(
                "max_bytes", f"'max_bytes' exceeds {MAX_DATAGRAM}, the limit of a UDP datagram"
            )
        if self.tls and self.transport != "tls":
            fields.add_problem("tls", "'tls' needs 'transport: tls'")
        if self.transport == "tls":
            return replace(self, tls=self.tls or TlsOptions())
        return self

    def secrets(self) -> tuple[Secret, ...]:
        """None: a client authenticates with its certificate."""
        return ()

    def warning(self) -> str:
        """No credential is sent."""
        return ""

    def open(self) -> "SyslogSink":
        """Create the sink."""
        return SyslogSink(self)


class SyslogSink:
    """Sends to one receiver. It keeps no connection between batches."""

    def __init__(self, options: SyslogOptions) -> None:
        self._options = options
        self._receiver = Receiver(options.host, options.port, options.timeout, options.tls)
        self._last_batch: list[bytes] = []
        self._last_sent = 0.0
        self._to_resend: list[bytes] = []
        self.max_batch = 50 if options.transport == "udp" else 500

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Send a batch. Raises `UnavailableError` if the receiver cannot be reached, cannot be
        verified, or does not confirm that it has read everything."""
        messages, shortened = [], []
        for alert in alerts:
            message, was_shortened = self._message(alert)
            messages.append(message)
            shortened.append(was_shortened)
        try:
            with self._describing_errors():
                answer = self._send_messages(messages)
        except OSError as error:
            if time.monotonic() - self._last_sent < RESEND_WINDOW:
                self._to_resend = self._last_batch
            raise UnavailableError(f"{self._receiver}: {describe_error(error)}") from None
        self._last_sent, self._last_batch, self._to_resend = time.monotonic(), messages, []
        return [Delivered(answer + (", shortened" if cut else "")) for cut in shortened]

    def _message(self, alert: OutgoingAlert) -> tuple[bytes, bool]:
        """The message for an alert, and whether the alert had to be shortened for it."""
        options = self._options
        facility = FACILITIES[options.facility]
        hostname = options.hostname or socket.gethostname()
        head = header(alert.record, facility, hostname)
        text, was_shortened = encode_within(alert, max(1, options.max_bytes - len(head)))
        return head + text, was_shortened

    def _send_messages(self, messages: Sequence[bytes]) -> str:
        options = self._options
        if options.transport == "udp":
            send_datagrams(self._receiver, messages)
            return "sent by UDP, which is not acknowledged"
        data = b"".join(
            frame(message, options.framing) for message in (*self._to_resend, *messages)
        )
        send_stream(self._receiver, data, confirm=options.confirm)
        return "read completely, then closed by the receiver" if options.confirm else "written"

    @contextmanager
    def _describing_errors(self) -> Iterator[None]:
        """Raise `UnavailableError` for errors after which the last batch need not be resent."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise UnavailableError(f"{self._receiver}: {describe_error(error)}") from None
        except TimeoutError:
            raise UnavailableError(
                f"{self._receiver}: no answer within {self._options.timeout:g} s"
            ) from None

    def check_connection(self) -> str:
        """Resolve the name and, except for UDP, connect. With TLS both sides are verified."""
        try:
            if self._options.transport == "udp":
                resolve_udp(self._receiver)
                return f"{self._receiver}: the name resolves; UDP is not acknowledged"
            with self._describing_errors():
                return check_connection(self._receiver)
        except OSError as error:
            raise UnavailableError(f"{self._receiver}: {describe_error(error)}") from None

    def on_idle(self) -> None:
        """Nothing is open between batches."""

    def close(self) -> None:
        """Nothing is open between batches."""
