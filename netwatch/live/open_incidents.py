"""The incidents of a capture that goes on: told when they open, rise and end.

The same incidents as those of a whole capture, with two differences that come from time:
one that was told keeps its id, even where an earlier contact turns up later, and a contact
that comes after its incident has ended is counted and no more. Ages are in steady time
(`netwatch.live.clock`), so that a clock that is set ends nothing.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Literal

from netwatch.core.alert import Alert, Sensor
from netwatch.core.verdict import Contact
from netwatch.incidents.aggregate import Incidents, key_of
from netwatch.incidents.incident import GeoLookup, Incident, Key

ENDED_LIMIT = 20_000
"""Incidents that are over and remembered, to know contacts that come too late."""

ENDED_AGE = 86_400_000_000_000
"""How long they are remembered, ns."""

SLACK = 2_000_000_000
"""How much longer than the quiet gap an incident waits, ns: for packets on their way."""

Status = Literal["open", "update", "closed"]


class Open:
    """An incident that is not over: what was told of it, and until when it waits.

    `id` is the one told, None before that. `last` is its last contact in steady time,
    `sensor` says by which rules that was judged. It is stored under `number`: `stored` says
    whether it ever was, `changed` that something was added since, `fresh` that something
    was told.
    """

    __slots__ = (
        "changed",
        "confidence",
        "fresh",
        "id",
        "incident",
        "key",
        "last",
        "number",
        "sensor",
        "stored",
    )

    def __init__(
        self, number: int, key: Key, incident: Incident, last: int, sensor: Sensor
    ) -> None:
        self.number = number
        self.key = key
        self.incident = incident
        self.last = last
        self.sensor = sensor
        self.id: str | None = None
        self.confidence: str | None = None
        self.changed = self.fresh = True
        self.stored = False

    def keep(self) -> None:
        """It was stored as it is."""
        self.stored = True
        self.changed = self.fresh = False


class Ledger:
    """Open incidents; `tell` gets each alert. `quiet_gap` in ns.

    `opened` counts what was told by verdict, `recorded` incidents that ended below the
    confidence that their ban asks for, `late` contacts that came after the end.
    """

    def __init__(
        self, quiet_gap: int, geo: GeoLookup | None, tell: Callable[[Alert], None]
    ) -> None:
        self.geo = geo
        self._tell = tell
        self._incidents = Incidents(quiet_gap)
        self._open: dict[Key, list[Open]] = {}
        self._ended: OrderedDict[Key, int] = OrderedDict()
        self._left_out: Counter[str] = Counter()
        self._over: list[int] = []
        self._numbers = count(1)
        self.opened: Counter[str] = Counter()
        self.recorded = 0
        self.late = 0

    def __len__(self) -> int:
        return len(self._incidents)

    @property
    def refused(self) -> int:
        """Contacts that were turned away because there were too many incidents."""
        return self._incidents.dropped

    @property
    def remembered(self) -> int:
        """How many incidents that are over are remembered."""
        return len(self._ended)

    def __iter__(self) -> Iterator[Open]:
        for entries in self._open.values():
            yield from entries

    def reload(self, quiet_gap: int, geo: GeoLookup | None) -> None:
        """Another quiet gap holds from now on, for what is open too."""
        self._incidents.quiet_gap = quiet_gap
        self.geo = geo

    @property
    def by_verdict(self) -> dict[str, int]:
        """How many incidents were told, by kind of verdict."""
        return dict(sorted(self.opened.items()))

    @property
    def limits(self) -> dict[str, int]:
        """What was left out because a table was full, by name."""
        late = Counter({"incident-over": self.late})
        now = Counter(self._incidents.limits) + self._left_out + late
        return dict(sorted(now.items()))

    def add(self, contact: Contact, sensor: Sensor, shift: int) -> None:
        """Take in a contact, judged by the rules that `sensor` names; `shift` leads from its
        time to steady time."""
        key = key_of(contact)
        if key is None:
            return
        time = contact.observation.time + shift
        if time <= self._ended.get(key, time - 1):
            self.late += 1
            return
        incident = self._incidents.add(contact)
        if incident is None:
            return
        entry = self._entry(key, incident, time, sensor)
        entry.last = max(entry.last, time)
        entry.sensor = sensor
        entry.changed = True
        if incident.reportable and incident.confidence != entry.confidence:
            status: Status = "update" if entry.id else "open"
            self._say(entry, status)

    def add_bytes(self, contact: Contact, bytes_out: int, bytes_in: int) -> None:
        """Count further payload of the flow of a contact that was added before."""
        self._incidents.add_bytes(contact, bytes_out, bytes_in)
        key = key_of(contact)
        for entry in self._open.get(key, ()) if key else ():
            entry.changed = True

    def restore(self, entry: Open) -> bool:
        """Put in an incident that was open when an earlier run ended; whether there was
        room for it."""
        if not self._incidents.insert(entry.key, entry.incident):
            return False
        self._numbers = count(max(entry.number + 1, next(self._numbers)))
        self._open.setdefault(entry.key, []).append(entry)
        return True

    def end(self, now: int) -> None:
        """Incidents without a contact for longer than the quiet gap at `now` (steady time)
        are over, and told so."""
        gap = self._incidents.quiet_gap
        for entry in [each for each in self if each.last + gap + SLACK < now]:
            self._close(entry)
        while self._ended:
            key, until = next(iter(self._ended.items()))
            if until + ENDED_AGE >= now and len(self._ended) <= ENDED_LIMIT:
                break
            del self._ended[key]

    def end_all(self) -> None:
        """The capture is over, and so is all that is open."""
        for entry in sorted(self, key=lambda each: each.incident.first):
            self._close(entry)

    def over(self) -> list[int]:
        """The numbers under which incidents are stored that ended since the last call."""
        over, self._over = self._over, []
        return over

    def over_again(self, numbers: list[int]) -> None:
        """What `over` gave could not be dealt with; it comes again."""
        self._over = numbers + self._over

    def changed(self, limit: int) -> list[Open]:
        """Incidents that changed since they were stored: all whose state was told since,
        and of the others up to `limit`."""
        changed = [entry for entry in self if entry.changed]
        told = [entry for entry in changed if entry.fresh]
        return told + [entry for entry in changed if not entry.fresh][:limit]

    def _entry(self, key: Key, incident: Incident, last: int, sensor: Sensor) -> Open:
        """The entry of an incident that took a contact. One that joined others goes on with
        the id that was told first, and those are told as closed that went into it."""
        there = self._incidents.with_key(key)
        entries = self._open.setdefault(key, [])
        found = next((each for each in entries if each.incident is incident), None)
        gone = [each for each in entries if all(each.incident is not span for span in there)]
        if found is None:
            found = Open(next(self._numbers), key, incident, last, sensor)
            entries.append(found)
        for entry in sorted(gone, key=lambda each: each.incident.first):
            entries.remove(entry)
            self._forget(entry)
            found.last = max(found.last, entry.last)
            if entry.id and not found.id:
                found.id, found.confidence = entry.id, entry.confidence
            elif entry.id:
                self._say(entry, "closed")
        return found

    def _close(self, entry: Open) -> None:
        if entry.id:
            self._say(entry, "closed")
        else:
            self.recorded += 1
        for name, contacts in entry.incident.left_out.items():
            self._left_out[f"incident-{name}"] += contacts
        self._incidents.remove(entry.key, entry.incident)
        entries = self._open[entry.key]
        entries.remove(entry)
        if not entries:
            del self._open[entry.key]
        until = entry.last + self._incidents.quiet_gap
        self._ended[entry.key] = max(until, self._ended.pop(entry.key, until))
        self._forget(entry)

    def _forget(self, entry: Open) -> None:
        if entry.stored:
            self._over.append(entry.number)

    def _say(self, entry: Open, status: Status) -> None:
        alert = entry.incident.alert(entry.key, self.geo, entry.sensor)
        if entry.id is None:
            entry.id = alert.id
            self.opened[alert.verdict] += 1
        entry.confidence = alert.confidence
        entry.changed = entry.fresh = True
        self._tell(replace(alert, id=entry.id, status=status))
