"""A live capture that reads logs of real programs, as they are written and sent."""

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.live import Capture
from support.log_programs import answers, dnsmasq, rsyslog, unbound
from support.ports import free_port
from support.stored_facts import facts
from support.waiting import wait_until

from netwatch.cli import main

CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.0.0.0/8, 127.0.0.0/8], class: service, authority: BE-FED}
bans:
  - {id: our-rule, authority: City of Example, apps: [tiktok], forbids: [service],
     from: 2023-03-10, legal_basis: Decision 2023/12, severity: high}
signatures: [builtin]
incidents: {quiet_gap: 30m}
"""
TIKTOK = "www.tiktok.com"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("logs")
    (made / "netwatch.yaml").write_text(CONFIG)
    (made / "stored.yaml").write_text(f"{CONFIG}store: {{path: store}}\n")
    return made


class Reading(Capture):
    """A capture that reads all kinds of logs."""

    def __init__(self, folder: Path) -> None:
        self.log_file = folder / "dnsmasq.log"
        self.late = folder / "late.log"
        self.socket = folder / "dnstap.sock"
        self.udp, self.tcp = free_port(socket.SOCK_DGRAM), free_port()
        self.metrics = free_port()
        sources = [str(self.log_file), f"syslog+udp://:{self.udp}", f"syslog+tcp://:{self.tcp}"]
        sources += [f"dnstap+unix://{self.socket}", str(self.late)]
        super().__init__(
            folder,
            *("--source", "logs", *sources, "-c", str(folder / "stored.yaml")),
            *("--timezone", "UTC", "--metrics", f"127.0.0.1:{self.metrics}"),
            *("--evidence", str(folder / "proof")),
        )
        self.wait_for_log("started on")

    def alert_of(self, device: str) -> dict[str, object]:
        """Wait for the first alert of a device."""
        return wait_until(
            lambda: next((r for r in self.records() if r["device"]["ip"] == device), None),
            self.log,
        )

    def ask(self, port: int, device: str) -> float:
        """Ask a resolver for a host of the app; the seconds until the alert."""
        start = time.monotonic()
        assert answers(port, device, TIKTOK)
        self.alert_of(device)
        return time.monotonic() - start

    def stop_after(self, port: int, device: str) -> None:
        """Stop it once a device has asked, which may have happened in a test before."""
        if self.process.poll() is None:
            self.ask(port, device)
        assert self.stop() == 0


@pytest.fixture(scope="module")
def reading(folder: Path) -> Iterator[Reading]:
    started = Reading(folder)
    yield started
    started.kill()


@pytest.fixture(scope="module")
def resolver(reading: Reading, folder: Path) -> Iterator[int]:
    with dnsmasq(folder, reading.log_file) as port:
        yield port


@pytest.mark.needs("dnsmasq")
def test_log_of_dnsmasq_gives_an_alert_at_once(
    reading: Reading, resolver: int, record_property: Callable[[str, object], None]
) -> None:
    record_property("seconds", reading.ask(resolver, "127.0.0.11"))
    alert = reading.alert_of("127.0.0.11")
    assert alert["status"] == "open"
    (evidence,) = alert["evidence"]
    assert (evidence["name"], evidence["source"]) == (TIKTOK, str(reading.log_file))


@pytest.mark.needs("dnsmasq", "rsyslogd")
@pytest.mark.parametrize(("protocol", "device"), [("udp", "127.0.0.12"), ("tcp", "127.0.0.13")])
def test_rsyslog_forwards_a_log(reading: Reading, folder: Path, protocol: str, device: str) -> None:
    log = folder / f"{protocol}.log"
    target = reading.udp if protocol == "udp" else reading.tcp
    with rsyslog(folder, log, protocol=protocol, target=target), dnsmasq(folder, log) as port:
        assert answers(port, device, TIKTOK)
        alert = reading.alert_of(device)
    (evidence,) = alert["evidence"]
    assert evidence["source"] == f"syslog+{protocol}://:{target}"
    assert str(evidence["time"]).startswith(time.strftime("%Y-%m-%dT", time.gmtime()))


@pytest.mark.needs("unbound")
def test_unbound_sends_dnstap(reading: Reading, folder: Path) -> None:
    with unbound(folder, reading.socket) as port:
        # Unbound sends what it has once a second.
        reading.ask(port, "127.0.0.14")
    (evidence,) = reading.alert_of("127.0.0.14")["evidence"]
    assert evidence["source"] == f"dnstap+unix://{reading.socket}"
    assert evidence["name"] == TIKTOK


def metrics(port: int) -> str:
    """What the metrics endpoint says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text: str = answer.read().decode()
        return text


def test_hostile_senders_are_counted(reading: Reading) -> None:
    with socket.create_connection(("127.0.0.1", reading.tcp)) as sender:
        sender.sendall(b"5 <1>ab" + os.urandom(64))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for size in (1, 100, 60_000):
            sender.sendto(os.urandom(size), ("127.0.0.1", reading.udp))
    wait_until(lambda: 'event="frame-length-invalid"} 1' in metrics(reading.metrics))
    text = metrics(reading.metrics)
    assert "netwatch_log_lag_seconds" in text
    assert reading.process.poll() is None


