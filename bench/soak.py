"""A live capture left running: memory, reloads under load, a crash and what comes after.

``python bench/soak.py --minutes 30`` sends ever new office traffic at a steady rate through
a veth pair, has `netwatch live` judge it with state, evidence, an output and the endpoint,
reads a changed configuration twenty times, kills it (SIGKILL) at six tenths of the time,
starts it again, and ends it (SIGTERM). Every ten seconds memory is written to ``soak.csv``
in the work folder. It needs root. Status 1 where something does not hold.
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
from compare import say
from measure import netwatch
from peers import CONFIG
from shared import ROOT, Namespace, TimedOutError, wait_until

RELOADS = 20
EVERY = 10.0
"""Seconds between looks at memory."""
CRASH = 0.6
"""Part of the time after which it is killed."""
QUIET = 120
"""Seconds of the quiet gap."""
GROWTH = 1.05
"""What is resident at the crash may be so much of what was half the time before, once tables
had the time to fill."""
FILLED = 20 * 60.0
"""Seconds that a soak takes for that."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory at one moment: seconds since the start, which run, resident bytes of the keeper
    and of the worker, of their own memory."""

    at: float
    run: int
    keeper: int
    worker: int


class Soak:
    """One soak in `work` for so many seconds."""

    def __init__(self, place: Namespace, work: Path, seconds: float, pps: int) -> None:
        self._place = place
        self._work = work
        self._seconds = seconds
        self._pps = pps
        self._runs = 0
        self._reloads = 0
        self.samples: list[Sample] = []
        self.found: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """All of it; what was found."""
        self._configure(0)
        live, sender = self._start(), self._traffic()
        begin = time.monotonic()
        restarted = False
        try:
            for _ in self._moments(begin):
                at = time.monotonic() - begin
                self._sample(at, live)
                due = at >= self._seconds * (self._reloads + 0.5) / RELOADS
                if due and self._answered() == self._reloads:
                    self._reloads += 1
                    self._configure(self._reloads)
                    live.send_signal(signal.SIGHUP)
                crash = at >= CRASH * self._seconds and not restarted
                if crash and self._answered() == self._reloads:
                    restarted = True
                    self._crash(live)
                    live = self._start()
        finally:
            sender.terminate()
            sender.wait()
            status = veth.stop(live)
        return self._judge(status)

    def _answered(self) -> int:
        """Configurations that were read again, by what it says."""
        return sum(log.read_text().count(" reloaded: ") for log in self._work.glob("live-*.err"))

    def _moments(self, begin: float) -> Iterator[int]:
        step = min(EVERY, self._seconds / 60)
        for number in range(1, round(self._seconds / step) + 1):
            time.sleep(max(0.0, begin + number * step - time.monotonic()))
            yield number

    def _configure(self, number: int) -> None:
        text = CONFIG.read_text(encoding="utf-8")
        text = text.replace("inventory: devices.csv", f"inventory: {CONFIG.parent / 'devices.csv'}")
        # Incidents end as often as they begin, so that what is held for them comes to rest.
        text = text.replace("quiet_gap: 30m", f"quiet_gap: {QUIET}s")
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
            live = veth.start(self._place, netwatch("live", *map(str, options)), stderr=err)
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
            sender = veth.start(self._place, send, stdin=made.stdout, stderr=err)
        assert made.stdout is not None
        made.stdout.close()
        return sender

    def _sample(self, at: float, live: subprocess.Popen[bytes]) -> None:
        sizes = veth.resident(live.pid)
        worker = sum(size for pid, size in sizes.items() if pid != live.pid)
        sample = Sample(at, self._runs, sizes.get(live.pid, 0), worker)
        self.samples.append(sample)
        with (self._work / "soak.csv").open("a", encoding="ascii") as file:
            print(f"{at:.0f},{sample.run},{sample.keeper},{sample.worker}", file=file)

    def _crash(self, live: subprocess.Popen[bytes]) -> None:
        """Kill the keeper; the worker has to end by itself."""
        workers = veth.process_tree(live.pid)[1:]
        live.kill()
        live.wait()

        def alive() -> int:
            return sum(Path(f"/proc/{each}/exe").exists() for each in workers)

        with contextlib.suppress(TimedOutError):
            wait_until(lambda: not alive(), timeout=5.0)
        self.found["left behind"] = alive()
        opened = {}
        for record in self._records(1):
            opened[record["id"]] = record
            if record["status"] == "closed":
                del opened[record["id"]]
        self.found["open at the crash"] = len(opened)
        self._open = {key(record): each for each, record in opened.items()}

    def _records(self, run: int) -> Iterator[dict[str, Any]]:
        text = (self._work / f"alerts-{run}.jsonl").read_text(encoding="utf-8")
        for line in text.splitlines():
            yield json.loads(line)

    def _judge(self, status: int) -> dict[str, Any]:
        logs = [(self._work / f"live-{run}.err").read_text() for run in (1, 2)]
        again = list(self._records(2))
        closed = {record["id"]: record for record in again if record["status"] == "closed"}
        # What follows a closed one after the quiet gap is new.
        told = [
            record["id"]
            for record in again
            if record["status"] == "open" and record["id"] not in self._open.values()
            if (before := closed.get(self._open.get(key(record), "")))
            and seconds(record["first_seen"]) - seconds(before["last_seen"]) <= QUIET
        ]
        found = self.found | {
            "exit status": status,
            "told twice as new": len(told),
            "closed at the end of those open at the crash": len(
                closed.keys() & set(self._open.values())
            ),
            "reloads": [self._reloads, self._answered()],
            "refused": sum(text.count("reload refused") for text in logs),
            "drops told": sum(text.count(" netwatch: dropped ") for text in logs),
            "incidents": sum(text.count(" opened ") for text in logs),
        }
        for name in ("keeper", "worker"):
            sizes = [getattr(each, name) for each in self.samples if each.run == 1]
            third = max(1, len(sizes) // 3)
            early, late = (
                statistics.median(part) for part in (sizes[third:-third] or sizes, sizes[-third:])
            )
            found[f"{name}, MB in the middle and at the crash"] = [early / 1e6, late / 1e6]
            found[f"{name} grew"] = late / early if self._seconds >= FILLED else None
        return found


def key(record: dict[str, Any]) -> tuple[str, str, str]:
    """Device, app and ban, by which a record is of the same story as another."""
    return record["device"]["id"], record["app"]["id"], record["ban"]["id"]


def seconds(told: str) -> float:
    """A time of a record."""
    return datetime.fromisoformat(told).timestamp()


def wrong(found: dict[str, Any]) -> list[str]:
    """What does not hold."""
    checks = {
        "it did not end well": found["exit status"] != 0,
        "a worker outlived its keeper": found["left behind"] > 0,
        "incidents were told twice as new": found["told twice as new"] != 0,
        "incidents were lost": found["closed at the end of those open at the crash"]
        != found["open at the crash"],
        "reloads were lost": found["reloads"][0] != found["reloads"][1] or found["refused"] > 0,
        "packets were dropped": found["drops told"] > 0,
        "memory grows": max(found[f"{name} grew"] or 0 for name in ("keeper", "worker")) > GROWTH,
    }
    return [text for text, holds in checks.items() if holds]


def main() -> int:
    """Arguments in, what was found on standard output."""
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
        say(f"soak: {error}")
        return 1
    with veth.pair() as place:
        found = Soak(place, work, args.minutes * 60, args.pps).run()
    print(json.dumps(found, indent=1))
    for text in wrong(found):
        say(f"does not hold: {text}")
    return 1 if wrong(found) else 0


if __name__ == "__main__":
    sys.exit(main())
