"""What a ledger's results are named by: the unit, its content, and everything that judges it.

The id of a unit is a SHA-256 of the code of netwatch, of what decides about contacts in the
configuration, of whether packets are kept as evidence, and of the key and ETag of each file. So a
new or changed file is judged, a changed ban or signature judges everything again, and a change of
outputs, stores or texts does not. GeoIP databases only locate the destinations of alerts, which are
made at the end.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import netwatch
from netwatch import __version__
from netwatch.capture.files import CaptureFile, file_info
from netwatch.capture.locations import FileInfo
from netwatch.config import Config
from netwatch.core.errors import CaptureError
from netwatch.core.typed_json import dumps
from netwatch.engine.capture_files import LogUnit

DIGITS = 40
"""Hexadecimal digits of a digest."""


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A file of a unit, and what identified its content when the run was planned."""

    file: CaptureFile
    info: FileInfo


@dataclass(frozen=True, slots=True)
class Unit:
    """A capture to judge, or a log: then `log` says how. `name` says in words what it is, `size`
    are the bytes of its files."""

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


def judged_by(config: Config, keep_frames: bool) -> str:
    """A digest of all that a unit's result depends on beside its files."""
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
    """The units of a run, in order; `digest` is that of `judged_by`. Raises `ConfigError` for
    standard input."""
    for capture in captures:
        yield from _planned(capture, None, digest)
    for log in logs:
        yield from _planned(log.files, log, digest)


def _planned(
    unit: Sequence[CaptureFile], log: LogUnit | None, digest: str
) -> Iterator[Unit | Unread]:
    found = [_identified(file) for file in unit]
    yield from (each for each in found if isinstance(each, Unread))
    files = tuple(each for each in found if isinstance(each, UnitFile))
    # A log is judged as a whole or not at all: what goes on over files belongs together.
    if files and (log is None or len(files) == len(unit)):
        yield _unit(files, log, digest)


def changed(unit: Unit) -> str | None:
    """A sentence where a file of a unit is not what it was when the run was planned."""
    for each in unit.files:
        now = file_info(CaptureFile(each.file.path, url=each.file.url))
        if now != each.info:
            return f"{each.file.path}: has changed since the run began; scan it again"
    return None


def _identified(file: CaptureFile) -> UnitFile | Unread:
    if file.error is not None:
        return Unread(file.error)
    try:
        return UnitFile(file, file_info(file))
    except CaptureError as error:
        return Unread(str(error))


def _unit(files: tuple[UnitFile, ...], log: LogUnit | None, digest: str) -> Unit:
    # The path as written is in the records, the key says where it is.
    content = [[each.file.path, each.info.key, each.info.etag, each.info.size] for each in files]
    named = [each.file.named_by_user for each in files]
    identified = [digest, content, named]
    if log is not None:
        options = log.options
        zone = None if options.zone is None else str(options.zone)
        identified.append([log.log.formats, options.year, zone, log.counts_flows])
    identity = hashlib.sha256(dumps(identified)).hexdigest()[:DIGITS]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    size = sum(each.info.size or 0 for each in files)
    return Unit(identity, files[0].file.path + more, files, size, log)
