"""New flows: a scan of SYNs from random addresses, each of which begins a flow, beside Suricata.

Among them are the probes of `floods.py`, all of which netwatch has to report.
"""

from pathlib import Path
from typing import Any

import floods
import suricata
from alternate import alternate, table
from compare import Options
from floods import PROBES, Load
from measure import netwatch
from netwatch_only import require_complete_count
from peers import CONFIG, PEERS

SYNS = 2_000_000
"""SYNs in the capture, or fewer where less office traffic is measured."""


def write(packets: int, work: Path) -> Path:
    """The capture, unless an earlier run of the same generator has written it."""
    path = work / f"syn-{packets}.pcap"
    if not path.exists() or path.stat().st_mtime < Path(floods.__file__).stat().st_mtime:
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            for piece in Load("syn", packets).capture():
                file.write(piece)
        part.replace(path)
    return path


def new_flows(options: Options) -> dict[str, Any]:
    """Measure a scan of the capture, and Suricata if it is installed and wanted."""
    packets = max(1000, min(SYNS, options.office))
    path = write(packets, options.work)
    commands = {"netwatch scan": netwatch("scan", "-q", "-c", str(CONFIG), "--format", "jsonl",
                                          str(path))}  # fmt: skip
    peer = next(peer for peer in PEERS if peer.name == "suricata")
    if not peer.missing() and peer.name.startswith(options.only or ("",)):
        commands["suricata"] = suricata.alerts(path, options.work / "suricata-syn")
    found = alternate("new-flows", commands, options)
    require_complete_count(found["netwatch scan"]["reported"], min(PROBES, packets // 21))
    return {"packets": packets, "rounds": options.rounds, "commands": found}


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    return f"{found['packets']:,} SYNs of new flows\n{table(found['commands'])}"
