"""The traffic of the soak, of which every contact is known: who, when, to whom, which name.

A contact has an address and a port that no other one has, and a name with its number. Every third
is to a banned app, from a device of its own, which makes the contact an incident.
"""

import io
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import floods
import send
from shared import Namespace, handshakes, messages
from wire import ACK, EMPTY, FIN_ACK, OPTIONS, PSH_ACK, SYN, SYN_ACK, Direction, Writer, payload_of

SERVER = bytes([203, 0, 113, 10])
GATEWAY = bytes.fromhex("02005e002001")
FLOOD_NETWORK = 200
"""The second number of the addresses from which floods come."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact that a sensor was shown, at `at` (ns); `since` is when its first packet was sent.
    One of a flood has no flow to compare."""

    sensor: str
    client: str
    port: int
    name: str
    since: int
    at: int
    is_banned: bool = False
    is_flood: bool = False


def _contact(sensor: str, which: int, number: int) -> tuple[bytes, int, str, bool]:
    """Address, port, and name of a contact, and whether it is banned."""
    banned = number % 3 == 0
    client = bytes([10, 100 + which, number // 250 & 255, 1 + number % 250])
    app = "tiktok.com" if banned else "example.org"
    return client, 20_000 + number % 40_000, f"c{number}-{sensor}.{app}", banned


class Sender:
    """Shows contacts to the sensor with number `which`, so many a second, in a thread. `sent` are
    those it was shown."""

    def __init__(self, sensor: str, which: int, rate: float, seed: int) -> None:
        self._sensor, self._which, self._rate = sensor, which, rate
        self._chance = random.Random(f"{seed} {sensor}")
        self._stop = threading.Event()
        self.sent: list[Contact] = []
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
        number = 0
        while not self._stop.wait(self._chance.expovariate(self._rate)):
            client, port, name, banned = _contact(self._sensor, self._which, number)
            since = time.time_ns()
            at = self._show(client, port, name, number)
            address = ".".join(map(str, client))
            self.sent.append(Contact(self._sensor, address, port, name, since, at, banned))
            number += 1

    def _show(self, client: bytes, port: int, name: str, number: int) -> int:
        """Show one; when the name was shown (ns)."""
        raise NotImplementedError


class PacketSender(Sender):
    """Sends packets to the interface ``out`` of a namespace."""

    def __init__(
        self, sensor: str, which: int, rate: float, seed: int, namespace: Namespace
    ) -> None:
        super().__init__(sensor, which, rate, seed)
        self._out = namespace.sender("out")

    def _show(self, client: bytes, port: int, name: str, number: int) -> int:
        at = 0
        for place, frame in enumerate(_conversation(client, port, name, self._chance)):
            if place == 3:
                at = time.time_ns()
            self._out.send(frame)
        return at

    def flood(self, seconds: float, number: int) -> None:
        """Send DNS queries as fast as can be, each of another name; one packet makes a record."""
        until, count = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            name = f"f{number}x{count}.flood.example"
            client = bytes([10, FLOOD_NETWORK, self._which, 1 + count % 250])
            query = messages.query(count & 0xFFFF, name, "A")
            port = 1024 + count % 60_000
            at = time.time_ns()
            self._out.send(floods.udp(client, port, 53, query))
            self.sent.append(Contact(self._sensor, ".".join(map(str, client)), port, name, at, at,
                                     is_flood=True))  # fmt: skip
            count += 1


class LogSender(Sender):
    """Appends events to a log of Suricata, in the words of a machine whose clock is `ahead` (s)."""

    def __init__(
        self, sensor: str, which: int, rate: float, seed: int, log: Path, ahead: float
    ) -> None:
        super().__init__(sensor, which, rate, seed)
        self._log, self._ahead = log, ahead

    def _show(self, client: bytes, port: int, name: str, number: int) -> int:
        now = time.time_ns() // 1000 * 1000
        moment = datetime.fromtimestamp(now / 1e9 + self._ahead, UTC).isoformat("T", "microseconds")
        common = {
            "timestamp": moment, "flow_id": number + 1, "src_ip": ".".join(map(str, client)),
            "src_port": port, "dest_ip": ".".join(map(str, SERVER)), "dest_port": 443,
            "proto": "TCP",
        }  # fmt: skip
        spent = {"pkts_toserver": 4, "pkts_toclient": 3, "bytes_toserver": 800,
                 "bytes_toclient": 200, "start": moment, "end": moment}  # fmt: skip
        tls = {"event_type": "tls", "tls": {"sni": name, "version": "TLS 1.3"}}
        flow = {"event_type": "flow", "app_proto": "tls", "flow": {**spent, "state": "closed"}}
        with self._log.open("a") as log:
            log.write("".join(json.dumps(common | each) + "\n" for each in (tls, flow)))
        return now


def _conversation(client: bytes, port: int, name: str, chance: random.Random) -> Iterator[bytes]:
    """The frames of a TCP connection; the fourth tells the name."""
    writer = Writer(io.BytesIO())
    mac, mine, theirs = b"\x02\x00" + client, chance.getrandbits(31), chance.getrandbits(31)
    out = Direction(GATEWAY + mac, None, client, SERVER, (port, 443), 6)
    back = Direction(mac + GATEWAY, None, SERVER, client, (443, port), 6)
    hello = payload_of(handshakes.records(handshakes.client_hello(name, chance)))
    end = mine + 1 + len(hello.data)
    for direction, flags, payload, seq, ack in (
        (out, SYN, OPTIONS, mine, 0),
        (back, SYN_ACK, OPTIONS, theirs, mine + 1),
        (out, ACK, EMPTY, mine + 1, theirs + 1),
        (out, PSH_ACK, hello, mine + 1, theirs + 1),
        (back, ACK, EMPTY, theirs + 1, end),
        (back, FIN_ACK, EMPTY, theirs + 1, end),
        (out, FIN_ACK, EMPTY, end, theirs + 2),
        (back, ACK, EMPTY, theirs + 2, end + 1),
    ):
        writer.tcp(direction, 0, flags, payload, seq, ack)
    yield from send.packets(io.BytesIO(bytes(writer.out)))
