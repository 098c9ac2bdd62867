"""A server that keeps its clients waiting: it sends its answer a byte at a time."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PAUSE = 0.03
"""Seconds between two bytes."""

OK = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "nothing": (b"", b""),
    "status line": (b"", b"HTTP/1.1 200 O"),
    "headers": (OK, b"X-A: b\r\n"),
    "body": (OK + b"Content-Length: 100000\r\n\r\n", b"x"),
    "body without a length": (OK + b"\r\n", b"x"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}
"""What is sent at once, and what is sent slowly, again and again."""


@contextmanager
def dripping(what: str) -> Iterator[str]:
    """The URL of a server that answers so, until the end of the context."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def serve(client: socket.socket) -> None:
        head, slow = DRIPS[what]
        with contextlib.suppress(OSError), client:
            client.settimeout(PAUSE)
            asked = b""
            while not ended.is_set() and b"\r\n\r\n" not in asked:
                with contextlib.suppress(TimeoutError):
                    asked += client.recv(4096)
            client.sendall(head)
            for byte in itertools.cycle(slow):
                if ended.wait(PAUSE):
                    return
                client.sendall(bytes([byte]))
            ended.wait()

    def accept(listener: socket.socket) -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(client,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PAUSE)
        threads.append(threading.Thread(target=accept, args=(listener,)))
        threads[0].start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            ended.set()
            for thread in threads:
                thread.join()
