"""Takes messages as they came: which are of the fleet, which are parts of one content, which are
refused.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from netwatch.fleet.border import MAX_SENTENCE, BorderError
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.envelope import Assembler, Envelope, Key, decode, key_of
from netwatch.fleet.refused_messages import RefusedMessages
from netwatch.fleet.roster_keeper import RosterKeeper
from netwatch.fleet.sensor_limits import Outside
from netwatch.fleet.subjects import sender_of


class Receiver:
    """Decodes messages, and knows which of them make up each content. What is refused is set aside
    in `kept`. Messages of sensors that are not enrolled any more are dropped."""

    def __init__(
        self,
        status: CentreStatus,
        roster: RosterKeeper,
        kept: RefusedMessages,
        is_enrolled: Callable[[str], bool],
    ) -> None:
        self._status = status
        self._is_enrolled = is_enrolled
        self._roster = roster
        self._kept = kept
        self._assembler = Assembler()
        self._parts: dict[Key, list[Any]] = {}

    async def decode(
        self, messages: Sequence[Any], *, reads_content: bool
    ) -> tuple[list[Envelope], list[Any]]:
        """The envelopes that are whole, with or without reading their content, and the messages
        that are done with once these are committed. What is no message of the fleet is refused,
        counted, and never comes again."""
        envelopes, done = [], []
        for message in messages:
            sensor, kind = "", ""
            try:
                sensor, kind = sender_of(message.subject)
                if not self._is_enrolled(sensor):
                    await message.term()
                    continue
                envelope = decode(message.data, sensor, kind, reads_content=reads_content)
                if self._assembler.has(envelope):
                    await message.ack()
                    continue
                whole = self._assembler.add(envelope)
            except (BorderError, ValueError) as error:
                self.refuse(sensor, kind, message.data, str(error))
                await message.term()
                await self._drop()
                continue
            parts = [message] if envelope.parts == 1 else self._parts.setdefault(
                key_of(envelope), []
            )  # fmt: skip
            if envelope.parts > 1:
                parts.append(message)
                await self._drop()
            if whole is not None:
                envelopes.append(whole)
                done += self._parts.pop(key_of(whole), parts)
        return envelopes, done

    def waiting(self, sensor: str) -> tuple[int, int]:
        """The parts of a sensor that wait for others, and their bytes."""
        return self._assembler.waiting(sensor)

    async def _drop(self) -> None:
        """Let the server forget parts that waited for others in vain. Their sensor sends them
        again, since nobody has said that they are committed."""
        for key in self._assembler.dropped:
            self._status.dropped[key[0]] += 1
            for message in self._parts.pop(key, ()):
                await message.term()
        self._assembler.dropped.clear()

    def refuse(self, sensor: str, kind: str, data: bytes, reason: str) -> None:
        """Count what is refused, show why on the roster, and set it aside."""
        self._status.refused[sensor] += 1
        self._roster.refused(sensor, reason)
        self._kept.keep(sensor, kind, data, reason)

    def refuse_envelope(self, envelope: Envelope, reason: str) -> None:
        """The same for a message that was decoded."""
        self.refuse(envelope.sensor, envelope.kind, envelope.encode(), reason)

    def note_outside(self, outside: Mapping[str, Outside]) -> None:
        """Note that sensors spoke of networks or devices that are not their own."""
        for sensor, found in outside.items():
            if found.networks:
                self._status.outside_networks[sensor] += 1
                self._note(sensor, "sensor-network", "networks", found.networks)
            if found.devices:
                self._status.outside_devices[sensor] += 1
                self._note(sensor, "sensor-device", "devices", found.devices)

    def _note(self, sensor: str, kind: str, what: str, found: Collection[str | None]) -> None:
        names = ", ".join(sorted(name or "none" for name in found))
        said = f"{sensor} speaks of {what} that are not its own: {names}"
        self._status.contradictions[sensor, kind] = said[:MAX_SENTENCE]

    def note_lag(self, envelopes: Sequence[Envelope]) -> None:
        """Note how long messages were under way until they were committed."""
        now = time.time_ns()
        for envelope in envelopes:
            offset = self._status.offsets.get(envelope.sensor, 0)
            self._status.lag[envelope.sensor] = max(0.0, (now - envelope.sent + offset) / 1e9)
