"""The programs that are measured, one row each: requirements, command, and how to count results.

Each does what is closest to the work of netwatch: extract the names, or the banned ones, from a
capture in one thread. A peer that is not installed is named and skipped.
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
"""The configuration of netwatch: all shipped signatures, and a ban of TikTok."""

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
    """A capture to read, its number of packets, and a work folder for the peer."""

    capture: Path
    packets: int
    work: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """A program to measure.

    `needs` is a command or, with a leading colon, a Python module. `version` are the arguments that
    print the version of the command. `reported` counts the results in the standard output, of which
    the manifest of the traffic has at least `expected`. With a `share` below 1 the peer reads that
    part of the packets and its times are scaled up. `kinds` are the kinds of traffic it reads.
    A slow peer takes part in the first `rounds` alone."""

    name: str
    needs: str
    install: str
    version: str
    command: Callable[[Job], list[str]]
    reported: Callable[[Path, Job], int | None]
    what: str
    expected: Callable[[dict[str, Any]], int] | None = None
    share: float = 1.0
    kinds: tuple[str, ...] = ("office", "dns")
    rounds: int | None = None

    def missing(self) -> bool:
        """Whether it is not installed."""
        if self.needs.startswith(":"):
            return importlib.util.find_spec(self.needs[1:]) is None
        return shutil.which(self.needs) is None

    def release(self) -> str:
        """The installed version."""
        if self.needs.startswith(":"):
            return importlib.metadata.version(self.needs[1:])
        done = subprocess.run(
            [self.needs, *self.version.split()], capture_output=True, text=True, cwd=ROOT
        )
        found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
        return found[0] if found else "unknown"


def count_lines(output: Path, job: Job) -> int:
    """The number of lines on standard output."""
    return lines(output)


def count_nothing(output: Path, job: Job) -> None:
    """Its output has no results that can be counted."""


def dns_messages(output: Path, job: Job) -> int:
    """The number of messages that dnscap wrote to standard error, each with its size first."""
    with output.with_suffix(".err").open("rb") as file:
        return sum(1 for line in file if line.startswith(b"["))


def banned_clients(manifest: dict[str, Any]) -> int:
    """Clients that contacted banned names; each is an incident."""
    return int(manifest["banned_clients"])


def all_names(manifest: dict[str, Any]) -> int:
    """All observed names."""
    return sum(manifest["observations"].values())


def banned_requests(manifest: dict[str, Any]) -> int:
    """Banned names in DNS queries and in handshakes."""
    return sum(count for kind, count in manifest["banned"].items() if kind != "dns-answer")


def tshark(job: Job) -> list[str]:
    """The command that prints fields of the packets with names."""
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
        count_lines,
        "alerts by the sample configuration, all shipped signatures",
        banned_clients,
    ),
    Peer(
        "netwatch names",
        sys.executable,
        "pip install .",
        "-m netwatch --version",
        lambda job: netwatch("names", "--format", "jsonl", "-q", str(job.capture)),
        count_lines,
        "every name as a JSON line",
        all_names,
    ),
    Peer(
        "tcpdump",
        "tcpdump",
        "apt-get install tcpdump",
        "--version",
        lambda job: ["tcpdump", "-r", str(job.capture), "-w", "/dev/null", TCPDUMP_FILTER],
        count_nothing,
        "a filter only: the lower bound",
    ),
    Peer(
        "suricata",
        "suricata",
        "apt-get install suricata",
        "-V",
        lambda job: suricata.alerts(job.capture, job.work / "suricata"),
        lambda output, job: lines(job.work / "suricata" / "fast.log"),
        "alerts by rules for the banned domains, one thread",
        banned_requests,
    ),
    Peer(
        "suricata eve",
        "suricata",
        "apt-get install suricata",
        "-V",
        lambda job: suricata.events(job.capture, job.work / "suricata-eve"),
        lambda output, job: lines(job.work / "suricata-eve" / "eve.json"),
        "every DNS, TLS and QUIC event as a JSON line, one thread",
    ),
    Peer(
        "dnstop",
        "dnstop",
        "apt-get install dnstop",
        "-V",
        lambda job: ["dnstop", "-Q", "-R", "-l", "3", str(job.capture)],
        count_nothing,
        "counts of DNS names and their clients, no line for a message",
    ),
    Peer(
        "dnscap",
        "dnscap",
        "apt-get install dnscap",
        "-V",
        lambda job: ["dnscap", "-r", str(job.capture), "-g"],
        dns_messages,
        "every DNS message as text",
        lambda manifest: int(manifest["observations"]["dns-query"]),
        rounds=2,
    ),
    Peer(
        "ndpiReader",
        "ndpiReader",
        "apt-get install libndpi-bin",
        "-h",
        lambda job: ["ndpiReader", "-i", str(job.capture), "-n", "1", "-q"],
        count_nothing,
        "protocols of all flows, one thread",
        rounds=2,
    ),
    Peer(
        "nfstream",
        ":nfstream",
        "pip install nfstream",
        "",
        lambda job: [sys.executable, "-c", NFSTREAM_LOOP, str(job.capture)],
        count_lines,
        "server names of all flows, one meter",
        rounds=2,
    ),
    Peer(
        "tshark",
        "tshark",
        "apt-get install tshark",
        "--version",
        tshark,
        count_lines,
        "fields of packets with a name",
        share=0.2,
        rounds=2,
    ),
    Peer(
        "dpkt",
        ":dpkt",
        "pip install dpkt",
        "",
        lambda job: [sys.executable, "-c", DPKT_LOOP, str(job.capture), str(job.packets)],
        count_nothing,
        "only Ethernet() of each packet",
        share=0.1,
        rounds=2,
    ),
)
"""The peers in the order of the table."""

NOT_PACKAGED = {
    "zeek": "not in Debian 13, no wheel on PyPI",
    "packetbeat": "not in Debian 13, not on PyPI",
}
"""Programs that others would use for a part of the work, with the reason why they are not measured:
no package registry has them."""
