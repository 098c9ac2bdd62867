"""Sending syslog messages over UDP, TCP and TLS, and knowing what arrived.

Syslog has no acknowledgement: data that TCP has accepted may still be lost if the receiver ends. A
batch is therefore one connection. After the last message we close our side of it; a receiver that
has read everything then closes its own. Only that counts as delivered; a connection that is reset
or stays open does not. Over UDP nothing confirms delivery; the only sign is an ICMP error (port
unreachable).
"""

import errno
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import Address, connect, exchange, resolve, time_left
from netwatch.core.system.kernel import unacknowledged_bytes
from netwatch.sinks.base import UnavailableError
from netwatch.sinks.options import TlsOptions

# A receiver's UDP buffer is some 200 KiB and drops silently, so it gets time after each burst.
_BURST_BYTES = 16384
_BURST_PAUSE = 0.01
_ACK_POLL = 0.01
_CERTIFICATE_VERDICT_TIMEOUT = 0.3
_READ_BYTES = 65536


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
    """Connect without sending anything; what was found, for people. A TLS 1.3 server that rejects
    our certificate says so only after the handshake, so it gets a moment for that. Raises OSError
    or `UnavailableError`."""
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
