#!/usr/bin/env python3
"""What it costs to judge a store again: rows a CPU second, and memory.

    .venv/bin/python bench/rejudging.py --rows 10000000

The rows are made by SQL and written as the store writes them: 5,000 devices, 200,000 names of which
few are asked for often, ten days in one capture, of which each is like the one before. A hundred
devices use an app that a ban names, for some minutes at a time; one observation in 300 is of it.
Every second observation is an answer with two addresses, some of them the app's, every fifth one a
handshake with a flow. Another process judges them; its CPU time and its greatest memory are those
of the system.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from netwatch.store.catalogue import FileRow, SourceFile
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import schema, write_file
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress, VersionHashes
from netwatch.store.tables import BUCKETS

DEVICES, NAMES, DAYS = 5_000, 200_000, 10
FIRST = 1_680_307_200_000_000_000  # 2023-04-01
DAY = 86_400_000_000_000
BLOCK, ONE_OF = 2_000, 9
HEAD = ("observations", "CPU s", "M observations a CPU s", "peak MB", "incidents")
CONFIG = """version: 1
networks: [{name: hq, cidrs: [10.0.0.0/8], class: service}]
bans:
  - {id: made, authority: Made, apps: [tiktok], forbids: [service], legal_basis: made}
"""
OBSERVATION = """
SELECT {capture}::INTEGER AS capture, i // 10 * 12 + i % 10 AS sequence, time,
  6::UTINYINT AS time_digits,
  CASE WHEN i % 10 < 3 THEN 'dns-query' WHEN i % 10 < 8 THEN 'dns-answer' ELSE 'tls-sni' END
    AS evidence, name, NULL::VARCHAR AS raw, client, (20000 + i % 40000)::USMALLINT AS client_port,
  CASE WHEN i % 10 < 8 THEN '10.0.0.53' ELSE server END AS server_ip,
  CASE WHEN i % 10 < 8 THEN 53 ELSE 443 END::USMALLINT AS server_port,
  CASE WHEN i % 10 < 8 THEN 'udp' ELSE 'tcp' END AS transport, NULL::USMALLINT AS vlan,
  'made.pcap' AS source, 2 * i + 1 AS packet,
  CASE WHEN i % 10 < 8 THEN 0 ELSE 256 * i END AS flow,
  CASE WHEN i % 10 < 8 THEN 'A' END AS dns_type,
  CASE WHEN i % 10 BETWEEN 3 AND 7 THEN 'NOERROR' END AS dns_rcode,
  CASE WHEN i % 10 BETWEEN 3 AND 7 THEN [server, other] END AS dns_answers,
  CASE WHEN i % 10 BETWEEN 3 AND 7 THEN [60, 60]::UINTEGER[] END AS dns_ttls,
  NULL::VARCHAR[] AS dns_chain, NULL::VARCHAR AS dns_asked,
  NULL::VARCHAR[] AS dns_service_targets,
  NULL::VARCHAR[] AS dns_ech, CASE WHEN i % 10 > 7 THEN 'TLS 1.3' END AS tls_version,
  CASE WHEN i % 10 > 7 THEN ['h2', 'http/1.1'] END AS tls_alpn,
  CASE WHEN i % 10 > 7 THEN 't13d1516h2_8daaf6152771_02713d6af862' END AS tls_ja4,
  NULL::VARCHAR AS tls_ech, NULL::VARCHAR AS quic_version FROM part
"""
FLOW = """
SELECT {capture}::INTEGER AS capture, i // 10 * 12 + i % 10 + 2 AS sequence,
  time AS first, time + 5000000000 AS last, 'tcp' AS transport, client,
  (20000 + i % 40000)::USMALLINT AS client_port, server AS server_ip, 443::USMALLINT AS server_port,
  NULL::USMALLINT AS vlan, 900 + i % 4000 AS bytes_out, 4000 + i % 90000 AS bytes_in,
  'named' AS name_status, true AS start_seen, false AS incomplete_message,
  'payload' AS client_sent, 'payload' AS server_sent, 'made.pcap' AS source,
  2 * i + 1 AS packet, 256 * i AS flow FROM part WHERE i % 10 > 7 ORDER BY first
"""
ROWS = """
SELECT i, {first} + i * {step} AS time, client,
  CASE WHEN app >= 0 THEN 'api' || app || '.tiktokv.com'
    ELSE 'host' || n || '.zone' || n % 4001 || '.example' END AS name,
  CASE WHEN app >= 0 THEN '203.0.113.' || app
    ELSE '198.' || n % 200 || '.' || n % 251 || '.' || n % 253 END AS server,
  CASE WHEN app > 30 OR n % 199 = 0 THEN '203.0.113.' || n % 40
    ELSE '198.' || n % 200 || '.' || n % 241 || '.' || n % 239 END AS other
