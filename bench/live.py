"""A live capture beside its peers on one veth pair: what is lost at rising rates, and how
long it takes from a packet to its alert.

Office traffic is replayed by tcpreplay from memory. Each reader stands on the interface
alone, one after the other at each rate: the sender and the reader share the cores. What a
reader lost is what it says itself that the kernel dropped; what it saw has to add up with
what was sent where it sees all.
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
from compare import Settings, say
from measure import netwatch
from peers import CONFIG
from shared import Namespace, messages

RATES = (25_000, 50_000, 100_000, 200_000, 300_000, None)
"""Packets a second; None is as fast as it goes."""
SECONDS = 3.0
"""How long each rate is held."""
RING = 64
"""MiB of each reader's ring, as netwatch has it where nothing is said."""
PACKETS = 200_000
"""Packets of office traffic that are replayed, over and over."""
LATENCY_RATE = 100_000
LATENCY_SECONDS = 20.0
MARKS = 400
"""Lookups of a banned name, each by a device of its own, that latency is taken of."""

SURICATA = """af-packet:
  - {interface: in, cluster-id: 99, cluster-type: cluster_flow, defrag: yes, use-mmap: yes,
     tpacket-v3: yes, block-size: 262144, ring-size: 40000, threads: 1}
"""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who stands on the interface: how it is called in a work folder, what it says when it is
    ready, the signal that ends it, and what it lost and saw by what it said."""

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
        r"^lost +packets ([\d,]+)", r"^read .* ([\d,]+) packets", sees_all=False,
    ),
    Reader(
        "netwatch live --no-filter", _netwatch("--no-filter"), "started on in", signal.SIGTERM,
        r"^lost +packets ([\d,]+)", r"^read .* ([\d,]+) packets",
    ),
    Reader(
        "suricata --af-packet", _suricata, "Engine started", signal.SIGINT,
        r"drops: ([\d,]+)", r"packets: ([\d,]+)", "suricata",
    ),
)  # fmt: skip


def loss(settings: Settings) -> dict[str, Any]:
    """Each reader at each rate; raises `veth.MissingError`."""
    veth.require("tcpreplay", "taskset", "tcpdump")
    path, manifest = capture(Traffic("office", PACKETS), settings.work)
    rows = []
    for rate in RATES:
        for reader in READERS:
            try:
                veth.require(reader.program)
            except veth.MissingError as error:
                say(f"left out, {error}")
                continue
            say(f"loss: {reader.name} at {rate or 'all'} packets/s")
            rows.append(_row(reader, rate, path, settings.work))
    return {"rows": rows, "octets": manifest["bytes"] / manifest["packets"]}


def _row(reader: Reader, rate: int | None, path: Path, work: Path) -> dict[str, Any]:
    log = work / "reader.err"
    with veth.pair() as place:
        with log.open("wb") as err:
            process = veth.start(place, [*on(1), *reader.command(work)], stdout=err, stderr=err)
        veth.wait_for_log(log, reader.ready, process)
        used = veth.cpu(process.pid)
        sent, pps = replay(place, path, rate, SECONDS)
        time.sleep(0.5)
        spent = veth.cpu(process.pid) - used
        veth.stop(process, reader.ending)
    text = log.read_text(errors="replace")
    saw, lost = _count(reader.saw, text), _count(reader.lost, text)
    if reader.sees_all and not 0 <= sent - saw - (0 if "tcpdump" in reader.name else lost) <= 5:
        say(f"{reader.name}: {sent:,} sent, {saw:,} seen, {lost:,} lost do not add up")
    return {"reader": reader.name, "rate": rate, "pps": pps, "sent": sent, "lost": lost,
            "saw": saw, "cpu": spent}  # fmt: skip


def on(core: int) -> list[str]:
    """What has a command run on a core of its own: sender and reader are not to share one."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core])] if len(cores) > 1 else []


