"""The server of a centre: its NATS server as a process, which is restarted if it dies; how a centre
connects to it, or to an existing one; and the stream, buckets and consumers, which the centre
creates if they are missing."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from netwatch.config.fleet_section import FleetOptions, ServerOptions
from netwatch.core.errors import NetwatchError
from netwatch.core.system.kernel import end_with_parent
from netwatch.fleet.access import (
    HEALTH_BUCKET,
    MAX_PAYLOAD,
    PUBLISHED_BUCKET,
    ROOT,
    STREAM,
    STREAM_KINDS,
)
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.connection import Connection, Peer

HEALTH_SECONDS = 60.0
"""How long a bucket keeps the last sign of life of a sensor."""

PUBLISHED_HISTORY = 8
"""Revisions of what is published to keep in a bucket."""

DUPLICATE_SECONDS = 300.0
"""How long the stream remembers the ids of messages, to drop repeated ones."""

MAX_PENDING = 256
"""Messages of one kind of a sensor that the stream keeps, at most; the sensor keeps the others."""

MIN_PENDING = 20
"""The same, at least: a content in parts must fit in."""

ACK_SECONDS = 60.0
"""How long the centre has to commit a message before it is redelivered."""

CONSUMERS = {"alerts": ("alerts",), "facts": ("facts", "coverage"), "applied": ("applied",)}
"""The kinds of messages of each consumer. What must stay in order has one consumer."""

PROGRAM = "nats-server"

RESTART_DELAYS = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the server is started again, after one failure, two, and so on."""

STEADY = 60.0
"""Seconds after which a server that runs counts as one that has not failed."""

END_SECONDS = 10.0
"""Seconds that the server has to end by itself."""

_POLL = 0.1


def centre_peer(options: FleetOptions, folder: CentreFolder) -> Peer:
    """The server, and the centre as its user. Raises `NetwatchError` if keys are missing."""
    server = options.server
    assert server is not None
    scheme, _, _ = options.centre.partition("://")
    name = options.centre.rpartition("/")[2]
    host = name.rpartition(":")[0] or name
    if server.join:
        url, host = server.join, ""
    else:
        listening = server.host if server.host not in ("0.0.0.0", "::") else "127.0.0.1"
        address = f"[{listening}]" if ":" in listening else listening
        url = f"{scheme}://{address}:{server.port}"
    return Peer(
        url=url,
        name="netwatch centre",
        seed="" if server.credentials else folder.seed,
        credentials=server.credentials,
        ca=folder.ca,
        server_name=host.strip("[]"),
    )


async def try_server(options: FleetOptions, folder: CentreFolder) -> None:
    """Connect to the server once. Raises `NetwatchError` if it does not answer, or does not let
    the centre in."""
    connection = Connection(centre_peer(options, folder))
    await connection.open()
    await connection.close()


def pending_limit(max_bytes: int) -> int:
    """How many messages of one kind of a sensor a stream of so many bytes keeps: one sensor uses a
    quarter of it at most."""
    share = max_bytes // (4 * len(STREAM_KINDS) * MAX_PAYLOAD)
    return max(MIN_PENDING, min(MAX_PENDING, share))


