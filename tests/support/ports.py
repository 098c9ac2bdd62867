"""TCP and UDP ports on loopback."""

import contextlib
import secrets
import socket


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port on which nothing listens now. It is below the ephemeral ports of clients, so that it
    is still free when it is used."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def is_listening(port: int) -> bool:
    """Whether a TCP server accepts connections on a port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
