"""The HTTP endpoint for a monitoring system: ``/metrics`` and ``/healthz``.

It is disabled unless configured, and listens on loopback by default, because it has no
authentication. Each request is answered in its own thread, so that a client that hangs delays no
other; the number and the duration of concurrent requests are limited. A client that sends its
request one byte at a time, or does not read the answer, keeps a thread busy. So if there are too
many connections, the oldest is closed: a client that sends its request immediately is answered long
before that, however many slow ones there are.
"""

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from netwatch.core.errors import NetwatchError
from netwatch.watch.endpoint_options import EndpointOptions, is_accepted, own_names
from netwatch.watch.health import Thresholds, Trouble, troubles
from netwatch.watch.metrics import METRICS
from netwatch.watch.snapshot import TakeSnapshot

MAX_REQUESTS = 16
"""Concurrent requests; beyond that the oldest connection is closed."""

MAX_SECONDS = 10
"""Seconds from the beginning of a connection to the end of its response."""

_THREAD_TIMEOUT = 1.0
"""Seconds that a new connection waits for the thread of a closed one to end."""

_INDEX = "netwatch: /metrics for Prometheus, /healthz for the health of the capture\n"


FindTroubles = Callable[[], list[Trouble]]
"""Why the monitored process is not healthy now."""


class Connections:
    """At most `limit` connections, each for at most `seconds`. `closed` counts those that were
    closed because there were too many or they took too long."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._lock = threading.Lock()
        # In the order in which they began.
        self._begun: dict[socket.socket, float] = {}
        self.closed = 0

    def add(self, connection: socket.socket) -> None:
        """Add a connection. If there are too many, the oldest is closed."""
        with self._lock:
            if len(self._begun) >= self._limit:
                self._close(next(iter(self._begun)))
            self._begun[connection] = time.monotonic()

    def remove(self, connection: socket.socket) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._begun.pop(connection, None)

    def close_overdue(self) -> None:
        """Close the connections that take too long."""
        with self._lock:
            begun = time.monotonic() - self._seconds
            for connection in [each for each, at in self._begun.items() if at <= begun]:
                self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        del self._begun[connection]
        self.closed += 1
        # The thread that serves it wakes up and closes the descriptor.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class Metrics(Collector):
    """Takes a snapshot whenever Prometheus scrapes the endpoint."""

    def __init__(self, take_snapshot: TakeSnapshot, thresholds: Thresholds) -> None:
        self._take_snapshot = take_snapshot
        self._thresholds = thresholds

    def describe(self) -> Iterable[Family]:
        """Nothing, so that registering the collector takes no snapshot."""
        return ()

    def collect(self) -> Iterator[Family]:
        """All metrics of one snapshot, except those without a value yet."""
        snapshot = self._take_snapshot()
        for metric in METRICS:
            samples = list(metric.read(snapshot, self._thresholds))
            if samples or metric.labels:
                yield family(metric.name, metric.type, metric.help, metric.labels, samples)


def family(
    name: str,
    type_: str,
    help_: str,
    labels: Sequence[str],
    samples: Iterable[tuple[Sequence[str], float]],
) -> Family:
    """A metric, a ``counter`` or a ``gauge``, with its samples: the values of `labels`, and the
    value."""
    kind = CounterMetricFamily if type_ == "counter" else GaugeMetricFamily
    found: CounterMetricFamily | GaugeMetricFamily = kind(name, help_, labels=labels)
    for values, value in samples:
        found.add_metric(values, value)
    return found


class Endpoint:
    """Serves metrics and health until it is closed.

    Raises `NetwatchError` if it cannot listen on the address in `options`. `port` is the port that
    it listens on, chosen by the system if the option is 0.
    """

    def __init__(
        self, options: EndpointOptions, metrics: Collector, find_troubles: FindTroubles
    ) -> None:
        host, port = options.host, options.port
        registry = CollectorRegistry(auto_describe=False)
        registry.register(metrics)
        ProcessCollector(registry=registry)
        application = _application(make_wsgi_app(registry), find_troubles)
        application = _only_for(own_names(host, options.hosts), application)
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            server = _Server6 if family == socket.AF_INET6 else _Server
            self._server: _Server = make_server(host, port, application, server, _Handler)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            address = f"[{host}]" if ":" in host else host
            raise NetwatchError(f"metrics: cannot listen on {address}:{port}: {reason}") from None
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True
        )
        self._thread.start()

    @classmethod
    def of_capture(cls, options: EndpointOptions, take_snapshot: TakeSnapshot) -> "Endpoint":
        """The endpoint of a capture."""
        thresholds = options.thresholds
        return cls(
            options,
            Metrics(take_snapshot, thresholds),
            lambda: troubles(take_snapshot(), thresholds),
        )

    def close(self) -> None:
        """Stop listening, without waiting for requests in progress."""
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
        self._connections = Connections(MAX_REQUESTS, MAX_SECONDS)
        # The thread of a closed connection may still be running.
        self._thread_slots = threading.BoundedSemaphore(2 * MAX_REQUESTS)
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        # HTTPServer.server_bind would look up the host name of the address in DNS.
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), port
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        if not self._thread_slots.acquire(timeout=_THREAD_TIMEOUT):
            self._connections.remove(request)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.remove(request)
            self._thread_slots.release()

    def service_actions(self) -> None:
        """Called several times a second."""
        self._connections.close_overdue()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection or time out."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = MAX_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests: standard error is the log of the capture."""


Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def _only_for(names: frozenset[str], application: Application) -> Application:
    """The application for requests to one of `names` or to an address, see
    `netwatch.watch.endpoint_options`."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if is_accepted(environ.get("HTTP_HOST"), names):
            return application(environ, start)
        start("421 Misdirected Request", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"this host name is not known here; add it to 'hosts' under 'metrics'\n"]

    return answer


def _application(metrics: Application, find_troubles: FindTroubles) -> Application:
    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start)
        content_type = "text/plain; charset=utf-8"
        if path == "/healthz":
            status, body = _health(find_troubles())
            content_type = "application/json"
        elif path == "/":
            status, body = "200 OK", _INDEX
        else:
            status, body = "404 Not Found", _INDEX
        start(status, [("Content-Type", content_type), ("Cache-Control", "no-store")])
        return [body.encode()]

    return answer


def _health(found: list[Trouble]) -> tuple[str, str]:
    """Status line and body of ``/healthz``. `told` is the old name of `message`, for clients that
    read it."""
    troubles = [_listed(finding) for finding in found if not finding.is_note]
    notes = [_listed(finding) for finding in found if finding.is_note]
    status = "503 Service Unavailable" if troubles else "200 OK"
    body: dict[str, object] = {"healthy": not troubles, "troubles": troubles}
    if notes:
        body["notes"] = notes
    return status, json.dumps(body) + "\n"


def _listed(trouble: Trouble) -> dict[str, str]:
    return {
        "kind": trouble.kind,
        "where": trouble.where,
        "message": trouble.message,
        "told": trouble.message,
    }
