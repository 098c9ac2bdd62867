"""An HTTP server of captures, which does what servers do, and what broken and hostile ones do."""

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

Answer = Callable[[BaseHTTPRequestHandler], bool]
"""Answers a request in place of the server, unless it returns false."""


class CaptureServer:
    """Serves `files`, by path, at `url`, with ranges and ETags unless told otherwise. The first of
    `answers` that there is answers the next request and is removed. `requests` are pairs of path
    and range, `authorizations` the headers of that name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.has_ranges = True
        self.has_etags = True
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str | None]] = []
        self.authorizations: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_args: object) -> None:
                pass

            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    server._serve(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, client: BaseHTTPRequestHandler) -> None:
        wanted = client.headers.get("Range")
        path = unquote(client.path.partition("?")[0])
        self.requests.append((path, wanted))
        self.authorizations.append(client.headers.get("Authorization"))
        if self.answers and self.answers.pop(0)(client):
            return
        data = self.files.get(path)
        if data is None:
            reply(client, 404, {})
            return
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        headers = {"ETag": etag} if self.has_etags else {}
        if self.has_etags and client.headers.get("If-Match", etag) != etag:
            reply(client, 412, {})
        elif wanted is None or not self.has_ranges:
            reply(client, 200, headers, data)
        else:
            first, last = map(int, re.findall(r"\d+", wanted))
            part = data[first : last + 1]
            if not part:
                reply(client, 416, {"Content-Range": f"bytes */{len(data)}"})
                return
            shown = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
            reply(client, 206, {**headers, "Content-Range": shown}, part)


def reply(
    client: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    body: bytes = b"",
    cut: int | None = None,
) -> bool:
    """Answer with a body, of which only the first `cut` bytes are sent where that is given."""
    client.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        client.send_header(name, value)
    client.end_headers()
    client.wfile.write(body[:cut])
    if cut is not None:
        client.wfile.flush()
        client.close_connection = True
    return True


@pytest.fixture
def capture_server() -> Iterator[CaptureServer]:
    """A server without files."""
    server = CaptureServer()
    yield server
    server.end()
