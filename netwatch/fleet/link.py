"""The link of a live capture to its centre: signs of life, the clock, and the content of the spool.

It has a thread and an event loop of its own, so the capture never waits for it, and a busy capture
still gives signs of life. Everything starts again with each connection. Alerts do not go through
it: they have the outbox and the worker of an output (`netwatch.fleet.alert_sink`).
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from netwatch.config import Config
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.fleet.access import HEALTH_BUCKET, bucket_subject, subject
from netwatch.fleet.alert_sink import sensor_peer
from netwatch.fleet.connection import Connection, RefusedError, run_together
from netwatch.fleet.spool import FactSender, Spool, read_news
from netwatch.watch.health import Thresholds, status_record
from netwatch.watch.snapshot import FleetStatus, Snapshot

HEARTBEAT_SECONDS = 5.0
"""Seconds between two signs of life."""

CLOCK_SECONDS = 30.0
"""Seconds between two comparisons of the clock."""

RECONNECT_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the next attempt to connect, after one failure, two, and so on."""

REFUSED_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""The same if the server refuses the sensor. Then somebody must correct something; or the sensor
was enrolled a moment ago, and the server has not read that yet."""

STOP_SECONDS = 5.0
"""Seconds that the end of the capture waits for the link."""

DRAIN_SECONDS = 10.0
"""Seconds that facts have at the end of the capture; the rest is sent at the next start."""

JUMP = 100_000_000
"""Change of the clock in ns, relative to the monotonic one, after which it is compared at once."""

_PROBES = 4
_LOOK_SECONDS = 1.0

Task = Callable[[Connection], Coroutine[Any, Any, None]]
"""A task that runs as long as a connection."""


class Link:
    """The link of the sensor configured in `config`. `report` takes sentences for the log, from
    another thread. `tasks` run alongside the others on every connection. `extra` is read for each
    sign of life, and added to it. Raises `ConfigError` for credentials that cannot be used."""

    def __init__(
        self,
        config: Config,
        report: Callable[[str], None],
        tasks: Sequence[Task] = (),
        extra: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        assert config.fleet is not None
        self._fleet = config.fleet
        self._sensor = config.fleet.sensor
        sensor_peer(self._fleet)
        self._thresholds = config.metrics.thresholds if config.metrics else Thresholds()
        self._report = report
        self._tasks = tasks
        self._extra = extra
        self._spool = Spool(self._fleet.spool.folder, self._fleet.spool.max_bytes)
        self._facts = FactSender(self._sensor, self._spool)
        self._usage = Usage()
        self._last: Callable[[], Snapshot] | None = None
        self._before: Snapshot | None = None
        self._offset: int | None = None
        self._problem = "not connected yet"
        self._since: float | None = time.time()
        self._is_refused = False
        self._thread = threading.Thread(target=self._run, name="netwatch-fleet", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def watch(self, last: Callable[[], Snapshot]) -> None:
        """From now on signs of life use the last snapshot."""
        self._last = last

    def stop(self) -> None:
        """Say goodbye to the centre, once it has the content of the spool, in a bounded time."""
        if not self._thread.is_alive():
            return
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._since is None and time.monotonic() < deadline and self._spool.files():
            time.sleep(0.1)
        self._stopping.set()
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake.set)
        self._thread.join(STOP_SECONDS)

    def status(self) -> FleetStatus:
        """The state of the link, from any thread."""
        problem = self._problem or self._spool.problem or self._facts.problem
        return FleetStatus(
            connected=self._since is None,
            problem=problem,
            since=None if self._is_refused else self._since,
            waiting=self._facts.waiting,
            waiting_bytes=self._facts.waiting_bytes,
            committed=self._facts.committed,
            evicted=self._spool.evicted_rows,
            offset=None if self._offset is None else self._offset / 1e9,
        )

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        """Connect, repeatedly, until the link is stopped."""
        self._loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                problem, self._is_refused = await self._connect_once(), False
            except* (RefusedError, ConfigError) as group:
                problem, self._is_refused = _reason(group), True
            except* Exception as group:
                problem, self._is_refused = _reason(group), False
            if self._stopping.is_set():
                return
            self._set_problem(problem)
            failures = 0 if time.monotonic() - began > 10 else failures + 1
            delays = REFUSED_SECONDS if self._is_refused else RECONNECT_SECONDS
            await self._pause(delays[min(failures, len(delays) - 1)])

    def _set_problem(self, problem: str) -> None:
        """Note that the link is broken; a reason is reported once."""
        if self._since is None:
            self._since = time.time()
        if problem != self._problem:
            self._report(f"the centre: {problem}")
        self._problem = problem

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _connect_once(self) -> str:
        """Work with a connection until it breaks, which is returned in words, or the link is
        stopped. Raises errors of the connection."""
        connection = Connection(sensor_peer(self._fleet))
        await connection.open()
        try:
            await self._run_connection(connection)
        finally:
            if self._stopping.is_set() and not connection.closed.is_set():
                with suppress(Exception):
                    await self._beat(connection.client, state="stopped")
                    await connection.client.flush(timeout=2)
            await connection.close()
        return "the connection was lost"

    async def _run_connection(self, connection: Connection) -> None:
        client = connection.client
        await client.subscribe(subject(self._sensor, "committed"), cb=self._take_news)
        await client.flush(timeout=10)
        if self._problem and self._problem != "not connected yet":
            self._report("the centre: connected")
        self._problem, self._since = "", None
        await run_together(
            (
                self._give_signs_of_life(client),
                self._compare_clocks(client),
                self._facts.run(client),
                connection.closed.wait(),
                self._wake.wait(),
                *(task(connection) for task in self._tasks),
            )
        )

    async def _take_news(self, message: Any) -> None:
        news = read_news(message.data)
        if news.get("kind") == "facts":
            self._facts.take_news(news)

    async def _give_signs_of_life(self, client: Any) -> None:
        while True:
            await self._beat(client)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _beat(self, client: Any, state: str = "running") -> None:
        body = {**self._health(), "state": state, **self._extra()}
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "backslashreplace"
        )
        await client.publish(bucket_subject(HEALTH_BUCKET, self._sensor), data)

    def _health(self) -> dict[str, Any]:
        """The status record of the capture, and the fleet's additions."""
        record: dict[str, Any] = {}
        if self._last is not None:
            snapshot = self._last()
            record = status_record(snapshot, self._before, self._thresholds)
            self._before = snapshot
            record["uptime_s"] = round(snapshot.now - snapshot.started)
            record["set_version"] = snapshot.updates.version
        reasons = [trouble["message"] for trouble in record.get("troubles", ())]
        cpu, memory = self._usage.take()
        rates = record.get("rates") or {}
        return {
            **record,
            "rate": rates.get("packets"),
            "cpu": cpu,
            "memory": memory,
            "health": "degraded" if reasons else "ok",
            "reasons": reasons,
            "clock_offset_ns": self._offset,
            "rows_dropped": self._spool.evicted_rows + record.get("store", {}).get("lost", 0),
            "spool": {"files": self._facts.waiting, "bytes": self._facts.waiting_bytes},
        }

    async def _compare_clocks(self, client: Any) -> None:
        """Measure how far the clock here is ahead: from the quickest of a few answers. A clock that
        jumps is measured at once, and reported to the centre."""
        while True:
            began, base = time.monotonic(), _drift()
            found = [await self._probe(client) for _ in range(_PROBES)]
            answers = [answer for answer in found if answer is not None]
            if answers:
                before, self._offset = self._offset, min(answers)[1]
                if before is None or abs(self._offset - before) > JUMP:
                    await self._beat(client)
            while time.monotonic() - began < CLOCK_SECONDS and abs(_drift() - base) <= JUMP:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _probe(self, client: Any) -> tuple[int, int] | None:
        """The time (ns) that an answer took, and the offset from the four times of NTP (RFC 5905,
        section 8); None without an answer."""
        import nats.errors

        sent, base = time.time_ns(), _drift()
        try:
            answer = await client.request(subject(self._sensor, "clock"), b"{}", timeout=2)
            theirs = json.loads(answer.data)
            received, answered = int(theirs["received"]), int(theirs["sent"])
        except (nats.errors.Error, TimeoutError, ValueError, KeyError, TypeError):
            return None
        now = time.time_ns()
        if abs(_drift() - base) > JUMP:
            return None  # The times before and after are from two clocks.
        took = (now - sent) - (answered - received)
        return took, ((sent - received) + (now - answered)) // 2


def _drift() -> int:
    """The clock minus the monotonic one, in ns: it changes when the clock is set."""
    return time.time_ns() - time.monotonic_ns()


def _reason(group: BaseExceptionGroup[Exception]) -> str:
    """The first error of a connection, in words."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConfigError):
        return "; ".join(map(str, error.problems))
    text = str(error) or type(error).__name__
    return text if isinstance(error, NetwatchError) else f"{type(error).__name__}: {text}"


class Usage:
    """Measures this process and those that it started."""

    def __init__(self) -> None:
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._last = (time.monotonic(), 0.0)

    def take(self) -> tuple[float, int]:
        """The share of one core since the last call (2.0: two cores were busy), and the memory of
        the processes in bytes; shared memory counts several times."""
        seconds, memory = 0.0, 0
        for pid in _with_children(os.getpid()):
            with suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(fields[11]) + int(fields[12])) / self._ticks
                memory += int(fields[21]) * self._page
        now = time.monotonic()
        before, used = self._last
        self._last = (now, seconds)
        share = (seconds - used) / (now - before) if used and now > before else 0.0
        return round(max(0.0, share), 3), memory


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        with suppress(OSError, ValueError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found
