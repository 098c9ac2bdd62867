import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from support.made_alerts import QUICK, output, record, records
from support.paths import SUPPORT
from support.receivers import Http, require_programs
from support.waiting import wait_until

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.delivery import dead_letters
from netwatch.delivery.delivery import Delivery
from netwatch.delivery.outbox import OutboxDatabase
from netwatch.delivery.outbox_file import FILE
from netwatch.delivery.output import OutboxOptions
from netwatch.delivery.worker import RetryTiming


def webhook(http, tmp_path, **keys):
    return output(tmp_path, **{"type": "http", "url": http.url, "timeout": "2s", **keys})


def ids(http):
    return [json.loads(body)["id"] for body in http.events]


def test_undelivered_alerts_are_delivered_at_the_next_start(http, deliver, tmp_path):
    one = webhook(http, tmp_path)
    http.faults = [lambda request: request.answer(500, {}) or True] * 3
    first = deliver(one, timing=RetryTiming(first_delay=3600, max_delay=3600, poll_interval=0.02))
    first.put(*records(5))
    wait_until(lambda: first.status()[0].retried)
    assert first.drain(0.05).queued == {"http": 5}
    first.stop()
    http.faults = []
    assert not deliver(one).drain(30)
    assert ids(http) == [each["id"] for each in records(5)]


def test_put_does_not_wait_for_a_receiver(http, deliver, tmp_path):
    release = threading.Event()
    http.faults = [lambda _: release.wait(30)]
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(record(0))
    wait_until(lambda: http.requests)
    delivery.put(*records(500))
    assert delivery.undelivered().queued == {"http": 501}
    release.set()


def test_one_process_delivers_and_another_takes_over(http, deliver, tmp_path):
    one = webhook(http, tmp_path)
    first = deliver(one)
    first.put(record(0))
    assert not first.drain(30)
    second = deliver(one)
    second.put(*records(20)[1:])
    assert not second.drain(30)
    assert not second._lock.is_held
    first.stop()
    second.put(record(20))
    assert not second.drain(30)
    assert second._lock.is_held
    assert sorted(ids(http)) == [each["id"] for each in records(21)]


def test_damaged_outbox_is_renamed_and_logged(http, deliver, tmp_path):
    folder = deliver.outbox.folder
    folder.mkdir()
    (folder / FILE).write_bytes(b"what a broken disk leaves" * 500)
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert any("was renamed to" in line for line in deliver.log)
    assert any("damaged" in each.name for each in folder.iterdir())


def test_alerts_are_buffered_in_memory_while_the_outbox_cannot_be_written(
    http, deliver, tmp_path, monkeypatch
):
    delivery = deliver(webhook(http, tmp_path))
    put = OutboxDatabase.put

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(OutboxDatabase, "put", full)
    delivery.put(*records(30))
    assert delivery.drain(0.1).unwritten == 30
    monkeypatch.setattr(OutboxDatabase, "put", put)
    assert not delivery.drain(30)
    assert len(ids(http)) == 30
    assert [line.partition("(")[0] for line in deliver.log] == [
        "outbox: cannot be written ",
        "outbox: can be written again",
    ]


def test_buffer_in_memory_is_limited_and_losses_are_counted(http, deliver, tmp_path, monkeypatch):
    monkeypatch.setattr("netwatch.delivery.delivery.MAX_UNWRITTEN", 10)
    delivery = deliver(webhook(http, tmp_path))

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    put = OutboxDatabase.put
    monkeypatch.setattr(OutboxDatabase, "put", full)
    delivery.put(*records(25))
    assert delivery.lost == 15
    monkeypatch.setattr(OutboxDatabase, "put", put)
    assert not delivery.drain(30)
    assert ids(http) == [each["id"] for each in records(25)][15:]


def test_temporarily_full_disk_loses_no_alert(http, deliver, tmp_path):
    require_programs("mount", "umount")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "netwatch-test", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode().strip()}")
    try:
        delivery = deliver(webhook(http, tmp_path), outbox=OutboxOptions(disk / "spool"))
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as stream, suppress(OSError):
            while stream.write(b"x" * 4096):
                pass
        delivery.put(*records(200))
        assert delivery.undelivered().unwritten > 0
        ballast.unlink()
        assert not delivery.drain(30)
        assert sorted(ids(http)) == [each["id"] for each in records(200)]
        delivery.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_status_counts_by_output(http, deliver, tmp_path):
    http.faults = [lambda request: request.answer(400, {})]
    delivery = deliver(webhook(http, tmp_path), webhook(http, tmp_path, name="two"))
    delivery.put(*records(4))
    assert not delivery.drain(30)
    status = delivery.status()
    assert [each.name for each in status] == ["http", "two"]
    assert sum(each.sent for each in status) == 7
    assert sum(each.dead for each in status) == 1
    assert {(each.queued, each.oldest, each.dropped, each.state) for each in status} == {
        (0, None, 0, "idle")
    }


