"""Days are judged once, kept, told of once, and forgotten in time."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from formats.test_notice import record_of
from support.asking_office import START, Office, events, mac_of, stored, switched
from support.made_store import write_rows

from netwatch.formats.bypass import BypassRecord, day_number
from netwatch.store import bypass_rows, untold
from netwatch.store.bypass_days import DAY, GRACE, bypass_records, judge_days
from netwatch.store.bypass_rows import JudgedDay
from netwatch.store.catalogue import Catalogue
from netwatch.store.messages import Known
from netwatch.store.opening import open_catalogue
from netwatch.store.options import Retention, StoreOptions

OFFICE = replace(Office(), devices=6, days=4, visits=20, names=60, quirks=0.0, idle=0.0)
HIDING = 2
MAC = mac_of(HIDING).hex(":")
FIRST = START // DAY
END = START + OFFICE.days * DAY
FOUND = [("2023-03-03", MAC), ("2023-03-04", MAC)]

Store = tuple[Catalogue, StoreOptions]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An office of which one device asks over HTTPS from its third day on."""
    with stored(events(switched(OFFICE, HIDING, 2, "doh"), 1), tmp_path) as found:
        yield found


def days_of(records: list[BypassRecord] | tuple[BypassRecord, ...]) -> list[tuple[str, str]]:
    return [(each["day"], each["device"]["id"]) for each in records]


def judged(store: Store, now: int = END + GRACE) -> int:
    return judge_days(*store, Known(), now)


def asked(store: Store) -> Any:
    return bypass_records(*store, None, None, Known(), now=END + GRACE)


