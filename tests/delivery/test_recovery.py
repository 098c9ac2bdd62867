"""A damaged outbox is replaced, whatever is damaged: what can be read is carried over, the rest is
counted, and alerts keep their numbers and outputs their cursors.

Erasing alerts about a person from the outbox, and forgetting that they were delivered.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.limited_disk import fill_up, limited_disk
from support.made_alerts import number_of, output, record
from support.paths import SUPPORT

from netwatch.core import owned_database
from netwatch.core.owned_database import PAGE_SIZE, DamagedFileError
from netwatch.delivery import dead_letters, outbox_file, recovery
from netwatch.delivery.dead_letters import DeadLetter
from netwatch.delivery.deferred import deduplication_key
from netwatch.delivery.outbox import OutboxDatabase, UnreadableAlert
from netwatch.delivery.outbox_file import FILE, DeliveryLock
from netwatch.delivery.output import OutboxOptions
from netwatch.delivery.recovery import erase_alerts
from netwatch.delivery.shared_outbox import SharedOutbox

COUNT, SENT = 40, 12


@pytest.fixture
def outputs(tmp_path):
    return [output(tmp_path, type="file", name=name, path=name) for name in ("one", "two")]


def large(number):
    """Every fifth alert continues on pages of its own."""
    return record(number, names=[f"{n}.example" for n in range(800)]) if number % 5 == 0 else None


@pytest.fixture
def filled(outbox, outputs):
    """An outbox with `COUNT` alerts, the first `SENT` of which one of two outputs has sent."""
    database = OutboxDatabase(outbox, create=True)
    database.configure(outputs)
    database.put([large(number) or record(number) for number in range(COUNT)])
    keys = [alert.key for alert in database.next_batch("one", SENT)]
    database.record_attempt("one", SENT, sent=keys)
    database.close()
    return outbox.folder / FILE


class Opened:
    """An outbox that was opened after it was damaged, with the messages of that."""

    def __init__(self, options: OutboxOptions, outputs) -> None:
        self.log: list[str] = []
        lock = DeliveryLock(options.folder)
        shared = SharedOutbox(options, outputs, lock, lambda _: 0, self.log.append)
        assert shared.open(), shared.problem
        self.database = OutboxDatabase(options)
        lock.release()

    def numbers(self, name: str) -> list[int]:
        """The numbers of the alerts that an output has left, unreadable ones too."""
        return [alert.number for alert in self.database.next_batch(name, 1000)]

    def check(self, unread: int) -> None:
        """Every alert is there or counted, and new ones get higher numbers."""
        status = {each.name: each for each in self.database.status()}
        for name, sent in (("one", SENT), ("two", 0)):
            numbers = self.numbers(name)
            assert numbers == sorted(set(numbers))
            # Where no cursor can be read, the output gets all alerts again.
            assert set(numbers) <= set(range(1, COUNT + 1))
            assert len(numbers) + status[name].dropped >= COUNT - sent
            assert status[name].dropped <= unread
            for alert in self.database.next_batch(name, 1000):
                if not isinstance(alert, UnreadableAlert):
                    expected = number_of(alert.record["id"])
                    assert alert.number == expected + 1
                    assert alert.record == (large(expected) or record(expected))
        self.database.put([record(COUNT)])
        assert self.numbers("one")[-1] == COUNT + 1
        self.database.close()


FILLS = (b"\0", b"\xff", b"garbage ", b"\x0d\0\0\0\xff\x01")
"""Zeros, ones, text, and the head of a leaf."""


@pytest.mark.parametrize("turn", range(len(FILLS)))
def test_any_damaged_page_costs_its_own_alerts_only(turn, filled, outbox, outputs):
    """Each page is damaged once, and those beside it in the other ways."""
    octets = filled.read_bytes()
    pages = len(octets) // PAGE_SIZE
    assert pages > 30
    for number in range(turn, pages, len(FILLS)):
        at, fill = number * PAGE_SIZE, FILLS[number % len(FILLS)]
        damage = (fill * PAGE_SIZE)[:PAGE_SIZE]
        shutil.rmtree(outbox.folder)
        outbox.folder.mkdir(mode=0o700)
        filled.write_bytes(octets[:at] + damage + octets[at + PAGE_SIZE :])
        opened = Opened(outbox, outputs)
        unreadable = sum(
            isinstance(alert, UnreadableAlert) for alert in opened.database.next_batch("two", 1000)
        )
        assert unreadable <= 1
        opened.check(unread=4)
        asides = [each.name for each in outbox.folder.iterdir() if "damaged" in each.name]
        assert asides in ([], [f"{FILE}.damaged-1"])
        # An overflow page is not verified by SQLite; the record has its own hash.
        assert asides or unreadable == 1


@pytest.mark.parametrize("pages", ["first", "all but the mark", "half", "every third"])
def test_many_damaged_pages(pages, filled, outbox, outputs):
    octets = bytearray(filled.read_bytes())
    count = len(octets) // PAGE_SIZE
    chosen = {
        "first": [0],
        "all but the mark": [0, *range(2, count)],
        "half": range(count // 2, count),
        "every third": range(0, count, 3),
    }[pages]
    for number in chosen:
        octets[number * PAGE_SIZE : (number + 1) * PAGE_SIZE] = random.Random(1).randbytes(
            PAGE_SIZE
        )
    filled.write_bytes(octets)
    opened = Opened(outbox, outputs)
    assert len(opened.log) == 1
    assert "damaged" in opened.log[0]
    left = len(opened.numbers("two"))
    assert left == COUNT if pages == "first" else left < COUNT
    opened.database.put([record(99)])
    assert len(opened.numbers("two")) == left + 1
    opened.database.close()


def test_truncated_file(filled, outbox, outputs):
    size = filled.stat().st_size
    os.truncate(filled, size // 2 + 100)
    opened = Opened(outbox, outputs)
    assert 0 < len(opened.numbers("one")) < COUNT - SENT
    opened.check(unread=COUNT)


def kill_with_log(outbox, outputs) -> None:
    """Leave alerts in the write-ahead log, as a killed process does."""
    pid = os.fork()
    if not pid:
        database = OutboxDatabase(outbox)
        database.put([record(number) for number in range(COUNT, COUNT + 6)])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 8])
def test_alerts_in_the_log_of_a_damaged_database_are_carried_over(number, filled, outbox, outputs):
    kill_with_log(outbox, outputs)
    assert filled.with_name(f"{FILE}-wal").stat().st_size > PAGE_SIZE
    with filled.open("r+b") as stream:
        stream.seek(number * PAGE_SIZE)
        stream.write(b"\xff" * PAGE_SIZE)
    opened = Opened(outbox, outputs)
    assert set(range(COUNT + 1, COUNT + 7)) <= set(opened.numbers("two"))
    assert len(opened.numbers("two")) >= COUNT
    opened.database.close()


def test_lost_row_of_an_output_makes_it_get_all_alerts(filled, outbox, outputs):
    with sqlite3.connect(filled) as database:
        database.execute("DELETE FROM output WHERE name = 'one'")
    database.close()
    recovery.replace(outbox.folder, outputs)
    opened = Opened(outbox, outputs)
    assert len(opened.numbers("one")) == len(opened.numbers("two")) == COUNT
    opened.check(unread=0)


def test_delivered_alerts_and_the_clock_are_carried_over(filled, outbox, outputs):
    database = OutboxDatabase(outbox)
    before = [alert.waited for alert in database.next_batch("two", 9)]
    sent = [alert.record for alert in database.next_batch("two", SENT)]
    database.close()
    recovery.replace(outbox.folder, outputs)
    opened = Opened(outbox, outputs)
    after = [alert.waited for alert in opened.database.next_batch("two", 9)]
    assert all(0 <= new - old < 60 for old, new in zip(before, after, strict=True))
    opened.database.put(sent, once=True)
    batch = opened.database.next_batch("one", 1000)
    assert [alert.is_repeat for alert in batch] == [False] * (COUNT - SENT) + [True] * SENT
    opened.database.close()


@pytest.mark.parametrize("log", [False, True])
def test_replacement_continues_after_kill_at_every_step(log, filled, outbox, outputs, tmp_path):
    if log:
        kill_with_log(outbox, outputs)
    with filled.open("r+b") as stream:
        stream.write(bytes(PAGE_SIZE))
    expected = list(range(1, COUNT + 1 + 6 * log))
    template = tmp_path / "template"
    shutil.copytree(outbox.folder, template)
    script = SUPPORT / "crashing_recovery.py"
    killed = 0
    for number in range(1, 13):
        shutil.rmtree(outbox.folder)
        shutil.copytree(template, outbox.folder)
        command = [sys.executable, str(script), str(outbox.folder), str(number)]
        status = subprocess.run(command, timeout=60).returncode
        assert status in (0, -signal.SIGKILL)
        killed += status != 0
        opened = Opened(outbox, outputs)
        assert opened.numbers("two") == expected, number
        opened.database.close()
        names = {each.name for each in outbox.folder.iterdir()}
        assert f"{FILE}.damaged-1" in names, number
        assert f"{FILE}.replacing" not in names
        assert not [name for name in names if name.startswith(f".{FILE}.")], number
        assert f"{FILE}.damaged-2" not in names
    assert killed >= 8


def test_replacement_waits_for_space_on_the_disk(tmp_path, outputs):
    with limited_disk(tmp_path / "disk", "2m") as disk:
        options = OutboxOptions(disk / "spool")
        database = OutboxDatabase(options, create=True)
        database.configure(outputs)
        database.put([record(number) for number in range(COUNT)])
        database.close()
        with (options.folder / FILE).open("r+b") as stream:
            stream.write(bytes(PAGE_SIZE))
        ballast = fill_up(disk)
        log: list[str] = []
        lock = DeliveryLock(options.folder)
        shared = SharedOutbox(options, outputs, lock, lambda _: 0, log.append)
        for _ in range(3):
            assert not shared.open()
        assert "full" in shared.problem
        assert len(log) == 1
        ballast.unlink()
        assert shared.open()
        lock.release()
        opened = Opened(options, outputs)
        assert opened.numbers("one") == list(range(1, COUNT + 1))
        opened.database.close()


def test_damaged_files_of_a_disk_that_fails_again_and_again_are_limited(filled, outbox, outputs):
    log: list[str] = []
    delays: list[int] = []
    lock = DeliveryLock(outbox.folder)

    def delay(failures: int) -> float:
        delays.append(failures)
        return 0

    shared = SharedOutbox(outbox, outputs, lock, delay, log.append)
    assert shared.open()
    for _ in range(owned_database.MAX_SET_ASIDE):
        shared.failed(DamagedFileError("a page"), shared.generation)
        assert shared.open()
    assert delays == list(range(1, owned_database.MAX_SET_ASIDE + 1))
    shared.failed(DamagedFileError("a page"), shared.generation)
    assert not shared.open()
    assert "remove them" in shared.problem
    for each in outbox.folder.glob("*.damaged-*"):
        each.unlink()
    assert shared.open()
    database = OutboxDatabase(outbox)
    assert len(database.next_batch("two", 1000)) == COUNT
    database.close()
    lock.release()


def test_only_the_process_with_the_lock_replaces(filled, outbox, outputs):
    with filled.open("r+b") as stream:
        stream.write(bytes(PAGE_SIZE))
    other = DeliveryLock(outbox.folder)
    assert other.acquire()
    log: list[str] = []
    shared = SharedOutbox(outbox, outputs, DeliveryLock(outbox.folder), lambda _: 0, log.append)
    assert not shared.open()
    assert "the process that delivers from it has to replace it" in shared.problem
    assert [each.name for each in outbox.folder.iterdir() if "damaged" in each.name] == []
    other.release()
    assert shared.open()
    shared._lock.release()


def test_folder_that_cannot_be_used_is_reported_and_tried_again(tmp_path, outputs):
    blocked = tmp_path / "file"
    blocked.write_text("")
    log: list[str] = []
    options = OutboxOptions(blocked / "spool")
    lock = DeliveryLock(options.folder)
    shared = SharedOutbox(options, outputs, lock, lambda _: 0, log.append)
    assert not shared.open()
    assert "cannot be created: Not a directory" in shared.problem
    blocked.unlink()
    assert shared.open()
    assert log[-1] == "outbox: can be used again"
    lock.release()


HOST = "janes-phone"


def is_hers(value: Any) -> bool:
    return HOST in json.dumps(value)


def hers(number: int) -> dict[str, Any]:
    made = record(number)
    return made | {"device": made["device"] | {"hostname": HOST}}


def with_hers(folder: Path) -> OutboxOptions:
    options = OutboxOptions(folder)
    outbox = OutboxDatabase(options, create=True)
    outbox.put([record(1), hers(2), record(3), hers(4)])
    outbox.close()
    return options


def test_waiting_alerts_of_others_stay(tmp_path: Path) -> None:
    options = with_hers(tmp_path)
    assert HOST.encode() in b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    assert erase_alerts(tmp_path, is_hers).waiting == 2
    assert HOST.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    outbox = OutboxDatabase(options)
    rows = [json.loads(text) for (text,) in outbox._db.execute("SELECT record FROM alert")]
    outbox.close()
    assert [row["id"] for row in rows] == [record(1)["id"], record(3)["id"]]
    assert erase_alerts(tmp_path, is_hers).waiting == 0


def test_that_they_were_delivered_is_forgotten(tmp_path: Path) -> None:
    options = with_hers(tmp_path)
    keys = [deduplication_key(each) for each in (record(1), hers(2), hers(9))]
    outbox = OutboxDatabase(options)
    outbox._db.execute(
        "INSERT INTO output (name, type, format, verdict, severity, cursor, configured)"
        " VALUES ('siem', 'syslog', 'cef', 0, 0, 0, 1)"
    )
    outbox_file.remember(outbox._db, "siem", keys, 100)
    outbox.close()
    # The outbox has the second one; of the third only the store has the record.
    erase_alerts(tmp_path, is_hers, [hers(9)])
    outbox = OutboxDatabase(options)
    assert [outbox_file.is_delivered(outbox._db, "siem", key) for key in keys] == [
        True,
        False,
        False,
    ]
    outbox.close()


def test_dead_letters_of_others_stay(tmp_path: Path) -> None:
    letters = [DeadLetter("no", hers(1)), DeadLetter("no", record(2)), DeadLetter("no", None, HOST)]
    dead_letters.append(tmp_path, "siem", letters, 0.0)
    dead_letters.append(tmp_path, "mail", letters[:1], 0.0)
    assert erase_alerts(tmp_path, is_hers).dead == 3
    (line,) = dead_letters.path_of(tmp_path, "siem").read_text().splitlines()
    assert json.loads(line)["alert"]["id"] == record(2)["id"]
    assert not dead_letters.path_of(tmp_path, "mail").exists()
    dead_letters.append(tmp_path, "siem", letters[1:2], 0.0)
    assert dead_letters.count(tmp_path, "siem") == 2


def test_without_an_outbox_there_is_nothing(tmp_path: Path) -> None:
    assert erase_alerts(tmp_path / "none", is_hers).waiting == 0
    assert list(tmp_path.iterdir()) == []


def test_an_outbox_that_was_set_aside_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{FILE}.damaged-1").write_text(HOST)
    (text,) = erase_alerts(tmp_path, is_hers).left
    assert "was not searched: delete it" in text