def test_record_that_cannot_be_rendered_becomes_a_dead_letter(http, deliver, tmp_path):
    delivery = deliver(webhook(http, tmp_path, format="ocsf"))
    delivery.put({"schema": "netwatch.alert/9", "id": "strange"}, record(1))
    assert not delivery.drain(30)
    (line,) = dead_letters.path_of(deliver.outbox.folder, "http").read_text().splitlines()
    assert json.loads(line)["alert"]["id"] == "strange"
    assert "cannot be written as ocsf" in json.loads(line)["reason"]
    assert len(http.events) == 1


def test_missing_secret_is_reported_with_its_location(http, tmp_path, outbox, monkeypatch):
    monkeypatch.delenv("NW_MISSING", raising=False)
    one = webhook(http, tmp_path, token={"env": "NW_MISSING"})
    with pytest.raises(ConfigError, match="output 'http': the environment variable NW_MISSING"):
        Delivery([one], outbox)


def test_outbox_that_cannot_be_created_is_reported(http, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NetwatchError, match="cannot be opened"):
        Delivery([webhook(http, tmp_path)], OutboxOptions(tmp_path / "file" / "spool"))


def test_without_outputs_nothing_is_stored(outbox):
    delivery = Delivery([], outbox, timing=QUICK)
    delivery.start()
    delivery.put(record(1))
    assert not delivery.drain(30)
    delivery.stop()


def test_stop_does_not_wait_for_a_receiver_that_hangs(http, deliver, tmp_path):
    release = threading.Event()
    http.faults = [lambda _: release.wait(30) and False]
    delivery = deliver(webhook(http, tmp_path, timeout="20s"))
    delivery.put(record(1))
    wait_until(lambda: http.requests)
    delivery.stop(timeout=0.05)
    release.set()
    for worker in delivery._workers:
        worker.join(30)
    other = deliver(webhook(http, tmp_path))
    assert not other.drain(30)


def test_dead_letters_are_replayed_once_each(http, deliver, tmp_path):
    folder = deliver.outbox.folder
    folder.mkdir()
    dead_letters.append(folder, "http", [(each, "no") for each in records(3)], 5.0)
    dead_letters.append(folder, "http", [(record(0), "no, again")], 6.0)
    with dead_letters.path_of(folder, "http").open("a") as stream:
        stream.write('not json\n{"alert":7}\n')
    assert dead_letters.count(folder, "http") == 6
    replayed = []
    assert dead_letters.replay(folder, "http", replayed.extend) == (3, 2)
    assert replayed == records(3)
    assert dead_letters.replay(folder, "http", replayed.extend) == (0, 0)
    assert dead_letters.path_of(folder, "http").with_suffix(".unread").exists()


def test_dead_letters_are_retained_if_a_replay_fails(outbox):
    dead_letters.append(outbox.folder, "http", [(record(1), "no")], 5.0)

    def fails(_):
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        dead_letters.replay(outbox.folder, "http", fails)
    replayed = []
    assert dead_letters.replay(outbox.folder, "http", replayed.extend) == (1, 0)


def test_dead_letters_are_limited_in_size(outbox, monkeypatch):
    monkeypatch.setattr(dead_letters, "MAX_DEAD_BYTES", 10_000)
    letters = [(each, "no") for each in records(20)]
    stored = dead_letters.append(outbox.folder, "http", letters, 5.0)
    assert 0 < stored < 20
    assert dead_letters.count(outbox.folder, "http") == stored
    assert dead_letters.append(outbox.folder, "http", letters, 5.0) == 0


def test_dead_letters_written_during_a_replay_are_retained(outbox):
    replayed, written = [], threading.Event()

    def write():
        for number in range(200):
            dead_letters.append(outbox.folder, "http", [(record(number), "no")], 5.0)
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not written.is_set():
        dead_letters.replay(outbox.folder, "http", replayed.extend)
    thread.join()
    dead_letters.replay(outbox.folder, "http", replayed.extend)
    assert [each["id"] for each in replayed] == [each["id"] for each in records(200)]


def test_terminated_process_leaves_its_alerts_to_the_next_one(tmp_path):
    """SIGTERM during an attempt: a later process delivers the rest."""
    server = Http()
    server.faults = [lambda _: threading.Event().wait(30)]
    script = SUPPORT / "crashing_delivery.py"
    keys = json.dumps({"type": "elastic", "url": server.url, "format": "jsonl"})
    command = [sys.executable, str(script), str(tmp_path), keys]
    try:
        child = subprocess.Popen(
            [*command, "0", "20", "none", "0", "before"],
            stdout=subprocess.PIPE,
        )
        wait_until(lambda: server.requests)
        for _ in range(20):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGTERM)
        child.wait(30)
        child.stdout.close()
        rest = [*command, "0", "0", "none", "0", "before"]
        assert subprocess.run(rest, timeout=60).returncode == 0
        assert len(server.documents) == 20
    finally:
        server.end()
