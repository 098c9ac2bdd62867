"""Open incidents outlive the process; state that is lost or damaged is survived."""

import json
import sqlite3
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import GAP, NOON, SECOND, SENSOR, contact

from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.core.message import DnsInfo
from netwatch.core.observation import Observation
from netwatch.core.verdict import Exemption
from netwatch.live.open_incidents import Ledger, Open
from netwatch.live.state_file import Store
from netwatch.live.state_format import _OBSERVATION, StateError, decode, encode


def filled(told: list[Alert]) -> Ledger:
    book = Ledger(GAP, None, told.append)
    for n in range(40):
        kind = ["dns-query", "tls-sni", "ip-from-dns", "quic-sni"][n % 4]
        dns = DnsInfo("A", "NOERROR", (("192.0.2.1", 60),))
        each = contact(n, kind, f"n{n % 7}.tiktok.com", who=n % 3, packet=n, dns=dns)
        book.add(each, SENSOR, 0)
        book.add_bytes(each, 10, 20)
    return book


def state(entry: Open) -> Alert:
    return entry.incident.alert(entry.key, None, entry.sensor)


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    book = filled([])
    store = Store(tmp_path / "state", print)
    assert store.save(list(book), [])
    store.close()
    store = Store(tmp_path / "state", print)
    loaded = store.load(GAP)
    store.close()
    assert [state(entry) for entry in loaded] == [state(entry) for entry in book]
    assert [(e.id, e.last, e.number) for e in loaded] == [(e.id, e.last, e.number) for e in book]


def test_a_restored_incident_goes_on_and_is_not_told_as_new(tmp_path: Path) -> None:
    told: list[Alert] = []
    before = filled(told)
    store = Store(tmp_path / "state", print)
    store.save(list(before), [])
    after = Ledger(GAP, None, told.append)
    assert all(after.restore(entry) for entry in store.load(GAP))
    count = len(told)
    for book in (before, after):
        book.add(contact(50, who=0, packet=99), SENSOR, 0)
    assert len(told) == count
    closed: list[list[Alert]] = []
    for book in (before, after):
        del told[:]
        book.end(NOON + 3 * GAP)
        closed.append(list(told))
    assert closed[0] == closed[1]
    assert len(closed[1]) == 3
    store.save([], after.over())
    assert store.load(GAP) == []
    store.close()


def test_new_numbers_do_not_meet_old_ones(tmp_path: Path) -> None:
    store = Store(tmp_path / "state", print)
    store.save(list(filled([])), [])
    after = Ledger(GAP, None, lambda alert: None)
    for entry in store.load(GAP):
        after.restore(entry)
    after.add(contact(60, who=90), SENSOR, 0)
    numbers = [entry.number for entry in after]
    assert len(set(numbers)) == len(numbers) == 4
    store.close()


def test_an_exemption_and_nothing_told_yet_read_back() -> None:
    leave = Exemption("rule", "lab-07", None, None, "research", "CISO", frozenset({"tiktok"}))
    each = contact(0, "dns-query", role="embed")
    book = Ledger(GAP, None, lambda alert: None)
    book.add(each, SENSOR, 0)
    (entry,) = book
    entry.incident.first_contact = type(each)(
        **{name: getattr(each, name) for name in ("observation", "match", "device", "network")},
        verdict=type(each.verdict)("exempt", "possible", "why", each.verdict.ban, leave),
    )
    again = decode(entry.number, encode(entry), GAP)
    assert again.id is None
    assert again.incident.first_contact == entry.incident.first_contact


@pytest.mark.parametrize(
    "damage", [b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 8000, b"\0" * 5000]
)
def test_damaged_state_is_set_aside_and_told(tmp_path: Path, damage: bytes) -> None:
    path, told = tmp_path / "state", list[str]()
    path.write_bytes(damage)
    for number in (1, 2):
        store = Store(path, told.append)
        assert store.load(GAP) == []
        assert store.save(list(filled([])), [])
        store.close()
        aside = tmp_path / f"state.damaged-{number}"
        assert aside.read_bytes() == damage
        assert str(aside) in told[-1]
        path.write_bytes(damage)
    assert len(told) == 2


def test_a_later_form_is_set_aside(tmp_path: Path) -> None:
    path, told = tmp_path / "state", list[str]()
    data = sqlite3.connect(path)
    data.execute("PRAGMA user_version=99")
    data.close()
    Store(path, told.append).close()
    assert "version 99, 1 is expected" in told[0]


def test_an_incident_that_does_not_read_back_is_left_out(tmp_path: Path) -> None:
    path, told = tmp_path / "state", list[str]()
    store = Store(path, told.append)
    store.save(list(filled([])), [])
    store.close()
    data = sqlite3.connect(path)
    data.execute("UPDATE incident SET held='{}' WHERE number=(SELECT min(number) FROM incident)")
    data.commit()
    data.close()
    store = Store(path, told.append)
    assert len(store.load(GAP)) == 2
    assert "does not read back" in told[0]
    store.close()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_value_in_any_place_is_an_incident_or_an_error(value: object) -> None:
    (entry, *_) = filled([])
    held = json.loads(encode(entry))
    for key in held:
        try:
            decode(1, json.dumps(held | {key: value}), GAP)
        except StateError:
            continue
    with pytest.raises(StateError):
        decode(1, json.dumps(value), GAP)


def test_one_state_is_for_one_process(tmp_path: Path) -> None:
    store = Store(tmp_path / "state", print)
    with pytest.raises(NetwatchError, match="used by another netwatch"):
        Store(tmp_path / "state", print)
    store.close()
    Store(tmp_path / "state", print).close()


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NetwatchError, match="cannot be written"):
        Store(tmp_path / "file" / "state", print)
    with pytest.raises(NetwatchError, match="cannot be written"):
        Store(tmp_path, print)


def test_a_disk_that_refuses_is_told_once_and_survived(tmp_path: Path) -> None:
    told = list[str]()
    store = Store(tmp_path / "state", told.append)
    pages = store._data.execute("PRAGMA max_page_count=4").fetchone()
    assert pages
    book = filled([])
    for who in range(200):
        book.add(contact(SECOND / SECOND, who=who), SENSOR, 0)
    assert not store.save(list(book), [])
    assert not store.save(list(book), [])
    assert (store.failures, len(told)) == (2, 1)
    store._data.execute("PRAGMA max_page_count=100000")
    assert store.save(list(book), [])
    assert "written again" in told[1]
    assert len(store.load(GAP)) == len(book)
    store.close()


def test_every_field_of_an_observation_has_its_type() -> None:
    """The compiled form has no hints, so they are written out."""
    assert list(_OBSERVATION) == [each.name for each in fields(Observation)]
