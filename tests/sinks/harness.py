"""Each receiver in one shape: started, stopped, asked what it got, as lines of text."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from made_deliveries import Certificates
from receivers import Http, Process, free_port, listens, needs


class Receiver(Protocol):
    """`name` is that of the table, `port` where it listens, `tls` and `proxied` say what it
    can be put through."""

    name: str
    port: int
    tls: bool
    proxied: bool

    def keys(self, port: int) -> dict[str, Any]:
        """The keys of an output for it, listening on `port`."""
        ...

    def start(self) -> None: ...

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None: ...

    def lines(self) -> list[str]:
        """What it got so far."""
        ...


class Web:
    """The suite's own HTTP server, in one of its roles."""

    tls, proxied = False, True

    def __init__(self, role: str, folder: Path, certificates: Certificates) -> None:
        self.name = {"http": "webhook", "splunk_hec": "HEC", "elastic": "_bulk"}[role]
        self._role = role
        self.server: Http | None = None
        self._texts: list[str] = []
        self._documents: dict[str, Any] = {}
        self.port = free_port()

    def keys(self, port: int) -> dict[str, Any]:
        more = {"splunk_hec": {"token": {"env": "HEC_TOKEN"}}}.get(self._role, {})
        return {"type": self._role, "url": f"http://127.0.0.1:{port}", "timeout": "1s", **more}

    def start(self) -> None:
        self.server = Http(port=self.port)
        self.server.documents = self._documents
        if self._role == "splunk_hec":
            asked: dict[int, int] = {}

            def second(number: int) -> bool:
                asked[number] = asked.get(number, 0) + 1
                return asked[number] > 1

            self.server.acks = second

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.server is not None:
            ended, self.server = self.server, None
            ended.end()
            self._texts += self._of(ended)

    def _of(self, server: Http) -> list[str]:
        if self._role == "http":
            return [body.decode() for body in server.events]
        if self._role == "splunk_hec":
            return [_text(each["event"]) for each in server.events]
        return []

    def lines(self) -> list[str]:
        if self._role == "elastic":
            return [_text(each) for each in self._documents.values()]
        return self._texts + (self._of(self.server) if self.server else [])


def _text(event: Any) -> str:
    return event if isinstance(event, str) else json.dumps(event)


class Syslog:
    """A syslog daemon that writes messages as they came into a file."""

    proxied = True

    def __init__(self, transport: str, framing: str, folder: Path, certificates: Certificates):
        self.transport, self.framing = transport, framing
        self.tls = transport == "tls"
        self.proxied = transport != "udp"
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.port = free_port(kind)
        self.folder, self.certificates = folder, certificates
        self.got = folder / "got.log"
        self.marks = 0
        self._process: Process | None = None
        self.pair = certificates.issue("127.0.0.1", "siem.example")
        self.client = certificates.issue("netwatch.example") if self.tls else None

    def keys(self, port: int) -> dict[str, Any]:
        keys: dict[str, Any] = {
            "type": "syslog",
            "host": f"127.0.0.1:{port}",
            "transport": self.transport,
            "timeout": "2s",
            "max_bytes": "48k",
        }
        if self.transport != "udp":
            keys["framing"] = self.framing
        if self.client:
            cert, key = self.client
            keys["tls"] = {
                "ca": str(self.certificates.ca),
                "cert": str(cert),
                "key": str(key),
                "server_name": "siem.example",
            }
        return keys

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        if self._process is None:
            self._process = Process(self.command(), self._ready, self.folder)
        else:
            self._process.start()

    def _ready(self) -> bool:
        if self.transport != "udp":
            return listens(self.port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.settimeout(0.05)
            out.connect(("127.0.0.1", self.port))
            try:
                out.send(b"<134>1 - - netwatch - - - ready")
                out.recv(1)
            except TimeoutError:
                return True
            except ConnectionError:
                return False
        return True

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.end(how)

    def lines(self) -> list[str]:
        if not self.got.exists():
            return []
        lines = self.got.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line and line != "ready"]


