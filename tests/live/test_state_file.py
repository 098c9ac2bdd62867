"""Open incidents survive a restart; a damaged state file stops nothing.

How far logs were read is saved with the incidents that came of it, and never without them.
"""

import json
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import BAN, GAP, NOON, SECOND, SENSOR, contact
from support.examples import examples, only_long
from support.limited_disk import fill_up, limited_disk

from netwatch.core import owned_database
from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.core.message import DnsInfo, Observation
from netwatch.core.owned_database import PAGE_SIZE, ForeignFileError
from netwatch.core.verdict import Decision, Exemption, Ruling
from netwatch.delivery.outbox_file import KIND as OUTBOX_KIND
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.contacts import ContactProgress, FirstContacts
from netwatch.incidents.incident_state import OBSERVATION
from netwatch.live.open_incident import StateError, decode, encode
from netwatch.live.open_incidents import OpenIncident, OpenIncidents
from netwatch.live.state_file import KIND, StateFile, StateSaver


def filled(sent: list[Alert]) -> OpenIncidents:
    incidents = OpenIncidents(GAP, None, sent.append)
    for n in range(40):
        kind = ["dns-query", "tls-sni", "ip-from-dns", "quic-sni"][n % 4]
        dns = DnsInfo("A", "NOERROR", (("192.0.2.1", 60),))
        made = contact(n, kind, f"n{n % 7}.tiktok.com", who=n % 3, packet=n, dns=dns)
        incidents.add(made, SENSOR, 0)
        incidents.add_progress(made, ContactProgress(made.observation.time, 10, 20, NOON))
    return incidents


def alert_of(entry: OpenIncident) -> Alert:
    return entry.incident.alert(entry.key[2], None, entry.sensor)


def test_loaded_incidents_equal_the_saved_ones(tmp_path: Path) -> None:
    incidents = filled([])
    state_file = StateFile(tmp_path / "state", print)
    assert state_file.save(list(incidents), [])
    state_file.close()
    state_file = StateFile(tmp_path / "state", print)
    loaded = state_file.load(GAP)
    state_file.close()
    assert [alert_of(entry) for entry in loaded] == [alert_of(entry) for entry in incidents]
    assert [(e.id, e.last_contact, e.number) for e in loaded] == [
        (e.id, e.last_contact, e.number) for e in incidents
    ]


def test_a_restored_incident_continues_and_is_not_reported_as_new(tmp_path: Path) -> None:
    sent: list[Alert] = []
    before = filled(sent)
    state_file = StateFile(tmp_path / "state", print)
    state_file.save(list(before), [])
    after = OpenIncidents(GAP, None, sent.append)
    assert all(after.restore(entry) for entry in state_file.load(GAP))
    assert after.restored == before.reported
    assert after.restored.total() == 3
    assert after.by_verdict == {}
    count = len(sent)
    for incidents in (before, after):
        incidents.add(contact(50, who=0, packet=99), SENSOR, 0)
    assert len(sent) == count
    closed: list[list[Alert]] = []
    for incidents in (before, after):
        del sent[:]
        incidents.close_quiet(NOON + 3 * GAP)
        closed.append(list(sent))
    assert closed[0] == closed[1]
    assert len(closed[1]) == 3
    state_file.save([], after.take_numbers_to_delete())
    assert state_file.load(GAP) == []
    state_file.close()


def test_new_numbers_differ_from_restored_ones(tmp_path: Path) -> None:
    state_file = StateFile(tmp_path / "state", print)
    state_file.save(list(filled([])), [])
    after = OpenIncidents(GAP, None, lambda alert: None)
    for entry in state_file.load(GAP):
        after.restore(entry)
    after.add(contact(60, who=90), SENSOR, 0)
    numbers = [entry.number for entry in after]
    assert len(set(numbers)) == len(numbers) == 4
    state_file.close()


