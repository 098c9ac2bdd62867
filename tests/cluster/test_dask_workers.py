"""A Dask cluster gives the bytes of a scan, whatever dies on the way."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from support.archives import make_archive
from support.forged_results import accuse
from support.office import configured
from support.s3_faults import Fault, FaultyS3
from support.store_servers import new_bucket

from netwatch import config
from netwatch.cli import main
from netwatch.cluster import workers
from netwatch.cluster.dask_workers import GROUP_SECONDS, MAX_GROUP, DaskWorkers, GroupSizes
from netwatch.cluster.storage import open_storage

Captured = pytest.CaptureFixture[str]
TIMEOUT = 120
"""Seconds until something must have happened."""
UNITS = 16


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of workers, and the file that their starts are written to."""
    starts = tmp_path / "starts"
    starts.touch()
    monkeypatch.setenv("NETWATCH_TEST_STARTS", str(starts))
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", "support.cluster_workers")
    # What Dask measures of itself costs more here than the tasks.
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED", "False")
    return starts


def command(tmp_path: Path, folder: str, *options: str) -> list[str]:
    """A scan with the office's configuration, as a process."""
    place = configured(tmp_path)
    words = ["-m", "netwatch", "scan", "-c", place, folder, "--format", "jsonl", "--coverage"]
    return [sys.executable, *words, *options]


def plain(tmp_path: Path, folder: str) -> bytes:
    done = subprocess.run(command(tmp_path, folder, "-q"), capture_output=True, check=False)
    return done.stdout


def begun(starts: Path) -> list[list[str]]:
    return [line.split(" ", 1) for line in starts.read_text().splitlines()]