async def prepare(jetstream: Any, options: ServerOptions) -> None:
    """Create what is missing, and apply the limits of the configuration to the rest; on an existing
    server, its administrator decides on these. Raises errors of the library."""
    from nats.js.api import (
        AckPolicy,
        ConsumerConfig,
        DiscardPolicy,
        KeyValueConfig,
        RetentionPolicy,
        StorageType,
        StreamConfig,
    )
    from nats.js.errors import NotFoundError

    stream = StreamConfig(
        name=STREAM,
        subjects=[f"{ROOT}.*.{kind}" for kind in STREAM_KINDS],
        storage=StorageType.FILE,
        # What the centre has acknowledged is deleted. Otherwise it would stay for `max_age`, and
        # fill the stream in days, or under load in minutes. An existing stream cannot be turned
        # into a work queue.
        retention=RetentionPolicy.INTEREST,
        # A full stream accepts nothing more, and sensors keep it. Dropping the oldest would save
        # nothing: they would send it again.
        discard=DiscardPolicy.NEW,
        # One sensor must not use all the room of the stream.
        max_msgs_per_subject=pending_limit(options.max_bytes),
        discard_new_per_subject=True,
        max_bytes=options.max_bytes,
        max_age=options.max_age,
        max_msg_size=MAX_PAYLOAD,
        duplicate_window=min(DUPLICATE_SECONDS, options.max_age),
    )
    try:
        await jetstream.stream_info(STREAM)
        if not options.join:
            await jetstream.update_stream(stream)
    except NotFoundError:
        await jetstream.add_stream(stream)
    for name, kinds in CONSUMERS.items():
        await jetstream.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=f"centre-{name}",
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_SECONDS,
                # The stream bounds what is pending for each sensor.
                max_ack_pending=-1,
                filter_subjects=[f"{ROOT}.*.{kind}" for kind in kinds],
            ),
        )
    buckets = (
        KeyValueConfig(bucket=HEALTH_BUCKET, ttl=HEALTH_SECONDS, max_bytes=64 << 20, direct=True),
        KeyValueConfig(
            bucket=PUBLISHED_BUCKET, history=PUBLISHED_HISTORY, max_bytes=256 << 20, direct=True
        ),
    )
    for bucket in buckets:
        try:
            await jetstream.stream_info(f"KV_{bucket.bucket}")
        except NotFoundError:
            await jetstream.create_key_value(bucket)


def find_program() -> str:
    """The path of the server. Raises `NetwatchError` if it is not installed."""
    places = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/bin:/usr/local/sbin"
    found = shutil.which(PROGRAM, path=places)
    if found is None:
        raise NetwatchError(
            f"{PROGRAM} is not installed: the centre runs it (Debian: apt install {PROGRAM}), or"
            " joins one that runs elsewhere with 'join' under 'fleet.server'"
        )
    return found


class NatsServer:
    """A server with the configuration of a folder. `report` takes sentences for the log; `restarts`
    counts how often it was restarted."""

    def __init__(self, folder: CentreFolder, report: Callable[[str], None]) -> None:
        self._program = find_program()
        self._folder = folder
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The process; None if it does not run."""
        return self._process.pid if self._process is not None else None

    def reload(self) -> None:
        """Make the server reload its configuration."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def run(self) -> None:
        """Keep the server running until this is cancelled; then end it."""
        try:
            while True:
                started = time.monotonic()
                status = await self._run_once()
                if time.monotonic() - started >= STEADY:
                    self._failures = 0
                delay = RESTART_DELAYS[min(self._failures, len(RESTART_DELAYS) - 1)]
                self._failures += 1
                self.restarts += 1
                self._report(
                    f"{PROGRAM} ended (exit status {status}){self._last_line()}; it is started"
                    f" again in {delay:g} s"
                )
                await asyncio.sleep(delay)
        finally:
            self._end()

    async def _run_once(self) -> int:
        command = [self._program, "-c", str(self._folder.configuration)]
        with (self._folder.path / "nats.err").open("wb") as errors:
            self._process = process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                # A terminal's signal is for the centre, which ends the server last.
                start_new_session=True,
                # However the centre ends.
                preexec_fn=partial(end_with_parent, signal.SIGTERM),
            )
        while (status := process.poll()) is None:
            await asyncio.sleep(_POLL)
        self._process = None
        return status

    def _last_line(self) -> str:
        """The last output of the server, for people."""
        for path in (self._folder.path / "nats.err", self._folder.log):
            with contextlib.suppress(OSError):
                lines = _tail(path).splitlines()
                fatal = [line for line in lines if "[FTL]" in line or "nats-server:" in line]
                if fatal:
                    return f": {fatal[-1].rpartition('] ')[2].strip()[:200]}"
        return ""

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tail(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 4096))
        return stream.read().decode("utf-8", "replace")
