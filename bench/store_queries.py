"""Five questions to a store of a made day, beside SQLite.

    python bench/store_queries.py [--rows N] [--rounds N] [--write]

The day has 5,000 clients and 200,000 names by Zipf's law, some of them below tiktok.com. The rows
are made by SQL and written in the layout of a compacted store, with all columns; SQLite has the
same columns and two indexes, by client and time and by name. Each question is asked as
``store sql`` asks it, by another process with new views; the least CPU time of the rounds
counts.
With ``--write`` the table goes into ``bench/results.md``.
"""

import argparse
import hashlib
import resource
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import page

from netwatch.store import sandbox
from netwatch.store.catalogue import FileRow, SourceFile
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress
from netwatch.store.tables import BUCKETS

DAY = "2026-01-05"
START = 1_767_571_200_000_000_000
HOUR = 3_600_000_000_000
CLIENTS, NAMES = 5000, 200_000
NAME = "store-queries"

ROWS = """
SELECT 1::INTEGER AS capture, i AS sequence, {start} + i * (86400000000000 // {rows}) AS time,
  6::UTINYINT AS time_digits, k AS evidence, CASE WHEN r % 500 = 7 THEN 'v' || r || '.tiktok.com'
  ELSE 'host' || r % 977 || '.site' || r || '.example' END AS name, number AS client,
  (1024 + hash(i) % 64000)::USMALLINT AS client_port, '203.0.113.' || r % 250 AS server_ip,
  (CASE WHEN k = 'tls-sni' THEN 443 ELSE 53 END)::USMALLINT AS server_port,
  CASE WHEN k = 'tls-sni' THEN 'tcp' ELSE 'udp' END AS transport, NULL::USMALLINT AS vlan,
  'day.pcap' AS source, i + 1 AS packet, i AS flow,
  CASE WHEN k <> 'tls-sni' THEN 'A' END AS dns_type,
  CASE WHEN k = 'dns-answer' THEN 'NOERROR' END AS dns_rcode,
  CASE WHEN k = 'dns-answer' THEN ['203.0.113.' || r % 250] END AS dns_answers,
  CASE WHEN k = 'dns-answer' THEN [300::UINTEGER] END AS dns_ttls,
  NULL::VARCHAR[] AS dns_chain, NULL::VARCHAR[] AS dns_service_targets, NULL::VARCHAR[] AS dns_ech,
  CASE WHEN k = 'tls-sni' THEN '1.3' END AS tls_version,
  CASE WHEN k = 'tls-sni' THEN ['h2', 'http/1.1'] END AS tls_alpn,
  CASE WHEN k = 'tls-sni' THEN 't13d1516h2_8daaf6152771_e5627efa2ab1' END AS tls_ja4,
  NULL::VARCHAR AS tls_ech, NULL::VARCHAR AS quic_version, NULL::VARCHAR AS raw,
  NULL::VARCHAR AS dns_asked
FROM (
  SELECT i, floor({names} ** random())::INTEGER AS r,
    ['dns-query', 'dns-answer', 'tls-sni'][1 + (hash(i * 3) % 3)::INTEGER] AS k,
    1 + floor({clients} * random())::INTEGER AS place
  FROM range({rows}) t(i)
) JOIN clients USING (place)
"""

QUESTIONS: dict[str, tuple[str, str]] = {
    "one device, one hour": (
        "SELECT time_ns, name FROM observation WHERE client_ip = '10.0.4.210'"
        f" AND time_ns >= {START + 9 * HOUR} AND time_ns < {START + 10 * HOUR}",
        "SELECT time, name FROM observation WHERE client = ?"
        f" AND time >= {START + 9 * HOUR} AND time < {START + 10 * HOUR}",
    ),
    "`*.tiktok.com`, by client": (
        "SELECT client_ip, count(*) FROM observation WHERE ends_with(name, '.tiktok.com')"
        " GROUP BY client_ip",
        "SELECT client, count(*) FROM observation WHERE name LIKE '%.tiktok.com' GROUP BY client",
    ),
    "top 20 names": (
        "SELECT name, count(*) FROM observation GROUP BY name ORDER BY 2 DESC, 1 LIMIT 20",
        "SELECT name, count(*) FROM observation GROUP BY name ORDER BY 2 DESC, 1 LIMIT 20",
    ),
    "one name": (
        "SELECT time_ns, client_ip FROM observation WHERE name = 'v507.tiktok.com'",
        "SELECT time, client FROM observation WHERE name = 'v507.tiktok.com'",
    ),
    "clients by hour": (
        f"SELECT (time_ns - {START}) // {HOUR}, count(DISTINCT client_ip) FROM observation"
        " GROUP BY 1",
        f"SELECT (time - {START}) / {HOUR}, count(DISTINCT client) FROM observation GROUP BY 1",
    ),
}
"""Each question to the store and to SQLite, which has numbers in place of addresses."""


