"""An HTTP request to a receiver, and what the status of its response means for delivery.

urllib3 does the work. Redirects are not followed and nothing is retried here. Whatever the receiver
sends, its response is read up to a maximum size and within the timeout.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from netwatch import __version__
from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields
from netwatch.sinks.base import BatchRefusedError, MisconfiguredError, UnavailableError
from netwatch.sinks.options import Option, read_duration, read_url
from netwatch.sinks.tls import TLS_OPTIONS, TlsOptions, describe_error, read_tls_options

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

MAX_ANSWER = 16 << 20
"""Bytes of a receiver's response; a longer one is an error."""

_CHUNK = 65536
_URLLIB3_PREFIX = re.compile(
    r"^(<.*?>|HTTPS?Connection\(.*?\)): (Failed to establish a new connection: )?"
    r"(\[Errno -?\d+\] )?"
)
_RETRY_STATUSES = {408, 425, 429}
_MISCONFIGURED_STATUSES = {401, 403, 404, 405, 407, 410}

HTTP_OPTIONS = (
    Option("proxy", "URL", "An HTTP proxy. The variables of the environment are not used."),
    Option(
        "timeout",
        "duration",
        "Limit for connecting, between two reads, and for a complete response.",
        "10s",
    ),
    *TLS_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The receiver's URL, the proxy (empty: none), the TLS options, and `timeout` in s: to connect,
    between two reads, and for a complete response."""

    url: str
    proxy: str
    timeout: float
    tls: TlsOptions | None


def read_http_options(fields: Fields, base: Path) -> HttpOptions:
    """The keys ``url`` and `HTTP_OPTIONS`."""
    url = read_url(fields)
    proxy = read_url(fields, "proxy", ("http", "https")) if fields.has("proxy") else ""
    tls = read_tls_options(fields, base)
    if tls and url.startswith("http:"):
        fields.add_problem("tls", "'tls' needs an 'url' that starts with https")
    return HttpOptions(url, proxy, read_duration(fields, "timeout", 10), tls)


@dataclass(frozen=True, slots=True)
class Response:
    """What a receiver answered. As text: the status and the start of the body."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        try:
            phrase = f" {HTTPStatus(self.status).phrase}"
        except ValueError:
            phrase = ""
        body = self.body[:500].decode("utf-8", "replace").strip()
        return f"HTTP {self.status}{phrase}" + (f": {body}" if body else "")


class HttpClient:
    """Sends requests to one receiver over a persistent connection."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._pool: PoolManager | None = None

    def request(
        self, url: str, body: bytes, headers: Mapping[str, str], method: str = "POST"
    ) -> Response:
        """Send a request and return the response, whatever its status. Raises
        `UnavailableError` if there is none."""
        import urllib3

        receiver = urlsplit(url).netloc
        try:
            pool = self._pool = self._pool or self._open_pool()
            response = pool.request(
                method,
                url,
                body=body or None,
                headers={"User-Agent": f"netwatch/{__version__}", **headers},
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                data = self._read(response)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except urllib3.exceptions.NewConnectionError as error:
            # This is a subclass of TimeoutError in urllib3, so it has to come first.
            raise UnavailableError(f"{receiver}: {_reason(error)}") from None
        except urllib3.exceptions.TimeoutError:
            raise UnavailableError(
                f"{receiver}: no answer within {self._options.timeout:g} s"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(f"{receiver}: {_reason(error)}") from None
        except NetwatchError as error:
            raise UnavailableError(f"{receiver}: {error}") from None
        return Response(response.status, data, dict(response.headers))

    def _open_pool(self) -> "PoolManager":
        import urllib3

        options = self._options
        tls = options.tls or TlsOptions()
        server_name = tls.server_name or None
        arguments: dict[str, Any] = {
            "timeout": urllib3.Timeout(connect=options.timeout, read=options.timeout),
            "ssl_context": tls.context() if options.url.startswith("https:") else None,
            "server_hostname": server_name,
            "assert_hostname": server_name,
            "maxsize": 1,
        }
        if options.proxy:
            return urllib3.ProxyManager(options.proxy, **arguments)
        return urllib3.PoolManager(**arguments)

    def _read(self, response: "BaseHTTPResponse") -> bytes:
        deadline = time.monotonic() + self._options.timeout
        chunks, size = [], 0
        while chunk := response.read1(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_ANSWER:
                raise UnavailableError(f"an answer of more than {MAX_ANSWER:,} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError("the answer does not end")
        return b"".join(chunks)

    def close(self) -> None:
        """Close the connection. The next request opens it again."""
        if self._pool is not None:
            self._pool.clear()
            self._pool = None


def _reason(error: Exception) -> str:
    """The cause of an error, without the names of urllib3's pools and connections."""
    import urllib3

    while isinstance(error, (urllib3.exceptions.ProxyError, urllib3.exceptions.SSLError)):
        inner = getattr(error, "original_error", None) or (error.args[-1] if error.args else None)
        if not isinstance(inner, Exception):
            break
        error = inner
    if isinstance(error, OSError):
        return describe_error(error)
    return _URLLIB3_PREFIX.sub("", str(error)) or type(error).__name__


def raise_for_status(response: Response) -> Response:
    """Return the response if its status is a success. Raises `MisconfiguredError` if credentials
    or URL have to be corrected, `UnavailableError` if a later attempt may succeed (RFC 9110
    section 15, RFC 6585), and `BatchRefusedError` if these alerts will never be accepted."""
    if 200 <= response.status < 300:
        return response
    if response.status < 400 or response.status in _MISCONFIGURED_STATUSES:
        raise MisconfiguredError(str(response))
    if response.status in _RETRY_STATUSES or response.status >= 500:
        raise UnavailableError(str(response), retry_after(response))
    raise BatchRefusedError(str(response))


def retry_after(response: Response) -> float | None:
    """The header ``Retry-After`` (RFC 9110 section 10.2.3) in s; None if absent or not valid."""
    headers = response.headers.items()
    text = next((value for name, value in headers if name.lower() == "retry-after"), "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
