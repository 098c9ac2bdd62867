"""The HTTP endpoint that a monitoring system asks: ``/metrics`` and ``/healthz``.

Off unless it is configured, on loopback unless told otherwise: it has no authentication,
and what it tells is meant for the admin. Each request is answered in a thread of its own,
so that one that hangs holds up no other; how many there are at a time is bounded, and so
is how long each may keep silent.
"""

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.process_collector import ProcessCollector

from netwatch.core.errors import NetwatchError
from netwatch.watch.health import Thresholds, troubles
from netwatch.watch.listen import Listen
from netwatch.watch.metrics import Metrics
from netwatch.watch.snapshot import Look

MAX_REQUESTS = 16
"""Requests that are answered at a time; further ones are turned away."""

TIMEOUT = 10
"""Seconds that a client may keep silent in the middle of a request."""

_HELP = "netwatch: /metrics for Prometheus, /healthz for the state of the capture\n"


class Endpoint:
    """Serves the metrics and the health of a capture until it is closed.

    Raises `NetwatchError` where `where` cannot be listened on. `port` is the one that is
    listened on, which the system chose where 0 was asked for.
    """

    def __init__(self, where: Listen, look: Look) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Metrics(look, where.limits))
        ProcessCollector(registry=registry)
        application = _application(make_wsgi_app(registry), look, where.limits)
        try:
            family = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0][0]
            server = _Server6 if family == socket.AF_INET6 else _Server
            self._server: _Server = make_server(
                where.host, where.port, application, server, _Handler
            )
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            place = f"[{where.host}]" if ":" in where.host else where.host
            raise NetwatchError(
                f"metrics: cannot listen on {place}:{where.port}: {reason}"
            ) from None
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests that are being answered are not waited for."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._room = threading.BoundedSemaphore(MAX_REQUESTS)
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        # That of HTTPServer asks a resolver for the name of the address.
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), port
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away or said nothing is no matter of ours."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = TIMEOUT

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: standard error is for what the capture has to say."""


Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def _application(metrics: Application, look: Look, limits: Thresholds) -> Application:
    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start)
        kind = "text/plain; charset=utf-8"
        if path == "/healthz":
            wrong = troubles(look(), limits)
            status = "503 Service Unavailable" if wrong else "200 OK"
            told = [{"kind": each.kind, "where": each.where, "told": each.told} for each in wrong]
            body = json.dumps({"healthy": not wrong, "troubles": told}) + "\n"
            kind = "application/json"
        elif path == "/":
            status, body = "200 OK", _HELP
        else:
            status, body = "404 Not Found", _HELP
        start(status, [("Content-Type", kind), ("Cache-Control", "no-store")])
        return [body.encode()]

    return answer
