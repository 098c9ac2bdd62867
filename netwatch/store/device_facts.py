"""What the facts say of one device in a period: names, and flows by what they revealed."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import duckdb

from netwatch.core.dataclass import dataclass
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import QueryTimeoutError
from netwatch.store.fact_queries import once_more
from netwatch.store.options import StoreOptions
from netwatch.store.views import Views

MAX_NAMES = 200
"""Names that are given, those seen last first."""

MEMORY_LIMIT = 512 << 20
"""Memory of DuckDB for one device, in bytes."""

_WHOSE = (
    "f.client IN (SELECT value FROM netwatch.wanted_client)"
    " AND f.capture IN (SELECT value FROM netwatch.shown)"
)


@dataclass(frozen=True, slots=True)
class NameSeen:
    """A name that the device showed: when first and last (ns), and how often."""

    name: str
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The names, at most `MAX_NAMES`, and whether there are more; the flows by their name status
    (`netwatch.core.flow.NameStatus`)."""

    names: tuple[NameSeen, ...]
    more_names: bool
    flows: dict[str, int]


def device_facts(
    catalogue: Catalogue,
    options: StoreOptions,
    clients: Sequence[int],
    since: int,
    until: int,
    is_wanted: Callable[[str], bool],
    timeout: float,
) -> DeviceFacts:
    """The facts of clients (numbers of the catalogue) from `since` up to, but without, `until`
    (ns). Only names that `is_wanted` are given. Raises `NetwatchError`, and `QueryTimeoutError`
    after `timeout` s."""

    def read() -> Iterator[DeviceFacts]:
        with (
            Views(
                catalogue, options, ["observation", "flow"], since=since, until=until,
                clients=clients,
                settings={"memory_limit": f"{MEMORY_LIMIT}B", "temp_directory": ""},
            ) as views,
            _limit(views.connection, timeout),
        ):  # fmt: skip
            views.register("wanted_client", clients, "INTEGER")
            yield DeviceFacts(*_names(views, since, until, is_wanted), _flows(views, since, until))

    (found,) = once_more(read)
    assert isinstance(found, DeviceFacts)
    return found


def _names(
    views: Views, since: int, until: int, is_wanted: Callable[[str], bool]
) -> tuple[tuple[NameSeen, ...], bool]:
    cursor = views.connection.execute(
        "SELECT f.name, min(f.time), max(f.time), count(*) FROM netwatch.observation_rows f"
        f" WHERE {_WHOSE} AND f.time >= {since} AND f.time < {until}"
        " GROUP BY f.name ORDER BY max(f.time) DESC, f.name"
    )
    found: list[NameSeen] = []
    while rows := cursor.fetchmany(1000):
        for name, first, last, count in rows:
            if not is_wanted(name):
                continue
            if len(found) == MAX_NAMES:
                return tuple(found), True
            found.append(NameSeen(name, first, last, count))
    return tuple(found), False


def _flows(views: Views, since: int, until: int) -> dict[str, int]:
    rows = views.connection.execute(
        "SELECT f.name_status, count(*) FROM netwatch.flow_rows f"
        f" WHERE {_WHOSE} AND f.last >= {since} AND f.first < {until}"
        " GROUP BY f.name_status ORDER BY f.name_status"
    ).fetchall()
    return {str(status): int(count) for status, count in rows}


@contextmanager
def _limit(connection: duckdb.DuckDBPyConnection, timeout: float) -> Iterator[None]:
    """Interrupt what runs on a connection after a time. Raises `QueryTimeoutError`."""
    timer = threading.Timer(timeout, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException:
        raise QueryTimeoutError(f"the query took longer than {timeout:g} s") from None
    finally:
        timer.cancel()
