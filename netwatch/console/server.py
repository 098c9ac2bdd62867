"""Serves the console by HTTP until a signal ends it.

uvicorn closes connections that are idle between two requests; a client that sends the beginning of
a request and no more, or nothing at all, is closed here. The number of connections is bounded, in
all and of one address, so that no single client can hold all of them.
"""

import asyncio
import signal
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from netwatch.config.console_section import ConsoleOptions
from netwatch.console.application import MAX_HEAD, Application
from netwatch.console.console import Console
from netwatch.core.addresses import is_loopback
from netwatch.core.errors import ConfigError, NetwatchError, Problem

MAX_CONNECTIONS = 200
"""Connections at a time; further ones are closed."""

MAX_OF_ADDRESS = 50
"""Connections of one address that is not of loopback; behind a proxy all have that of the proxy."""

HEAD_SECONDS = 10
"""Seconds in which the head of a request has to arrive."""

IDLE_SECONDS = 15
"""Seconds that a connection may be idle between two requests."""

SEND_SECONDS = 60
"""Seconds in which a client has to take more of an answer."""

END_SECONDS = 5
"""Seconds that requests in progress have when the console ends."""


class _Connections:
    """The connections of a server by address."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    def add(self, address: str) -> bool:
        """Count a connection; False if there are too many."""
        limit = MAX_CONNECTIONS if is_loopback(address) else MAX_OF_ADDRESS
        self._of[address] += 1
        return self._of.total() <= MAX_CONNECTIONS and self._of[address] <= limit

    def remove(self, address: str) -> None:
        """Forget a connection."""
        self._of[address] -= 1
        if self._of[address] <= 0:
            del self._of[address]


class _Protocol(H11Protocol):
    """A connection with limits on what a slow client may hold."""

    counted: _Connections

    def connection_made(self, transport: Any) -> None:
        """Count the connection, and wait for the head of its first request."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        if self.counted.add(self._address):
            self._await_head()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for timer in (self._head_timer, self._send_timer):
            if timer is not None:
                timer.cancel()
        self.counted.remove(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read more of a request; while its head is not complete, the time for it runs on."""
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()
        super().data_received(data)

    def handle_events(self) -> None:
        """Stop the time when the head of a request has arrived."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def pause_writing(self) -> None:
        """The client does not take what it asked for: it has some time."""
        super().pause_writing()
        self._send_timer = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client goes on."""
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
        super().resume_writing()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)


class _Server(uvicorn.Server):
    """Says when it listens, and when it ends."""

    def __init__(
        self, config: uvicorn.Config, listening: Callable[[], None], ending: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if not self.should_exit:
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to listen, and wait for requests in progress."""
        self._ending()
        await super().shutdown(sockets)


def serve(console: Console, announce: Callable[[str], None]) -> None:
    """Serve a console until SIGTERM or SIGINT. `announce` is given its address once it listens.
    Raises `ConfigError` for a certificate that cannot be read, and `NetwatchError` if it cannot
    listen."""
    options = console.options
    _check_certificate(options)
    listener = _listen(options)
    host, port = listener.getsockname()[:2]
    scheme = "https" if options.tls.certificate else "http"
    place = f"[{host}]" if ":" in host else host
    protocol = type("_CountedProtocol", (_Protocol,), {"counted": _Connections()})
    application = Application(console, is_secure=is_secure(options))
    config = uvicorn.Config(
        application.asgi(),
        http=protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD,
        ssl_certfile=options.tls.certificate or None,
        ssl_keyfile=options.tls.key or None,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    address = options.url or f"{scheme}://{place}:{port}"
    server = _Server(config, lambda: announce(address), application.end_events)
    # uvicorn raises the signal that ended it once more, which would end the process by it.
    before = signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    threading.Thread(target=console.warm, name="warm", daemon=True).start()
    try:
        server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()


def is_secure(options: ConsoleOptions) -> bool:
    """Whether browsers reach the console by HTTPS: its own, or that of a proxy."""
    return bool(options.tls.certificate) or options.url.startswith("https://")


def check_exposure(console: Console) -> None:
    """Raise `ConfigError` for a console that others could reach and that does not protect what it
    shows."""
    options = console.options
    if is_loopback(options.host):
        return
    place = f"console {options.host}:{options.port}"
    reasons = []
    if not options.tls.certificate:
        reasons.append(
            "needs TLS: expected --tls-cert FILE --tls-key FILE, or 'tls' under 'console'"
        )
    if not console.accounts.count() and not options.signs_in_elsewhere:
        reasons.append("needs an account: netwatch users add NAME --role ROLE")
    why = "is not an address of loopback, so that the console"
    problems = [Problem(place, 0, 0, f"{why} {reason}") for reason in reasons]
    if problems:
        raise ConfigError(problems)


def _check_certificate(options: ConsoleOptions) -> None:
    if not options.tls.certificate:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            options.tls.certificate, options.tls.key
        )
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"the certificate or its key {options.tls.key} cannot be used: {reason}"
        raise ConfigError.of(str(options.tls.certificate), message) from None


def _listen(options: ConsoleOptions) -> socket.socket:
    place = f"{options.host}:{options.port}"
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(found[0], socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NetwatchError(f"the console cannot listen on {place}: {reason}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[4])
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise NetwatchError(f"the console cannot listen on {place}: {error.strerror}") from None
    return listener
