"""The objects of a ledger, by name; the content of a ledger, and what in it is no longer needed.

- ``results/DIGEST/ID`` is the result of a unit (`netwatch.cluster.result_file`); DIGEST stands for
  everything that judged it, ID for the unit (`netwatch.cluster.ledger`).
- ``plans/DIGEST-HASH.json`` are the units of a run, so that others can say what is missing.
- ``failures/DIGEST/ID.json`` is the reason why a unit failed; it is deleted when the unit succeeds.
- ``signatures/DIGEST/RUN-N.json`` are signatures of results (`netwatch.cluster.signatures`).
- ``runs/RUN/…`` is what a run needs while it runs. A run that was killed leaves it behind.

Other objects are not touched, and are counted by `status`.

Results are named by the unit, its content, and everything that judges it: the id of a unit is a
SHA-256 of netwatch's code, of the parts of the configuration that decide about contacts, of whether
packets are kept as evidence, and of the key and ETag of each file. So a new or changed file is
judged, a changed ban or signature judges everything again, and a change of outputs, stores or texts
does not. GeoIP databases only locate the destinations of alerts, which are made at the end.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import netwatch
from netwatch import __version__
from netwatch.capture.files import CaptureFile, file_info
from netwatch.capture.locations import FileInfo
from netwatch.cluster.storage import MissingError, Storage, Stored, write
from netwatch.config import Config
from netwatch.core.errors import CaptureError, NetwatchError
from netwatch.core.typed_json import MISMATCHES, dumps, loads, read
from netwatch.engine.capture_files import LogUnit

DIGITS = 40
"""Hexadecimal digits of a digest."""

PLAN_SCHEMA = "netwatch.plan/1"

RUN_DAYS = 2
"""Days after which the objects of a run count as left behind."""

DAY = 86_400
"""A day, s."""


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A file of a unit, and what identified its content when the run was planned."""

    file: CaptureFile
    info: FileInfo


@dataclass(frozen=True, slots=True)
class Unit:
    """A capture to judge, or a log with its options in `log`. `name` describes it, `size` is the
    total bytes of its files."""

    id: str
    name: str
    files: tuple[UnitFile, ...]
    size: int
    log: LogUnit | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """A capture that cannot be planned, and the reason: a sentence with its path."""

    reason: str


