"""urllib3's connections, made of sockets that end with their exchange.

Apart from those who use it, because it imports urllib3, which takes longer than most commands do
without it.
"""

import socket
import ssl
from dataclasses import dataclass
from typing import Any

from urllib3 import PoolManager, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError

from netwatch.core.exchange import BoundedSocket, connect
from netwatch.core.tls_sockets import client_context, describe_error


class _Connection(HTTPConnection):
    """A connection whose socket ends with the exchange."""

    def _new_conn(self) -> BoundedSocket:
        return _connect(self)


class _SecureConnection(HTTPSConnection):
    """The same with TLS."""

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
    """What connections are made with: the contexts of TLS for the server and for the proxy (None
    without TLS), the name that the certificate of the server has to be valid for, empty for the
    host itself, the connections that are kept, and the timeout that urllib3 names in its errors;
    the limits are those of the exchange."""

    context: ssl.SSLContext | None = None
    proxy_context: ssl.SSLContext | None = None
    server_name: str = ""
    connections: int = 1
    timeout: float | None = None


def open_pool(proxy: str, options: PoolOptions) -> PoolManager:
    """A pool of connections, through `proxy` unless that is empty. Each request has to be inside of
    an exchange, and so has reading its answer."""
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
    """Options for a server at `url` through `proxy`, that the authorities of the system vouch
    for."""
    return PoolOptions(
        client_context() if url.startswith("https:") else None,
        client_context() if proxy.startswith("https:") else None,
    )
