"""``scan --store`` and ``names --store``: all that packets show is kept, and the output stays."""

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.asked_stores import run
from support.office import DURING, SERVICE, capture, configured, one_hello
from support.paths import PCAPS
from support.stored_facts import (
    catalogue_rows,
    coverage_records,
    facts,
    incident_lines,
    on_disk,
    registered,
)
from support.waiting import TIMEOUT, wait_until

CAPTURE = PCAPS / "five-kinds.pcap"
SOME = [CAPTURE, *(PCAPS / f"{name}.pcap" for name in ("lease-moves", "dns-over-tcp", "http-host"))]
"""Captures of several days, with lookups, hellos, requests, claims and flows without a name."""
HEAD = 24
"""Bytes before the first packet, by which standard input is known to be a capture."""
COLUMNS = (
    "time", "evidence", "name", "address", "client_port", "hardware", "server_ip", "server_port",
    "transport", "vlan", "packet", "dns_type", "dns_rcode", "dns_answers", "dns_chain",
    "dns_service_targets", "dns_ech", "dns_ech_configs", "tls_version", "tls_alpn", "tls_ja4",
    "tls_ech", "tls_ech_config_id", "quic_version",
)  # fmt: skip


def netwatch(*args: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run netwatch, in this process if it gets no input."""
    words = [*map(str, args)]
    if stdin is None:
        ran = run(*words)
        return subprocess.CompletedProcess(
            words, ran.status, ran.output.encode(), ran.errors.encode()
        )
    command = [sys.executable, "-m", "netwatch", *words]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=TIMEOUT * 4)


def names_of(*args: object) -> list[tuple[Any, ...]]:
    """The columns of the records that ``names`` gives."""
    run = netwatch("names", *args, "--format", "jsonl", "-q")
    assert run.returncode == 0, run.stderr
    return [_columns(json.loads(line)) for line in run.stdout.splitlines()]


def _columns(record: dict[str, Any]) -> tuple[Any, ...]:
    dns, tls = record.get("dns", {}), record.get("tls", {})
    return (
        record["time"],
        record["evidence"],
        record["name"],
        record["client"]["ip"],
        record["client"]["port"],
        record["client"].get("mac"),
        record["server"]["ip"],
        record["server"]["port"],
        record["transport"],
        record.get("vlan"),
        record["packet"],
        *(dns.get(key) for key in ("type", "rcode", "answers", "chain", "service_targets", "ech")),
        dns.get("ech_configs"),
        *(tls.get(key) for key in ("version", "alpn", "ja4", "ech", "ech_config_id")),
        record.get("quic", {}).get("version"),
    )


def stored_names(store: Path) -> list[tuple[Any, ...]]:
    """The same columns of what is stored."""
    from netwatch.formats.values import rfc3339

    return [
        (rfc3339(row[0], digits), *row[1:])
        for digits, *row in facts(store, "observation", ("time_digits", *COLUMNS))
    ]


def everything(store: Path) -> list[tuple[Any, ...]]:
    """All facts, but for what is random: numbers of captures and clients, and names of flows, in
    whose place is their order in the capture."""
    places: dict[int, dict[int, int]] = {}
    rows: list[tuple[Any, ...]] = []
    for table in ("observation", "flow"):
        columns = ("row.capture, flow, * EXCLUDE (capture, flow, client, number)",)
        for number, flow, *row in facts(store, table, columns):
            known = places.setdefault(number, {})
            rows.append((table, known.setdefault(flow, len(known)), *row))
    claims = facts(store, "claim", ("* EXCLUDE (capture, client, number)",))
    return [*rows, *(("claim", *row) for row in claims)]


def test_names_are_stored_as_they_are_printed(tmp_path: Path) -> None:
    """Every observation is in the store, in the order of packets and column by column."""
    captures = sorted(PCAPS.glob("*.pcap"))
    printed = names_of(*captures)
    assert names_of(*captures, "--store-path", tmp_path / "store") == printed
    assert stored_names(tmp_path / "store") == printed
    assert {row[1] for row in printed} >= {"dns-answer", "dns-cname", "quic-sni", "http-host"}


def test_ttls_stand_beside_their_answers(tmp_path: Path) -> None:
    """Each answer has its TTL."""
    netwatch("scan", CAPTURE, "--store-path", tmp_path, "-q")
    rows = facts(tmp_path, "observation", ("dns_answers", "dns_ttls"))
    pairs = [(answers, ttls) for answers, ttls in rows if answers is not None]
    assert pairs
    assert all(len(answers) == len(ttls) for answers, ttls in pairs)
    assert (["203.0.113.20"], [120]) in pairs


def test_a_scan_says_the_same_with_a_store(tmp_path: Path) -> None:
    """Not a byte of the output changes, and the store has the records as they were written."""
    plain = netwatch("scan", PCAPS, "--format", "jsonl", "--coverage", "-q")
    store = tmp_path / "store"
    run = netwatch("scan", PCAPS, "--format", "jsonl", "--coverage", "-q", "--store-path", store)
    assert (run.returncode, run.stdout, run.stderr) == (0, plain.stdout, b"")
    lines = plain.stdout.decode().splitlines()
    assert incident_lines(store) == [line for line in lines if '"netwatch.alert/1"' in line]
    assert coverage_records(store) == [json.loads(lines[-1])]
    table = tmp_path / "table"
    assert netwatch("scan", PCAPS, "-q", "--store-path", table).returncode == 0
    assert incident_lines(table) == incident_lines(store)


def test_events_are_numbered_across_tables(tmp_path: Path) -> None:
    """The events of a capture have the numbers from 0 on, without a gap, and claims are where they
    were met among the observations."""
    path = PCAPS / "lease-moves.pcap"
    netwatch("scan", path, "--store-path", tmp_path, "-q")
    numbers = [row[0] for table in ("observation", "flow", "claim")
               for row in facts(tmp_path, table, ("sequence",))]  # fmt: skip
    assert sorted(numbers) == list(range(len(numbers)))
    claims = facts(tmp_path, "claim", ("packet", "sequence"))
    observations = facts(tmp_path, "observation", ("packet", "sequence"))
    assert claims
    merged = sorted([*claims, *observations])
    assert [number for _, number in merged] == sorted(number for _, number in merged)
    assert min(row[0] for row in facts(tmp_path, "flow", ("sequence",))) > merged[-1][1]


def test_every_flow_is_stored(tmp_path: Path) -> None:
    """Flows with a name too, which a scan only counts, and those of DNS over TCP."""
    netwatch("scan", PCAPS / "dns-over-tcp.pcap", CAPTURE, "--store-path", tmp_path, "-q")
    ports = Counter(port for (port,) in facts(tmp_path, "flow", ("server_port",)))
    assert ports[53]
    assert ports[443]
    statuses = {status for (status,) in facts(tmp_path, "flow", ("name_status",))}
    assert "named" in statuses


@pytest.fixture(scope="module")
def by_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one worker stores: of all captures in ``one``, of a single one in ``alone``."""
    folder = tmp_path_factory.mktemp("by-one")
    netwatch("scan", *sorted(PCAPS.glob("*.pcap")), "--store-path", folder / "one", "-q")
    netwatch("names", CAPTURE, "--store-path", folder / "alone", "-q")
    return folder


def test_workers_store_the_same(tmp_path: Path, by_one: Path) -> None:
    """Whether workers read a capture each (two of them), or share one as well (twelve)."""
    captures = sorted(PCAPS.glob("*.pcap"))
    netwatch("scan", *captures, "--store-path", tmp_path / "several", "-q", "--jobs", 2)
    netwatch("names", *captures, "--store-path", tmp_path / "names", "-q", "--jobs", 12)
    netwatch("names", CAPTURE, "--store-path", tmp_path / "pair", "-q", "--jobs", 2)
    # The captures are numbered as they begin; each has its own source.
    one = Counter(map(repr, everything(by_one / "one")))
    assert Counter(map(repr, everything(tmp_path / "several"))) == one
    assert Counter(map(repr, everything(tmp_path / "names"))) == one
    assert everything(tmp_path / "pair") == everything(by_one / "alone")
    positions = "SELECT position, sources, content, state, first, last FROM capture ORDER BY 1"
    assert catalogue_rows(tmp_path / "several", positions) == catalogue_rows(
        by_one / "one", positions
    )


def test_sources_are_named_with_their_hash(tmp_path: Path) -> None:
    """A compressed file is hashed as it is; standard input has no hash. Pieces of one capture are
    one capture."""
    packed = tmp_path / "five.pcap.gz"
    packed.write_bytes(gzip.compress(CAPTURE.read_bytes()))
    store = tmp_path / "store"
    netwatch("scan", packed, "--store-path", store, "-q")
    netwatch("scan", "-", "--store-path", store, "-q", stdin=CAPTURE.read_bytes())
    pieces = [PCAPS / "dns-over-tcp.pcap", CAPTURE]
    netwatch("scan", *pieces, "--continuous", "--store-path", store, "-q")
    (zipped, piped, joined) = catalogue_rows(
        store, "SELECT sources, content, state FROM capture ORDER BY id"
    )
    (source,) = json.loads(zipped[0])
    assert source["path"] == str(packed)
    assert source["sha256"] == zipped[1] != ""
    assert (piped[0], piped[1], piped[2]) == ("[]", "", "complete")
    assert [each["path"] for each in json.loads(joined[0])] == [str(CAPTURE), str(pieces[0])]
    assert joined[1] not in ("", *(each["sha256"] for each in json.loads(joined[0])))
    assert catalogue_rows(store, "SELECT path FROM evidence WHERE run = 1") == [(str(packed),)]


def test_evidence_captures_are_found_again(tmp_path: Path) -> None:
    """Each has a row with its incident, size and hash."""
    proof = tmp_path / "proof"
    netwatch("scan", CAPTURE, "--store-path", tmp_path / "s", "--evidence", proof, "-q")
    rows = catalogue_rows(
        tmp_path / "s", "SELECT incident, path, size FROM evidence WHERE incident IS NOT NULL"
    )
    assert {path for _, path, _ in rows} == {str(path) for path in proof.iterdir()}
    assert all(Path(path).stat().st_size == size and incident for incident, path, size in rows)


def test_the_store_of_the_configuration(tmp_path: Path) -> None:
    """A relative path counts from the folder of the configuration."""
    path = configured(tmp_path)
    with Path(path).open("a") as stream:
        stream.write("store: {path: kept}\n")
    packets = capture(tmp_path / "one.pcap", one_hello(DURING))
    run = netwatch("scan", packets, "-c", path, "--store", "-q")
    assert run.returncode == 0, run.stderr
    assert facts(tmp_path / "kept", "observation")
    clients = catalogue_rows(tmp_path / "kept", "SELECT DISTINCT ip, mac, class FROM client")
    assert clients == [(SERVICE.ip, SERVICE.mac, "service")]


def test_repeated_scans_leave_few_files(tmp_path: Path) -> None:
    """The second scan of a capture replaces the first, and its rows go with it."""
    for _ in range(3):
        netwatch("scan", *SOME, "--store-path", tmp_path, "-q")
    paths = {path for table in ("observation", "flow", "claim")
             for path in registered(tmp_path, table)}  # fmt: skip
    assert on_disk(tmp_path) == paths
    days = {path.parent for path in paths}
    assert len(paths) == len(days)
    assert len(facts(tmp_path, "observation")) == len(names_of(*SOME))


def _begin(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.write(CAPTURE.read_bytes()[:HEAD])
    process.stdin.flush()


class Piped:
    """A scan of standard input whose writer something happens to before the packets come."""

    def __init__(self, store: Path) -> None:
        command = [sys.executable, "-m", "netwatch", "scan", "-", "-q", "--format", "jsonl"]
        self.process = subprocess.Popen(
            [*command, "--store-path", str(store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _begin(self.process)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        database = store / "catalogue.sqlite"
        wait_until(lambda: bool(children.read_text().strip()) and database.exists())
        wait_until(lambda: catalogue_rows(store, "SELECT count(*) FROM run") == [(1,)])
        self.writer = int(children.read_text().split()[0])
        # It has yet to say that it is ready; before that, the scan would end with it.
        wait_until(lambda: all(self._is_waiting() for _ in range(5)))

    def _is_waiting(self) -> bool:
        """Whether the writer sleeps, and does not just wait for a processor."""
        time.sleep(0.02)
        return Path(f"/proc/{self.writer}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    def finish(self) -> str:
        """Send the packets; what was said. The alerts are printed, and the exit status is 1."""
        out, errors = self.process.communicate(CAPTURE.read_bytes()[HEAD:], TIMEOUT * 2)
        assert self.process.returncode == 1
        assert len(out.splitlines()) == len(
            netwatch("scan", CAPTURE, "--format", "jsonl").stdout.splitlines()
        )
        return errors.decode()


def test_a_writer_that_is_killed_is_told(tmp_path: Path) -> None:
    """The rows are lost, the alerts are not."""
    scan = Piped(tmp_path / "store")
    os.kill(scan.writer, signal.SIGKILL)
    errors = scan.finish()
    assert "died unexpectedly (exit status -9)" in errors
    assert "rows of this run were lost" in errors
    assert facts(tmp_path / "store", "observation") == []


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """The scan goes on without the store, and no part of a file is left."""
    scan = Piped(tmp_path / "store")
    resource.prlimit(scan.writer, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    errors = scan.finish()
    assert "the store cannot be written to: " in errors
    assert "rows of this run were lost" in errors
    assert on_disk(tmp_path / "store") == set()


def test_a_store_that_cannot_be_opened_ends_the_scan(tmp_path: Path) -> None:
    """Before the first capture is read."""
    (tmp_path / "file").write_text("not a folder")
    run = netwatch("scan", CAPTURE, "--store-path", tmp_path / "file")
    assert (run.returncode, run.stdout) == (1, b"")
    assert b"file" in run.stderr
    assert b"Traceback" not in run.stderr
    url = netwatch("scan", CAPTURE, "--store-path", "s3://bucket/store")
    assert (url.returncode, url.stdout) == (2, b"")
    assert b"needs the key `catalogue`" in url.stderr


def test_a_bucket_and_postgresql(tmp_path: Path, s3_url: str, postgres_url: str) -> None:
    """A scan keeps the same in a bucket with PostgreSQL as in a folder."""
    config = tmp_path / "netwatch.yaml"
    config.write_text(f"version: 1\nstore: {{path: '{s3_url}', catalogue: '{postgres_url}'}}\n")
    for _ in range(2):
        run = netwatch("scan", *SOME, "-c", config, "--store", "-q")
        assert (run.returncode, run.stderr) == (0, b"")
    netwatch("scan", *SOME, "--store-path", tmp_path / "local", "-q")
    counted = netwatch("store", "status", "-c", config, "--format", "jsonl")
    local = netwatch("store", "status", "--store-path", tmp_path / "local", "--format", "jsonl")
    assert counted.returncode == 0, counted.stderr
    bucket, folder = json.loads(counted.stdout), json.loads(local.stdout)
    assert {table: each["rows"] for table, each in bucket["tables"].items()} == {
        table: each["rows"] for table, each in folder["tables"].items()
    }
    assert bucket["incidents"] == folder["incidents"] > 0
    query = ("store", "query", "observations", "--format", "jsonl")
    asked = netwatch(*query, "-c", config)
    assert asked.stdout
    assert asked.stdout == netwatch(*query, "--store-path", tmp_path / "local").stdout


def test_a_bucket_that_goes_away_is_told(tmp_path: Path, s3_url: str, postgres_url: str) -> None:
    """As a full disk is; the alerts are printed."""
    import s3fs

    config = tmp_path / "netwatch.yaml"
    config.write_text(f"version: 1\nstore: {{path: '{s3_url}', catalogue: '{postgres_url}'}}\n")
    command = [sys.executable, "-m", "netwatch", "scan", "-", "-q", "--format", "jsonl"]
    process = subprocess.Popen(
        [*command, "-c", str(config), "--store"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _begin(process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: bool(children.read_text().strip()))
    s3fs.S3FileSystem().rmdir(s3_url.removeprefix("s3://").partition("/")[0])
    out, errors = process.communicate(CAPTURE.read_bytes()[HEAD:], TIMEOUT * 2)
    assert process.returncode == 1
    assert len(out.splitlines()) == 8
    assert b"the store cannot be written to: " in errors
    assert b"rows of this run were lost" in errors
