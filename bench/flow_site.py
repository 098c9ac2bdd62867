"""A site in network namespaces: a gateway with a resolver, web servers and exporters of flow
records, and clients behind it that have a namespace each.

Everything that clients send passes the bridge of the gateway, where tcpdump captures it and the
exporters count it. All names have servers on the gateway; packets leave none of the namespaces.
Segments are sent one by one, since a sampled packet has to be a packet of the wire. Needs root,
`ip`, dnsmasq, nginx and tcpdump.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ech_zone
from shared import Namespace, created, wait_until
from support.certificates import self_signed
from support.loopback import Certificate

RESOLVER = "10.20.0.53"
BRIDGE = "br0"
SERVED = ("198.18.0.0/15", "203.0.113.0/24")
"""Where servers are: all addresses are the gateway's."""

START_NAME, START_ADDRESS = "start.example", "198.19.0.1"
"""Where clients fetch the page that sends them elsewhere."""

SIZES = (2_000, 20_000, 100_000, 400_000)
"""Of the files that each server has, bytes; each has its size as its name."""

TTL = 60

_NGINX = """daemon off; master_process off; pid {folder}/nginx.pid; user root;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ text/html html; }}
    default_type application/octet-stream;
    keepalive_timeout 5s;
    server {{
        listen 443 ssl default_server;
        listen 443 quic;
        http2 on;
        ssl_certificate {chain}; ssl_certificate_key {key};
        add_header Alt-Svc 'h3=":443"; ma=3600';
        root {folder}/www;
        location /done/ {{ access_log {folder}/done.log; return 204; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Exporter:
    """An exporter that samples one packet in `rate`: ``softflowd`` or ``pmacct``, which sends
    NetFlow v9 or IPFIX (10)."""

    program: str
    version: int
    rate: int = 1

    @property
    def title(self) -> str:
        """For a table."""
        return f"{self.program}, {'IPFIX' if self.version == 10 else f'v{self.version}'}"

    def command(self, folder: Path, port: int, idle: int) -> list[str]:
        """Its command line; records go to a port of the gateway. Flows end after `idle` s of
        silence, and after four times as long in any case."""
        if self.program == "softflowd":
            files = [folder / f"softflowd-{port}.{end}" for end in ("pid", "ctl")]
            ends = ("tcp", "tcp.rst", "tcp.fin", "udp", "general")
            timeouts = [f"{name}={idle}" for name in ends] + [f"maxlife={4 * idle}", "expint=1"]
            return [
                *("softflowd", "-d", "-i", BRIDGE, "-n", f"127.0.0.1:{port}"),
                *("-v", str(self.version), "-s", str(self.rate)),
                *("-p", str(files[0]), "-c", str(files[1])),
                *(word for each in timeouts for word in ("-t", each)),
            ]
        path = folder / f"pmacctd-{port}.conf"
        lines = {
            "daemonize": "false",
            "pcap_interface": BRIDGE,
            "aggregate": "src_host, dst_host, src_port, dst_port, proto, tcpflags",
            "plugins": "nfprobe",
            "nfprobe_receiver": f"127.0.0.1:{port}",
            "nfprobe_version": str(self.version),
            "nfprobe_timeouts": f"tcp={idle}:tcp.rst={idle}:tcp.fin={idle}:udp={idle}:"
            f"general={idle}:maxlife={4 * idle}:expint=1",
        }
        if self.rate > 1:
            lines["sampling_rate"] = str(self.rate)
        path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
        return ["pmacctd", "-f", str(path)]


@dataclass(slots=True)
class Site:
    """What runs of a site: the gateway, the `clients` by address, and the files of `folder`."""

    folder: Path
    gateway: Namespace
    certificate: Certificate
    clients: dict[str, Namespace] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """The resolver's log."""
        return self.folder / "dnsmasq.log"

    @property
    def capture(self) -> Path:
        """Everything that passed the bridge."""
        return self.folder / "traffic.pcap"

    def is_done(self, token: str) -> bool:
        """Whether a client has asked for ``/done/TOKEN``."""
        path = self.folder / "done.log"
        return path.exists() and f"/done/{token} " in path.read_text()

    @contextlib.contextmanager
    def running(
        self, command: Sequence[str], name: str, number: int = signal.SIGTERM
    ) -> Iterator[None]:
        """A program on the gateway, ended by a signal; its output is in a file of that name."""
        with (self.folder / f"{name}.out").open("wb") as output:
            process = subprocess.Popen(
                self.gateway.inside(*command),
                stdout=output,
                stderr=output,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "TZ": "UTC0"},
            )
        try:
            yield
            if process.poll() is not None:
                said = (self.folder / f"{name}.out").read_text(errors="replace")
                raise RuntimeError(f"{name} has ended: {said[-2000:]}")
        finally:
            process.send_signal(number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


@contextlib.contextmanager
def opened(folder: Path, names: Mapping[str, str], clients: Sequence[str]) -> Iterator[Site]:
    """A site whose resolver knows the addresses of `names`, with clients at these addresses. What
    they send is captured."""
    served = {**names, START_NAME: START_ADDRESS}
    with created() as gateway, contextlib.ExitStack() as stack:
        site = Site(folder, gateway, self_signed(folder, (START_NAME,)))
        gateway.ip("link", "add", BRIDGE, "type", "bridge")
        gateway.ip("address", "add", "10.20.0.1/16", "dev", BRIDGE)
        gateway.ip("address", "add", f"{RESOLVER}/16", "dev", BRIDGE)
        gateway.ip("link", "set", BRIDGE, "gso_max_segs", "1", "up")
        for prefix in SERVED:
            gateway.ip("route", "add", "local", prefix, "dev", "lo")
        for number, address in enumerate(clients):
            site.clients[address] = stack.enter_context(_client(gateway, number, address))
        stack.enter_context(site.running(_nginx(site), "nginx"))
        stack.enter_context(site.running(_dnsmasq(site, served), "dnsmasq"))
        stack.enter_context(_captured(site))
        wait_until(lambda: _listens(gateway), "the servers listen")
        yield site


@contextlib.contextmanager
def _client(gateway: Namespace, number: int, address: str) -> Iterator[Namespace]:
    with created() as client, ech_zone.asking(client, RESOLVER):
        one_by_one = ("gso_max_segs", "1")
        veth = f"c{number}"
        peer = ("peer", "name", "eth0", *one_by_one, "netns", client.name)
        gateway.ip("link", "add", veth, *one_by_one, "type", "veth", *peer)
        gateway.ip("link", "set", veth, "master", BRIDGE, "up")
        client.ip("address", "add", f"{address}/16", "dev", "eth0")
        client.ip("link", "set", "eth0", "up")
        client.wait_for_links("eth0")
        client.ip("route", "add", "default", "via", "10.20.0.1")
        yield client


def _nginx(site: Site) -> list[str]:
    www = site.folder / "www"
    www.mkdir()
    for size in SIZES:
        (www / str(size)).write_bytes(bytes(size))
    path = site.folder / "nginx.conf"
    certificate = site.certificate
    path.write_text(_NGINX.format(folder=site.folder, chain=certificate.chain, key=certificate.key))
    return ["nginx", "-p", str(site.folder), "-c", str(path), "-e", str(site.folder / "error.log")]


def _dnsmasq(site: Site, names: Mapping[str, str]) -> list[str]:
    path = site.folder / "dnsmasq.conf"
    records = [f"host-record={name},{address},{TTL}\n" for name, address in names.items()]
    path.write_text(
        "no-resolv\nno-hosts\nuser=root\npid-file\nlog-queries=extra\nlocal=/#/\n"
        f"listen-address={RESOLVER}\nbind-interfaces\nlog-facility={site.log}\n{''.join(records)}"
    )
    return ["dnsmasq", "--keep-in-foreground", f"--conf-file={path}"]


@contextlib.contextmanager
def _captured(site: Site) -> Iterator[None]:
    path = site.capture
    command = ["tcpdump", "-i", BRIDGE, "-U", "-Z", "root", "-B", "16384", "-w", str(path)]
    with site.running(command, "tcpdump"):
        wait_until(lambda: path.exists() and path.stat().st_size >= 24)
        yield
        time.sleep(1)


def _listens(gateway: Namespace) -> bool:
    """Whether the resolver and the web servers listen: ports 53 over UDP and 443 over TCP."""
    for file, port in (("udp", "0035"), ("tcp", "01BB")):
        done = subprocess.run(
            gateway.inside("cat", f"/proc/net/{file}"), capture_output=True, text=True, check=True
        )
        if f":{port} " not in done.stdout:
            return False
    return True


@contextlib.contextmanager
def exporting(
    site: Site, exporters: Sequence[Exporter], port_of: Callable[[Exporter], int], idle: int
) -> Iterator[None]:
    """Let exporters send records to ports of the gateway; when they end they send the rest."""
    with contextlib.ExitStack() as stack:
        for each in exporters:
            port = port_of(each)
            name = f"{each.program}-{port}"
            # pmacct sends what it has on SIGINT only.
            number = signal.SIGINT if each.program == "pmacct" else signal.SIGTERM
            command = each.command(site.folder, port, idle)
            stack.enter_context(site.running(command, name, number))
        time.sleep(1)
        yield
        # What is not silent for long enough yet is to be counted by its own rules.
        time.sleep(idle + 2)
