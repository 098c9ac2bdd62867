"""A scan with a ledger gives the bytes of one without, and reads only what it must."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from craft import Host, Wire
from support import fake_log
from support.archives import make_archive
from support.forged_results import accuse
from support.office import CONFIG, DURING, FAR, capture, configured, hello, lookup
from support.waiting import TIMEOUT

from netwatch.cli import main
from netwatch.cluster import archive, signatures, tasks
from netwatch.cluster.result_file import (
    Entry,
    read_head,
    sealed,
    write_entries,
    write_result,
)
from netwatch.cluster.signatures import LedgerKey
from netwatch.cluster.storage import open_storage, write
from netwatch.cluster.workers import ThisProcess
from netwatch.config import Config, load
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine.capture_files import LogUnit
from netwatch.incidents.senders import SenderTable
from netwatch.incidents.spill import PARTITIONS
from netwatch.logs.registry import LOG_FORMATS
from netwatch.privacy import write_new_key

Captured = pytest.CaptureFixture[str]
Scan = Callable[..., tuple[int, str, str]]

UNITS = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Captures whose incidents run across files; one is broken, one cut, one no capture."""
    made = make_archive(tmp_path / "captures", UNITS - 3)
    (made / "broken.pcap").write_bytes(b"nothing of the kind")
    (made / "cut.pcap").write_bytes((made / "003.pcap").read_bytes()[:-9])
    (made / "notes.txt").write_text("not a capture")
    return made


