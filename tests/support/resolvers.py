"""Real resolvers on loopback: lookups of several clients, what is captured of them, what is logged.

A resolver answers from its own configuration, so that nothing leaves the machine. Its clients are
sockets with addresses of 127.0.0.0/8. `observe` gives what netwatch tells of the packets and of
the log, and `differences` where the log says less.
"""

import json
import os
import signal
import socket
import struct
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.loopback import HOST, Capture
from support.ports import free_port
from support.programs import end, search_path
from support.waiting import wait_until

from netwatch.cli import main

TYPES = {"A": 1, "TXT": 16, "AAAA": 28, "HTTPS": 65}

LOOKUPS = [
    ("127.0.0.2", "www.tiktok.com", "A", "udp"),
    ("127.0.0.2", "www.tiktok.com", "AAAA", "udp"),
    ("127.0.0.2", "www.tiktok.com", "HTTPS", "udp"),
    ("127.0.0.3", "WwW.TikTok.CoM", "A", "udp"),
    ("127.0.0.3", "shop.example.org", "A", "udp"),
    ("127.0.0.4", "gone.tiktok.com", "A", "udp"),
    ("127.0.0.5", "m.tiktok.com", "A", "udp"),
    ("127.0.0.6", "www.tiktok.com", "A", "tcp"),
    ("127.0.0.7", "www.example.org", "A", "udp"),
]
"""Client, name, type and transport. ``shop.example.org`` is an alias of ``shops.tiktok.com``, there
is no ``gone.tiktok.com``, and ``m.tiktok.com`` is blocked."""

CONFIG = """\
version: 1
networks:
  - {name: loopback, cidrs: [127.0.0.0/8], class: service}
bans:
  - id: no-tiktok
    authority: TEST
    apps: [tiktok]
    forbids: [service]
    from: 2020-01-01
"""

Difference = tuple[str, str, str, str]
"""Evidence (``incident`` for what is reported), name, field, and what the log has of it: nothing,
or another value."""


