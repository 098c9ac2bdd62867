"""The NATS server of a centre on loopback, with its users and their permissions."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.ports import free_port, is_listening
from support.programs import Process, require_programs
from support.waiting import TIMEOUT

from netwatch.config.fleet_section import FleetOptions, ServerOptions
from netwatch.fleet.access import inbox
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.connection import Connection, Peer


class FleetServer:
    """A server whose files are in `folder`; `sensors` are enrolled."""

    def __init__(self, folder: Path, *sensors: str) -> None:
        require_programs("nats-server")
        pytest.importorskip("nats")
        pytest.importorskip("nkeys")
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        server = ServerOptions(listen=("127.0.0.1", self.port), folder=folder)
        self.centre = CentreFolder(FleetOptions(centre=self.url, server=server))
        self.centre.prepare()
        self._seeds = {name: self.centre.enrol(name).seed for name in sensors}
        self.centre.write_configuration()
        self._folder = folder
        self._process: Process | None = None

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        command = ["nats-server", "-c", str(self.centre.configuration)]
        self._process = Process(command, lambda: is_listening(self.port), self._folder)

    def enrol(self, name: str) -> None:
        """Enrol another sensor."""
        self._seeds[name] = self.centre.enrol(name).seed
        self.centre.write_configuration()

    def reload(self) -> None:
        """Let the server read its configuration again."""
        assert self._process is not None
        self._process.tell(signal.SIGHUP)

    def stop(self) -> None:
        """Kill the server."""
        if self._process is not None:
            self._process.end(signal.SIGKILL)
            self._process = None

    @asynccontextmanager
    async def client(self, name: str = "") -> AsyncIterator[Any]:
        """A connection of the sensor with this name, or of the centre."""
        seed = self._seeds[name] if name else self.centre.seed
        peer = Peer(url=self.url, name=name or "centre", seed=seed, inbox=inbox(name or "centre"))
        connection = Connection(peer)
        await connection.open()
        try:
            yield connection.client
        finally:
            await connection.close()


@contextmanager
def fleet_server(folder: Path, *sensors: str) -> Iterator[FleetServer]:
    """A server that runs for as long as the context lasts."""
    server = FleetServer(folder, *sensors)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def until(condition: Any, timeout: float = TIMEOUT) -> None:
    """Wait until a condition holds, without blocking the loop."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)
