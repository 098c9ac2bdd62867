"""Floods against a live capture.

``python bench/hostile.py`` sends each flood of `floods.py` to `netwatch live` through a pipe, as
fast as possible. Every banned name among the packets has to be reported, memory has to stay
bounded, and evictions have to be counted by name. With ``--pps`` the packets are sent at that rate
through a veth pair, which needs root.
"""

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import veth
from compare import Options, progress
from floods import FLOODS, Load, probe_address
from measure import ENVIRONMENT, netwatch
from peers import CONFIG
from shared import ROOT

MEMORY = 340
"""Memory limit of a live capture in MB, with its interpreter and without its ring."""


def write_config(work: Path) -> Path:
    """Write the sample configuration with 10.0.0.0/8 as its network; returns its path."""
    text = CONFIG.read_text(encoding="utf-8").replace("10.20.0.0/16", "10.0.0.0/8")
    path = work / "netwatch.yaml"
    text = text.replace("inventory: devices.csv", f"inventory: {CONFIG.parent / 'devices.csv'}")
    path.write_text(text, encoding="utf-8")
    return path


def run(load: Load, work: Path, pps: int | None = None) -> dict[str, Any]:
    """Send a flood to a live capture through a pipe or, at the rate `pps`, through a veth pair."""
    work.mkdir(parents=True, exist_ok=True)
    config = write_config(work)
    out, err = work / f"{load.kind}.jsonl", work / f"{load.kind}.err"
    out.unlink(missing_ok=True)
    common = ("-c", str(config), "--format", "jsonl", "-o", str(out))
    started = time.monotonic()
    if pps is None:
        with err.open("wb") as log:
            live = subprocess.Popen(
                netwatch("live", "--source", "file", "-i", "-", *common),
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log,
                cwd=ROOT, env=ENVIRONMENT,
            )  # fmt: skip
        peak = Peak(live.pid)
        assert live.stdin is not None
        for piece in load.capture():
            live.stdin.write(piece)
        live.stdin.close()
        status = live.wait()
    else:
        with veth.pair() as namespace:
            with err.open("wb") as log:
                live = veth.start(namespace, netwatch("live", "-i", "in", *common), stderr=log)
            veth.wait_for_log(err, "started on in", live)
            peak = Peak(live.pid)
            send = [sys.executable, str(ROOT / "bench" / "send.py"), "out", "--pps", str(pps)]
            sender = veth.start(namespace, send, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert sender.stdin is not None
            for piece in load.capture():
                sender.stdin.write(piece)
            sender.stdin.close()
            sender.wait()
            time.sleep(1.0)  # nothing reports that the ring has been read to its end
            status = veth.stop(live)
    seconds = time.monotonic() - started
    probes = {".".join(map(str, probe_address(probe))) for probe in range(load.probes)}
    reported = {json.loads(line)["device"]["ip"] for line in out.read_text().splitlines()}
    return {
        "kind": load.kind,
        "packets": load.packets,
        "seconds": seconds,
        "peak": peak.stop(),
        "probes": load.probes,
        "missed": len(probes - reported),
        "status": status,
        "counters": counters(err.read_text()),
    }


class Peak:
    """Samples the peak resident memory of a process and its descendants, without rings."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stopped.wait(0.1):
            self._peak = max(self._peak, sum(veth.resident(self._pid).values()))

    def stop(self) -> int:
        """Stop sampling; returns the peak in bytes."""
        self._stopped.set()
        self._thread.join()
        return self._peak


def counters(text: str) -> dict[str, int]:
    """The counters of the summary under `anomalies` and `left out`."""
    found: dict[str, int] = {}
    for line in re.findall(r"^(?:anomalies|left out) +(.*)$", text, re.MULTILINE):
        for name, count in re.findall(r"([a-z0-9_-]+) ([\d,]+)", line):
            found[name] = int(count.replace(",", ""))
    return found


def failures(found: dict[str, Any]) -> list[str]:
    """The failed expectations of a flood."""
    counter = FLOODS[found["kind"]].counter
    checks = {
        f"status {found['status']}": found["status"] != 0,
        f"{found['missed']} banned names were missed": found["missed"] > 0,
        f"{found['peak'] / 1e6:.0f} MB": found["peak"] > MEMORY * 10**6,
        f"{counter} is not counted": bool(counter) and counter not in found["counters"],
    }
    return [f"{found['kind']}: {text}" for text, is_met in checks.items() if is_met]


def floods(options: Options) -> dict[str, Any]:
    """Measure all floods, in full length if the office traffic is."""
    part = min(1.0, options.office / 5_000_000)
    rows = []
    for kind, flood in FLOODS.items():
        progress(f"floods: {kind}")
        packets = max(flood.short, round(flood.long * part))
        rows.append(run(Load(kind, packets), options.work))
    return {"rows": [row | {"wrong": failures(row)} for row in rows]}


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("flood", lambda row: row["kind"]),
    ("packets", lambda row: f"{row['packets']:,}"),
    ("packets/s", lambda row: f"{row['packets'] / row['seconds']:,.0f}"),
    ("peak MB", lambda row: f"{row['peak'] / 1e6:.0f}"),
    ("banned names reported", lambda row: f"{row['probes'] - row['missed']} of {row['probes']}"),
)


def text(found: dict[str, Any]) -> str:
    """The floods and their failed expectations as text."""
    shape = "{:<18} {:>10} {:>10} {:>8} {:>18}  {}"
    lines = [shape.format(*(name for name, _ in COLUMNS), "counted")]
    for row in found["rows"]:
        counter = ", ".join(f"{name} {count:,}" for name, count in row["counters"].items())
        lines.append(shape.format(*(shows(row) for _, shows in COLUMNS), counter))
    lines += [f"failed: {each}" for row in found["rows"] for each in row["wrong"]]
    return "\n".join(lines)


def main() -> int:
    """Run the floods; exit status 1 if an expectation failed."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("floods", nargs="*", metavar="FLOOD", help=", ".join(FLOODS))
    parser.add_argument("--packets", type=int, metavar="N")
    parser.add_argument("--pps", type=int, metavar="N", help="through a veth pair at this rate")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    args = parser.parse_args()
    rows = []
    for kind in args.floods or FLOODS:
        load = Load(kind, args.packets or FLOODS[kind].long)
        row = run(load, args.work.resolve(), args.pps)
        rows.append(row | {"wrong": failures(row)})
    print(text({"rows": rows}))
    return 1 if any(row["wrong"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
