"""The arguments and results of the functions of the Python API: arguments as the engine takes them,
and observations, incidents and coverage.

The records are documented (docs/reference/records.md) and have a schema, so the classes of the API
do not define names of their own: an attribute is a key of the record
(`netwatch.formats.typed_records`).
"""

import contextlib
import contextvars
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal, TypeVar

from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.message import Evidence as MessageEvidence
from netwatch.core.text import escaped
from netwatch.core.verdict import DeviceClass
from netwatch.engine.capture_files import Capture, LogUnit, find_units
from netwatch.engine.jobs import MOST_WORKERS
from netwatch.formats.alert_record import Log, Tls
from netwatch.formats.typed_records import Record
from netwatch.logs import LogOptions, Only
from netwatch.logs.times import year_of, zone_of

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """What a DNS message contains besides its name."""

    type: str | None = None
    rcode: str | None = None
    answers: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    asked: str | None = None
    service_targets: tuple[str, ...] = ()
    ech: tuple[str, ...] = ()
    ech_configs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quic:
    """The version of QUIC."""

    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One side of a flow, None if a log does not say. Only clients have a MAC, host name and
    network."""

    ip: str | None = None
    port: int | None = None
    mac: str | None = None
    hostname: str | None = None
    network: str | None = None


_NOBODY = Endpoint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Record):
    """One name that one device showed, with its evidence: the record of an observation with its
    keys as attributes, None if a key is left out. `time` is aware, in UTC and in microseconds;
    `record` has it with the precision of the capture."""

    __hash__ = Record.__hash__

    time: datetime
    evidence: MessageEvidence
    name: str
    raw: str | None = None
    client: Endpoint = _NOBODY
    server: Endpoint = _NOBODY
    transport: Literal["tcp", "udp"]
    vlan: int | None = None
    community_id: str | None = None
    source: str
    packet: int | None = None
    sensor: str | None = None
    dns: Dns | None = None
    tls: Tls | None = None
    quic: Quic | None = None
    log: Log | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Flows, the ones whose name was read, and the others by reason. `missed` are flows outside all
    networks that a network would match with another VLAN tag."""

    flows: int
    named: int
    unnamed: Mapping[str, int]
    missed: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCoverage:
    """The flows of a device."""

    id: str
    flows: int
    named: int
    unnamed: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCoverage:
    """The flows of a network, of each of its devices, and of the devices beyond a limit."""

    name: str
    class_: DeviceClass
    flows: int
    named: int
    unnamed: Mapping[str, int]
    devices: tuple[DeviceCoverage, ...]
    rest: Flows


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """Packets, and the ones that were captured in part, lost, or whose payload could not be
    reached, by reason."""

    seen: int
    cut: int
    dropped: int
    unreadable: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage(Record):
    """What could be read in one run. `without_verdict` are contacts with apps that cannot be
    judged, by reason, and `one_of_k` flows that may be of several apps, by their number."""

    __hash__ = Record.__hash__

    schema: str
    flows: int
    named: int
    unnamed: Mapping[str, int]
    packets: Packets
    networks: tuple[NetworkCoverage, ...]
    outside: Flows
    without_verdict: Mapping[str, int]
    one_of_k: Mapping[str, int] | None = None


AnyPath = str | os.PathLike[str]
"""A path or a URL."""


