"""A console that runs as its own process on loopback, with short limits for slow clients."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.paths import PCAPS
from support.waiting import TIMEOUT

HEAD_SECONDS = 0.5
_PROGRAM = f"""
import sys
from netwatch.console import server
server.HEAD_SECONDS = {HEAD_SECONDS}
server.MAX_CONNECTIONS = 20
from netwatch.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Served:
    """A console that runs: its address, and what it printed on standard error."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process = process
        self.address = address

    def connect(self) -> socket.socket:
        """A connection to it."""
        found = re.fullmatch(r"https?://127\.0\.0\.1:(\d+)", self.address)
        assert found is not None
        return socket.create_connection(("127.0.0.1", int(found[1])), timeout=TIMEOUT)


@contextmanager
def served(*arguments: str) -> Iterator[Served]:
    command = [sys.executable, "-c", _PROGRAM, "serve", "-c", str(PCAPS / "netwatch.yaml")]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"https?://\S+", line)
            if found is None:
                assert process.stderr is not None
                pytest.fail(process.stderr.read())
            yield Served(process, found[0])
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=TIMEOUT)
