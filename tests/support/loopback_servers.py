"""Small servers for real clients, on 127.0.0.1 and a port of the system's choice.

A server is a function that speaks with one connection, and `serving` listens for it in
threads that end with the test. Servers wrap one another as protocols do: `tls` around
`http`, `starttls` around `tls`.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from select import select

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from support.loopback import HOST, TIMEOUT

Server = Callable[[socket.socket], None]
Respond = Callable[[bytes], tuple[str, bytes]]
"""The body of a request in, content type and body of the response out."""

PAGE = b"<!doctype html><title>here</title><link rel=icon href=data:,><p>it works"
SEVERAL = 88
"""A segment size so small that even the start of a hello does not go out at once: ten
segments are what may be under way (RFC 6928), and the loopback merges their bytes."""


@contextlib.contextmanager
def serving(server: Server, segment: int | None = None) -> Iterator[int]:
    """The port on which `server` is reached; `segment` is the largest that is taken."""
    with socket.socket() as listener:
        if segment is not None:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        listener.bind((HOST, 0))
        listener.listen()
        threads: list[threading.Thread] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.settimeout(TIMEOUT)
                    threads.append(threading.Thread(target=_serve, args=(server, connection)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def _serve(server: Server, connection: socket.socket) -> None:
    # A client may go away at any time; what it sent until then is what counts.
    with connection, contextlib.suppress(OSError):
        server(connection)


def page(_: bytes) -> tuple[str, bytes]:
    """Any request gets the same page."""
    return "text/html", PAGE


def tls(context: ssl.SSLContext, server: Server) -> Server:
    """`server` inside of TLS."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inside:
            server(inside)

    return serve


def http(respond: Respond = page) -> Server:
    """HTTP/2 where it was negotiated, else one request of HTTP/1.1."""
    second = http2(respond)

    def serve(connection: socket.socket) -> None:
        if isinstance(connection, ssl.SSLSocket) and connection.selected_alpn_protocol() == "h2":
            second(connection)
        elif until(connection, b"\r\n\r\n"):
            kind, body = respond(b"")
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)

    return serve


def http2(respond: Respond = page) -> Server:
    """HTTP/2, as many requests as the client has."""

    def serve(connection: socket.socket) -> None:
        state = H2Connection(H2Configuration(client_side=False))
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        bodies: dict[int, bytes] = {}
        while data := connection.recv(65536):
            for event in state.receive_data(data):
                if isinstance(event, RequestReceived):
                    bodies[event.stream_id] = b""
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                elif isinstance(event, StreamEnded):
                    kind, body = respond(bodies[event.stream_id])
                    size = str(len(body))
                    fields = [(":status", "200"), ("content-type", kind), ("content-length", size)]
                    state.send_headers(event.stream_id, fields)
                    state.send_data(event.stream_id, body, end_stream=True)
            connection.sendall(state.data_to_send())

    return serve


def connect_proxy(connection: socket.socket) -> None:
    """An HTTP proxy that knows CONNECT; whatever host is asked for is here."""
    head = until(connection, b"\r\n\r\n")
    _, port = head.split(b" ")[1].rsplit(b":", 1)
    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    relay(connection, int(port))


def socks(connection: socket.socket) -> None:
    """A SOCKS proxy of version 5 (RFC 1928) or 4A; whatever host is asked for is here."""
    if exactly(connection, 1) == b"\x04":
        port = int.from_bytes(exactly(connection, 7)[1:3])
        until(connection, b"\0")
        until(connection, b"\0")
        connection.sendall(b"\0\x5a" + bytes(6))
    else:
        exactly(connection, exactly(connection, 1)[0])
        connection.sendall(b"\5\0")
        exactly(connection, 4)
        exactly(connection, exactly(connection, 1)[0])
        port = int.from_bytes(exactly(connection, 2))
        connection.sendall(b"\5\0\0\1" + bytes(6))
    relay(connection, port)


def relay(connection: socket.socket, port: int) -> None:
    """Passes bytes on to and from a local port, until either side ends."""
    with socket.create_connection((HOST, port), TIMEOUT) as far:
        to = {connection: far, far: connection}
        while ready := select(list(to), [], [], TIMEOUT)[0]:
            for side in ready:
                data = side.recv(65536)
                if not data:
                    return
                to[side].sendall(data)


def script(*steps: bytes, then: Server) -> Server:
    """Says each step, the first at once and each later one when the client said something;
    `then` goes on. An empty step says nothing and waits for the client to begin."""

    def serve(connection: socket.socket) -> None:
        for number, step in enumerate(steps):
            if number and not connection.recv(4096):
                return
            connection.sendall(step)
        then(connection)

    return serve


def skip(size: int, then: Server) -> Server:
    """`then`, behind so many bytes of the client."""

    def serve(connection: socket.socket) -> None:
        exactly(connection, size)
        then(connection)

    return serve


def until(connection: socket.socket, end: bytes) -> bytes:
    """Bytes up to and with `end`, fewer where the client ends before."""
    data = b""
    while not data.endswith(end) and (piece := connection.recv(1)):
        data += piece
    return data


def exactly(connection: socket.socket, size: int) -> bytes:
    """That many bytes. Raises `ConnectionError` where the client ends before."""
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("the client went away")
        data += piece
    return data
