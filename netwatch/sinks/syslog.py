"""Syslog (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425).

`syslog_transport` explains when a batch counts as delivered. Even a receiver that has read a batch
may lose it with its memory: if it becomes unreachable shortly afterwards, the last batch is sent
once more.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.tls_sockets import describe_error
from netwatch.core.user_yaml import Fields
from netwatch.sinks import syslog_message, syslog_transport
from netwatch.sinks.base import Delivered, Outcome, OutgoingAlert, UnavailableError
from netwatch.sinks.options import (
    Option,
    read_boolean,
    read_duration,
    read_host_port,
    read_size,
)
from netwatch.sinks.secrets import Secret
from netwatch.sinks.size_limit import encode_within
from netwatch.sinks.tls import TLS_OPTIONS, TlsOptions, read_tls_options

PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
"""The default port of each transport, as registered with IANA (RFC 5426, RFC 3195, RFC 5425)."""

MAX_DATAGRAM = 65507
"""Bytes of a UDP payload over IPv4."""

MIN_MESSAGE = 480
"""Bytes that every receiver must accept (RFC 5424 section 6.1)."""

RESEND_WINDOW = 10.0
"""A receiver that becomes unreachable within so many seconds may have lost the last batch."""

OPTIONS = (
    Option(
        "host",
        "host:port",
        "The receiver; the default port depends on `transport`: "
        + ", ".join(f"{port} for `{word}`" for word, port in PORTS.items())
        + ".",
        required=True,
    ),
    Option("transport", "word", f"One of {', '.join(PORTS)}.", required=True),
    Option("framing", "word", "`octet-counting` or `lf`, with `tcp` and `tls`.", "octet-counting"),
    Option(
        "confirm",
        "boolean",
        "Whether a batch counts as delivered only when the receiver has closed the connection after"
        " we have closed our side. `false` for receivers that never do. With `tcp` and `tls`.",
        "true",
    ),
    Option("facility", "word", f"One of {', '.join(syslog_message.FACILITIES)}.", "local0"),
    Option("hostname", "text", "HOSTNAME of the messages.", "the name of this host"),
    Option(
        "max_bytes",
        "size",
        "Limit of a message with its header. A longer alert is shortened, never split.",
        "8k",
    ),
    Option("timeout", "duration", "Limit for a batch: to connect, send and confirm.", "10s"),
    *TLS_OPTIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogOptions:
    """`transport` is a key of `PORTS` and `framing` one of `syslog_message.FRAMINGS`. With
    `confirm`, the receiver has to close the connection before a batch counts as delivered.
    `facility` is the numerical code. `max_bytes` limits a message with its header. `timeout` in s
    applies to a whole batch. `tls` is None unless the transport is ``tls``."""

    host: str
    port: int
    transport: str
    framing: str
    confirm: bool
    facility: int
    hostname: str
    max_bytes: int
    timeout: float
    tls: TlsOptions | None

    def secrets(self) -> tuple[Secret, ...]:
        """None: a client authenticates with its certificate."""
        return ()

    def warning(self) -> str:
        """No credential is sent."""
        return ""

    def open(self) -> "SyslogSink":
        """Create the sink."""
        return SyslogSink(self)


def read(fields: Fields, base: Path) -> SyslogOptions:
    """Read `OPTIONS`."""
    transport = fields.choice("transport", PORTS, "udp", required=f"one of {', '.join(PORTS)}")
    host, port = read_host_port(fields, "host", PORTS[transport], "the receiver, as host:port")
    framing = fields.choice("framing", syslog_message.FRAMINGS, "octet-counting")
    confirm = read_boolean(fields, "confirm", True)
    for key in ("framing", "confirm"):
        if transport == "udp" and fields.has(key):
            fields.add_problem(key, f"'{key}' has no effect with 'transport: udp'")
    facility = fields.choice("facility", syslog_message.FACILITIES, "local0")
    hostname = fields.text("hostname", socket.gethostname())
    max_bytes = read_size(fields, "max_bytes", 8192, minimum=MIN_MESSAGE)
    if transport == "udp" and max_bytes > MAX_DATAGRAM:
        fields.add_problem(
            "max_bytes", f"'max_bytes' exceeds {MAX_DATAGRAM}, the limit of a UDP datagram"
        )
    timeout = read_duration(fields, "timeout", 10)
    tls = read_tls_options(fields, base)
    if tls and transport != "tls":
        fields.add_problem("tls", "'tls' needs 'transport: tls'")
    if transport == "tls":
        tls = tls or TlsOptions()
    return SyslogOptions(
        host=host,
        port=port,
        transport=transport,
        framing=framing,
        confirm=confirm,
        facility=syslog_message.FACILITIES[facility],
        hostname=hostname,
        max_bytes=max_bytes,
        timeout=timeout,
        tls=tls,
    )


class SyslogSink:
    """Sends to one receiver. It keeps no connection between batches."""

    def __init__(self, options: SyslogOptions) -> None:
        self._options = options
        self._receiver = syslog_transport.Receiver(
            options.host, options.port, options.timeout, options.tls
        )
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
        header = syslog_message.header(alert.record, options.facility, options.hostname)
        text, was_shortened = encode_within(alert, max(1, options.max_bytes - len(header)))
        return header + text, was_shortened

    def _send_messages(self, messages: Sequence[bytes]) -> str:
        options = self._options
        if options.transport == "udp":
            syslog_transport.send_datagrams(self._receiver, messages)
            return "sent by UDP, which is not acknowledged"
        data = b"".join(
            syslog_message.frame(message, options.framing)
            for message in (*self._to_resend, *messages)
        )
        syslog_transport.send_stream(self._receiver, data, confirm=options.confirm)
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
                syslog_transport.resolve_udp(self._receiver)
                return f"{self._receiver}: the name resolves; UDP is not acknowledged"
            with self._describing_errors():
                return syslog_transport.check_connection(self._receiver)
        except OSError as error:
            raise UnavailableError(f"{self._receiver}: {describe_error(error)}") from None

    def on_idle(self) -> None:
        """Nothing is open between batches."""

    def close(self) -> None:
        """Nothing is open between batches."""
