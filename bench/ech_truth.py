"""Candidate sets of hellos with ECH, held to what a server that decrypts them says.

    PATH=$PATH:/usr/lib/go-1.24/bin .venv/test/bin/python bench/ech_truth.py

In a network namespace a resolver gives the HTTPS records of an own zone, three servers with keys
of their own serve its names (`bench/ech_server.go`), and Chromium and Go's standard library visit
them in random order, beside names without ECH, whose hellos have GREASE in its place. The banned
app's names are beside others on the first server, alone on the second, and one alone on the third.
The public name of the first server is visited too; with ``--unseen`` its lookups are missing in the
capture. Needs root, `ip`, tcpdump, Chromium and Go 1.24 or newer.
"""

import argparse
import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import ech_zone
import veth
from shared import ROOT, Namespace, created, wait_until

import netwatch.api
from netwatch.cli import main
from netwatch.engine.resolved_addresses import EchCandidates

APP = ("www.tiktok.com", "api16-normal.tiktokv.com", "m.tiktok.com", "v16-webapp.tiktok.com")
BLOGS = tuple(f"www.blog{number}.example" for number in range(6))
PLAIN = tuple(f"www.plain{number}.example" for number in range(4))
SERVERS = (
    ech_zone.Server("203.0.113.10", "edge.cdn-front.example", 42, (*BLOGS, APP[0])),
    ech_zone.Server("203.0.113.20", "edge.app-front.example", 43, (APP[1], APP[2])),
    ech_zone.Server("203.0.113.30", "edge.one-front.example", 44, (APP[3],)),
)
PUBLIC = frozenset(server.public for server in SERVERS)
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-quic",
    "--ignore-certificate-errors", "--enable-features=AsyncDns,UseDnsHttpsSvcb", "--dump-dom",
)  # fmt: skip
CONFIG = """version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service}]
bans:
  - {id: our-rule, authority: City, apps: [tiktok], forbids: [service], timezone: UTC}
"""


Place = tuple[str, int]
"""The address of a server and the port of its client. A port is used again and again."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A connection as its server saw it: whether it decrypted the hello, and the name in it."""

    decrypted: bool
    name: str


def measured(
    visits: int, seed: int, client: str, folder: Path, *, unseen: bool = False
) -> dict[str, float]:
    """What came of so many visits by a client (``chromium`` or ``go``), where the capture does not
    have the lookups of public names if they are `unseen`."""
    rng = random.Random(seed)
    names = [name for server in SERVERS for name in server.names]
    schedule = rng.choices([*names, *PLAIN, SERVERS[0].public], k=visits)
    with created() as namespace:
        ech_zone.addresses(namespace, SERVERS)
        with contextlib.ExitStack() as stack:
            program = _built(folder)
            logs = [folder / f"{client}-{server.config_id}.log" for server in SERVERS]
            for server, log in zip(SERVERS, logs, strict=True):
                stack.enter_context(_serving(namespace, program, server, log))
            lists = {
                server.public: bytes.fromhex(log.read_text().split()[0])
                for server, log in zip(SERVERS, logs, strict=True)
            }
            plain = dict.fromkeys((*PLAIN, SERVERS[0].public), SERVERS[0].address)
            stack.enter_context(ech_zone.resolver(namespace, SERVERS, lists, plain))
            capture = folder / f"{client}.pcap"
            stack.enter_context(_captured(namespace, capture))
            if client == "chromium":
                _browse(namespace, schedule, folder)
            else:
                _ask(namespace, program, schedule, lists)
        if unseen:
            capture.write_bytes(b"".join(_without_public(capture.read_bytes())))
        return _compared(capture, _truth(logs), folder)


def _built(folder: Path) -> str:
    program = folder / "ech_server"
    if not program.exists():
        source = folder / "main.go"
        shutil.copy(ROOT / "bench" / "ech_server.go", source)
        environment = {**os.environ, "GOCACHE": str(folder / "cache"), "GO111MODULE": "off"}
        subprocess.run(
            ["go", "build", "-o", str(program), str(source)], check=True, env=environment
        )
    return str(program)


@contextlib.contextmanager
def _serving(
    namespace: Namespace, program: str, server: ech_zone.Server, log: Path
) -> Iterator[None]:
    command = [program, "serve", f"{server.address}:443", server.public, str(server.config_id)]
    with log.open("wb") as stream:
        process = subprocess.Popen(namespace.inside(*command), stdout=stream)
    try:
        wait_until(lambda: log.read_text().endswith("\n"))
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def _captured(namespace: Namespace, path: Path) -> Iterator[None]:
    command = ["tcpdump", "-i", "lo", "-U", "-Z", "root", "-B", "16384", "-w", str(path)]
    process = subprocess.Popen(namespace.inside(*command), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: path.exists() and path.stat().st_size >= 24)
        yield
        time.sleep(1)
    finally:
        process.terminate()
        process.wait(10)


