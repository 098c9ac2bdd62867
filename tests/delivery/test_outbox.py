import sqlite3
import stat
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_alerts import number_of, output, record, records

from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import ForeignFileError, OtherVersionError
from netwatch.delivery import deferred, outbox_file, recovery
from netwatch.delivery.deferred import deduplication_key
from netwatch.delivery.outbox import OutboxDatabase, UnreadableAlert
from netwatch.delivery.outbox_file import FILE, USE_FILE, folder_warning
from netwatch.delivery.output import OutboxOptions

DAY = 86_400.0


@pytest.fixture
def outbox_db(outbox):
    opened = OutboxDatabase(outbox, create=True)
    yield opened
    opened.close()


def configure_output(outbox_db, tmp_path, **more):
    configured = output(tmp_path, type="file", name="one", path="a", **more)
    outbox_db.configure([configured])
    return configured


def sent(count):
    """Keys of alerts that were sent."""
    return [f"key-{number}" for number in range(count)]


class Clocks:
    """Replaces the clocks of the outbox: what a machine counts since its boot, and the boot."""

    def __init__(self, monkeypatch):
        self.steady, self.boot = 1000.0, "first"
        monkeypatch.setattr(outbox_file, "steady_seconds", lambda: self.steady)
        monkeypatch.setattr(outbox_file, "boot_id", lambda: self.boot)


@pytest.fixture
def clocks(monkeypatch):
    return Clocks(monkeypatch)


def test_what_was_put_comes_back_in_order_with_its_key(clocks, outbox_db, tmp_path):
    configure_output(outbox_db, tmp_path)
    alerts = records(20)
    outbox_db.put(alerts[:12])
    clocks.steady += 5
    outbox_db.put(alerts[12:], waited=[2.0] * 8)
    batch = outbox_db.next_batch("one", 100)
    assert [alert.record for alert in batch] == alerts
    assert [alert.key for alert in batch] == [deduplication_key(each) for each in alerts]
    assert [alert.waited for alert in batch] == [5.0] * 12 + [2.0] * 8
    assert [alert.number for alert in outbox_db.next_batch("one", 3)] == [1, 2, 3]


def test_alert_is_deleted_when_all_cursors_have_passed_it(outbox_db, tmp_path):
    outputs = [output(tmp_path, type="file", name=name, path=name) for name in ("one", "two")]
    outbox_db.configure(outputs)
    outbox_db.put(records(10))
    outbox_db.record_attempt("one", 10, sent=sent(10))
    assert outbox_db.next_batch("one", 9) == []
    assert outbox_db.clean_up(1e9) == 0
    assert len(outbox_db.next_batch("two", 100)) == 10
    outbox_db.record_attempt("two", 4, sent=sent(4))
    assert outbox_db.clean_up(1e9) == 0
    assert [alert.number for alert in outbox_db.next_batch("two", 100)] == [5, 6, 7, 8, 9, 10]
    by_name = {each.name: each for each in outbox_db.status()}
    assert (by_name["two"].queued, by_name["two"].dropped, by_name["one"].queued) == (6, 0, 0)


def test_filters_suppress_lesser_alerts_and_pass_unknown_words(outbox_db, tmp_path):
    configure_output(outbox_db, tmp_path, min_verdict="advisory", min_severity="high")
    outbox_db.put(
        [
            record(1, verdict="violation", severity="high"),
            record(2, verdict="exempt", severity="critical"),
            record(3, verdict="advisory", severity="medium"),
            record(4, verdict="advisory", severity="critical"),
            record(5, verdict="of a later version", severity="also"),
        ],
    )
    assert [number_of(alert.record["id"]) for alert in outbox_db.next_batch("one", 9)] == [1, 4, 5]


def test_cursor_moves_past_filtered_alerts(outbox_db, tmp_path):
    configure_output(outbox_db, tmp_path, min_verdict="violation")
    outbox_db.put([record(1, verdict="exempt")] * 3)
    assert outbox_db.next_batch("one", 9) == []
    outbox_db.clean_up(1e9)
    assert outbox_db.status()[0].queued == 0
    assert deferred._number_range(outbox_db._db) == (None, None)


