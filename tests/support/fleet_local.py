"""What a centre does with messages, in one process and without a server."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from support.fleet_alerts import GAP

from netwatch.fleet.access import subject
from netwatch.fleet.border import BorderError, read_health
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.commit_process import AlertCommits
from netwatch.fleet.fact_commits import FactCommits
from netwatch.fleet.receiver import Receiver, RefusedMessages
from netwatch.fleet.roster_keeper import RosterKeeper
from netwatch.store.flow_rows import new_key
from netwatch.store.options import StoreOptions

STREAMED = ("alerts", "facts", "coverage", "applied")


class Message:
    """A message as the library gives it; `ended` says how it was answered."""

    def __init__(self, sensor: str, kind: str, data: bytes) -> None:
        self.subject, self.data, self.ended = subject(sensor, kind), data, ""

    async def ack(self) -> None:
        """It is done with."""
        self.ended = "ack"

    async def term(self) -> None:
        """It shall not come again."""
        self.ended = "term"


class LocalCentre:
    """A centre with its store in `folder`; `enrolled` are its sensors."""

    def __init__(self, folder: Path, *enrolled: str) -> None:
        options = StoreOptions(str(folder / "store"))
        self.enrolled = {*enrolled}
        self.status = CentreStatus()
        self.roster = RosterKeeper(options, self.status)
        self.kept = RefusedMessages(folder / "refused")
        self.receiver = Receiver(
            self.status, self.roster, self.kept, lambda name: name in self.enrolled
        )
        self.facts = FactCommits(options, new_key())
        self.alerts = AlertCommits(options, GAP)

    def close(self) -> None:
        """Close the store."""
        for each in (self.facts, self.alerts, self.roster):
            each.close()

    def commit(self, messages: Sequence[Message], kind: str) -> None:
        """Decode and commit messages of a kind."""
        decode = self.receiver.decode(messages, reads_content=kind == "applied")
        envelopes, done = asyncio.run(decode)
        if kind == "applied":
            for each in envelopes:
                self.roster.applied(each)
            self.roster._write()
        elif kind == "alerts":
            self.alerts.prepare(envelopes, {})
            while (stored := self.alerts.store()) is None:
                pass
            self.receiver.note_outside(stored.outside)
        else:
            self.facts.prepare(envelopes)
            self.receiver.note_outside(self.facts.finish().outside)
        for message in done:
            message.ended = "ack"

    def take(self, sensor: str, found: Sequence[tuple[str, bytes]]) -> list[Message]:
        """Commit messages of all kinds; those of the stream."""
        sent = []
        for kind in STREAMED:
            messages = [Message(sensor, kind, data) for each, data in found if each == kind]
            self.commit(messages, kind)
            sent += messages
        for kind, data in found:
            if kind not in STREAMED:
                with suppress(BorderError):
                    read_health(data)
        return sent
