"""A live capture beside its peers on a veth pair: packet loss at rising rates, and the latency from
a packet to its alert.

tcpreplay replays office traffic from memory. At each rate one reader after the other captures
alone, since sender and reader share the cores. The loss of a reader is the number of packets that
it reports as dropped by the kernel. If a reader receives all packets, received and lost packets
have to add up to the sent ones.
"""

import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import floods
import hostile
import suricata
import veth
from captures import Traffic, capture
from compare import Options, progress
from measure import as_text, netwatch
from peers import CONFIG
from shared import Namespace, messages

RATES = (25_000, 100_000, 300_000, None)
"""Packets per second; None is as fast as possible."""
SECONDS = 3.0
"""Duration of each rate."""
RING = 64
"""MiB of the ring of each reader, the default of netwatch."""
PACKETS = 200_000
"""Packets of office traffic, replayed in a loop."""
LATENCY_RATE = 100_000
LATENCY_SECONDS = 20.0
PROBES = 400
"""DNS queries for a banned name, each by another device, for which the latency is measured."""

SURICATA = """af-packet:
  - {interface: in, cluster-id: 99, cluster-type: cluster_flow, defrag: yes, use-mmap: yes,
     tpacket-v3: yes, block-size: 262144, ring-size: 40000, threads: 1}
"""


@dataclass(frozen=True, slots=True)
class Reader:
    """A program that captures: its command in a work folder, the text in its output when it is
    ready, the signal that ends it, and the patterns of lost and received packets in its output."""

    name: str
    command: Callable[[Path], list[str]]
    ready: str
    ending: int
    lost: str
    saw: str
    program: str = sys.executable
    sees_all: bool = True


def _netwatch(*more: str) -> Callable[[Path], list[str]]:
    def command(work: Path) -> list[str]:
        out = str(work / "live.jsonl")
        return netwatch(
            "live", "-i", "in", "-c", str(CONFIG), "--format", "jsonl", "-o", out, *more
        )

    return command


def _tcpdump(work: Path) -> list[str]:
    return ["tcpdump", "-B", str(RING * 1024), "-i", "in", "-w", "/dev/null"]


def _suricata(work: Path) -> list[str]:
    call = suricata.alerts(Path("none"), work / "suricata-live")
    config = work / "suricata-live" / "suricata.yaml"
    text = config.read_text(encoding="ascii")
    text = text.replace("default-log-level: error", "default-log-level: notice")
    config.write_text(text + SURICATA, encoding="ascii")
    at = call.index("--runmode")
    return [*call[:at], "--runmode", "workers", "--af-packet=in"]


READERS = (
    Reader(
        "tcpdump -w /dev/null", _tcpdump,
        "listening on", signal.SIGINT, r"([\d,]+) packets dropped by kernel",
        r"([\d,]+) packets received by filter", "tcpdump",
    ),
    Reader(
        "netwatch live", _netwatch(), "started on in", signal.SIGTERM,
        r"^lost +([\d,]+) packets?", r"^read .* ([\d,]+) packets", sees_all=False,
    ),
    Reader(
        "netwatch live --no-filter", _netwatch("--no-filter"), "started on in", signal.SIGTERM,
        r"^lost +([\d,]+) packets?", r"^read .* ([\d,]+) packets",
    ),
    Reader(
        "suricata --af-packet", _suricata, "Engine started", signal.SIGINT,
        r"drops: ([\d,]+)", r"packets: ([\d,]+)", "suricata",
    ),
)  # fmt: skip


def loss(options: Options) -> dict[str, Any]:
    """Measure each reader at each rate; raises `veth.MissingError`."""
    veth.require("tcpreplay", "taskset", "chrt", "tcpdump")
    path, manifest = capture(Traffic("office", PACKETS), options.work)
    rows = []
    for rate in RATES:
        for reader in READERS:
            try:
                veth.require(reader.program)
            except veth.MissingError as error:
                progress(f"skipped: {error}")
                continue
            progress(f"loss: {reader.name} at {rate or 'all'} packets/s")
            rows.append(measure_reader(reader, rate, path, options.work, SECONDS))
    return {"rows": rows, "bytes": manifest["bytes"] / manifest["packets"]}


