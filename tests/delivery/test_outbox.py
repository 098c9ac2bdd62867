import sqlite3
import stat
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_alerts import number_of, output, record, records

from netwatch.core.errors import NetwatchError
from netwatch.delivery.outbox import FILE, DamagedError, Spool, key_of, set_aside
from netwatch.sinks.base import Outbox


@pytest.fixture
def spool(outbox):
    opened = Spool(outbox, create=True)
    yield opened
    opened.close()


def configured(spool, tmp_path, **more):
    made = output(tmp_path, type="file", name="one", path="a", **more)
    spool.configure([made])
    return made


def note(spool, name, cursor, **counts):
    zero = dict.fromkeys(("sent", "retried", "dead", "dropped"), 0)
    spool.advance(name, cursor, now=1.0, **{**zero, **counts})


def test_what_was_put_comes_back_in_order_with_its_key(spool, tmp_path):
    configured(spool, tmp_path)
    sent = records(20)
    spool.put(sent[:12], 5.0)
    spool.put(sent[12:], 6.0)
    rows = spool.next("one", 100)
    assert [row.record for row in rows] == sent
    assert [row.key for row in rows] == [key_of(each) for each in sent]
    assert [row.time for row in rows] == [5.0] * 12 + [6.0] * 8
    assert [row.seq for row in spool.next("one", 3)] == [1, 2, 3]


def test_cursors_are_apart_and_an_alert_goes_when_all_are_past_it(spool, tmp_path):
    outputs = [output(tmp_path, type="file", name=name, path=name) for name in ("one", "two")]
    spool.configure(outputs)
    spool.put(records(10), 5.0)
    note(spool, "one", 10, sent=10)
    assert spool.next("one", 9) == []
    assert spool.tidy(0) == 0
    assert len(spool.next("two", 100)) == 10
    note(spool, "two", 4, sent=4)
    assert spool.tidy(0) == 0
    assert [row.seq for row in spool.next("two", 100)] == [5, 6, 7, 8, 9, 10]
    by_name = {each.name: each for each in spool.status()}
    assert (by_name["two"].queued, by_name["two"].dropped, by_name["one"].queued) == (6, 0, 0)


def test_filters_hold_back_what_is_less_and_pass_what_is_not_known(spool, tmp_path):
    configured(spool, tmp_path, min_verdict="advisory", min_severity="high")
    spool.put(
        [
            record(1, verdict="violation", severity="high"),
            record(2, verdict="exempt", severity="critical"),
            record(3, verdict="advisory", severity="medium"),
            record(4, verdict="advisory", severity="critical"),
            record(5, verdict="of a later version", severity="also"),
        ],
        5.0,
    )
    assert [number_of(row.record["id"]) for row in spool.next("one", 9)] == [1, 4, 5]


def test_a_cursor_moves_past_what_is_not_wanted(spool, tmp_path):
    configured(spool, tmp_path, min_verdict="violation")
    spool.put([record(1, verdict="exempt")] * 3, 5.0)
    assert spool.next("one", 9) == []
    spool.tidy(0)
    assert spool.status()[0].queued == 0
    assert spool._span() == (None, None)


def test_a_new_output_gets_what_comes_from_now_on(spool, tmp_path):
    one = configured(spool, tmp_path)
    spool.put(records(3), 5.0)
    spool.configure([one, replace(one, name="two")])
    spool.put([record(9)], 5.0)
    assert len(spool.next("one", 9)) == 4
    assert [row.record["id"] for row in spool.next("two", 9)] == [record(9)["id"]]


def test_an_output_that_is_gone_holds_nothing_back_and_counts_what_it_missed(spool, tmp_path):
    one = configured(spool, tmp_path)
    spool.put(records(3), 5.0)
    spool.configure([replace(one, name="two")])
    spool.put([record(9)], 5.0)
    note(spool, "two", 4, sent=1)
    assert spool.tidy(0) == 0
    spool.configure([one])
    (gone,) = (each for each in spool.status() if each.name == "one")
    assert (gone.queued, gone.dropped) == (0, 4)


