"""How a centre processes the messages of its sensors: decode, commit, confirm, acknowledge.

The order matters. A message is acknowledged to the server only when the database has committed its
content, and a sensor deletes it only when it has the notice of that commit. Whenever the centre is
killed, the message is in the stream or at the sensor, and comes again.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar
from zlib import crc32

from netwatch.core.errors import NetwatchError
from netwatch.fleet.access import subject
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.commit_process import (
    MAX_REASON,
    AlertCommits,
    AlertsCommitted,
    CommitProcess,
    KilledError,
)
from netwatch.fleet.envelope import Envelope
from netwatch.fleet.fact_commits import Committed, FactCommits
from netwatch.fleet.receiver import Puller, Receiver, Turns
from netwatch.fleet.roster_keeper import RosterKeeper

ALERT_MESSAGES, ALERT_BYTES = 64, 8 << 20
"""Messages with alerts, and their bytes, to commit together. In memory they are some six times
larger."""

FACT_MESSAGES, FACT_BYTES = 32, 16 << 20
"""The same for facts, whose rows are some ten times larger in memory. Sensors get an answer when
all are committed, so more at a time would only be later."""

RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds until a failed commit is tried again, at first, then, and so on."""

KILLS = 2
"""How often the committing process is killed before its input is blamed."""

KEYS_IN_MESSAGE = 2000
"""Keys of alerts in one message that confirms them."""

AHEAD = 4
"""How many times more messages are considered than committed, so that sensors take turns."""

AGAIN_SECONDS = 2.0
"""Seconds until the server redelivers a message whose sensor has too many here."""

C = TypeVar("C")
T = TypeVar("T")


class PoisonError(NetwatchError):
    """Messages that can never be committed."""


async def _in_parts(
    processes: Sequence[CommitProcess[C]],
    commit: Callable[[CommitProcess[C], Sequence[Envelope]], Coroutine[Any, Any, None]],
    envelopes: Sequence[Envelope],
) -> None:
    """Commit the envelopes of each sensor in its process, all at the same time."""
    parts: list[list[Envelope]] = [[] for _ in processes]
    for envelope in envelopes:
        parts[crc32(envelope.sensor.encode()) % len(processes)].append(envelope)
    async with asyncio.TaskGroup() as group:
        for process, part in zip(processes, parts, strict=True):
            if part:
                group.create_task(commit(process, part))


