import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from support.limited_disk import fill_up, limited_disk
from support.made_alerts import QUICK, output, record, records
from support.paths import SUPPORT
from support.receivers import Http
from support.waiting import wait_until

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.owned_database import PAGE_SIZE, DamagedFileError
from netwatch.delivery import dead_letters
from netwatch.delivery.dead_letters import DeadLetter
from netwatch.delivery.delivery import Delivery
from netwatch.delivery.outbox import OutboxDatabase
from netwatch.delivery.outbox_file import FILE, USE_FILE
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
    # What finds the outbox locked is in memory until the next attempt.
    wait_until(lambda: delivery.undelivered().queued == {"http": 501})
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


def test_alerts_are_buffered_in_memory_while_the_outbox_cannot_be_written(
    http, deliver, tmp_path, monkeypatch
):
    delivery = deliver(webhook(http, tmp_path))
    put = OutboxDatabase.put

    def full(*_, **__):
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
    monkeypatch.setattr("netwatch.delivery.shared_outbox.MAX_UNWRITTEN", 10)
    delivery = deliver(webhook(http, tmp_path))

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    put = OutboxDatabase.put
    monkeypatch.setattr(OutboxDatabase, "put", full)
    delivery.put(*records(25))
    assert delivery.lost == 15
    monkeypatch.setattr(OutboxDatabase, "put", put)
    assert not delivery.drain(30)
    assert ids(http) == [each["id"] for each in records(25)][15:]


def test_temporarily_full_disk_loses_no_alert(http, deliver, tmp_path):
    with limited_disk(tmp_path / "disk", "4m") as disk:
        delivery = deliver(webhook(http, tmp_path), outbox=OutboxOptions(disk / "spool"))
        ballast = fill_up(disk)
        delivery.put(*records(200))
        assert delivery.undelivered().unwritten > 0
        assert "full" in delivery.problem
        ballast.unlink()
        assert not delivery.drain(30)
        assert sorted(ids(http)) == [each["id"] for each in records(200)]
        assert not delivery.problem
        delivery.stop()


def test_alerts_that_are_written_meanwhile_are_not_delivered_yet(
    http, deliver, tmp_path, monkeypatch
):
    with limited_disk(tmp_path / "disk", "4m") as disk:
        delivery = deliver(webhook(http, tmp_path), outbox=OutboxOptions(disk / "spool"))
        ballast = fill_up(disk)
        delivery.put(*records(200))
        status = delivery._stored_status

        def written_behind_it():
            found = status()
            ballast.unlink(missing_ok=True)
            wait_until(lambda: not delivery.unwritten)
            return found

        monkeypatch.setattr(delivery, "_stored_status", written_behind_it)
        assert delivery.undelivered()
        monkeypatch.undo()
        assert not delivery.drain(30)
        assert len(ids(http)) == 200
        delivery.stop()


def test_full_disk_at_the_start_loses_no_alert(http, deliver, tmp_path):
    with limited_disk(tmp_path / "disk", "4m") as disk:
        ballast = fill_up(disk)
        delivery = deliver(webhook(http, tmp_path), outbox=OutboxOptions(disk / "spool"))
        delivery.put(*records(50))
        (status,) = delivery.status()
        assert (status.state, status.queued, delivery.unwritten) == ("retrying", 50, 50)
        assert "the outbox cannot be used" in status.reason
        assert delivery.problem
        ballast.unlink()
        assert not delivery.drain(30)
        assert ids(http) == [each["id"] for each in records(50)]
        assert (delivery.problem, delivery.lost, delivery.unwritten) == ("", 0, 0)
        delivery.stop()


def test_limit_of_the_size_of_files_loses_no_alert(tmp_path):
    script = SUPPORT / "limited_outbox.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    problem, *delivered = done.stdout.splitlines()
    assert "cannot be written" in problem
    assert delivered == [each["id"] for each in records(300)]


def stop_sending(http):
    """Make the receiver refuse everything for now."""
    http.faults = [lambda request: request.answer(500, {}) or True] * 10_000