def query(name: str, kind: str, number: int) -> bytes:
    """A query (RFC 1035 section 4.1), with the letters of the name as they are."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    header = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack(">HH", TYPES[kind], 1)


def ask(port: int, client: str, name: str, kind: str, transport: str = "udp") -> bytes:
    """Send a query and return the response."""
    message = query(name, kind, 4711)
    if transport == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(5)
            udp.bind((client, 0))
            # Connected, it hears at once that nobody listens yet.
            udp.connect((HOST, port))
            udp.send(message)
            return udp.recv(4096)
    with socket.create_connection((HOST, port), 5, (client, 0)) as tcp:
        tcp.sendall(struct.pack(">H", len(message)) + message)
        return tcp.recv(4096)


@contextmanager
def resolver(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """A resolver that runs until the end, when its log is complete. Its local time is UTC."""
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PATH": search_path(), "TZ": "UTC0"},
        )

    def answers() -> bool:
        assert process.poll() is None, (folder / "output.txt").read_text()
        try:
            return bool(ask(port, "127.0.0.9", "ready.example.org", "A"))
        except OSError:
            return False

    try:
        wait_until(answers, "the resolver answers")
        yield
    finally:
        end(process, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Observed:
    """What netwatch tells of packets and of the log of the same lookups: the records of ``names``
    and of ``scan``."""

    packets: list[dict[str, Any]]
    log: list[dict[str, Any]]
    packet_alerts: list[dict[str, Any]]
    log_alerts: list[dict[str, Any]]


def observe(folder: Path, log: Path, configure: Callable[[Path, int], list[str]]) -> Observed:
    """Run a resolver that `configure` prepares in the folder for a port, and look up."""
    port = free_port(socket.SOCK_DGRAM)
    command = configure(folder, port)
    capture = Capture(folder / "lookups.pcap", port)
    with resolver(command, port, folder), capture:
        for client, name, kind, transport in LOOKUPS:
            assert ask(port, client, name, kind, transport)
    (folder / "netwatch.yaml").write_text(CONFIG)
    clients = {client for client, *_ in LOOKUPS}

    def records(command: str, path: Path) -> list[dict[str, Any]]:
        output = folder / f"{command}-{path.suffix}.jsonl"
        words = ["-c", str(folder / "netwatch.yaml")] if command == "scan" else []
        status = main([command, "-q", *words, "--format", "jsonl", "-o", str(output), str(path)])
        assert status in (0, 3), status
        return [json.loads(line) for line in output.read_text().splitlines()]

    def of_clients(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each for each in found if each["client"]["ip"] in clients]

    return Observed(
        of_clients(capture.records),
        of_clients(records("names", log)),
        records("scan", capture.path),
        records("scan", log),
    )


_ANSWER = ("rcode", "answers", "chain")


def _fields(record: dict[str, Any]) -> dict[str, Any]:
    """What is compared of an observation."""
    dns, server = record.get("dns", {}), record.get("server", {})
    fields = {
        "client port": record["client"].get("port"),
        "server": server.get("ip"),
        "server port": server.get("port"),
        "transport": record["transport"],
        "letters": record.get("raw"),
        "asked": record.get("asked"),
    }
    return fields | {field: dns.get(field) for field in _ANSWER}


def differences(observed: Observed) -> set[Difference]:
    """Where the log says less than the packets, or something else."""
    logged: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for record in observed.log:
        logged[_key(record)].append(record)
    found: set[Difference] = set()
    for record in observed.packets:
        evidence, name = record["evidence"], record["name"]
        same = logged[_key(record)]
        if not same:
            found.add((evidence, name, "record", "nothing"))
            continue
        ours = _fields(same.pop(0))
        for field, value in _fields(record).items():
            if ours[field] != value:
                found.add((evidence, name, field, "nothing" if not ours[field] else "another"))
    for key, rest in logged.items():
        found |= {(key[0], key[1], "record", "more") for _ in rest}
    return found | _alert_differences(observed)


def _key(record: dict[str, Any]) -> tuple[str, ...]:
    return (
        record["evidence"],
        record["name"],
        record["client"]["ip"],
        record.get("dns", {}).get("type", ""),
    )


def _alert_differences(observed: Observed) -> set[Difference]:
    """Where the incidents differ, with the address of their device as the name."""
    ours = {each["device"]["ip"]: each for each in observed.log_alerts}
    theirs = {each["device"]["ip"]: each for each in observed.packet_alerts}
    found: set[Difference] = {
        ("incident", ip, "record", "nothing") for ip in theirs.keys() - ours.keys()
    }
    found |= {("incident", ip, "record", "more") for ip in ours.keys() - theirs.keys()}
    for ip in ours.keys() & theirs.keys():
        for field, value in _reported(theirs[ip]).items():
            got = _reported(ours[ip])[field]
            if got != value:
                found.add(
                    ("incident", ip, field, f"{got} of {value}" if field == "lookups" else got)
                )
    return found


def _reported(alert: dict[str, Any]) -> dict[str, str]:
    """What is compared of an incident."""
    return {
        "verdict": alert["verdict"],
        "kind": alert["kind"]["value"],
        "confidence": alert["confidence"],
        "outcome": alert["outcome"],
        "lookups": str(alert["counts"]["lookups"]),
    }


def _where(
    places: set[tuple[str, str]], everywhere: set[tuple[str, str]], found: set[Difference]
) -> str:
    """Where a difference is: ``all`` records, all but those that the log does not have, or some."""
    missing = {(evidence, name) for evidence, name, field, _ in found if field == "record"}
    if places in (everywhere, everywhere - missing):
        return "all" if places == everywhere else "all others"
    return ", ".join(sorted(" ".join(place) for place in places))


def table(observed: Observed, folder: Path) -> dict[str, str]:
    """The differences by field, with what the log has of it, and where: ``all`` names, or some. It
    is written to ``differences.txt`` in the folder, too."""
    found = differences(observed)
    everywhere = {(each["evidence"], each["name"]) for each in observed.packets}
    fields: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for evidence, name, field, what in found:
        fields[f"{field}: {what}"].add((evidence, name))
    rows = {field: _where(places, everywhere, found) for field, places in sorted(fields.items())}
    text = "".join(f"{field}\t{places}\n" for field, places in rows.items())
    (folder / "differences.txt").write_text(text)
    return rows