def without_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a look at the facts fails."""
    monkeypatch.setattr(untold, "bypass_findings", None)


def test_kept_days_are_what_the_facts_say(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        bypass_records(*store, None, None, Known(), now=END + GRACE, counts=False).unread
        == OFFICE.days
    )
    counted = asked(store)
    assert days_of(counted.found) == FOUND
    assert judged(store) == OFFICE.days
    without_facts(monkeypatch)
    assert judged(store) == 0
    assert asked(store) == counted
    kept = bypass_rows.kept_records(store[0], FIRST + 2, FIRST + 3)
    assert kept == [counted.found[0]]
    for devices, networks, count in (({MAC}, None, 2), ({"x"}, None, 0), (None, {"x"}, 0)):
        found = bypass_rows.kept_records(store[0], devices=devices, networks=networks)
        assert len(found) == count
    assert days_of(bypass_rows.kept_records(store[0], limit=1)) == FOUND[1:]


def test_a_day_is_judged_when_it_is_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(store, END + GRACE - 1) == OFFICE.days - 1
    assert days_of(bypass_rows.kept_records(store[0])) == FOUND[:1]
    # Readers count the last day from the facts, and as one on which the others are known.
    assert days_of(asked(store).found) == FOUND
    assert judged(store) == 1
    without_facts(monkeypatch)
    assert days_of(asked(store).found) == FOUND


def test_a_day_by_day_look_finds_what_one_look_finds(store: Store) -> None:
    whole = asked(store)
    for day in range(OFFICE.days):
        assert judged(store, START + (day + 1) * DAY + GRACE) == 1
    assert asked(store) == whole


def test_facts_that_come_late_make_a_day_be_judged_again(store: Store) -> None:
    catalogue, options = store
    judged(store)
    rows = bypass_rows.judged_days(catalogue)[FIRST + 3].rows
    row = {
        "capture": 1, "sequence": 0, "first": END - 1, "last": END, "transport": "tcp",
        "client": 1, "client_port": 1, "server_ip": "10.0.0.1", "server_port": 80, "bytes_out": 0,
        "bytes_in": 0, "name_status": "none", "start_seen": False, "incomplete_message": False,
        "client_sent": "none", "server_sent": "none", "source": "made", "packet": 1, "flow": 0,
    }  # fmt: skip
    few, many = [row] * (rows // 20), [row] * (rows // 10)
    write_rows(catalogue, options, "flow", few)
    assert judged(store) == 0
    write_rows(catalogue, options, "flow", many)
    bypass_rows.note_told(catalogue, [each["id"] for each in asked(store).found])
    assert judged(store) == 1
    assert days_of(asked(store).found) == FOUND
    assert bypass_rows.claim_news(catalogue) == []


def test_of_too_many_facts_the_older_days_come_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = bypass_rows.fact_rows(store[0])
    most = max(rows[FIRST] + rows[FIRST + 1], rows[FIRST + 2] + rows[FIRST + 3])
    monkeypatch.setattr(untold, "MAX_ROWS", most)
    assert asked(store).unread == 2
    assert judged(store) == 2
    assert judged(store) == 2
    assert judged(store) == 0
    assert asked(store).unread == 0


def test_outputs_are_told_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue, _ = store
    judged(store)
    assert bypass_rows.claim_news(catalogue) == []  # of 2023
    monkeypatch.setattr(bypass_rows, "NEWS_DAYS", 1 << 20)
    first = bypass_rows.claim_news(catalogue)
    assert days_of(first) == FOUND
    assert bypass_rows.claim_news(catalogue) == []
    bypass_rows.note_told(catalogue, [first[0]["id"]])
    # The process that claimed the other one is gone.
    monkeypatch.setattr(bypass_rows, "CLAIM", -1)
    assert days_of(bypass_rows.claim_news(catalogue)) == FOUND[1:]


def test_retention_deletes_by_day_and_class(store: Store) -> None:
    catalogue, _ = store
    judged(store)
    records = bypass_rows.kept_records(catalogue)
    personal = {**records[0], "id": "of-a-guest", "device": {**records[0]["device"]}}
    personal["device"]["class"] = "guest"
    bypass_rows.keep_days(catalogue, {FIRST + 2: JudgedDay(9, 6, 2)}, [records[0], personal])
    end = (START + 4 * DAY) // 10**9
    week = 7 * 86_400

    def forget(retention: Retention, after: int, *, dry_run: bool = False) -> int:
        return bypass_rows.forget_old(catalogue, retention, end + after, dry_run=dry_run)

    assert forget(Retention(), 99 * week) == 0
    assert forget(Retention(incidents=week, personal=week), 0) == 0
    assert forget(Retention(personal=86_400 - 1), 0, dry_run=True) == 1
    assert forget(Retention(personal=86_400 - 1), 0) == 1
    assert bypass_rows.judged_days(catalogue)[FIRST + 2] == JudgedDay(9, 4, 0)
    assert days_of(bypass_rows.kept_records(catalogue)) == FOUND
    assert forget(Retention(incidents=week), 99 * week) == 2
    assert bypass_rows.judged_days(catalogue) == {}


def test_an_erased_device_is_not_found_again(store: Store) -> None:
    catalogue, _ = store
    judged(store)

    def is_mentioned(record: BypassRecord, since: int, until: int) -> bool:
        return MAC in str(record) and since == START + 2 * DAY and until == since + DAY - 1

    with catalogue.database.writing() as connection:
        assert bypass_rows.erase_bypasses(connection, is_mentioned) == 1
        assert bypass_rows.erase_bypasses(connection, is_mentioned) == 0
    assert days_of(asked(store).found) == FOUND[1:]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_rows_in_both_catalogues(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else ""
    monkeypatch.setattr(bypass_rows, "NEWS_DAYS", 1 << 20)
    records = [record_of("10.20.1.7"), record_of("10.20.1.8")]
    day = day_number(records[0])
    with open_catalogue(StoreOptions(str(tmp_path / "kept"), url), create=True) as catalogue:
        for _ in range(2):
            bypass_rows.keep_days(catalogue, {day: JudgedDay(100, 12, 5)}, records)
        assert bypass_rows.judged_days(catalogue) == {day: JudgedDay(100, 12, 5)}
        assert bypass_rows.kept_records(catalogue) == records
        found = [bypass_rows.HidingCount("hq", 2, 2)]
        assert bypass_rows.hiding_counts(catalogue, day, day + 1) == found
        assert bypass_rows.claim_news(catalogue) == records
        bypass_rows.note_told(catalogue, [each["id"] for each in records])
        assert bypass_rows.forget_old(catalogue, Retention(personal=1), (day + 2) * 86_400) == 2
        assert bypass_rows.judged_days(catalogue) == {day: JudgedDay(100, 7, 0)}
        assert bypass_rows.fact_rows(catalogue) == {}