def replay(place: Namespace, path: Path, rate: int | None, seconds: float) -> tuple[int, float]:
    """Replay a capture at a rate for so long; how many packets went out, and how many a
    second that were."""
    speed = ["--topspeed"] if rate is None else [f"--pps={rate}"]
    packets = round((rate or 300_000) * seconds)
    call = ["tcpreplay", "--preload-pcap", "-i", "out", *speed, "--loop=1000000"]
    done = subprocess.run(
        place.inside(*on(0), *call, f"--limit={packets}", str(path)), capture_output=True, text=True
    )
    sent = re.search(r"Actual: (\d+) packets", done.stdout)
    pps = re.search(r"([\d.]+) pps", done.stdout)
    if done.returncode or not sent or not pps:
        raise RuntimeError(f"tcpreplay: {done.stderr.strip() or done.stdout}")
    return int(sent[1]), float(pps[1])


def _count(pattern: str, text: str) -> int:
    found = re.findall(pattern, text, re.MULTILINE)
    if not found:
        raise RuntimeError(f"{pattern!r} is not in what was said:\n{text[-2000:]}")
    return int(found[-1].replace(",", ""))


def latency(settings: Settings) -> dict[str, Any]:
    """From the moment when a lookup is sent to the moment when its alert can be read from a
    pipe, with office traffic all the time; raises `veth.MissingError`."""
    veth.require("tcpreplay", "taskset")
    path, _ = capture(Traffic("office", PACKETS), settings.work)
    log = settings.work / "latency.err"
    heard: dict[str, float] = {}
    with veth.pair() as place:
        with log.open("wb") as err:
            config = str(hostile.configured(settings.work))
            command = netwatch("live", "-i", "in", "-c", config, "--format", "jsonl")
            live = veth.start(place, command, stdout=subprocess.PIPE, stderr=err)
        veth.wait_for_log(log, "started on in", live)
        reading = threading.Thread(target=_listen, args=(live, heard))
        reading.start()
        traffic: list[tuple[int, float]] = []
        arguments = (place, path, LATENCY_RATE, LATENCY_SECONDS + 2)
        replaying = threading.Thread(target=lambda: traffic.append(replay(*arguments)))
        replaying.start()
        time.sleep(1.0)
        sent = dict(_marks(place))
        replaying.join()
        veth.stop(live)
        reading.join()
    waits = sorted(heard[ip] - at for ip, at in sent.items() if ip in heard)
    lost = _count(r"^lost +packets ([\d,]+)", log.read_text())
    return {
        "marks": len(sent),
        "told": len(waits),
        "pps": traffic[0][1],
        "lost": lost,
        "median": statistics.median(waits),
        "p99": waits[min(len(waits) - 1, round(0.99 * len(waits)))],
        "most": waits[-1],
    }


def _listen(live: "subprocess.Popen[bytes]", heard: dict[str, float]) -> None:
    assert live.stdout is not None
    for line in live.stdout:
        now = time.monotonic()
        record = json.loads(line)
        heard.setdefault(record["device"]["ip"], now)


def _marks(place: Namespace) -> Iterator[tuple[str, float]]:
    """Send the lookups, evenly; each device with the moment when it was about to go out."""
    with place.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind(("out", 0))
        begin = time.monotonic()
        for mark in range(MARKS):
            time.sleep(max(0.0, begin + mark * LATENCY_SECONDS / MARKS - time.monotonic()))
            # Addresses that the office has none of.
            src = bytes([10, 77, mark // 250, 1 + mark % 250])
            query = messages.query(mark, floods.BANNED, "A")
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
    """The table for people."""
    shape = "{:<27} {:>9} {:>10} {:>10} {:>6} {:>15}"
    rows = [[shows(row) for _, shows in COLUMNS] for row in found["rows"]]
    return "\n".join(shape.format(*cells) for cells in ([name for name, _ in COLUMNS], *rows))


def latency_text(found: dict[str, Any]) -> str:
    """The figures for people."""
    return (
        f"from packet to alert at {found['pps']:,.0f} packets/s: median"
        f" {1e3 * found['median']:.0f} ms, 99 % {1e3 * found['p99']:.0f} ms, most"
        f" {1e3 * found['most']:.0f} ms; {found['told']} of {found['marks']} told,"
        f" {found['lost']:,} packets dropped"
    )
