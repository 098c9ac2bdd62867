"""Flow records that netwatch reads, beside collectors that only keep them.

The records are IPFIX of 20 fields, those of both directions of each conversation, as 250 clients
would have them exported; a resolver's log has told a client one address of a banned name. All read
the same messages, as datagrams on loopback at a pace at which none is lost, and netwatch once more
as a file. CPU seconds are those beyond the start of a program that gets no message.
"""

import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare import Options, progress
from measure import measure, netwatch, start_process
from netwatch_only import MeasurementError, require_success

RECORDS = 1_000_000
"""Records, if office traffic has its full size."""

FULL = 2_000_000
"""Packets of office traffic in a whole run, to which the number of records is relative."""

PACE = 4000
"""Messages a second that are sent to collectors."""

EACH = 19
"""Records of a message, which fits into a frame of Ethernet."""

FIELDS = (
    (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (5, 1), (6, 1), (1, 8), (2, 8), (152, 8), (153, 8),
    (10, 4), (14, 4), (15, 4), (16, 4), (17, 4), (9, 1), (13, 1), (58, 2), (136, 1),
)  # fmt: skip
"""The elements of the template with their lengths."""

TEMPLATE_EVERY = 1000
"""Messages from one template to the next."""

BANNED = "www.tiktok.com"
BANNED_SERVER = bytes([203, 0, 113, 81])
HITS = 50_000
"""One conversation in so many goes to a banned app."""

_RECORD = struct.Struct(">4s4sHHBBBQQQQII4sIIBBHB")
_CLIENTS = [bytes([10, 20, 6 + number // 250, 1 + number % 250]) for number in range(250)]
_PACKED = 0.000_05
"""Seconds from one conversation to the next."""


def _records(count: int, start: float) -> Iterator[bytes]:
    """The records of conversations from a time on, of both directions."""
    chosen = random.Random(1)
    servers = [bytes([198, 51, chosen.randrange(256), chosen.randrange(256)]) for _ in range(4000)]
    waiting: list[bytes] = []
    for at in range(count // 2):
        client, server = chosen.choice(_CLIENTS), chosen.choice(servers)
        if at % HITS == HITS // 2:
            client, server = _CLIENTS[0], BANNED_SERVER
        port, last = chosen.randrange(32768, 61000), int(1000 * (start + at * _PACKED))
        first = last - chosen.randrange(20_000)
        protocol, packets = chosen.choice((6, 6, 17)), chosen.randrange(4, 40)
        for sides in (
            (client, server, port, 443, packets * 120),
            (server, client, 443, port, packets * 900),
        ):
            source, destination, source_port, destination_port, octets = sides
            waiting.append(
                _RECORD.pack(
                    source, destination, source_port, destination_port, protocol, 0, 0x1B,
                    octets, packets, first, last, 3, 4, bytes(4), 64500, 64501, 24, 24, 20, 3,
                )
            )  # fmt: skip
        # Records of the other direction follow some others.
        if len(waiting) >= 64:
            chosen.shuffle(waiting)
            yield from waiting
            waiting.clear()
    yield from waiting


def messages(count: int, start: float) -> Iterator[bytes]:
    """IPFIX messages of some records, from a time on (s since the epoch)."""
    described = b"".join(struct.pack(">HH", *field) for field in FIELDS)
    template = struct.pack(">HHHH", 2, 8 + len(described), 256, len(FIELDS)) + described
    records: list[bytes] = []
    sequence = number = 0
    for record in _records(count, start):
        records.append(record)
        if len(records) < EACH:
            continue
        sets = template if number % TEMPLATE_EVERY == 0 else b""
        body = sets + struct.pack(">HH", 256, 4 + EACH * _RECORD.size) + b"".join(records)
        seconds = int(start + (sequence // 2) * _PACKED) + 1
        yield struct.pack(">HHIII", 10, 16 + len(body), seconds, sequence, 7) + body
        sequence, number = sequence + EACH, number + 1
        records.clear()


def _log(path: Path, start: float) -> Path:
    """The resolver's log, in the format of dnsmasq."""
    asked = time.strftime("%b %e %H:%M:%S gw dnsmasq[900]:", time.gmtime(start - 60))
    path.write_text(
        f"{asked} 11 10.20.6.1/40001 query[A] {BANNED} from 10.20.6.1\n"
        f"{asked} 11 10.20.6.1/40001 reply {BANNED} is 203.0.113.81\n",
        encoding="ascii",
    )
    return path


@dataclass(frozen=True, slots=True)
class Collector:
    """A program that receives flow records at a port, with a folder for what it writes."""

    name: str
    what: str
    program: str
    command: Callable[[int, Path], Sequence[str]]


def _nfacctd(port: int, folder: Path) -> list[str]:
    (folder / "nfacctd.conf").write_text(
        f"nfacctd_port: {port}\nnfacctd_ip: 127.0.0.1\nplugins: print\n"
        "aggregate: src_host, dst_host, src_port, dst_port, proto, timestamp_start\n"
        f"print_refresh_time: 10\nprint_output: csv\nprint_output_file: {folder}/%H%M%S.csv\n"
        "plugin_buffer_size: 1024000\nplugin_pipe_size: 102400000\n",
        encoding="ascii",
    )
    return ["nfacctd", "-f", str(folder / "nfacctd.conf")]


def _live(port: int, folder: Path) -> list[str]:
    log = _log(folder / "dnsmasq.log", time.time())
    return netwatch(
        *("live", "--source", "flows", f"udp://127.0.0.1:{port}", str(log), "--as", "dnsmasq"),
        *("--timezone", "UTC", "--no-view", "--format", "jsonl"),
        *("-o", str(folder / "alerts.jsonl")),
    )


COLLECTORS = (
    Collector("netwatch live", "alerts and coverage", "", _live),
    Collector(
        "nfcapd",
        "writes each record to a file",
        "nfcapd",
        lambda port, folder: ["nfcapd", "-b", "127.0.0.1", "-p", str(port), "-w", str(folder)],
    ),
    Collector("nfacctd", "sums by addresses and ports, written as CSV", "nfacctd", _nfacctd),
)


def flow_records(options: Options) -> dict[str, Any]:
    """Measure netwatch, and the collectors that are installed."""
    count = max(100_000, RECORDS * options.office // FULL) // (2 * EACH) * 2 * EACH
    rows = [_file(count, options)]
    for collector in COLLECTORS:
        if collector.program and shutil.which(collector.program) is None:
            progress(f"left out, not installed: {collector.program}")
            continue
        runs = []
        for number in range(1, options.rounds + 1):
            progress(f"flow records, round {number} of {options.rounds}: {collector.name}")
            idle = _receive(collector, 0, options)
            runs.append(_receive(collector, count, options) | {"start": idle["cpu"]})
        rows.append(
            {
                "name": collector.name,
                "what": collector.what,
                "cpu": statistics.median(run["cpu"] - run["start"] for run in runs),
                "lost": max(run["lost"] for run in runs),
            }
        )
    return {"records": count, "rounds": options.rounds, "rows": rows}


def _file(count: int, options: Options) -> dict[str, Any]:
    """Measure a scan of a file of messages, and of one of few records."""
    start = 1_795_132_800.0
    found: dict[int, list[Any]] = {EACH: [], count: []}
    for size in found:
        folder = _empty(options.work / f"flow-records-{size}")
        _log(folder / "dnsmasq.log", start)
        with (folder / "records.ipfix").open("wb") as file:
            file.writelines(messages(2 * size if size == EACH else size, start))
    for number in range(1, options.rounds + 1):
        progress(f"flow records, round {number} of {options.rounds}: netwatch scan")
        for size, runs in found.items():
            folder = options.work / f"flow-records-{size}"
            files = str(folder / "records.ipfix"), str(folder / "dnsmasq.log")
            command = netwatch(
                "scan", "-q", "--year", "2026", "--coverage", "--format", "jsonl", *files
            )
            output = options.work / "flow-records.out"
            runs.append(require_success(measure(command, output, options.timeout)))
    beyond = statistics.median(run.cpu for run in found[count]) - statistics.median(
        run.cpu for run in found[EACH]
    )
    return {
        "name": "netwatch scan",
        "what": "alerts and coverage, of a file",
        "cpu": beyond,
        "lost": 0,
    }


def _receive(collector: Collector, count: int, options: Options) -> dict[str, Any]:
    """What a collector needs for some records, and how many datagrams it lost."""
    folder = _empty(options.work / "flow-records-live")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sent = list(messages(count, time.time() - 2 - count / 2 * _PACKED)) if count else []
    with (folder / "out").open("wb") as out:
        command = collector.command(port, folder)
        process = start_process(command, subprocess.DEVNULL, out, subprocess.STDOUT)
    try:
        _until(lambda: _queue(port) is not None, collector.name)
        time.sleep(1)
        _send(sent, port)
        _until(lambda: _queue(port) == 0, collector.name)
        time.sleep(2)
        lost = _dropped(port)
        process.send_signal(signal.SIGINT)
    except BaseException:
        process.kill()
        process.wait()
        raise
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return {"cpu": cpu, "lost": lost}


def _send(sent: Sequence[bytes], port: int) -> None:
    """Send datagrams at `PACE`."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        sender.connect(("127.0.0.1", port))
        begin = time.monotonic()
        for number, each in enumerate(sent):
            sender.send(each)
            if number % 20 == 0:
                ahead = begin + number / PACE - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)


def _until(is_so: Callable[[], bool], name: str) -> None:
    """Wait until something is so. Raises `MeasurementError` if it does not become so."""
    until = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > until:
            raise MeasurementError(f"{name} does not receive flow records")
        time.sleep(0.05)


def _socket(port: int) -> list[str] | None:
    """What Linux says of the socket at a port (proc(5))."""
    for line in Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        if int(words[1].partition(":")[2], 16) == port:
            return words
    return None


def _queue(port: int) -> int | None:
    """The bytes that wait at a port, None while nobody listens."""
    words = _socket(port)
    return None if words is None else int(words[4].partition(":")[2], 16)


def _dropped(port: int) -> int:
    words = _socket(port)
    return 0 if words is None else int(words[-1])


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("program", lambda row: row["name"]),
    ("what it does", lambda row: row["what"]),
    ("CPU s beyond start", lambda row: f"{row['cpu']:.2f}"),
    ("records a CPU s", lambda row: f"{row['each']:,.0f}"),
    ("by netwatch live", lambda row: row["times"]),
    ("datagrams lost", lambda row: f"{row['lost']:,}"),
)


def cells(found: dict[str, Any]) -> list[list[str]]:
    """The rows of the table."""
    base = {row["name"]: row["cpu"] for row in found["rows"]}.get("netwatch live")
    shown = []
    for row in found["rows"]:
        times = f"{row['cpu'] / base:.2f}" if base else ""
        row = row | {"each": found["records"] / max(row["cpu"], 1e-9), "times": times}
        shown.append([shows(row) for _, shows in COLUMNS])
    return shown


def text(found: dict[str, Any]) -> str:
    """The table as text."""
    shape = "{:<14} {:<44} {:>18} {:>16} {:>16} {:>14}"
    head = f"{found['records']:,} flow records of {len(FIELDS)} fields, IPFIX"
    return "\n".join([head, *(shape.format(*row) for row in (_names(), *cells(found)))])


def _names() -> list[str]:
    return [name for name, _ in COLUMNS]
