"""A connection to the server of a fleet.

It ends when it breaks: whoever has it begins anew, with everything that belongs to a connection.
The library's own reconnection would keep a state that may be out of date, and buffer what is
published meanwhile.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.core.tls_sockets import describe_error
from netwatch.sinks.nats import secure_client

CONNECT_SECONDS = 5.0
"""Seconds to connect, with TLS and authentication."""

PING_SECONDS = 10
"""Seconds between two pings; after two without an answer the connection is broken."""

_CLOSE_SECONDS = 1.0

# The library's protocol returns true at the end of a TLS stream, of which asyncio warns each time.
logging.getLogger("asyncio").addFilter(lambda record: "eof_received" not in str(record.msg))


class RefusedError(NetwatchError):
    """The server does not let this user in, or cannot be trusted: somebody has to correct it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The server at `url`, and who connects: the `seed` of a user, or a file of `credentials` of
    NATS. `ca` (PEM) verifies the server, empty for the authorities of the system; `server_name` is
    the name in its certificate where it is not that of `url`. Answers come below `inbox`."""

    url: str
    name: str
    seed: str = ""
    credentials: Path | None = None
    ca: str = ""
    server_name: str = ""
    inbox: str = "_INBOX"

    def arguments(self) -> Mapping[str, Any]:
        """What the library's `connect` takes of this. Raises `NetwatchError` for a `ca` that is
        none."""
        arguments: dict[str, Any] = {"inbox_prefix": self.inbox.encode()}
        if self.seed:
            arguments["nkeys_seed_str"] = self.seed
        if self.credentials is not None:
            arguments["user_credentials"] = str(self.credentials)
        if self.url.startswith("tls:"):
            try:
                arguments["tls"] = ssl.create_default_context(cadata=self.ca or None)
            except (ssl.SSLError, ValueError):
                raise NetwatchError("'ca': expected certificates in PEM") from None
            if self.server_name:
                arguments["tls_hostname"] = self.server_name
        return arguments


class Connection:
    """An open connection: `client` of the library, and `closed`, which is set when it is broken."""

    def __init__(self, peer: Peer) -> None:
        import nats.aio.client

        self._peer = peer
        self._last_error: Exception | None = None
        self.closed = asyncio.Event()
        self.client: Any = secure_client(
            nats.aio.client.Client, require_tls=peer.url.startswith("tls:")
        )

    async def open(self) -> None:
        """Connect. Raises `RefusedError` or `NetwatchError`."""
        import nats.errors

        try:
            await asyncio.wait_for(
                self.client.connect(
                    servers=[self._peer.url],
                    name=self._peer.name,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0.05,
                    connect_timeout=CONNECT_SECONDS,
                    ping_interval=PING_SECONDS,
                    max_outstanding_pings=2,
                    error_cb=self._on_error,
                    closed_cb=self._on_closed,
                    disconnected_cb=self._on_closed,
                    **self._peer.arguments(),
                ),
                2 * CONNECT_SECONDS,
            )
        except (nats.errors.Error, OSError, TimeoutError, NetwatchError) as error:
            await self.close()
            raise self._explained(self._last_error or error) from None
        except asyncio.CancelledError:
            await self.close()
            raise

    def _explained(self, error: Exception) -> NetwatchError:
        server = urlsplit(self._peer.url).netloc
        text = str(error).lower()
        if isinstance(error, ssl.SSLCertVerificationError):
            return RefusedError(
                f"{server}: {describe_error(error)}: the certificate of the server is not of the"
                " authority in the credentials. Enrol the sensor again if the centre has a new one"
            )
        if "authorization" in text or "authentication" in text or "nkey" in text:
            return RefusedError(
                f"{server} refuses these credentials: they were revoked, or are of another centre."
                " 'netwatch fleet enrol' at the centre makes new ones"
            )
        if isinstance(error, NetwatchError):
            return error
        if isinstance(error, TimeoutError):
            return NetwatchError(f"{server}: no answer within {2 * CONNECT_SECONDS:g} s")
        return NetwatchError(f"{server}: {describe_error(error)}" if isinstance(error, OSError)
                             else f"{server}: {error}")  # fmt: skip

    async def _on_error(self, error: Exception) -> None:
        self._last_error = error

    async def _on_closed(self) -> None:
        self.closed.set()

    @property
    def last_error(self) -> Exception | None:
        """What the server or the library said last, as on a subject that is forbidden."""
        return self._last_error

    async def close(self) -> None:
        """Close it, in a bounded time."""
        self.closed.set()
        with suppress(Exception):
            await asyncio.wait_for(self.client.close(), _CLOSE_SECONDS)
