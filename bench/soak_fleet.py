"""The parts of the soak: sensors, a centre, its NATS server and PostgreSQL, each in a network
namespace of its own, and each of which can be killed, stopped or cut off."""

import asyncio
import contextlib
import itertools
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import veth
from measure import ENVIRONMENT
from shared import ROOT, Namespace, wait_until
from soak_traffic import FLOOD_NETWORK, LogSender, PacketSender, Sender
from support.fleet_attack import attack
from support.postgres_server import PostgresServer, binaries, new_database

from netwatch.config import load
from netwatch.config.fleet_section import FleetOptions
from netwatch.fleet.access import HEALTH_BUCKET, MAX_PAYLOAD, bucket_subject, subject
from netwatch.fleet.alert_sink import sensor_peer
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.connection import Connection, write_credentials
from netwatch.store.options import StoreOptions

EVIL = "evil-1"
"""The sensor that was taken over."""

QUIET_GAP = 15
"""The quiet gap of incidents in seconds."""

AHEAD = 3600
"""How far the clock of the last sensor is ahead, in seconds."""

DISK = 96
"""Size of the disk of a sensor, in MiB."""

COVERAGE_SECONDS = 20.0
"""How old a record of coverage may be that a centre does not have yet."""

READY = 300.0
"""Seconds that a part may take to start, and to end."""


def connect(hub: Namespace, spaces: dict[str, Namespace]) -> dict[str, str]:
    """Connect namespaces by a bridge in `hub`; the address of each."""
    hub.ip("link", "add", "bridge", "type", "bridge")
    hub.ip("link", "set", "bridge", "up")
    found = {}
    for number, (name, space) in enumerate(spaces.items()):
        found[name] = f"198.51.100.{number + 1}"
        hub.ip("link", "add", f"p-{name}", "type", "veth", "peer", "name", "eth0",
               "netns", space.name)  # fmt: skip
        hub.ip("link", "set", f"p-{name}", "master", "bridge", "up")
        space.ip("address", "add", f"{found[name]}/24", "dev", "eth0")
        space.ip("link", "set", "eth0", "up")
    return found


class Part:
    """A process in a namespace, which can be ended and started again. `ready` is in its log once it
    runs."""

    def __init__(self, space: Namespace, log: Path, ready: str, command: Sequence[str]) -> None:
        self.space, self.log = space, log
        self._ready, self._command = ready, space.inside(*command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=ENVIRONMENT, cwd=ROOT
            )

        def is_ready() -> bool:
            assert self._process is not None
            said = self.log.read_bytes()[before:].decode(errors="replace")
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.log.name}: ended:\n{said[-3000:]}")
            return self._ready in said

        wait_until(is_ready, f"{self.log.name} has {self._ready!r}", timeout=READY)

    def end(self, how: signal.Signals) -> int:
        """Send a signal, and wait until it and all that it started have ended; its status."""
        assert self._process is not None
        pids = veth.process_tree(self.pid)
        self._process.send_signal(how)
        status = self._process.wait(READY)
        left = f"{self.log.name}: processes outlived it"
        wait_until(lambda: not any(map(is_alive, pids)), left, timeout=READY)
        return status


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    return Path(f"/proc/{pid}/exe").exists()


