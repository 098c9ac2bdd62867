"""How a sensor or a centre connects to the server of a fleet, and the one file that a sensor needs
for it: the centre's address, the sensor's identity and its proof.

The centre makes it (``netwatch fleet enrol NAME``), the administrator copies it to the sensor. It
is a YAML file, so that a person can read it, and readable for its owner only.

A connection ends when it breaks: its owner starts again, with everything that belongs to a
connection. The library's own reconnection would keep a state that may be out of date, and buffer
what is published meanwhile.
"""

import asyncio
import logging
import os
import ssl
import stat
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.text import EXPECTED, is_sensor_name
from netwatch.core.tls_sockets import describe_error
from netwatch.core.user_yaml import Fields, Problems
from netwatch.fleet.access import public_key
from netwatch.rules.documents import read_document
from netwatch.sinks.nats import secure_client

SCHEMA = "netwatch.credentials/1"
"""The version of the file."""

FILE_MODE = 0o600

CONNECT_SECONDS = 5.0
"""Seconds to connect, with TLS and authentication."""

PING_SECONDS = 10
"""Seconds between two pings; after two without an answer the connection is broken."""

_CLOSE_SECONDS = 1.0

CANCEL_SECONDS = 5.0
"""Seconds after which a task that is still running is cancelled again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorCredentials:
    """A sensor's information about its centre: the URL of the server, the `seed` of its user there,
    the authority that verifies the server (PEM; empty for the system's), and the public key
    (Ed25519, hexadecimal; empty if there is none) that verifies what is published to it."""

    sensor: str
    centre: str
    seed: str
    ca: str = ""
    publisher: str = ""


def write_credentials(path: Path, credentials: SensorCredentials) -> None:
    """Write a new file. Raises `NetwatchError` if it exists or cannot be written."""
    lines = [
        f"# The credentials of the sensor {credentials.sensor}. Anyone with this file can report",
        "# in its name: only the user of netwatch may be able to read it.",
        f"# 'netwatch fleet revoke {credentials.sensor}' at the centre makes it void.",
        f"schema: {SCHEMA}",
        f"sensor: {credentials.sensor}",
        f'centre: "{credentials.centre}"',
        f"seed: {credentials.seed}",
    ]
    if credentials.publisher:
        lines.append(f'publisher: "{credentials.publisher}"')
    if credentials.ca:
        lines += ["ca: |", *(f"  {line}" for line in credentials.ca.splitlines())]
    write_private(path, "\n".join(lines) + "\n")


def write_private(path: Path, content: str | bytes) -> None:
    """Write a new file for its owner only. Raises `NetwatchError` if it exists."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(path, flags, FILE_MODE), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise NetwatchError(f"{path} exists already") from None
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None


def read_credentials(path: Path, sensor: str = "") -> SensorCredentials:
    """The credentials in a file, which must be `sensor`'s, if given. Raises `ConfigError` with file
    and line."""
    problems = Problems()
    _check_mode(path, problems)
    mapping = read_document(path, problems)
    if mapping is None:
        problems.raise_if_any()
    assert mapping is not None
    fields = Fields(mapping, str(path), problems, "the credentials")
    schema = fields.text("schema", required=f"{SCHEMA}, the version of this file")
    if schema and schema != SCHEMA:
        fields.add_mismatch("schema", f"{SCHEMA}; a newer centre needs a newer netwatch here")
    name = fields.text("sensor", required="the name of the sensor")
    if name and not is_sensor_name(name):
        fields.add_mismatch("sensor", EXPECTED)
    elif sensor and name and name != sensor:
        fields.add_problem(
            "sensor",
            f"these are the credentials of '{name}', and 'fleet' calls this sensor '{sensor}'",
        )
    ca = fields.text("ca")
    found = SensorCredentials(
        sensor=name,
        centre=fields.text("centre", required="the URL of the centre"),
        seed=fields.text("seed", required="the seed of the sensor's user"),
        ca=f"{ca}\n" if ca else "",
        publisher=fields.text("publisher"),
    )
    if found.seed:
        try:
            public_key(found.seed)
        except NetwatchError as error:
            fields.add_problem("seed", f"'seed': {error}")
    problems.raise_if_any()
    return found


def _check_mode(path: Path, problems: Problems) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError.of(str(path), f"cannot be read: {error.strerror}") from None
    if mode & 0o077:
        problems.add(
            str(path),
            0,
            f"has mode {stat.S_IMODE(mode):o}, expected one that lets only its owner read it:"
            " chmod 600 restricts it",
        )


# The library's protocol returns true at the end of a TLS stream, which makes asyncio warn each
# time.
logging.getLogger("asyncio").addFilter(lambda record: "eof_received" not in str(record.msg))


class RefusedError(NetwatchError):
    """The server does not admit this user, or cannot be trusted: somebody must correct it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The server at `url`, and the user: the `seed` of a user, or a file of NATS `credentials`.
    `ca` (PEM) verifies the server, empty for the system's authorities; `server_name` is the name in
    its certificate if it differs from `url`'s. Answers arrive below `inbox`."""

    url: str
    name: str
    seed: str = ""
    credentials: Path | None = None
    ca: str = ""
    server_name: str = ""
    inbox: str = "_INBOX"

    def arguments(self) -> Mapping[str, Any]:
        """The arguments of the library's `connect`. Raises `NetwatchError` for an invalid `ca`."""
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
    """An open connection: the library's `client`, and `closed`, which is set when it is broken."""

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
                f"{server} refuses these credentials: they were revoked, or belong to another"
                " centre."
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

    async def close(self) -> None:
        """Close it, in a bounded time."""
        self.closed.set()
        with suppress(Exception):
            await asyncio.wait_for(self.client.close(), _CLOSE_SECONDS)


async def run_together(works: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Run these until the first of them ends, and raise its error, if it has one. The others have
    then ended, too."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(tasks)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until all have ended: before Python 3.12, `asyncio.wait_for` swallows a
    cancellation that comes at the moment of a result, and libraries use it. So does a task that
    catches it while it closes something."""
    running, cancelled = {*tasks}, None
    while running := {task for task in running if not task.done()}:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=CANCEL_SECONDS)
        except asyncio.CancelledError as error:
            cancelled = error
    await asyncio.gather(*tasks, return_exceptions=True)
    if cancelled is not None:
        raise cancelled
