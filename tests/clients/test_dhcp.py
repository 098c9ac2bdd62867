"""Real DHCP clients and a real server, on a pair of interfaces in two namespaces that this
test makes: what is learned of them, when their address moves.

The namespaces have no way out; the addresses are of documentation and 10.0.0.0/8.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.captures import CallableConsumer
from support.programs import needs
from support.waiting import wait_until

from netwatch.capture.files import find_captures
from netwatch.core.addresses import mac_text, parse_ip
from netwatch.core.message import LEARNING_SOURCES, AddressClaim, Message, Packet
from netwatch.core.statistics import RunStatistics
from netwatch.dissect.consumer import DissectorOptions
from netwatch.engine.capture_files import read_blocks
from netwatch.engine.observe import Observer
from netwatch.inventory.learned import LearnedBindings

pytestmark = needs("tcpdump", "dnsmasq", "udhcpc", "dhclient", "ip", "ping")

ALICE, BOB = "02:00:00:20:06:a1", "02:00:00:20:06:b2"
SERVER, SERVER6 = "10.20.6.1", "2001:db8:20:6::1"
LENT, LENT6 = "10.20.6.50", "2001:db8:20:6::50"

BOUND = f"""#!/bin/sh
test "$1" = bound || exit 0
ip addr replace "$ip/24" dev "$interface" && ping -n -c 1 -W 5 {SERVER} && echo it works
"""
"""What the client does once it has its address."""


class Network:
    """Two namespaces with an interface each, joined; the server's is watched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tag = secrets.token_hex(3)
        self.server, self.client = f"nwd{tag}s", f"nwd{tag}c"
        self.capture = folder / "leases.pcap"

    def ip(self, *words: str) -> None:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot make a network namespace: {done.stderr.strip()}")

    def make(self) -> None:
        for name in (self.server, self.client):
            self.ip("netns", "add", name)
            self.ip("-n", name, "link", "set", "lo", "up")
        ends = ("link", "add", "srv", "type", "veth", "peer", "name", "cli", "netns", self.client)
        self.ip("-n", self.server, *ends)
        self.ip("-n", self.server, "addr", "add", f"{SERVER}/24", "dev", "srv")
        self.ip("-n", self.server, "addr", "add", f"{SERVER6}/64", "dev", "srv", "nodad")
        self.ip("-n", self.server, "link", "set", "srv", "up")

    def drop(self) -> None:
        for name in (self.server, self.client):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def become(self, mac: str) -> None:
        """Plug another computer in."""
        self.ip("-n", self.client, "link", "set", "cli", "down")
        self.ip("-n", self.client, "addr", "flush", "dev", "cli")
        self.ip("-n", self.client, "link", "set", "cli", "address", mac)
        self.ip("-n", self.client, "link", "set", "cli", "up")
        wait_until(lambda: b"tentative" not in self.addresses() and b"fe80" in self.addresses())

    def addresses(self) -> bytes:
        show = ["ip", "-n", self.client, "-6", "addr", "show", "dev", "cli"]
        return subprocess.run(show, capture_output=True, check=True).stdout

    def run(self, *command: str) -> None:
        """Run a client to its end."""
        inside = ["ip", "netns", "exec", self.client, *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    @contextlib.contextmanager
    def started(self, *command: str, says: str, where: str = "") -> Iterator[None]:
        """A program beside, at the server or else `where`, from when it `says` that it is
        there; it is asked to end."""
        inside = ["ip", "netns", "exec", where or self.server, *command]
        log = self.folder / f"{Path(command[0]).name}.log"
        with log.open("wb") as out, subprocess.Popen(inside, stderr=out, stdout=out) as process:
            try:
                wait_until(
                    lambda: says.encode() in log.read_bytes(),
                    lambda: f"{command[0]} says {says}; it said {log.read_text(errors='replace')}",
                )
                yield
            finally:
                for _ in range(10):
                    # tcpdump may miss one that comes just before it waits for a packet
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(2)
                        break
                else:
                    process.kill()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    if os.geteuid():
        pytest.skip("only root makes network namespaces")
    made = Network(tmp_path)
    try:
        made.make()
        yield made
    finally:
        made.drop()


def computer(network: Network, mac: str, name: str) -> None:
    """Boot, get both addresses, use one, and give both back."""
    network.become(mac)
    true, bound = str(shutil.which("true")), network.folder / "bound.sh"
    bound.write_text(BOUND)
    bound.chmod(0o755)
    named = ["-x", f"hostname:{name}", "-s", str(bound)]
    udhcpc = ["udhcpc", "-i", "cli", "-f", "-n", "-R", *named]
    with network.started(*udhcpc, says="it works", where=network.client):
        pass
    config = network.folder / "dhclient.conf"
    config.write_text(f'send fqdn.fqdn "{name}.corp.example";\nsend fqdn.encoded on;\n')
    files = ["-cf", str(config), "-lf", str(network.folder / f"{name}.leases"), "-sf", true]
    files += ["-pf", str(network.folder / f"{name}.pid")]
    network.run("dhclient", "-6", "-1", *files, "cli")
    network.run("dhclient", "-6", "-r", *files, "cli")


def test_an_address_moves_from_one_computer_to_another(network: Network) -> None:
    folder, leases = network.folder, network.folder / "dnsmasq.leases"
    leases.touch()
    dnsmasq = ["dnsmasq", "-k", "-C", "/dev/null", "-p", "0", "-i", "srv", "--log-facility=-"]
    dnsmasq += ["--user=root", f"--dhcp-leasefile={leases}", f"--pid-file={folder / 'dns.pid'}"]
    dnsmasq += [f"--dhcp-range={LENT},{LENT},255.255.255.0,5m", "--no-ping", "--enable-ra"]
    dnsmasq += ["--dhcp-authoritative", f"--dhcp-range={LENT6},{LENT6},64,5m"]
    tcpdump = ["tcpdump", "-i", "srv", "-n", "-U", "--immediate-mode", "-w", str(network.capture)]
    with network.started(*tcpdump, says="listening on"):
        with network.started(*dnsmasq, says="RTR-ADVERT"):
            computer(network, ALICE, "alice-pc")
            computer(network, BOB, "bob-pc")
        size = -1
        while network.capture.stat().st_size != size:
            size = network.capture.stat().st_size
            network.run("ping", "-n", "-c", "1", "-W", "5", SERVER)

    learned = LearnedBindings(lambda ip, vlan: "hq" if ip[0] in (10, 0x20) else None, 60)
    leased: list[tuple[int, AddressClaim, str | None]] = []
    kinds: set[tuple[str, int]] = set()

    def claimed(packet: Packet, message: Message) -> None:
        learned.record(packet, message)
        for claim in message.claims:
            kinds.update((claim.kind, len(ip)) for ip in claim.addresses)
            if claim.kind == "lease":
                binding = learned.binding_at(claim.addresses[0], None, None, packet.time)
                assert binding is not None
                leased.append((packet.time, claim, binding.hostname))

    statistics = RunStatistics()
    consumer = CallableConsumer(address_claimed=claimed)
    observer = Observer(consumer, statistics, DissectorOptions(learn_from=LEARNING_SOURCES), seed=0)
    for captured, source in read_blocks(find_captures([str(network.capture)]), statistics):
        assert not [start for start, stop in observer.rows(captured, source) if start < stop]
    observer.close()
    assert {"dhcp-option", "dhcpv6-option", "nd-option"} & set(statistics.anomalies) == set()
    assert kinds >= {("release", 4), ("release", 16), ("announcement", 4)}
    for ip in (LENT, LENT6):
        packed = parse_ip(ip)
        assert packed is not None
        reported = [(time, name) for time, claim, name in leased if packed in claim.addresses]
        assert {name for _, name in reported} == {"alice-pc", "bob-pc"}  # as the server has them
        for time_, name in reported:
            binding = learned.past_binding(packed, None, None, time_)
            assert binding is not None
            assert binding.mac is not None
            assert mac_text(binding.mac) == (ALICE if name == "alice-pc" else BOB)
