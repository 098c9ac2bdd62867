"""Many sensors and one centre: how much is committed each second, how late, and in which memory.

``python bench/fleet_load.py --sensors 200 --alerts 100 --rows 1000000 --seconds 600`` offers so
many alerts a second of each sensor, and so many rows of facts a second of all together, to a centre
with its own server on loopback; with ``--postgres URL`` its catalogue is there. Every incident is
reported twice, as it begins and as it ends. The sensors are connections of one process, with the
credentials, subjects and messages of real ones. None offers more while a few of its messages are
not committed, as an outbox and a spool do, so what cannot be kept up with shows as a lower rate and
as lag.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import orjson
import veth
from compare import Options
from support.fleet_centre import CentreProcess, sensor_records

from netwatch import __version__
from netwatch.fleet.access import subject
from netwatch.fleet.alert_sink import sensor_peer
from netwatch.fleet.connection import Connection
from netwatch.fleet.envelope import Envelope, cut
from netwatch.fleet.fact_batch import FactBatch, RunKey, pack
from netwatch.fleet.server import PROGRAM
from netwatch.formats.values import rfc3339
from netwatch.store.fact_tables import chunk_schema
from netwatch.store.run_rows import ClientAddress

UNDER_WAY = 4
"""Messages of a kind that a sensor offers while they are not committed."""

BATCH_ROWS = 30_000

GOAL_ALERTS, GOAL_ROWS = 20_000, 1_000_000
"""Alerts and rows a second that a centre shall commit."""


class Sensor:
    """A connection that offers alerts and facts at a pace. `lags` are seconds until a commit."""

    def __init__(self, name: str, alerts: int, facts: bytes, interval: float) -> None:
        self.name = name
        self.alerts = self.rows = 0
        self.lags: list[float] = []
        self._rate, self._facts, self._interval = alerts, facts, interval
        self._waiting: dict[str, tuple[float, int]] = {}
        self._batches: dict[int, float] = {}
        self._number = self._sequence = 0
        self._news = asyncio.Event()
        self._template = alert_template(name)
        self._open: list[tuple[bytes, bytes]] = []

    async def run(self, connection: Connection, until: float) -> None:
        """Offer until a time, then wait for what is not committed."""
        client = connection.client
        await client.subscribe(subject(self.name, "committed"), cb=self._take)
        work = [self._offer(client, until, 1.0, self._send_alerts, self._waiting)]
        if self._interval:
            work.append(self._offer(client, until, self._interval, self._send_facts, self._batches))
        await asyncio.gather(*work)

    async def _offer(
        self, client: Any, until: float, interval: float, send: Any, waiting: Any
    ) -> None:
        await asyncio.sleep(min(interval, until - time.monotonic()) * (hash(self.name) % 100) / 100)
        due = time.monotonic()
        while time.monotonic() < until:
            while len(waiting) >= UNDER_WAY and time.monotonic() < until:
                await asyncio.sleep(0.05)
            await send(client)
            due = max(due + interval, time.monotonic() - 5 * interval)
            await asyncio.sleep(max(0.0, min(due, until) - time.monotonic()))

    async def _send_alerts(self, client: Any) -> None:
        if not self._rate:
            return
        status = b"closed" if self._open else b"open"
        if not self._open:
            now = rfc3339(time.time_ns(), 6).encode()
            self._open = [(self._incident(), now) for _ in range(self._rate)]
        last = rfc3339(time.time_ns(), 6).encode()
        entries = [
            self._template % (each, status, each, status, each, first, last, each)
            for each, first in self._open
        ]
        key = f"{self._open[-1][0].decode()}-{status.decode()}"
        if status == b"closed":
            self._open = []
        self._waiting[key] = (time.monotonic(), len(entries))
        header, _, _ = Envelope(
            sensor=self.name, kind="alerts", sequence=self._number, sent=time.time_ns(),
            version=__version__, id=f"a{key}", body={},
        ).encode().partition(b"\n")  # fmt: skip
        message = b'%b\n{"alerts":[%b]}' % (header, b",".join(entries))
        await client.jetstream(timeout=60).publish(subject(self.name, "alerts"), message)

    def _incident(self) -> bytes:
        """Another incident of the sensor, which has just begun, with a device of its own."""
        self._number += 1
        return f"{self.name}-{self._number}".encode()

    async def _send_facts(self, client: Any) -> None:
        self._sequence += 1
        self._batches[self._sequence] = time.monotonic()
        jetstream = client.jetstream(timeout=60)
        for data in cut(Envelope(
            sensor=self.name, kind="facts", sequence=self._sequence, sent=time.time_ns(),
            version=__version__, id=f"f{self._sequence}", payload=self._facts,
            fields={"epoch": "bench", "after": self._sequence - 1, "table": "observation",
                    "rows": BATCH_ROWS},
        )):  # fmt: skip
            await jetstream.publish(subject(self.name, "facts"), data)

    async def _take(self, message: Any) -> None:
        news, now = json.loads(message.data), time.monotonic()
        for key in news.get("keys", ()):
            if found := self._waiting.pop(key, None):
                self.lags.append(now - found[0])
                self.alerts += found[1]
        for number in [each for each in self._batches if each <= news.get("through", 0)]:
            self.lags.append(now - self._batches.pop(number))
            self.rows += BATCH_ROWS


def alert_template(sensor: str) -> bytes:
    """An alert of a sensor with its key, ready for what is different in each: id and status for the
    key, then id, status, id of the device, first and last time, and Community ID. So to make an
    alert costs next to nothing of what to store it costs."""
    record = sensor_records(sensor, [1])[0]
    device = {**record["device"], "id": "%b", "ip": None}
    wanted = {"id": "%b", "status": "%b", "device": device, "first_seen": "%b", "last_seen": "%b",
              "community_ids": ["%b"]}  # fmt: skip
    rest = {name: value for name, value in record.items() if name not in wanted}
    fixed = orjson.dumps(rest).replace(b"%", b"%%")
    return b'{"key":"%b-%b","record":' + orjson.dumps(wanted)[:-1] + b"," + fixed[1:] + b"}"


def packed() -> bytes:
    """A batch of observations."""
    import pyarrow as pa
    from support.made_facts import made_batches

    found = pa.Table.from_batches(made_batches(BATCH_ROWS, names=20_000))
    layout = chunk_schema("observation")
    places = pa.array([number % 50 for number in range(BATCH_ROWS)], pa.int32())
    columns = [places if name == "client" else found[name] for name in layout.names]
    clients = [ClientAddress(f"10.1.0.{number}", None, "hq", "service") for number in range(50)]
    run = RunKey(started=1, command="live", versions=("1", "s", "b", "c"), position=0)
    return pack(FactBatch("observation", run, clients, pa.table(columns, schema=layout)))


def used(centre: CentreProcess) -> dict[str, tuple[float, int]]:
    """The CPU seconds and the memory (MB) of the centre without and of those of its processes that
    commit, of the server, and of this process, which is all sensors."""
    page, ticks = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    server, commits = centre.children()
    found = {}
    for name, pids in (("centre", [centre.pid]), ("commits", commits), ("server", server),
                       ("sensors", [os.getpid()])):  # fmt: skip
        cpu = memory = 0
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            cpu += int(fields[11]) + int(fields[12])
            memory += int(fields[21]) * page >> 20
        found[name] = cpu / ticks, memory
    return found


def of_centre(use: dict[str, tuple[float, int]]) -> float:
    """The CPU seconds of all processes of the centre but its server."""
    return use["centre"][0] + use["commits"][0]


async def measure(
    centre: CentreProcess, names: Sequence[str], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Offer the load and print a line every few seconds; what was committed."""
    facts = packed()
    interval = len(names) * BATCH_ROWS / arguments.rows if arguments.rows else 0.0
    print(f"a batch of {BATCH_ROWS:,} rows has {len(facts):,} bytes;"
          f" each sensor sends one every {interval:.2f} s")  # fmt: skip
    sensors = [Sensor(name, arguments.alerts, facts, interval) for name in names]
    connections = []
    for name in names:
        peer = replace(sensor_peer(centre.options(name)))
        connections.append(Connection(peer))
        await connections[-1].open()
    began = time.monotonic()
    until = began + arguments.seconds
    running = [
        asyncio.create_task(sensor.run(connection, until))
        for sensor, connection in zip(sensors, connections, strict=True)
    ]
    alerts = rows = 0
    began_use = used(centre)
    cpu = of_centre(began_use)
    peaks = dict.fromkeys(began_use, 0)
    all_lags: list[float] = []
    last, end = began, asyncio.gather(*running)
    while not end.done():
        await asyncio.wait([end], timeout=max(1.0, arguments.seconds / 12))
        now = time.monotonic()
        new_alerts, new_rows = (sum(getattr(each, kind) for each in sensors)
                                for kind in ("alerts", "rows"))  # fmt: skip
        lags = sorted(lag for each in sensors for lag in each.lags)
        for each in sensors:
            all_lags += each.lags
            each.lags.clear()
        p50, p95 = (lags[int(len(lags) * share)] if lags else 0.0 for share in (0.5, 0.95))
        took, use = now - last, used(centre)
        spent, cpu = of_centre(use) - cpu, of_centre(use)
        peaks = {name: max(peak, use[name][1]) for name, peak in peaks.items()}
        print(f"{now - began:6.0f} s  {(new_alerts - alerts) / took:8,.0f} alerts/s"
              f"  {(new_rows - rows) / took:10,.0f} rows/s  lag p50 {p50:.2f} s, p95 {p95:.2f} s"
              f"  CPU {spent / took:.2f}"
              f"  MB {', '.join(f'{name} {each[1]}' for name, each in use.items())}",
              flush=True)  # fmt: skip
        alerts, rows, last = new_alerts, new_rows, now
    await end
    took = time.monotonic() - began
    for connection in connections:
        await connection.close()
    all_lags.sort()
    return {
        "alerts": alerts,
        "facts": rows,
        "seconds": took,
        "cpu": {name: use[name][0] - began_use[name][0] for name in peaks},
        "memory": peaks,
        "lag": [all_lags[int(len(all_lags) * share)] for share in (0.5, 0.95)] if all_lags else [],
        "load": os.getloadavg()[0],
        "rows": [{"peer": "fleet", "cpu": of_centre(use) - of_centre(began_use), "wall": took}],
    }


