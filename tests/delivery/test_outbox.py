import sqlite3
import stat
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_alerts import number_of, output, record, records

from netwatch.core.errors import NetwatchError
from netwatch.delivery.outbox import OutboxDatabase, deduplication_key
from netwatch.delivery.outbox_file import FILE, DamagedError, set_aside
from netwatch.delivery.output import OutboxOptions


@pytest.fixture
def outbox_db(outbox):
    opened = OutboxDatabase(outbox, create=True)
    yield opened
    opened.close()


def configure_output(outbox_db, tmp_path, **more):
    configured = output(tmp_path, type="file", name="one", path="a", **more)
    outbox_db.configure([configured])
    return configured


def record_attempt(outbox_db, name, cursor, **counts):
    zero = dict.fromkeys(("sent", "retried", "dead", "dropped"), 0)
    outbox_db.record_attempt(name, cursor, now=1.0, **{**zero, **counts})


def test_what_was_put_comes_back_in_order_with_its_key(outbox_db, tmp_path):
    configure_output(outbox_db, tmp_path)
    sent = records(20)
    outbox_db.put(sent[:12], 5.0)
    outbox_db.put(sent[12:], 6.0)
    batch = outbox_db.next_batch("one", 100)
    assert [alert.record for alert in batch] == sent
    assert [alert.key for alert in batch] == [deduplication_key(each) for each in sent]
    assert [alert.time for alert in batch] == [5.0] * 12 + [6.0] * 8
    assert [alert.number for alert in outbox_db.next_batch("one", 3)] == [1, 2, 3]


def test_alert_is_deleted_when_all_cursors_have_passed_it(outbox_db, tmp_path):
    outputs = [output(tmp_path, type="file", name=name, path=name) for name in ("one", "two")]
    outbox_db.configure(outputs)
    outbox_db.put(records(10), 5.0)
    record_attempt(outbox_db, "one", 10, sent=10)
    assert outbox_db.next_batch("one", 9) == []
    assert outbox_db.clean_up(0) == 0
    assert len(outbox_db.next_batch("two", 100)) == 10
    record_attempt(outbox_db, "two", 4, sent=4)
    assert outbox_db.clean_up(0) == 0
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
        5.0,
    )
    assert [number_of(alert.record["id"]) for alert in outbox_db.next_batch("one", 9)] == [1, 4, 5]


def test_cursor_moves_past_filtered_alerts(outbox_db, tmp_path):
    configure_output(outbox_db, tmp_path, min_verdict="violation")
    outbox_db.put([record(1, verdict="exempt")] * 3, 5.0)
    assert outbox_db.next_batch("one", 9) == []
    outbox_db.clean_up(0)
    assert outbox_db.status()[0].queued == 0
    assert outbox_db._number_range() == (None, None)


def test_new_output_receives_alerts_from_now_on(outbox_db, tmp_path):
    one = configure_output(outbox_db, tmp_path)
    outbox_db.put(records(3), 5.0)
    outbox_db.configure([one, replace(one, name="two")])
    outbox_db.put([record(9)], 5.0)
    assert len(outbox_db.next_batch("one", 9)) == 4
    assert [alert.record["id"] for alert in outbox_db.next_batch("two", 9)] == [record(9)["id"]]


def test_removed_output_does_not_block_deletion_and_counts_dropped_alerts(outbox_db, tmp_path):
    one = configure_output(outbox_db, tmp_path)
    outbox_db.put(records(3), 5.0)
    outbox_db.configure([replace(one, name="two")])
    outbox_db.put([record(9)], 5.0)
    record_attempt(outbox_db, "two", 4, sent=1)
    assert outbox_db.clean_up(0) == 0
    outbox_db.configure([one])
    (evicted,) = (each for each in outbox_db.status() if each.name == "one")
    assert (evicted.queued, evicted.dropped) == (0, 4)


def test_expired_alerts_are_dropped_and_counted(outbox_db, tmp_path):
    configure_output(outbox_db, tmp_path)
    outbox_db.put(records(3), 100.0)
    outbox_db.put(records(2), 200.0)
    assert outbox_db.clean_up(150.0) == 3
    status = outbox_db.status()[0]
    assert (status.queued, status.dropped, status.oldest) == (2, 3, 200.0)


def test_full_outbox_evicts_the_oldest_alerts_and_counts_them(outbox, tmp_path):
    small = OutboxOptions(outbox.folder, max_bytes=1 << 20)
    outbox_db = OutboxDatabase(small, create=True)
    configure_output(outbox_db, tmp_path)
    evicted = sum(outbox_db.put(records(100), 5.0) for _ in range(20))
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
    outbox_db.put([record(1, verdict="exempt")], 5.0, "one")
    assert len(outbox_db.next_batch("one", 9)) == 1
    assert outbox_db.next_batch("two", 9) == []


def test_several_connections_share_one_outbox(outbox_db, outbox, tmp_path):
    configure_output(outbox_db, tmp_path)
    other = OutboxDatabase(outbox, durable=False)
    outbox_db.put(records(2), 5.0)
    assert len(other.next_batch("one", 9)) == 2
    record_attempt(other, "one", 1, sent=1)
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
    with pytest.raises(NetwatchError, match="another version"):
        OutboxDatabase(outbox)


def test_folder_that_cannot_be_created_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NetwatchError, match="cannot be opened"):
        OutboxDatabase(OutboxOptions(tmp_path / "file" / "spool"), create=True)


@pytest.mark.parametrize(
    "damage", [b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_damaged_outbox_is_reported_and_can_be_set_aside(outbox, damage):
    outbox.folder.mkdir()
    (outbox.folder / FILE).write_bytes(damage)
    with pytest.raises(DamagedError):
        OutboxDatabase(outbox, create=True)
    aside = set_aside(outbox.folder, 7.0)
    assert aside.read_bytes() == damage
    OutboxDatabase(outbox, create=True).close()
    assert {each.name for each in outbox.folder.iterdir()} == {FILE, aside.name}


def test_deduplication_key_ignores_the_sensor_only():
    one = record(1)
    same = {**one, "sensor": {"name": "other", "version": "9"}}
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
            outbox_db.put(records(number), float(put))
            put += number
        elif step == "sent":
            batch = outbox_db.next_batch("one", number) if number else []
            if batch:
                record_attempt(outbox_db, "one", batch[-1].number, sent=len(batch))
        else:
            outbox_db.clean_up(float(number))
        status = outbox_db.status()[0]
        assert status.queued + status.sent + status.dropped == put
    outbox_db.close()
