"""The facts that matter, read from a store in the order in which the engine saw them.

Most names match no rule, so most rows decide nothing. DuckDB reads the columns that tell which rows
do, and only those rows become objects:

1. Each distinct name is matched once against the catalogue.
2. Observations count if a rule matches their name; answers also if a rule matches their alias.
3. The addresses in answers for an app make pairs of a client and an address. Other answers count if
   they have such a pair, because they invalidate the evidence. So do answers with ECH
   configurations, and outer hellos, which make such a pair too.
   Beside flow records all answers with such an address count, whoever got them, and the records of
   any client that went to one.
4. Flows count if a contact is part of them, or if they go from a pair's client to its address;
   flow records also if they go to a vendor's network.
5. Claims count if the configuration learns devices.

All runs are read in one pass, ordered by run, capture and `sequence`.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Self

import pyarrow as pa

from netwatch.core.addresses import parse_ip
from netwatch.core.alert import AlertRecord, number_of
from netwatch.core.flow import Flow
from netwatch.coverage.flow_visibility import FLOW_RECORD_LOGS
from netwatch.engine.replay import ClaimEvent, Event, SampledEvent
from netwatch.engine.vendor_networks import VendorNetworks
from netwatch.rejudge.stored_runs import CompleteSpan, StoredRun, complete_spans, read_clients
from netwatch.store.catalogue import Catalogue
from netwatch.store.claims import decode_claim
from netwatch.store.observation_rows import COLUMNS, StoredClient, observation_batch
from netwatch.store.options import StoreOptions
from netwatch.store.tables import FLOW
from netwatch.store.views import FACT_TABLES, Views

MEMORY, THREAD_MEMORY = 192, 64
"""The memory limit of DuckDB, and how much more for each thread (MB); the rest goes to a temporary
folder."""

NAMES = 65_536
"""Distinct names that are matched together."""

ROWS = 8192
"""Rows that become objects together."""

NetworkOf = Callable[[bytes, int | None], str | None]
"""The name of the network of an address in frames of a VLAN; None if it is outside all networks."""

_ROW = ("capture", "sequence", "sampling", *COLUMNS)

_ANSWER = ("capture", "sequence", "time", "time_digits", "evidence", "name", "client", "vlan",
           "source", "packet", "sampling", "dns_type", "dns_answers", "dns_ttls", "dns_chain",
           "log_format")  # fmt: skip
"""The columns that count in an answer to a name that no rule matches."""

_MISSING = {"client_port": "0", "server_ip": "'0.0.0.0'", "server_port": "0", "transport": "'udp'",
            "flow": "0"}  # fmt: skip
"""Placeholders for values that do not count, in columns that are never null."""

_FLOW_COLUMNS = tuple(column.name for column in FLOW if column.name not in ("capture", "sequence"))
_IS_RECORD = "log_format IN ({})".format(
    ", ".join(f"'{name}'" for name in sorted(FLOW_RECORD_LOGS))
)
_CLAIM_COLUMNS = ("time", "kind", "client", "vlan", "source", "packet", "claim")


@dataclass(frozen=True, slots=True)
class CaptureEvents:
    """The events of the capture `capture` of the run `run`, both by index; to be read before those
    of the next."""

    run: int
    capture: int
    events: Iterator[Event]


class StoredFacts:
    """The facts of `runs`; a context that frees its resources. `threads` is the number of reading
    threads. Rows of clients with unknown addresses are left out; `unknown` are their pseudonyms.

    With `network_of`, which says in which network an address in a VLAN is, rows of clients that
    were in another network when they were stored are left out, too; `elsewhere` are the clients
    left out so far.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        options: StoreOptions,
        runs: Sequence[StoredRun],
        *,
        threads: int = 1,
        sealing: Any = None,
        network_of: NetworkOf | None = None,
    ) -> None:
        self._runs = runs
        self._sealing = sealing
        self._clients, self.unknown = read_clients(catalogue, sealing)
        self._network_of = network_of
        self._is_there: dict[tuple[int, int | None], bool] = {}
        self.elsewhere: set[int] = set()
        settings = {
            "memory_limit": f"{MEMORY + threads * THREAD_MEMORY}MB",
            "threads": str(threads),
            "preserve_insertion_order": "false",
        }
        self._views = Views(catalogue, options, FACT_TABLES, settings=settings)
        self._sql = self._views.connection.execute
        self._choose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._views.__exit__()

    def incomplete_captures(self) -> frozenset[int]:
        """The captures that have lost facts: erased, or older than the retention. The events of a
        capture are numbered without gaps."""
        tables = " UNION ALL ".join(
            f"SELECT capture, sequence FROM netwatch.{table}_rows" for table in FACT_TABLES
        )
        rows = self._sql(
            f"SELECT value, count(sequence), max(sequence) FROM netwatch.chosen"
            f" LEFT JOIN ({tables}) ON capture = value GROUP BY value"
        ).fetchall()
        gone = {number for number, count, last in rows if count and count != last + 1}
        empty = {number for number, count, _ in rows if not count}
        had_packets = {
            capture.number
            for run in self._runs
            for capture in run.captures
            if capture.first is not None
        }
        partial = {
            capture.number for run in self._runs for capture in run.captures if not capture.complete
        }
        return frozenset(gone | (empty & had_packets) | partial)

    def complete_spans(self) -> dict[int, CompleteSpan]:
        """The time for which the facts of each capture are complete."""
        captures = [capture for run in self._runs for capture in run.captures]
        return complete_spans(self._sql, captures)

    def networks_elsewhere(self) -> frozenset[str]:
        """The networks that the clients were stored in which were met elsewhere."""
        names = (self._clients[number].network for number in self.elsewhere)
        return frozenset(name for name in names if name is not None)

    def captures(
        self, matches: Callable[[str], bool], vendor_networks: VendorNetworks, *, learns: bool
    ) -> Iterator[CaptureEvents]:
        """The captures with events that matter: `matches` is whether a rule matches a name,
        `vendor_networks` has addresses to which flow records matter, and `learns` is whether claims
        are needed."""
        self._match_names(matches)
        self._find_rows()
        self._find_vendors(vendor_networks)
        merged = heapq.merge(
            self._observations(),
            self._flows(),
            *([self._claims()] if learns else []),
            key=itemgetter(0, 1),
        )
        for place, events in groupby(merged, itemgetter(0)):
            run, capture = self._places[place]
            yield CaptureEvents(run, capture, (event for _, _, event in events))

    def has_evidence(self, captures: Iterable[int], record: AlertRecord) -> bool:
        """Whether the facts on which an alert is based are there."""
        numbers = ", ".join(map(str, captures)) or "NULL"
        for item in record["evidence"]:
            table = "flow" if item["type"] == "ip-from-dns" else "observation"
            found = self._sql(
                f"SELECT 1 FROM netwatch.{table}_rows WHERE packet = ? AND source = ?"
                f" AND capture IN ({numbers}) LIMIT 1",
                [number_of(item), item["source"]],
            ).fetchone()
            if found is None:
                return False
        return True

    def _choose(self) -> None:
        """Number the captures in the order in which they are judged."""
        numbers = [capture.number for run in self._runs for capture in run.captures]
        self._places = [
            (run, capture)
            for run, each in enumerate(self._runs)
            for capture in range(len(each.captures))
        ]
        self._sql("CREATE TABLE netwatch.chosen (value INTEGER PRIMARY KEY, place INTEGER)")
        places = pa.array(range(len(numbers)), pa.int32())
        self._views.copy(
            "netwatch.chosen", pa.table({"value": pa.array(numbers, pa.int32()), "place": places})
        )

    def _match_names(self, matches: Callable[[str], bool]) -> None:
        reader = self._cursor(
            "SELECT DISTINCT name FROM netwatch.observation_rows SEMI JOIN netwatch.chosen"
            " ON capture = value"
        ).to_arrow_reader(NAMES)
        matched = [
            name for batch in reader for name in batch.column(0).to_pylist() if matches(name)
        ]
        self._sql("DROP TABLE IF EXISTS netwatch.matched")
        self._views.register("matched", matched, "VARCHAR")

    def _find_vendors(self, networks: VendorNetworks) -> None:
        """Make the table of the addresses in a vendor's network to which flow records go."""
        found: list[str] = []
        if networks:
            reader = self._cursor(
                "SELECT DISTINCT server_ip FROM netwatch.flow_rows SEMI JOIN netwatch.chosen"
                f" ON capture = value WHERE {_IS_RECORD}"
            ).to_arrow_reader(NAMES)
            addresses = (each for batch in reader for each in batch.column(0).to_pylist())
            found = [each for each in addresses if each and parse_ip(each) in networks]
        self._sql("DROP TABLE IF EXISTS netwatch.vendor_address")
        self._views.register("vendor_address", found, "VARCHAR")

    def _find_rows(self) -> None:
        """Make the tables of the observations that count, of the pairs of a client and an address,
        and of the flows of contacts. Rows are copied when they are found: files are ordered by
        name, so finding them again by number would read each file completely."""
        for table in ("hit", "pair", "answer", "followed"):
            self._sql(f"DROP TABLE IF EXISTS netwatch.{table}")
        names = ", ".join(f"o.{name}" for name in _ROW)
        self._sql(
            f"CREATE TABLE netwatch.hit AS SELECT {names} FROM netwatch.observation_rows o"
            " SEMI JOIN netwatch.matched ON o.name = matched.value"
            " SEMI JOIN netwatch.chosen ON o.capture = chosen.value"
        )
        self._sql(
            f"INSERT INTO netwatch.hit SELECT {names} FROM netwatch.observation_rows o"
            " SEMI JOIN (SELECT DISTINCT capture, source, packet FROM netwatch.hit"
            " WHERE evidence = 'dns-cname') a"
            " ON o.capture = a.capture AND o.packet = a.packet AND o.source = a.source"
            " ANTI JOIN netwatch.matched ON o.name = matched.value"
            " WHERE o.evidence = 'dns-answer'"
        )
        self._sql(
            "CREATE TABLE netwatch.pair AS SELECT DISTINCT c.ip, address FROM ("
            "SELECT client, unnest(dns_answers) AS address FROM netwatch.hit"
            " WHERE evidence = 'dns-answer') JOIN netwatch.client c ON c.number = client"
        )
        self._find_ech_rows(names)
        self._find_record_rows()
        # Few of the answers to these clients have such an address. Unnesting whole rows would cost
        # half as much again as reading them.
        names = ", ".join(f"o.{name}" for name in _ANSWER)
        self._sql(
            f"CREATE TABLE netwatch.answer AS SELECT {names} FROM netwatch.observation_rows o"
            " SEMI JOIN netwatch.chosen ON o.capture = chosen.value"
            " WHERE o.evidence = 'dns-answer' AND o.client IN (SELECT number FROM netwatch.client"
            " WHERE ip IN (SELECT ip FROM netwatch.pair))"
        )
        self._sql(
            f"INSERT INTO netwatch.hit SELECT {_row_of_answer('a')} FROM netwatch.answer a"
            " SEMI JOIN (SELECT capture, sequence FROM (SELECT capture, sequence, client,"
            " unnest(dns_answers) AS address FROM netwatch.answer) y"
            " JOIN netwatch.client c ON c.number = y.client"
            " SEMI JOIN netwatch.pair p ON p.ip = c.ip AND p.address = y.address"
            ") w ON w.capture = a.capture AND w.sequence = a.sequence"
            " ANTI JOIN netwatch.hit h ON h.capture = a.capture AND h.sequence = a.sequence"
        )
        self._sql("DROP TABLE netwatch.answer")
        self._sql(
            "CREATE TABLE netwatch.followed AS SELECT DISTINCT capture, flow FROM netwatch.hit"
            " WHERE evidence NOT IN ('dns-query', 'dns-answer', 'dns-cname')"
        )

    def _find_record_rows(self) -> None:
        """Where there are flow records, add the pairs of their clients and servers that any client
        was told for an app, and all answers with such an address: who was told it for another name
        takes the evidence away from others, too."""
        records = (
            "FROM netwatch.flow_rows f SEMI JOIN netwatch.chosen ON f.capture = chosen.value"
            f" WHERE {_IS_RECORD}"
        )
        self._sql("DROP TABLE IF EXISTS netwatch.recorded")
        self._sql(f"CREATE TABLE netwatch.recorded AS SELECT DISTINCT f.capture {records}")
        if not self._sql("SELECT count(*) FROM netwatch.recorded").fetchall()[0][0]:
            return
        answers = ", ".join(f"o.{name}" for name in _ANSWER)
        self._sql(
            f"INSERT INTO netwatch.hit WITH a AS (SELECT {answers} FROM netwatch.observation_rows o"
            " SEMI JOIN netwatch.recorded r ON r.capture = o.capture"
            " ANTI JOIN netwatch.hit h ON h.capture = o.capture AND h.sequence = o.sequence"
            " WHERE o.evidence = 'dns-answer')"
            f" SELECT {_row_of_answer('a')} FROM a"
            " SEMI JOIN (SELECT DISTINCT capture, sequence FROM"
            " (SELECT capture, sequence, unnest(dns_answers) AS address FROM a)"
            " WHERE address IN (SELECT address FROM netwatch.pair)"
            ") w ON w.capture = a.capture AND w.sequence = a.sequence"
        )
        self._sql(
            "INSERT INTO netwatch.pair SELECT DISTINCT c.ip, f.server_ip FROM (SELECT * "
            f"{records}) f JOIN netwatch.client c ON c.number = f.client"
            " WHERE f.server_ip IN (SELECT address FROM netwatch.pair)"
            " EXCEPT SELECT ip, address FROM netwatch.pair"
        )

    def _find_ech_rows(self, names: str) -> None:
        """Add the observations that tell which names an outer hello can have, answers for their
        names, hosts and public names, and the pairs of the clients and servers of such hellos."""
        outer = "o.tls_ech = 'outer' AND o.tls_ech_config_id IS NOT NULL"
        self._sql(
            f"INSERT INTO netwatch.hit SELECT {names} FROM netwatch.observation_rows o"
            " SEMI JOIN netwatch.chosen ON o.capture = chosen.value"
            " ANTI JOIN netwatch.hit h ON h.capture = o.capture AND h.sequence = o.sequence"
            f" WHERE {outer} OR (o.evidence = 'dns-answer' AND o.dns_ech_configs IS NOT NULL)"
        )
        given = "FROM netwatch.hit WHERE dns_ech_configs IS NOT NULL"
        self._sql(
            f"INSERT INTO netwatch.hit SELECT {names} FROM netwatch.observation_rows o"
            " SEMI JOIN netwatch.chosen ON o.capture = chosen.value"
            f" SEMI JOIN (SELECT name {given} UNION SELECT unnest(dns_ech) {given}"
            f" UNION SELECT unnest(dns_chain) {given}"
            f" UNION SELECT unnest(dns_service_targets) {given}) n ON n.name = o.name"
            " ANTI JOIN netwatch.hit h ON h.capture = o.capture AND h.sequence = o.sequence"
            " WHERE o.evidence = 'dns-answer'"
        )
        self._sql(
            "INSERT INTO netwatch.pair SELECT DISTINCT c.ip, o.server_ip FROM netwatch.hit o"
            f" JOIN netwatch.client c ON c.number = o.client WHERE {outer}"
            " EXCEPT SELECT ip, address FROM netwatch.pair"
        )

    def _observations(self) -> Iterator[tuple[int, int, Event]]:
        reader = self._cursor(
            "SELECT chosen.place AS of_capture, h.* EXCLUDE (capture) FROM netwatch.hit h"
            " JOIN netwatch.chosen ON capture = value ORDER BY of_capture, sequence"
        ).to_arrow_reader(ROWS)
        for rows in reader:
            places, numbers = rows.column(0).to_pylist(), rows.column(1).to_pylist()
            clients = rows.column("client").to_pylist()
            vlans = rows.column("vlan").to_pylist()
            sampled = rows.column("sampling").to_pylist()
            batch = observation_batch(rows.select(list(COLUMNS)), self._clients)
            for row, place in enumerate(places):
                if self._client(clients[row], vlans[row]) is not None:
                    event: Event = batch.observation(row)
                    if sampled[row]:
                        event = SampledEvent(batch.observation(row), sampled[row])
                    yield place, numbers[row], event

    def _flows(self) -> Iterator[tuple[int, int, Event]]:
        names = ", ".join(f"f.{name}" for name in _FLOW_COLUMNS)
        reader = self._cursor(
            f"SELECT place, f.sequence, {names} FROM netwatch.flow_rows f"
            " JOIN netwatch.chosen ON f.capture = value"
            " LEFT JOIN netwatch.followed w ON w.capture = f.capture AND w.flow = f.flow"
            " LEFT JOIN (SELECT c.number, p.address FROM netwatch.client c"
            " JOIN netwatch.pair p ON p.ip = c.ip) q"
            " ON q.number = f.client AND q.address = f.server_ip"
            " WHERE w.flow IS NOT NULL OR q.number IS NOT NULL"
            f" OR {_IS_RECORD} AND server_ip IN (SELECT value FROM netwatch.vendor_address)"
            " ORDER BY place, f.sequence"
        ).to_arrow_reader(ROWS)
        for rows in reader:
            for record in rows.to_pylist():
                client = self._client(record.pop("client"), record["vlan"])
                place, number = record.pop("place"), record.pop("sequence")
                if client is not None:
                    yield place, number, _flow(record, client)

    def _claims(self) -> Iterator[tuple[int, int, Event]]:
        names = ", ".join(f"k.{name}" for name in _CLAIM_COLUMNS)
        reader = self._cursor(
            f"SELECT place, k.sequence, {names} FROM netwatch.claim_rows k"
            " JOIN netwatch.chosen ON k.capture = value ORDER BY place, k.sequence"
        ).to_arrow_reader(ROWS)
        for rows in reader:
            for record in rows.to_pylist():
                if self._client(record["client"], record["vlan"]) is not None:
                    yield record["place"], record["sequence"], self._claim(record)

    def _claim(self, record: dict[str, Any]) -> ClaimEvent:
        text = record["claim"]
        if self._sealing is not None:
            text = self._sealing.unseal_claim(text)
        columns = {name: record[name] for name in ("kind", "time", "vlan", "source", "packet")}
        packet, claim = decode_claim(text, **columns)
        return ClaimEvent(packet, (claim,))

    def _client(self, number: int, vlan: int | None) -> StoredClient | None:
        """The client with a number; None if its row is in a VLAN and left out."""
        client = self._clients.get(number)
        if client is None or self._network_of is None:
            return client
        key = number, vlan
        if key not in self._is_there:
            self._is_there[key] = self._network_of(client.ip or b"", vlan) == client.network
            if not self._is_there[key]:
                self.elsewhere.add(number)
        return client if self._is_there[key] else None

    def _cursor(self, statement: str) -> Any:
        """A result of its own, which can be read while others are."""
        return self._views.connection.cursor().sql(statement)


def _row_of_answer(table: str) -> str:
    """The columns of an answer, in place of those of an observation."""
    return ", ".join(
        f"{table}.{name}" if name in _ANSWER else _MISSING.get(name, "NULL") for name in _ROW
    )


def _flow(record: dict[str, Any], client: StoredClient) -> Flow:
    """The flow in a row."""
    server, flow_id = record.pop("server_ip"), record.pop("flow")
    packed = parse_ip(server) if server is not None else b""
    assert packed is not None
    for side in ("client", "server"):
        # An older version did not look at them.
        record[f"{side}_checksums"] = record[f"{side}_checksums"] or "unknown"
    return Flow(
        client_ip=client.ip or b"",
        client_mac=client.mac,
        server_ip=packed,
        flow_id=flow_id,
        log=record.pop("log_format") or "",
        sampling=record.pop("sampling") or 1,
        is_doubted=record.pop("is_doubted") or False,
        **record,
    )
