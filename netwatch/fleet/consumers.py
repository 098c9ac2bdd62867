"""What a centre does with the messages of its sensors: decode, commit, say so, acknowledge.

The order matters. A message is acknowledged to the server only when the database has committed what
is in it, and a sensor deletes it only when it has the notice of that commit. Wherever the centre is
killed, the message is in the stream or at the sensor, and comes again.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar
from zlib import crc32

from netwatch.core.errors import NetwatchError
from netwatch.fleet.alert_commits import AlertCommits, AlertsCommitted
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.commit_process import CommitProcess
from netwatch.fleet.envelope import Assembler, Envelope, EnvelopeError, decode
from netwatch.fleet.fact_commits import Committed, FactCommits
from netwatch.fleet.puller import Puller
from netwatch.fleet.roster_keeper import RosterKeeper
from netwatch.fleet.subjects import sender_of, subject

ALERT_MESSAGES, ALERT_BYTES = 64, 8 << 20
"""Messages with alerts, and their bytes, that are committed together. In memory they are some six
times larger."""

FACT_MESSAGES, FACT_BYTES = 32, 16 << 20
"""The same for facts, whose rows are some ten times larger in memory. Sensors get an answer when
all are committed, so more at a time would only be later."""

RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds until a commit that failed is tried again, at first, then, and so on."""

KEYS_IN_MESSAGE = 2000
"""Keys of alerts in one message that says that they are committed."""

MAX_ASSEMBLIES = 1000
"""Contents in parts of which messages are remembered until they are whole."""

C = TypeVar("C")
T = TypeVar("T")


class Receiver:
    """Decodes messages, and knows which of them make up each content."""

    def __init__(self, status: CentreStatus, roster: RosterKeeper) -> None:
        self._status = status
        self._roster = roster
        self._assembler = Assembler()
        self._parts: dict[tuple[str, str, str], list[Any]] = {}

    async def decode(
        self, messages: Sequence[Any], *, reads_content: bool
    ) -> tuple[list[Envelope], list[Any]]:
        """The envelopes that are whole, with or without reading their content, and the messages
        that are done with once these are committed. What is no message of the fleet is refused,
        counted, and never comes again."""
        envelopes, done = [], []
        for message in messages:
            sensor = ""
            try:
                sensor, kind = sender_of(message.subject)
                envelope = decode(message.data, sensor, kind, reads_content=reads_content)
                parts = self._parts_of(envelope)
                parts.append(message)
                whole = self._assembler.add(envelope)
            except (EnvelopeError, ValueError) as error:
                self.refuse(sensor, str(error))
                await message.term()
                continue
            if whole is not None:
                envelopes.append(whole)
                done += self._parts.pop(_key(whole), parts)
        return envelopes, done

    def _parts_of(self, envelope: Envelope) -> list[Any]:
        if envelope.parts == 1:
            return []
        while len(self._parts) >= MAX_ASSEMBLIES:
            del self._parts[next(iter(self._parts))]
        return self._parts.setdefault(_key(envelope), [])

    def refuse(self, sensor: str, reason: str) -> None:
        """Count what is refused, and show why on the roster."""
        self._status.refused[sensor] += 1
        self._roster.refused(sensor, reason)

    def note_lag(self, envelopes: Sequence[Envelope]) -> None:
        """Note how long messages were under way until they were committed."""
        now = time.time_ns()
        for envelope in envelopes:
            offset = self._status.offsets.get(envelope.sensor, 0)
            self._status.lag[envelope.sensor] = max(0.0, (now - envelope.sent + offset) / 1e9)


def _key(envelope: Envelope) -> tuple[str, str, str]:
    return envelope.sensor, envelope.kind, envelope.id


async def _in_parts(
    processes: Sequence[CommitProcess[C]],
    commit: Callable[[CommitProcess[C], Sequence[Envelope]], Coroutine[Any, Any, None]],
    envelopes: Sequence[Envelope],
) -> None:
    """Commit the envelopes of each sensor in the process that has it, in all at the same time."""
    parts: list[list[Envelope]] = [[] for _ in processes]
    for envelope in envelopes:
        parts[crc32(envelope.sensor.encode()) % len(processes)].append(envelope)
    async with asyncio.TaskGroup() as group:
        for process, part in zip(processes, parts, strict=True):
            if part:
                group.create_task(commit(process, part))


class Consumers:
    """The loops of a connection. `run_alerts` and `run_facts` go on until they are cancelled. They
    write to the catalogue in `turn`, a lock where it has one writer at a time: those who wait for
    SQLite look in vain again and again while others write one transaction after the other."""

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
                    self._receiver.refuse(envelope.sensor, problem)
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
        puller = Puller(self._client, name, batch, max_bytes)
        await puller.start()
        while True:
            envelopes, done = await self._receiver.decode(
                await puller.take(), reads_content=reads_content
            )
            if envelopes:
                await commit(envelopes)
                self._receiver.note_lag(envelopes)
            for message in done:
                await message.ack()

    async def _commit_alerts(
        self, process: CommitProcess[AlertCommits], envelopes: Sequence[Envelope]
    ) -> None:
        known = self._status.offsets
        offsets = {each.sensor: known.get(each.sensor, 0) for each in envelopes}

        async def commit() -> AlertsCommitted:
            await process.run(AlertCommits.prepare, envelopes, offsets)
            while True:
                async with self._turn:
                    result = await process.run(AlertCommits.store)
                if result is not None:
                    return result

        result = await self._insist(commit)
        self._status.new_alerts += result.new
        for sensor, reason in result.unreadable:
            self._receiver.refuse(sensor, reason)
        for sensor, keys in result.stored.items():
            self._status.alerts[sensor] += len(keys)
            for at in range(0, len(keys), KEYS_IN_MESSAGE):
                await self._say(sensor, {"kind": "alerts", "keys": keys[at : at + KEYS_IN_MESSAGE]})
        for sensor, refused in result.refused.items():
            for key, reason in refused.items():
                self._receiver.refuse(sensor, reason)
                await self._say(sensor, {"kind": "alerts", "refused": {key: reason}})

    async def _commit_facts(
        self, process: CommitProcess[FactCommits], envelopes: Sequence[Envelope]
    ) -> None:
        known = self._status.offsets
        offsets = {each.sensor: known.get(each.sensor, 0) for each in envelopes}

        async def commit() -> Committed:
            await process.run(FactCommits.prepare, envelopes, offsets)
            async with self._turn:
                return await process.run(FactCommits.finish)

        result = await self._insist(commit)
        self._status.batches += result.batches
        self._status.repeated += result.repeated
        for sensor, reason in result.refused:
            self._receiver.refuse(sensor, reason)
        self._status.rows.update(result.rows)
        for each in result.progress:
            await self._say(
                each.sensor, {"kind": "facts", "epoch": each.epoch, "through": each.sequence}
            )

    async def _insist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something with the store, however long it takes until the store can be used."""
        attempts = 0
        while True:
            try:
                result = await work()
            except NetwatchError as error:
                if not self._status.store_problem:
                    self._report(f"the store cannot be written to: {error}")
                self._status.store_problem = str(error)
                await asyncio.sleep(RETRY_SECONDS[min(attempts, len(RETRY_SECONDS) - 1)])
                attempts += 1
                continue
            if self._status.store_problem:
                self._report("the store is written to again")
                self._status.store_problem = ""
            return result

    async def _say(self, sensor: str, body: dict[str, Any]) -> None:
        data = json.dumps(body, separators=(",", ":")).encode()
        await self._client.publish(subject(sensor, "committed"), data)
