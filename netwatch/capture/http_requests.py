"""Requests to the servers of captures, which may be slow, broken or hostile.

Redirections are followed a few times, only over HTTP, never from HTTPS to HTTP, and never from a
server on the internet to an address of this machine or of a private network; the user and the
password of a URL are only sent to its own server. Nothing is decompressed here: bodies compressed
by the server are recognised like every compressed capture. Bodies are read piece by piece by the
caller, which knows how much it needs.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import urllib3

from netwatch import __version__
from netwatch.capture.remote_file import RemoteError, TransientError
from netwatch.core.exchange import CAPTURES, Exchange
from netwatch.core.text import without_secrets
from netwatch.core.tls_sockets import contexts, open_pool

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

MAX_REDIRECTS = 5
"""Redirections to follow for one request, at most."""

PIECE = 1 << 18
"""Bytes of a body to read at a time."""

_SCHEMES = ("http", "https")
_INSIDE = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *("172.16.0.0/12", "192.168.0.0/16", "::/127", "fc00::/7", "fe80::/10"),
        ),
    )
)
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_REASONS = {
    401: "access is denied (status 401)",
    403: "access is denied (status 403)",
    404: "no such file",
    407: "the proxy denies access",
    410: "no such file any more",
    412: "it has changed since it was listed",
}
_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request, whose body has not been read yet, and its exchange."""

    response: "BaseHTTPResponse"
    exchange: Exchange

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, found in any case."""
        return self.response.headers

    def close(self) -> None:
        """Stop reading it."""
        self.response.close()


def ask(url: str, headers: Mapping[str, str]) -> Answer:
    """Request a URL once; returns the answer with status 200, 206 or 416, whose body has not been
    read. Raises `RemoteError` and `TransientError`."""
    headers = {
        "User-Agent": f"netwatch/{__version__}",
        "Accept-Encoding": "identity",
        **headers,
    }
    user, url = _without_user(url)
    origin = urlsplit(url)[:2]
    for _ in range(MAX_REDIRECTS + 1):
        sent = dict(headers)
        if user and urlsplit(url)[:2] == origin:
            sent |= urllib3.util.make_headers(basic_auth=user)
        answer = _request(url, sent)
        if answer.status in (200, 206, 416):
            return answer
        location = answer.headers.get("Location", "")
        answer.close()
        if answer.status not in (301, 302, 303, 307, 308) or not location:
            raise _refused(answer)
        before, url = url, redirected(url, location)
        if _proxy(url) is None:
            refuse_inside(before, url)
    raise RemoteError(f"the server redirects more than {MAX_REDIRECTS} times")


def body_of(answer: Answer) -> Iterator[bytes]:
    """The body of an answer as it arrives. Raises `TransientError` if it ends too soon or
    hardly comes at all; the connection is closed unless all of it was taken."""
    try:
        while True:
            try:
                with answer.exchange.going_on():
                    piece = answer.response.read1(PIECE, decode_content=False)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise _unanswered(error, answer.exchange) from None
            if not piece:
                break
            yield piece
    finally:
        answer.close()


def _request(url: str, headers: Mapping[str, str]) -> Answer:
    exchange = Exchange(CAPTURES)
    try:
        with exchange.going_on():
            response = _pool(os.getpid(), _proxy(url), url.startswith("https:")).request(
                "GET", url, headers=headers, preload_content=False, redirect=False, retries=False
            )
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unanswered(error, exchange) from None
    except ValueError as error:
        raise RemoteError(f"the URL is not valid: {without_secrets(str(error))}") from None
    exchange.begin_body()
    return Answer(response, exchange)


@cache
def _pool(process: int, proxy: str | None, is_secure: bool) -> "PoolManager":
    """The connections of this process: its parent has others."""
    options = contexts("https:" if is_secure else "http:", proxy or "")
    return open_pool(proxy or "", replace(options, connections=_CONNECTIONS))


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL (``HTTPS_PROXY``, ``NO_PROXY``)."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy and not proxy_bypass(parts.netloc) else None


def _without_user(url: str) -> tuple[str, str]:
    """User and password of a URL, as in the header, and the URL without them."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return unquote(user), urlunsplit(parts._replace(netloc=host, fragment=""))


def redirected(url: str, location: str) -> str:
    """Where a redirection leads. Raises `RemoteError` if it must not be followed."""
    _, target = _without_user(urljoin(url, location))
    before, after = urlsplit(url).scheme, urlsplit(target).scheme
    if after not in _SCHEMES:
        raise RemoteError(f"the server redirects to {after}://, which is not followed")
    if before == "https" and after == "http":
        raise RemoteError("the server redirects from https:// to http://, which is not followed")
    return target


def refuse_inside(before: str, after: str) -> None:
    """Raise `RemoteError` if a redirection leads to this machine or a private network from
    elsewhere: that server could make netwatch request what it cannot reach itself."""
    hosts = urlsplit(before).hostname, urlsplit(after).hostname
    if hosts[0] != hosts[1] and _is_inside(hosts[1]) and not _is_inside(hosts[0]):
        raise RemoteError(
            f"the server redirects to {hosts[1]}, an address of this machine or of a private"
            " network, which is not followed"
        )


def _is_inside(host: str | None) -> bool:
    """Whether a host has an address of this machine or of a private network."""
    try:
        found = socket.getaddrinfo(unquote(host or ""), None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return False  # It cannot be requested either.
    for *_, place in found:
        address = ip_address(str(place[0]).partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in _INSIDE):
            return True
    return False


def _refused(answer: Answer) -> RemoteError | TransientError:
    status = answer.status
    reason = _REASONS.get(status, f"the server answered with status {status}")
    if status not in _TRANSIENT:
        return RemoteError(reason)
    after = answer.headers.get("Retry-After", "")
    return TransientError(reason, float(after[:4]) if after.isascii() and after.isdigit() else None)


def _unanswered(error: Exception, exchange: Exchange) -> RemoteError | TransientError:
    errors = urllib3.exceptions
    if exchange.expired:
        return TransientError(exchange.expired)
    if isinstance(error, errors.NameResolutionError):
        return RemoteError("the name of the server is not known")
    if isinstance(error, errors.SSLError):
        return RemoteError(f"TLS failed: {without_secrets(str(error))}")
    if isinstance(error, errors.NewConnectionError | errors.ProxyError):
        return TransientError("the server cannot be reached")
    if isinstance(error, errors.TimeoutError | TimeoutError):
        return TransientError("no answer")
    return TransientError("the connection broke")
