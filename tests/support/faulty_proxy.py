"""A TCP proxy that stands between an output and its receiver and misbehaves on demand."""

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
    """What the proxy does with new connections: pass everything on where nothing is set.
    `reset_after` bytes of the client's it resets both; with `hole` it takes no byte;
    `pause` is the time in s behind each `CHUNK`; `connections` is for how many connections
    the fault holds, then all is well."""

    reset_after: int | None = None
    hole: bool = False
    pause: float = 0.0
    connections: int = 1 << 30


class Proxy:
    """Listens on a port of its own, for the receiver on `target`; with a context it speaks
    TLS in that one's place."""

    def __init__(self, target: int, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._target = target
        self._context = context
        self.fault = Fault()
        self.met = 0
        self.passed = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._ended = False
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
                self.met += 1
            with self._lock:
                self._open.add(client)
            threading.Thread(target=self._serve, args=(client, fault), daemon=True).start()

    def _serve(self, client: socket.socket, fault: Fault) -> None:
        server = None
        try:
            if fault.hole:
                while not self._ended:
                    time.sleep(0.01)
                return
            server = socket.create_connection(("127.0.0.1", self._target), 5)
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pass(client, server, fault)
        except OSError:
            pass
        finally:
            for each in filter(None, (client, server)):
                with contextlib.suppress(OSError):
                    each.close()
            with self._lock:
                self._open.discard(client)

    def _pass(self, client: socket.socket, server: socket.socket, fault: Fault) -> None:
        passed = 0
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while ready.get_map() and not self._ended:
                for key, _ in ready.select(0.05):
                    source, far = key.fileobj, key.data
                    try:
                        data = source.recv(CHUNK)
                        # What TLS has unpacked already shows on no selector.
                        while isinstance(source, ssl.SSLSocket) and source.pending():
                            data += source.recv(source.pending())
                    except ConnectionError:
                        return reset(client, server)
                    if not data:
                        ready.unregister(source)
                        with contextlib.suppress(OSError):
                            far.shutdown(socket.SHUT_WR)
                        continue
                    if source is client:
                        passed += len(data)
                        self.passed += len(data)
                        if fault.reset_after is not None and passed > fault.reset_after:
                            return reset(client, server)
                        time.sleep(fault.pause)
                    far.sendall(data)
        return None

    def end(self) -> None:
        """Close all."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.close()


def reset(*sockets: socket.socket) -> None:
    """Close with a RST, as the crash of a peer does."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()