FROM (SELECT i, app, numbers[(1 + CASE WHEN app >= 0 THEN hash(i // {block}, 6) % 3
    ELSE hash(i, 1) % len(numbers) END)::BIGINT] AS client,
  floor(pow({names}, (hash(i, 4) % 1000003)::DOUBLE / 1000003.0))::BIGINT AS n
  FROM (SELECT i, CASE WHEN hash(i // {block}, 5) % {one_of} = 0
      AND hash(i // {block}, 2) % {buckets} = {bucket}
    THEN (hash(i, 3) % 40)::INTEGER ELSE -1 END AS app
    FROM range({bucket}, {rows}, {buckets}) r(i)), made)
ORDER BY name, time
"""


@dataclass(frozen=True)
class Bucket:
    """A bucket of the store at `path`, that has so many `rows` a day of the clients `numbers`,
    from the time `first` on."""

    path: str
    rows: int
    bucket: int
    capture: int
    numbers: Sequence[int]
    first: int = FIRST


def make(options: StoreOptions, rows: int, first: int = FIRST) -> None:
    """A store with so many observations, and a flow for every fifth of them; `first` is the
    begin of a day (ns)."""
    Path(options.path).mkdir(parents=True, mode=0o700)
    with open_catalogue(options, create=True) as catalogue:
        version = catalogue.version_id(VersionHashes("0", "0", "0", "0"))
        run = catalogue.begin_run("scan", "made", version)
        capture = catalogue.begin_capture(run, 0, [SourceFile("made.pcap", 1, "")])
        clients = [
            ClientAddress(f"10.{n // 250}.{n % 250}.7", f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}")
            for n in range(DEVICES)
        ]
        numbers = catalogue.client_numbers(clients, "made")
        buckets = [
            Bucket(options.path, rows // DAYS, bucket, capture, [
                number for number in numbers if number % BUCKETS == bucket
            ], first) for bucket in range(BUCKETS)
        ]  # fmt: skip
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            for files in pool.map(make_bucket, buckets):
                catalogue.register_files(files)
        catalogue.end_capture(capture, "complete", first, first + DAYS * DAY)
        catalogue.end_run(run)


def make_bucket(made: Bucket) -> list[FileRow]:
    """The compacted files of a bucket, written as the store writes them."""
    files, written = FactFiles(made.path), []
    with duckdb.connect(config={"memory_limit": "1GB", "threads": "1"}) as database:
        database.execute("SET enable_progress_bar = false")
        database.execute("CREATE TABLE made AS SELECT $1::INTEGER[] AS numbers", [made.numbers])
        rows = ROWS.format(
            first=made.first, step=DAY // made.rows, one_of=ONE_OF, block=BLOCK, names=NAMES,
            buckets=BUCKETS, bucket=made.bucket, rows=made.rows,
        )  # fmt: skip
        database.execute(f"CREATE TABLE part AS {rows}")
        for table, statement in (("observation", OBSERVATION), ("flow", FLOW)):
            fields = [
                field.with_type(field.type.value_type)
                if pa.types.is_dictionary(field.type)
                else field
                for field in schema(table)
            ]
            sql = statement.format(capture=made.capture)
            found = _whole(database.sql(sql).to_arrow_table(), fields)
            found = found.cast(pa.schema(fields, schema(table).metadata))
            for day in range(DAYS):
                of_day = _moved(found, day, made.rows)
                begin = datetime.fromtimestamp(made.first // 10**9, UTC) + timedelta(days=day)
                name = begin.date().isoformat()
                written.append(write_file(files, table, name, made.bucket, of_day))
    return written


def _whole(rows: pa.Table, fields: Sequence[pa.Field]) -> pa.Table:
    """The rows with all columns of a table of facts; what a capture does not show is null."""
    columns = [
        rows[field.name] if field.name in rows.column_names else pa.nulls(len(rows), field.type)
        for field in fields
    ]
    return pa.table(columns, names=[field.name for field in fields])


def _moved(rows: pa.Table, days: int, rows_a_day: int) -> pa.Table:
    """The rows so many days later. Of ten rows two have a flow, which is an event too."""
    numbers = days * rows_a_day
    moved = {"sequence": numbers // 10 * 12, "packet": 2 * numbers, "flow": 256 * numbers}
    moved |= dict.fromkeys(("time", "first", "last"), days * DAY)
    for place, name in enumerate(rows.column_names):
        if name in moved:
            column = pc.add(rows[name], moved[name])
            if name == "flow":
                column = pc.if_else(pc.equal(rows[name], 0), 0, column)
            rows = rows.set_column(place, rows.schema.field(place), column)
    return rows


def measure(options: StoreOptions, folder: Path, jobs: int) -> dict[str, float]:
    """Judge all rows again in another process."""
    config = folder / "netwatch.yaml"
    config.write_text(CONFIG)
    started = time.perf_counter()
    command = ["rejudge", "-q", "-c", str(config), "--store-path", options.path, "--all"]
    process = subprocess.Popen(
        [sys.executable, "-m", "netwatch", *command, "--jobs", str(jobs), "--format", "jsonl"],
        stdout=subprocess.PIPE,
        env=os.environ | {"NETWATCH_CACHE": "off"},
    )
    assert process.stdout is not None
    alerts = sum(1 for _ in process.stdout)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    return {
        "alerts": alerts,
        "wall_s": time.perf_counter() - started,
        "cpu_s": used.ru_utime + used.ru_stime,
        "memory_mb": used.ru_maxrss * 1024 / 1e6,
    }


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--store", help="keep the made store here, or use the one that is there")
    parser.add_argument("--write", action="store_true", help="update bench/results.md")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="netwatch-bench-") as temporary:
        options = StoreOptions(args.store or str(Path(temporary, "store")))
        if not Path(options.path).exists():
            make(options, args.rows)
        found = measure(options, Path(temporary), args.jobs)
    import page  # it imports `console`, which imports this module

    row = (
        f"{args.rows:,}", f"{found['cpu_s']:.1f}", f"{args.rows / found['cpu_s'] / 1e6:.2f}",
        f"{found['memory_mb']:.0f}", f"{found['alerts']:,.0f}",
    )  # fmt: skip
    text = f"\n{page.table(HEAD, [row], 0)}\n"
    print(text)
    if args.write:
        filled = page.fill(page.PAGE.read_text(encoding="utf-8"), {"rejudging": text})
        page.PAGE.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