def _browse(namespace: Namespace, schedule: Sequence[str], folder: Path) -> None:
    """Pages that load the names of the schedule as pictures, each with a connection of its own."""
    for number, at in enumerate(range(0, len(schedule), 60)):
        page = folder / f"page{number}.html"
        pictures = "".join(
            f"<img src='https://{name}/?{number}-{place}'>"
            for place, name in enumerate(schedule[at : at + 60])
        )
        page.write_text(f"<!doctype html><body>{pictures}</body>")
        command = ["chromium", *CHROMIUM, f"--user-data-dir={folder / 'profile'}", f"file://{page}"]
        subprocess.run(
            namespace.inside(*command),
            check=True,
            timeout=120,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder)},
        )


def _ask(
    namespace: Namespace, program: str, schedule: Sequence[str], lists: Mapping[str, bytes]
) -> None:
    """Look each name up as a browser does, and visit it."""
    places = {name: server for server in SERVERS for name in server.names}
    for name in schedule:
        ech_zone.look_up(namespace, name)
        server = places.get(name)
        address = server.address if server else SERVERS[0].address
        given = lists[server.public].hex() if server else ""
        command = [program, "ask", f"{address}:443", name, given]
        subprocess.run(namespace.inside(*command), check=True, timeout=30)


def _without_public(capture: bytes) -> Iterator[bytes]:
    """A capture (pcap, little-endian) without lookups of public names, in pieces."""
    names = (public.encode() for public in PUBLIC)
    asked = tuple(
        b"".join(bytes([len(label)]) + label for label in name.split(b".")) + b"\0"
        for name in names
    )
    yield capture[:24]
    at = 24
    while at < len(capture):
        end = at + 16 + int.from_bytes(capture[at + 8 : at + 12], "little")
        frame = capture[at + 16 : end]
        is_dns = frame[23] == 17 and b"\0\x35" in (frame[34:36], frame[36:38])
        # The question is behind the header; keys in answers name the public name as a text.
        if not (is_dns and frame[54:].startswith(asked)):
            yield capture[at:end]
        at = end


def _truth(logs: Sequence[Path]) -> dict[Place, list[Contact]]:
    """The connections of the servers with these logs, those of each place in their order."""
    found: dict[Place, list[Contact]] = {}
    for server, log in zip(SERVERS, logs, strict=True):
        for line in log.read_text().splitlines()[1:]:
            port, decrypted, name, ok = line.split(" ")
            if name:
                found.setdefault((server.address, int(port)), []).append(
                    Contact(decrypted == "true" and ok == "true", name)
                )
    return found


def _compared(
    capture: Path, truth: Mapping[Place, Sequence[Contact]], folder: Path
) -> dict[str, float]:
    config = folder / "netwatch.yaml"
    config.write_text(CONFIG)
    sets: dict[int, tuple[str, ...]] = {}
    original = EchCandidates.names_of

    def recorded(self: EchCandidates, hello, is_same_device):  # type: ignore[no-untyped-def]
        names = original(self, hello, is_same_device)
        sets[hello.packet] = tuple(names)
        return names

    with mock.patch.object(EchCandidates, "names_of", recorded):
        alerts = str(folder / "alerts.txt")
        main(["scan", "-q", "--jobs", "1", "-c", str(config), "-o", alerts, str(capture)])
    contacts = dict(_by_packet(capture, truth))
    hidden = {packet: each.name for packet, each in contacts.items() if each.decrypted}
    shown = {packet: each.name for packet, each in contacts.items() if not each.decrypted}
    linked = {packet: sets[packet] for packet in hidden if sets.get(packet)}
    sizes = [len(names) for names in linked.values()] or [0]
    return {
        "hellos with ECH": len(hidden),
        "with a set": len(linked),
        "true name in the set": sum(hidden[packet] in names for packet, names in linked.items()),
        # These link nothing: the hello may be GREASE to that name.
        "with the name shown, too": sum(not PUBLIC.isdisjoint(each) for each in linked.values()),
        "k median": statistics.median(sizes),
        "k most": max(sizes),
        "other hellos": len(shown),
        # Chromium sends GREASE where it got no configuration.
        "other hellos linked": sum(
            shown[packet] not in sets[packet] for packet in shown if sets.get(packet)
        ),
        "other hellos that may hide a name": sum(bool(sets.get(packet)) for packet in shown),
    }


def _by_packet(
    capture: Path, truth: Mapping[Place, Sequence[Contact]]
) -> Iterator[tuple[int, Contact]]:
    """The connections by the packet of their hello."""
    hellos: dict[Place, list[int]] = {}
    for seen in netwatch.api.names(capture):
        if seen.evidence == "tls-sni":
            place = str(seen.server.ip), seen.client.port or 0
            hellos.setdefault(place, []).append(seen.packet or 0)
    for place, contacts in truth.items():
        yield from zip(hellos.get(place, ()), contacts, strict=False)


def run(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the figures of each client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unseen", action="store_true", help="miss lookups of public names")
    options = parser.parse_args(arguments)
    veth.require("tcpdump", "chromium", "go")
    with tempfile.TemporaryDirectory() as folder:
        for client in ("chromium", "go"):
            found = measured(
                options.visits, options.seed, client, Path(folder), unseen=options.unseen
            )
            print(client, found, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run())
