"""Receivers of the test suite, and real ones started on loopback.

All listen on free ports and end with the test that started them.
"""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from support.waiting import TIMEOUT

from netwatch.core.tls_sockets import TlsSocket

RECEIVERS = Path(os.environ.get("RECEIVERS", "/opt/netwatch-receivers"))
"""The environment that `make receivers` creates."""


def server_context(pair: tuple[Path, Path]) -> ssl.SSLContext:
    """A context for a server with this certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = TlsSocket
    context.load_cert_chain(*pair)
    return context


class Listener:
    """Passes each connection to `port` to `serve`, in a thread of its own. `receive_buffer` is the
    size of the kernel's buffer in bytes, 0 for its default."""

    def __init__(self, serve: Callable[[socket.socket], None], receive_buffer: int = 0) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def end(self) -> None:
        """Accept no more connections."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Smtp(Controller):  # type: ignore[misc]
    """aiosmtpd, which leaves connections open when it is stopped; this closes them."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self._made: list[Any] = []

    def factory(self) -> Any:
        self._made.append(super().factory())
        return self._made[-1]

    def start(self) -> None:
        """Start it. If it does not become ready, its thread and its socket are ended."""
        try:
            super().start()
        except BaseException:
            if self.loop.is_running():
                super().stop(no_assert=True)
            else:
                self._thread.join(TIMEOUT)
                self.loop.close()
            raise

    async def _drop(self) -> None:
        for each in self._made:
            if each.transport is not None:
                each.transport.abort()
        await asyncio.sleep(0)  # connections are closed in the next round of the loop

    def stop(self, no_assert: bool = False) -> None:
        asyncio.run_coroutine_threadsafe(self._drop(), self.loop).result(TIMEOUT)
        super().stop(no_assert)


class Http(ThreadingHTTPServer):
    """A webhook, a Splunk collector and a `_bulk` endpoint, with faults on demand.

    `faults` are functions, each of which is called with one request, first in, first out; if it
    returns true, it has handled the request. `accepted` has (path, headers, parsed events) of the
    other requests.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        port: int = 0,
        documents: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._open: set[socket.socket] = set()
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https" if context else "http"
        self.faults: list[Callable[[_Handler], bool]] = []
        self.accepted: list[tuple[str, dict[str, str], list[Any]]] = []
        self.requests = 0
        self.documents: dict[str, Any] = {} if documents is None else documents
        self.items: Callable[[str, Any], int] = self._create
        self.acks: Callable[[int], bool] | None = None
        self.acked = 0
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    @property
    def events(self) -> list[Any]:
        return [event for _, _, events in self.accepted for event in events]

    def _create(self, key: str, document: Any) -> int:
        if key in self.documents:
            return 409
        self.documents[key] = document
        return 201

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Faults break connections on purpose."""

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end(self) -> None:
        """Stop, and close persistent connections of clients."""
        self.shutdown()
        self.server_close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._thread.join(TIMEOUT)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Http

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.body = body = self.rfile.read(size)
        if len(body) < size:
            # The client has gone.
            self.close_connection = True
            return
        self.server.requests += 1
        if self.server.faults and self.server.faults.pop(0)(self):
            return
        headers = dict(self.headers.items())
        if self.path.startswith("/services/collector/ack"):
            (number,) = json.loads(body)["acks"]
            self.server.acked += 1
            assert self.server.acks is not None
            self.answer(200, {"acks": {str(number): self.server.acks(number)}})
        elif self.path.startswith("/services/collector") and not body:
            self.answer(400, {"text": "No data", "code": 5})
        elif self.path.startswith("/services/collector"):
            self.server.accepted.append((self.path, headers, list(_concatenated(body.decode()))))
            answer: dict[str, Any] = {"text": "Success", "code": 0}
            if self.server.acks is not None:
                answer["ackId"] = len(self.server.accepted)
            self.answer(200, answer)
        elif "/_bulk" in self.path:
            self._bulk(headers, body)
        else:
            self.server.accepted.append((self.path, headers, [body]))
            self.answer(200, {"ok": True})

    def do_HEAD(self) -> None:
        if not (self.server.faults and self.server.faults.pop(0)(self)):
            self.send_response(405)
            self.end_headers()

    def _bulk(self, headers: dict[str, str], body: bytes) -> None:
        lines = body.decode().splitlines()
        if not any(lines):
            self.answer(400, {"error": {"type": "parse_exception"}, "status": 400})
            return
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            key = json.loads(action)["create"]["_id"]
            status = self.server.items(key, json.loads(document))
            result: dict[str, Any] = {"status": status}
            if status >= 400:
                result["error"] = {"type": f"type_{status}", "reason": "because"}
            items.append({"create": result})
        self.server.accepted.append((self.path, headers, list(map(json.loads, lines[1::2]))))
        self.answer(
            200, {"errors": any("error" in each["create"] for each in items), "items": items}
        )

    def answer(self, status: int, body: Any, **headers: str) -> bool:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        return True


def _concatenated(text: str) -> Iterator[Any]:
    at, decoder = 0, json.JSONDecoder()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value


def status(code: int, **headers: str) -> Callable[[_Handler], bool]:
    """A fault: answer the request with a status, accepting nothing."""
    return lambda request: request.answer(code, {"text": "fault", "code": 0}, **headers)


def reset(request: _Handler) -> bool:
    """A fault: reset the connection, accepting nothing."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    request.close_connection = True
    request.rfile.close()
    request.connection.close()
    return True


def lose_answer(request: _Handler) -> bool:
    """A fault: accept the request, but lose the answer."""
    original = request.wfile
    request.wfile = open(os.devnull, "wb")  # noqa: PTH123, SIM115 - a handle for a moment
    request.server.faults.insert(0, lambda _: False)
    try:
        _handle_again(request)
    finally:
        request.wfile.close()
        request.wfile = original
    return reset(request)


def _handle_again(request: _Handler) -> None:
    """Handle a request whose body was read already."""
    import io

    original, request.rfile = request.rfile, io.BytesIO(request.body)
    request.server.requests -= 1
    try:
        request.do_POST()
    finally:
        request.rfile = original