def line(found: dict[str, Any]) -> str:
    """What was measured in a run, as text."""
    took, cpu = found["seconds"], found["cpu"]
    used_by = ", ".join(
        f"{name} {seconds / took:.2f} cores and {found['memory'][name]} MB"
        for name, seconds in cpu.items()
    )
    of_all = cpu["centre"] + cpu["commits"]
    lag = "; lag p50 {:.1f} s, p95 {:.1f} s".format(*found["lag"]) if found["lag"] else ""
    return (
        f"{found['alerts'] / took:,.0f} alerts/s and {found['facts'] / took:,.0f} rows/s"
        f" for {took:.0f} s; for each CPU second of the centre"
        f" {found['alerts'] / of_all:,.0f} alerts and {found['facts'] / of_all:,.0f}"
        f" rows; {used_by}{lag}; load of the machine {found['load']:.1f}"
    )


def cores(found: dict[str, Any]) -> list[tuple[str, float, float, float]]:
    """By process: the CPU time of an alert and of a row (µs), and the cores that the goal needs."""
    alerts, facts = found["alerts"], found["facts"]
    rows = []
    for name in alerts["cpu"]:
        alert = 1e6 * alerts["cpu"][name] / max(1, alerts["alerts"])
        row = 1e6 * facts["cpu"][name] / max(1, facts["facts"])
        rows.append((name, alert, row, (alert * GOAL_ALERTS + row * GOAL_ROWS) / 1e6))
    return rows


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    return "\n".join([
        *(f"fleet, {name} alone: {line(found[name])}" for name in ("alerts", "facts")),
        *(f"fleet: an alert costs the {name} {alert:.0f} µs, a row {row:.2f} µs; the goal needs"
          f" {whole:.1f} cores of it" for name, alert, row, whole in cores(found)),
    ])  # fmt: skip