class Rsyslog(Syslog):
    """rsyslogd with a configuration of its own."""

    def __init__(self, transport: str, framing: str, folder: Path, certificates: Certificates):
        needs("rsyslogd")
        super().__init__(transport, framing, folder, certificates)
        short = {"octet-counting": "octets", "lf": "LF"}[framing]
        self.name = "rsyslog " + {"udp": "UDP", "tcp": f"TCP {short}", "tls": "TLS"}[transport]

    def command(self) -> list[str]:
        driver = ""
        lines = [f'global(workDirectory="{self.folder}" maxMessageSize="64k")']
        if self.tls:
            cert, key = self.pair
            lines.append(
                f'global(defaultNetstreamDriver="gtls"'
                f' defaultNetstreamDriverCAFile="{self.certificates.ca}"'
                f' defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}")'
            )
            driver = (
                ' streamDriver.name="gtls" streamDriver.mode="1"'
                ' streamDriver.authMode="x509/name" permittedPeer=["netwatch.example"]'
            )
        module = "imudp" if self.transport == "udp" else "imtcp"
        lines += [
            f'module(load="{module}"{driver})',
            f'input(type="{module}" address="127.0.0.1" port="{self.port}")',
            'template(name="raw" type="string" string="%msg%\\n")',
            f'action(type="omfile" file="{self.got}" template="raw")',
        ]
        path = self.folder / "rsyslog.conf"
        path.write_text("\n".join(lines) + "\n")
        return ["rsyslogd", "-n", "-f", str(path), "-i", str(self.folder / "rsyslog.pid")]


class SyslogNg(Syslog):
    """syslog-ng, unpacked beside rsyslog, since only one of them can be installed."""

    def __init__(self, transport: str, framing: str, folder: Path, certificates: Certificates):
        super().__init__(transport, framing, folder, certificates)
        self.name = "syslog-ng " + {"tcp": "TCP octets", "tls": "TLS"}[transport]
        there = (Path(root) for root in ("/opt/syslog-ng", "/"))
        found = next((root for root in there if (root / "usr/sbin/syslog-ng").exists()), None)
        if found is None:
            pytest.skip("syslog-ng is not installed")
        self.root = found

    def command(self) -> list[str]:
        tls = ""
        if self.tls:
            cert, key = self.pair
            tls = (
                f' tls(key-file("{key}") cert-file("{cert}") ca-file("{self.certificates.ca}")'
                " peer-verify(required-trusted))"
            )
        path = self.folder / "syslog-ng.conf"
        transport = "tls" if self.tls else "tcp"
        source = f'transport("{transport}") ip("127.0.0.1") port({self.port}){tls}'
        path.write_text(
            "@version: 4.8\n"
            "options { keep-hostname(yes); log-msg-size(65536); stats(freq(0)); };\n"
            f"source s {{ syslog({source}); }};\n"
            f'destination d {{ file("{self.got}" template("$MSG\\n")); }};\n'
            "log { source(s); destination(d); };\n"
        )
        libraries = self.root / "usr/lib/syslog-ng"
        return [
            *("env", f"LD_LIBRARY_PATH={libraries}"),
            str(self.root / "usr/sbin/syslog-ng"),
            "-F",
            "--no-caps",
            *("-f", str(path)),
            *("-p", str(self.folder / "ng.pid"), "-c", str(self.folder / "ng.ctl")),
            *("-R", str(self.folder / "ng.persist"), "--module-path"),
            str(next(libraries.glob("[0-9]*"))),
        ]


