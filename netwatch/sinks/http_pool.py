"""urllib3's connections, made of sockets that end with their exchange.

Apart from `http_client`, because it imports urllib3, which takes longer than most commands do
without it.
"""

from typing import Any

from urllib3 import PoolManager, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from netwatch.sinks.exchange import BoundedSocket, connect
from netwatch.sinks.tls import TlsOptions, describe_error


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
    except OSError as error:
        raise NewConnectionError(connection, describe_error(error)) from None
    for option in connection.socket_options or ():
        sock.setsockopt(*option)
    return sock


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def open_pool(url: str, proxy: str, timeout: float, tls: TlsOptions) -> PoolManager:
    """A pool of one connection to the receiver at `url`, through `proxy` unless that is empty.
    Raises `NetwatchError` if a file of `tls` is not usable."""
    server_name = tls.server_name or None
    arguments: dict[str, Any] = {
        "timeout": Timeout(connect=timeout, read=timeout),
        "ssl_context": tls.context() if url.startswith("https:") else None,
        "server_hostname": server_name,
        "assert_hostname": server_name,
        "maxsize": 1,
    }
    pool = PoolManager(**arguments)
    if proxy:
        context = TlsOptions().context() if proxy.startswith("https:") else None
        pool = ProxyManager(proxy, proxy_ssl_context=context, **arguments)
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return pool
