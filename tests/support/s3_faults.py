"""A proxy before an object store of the tests that answers with faults.

It forwards every request but those for which a fault is planned: an error of the server, a body
that is cut, a slow answer, other headers, or something that happens before the request is passed on
(an object that changes or vanishes). Requests are counted by method and path.
"""

import contextlib
import fnmatch
import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

_PIECE = 1 << 16
_HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


@dataclass
class Fault:
    """What happens to the next `times` requests with this `method` whose path (``/bucket/key``)
    matches the glob `path`.

    `status` is answered in place of the server's answer, with the error `code` of S3, or with
    `body`. `cut_after`
    bytes of the body the connection is closed. `delay` is how long the answer waits, in s.
    `headers` replace those of the server, and `before` is called first."""

    path: str = "*"
    method: str = "GET"
    times: int = 1 << 30
    status: int | None = None
    code: str = "InternalError"
    cut_after: int | None = None
    delay: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    before: Callable[[], None] | None = None
    met: int = 0


class FaultyS3:
    """Listens at `url` and forwards to the server at `target`. `faults` may be changed at any time;
    of those that match the first is taken. `requests` counts pairs of method and path."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target).netloc
        self.faults: list[Fault] = []
        self.requests: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_args: object) -> None:
                pass

            def do(self) -> None:
                with contextlib.suppress(OSError):
                    proxy._serve(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_args: object) -> None:
                pass  # a client that was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _fault(self, method: str, path: str) -> Fault:
        with self._lock:
            self.requests[method, path] += 1
            for fault in self.faults:
                if (
                    fault.met < fault.times
                    and method == fault.method
                    and fnmatch.fnmatchcase(path, fault.path)
                ):
                    fault.met += 1
                    return fault
        return Fault()

    def _serve(self, client: BaseHTTPRequestHandler) -> None:
        size = int(client.headers.get("Content-Length") or 0)
        sent = client.rfile.read(size)
        fault = self._fault(client.command, unquote(urlsplit(client.path).path))
        time.sleep(fault.delay)
        if fault.before is not None:
            fault.before()
        if fault.status is not None:
            text = f"<Error><Code>{fault.code}</Code><Message>made by a test</Message></Error>"
            text = text if fault.body is None else fault.body
            body = b"" if client.command == "HEAD" else text.encode()
            client.send_response(fault.status)
            for name, value in {"Content-Length": str(len(body)), **fault.headers}.items():
                client.send_header(name, value)
            client.end_headers()
            client.wfile.write(body)
            return
        server = http.client.HTTPConnection(self._target, timeout=60)
        try:
            headers = dict(client.headers.items())
            server.request(client.command, client.path, sent or None, headers)
            self._answer(client, server.getresponse(), fault)
        finally:
            server.close()

    def _answer(
        self, client: BaseHTTPRequestHandler, answer: http.client.HTTPResponse, fault: Fault
    ) -> None:
        client.send_response(answer.status)
        headers = answer.getheaders()
        is_empty = client.command == "HEAD" or answer.status in (204, 304)
        body = b"" if is_empty else answer.read()
        if not is_empty:
            headers = [each for each in headers if each[0].lower() != "content-length"]
            headers.append(("Content-Length", str(len(body))))
        replaced = {name.lower() for name in fault.headers} | _HOP_HEADERS
        for name, value in [*headers, *fault.headers.items()]:
            if name.lower() not in replaced or name in fault.headers:
                client.send_header(name, value)
        client.end_headers()
        if fault.cut_after is not None:
            client.wfile.write(body[: fault.cut_after])
            client.wfile.flush()
            client.close_connection = True
            return
        for at in range(0, len(body), _PIECE):
            client.wfile.write(body[at : at + _PIECE])


@pytest.fixture
def s3_faults(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A proxy before the S3 server that this test and the processes it starts use. Their attempts
    are few, so that what fails for good fails soon."""
    import s3fs

    proxy = FaultyS3(s3_server)
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setenv("AWS_RETRY_MODE", "standard")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    yield proxy
    proxy.end()
    s3fs.S3FileSystem.clear_instance_cache()
