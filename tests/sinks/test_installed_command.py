"""Every type of output delivers from the installed command, in a process of its own: what the
command does to its process before it opens an output, a test within this one does not see."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.delivery_fixtures import certificates  # noqa: F401 - a fixture
from support.made_deliveries import Certificates
from support.receiver_harness import File, Mail, Receiver, Web
from support.receiver_harness_bus import Kafka, Nats
from support.receivers import Http, Listener
from support.waiting import TIMEOUT

from netwatch.sinks.registry import SINKS

COMMAND = Path(sys.executable).with_name("netwatch")


@dataclass
class Case:
    """The keys of an output, and what its receiver has got."""

    keys: dict[str, Any]
    got: Callable[[], str]


@pytest.fixture
def cases(tmp_path: Path, certificates: Certificates) -> Iterator[dict[str, Case]]:  # noqa: F811
    """Each type of output with its receiver on loopback, but NATS where its server is missing."""
    receivers: list[Receiver] = [File(tmp_path, certificates), Mail(tmp_path, certificates)]
    receivers += [Web(role, tmp_path, certificates) for role in ("http", "splunk_hec", "elastic")]
    kafka = Kafka(tmp_path, certificates)
    receivers.append(kafka)
    if shutil.which("nats-server"):
        receivers.append(Nats(tmp_path, certificates))
    with ExitStack() as stack:
        made = {}
        for receiver in receivers:
            receiver.start()
            stack.callback(kafka.end if receiver is kafka else receiver.stop)
            keys = receiver.keys(receiver.port)
            keys.update({"timeout": "30s"} if "timeout" in keys else {})
            made[keys["type"]] = Case(keys, lambda of=receiver: "\n".join(of.lines()))  # type: ignore[misc]
        received: list[bytes] = []

        def read(client: socket.socket) -> None:
            with client:
                while data := client.recv(65536):
                    received.append(data)

        syslog, service = Listener(read), Http()
        stack.callback(syslog.end)
        stack.callback(service.end)
        keys = {"type": "syslog", "host": f"127.0.0.1:{syslog.port}", "transport": "tcp"}
        made["syslog"] = Case(keys, lambda: b"".join(received).decode())
        url = tmp_path / "url"
        url.write_text(f"json://127.0.0.1:{service.server_port}/")
        url.chmod(0o600)
        keys = {"type": "apprise", "url": {"file": str(url)}}
        made["apprise"] = Case(keys, lambda: b"".join(service.events).decode())
        yield made


def test_every_type_delivers_from_the_installed_command(
    cases: dict[str, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {*SINKS} - {*cases} <= {"nats"}
    monkeypatch.setenv("HEC_TOKEN", "word")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    path = tmp_path / "outputs.yaml"
    outputs = [{"name": name, **case.keys} for name, case in cases.items()]
    path.write_text(yaml.safe_dump({"version": 1, "outputs": outputs}))
    done = subprocess.run(
        [COMMAND, "outputs", "test", "-c", path, "--format", "jsonl"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    found = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    delivered = {name: line["delivered"] for name, line in found.items()}
    assert delivered == dict.fromkeys(cases, True), (found, done.stderr)
    assert (done.returncode, done.stderr) == (0, "")
    silent = [name for name, case in cases.items() if "test" not in case.got()]
    assert not silent
