"""A live capture from its start to its end, fed from files and pipes."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from craft import Conversation, Wire
from handshakes import client_hello, records, server_flight
from support.captures import Frames, pcap
from support.examples import some_of
from support.limited_disk import fill_up, limited_disk
from support.live import Capture, Pipe
from support.office import (
    CONFIG,
    DURING,
    FAR,
    LAB,
    PERSONAL,
    SERVICE,
    configured,
    one_hello,
    query,
)
from support.paths import ROOT
from support.ports import free_port
from support.waiting import TIMEOUT, wait_until

from netwatch.cli import main
from netwatch.core import sqlite_pages
from netwatch.core.owned_database import PAGE_SIZE

Launch = Callable[..., Capture]

SAMPLES = sorted((ROOT / "pcaps").glob("*.pcap"))
LATER = "2023-04-03T10:10:00+02:00"
MUCH_LATER = "2023-04-03T12:00:00+02:00"
QUIET = "www.example.org"
APP_ONLY = "api16-normal.tiktokv.com"
"""A name that no page calls, so that a handshake with it is confirmed."""


def frames(*wires: Wire) -> Frames:
    return sorted(frame for wire in wires for frame in wire.frames)


@pytest.fixture
def site(tmp_path: Path) -> str:
    return configured(tmp_path)


@pytest.fixture
def pipe(tmp_path: Path) -> Pipe:
    return Pipe(tmp_path / "pipe")


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Capture]]:
    """Starts captures, which are killed at the end of the test."""
    launched: list[Capture] = []

    def start(*arguments: str, **more: Any) -> Capture:
        launched.append(Capture(tmp_path, *arguments, **more))
        return launched[-1]

    with contextlib.ExitStack() as ends:
        yield start
        for capture in launched:
            ends.callback(capture.kill)


@pytest.fixture
def piped(launch: Launch, tmp_path: Path, site: str, pipe: Pipe) -> Launch:
    """Starts captures that read the pipe and have a state file."""

    def start(*arguments: str, **more: Any) -> Capture:
        # Otherwise a second reader could get the rest of what was sent to the first one.
        pipe.close()
        source = ("--source", "file", "-i", str(pipe.path), "-c", site)
        found = launch(*source, "--state", str(tmp_path / "state"), *arguments, **more)
        found.wait_for_log("started on")
        pipe.open()
        return found

    return start


@pytest.fixture
def capture(piped: Launch) -> Capture:
    """A capture that reads the pipe."""
    return piped()


@pytest.mark.parametrize("sample", some_of(SAMPLES, 3), ids=lambda path: path.stem)
def test_closed_incidents_are_those_of_scan(
    sample: Path, launch: Launch, capsys: pytest.CaptureFixture[str]
) -> None:
    by = ("-c", str(ROOT / "pcaps" / "netwatch.yaml"))
    live = launch("--source", "file", "-i", str(sample), *by)
    assert live.wait() == 0
    main(["scan", "-q", "--format", "jsonl", str(sample), *by])
    scanned = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    closed = live.closed()
    assert sorted(closed, key=lambda record: (record["first_seen"], record["id"])) == scanned
    opened = [record["id"] for record in live.records() if record["status"] == "open"]
    assert sorted(opened) == sorted(record["id"] for record in scanned)


def test_standard_input_is_read(site: str) -> None:
    command = [sys.executable, "-m", "netwatch", "live", "--source", "file", "-i", "-", "-c", site]
    done = subprocess.run(
        [*command, "--format", "jsonl"],
        input=pcap(frames(one_hello(DURING)), nanos=True),
        capture_output=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    statuses = [json.loads(line)["status"] for line in done.stdout.splitlines()]
    assert statuses == ["open", "closed"]


@pytest.mark.parametrize(
    ("option", "source"),
    [
        (("--buffer", "8"), "scapy"),
        (("--no-filter",), "scapy"),
        (("--snaplen", "96"), "file"),
        (("--no-promiscuous",), "file"),
        (("--fanout", "2"), "file"),
    ],
)
def test_options_that_the_source_does_not_support_are_refused(
    launch: Launch, site: str, option: tuple[str, ...], source: str
) -> None:
    live = launch("--source", source, "-i", str(SAMPLES[0]), "-c", site, *option)
    assert live.wait() == 1
    assert "started" not in live.log()


def test_alerts_are_sent_immediately_and_closed_after_the_quiet_gap(
    capture: Capture, pipe: Pipe
) -> None:
    pipe.send(frames(query(DURING, SERVICE, "www.tiktok.com")))
    capture.wait_for_records(1)
    answered = Wire(LATER, 2)
    answered.tls(SERVICE, FAR, APP_ONLY)
    pipe.send(frames(answered))
    capture.wait_for_records(2)
    assert capture.states() == ["open probable", "update confirmed"]
    pipe.send(frames(one_hello(MUCH_LATER, name=QUIET)))
    capture.wait_for_records(3)
    assert capture.states()[2:] == ["closed confirmed"]
    pipe.close()
    assert capture.wait() == 0
    assert len({record["id"] for record in capture.records()}) == 1
    assert "opened violation probable" in capture.log()
    assert "incidents     violation 1" in capture.log()


def test_an_update_says_what_came_of_the_contacts_before(capture: Capture, pipe: Pipe) -> None:
    answered = Wire(DURING, 2)
    talk = Conversation(answered, SERVICE, FAR, 443)
    talk.say(records(client_hello("www.tiktok.com", answered.rng)))
    asked = len(answered.frames)
    talk.reply(server_flight(answered.rng))
    pipe.send(answered.frames[:asked])
    capture.wait_for_records(1)
    # Both come at once, before anything is due that is done from time to time.
    another = Wire("2023-04-03T10:00:01+02:00", 3)
    another.tls(SERVICE, FAR, APP_ONLY)
    pipe.send([*answered.frames[asked:], *another.frames])
    capture.wait_for_records(3)
    assert capture.states() == ["open probable", "update probable", "update confirmed"]
    assert [record["outcome"] for record in capture.records()] == [
        "attempted",
        "reached",
        "reached",
    ]
    pipe.close()
    assert capture.wait() == 0
    assert [record["outcome"] for record in capture.closed()] == ["reached"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_open_incidents(
    capture: Capture, pipe: Pipe, number: signal.Signals
) -> None:
    pipe.send(frames(one_hello(DURING), one_hello(DURING, PERSONAL), one_hello(DURING, LAB)))
    capture.wait_for_records(3)
    capture.process.send_signal(number)
    assert capture.wait() == 0
    closed = [record["verdict"] for record in capture.closed()]
    assert sorted(closed) == ["advisory", "exempt", "violation"]
    assert f"stopped: {number.name}" in capture.log()
    assert "1 capture, 3 packets" in capture.log()


def test_after_a_crash_no_incident_is_reported_as_new_again(
    tmp_path: Path, site: str, piped: Launch, capture: Capture, pipe: Pipe
) -> None:
    hello = one_hello(DURING, name=APP_ONLY)
    pipe.send(frames(hello, query(DURING, PERSONAL, "www.tiktok.com")))
    capture.wait_for_records(2)
    ids = {record["id"] for record in capture.records()}
    wait_until(lambda: saved_incidents(tmp_path / "state") == 2)
    capture.kill()
    again = piped(name="two")
    assert "restored 2 open incidents" in again.log()
    answered = Wire(LATER, 3)
    answered.tls(PERSONAL, FAR, APP_ONLY)
    pipe.send(frames(one_hello(LATER), answered))
    again.wait_for_records(1)
    pipe.close()
    assert again.wait() == 0
    assert again.states()[0] == "update confirmed"
    assert sorted(again.states()[1:]) == ["closed confirmed", "closed probable"]
    assert {record["id"] for record in again.records()} == ids
    closed = again.closed()
    assert sorted(record["counts"]["handshakes"] for record in closed) == [1, 2]
    assert {record["first_seen"] for record in closed} == {closed[0]["first_seen"]}


def saved_incidents(path: Path) -> int:
    """How many incidents a state file has that a capture has locked."""
    with sqlite_pages.Pages(path) as pages:
        found = [number for number, values in sqlite_pages.rows(pages) if len(values) == 2]
    return len(found)


def test_a_damaged_state_file_is_renamed_and_continued(
    tmp_path: Path, capture: Capture, piped: Launch, pipe: Pipe
) -> None:
    pipe.send(frames(one_hello(DURING), query(DURING, PERSONAL, "www.tiktok.com")))
    capture.wait_for_records(2)
    wait_until(lambda: saved_incidents(tmp_path / "state") == 2)
    capture.kill()
    with (tmp_path / "state").open("r+b") as stream:
        stream.write(bytes(PAGE_SIZE))
    again = piped(name="two")
    assert "its first page is damaged" in again.log()
    assert f"renamed to {tmp_path / 'state.damaged-1'}" in again.log()
    assert "restored 2 open incidents" in again.log()
    pipe.close()
    assert again.wait() == 0


@pytest.mark.parametrize("place", ["state", "outbox"])
def test_a_file_of_another_program_ends_the_capture_with_status_2(
    tmp_path: Path, site: str, launch: Launch, place: str
) -> None:
    path = tmp_path / "theirs" / "outbox.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with Path(site).open("a") as config:
        config.write("outputs: [{type: file, path: delivered.jsonl}]\n")
        folder = path.parent if place == "outbox" else tmp_path / "spool"
        config.write(f"spool: {{path: {folder}}}\n")
    arguments = ("--state", str(path)) if place == "state" else ()
    live = launch("--source", "file", "-i", str(SAMPLES[0]), "-c", site, *arguments)
    assert live.wait() == 2
    assert f"{path}: is an SQLite database of another program" in live.log()
    assert path.read_bytes() == before
    assert "Traceback" not in live.log()


def test_without_an_outbox_the_capture_runs_and_is_unhealthy(
    tmp_path: Path, site: str, launch: Launch, pipe: Pipe
) -> None:
    with limited_disk(tmp_path / "disk", "4m") as disk:
        ballast = fill_up(disk)
        with Path(site).open("a") as config:
            config.write("outputs: [{type: file, path: delivered.jsonl}]\n")
            config.write(f"spool: {{path: {disk / 'spool'}}}\n")
        address = f"127.0.0.1:{free_port()}"
        live = launch(
            *("--source", "file", "-i", str(pipe.path), "-c", site, "--metrics", address),
            *("--state", str(disk / "state")),
        )
        live.wait_for_log("started on")
        pipe.open()
        pipe.send(frames(one_hello(DURING), one_hello(DURING, PERSONAL, seed=2)))
        live.wait_for_records(2)
        assert "outbox: database or disk is full; alerts wait in memory" in live.log()

        wait_until(lambda: "netwatch_outbox_unwritten 2" in fetch(address, "metrics")[1])
        status, health = fetch(address, "healthz")
        assert status == 503
        assert "database or disk is full; 2 alerts in memory only" in health
        ballast.unlink()
        delivered = tmp_path / "delivered.jsonl"
        wait_until(lambda: delivered.exists() and len(delivered.read_text().splitlines()) == 2)
        wait_until(lambda: fetch(address, "healthz")[0] == 200)
        pipe.close()
        assert live.wait() == 0
        assert "writing works again" in live.log()


def test_alerts_that_never_fit_on_the_disk_give_status_1(
    tmp_path: Path, site: str, launch: Launch
) -> None:
    with limited_disk(tmp_path / "disk", "1m") as disk:
        fill_up(disk)
        with Path(site).open("a") as config:
            config.write("outputs: [{type: file, path: delivered.jsonl}]\n")
            config.write(f"spool: {{path: {disk / 'spool'}}}\n")
        capture = tmp_path / "one.pcap"
        capture.write_bytes(pcap(frames(one_hello(DURING)), nanos=True))
        live = launch("--source", "file", "-i", str(capture), "-c", site)
        assert live.wait() == 1
        assert "2 alerts lost: the outbox could not be written" in live.log()


def fetch(address: str, path: str) -> tuple[int, str]:
    """Status and text of an answer of the endpoint."""
    try:
        with urllib.request.urlopen(f"http://{address}/{path}", timeout=TIMEOUT) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_new_configuration_is_used_without_missing_a_packet(
    tmp_path: Path, site: str, piped: Launch, capture: Capture, pipe: Pipe
) -> None:
    pipe.send(frames(one_hello(DURING), one_hello(DURING, name="www.deepseek.com", seed=3)))
    capture.wait_for_records(1)
    Path(site).write_text(CONFIG.replace("apps: [tiktok]", "apps: [tiktok, deepseek]"))
    capture.process.send_signal(signal.SIGHUP)
    capture.wait_for_log("reloaded: policy")
    pipe.send(frames(one_hello(LATER, name="www.deepseek.com", seed=4), one_hello(LATER, seed=2)))
    capture.wait_for_records(2)
    pipe.close()
    assert capture.wait() == 0
    states = [(record["status"], record["app"]["id"]) for record in capture.records()]
    assert states[0] == ("open", "tiktok")
    expected = [("closed", "deepseek"), ("closed", "tiktok"), ("open", "deepseek")]
    assert sorted(states[1:]) == expected
    closed = next(record for record in capture.closed() if record["app"]["id"] == "tiktok")
    assert closed["counts"]["handshakes"] == 2
    assert closed["id"] == capture.records()[0]["id"]
    assert closed["sensor"]["policy"] != capture.records()[0]["sensor"]["policy"]


def test_a_changed_file_is_reloaded_and_one_with_mistakes_refused(
    site: str, capture: Capture, pipe: Pipe
) -> None:
    Path(site).write_text(CONFIG.replace("apps: [tiktok]", "apps: [tictoc]") + "colour: red\n")
    capture.wait_for_log("reload refused")
    assert "only after a restart" not in capture.log()
    assert "unknown app 'tictoc'" in capture.log()
    assert "unknown key 'colour'" in capture.log()
    pipe.send(frames(one_hello(DURING)))
    capture.wait_for_records(1)
    Path(site).with_name("devices.csv").write_text("id,ip\ndesk-7,10.20.1.7\n")
    Path(site).write_text(CONFIG.replace("device: lab-07", "device: desk-7"))
    capture.wait_for_log("reloaded: policy")
    pipe.send(frames(one_hello(LATER, seed=2)))
    pipe.close()
    assert capture.wait() == 0
    verdicts = {record["device"]["id"]: record["verdict"] for record in capture.records()}
    assert verdicts == {"10.20.1.7": "violation", "desk-7": "exempt"}


def test_a_hang_up_before_the_capture_runs_is_noted(
    tmp_path: Path, site: str, launch: Launch
) -> None:
    """A log rotation may come at any time, also while the configuration is read for the first
    time, or while a pipe waits for its reader."""
    fifo = tmp_path / "one.jsonl"
    os.mkfifo(fifo)
    os.mkfifo(tmp_path / "never-written")
    live = launch("--source", "file", "-i", str(tmp_path / "never-written"), "-c", site)
    status = Path(f"/proc/{live.process.pid}/status")
    # SIGHUP is caught (bit 0 of the mask), but SIGTERM (bit 14) is not yet.
    wait_until(lambda: int(status.read_text().split("SigCgt:")[1].split()[0], 16) & 1)
    assert not int(status.read_text().split("SigCgt:")[1].split()[0], 16) >> 14 & 1
    live.process.send_signal(signal.SIGHUP)
    with fifo.open("rb"):
        live.wait_for_log("reloaded: policy")
        assert live.stop() == 0


def test_many_reloads_miss_no_packet(site: str, capture: Capture, pipe: Pipe) -> None:
    start = one_hello(DURING).frames[0][0]
    for number in range(20):
        text = CONFIG.replace("research", f"research {number}")
        Path(site).write_text(text)
        capture.process.send_signal(signal.SIGHUP)
        (frame,) = one_hello(DURING, seed=number).frames
        pipe.send([(start + number * 10**9, frame[1])])
    wait_until(lambda: "reloaded: policy" in capture.log())
    pipe.close()
    assert capture.wait() == 0
    (closed,) = capture.closed()
    assert closed["counts"]["handshakes"] == 20


def test_a_worker_that_dies_ends_the_capture_and_incidents_stay_open(
    tmp_path: Path, site: str, piped: Launch, capture: Capture, pipe: Pipe
) -> None:
    pipe.send(frames(one_hello(DURING)))
    capture.wait_for_records(1)
    (worker,) = capture.workers()
    os.kill(worker, signal.SIGKILL)
    assert capture.wait() == 1
    assert "worker 0 died unexpectedly" in capture.log()
    assert capture.states() == ["open probable"]
    again = piped(name="two")
    pipe.close()
    assert again.wait() == 0
    assert again.states() == ["closed probable"]


@pytest.mark.parametrize("path", ["none.pcap", "site"])
def test_a_file_that_cannot_be_read_is_an_error(
    launch: Launch, tmp_path: Path, site: str, path: str
) -> None:
    path = site if path == "site" else str(tmp_path / path)
    live = launch("--source", "file", "-i", path, "-c", site)
    assert live.wait() == 1
    assert path in live.log()


def test_a_configuration_with_mistakes_starts_nothing(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nnetwork: []\n")
    live = launch("--source", "file", "-i", str(SAMPLES[0]), "-c", str(tmp_path / "bad.yaml"))
    assert live.wait() == 2
    assert "bad.yaml:2: unknown key 'network'" in live.log()


def test_the_reader_of_the_records_goes_away(site: str, pipe: Pipe) -> None:
    command = [sys.executable, "-m", "netwatch", "live", "--source", "file", "-i", str(pipe.path)]
    live = subprocess.Popen(
        [*command, "-c", site, "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    pipe.open()
    pipe.send(frames(one_hello(DURING)))
    assert live.stdout is not None
    assert json.loads(live.stdout.readline())["status"] == "open"
    live.stdout.close()
    pipe.send(frames(one_hello(DURING, PERSONAL)))
    assert live.wait(TIMEOUT) == 141
    pipe.close()


def test_the_service_manager_is_notified(tmp_path: Path, piped: Launch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(TIMEOUT)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        live = piped(environ=environ)

        def wait_for(word: str) -> None:
            while word not in manager.recv(4096).decode():
                assert live.process.poll() is None

        wait_for("READY=1")
        wait_for("WATCHDOG=1")
        live.process.send_signal(signal.SIGHUP)
        wait_for("RELOADING=1")
        wait_for("READY=1")
        live.process.send_signal(signal.SIGTERM)
        wait_for("STOPPING=1")
        assert live.wait() == 0


def test_outputs_evidence_and_metrics(
    tmp_path: Path, site: str, piped: Launch, pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered = tmp_path / "delivered"
    outputs = f"outputs:\n  - {{type: file, name: siem, path: {delivered}}}\n"
    Path(site).write_text(CONFIG + outputs + f"spool: {{path: {tmp_path / 'outbox'}}}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more = ("--evidence", str(tmp_path / "proof"), "--metrics", f"127.0.0.1:{port}")
    live = piped(*more)
    pipe.send(frames(one_hello(DURING)))
    live.wait_for_records(1)
    live.process.send_signal(signal.SIGHUP)
    live.wait_for_log("reloaded: policy")
    assert "only after a restart" not in live.log()
    Path(site).write_text(Path(site).read_text() + f"metrics: {{listen: 127.0.0.1:{port}}}\n")
    live.wait_for_log("changes of outputs, spool or metrics apply only after a restart")

    def metric(text: str) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT) as answer:
            return text in answer.read().decode()

    wait_until(lambda: metric('netwatch_incidents_total{verdict="violation"} 1.0'))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=TIMEOUT) as answer:
        assert json.load(answer) == {"healthy": True, "troubles": []}
    pipe.close()
    assert live.wait() == 0
    assert [json.loads(line)["status"] for line in delivered.read_text().splitlines()] == [
        "open",
        "closed",
    ]
    (proof,) = (tmp_path / "proof").iterdir()
    assert live.records()[0]["id"] in proof.name
    assert live.records()[1]["evidence_file"] == str(proof)
    capsys.readouterr()
    main(["scan", "-q", "--format", "jsonl", str(proof), "-c", site])
    assert json.loads(capsys.readouterr().out)["id"] == live.records()[0]["id"]


def test_text_from_packets_cannot_control_the_terminal(capture: Capture, pipe: Pipe) -> None:
    (frame,) = one_hello(DURING, name="\x1b]0;x\x07.tiktok.com").frames
    pipe.send([frame])
    capture.wait_for_records(1)
    pipe.close()
    assert capture.wait() == 0
    assert "\x1b" not in capture.log()