@pytest.fixture
def scan(tmp_path: Path, capsys: Captured) -> Scan:
    """Runs a scan with the office's configuration: status, output, errors."""
    place = configured(tmp_path)

    def _scan(*arguments: str | Path) -> tuple[int, str, str]:
        words = ["--format", "jsonl", "--coverage", *map(str, arguments)]
        status = main(["scan", "-c", place, *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return _scan


def units(err: str) -> str:
    """What the summary says of units."""
    (line,) = [line for line in err.splitlines() if line.startswith("units ")]
    return line.partition(" ")[2].strip()


def without_units(err: str) -> list[str]:
    return [line for line in err.splitlines() if not line.startswith(("units ", "read "))]


def done_before(err: str) -> int:
    """How many units were done before, as the summary says."""
    return int(units(err).split()[1].replace(",", ""))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_output_summary_and_evidence_are_those_of_a_scan(
    scan: Scan, folder: Path, tmp_path: Path, jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evidence() -> dict[str, bytes]:
        made = {path.name: path.read_bytes() for path in Path("proof").iterdir()}
        for path in Path("proof").iterdir():
            path.unlink()
        return made

    monkeypatch.chdir(tmp_path)
    plain = scan(folder, "--evidence", "proof", "-v")
    packets = evidence()
    assert len(packets) >= 3
    for there in (0, UNITS - 1):
        found = scan(folder, "--evidence", "proof", "-v", "--ledger", "done", "--jobs", jobs)
        assert found[:2] == plain[:2]
        assert without_units(found[2]) == without_units(plain[2])
        assert units(found[2]) == f"{UNITS}: {there} were done before, {UNITS - there} read now"
        assert evidence() == packets
    assert not list(Path("done").glob("runs/*"))
    modes = {path.stat().st_mode & 0o777 for path in Path("done").rglob("*")}
    assert modes == {0o700, 0o600}


def test_only_what_is_new_or_changed_is_read(scan: Scan, folder: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "done"
    (folder / "broken.pcap").unlink()
    scan(folder, "--ledger", ledger)
    make_archive(folder, UNITS - 2)  # one more; the others have the same bytes and another time
    for number in range(UNITS - 3):
        place = folder / f"{number:03}.pcap"
        os.utime(place, ns=(1, 1 if number else 2))
    first = scan(folder, "--ledger", ledger)
    assert units(first[2]) == f"{UNITS}: 2 were done before, {UNITS - 2} read now"
    (folder / "001.pcap").write_bytes((folder / "002.pcap").read_bytes())
    changed = scan(folder, "--ledger", ledger)
    assert units(changed[2]) == f"{UNITS}: {UNITS - 1} were done before, 1 read now"
    (folder / "002.pcap").unlink()
    fewer = scan(folder, "--ledger", ledger)
    assert units(fewer[2]) == f"{UNITS - 1}: {UNITS - 1} were done before, 0 read now"
    assert fewer[1] == scan(folder)[1] != changed[1]


def test_a_changed_ban_judges_again_and_a_changed_output_does_not(
    scan: Scan, folder: Path, tmp_path: Path
) -> None:
    ledger = tmp_path / "done"
    scan(folder, "--ledger", ledger)
    before = scan(folder, "--ledger", ledger)
    configured(tmp_path, CONFIG + "outputs: [{name: x, type: file, path: alerts.jsonl}]\n")
    assert "1 read now" in units(scan(folder, "--ledger", ledger)[2])  # the broken one
    configured(tmp_path, CONFIG.replace("severity: high", "severity: low"))
    assert CONFIG.replace("severity: high", "severity: low") != CONFIG
    after = scan(folder, "--ledger", ledger)
    assert units(after[2]) == f"{UNITS}: 0 were done before, {UNITS} read now"
    assert after[1] == scan(folder)[1] != before[1]


def _cut(path: Path, _other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _cut_head(path: Path, _other: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def _flip(path: Path, _other: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-12] ^= 4
    path.write_bytes(data)


def _swap(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def _empty(path: Path, _other: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _cut_head, _flip, _swap, _empty])
def test_damaged_and_foreign_results_are_counted_and_made_again(
    scan: Scan, folder: Path, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    ledger = tmp_path / "done"
    (folder / "broken.pcap").unlink()
    plain = scan(folder, "--ledger", ledger)
    results = sorted(ledger.glob("results/*/*"), key=lambda path: -path.stat().st_size)
    damage(results[0], results[1])
    (results[0].parent / ("0" * 40)).write_bytes(b"nobody asked for it")
    again = scan(folder, "--ledger", ledger)
    assert again[:2] == plain[:2]
    assert "ledger-altered 1" in again[2]
    left = UNITS - 2
    expected = f"{left} were done before, 1 read now, 1 damaged result made again"
    assert units(again[2]) == f"{UNITS - 1}: {expected}"
    assert units(scan(folder, "--ledger", ledger)[2]).endswith("0 read now")


def test_a_capture_that_changes_while_it_is_read_is_not_kept(
    scan: Scan, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tasks.pipeline.scan

    def grow(files: object, *rest: object, **options: object) -> None:
        real(files, *rest, **options)  # type: ignore[arg-type]
        with (folder / "002.pcap").open("ab") as stream:
            stream.write(b"\0" if "002" in str(files) else b"")

    monkeypatch.setattr(tasks.pipeline, "scan", grow)
    status, _, err = scan(folder, "--ledger", tmp_path / "done")
    assert status == 1
    assert "002.pcap: has changed since the run began" in err
    assert f"{UNITS - 1} read now, 1 failed" in err


def test_what_kills_its_process_is_left_out_and_the_others_are_read(
    scan: Scan, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    real = tasks.judge

    def judge(config: Config, task: tasks.UnitTask) -> tasks.UnitDone:
        if "004" in task.unit.name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "005" in task.unit.name:
            raise MemoryError("made by a test")
        return real(config, task)

    judge.__module__, judge.__qualname__ = tasks.__name__, "judge"
    monkeypatch.setattr(tasks, "judge", judge)
    status, out, err = scan(folder, "--ledger", tmp_path / "done", "--jobs", "2")
    assert status == 1
    assert f"{UNITS - 2} read now, 2 failed" in err
    assert "004.pcap: the process that read it died" in err
    assert "005.pcap: could not be read: MemoryError: made by a test" in err
    assert main(["ledger", "status", str(tmp_path / "done")]) == 0
    said = capsys.readouterr().out
    assert "004.pcap: the process that read it died" in said
    monkeypatch.undo()
    status, again, err = scan(folder, "--ledger", tmp_path / "done", "--jobs", "2")
    assert again == scan(folder)[1] != out
    assert f"{UNITS - 3} were done before, 3 read now" in err


def test_a_run_that_was_killed_goes_on(scan: Scan, tmp_path: Path) -> None:
    folder = make_archive(tmp_path / "captures", 40)
    ledger = tmp_path / "done"
    place = configured(tmp_path)
    command = [sys.executable, "-m", "netwatch", "scan", "-c", place, str(folder), "-q"]
    with subprocess.Popen([*command, "--ledger", str(ledger), "--jobs", "2"]) as process:
        end = time.monotonic() + TIMEOUT
        # Results that no signature was written for yet are not trusted.
        while not list(ledger.glob("signatures/*/[!.]*")) and time.monotonic() < end:
            time.sleep(0.005)
        process.kill()
    there = len(list(ledger.glob("results/*/[!.]*")))
    assert 1 <= there < 40
    status, out, err = scan(folder, "--ledger", ledger)
    assert (status, out) == scan(folder)[:2]
    done = done_before(err)
    assert 1 <= done <= there
    unsigned = [line for line in err.splitlines() if "unsigned result" in line]
    assert units(err).startswith(f"40: {done} were done before, {40 - done} read now")
    assert bool(unsigned) == (done < there)


def test_any_fan_in_and_number_of_tasks_give_the_same(
    scan: Scan, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = scan(folder)
    monkeypatch.setattr(archive, "FAN_IN", 2)
    monkeypatch.setattr(archive, "REPORT_INCIDENTS", 1)
    monkeypatch.setattr("netwatch.cluster.tasks.CHUNK_INCIDENTS", 2)
    assert scan(folder, "--ledger", tmp_path / "done")[:2] == plain[:2]


def test_days_of_folders_are_units_with_the_state_of_one_capture(
    scan: Scan, tmp_path: Path
) -> None:
    for sensor in ("a", "b"):
        make_archive(tmp_path / "captures" / sensor, 20)
    options = [tmp_path / "captures", "--continuous", "--by-day"]
    plain = scan(*options)
    found = scan(*options, "--ledger", tmp_path / "done")
    assert found[:2] == plain[:2]
    assert units(found[2]) == "2: 0 were done before, 2 read now"
    make_archive(tmp_path / "captures" / "c", 2)
    assert units(scan(*options, "--ledger", tmp_path / "done")[2]).endswith("1 read now")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "--ledger", "x"], "--store does not go with --ledger"),
        (["--by-day"], "--by-day needs --continuous"),
        (["--cluster", "tls://example.org:8786"], "--cluster needs --ledger"),
        (["--cluster", "tcp://192.0.2.1:8786", "--ledger", "x"], "without TLS"),
        (["--cluster", "example.org", "--ledger", "x"], "expected local, tls://HOST:PORT"),
        (["--cluster", "tls://example.org:x", "--ledger", "x"], "expected local, tls://HOST:PORT"),
        (["--cluster-ca", "ca.pem", "--ledger", "x"], "need --cluster tls://"),
        (["--ledger", "https://example.org/x"], "expected a folder, or a URL of an object store"),
        (["--ledger", "x", "-"], "standard input cannot be kept in a ledger"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    scan: Scan, folder: Path, options: list[str], said: str
) -> None:
    status, out, err = scan(*options, folder)
    assert (status, out) == (2, "")
    assert said in err


def test_a_ledger_that_cannot_be_written_ends_the_run(scan: Scan, folder: Path) -> None:
    status, _, err = scan(folder, "--ledger", "/proc/none")
    assert status == 1
    assert "cannot be written" in err


def test_logs_are_units_beside_captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger keeps what a log gave, and reads it again when it has changed or is read another
    way."""
    monkeypatch.setitem(LOG_FORMATS, fake_log.NAME, fake_log.FORMAT)
    site = load(configured(tmp_path))
    log = fake_log.write(tmp_path / "a.log", [
        fake_log.line("name", time=1_680_508_800_000_000_000, time_digits=0, evidence="tls-sni",
                      name="www.tiktok.com", client_ip="0A140107", server_ip="CB007107"),
        "no JSON",
    ])  # fmt: skip

    key = LedgerKey.new()

    def scan(unit: LogUnit) -> tuple[list[str], RunStatistics, int]:
        statistics = RunStatistics()
        with archive.Archive(str(tmp_path / "ledger"), ThisProcess(site), site, key=key) as run:
            alerts = list(run.scan([], [unit], statistics, None).alerts)
            return [each.id for each in alerts], statistics, run.counts.judged

    ids, statistics, judged = scan(fake_log.unit(log))
    assert (len(ids), judged) == (1, 1)
    assert statistics.unread_records == {(str(log), "json-invalid"): 1}
    assert statistics.unread  # half of it could not be read, so that it is tried again
    fake_log.write(log, log.read_text().splitlines()[:1])
    assert scan(fake_log.unit(log))[::2] == (ids, 1)
    assert scan(fake_log.unit(log))[::2] == (ids, 0)
    assert scan(fake_log.unit(log, counts_flows=True))[::2] == (ids, 1)
    log.write_text(log.read_text() + "\n\n")
    assert scan(fake_log.unit(log))[::2] == (ids, 1)


def test_a_flood_of_unknown_clients_is_summed_up_as_without_a_ledger(
    scan: Scan, folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    wire = Wire(DURING, 1)
    for number in range(30):
        lookup(wire, Host(f"10.20.9.{number + 1}", "02:00:00:20:09:01"))
        hello(wire, Host("10.20.9.200", "02:00:00:20:09:02"), FAR)
    capture(folder / "flood.pcap", wire)
    configured(tmp_path, CONFIG.replace("{quiet_gap: 30m}", "{unknown_clients: 20}"))
    plain = scan(folder)
    records = [json.loads(line) for line in plain[1].splitlines()]
    devices = [each["device"]["id"] for each in records if "device" in each]
    assert devices.count("unproven:hq") == 1
    # The one that had connections is proven.
    assert {each for each in devices if each.startswith("10.20.9.")} == {"10.20.9.200"}
    assert "clients-unproven" in plain[2]
    ledger = ["--ledger", str(tmp_path / "done")]
    for options in (["--jobs", "2"], ledger, [*ledger, "--jobs", "2"]):
        found = scan(folder, *options)
        assert found[1] == plain[1]
        assert without_units(found[2]) == without_units(plain[2])


def test_a_result_that_accuses_somebody_else_is_noticed(
    scan: Scan, folder: Path, tmp_path: Path
) -> None:
    ledger = tmp_path / "done"
    (folder / "broken.pcap").unlink()
    plain = scan(folder, "--ledger", ledger)
    storage = open_storage(str(ledger))
    biggest = max(storage.objects("results/"), key=lambda each: each.size)
    accuse(storage, biggest.name, "jane")
    again = scan(folder, "--ledger", ledger)
    assert again[:2] == plain[:2]
    assert "jane" not in again[1]
    assert "1 damaged result made again" in units(again[2])
    assert "ledger-altered 1" in again[2]
    clean = scan(folder, "--ledger", ledger)
    assert units(clean[2]).endswith("0 read now")
    assert "ledger-" not in clean[2]


def test_results_that_another_key_signed_are_not_trusted(
    scan: Scan, folder: Path, tmp_path: Path
) -> None:
    ledger, key = tmp_path / "done", tmp_path / "mine.key"
    (folder / "broken.pcap").unlink()
    assert write_new_key(key)
    plain = scan(folder, "--ledger", ledger)
    other = scan(folder, "--ledger", ledger, "--ledger-key", key)
    assert other[:2] == plain[:2]
    expected = f"0 were done before, {UNITS - 1} read now, {UNITS - 1} unsigned results made again"
    assert units(other[2]) == f"{UNITS - 1}: {expected}"
    assert f"ledger-unsigned {UNITS - 1}" in other[2]
    mine = scan(folder, "--ledger", ledger, "--ledger-key", key)
    assert units(mine[2]) == f"{UNITS - 1}: {UNITS - 1} were done before, 0 read now"
    # Nothing of a key is in the ledger.
    secret = key.read_bytes().strip()
    assert not any(secret in path.read_bytes() for path in ledger.rglob("*.json"))
    # Whoever alters a signature makes it worthless.
    for path in ledger.glob("signatures/*/*"):
        signature, _, content = path.read_bytes().partition(b"\n")
        path.write_bytes(signature + b"\n" + content.replace(b":", b": ", 1))
    assert f"{UNITS - 1} unsigned results made again" in units(
        scan(folder, "--ledger", ledger, "--ledger-key", key)[2]
    )


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("x" * 31, 0o600, "expected at least 32 bytes, found 31"),
        ("x" * 64, 0o644, "has mode 0644: expected 0600"),
        (None, 0o600, "mine.key"),
    ],
)
def test_a_bad_key_of_a_ledger_is_refused(
    scan: Scan, folder: Path, tmp_path: Path, content: str | None, mode: int, said: str
) -> None:
    key = tmp_path / "mine.key"
    if content is not None:
        key.write_text(content)
        key.chmod(mode)
    status, out, err = scan(folder, "--ledger", tmp_path / "done", "--ledger-key", key)
    assert (status, out) == (2, "")
    assert said in err


def test_many_objects_of_signatures_become_one(
    scan: Scan, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "WRITE_SECONDS", 0.0)
    monkeypatch.setattr(signatures, "MOST_OBJECTS", 4)
    (folder / "broken.pcap").unlink()
    ledger = tmp_path / "done"
    scan(folder, "--ledger", ledger)
    assert 1 <= len(list(ledger.glob("signatures/*/*"))) <= 4
    again = scan(folder, "--ledger", ledger)
    assert units(again[2]) == f"{UNITS - 1}: {UNITS - 1} were done before, 0 read now"


def test_a_result_that_somebody_wrote_before_its_worker_is_replaced(
    scan: Scan, folder: Path, tmp_path: Path
) -> None:
    """The one who can write to the ledger is faster than the workers."""
    ledger = tmp_path / "done"
    (folder / "broken.pcap").unlink()
    plain = scan(folder, "--ledger", ledger)
    storage = open_storage(str(ledger))
    for each in list(storage.objects("results/")):
        if each.size == max(one.size for one in storage.objects("results/")):
            accuse(storage, each.name, "jane")
    for each in list(storage.objects("signatures/")):
        storage.remove(each.name)
    again = scan(folder, "--ledger", ledger)
    assert again[:2] == plain[:2]
    assert f"ledger-unsigned {UNITS - 1}" in again[2]


def test_a_seal_is_of_one_key_name_and_head(tmp_path: Path) -> None:
    storage, key = open_storage(str(tmp_path)), b"k" * 32
    parts: list[list[Entry]] = [[] for _ in range(PARTITIONS)]
    rest = RunStatistics(files=3), Coverage(), SenderTable(), parts, write_entries
    made = write_result(storage, "results/a/b", "b", *rest, key)
    assert sealed(storage, "results/a/b", key) == made
    assert read_head(storage, made).statistics.files == 3
    assert sealed(storage, "results/a/b", b"x" * 32) is None
    assert sealed(storage, "results/a/c", key) is None
    write(storage, "results/a/c", storage.read("results/a/b"))
    assert sealed(storage, "results/a/c", key) is None
    write_result(storage, "results/a/b", "b", *rest)
    assert sealed(storage, "results/a/b", key) is None