def measure_reader(
    reader: Reader,
    rate: int | None,
    path: Path,
    work: Path,
    seconds: float,
    started: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Replay a capture for some seconds while a reader captures: packets sent, received and lost,
    and the CPU seconds of the reader from when it was ready, when `started` is called with
    its id."""
    log = work / "reader.err"
    with veth.pair() as namespace:
        with log.open("wb") as err:
            process = veth.start(
                namespace, [*pinned_to(1), *reader.command(work)], stdout=err, stderr=err
            )
        veth.wait_for_log(log, reader.ready, process)
        time.sleep(0.5)  # what a reader still does after it says so belongs to its start
        used = veth.cpu(process.pid)
        if started is not None:
            started(process.pid)
        sent, pps = replay(namespace, path, rate, seconds)
        time.sleep(0.5)  # no reader reports that it has read everything in its ring
        if process.poll() is not None:
            said = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{reader.name} ended during the measurement:\n{said}")
        spent = veth.cpu(process.pid) - used
        veth.stop(process, reader.ending)
    text = log.read_text(errors="replace")
    saw, lost = count(reader.saw, text), count(reader.lost, text)
    if reader.sees_all and not 0 <= sent - saw - (0 if "tcpdump" in reader.name else lost) <= 5:
        progress(f"{reader.name}: {sent:,} sent, {saw:,} received and {lost:,} lost do not add up")
    return {"reader": reader.name, "rate": rate, "pps": pps, "sent": sent, "lost": lost,
            "saw": saw, "cpu": spent}  # fmt: skip


def pinned_to(core: int) -> list[str]:
    """The prefix that runs a command on one core, so that sender and reader do not share it."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core])] if len(cores) > 1 else []


def replay(namespace: Namespace, path: Path, rate: int | None, seconds: float) -> tuple[int, float]:
    """Replay a capture at a rate for some seconds; returns the sent packets, and the packets per
    second. The sender has a real-time priority: what else runs must not slow it down, as nothing
    slows a mirror port down."""
    speed = ["--topspeed"] if rate is None else [f"--pps={rate}"]
    packets = round((rate or 300_000) * seconds)
    call = ["tcpreplay", "--preload-pcap", "-i", "out", *speed, "--loop=1000000"]
    done = subprocess.run(
        namespace.inside(
            "chrt", "--rr", "1", *pinned_to(0), *call, f"--limit={packets}", str(path)
        ),
        capture_output=True,
        text=True,
    )
    sent = re.search(r"Actual: (\d+) packets", done.stdout)
    pps = re.search(r"([\d.]+) pps", done.stdout)
    failed = re.search(r"Failed packets: +([1-9]\d*)", done.stdout)
    if failed:
        raise RuntimeError(f"tcpreplay could not send {failed[1]} packets")
    if done.returncode or not sent or not pps:
        raise RuntimeError(f"tcpreplay: {done.stderr.strip() or done.stdout}")
    return int(sent[1]), float(pps[1])


def count(pattern: str, text: str) -> int:
    """The number in the last match of a pattern."""
    found = re.findall(pattern, text, re.MULTILINE)
    if not found:
        raise RuntimeError(f"{pattern!r} is not in the output:\n{text[-2000:]}")
    return int(found[-1].replace(",", ""))


def latency(options: Options) -> dict[str, Any]:
    """The time from sending a DNS query until its alert is read from a pipe, during office traffic;
    raises `veth.MissingError`."""
    veth.require("tcpreplay", "taskset", "chrt")
    path, _ = capture(Traffic("office", PACKETS), options.work)
    log = options.work / "latency.err"
    reported_at: dict[str, float] = {}
    with veth.pair() as namespace:
        with log.open("wb") as err:
            config = str(hostile.write_config(options.work))
            command = netwatch("live", "-i", "in", "-c", config, "--format", "jsonl")
            live = veth.start(namespace, command, stdout=subprocess.PIPE, stderr=err)
        veth.wait_for_log(log, "started on in", live)
        reading = threading.Thread(target=_read_alerts, args=(live, reported_at))
        reading.start()
        traffic: list[tuple[int, float]] = []
        arguments = (namespace, path, LATENCY_RATE, LATENCY_SECONDS + 2)
        replaying = threading.Thread(target=lambda: traffic.append(replay(*arguments)))
        replaying.start()
        time.sleep(1.0)  # tcpreplay does not report when it starts to send
        sent = dict(_send_probes(namespace))
        replaying.join()
        veth.stop(live)
        reading.join()
    waits = sorted(reported_at[ip] - at for ip, at in sent.items() if ip in reported_at)
    lost = count(r"^lost +([\d,]+) packets?", log.read_text())
    return {
        "probes": len(sent),
        "reported": len(waits),
        "pps": traffic[0][1],
        "lost": lost,
        "median": statistics.median(waits),
        "p99": waits[min(len(waits) - 1, round(0.99 * len(waits)))],
        "most": waits[-1],
    }


def _read_alerts(live: "subprocess.Popen[bytes]", reported_at: dict[str, float]) -> None:
    assert live.stdout is not None
    for line in live.stdout:
        now = time.monotonic()
        record = json.loads(line)
        reported_at.setdefault(record["device"]["ip"], now)


def _send_probes(namespace: Namespace) -> Iterator[tuple[str, float]]:
    """Send the queries at a constant rate; yields each device and the time of its query."""
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind(("out", 0))
        begin = time.monotonic()
        for probe in range(PROBES):
            time.sleep(max(0.0, begin + probe * LATENCY_SECONDS / PROBES - time.monotonic()))
            # Addresses that the office traffic does not contain.
            src = bytes([10, 77, probe // 250, 1 + probe % 250])
            query = messages.query(probe, floods.BANNED, "A")
            frame = floods.udp(src, 40000, 53, query)
            at = time.monotonic()
            out.send(frame)
            yield ".".join(map(str, src)), at


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("reader", lambda row: row["reader"]),
    ("packets/s", lambda row: f"{row['pps']:,.0f}"),
    ("sent", lambda row: f"{row['sent']:,}"),
    ("dropped", lambda row: f"{row['lost']:,}"),
    ("%", lambda row: f"{100 * row['lost'] / row['sent']:.2f}"),
    ("CPU, µs a packet", lambda row: f"{1e6 * row['cpu'] / row['sent']:.2f}"),
)


def loss_text(found: dict[str, Any]) -> str:
    """The table as text."""
    return as_text(COLUMNS, found["rows"])


def latency_text(found: dict[str, Any]) -> str:
    """The latency as text."""
    return (
        f"from packet to alert at {found['pps']:,.0f} packets/s: median"
        f" {1e3 * found['median']:.0f} ms, 99 % {1e3 * found['p99']:.0f} ms, maximum"
        f" {1e3 * found['most']:.0f} ms; {found['reported']} of {found['probes']} reported,"
        f" {found['lost']:,} packets dropped"
    )