@dataclass(frozen=True, slots=True)
class Period:
    """A time from `since` up to, but not including, `until`, in ns since the epoch; None means
    open."""

    since: int | None
    until: int | None

    @property
    def is_open(self) -> bool:
        """Whether everything is in it."""
        return self.since is None and self.until is None

    def overlaps(self, first: int, last: int) -> bool:
        """Whether it overlaps the time from `first` to `last`."""
        return (self.since is None or last >= self.since) and (
            self.until is None or first < self.until
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """The paths to read, how to read them, and the number of processes."""

    captures: list[Capture]
    logs: list[LogUnit]
    workers: int
    period: Period


def read_options(
    paths: AnyPath | Iterable[AnyPath],
    *,
    jobs: int,
    continuous: bool,
    by_day: bool,
    only: Only | None,
    as_: str | None,
    year: int | None,
    timezone: tzinfo | str | None,
    since: datetime | None,
    until: datetime | None,
    counts_flows: bool = False,
) -> Reading:
    """The arguments that `scan` and `names` have in common, and the files that `paths` lead to.
    Raises `ConfigError` with all errors in the arguments."""
    problems: list[Problem] = []
    found = _read(problems, "paths", _texts, paths, is_given=True)
    if found == []:
        _note(problems, "paths", "expected at least one path")
    if isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= MOST_WORKERS:
        _note(problems, "jobs", f"{_shown(jobs)} is not a number from 1 to {MOST_WORKERS}")
    for name, value in (
        ("continuous", continuous),
        ("by_day", by_day),
        ("coverage", counts_flows),
    ):
        if not isinstance(value, bool):
            _note(problems, name, f"expected True or False, found {_shown(value)}")
    if by_day is True and not continuous:
        _note(problems, "by_day", "it needs continuous=True")
    if only not in (None, "captures", "logs"):
        _note(problems, "only", f"expected 'captures' or 'logs', found {_shown(only)}")
    options = LogOptions(
        _read(problems, "as_", _format, as_),
        _read(problems, "year", year_of, None if year is None else str(year)),
        _read(problems, "timezone", _zone, timezone),
        only,
    )
    period = Period(
        _read(problems, "since", _nanoseconds, since), _read(problems, "until", _nanoseconds, until)
    )
    if problems or found is None:
        raise ConfigError(problems)
    captures, logs = find_units(
        found, options, continuous=continuous, by_day=by_day, counts_flows=counts_flows
    )
    return Reading(captures, logs, jobs, period)


def source_list(sources: AnyPath | Iterable[AnyPath] | None) -> tuple[str, ...]:
    """The sources of signatures in an argument. Raises `ConfigError` if they are not paths."""
    problems: list[Problem] = []
    found = _read(problems, "signatures", _texts, sources)
    if problems:
        raise ConfigError(problems)
    return tuple(found or ())


def load_apart(load: Callable[..., T], path: AnyPath | None, **options: Any) -> T:
    """The result of a function of `netwatch.config` for the file at `path`. It runs in a context of
    its own, so that what ``builtin`` stands for in one configuration does not affect others. Raises
    `ConfigError` if `path` is not a path."""
    problems: list[Problem] = []
    named = _read(problems, "config", _text, path)
    if problems:
        raise ConfigError(problems)
    return contextvars.copy_context().run(load, named, **options)


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """A context that escapes every control character in errors of netwatch: they contain names and
    contents of files."""
    try:
        yield
    except ConfigError:
        raise  # Each of its problems is escaped.
    except NetwatchError as error:
        error.args = (escaped(str(error)), *error.args[1:])
        raise


def host_name(name: object) -> str:
    """A name of `match`. Raises `ConfigError` if it is not text."""
    if isinstance(name, str):
        return name
    message = f"expected a host name as a str, or several, found {_shown(name)}"
    raise ConfigError.of("name", message)


def _texts(paths: AnyPath | Iterable[AnyPath]) -> list[str]:
    if isinstance(paths, (str, bytes, os.PathLike)):
        return [_text(paths)]
    if not isinstance(paths, Iterable):
        raise ValueError(f"expected a path (str or pathlib.Path) or several, found {_shown(paths)}")
    return list(map(_text, paths))


def _text(path: AnyPath) -> str:
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise ValueError(f"expected a path (str or pathlib.Path), found {_shown(path)}")
    return os.fsdecode(path)


def _format(name: str) -> str:
    from netwatch.logs.registry import format_of

    return format_of(name if isinstance(name, str) else "")


def _zone(zone: tzinfo | str) -> tzinfo:
    if isinstance(zone, tzinfo):
        return zone
    if not isinstance(zone, str):
        raise ValueError(f"expected the name of a time zone or a tzinfo, found {_shown(zone)}")
    return zone_of(zone)


def _nanoseconds(moment: datetime) -> int:
    if not isinstance(moment, datetime):
        raise ValueError(f"expected a datetime with a time zone, found {_shown(moment)}")
    if moment.utcoffset() is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; give one, as tzinfo=UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _read(
    problems: list[Problem],
    name: str,
    read: Callable[[Any], T],
    value: object,
    *,
    is_given: bool = False,
) -> T | None:
    """A value as read by `read`; None, with the reason among the problems, if that fails; None
    without a reason if the value is None and optional."""
    if value is None and not is_given:
        return None
    try:
        return read(value)
    except ValueError as error:
        _note(problems, name, str(error))
        return None


def _note(problems: list[Problem], name: str, message: str) -> None:
    problems.append(Problem(name, 0, 0, message))


def _shown(value: object) -> str:
    """A value in a message, shortened."""
    return reprlib.repr(value)
