"""Real programs on 127.0.0.1: what they send, captured, and what netwatch tells of it.

A `Capture` runs tcpdump on the loopback interface for the ports of one test. It ends when
a datagram that it sent itself came through, so that nothing sent before is missing and
nobody has to wait for a time that may be too short.
"""

import contextlib
import io
import itertools
import os
import signal
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dpkt
import pytest

from netwatch.capture.files import find_captures
from netwatch.core.statistics import RunStatistics
from netwatch.engine.pipeline import names
from netwatch.formats.line_writer import observation_record

HOST = "127.0.0.1"
TIMEOUT = 12
"""Seconds after which a client or a capture counts as hanging."""
MARK = b"the capture ends here"

Reported = tuple[str, str, int]
"""Evidence, name and the server's port."""


def run(*command: str, home: Path, feed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a client to its end, without the settings of who runs the tests; with it end the
    processes that it started."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=environment, process_group=0, **pipes) as client:
        try:
            said, complained = client.communicate(feed, TIMEOUT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(client.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, client.returncode, said, complained)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of a certificate and its key, the names in it, and the hash of its public
    key as Chromium wants it."""

    chain: str
    key: str
    names: tuple[str, ...]
    pin: str

    def context(
        self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, *alpn: str
    ) -> ssl.SSLContext:
        """A server with this certificate, of this version of TLS alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(self.chain, self.key)
        context.set_alpn_protocols(list(alpn))
        return context


class Capture:
    """Packets from and to these ports of the loopback interface, while it is entered; after
    that `records` as ``netwatch names --format jsonl`` has them, and the `anomalies`."""

    def __init__(self, path: Path, *ports: int) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        self.anomalies: Counter[str] = Counter()
        self._marker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._marker.bind((HOST, 0))
        wanted = (*ports, self._marker.getsockname()[1])
        self._filter = " or ".join(f"port {port}" for port in wanted)
        self._data = bytearray()
        self._marked = threading.Event()

    def __enter__(self) -> Self:
        # Each packet takes a slot of 64 KiB, so the usual buffer would hold but a few.
        options = ["-i", "lo", "-n", "-U", "--immediate-mode", "-B", "32768", "-w", "-"]
        command = ["tcpdump", *options, self._filter]
        self._tcpdump = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._tcpdump.stderr is not None
        said = self._tcpdump.stderr.readline().decode()
        if "listening on" not in said:
            self._stop()
            pytest.skip(f"cannot capture on loopback: {said.strip()}")
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._marker.sendto(MARK, self._marker.getsockname())
        marked = self._marked.wait(TIMEOUT)
        for _ in range(TIMEOUT):
            # A signal that comes just before it waits for a packet would wait for one, too.
            self._tcpdump.send_signal(signal.SIGINT)
            self._reader.join(1)
            if not self._reader.is_alive():
                break
        else:
            self._tcpdump.kill()
            self._reader.join()
        assert self._tcpdump.stderr is not None
        counted = self._tcpdump.stderr.read().decode()
        self._stop()
        assert marked, counted
        assert "\n0 packets dropped by kernel" in counted, counted
        self.path.write_bytes(self._data)
        statistics = RunStatistics()
        self.records = [
            observation_record(batch, row)
            for batch in names(find_captures([str(self.path)]), statistics)
            for start, stop in batch.spans
            for row in range(start, stop)
        ]
        self.anomalies = statistics.anomalies
        assert not statistics.unread

    def _read(self) -> None:
        assert self._tcpdump.stdout is not None
        while piece := os.read(self._tcpdump.stdout.fileno(), 65536):
            self._data += piece
            if MARK in self._data[-len(piece) - len(MARK) :]:
                self._marked.set()

    def _stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._tcpdump.kill()
        self._tcpdump.wait()
        for pipe in (self._tcpdump.stdout, self._tcpdump.stderr):
            assert pipe is not None
            pipe.close()
        self._marker.close()

    @property
    def reported(self) -> list[Reported]:
        """What was reported, in this order; the client is the side without a server of the test."""
        assert all(each["client"]["ip"] == each["server"]["ip"] == HOST for each in self.records)
        return [(each["evidence"], each["name"], each["server"]["port"]) for each in self.records]

    def payloads(self, port: int) -> Iterator[tuple[bool, bytes]]:
        """What came to `port` (true) and from it, packet by packet, empty ones left out."""
        for _, frame in dpkt.pcap.Reader(io.BytesIO(self.path.read_bytes())):
            packet = dpkt.ethernet.Ethernet(frame).data.data
            if port in (packet.sport, packet.dport) and packet.data:
                yield packet.dport == port, bytes(packet.data)

    def flight(self, port: int) -> list[int]:
        """Sizes of the payloads that came to `port` before anything came from it."""
        first = itertools.takewhile(lambda each: each[0], self.payloads(port))
        return [len(payload) for _, payload in first]


Watch = Callable[..., Capture]