class Disk:
    """A small file system of its own, which can be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(folder)], check=True
        )

    def fill(self, seconds: float) -> None:
        """Leave no room for so long."""
        filler = self.folder / "filler"
        until = time.monotonic() + seconds
        with filler.open("ab", buffering=0) as file:
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(1 << 16))
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(512))
                time.sleep(0.2)
        filler.unlink()

    def remove(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


class Sensor(Part):
    """``netwatch live`` with a store, evidence and a centre, and the one who sends what it sees."""

    def __init__(
        self, name: str, which: int, space: Namespace, disk: Disk, centre: "Centre",
        rate: float, seed: int, *, reads_log: bool,
    ) -> None:  # fmt: skip
        self.name, self.disk = name, disk
        self.ahead = AHEAD if reads_log else 0
        work = disk.folder.parent
        self.configuration = work / f"{name}.yaml"
        self.configuration.write_text(
            f"version: 1\n"
            f"networks:\n"
            f"  - {{name: net-{name}, cidrs: [10.{100 + which}.0.0/16], class: service,"
            f" authority: A}}\n"
            f"  - {{name: flood-{name}, cidrs: [10.{FLOOD_NETWORK}.{which}.0/24], class: service,"
            f" authority: A}}\n"
            f"bans:\n  - {{id: soak, authority: A, apps: [tiktok], forbids: [service],"
            f" from: 2020-01-01, legal_basis: none}}\n"
            f"incidents: {{quiet_gap: {QUIET_GAP}s}}\n"
            f"store: {{path: {disk.folder}/store}}\n"
            f"spool: {{path: {disk.folder}/outbox}}\n"
            f'fleet: {{sensor: {name}, centre: "{centre.url}",'
            f" credentials: {centre.credentials(name)},"
            f" spool: {{path: {disk.folder}/spool}}, published: {disk.folder}/published}}\n"
        )
        self.store = StoreOptions(f"{disk.folder}/store")
        self.spool = disk.folder / "spool"
        state = ["-c", str(self.configuration), "--state", str(disk.folder / "state")]
        program = [sys.executable, "-m", "netwatch"]
        if reads_log:
            program = [sys.executable, str(ROOT / "bench" / "soak_clock.py"), str(AHEAD)]
            eve = work / f"{name}.eve.json"
            eve.touch()
            what = ["--source", "logs", "--as", "suricata-eve", str(eve)]
            self.sender: Sender = LogSender(name, which, rate, seed, eve, AHEAD)
        else:
            space.pair("out", "in", veth.MTU)
            what = ["-i", "in", "--buffer", "16", "--evidence", str(disk.folder / "proof")]
            self.sender = PacketSender(name, which, rate, seed, space)
        command = [*program, "live", *what, *state, "--format", "jsonl", "-o", "/dev/null"]
        super().__init__(space, work / f"{name}.log", "started on ", command)

    def writer(self) -> int | None:
        """The process that writes the store: the only one that another process than the main one
        started."""
        for child in veth.process_tree(self.pid)[1:]:
            for grandchild in veth.process_tree(child)[1:]:
                return grandchild
        return None


class Centre:
    """A centre that joins a server, and the server. `join` makes the parts."""

    def __init__(self, folder: Path, hosts: dict[str, str], catalogue: str) -> None:
        self._folder = folder
        self.url = f"tls://{hosts['server']}:4222"
        where = f"folder: {folder}/centre"
        place = folder / "server.yaml"
        listen = f'{{listen: "{hosts["server"]}:4222", {where}}}'
        place.write_text(f'version: 1\nfleet: {{centre: "{self.url}", server: {listen}}}\n')
        fleet: FleetOptions | None = load(str(place)).fleet
        assert fleet is not None
        self._keys = CentreFolder(fleet)
        self._keys.prepare()
        ca = folder / "ca.pem"
        ca.write_text(self._keys.ca)
        self.store = StoreOptions(f"{folder}/store", catalogue)
        database = f', catalogue: "{catalogue}"' if catalogue else ""
        self._joined = (
            f"version: 1\nstore: {{path: {folder}/store{database}}}\nfleet:\n"
            f'  centre: "{self.url}"\n  server: {{join: "{self.url}", {where}, ca: {ca}}}\n'
            f"  sensors:\n    {EVIL}: {{networks: [evil]}}\n"
        )
        self.configuration = folder / "centre.yaml"

    def credentials(self, sensor: str) -> Path:
        """Enrol a sensor; the file with its key."""
        found = self._folder / f"{sensor}.creds"
        write_credentials(found, self._keys.enrol(sensor))
        return found

    def parts(self, sensors: Sequence[str], spaces: dict[str, Namespace]) -> dict[str, Part]:
        """The server and the centre; all sensors have been enrolled."""
        self._keys.write_configuration()
        rules = "".join(
            f"    {name}: {{networks: [net-{name}, flood-{name}]}}\n" for name in sensors
        )
        self.configuration.write_text(self._joined + rules)
        netwatch = [sys.executable, "-m", "netwatch", "fleet", "centre", "-c"]
        return {
            "server": Part(spaces["server"], self._folder / "server.log", "",
                           ["nats-server", "-c", str(self._keys.configuration)]),
            "centre": Part(spaces["centre"], self._folder / "centre.log",
                           "connected to the server", [*netwatch, str(self.configuration)]),
        }  # fmt: skip

    def options(self, sensor: str) -> FleetOptions:
        """The options with which a sensor connects."""
        return FleetOptions(self.url, sensor, self._folder / f"{sensor}.creds")


class Evil:
    """The sensor that was taken over: it sends hostile messages, so many a second, from a thread in
    a namespace. `sent` is how many."""

    def __init__(self, centre: Centre, space: Namespace, rate: float, seed: int) -> None:
        self._centre, self._space, self._rate = centre, space, rate
        self._chance = random.Random(f"{seed} evil")
        self._stop = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._space.entered():
            while not self._stop.wait(1.0):
                # The server may be gone, or refuse it: then it connects again.
                with contextlib.suppress(Exception):
                    asyncio.run(self._attack())

    async def _attack(self) -> None:
        connection = Connection(sensor_peer(self._centre.options(EVIL)))
        await connection.open()
        try:
            for number in itertools.count(self.sent):
                if self._stop.is_set():
                    return
                kind, data = attack(self._chance, EVIL, number)
                own = kind == "health"
                place = bucket_subject(HEALTH_BUCKET, EVIL) if own else subject(EVIL, kind)
                if len(data) < MAX_PAYLOAD:
                    await connection.client.publish(place, data)
                    await connection.client.flush(timeout=10)
                    self.sent += 1
                await asyncio.sleep(1 / self._rate)
        finally:
            await connection.close()


class Postgres:
    """PostgreSQL with an empty database."""

    def __init__(self) -> None:
        programs = binaries()
        if programs is None:
            raise veth.MissingError("not installed: PostgreSQL")
        self.server = PostgresServer(programs)
        self.server.start()
        self.url = new_database(self.server.url)

    def remove(self) -> None:
        """Stop it, and remove its files."""
        self.server.stop()
        self.server.remove()


def undelivered(sensor: Sensor) -> int:
    """How many files and alerts of a sensor the centre has not committed. Coverage is written
    every few seconds, so what is new of it does not count."""
    files = 0
    for path in sensor.spool.glob("*.batch"):
        with contextlib.suppress(FileNotFoundError):
            old = time.time() - path.stat().st_mtime > COVERAGE_SECONDS
            files += old or "-coverage-" not in path.name
    done = subprocess.run(
        [sys.executable, "-m", "netwatch", "outputs", "status", "-c", str(sensor.configuration),
         "--format", "jsonl"],
        capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT,
    )  # fmt: skip
    queued = sum(map(int, re.findall(r'"queued": ?(\d+)', done.stdout)))
    return files + queued
