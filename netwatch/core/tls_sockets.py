"""TLS sockets whose operations end with their exchange, and how a server is verified.

TLS 1.2 is the minimum. The certificate of a server is always verified.
"""

import os
import socket
import ssl
from pathlib import Path
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import Bounded, waiting


class TlsSocket(ssl.SSLSocket):
    """A TLS socket that closes itself when the peer resets the connection. Before Python 3.13, a
    reset between connect and handshake left a socket that nothing referred to and whose descriptor
    stayed open until garbage collection."""

    def recv(self, *args: Any) -> bytes:
        """Receive as `ssl.SSLSocket.recv` does."""
        try:
            return super().recv(*args)
        except ConnectionError:
            self.close()
            raise


class BoundedTlsSocket(Bounded, TlsSocket):
    """A TLS socket whose operations end with the exchange that they belong to."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands as `ssl.SSLSocket.do_handshake` does."""
        with waiting(self):
            super().do_handshake(block)

    def unwrap(self) -> socket.socket:
        """End TLS as `ssl.SSLSocket.unwrap` does."""
        with waiting(self):
            return super().unwrap()


def client_context(ca: Path | None = None) -> ssl.SSLContext:
    """A context for client connections, whose sockets end with the exchange that they belong to. It
    trusts the certificates in the PEM file `ca`, by default those of the system. Raises
    `NetwatchError` if the file is not usable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = BoundedTlsSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise NetwatchError(f"the CA in {ca}: {reason_of(error)}") from None
    return context


def reason_of(error: OSError) -> str:
    """What an error of the system or of OpenSSL says."""
    return error.strerror or str(error)


def describe_error(error: Exception) -> str:
    """Why a connection could not be established, in words for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate rejected: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        # OpenSSL reads a plain-text answer as a TLS record of an unknown version.
        reason = getattr(error, "reason", None)
        plain_text = reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
        return "the server does not speak TLS" if plain_text else f"TLS: {reason or error}"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, ConnectionError) and text.startswith("Connect call failed"):
        return os.strerror(error.errno or 0)  # asyncio replaces the system's message
    return str(text)