def test_new_output_receives_alerts_from_now_on(outbox_db, tmp_path):
    one = configure_output(outbox_db, tmp_path)
    outbox_db.put(records(3))
    outbox_db.configure([one, replace(one, name="two")])
    outbox_db.put([record(9)])
    assert len(outbox_db.next_batch("one", 9)) == 4
    assert [alert.record["id"] for alert in outbox_db.next_batch("two", 9)] == [record(9)["id"]]


def test_removed_output_does_not_block_deletion_and_counts_dropped_alerts(outbox_db, tmp_path):
    one = configure_output(outbox_db, tmp_path)
    outbox_db.put(records(3))
    outbox_db.configure([replace(one, name="two")])
    outbox_db.put([record(9)])
    outbox_db.record_attempt("two", 4, sent=sent(1))
    assert outbox_db.clean_up(1e9) == 0
    outbox_db.configure([one])
    (evicted,) = (each for each in outbox_db.status() if each.name == "one")
    assert (evicted.queued, evicted.dropped) == (0, 4)


def test_expired_alerts_are_dropped_and_counted(clocks, outbox_db, tmp_path):
    configure_output(outbox_db, tmp_path)
    outbox_db.put(records(3))
    clocks.steady += 100
    outbox_db.put(records(2))
    assert outbox_db.clean_up(100.0) == 0
    clocks.steady += 50
    assert outbox_db.clean_up(100.0) == 3
    status = outbox_db.status()[0]
    assert (status.queued, status.dropped) == (2, 3)
    assert status.oldest == pytest.approx(time.time() - 50, abs=5)


@pytest.mark.parametrize("step", [40 * DAY, -40 * DAY])
def test_a_step_of_the_wall_clock_changes_no_age(step, outbox_db, tmp_path, monkeypatch):
    configure_output(outbox_db, tmp_path)
    outbox_db.put(records(3))
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + step)
    outbox_db.put(records(2))
    assert outbox_db.clean_up(30 * DAY) == 0
    assert [round(alert.waited) for alert in outbox_db.next_batch("one", 9)] == [0] * 5
    status = outbox_db.status()[0]
    assert status.queued == 5
    assert time.time() - status.oldest == pytest.approx(0, abs=5)


@pytest.mark.parametrize(
    ("boot", "steady", "waited"),
    [
        ("first", 1000 + 30, 30),  # A restart of the process.
        ("second", 20, 0),  # A restart of the machine: for how long it was off is unknown.
        ("second", 40 * DAY, 0),  # Another machine, which has run for long.
        ("first", 900, 0),  # A clock that went backwards, which none should.
    ],
)
def test_age_continues_after_a_restart_and_is_never_too_high(
    boot, steady, waited, clocks, outbox, tmp_path
):
    first = OutboxDatabase(outbox, create=True)
    configure_output(first, tmp_path)
    first.put(records(2))
    first.close()
    clocks.boot, clocks.steady = boot, steady
    second = OutboxDatabase(outbox)
    configure_output(second, tmp_path)
    assert [alert.waited for alert in second.next_batch("one", 9)] == [waited] * 2
    assert second.clean_up(30 * DAY) == 0
    clocks.steady += 30 * DAY + 1
    assert second.clean_up(30 * DAY) == 2
    second.close()


def test_time_of_a_service_that_is_restarted_often_adds_up(clocks, outbox, tmp_path):
    outbox_db = OutboxDatabase(outbox, create=True)
    configure_output(outbox_db, tmp_path)
    outbox_db.put([record(1)])
    for boot in range(10):
        outbox_db.close()
        clocks.boot, clocks.steady = f"boot {boot}", 10.0
        outbox_db = OutboxDatabase(outbox)
        clocks.steady += 3 * DAY
        assert outbox_db.clean_up(29 * DAY) == (boot == 9)
    outbox_db.close()


def test_unknown_boot_counts_within_a_process_only(outbox, tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_file, "_BOOT_ID", tmp_path / "hidden")
    unknown = outbox_file.boot_id()
    assert unknown == outbox_file.boot_id()
    script = "from netwatch.delivery import outbox_file; print(outbox_file._UNKNOWN_BOOT)"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert other.stdout.strip() != unknown
    assert other.stdout.startswith("unknown")


