"""A live capture from its start to its end, fed from files and pipes."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from craft import Wire
from support.captures import Frames, pcap
from support.live import WAIT, Capture, Pipe, until
from support.office import CONFIG, DURING, LAB, PERSONAL, SERVICE, configured, one_hello, query
from support.paths import ROOT

from netwatch.cli import main

Launch = Callable[..., Capture]

SAMPLES = sorted((ROOT / "pcaps").glob("*.pcap"))
LATER = "2023-04-03T10:10:00+02:00"
MUCH_LATER = "2023-04-03T12:00:00+02:00"
QUIET = "www.example.org"


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
    """Starts captures that end with the test."""
    launched: list[Capture] = []

    def start(*arguments: str, **more: Any) -> Capture:
        launched.append(Capture(tmp_path, *arguments, **more))
        return launched[-1]

    yield start
    for each in launched:
        each.kill()


@pytest.fixture
def piped(launch: Launch, tmp_path: Path, site: str, pipe: Pipe) -> Launch:
    """Starts captures that read the pipe, with state."""

    def start(*arguments: str, **more: Any) -> Capture:
        # Else a second reader could begin with the end of what the first one read.
        pipe.close()
        source = ("--source", "file", "-i", str(pipe.path), "-c", site)
        found = launch(*source, "--state", str(tmp_path / "state"), *arguments, **more)
        found.says("started on")
        pipe.open()
        return found

    return start


@pytest.fixture
def capture(piped: Launch) -> Capture:
    """One that reads the pipe."""
    return piped()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_the_last_word_on_each_incident_is_that_of_scan(
    sample: Path, launch: Launch, capsys: pytest.CaptureFixture[str]
) -> None:
    by = ("-c", str(ROOT / "pcaps" / "netwatch.yaml"))
    live = launch("--source", "file", "-i", str(sample), *by)
    assert live.ends() == 0
    main(["scan", "-q", "--format", "jsonl", str(sample), *by])
    scanned = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    closed = [each for each in live.records() if each["status"] == "closed"]
    assert sorted(closed, key=lambda each: (each["first_seen"], each["id"])) == scanned
    opened = [each["id"] for each in live.records() if each["status"] == "open"]
    assert sorted(opened) == sorted(each["id"] for each in scanned)


def test_standard_input_is_read(site: str) -> None:
    command = [sys.executable, "-m", "netwatch", "live", "--source", "file", "-i", "-", "-c", site]
    done = subprocess.run(
        [*command, "--format", "jsonl"],
        input=pcap(frames(one_hello(DURING)), nanos=True),
        capture_output=True,
        timeout=WAIT,
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line)["status"] for line in done.stdout.splitlines()]
    assert told == ["open", "closed"]


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
def test_options_that_the_source_has_not_are_refused(
    launch: Launch, site: str, option: tuple[str, ...], source: str
) -> None:
    live = launch("--source", source, "-i", str(SAMPLES[0]), "-c", site, *option)
    assert live.ends() == 1
    assert "started" not in live.text()


def test_told_at_once_and_closed_after_the_quiet_gap(capture: Capture, pipe: Pipe) -> None:
    pipe.send(frames(query(DURING, SERVICE, "www.tiktok.com")))
    capture.tells(1)
    pipe.send(frames(one_hello(LATER)))
    capture.tells(2)
    assert capture.told() == ["open probable", "update confirmed"]
    pipe.send(frames(one_hello(MUCH_LATER, name=QUIET)))
    capture.tells(3)
    assert capture.told()[2:] == ["closed confirmed"]
    pipe.close()
    assert capture.ends() == 0
    assert len({each["id"] for each in capture.records()}) == 1
    assert "opened violation probable" in capture.text()
    assert "incidents     violation 1" in capture.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_what_is_open(capture: Capture, pipe: Pipe, number: signal.Signals) -> None:
    pipe.send(frames(one_hello(DURING), one_hello(DURING, PERSONAL), one_hello(DURING, LAB)))
    capture.tells(3)
    capture.process.send_signal(number)
    assert capture.ends() == 0
    closed = [each["verdict"] for each in capture.records() if each["status"] == "closed"]
    assert sorted(closed) == ["advisory", "exempt", "violation"]
    assert f"stopped: {number.name}" in capture.text()
    assert "1 capture, 3 packets" in capture.text()


def test_killed_and_started_again_it_tells_nothing_twice(
    tmp_path: Path, site: str, piped: Launch, capture: Capture, pipe: Pipe
) -> None:
    pipe.send(frames(one_hello(DURING), query(DURING, PERSONAL, "www.tiktok.com")))
    capture.tells(2)
    ids = {each["id"] for each in capture.records()}
    until(lambda: (tmp_path / "state-wal").exists() or (tmp_path / "state").exists())
    capture.kill()
    again = piped(name="two")
    assert "2 incidents open from before" in again.text()
    pipe.send(frames(one_hello(LATER), one_hello(LATER, PERSONAL)))
    again.tells(1)
    pipe.close()
    assert again.ends() == 0
    assert again.told() == ["update confirmed", "closed confirmed", "closed confirmed"]
    assert {each["id"] for each in again.records()} == ids
    closed = [each for each in again.records() if each["status"] == "closed"]
    assert sorted(each["counts"]["handshakes"] for each in closed) == [1, 2]
    assert {each["first_seen"] for each in closed} == {closed[0]["first_seen"]}


def test_damaged_state_is_told_and_set_aside(tmp_path: Path, piped: Launch, pipe: Pipe) -> None:
    (tmp_path / "state").write_bytes(b"no database" * 500)
    live = piped()
    pipe.close()
    assert live.ends() == 0
    assert "it is kept as" in live.text()


def test_a_new_configuration_is_taken_without_a_gap(
    tmp_path: Path, site: str, piped: Launch, capture: Capture, pipe: Pipe
) -> None:
    pipe.send(frames(one_hello(DURING), one_hello(DURING, name="www.deepseek.com", seed=3)))
    capture.tells(1)
    Path(site).write_text(CONFIG.replace("apps: [tiktok]", "apps: [tiktok, deepseek]"))
    capture.process.send_signal(signal.SIGHUP)
    capture.says("reloaded: policy")
    pipe.send(frames(one_hello(LATER, name="www.deepseek.com", seed=4), one_hello(LATER, seed=2)))
    capture.tells(2)
    pipe.close()
    assert capture.ends() == 0
    told = [(each["status"], each["app"]["id"]) for each in capture.records()]
    assert sorted(told[1:]) == [("closed", "deepseek"), ("closed", "tiktok"), ("open", "deepseek")]
    assert told[0] == ("open", "tiktok")
    closed = next(
        e for e in capture.records() if e["status"] == "closed" and e["app"]["id"] == "tiktok"
    )
    assert closed["counts"]["handshakes"] == 2
    assert closed["id"] == capture.records()[0]["id"]
    assert closed["sensor"]["policy"] != capture.records()[0]["sensor"]["policy"]


def test_a_changed_file_is_noticed_and_a_bad_one_refused(
    site: str, capture: Capture, pipe: Pipe
) -> None:
    Path(site).write_text(CONFIG.replace("apps: [tiktok]", "apps: [tictoc]") + "colour: red\n")
    capture.says("reload refused")
    assert "a restart takes them" not in capture.text()
    assert "no app is 'tictoc'" in capture.text()
    assert "unknown key 'colour'" in capture.text()
    pipe.send(frames(one_hello(DURING)))
    capture.tells(1)
    Path(site).with_name("devices.csv").write_text("id,ip\ndesk-7,10.20.1.7\n")
    Path(site).write_text(CONFIG.replace("device: lab-07", "device: desk-7"))
    capture.says("reloaded: policy")
    pipe.send(frames(one_hello(LATER, seed=2)))
    pipe.close()
    assert capture.ends() == 0
    verdicts = {each["device"]["id"]: each["verdict"] for each in capture.records()}
    assert verdicts == {"10.20.1.7": "violation", "desk-7": "exempt"}


def test_many_reloads_lose_nothing(site: str, capture: Capture, pipe: Pipe) -> None:
    start = one_hello(DURING).frames[0][0]
    for number in range(20):
        text = CONFIG.replace("research", f"research {number}")
        Path(site).write_text(text)
        capture.process.send_signal(signal.SIGHUP)
        (frame,) = one_hello(DURING, seed=number).frames
        pipe.send([(start + number * 10**9, frame[1])])
    until(lambda: "reloaded: policy" in capture.text())
    pipe.close()
    assert capture.ends() == 0
    (closed,) = [each for each in capture.records() if each["status"] == "closed"]
    assert closed["counts"]["handshakes"] == 20


def test_a_worker_that_dies_ends_it_and_keeps_what_is_open(
    tmp_path: Path, site: str, piped: Launch, capture: Capture, pipe: Pipe
) -> None:
    pipe.send(frames(one_hello(DURING)))
    capture.tells(1)
    (worker,) = capture.workers()
    os.kill(worker, signal.SIGKILL)
    assert capture.ends() == 1
    assert "worker 0 ended by itself" in capture.text()
    assert capture.told() == ["open confirmed"]
    again = piped(name="two")
    pipe.close()
    assert again.ends() == 0
    assert again.told() == ["closed confirmed"]


@pytest.mark.parametrize("path", ["none.pcap", "site"])
def test_what_cannot_be_read_is_told(launch: Launch, tmp_path: Path, site: str, path: str) -> None:
    path = site if path == "site" else str(tmp_path / path)
    live = launch("--source", "file", "-i", path, "-c", site)
    assert live.ends() == 1
    assert path in live.text()


def test_a_configuration_with_mistakes_starts_nothing(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nnetwork: []\n")
    live = launch("--source", "file", "-i", str(SAMPLES[0]), "-c", str(tmp_path / "bad.yaml"))
    assert live.ends() == 2
    assert "bad.yaml:2: unknown key 'network'" in live.text()


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
    assert live.wait(WAIT) == 141
    pipe.close()


def test_a_service_manager_is_told(tmp_path: Path, piped: Launch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        live = piped(environ=environ)

        def heard(word: str) -> None:
            while word not in manager.recv(4096).decode():
                assert live.process.poll() is None

        heard("READY=1")
        heard("WATCHDOG=1")
        live.process.send_signal(signal.SIGHUP)
        heard("RELOADING=1")
        heard("READY=1")
        live.process.send_signal(signal.SIGTERM)
        heard("STOPPING=1")
        assert live.ends() == 0


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
    live.tells(1)
    live.process.send_signal(signal.SIGHUP)
    live.says("reloaded: policy")
    assert "a restart takes them" not in live.text()
    Path(site).write_text(Path(site).read_text() + f"metrics: {{listen: 127.0.0.1:{port}}}\n")
    live.says("outputs, spool or metrics changed: a restart takes them")

    def metric(text: str) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT) as answer:
            return text in answer.read().decode()

    until(lambda: metric('netwatch_incidents_total{verdict="violation"} 1.0'))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=WAIT) as answer:
        assert json.load(answer) == {"healthy": True, "troubles": []}
    pipe.close()
    assert live.ends() == 0
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


def test_text_of_packets_steers_no_terminal(capture: Capture, pipe: Pipe) -> None:
    (frame,) = one_hello(DURING, name="\x1b]0;x\x07.tiktok.com").frames
    pipe.send([frame])
    capture.tells(1)
    pipe.close()
    assert capture.ends() == 0
    assert "\x1b" not in capture.text()