def kill_newest(starts: Path) -> None:
    """Kill the worker that began last, of those that live."""
    for pid, _ in reversed(begun(starts)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
            return
    raise AssertionError("no worker lives")


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def test_killed_workers_and_a_poisoned_capture(
    tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Workers are killed in the middle, one capture kills each that reads it; then the run goes
    on without it."""
    monkeypatch.setenv("NETWATCH_TEST_PAUSE", "0.05")
    folder = make_archive(tmp_path / "captures", UNITS)
    expected = plain(tmp_path, str(folder))
    poison = folder / "100-poison.pcap"
    poison.write_bytes((folder / "001.pcap").read_bytes())
    ledger = str(tmp_path / "done")
    options = ("--cluster", "local", "--jobs", "2", "--ledger", ledger)
    with subprocess.Popen(
        command(tmp_path, str(folder), *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_for(lambda: len(begun(environment)) >= 4)
        kill_newest(environment)
        out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1, err.decode()
    assert out == expected
    assert b"100-poison.pcap: the process that read it died" in err
    assert b"distributed" not in err, err.decode()
    assert f"{UNITS} read now, 1 failed".encode() in err
    starts = [name for _, name in begun(environment)]
    kills = 1 + sum("poison" in name for name in starts)
    assert len(starts) <= UNITS + 1 + 2 * kills
    poison.unlink()
    assert main(command(tmp_path, str(folder), "--ledger", ledger)[3:]) == 0
    again = capsys.readouterr()
    assert again.out.encode() == expected
    assert f"{UNITS}: {UNITS} were done before, 0 read now" in again.err


def test_a_worker_dies_when_its_result_is_about_to_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody ends the attempts to connect to it, since the scheduler forgot it just before they
    began. Its tasks are done again by then."""
    from distributed import scheduler

    monkeypatch.setattr(workers, "PEER_SECONDS", 1)
    fetch = scheduler.gather_from_workers
    killed: list[str] = []

    async def fetch_late(who_has: dict[str, set[str]], **options: object) -> object:
        if not killed:
            known = cluster._cluster.scheduler.workers
            killed.append(next(iter(next(iter(who_has.values())))))
            os.kill(known[killed[0]].pid, signal.SIGKILL)
            while killed[0] in known:
                await asyncio.sleep(0.01)
        return await fetch(who_has, **options)

    monkeypatch.setattr(scheduler, "gather_from_workers", fetch_late)
    site = config.load(configured(tmp_path))
    cluster = DaskWorkers(site, "local", 2, workers.TlsFiles())
    try:
        began = time.monotonic()
        done = dict(cluster.run(_twice, range(6)))
        assert time.monotonic() - began < TIMEOUT
    finally:
        cluster.close()
    assert done == {number: 2 * number for number in range(6)}
    assert killed


def _twice(_site: config.Config, number: int) -> int:
    return 2 * number


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a scheduler and a worker; its address."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*options: str, scheme: str = "tcp") -> str:
        log = subprocess.DEVNULL
        file = tmp_path / "scheduler.json"
        local = ["--host", f"{scheme}://127.0.0.1", *options]
        shared = ["--scheduler-file", str(file)]
        words = [sys.executable, "-m", "distributed.cli.dask_scheduler", *shared, *local]
        run = subprocess.Popen([*words, "--port", "0", "--no-dashboard"], stdout=log, stderr=log)
        processes.append(run)
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        words = [sys.executable, "-m", "distributed.cli.dask_worker", *shared, *local]
        more = ["--no-nanny", "--nthreads", "1", "--no-dashboard"]
        processes.append(subprocess.Popen([*words, *more], stdout=log, stderr=log, cwd=tmp_path))
        address: str = json.loads(file.read_text())["address"]
        return address

    yield start
    for process in reversed(processes):
        process.kill()
        process.wait()


def test_a_worker_of_another_version_is_refused(
    tmp_path: Path,
    scheduler: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.setenv("NETWATCH_TEST_VERSION", "0.0.9")
    address = scheduler()
    folder = make_archive(tmp_path / "captures", 2)
    words = ["--cluster", address, "--ledger", str(tmp_path / "done")]
    assert main(["scan", "-c", configured(tmp_path), str(folder), *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "has netwatch 0.0.9 on Python" in captured.err
    assert "install the same everywhere" in captured.err
    assert not (tmp_path / "done").exists()


def test_over_tls_from_a_bucket_that_fails_now_and_then(
    tmp_path: Path,
    scheduler: Callable[..., str],
    environment: Path,
    s3_faults: FaultyS3,
    capsys: Captured,
) -> None:
    import s3fs

    folder = make_archive(tmp_path / "captures", 6)
    expected = plain(tmp_path, str(folder)).replace(str(folder).encode(), b"CAPTURES")
    bucket = new_bucket()
    s3fs.S3FileSystem().put(f"{folder}/", f"{bucket}/captures/", recursive=True)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    issued.private_key_pem.write_to_path(files["key"])
    issued.cert_chain_pems[0].write_to_path(files["cert"])
    tls = ["--tls-ca-file", files["ca"], "--tls-cert", files["cert"], "--tls-key", files["key"]]
    address = scheduler(*tls, scheme="tls")
    s3_faults.faults = [
        Fault("*/captures/*2.pcap", status=503, code="SlowDown", times=1),
        Fault("*/ledger/results/*", method="PUT", status=500, times=2),
        Fault("*/ledger/results/*", cut_after=40, times=1),
        Fault("*/captures/*4.pcap", cut_after=200, times=1),
    ]
    command_line = ["scan", "-c", configured(tmp_path), f"{bucket}/captures/", "--cluster", address]
    command_line += ["--format", "jsonl", "--coverage", "--ledger", f"{bucket}/ledger"]
    with_tls = ["--cluster-ca", files["ca"], "--cluster-cert", files["cert"]]
    assert main([*command_line, *with_tls, "--cluster-key", files["key"]]) == 0
    captured = capsys.readouterr()
    found = captured.out.encode().replace(f"{bucket}/captures".encode(), b"CAPTURES")
    assert found == expected
    assert "6: 0 were done before, 6 read now" in captured.err
    assert len(begun(environment)) == 6
    storage = open_storage(f"{bucket}/ledger")
    accuse(storage, max(storage.objects("results/"), key=lambda each: each.size).name, "jane")
    assert main([*command_line, *with_tls, "--cluster-key", files["key"]]) == 0
    captured = capsys.readouterr()
    assert captured.out.encode().replace(f"{bucket}/captures".encode(), b"CAPTURES") == expected
    assert "1 damaged result made again" in captured.err
    assert "ledger-altered 1" in captured.err
    assert main(["ledger", "status", f"{bucket}/ledger"]) == 0
    assert "\nresults    6," in capsys.readouterr().out
    with contextlib.suppress(FileNotFoundError):
        assert not s3fs.S3FileSystem().find(f"{bucket}/ledger/runs")


def test_the_first_tasks_come_alone() -> None:
    groups = GroupSizes(2)
    assert not groups.is_known
    assert [groups.next(pending) for pending in (1, 2, 1000)] == [1, 1, 1]


def test_a_group_takes_as_long_as_it_should() -> None:
    groups = GroupSizes(2)
    groups.took(1, 0.1)
    assert groups.is_known
    assert groups.next(10_000) == GROUP_SECONDS / 0.1


def test_long_tasks_and_the_last_ones_come_alone() -> None:
    groups = GroupSizes(4)
    groups.took(1, 3 * GROUP_SECONDS)
    assert groups.next(10_000) == 1
    groups.took(100_000, 0.0)
    assert groups.next(10_000) == MAX_GROUP
    assert [groups.next(pending) for pending in (1, 8, 9, 80)] == [1, 1, 2, 10]


def test_all_tasks_are_in_groups_that_become_smaller() -> None:
    groups, pending, sizes = GroupSizes(2), 92, []
    groups.took(4, 0.4)
    while pending:
        sizes.append(groups.next(pending))
        pending -= sizes[-1]
    assert sum(sizes) == 92
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (20, 1)


def test_what_was_longer_ago_counts_less() -> None:
    groups = GroupSizes(1)
    groups.took(10, 10.0)
    for _ in range(8):
        groups.took(10, 1.0)
    assert 15 <= groups.next(10_000) <= 20


def test_no_workers_are_as_one() -> None:
    groups = GroupSizes(0)
    groups.took(1, 0.001)
    assert groups.next(10) == 5
