"""NATS JetStream, by nats-py (the extra ``netwatch-bans[nats]``).

Each alert is published with its key as ``Nats-Msg-Id``, by which a stream drops duplicates within
its duplicate window. It counts as delivered when the stream has acknowledged it.

The event loop never holds its thread longer than requested. asyncio waits for two things without a
limit: a name that is being resolved, when a loop is closed, and data that a peer does not read,
when a connection is closed. Names are therefore resolved by `exchange.in_background`, and
connections that did not close in time are aborted.
"""

import asyncio
import socket
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import Background
from netwatch.core.file_keys import beside, key
from netwatch.core.installing import install_command
from netwatch.core.tls_sockets import describe_error
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import DURATION, TEXT
from netwatch.sinks.base import (
    Delivered,
    MisconfiguredError,
    Outcome,
    OutgoingAlert,
    Refused,
    Retry,
    UnavailableError,
)
from netwatch.sinks.options import (
    FILE,
    TLS,
    TLS_MEANING,
    Credentials,
    TlsOptions,
    check_credentials,
    cleartext_warning,
    first_present,
    insecure_key,
    only_secrets,
    url_of,
)
from netwatch.sinks.secrets import SECRET, Secret


class Loop(asyncio.SelectorEventLoop):
    """A selector loop that knows its connections."""

    def __init__(self) -> None:
        super().__init__()
        self._opened: list[asyncio.BaseTransport] = []
        # Leftovers of a failed connection are of no interest.
        self.set_exception_handler(lambda *_: None)

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Resolve a name in a thread that nothing waits for when the loop is closed."""
        lookup = Background(lambda: socket.getaddrinfo(host, port, **options))
        while not lookup.is_done:
            await asyncio.sleep(0.005)
        return lookup.result(1)

    async def create_connection(self, *args: Any, **keys: Any) -> Any:
        """Connect, and remember the connection for `abort`."""
        transport, protocol = await super().create_connection(*args, **keys)
        self._opened.append(transport)
        return transport, protocol

    async def abort(self) -> None:
        """Close all connections at once, even those with unread data."""
        for transport in self._opened:
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        self._opened.clear()
        await asyncio.sleep(0)  # Sockets are closed in the next round of the loop.


_T = TypeVar("_T")
_CLOSE_TIMEOUT = 0.5
_LAST_ANSWERS = 0.1
_MISCONFIGURATION_WORDS = ("authorization", "authentication", "permissions", "nkeys", "account")


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """`url` has the scheme nats or tls. At most one of `token`, `credentials` and `creds_file` is
    set. `timeout` in s applies to a whole batch. `cleartext` says what is sent in clear text, empty
    if nothing is."""

    url: str = key(url_of("nats", "tls"), "the server, `nats://` or `tls://`", required="a URL")
    subject: str = key(TEXT, "the subject. A stream must be bound to it", "netwatch.alert")
    token: Secret | None = key(SECRET, "a token. Excludes `user` and `creds`")
    credentials: Credentials = key(beside(Credentials, check_credentials), "")
    creds_file: Path | None = key(
        FILE, "a credentials file (JWT and NKey). Excludes `token` and `user`", name="creds"
    )
    timeout: float = key(DURATION, "limit for a batch: to connect, send and acknowledge", "10s")
    insecure: bool = insecure_key()
    tls: TlsOptions | None = key(TLS, TLS_MEANING)
    cleartext: str = ""

    def checked(self, fields: Fields, _: Path) -> Self:
        """The options, checked together."""
        subject = self.subject
        if not all(subject.split(".")) or set(subject) & set(" *>\t") or not subject.isprintable():
            fields.add_mismatch("subject", "a subject like netwatch.alert")
        if sum(map(bool, (self.token, self.credentials.user, self.creds_file))) > 1:
            fields.add_problem(None, "only one of 'token', 'user' and 'creds' can be used")
        is_clear = self.tls is None and self.url.startswith("nats:")
        # A credentials file signs a challenge of the server; its key is not sent.
        credential = first_present(fields, "token", "password") if is_clear else ""
        hosts = [urlsplit(self.url).hostname or ""]
        warning = cleartext_warning(fields, self.insecure, credential, hosts, "use tls:// or 'tls'")
        return replace(self, cleartext=warning)

    def secrets(self) -> tuple[Secret, ...]:
        """The token, the password or the credentials file."""
        creds = Secret("", self.creds_file, with_lines=True) if self.creds_file else None
        return only_secrets(self.token, self.credentials.password, creds)

    def warning(self) -> str:
        """The data sent in clear text."""
        return self.cleartext

    def open(self) -> "NatsSink":
        """Create the sink. Raises `NetwatchError` if the library is not installed."""
        return NatsSink(self)


class NatsSink:
    """Publishes to one subject. It keeps no connection while idle, because its event loop does not
    run then and nothing would answer the server's pings."""

    max_batch = 500

    def __init__(self, options: NatsOptions) -> None:
        try:
            import nats.aio.client
        except ImportError:
            command = install_command("nats")
            raise NetwatchError(f"an output of type nats needs an extra: {command}") from None
        self._library = nats
        self._options = options
        self._server = urlsplit(options.url).netloc
        self._runner: asyncio.Runner | None = None
        self._client: Any = None
        self._lost: asyncio.Future[None] | None = None
        self._last_error: Exception | None = None

    def connect_arguments(self) -> dict[str, Any]:
        """The arguments of the library's `connect` from the options."""
        options = self._options
        arguments: dict[str, Any] = {}
        if options.token is not None:
            arguments["token"] = options.token.value()
        if options.credentials.password is not None:
            arguments["user"] = options.credentials.user
            arguments["password"] = options.credentials.password.value()
        if options.creds_file is not None:
            arguments["user_credentials"] = str(options.creds_file)
        if options.tls is not None or options.url.startswith("tls:"):
            tls = options.tls or TlsOptions()
            arguments["tls"] = tls.context()
            if tls.server_name:
                arguments["tls_hostname"] = tls.server_name
        return arguments

    async def connect(self) -> Any:
        """The library's client, connected."""
        if self._client is not None and self._client.is_connected:
            return self._client
        arguments = self.connect_arguments()
        self._last_error = None
        if (former := self._client) is not None:
            self._client = None
            await self._disconnect(former)
        client = secure_client(self._library.aio.client.Client, require_tls="tls" in arguments)

        was_connected = False

        async def on_closed() -> None:
            lost = self._lost if was_connected and client is self._client else None
            if lost is not None and not lost.done():
                lost.set_result(None)

        self._client = client
        await client.connect(
            servers=[self._options.url],
            name="netwatch",
            # The delivery worker waits and retries, not the library.
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0.05,
            connect_timeout=self._options.timeout,
            error_cb=self._on_error,
            closed_cb=on_closed,
            **arguments,
        )
        was_connected = True
        return client

    async def _disconnect(self, client: Any) -> None:
        """Close a connection and let the library's background tasks finish."""
        # The connection is given up, however it ends; its alerts were answered, or are not.
        with suppress(Exception):
            await asyncio.wait_for(client.close(), _CLOSE_TIMEOUT)
        background_tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if background_tasks:
            await asyncio.wait(background_tasks, timeout=_CLOSE_TIMEOUT)
        loop = asyncio.get_running_loop()
        if isinstance(loop, Loop):
            await loop.abort()

    async def _on_error(self, error: Exception) -> None:
        self._last_error = error

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Publish a batch and wait for the acknowledgements."""
        return self._run(self.publish(alerts))

    def check_connection(self) -> str:
        """Connect and ask which stream is bound to the subject."""
        return self._run(self.examine())

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine to its end; its errors are raised as `Sink.send` documents."""
        self._runner = self._runner or asyncio.Runner(loop_factory=Loop)
        try:
            return self._runner.run(self._in_time(work))
        except (self._library.errors.Error, NetwatchError, OSError, TimeoutError) as error:
            cause = self._last_error or error
            self.close()
            if isinstance(error, UnavailableError):
                raise
            text = self._describe(cause)
            words = text.lower()
            if isinstance(error, NetwatchError) or any(w in words for w in _MISCONFIGURATION_WORDS):
                raise MisconfiguredError(text) from None
            raise UnavailableError(text) from None

    async def _in_time(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await a coroutine. Everything that it waits for shares one deadline. The library would
        wait until then for answers on a lost connection."""
        async with asyncio.timeout(self._options.timeout):
            self._lost = lost = asyncio.get_running_loop().create_future()
            task = asyncio.ensure_future(work)
            try:
                await asyncio.wait((task, lost), return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    await asyncio.wait((task,), timeout=_LAST_ANSWERS)
                if not task.done():
                    raise ConnectionResetError("the connection was lost before the answer")
                return task.result()
            finally:
                task.cancel()

    def _describe(self, cause: Exception) -> str:
        if isinstance(cause, TimeoutError):
            return f"{self._server}: no answer within {self._options.timeout:g} s"
        if isinstance(cause, OSError):
            return f"{self._server}: {describe_error(cause)}"
        return str(cause)

    async def publish(self, alerts: Sequence[OutgoingAlert]) -> list[Outcome]:
        """Publish a batch; returns the outcome of each alert."""
        client = await self.connect()
        jetstream = client.jetstream(timeout=self._options.timeout)
        return list(
            await asyncio.gather(*(self._publish_one(jetstream, alert) for alert in alerts))
        )

    async def _publish_one(self, jetstream: Any, alert: OutgoingAlert) -> Outcome:
        errors = self._library.errors
        jetstream_errors = self._library.js.errors
        try:
            ack = await jetstream.publish(
                self._options.subject,
                alert.text.encode("utf-8", "backslashreplace"),
                headers={"Nats-Msg-Id": alert.key},
                timeout=self._options.timeout,
            )
        except errors.MaxPayloadError:
            return Refused("larger than the server's maximum payload")
        except jetstream_errors.NoStreamResponseError:
            return Retry(f"no stream is bound to the subject {self._options.subject}")
        except jetstream_errors.APIError as error:
            return Retry(f"{error.code} {error.description}")
        duplicate = ", already present" if ack.duplicate else ""
        return Delivered(f"acknowledged: stream {ack.stream}, number {ack.seq}{duplicate}")

    async def examine(self) -> str:
        """Connect and go as far as possible without publishing; returns how far, for people."""
        subject = self._options.subject
        jetstream = (await self.connect()).jetstream(timeout=self._options.timeout)
        try:
            stream = await jetstream.find_stream_name_by_subject(subject)
        except self._library.js.errors.NotFoundError:
            raise UnavailableError(f"no stream is bound to the subject {subject}") from None
        except self._library.js.errors.ServiceUnavailableError:
            raise UnavailableError("connected, but JetStream is not enabled") from None
        return f"connected, stream {stream} is bound to the subject {subject}"

    def on_idle(self) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection and the event loop."""
        if self._runner is None:
            return
        if self._client is not None:
            self._runner.run(self._disconnect(self._client))
            self._client = None
        self._runner.close()
        self._runner = None


def secure_client(base: Any, *, require_tls: bool) -> Any:
    """A client that never sends credentials in clear text if TLS was requested. The library by
    itself would follow what the server announces, which anybody on the path can forge."""

    class Client(base):  # type: ignore[misc]
        def _connect_command(self) -> Any:
            if require_tls and not self._server_info.get("tls_required"):
                raise UnavailableError("the server does not offer TLS, so nothing was sent to it")
            return super()._connect_command()

    return Client()