def overwrite(path, first_page):
    """Overwrite a database from a page on, as a disk does behind the back of a process. That is
    done in another process: one that closes the file would lose the locks of its connections."""
    script = (
        "import sys, sqlite3\n"
        "database = sqlite3.connect(sys.argv[1])\n"
        "database.execute('PRAGMA wal_checkpoint(TRUNCATE)')\n"
        "database.close()\n"
        "with open(sys.argv[1], 'r+b') as stream:\n"
        "    size = stream.seek(0, 2)\n"
        "    stream.seek(int(sys.argv[2]))\n"
        "    stream.write(b'\\xff' * (size - stream.tell()))\n"
    )
    command = [sys.executable, "-c", script, str(path), str(first_page * PAGE_SIZE)]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("first_page", [0, 2, 30])
def test_outbox_that_is_damaged_while_it_is_used_is_replaced(first_page, http, deliver, tmp_path):
    stop_sending(http)
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(*records(60))
    overwrite(deliver.outbox.folder / FILE, first_page)
    delivery.put(*[record(number) for number in range(60, 80)])
    wait_until(lambda: any("damaged" in line for line in deliver.log), "it is replaced")
    http.faults = []
    delivery.put(record(80))
    assert not delivery.drain(30)
    arrived = set(ids(http))
    (status,) = delivery.status()
    # What was put after the damage is there, or was with the rest in the damaged file.
    assert record(80)["id"] in arrived
    assert len(arrived) + status.dropped >= 81 or any("is unknown" in line for line in deliver.log)
    assert (status.state, delivery.problem) == ("idle", "")
    assert (deliver.outbox.folder / f"{FILE}.damaged-1").exists()


def test_database_that_fails_later_is_replaced_with_all_that_can_be_read(
    http, deliver, tmp_path, monkeypatch
):
    """An error that only the second process sees, in the middle of its work."""
    stop_sending(http)
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(*records(30))
    next_batch, calls = OutboxDatabase.next_batch, []

    def failing(database, name, limit):
        calls.append(name)
        if len(calls) == 1:
            database._db.execute("SELECT * FROM no_such_table")
        return next_batch(database, name, limit)

    monkeypatch.setattr(OutboxDatabase, "next_batch", failing)
    delivery.reopen()
    wait_until(lambda: any("a new outbox has" in line for line in deliver.log), "it is replaced")
    # It cannot be read yet, or has alerts: in both cases something may be undelivered.
    assert delivery.undelivered()
    http.faults = []
    delivery.reopen()
    assert not delivery.drain(30)
    assert ids(http) == [each["id"] for each in records(30)]
    assert sum("a new outbox has 30 alerts of it" in line for line in deliver.log) == 1


def test_outbox_that_cannot_be_read_is_not_taken_for_an_empty_one(
    http, deliver, tmp_path, monkeypatch
):
    stop_sending(http)
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(*records(3))

    def failing(database):
        raise sqlite3.OperationalError("database is locked")

    with monkeypatch.context() as failures:
        failures.setattr(OutboxDatabase, "status", failing)
        undelivered = delivery.drain(0.2)
    assert undelivered
    assert (dict(undelivered.queued), undelivered.unwritten) == ({"http": 0}, 0)
    assert undelivered.unread == "database is locked"
    http.faults = []
    delivery.reopen()
    assert not delivery.drain(30)
    assert len(ids(http)) == 3


def test_output_that_is_tried_at_once_delivers_again_only_after_an_answer(http, deliver, tmp_path):
    stop_sending(http)
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(record(0))
    wait_until(lambda: http.requests)
    for _ in range(3):
        before = http.requests
        delivery.reopen()
        wait_until(lambda before=before: http.requests > before)
    assert not [line for line in deliver.log if "delivers again" in line]
    http.faults = []
    delivery.reopen()
    assert not delivery.drain(30)
    wait_until(lambda: any("delivers again" in line for line in deliver.log))


def test_outbox_that_was_removed_is_created_again(http, deliver, tmp_path):
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(record(0))
    assert not delivery.drain(30)
    for path in deliver.outbox.folder.glob(f"{FILE}*"):
        path.unlink()
    delivery.put(*records(5)[1:])
    assert not delivery.drain(30)
    assert set(ids(http)) == {each["id"] for each in records(5)}
    assert (deliver.outbox.folder / FILE).exists()


