"""The cost of delivering alerts: into the outbox, and from there to a receiver.

    python bench/delivery.py [--alerts N] [--receiver rsyslog|bulk|file] [--write]

With ``--write`` all receivers are measured and the table goes into ``bench/results.md``. The
receivers are on loopback: rsyslogd over TCP, and a `_bulk` endpoint in a separate process that
discards what it reads. The CPU time is that of netwatch only.
"""

import argparse
import contextlib
import json
import multiprocessing
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import page
from run import machine
from shared import free_port, is_listening, wait_until

from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.yaml_reader import parse_yaml
from netwatch.delivery.configuration import read_outputs
from netwatch.delivery.delivery import Delivery
from netwatch.delivery.output import OutboxOptions
from netwatch.sinks.templates import sample_alert

CHUNK = 100
"""Alerts put in one call. A live capture puts one, which `single` measures."""


class Bulk(BaseHTTPRequestHandler):
    """Accepts every bulk request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:  # noqa: D102 - the library's name
        count = self.rfile.read(int(self.headers["Content-Length"])).count(b'{"create"')
        body = json.dumps({"items": [{"create": {"status": 201}}] * count}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:  # noqa: D102
        pass


def serve(performance_part: Connection) -> None:
    """Run a bulk endpoint until the process is terminated."""
    server = HTTPServer(("127.0.0.1", 0), Bulk)
    performance_part.send(server.server_port)
    server.serve_forever()


@contextlib.contextmanager
def bulk(_: Path) -> Iterator[dict[str, Any]]:
    """A bulk endpoint; yields the keys of its output."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    process.start()
    yield {"type": "elastic", "url": f"http://127.0.0.1:{here.recv()}", "format": "ecs"}
    process.terminate()
    process.join()


@contextlib.contextmanager
def rsyslog(folder: Path) -> Iterator[dict[str, Any]]:
    """rsyslogd; yields the keys of its output."""
    port = free_port()
    config = folder / "rsyslog.conf"
    config.write_text(
        f'global(workDirectory="{folder}" maxMessageSize="64k")\nmodule(load="imtcp")\n'
        f'input(type="imtcp" address="127.0.0.1" port="{port}")\n'
        f'action(type="omfile" file="{folder}/got.log")\n'
    )
    command = ["/usr/sbin/rsyslogd", "-n", "-f", str(config), "-i", str(folder / "pid")]
    process = subprocess.Popen(command)
    wait_until(lambda: is_listening(port), "rsyslogd listens")
    keys = {"type": "syslog", "host": f"127.0.0.1:{port}", "transport": "tcp", "format": "cef"}
    yield keys
    process.terminate()
    process.wait()


@contextlib.contextmanager
def file(folder: Path) -> Iterator[dict[str, Any]]:
    """A file; yields the keys of its output."""
    yield {"type": "file", "path": str(folder / "alerts.jsonl")}


RECEIVERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[dict[str, Any]]]] = {
    "rsyslog": rsyslog,
    "bulk": bulk,
    "file": file,
}


NAMES = {"rsyslog": "rsyslog, TCP, `cef`", "bulk": "bulk, `ecs`", "file": "file, `jsonl`"}


def cpu() -> float:
    """CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(name: str, count: int) -> list[str]:
    """A row of the table: the cost of an alert put in chunks and alone, and of its delivery."""
    alerts = [sample_alert(1_700_000_000 + number, "bench", "0") for number in range(count)]
    with tempfile.TemporaryDirectory() as temporary, RECEIVERS[name](Path(temporary)) as keys:
        problems = Problems()
        mapping = parse_yaml(json.dumps({"outputs": [keys]}), "bench", problems)
        assert mapping is not None
        fields = Fields(mapping, "bench", problems, "bench")
        outputs = read_outputs(fields, Path(temporary))
        problems.raise_if_any()
        delivery = Delivery(outputs, OutboxOptions(Path(temporary) / "spool"), print)
        started, used = time.perf_counter(), cpu()
        for at in range(0, count, CHUNK):
            delivery.put(*alerts[at : at + CHUNK])
        put, put_cpu = time.perf_counter() - started, cpu() - used
        single = time.perf_counter()
        for alert in alerts[:CHUNK]:
            delivery.put(alert)
        single = (time.perf_counter() - single) / CHUNK
        started, used = time.perf_counter(), cpu()
        delivery.start()
        left = delivery.drain(600)
        sent, sent_cpu = time.perf_counter() - started, cpu() - used
        delivery.stop()
    assert not left, left
    all_of_them = count + CHUNK
    return [
        name,
        f"{put / count * 1e6:.0f}",
        f"{put_cpu / count * 1e6:.0f}",
        f"{single * 1e3:.2f}",
        f"{all_of_them / sent:,.0f}",
        f"{sent_cpu / all_of_them * 1e6:.0f}",
    ]


HEAD = ("receiver", "put, µs", "CPU of put, µs", "put alone, ms", "sent/s", "CPU of sending, µs")


def performance_part(rows: list[list[str]], count: int) -> str:
    """The text of the page."""
    known = machine()
    said = (
        f"{known['processor']}, {known['cpus']} cores, {known['system']}, Python"
        f" {known['python']}; {count:,} alerts to each receiver."
    )
    named = [[NAMES[name], *figures] for name, *figures in rows]
    return f"\n{said}\n\n{page.table(HEAD, named)}\n"


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--alerts", type=int, default=20_000, metavar="N")
    parser.add_argument("--receiver", choices=RECEIVERS, action="append")
    parser.add_argument(
        "--write", action="store_true", help=f"measure all and update {page.PAGE.name}"
    )
    args = parser.parse_args()
    rows = []
    for name in list(RECEIVERS) if args.write else args.receiver or RECEIVERS:
        if name == "rsyslog" and not shutil.which("rsyslogd", path="/usr/sbin:/sbin"):
            print(f"{name} is not installed")
            continue
        rows.append(measure(name, args.alerts))
    print(page.table(HEAD, rows))
    if args.write and len(rows) == len(RECEIVERS):
        text = page.PAGE.read_text(encoding="utf-8")
        filled = page.fill(text, {"delivery": performance_part(rows, args.alerts)})
        page.PAGE.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
