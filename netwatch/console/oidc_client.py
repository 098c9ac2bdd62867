"""What a provider of OpenID Connect says of itself: its addresses and keys, from its discovery
document (OpenID Connect Discovery 1.0), and its answers to requests.

Everything is bounded in time and size, and redirections are not followed.
"""

import ipaddress
import json
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import urllib3
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from netwatch.config.console_section import OidcOptions
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.exchange import PROVIDER, Exchange
from netwatch.core.http_pool import PoolOptions, open_pool
from netwatch.core.tls_sockets import client_context

MAX_ANSWER = 1 << 20
"""Bytes of an answer of the provider."""

KEY_SECONDS = 3600
"""Seconds for which the addresses and keys of the provider are kept."""


class ProviderError(NetwatchError):
    """The provider cannot be asked, or says what cannot be believed."""


class ProviderClient:
    """Asks a provider; thread-safe. Raises `ConfigError` for an issuer without TLS that is not on
    loopback."""

    def __init__(self, options: OidcOptions) -> None:
        _check_address(options.issuer)
        self._options = options
        ca = options.ca_file
        self._pool = open_pool("", PoolOptions(client_context(ca), connections=4))
        self._lock = threading.Lock()
        self._known: tuple[float, Mapping[str, Any], KeySet] | None = None

    def discovered(self, *, again: bool = False) -> tuple[Mapping[str, Any], KeySet]:
        """The addresses and keys of the provider, which are asked for `again` or when they are
        old. Raises `ProviderError`."""
        with self._lock:
            known = self._known
            if known is not None and not again and time.monotonic() - known[0] < KEY_SECONDS:
                return known[1], known[2]
            metadata = self.ask("GET", f"{self._options.issuer}/.well-known/openid-configuration")
            if str(metadata.get("issuer", "")).rstrip("/") != self._options.issuer:
                raise ProviderError("its discovery document names another issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(metadata.get(name), str):
                    raise ProviderError(f"its discovery document has no {name}")
                _check_address(metadata[name])
            try:
                keys = KeySet.import_key_set(self.ask("GET", metadata["jwks_uri"]))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise ProviderError(f"its keys cannot be read: {error}") from None
            self._known = (time.monotonic(), metadata, keys)
            return metadata, keys

    def ask(
        self,
        method: str,
        url: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer of the provider, which has to be an object of JSON."""
        exchange = Exchange(PROVIDER)
        try:
            with exchange.going_on():
                response = self._pool.request(
                    method, url, body=body, redirect=False, preload_content=False, retries=False,
                    headers={"Accept": "application/json", **(headers or {})},
                )  # fmt: skip
                content = response.read(MAX_ANSWER + 1)
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as cause:
            error = exchange.expired or cause
            raise ProviderError(f"{urlsplit(url).netloc} cannot be asked: {error}") from None
        if response.status != 200 or len(content) > MAX_ANSWER:
            raise ProviderError(f"{urlsplit(url).netloc} answered with status {response.status}")
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ProviderError(f"{urlsplit(url).netloc} did not answer with an object of JSON")
        return found


def _check_address(url: str) -> None:
    """Raise `ConfigError` for an address of a provider without TLS that is not on loopback."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback):
        message = "expected an address with https: whoever could change the answers could sign in"
        raise ConfigError([Problem(url, 0, 0, message)])