class Nats:
    """nats-server with a stream."""

    name, tls, proxied = "NATS JetStream", False, True

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        needs("nats-server")
        pytest.importorskip("nats")
        self.port = free_port()
        self.options: list[str] = []
        self._folder = folder
        self._process: Process | None = None

    def keys(self, port: int) -> dict[str, Any]:
        return {"type": "nats", "url": f"nats://127.0.0.1:{port}", "timeout": "2s"}

    def start(self) -> None:
        command = ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-js"]
        command += self.options
        if self._process is None:
            self._process = Process(
                [*command, "-sd", str(self._folder / "js")],
                lambda: listens(self.port),
                self._folder,
            )
            if not self.options:
                self._do(lambda js: js.add_stream(name="ALERTS", subjects=["netwatch.>"]))
        else:
            self._process.start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.end(how)

    def _do(self, work: Callable[[Any], Any]) -> Any:
        import nats

        async def run() -> Any:
            client = await nats.connect(f"nats://127.0.0.1:{self.port}")
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(run())

    def lines(self) -> list[str]:
        async def all_of(stream: Any) -> list[str]:
            state = (await stream.stream_info("ALERTS")).state
            return [
                (await stream.get_msg("ALERTS", number)).data.decode()
                for number in range(1, state.messages + 1)
            ]

        return self._do(all_of)


class Kafka:
    """librdkafka's mock cluster, in a process of its own."""

    name, tls, proxied = "Kafka (mock cluster)", False, False

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        pytest.importorskip("confluent_kafka")
        self.port = 0
        self._folder = folder
        self._process: Process | None = None

    def keys(self, port: int) -> dict[str, Any]:
        return {
            "type": "kafka",
            "brokers": [f"127.0.0.1:{self.port}"],
            "topic": "alerts",
            "timeout": "3s",
        }

    def start(self) -> None:
        told = self._folder / "port"
        script = Path(__file__).with_name("kafka_cluster.py")
        self._process = Process(
            [sys.executable, str(script), str(told)],
            lambda: told.exists() and told.read_text().endswith("\n"),
            self._folder,
        )
        self.port = int(told.read_text())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.end(how)

    def lines(self) -> list[str]:
        import confluent_kafka as kafka

        consumer = kafka.Consumer(
            {"bootstrap.servers": f"127.0.0.1:{self.port}", "group.id": "test", "log_level": 0}
        )
        got = []
        try:
            topics = consumer.list_topics("alerts", 10).topics
            for number in topics["alerts"].partitions:
                part = kafka.TopicPartition("alerts", number, 0)
                low, high = consumer.get_watermark_offsets(part, 10)
                part.offset = low
                consumer.assign([part])
                left = high - low
                while left:
                    for message in consumer.consume(left, 5):
                        assert not message.error(), message.error()
                        got.append(message.value().decode())
                        left -= 1
        finally:
            consumer.close()
        return got


class File:
    """A file; what does not go over a network has no proxy and no restart."""

    name, tls, proxied, port = "file", False, False, 0

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self._path = folder / "alerts.log"

    def keys(self, port: int) -> dict[str, Any]:
        return {"type": "file", "path": str(self._path)}

    def start(self) -> None:
        pass

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        pass

    def lines(self) -> list[str]:
        return self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []


def made(name: str) -> Callable[[Path, Certificates], Receiver]:
    """How the receiver of that name is made."""
    return RECEIVERS[name]


RECEIVERS: dict[str, Callable[[Path, Certificates], Receiver]] = {
    "file": File,
    "rsyslog-udp": lambda *at: Rsyslog("udp", "octet-counting", *at),
    "rsyslog-tcp": lambda *at: Rsyslog("tcp", "octet-counting", *at),
    "rsyslog-lf": lambda *at: Rsyslog("tcp", "lf", *at),
    "rsyslog-tls": lambda *at: Rsyslog("tls", "octet-counting", *at),
    "syslog-ng-tcp": lambda *at: SyslogNg("tcp", "octet-counting", *at),
    "syslog-ng-tls": lambda *at: SyslogNg("tls", "octet-counting", *at),
    "webhook": lambda *at: Web("http", *at),
    "hec": lambda *at: Web("splunk_hec", *at),
    "bulk": lambda *at: Web("elastic", *at),
    "nats": Nats,
    "kafka": Kafka,
}
