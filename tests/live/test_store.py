"""A live capture with a store: it keeps what it sees, and never waits for it."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.erasable import texts
from support.live import Pipe, children
from support.office import CONFIG, DURING, PERSONAL, configured, one_hello
from support.ports import free_port
from support.stored_facts import catalogue_rows, facts, incident_lines, on_disk
from support.waiting import TIMEOUT, read_until, wait_until

from netwatch.cli import main


class Stored:
    """A capture from a pipe, with a store and an endpoint."""

    def __init__(self, folder: Path, *program: str) -> None:
        self.store, self.out, self.port = folder / "store", folder / "out.jsonl", free_port()
        self.pipe = Pipe(folder / "pipe")
        config = configured(folder, f"{CONFIG}\nstore: {{path: store}}\n")
        command = [sys.executable, *(program or ("-m", "netwatch")), "live", "--source", "file"]
        command += ["-i", str(self.pipe.path), "-c", config, "--format", "jsonl"]
        command += ["-o", str(self.out), "--metrics", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        self.stderr = self.process.stderr
        self.log = b""
        self.pipe.open()
        self.wait_for_log(b"started on")

    def wait_for_log(self, text: bytes) -> None:
        self.log = read_until(self.stderr.fileno(), text, self.log)

    @property
    def writer(self) -> int:
        """The process id of the writer, whose host is forked first."""
        return children(children(self.process.pid)[0])[0]

    def get(self, path: str) -> bytes:
        """What the endpoint answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return bytes(refused.read())

    def troubles(self) -> dict[str, str]:
        health: dict[str, Any] = json.loads(self.get("/healthz"))
        return {trouble["kind"]: trouble["message"] for trouble in health["troubles"]}

    def metric(self, name: str) -> float:
        (line,) = (
            line
            for line in self.get("/metrics").decode().splitlines()
            if line.startswith(f"{name} ")
        )
        return float(line.split()[1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.log += self.stderr.read()
        return self.process.wait(TIMEOUT)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    with running(tmp_path) as capture:
        yield capture


@contextmanager
def running(folder: Path, *program: str) -> Iterator[Stored]:
    """A capture, which is killed at the end of the context if it still runs."""
    capture = Stored(folder, *program)
    try:
        yield capture
    finally:
        capture.process.kill()
        capture.process.wait()
        capture.stderr.close()
        capture.pipe.close()


def test_what_is_seen_and_decided_is_kept(stored: Stored) -> None:
    """Facts, incidents as they were printed, coverage, and one complete capture."""
    stored.pipe.send(one_hello(DURING, PERSONAL).frames)
    wait_until(lambda: stored.out.exists() and b"open" in stored.out.read_bytes())
    wait_until(lambda: catalogue_rows(stored.store, "SELECT status FROM incident") == [("open",)])
    wait_until(lambda: len(catalogue_rows(stored.store, "SELECT name FROM fleet_sensor")) == 1)
    ((status,),) = catalogue_rows(stored.store, "SELECT status FROM fleet_sensor")
    assert json.loads(status)["interfaces"] == [{"name": str(stored.pipe.path), "up": True}]
    assert stored.stop() == 0
    closed = stored.out.read_text().splitlines()[-1]
    assert incident_lines(stored.store) == [closed]
    assert [row[0] for row in facts(stored.store, "observation", ("evidence",))] == ["tls-sni"]
    assert facts(stored.store, "flow", ("name_status",)) == [("named",)]
    ((state, lost),) = catalogue_rows(stored.store, "SELECT state, lost_rows FROM capture")
    assert (state, lost) == ("complete", 0)
    ((part, record),) = catalogue_rows(stored.store, "SELECT part, record FROM coverage")
    assert (part, json.loads(record)["flows"]) == (0, 1)
    ((command, ended),) = catalogue_rows(stored.store, "SELECT command, ended FROM run")
    assert command == "live"
    assert ended


def test_a_writer_that_is_killed_is_started_again(stored: Stored) -> None:
    """The capture goes on without it, is unhealthy meanwhile, and keeps what it sees then."""
    os.kill(stored.writer, signal.SIGKILL)
    stored.wait_for_log(b"died unexpectedly (exit status -9)")
    stored.pipe.send(one_hello(DURING, PERSONAL).frames)
    wait_until(lambda: stored.out.exists() and b"open" in stored.out.read_bytes())
    stored.wait_for_log(b"the store is written to again")
    wait_until(lambda: stored.metric("netwatch_store_writer_restarts_total") == 1)
    wait_until(lambda: "store" not in stored.troubles())
    assert stored.metric("netwatch_store_rows_lost_total") == 0
    assert stored.stop() == 0
    assert b" lost" not in stored.log.partition(b"written to again")[2]
    assert [row[0] for row in facts(stored.store, "observation", ("evidence",))] == ["tls-sni"]
    assert incident_lines(stored.store) == [stored.out.read_text().splitlines()[-1]]
    # Nothing was seen before, so nothing is missing.
    assert catalogue_rows(stored.store, "SELECT state, lost_rows FROM capture") == [("complete", 0)]


def test_a_kill_takes_seconds_which_is_known(stored: Stored) -> None:
    """Coverage and facts are written while the capture runs. If the main process is killed, the
    writer stores what it has and what the workers send at their end, and that something may be
    missing."""
    stored.pipe.send(one_hello(DURING, PERSONAL).frames)
    wait_until(lambda: catalogue_rows(stored.store, "SELECT count(*) FROM file") == [(1,)])
    wait_until(lambda: catalogue_rows(stored.store, "SELECT count(*) FROM coverage") == [(1,)])
    ((record,),) = catalogue_rows(stored.store, "SELECT record FROM coverage")
    assert json.loads(record)["packets"]["seen"] > 0
    stored.process.kill()
    stored.process.wait()
    states = "SELECT state FROM capture"
    wait_until(lambda: catalogue_rows(stored.store, states) == [("partial",)])
    kinds = catalogue_rows(stored.store, "SELECT kind, count FROM loss")
    assert kinds == [("killed", 0)]
    assert facts(stored.store, "flow", ("name_status",)) == [("named",)]


def test_a_store_that_cannot_be_opened_again_is_unhealthy(stored: Stored) -> None:
    """It is said once, and what is lost in the end is counted."""
    os.kill(stored.writer, signal.SIGSTOP)
    away = stored.store.rename(stored.store.with_name("away"))
    stored.store.write_text("")
    os.kill(stored.writer, signal.SIGKILL)
    stored.wait_for_log(b"the store cannot be written to")
    wait_until(lambda: "store" in stored.troubles())
    stored.pipe.send(one_hello(DURING, PERSONAL).frames)
    wait_until(lambda: stored.out.exists() and b"open" in stored.out.read_bytes())
    assert stored.stop() == 1
    assert b"of this capture were lost" in stored.log
    # Its incident twice, its coverage, and the status of the sensor as often as it was written.
    found = re.search(rb"the store: (\d+) records lost", stored.log)
    assert found
    assert int(found[1]) >= 3
    assert stored.log.count(b"cannot be written to") == 1
    assert facts(away, "observation") == []


def test_a_disk_that_is_full_for_a_while_loses_nothing(stored: Stored) -> None:
    """What cannot be written is kept in memory, said at once, and written later."""
    resource.prlimit(stored.writer, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    stored.pipe.send(one_hello(DURING, PERSONAL).frames)
    stored.wait_for_log(b"the store cannot be written to")
    wait_until(lambda: "store" in stored.troubles())
    resource.prlimit(
        stored.writer, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    stored.wait_for_log(b"the store is written to again")
    wait_until(lambda: "store" not in stored.troubles())
    assert stored.metric("netwatch_store_rows_lost_total") == 0
    assert stored.stop() == 0
    assert len(facts(stored.store, "observation")) == 1
    assert len(incident_lines(stored.store)) == 1
    assert not any(path.name.endswith(".tmp") for path in on_disk(stored.store))


IMPATIENT = """
import sys
from netwatch.cli import main
from netwatch.live import live_store
live_store.STALL_TIMEOUT = 1.0
sys.exit(main())
"""


def test_a_writer_that_hangs_delays_nothing(tmp_path: Path) -> None:
    """The capture reports as always, and ends once the writer has made no progress for a time,
    which it says, with status 1. Whoever opens the store next learns that the capture is not whole,
    and since when."""
    with running(tmp_path, "-c", IMPATIENT) as stored:
        os.kill(stored.writer, signal.SIGSTOP)
        stored.pipe.send(one_hello(DURING, PERSONAL).frames)
        wait_until(lambda: stored.out.exists() and b"open" in stored.out.read_bytes())
        assert stored.stop() == 1
    assert b"its writer made no progress for 1 s" in stored.log
    assert b"died unexpectedly" not in stored.log
    assert b"of this capture were lost" in stored.log


def test_nobody_is_erased_while_it_runs(
    stored: Stored, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not while its writer is dead: an open incident would be stored again. Afterwards nothing
    of the person is left."""
    monkeypatch.chdir(stored.store.parent)
    erase = ["store", "erase", "--yes", "--state", "none", "--device", PERSONAL.ip]
    stored.pipe.send(one_hello(DURING, PERSONAL).frames)
    wait_until(lambda: catalogue_rows(stored.store, "SELECT status FROM incident") == [("open",)])
    wait_until(lambda: catalogue_rows(stored.store, "SELECT count(*) FROM file") == [(1,)])
    assert main(erase) == 1
    os.kill(stored.writer, signal.SIGKILL)
    stored.wait_for_log(b"died unexpectedly")
    assert main(erase) == 1
    refused = capsys.readouterr()
    assert (refused.out, refused.err.count("stop live")) == ("", 2)
    assert stored.stop() == 0
    assert PERSONAL.ip in incident_lines(stored.store)[0]
    assert main(erase) == 0
    assert incident_lines(stored.store) == []
    for path in stored.store.rglob("*"):
        assert not path.is_file() or not any(PERSONAL.ip in text for text in texts(path))
