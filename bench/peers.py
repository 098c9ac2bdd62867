"""Who is measured, one row a peer: what it needs, how it is called, what it told.

Each does the nearest thing to netwatch's work that it can: pick the names, or the banned
ones, out of a capture, on one thread. A peer that is not installed is named and left out.
"""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from population import BANNED_DOMAINS

ROOT = Path(__file__).resolve().parents[1]

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
SURICATA_CONFIG = """%YAML 1.1
---
vars:
  address-groups: {HOME_NET: "any", EXTERNAL_NET: "any"}
  port-groups: {HTTP_PORTS: "80"}
default-log-dir: .
stats: {enabled: no}
outputs:
  - fast: {enabled: yes, filename: fast.log, append: no}
logging:
  default-log-level: error
  outputs: [console: {enabled: yes}]
app-layer:
  protocols:
    dns:
      tcp: {enabled: yes, detection-ports: {dp: 53}}
      udp: {enabled: yes, detection-ports: {dp: 53}}
    tls: {enabled: yes, detection-ports: {dp: 443}}
    quic: {enabled: yes}
    http: {enabled: yes, libhtp: {default-config: {personality: IDS}}}
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A capture to read, its packets, and a folder for what the peer needs and writes."""

    capture: Path
    packets: int
    work: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """A row: `needs` is a command or, with a colon before it, a Python module; `told`
    counts what it found from its standard output. Where `share` is below 1 the peer gets
    this part of the packets and its times are scaled up."""

    name: str
    needs: str
    install: str
    command: Callable[[Job], list[str]]
    told: Callable[[Path, Job], int | None]
    what: str
    share: float = 1.0

    def missing(self) -> bool:
        """Whether it is not installed here."""
        if self.needs.startswith(":"):
            return importlib.util.find_spec(self.needs[1:]) is None
        return shutil.which(self.needs) is None


def lines(output: Path, job: Job) -> int:
    """Lines of standard output."""
    with output.open("rb") as file:
        return sum(1 for _ in file)


def nothing(output: Path, job: Job) -> None:
    """It tells nothing that can be counted."""


def suricata(job: Job) -> list[str]:
    """Write configuration and rules for the banned domains, then call it."""
    log = job.work / "suricata"
    log.mkdir(exist_ok=True)
    (log / "suricata.yaml").write_text(SURICATA_CONFIG, encoding="ascii")
    rules: list[str] = []
    for buffer in ("dns.query", "tls.sni", "quic.sni", "http.host"):
        for domain in BANNED_DOMAINS:
            match = f'{buffer}; dotprefix; content:".{domain}"; endswith; sid:{len(rules) + 1};'
            protocol = buffer.partition(".")[0]
            rules.append(f'alert {protocol} any any -> any any (msg:"{domain} {buffer}"; {match})')
    (log / "bench.rules").write_text("\n".join(rules) + "\n", encoding="ascii")
    files = ["-c", str(log / "suricata.yaml"), "-S", str(log / "bench.rules"), "-l", str(log)]
    return ["suricata", *files, "--runmode", "single", "-r", str(job.capture)]


def suricata_told(output: Path, job: Job) -> int:
    """Alerts in its log."""
    return lines(job.work / "suricata" / "fast.log", job)


def netwatch(command: str, *options: str) -> Callable[[Job], list[str]]:
    """A netwatch command that prints JSON lines."""
    start = [sys.executable, "-m", "netwatch", command, *options, "--format", "jsonl", "-q"]
    return lambda job: [*start, str(job.capture)]


def tshark(job: Job) -> list[str]:
    """Fields of the packets that carry a name."""
    fields = [part for field in TSHARK_FIELDS for part in ("-e", field)]
    names = "dns or tls.handshake.type == 1 or http.request"
    return ["tshark", "-n", "-r", str(job.capture), "-Y", names, "-T", "fields", *fields]


PEERS = (
    Peer(
        "netwatch scan",
        sys.executable,
        "pip install .",
        netwatch("scan", "-c", str(ROOT / "pcaps" / "netwatch.yaml")),
        lines,
        "alerts by the sample configuration",
    ),
    Peer("netwatch names", sys.executable, "pip install .", netwatch("names"), lines, "every name"),
    Peer(
        "tcpdump",
        "tcpdump",
        "apt-get install tcpdump",
        lambda job: ["tcpdump", "-r", str(job.capture), "-w", "/dev/null", TCPDUMP_FILTER],
        nothing,
        "a filter alone: the floor",
    ),
    Peer(
        "suricata",
        "suricata",
        "apt-get install suricata",
        suricata,
        suricata_told,
        "alerts by rules for the banned domains, one thread",
    ),
    Peer(
        "ndpiReader",
        "ndpiReader",
        "apt-get install libndpi-bin",
        lambda job: ["ndpiReader", "-i", str(job.capture), "-q"],
        nothing,
        "protocols of all flows",
    ),
    Peer(
        "nfstream",
        ":nfstream",
        "pip install nfstream",
        lambda job: [sys.executable, "-c", NFSTREAM_LOOP, str(job.capture)],
        lines,
        "server names of all flows",
    ),
    Peer("tshark", "tshark", "apt-get install tshark", tshark, lines, "packets with a name"),
    Peer(
        "dpkt",
        ":dpkt",
        "pip install dpkt",
        lambda job: [sys.executable, "-c", DPKT_LOOP, str(job.capture), str(job.packets)],
        nothing,
        "Ethernet() of each packet and nothing else",
        share=0.1,
    ),
)
"""In the order of the table."""
