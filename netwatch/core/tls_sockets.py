"""TLS sockets bounded by their exchange, how a server is verified, and urllib3's connections made
of such sockets.

TLS 1.2 is the minimum. A server's certificate is always verified.
"""

import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3 import PoolManager, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError

from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import Bounded, BoundedSocket, connect, waiting


class TlsSocket(ssl.SSLSocket):
    """A TLS socket that closes itself when the peer resets the connection. Before Python 3.13, a
    reset between connect and handshake left a socket that nothing referred to and whose descriptor
    stayed open until garbage collection."""

    def recv(self, *args: Any) -> bytes:
        """`ssl.SSLSocket.recv`, which closes the socket on a reset."""
        try:
            return super().recv(*args)
        except ConnectionError:
            self.close()
            raise


class BoundedTlsSocket(Bounded, TlsSocket):
    """A TLS socket bounded by its exchange."""

    def do_handshake(self, block: bool = False) -> None:
        """`ssl.SSLSocket.do_handshake` within the exchange."""
        with waiting(self):
            super().do_handshake(block)

    def unwrap(self) -> socket.socket:
        """`ssl.SSLSocket.unwrap` within the exchange."""
        with waiting(self):
            return super().unwrap()


def client_context(ca: Path | None = None) -> ssl.SSLContext:
    """A context for client connections, whose sockets are bounded by their exchange. It trusts the
    certificates in the PEM file `ca`, by default the system's. Raises `NetwatchError` if the file
    is not usable."""
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
    """The text of an error of the system or of OpenSSL."""
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


class _Connection(HTTPConnection):
    """An HTTP connection bounded by its exchange."""

    def _new_conn(self) -> BoundedSocket:
        return _connect(self)


class _SecureConnection(HTTPSConnection):
    """An HTTPS connection bounded by its exchange."""

    def _new_conn(self) -> BoundedSocket:
        return _connect(self)


def _connect(connection: HTTPConnection) -> BoundedSocket:
    """A socket to the receiver or the proxy. Raises TimeoutError or an error of urllib3."""
    try:
        sock = connect(connection.host, connection.port)
    except TimeoutError:
        raise
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from None
    except OSError as error:
        raise NewConnectionError(connection, describe_error(error)) from None
    for option in connection.socket_options or ():
        sock.setsockopt(*option)
    return sock


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """The parameters of connections: the TLS contexts for the server and for the proxy (None
    without TLS), the name that the server's certificate must match (empty for the host itself), the
    number of connections to keep, and the timeout that urllib3 names in its errors; the actual
    limits are the exchange's."""

    context: ssl.SSLContext | None = None
    proxy_context: ssl.SSLContext | None = None
    server_name: str = ""
    connections: int = 1
    timeout: float | None = None


def open_pool(proxy: str, options: PoolOptions) -> PoolManager:
    """A pool of connections, through `proxy` unless that is empty. Each request, and reading its
    answer, must be inside an exchange."""
    arguments: dict[str, Any] = {
        "timeout": Timeout(connect=options.timeout, read=options.timeout),
        "ssl_context": options.context,
        "server_hostname": options.server_name or None,
        "assert_hostname": options.server_name or None,
        "maxsize": options.connections,
    }
    pool = PoolManager(**arguments)
    if proxy:
        pool = ProxyManager(proxy, proxy_ssl_context=options.proxy_context, **arguments)
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return pool


def contexts(url: str, proxy: str) -> PoolOptions:
    """Options for a server at `url` through `proxy`, verified by the system's certificate
    authorities."""
    return PoolOptions(
        client_context() if url.startswith("https:") else None,
        client_context() if proxy.startswith("https:") else None,
    )