@cache
def code_version() -> str:
    """The version of netwatch with a digest of its sources: two that differ may judge
    differently."""
    digest = hashlib.sha256()
    root = Path(netwatch.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{__version__}+{digest.hexdigest()[:12]}"


def check_version(expected: str) -> None:
    """Raise `NetwatchError` in a worker whose netwatch differs from the run's."""
    if expected != code_version():
        raise NetwatchError(
            f"a worker has netwatch {code_version()}, this process {expected}: install the same"
            " version everywhere"
        )


def judged_by(config: Config, keep_frames: bool) -> str:
    """A digest of everything that a unit's result depends on besides its files."""
    privacy = config.privacy
    content = [
        code_version(),
        keep_frames,
        config.catalog.version,
        config.bans_version,
        [
            [scope.network, sorted(map(str, scope.ranges)), sorted(scope.vlans)]
            for scope in config.networks.scopes
        ],
        config.devices.entries.digest(),
        config.devices.leases.digest() if len(config.devices.leases) else None,
        config.learn,
        config.search_suffixes,
        config.sinkholes.spans,
        config.quiet_gap,
        None
        if privacy is None
        else [sorted(privacy.classes), privacy.keys.current.digest("netwatch ledger").hex()],
    ]
    return hashlib.sha256(dumps(content)).hexdigest()[:DIGITS]


def plan(
    captures: Iterable[Sequence[CaptureFile]], logs: Iterable[LogUnit], digest: str
) -> Iterator[Unit | Unread]:
    """The units of a run, in order; `digest` is from `judged_by`. Raises `ConfigError` for standard
    input."""
    for capture in captures:
        yield from _planned(capture, None, digest)
    for log in logs:
        yield from _planned(log.files, log, digest)


def _planned(
    unit: Sequence[CaptureFile], log: LogUnit | None, digest: str
) -> Iterator[Unit | Unread]:
    found = [_identified(file) for file in unit]
    yield from (unit for unit in found if isinstance(unit, Unread))
    files = tuple(unit for unit in found if isinstance(unit, UnitFile))
    # A log is judged as a whole or not at all: records in different files belong together.
    if files and (log is None or len(files) == len(unit)):
        yield _unit(files, log, digest)


def changed(unit: Unit) -> str | None:
    """A sentence if a file of a unit has changed since the run was planned."""
    for part in unit.files:
        now = file_info(CaptureFile(part.file.path, url=part.file.url))
        if now != part.info:
            return f"{part.file.path}: has changed since the run began; scan it again"
    return None


def _identified(file: CaptureFile) -> UnitFile | Unread:
    if file.error is not None:
        return Unread(file.error)
    try:
        return UnitFile(file, file_info(file))
    except CaptureError as error:
        return Unread(str(error))


def _unit(files: tuple[UnitFile, ...], log: LogUnit | None, digest: str) -> Unit:
    # The path as written is in the records, the key is its location.
    content = [[part.file.path, part.info.key, part.info.etag, part.info.size] for part in files]
    named = [part.file.named_by_user for part in files]
    identified = [digest, content, named]
    if log is not None:
        options = log.options
        zone = None if options.zone is None else str(options.zone)
        identified.append([log.log.formats, options.year, zone, log.counts_flows])
    identity = hashlib.sha256(dumps(identified)).hexdigest()[:DIGITS]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    size = sum(part.info.size or 0 for part in files)
    return Unit(identity, files[0].file.path + more, files, size, log)


Row = tuple[str, str, int]
"""A unit of a plan: its id, its name, and the bytes of its files."""


class Ledger:
    """The part of a ledger with the results of one configuration, by its `digest`."""

    def __init__(self, storage: Storage, digest: str) -> None:
        self.storage = storage
        self.digest = digest
        self._failures: set[str] | None = None

    def result(self, unit: Unit) -> str:
        """The name of the result of a unit."""
        return f"results/{self.digest}/{unit.id}"

    def results(self) -> set[str]:
        """The ids of the units that have a result, which may turn out to be damaged."""
        folder = f"results/{self.digest}/"
        return {item.name.rpartition("/")[2] for item in self.storage.objects(folder)}

    def write_plan(self, units: Sequence[Unit]) -> None:
        """Keep the units of a run."""
        rows = [[unit.id, unit.name, unit.size] for unit in units]
        content = {
            "schema": PLAN_SCHEMA,
            "version": code_version(),
            "configuration": self.digest,
            "began": int(time.time()),
            "units": rows,
        }
        identity = hashlib.sha256(dumps([row[0] for row in rows])).hexdigest()[:16]
        write(self.storage, f"plans/{self.digest}-{identity}.json", dumps(content))

    def write_failure(self, unit: Unit, reason: str) -> None:
        """Keep the reason why a unit failed."""
        content = {"unit": unit.name, "reason": reason, "time": int(time.time())}
        write(self.storage, self._failure(unit), dumps(content))
        self._known_failures().add(unit.id)

    def clear_failure(self, unit: Unit) -> None:
        """A unit has a result now."""
        if unit.id in self._known_failures():
            self.storage.remove(self._failure(unit))

    def _known_failures(self) -> set[str]:
        if self._failures is None:
            found = self.storage.objects(f"failures/{self.digest}/")
            names = {item.name.rpartition("/")[2] for item in found}
            self._failures = {name.removesuffix(".json") for name in names}
        return self._failures

    def _failure(self, unit: Unit) -> str:
        return f"failures/{self.digest}/{unit.id}.json"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit last failed."""

    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlanStatus:
    """The units of the last run of some captures under one version and configuration. `began` is in
    s since the epoch, `capture_bytes` are the bytes of all captures, `result_bytes` of the existing
    results."""

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
    """The content of a ledger. `plans` are in order, newest first; `orphaned` results are named by
    no plan, `leftovers` are objects of killed runs, `foreign` ones are unknown to netwatch."""

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
    signatures: list[Stored] = field(default_factory=list)
    foreign: list[Stored] = field(default_factory=list)


def status(storage: Storage) -> LedgerStatus:
    """The content of a ledger. Raises `netwatch.cluster.storage.StorageError`."""
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
    newest, results that no other plan names, signatures of configurations without a plan, and what
    runs left behind."""
    found, now = _look(storage), time.time()
    kept = [
        plan
        for number, plan in enumerate(found.plans)
        if number == 0 or now - read(int, plan[1]["began"]) < days * DAY
    ]
    names = {plan[0] for plan in kept}
    configurations = {str(plan[1]["configuration"]) for plan in kept}
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
        *(
            signature
            for signature in found.signatures
            if signature.name.split("/")[1] not in configurations
        ),
        *(run for run in found.runs if now - run.written > RUN_DAYS * DAY),
    ]


def _look(storage: Storage) -> _Found:
    found = _Found()
    for item in storage.objects(""):
        folder = item.name.partition("/")[0]
        if folder == "results" and item.name.count("/") == 2:
            found.results[item.name] = item
        elif folder == "failures":
            found.failures[item.name] = item
        elif folder == "runs":
            found.runs.append(item)
        elif folder == "signatures":
            found.signatures.append(item)
        elif folder != "plans" or not (plan := _read_plan(storage, item.name)):
            found.foreign.append(item)
        else:
            found.plans.append(plan)
    found.plans.sort(key=lambda plan: (-read(int, plan[1]["began"]), plan[0]))
    return found


def _read_plan(storage: Storage, name: str) -> tuple[str, dict[str, object], list[Row]] | None:
    """A plan; None if it is damaged."""
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
        failures=tuple(filter(None, (_read_failure(storage, failure) for failure in failures))),
    )


def _read_failure(storage: Storage, name: str) -> Failure | None:
    try:
        content = loads(storage.read(name))
        return Failure(read(str, content["unit"]), read(str, content["reason"]))
    except (*MISMATCHES, MissingError):
        return None


def _octets(objects: Iterable[Stored]) -> int:
    return sum(item.size for item in objects)