class Consumers:
    """The loops of a connection. `run_alerts` and `run_facts` continue until they are cancelled.
    They write to the catalogue in `turn`, a lock if it has one writer at a time: those who wait for
    SQLite would poll in vain while others write one transaction after the other."""

    def __init__(
        self,
        client: Any,
        receiver: Receiver,
        status: CentreStatus,
        report: Callable[[str], None],
        turn: AbstractAsyncContextManager[Any],
    ) -> None:
        self._client = client
        self._turn = turn
        self._receiver = receiver
        self._status = status
        self._report = report

    async def run_alerts(self, processes: Sequence[CommitProcess[AlertCommits]]) -> None:
        """Commit alerts, those of one sensor always in the same process."""
        commit = partial(_in_parts, processes, self._commit_alerts)
        count, size = ALERT_MESSAGES * len(processes), ALERT_BYTES * len(processes)
        await self._run("alerts", count, size, commit, reads_content=False)

    async def run_facts(self, processes: Sequence[CommitProcess[FactCommits]]) -> None:
        """Commit facts and coverage, in the same way."""
        commit = partial(_in_parts, processes, self._commit_facts)
        count, size = FACT_MESSAGES * len(processes), FACT_BYTES * len(processes)
        await self._run("facts", count, size, commit, reads_content=False)

    async def run_applied(self, roster: RosterKeeper) -> None:
        """Note which published versions sensors applied."""

        async def commit(envelopes: Sequence[Envelope]) -> None:
            for envelope in envelopes:
                problem = roster.applied(envelope)
                if problem:
                    self._receiver.refuse_envelope(envelope, problem)
            await roster.written()

        await self._run("applied", ALERT_MESSAGES, ALERT_BYTES, commit, reads_content=True)

    async def _run(
        self,
        name: str,
        batch: int,
        max_bytes: int,
        commit: Callable[[Sequence[Envelope]], Awaitable[None]],
        *,
        reads_content: bool,
    ) -> None:
        puller = Puller(self._client, name, AHEAD * batch, AHEAD * max_bytes)
        turns = Turns(batch, max_bytes)
        await puller.start()
        while True:
            for message in await (puller.ready() if turns else puller.take()):
                # All kinds of a sensor in one row, since they must stay in order.
                sensor = message.subject.rpartition(".")[0]
                if not turns.put(sensor, message, len(message.data)):
                    await message.nak(AGAIN_SECONDS)
            envelopes, done = await self._receiver.decode(turns.take(), reads_content=reads_content)
            if envelopes:
                await commit(envelopes)
                self._receiver.note_lag(envelopes)
            for message in done:
                await message.ack()

    async def _commit_alerts(
        self, process: CommitProcess[AlertCommits], envelopes: Sequence[Envelope]
    ) -> None:
        known = self._status.offsets
        offsets = {envelope.sensor: known.get(envelope.sensor, 0) for envelope in envelopes}

        async def commit() -> AlertsCommitted:
            await process.run(AlertCommits.prepare, envelopes, offsets)
            while True:
                async with self._turn:
                    result = await process.run(AlertCommits.store)
                if result is not None:
                    return result

        try:
            result = await self._insist(commit)
        except PoisonError as error:
            await self._one_by_one(process, envelopes, error, self._commit_alerts)
            return
        self._status.new_alerts += result.new
        self._receiver.note_outside(result.outside)
        for position, reason in result.spoiled.items():
            self._receiver.refuse_envelope(envelopes[position], reason)
        for sensor, keys in result.stored.items():
            self._status.alerts[sensor] += len(keys)
            for at in range(0, len(keys), KEYS_IN_MESSAGE):
                await self._say(sensor, {"kind": "alerts", "keys": keys[at : at + KEYS_IN_MESSAGE]})
        for sensor, refused in result.refused.items():
            for key, reason in refused.items():
                await self._say(sensor, {"kind": "alerts", "refused": {key: reason}})

    async def _commit_facts(
        self, process: CommitProcess[FactCommits], envelopes: Sequence[Envelope]
    ) -> None:
        known = self._status.offsets
        offsets = {envelope.sensor: known.get(envelope.sensor, 0) for envelope in envelopes}

        async def commit() -> Committed:
            await process.run(FactCommits.prepare, envelopes, offsets)
            async with self._turn:
                return await process.run(FactCommits.finish)

        try:
            result = await self._insist(commit)
        except PoisonError as error:
            await self._one_by_one(process, envelopes, error, self._commit_facts, self._skip_facts)
            return
        await self._tell(envelopes, result)

    async def _skip_facts(self, process: CommitProcess[FactCommits], envelope: Envelope) -> None:
        """Let the epoch of an unstorable message continue without it."""

        async def commit() -> Committed:
            await process.run(FactCommits.refuse, envelope)
            async with self._turn:
                return await process.run(FactCommits.finish)

        await self._tell([envelope], await self._insist(commit))

    async def _one_by_one(
        self,
        process: CommitProcess[C],
        envelopes: Sequence[Envelope],
        error: "PoisonError",
        commit: Callable[[CommitProcess[C], Sequence[Envelope]], Coroutine[Any, Any, None]],
        skip: Callable[[CommitProcess[C], Envelope], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """If one message makes the others fail, commit them one by one and set that one aside."""
        if len(envelopes) > 1:
            for envelope in envelopes:
                await commit(process, [envelope])
            return
        self._report(f"a message of {envelopes[0].sensor} is set aside: {error}")
        self._receiver.refuse_envelope(envelopes[0], str(error))
        if skip is not None:
            await skip(process, envelopes[0])

    async def _tell(self, envelopes: Sequence[Envelope], result: Committed) -> None:
        """Count what was committed, and confirm it to the sensors."""
        self._receiver.note_outside(result.outside)
        self._status.batches += result.batches
        self._status.repeated += result.repeated
        for position, reason in result.refused:
            self._receiver.refuse_envelope(envelopes[position], reason)
        self._status.rows.update(result.rows)
        for each in result.progress:
            await self._say(
                each.sensor, {"kind": "facts", "epoch": each.epoch, "through": each.sequence}
            )

    async def _insist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something with the store, however long it takes until the store can be used. Raises
        `PoisonError` if the fault is not the store's."""
        attempts = kills = 0
        while True:
            try:
                result = await work()
            except NetwatchError as error:
                kills += isinstance(error, KilledError)
                if kills >= KILLS:
                    raise PoisonError(f"{error} {KILLS} times") from None
                if not self._status.store_problem:
                    self._report(f"the store cannot be written to: {error}")
                self._status.store_problem = str(error)
                await asyncio.sleep(RETRY_SECONDS[min(attempts, len(RETRY_SECONDS) - 1)])
                attempts += 1
                continue
            except Exception as error:
                raise PoisonError(f"{type(error).__name__}: {error}"[:MAX_REASON]) from None
            if self._status.store_problem:
                self._report("the store is written to again")
                self._status.store_problem = ""
            return result

    async def _say(self, sensor: str, body: dict[str, Any]) -> None:
        data = json.dumps(body, separators=(",", ":")).encode()
        await self._client.publish(subject(sensor, "committed"), data)
