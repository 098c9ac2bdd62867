"""What is different between the incidents that a run gave and those that it would give now, and the
record in a store that its past was judged again (``rejudge --record``).

Two alerts are the same if all fields are that say what happened, to whom, and what is thought of
it. Fields that name who judged (`IGNORED`) do not count, nor in which line of which file a rule or
an entry of the inventory is written, nor the status of an alert, which depends on when it was read.

An incident has another id as soon as its device, its app, its ban or its kind of verdict is
another one, or when it begins at another contact. So of those that are left, one that is gone and
one that is new are taken for the same incident if one ban speaks of one app in both and they have
a piece of evidence in common.

What is recorded is by which version which time was judged, where all facts of it are there, and
the incidents that were found. An incident that would be withdrawn stays: readers of a report
see that it was found once, and by which bans.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from netwatch.config import Config
from netwatch.core.alert import EVIDENCE_KEYS, AlertRecord, number_of
from netwatch.formats.values import json_line
from netwatch.rejudge.stored_runs import CompleteSpan, StoredRun, complete_parts
from netwatch.rules.ban_contents import ban_contents
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.hour_rows import add_judged
from netwatch.store.incident_rows import remove_incidents, store_incidents
from netwatch.store.run_rows import VersionHashes, version_with

Change = Literal["new", "withdrawn", "changed", "not-judged"]
"""How an incident differs; `not-judged` if its facts are incomplete, so that nobody can say."""

IGNORED = frozenset({"schema", "status", "sensor", "versions", *EVIDENCE_KEYS})
"""Fields of an alert that are not compared."""

_WHERE = frozenset({"file", "line", "sources"})
"""What is not compared of what is written in a line of a file: a rule, an entry of the inventory.
"""

FROM_FACTS = frozenset(
    {"id", "last_seen", "kind", "destinations", "counts", "community_ids", "names", "evidence",
     "outcome", "blocked_by", "confidence", "confidence_reasons", "contradictions", "candidates",
     "first_seen", "duration"}
)  # fmt: skip
"""Fields that are others if some facts of an incident are gone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between the record of an incident `before` and `after`; the other one is None
    if it is new or withdrawn. `fields` are those that differ where it changed."""

    change: Change
    before: AlertRecord | None
    after: AlertRecord | None
    fields: tuple[str, ...] = ()


def compared(before: Iterable[AlertRecord], after: Iterable[AlertRecord]) -> Iterator[Difference]:
    """The differences between the incidents of one run, in the order of time.

    Both sides are read once and at the same pace: if both are in the same order, as those of
    `scan` are, no more than what differs is in memory, and that compressed.
    """
    found: list[_Found] = []
    gone: dict[str, bytes] = {}
    new: dict[str, bytes] = {}
    for was, now in _same_incidents(before, after, gone, new):
        if fields := differing(was, now):
            found.append(_Found(was["first_seen"], _packed(was), _packed(now), fields))
    # What an id is made of is the same then. An incident of `live` keeps the id with which it was
    # opened, and one that an older sensor reported has none with its name.
    found += [each for each in _other_ids(gone, new) if each.fields != ("id",)]
    found += [_Found(_unpacked(each)["first_seen"], each, None) for each in gone.values()]
    found += [_Found(_unpacked(each)["first_seen"], None, each) for each in new.values()]
    found.sort(key=lambda each: each.first_seen)
    for each in found:
        yield each.difference()


def _same_incidents(
    before: Iterable[AlertRecord],
    after: Iterable[AlertRecord],
    gone: dict[str, bytes],
    new: dict[str, bytes],
) -> Iterator[tuple[AlertRecord, AlertRecord]]:
    """The records with one id. What is left of either side is put into `gone` and `new`."""
    for was, now in zip_longest(before, after):
        if was is not None and now is not None and was["id"] == now["id"]:
            yield was, now
            continue
        if was is not None:
            other = new.pop(was["id"], None)
            if other is None:
                gone[was["id"]] = _packed(was)
            else:
                yield was, _unpacked(other)
        if now is not None:
            other = gone.pop(now["id"], None)
            if other is None:
                new[now["id"]] = _packed(now)
            else:
                yield _unpacked(other), now


def _other_ids(gone: dict[str, bytes], new: dict[str, bytes]) -> Iterator["_Found"]:
    """The records that are of one incident although their ids differ; they are taken out."""
    if not gone or not new:
        return
    places: dict[int, list[str]] = {}
    for id_, packed in new.items():
        for piece in _pieces(_unpacked(packed)):
            places.setdefault(hash(piece), []).append(id_)
    order = {id_: number for number, id_ in enumerate(new)}
    for id_, packed in list(gone.items()):
        record = _unpacked(packed)
        pieces = _pieces(record)
        candidates = {each for piece in pieces for each in places.get(hash(piece), ())}
        for candidate in sorted(candidates & new.keys(), key=order.__getitem__):
            other = _unpacked(new[candidate])
            if not pieces.isdisjoint(_pieces(other)):
                del gone[id_]
                fields = differing(record, other)
                yield _Found(other["first_seen"], packed, new.pop(candidate), fields)
                break


@dataclass(frozen=True, slots=True)
class _Found:
    """A difference while others are looked for: its records take a fraction of the memory."""

    first_seen: str
    before: bytes | None
    after: bytes | None
    fields: tuple[str, ...] = ()

    def difference(self) -> Difference:
        if self.before is None:
            assert self.after is not None
            return Difference("new", None, _unpacked(self.after))
        if self.after is None:
            return Difference("withdrawn", _unpacked(self.before), None)
        return Difference("changed", _unpacked(self.before), _unpacked(self.after), self.fields)


def _packed(record: AlertRecord) -> bytes:
    return zlib.compress(json.dumps(record).encode(), 1)


def _unpacked(packed: bytes) -> AlertRecord:
    record: AlertRecord = json.loads(zlib.decompress(packed))
    return record


def differing(before: AlertRecord, after: AlertRecord) -> tuple[str, ...]:
    """The fields in which two records differ, by their names. If another version of netwatch
    wrote one of them, what only one of them has does not count."""
    versions = [(record.get("versions") or {}).get("netwatch") for record in (before, after)]
    strictly = versions[0] == versions[1]
    return tuple(
        name
        for name in dict.fromkeys([*before, *after])
        if name not in IGNORED
        and (strictly or (name in before and name in after))
        and not _are_alike(before.get(name), after.get(name), strictly=strictly)
    )


def _are_alike(before: Any, after: Any, *, strictly: bool) -> bool:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        ignored = _WHERE if {"file", "line"} <= before.keys() else frozenset[str]()
        keys = before.keys() | after.keys() if strictly else before.keys() & after.keys()
        return all(
            _are_alike(before.get(key), after.get(key), strictly=strictly) for key in keys - ignored
        )
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(
            _are_alike(*pair, strictly=strictly) for pair in zip(before, after, strict=True)
        )
    return bool(before == after)


def _pieces(record: AlertRecord) -> set[tuple[Any, ...]]:
    """What a record of the same incident has in common with it: a piece of evidence under one ban
    that speaks of one app."""
    ban, app = record["ban"]["id"], record["app"]["id"]
    return {
        (ban, app, item["type"], item["name"], item["source"], number_of(item))
        for item in record["evidence"]
    }


class Recording:
    """Records what `config` decides of incidents that began from `since` up to, but without,
    `until` (ns). `recorded` and `partial` count runs of which all, and of which not all was judged;
    `changes` what was stored by kind, and incidents that were withdrawn and stay."""

    def __init__(
        self, catalogue: Catalogue, config: Config, since: int | None, until: int | None
    ) -> None:
        sensor = config.sensor
        self._catalogue = catalogue
        self._hashes = VersionHashes(sensor.version, sensor.signatures, sensor.bans, sensor.policy)
        self._contents = ban_contents(config.policy.bans, config.catalog)
        self._since, self._until = since, until
        self.recorded = self.partial = 0
        self.changes: Counter[str] = Counter()

    def run_ended(
        self,
        run: StoredRun,
        differences: Sequence[Difference],
        spans: dict[int, CompleteSpan],
    ) -> None:
        """A run was judged, with these differences; `spans` is for which time the facts of its
        captures are complete. Raises `NetwatchError`."""
        parts = complete_parts(run, spans)
        found: list[tuple[int, AlertRecord, str]] = []
        old: list[str] = []
        for difference in differences:
            self.changes[difference.change] += 1
            if difference.after is None:
                continue
            found.append((run.number, difference.after, json_line(difference.after)))
            if difference.before is not None and difference.before["id"] != difference.after["id"]:
                old.append(difference.before["id"])
        with self._catalogue.database.writing(numbers=True) as connection:
            incident = tables.incident.c
            for id_ in old:
                remove_incidents(connection, (incident.run == run.number) & (incident.id == id_))
            if found:
                store_incidents(connection, found)
            version = version_with(connection, self._hashes, self._contents)
            for part, span in parts:
                since, until = _later(span.since, self._since), _earlier(span.until, self._until)
                if since is None or until is None or since < until:
                    add_judged(connection, run.number, version, part=part, since=since, until=until)
        is_whole = parts and all(span == CompleteSpan(None, None) for _, span in parts)
        if is_whole and (run.command == "live" or len(parts) == len(run.captures)):
            self.recorded += 1
        else:
            self.partial += 1

    def end(self, user: str) -> None:
        """Note in the journal who recorded what."""
        detail = {**self.changes, "runs": self.recorded + self.partial, "bans": self._hashes.bans}
        self._catalogue.add_journal(user, "rejudge", detail)


def _later(first: int | None, second: int | None) -> int | None:
    return max((each for each in (first, second) if each is not None), default=None)


def _earlier(first: int | None, second: int | None) -> int | None:
    return min((each for each in (first, second) if each is not None), default=None)
