"""A long live capture: memory, reloads under load, a crash and the restart.

``python bench/live_soak.py --minutes 30`` sends new office traffic at a constant rate through a
veth pair to `netwatch live` with state, evidence, an output and metrics. It reloads a changed
configuration twenty times, kills netwatch (SIGKILL) after 60 % of the time, starts it again, and
stops it (SIGTERM) at the end. Every ten seconds the memory is appended to ``soak.csv`` in the work
folder. It needs root. The exit status is 1 if an expectation failed.
"""

import argparse
import contextlib
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import veth
from compare import progress
from measure import netwatch
from peers import CONFIG
from shared import ROOT, Namespace, TimedOutError, wait_until

RELOADS = 20
SAMPLE_INTERVAL = 10.0
"""Seconds between samples of the memory."""
CRASH_AT = 0.6
"""The part of the time after which netwatch is killed."""
QUIET_GAP = 120
"""The quiet gap of incidents in seconds."""
MAX_GROWTH = 1.05
"""The most by which memory at the crash may exceed that at half of the time before it, if the
tables had time to fill."""
MIN_SECONDS_FOR_GROWTH = 20 * 60.0
"""The shortest soak in which they have, in seconds."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of memory: seconds since the start, the run, and resident anonymous bytes of the
    aggregator and of the workers."""

    at: float
    run: int
    aggregator: int
    worker: int


