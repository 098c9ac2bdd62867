"""What a ledger has, and what of it nobody needs any more."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from netwatch.cluster.ledger import PLAN_SCHEMA
from netwatch.cluster.storage import MissingError, Storage, Stored
from netwatch.core.typed_json import MISMATCHES, loads, read

RUN_DAYS = 2
"""Days after which what a run needed while it ran was left behind."""

DAY = 86_400
"""A day, s."""

Row = tuple[str, str, int]
"""A unit of a plan: its id, its name, and the bytes of its files."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit failed the last time."""

    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlanStatus:
    """The units of the last run of some captures under one version and configuration. `began` is
    in s since the epoch, `capture_bytes` are those of all captures, `result_bytes` those of the
    results there are."""

    plan: str
    version: str
    configuration: str
    began: int
    units: int
    done: int
    missing: int
    failed: int
    capture_bytes: int
    missing_bytes: int
    result_bytes: int
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class LedgerStatus:
    """What a ledger has. `plans` are in order, the newest first; `orphaned` results are named by
    no plan, `leftovers` are objects of runs that were killed, `foreign` ones are of nothing that
    netwatch knows."""

    plans: tuple[PlanStatus, ...]
    results: int
    result_bytes: int
    orphaned: int
    orphaned_bytes: int
    leftovers: int
    leftover_bytes: int
    foreign: int


@dataclass(slots=True)
class _Found:
    """All objects, by their folder."""

    plans: list[tuple[str, dict[str, object], list[Row]]] = field(default_factory=list)
    results: dict[str, Stored] = field(default_factory=dict)
    failures: dict[str, Stored] = field(default_factory=dict)
    runs: list[Stored] = field(default_factory=list)
    foreign: list[Stored] = field(default_factory=list)


def status(storage: Storage) -> LedgerStatus:
    """What a ledger has. Raises `netwatch.cluster.storage.StorageError`."""
    found = _look(storage)
    named = {name for plan in found.plans for name in _results_of(plan)}
    orphans = [each for name, each in found.results.items() if name not in named]
    return LedgerStatus(
        plans=tuple(_plan_status(storage, plan, found) for plan in found.plans),
        results=len(found.results),
        result_bytes=_octets(found.results.values()),
        orphaned=len(orphans),
        orphaned_bytes=_octets(orphans),
        leftovers=len(found.runs),
        leftover_bytes=_octets(found.runs),
        foreign=len(found.foreign),
    )


def unneeded(storage: Storage, days: int) -> list[Stored]:
    """The objects that `prune` deletes: plans that no run had within so many days, except the
    newest, results that no other plan names, and what runs left behind."""
    found, now = _look(storage), time.time()
    kept = [
        plan
        for number, plan in enumerate(found.plans)
        if number == 0 or now - read(int, plan[1]["began"]) < days * DAY
    ]
    names = {plan[0] for plan in kept}
    named = {name for plan in kept for name in _results_of(plan)}
    ids = {name.rpartition("/")[2] for name in named}
    return [
        *(Stored(name, 0, 0) for name, _, _ in found.plans if name not in names),
        *(each for name, each in found.results.items() if name not in named),
        *(
            each
            for name, each in found.failures.items()
            if name.rpartition("/")[2].removesuffix(".json") not in ids
        ),
        *(each for each in found.runs if now - each.written > RUN_DAYS * DAY),
    ]


def _look(storage: Storage) -> _Found:
    found = _Found()
    for each in storage.objects(""):
        folder = each.name.partition("/")[0]
        if folder == "results" and each.name.count("/") == 2:
            found.results[each.name] = each
        elif folder == "failures":
            found.failures[each.name] = each
        elif folder == "runs":
            found.runs.append(each)
        elif folder != "plans" or not (plan := _read_plan(storage, each.name)):
            found.foreign.append(each)
        else:
            found.plans.append(plan)
    found.plans.sort(key=lambda plan: (-read(int, plan[1]["began"]), plan[0]))
    return found


def _read_plan(storage: Storage, name: str) -> tuple[str, dict[str, object], list[Row]] | None:
    """A plan; None where it is damaged."""
    try:
        content = loads(storage.read(name))
        if content["schema"] != PLAN_SCHEMA:
            return None
        read(int, content["began"])
        read(tuple[str, str], [content["version"], content["configuration"]])
        return name, content, read(list[Row], content["units"])
    except (*MISMATCHES, MissingError):
        return None


def _results_of(plan: tuple[str, dict[str, object], list[Row]]) -> Iterator[str]:
    _, content, rows = plan
    for row in rows:
        yield f"results/{content['configuration']}/{row[0]}"


def _plan_status(
    storage: Storage, plan: tuple[str, dict[str, object], list[Row]], found: _Found
) -> PlanStatus:
    name, content, rows = plan
    digest = str(content["configuration"])
    results = dict(zip((row[0] for row in rows), _results_of(plan), strict=True))
    done = [row for row in rows if results[row[0]] in found.results]
    missing = [row for row in rows if results[row[0]] not in found.results]
    failures = [
        failure
        for row in missing
        if (failure := f"failures/{digest}/{row[0]}.json") in found.failures
    ]
    return PlanStatus(
        plan=name.removeprefix("plans/").removesuffix(".json"),
        version=str(content["version"]),
        configuration=digest[:12],
        began=read(int, content["began"]),
        units=len(rows),
        done=len(done),
        missing=len(missing) - len(failures),
        failed=len(failures),
        capture_bytes=sum(row[2] for row in rows),
        missing_bytes=sum(row[2] for row in missing),
        result_bytes=_octets(found.results[results[row[0]]] for row in done),
        failures=tuple(filter(None, (_read_failure(storage, each) for each in failures))),
    )


def _read_failure(storage: Storage, name: str) -> Failure | None:
    try:
        content = loads(storage.read(name))
        return Failure(read(str, content["unit"]), read(str, content["reason"]))
    except (*MISMATCHES, MissingError):
        return None


def _octets(objects: Iterable[Stored]) -> int:
    return sum(each.size for each in objects)
