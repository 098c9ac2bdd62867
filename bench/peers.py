"""Who is measured, one row a peer: what it needs, how it is called, what it told.

Each does the nearest thing to netwatch's work that it can: pick the names, or the banned
ones, out of a capture, on one thread. A peer that is not installed is named and left out.
"""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import suricata
from measure import lines, netwatch
from shared import ROOT

CONFIG = ROOT / "pcaps" / "netwatch.yaml"
"""The configuration by which netwatch judges: all shipped signatures, TikTok banned."""

TCPDUMP_FILTER = (
    "port 53 or (tcp[((tcp[12] & 0xf0) >> 2):1] = 0x16) or (udp port 443 and udp[8] & 0xc0 = 0xc0)"
)
TSHARK_FIELDS = (
    "frame.number",
    "ip.src",
    "ipv6.src",
    "dns.qry.name",
    "tls.handshake.extensions_server_name",
    "http.host",
)
DPKT_LOOP = """
import sys, dpkt
count = 0
with open(sys.argv[1], "rb") as file:
    for _, frame in dpkt.pcap.Reader(file):
        dpkt.ethernet.Ethernet(frame)
        count += 1
        if count == int(sys.argv[2]):
            break
print(count)
"""
NFSTREAM_LOOP = """
import sys, nfstream
for flow in nfstream.NFStreamer(source=sys.argv[1], n_meters=1, statistical_analysis=False):
    if flow.requested_server_name:
        print(flow.requested_server_name)
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A capture to read, its packets, and a folder for what the peer needs and writes."""

    capture: Path
    packets: int
    work: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """A row: `needs` is a command or, with a colon before it, a Python module; `version` how
    to call the command so that it says its own; `told` counts what it found from its standard
    output; `expected` is the least of that by the manifest of the traffic. Where `share` is
    below 1 the peer gets this part of the packets and its times are scaled up. `kinds` is the
    traffic that it gets."""

    name: str
    needs: str
    install: str
    version: str
    command: Callable[[Job], list[str]]
    told: Callable[[Path, Job], int | None]
    what: str
    expected: Callable[[dict[str, Any]], int] | None = None
    share: float = 1.0
    kinds: tuple[str, ...] = ("office", "dns")

    def missing(self) -> bool:
        """Whether it is not installed here."""
        if self.needs.startswith(":"):
            return importlib.util.find_spec(self.needs[1:]) is None
        return shutil.which(self.needs) is None

    def release(self) -> str:
        """The version that is installed here."""
        if self.needs.startswith(":"):
            return importlib.metadata.version(self.needs[1:])
        done = subprocess.run(
            [self.needs, *self.version.split()], capture_output=True, text=True, cwd=ROOT
        )
        found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
        return found[0] if found else "unknown"


def printed(output: Path, job: Job) -> int:
    """Lines of standard output."""
    return lines(output)


def nothing(output: Path, job: Job) -> None:
    """It tells nothing that can be counted."""


def clients(manifest: dict[str, Any]) -> int:
    """Clients with banned names, each an incident."""
    return int(manifest["banned_clients"])


def shown(manifest: dict[str, Any]) -> int:
    """Names that are shown."""
    return sum(manifest["observations"].values())


def asked(manifest: dict[str, Any]) -> int:
    """Banned names in queries and handshakes."""
    return sum(count for kind, count in manifest["banned"].items() if kind != "dns-answer")


def tshark(job: Job) -> list[str]:
    """Fields of the packets that carry a name."""
    fields = [part for field in TSHARK_FIELDS for part in ("-e", field)]
    names = "dns or tls.handshake.type == 1 or http.request"
    read = ["tshark", "-n", "-r", str(job.capture), "-c", str(job.packets)]
    return [*read, "-Y", names, "-T", "fields", *fields]


PEERS = (
    Peer(
        "netwatch scan",
        sys.executable,
        "pip install .",
        "-m netwatch --version",
        lambda job: netwatch(
            "scan", "-c", str(CONFIG), "--format", "jsonl", "-q", str(job.capture)
        ),
        printed,
        "alerts by the sample configuration, all shipped signatures",
        clients,
    ),
    Peer(
        "netwatch names",
        sys.executable,
        "pip install .",
        "-m netwatch --version",
        lambda job: netwatch("names", "--format", "jsonl", "-q", str(job.capture)),
        printed,
        "every name as a JSON line",
        shown,
    ),
    Peer(
        "tcpdump",
        "tcpdump",
        "apt-get install tcpdump",
        "--version",
        lambda job: ["tcpdump", "-r", str(job.capture), "-w", "/dev/null", TCPDUMP_FILTER],
        nothing,
        "a filter alone: the floor",
    ),
    Peer(
        "suricata",
        "suricata",
        "apt-get install suricata",
        "-V",
        lambda job: suricata.alerts(job.capture, job.work / "suricata"),
        lambda output, job: lines(job.work / "suricata" / "fast.log"),
        "alerts by rules for the banned domains, one thread",
        asked,
    ),
    Peer(
        "suricata eve",
        "suricata",
        "apt-get install suricata",
        "-V",
        lambda job: suricata.events(job.capture, job.work / "suricata-eve"),
        lambda output, job: lines(job.work / "suricata-eve" / "eve.json"),
        "every DNS, TLS and QUIC event as a JSON line, one thread",
        kinds=("office",),
    ),
    Peer(
        "ndpiReader",
        "ndpiReader",
        "apt-get install libndpi-bin",
        "-h",
        lambda job: ["ndpiReader", "-i", str(job.capture), "-n", "1", "-q"],
        nothing,
        "protocols of all flows, one thread",
    ),
    Peer(
        "nfstream",
        ":nfstream",
        "pip install nfstream",
        "",
        lambda job: [sys.executable, "-c", NFSTREAM_LOOP, str(job.capture)],
        printed,
        "server names of all flows, one meter",
    ),
    Peer(
        "tshark",
        "tshark",
        "apt-get install tshark",
        "--version",
        tshark,
        printed,
        "fields of packets with a name",
        share=0.2,
    ),
    Peer(
        "dpkt",
        ":dpkt",
        "pip install dpkt",
        "",
        lambda job: [sys.executable, "-c", DPKT_LOOP, str(job.capture), str(job.packets)],
        nothing,
        "Ethernet() of each packet and nothing else",
        share=0.1,
    ),
)
"""In the order of the table."""
