"""A TCP proxy between an output and its receiver that injects faults on demand."""

import contextlib
import selectors
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass

CHUNK = 4096


@dataclass
class Fault:
    """What the proxy does with new connections; by default it forwards everything.

    After `reset_after` bytes from the client it resets both connections. With `black_hole` it
    reads nothing. `read_delay` is how long it waits after each `CHUNK`, in s. The fault applies to
    the next `connections` connections."""

    reset_after: int | None = None
    black_hole: bool = False
    read_delay: float = 0.0
    connections: int = 1 << 30


class Proxy:
    """Listens on `port` and forwards to the receiver on the port `target`. With a context it
    terminates TLS. `faults_applied` counts connections with a fault."""

    def __init__(self, target: int, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._target = target
        self._context = context
        self.fault = Fault()
        self.faults_applied = 0
        self.bytes_from_client = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            fault = self.fault
            if fault.connections <= 0:
                fault = Fault()
            else:
                fault.connections -= 1
            if fault != Fault(connections=fault.connections):
                self.faults_applied += 1
            with self._lock:
                self._open.add(client)
            threading.Thread(target=self._serve, args=(client, fault), daemon=True).start()

    def _serve(self, client: socket.socket, fault: Fault) -> None:
        server = None
        try:
            if fault.black_hole:
                self._ended.wait()
                return
            server = socket.create_connection(("127.0.0.1", self._target), 5)
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._forward(client, server, fault)
        except OSError:
            pass
        finally:
            for each in filter(None, (client, server)):
                with contextlib.suppress(OSError):
                    each.close()
            with self._lock:
                self._open.discard(client)

    def _forward(self, client: socket.socket, server: socket.socket, fault: Fault) -> None:
        from_client = 0
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while ready.get_map() and not self._ended.is_set():
                for key, _ in ready.select(0.05):
                    source, target = key.fileobj, key.data
                    try:
                        data = source.recv(CHUNK)
                        # Data that TLS has already decrypted is not reported by a selector.
                        while isinstance(source, ssl.SSLSocket) and source.pending():
                            data += source.recv(source.pending())
                    except ConnectionError:
                        return reset(client, server)
                    if not data:
                        ready.unregister(source)
                        with contextlib.suppress(OSError):
                            target.shutdown(socket.SHUT_WR)
                        continue
                    if source is client:
                        from_client += len(data)
                        self.bytes_from_client += len(data)
                        if fault.reset_after is not None and from_client > fault.reset_after:
                            return reset(client, server)
                        time.sleep(fault.read_delay)
                    target.sendall(data)
        return None

    def end(self) -> None:
        """Close all connections."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.close()


def reset(*sockets: socket.socket) -> None:
    """Close with a RST, as if the peer had crashed."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()