def test_process_that_only_adds_alerts_lets_the_other_replace_the_outbox(http, deliver, tmp_path):
    stop_sending(http)
    one = webhook(http, tmp_path)
    first, second = deliver(one), deliver(one)
    second.put(*records(3))
    assert second.status()[0].queued == 3
    first._outbox.failed(DamagedFileError("a page"), first._outbox.generation)
    wait_until(lambda: (deliver.outbox.folder / f"{FILE}.damaged-1").exists(), "it is replaced")
    for number in range(3, 20):
        second.put(record(number))
    http.faults = []
    first.reopen()
    assert not second.drain(30)
    assert not first.drain(30)
    assert sorted(set(ids(http))) == [each["id"] for each in records(20)]
    assert not second._lock.is_held


def test_outbox_is_not_replaced_while_another_process_has_it_open(http, deliver, tmp_path):
    stop_sending(http)
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(*records(3))
    other = OutboxDatabase(deliver.outbox)
    delivery._outbox.failed(DamagedFileError("a page"), delivery._outbox.generation)
    wait_until(lambda: any("is open in another process" in line for line in deliver.log))
    delivery.put(*records(6)[3:])
    assert delivery.unwritten == 3
    assert len(other.next_batch("http", 9)) == 3
    other.close()
    http.faults = []
    assert not delivery.drain(30)
    assert ids(http) == [each["id"] for each in records(6)]


def test_file_of_another_program_in_place_of_the_outbox_is_a_configuration_error(
    http, tmp_path, outbox
):
    outbox.folder.mkdir()
    (outbox.folder / FILE).write_text("not ours")
    log = []
    with pytest.raises(ConfigError, match="was left as it is"):
        Delivery([webhook(http, tmp_path)], outbox, log.append)
    assert log == []
    assert (outbox.folder / FILE).read_text() == "not ours"
    assert {each.name for each in outbox.folder.iterdir()} == {FILE, "lock", USE_FILE}


def test_folder_that_others_can_write_to_is_warned_of_once(http, deliver, tmp_path, outbox):
    outbox.folder.mkdir()
    outbox.folder.chmod(0o777)
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert sum("has mode 0777" in line for line in deliver.log) == 1


@pytest.mark.parametrize("error", [ValueError("of a library"), SystemExit(3), MemoryError()])
def test_no_error_ends_a_worker(error, http, deliver, tmp_path, monkeypatch):
    broken, next_batch = threading.Event(), OutboxDatabase.next_batch
    broken.set()

    def failing(*arguments):
        if broken.is_set():
            raise error
        return next_batch(*arguments)

    monkeypatch.setattr(OutboxDatabase, "next_batch", failing)
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(*records(3))
    wait_until(lambda: delivery.status()[0].state == "retrying")
    assert type(error).__name__ in delivery.status()[0].reason
    # Other processes see it too.
    wait_until(lambda: stored_status(deliver.outbox).state == "retrying")
    broken.clear()
    assert not delivery.drain(30)
    assert delivery.status()[0].state == "idle"


def stored_status(outbox):
    """The state of the only output, as another process reads it."""
    database = OutboxDatabase(outbox, durable=False)
    try:
        (status,) = database.status()
        return status
    finally:
        database.close()


def test_worker_that_has_ended_is_not_idle(http, deliver, tmp_path):
    delivery = deliver(webhook(http, tmp_path))
    (worker,) = delivery._workers
    wait_until(lambda: delivery.status()[0].state == "idle")
    worker.stop()
    worker.join(30)
    (status,) = delivery.status()
    assert (status.state, status.reason) == ("stopped", "its delivery worker has ended")


