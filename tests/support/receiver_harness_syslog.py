"""Syslog daemons as a `receiver_harness.Receiver`."""

import os
import signal
import socket
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest
from support.made_deliveries import Certificates
from support.ports import free_port, is_listening
from support.programs import Process, require_programs


class Syslog(ABC):
    """A syslog daemon that writes messages unchanged to a file."""

    def __init__(self, transport: str, framing: str, folder: Path, certificates: Certificates):
        self.transport, self.framing = transport, framing
        self.tls = transport == "tls"
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.port = free_port(kind)
        self.folder, self.certificates = folder, certificates
        self.got = folder / "got.log"
        self._process: Process | None = None
        self.pair = certificates.issue("127.0.0.1", "siem.example")
        self.client = certificates.issue("netwatch.example") if self.tls else None

    def keys(self, port: int) -> dict[str, Any]:
        keys: dict[str, Any] = {
            "type": "syslog",
            "host": f"127.0.0.1:{port}",
            "transport": self.transport,
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

    def set_certificate(self, pair: tuple[Path, Path]) -> None:
        """Use this certificate and key from the next start on."""
        self.pair = pair

    @abstractmethod
    def command(self) -> list[str]:
        """The command that starts it."""

    def start(self) -> None:
        command = self.command()
        if self._process is None:
            self._process = Process(command, self._ready, self.folder)
        else:
            self._process.start()

    def _ready(self) -> bool:
        if self.transport != "udp":
            return is_listening(self.port)
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


MODULES = ("/usr/lib/*/rsyslog", "/usr/lib/rsyslog", "/usr/lib64/rsyslog", "/usr/local/lib/rsyslog")
"""Where rsyslogd has its modules unless RSYSLOG_MODDIR says so."""


def require_rsyslog_modules(*names: str) -> None:
    """Skip the test if rsyslogd lacks a module. Distributions package some apart from it, such as
    the driver for TLS, and without them it starts but does not listen."""
    require_programs("rsyslogd")
    own = os.environ.get("RSYSLOG_MODDIR", "")
    folders = [Path(own)] if own else [p for each in MODULES for p in Path("/").glob(each[1:])]
    if not folders:
        return  # Wherever they are: a server that does not start shows why.
    for name in names:
        if not any((folder / f"{name}.so").exists() for folder in folders):
            pytest.skip(f"rsyslogd has no module {name} in {folders[0]}")


class Rsyslog(Syslog):
    """rsyslogd with a configuration for the test."""

    def __init__(self, transport: str, framing: str, folder: Path, certificates: Certificates):
        transport_module = "imudp" if transport == "udp" else "imtcp"
        require_rsyslog_modules(transport_module, *(["lmnsd_gtls"] if transport == "tls" else []))
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
    """syslog-ng from a folder of its own, because it cannot be installed beside rsyslog."""

    def __init__(self, transport: str, framing: str, folder: Path, certificates: Certificates):
        super().__init__(transport, framing, folder, certificates)
        self.name = "syslog-ng " + {"tcp": "TCP octets", "tls": "TLS"}[transport]
        there = (Path(root) for root in ("/opt/syslog-ng", "/"))
        found = next((root for root in there if (root / "usr/sbin/syslog-ng").exists()), None)
        if found is None:
            pytest.skip("syslog-ng is not installed")
        self.root = found
        self.libraries = found / "usr/lib/syslog-ng"
        self.modules = next(self.libraries.glob("[0-9]*"), None)
        if self.modules is None:
            pytest.skip(f"syslog-ng has no modules in {self.libraries}")

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
        return [
            *("env", f"LD_LIBRARY_PATH={self.libraries}"),
            str(self.root / "usr/sbin/syslog-ng"),
            "-F",
            "--no-caps",
            *("-f", str(path)),
            *("-p", str(self.folder / "ng.pid"), "-c", str(self.folder / "ng.ctl")),
            *("-R", str(self.folder / "ng.persist"), "--module-path"),
            str(self.modules),
        ]
