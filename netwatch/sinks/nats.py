"""NATS JetStream, by nats-py (the extra ``netwatch[nats]``).

Each alert is published with its key as ``Nats-Msg-Id``, by which a stream drops
repetitions within its duplicate window, and counts as delivered when the stream has
acknowledged it.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields
from netwatch.sinks.base import (
    Again,
    Delivered,
    DeniedError,
    Item,
    Outcome,
    Refused,
    UnavailableError,
)
from netwatch.sinks.secrets import Secret, take
from netwatch.sinks.settings import Credentials, credentials, duration, given, url
from netwatch.sinks.tls import Tls, plainly
from netwatch.sinks.tls import read as read_tls

_T = TypeVar("_T")
_DENIALS = ("authorization", "authentication", "permissions", "nkeys", "account")


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """`servers` are addresses with nats or tls; `timeout` in s for each step."""

    servers: tuple[str, ...]
    subject: str
    token: Secret | None
    credentials: Credentials
    creds: Path | None
    timeout: float
    tls: Tls | None

    def secrets(self) -> tuple[Secret, ...]:
        """The token or the password."""
        return given(self.token, self.credentials.password)

    def open(self) -> "NatsSink":
        """The sink. Raises `NetwatchError` where the library is not installed."""
        return NatsSink(self)


def read(fields: Fields, base: Path) -> NatsSettings:
    """The keys ``url``, ``subject``, ``token``, ``user``, ``password``, ``creds``,
    ``timeout`` and ``tls``."""
    address = url(fields, schemes=("nats", "tls"))
    subject = fields.text("subject", "netwatch.alert")
    tokens = subject.split(".")
    if not all(tokens) or set(subject) & set(" *>\t") or not subject.isprintable():
        fields.add_problem("subject", f"'subject' is '{subject}', expected one like netwatch.alert")
    token, user = take(fields, "token", base), credentials(fields, base)
    creds = fields.text("creds")
    if creds and not (base / creds).is_file():
        fields.add_problem("creds", f"'creds': there is no file {base / creds}")
    if sum(map(bool, (token, user.user, creds))) > 1:
        fields.add_problem(None, "only one of 'token', 'user' and 'creds' can be used")
    timeout, tls = duration(fields, "timeout", 10), read_tls(fields, base)
    path = base / creds if creds else None
    return NatsSettings((address,), subject, token, user, path, timeout, tls)


class NatsSink:
    """Publishes to one subject; holds no connection while idle, because nobody would answer
    the server's pings."""

    batch = 500

    def __init__(self, settings: NatsSettings) -> None:
        try:
            import nats.aio.client
        except ImportError:
            told = "an output of type nats needs: pip install 'netwatch[nats]'"
            raise NetwatchError(told) from None
        self._library = nats
        self._settings = settings
        self._runner: asyncio.Runner | None = None
        self._client: Any = None
        self._error: Exception | None = None

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(work)

    async def _connected(self) -> Any:
        if self._client is not None and self._client.is_connected:
            return self._client
        settings = self._settings
        options: dict[str, Any] = {}
        if settings.token is not None:
            options["token"] = settings.token.value()
        if settings.credentials.password is not None:
            options["user"] = settings.credentials.user
            options["password"] = settings.credentials.password.value()
        if settings.creds is not None:
            options["user_credentials"] = str(settings.creds)
        if settings.tls is not None or settings.servers[0].startswith("tls:"):
            tls = settings.tls or Tls()
            options["tls"] = tls.context()
            if tls.server_name:
                options["tls_hostname"] = tls.server_name
        self._error = None
        if self._client is not None:
            await self._ended(self._client)
        self._client = _client(self._library.aio.client.Client, "tls" in options)
        await self._client.connect(
            servers=list(settings.servers),
            name="netwatch",
            # Waiting and trying again is the courier's business.
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0.05,
            connect_timeout=settings.timeout,
            error_cb=self._heard,
            **options,
        )
        return self._client

    async def _ended(self, client: Any) -> None:
        """Close a connection, or let the library finish doing so."""
        with suppress(Exception):
            await asyncio.wait_for(client.close(), self._settings.timeout)
        closing = asyncio.all_tasks() - {asyncio.current_task()}
        if closing:
            await asyncio.wait(closing, timeout=1)

    async def _heard(self, error: Exception) -> None:
        self._error = error

    def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Publish a batch and wait for the acknowledgements."""
        return self._tried(self._publish(items))

    def _tried(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return self._run(work)
        except (self._library.errors.Error, NetwatchError, OSError, TimeoutError) as error:
            cause = self._error or error
            self.close()
            if isinstance(error, UnavailableError):
                raise
            told = self._told(cause)
            if isinstance(error, NetwatchError) or any(w in told.lower() for w in _DENIALS):
                raise DeniedError(told) from None
            raise UnavailableError(told) from None

    def _told(self, cause: Exception) -> str:
        """Why, in plain words, without the library's around it."""
        where = urlsplit(self._settings.servers[0]).netloc
        return f"{where}: {plainly(cause)}" if isinstance(cause, OSError) else str(cause)

    async def _publish(self, items: Sequence[Item]) -> list[Outcome]:
        client = await self._connected()
        stream = client.jetstream(timeout=self._settings.timeout)
        return list(await asyncio.gather(*(self._one(stream, item) for item in items)))

    def reach(self) -> str:
        """Connect, and ask which stream takes the subject."""
        return self._tried(self._looked())

    async def _looked(self) -> str:
        subject = self._settings.subject
        stream = (await self._connected()).jetstream(timeout=self._settings.timeout)
        try:
            name = await stream.find_stream_name_by_subject(subject)
        except self._library.js.errors.NotFoundError:
            raise UnavailableError(f"no stream takes the subject {subject}") from None
        except self._library.js.errors.ServiceUnavailableError:
            raise UnavailableError("connected, but JetStream is not switched on") from None
        return f"connected, stream {name} takes the subject {subject}"

    async def _one(self, stream: Any, item: Item) -> Outcome:
        errors = self._library.errors
        jetstream = self._library.js.errors
        try:
            ack = await stream.publish(
                self._settings.subject,
                item.text.encode("utf-8", "backslashreplace"),
                headers={"Nats-Msg-Id": item.key},
                timeout=self._settings.timeout,
            )
        except errors.MaxPayloadError:
            return Refused("larger than the server takes")
        except jetstream.NoStreamResponseError:
            return Again(f"no stream takes the subject {self._settings.subject}")
        except jetstream.APIError as error:
            return Again(f"{error.code} {error.description}")
        again = ", was there already" if ack.duplicate else ""
        return Delivered(f"acknowledged: stream {ack.stream}, number {ack.seq}{again}")

    def rest(self) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection and its loop."""
        if self._runner is None:
            return
        if self._client is not None:
            self._run(self._ended(self._client))
            self._client = None
        self._runner.close()
        self._runner = None


def _client(base: Any, secured: bool) -> Any:
    """A client that tells nothing in clear where TLS was asked for: the library goes by what
    the server says of itself, which anybody on the way can say too."""

    class Client(base):  # type: ignore[misc]
        def _connect_command(self) -> Any:
            if secured and not self._server_info.get("tls_required"):
                raise UnavailableError("the server speaks no TLS, so it is told nothing")
            return super()._connect_command()

    return Client()