def test_unreadable_record_becomes_a_dead_letter_for_each_output(http, deliver, tmp_path):
    outputs = [webhook(http, tmp_path), webhook(http, tmp_path, name="two")]
    database = OutboxDatabase(deliver.outbox, create=True)
    database.configure(outputs)
    database.put(records(5))
    database._db.execute("UPDATE alert SET record = '{cut' WHERE seq IN (2, 3)")
    database.close()
    delivery = deliver(*outputs)
    assert not delivery.drain(30)
    assert sorted(ids(http)) == sorted([each["id"] for each in records(5) if each not in
                                        records(3)[1:]] * 2)  # fmt: skip
    for name in ("http", "two"):
        lines = dead_letters.path_of(deliver.outbox.folder, name).read_text().splitlines()
        letters = [json.loads(line) for line in lines]
        assert [(letter["alert"], letter["unreadable"]) for letter in letters] == [
            (None, "{cut")
        ] * 2
        assert (
            "cannot be read from the outbox: its record is not valid JSON" in letters[0]["reason"]
        )
    assert [(each.sent, each.dead, each.state) for each in delivery.status()] == [
        (3, 2, "idle")
    ] * 2
    assert dead_letters.replay(deliver.outbox.folder, "http", pytest.fail) == (0, 2)


def test_delivered_alerts_are_not_sent_again_while_dead_letters_cannot_be_written(
    http, deliver, tmp_path, monkeypatch
):
    append, full = dead_letters.append, threading.Event()
    full.set()

    def failing(*arguments):
        if full.is_set():
            raise OSError(28, "No space left on device")
        return append(*arguments)

    monkeypatch.setattr(dead_letters, "append", failing)
    refused = record(1)["id"]
    http.items = lambda key, document: (
        400 if document["id"] == refused else http._create(key, document)
    )
    delivery = deliver(output(tmp_path, type="elastic", url=http.url, format="jsonl"))
    delivery.put(*records(3))
    wait_until(lambda: http.requests > 2, "it is tried again")
    (status,) = delivery.status()
    assert (status.sent, status.state) == (2, "retrying")
    assert "elastic.jsonl: cannot be written: No space left" in status.reason
    full.clear()
    assert not delivery.drain(30)
    assert [delivery.status()[0].sent, delivery.status()[0].dead] == [2, 1]


@pytest.mark.parametrize("name", ["lock", "dead", "dead/http.jsonl"])
def test_links_in_the_folder_are_not_followed(name, http, deliver, tmp_path):
    target = tmp_path / "elsewhere"
    deliver.outbox.folder.mkdir()
    (deliver.outbox.folder / name).parent.mkdir(exist_ok=True)
    if name == "dead":
        target.mkdir()
    (deliver.outbox.folder / name).symlink_to(target)
    http.faults = [lambda request: request.answer(400, {})] * 100
    delivery = deliver(webhook(http, tmp_path))
    delivery.put(record(1))
    wait_until(lambda: delivery.status()[0].state == "retrying")
    assert "symbolic link" in delivery.status()[0].reason
    assert not target.exists() or not list(target.iterdir())


def test_alerts_lost_in_memory_are_counted_for_their_outputs(http, deliver, tmp_path, monkeypatch):
    monkeypatch.setattr("netwatch.delivery.shared_outbox.MAX_UNWRITTEN", 10)
    outputs = [
        webhook(http, tmp_path),
        webhook(http, tmp_path, name="two", min_verdict="violation"),
    ]
    delivery = deliver(*outputs)
    put = OutboxDatabase.put

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(OutboxDatabase, "put", full)
    delivery.put(*records(40))
    monkeypatch.setattr(OutboxDatabase, "put", put)
    assert not delivery.drain(30)
    assert [each.dropped for each in delivery.status()] == [30, 10]
    assert delivery.lost == 30


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


def into(found):
    """Collects replayed alerts that are for all recipients."""

    def put(records, recipients):
        assert recipients == ()
        found.extend(records)

    return put


def test_dead_letters_are_replayed_once_each(http, deliver, tmp_path):
    folder = deliver.outbox.folder
    folder.mkdir()
    dead_letters.append(folder, "http", [DeadLetter("no", each) for each in records(3)], 5.0)
    dead_letters.append(folder, "http", [DeadLetter("no, again", record(0))], 6.0)
    with dead_letters.path_of(folder, "http").open("a") as stream:
        stream.write('not json\n{"alert":7}\n')
    assert dead_letters.count(folder, "http") == 6
    replayed = []
    assert dead_letters.replay(folder, "http", into(replayed)) == (
        3,
        2,
    )
    assert replayed == records(3)
    assert dead_letters.replay(folder, "http", into(replayed)) == (
        0,
        0,
    )
    assert dead_letters.path_of(folder, "http").with_suffix(".unread").exists()


