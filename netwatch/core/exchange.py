"""One exchange with a remote party: deadlines and a byte limit for everything in it.

The timeout of a socket only limits the time between two reads, so a server that sends a byte now
and then could hold its client for ever. Everything that a socket of `connect` does within an
exchange shares the deadlines of its `Limits`: resolving the name, connecting, the TLS handshake,
sending, and reading the answer, whichever library calls it. The exchange belongs to the thread,
because libraries wrap and replace sockets but do not pass a deadline on.

Outputs and NetBox have a `timeout` in the configuration for all of it. The limits of netwatch's own
requests are here: `UPDATES` of signatures, `CAPTURES` on a server, and the sign-in `PROVIDER`.
"""

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

T = TypeVar("T")

MAX_RECEIVED = 16 << 20
"""Bytes that a receiver may send in one exchange; more is an error."""

CONNECT_SECONDS = 30.0
"""Seconds to find the address of a server and to connect to it."""

ANSWER_SECONDS = 60.0
"""Seconds until the status and the headers of an answer are complete, connecting included."""

SILENCE_SECONDS = 30.0
"""Seconds that a server may be silent."""

LEAST_PACE = 1024
"""Bytes per second of a body; a slower one counts as cut."""

PACE_SECONDS = 60.0
"""Seconds over which a body must keep an average of `LEAST_PACE`, again and again."""

FETCH_SECONDS = 300.0
"""Seconds for one file of an update."""

UPDATE_SECONDS = 900.0
"""Seconds for all files of an update together."""

CAPTURE_SECONDS = 86_400.0
"""Seconds to wait for one answer with a capture."""

PROVIDER_SECONDS = 10.0
"""Seconds for one request to the sign-in provider with its answer."""


class TooLongError(OSError):
    """The receiver sent more than `MAX_RECEIVED` bytes."""

    def __init__(self) -> None:
        super().__init__(f"an answer of more than {MAX_RECEIVED:,} bytes")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an exchange may take in s: all of it (`total`), each connection (`connect`), until
    the headers of the answer are complete (`answer`, connecting included), and between two bytes
    (`silence`). The body must come with at least `pace` bytes per second in each `pace_seconds`.
    With `is_short`, more than `MAX_RECEIVED` bytes are an error."""

    total: float
    connect: float = math.inf
    answer: float = math.inf
    silence: float = math.inf
    pace: int = 0
    pace_seconds: float = math.inf
    is_short: bool = True


UPDATES = Limits(
    FETCH_SECONDS,
    CONNECT_SECONDS,
    ANSWER_SECONDS,
    SILENCE_SECONDS,
    LEAST_PACE,
    PACE_SECONDS,
    is_short=False,  # TUF knows how long each file may be
)
WHOLE_UPDATE = Limits(UPDATE_SECONDS, is_short=False)
CAPTURES = Limits(
    CAPTURE_SECONDS,
    CONNECT_SECONDS,
    ANSWER_SECONDS,
    SILENCE_SECONDS,
    LEAST_PACE,
    PACE_SECONDS,
    is_short=False,
)
PROVIDER = Limits(PROVIDER_SECONDS)


class Exchange:
    """An exchange that begins now. It can be interrupted: the time between two `going_on` does not
    count, so that a slow reader is not taken for a slow server. `expired` names the limit that
    ended it, as a clause ("no answer within 30 s"), and is empty until then."""

    def __init__(self, limits: Limits) -> None:
        self.expired = ""
        self._limits = limits
        self._begun = self._paused = time.monotonic()
        self._received = 0
        self._body: tuple[float, int] | None = None
        self._outer: Exchange | None = None
        self._next_reason = ""

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Bound what sockets of `connect` do in this block. An inner exchange cannot extend an
        outer one."""
        waited = time.monotonic() - self._paused
        self._begun += waited
        if self._body is not None:
            self._body = self._body[0] + waited, self._body[1]
        self._outer = _current.get()
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self._outer = None
            self._paused = time.monotonic()

    def begin_body(self) -> None:
        """The headers of the answer are complete; the body follows."""
        self._body = time.monotonic(), 0

    def time_left(self) -> float:
        """The seconds left for the next read or write, above 0. Raises TimeoutError if there are
        none."""
        limits, now = self._limits, time.monotonic()
        left, reason = self._begun + limits.total - now, _incomplete(limits.total)
        if self._body is None:
            left, reason = min(
                (left, reason), (self._begun + limits.answer - now, _no_answer(limits.answer))
            )
        else:
            due = self._body[0] + limits.pace_seconds
            left, reason = min((left, reason), (due - now, _too_slow(limits.pace)))
        if left <= 0:
            self.expired = reason
            raise TimeoutError(reason)
        if limits.silence < left:
            left, reason = limits.silence, _no_answer(limits.silence)
        if self._outer is not None:
            outer = self._outer.time_left()
            if outer < left:
                left, reason = outer, self._outer._next_reason
        self._next_reason = reason
        return left

    def timed_out(self) -> None:
        """The time given by `time_left` is over."""
        self.expired = self._next_reason

    def count(self, size: int) -> None:
        """Count bytes received. Raises `TooLongError`."""
        self._received += size
        if self._limits.is_short:
            check_size(self._received)
        if self._body is not None:
            begun, received = self._body
            received += size
            enough = received >= self._limits.pace * self._limits.pace_seconds
            self._body = (time.monotonic(), 0) if enough else (begun, received)

    def connect_within(self) -> float:
        """The seconds left for a connection from now on. Raises TimeoutError if there are none."""
        left = self.time_left()
        if self._limits.connect < left:
            left, self._next_reason = self._limits.connect, _not_connected(self._limits.connect)
        return left


