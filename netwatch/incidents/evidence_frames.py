"""The packets that an incident stands on, gathered like everything else of it.

Kept are the first sight of each name by each kind of evidence, and in each stretch of time
no longer than the quiet gap the first and the last contact: so a capture of these packets
alone begins when the incident did, is as sure, and does not fall apart into several.
Contacts may come in any order and two incidents may turn out to be one: `add` and `absorb`
commute, and where a table is full the keys that sort first stay.
"""

from collections.abc import Iterator
from typing import Any

from netwatch.core.frame import EvidenceFrames, Frame
from netwatch.core.verdict import CONFIDENCE_RANK, Contact

SIGHT_LIMIT = 256
"""Names, each by one kind of evidence, whose packets are kept."""

STRETCH_LIMIT = 512
"""Stretches of time whose first and last contact are kept."""

Held = tuple[tuple[Any, ...], EvidenceFrames]
"""A contact's packets, with what they are sorted by."""


class Proofs:
    """The packets of one incident; `gap` is the quiet gap in ns."""

    __slots__ = ("_gap", "_sights", "_stretches")

    def __init__(self, gap: int) -> None:
        self._gap = max(1, gap)
        self._sights: dict[tuple[Any, ...], Held] = {}
        self._stretches: dict[int, tuple[Held, Held]] = {}

    def add(self, contact: Contact) -> None:
        """Take the packets of a contact, where it has any."""
        seen = contact.observation
        if not seen.frames:
            return
        proof = EvidenceFrames(
            seen.evidence, seen.name, seen.time, seen.source, seen.packet, seen.frames
        )
        place = seen.time, seen.source, seen.packet, seen.evidence, seen.name, seen.frames
        strength = -CONFIDENCE_RANK.get(contact.verdict.confidence or "", 0)
        self._sight((strength, seen.evidence, seen.name), (place, proof))
        self._stretch(seen.time // self._gap, (place, proof), (place, proof))

    def absorb(self, other: "Proofs") -> None:
        """Take in all packets of another incident."""
        for key, held in other._sights.items():
            self._sight(key, held)
        for number, ends in other._stretches.items():
            self._stretch(number, *ends)

    def _sight(self, key: tuple[Any, ...], held: Held) -> None:
        known = self._sights.get(key)
        if known is None or held[0] < known[0]:
            self._sights[key] = held
            if len(self._sights) > SIGHT_LIMIT:
                del self._sights[max(self._sights)]

    def _stretch(self, number: int, first: Held, last: Held) -> None:
        known = self._stretches.get(number)
        if known is not None:
            first = known[0] if known[0][0] <= first[0] else first
            last = known[1] if known[1][0] >= last[0] else last
        self._stretches[number] = first, last
        if len(self._stretches) > STRETCH_LIMIT:
            del self._stretches[max(self._stretches)]

    def __iter__(self) -> Iterator[EvidenceFrames]:
        """The weightiest first: the contact that the incident begins with, of each name and
        kind of evidence the first sight, the surest before others, then what holds it
        together in time. Each once."""
        told: set[tuple[Any, ...]] = set()
        stretches = [held for _, ends in sorted(self._stretches.items()) for held in ends]
        sights = [held for _, held in sorted(self._sights.items(), key=lambda item: item[0])]
        for place, proof in [*stretches[:1], *sights, *stretches]:
            if place not in told:
                told.add(place)
                yield proof

    def frames(self) -> set[Frame]:
        """All packets, each once."""
        return {frame for proof in self for frame in proof.frames}
