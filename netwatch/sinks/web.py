"""One request over HTTP, and what its status means for delivery.

urllib3 does the work; redirects are not followed and nothing is tried twice here. An
answer is read to a bound and within the time, whatever the receiver sends.
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
from netwatch.sinks.base import DeniedError, RejectedError, UnavailableError
from netwatch.sinks.settings import duration, url
from netwatch.sinks.tls import Tls, plainly
from netwatch.sinks.tls import read as read_tls

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

MAX_ANSWER = 16 << 20
"""Bytes of a receiver's answer; one that is longer cannot be understood."""

_CHUNK = 65536
_NOISE = re.compile(
    r"^(<.*?>|HTTPS?Connection\(.*?\)): (Failed to establish a new connection: )?"
    r"(\[Errno -?\d+\] )?"
)
_LATER = {408, 425, 429}
_MISDIRECTED = {401, 403, 404, 405, 407, 410}


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where to, through which proxy, by whom checked; `timeout` in s: to connect, between
    bytes, and for a whole answer."""

    url: str
    proxy: str
    timeout: float
    tls: Tls | None


def read(fields: Fields, base: Path) -> WebSettings:
    """The keys ``url``, ``proxy``, ``timeout`` and ``tls``."""
    address = url(fields)
    proxy = url(fields, "proxy", ("http", "https")) if fields.has("proxy") else ""
    tls = read_tls(fields, base)
    if tls and address.startswith("http:"):
        fields.add_problem("tls", "'tls' needs an address with https")
    return WebSettings(address, proxy, duration(fields, "timeout", 10), tls)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        try:
            phrase = f" {HTTPStatus(self.status).phrase}"
        except ValueError:
            phrase = ""
        said = self.body[:500].decode("utf-8", "replace").strip()
        return f"HTTP {self.status}{phrase}" + (f": {said}" if said else "")


class Web:
    """Sends requests to the receiver of `settings`, over a connection that is kept."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._pool: PoolManager | None = None

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], method: str = "POST"
    ) -> Answer:
        """POST `body`; the answer of any status. Raises `UnavailableError`."""
        import urllib3

        where = urlsplit(url).netloc
        try:
            pool = self._pool = self._pool or self._opened()
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
            # The library has it as a kind of timeout.
            raise UnavailableError(f"{where}: {_why(error)}") from None
        except urllib3.exceptions.TimeoutError:
            told = f"{where}: no answer within {self._settings.timeout:g} s"
            raise UnavailableError(told) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(f"{where}: {_why(error)}") from None
        except NetwatchError as error:
            raise UnavailableError(f"{where}: {error}") from None
        return Answer(response.status, data, dict(response.headers))

    def _opened(self) -> "PoolManager":
        import urllib3

        tls = self._settings.tls or Tls()
        name = tls.server_name or None
        timeout = urllib3.Timeout(connect=self._settings.timeout, read=self._settings.timeout)
        options: dict[str, Any] = {
            "timeout": timeout,
            "ssl_context": tls.context() if self._settings.url.startswith("https:") else None,
            "server_hostname": name,
            "assert_hostname": name,
            "maxsize": 1,
        }
        if self._settings.proxy:
            return urllib3.ProxyManager(self._settings.proxy, **options)
        return urllib3.PoolManager(**options)

    def _read(self, response: "BaseHTTPResponse") -> bytes:
        deadline = time.monotonic() + self._settings.timeout
        parts, size = [], 0
        while part := response.read1(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                raise UnavailableError(f"an answer of more than {MAX_ANSWER:,} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError("the answer does not end")
        return b"".join(parts)

    def close(self) -> None:
        """Close the connection."""
        if self._pool is not None:
            self._pool.clear()
            self._pool = None


def _why(error: Exception) -> str:
    """The cause, without urllib3's pool and object names around it."""
    import urllib3

    while isinstance(error, (urllib3.exceptions.ProxyError, urllib3.exceptions.SSLError)):
        inner = getattr(error, "original_error", None) or (error.args[-1] if error.args else None)
        if not isinstance(inner, Exception):
            break
        error = inner
    if isinstance(error, OSError):
        return plainly(error)
    return _NOISE.sub("", str(error)) or type(error).__name__


def check(answer: Answer) -> Answer:
    """The answer, where its status is one of success. Raises `DeniedError` where a person has
    to mend credentials or address, `UnavailableError` where it may work later (RFC 9110
    section 15, RFC 6585), `RejectedError` where these alerts never will."""
    if 200 <= answer.status < 300:
        return answer
    if answer.status < 400 or answer.status in _MISDIRECTED:
        raise DeniedError(str(answer))
    if answer.status in _LATER or answer.status >= 500:
        raise UnavailableError(str(answer), retry_after(answer))
    raise RejectedError(str(answer))


def retry_after(answer: Answer) -> float | None:
    """Seconds of the header ``Retry-After`` (RFC 9110 section 10.2.3), if it makes sense."""
    text = next((v for k, v in answer.headers.items() if k.lower() == "retry-after"), "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())