def test_an_exempt_incident_that_was_not_reported_yet() -> None:
    leave = Exemption("rule", "lab-07", None, None, "research", "CISO", frozenset({"tiktok"}))
    made = contact(0, "dns-query", role="embed")
    incidents = OpenIncidents(GAP, None, lambda alert: None)
    incidents.add(made, SENSOR, 0)
    (entry,) = incidents
    decision = Decision.of((Ruling(BAN, "exempt", leave),))
    entry.incident.firsts = FirstContacts()
    entry.incident.firsts.add(replace(made, decision=decision, confidence="possible"))
    again = decode(entry.number, encode(entry), GAP)
    assert again.id is None
    assert again.incident.first_contact == entry.incident.first_contact


@pytest.mark.parametrize(
    "content",
    [b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 8000, b"\0" * 5000, b"", b"x"],
)
def test_a_file_of_another_program_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(ForeignFileError, match=r"state: is .* and was left as it is"):
        StateFile(path, pytest.fail)
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_a_database_of_another_program_gets_no_table(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(ForeignFileError, match="is an SQLite database of another program"):
        StateFile(path, pytest.fail)
    assert path.read_bytes() == before


def test_the_outbox_is_no_state_file(tmp_path: Path) -> None:
    owned_database.create(tmp_path / "outbox.sqlite", OUTBOX_KIND)
    with pytest.raises(ForeignFileError):
        StateFile(tmp_path / "outbox.sqlite", pytest.fail)


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ForeignFileError, match="is a symbolic link"):
        StateFile(tmp_path / "state", pytest.fail)
    assert not (tmp_path / "elsewhere").exists()


def test_folders_are_not_created(tmp_path: Path) -> None:
    with pytest.raises(NetwatchError, match=r"state: cannot be written: No such file"):
        StateFile(tmp_path / "none" / "state", pytest.fail)
    assert not (tmp_path / "none").exists()


def test_the_file_is_its_owners_only(tmp_path: Path) -> None:
    StateFile(tmp_path / "state", pytest.fail).close()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o600


def saved(path: Path) -> OpenIncidents:
    """A state file with so many incidents that they take several pages."""
    incidents = filled([])
    for who in range(60):
        incidents.add(contact(1, who=who), SENSOR, 0)
    state_file = StateFile(path, pytest.fail)
    assert state_file.save(list(incidents), [])
    state_file.close()
    return incidents


FILLS = (b"\0", b"\xff", b"garbage ")


@pytest.mark.parametrize("one_in", [4, only_long(1)])
def test_a_damaged_file_is_renamed_and_what_can_be_read_of_it_continues(
    tmp_path: Path, one_in: int
) -> None:
    """Each of these pages is damaged once, and those beside it in the other ways."""
    path, warnings = tmp_path / "state", list[str]()
    incidents = saved(path)
    octets = path.read_bytes()
    pages = len(octets) // PAGE_SIZE
    assert pages > 20
    for number in range(0, pages, one_in):
        at, fill = number * PAGE_SIZE, FILLS[number % len(FILLS)]
        damaged = octets[:at] + (fill * PAGE_SIZE)[:PAGE_SIZE] + octets[at + PAGE_SIZE :]
        path.write_bytes(damaged)
        state_file = StateFile(path, warnings.append)
        loaded = {entry.number: alert_of(entry) for entry in state_file.load(GAP)}
        # Rows of the page, and one that continues there, are lost.
        assert len(loaded) >= len(incidents) - 5
        expected = {entry.number: alert_of(entry) for entry in incidents}
        assert all(expected[number] == alert for number, alert in loaded.items())
        assert state_file.save(list(filled([])), [])
        state_file.close()
        renamed = tmp_path / "state.damaged-1"
        if renamed.exists():
            assert renamed.read_bytes() == damaged
            assert str(renamed) in "".join(warnings)
            renamed.unlink()
        else:
            # An overflow page: the incident in it has a warning of its own.
            assert len(loaded) < len(incidents) or number == 1
        warnings.clear()