class Soak:
    """One soak of some seconds, with its files in `work`."""

    def __init__(self, namespace: Namespace, work: Path, seconds: float, pps: int) -> None:
        self._namespace = namespace
        self._work = work
        self._seconds = seconds
        self._pps = pps
        self._runs = 0
        self._reloads = 0
        self.samples: list[Sample] = []
        self.results: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """Run the soak; returns its results."""
        self._configure(0)
        live, sender = self._start(), self._traffic()
        begin = time.monotonic()
        restarted = False
        try:
            for _ in self._sample_times(begin):
                at = time.monotonic() - begin
                self._sample(at, live)
                if self._reloads_done() < self._reloads:
                    continue
                # Where reloads take longer than the time between two, one is always due.
                if at >= CRASH_AT * self._seconds and not restarted:
                    restarted = True
                    self._crash(live)
                    live = self._start()
                elif at >= self._seconds * (self._reloads + 0.5) / RELOADS:
                    self._reloads += 1
                    self._configure(self._reloads)
                    live.send_signal(signal.SIGHUP)
        finally:
            sender.terminate()
            sender.wait()
            status = veth.stop(live)
        return self._evaluate(status)

    def _reloads_done(self) -> int:
        """The number of reloads that the logs report."""
        return sum(log.read_text().count(" reloaded: ") for log in self._work.glob("live-*.err"))

    def _sample_times(self, begin: float) -> Iterator[int]:
        step = min(SAMPLE_INTERVAL, self._seconds / 60)
        for number in range(1, round(self._seconds / step) + 1):
            time.sleep(max(0.0, begin + number * step - time.monotonic()))
            yield number

    def _configure(self, number: int) -> None:
        text = CONFIG.read_text(encoding="utf-8")
        text = text.replace("inventory: devices.csv", f"inventory: {CONFIG.parent / 'devices.csv'}")
        # With a short quiet gap incidents end as often as they begin: their memory stays constant.
        text = text.replace("quiet_gap: 30m", f"quiet_gap: {QUIET_GAP}s")
        outputs = f"outputs:\n  - {{type: file, name: siem, path: {self._work / 'siem.jsonl'}}}\n"
        rest = f"spool: {{path: {self._work / 'outbox'}}}\nmetrics: {{listen: 127.0.0.1:9477}}\n"
        new = self._work / "netwatch.yaml.new"
        new.write_text(f"{text}{outputs}{rest}sensor: {{name: soak-{number}}}\n", encoding="utf-8")
        new.replace(self._work / "netwatch.yaml")

    def _start(self) -> subprocess.Popen[bytes]:
        self._runs += 1
        work, log = self._work, self._work / f"live-{self._runs}.err"
        where = (
            "-c",
            work / "netwatch.yaml",
            "--state",
            work / "state",
            "--evidence",
            work / "proof",
        )
        options = (
            "-i",
            "in",
            "--format",
            "jsonl",
            "-o",
            work / f"alerts-{self._runs}.jsonl",
            *where,
        )
        with log.open("wb") as err:
            live = veth.start(self._namespace, netwatch("live", *map(str, options)), stderr=err)
        veth.wait_for_log(log, "started on in", live)
        return live

    def _traffic(self) -> subprocess.Popen[bytes]:
        packets = round(self._pps * self._seconds * 1.2)
        here = ROOT / "bench"
        make = [sys.executable, str(here / "traffic.py"), "office", "--packets", str(packets)]
        made = subprocess.Popen(
            [*make, "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        send = [sys.executable, str(here / "send.py"), "out", "--pps", str(self._pps)]
        with (self._work / "send.err").open("wb") as err:
            sender = veth.start(self._namespace, send, stdin=made.stdout, stderr=err)
        assert made.stdout is not None
        made.stdout.close()
        return sender

    def _sample(self, at: float, live: subprocess.Popen[bytes]) -> None:
        sizes = veth.resident(live.pid)
        worker = sum(size for pid, size in sizes.items() if pid != live.pid)
        sample = Sample(at, self._runs, sizes.get(live.pid, 0), worker)
        self.samples.append(sample)
        with (self._work / "soak.csv").open("a", encoding="ascii") as file:
            print(f"{at:.0f},{sample.run},{sample.aggregator},{sample.worker}", file=file)

    def _crash(self, live: subprocess.Popen[bytes]) -> None:
        """Kill the aggregator; its workers have to end by themselves."""
        workers = veth.process_tree(live.pid)[1:]
        live.kill()
        live.wait()

        def alive() -> int:
            return sum(Path(f"/proc/{each}/exe").exists() for each in workers)

        with contextlib.suppress(TimedOutError):
            wait_until(lambda: not alive(), timeout=5.0)
        self.results["left behind"] = alive()
        opened = {}
        for record in self._records(1):
            opened[record["id"]] = record
            if record["status"] == "closed":
                del opened[record["id"]]
        self.results["open at the crash"] = len(opened)
        self._open = {key(record): each for each, record in opened.items()}

    def _records(self, run: int) -> Iterator[dict[str, Any]]:
        text = (self._work / f"alerts-{run}.jsonl").read_text(encoding="utf-8")
        for line in text.splitlines():
            yield json.loads(line)

    def _evaluate(self, status: int) -> dict[str, Any]:
        logs = [(self._work / f"live-{run}.err").read_text() for run in (1, 2)]
        second_run = list(self._records(2))
        closed = {record["id"]: record for record in second_run if record["status"] == "closed"}
        # A contact after the quiet gap is a new incident.
        reopened = [
            record["id"]
            for record in second_run
            if record["status"] == "open" and record["id"] not in self._open.values()
            if (before := closed.get(self._open.get(key(record), "")))
            and seconds(record["first_seen"]) - seconds(before["last_seen"]) <= QUIET_GAP
        ]
        results = self.results | {
            "exit status": status,
            "reported twice as new": len(reopened),
            "closed at the end of those open at the crash": len(
                closed.keys() & set(self._open.values())
            ),
            "reloads": [self._reloads, self._reloads_done()],
            "refused": sum(text.count("reload refused") for text in logs),
            "reported drops": sum(text.count(" netwatch: dropped ") for text in logs),
            "incidents": sum(text.count(" opened ") for text in logs),
        }
        for name in ("aggregator", "worker"):
            sizes = [getattr(each, name) for each in self.samples if each.run == 1]
            third = max(1, len(sizes) // 3)
            early, late = (
                statistics.median(part) for part in (sizes[third:-third] or sizes, sizes[-third:])
            )
            results[f"{name}, MB in the middle and at the crash"] = [early / 1e6, late / 1e6]
            results[f"{name} grew"] = (
                late / early if self._seconds >= MIN_SECONDS_FOR_GROWTH else None
            )
        return results


def key(record: dict[str, Any]) -> tuple[str, str, str]:
    """Device, app and ban, which identify the incident of a record."""
    return record["device"]["id"], record["app"]["id"], record["ban"]["id"]


def seconds(reopened: str) -> float:
    """A time of a record in seconds since the epoch."""
    return datetime.fromisoformat(reopened).timestamp()


def failures(results: dict[str, Any]) -> list[str]:
    """The failed expectations."""
    checks = {
        "it failed": results["exit status"] != 0,
        "a worker outlived its aggregator": results["left behind"] > 0,
        "incidents were reported twice as new": results["reported twice as new"] != 0,
        "incidents were lost": results["closed at the end of those open at the crash"]
        != results["open at the crash"],
        "reloads were lost": results["reloads"][0] != results["reloads"][1]
        or results["refused"] > 0,
        "packets were dropped": results["reported drops"] > 0,
        "memory grows": max(results[f"{name} grew"] or 0 for name in ("aggregator", "worker"))
        > MAX_GROWTH,
    }
    return [text for text, holds in checks.items() if holds]


def main() -> int:
    """Run a soak and print its results; exit status 1 if an expectation failed."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N")
    parser.add_argument("--pps", type=int, default=8000, metavar="N")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "bench" / "out" / "soak", metavar="FOLDER"
    )
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    try:
        veth.require()
    except veth.MissingError as error:
        progress(f"soak: {error}")
        return 1
    with veth.pair() as namespace:
        results = Soak(namespace, work, args.minutes * 60, args.pps).run()
    print(json.dumps(results, indent=1))
    for text in failures(results):
        progress(f"failed: {text}")
    return 1 if failures(results) else 0


if __name__ == "__main__":
    sys.exit(main())