def test_one_wrong_time_expires_no_alert(outbox_db, outbox, tmp_path):
    configure_output(outbox_db, tmp_path)
    outbox_db.put(records(5))
    with sqlite3.connect(outbox.folder / FILE) as db:
        db.execute("UPDATE alert SET stored = -1e9 WHERE seq = 4")
    db.close()
    assert outbox_db.clean_up(100.0) == 0
    assert len(outbox_db.next_batch("one", 9)) == 5


def test_full_outbox_evicts_the_oldest_alerts_and_counts_them(outbox, tmp_path):
    small = OutboxOptions(outbox.folder, max_bytes=1 << 20)
    outbox_db = OutboxDatabase(small, create=True)
    configure_output(outbox_db, tmp_path)
    evicted = sum(outbox_db.put(records(100)) for _ in range(20))
    assert evicted > 0
    status = outbox_db.status()[0]
    assert status.queued + status.dropped == 2000
    assert status.dropped == evicted
    assert outbox_db.used_bytes() <= 1 << 20
    # The file may be larger by the size of one transaction.
    assert (outbox.folder / FILE).stat().st_size < 5 << 18
    assert outbox_db.next_batch("one", 1)[0].number == evicted + 1
    outbox_db.close()


def test_replayed_alert_is_for_its_output_only_and_bypasses_the_filter(outbox_db, tmp_path):
    one = configure_output(outbox_db, tmp_path, min_verdict="violation")
    outbox_db.configure([one, replace(one, name="two", min_verdict=0)])
    outbox_db.put([record(1, verdict="exempt")], output="one")
    assert len(outbox_db.next_batch("one", 9)) == 1
    assert outbox_db.next_batch("two", 9) == []


def test_several_connections_share_one_outbox(outbox_db, outbox, tmp_path):
    configure_output(outbox_db, tmp_path)
    other = OutboxDatabase(outbox, durable=False)
    outbox_db.put(records(2))
    assert len(other.next_batch("one", 9)) == 2
    other.record_attempt("one", 1, sent=sent(1))
    assert [alert.number for alert in outbox_db.next_batch("one", 9)] == [2]
    other.close()


