"""Several workers that read one capture together find what one process finds, to the byte."""

import gzip
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from support import divided
from support.captures import pcap, timed
from support.examples import only_long
from support.frames import ETHERNET, udp
from support.office import CONFIG, configured
from support.paths import ROOT
from support.waiting import TIMEOUT

from netwatch import config
from netwatch.capture.block import Block
from netwatch.capture.files import CaptureFile
from netwatch.capture.stream import StreamBuffer
from netwatch.config import Config
from netwatch.core.alert import Sensor
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.dissect.loop.division import Division
from netwatch.engine import jobs, sharing
from netwatch.engine.sharing import ShareWorkers
from netwatch.formats.registry import FORMATS
from netwatch.incidents.scan import ScanIncidents

SAMPLES = sorted((ROOT / "pcaps").glob("*.pcap"))
LEARN = "  inventory: devices.csv\n"
SHARE_ALL = """
import sys
from netwatch.cli import main
from netwatch.engine import jobs
jobs.LEAST_SHARED = 0
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def share_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share out small captures too."""
    monkeypatch.setattr(jobs, "LEAST_SHARED", 0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Config:
    text = CONFIG.replace(LEARN, f"{LEARN}  learn: [dhcp, mdns, arp]\n")
    assert text != CONFIG
    return config.load(configured(tmp_path_factory.mktemp("site"), text))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.stem: path for path in divided.captures(tmp_path_factory.mktemp("divided"))}


@pytest.fixture(scope="module")
def alone(made: dict[str, Path], site: Config) -> Callable[[str], dict[str, Any]]:
    """What one process finds in a made capture."""
    return cache(lambda name: scan([str(made[name])], site, 1))


def scan(paths: list[str], site: Config, workers: int, *, frames: bool = False) -> dict[str, Any]:
    """All that a scan finds, of one capture in the pieces `paths`."""
    statistics, coverage, stream = RunStatistics(), Coverage(), io.StringIO()
    files = [CaptureFile(path) for path in paths]
    with ScanIncidents(site.quiet_gap) as incidents:
        jobs.scan(
            [files],
            site,
            statistics,
            incidents,
            workers=workers,
            coverage=coverage,
            keep_frames=frames,
        )
        result = incidents.result(site.geo, Sensor("test", "0"))
        writer = FORMATS["jsonl"].writer(stream)
        kept = []
        for alert in result.alerts:
            writer.alert(alert)
            kept.append(alert.evidence_frames)
        writer.coverage(coverage.report(statistics.packets, statistics.anomalies), True)
        writer.end()
    found = asdict(statistics)
    return {**found, "records": stream.getvalue(), "frames": kept, "limits": result.limits}


@pytest.mark.parametrize("workers", [only_long(2), 3, only_long(4)])
@pytest.mark.parametrize("name", ["plain", "cut", "tunnels", "fragments", "slow"])
def test_a_scan_is_the_same(
    made: dict[str, Path],
    site: Config,
    alone: Callable[[str], dict[str, Any]],
    name: str,
    workers: int,
) -> None:
    assert scan([str(made[name])], site, workers) == alone(name)
    assert alone(name)["records"].count('"netwatch.alert/1"') > (0 if name == "cut" else 6)


@pytest.mark.parametrize("name", ["plain", "tunnels", "fragments", "slow"])
def test_the_packets_that_prove_incidents_are_the_same(
    made: dict[str, Path], site: Config, name: str
) -> None:
    alone = scan([str(made[name])], site, 1, frames=True)
    assert scan([str(made[name])], site, 3, frames=True) == alone
    assert all(alone["frames"])


def test_slow_connections_have_all_their_proof(made: dict[str, Path], site: Config) -> None:
    """Neither a pause nor a clock that jumps takes any away."""
    found = scan([str(made["slow"])], site, 1, frames=True)
    assert ("device-claim-refused", 4) in found["anomalies"]
    assert not any(name.startswith("proof-") for name, _ in found["anomalies"])
    proven = {
        frames.packet: [frame.number for frame in frames.frames]
        for kept in found["frames"]
        for frames in kept
    }
    # Requests: the SYN of the first, and the answers to the connection. An HTTP/2 message needs
    # what came before it.
    assert proven[19] == [1, 19, 2, 21, 81]
    assert proven[79] == [79, 2, 19, 21, 81]
    assert proven[83] == [23, 83, 5]
    assert proven[100] == [97, 100, 98]
    assert all(len(frames) > 2 for frames in proven.values())


def test_what_the_traffic_is_made_for_is_in_it(alone: Callable[[str], dict[str, Any]]) -> None:
    found = alone("plain")
    assert '"ip-from-dns"' in found["records"]
    assert '"hostname":"pc-1"' in found["records"]
    assert found["without_verdict"]
    assert "ip-fragments-incomplete" not in alone("fragments")["anomalies"]


