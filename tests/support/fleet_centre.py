"""A centre as a process on loopback, with its server, and sensors made of the code of sensors."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from support.fleet_alerts import SECOND, fleet_alert
from support.paths import SUPPORT
from support.ports import free_port
from support.shown_logs import show_log
from support.waiting import TIMEOUT, wait_until

from netwatch.config import load
from netwatch.config.fleet_section import FleetOptions, SpoolOptions
from netwatch.fleet.alert_sink import sensor_peer
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.connection import Connection, write_credentials
from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


class CentreProcess:
    """The command ``fleet centre`` with everything in `folder`. `sensors` are enrolled. Its clients
    use TLS as they would elsewhere. `catalogue` is the URL of one in PostgreSQL; `cpus` is how many
    the centre believes to have, those of the machine unless given."""

    def __init__(self, folder: Path, *sensors: str, catalogue: str = "", cpus: int = 0) -> None:
        self.folder = folder
        self.cpus = cpus
        self.port = free_port()
        self.url = f"tls://127.0.0.1:{self.port}"
        self.configuration = folder / "centre.yaml"
        database = f', catalogue: "{catalogue}"' if catalogue else ""
        self.configuration.write_text(
            f"version: 1\nstore: {{path: store{database}}}\nfleet:\n"
            f'  centre: "{self.url}"\n'
            f'  server: {{listen: "127.0.0.1:{self.port}", folder: centre}}\n'
        )
        self.store = StoreOptions(str(folder / "store"), catalogue)
        fleet = load(str(self.configuration)).fleet
        assert fleet is not None
        self.keys = CentreFolder(fleet)
        self.keys.prepare()
        for name in sensors:
            write_credentials(folder / f"{name}.creds", self.keys.enrol(name))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the centre has said so far."""
        return (self.folder / "centre.log").read_text()

    @property
    def pid(self) -> int:
        """The process of the centre."""
        assert self._process is not None
        return self._process.pid

    def start(self, *arguments: str) -> None:
        """Start the centre, and wait until it is connected to its server. With `arguments`, the
        centre kills itself as ``killed_centre.py`` says."""
        script = ["-m", "netwatch"]
        if arguments:
            script = [str(SUPPORT / "killed_centre.py"), *arguments]
        elif self.cpus:
            script = [str(SUPPORT / "centre_with_cpus.py"), str(self.cpus)]
        command = [sys.executable, *script, "fleet", "centre", "-c", str(self.configuration)]
        environment = {**os.environ, "PYTHONPATH": str(SUPPORT.parent)}
        show_log(self.folder / "centre.log")
        with (self.folder / "centre.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            wait_until(lambda: "connected to the server" in self.log, lambda: self.log)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill the centre, without any chance to tidy up."""
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the centre; its exit status."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(TIMEOUT)

    def wait(self) -> int:
        """Wait until the centre has ended by itself; its exit status."""
        assert self._process is not None
        return self._process.wait(TIMEOUT)

    def children(self) -> tuple[list[int], list[int]]:
        """The processes of its server, and those that commit."""
        paths = Path(f"/proc/{self.pid}/task").glob("*/children")
        pids = [int(pid) for path in paths for pid in path.read_text().split()]
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
        commits = [pid for pid in pids if b"spawn_main" in lines[pid]]
        return [pid for pid in pids if b"nats-server" in lines[pid].partition(b"\0")[0]], commits

    def kill_server(self) -> None:
        """Kill the server, which the centre starts again."""
        for pid in self.children()[0]:
            os.kill(pid, signal.SIGKILL)

    def kill_commits(self) -> None:
        """Kill the processes that commit, which the centre starts again."""
        for pid in self.children()[1]:
            os.kill(pid, signal.SIGKILL)

    def options(self, sensor: str, spool_bytes: int = 1 << 30) -> FleetOptions:
        """The options of a sensor."""
        return FleetOptions(
            self.url,
            sensor,
            self.folder / f"{sensor}.creds",
            SpoolOptions(self.folder / f"{sensor}.spool", spool_bytes),
        )

    @contextmanager
    def catalogue(self) -> Iterator[Catalogue]:
        """The catalogue of the centre's store."""
        with open_catalogue(self.store) as opened:
            yield opened

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement on the catalogue."""
        with self.catalogue() as catalogue, catalogue.database.reading() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def as_sensor(self, sensor: str, work: Any) -> Any:
        """What a coroutine function gives that is called with the connection of a sensor."""

        async def run() -> Any:
            connection = Connection(sensor_peer(self.options(sensor)))
            await connection.open()
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(run())

    def as_centre(self, work: Any) -> Any:
        """The same with another connection of the centre."""
        from netwatch.fleet.connection import Peer

        async def run() -> Any:
            peer = Peer(url=self.url, name="test", seed=self.keys.seed, ca=self.keys.ca)
            connection = Connection(peer)
            await connection.open()
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(run())


@contextmanager
def running_centre(folder: Path, *sensors: str) -> Iterator[CentreProcess]:
    """A centre that runs for as long as the context lasts."""
    centre = CentreProcess(folder, *sensors)
    try:
        centre.start()
        yield centre
    finally:
        with suppress(ProcessLookupError):
            centre.end()


def sensor_records(sensor: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Records of alerts of a sensor, each of another device."""
    found = []
    for number in numbers:
        record = json.loads(
            fleet_alert(sensor, number * SECOND, device=f"dev-{number}", ip=f"10.9.{number >> 8}."
                        f"{number & 255}", flows=(f"1:{sensor}-{number}",)).line
        )  # fmt: skip
        record["sensor"]["name"] = sensor
        found.append(record)
    return found