def test_outbox_is_readable_by_its_owner_only(outbox_db, outbox):
    assert stat.S_IMODE(outbox.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((outbox.folder / FILE).stat().st_mode) == 0o600


def test_missing_outbox_or_other_version_is_reported(outbox):
    with pytest.raises(NetwatchError, match="has no outbox"):
        OutboxDatabase(outbox)
    OutboxDatabase(outbox, create=True).close()
    with sqlite3.connect(outbox.folder / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(OtherVersionError, match=r"another version of netwatch \(schema 99"):
        OutboxDatabase(outbox)


def test_folder_that_cannot_be_created_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NetwatchError, match="cannot be created"):
        OutboxDatabase(OutboxOptions(tmp_path / "file" / "spool"), create=True)


@pytest.mark.parametrize(
    "content", [b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 9000, b"", b"\0" * 9000]
)
def test_file_of_another_program_is_refused_and_left_as_it_is(outbox, content):
    outbox.folder.mkdir()
    (outbox.folder / FILE).write_bytes(content)
    with pytest.raises(ForeignFileError, match="was left as it is"):
        OutboxDatabase(outbox, create=True)
    assert {each.name for each in outbox.folder.iterdir()} == {FILE, USE_FILE}
    assert (outbox.folder / FILE).read_bytes() == content


def test_symbolic_link_is_refused(outbox, tmp_path):
    outbox.folder.mkdir()
    (outbox.folder / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ForeignFileError, match="is a symbolic link"):
        OutboxDatabase(outbox, create=True)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_folder_that_others_can_write_to_is_warned_of(mode, outbox):
    outbox.folder.mkdir()
    outbox.folder.chmod(mode)
    assert f"mode {mode:04o}" in folder_warning(outbox.folder)
    outbox.folder.chmod(0o755)
    assert not folder_warning(outbox.folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{broken", "not valid JSON"),
        (b"\xff\xfe\0", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "nested too deeply"),
        (f'{{"id": {"1" * 5000}}}', "not valid JSON"),
        ('{"id":"x"}', "changed after it was stored"),
        ("", "not valid JSON"),
    ],
)
def test_record_that_cannot_be_read_is_returned_with_the_reason(
    text, reason, outbox_db, outbox, tmp_path
):
    configure_output(outbox_db, tmp_path)
    outbox_db.put(records(3))
    with sqlite3.connect(outbox.folder / FILE) as db:
        db.execute("UPDATE alert SET record = ? WHERE seq = 2", (text,))
    db.close()
    first, second, third = outbox_db.next_batch("one", 9)
    assert (first.record, third.record) == (record(0), record(2))
    assert isinstance(second, UnreadableAlert)
    assert reason in second.reason


def test_repeats_are_counted_and_left_out_with_once(outbox_db, tmp_path):
    one = configure_output(outbox_db, tmp_path)
    outbox_db.configure([one, replace(one, name="two")])
    outbox_db.put(records(3))
    keys = [alert.key for alert in outbox_db.next_batch("one", 9)]
    outbox_db.record_attempt("one", 3, sent=keys)
    outbox_db.put([*records(3), record(3), record(0, status="open")], once=True)
    repeats = [alert.is_repeat for alert in outbox_db.next_batch("one", 9)]
    assert repeats == [True] * 3 + [False] * 2
    assert not any(alert.is_repeat for alert in outbox_db.next_batch("two", 9))
    outbox_db.put(records(2))
    assert [alert.is_repeat for alert in outbox_db.next_batch("one", 9)][5:] == [False] * 2
    outbox_db.record_attempt("one", 10, sent=keys[:2], skipped=3)
    status = outbox_db.status()[0]
    assert (status.sent, status.repeated, status.skipped) == (5, 2, 3)


def test_memory_of_delivered_alerts_is_limited(outbox, tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_file, "MAX_DELIVERED", 100)
    outbox_db = OutboxDatabase(outbox, create=True)
    configure_output(outbox_db, tmp_path)
    keys = [f"key-{number}" for number in range(150)]
    for key in keys:
        outbox_db.record_attempt("one", 0, sent=[key])
    remembered = [key for key in keys if outbox_file.is_delivered(outbox_db._db, "one", key)]
    assert remembered == keys[50:]
    outbox_db.close()


def test_memory_of_delivered_alerts_takes_an_eighth_of_the_outbox_at_most(outbox, tmp_path):
    small = OutboxOptions(outbox.folder, max_bytes=1 << 20)
    outbox_db = OutboxDatabase(small, create=True, durable=False)
    configure_output(outbox_db, tmp_path)
    before = outbox_db.used_bytes()
    for start in range(0, 20_000, 500):
        keys = [f"key-{number}" for number in range(start, start + 500)]
        outbox_db.record_attempt("one", 0, sent=keys)
    assert outbox_db.used_bytes() - before <= small.max_bytes / 8
    outbox_db.close()


def test_deduplication_key_ignores_sensor_and_versions_only():
    one = record(1)
    same = {**one, "sensor": {"name": "other", "version": "9"}}
    same["versions"] = {"netwatch": "9", "set": {"version": 2}}
    assert (
        deduplication_key(one)
        == deduplication_key(same)
        == deduplication_key(dict(reversed(one.items())))
    )
    assert deduplication_key(one) != deduplication_key({**one, "status": "open"})
    assert deduplication_key(one) != deduplication_key({**one, "names": []})
    assert deduplication_key(one).startswith(one["id"])


@given(st.lists(st.tuples(st.sampled_from(["put", "sent", "tidy"]), st.integers(0, 6))))
def test_every_alert_is_queued_or_sent_or_dropped(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    outbox_db = OutboxDatabase(OutboxOptions(folder), create=True, durable=False)
    configure_output(outbox_db, folder)
    put = 0
    for step, number in steps:
        if step == "put":
            outbox_db.put(records(number))
            put += number
        elif step == "sent":
            batch = outbox_db.next_batch("one", number) if number else []
            if batch:
                outbox_db.record_attempt("one", batch[-1].number, sent=sent(len(batch)))
        else:
            outbox_db.clean_up(0.0 if number > 5 else 1e9)
        status = outbox_db.status()[0]
        assert status.queued + status.sent + status.dropped == put
    outbox_db.close()


def defer(outbox_db, tmp_path, count, recipients=("b@example.org",)):
    """Store alerts and defer them for some recipients."""
    configure_output(outbox_db, tmp_path)
    outbox_db.put(records(count))
    batch = outbox_db.next_batch("one", count)
    outbox_db.record_attempt(
        "one",
        batch[-1].number,
        sent=[alert.key for alert in batch],
        for_others=[(alert, recipients) for alert in batch],
    )


def test_deferred_alerts_are_queued_and_keep_their_age(outbox_db, tmp_path, monkeypatch):
    defer(outbox_db, tmp_path, 3)
    steady = outbox_file.steady_seconds
    monkeypatch.setattr(outbox_file, "steady_seconds", lambda: steady() + 100)
    (batch,) = outbox_db.deferred_batches("one", 9)
    assert [alert.record["id"] for alert in batch] == [each["id"] for each in records(3)]
    assert all(alert.waited >= 100 for alert in batch)
    status = outbox_db.status()[0]
    assert (status.queued, status.sent) == (3, 3)
    assert time.time() - status.oldest >= 100
    assert outbox_db.next_batch("one", 9) == []


def test_recipients_do_not_wait_for_each_other(outbox_db, tmp_path):
    defer(outbox_db, tmp_path, 3)
    outbox_db.put_deferred(records(2), "one", ("c@example.org",))
    found = outbox_db.deferred_batches("one", 2)
    assert [[alert.recipients for alert in batch] for batch in found] == [
        [("b@example.org",)] * 2,
        [("c@example.org",)] * 2,
    ]
    (first, _), (other, _) = found
    outbox_db.settle_deferred("one", [first.number], [(other.number, ("d",))], sent=[])
    assert {a.recipients for b in outbox_db.deferred_batches("one", 9) for a in b} == {
        ("b@example.org",),
        ("c@example.org",),
        ("d",),
    }
    assert outbox_db.status()[0].queued == 4


def test_deferred_alerts_are_evicted_oldest_first_and_counted(outbox, tmp_path):
    small = OutboxDatabase(replace(outbox, max_bytes=1 << 20), create=True)
    try:
        defer(small, tmp_path, 300)
        evicted = small.put([record(1000 + number) for number in range(700)])
        assert evicted
        assert small.used_bytes() <= 1 << 20
        status = small.status()[0]
        assert status.dropped == evicted
        assert status.queued == 1000 - evicted
        (batch,) = small.deferred_batches("one", 1) or [[]]
        assert not batch or batch[0].record["id"] != record(0)["id"]
    finally:
        small.close()


def test_deferred_record_that_cannot_be_read_is_marked(outbox_db, tmp_path):
    defer(outbox_db, tmp_path, 2)
    outbox_db._db.execute("UPDATE deferred SET record = '{' WHERE number = 1")
    ((first, second),) = outbox_db.deferred_batches("one", 9)
    assert "not valid JSON" in first.reason
    assert (first.text, second.reason) == ("{", "")


def test_deferred_alerts_survive_the_replacement_of_a_damaged_outbox(outbox, tmp_path):
    database = OutboxDatabase(outbox, create=True)
    defer(database, tmp_path, 5)
    database.close()
    recovery.replace(outbox.folder, [output(tmp_path, type="file", path="a", name="one")])
    again = OutboxDatabase(outbox)
    try:
        (batch,) = again.deferred_batches("one", 9)
        assert [alert.record["id"] for alert in batch] == [each["id"] for each in records(5)]
        assert {alert.recipients for alert in batch} == {("b@example.org",)}
    finally:
        again.close()


def test_deferred_alerts_are_found_by_an_index(outbox_db, tmp_path):
    configure_output(outbox_db, tmp_path)
    for query in (
        "SELECT min(stored) FROM deferred",
        "SELECT count(*) FROM deferred WHERE deferred.output = 'one'",
        "SELECT number, record FROM deferred WHERE output = 'one' AND recipients = '[]'"
        " ORDER BY number LIMIT 5",
    ):
        (*_, plan), *more = outbox_db._db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
        assert "INDEX deferred_by_" in plan
        assert not more