def test_dead_letters_that_cannot_be_read_are_not_none(tmp_path):
    assert dead_letters.count(tmp_path, "http") == 0
    dead_letters.path_of(tmp_path, "http").mkdir(parents=True)
    with pytest.raises(NetwatchError, match=r"http\S* cannot be read: Is a directory"):
        dead_letters.count(tmp_path, "http")


def test_dead_letters_are_retained_if_a_replay_fails(outbox):
    dead_letters.append(outbox.folder, "http", [DeadLetter("no", record(1))], 5.0)

    def fails(*_):
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        dead_letters.replay(outbox.folder, "http", fails)
    replayed = []
    assert dead_letters.replay(outbox.folder, "http", into(replayed)) == (1, 0)


def test_dead_letters_are_limited_in_size(outbox, monkeypatch):
    monkeypatch.setattr(dead_letters, "MAX_DEAD_BYTES", 10_000)
    letters = [DeadLetter("no", each) for each in records(20)]
    stored = dead_letters.append(outbox.folder, "http", letters, 5.0)
    assert 0 < stored < 20
    assert dead_letters.count(outbox.folder, "http") == stored
    assert dead_letters.append(outbox.folder, "http", letters, 5.0) == 0


def test_dead_letters_written_during_a_replay_are_retained(outbox):
    replayed, written = [], threading.Event()

    def write():
        for number in range(200):
            dead_letters.append(outbox.folder, "http", [DeadLetter("no", record(number))], 5.0)
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not written.is_set():
        dead_letters.replay(outbox.folder, "http", into(replayed))
    thread.join()
    dead_letters.replay(outbox.folder, "http", into(replayed))
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


def test_an_unforeseen_error_of_the_maintenance_is_reported_once(deliver, tmp_path, monkeypatch):
    attempts = []

    def clean_up(self, max_age):
        attempts.append(max_age)
        raise ValueError("no such thing")

    monkeypatch.setattr(OutboxDatabase, "clean_up", clean_up)
    delivery = deliver(
        output(tmp_path, type="file", path="alerts.jsonl"), timing=RetryTiming(poll_interval=0.02)
    )
    wait_until(lambda: len(attempts) > 3)
    delivery.put(record(1))
    assert not delivery.drain(60)
    expected = "outbox: it cannot be maintained (ValueError: no such thing)"
    assert [line for line in deliver.log if "maintained" in line] == [expected]


def test_alerts_for_one_output_reach_no_other(http, deliver, tmp_path):
    lines = tmp_path / "lines.jsonl"
    file = output(tmp_path, type="file", path=str(lines), name="lines")
    delivery = deliver(webhook(http, tmp_path), file)
    delivery.put(record(0))
    delivery.put(record(1), record(2), only=["lines"])
    delivery.put(record(3), only=["http"])
    assert not delivery.drain(30)
    assert ids(http) == [record(0)["id"], record(3)["id"]]
    kept = [json.loads(line)["id"] for line in lines.read_text().splitlines()]
    assert kept == [record(number)["id"] for number in range(3)]
    assert {each.name: each.sent for each in delivery.status()} == {"http": 2, "lines": 3}


def test_alerts_for_one_output_wait_in_memory_for_it_alone(http, deliver, tmp_path, monkeypatch):
    monkeypatch.setattr("netwatch.delivery.shared_outbox.MAX_UNWRITTEN", 2)
    file = output(tmp_path, type="file", path=str(tmp_path / "lines.jsonl"), name="lines")
    delivery = deliver(webhook(http, tmp_path), file)
    folder = tmp_path / "spool"
    with sqlite3.connect(folder / FILE, isolation_level=None) as locking:
        locking.execute("BEGIN EXCLUSIVE")
        delivery.put(*records(3), only=["lines"])
        assert delivery.unwritten == 2
        assert [each.queued for each in delivery.status()] == [0, 2]
    assert not delivery.drain(30)
    assert http.events == []
    assert [each.dropped for each in delivery.status()] == [0, 1]