def test_old_alerts_are_dropped_and_counted(spool, tmp_path):
    configured(spool, tmp_path)
    spool.put(records(3), 100.0)
    spool.put(records(2), 200.0)
    assert spool.tidy(150.0) == 3
    status = spool.status()[0]
    assert (status.queued, status.dropped, status.oldest) == (2, 3, 200.0)


def test_a_full_outbox_drops_the_oldest_and_counts_them(outbox, tmp_path):
    small = Outbox(outbox.folder, max_bytes=1 << 20)
    spool = Spool(small, create=True)
    configured(spool, tmp_path)
    gone = sum(spool.put(records(100), 5.0) for _ in range(20))
    assert gone > 0
    status = spool.status()[0]
    assert status.queued + status.dropped == 2000
    assert status.dropped == gone
    assert spool.used() <= 1 << 20
    # On disk it may be larger by what one transaction holds.
    assert (outbox.folder / FILE).stat().st_size < 5 << 18
    assert spool.next("one", 1)[0].seq == gone + 1
    spool.close()


def test_a_replayed_alert_is_for_its_output_alone_whatever_the_filter(spool, tmp_path):
    one = configured(spool, tmp_path, min_verdict="violation")
    spool.configure([one, replace(one, name="two", min_verdict=0)])
    spool.put([record(1, verdict="exempt")], 5.0, "one")
    assert len(spool.next("one", 9)) == 1
    assert spool.next("two", 9) == []


def test_several_connections_share_one_outbox(spool, outbox, tmp_path):
    configured(spool, tmp_path)
    other = Spool(outbox, sync=False)
    spool.put(records(2), 5.0)
    assert len(other.next("one", 9)) == 2
    note(other, "one", 1, sent=1)
    assert [row.seq for row in spool.next("one", 9)] == [2]
    other.close()


def test_nobody_else_can_read_it(spool, outbox):
    assert stat.S_IMODE(outbox.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((outbox.folder / FILE).stat().st_mode) == 0o600


def test_what_is_not_there_or_of_another_version_is_told(outbox):
    with pytest.raises(NetwatchError, match="has no outbox"):
        Spool(outbox)
    Spool(outbox, create=True).close()
    with sqlite3.connect(outbox.folder / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(NetwatchError, match="another version"):
        Spool(outbox)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NetwatchError, match="cannot be opened"):
        Spool(Outbox(tmp_path / "file" / "spool"), create=True)


@pytest.mark.parametrize(
    "damage", [b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_damaged_outbox_is_told_and_can_be_set_aside(outbox, damage):
    outbox.folder.mkdir()
    (outbox.folder / FILE).write_bytes(damage)
    with pytest.raises(DamagedError):
        Spool(outbox, create=True)
    aside = set_aside(outbox.folder, 7.0)
    assert aside.read_bytes() == damage
    Spool(outbox, create=True).close()
    assert {each.name for each in outbox.folder.iterdir()} == {FILE, aside.name}


def test_the_key_is_that_of_the_same_telling_alone():
    one = record(1)
    same = {**one, "sensor": {"name": "other", "version": "9"}}
    assert key_of(one) == key_of(same) == key_of(dict(reversed(one.items())))
    assert key_of(one) != key_of({**one, "status": "open"})
    assert key_of(one) != key_of({**one, "names": []})
    assert key_of(one).startswith(one["id"])


@given(st.lists(st.tuples(st.sampled_from(["put", "sent", "tidy"]), st.integers(0, 6))))
def test_every_alert_is_queued_or_sent_or_dropped(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(Outbox(folder), create=True, sync=False)
    configured(spool, folder)
    put = 0
    for step, number in steps:
        if step == "put":
            spool.put(records(number), float(put))
            put += number
        elif step == "sent":
            rows = spool.next("one", number) if number else []
            if rows:
                note(spool, "one", rows[-1].seq, sent=len(rows))
        else:
            spool.tidy(float(number))
        status = spool.status()[0]
        assert status.queued + status.sent + status.dropped == put
    spool.close()
