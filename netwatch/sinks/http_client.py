"""An HTTP request to a receiver, and what the status of its response means for delivery.

urllib3 does the work. Redirects are not followed and nothing is retried here. A request with its
response is one `exchange`, limited in time and size whatever the receiver sends.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from netwatch import __version__
from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import TooLongError, check_size, exchange
from netwatch.core.file_keys import key
from netwatch.core.tls_sockets import client_context, describe_error
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import DURATION
from netwatch.sinks.base import BatchRefusedError, MisconfiguredError, UnavailableError
from netwatch.sinks.options import (
    TLS,
    TLS_MEANING,
    TlsOptions,
    cleartext_warning,
    insecure_key,
    url_of,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_CHUNK = 65536
_URLLIB3_PREFIX = re.compile(r"^(<.*?>|_?\w*Connection\(.*?\)): ")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_RETRY_STATUSES = {408, 425, 429}
_MISCONFIGURED_STATUSES = {401, 403, 404, 405, 407, 410}

URL = url_of("https", "http")
"""The address of a receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """The receiver's URL, the proxy (empty: none), the TLS options, and the `timeout` in s of a
    request, from connecting until its response is complete. `warning` says what is sent in clear
    text, empty if nothing is. The ``url`` is a key of its own."""

    proxy: str = key(
        url_of("http", "https"),
        "an HTTP proxy; the variables of the environment are not used",
    )
    timeout: float = key(
        DURATION, "limit for a request, from connecting until its response is complete", "10s"
    )
    insecure: bool = insecure_key()
    tls: TlsOptions | None = key(TLS, TLS_MEANING)
    url: str = ""
    warning: str = ""

    def checked(self, fields: Fields, url: str, credential: str) -> Self:
        """The options with the URL, checked together. `credential` is the key of the credential
        sent in a header, empty if there is none."""
        is_clear = url.startswith("http:")
        if self.tls and is_clear:
            fields.add_problem("tls", "'tls' needs an 'url' that starts with https")
        # A proxy forwards such a request, which it can read.
        hosts = [urlsplit(address).hostname or "" for address in (url, self.proxy) if address]
        credential = credential if is_clear else ""
        warning = cleartext_warning(fields, self.insecure, credential, hosts, "use https")
        return replace(self, url=url, warning=warning)


@dataclass(frozen=True, slots=True)
class Response:
    """A receiver's answer. As text: the status and the body, which may repeat secrets. It is not
    shortened here, because what is left of a cut secret cannot be recognised."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        try:
            phrase = f" {HTTPStatus(self.status).phrase}"
        except ValueError:
            phrase = ""
        body = self.body.decode("utf-8", "replace").strip()
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
        `UnavailableError` if there is none, and `MisconfiguredError` if a header cannot be
        sent."""
        import urllib3

        receiver = urlsplit(url).netloc
        _check_headers(headers)
        try:
            with exchange(self._options.timeout):
                return self._exchange(method, url, body, headers)
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            cause = _cause(error)
        except NetwatchError as error:
            raise UnavailableError(f"{receiver}: {error}") from None
        if isinstance(cause, TimeoutError):
            raise UnavailableError(f"{receiver}: no answer within {self._options.timeout:g} s")
        raise UnavailableError(f"{receiver}: {_reason(cause)}")

    def _exchange(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
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
            data = _read(response)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return Response(response.status, data, dict(response.headers))

    def _open_pool(self) -> "PoolManager":
        from netwatch.core.tls_sockets import PoolOptions, open_pool

        options, tls = self._options, self._options.tls or TlsOptions()
        is_secure, is_proxy_secure = (
            address.startswith("https:") for address in (options.url, options.proxy)
        )
        made = PoolOptions(
            tls.context() if is_secure else None,
            client_context() if is_proxy_secure else None,
            tls.server_name,
            timeout=options.timeout,
        )
        return open_pool(options.proxy, made)

    def close(self) -> None:
        """Close the connection. The next request opens it again."""
        if self._pool is not None:
            self._pool.clear()
            self._pool = None


def _check_headers(headers: Mapping[str, str]) -> None:
    """Refuse values that a header cannot have (RFC 9110 section 5.5). The error of the library
    would contain the value, which may be a secret."""
    for name, value in headers.items():
        if not is_header_value(value):
            raise MisconfiguredError(
                f"the value of the header {name} has a line break, a control character or a"
                " character outside of Latin-1, so nothing was sent"
            )


def is_header_value(value: str) -> bool:
    """Whether a header can have this value."""
    return _HEADER_VALUE.fullmatch(value) is not None


def _read(response: "BaseHTTPResponse") -> bytes:
    """The body of a response. It may be compressed, so its size is limited again here."""
    chunks, size = [], 0
    while chunk := response.read1(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        check_size(size)
    return b"".join(chunks)


def _cause(error: Exception) -> Exception:
    """The error that urllib3 wrapped, a builtin TimeoutError for all of its own."""
    import urllib3

    wrapping = (
        urllib3.exceptions.ProxyError,
        urllib3.exceptions.SSLError,
        urllib3.exceptions.ProtocolError,
    )
    while isinstance(error, wrapping):
        inner = getattr(error, "original_error", None) or (error.args[-1] if error.args else None)
        if not isinstance(inner, Exception):
            break
        error = inner
    timeouts = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ReadTimeoutError)
    # A refused connection is a ConnectTimeoutError in urllib3, too.
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    return TimeoutError() if isinstance(error, timeouts) and not refused else error


def _reason(cause: Exception) -> str:
    """A cause in words, without the names of urllib3's pools and connections."""
    if isinstance(cause, TooLongError):
        return str(cause)
    if isinstance(cause, OSError):
        return describe_error(cause)
    return _URLLIB3_PREFIX.sub("", str(cause)) or type(cause).__name__


def raise_for_status(response: Response) -> Response:
    """Return the response if its status is a success. Raises `MisconfiguredError` if credentials or
    URL must be corrected, `UnavailableError` if a later attempt may succeed (RFC 9110 section 15,
    RFC 6585), and `BatchRefusedError` if these alerts will never be accepted."""
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
