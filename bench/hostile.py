"""Hostile load on a live capture, measured.

``python bench/hostile.py`` has `netwatch live` read each flood of `floods.py` through a
pipe, as fast as it can. Each banned name in between has to be told, memory has to stay
bounded, and what had to go has to be counted by name. With ``--pps`` packets go through a
veth pair instead, at that rate; it takes root.
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
from compare import Settings, say
from floods import FLOODS, Load, address
from measure import ENVIRONMENT, netwatch
from peers import CONFIG
from shared import ROOT

MEMORY = 300
"""MB that a capture may take in all, with its Python and beside its ring."""


def configured(work: Path) -> Path:
    """The sample configuration, with all of 10.0.0.0/8 as its network."""
    text = CONFIG.read_text(encoding="utf-8").replace("10.20.0.0/16", "10.0.0.0/8")
    path = work / "netwatch.yaml"
    text = text.replace("inventory: devices.csv", f"inventory: {CONFIG.parent / 'devices.csv'}")
    path.write_text(text, encoding="utf-8")
    return path


def run(load: Load, work: Path, pps: int | None = None) -> dict[str, Any]:
    """Put a flood through a live capture; with `pps` through a veth pair at that rate."""
    work.mkdir(parents=True, exist_ok=True)
    config = configured(work)
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
        with veth.pair() as place:
            with err.open("wb") as log:
                live = veth.start(place, netwatch("live", "-i", "in", *common), stderr=log)
            veth.wait_for_log(err, "started on in", live)
            peak = Peak(live.pid)
            send = [sys.executable, str(ROOT / "bench" / "send.py"), "out", "--pps", str(pps)]
            sender = veth.start(place, send, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert sender.stdin is not None
            for piece in load.capture():
                sender.stdin.write(piece)
            sender.stdin.close()
            sender.wait()
            time.sleep(1.0)
            status = veth.stop(live)
    seconds = time.monotonic() - started
    marks = {".".join(map(str, address(mark))) for mark in range(load.marks)}
    told = {json.loads(line)["device"]["ip"] for line in out.read_text().splitlines()}
    return {
        "kind": load.kind,
        "packets": load.packets,
        "seconds": seconds,
        "peak": peak.stop(),
        "marks": load.marks,
        "missed": len(marks - told),
        "status": status,
        "counters": counters(err.read_text()),
    }


class Peak:
    """The most that a process and those below it had resident at a time, beside rings."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self._most = max(self._most, sum(veth.resident(self._pid).values()))

    def stop(self) -> int:
        """It, in bytes."""
        self._over.set()
        self._thread.join()
        return self._most


def counters(text: str) -> dict[str, int]:
    """What the summary counts under `anomalies` and `left out`."""
    found: dict[str, int] = {}
    for line in re.findall(r"^(?:anomalies|left out) +(.*)$", text, re.MULTILINE):
        for name, count in re.findall(r"([a-z0-9_-]+) ([\d,]+)", line):
            found[name] = int(count.replace(",", ""))
    return found


def wrong(found: dict[str, Any]) -> list[str]:
    """What does not hold of a flood."""
    counted = FLOODS[found["kind"]].counted
    checks = {
        f"status {found['status']}": found["status"] != 0,
        f"{found['missed']} banned names were missed": found["missed"] > 0,
        f"{found['peak'] / 1e6:.0f} MB": found["peak"] > MEMORY * 10**6,
        f"{counted} is not counted": bool(counted) and counted not in found["counters"],
    }
    return [f"{found['kind']}: {text}" for text, holds in checks.items() if holds]


def floods(settings: Settings) -> dict[str, Any]:
    """Every flood, in its long form where the office is."""
    part = min(1.0, settings.office / 5_000_000)
    rows = []
    for kind, flood in FLOODS.items():
        say(f"floods: {kind}")
        packets = max(flood.short, round(flood.long * part))
        rows.append(run(Load(kind, packets), settings.work))
    return {"rows": [row | {"wrong": wrong(row)} for row in rows]}


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("flood", lambda row: row["kind"]),
    ("packets", lambda row: f"{row['packets']:,}"),
    ("packets/s", lambda row: f"{row['packets'] / row['seconds']:,.0f}"),
    ("peak MB", lambda row: f"{row['peak'] / 1e6:.0f}"),
    ("banned names told", lambda row: f"{row['marks'] - row['missed']} of {row['marks']}"),
)


def text(found: dict[str, Any]) -> str:
    """The floods for people, and what does not hold."""
    shape = "{:<18} {:>10} {:>10} {:>8} {:>18}  {}"
    lines = [shape.format(*(name for name, _ in COLUMNS), "counted")]
    for row in found["rows"]:
        counted = ", ".join(f"{name} {count:,}" for name, count in row["counters"].items())
        lines.append(shape.format(*(shows(row) for _, shows in COLUMNS), counted))
    lines += [f"does not hold: {each}" for row in found["rows"] for each in row["wrong"]]
    return "\n".join(lines)


def main() -> int:
    """Arguments in, the floods out."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("floods", nargs="*", metavar="FLOOD", help=", ".join(FLOODS))
    parser.add_argument("--packets", type=int, metavar="N")
    parser.add_argument("--pps", type=int, metavar="N", help="through a veth pair, at this rate")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    args = parser.parse_args()
    rows = []
    for kind in args.floods or FLOODS:
        load = Load(kind, args.packets or FLOODS[kind].long)
        row = run(load, args.work.resolve(), args.pps)
        rows.append(row | {"wrong": wrong(row)})
    print(text({"rows": rows}))
    return 1 if any(row["wrong"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
