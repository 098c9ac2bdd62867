"""A live capture whose files cannot grow: reported at once, unhealthy, and over when there is
room again."""

import json
import resource
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.live import Pipe
from support.office import DURING, PERSONAL, configured, one_hello
from support.ports import free_port
from support.waiting import TIMEOUT, read_until, wait_until

LIMIT = 100


class Limited:
    """A capture with records and evidence, the size of whose files is limited while it runs."""

    def __init__(self, folder: Path) -> None:
        self.proof, self.out, self.port = folder / "proof", folder / "out.jsonl", free_port()
        self.pipe = Pipe(folder / "pipe")
        command = [sys.executable, "-m", "netwatch", "live", "--source", "file"]
        command += ["-i", str(self.pipe.path), "-c", configured(folder), "--format", "jsonl"]
        command += ["-o", str(self.out), "--evidence", str(self.proof)]
        command += ["--metrics", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        self.stderr = self.process.stderr
        self.log = b""
        self.pipe.open()
        self.wait_for_log(b"started on")

    def wait_for_log(self, text: bytes) -> None:
        self.log = read_until(self.stderr.fileno(), text, self.log)

    def limit(self, size: int) -> None:
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def troubles(self) -> dict[str, str]:
        """The troubles that /healthz reports, each with its sentence."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz") as answer:
                health = json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                health = json.load(refused)
        return {trouble["kind"]: trouble["message"] for trouble in health["troubles"]}

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.log += self.stderr.read()
        return self.process.wait(TIMEOUT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.stderr.close()
        self.pipe.close()


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Limited]:
    made = Limited(tmp_path)
    made.limit(LIMIT)
    yield made
    made.close()


def test_a_full_disk_is_reported_at_once_and_ends_with_an_error(limited: Limited) -> None:
    limited.pipe.send(one_hello(DURING).frames)
    limited.wait_for_log(b".pcapng: evidence cannot be written: File too large")
    limited.wait_for_log(f"{limited.out}: File too large; records are buffered".encode())
    wait_until(lambda: set(limited.troubles()) == {"records", "evidence"})
    troubles = limited.troubles()
    assert troubles["records"] == f"records cannot be written: {limited.out}: File too large"
    assert troubles["evidence"].startswith(f"evidence cannot be written: {limited.proof}/2023")
    assert limited.stop() == 1
    assert limited.log.count(b"evidence cannot be written") == 1
    assert f"{limited.proof}: 1 evidence capture could not be written".encode() in limited.log
    assert f"{limited.out}: ".encode() in limited.log
    assert b"bytes of records could not be written" in limited.log


def test_what_was_refused_is_written_when_there_is_room_again(limited: Limited) -> None:
    limited.pipe.send(one_hello(DURING).frames)
    limited.pipe.send(one_hello(DURING, PERSONAL).frames)
    wait_until(lambda: set(limited.troubles()) == {"records", "evidence"})
    limited.limit(resource.RLIM_INFINITY)
    limited.wait_for_log(f"{limited.proof}: evidence is written again".encode())
    wait_until(lambda: limited.troubles() == {})
    assert len(list(limited.proof.iterdir())) == 2
    assert limited.stop() == 0
    records = [json.loads(line) for line in limited.out.read_text().splitlines()]
    assert [record["status"] for record in records] == ["open", "open", "closed", "closed"]
    assert all(Path(record["evidence_file"]).exists() for record in records[2:])
