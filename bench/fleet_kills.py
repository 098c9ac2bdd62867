"""Server, centre and sensor in network namespaces of their own, each killed at random under load.

``python bench/fleet_kills.py --kills 30`` connects three namespaces by veth pairs through a fourth,
as a router would, starts `nats-server` in one, a centre that joins it in the second, and the
delivery of a sensor's alerts in the third. Each is killed (SIGKILL) so many times, at random, while
the sensor reports. At the end every alert has to be in the centre's store once. It needs root.
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
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import veth
from compare import Options
from support.fleet_centre import sensor_records
from support.network_namespace import Namespace, created, missing_requirements

from netwatch.config import load
from netwatch.config.fleet_section import FleetOptions
from netwatch.delivery.delivery import Delivery
from netwatch.delivery.output import OutboxOptions
from netwatch.delivery.worker import RetryTiming
from netwatch.fleet.alert_sink import centre_output
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.credentials import write_credentials
from netwatch.fleet.server import PROGRAM
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import StoreOptions

ROOT = Path(__file__).resolve().parents[1]
SENSOR = "ghent-1"
HOSTS = {"server": "198.51.100.1", "centre": "198.51.100.2", "sensor": "198.51.100.3"}
TIMING = RetryTiming(first_delay=0.2, max_delay=1.0, paused_delay=1.0, poll_interval=0.1)


def connect(hub: Namespace, spaces: dict[str, Namespace]) -> None:
    """Connect namespaces by a bridge in `hub`."""
    hub.ip("link", "add", "bridge", "type", "bridge")
    hub.ip("link", "set", "bridge", "up")
    for name, space in spaces.items():
        hub.ip("link", "add", f"p-{name}", "type", "veth", "peer", "name", "eth0",
               "netns", space.name)  # fmt: skip
        hub.ip("link", "set", f"p-{name}", "master", "bridge", "up")
        space.ip("address", "add", f"{HOSTS[name]}/24", "dev", "eth0")
        space.ip("link", "set", "eth0", "up")
        space.ip("link", "set", "lo", "up")


class Part:
    """A process in a namespace, which can be killed and started again."""

    def __init__(self, space: Namespace, log: Path, *command: str) -> None:
        self._command = space.inside(*command)
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it."""
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def kill(self) -> None:
        """Kill it and what it started."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def deliver(folder: Path, first: int, last: int, seconds: float) -> None:
    """The sensor: put the alerts that are not in its outbox yet, and deliver until all is done."""
    config = load(str(folder / "sensor.yaml"))
    assert config.fleet is not None
    output = centre_output(config.fleet, "fleet", "")
    delivery = Delivery((output,), OutboxOptions(folder / "outbox"), print, TIMING)
    delivery.start()
    put = folder / "put"
    number = int(put.read_text() or first) if put.exists() else first
    pause = seconds / max(1, last - first)
    while number < last:
        delivery.put(*sensor_records(SENSOR, [number]))
        while delivery.unwritten:
            time.sleep(0.01)
        number += 1
        # An alert that was put twice, because of a kill in between, is the same alert.
        put.with_suffix(".new").write_text(str(number))
        put.with_suffix(".new").replace(put)
        time.sleep(pause)
    while delivery.drain(5):
        pass
    (folder / "done").touch()
    delivery.stop()


def run(folder: Path, kills: int, alerts: int, seconds: float) -> dict[str, int]:
    """Run it; what `judge` gives."""
    url = f"tls://{HOSTS['server']}:4222"
    server = f'server: {{listen: "{HOSTS["server"]}:4222", folder: {folder}/centre}}'
    (folder / "server.yaml").write_text(f'version: 1\nfleet: {{centre: "{url}", {server}}}\n')
    fleet: FleetOptions | None = load(str(folder / "server.yaml")).fleet
    assert fleet is not None
    keys = CentreFolder(fleet)
    keys.prepare()
    write_credentials(folder / f"{SENSOR}.creds", keys.enrol(SENSOR))
    keys.write_configuration()
    ca = folder / "ca.pem"
    ca.write_text(keys.ca)
    joined = f'server: {{join: "{url}", folder: {folder}/centre, ca: {ca}}}'
    (folder / "centre.yaml").write_text(
        f'version: 1\nstore: {{path: {folder}/store}}\nfleet: {{centre: "{url}", {joined}}}\n'
    )
    (folder / "sensor.yaml").write_text(
        f'version: 1\nfleet: {{sensor: {SENSOR}, centre: "{url}",'
        f" credentials: {folder}/{SENSOR}.creds, published: {folder}/published}}\n"
    )
    with contextlib.ExitStack() as stack:
        spaces = {name: stack.enter_context(created()) for name in HOSTS}
        connect(stack.enter_context(created()), spaces)
        commands = {
            "server": ("nats-server", "-c", str(keys.configuration)),
            "centre": (sys.executable, "-m", "netwatch", "fleet", "centre", "-c",
                       str(folder / "centre.yaml")),
            "sensor": (sys.executable, __file__, "--as-sensor", str(folder), "--alerts",
                       str(alerts), "--seconds", str(seconds)),
        }  # fmt: skip
        parts = {}
        for name, command in commands.items():
            parts[name] = Part(spaces[name], folder / f"{name}.log", *command)
            stack.callback(parts[name].kill)
        order = [name for name in HOSTS for _ in range(kills)]
        random.shuffle(order)
        for name in order:
            time.sleep(random.uniform(0.5, 1.5) * seconds / len(order))
            parts[name].kill()
            parts[name].start()
        print(f"killed each {kills} times; waiting for the rest", flush=True)
        deadline = time.monotonic() + max(300.0, 2 * seconds)
        while not (folder / "done").exists() and time.monotonic() < deadline:
            time.sleep(0.5)
    return judge(folder, alerts)


def judge(folder: Path, alerts: int) -> dict[str, int]:
    """Compare what is stored with what was reported: how many alerts are missing, and how many are
    there that nobody reported or twice."""
    wanted = sorted(each["id"] for each in sensor_records(SENSOR, range(alerts)))
    store = StoreOptions(f"{folder}/store")
    with Catalogue.open(store) as catalogue, catalogue.database.reading() as connection:
        found = connection.exec_driver_sql("SELECT incident FROM fleet_case_incident")
        members = sorted(row[0] for row in found)
        found = connection.exec_driver_sql("SELECT id FROM incident WHERE shown = 1")
        shown = sorted(row[0] for row in found)
    put = folder / "put"
    return {
        "alerts": alerts,
        "put": int(put.read_text()) if put.exists() else 0,
        "stored": len(members),
        "shown": len(shown),
        "missing": len({*wanted} - ({*members} & {*shown})),
        "foreign": len(({*members} | {*shown}) - {*wanted}),
        "twice": len(members) - len({*members}) + len(shown) - len({*shown}),
    }


def is_right(found: dict[str, int]) -> bool:
    """Whether every alert arrived once, and nothing else."""
    return not found["missing"] and not found["foreign"] and not found["twice"]


def kills(options: Options) -> dict[str, Any]:
    """Measure as a section of ``bench/run.py``: three kills of each."""
    veth.require(PROGRAM)
    with tempfile.TemporaryDirectory(prefix="netwatch-bench-") as place:
        found = run(Path(place), 3, 300, 30.0)
    wrong = [] if is_right(found) else [f"fleet kills: {found}"]
    return {"found": found, "rows": [{"peer": "fleet kills", "wrong": wrong}]}


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    return f"fleet, server, centre and sensor killed three times each: {found['found']}"


def main() -> int:
    """Run the measurement."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30, help="of each part")
    parser.add_argument("--alerts", type=int, default=6000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--as-sensor", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_sensor:
        deliver(Path(arguments.as_sensor), 0, arguments.alerts, arguments.seconds)
        return 0
    if problem := missing_requirements():
        sys.exit(problem)
    with tempfile.TemporaryDirectory(prefix="netwatch-bench-") as place:
        found = run(Path(place), arguments.kills, arguments.alerts, arguments.seconds)
        print(json.dumps(found))
        if not is_right(found):
            for log in sorted(Path(place).glob("*.log")):
                print(f"{log.name}:\n{log.read_text()[-1500:]}", file=sys.stderr)
    return 0 if is_right(found) else 1


if __name__ == "__main__":
    sys.exit(main())