def _not_connected(seconds: float) -> str:
    return f"no connection within {seconds:g} s"


def _incomplete(seconds: float) -> str:
    return f"the answer is not complete after {seconds:g} s"


def _no_answer(seconds: float) -> str:
    return f"no answer within {seconds:g} s"


def _too_slow(pace: int) -> str:
    return f"the server sends less than {pace:,} bytes a second"


_current: ContextVar[Exchange | None] = ContextVar("netwatch exchange", default=None)


@contextmanager
def exchange(timeout: float) -> Iterator[None]:
    """Bound everything that sockets of `connect` do in this block: together it takes at most
    `timeout` s, after which they raise TimeoutError."""
    with Exchange(Limits(timeout)).going_on():
        yield


def time_left() -> float:
    """The seconds that the exchange leaves for the next step, above 0. Raises TimeoutError if there
    are none."""
    current = _current.get()
    if current is None:
        raise RuntimeError("a socket was used outside of an exchange")
    return current.time_left()


def connect_within() -> float:
    """The seconds that the exchange leaves for connecting, above 0. Raises TimeoutError if there
    are none."""
    current = _current.get()
    return time_left() if current is None else current.connect_within()


def timed_out() -> None:
    """Note for the exchange that its time is over."""
    current = _current.get()
    if current is not None:
        current.timed_out()


def check_size(size: int) -> None:
    """Raise `TooLongError` if a receiver has sent too many bytes."""
    if size > MAX_RECEIVED:
        raise TooLongError


def _count(size: int) -> None:
    current = _current.get()
    if current is not None:
        current.count(size)


@contextmanager
def waiting(sock: socket.socket) -> Iterator[None]:
    """Apply the deadlines of the exchange to the socket in this block."""
    sock.settimeout(time_left())
    try:
        yield
    except TimeoutError:
        timed_out()
        raise


if TYPE_CHECKING:
    _Base = socket.socket
else:
    _Base = object


class Bounded(_Base):
    """A mixin for a type of socket: the deadlines of the exchange bound the methods that may
    wait."""

    def recv(self, *args: Any) -> bytes:
        """`socket.socket.recv`, bounded by the exchange."""
        with waiting(self):
            data = super().recv(*args)
        _count(len(data))
        return data

    def recv_into(self, *args: Any) -> int:
        """`socket.socket.recv_into`, bounded by the exchange."""
        with waiting(self):
            size = super().recv_into(*args)
        _count(size)
        return size

    def send(self, *args: Any) -> int:
        """`socket.socket.send`, bounded by the exchange."""
        with waiting(self):
            return super().send(*args)

    def sendall(self, *args: Any) -> None:
        """`socket.socket.sendall`, bounded by the exchange."""
        with waiting(self):
            super().sendall(*args)


class BoundedSocket(Bounded, socket.socket):
    """A TCP socket bounded by its exchange."""


def connect(host: str, port: int) -> BoundedSocket:
    """A TCP connection to the first address of `host` that accepts one. An address that does not
    answer leaves time for the others. Raises OSError."""
    until = time.monotonic() + connect_within()
    addresses = resolve(host, port, socket.SOCK_STREAM)
    failure: OSError = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, address) in enumerate(addresses):
        sock = BoundedSocket(family, kind, protocol)
        try:
            left = min(connect_within(), max(until - time.monotonic(), 0.001))
            sock.settimeout(left / (len(addresses) - tried))
            sock.connect(address)
        except OSError as error:
            if isinstance(error, TimeoutError):
                timed_out()
            sock.close()
            failure = error
        else:
            return sock
    raise failure


Address = tuple[socket.AddressFamily, socket.SocketKind, int, Any]
"""An address: family, type, protocol, and the argument of `socket.socket.connect`."""


def resolve(host: str, port: int, kind: socket.SocketKind) -> list[Address]:
    """The addresses of a host, at least one. The system's resolver has its own timeouts, which are
    longer. Raises OSError."""

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
    try:
        return Background(work).result(connect_within())
    except TimeoutError:
        timed_out()
        raise


class Background(Generic[T]):
    """A call in a thread of its own, which does not keep the process from ending."""

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
        """The return value or the exception of the call; TimeoutError after `timeout` s."""
        return self._done.result(timeout)
