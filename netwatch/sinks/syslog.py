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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from netwatch.core.file_keys import key
from netwatch.core.tls_sockets import describe_error
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import BOOLEAN, DURATION, TEXT, choice, size
from netwatch.sinks import syslog_message, syslog_transport
from netwatch.sinks.base import Delivered, Outcome, OutgoingAlert, UnavailableError
from netwatch.sinks.options import TLS, TLS_MEANING, TlsOptions, host_port
from netwatch.sinks.secrets import Secret
from netwatch.sinks.syslog_message import encode_within

PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
"""The default port of each transport, as registered with IANA (RFC 5426, RFC 3195, RFC 5425)."""

MAX_DATAGRAM = 65507
"""Bytes of a UDP payload over IPv4."""

MIN_MESSAGE = 480
"""Bytes that every receiver must accept (RFC 5424 section 6.1)."""

RESEND_WINDOW = 10.0
"""A receiver that becomes unreachable within so many seconds may have lost the last batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogOptions:
    """`transport` is a key of `PORTS` and `framing` one of `syslog_message.FRAMINGS`. With
    `confirm`, the receiver has to close the connection before a batch counts as delivered.
    `facility` is a key of `syslog_message.FACILITIES`. `max_bytes` limits a message with its
    header. `timeout` in s applies to a whole batch. `tls` is None unless the transport is
    ``tls``."""

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
        choice(syslog_message.FRAMINGS),
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
        choice(syslog_message.FACILITIES),
        f"one of {', '.join(syslog_message.FACILITIES)}",
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
            if self.transport == "udp" and fields.has(name):
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
        facility = syslog_message.FACILITIES[options.facility]
        hostname = options.hostname or socket.gethostname()
        header = syslog_message.header(alert.record, facility, hostname)
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
