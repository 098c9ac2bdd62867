"""Tenzir as a `receiver_harness.Receiver`: a HEC collector, a bulk endpoint, a webhook and a
syslog daemon, each a pipeline that writes what it receives as JSON lines.

Its readers infer types: a text that looks like a time becomes a time and is written in Tenzir's
notation, so times are compared as times. What Tenzir's parsers of the formats make of a message is
checked by the tests of Tenzir only.
"""

import json
import re
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from support.made_deliveries import Certificates
from support.ports import free_port, is_listening
from support.programs import Process, require_programs
from support.receivers import RECEIVERS

PROGRAM = RECEIVERS / "bin" / "tenzir"

SOURCES = {
    "splunk_hec": 'accept_splunk "127.0.0.1:PORT", hec_token="secret-of-the-collector" TLS',
    "elastic": 'accept_elasticsearch "127.0.0.1:PORT" TLS',
    "syslog": 'accept_tcp "127.0.0.1:PORT" { read_syslog octet_counting=true }',
    "http": 'accept_http "127.0.0.1:PORT" TLS { read_all }',
}
_NAMES = {"splunk_hec": "HEC", "elastic": "_bulk", "syslog": "syslog", "http": "webhook"}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+?))?0*(?:Z|\+0000)")


def command() -> str:
    """The program; skips the test if it is not installed."""
    found = shutil.which("tenzir") or (str(PROGRAM) if PROGRAM.exists() else None)
    if found is None:
        pytest.skip("Tenzir is not installed (make receivers)")
    require_programs(found)
    return found


def normalize_times(value: Any) -> Any:
    """A value with all times in one notation and without null values."""
    if isinstance(value, str):
        time = _TIME.fullmatch(value)
        return f"{time[1]}.{time[2] or 0}Z" if time else value
    if isinstance(value, dict):
        return {key: normalize_times(each) for key, each in value.items() if each is not None}
    return [normalize_times(each) for each in value] if isinstance(value, list) else value


class Tenzir:
    """A pipeline that acts as one type of receiver. `stages` follow its source."""

    def __init__(
        self, kind: str, folder: Path, certificates: Certificates, stages: str = ""
    ) -> None:
        self.name = f"Tenzir {_NAMES[kind]}"
        self._program = command()
        self._kind, self._folder, self._stages = kind, folder, stages
        self._ca = certificates.ca
        self._pair: tuple[Path, Path] | None = None
        self._process: Process | None = None
        self._starts = 0
        self.port = free_port(socket.SOCK_STREAM)

    def keys(self, port: int) -> dict[str, Any]:
        keys: dict[str, Any] = {"type": self._kind}
        if self._kind == "syslog":
            return keys | {"host": f"127.0.0.1:{port}", "transport": "tcp", "max_bytes": "48k"}
        keys["url"] = f"{'https' if self._pair else 'http'}://127.0.0.1:{port}"
        if self._pair:
            keys["tls"] = {"ca": str(self._ca)}
        return keys | ({"token": {"env": "HEC_TOKEN"}} if self._kind == "splunk_hec" else {})

    def set_certificate(self, pair: tuple[Path, Path]) -> None:
        """Use TLS with this certificate and key from the next start on."""
        self._pair = pair

    def start(self) -> None:
        self._starts += 1
        tls = ""
        if self._pair:
            tls = f', tls={{certfile: "{self._pair[0]}", keyfile: "{self._pair[1]}"}}'
        source = SOURCES[self._kind].replace("PORT", str(self.port)).replace(" TLS", tls)
        path = self._folder / f"got-{self._starts}.ndjson"
        pipeline = f'{source}\n{self._stages}\nto_file "{path}" {{ write_ndjson }}\n'
        self._process = Process(
            [self._program, pipeline], lambda: is_listening(self.port), self._folder
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.end(how)

    def events(self) -> list[Any]:
        """What it has written so far, without an incomplete last line."""
        paths = sorted(self._folder.glob("got-*.ndjson"))
        lines = [line for each in paths for line in each.read_text("utf-8").split("\n")[:-1]]
        return [json.loads(line) for line in lines]

    def lines(self) -> list[str]:
        if self._kind == "elastic":
            return [json.dumps(each) for each in self.events()]
        key = {"splunk_hec": "event", "syslog": "message", "http": "data"}[self._kind]
        found = [each[key] for each in self.events()]
        return [each if isinstance(each, str) else json.dumps(each) for each in found]