def make(folder: Path, rows: int) -> tuple[StoreOptions, int, int]:
    """A store with so many rows; its options, the bytes of its files, and a client's number."""
    options = StoreOptions(str(folder / "store"))
    with open_catalogue(options, create=True) as catalogue, duckdb.connect() as maker:
        addresses = [f"10.0.{i // 256}.{i % 256}" for i in range(CLIENTS)]
        clients = [ClientAddress(each, None, "hq") for each in addresses]
        numbers = catalogue.client_numbers(clients, "bench")
        run = catalogue.begin_run("names", "bench")
        capture = catalogue.begin_capture(run, 0, [SourceFile("day.pcap", 0, "")], "day")
        maker.execute("CREATE TABLE clients (place INTEGER, number INTEGER)")
        maker.executemany("INSERT INTO clients VALUES (?, ?)", [*enumerate(numbers, 1)])
        maker.execute("SELECT setseed(0.5)")
        query = ROWS.format(start=START, rows=rows, names=NAMES, clients=CLIENTS)
        maker.execute(f"CREATE TABLE made AS {query}")
        size = 0
        for bucket in range(BUCKETS):
            path = f"observation/day={DAY}/bucket={bucket:02d}/made.parquet"
            target = Path(options.path, path)
            target.parent.mkdir(parents=True)
            where = f"client % {BUCKETS} = {bucket}"
            maker.execute(
                f"COPY (SELECT * FROM made WHERE {where} ORDER BY name, time) TO '{target}'"
                " (FORMAT parquet, COMPRESSION zstd)"
            )
            count, first, last = maker.execute(
                f"SELECT count(*), min(time), max(time) FROM made WHERE {where}"
            ).fetchall()[0]
            content = target.read_bytes()
            size += len(content)
            catalogue.register_files(
                [
                    FileRow(path, "observation", DAY, bucket, count, len(content), first, last, 1,
                            hashlib.sha256(content).hexdigest())
                ]
            )  # fmt: skip
        catalogue.end_capture(capture, "complete", START, START + 24 * HOUR)
        catalogue.end_run(run)
        _fill_sqlite(folder / "rows.sqlite", maker)
    return options, size, numbers[addresses.index("10.0.4.210")]


def _fill_sqlite(path: Path, maker: Any) -> None:
    """The same rows in SQLite, lists as text."""
    names = [name for name, *_ in maker.execute("DESCRIBE made").fetchall()]
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute(f"CREATE TABLE observation ({', '.join(names)})")
        marks = ", ".join("?" * len(names))
        lists = {
            "dns_answers",
            "dns_ttls",
            "dns_chain",
            "dns_service_targets",
            "dns_ech",
            "tls_alpn",
        }
        columns = ", ".join(f"{name}::VARCHAR" if name in lists else name for name in names)
        cursor = maker.execute(f"SELECT {columns} FROM made")
        while part := cursor.fetchmany(50_000):
            database.executemany(f"INSERT INTO observation VALUES ({marks})", part)
        database.execute("CREATE INDEX by_client ON observation (client, time)")
        database.execute("CREATE INDEX by_name ON observation (name)")
    database.close()


def fastest(ask: Callable[[], int], rounds: int) -> tuple[float, int]:
    """The least CPU time in s, and the number of rows."""
    best = (float("inf"), 0)
    for _ in range(rounds):
        before = _used()
        found = ask()
        best = min(best, (_used() - before, found))
    return best


def _used() -> float:
    """The CPU seconds of this process and of those that it has waited for: a query has its own."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def measure(folder: Path, rows: int, rounds: int) -> tuple[list[list[str]], str]:
    """The rows of the table, and the sentence below it."""
    options, size, client = make(folder, rows)
    cells = []
    with closing(sqlite3.connect(folder / "rows.sqlite")) as database:
        for what, (of_store, of_sqlite) in QUESTIONS.items():

            def ask_store(query: str = of_store) -> int:
                with sandbox.run(options, query, timeout=600) as (_, batches):
                    return sum(batch.num_rows for batch in batches)

            def ask_sqlite(query: str = of_sqlite) -> int:
                values = (client,) if "?" in query else ()
                return len(database.execute(query, values).fetchall())

            mine, other = fastest(ask_store, rounds), fastest(ask_sqlite, rounds)
            if mine[1] != other[1]:
                sys.exit(f"{what}: {mine[1]} rows, but {other[1]} in SQLite")
            cells.append([what, f"{mine[1]:,}", _seconds(mine[0]), _seconds(other[0])])
            print("  ".join(cells[-1]), flush=True)
    stored = (folder / "rows.sqlite").stat().st_size
    said = (
        f"{rows:,} rows with all columns: {size / rows:.1f} bytes a row in the store,"
        f" {stored / rows:.0f} in SQLite."
    )
    return cells, said


def _seconds(value: float) -> str:
    if value < 0.001:
        return "< 1 ms"
    return f"{value * 1000:,.0f} ms" if value < 1 else f"{value:.1f} s"


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"update {page.PAGE.name}")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="netwatch-bench-"))
    try:
        cells, said = measure(folder, args.rows, args.rounds)
    finally:
        shutil.rmtree(folder)
    head = ("question", "rows", "store, CPU", "SQLite, CPU")
    text = f"\n{said}\n\n{page.table(head, cells)}\n"
    print(text)
    if args.write:
        filled = page.fill(page.PAGE.read_text(encoding="utf-8"), {NAME: text})
        page.PAGE.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
