"""One exchange with a receiver: a single deadline and a limit of bytes for all that belongs to it.

The timeout of a socket limits the time between two reads only, so a receiver that sends a byte now
and then would hold an output for ever. Whatever a socket of `connect` does inside of ``with
exchange(timeout)`` shares one deadline: resolving the name, connecting, the TLS handshake, sending,
and reading the answer, whichever library calls it. The deadline belongs to the thread, because
libraries wrap and replace sockets but do not pass a deadline on.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

T = TypeVar("T")

MAX_RECEIVED = 16 << 20
"""Bytes that a receiver may send in one exchange; more is an error."""


class TooLongError(OSError):
    """The receiver sent more than `MAX_RECEIVED` bytes."""

    def __init__(self) -> None:
        super().__init__(f"an answer of more than {MAX_RECEIVED:,} bytes")


class _Exchange:
    """The time at which the exchange has to be over (`time.monotonic`), and the bytes received."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.received = 0


_current: ContextVar[_Exchange | None] = ContextVar("netwatch exchange", default=None)


@contextmanager
def exchange(timeout: float) -> Iterator[None]:
    """Bound everything that sockets of `connect` do in this block: together it takes at most
    `timeout` s, after which they raise TimeoutError. An inner exchange cannot extend an outer
    one."""
    outer = _current.get()
    deadline = time.monotonic() + timeout
    token = _current.set(_Exchange(deadline if outer is None else min(deadline, outer.deadline)))
    try:
        yield
    finally:
        _current.reset(token)


def time_left() -> float:
    """The seconds until the deadline of the exchange, above 0. Raises TimeoutError after it."""
    current = _current.get()
    if current is None:
        raise RuntimeError("a socket of a sink was used outside of an exchange")
    left = current.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def check_size(size: int) -> None:
    """Raise `TooLongError` if a receiver has sent too many bytes."""
    if size > MAX_RECEIVED:
        raise TooLongError


def _count(size: int) -> None:
    current = _current.get()
    if current is not None:
        current.received += size
        check_size(current.received)


if TYPE_CHECKING:
    _Base = socket.socket
else:
    _Base = object


class Bounded(_Base):
    """Added to a type of socket, it bounds the methods that may wait by the deadline of the
    exchange."""

    def recv(self, *args: Any) -> bytes:
        """Receive as the socket does."""
        self.settimeout(time_left())
        data = super().recv(*args)
        _count(len(data))
        return data

    def recv_into(self, *args: Any) -> int:
        """Receive as the socket does."""
        self.settimeout(time_left())
        size = super().recv_into(*args)
        _count(size)
        return size

    def send(self, *args: Any) -> int:
        """Send as the socket does."""
        self.settimeout(time_left())
        return super().send(*args)

    def sendall(self, *args: Any) -> None:
        """Send as the socket does."""
        self.settimeout(time_left())
        super().sendall(*args)


class BoundedSocket(Bounded, socket.socket):
    """A TCP socket whose operations end with the exchange."""


def connect(host: str, port: int) -> BoundedSocket:
    """A TCP connection to the first address of `host` that accepts one. An address that does not
    answer leaves time for the others. Raises OSError."""
    addresses = resolve(host, port, socket.SOCK_STREAM)
    failure: OSError = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, address) in enumerate(addresses):
        sock = BoundedSocket(family, kind, protocol)
        try:
            sock.settimeout(time_left() / (len(addresses) - tried))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


Address = tuple[socket.AddressFamily, socket.SocketKind, int, Any]
"""An address to connect to: family, type, protocol, and what `socket.socket.connect` takes."""


def resolve(host: str, port: int, kind: socket.SocketKind) -> list[Address]:
    """The addresses of a host, at least one. The resolver of the system has timeouts of its own,
    which are longer. Raises OSError."""

    def look_up() -> list[Address]:
        try:
            found = socket.getaddrinfo(host, port, type=kind)
        except ValueError:  # UnicodeError of the codec for internationalized names
            raise OSError("not a valid host name") from None
        return [(family, type_, protocol, to) for family, type_, protocol, _, to in found]

    return in_background(look_up)


def in_background(work: Callable[[], T]) -> T:
    """The result of a call that cannot be interrupted, made in a thread that is left behind at the
    deadline. Raises what it raises, and TimeoutError."""
    return Background(work).result(time_left())


class Background(Generic[T]):
    """A call in a thread of its own. The thread does not keep the process from ending."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._done: Future[T] = Future()
        self._work = work
        threading.Thread(target=self._run, name="netwatch-resolve", daemon=True).start()

    def _run(self) -> None:
        try:
            self._done.set_result(self._work())
        except BaseException as error:
            self._done.set_exception(error)

    @property
    def is_done(self) -> bool:
        """Whether `result` returns or raises immediately."""
        return self._done.done()

    def result(self, timeout: float) -> T:
        """What the call returned or raised; TimeoutError after `timeout` s."""
        return self._done.result(timeout)