@pytest.fixture(scope="module")
def sample_site() -> Config:
    return config.load(str(ROOT / "pcaps" / "netwatch.yaml"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_sample_captures_are_scanned_the_same(path: Path, sample_site: Config) -> None:
    workers = 2 + SAMPLES.index(path) % 2
    assert scan([str(path)], sample_site, workers) == scan([str(path)], sample_site, 1)


def test_pieces_of_one_capture_are_shared(
    made: dict[str, Path], site: Config, tmp_path: Path
) -> None:
    whole = made["plain"].read_bytes()
    frames, at, pieces = [], 24, []
    while at < len(whole):
        size = 16 + int.from_bytes(whole[at + 8 : at + 12], "little")
        frames.append(whole[at : at + size])
        at += size
    for number in range(3):
        piece = tmp_path / f"{number}.pcap"
        piece.write_bytes(whole[:24] + b"".join(frames[number * 400 : (number + 1) * 400]))
        pieces.append(str(piece))
    assert scan(pieces, site, 2) == scan(pieces, site, 1)


def test_more_blocks_than_the_ring_has_room_for(
    made: dict[str, Path],
    site: Config,
    alone: Callable[[str], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "WINDOWS", 2)
    monkeypatch.setattr(sharing, "SLOTS", 2)
    monkeypatch.setattr(StreamBuffer.__init__, "__defaults__", (4096, 1 << 24))
    path = str(made["plain"])
    assert scan([path], site, 2) == alone("plain")
    assert scan([path, path], site, 3) == scan([path, path], site, 1)


def test_a_damaged_capture_is_noted_once(
    made: dict[str, Path], site: Config, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(made["plain"].read_bytes()[:-7])
    alone = scan([str(cut)], site, 1)
    assert scan([str(cut)], site, 2) == alone
    assert len(alone["damaged"]) == 1
    missing = scan([str(tmp_path / "none.pcap")], site, 2)
    assert missing["packets"] == 0
    assert len(missing["unread"]) == 1


def run(*args: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", SHARE_ALL, *args], capture_output=True, check=False, **options
    )


def test_standard_input_is_shared(made: dict[str, Path], tmp_path: Path) -> None:
    place = configured(tmp_path)
    found = []
    for count in "1", "2":
        with made["plain"].open("rb") as stream:
            args = ("scan", "-c", place, "-q", "--format", "jsonl", "--jobs", count, "-")
            done = run(*args, stdin=stream)
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]
    assert found[0].count(b"\n") > 10


def test_the_hash_seed_does_not_matter(made: dict[str, Path], tmp_path: Path) -> None:
    place, found = configured(tmp_path), []
    for seed, count in (("0", "1"), ("1", "2"), ("2", "3")):
        args = ("scan", "-c", place, "-q", "--format", "jsonl", "--jobs", count)
        done = run(*args, str(made["plain"]), env=os.environ | {"PYTHONHASHSEED": seed})
        found.append(done.stdout)
    assert found[0] == found[1] == found[2] != b""


@pytest.mark.parametrize("name", ["plain", "cut"])
def test_the_names_in_one_capture_are_the_same(made: dict[str, Path], name: str) -> None:
    found = []
    for workers in (1, 2):
        statistics = RunStatistics()
        files = [[CaptureFile(str(made[name]))]]
        batches = jobs.names(files, statistics, workers=workers)
        shown = [each for batch in batches for each in batch.observations()]
        found.append((list(map(repr, shown)), asdict(statistics)))
    assert found[0] == found[1]
    assert found[0][1]["packets"] > 100


def test_small_captures_are_not_shared(
    made: dict[str, Path], site: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LEAST_SHARED", 2000)
    packed = tmp_path / "plain.pcap.gz"
    packed.write_bytes(gzip.compress(made["plain"].read_bytes()))
    alone = scan([str(made["plain"])], site, 1)
    assert 0 < alone["packets"] < 2000
    with monkeypatch.context() as patched:
        patched.setattr(ShareWorkers, "__init__", failing)
        for path in (made["plain"], packed, tmp_path / "none.pcap"):
            scan([str(path)], site, 2)
        with pytest.raises(TypeError):
            scan([str(made["plain"])] * 3, site, 2)
    assert scan([str(made["plain"])], site, 2) == alone


class Reader:
    """A share reader that does as it is told with the second block."""

    def __init__(self, does: Any) -> None:
        self._does = does
        self._worker = -1
        self._blocks = 0

    def begin(self, division: Division, worker: int, seed: int) -> None:
        self._worker = worker

    def process(self, block: Block, source: str) -> None:
        self._blocks += 1
        if self._worker == 1 and self._blocks == 2:
            self._does()

    def end(self) -> int:
        return self._blocks

    def result(self) -> int:
        return -1


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> list[CaptureFile]:
    """A capture of many blocks."""
    path = tmp_path_factory.mktemp("long") / "long.pcap"
    path.write_bytes(pcap(timed([ETHERNET.frame(udp(b"x"))] * 400_000)))
    return [CaptureFile(str(path))]


def failing() -> None:
    raise ValueError("as it was told")


def read_by_two(files: list[CaptureFile], does: Any) -> None:
    with ShareWorkers(2, partial(Reader, does), None, lambda *_: None) as group:
        group.read(files, RunStatistics())
        group.finish()


def test_a_worker_that_fails_ends_the_run_with_its_error(long: list[CaptureFile]) -> None:
    with pytest.raises(ValueError, match="as it was told"):
        read_by_two(long, failing)


def test_a_worker_that_dies_ends_the_run_with_an_error(long: list[CaptureFile]) -> None:
    with pytest.raises(NetwatchError, match=r"worker process 2 of 2 died .*status 7"):
        read_by_two(long, partial(os._exit, 7))


def test_an_interrupted_run_leaves_no_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "netwatch", "scan", "-c", configured(tmp_path), "--jobs", "3", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Where the tests run in the background, a shell has made them ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(pcap(timed([ETHERNET.frame(udp(b"x"))])))
        process.stdin.flush()
        children = list(_wait_for_children(process.pid, 3))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
        assert [child for child in children if Path(f"/proc/{child}").exists()] == []


def _wait_for_children(pid: int, count: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        children = [int(child) for child in path.read_text().split()]
        if len(children) == count:
            return children
        time.sleep(0.02)
    raise AssertionError("the workers were not started")
