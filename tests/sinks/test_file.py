import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.made_alerts import as_decoded, output, record, records
from support.paths import SUPPORT
from support.programs import require_programs
from support.waiting import wait_until

from netwatch.core.errors import ConfigError


def lines(*paths):
    return [line for path in paths for line in path.read_text().splitlines()]


def got(*paths):
    return [json.loads(line)["id"] for line in lines(*paths)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts.jsonl"


def test_each_alert_is_a_line(path, deliver, tmp_path):
    delivery = deliver(output(tmp_path, type="file", path="alerts.jsonl"))
    delivery.put(*records(40))
    assert not delivery.drain(30)
    assert [json.loads(line) for line in lines(path)] == [as_decoded(each) for each in records(40)]


def test_each_line_is_one_write(path, deliver, tmp_path, monkeypatch):
    written, write = [], os.write

    def noted(handle, data):
        written.append(bytes(data))
        return write(handle, data)

    monkeypatch.setattr("netwatch.sinks.file.os.write", noted)
    delivery = deliver(output(tmp_path, type="file", path="alerts.jsonl"))
    delivery.put(*records(40), record(40, names=["x" * 255] * 1000))
    assert not delivery.drain(30)
    lines_written = [data for data in written if data.startswith(b'{"schema"')]
    assert len(lines_written) == 41
    assert b"".join(lines_written) == path.read_bytes()
    assert all(data.count(b"\n") == 1 and data.endswith(b"\n") for data in lines_written)


def test_existing_content_is_retained_and_an_incomplete_line_is_terminated(path, deliver, tmp_path):
    path.write_text('{"id":"before"}\n{"id":"cut')
    delivery = deliver(output(tmp_path, type="file", path="alerts.jsonl"))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert lines(path)[:2] == ['{"id":"before"}', '{"id":"cut']
    assert json.loads(lines(path)[2])["id"] == record(1)["id"]


@pytest.mark.parametrize("how", ["rename", "copytruncate", "remove"])
def test_rotation_by_others_loses_nothing(how, path, deliver, tmp_path):
    delivery = deliver(output(tmp_path, type="file", path="alerts.jsonl"))
    aside = tmp_path / "alerts.1"
    rotated_ids = []
    for at in range(0, 100, 10):
        delivery.put(*records(100)[at : at + 10])
        assert not delivery.drain(30)
        if how == "copytruncate":
            shutil.copy(path, aside)
            os.truncate(path, 0)
        else:
            path.rename(aside)
        rotated_ids += got(aside)
    assert rotated_ids == [each["id"] for each in records(100)]


def test_rotation_under_load_loses_nothing(path, deliver, tmp_path):
    delivery = deliver(output(tmp_path, type="file", path="alerts.jsonl"))
    ended = threading.Event()
    rotated = []

    def rotate():
        while not ended.is_set():
            with contextlib.suppress(FileNotFoundError):
                aside = tmp_path / f"rotated.{len(rotated)}"
                path.rename(aside)
                rotated.append(aside)
                delivery.reopen()

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        for at in range(0, 1000, 20):
            delivery.put(*(record(number) for number in range(at, at + 20)))
        assert not delivery.drain(60)
    finally:
        ended.set()
        thread.join()
    files = [*rotated, *([path] if path.exists() else [])]
    assert sorted(got(*files)) == sorted(record(number)["id"] for number in range(1000))
    assert len(rotated) > 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_rotated_file_is_closed_on_reopen(path, deliver, tmp_path):
    def held():
        found = set()
        for each in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(each.readlink())
        return found

    delivery = deliver(output(tmp_path, type="file", path="alerts.jsonl"))
    delivery.put(record(1))
    assert not delivery.drain(30)
    aside = tmp_path / "alerts.1"
    path.rename(aside)
    assert aside in held()
    delivery.reopen()
    wait_until(lambda: aside not in held(), "it was given up")
    delivery.put(record(2))
    assert not delivery.drain(30)
    assert (got(aside), got(path)) == ([record(1)["id"]], [record(2)["id"]])


def test_rotation_by_size_retains_the_configured_number_of_files(path, deliver, tmp_path):
    keys = {"rotate": "64k", "keep": 3}
    delivery = deliver(output(tmp_path, type="file", path="alerts.jsonl", **keys))
    sent = records(600)
    for at in range(0, 600, 50):
        delivery.put(*sent[at : at + 50])
    assert not delivery.drain(30)
    rotated = [tmp_path / f"alerts.jsonl.{number}" for number in (3, 2, 1)]
    assert all(65536 <= each.stat().st_size < 65536 + 8192 for each in rotated)
    assert not (tmp_path / "alerts.jsonl.4").exists()
    there = got(*rotated, path)
    assert there == [each["id"] for each in sent][-len(there) :]
    assert len(there) > 100


def test_alerts_are_retried_while_the_file_cannot_be_written(path, deliver, tmp_path):
    folder = tmp_path / "later"
    delivery = deliver(output(tmp_path, type="file", path="later/alerts.jsonl"))
    delivery.put(*records(10))
    wait_until(lambda: delivery.status()[0].retried >= 2)
    assert "No such file or directory" in delivery.status()[0].reason
    folder.mkdir()
    assert not delivery.drain(30)
    assert len(got(folder / "alerts.jsonl")) == 10


def test_full_disk_leaves_no_incomplete_line_and_loses_no_alert(deliver, tmp_path):
    """On a file system of 256 KiB of its own, where the kernel lets one be mounted."""
    require_programs("mount", "umount")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "netwatch-test", str(disk)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode().strip()}")
    try:
        delivery = deliver(output(tmp_path, type="file", path="disk/alerts.jsonl"))
        sent = records(400)
        delivery.put(*sent)
        wait_until(lambda: delivery.status()[0].retried >= 2)
        assert "No space left on device" in delivery.status()[0].reason
        full = (disk / "alerts.jsonl").read_text()
        assert full.endswith("\n")
        shutil.move(disk / "alerts.jsonl", tmp_path / "saved")
        taken = []
        while delivery.undelivered():
            wait_until(lambda: (disk / "alerts.jsonl").exists() and delivery.status()[0].retried)
            if not delivery.drain(0.3):
                break
            with contextlib.suppress(FileNotFoundError):
                shutil.move(disk / "alerts.jsonl", tmp_path / f"taken.{len(taken)}")
                taken.append(tmp_path / f"taken.{len(taken)}")
        there = got(tmp_path / "saved", *taken, disk / "alerts.jsonl")
        assert set(there) == {each["id"] for each in sent}
        delivery.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_file_size_limit_leaves_no_incomplete_line(tmp_path):
    """RLIMIT_FSIZE in a process of its own: a write is cut short, then refused."""
    script = SUPPORT / "limited_file.py"
    path = tmp_path / "alerts.jsonl"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "30000"], capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"File too large" in done.stdout
    text = path.read_text()
    assert text.endswith("\n")
    assert 25_000 < len(text) <= 30_000
    for line in text.splitlines():
        json.loads(line)


def test_folder_in_place_of_a_file_is_reported_immediately(tmp_path):
    with pytest.raises(ConfigError, match="found the folder"):
        output(tmp_path, type="file", path=".")
    with pytest.raises(ConfigError, match="'keep' needs 'rotate'"):
        output(tmp_path, type="file", path="a", keep=3)


def test_pipe_without_a_reader_is_retried_and_does_not_hang(deliver, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    delivery = deliver(output(tmp_path, type="file", path="pipe"))
    delivery.put(record(1))
    wait_until(lambda: delivery.status()[0].retried >= 1)
    assert "is not a regular file" in delivery.status()[0].reason
    assert delivery.undelivered()
