"""A fleet for as long as you like, with faults of all kinds at random, compared with the truth.

``python bench/soak.py --minutes 60 --seed 1`` runs sensors (the last one reads a log, and its clock
is an hour ahead), a NATS server, a centre and PostgreSQL, each in a network namespace of its own,
and another sensor that was taken over. While the sensors are shown contacts, parts are killed
(SIGKILL), ended (SIGTERM), stopped (SIGSTOP) and cut off, disks are filled, and more is sent than a
store takes. At the end the stores of the sensors and of the centre are compared with what was sent:
missing, twice, phantom, and *unsaid*, which is missing although a store says that it has all of
that time. The exit status is 1 unless all are 0. It needs root and `nats-server`.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import veth
from compare import Options, progress
from measure import ENVIRONMENT
from shared import ROOT, created, wait_until
from soak_fleet import (
    EVIL,
    QUIET_GAP,
    Centre,
    Disk,
    Evil,
    Part,
    Postgres,
    Sensor,
    connect,
    undelivered,
)
from soak_traffic import PacketSender
from soak_truth import SECOND, SORTS, Shown, Window, write_truth

BEFORE_A_KILL = 8 * SECOND
"""What a kill may take: facts and coverage are written every few seconds."""

ACROSS = SECOND
"""What may be lost at the edge of a time in which a sensor does not run: a contact takes that
long."""

AFTER_A_FLOOD = 20 * SECOND
"""How long what is lost may go on after a flood, or after a disk was full."""

STALL = 32.0
"""Seconds for which the main process is stopped."""

DELIVERED = 600.0
"""Seconds for what waits at the end to reach the centre."""


class Soak:
    """One soak; `parts` are the server and the centre."""

    def __init__(self, work: Path, sensors: int, rate: float, seed: int) -> None:
        self._work, self._rate, self._seed = work, rate, seed
        self._names = [f"sensor-{number}" for number in range(1, sensors + 1)]
        self._windows: list[Window] = []
        self._failed: list[str] = []
        self._may_miss: set[str] = set()
        self._stop = threading.Event()
        self.faults: Counter[str] = Counter()

    def run(self, seconds: float, *, with_postgres: bool) -> dict[str, Any]:
        """Run it; what is wrong at the end."""
        with contextlib.ExitStack() as stack:
            self._build(stack, with_postgres)
            stack.callback(self._stop.set)
            chosen = (self._sensor_faults(), self._centre_faults())
            threads = [
                threading.Thread(target=self._break, args=(faults, number))
                for number, faults in enumerate(chosen)
            ]
            for thread in threads:
                thread.start()
            # Ctrl-C ends it early, and it is compared all the same.
            signal.signal(signal.SIGINT, lambda *_: self._stop.set())
            self._stop.wait(seconds)
            self._stop.set()
            for thread in threads:
                thread.join()
            return self._finish()

    def _build(self, stack: contextlib.ExitStack, with_postgres: bool) -> None:
        names = ["server", "centre", "evil", *self._names]
        spaces = {name: stack.enter_context(created()) for name in names}
        hosts = connect(stack.enter_context(created()), spaces)
        self._postgres = None
        if with_postgres:
            self._postgres = Postgres()
            stack.callback(self._postgres.remove)
        catalogue = self._postgres.url if self._postgres else ""
        self._centre = Centre(self._work, hosts, catalogue)
        self._centre.credentials(EVIL)
        self._sensors = []
        for which, name in enumerate(self._names):
            (self._work / name).mkdir()
            disk = Disk(self._work / name / "disk")
            stack.callback(disk.remove)
            sensor = Sensor(name, which, spaces[name], disk, self._centre, self._rate, self._seed,
                            reads_log=which == len(self._names) - 1)  # fmt: skip
            self._sensors.append(sensor)
        self._parts = self._centre.parts(self._names, spaces)
        for part in (*self._parts.values(), *self._sensors):
            stack.callback(_kill, part)
            part.start()
        self._evil = Evil(self._centre, spaces["evil"], 5.0, self._seed)
        stack.callback(self._evil.stop)
        self._evil.start()
        for sensor in self._sensors:
            stack.callback(sensor.sender.stop)
            sensor.sender.start()

    # What breaks.

    def _break(self, faults: Iterator[Callable[[], None]], number: int) -> None:
        chance = random.Random(f"{self._seed} pauses {number}")
        while not self._stop.wait(chance.uniform(2.0, 8.0)):
            try:
                next(faults)()
            except Exception as error:
                self._fail(f"{type(error).__name__}: {error}")
                return

    def _in_turn(self, kinds: list[Callable[..., None]], number: int) -> Iterator[Any]:
        """All kinds again and again, each time in another order."""
        chance = random.Random(f"{self._seed} faults {number}")
        while True:
            chance.shuffle(kinds)
            for kind in kinds:
                self.faults[kind.__name__.strip("_").replace("_", " ")] += 1
                yield chance, kind

    def _sensor_faults(self) -> Iterator[Callable[[], None]]:
        kinds = [self._kill_sensor, self._end_sensor, self._kill_writer, self._reload,
                 self._cut_off, self._fill_disk, self._stop_main, self._flood]  # fmt: skip
        for chance, kind in self._in_turn(kinds, 0):
            sensors = self._sensors[:-1] if kind == self._flood else self._sensors
            yield partial(self._tell, kind, chance.choice(sensors))

    def _centre_faults(self) -> Iterator[Callable[[], None]]:
        kinds = [self._kill_centre, self._end_centre, self._kill_server, self._kill_commits]
        if self._postgres is not None:
            kinds.append(self._stop_postgres)
        for _, kind in self._in_turn(kinds, 1):
            yield partial(self._tell, kind)

    def _fail(self, what: str) -> None:
        progress(f"failed: {what}")
        self._failed.append(what)

    def _stop_sensor(self, sensor: Sensor) -> None:
        """End a sensor, whose status says whether its store has all that it should have."""
        status = sensor.end(signal.SIGTERM)
        if status and sensor.name not in self._may_miss:
            self._fail(f"{sensor.name} ended with status {status}")
        self._may_miss.discard(sensor.name)

    def _tell(self, kind: Callable[..., None], *sensors: Sensor) -> None:
        what = kind.__name__.strip("_").replace("_", " ")
        progress(f"{time.strftime('%H:%M:%S')} {what} {' '.join(each.name for each in sensors)}")
        kind(*sensors)

    def _may_take(self, sensor: Sensor, why: str, since: int, until: int) -> None:
        self._windows.append(Window(sensor.name, since, until, why))

    def _kill_sensor(self, sensor: Sensor) -> None:
        since = time.time_ns() - BEFORE_A_KILL
        sensor.end(signal.SIGKILL)
        self._may_miss.discard(sensor.name)
        sensor.start()
        self._may_take(sensor, "killed", since, time.time_ns() + ACROSS)

    def _end_sensor(self, sensor: Sensor) -> None:
        since = time.time_ns() - ACROSS
        self._stop_sensor(sensor)
        sensor.start()
        self._may_take(sensor, "ended", since, time.time_ns() + ACROSS)

    def _kill_writer(self, sensor: Sensor) -> None:
        writer = sensor.writer()
        if writer is not None:
            now = time.time_ns()
            self._may_miss.add(sensor.name)
            _signal(writer, signal.SIGKILL)
            self._may_take(sensor, "writer killed", now - BEFORE_A_KILL, now + ACROSS)

    def _reload(self, sensor: Sensor) -> None:
        _signal(sensor.pid, signal.SIGHUP)

    def _cut_off(self, sensor: Sensor) -> None:
        sensor.space.ip("link", "set", "eth0", "down")
        self._stop.wait(12.0)
        sensor.space.ip("link", "set", "eth0", "up")

    def _fill_disk(self, sensor: Sensor) -> None:
        since = time.time_ns() - BEFORE_A_KILL
        self._may_miss.add(sensor.name)
        sensor.disk.fill(10.0)
        self._may_take(sensor, "disk full", since, time.time_ns() + AFTER_A_FLOOD)

    def _stop_main(self, sensor: Sensor) -> None:
        _signal(sensor.pid, signal.SIGSTOP)
        self._stop.wait(STALL)
        _signal(sensor.pid, signal.SIGCONT)

    def _flood(self, sensor: Sensor) -> None:
        assert isinstance(sensor.sender, PacketSender)
        since = time.time_ns() - ACROSS
        self._may_miss.add(sensor.name)
        sensor.sender.flood(3.0, self.faults["flood"])
        self._may_take(sensor, "flood", since, time.time_ns() + AFTER_A_FLOOD)

    def _kill_centre(self) -> None:
        self._parts["centre"].end(signal.SIGKILL)
        self._parts["centre"].start()

    def _end_centre(self) -> None:
        status = self._parts["centre"].end(signal.SIGTERM)
        if status:
            self._fail(f"the centre ended with status {status}")
        self._parts["centre"].start()

    def _kill_server(self) -> None:
        self._parts["server"].end(signal.SIGKILL)
        self._parts["server"].start()

    def _kill_commits(self) -> None:
        for pid in veth.process_tree(self._parts["centre"].pid)[1:]:
            _signal(pid, signal.SIGKILL)

    def _stop_postgres(self) -> None:
        assert self._postgres is not None
        self._postgres.server.stop()
        self._stop.wait(8.0)
        self._postgres.server.start()

    # The end.

    def _finish(self) -> dict[str, Any]:
        for sensor in self._sensors:
            sensor.sender.stop()
        self._evil.stop()
        progress("no more is sent")
        time.sleep(QUIET_GAP + 5)
        self._deliver()
        for sensor in self._sensors:
            self._stop_sensor(sensor)
        # What they wrote as they ended reaches the centre when they run again.
        for sensor in self._sensors:
            sensor.start()
        self._deliver()
        for part in (*self._sensors, *self._parts.values()):
            part.end(signal.SIGTERM)
        return self._compare()

    def _deliver(self) -> None:
        def are_delivered() -> bool:
            return not any(map(undelivered, self._sensors))

        try:
            wait_until(are_delivered, timeout=DELIVERED, interval=1.0)
        except AssertionError:
            waiting = {each.name: undelivered(each) for each in self._sensors}
            self._fail(f"not delivered: {waiting}")

    def _compare(self) -> dict[str, Any]:
        """Compare in another process, which has not grown with the truth."""
        truth = self._work / "truth.json"
        sensors = [
            Shown(each.name, str(each.configuration), each.ahead * SECOND, each.sender.sent)
            for each in self._sensors
        ]
        write_truth(truth, sensors, self._windows)
        done = subprocess.run(
            [sys.executable, str(ROOT / "bench" / "soak_truth.py"), str(truth),
             str(self._centre.configuration)],
            capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr)
        return {
            "hostile messages": self._evil.sent,
            "faults": dict(self.faults),
            "failed": self._failed,
            **json.loads(done.stdout),
        }


def _kill(part: Part) -> None:
    """End a part, if it runs."""
    with contextlib.suppress(Exception):
        part.end(signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, which may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_right(found: dict[str, Any]) -> bool:
    """Whether nothing is missing, twice, phantom or unsaid, and nothing failed."""
    return not any(found[sort] for sort in (*SORTS, "failed"))


def soak(options: Options) -> dict[str, Any]:
    """Run as a section of ``bench/run.py``: two minutes."""
    veth.require("nats-server")
    with tempfile.TemporaryDirectory(prefix="netwatch-bench-") as place:
        found = Soak(Path(place), 3, 3.0, 1).run(120.0, with_postgres=True)
    wrong = [] if is_right(found) else [f"soak: {found}"]
    return {"found": found, "rows": [{"peer": "soak", "wrong": wrong}]}


def text(found: dict[str, Any]) -> str:
    """What was found as text."""
    return f"soak of a fleet: {found['found']}"


def main() -> int:
    """Run a soak and print what it found; exit status 1 unless all is right."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--sensors", type=int, default=4, metavar="N", help="two or more")
    parser.add_argument("--rate", type=float, default=5.0, help="contacts a second, of each")
    parser.add_argument("--no-postgres", action="store_true", help="the centre has SQLite")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep files here")
    args = parser.parse_args()
    veth.require("nats-server")
    with contextlib.ExitStack() as stack:
        work = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nw-")))
        work.mkdir(parents=True, exist_ok=True)
        soak = Soak(work.resolve(), args.sensors, args.rate, args.seed)
        found = soak.run(args.minutes * 60, with_postgres=not args.no_postgres)
        print(json.dumps(found, indent=1), flush=True)
        if not is_right(found):
            for log in sorted(work.glob("**/*.log")):
                progress(f"{log.name}:\n{log.read_text(errors='replace')[-1500:]}")
    return 0 if is_right(found) else 1


if __name__ == "__main__":
    sys.exit(main())