def test_a_file_that_is_damaged_while_it_is_used_is_replaced_with_all_incidents(
    tmp_path: Path,
) -> None:
    path, warnings = tmp_path / "state", list[str]()
    incidents = filled([])
    for who in range(60):
        incidents.add(contact(1, who=who), SENSOR, 0)
    state_file = StateFile(path, warnings.append)
    saver = StateSaver(state_file, incidents)
    saver.save()
    assert state_file._database is not None
    state_file._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    state_file._database.execute("PRAGMA shrink_memory")
    size = path.stat().st_size
    command = [sys.executable, "-c", OVERWRITE, str(path), str(2 * PAGE_SIZE), str(size)]
    subprocess.run(command, check=True)
    for who in range(60):
        incidents.add(contact(2, who=who), SENSOR, 0)
    for _ in range(4):
        saver.save()
    assert (tmp_path / "state.damaged-1").exists()
    assert any("damaged" in text for text in warnings)
    state_file.close()
    state_file = StateFile(path, pytest.fail)
    loaded = state_file.load(GAP)
    assert [alert_of(entry) for entry in loaded] == [alert_of(entry) for entry in incidents]
    state_file.close()


OVERWRITE = (
    "import sys\n"
    "with open(sys.argv[1], 'r+b') as stream:\n"
    "    stream.seek(int(sys.argv[2]))\n"
    "    stream.write(b'\\xff' * (int(sys.argv[3]) - stream.tell()))\n"
)
"""Overwrites a file in another process: one that closes it would lose the locks of SQLite."""


def test_a_file_of_another_version_is_renamed(tmp_path: Path) -> None:
    path, warnings = tmp_path / "state", list[str]()
    saved(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=99")
    state_file = StateFile(path, warnings.append)
    assert state_file.load(GAP) == []
    state_file.close()
    assert f"another version of netwatch (schema 99, expected {KIND.version})" in warnings[0]
    assert (tmp_path / "state.damaged-1").exists()


def test_an_incident_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    path, warnings = tmp_path / "state", list[str]()
    state_file = StateFile(path, warnings.append)
    state_file.save(list(filled([])), [])
    state_file.close()
    database = sqlite3.connect(path)
    database.execute(
        "UPDATE incident SET state='{}' WHERE number=(SELECT min(number) FROM incident)"
    )
    database.commit()
    database.close()
    state_file = StateFile(path, warnings.append)
    assert len(state_file.load(GAP)) == 2
    assert "a saved incident cannot be read" in warnings[0]
    state_file.close()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_value_in_any_field_is_an_incident_or_an_error(value: object) -> None:
    (entry, *_) = filled([])
    state = json.loads(encode(entry))
    for key in state:
        try:
            decode(1, json.dumps(state | {key: value}), GAP)
        except StateError:
            continue
    with pytest.raises(StateError):
        decode(1, json.dumps(value), GAP)


def test_a_file_is_used_by_one_process(tmp_path: Path) -> None:
    state_file = StateFile(tmp_path / "state", print)
    with pytest.raises(NetwatchError, match="in use by another netwatch"):
        StateFile(tmp_path / "state", print)
    state_file.close()
    StateFile(tmp_path / "state", print).close()


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NetwatchError, match="cannot be opened: Not a directory"):
        StateFile(tmp_path / "file" / "state", print)
    with pytest.raises(NetwatchError, match="is not a regular file"):
        StateFile(tmp_path, print)


