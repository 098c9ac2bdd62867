"""Shared incidents become the incidents of each ban.

Contacts are aggregated once for all bans that say the same of them
(`netwatch.incidents.aggregate`). What bans say may change from one contact to the next: a period
begins at midnight, an exemption ends. Then an incident of a ban consists of several shared ones,
which are merged as in whatever order their contacts arrived. Bans that are in the same shared
incidents have the same incidents.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from netwatch.core.verdict import Ruling
from netwatch.incidents.incident import Incident

SharedKey = tuple[str, ...]
"""What all contacts of a shared incident have in common: device id, app id, and the key of their
`Decision`. Where one ban decides, it is the key of the incident under this ban."""


class Reported(NamedTuple):
    """An incident, and the rulings under which it is one. They are those of its first contact."""

    incident: Incident
    rulings: Sequence[Ruling]


def reported(
    shared: Iterable[tuple[SharedKey, Sequence[Incident]]], quiet_gap: int
) -> Iterator[Reported]:
    """The incidents of all bans, each once with all its rulings. `shared` has those of each key;
    `quiet_gap` is in ns."""
    subjects: dict[SharedKey, list[Sequence[Incident]]] = {}
    for key, incidents in shared:
        subjects.setdefault(key[:2], []).append(incidents)
    for parts in subjects.values():
        if len(parts) == 1:
            for incident in parts[0]:
                yield from _by_progress(incident, incident.first_contact.decision.rulings)
        else:
            yield from _of_subject(parts, quiet_gap)


def _of_subject(parts: Sequence[Sequence[Incident]], quiet_gap: int) -> Iterator[Reported]:
    """The incidents of one device and app, of whose contacts bans said different things."""
    places: dict[tuple[str, str], list[int]] = {}
    for number, incidents in enumerate(parts):
        for ruling in incidents[0].first_contact.decision.rulings:
            places.setdefault((ruling.ban.id, ruling.kind), []).append(number)
    said_together: dict[tuple[int, ...], set[tuple[str, str]]] = {}
    for said, numbers in places.items():
        said_together.setdefault(tuple(numbers), set()).add(said)
    for together, all_said in said_together.items():
        for incident in _joined([parts[number] for number in together], quiet_gap):
            rulings = [
                each
                for each in incident.first_contact.decision.rulings
                if (each.ban.id, each.kind) in all_said
            ]
            yield from _by_progress(incident, rulings)


def _joined(parts: Sequence[Sequence[Incident]], quiet_gap: int) -> Iterable[Incident]:
    """The incidents of several parts, those within the quiet gap merged. None is changed."""
    if len(parts) == 1:
        return parts[0]
    found: list[Incident] = []
    copied: set[int] = set()
    for incident in sorted(chain.from_iterable(parts), key=lambda each: each.first):
        if not found or incident.first > found[-1].last + quiet_gap:
            found.append(incident)
            continue
        if len(found) not in copied:
            copied.add(len(found))
            found[-1] = found[-1].copy()
        found[-1].merge(incident)
    return found


def _by_progress(incident: Incident, rulings: Sequence[Ruling]) -> Iterator[Reported]:
    """The incident under bans that know the same of what became of its contacts."""
    if not incident.partial:
        yield Reported(incident, rulings)
        return
    alike: dict[tuple[bool, ...], list[Ruling]] = {}
    for ruling in rulings:
        concerned = tuple(ruling.ban.id in bans for bans in incident.partial)
        alike.setdefault(concerned, []).append(ruling)
    for each in alike.values():
        yield Reported(incident.under(frozenset(ruling.ban.id for ruling in each)), each)
