"""After `--user` nothing is needed that only root may read: no module, codec or other file of
Python. Where Python is installed in the home of root, for example, the user cannot read it."""

import bz2
import contextlib
import fcntl
import gzip
import http.server
import lzma
import os
import pty
import pwd
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from support.captures import pcap
from support.frames import ETHERNET, tcp
from support.live import Capture, children
from support.namespaces import Namespace, namespace, needs_namespaces
from support.office import CONFIG, DEVICES, DURING, one_hello
from support.ports import free_port
from support.stored_facts import catalogue_rows, facts, incident_lines
from support.waiting import TIMEOUT, read_until, wait_until

from netwatch.capture.compression import COMPRESSIONS
from netwatch.config import load

pytestmark = needs_namespaces

PROGRAM = """
import os, sys

log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
prefixes = {os.path.realpath(each) for each in (sys.prefix, sys.base_prefix)}

def hook(event, args):
    if event not in ("import", "open") or os.geteuid() == 0:
        return
    what = args[0]
    if event == "open":
        if not isinstance(what, str) or not any(os.path.realpath(what).startswith(f"{prefix}/")
                                                for prefix in prefixes):
            return
    os.write(log, f"{event} {what}\\n".encode())

sys.addaudithook(hook)
from netwatch.cli import main
sys.exit(main(sys.argv[2:]))
"""
OUTPUTS = """outputs:
  - {{type: file, name: file, path: {folder}/delivered}}
  - {{type: syslog, name: syslog, host: "localhost:9", transport: tcp}}
  - {{type: http, name: http, url: "http://localhost:{port}/", timeout: 2s}}
  - {{type: splunk_hec, name: splunk, url: "http://localhost:{port}/", token: {{file: {token}}}}}
  - {{type: elastic, name: elastic, url: "http://localhost:{port}/", index: netwatch}}
  - {{type: kafka, name: kafka, brokers: ["localhost:9"], topic: netwatch, timeout: 2s}}
  - {{type: nats, name: nats, url: "nats://localhost:9", subject: netwatch, timeout: 2s}}
  - {{type: email, name: mail, host: "localhost:9", security: none, from: a@example.org,
     to: [b@example.org], every: 1s, timeout: 2s}}
spool: {{path: {folder}/outbox}}
"""


class _Receiver(http.server.BaseHTTPRequestHandler):
    """Accepts every request."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"text":"Success","code":0,"errors":false,"items":[{"create":{"status":201}}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def place() -> Iterator[Namespace]:
    with namespace() as made:
        made.pair("out", "in", mtu=9000)
        made.ip("link", "set", "lo", "up")
        yield made


@pytest.fixture
def receiver(place: Namespace) -> Iterator[int]:
    with place.entered():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,))
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may write to. Those of pytest are for one user only."""
    with tempfile.TemporaryDirectory(prefix="netwatch-test-") as made:
        Path(made).chmod(0o777)
        yield Path(made)


STORE_PROGRAM = PROGRAM.replace(
    "from netwatch.cli",
    """from netwatch.store import service
from netwatch.engine import live_facts
from netwatch.live import worker
service.FLUSH_INTERVAL, service.MAINTENANCE_INTERVAL = 0.2, 1.0
live_facts.RESTART_DELAYS, worker.SETTLE_INTERVAL = (0.1,), 500_000_000
from netwatch.cli""",
)
"""The same with a store that is written and compacted soon."""


def ask(url: str) -> None:
    """Ask as Prometheus does."""
    accepted = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    headers = {"Accept": accepted, "Accept-Encoding": "gzip"}
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(url, headers=headers)).close()


@pytest.mark.parametrize("source", ["ring", "scapy"])
def test_nothing_of_python_is_read_without_privileges(
    place: Namespace, receiver: int, folder: Path, source: str
) -> None:
    trace, port = folder / "trace", free_port()
    (folder / "devices.csv").write_text(DEVICES)
    (folder / "token").write_text("secret")
    site = folder / "netwatch.yaml"
    text = CONFIG.replace("    until: 2023-09-10\n", "")
    if source == "ring":
        text += OUTPUTS.format(folder=folder, port=receiver, token=folder / "token")
    text += "store: {path: store}\n"
    site.write_text(text)
    trace.touch()
    trace.chmod(0o666)
    is_cached = source == "scapy"
    if is_cached:
        load(str(site))  # from now on its signatures are in the cache, and what reads them is late
    with place.entered():
        live = Capture(
            folder, "-i", "in", "--source", source, "-c", str(site), "--user", "nobody",
            "--state", str(folder / "state"), "--evidence", str(folder / "proof"),
            "--metrics", f"127.0.0.1:{port}", program=("-c", PROGRAM, str(trace)),
            environ={} if is_cached else {"NETWATCH_CACHE": "off"},
        )  # fmt: skip
    try:
        live.wait_for_log("started on in")
        send(place)
        live.wait_for_records(1)
        with place.entered():
            for path in ("metrics", "healthz", "nothing"):
                ask(f"http://127.0.0.1:{port}/{path}")
        if source == "ring":
            delivered = folder / "delivered"
            wait_until(lambda: delivered.exists() and delivered.read_text())
        site.write_text(text + "colour: red\n")
        live.process.send_signal(signal.SIGHUP)
        live.wait_for_log("unknown key 'colour'")
        site.write_text(text)
        live.process.send_signal(signal.SIGHUP)
        live.wait_for_log("reloaded: policy")
        for name in ("kafka", "nats", "mail", "syslog") if source == "ring" else ():
            live.wait_for_log(f"output {name}: ")
        assert live.stop() == 0
    finally:
        live.kill()
    assert trace.read_text() == ""