def test_a_file_that_may_only_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root, who may run the tests, can write to any file, so the error is that of another one."""
    (tmp_path / "other").touch()

    def connect(path: Path, timeout: float) -> None:
        uri = f"{(tmp_path / 'other').as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.execute("CREATE TABLE one (number)")

    StateFile(tmp_path / "state", pytest.fail).close()
    monkeypatch.setattr(owned_database, "connect", connect)
    with pytest.raises(NetwatchError, match="cannot be written: attempt to write a readonly"):
        StateFile(tmp_path / "state", pytest.fail)


def test_a_full_disk_at_the_start_is_survived(tmp_path: Path) -> None:
    warnings = list[str]()
    with limited_disk(tmp_path / "disk", "1m") as disk:
        ballast = fill_up(disk)
        state_file = StateFile(disk / "state", warnings.append)
        saver = StateSaver(state_file, filled([]))
        assert saver.restore(GAP) == 0
        saver.save()
        saver.save()
        assert state_file.failures == 4
        assert len(warnings) == 1
        assert "full" in warnings[0]
        ballast.unlink()
        saver.save()
        assert "writing works again" in warnings[1]
        assert len(state_file.load(GAP)) == 3
        state_file.close()


def test_a_full_disk_is_reported_once_and_survived(tmp_path: Path) -> None:
    warnings = list[str]()
    state_file = StateFile(tmp_path / "state", warnings.append)
    assert state_file._database is not None
    pages = state_file._database.execute("PRAGMA max_page_count=4").fetchone()
    assert pages
    incidents = filled([])
    for who in range(200):
        incidents.add(contact(SECOND / SECOND, who=who), SENSOR, 0)
    assert not state_file.save(list(incidents), [])
    assert not state_file.save(list(incidents), [])
    assert (state_file.failures, len(warnings)) == (2, 1)
    state_file._database.execute("PRAGMA max_page_count=100000")
    assert state_file.save(list(incidents), [])
    assert "writing works again" in warnings[1]
    assert len(state_file.load(GAP)) == len(incidents)
    state_file.close()


def test_every_field_of_an_observation_has_a_type() -> None:
    """A compiled class has no type hints, so they are written out."""
    assert list(OBSERVATION) == [field.name for field in fields(Observation)]


LOG = "file:/var/log/dns.log"


class Run:
    """The incidents of a log whose records are contacts of `devices`, of which so many as `limit`
    have room in memory, and their state file."""

    def __init__(self, path: Path, devices: list[int], limit: int) -> None:
        self.state_file = StateFile(path, pytest.fail)
        self.incidents = OpenIncidents(GAP, None, lambda alert: None)
        self.incidents._incidents = Incidents(GAP, limit=limit)
        self.saver = StateSaver(self.state_file, self.incidents, of_logs=True)
        self.saver.restore(GAP)
        self.devices = devices
        self.read = int(self.saver.positions().get(LOG, 0))

    def take(self, count: int) -> None:
        """Read the next records."""
        for record in range(self.read, min(self.read + count, len(self.devices))):
            made = contact(record, who=self.devices[record], packet=record + 1)
            self.incidents.add(made, SENSOR, 0)
            self.read = record + 1
        self.saver.note({LOG: str(self.read)})

    def counts(self) -> Counter[str]:
        """The contacts by device that the state file has."""
        counts = Counter[str]()
        for entry in self.state_file.load(GAP):
            alert = entry.incident.alert(entry.key[2], None, entry.sensor)
            counts[alert.device.id] += sum(item.count for item in alert.evidence)
        return counts

    def crash(self) -> None:
        """End without another word."""
        self.incidents._evicted.close()
        self.state_file.close()


@examples(15)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=60),
    st.lists(st.sampled_from(["take", "take", "save", "crash"]), max_size=20),
    st.sampled_from([3, 100]),
)
def test_no_contact_is_lost_or_counted_twice(
    devices: list[int], steps: list[str], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder, "state"), devices, limit)
        try:
            for step in steps:
                if step == "take":
                    run.take(7)
                elif step == "save":
                    run.saver.save()
                    assert run.counts().total() == run.read
                else:
                    run.crash()
                    run = Run(Path(folder, "state"), devices, limit)
            run.take(len(devices))
            run.saver.save()
            assert run.counts() == Counter(f"laptop-{who}" for who in devices)
        finally:
            run.crash()
