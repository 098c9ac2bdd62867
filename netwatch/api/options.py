"""The arguments of the functions of the Python API, as the engine takes them."""

import contextlib
import contextvars
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar

from netwatch.core.dataclass import dataclass
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.text import escaped
from netwatch.engine.inputs import find_units
from netwatch.engine.jobs import MOST_WORKERS
from netwatch.engine.log_units import Capture, LogUnit
from netwatch.logs.options import LogOptions, Only, format_of, year_of, zone_of

T = TypeVar("T")

AnyPath = str | os.PathLike[str]
"""A path or a URL."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """A time from `since` up to, but without, `until`, in ns since the epoch; None is open."""

    since: int | None
    until: int | None

    @property
    def is_open(self) -> bool:
        """Whether everything is in it."""
        return self.since is None and self.until is None

    def overlaps(self, first: int, last: int) -> bool:
        """Whether something from `first` to `last` reaches into it."""
        return (self.since is None or last >= self.since) and (
            self.until is None or first < self.until
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of which paths, and by how many processes."""

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
    Raises `ConfigError` with all that is wrong with the arguments."""
    problems: list[Problem] = []
    found = list(map(os.fsdecode, _several(paths)))
    if not found:
        _note(problems, "paths", "expected at least one path")
    if isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= MOST_WORKERS:
        _note(problems, "jobs", f"{jobs!r} is not a number from 1 to {MOST_WORKERS}")
    if by_day and not continuous:
        _note(problems, "by_day", "it needs continuous=True")
    if only not in (None, "captures", "logs"):
        _note(problems, "only", f"expected 'captures' or 'logs', found {only!r}")
    options = LogOptions(
        _read(problems, "as_", format_of, as_),
        _read(problems, "year", year_of, None if year is None else str(year)),
        timezone
        if timezone is None or isinstance(timezone, tzinfo)
        else _read(problems, "timezone", zone_of, timezone),
        only,
    )
    period = Period(*(_read(problems, *each) for each in _moments(since, until)))
    if problems:
        raise ConfigError(problems)
    captures, logs = find_units(
        found, options, continuous=continuous, by_day=by_day, counts_flows=counts_flows
    )
    return Reading(captures, logs, jobs, period)


def source_list(sources: AnyPath | Iterable[AnyPath] | None) -> tuple[str, ...]:
    """The sources of signatures that an argument names."""
    return () if sources is None else tuple(map(os.fsdecode, _several(sources)))


def load_apart(load: Callable[..., T], path: AnyPath | None, **options: Any) -> T:
    """What a function of `netwatch.config` reads of the file at `path`. It does so in a context of
    its own, because what ``builtin`` stands for in one configuration is of no concern to others."""
    named = None if path is None else os.fsdecode(path)
    return contextvars.copy_context().run(load, named, **options)


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Errors of netwatch leave this with texts in which every control character is escaped: they
    name files and contain what is in them."""
    try:
        yield
    except ConfigError:
        raise  # Each of its problems is escaped.
    except NetwatchError as error:
        error.args = (escaped(str(error)), *error.args[1:])
        raise


def _several(paths: AnyPath | Iterable[AnyPath]) -> Iterable[AnyPath]:
    return [paths] if isinstance(paths, (str, bytes, os.PathLike)) else paths


def _moments(
    since: datetime | None, until: datetime | None
) -> Iterator[tuple[str, Callable[[datetime], int], datetime | None]]:
    yield "since", _nanoseconds, since
    yield "until", _nanoseconds, until


def _nanoseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; say which, as tzinfo=UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


A = TypeVar("A")


def _read(problems: list[Problem], name: str, read: Callable[[A], T], value: A | None) -> T | None:
    """What `read` makes of a value; None, with the reason among the problems, where it cannot."""
    if value is None:
        return None
    try:
        return read(value)
    except ValueError as error:
        _note(problems, name, str(error))
        return None


def _note(problems: list[Problem], name: str, message: str) -> None:
    problems.append(Problem(name, 0, 0, message))