def capabilities(pid: int) -> dict[str, int]:
    """All sets of capabilities of a process (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line[:6]: int(line[8:], 16) for line in lines if line.startswith("Cap")}


def test_a_store_is_written_without_privileges(place: Namespace, folder: Path) -> None:
    """Its writer, and the next one after a crash, have none; what they write is the user's own, is
    compacted, and no module is missing for it."""
    trace, store, user = folder / "trace", folder / "store", pwd.getpwnam("nobody")
    trace.touch()
    trace.chmod(0o666)
    (folder / "devices.csv").write_text(DEVICES)
    site = folder / "netwatch.yaml"
    text = CONFIG.replace("    until: 2023-09-10\n", "")
    site.write_text(f"{text}store: {{path: store}}\nretention: {{observations: 3650d}}\n")
    with place.entered():
        live = Capture(
            folder, "-i", "in", "-c", str(site), "--user", "nobody",
            program=("-c", STORE_PROGRAM, str(trace)),
        )  # fmt: skip
    try:
        live.wait_for_log("started on in")
        host = children(live.process.pid)[0]
        for crashes in (1, 2):
            (writer,) = children(host)
            for process in (live.process.pid, host, writer):
                assert set(capabilities(process).values()) == {0}
                assert Path(f"/proc/{process}").stat().st_uid == user.pw_uid
            os.kill(writer, signal.SIGKILL)
            wait_until(
                lambda crashes=crashes: live.log().count("is written to again") == crashes  # type: ignore[misc]
            )
        # Two files, which are merged.
        query = "SELECT count(*), sum(rows) FROM file WHERE \"table\" = 'observation'"
        for files in (1, 2):
            send(place, 40000 + files)
            wait_until(lambda files=files: catalogue_rows(store, query)[0][1] == files)  # type: ignore[misc]
        wait_until(lambda: catalogue_rows(store, query) == [(1, 2)])
        assert live.stop() == 0
    finally:
        live.kill()
    assert trace.read_text() == ""
    found = [store, *store.rglob("*")]
    assert len(found) > 6
    for path in found:
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (user.pw_uid, user.pw_gid), path
        assert status.st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert [row[0] for row in facts(store, "observation", ("evidence",))] == [
        "http-host",
        "http-host",
    ]
    assert len(incident_lines(store)) == 1


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_compressed_file_is_read_without_privileges(folder: Path, name: str) -> None:
    trace, path = folder / "trace", folder / "capture"
    compress = {
        "gzip": gzip.compress,
        "bzip2": bz2.compress,
        "xz": lzma.compress,
        "zstd": zstandard.compress,
        "lz4": lz4.frame.compress,
    }[name]
    path.write_bytes(compress(pcap(one_hello(DURING).frames)))
    call = command(folder, trace, "--source", "file", "-i", str(path), "-q")
    done = subprocess.run(call, capture_output=True, timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"TikTok" in done.stdout
    assert trace.read_text() == ""


def command(folder: Path, trace: Path, *options: str) -> list[str]:
    """The command of a capture without privileges whose imports are traced."""
    trace.touch()
    trace.chmod(0o666)
    devices = DEVICES + "\u76e3\u8996,,10.20.1.7,\u7aef\u672b,,service\n"
    (folder / "devices.csv").write_text(devices)
    (folder / "netwatch.yaml").write_text(CONFIG.replace("    until: 2023-09-10\n", ""))
    live = ["live", "-c", str(folder / "netwatch.yaml"), "--user", "nobody"]
    return [sys.executable, "-c", PROGRAM, str(trace), *live, *options]


def test_the_view_is_shown_without_privileges(place: Namespace, folder: Path) -> None:
    trace = folder / "trace"
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("4H", 40, 160, 0, 0))
    with place.entered():
        live = subprocess.Popen(
            command(folder, trace, "-i", "in"), stdin=other, stdout=other, stderr=other,
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
    os.close(other)
    try:
        output = read_until(main, b"packets")
        send(place)
        output = read_until(main, "\u7aef\u672b".encode(), output)
        live.send_signal(signal.SIGTERM)
        read_until(main, b"lost ", output)
        assert live.wait(TIMEOUT) == 0
    finally:
        live.kill()
        live.wait()
        os.close(main)
    assert trace.read_text() == ""


def send(place: Namespace, port: int = 40000) -> None:
    """Send a request of a banned app, from a port."""
    sender = place.sender("out")
    sender.send(
        ETHERNET.frame(tcp(b"GET / HTTP/1.1\r\nHost: www.tiktok.com\r\n\r\n", sport=port, dport=80))
    )
    sender.close()
