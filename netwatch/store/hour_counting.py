"""Counts by network and hour what rows of facts show, as defined by `netwatch.coverage.judged`.

Everything that stores rows counts them here: ``scan``, ``live``, logs, a centre, and judging a
store again. Facts tell when there were packets: the times of names and claims, and of the first and
last packet of each flow. Traffic itself is what packets show, and logs of all flows
(`TRAFFIC_LOGS`); of other logs, such as those of resolvers and proxies, only the times count, since
nothing is known of what went past them. `fill_hours` counts the hours of runs again from the facts
that are left: for runs that an older netwatch stored, or whose writer was killed before it had
stored them.

Whether the name of a flow could be read also depends on the signatures: a flow to an app that hides
names counts as one without a name. `Hides` knows such apps. Without it, such flows have the name
that they show. Which flow records are ``one-of-k`` follows from what clients had been told, so
whoever judges them counts them (`OneOf`).
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import select

from netwatch.core.errors import NetwatchError
from netwatch.core.flow import NAME_STATUSES
from netwatch.core.message import LOOKUPS
from netwatch.coverage.flow_visibility import (
    FLOW_RECORD_LOGS,
    NOT_COUNTED,
    TRAFFIC_LOGS,
    visibilities,
)
from netwatch.coverage.judged import HOUR, QUARTER, HourCounts, OneOf, one_of_place
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import read_file
from netwatch.store.hour_rows import add_traffic
from netwatch.store.tables import FACTS

if TYPE_CHECKING:
    import pyarrow as pa

NetworkClass = tuple[str, str]
"""The name and the class of a network."""

HIDDEN_LIMIT = 1 << 18
"""Flows of `Hidden` to remember."""

CELLS = 50_000
"""Hours of networks after which counts should be stored."""

_STATUS: Mapping[str, int] = {status: number for number, status in enumerate(NAME_STATUSES)}
_TIMES = {"observation": ("time",), "claim": ("time",), "flow": ("first", "last")}
_CODES = 1 << 12
_VISIBILITIES = 1 << 8
_REVEALS_NOTHING = frozenset({*LOOKUPS, "tls-cert"})

Hidden = OrderedDict[tuple[int, int], int]
"""Flows to apps that hide names whose end has not come yet: their category by capture and id."""


class Hides(Protocol):
    """Which apps hide names, as places in `NAME_STATUSES`; 0 for everything else."""

    def by_name(self, name: str) -> int:
        """The category of the only app that uses a name."""
        ...

    def by_address(self, address: str) -> int:
        """The category of the app that has a server at an address."""
        ...


class HourCounter:
    """Counts rows of the parts of a run. `hidden` are flows that earlier rows belonged to. The
    clock of the rows' times is `offset` ns ahead."""

    def __init__(
        self, hides: Hides | None = None, hidden: Hidden | None = None, offset: int = 0
    ) -> None:
        self.hides = hides
        self._offset = offset
        self._parts: dict[int, HourCounts] = {}
        self._hidden: Hidden = OrderedDict() if hidden is None else hidden
        self._cells = 0

    @property
    def is_large(self) -> bool:
        """Whether enough was counted to store it."""
        return self._cells >= CELLS

    @property
    def parts(self) -> Mapping[int, HourCounts]:
        """The counts since the last call of `clear`, by part."""
        return self._parts

    def clear(self) -> None:
        """The counts were stored."""
        self._parts, self._cells = {}, 0

    def add_one_of(self, part: int, found: OneOf) -> None:
        """Note which flow records of a part, whose rows are added too, are ``one-of-k``."""
        for network, device_class, hour, names, flows in found:
            # An hour of a clock that is ahead counts for the hour that most of it is in.
            at = max(0, (hour * HOUR + HOUR // 2 - self._offset) // HOUR)
            self._counts(part).see((network, device_class), at)[one_of_place(names)] += flows
            self._cells += 1

    def add(
        self,
        part: int,
        capture: int,
        table: str,
        rows: "pa.RecordBatch",
        networks: Sequence[NetworkClass | None],
    ) -> None:
        """Count rows of a table, of a capture of a part; `networks` are the networks of the clients
        in the column ``client``."""
        if not rows.num_rows:
            return
        if table == "observation":
            self._note_hidden(capture, rows)
        served = _is_served(table, rows)
        if served is None:
            self._add(part, capture, table, rows, networks, is_traffic=True)
            return
        from pyarrow import compute

        self._add(part, capture, table, rows.filter(served), networks, is_traffic=False)
        others = rows.filter(compute.invert(served))
        if others.num_rows:
            self._add(part, capture, table, others, networks, is_traffic=True)

    def _add(
        self,
        part: int,
        capture: int,
        table: str,
        rows: "pa.RecordBatch",
        networks: Sequence[NetworkClass | None],
        *,
        is_traffic: bool,
    ) -> None:
        counts = self._counts(part)
        for name in _TIMES[table]:
            quarters = _distinct(self._times(rows, name), QUARTER)
            counts.quarters.update(quarters)
            if is_traffic:
                counts.traffic.update(quarters)
        if table == "claim":
            return
        known = sorted({each for each in networks if each is not None})
        codes: dict[NetworkClass | None, int] = {
            network: code for code, network in enumerate(known, 1)
        }
        for start in range(0, len(known), _CODES - 1):
            part_of = known[start : start + _CODES - 1]
            places = [
                code if 0 < (code := codes.get(each, 0) - start) <= len(part_of) else 0
                for each in networks
            ]
            self._count(counts, capture, table, rows, part_of, places, is_traffic)

    def _times(self, rows: "pa.RecordBatch", name: str) -> "pa.Array":
        """The corrected times of rows."""
        from pyarrow import compute

        times = rows.column(name)
        return compute.subtract(times, self._offset) if self._offset else times

    def _counts(self, part: int) -> HourCounts:
        return self._parts.setdefault(part, HourCounts())

    def _count(
        self,
        counts: HourCounts,
        capture: int,
        table: str,
        rows: "pa.RecordBatch",
        known: Sequence[NetworkClass],
        places: Sequence[int],
        is_traffic: bool,
    ) -> None:
        import pyarrow as pa
        from pyarrow import compute

        network = pa.array(places, pa.int64()).take(rows.column("client"))
        time = self._times(rows, "time" if table == "observation" else "first")
        key = compute.add(compute.multiply(compute.divide(time, HOUR), _CODES), network)
        if table == "flow":
            found_of = self._visibilities(capture, rows)
            if not is_traffic:
                found_of = bytearray([NOT_COUNTED]) * rows.num_rows
            seen = pa.array(found_of, pa.uint8()).cast(pa.int64())
            key = compute.add(compute.multiply(key, _VISIBILITIES), seen)
        for each in compute.value_counts(key).to_pylist():
            at, number = each["values"], each["counts"]
            visibility = NOT_COUNTED
            if table == "flow":
                at, visibility = divmod(at, _VISIBILITIES)
            hour, code = divmod(at, _CODES)
            if not code:
                continue
            found = counts.see(known[code - 1], hour, is_traffic=is_traffic)
            if not found:
                self._cells += 1
            if visibility != NOT_COUNTED:
                found[visibility] += number

    def _note_hidden(self, capture: int, rows: "pa.RecordBatch") -> None:
        """Note the flows whose names belong to an app that hides names."""
        from pyarrow import compute

        if self.hides is None:
            return
        names, status = rows.column("name"), {}
        for code, name in enumerate(names.dictionary.to_pylist()):
            if found := self.hides.by_name(name):
                status[code] = found
        if not status:
            return
        import pyarrow as pa

        chosen = compute.is_in(names.indices, value_set=pa.array(list(status), pa.int32()))
        for row in compute.indices_nonzero(chosen).to_pylist():
            if rows.column("evidence")[row].as_py() in _REVEALS_NOTHING:
                continue
            key = capture, rows.column("flow")[row].as_py()
            if key not in self._hidden and len(self._hidden) >= HIDDEN_LIMIT:
                self._hidden.popitem(last=False)
            found = status[names.indices[row].as_py()]
            self._hidden[key] = max(found, self._hidden.get(key, 0))

    def _visibilities(self, capture: int, rows: "pa.RecordBatch") -> bytearray:
        """The visibility of each flow, as `netwatch.coverage.flow_visibility` decides it."""
        statuses = _codes(rows.column("name_status"), _STATUS)
        if self._hidden:
            for row, flow in enumerate(rows.column("flow").to_pylist()):
                status = self._hidden.pop((capture, flow), 0)
                statuses[row] = max(statuses[row], status)
        categories = bytearray(rows.num_rows)
        if self.hides is not None:
            servers = rows.column("server_ip")
            known = {
                text: self.hides.by_address(text)
                for text in servers.dictionary.to_pylist()
                if text is not None
            }
            if any(known.values()):
                categories = _codes(servers, known)
        flags = bytearray(
            incomplete | start << 1 | (log in FLOW_RECORD_LOGS) << 2
            for incomplete, start, log in zip(
                rows.column("incomplete_message").to_pylist(),
                rows.column("start_seen").to_pylist(),
                rows.column("log_format").to_pylist(),
                strict=True,
            )
        )
        return visibilities(
            rows.num_rows,
            _codes(rows.column("transport"), {"tcp": 1}),
            _words(rows.column("client_port")),
            _words(rows.column("server_port")),
            _words(rows.column("bytes_out")),
            _words(rows.column("bytes_in")),
            statuses,
            categories,
            flags,
        )


def _is_served(table: str, rows: "pa.RecordBatch") -> "pa.BooleanArray | None":
    """Which rows are from logs that do not show traffic itself; None: none of them."""
    import pyarrow as pa

    logs = rows.column("log_format")
    if logs.null_count == rows.num_rows:
        return None
    served = [table != "flow" or text not in TRAFFIC_LOGS for text in logs.dictionary.to_pylist()]
    if not any(served):
        return None
    return pa.array(served, pa.bool_()).take(logs.indices).fill_null(False)


def _distinct(times: "pa.Array", unit: int) -> list[int]:
    """The distinct numbers of the parts of time that times (ns) are in."""
    from pyarrow import compute

    found: list[int] = compute.unique(compute.divide(times, unit)).to_pylist()
    return found


def _codes(column: Any, numbers: Mapping[str, int]) -> bytearray:
    """The numbers of the texts of a dictionary column; 0 for those that have none."""
    known = [numbers.get(text, 0) for text in column.dictionary.to_pylist()]
    return bytearray(0 if code is None else known[code] for code in column.indices.to_pylist())


def _words(column: "pa.Array") -> "array[int]":
    return array("q", column.to_pylist())


def runs_without_hours(catalogue: Catalogue) -> list[int]:
    """The runs without known hours."""
    run, hour = tables.run.c, tables.hour_captured.c
    has_hours = select(hour.run).where(hour.run == run.id).exists()
    with catalogue.database.reading() as connection:
        return [*connection.execute(select(run.id).where(~has_hours)).scalars()]


def fill_hours(catalogue: Catalogue, files: FactFiles, hides: Hides | None = None) -> int:
    """Count the hours of all runs that have none; returns how many there were. Raises
    `NetwatchError`."""
    wanted = {*runs_without_hours(catalogue)}
    if not wanted:
        return 0
    # Names come first: they tell which flows have a name that hides another.
    for run, counter in _recounted(catalogue, files, wanted, FACTS, hides).items():
        if counter.parts:
            catalogue.add_hours(run, counter.parts)
    return len(wanted)


def fill_traffic(
    catalogue: Catalogue, files: FactFiles, damaged: Callable[[NetwatchError], None]
) -> None:
    """Find when traffic itself was seen, for the hours that an older netwatch stored. Its claims do
    not say whether they are from a log. Of a file that is `damaged` or missing it stays unknown.
    Raises `NetwatchError`."""
    with catalogue.database.reading() as connection:
        runs = {*connection.execute(select(tables.run.c.id)).scalars()}
    counters = _recounted(catalogue, files, runs, ("observation", "flow"), damaged=damaged)
    with catalogue.database.writing() as connection:
        for run, counter in counters.items():
            add_traffic(connection, run, counter.parts)


def _recounted(
    catalogue: Catalogue,
    files: FactFiles,
    runs: Collection[int],
    fact_tables: Iterable[str],
    hides: Hides | None = None,
    damaged: Callable[[NetwatchError], None] | None = None,
) -> dict[int, HourCounter]:
    """The counts of runs from all of their facts in tables. A file that cannot be read is
    `damaged`, or raises `NetwatchError`."""
    captures, networks = _captures(catalogue, runs), _networks(catalogue)
    counters = {run: HourCounter(hides) for run in runs}
    for table in fact_tables:
        for file in catalogue.files(table):
            try:
                rows = read_file(files, file)
            except NetwatchError as error:
                if damaged is None:
                    raise
                damaged(error)
                continue
            for batch in rows.to_batches():
                _count(table, batch, captures, networks, counters)
    return counters


def _captures(catalogue: Catalogue, runs: Collection[int]) -> dict[int, tuple[int, int]]:
    """The run and the part of each capture of runs."""
    run, capture = tables.run.c, tables.capture.c
    with catalogue.database.reading() as connection:
        rows = connection.execute(
            select(capture.id, capture.run, run.command).join_from(
                tables.capture, tables.run, capture.run == run.id
            )
        ).all()
    return {
        number: (of, 0 if command == "live" else number)
        for number, of, command in rows
        if of in runs
    }


def _networks(catalogue: Catalogue) -> dict[int, tuple[str, str] | None]:
    """The network of each client, with its class."""
    client = tables.client.c
    with catalogue.database.reading() as connection:
        return {
            number: None if name is None else (name, kind or "")
            for number, name, kind in connection.execute(
                select(client.number, client.network, client["class"])
            )
        }


def _count(
    table: str,
    batch: "pa.RecordBatch",
    captures: dict[int, tuple[int, int]],
    networks: dict[int, tuple[str, str] | None],
    counters: dict[int, HourCounter],
) -> None:
    import pyarrow as pa
    from pyarrow import compute

    for capture in compute.unique(batch.column("capture")).to_pylist():
        if capture not in captures:
            continue
        run, part = captures[capture]
        rows = batch.filter(compute.equal(batch.column("capture"), capture))
        clients = rows.column("client").dictionary_encode()
        known = [networks.get(number) for number in clients.dictionary.to_pylist()]
        at = rows.schema.get_field_index("client")
        places = clients.indices.cast(pa.int32())
        counters[run].add(part, capture, table, rows.set_column(at, "client", places), known)
