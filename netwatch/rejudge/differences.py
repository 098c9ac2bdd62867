"""What is different between the incidents that a run gave and those that it would give now.

Two alerts are the same if all fields are that say what happened, to whom, and what is thought of
it. Fields that name who judged (`IGNORED`) do not count, nor in which line of which file a rule or
an entry of the inventory is written, nor the status of an alert, which depends on when it was read.

An incident has another id as soon as its device, its app, its ban or its kind of verdict is
another one, or when it begins at another contact. So of those that are left, one that is gone and
one that is new are taken for the same incident if one ban speaks of one app in both and they have
a piece of evidence in common.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from netwatch.core.alert import AlertRecord
from netwatch.core.dataclass import dataclass

Change = Literal["new", "withdrawn", "changed"]

IGNORED = frozenset({"schema", "status", "sensor", "versions", "evidence_file"})
"""Fields of an alert that are not compared."""

_WHERE = frozenset({"file", "line", "sources"})
"""What is not compared of what is written in a line of a file: a rule, an entry of the inventory.
"""

FROM_FACTS = frozenset(
    {"id", "last_seen", "kind", "destinations", "counts", "community_ids", "names", "evidence",
     "outcome", "blocked_by", "confidence", "confidence_reasons", "first_seen", "duration"}
)  # fmt: skip
"""Fields that are others if some facts of an incident are gone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between the record of an incident `before` and `after`; the other one is None
    where it is new or withdrawn. `fields` are those that differ where it changed."""

    change: Change
    before: AlertRecord | None
    after: AlertRecord | None
    fields: tuple[str, ...] = ()

    @property
    def first_seen(self) -> str:
        """When the incident began, as its record has it."""
        record = self.after or self.before
        assert record is not None
        return str(record["first_seen"])


def compared(before: Iterable[AlertRecord], after: Iterable[AlertRecord]) -> Iterator[Difference]:
    """The differences between the incidents of one run: first those that stayed or went, in the
    order of `before`, then those that came, in the order of `after`."""
    now = {record["id"]: record for record in after}
    gone: list[AlertRecord] = []
    found: list[Difference] = []
    for record in before:
        same = now.pop(record["id"], None)
        if same is None:
            gone.append(record)
        elif fields := differing(record, same):
            found.append(Difference("changed", record, same, fields))
    new = list(now.values())
    for record in gone:
        other = next((each for each in new if _is_same(record, each)), None)
        if other is None:
            found.append(Difference("withdrawn", record, None))
        else:
            new.remove(other)
            found.append(Difference("changed", record, other, differing(record, other)))
    found += [Difference("new", None, record) for record in new]
    yield from sorted(found, key=lambda each: each.first_seen)


def differing(before: AlertRecord, after: AlertRecord) -> tuple[str, ...]:
    """The fields in which two records differ, by their names. Where another version of netwatch
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


def _is_same(before: AlertRecord, after: AlertRecord) -> bool:
    """Whether two records with different ids are of one incident."""
    if (before["ban"]["id"], before["app"]["id"]) != (after["ban"]["id"], after["app"]["id"]):
        return False
    return not _pieces(before).isdisjoint(_pieces(after))


def _pieces(record: AlertRecord) -> set[tuple[Any, ...]]:
    return {
        (item["type"], item["name"], item["source"], item["packet"]) for item in record["evidence"]
    }