@pytest.mark.needs("dnsmasq")
def test_missing_log_is_a_trouble(reading: Reading, resolver: int) -> None:
    """The log of the resolver is there, and the other one is not."""
    trouble = 'netwatch_troubles{trouble="unreadable"}'
    wait_until(lambda: f"{trouble} 1" in metrics(reading.metrics))
    reading.late.write_text("no log of any known format\n")
    wait_until(lambda: f"{trouble} 0" in metrics(reading.metrics))


@pytest.mark.needs("dnsmasq")
def test_changed_bans_are_in_use(reading: Reading, folder: Path, resolver: int) -> None:
    site = folder / "stored.yaml"
    site.write_text(site.read_text().replace("apps: [tiktok]", "apps: [tiktok, temu]"))
    reading.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reloaded: policy" in reading.log(), reading.log)
    # The worker has it a moment after the aggregator.
    wait_until(
        lambda: (
            answers(resolver, "127.0.0.15", "www.temu.com")
            and any(record["app"]["id"] == "temu" for record in reading.records())
        ),
        reading.log,
    )


@pytest.mark.needs("dnsmasq")
def test_logs_are_stored_and_prove_incidents(reading: Reading, resolver: int, folder: Path) -> None:
    reading.stop_after(resolver, "127.0.0.11")
    (closed,) = [r for r in reading.closed() if r["device"]["ip"] == "127.0.0.11"]
    assert TIKTOK in Path(closed["evidence_lines"]).read_text(errors="replace")
    names = {name for (name,) in facts(folder / "store", "observation", ["name"])}
    assert names >= {TIKTOK, "ready.example.org"}
    assert not reading.socket.exists()


@pytest.mark.needs("dnsmasq")
def test_erasing_takes_the_lines_of_logs(
    reading: Reading, resolver: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a live capture kept of a log as evidence is registered, and goes with the person."""
    monkeypatch.chdir(folder)
    reading.stop_after(resolver, "127.0.0.11")
    hers, *_ = [Path(r["evidence_lines"]) for r in reading.closed()
                if r["device"]["ip"] == "127.0.0.11"]  # fmt: skip
    others = set((folder / "proof").iterdir()) - {hers}
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        registered = {Path(path) for (path,) in database.execute("SELECT path FROM evidence")}
    assert hers.exists()
    assert registered >= {hers, *others}
    arguments = ["store", "erase", "--yes", "--device", "127.0.0.11", "-c", "stored.yaml"]
    assert main(arguments) == 0
    assert not hers.exists()
    assert set((folder / "proof").iterdir()) == others


class Written:
    """A log of Unbound that is written and rotated, and how often each device asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked = Counter[str]()
        self._file = path.open("a", buffering=1)
        self.write("10.9.9.9", "first.example.org")

    def write(self, device: str, name: str = TIKTOK) -> None:
        """Write a lookup."""
        self.asked[device] += name == TIKTOK
        print(
            f"[{int(time.time())}] unbound[1:0] info: {device} {name}. A IN NOERROR 0.012 0 60",
            file=self._file,
        )

    def rotate(self, *, by_copy: bool) -> None:
        """Rotate it as logrotate does."""
        if (first := self.path.with_name("u.log.1")).exists():
            first.rename(self.path.with_name(f"u.log.{time.time_ns()}"))
        if by_copy:
            shutil.copy2(self.path, first)
            os.truncate(self.path, 0)
        else:
            self.path.rename(first)
            self.write("10.0.0.1")
            self._file.close()
            self._file = self.path.open("a", buffering=1)
        # A copy of a file of which nothing was read is not recognised.
        self.write("10.9.9.9", "next.example.org")
        time.sleep(0.3)

    def close(self) -> None:
        """Close it."""
        self._file.close()


def test_killed_captures_neither_lose_nor_repeat_records(folder: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    log = Written(tmp_path / "u.log")
    options = ("--source", "logs", str(log.path), "-c", str(folder / "netwatch.yaml"))
    options += ("--state", str(tmp_path / "state"))
    capture = Capture(tmp_path, *options)
    capture.wait_for_log("started on")
    wait_until(lambda: b"u.log" in (tmp_path / "state-wal").read_bytes())
    try:
        for by_copy in (False, True):
            for _ in range(400):
                log.write(f"10.0.0.{rng.randrange(1, 6)}")
            capture.wait_for_records(5)
            log.write("10.0.0.5")
            time.sleep(rng.random() / 2)
            capture.process.send_signal(signal.SIGKILL)
            capture.kill()
            log.write("10.0.0.3")
            log.rotate(by_copy=by_copy)
            capture = Capture(tmp_path, *options)
            capture.wait_for_log("started on")
            if by_copy:
                log.rotate(by_copy=True)
        last = "10.0.0.77"
        log.write(last)
        wait_until(lambda: any(r["device"]["ip"] == last for r in capture.records()))
        assert capture.stop() == 0
    finally:
        capture.kill()
        log.close()
    closed = {r["device"]["ip"]: r["counts"]["lookups"] for r in capture.closed()}
    assert closed == +log.asked
    ids = {(r["device"]["ip"], r["id"]) for r in capture.records()}
    assert len(ids) == len(closed), json.dumps(sorted(ids))