def fleet(options: Options) -> dict[str, Any]:
    """Measure as a section of ``bench/run.py``: twenty sensors, first with alerts alone, then with
    facts alone, as much as the centre takes of each."""
    veth.require(PROGRAM)
    common = ["--sensors", "20", "--seconds", "20"]
    found = {
        name: run(build_parser().parse_args([*common, *others]))
        for name, others in (("alerts", ["--rows", "0", "--alerts", "500"]),
                             ("facts", ["--alerts", "0"]))
    }  # fmt: skip
    return {**found, "rows": [row for each in found.values() for row in each["rows"]]}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure with a centre of its own."""
    names = [f"sensor-{number}" for number in range(arguments.sensors)]
    with tempfile.TemporaryDirectory(prefix="netwatch-bench-") as place:
        catalogue, cpus = arguments.postgres, arguments.cpus
        centre = CentreProcess(Path(place), *names, catalogue=catalogue, cpus=cpus)
        centre.start()
        try:
            return asyncio.run(measure(centre, names, arguments))
        finally:
            centre.end()
            print(centre.log, file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sensors", type=int, default=200)
    parser.add_argument("--alerts", type=int, default=100, help="a second, of each sensor")
    parser.add_argument("--rows", type=int, default=1_000_000, help="a second, of all sensors")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--postgres", default="", metavar="URL", help="of an empty database")
    parser.add_argument("--cpus", type=int, default=0, help="that the centre believes to have")
    return parser


def main() -> None:
    """Measure and print."""
    print(line(run(build_parser().parse_args())))


if __name__ == "__main__":
    main()
