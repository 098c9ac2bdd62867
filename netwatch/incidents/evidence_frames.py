"""The packets that prove one incident, selected while its contacts arrive.

Two selections are kept: the first observation of each name by each type of evidence, and the first
and the last contact of each interval of time, which is as long as the quiet gap. A capture of only
these packets therefore begins when the incident began, gives the same confidence, and has no pause
that would split it into several incidents. Contacts may arrive in any order, and two incidents may
turn out to be one: `add` and `merge` give the same result in any order, and if a table is full, the
entries that sort first stay.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from netwatch.core.flow import EvidenceFrames, Frame
from netwatch.core.verdict import CONFIDENCE_RANK, Contact

NAME_LIMIT = 256
"""Combinations of a name and a type of evidence whose packets to keep."""

INTERVAL_LIMIT = 512
"""Intervals, each as long as the quiet gap, whose first and last contact to keep."""

_Entry = tuple[tuple[Any, ...], EvidenceFrames]
"""A contact's packets after their sort key."""


_Named = tuple[tuple[Any, ...], EvidenceFrames]
"""The packets of the first contact of a kind and name, after their sort key."""

_Interval = tuple[int, EvidenceFrames, EvidenceFrames]
"""The number of an interval, and the packets of its first and last contact."""


def _entry(frames: EvidenceFrames) -> _Entry:
    """The packets of a contact with their place in the order of contacts."""
    position = (
        frames.time,
        frames.source,
        frames.packet,
        frames.type,
        frames.name,
        frames.frames,
    )
    return position, frames


def _with_answers(entry: _Entry, answers: tuple[Frame, ...]) -> _Entry:
    frames = entry[1]
    new = tuple(frame for frame in answers if frame not in frames.frames)
    return _entry(replace(frames, frames=frames.frames + new))


def _first_item(item: tuple[Any, ...]) -> Any:
    return item[0]


class IncidentFrames:
    """The packets of one incident; `gap` is the quiet gap in ns."""

    __slots__ = ("_by_interval", "_by_name", "gap")

    def __init__(self, gap: int) -> None:
        self.gap = max(1, gap)
        self._by_name: dict[tuple[Any, ...], _Entry] = {}
        self._by_interval: dict[int, tuple[_Entry, _Entry]] = {}

    def add(self, contact: Contact) -> None:
        """Add the packets of a contact, if it has any."""
        observation = contact.observation
        if not observation.frames:
            return
        frames = EvidenceFrames(
            observation.evidence,
            observation.name,
            observation.time,
            observation.source,
            observation.packet,
            observation.frames,
            observation.client_ip,
            observation.client_mac,
            observation.vlan,
        )
        entry = _entry(frames)
        strength = -CONFIDENCE_RANK.get(contact.confidence or "", 0)
        self._add_name((strength, observation.evidence, observation.name), entry)
        self._add_interval(observation.time // self.gap, entry, entry)

    def add_answers(self, contact: Contact, answers: tuple[Frame, ...]) -> None:
        """Add packets that acknowledge a contact to the contact's own, if these are kept."""
        observation = contact.observation
        about = (
            observation.time,
            observation.source,
            observation.packet,
            observation.evidence,
            observation.name,
        )
        strength = -CONFIDENCE_RANK.get(contact.confidence or "", 0)
        key = strength, observation.evidence, observation.name
        named = self._by_name.get(key)
        if named is not None and named[0][:5] == about:
            self._by_name[key] = _with_answers(named, answers)
        number = observation.time // self.gap
        ends = self._by_interval.get(number)
        if ends is not None:
            first, last = (
                _with_answers(end, answers) if end[0][:5] == about else end for end in ends
            )
            self._by_interval[number] = first, last

    def merge(self, other: "IncidentFrames") -> None:
        """Add all packets of another incident."""
        for key, entry in other._by_name.items():
            self._add_name(key, entry)
        for number, ends in other._by_interval.items():
            self._add_interval(number, *ends)

    def entries(self) -> "tuple[list[_Named], list[_Interval]]":
        """Everything that is kept, in order: by name, and by interval."""
        by_name = [(key, entry[1]) for key, entry in sorted(self._by_name.items(), key=_first_item)]
        by_interval = [
            (number, first[1], last[1])
            for number, (first, last) in sorted(self._by_interval.items(), key=_first_item)
        ]
        return by_name, by_interval

    def restore(self, by_name: "list[_Named]", by_interval: "list[_Interval]") -> None:
        """Restore the result of `entries`, and nothing more."""
        self._by_name, self._by_interval = {}, {}
        for key, frames in by_name:
            self._add_name(key, _entry(frames))
        for number, first, last in by_interval:
            self._add_interval(number, _entry(first), _entry(last))

    def _add_name(self, key: tuple[Any, ...], entry: _Entry) -> None:
        known = self._by_name.get(key)
        if known is None or entry[0] < known[0]:
            self._by_name[key] = entry
            if len(self._by_name) > NAME_LIMIT:
                del self._by_name[max(self._by_name)]

    def _add_interval(self, number: int, first: _Entry, last: _Entry) -> None:
        known = self._by_interval.get(number)
        if known is not None:
            first = known[0] if known[0][0] <= first[0] else first
            last = known[1] if known[1][0] >= last[0] else last
        self._by_interval[number] = first, last
        if len(self._by_interval) > INTERVAL_LIMIT:
            del self._by_interval[max(self._by_interval)]

    def __iter__(self) -> Iterator[EvidenceFrames]:
        """The packets of each contact once, the most important contacts first: the one that
        begins the incident, then the first observation of each name and type of evidence in
        falling order of confidence, then those that leave no pause longer than the quiet gap."""
        yielded: set[tuple[Any, ...]] = set()
        intervals = [entry for _, ends in sorted(self._by_interval.items()) for entry in ends]
        names = [entry for _, entry in sorted(self._by_name.items(), key=lambda item: item[0])]
        for position, frames in [*intervals[:1], *names, *intervals]:
            if position not in yielded:
                yielded.add(position)
                yield frames

    def distinct(self) -> set[Frame]:
        """All packets, each once."""
        return {frame for contact in self for frame in contact.frames}
