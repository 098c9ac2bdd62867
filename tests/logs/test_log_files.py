"""Logs among files: recognised, put together where they were rotated, read in order of time. Names
of rotated files, and entries in order of time.
"""

import gzip
import io
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs import SAMPLES, items_of
from support.made_log import made_formats

from netwatch.capture.files import CaptureFile, find_captures
from netwatch.cli import main
from netwatch.core.statistics import RunStatistics
from netwatch.logs.log_files import LogOptions, divide, items, log_name
from netwatch.logs.ordering import in_order
from netwatch.logs.registry import LOG_FORMATS

SECOND = 1_000_000_000
PCAP = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")


@pytest.fixture
def made():
    with made_formats():
        yield


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join(line.encode() + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def divided(*paths, **options):
    return divide(find_captures([str(path) for path in paths]), LogOptions(**options))


def names(found):
    return [(item.entry.time // SECOND, item.entry.name) for item in found]


@pytest.mark.usefixtures("made")
def test_a_folder_of_captures_logs_and_other_files(tmp_path):
    (tmp_path / "a.pcap").write_bytes(PCAP)
    (tmp_path / "unnamed").write_bytes(PCAP)
    write(tmp_path / "made.log", "made 1 10.0.0.7 a.example")
    write(tmp_path / "notes.txt", "nothing")
    captures, logs = divided(tmp_path)
    assert [file.path.rpartition("/")[2] for file in captures] == ["a.pcap", "notes.txt", "unnamed"]
    assert [log.formats for log in logs] == [("made",)]
    assert len(divided(tmp_path, only="captures")[0]) == 4
    captures, logs = divided(tmp_path, only="logs")
    assert [file.path.rpartition("/")[2] for file in captures] == ["notes.txt"]
    assert len(logs) == 1


@pytest.mark.parametrize("name", ["haproxy", "nginx"])
def test_what_may_be_a_log_of_servers_names_the_option(name, tmp_path, capsys):
    """In a folder it is skipped and said; where it is named it is an error; ``--as`` reads it."""
    write(tmp_path / "notes.txt", "nothing")
    log = tmp_path / "access.log"
    log.write_bytes((SAMPLES / name / "forward.log").read_bytes())
    hint = f"--as {name} reads it"
    assert main(["scan", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert f"netwatch: {log}: may be a log of " in said
    assert hint in said
    assert f"neither captures nor logs: {log}, {tmp_path / 'notes.txt'}" in said
    assert main(["scan", str(log)]) == 1
    assert hint in capsys.readouterr().err
    assert main(["scan", str(log), "--as", name]) == 0
    assert f"1 log file ({name} 1)" in capsys.readouterr().err


@pytest.mark.usefixtures("made")
def test_rotated_files_are_one_log_in_order_of_time(tmp_path):
    write(tmp_path / "dns.log", "made 5 10.0.0.7 e.example")
    write(tmp_path / "dns.log.1", "made 3 10.0.0.7 c.example", "made 4 10.0.0.7 d.example")
    write(tmp_path / "dns.log.2.gz", "made 1 10.0.0.7 a.example", "made 2 10.0.0.7 b.example")
    write(tmp_path / "other.log", "made 9 10.0.0.7 z.example")
    _, logs = divided(tmp_path)
    assert sorted(len(log.files) for log in logs) == [1, 3]
    log = max(logs, key=lambda each: len(each.files))
    statistics = RunStatistics()
    found = list(items(log, LogOptions(), statistics, zones=None))
    assert [name for _, name in names(found)] == [f"{letter}.example" for letter in "abcde"]
    assert [(item.source.rpartition("/")[2], item.line) for item in found][:3] == [
        ("dns.log.2.gz", 1),
        ("dns.log.2.gz", 2),
        ("dns.log.1", 1),
    ]
    assert (statistics.records, statistics.logs, statistics.files) == (5, {"made": 3}, 0)


def test_files_of_a_family_are_merged_by_time(tmp_path):
    with made_formats(family="made"):
        write(tmp_path / "conn.log", "made 2 10.0.0.7 b.example", "made 4 10.0.0.7 d.example")
        write(tmp_path / "dns.log", "made 1 10.0.0.7 a.example", "made 3 10.0.0.7 c.example")
        _, (log,) = divided(tmp_path)
        found = list(items(log, LogOptions(), RunStatistics(), zones=None))
    assert [time for time, _ in names(found)] == [1, 2, 3, 4]


@pytest.mark.usefixtures("made")
def test_a_doubt_names_both_formats(tmp_path):
    LOG_FORMATS["other"] = LOG_FORMATS["made"]
    try:
        path = write(tmp_path / "x.log", "made 1 10.0.0.7 a.example")
        (file,), logs = divided(path)
        assert not logs
        assert file.error == (
            f"{path}: may be a log of Made or of Made: --as made or --as other decides"
        )
        _, (log,) = divided(path, format="other")
        assert log.formats == ("other",)
    finally:
        del LOG_FORMATS["other"]


def test_a_format_that_has_to_be_named(tmp_path):
    with made_formats(only_if_named="Its requests come from anywhere."):
        path = write(tmp_path / "x.log", "made 1 10.0.0.7 a.example")
        (file,), _ = divided(path)
        assert file.error == (
            f"{path}: may be a log of Made. Its requests come from anywhere. --as made reads it"
        )
        (file,), logs = divided(tmp_path)
        assert (file.error, logs) == (None, [])
        assert divided(path, format="made")[1]


@pytest.mark.usefixtures("made")
def test_standard_input_is_recognised_and_then_read_from_its_start(monkeypatch):
    class Input:
        buffer = io.BytesIO(b"made 1 10.0.0.7 a.example\nmade 2 10.0.0.7 b.example\n")

    monkeypatch.setattr(sys, "stdin", Input())
    _, (log,) = divided("-")
    found = list(items(log, LogOptions(), RunStatistics(), zones=None))
    assert [name for _, name in names(found)] == ["a.example", "b.example"]


@pytest.mark.usefixtures("made")
def test_unread_records_are_counted_and_many_name_the_file(tmp_path):
    good = [f"made {at} 10.0.0.7 a.example" for at in range(60)]
    path = write(tmp_path / "x.log", *good, "bad")
    statistics = RunStatistics()
    assert len(items_of(path, "made", statistics=statistics)) == 60
    assert statistics.unread_records == {(str(path), "field-missing"): 1}
    assert statistics.unread == []
    write(path, *good[:9], "bad")
    items_of(path, "made", statistics=statistics)
    assert statistics.unread == [
        f"{path}: 1 of 10 examined records could not be read as Made"
        " (field-missing 1); --as names another format"
    ]


@pytest.mark.usefixtures("made")
def test_lines_of_any_length_and_ending(tmp_path):
    path = tmp_path / "x.log"
    long = b"made 1 10.0.0.7 " + b"x" * (1 << 21) + b"\n"
    line = b"made 2 10.0.0.7 a.example"
    path.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n" + long + b"\n" + line + b"\n" + long + line)
    statistics = RunStatistics()
    found = items_of(path, "made", statistics=statistics)
    assert [item.line for item in found] == [1, 4, 6]
    assert statistics.unread_records == {(str(path), "line-too-long"): 2}
    assert statistics.records == 6


@pytest.mark.usefixtures("made")
def test_a_time_that_no_log_has_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("support.made_log.epoch", lambda text: (int(text) * SECOND, 0))
    path = write(tmp_path / "x.log", *noise(30), "made 9999999999999 10.0.0.7 a.example")
    statistics = RunStatistics()
    assert len(items_of(path, "made", statistics=statistics)) == 30
    assert statistics.unread_records == {(str(path), "time-invalid"): 1}


@pytest.mark.usefixtures("made")
def test_utf_16_is_read(tmp_path):
    path = tmp_path / "x.log"
    path.write_text("made 2 10.0.0.7 a.example\r\nmade 3 10.0.0.7 b.example\r\n", "utf-16")
    _, (log,) = divided(path)
    found = list(items(log, LogOptions(), RunStatistics(), zones=None))
    assert names(found) == [(2, "a.example"), (3, "b.example")]


ZONES = (b"tiktok.com",)


def noise(count, start=0):
    return [f"made {start + at} 10.0.0.8 h{at}.example 192.0.2.{at % 250}" for at in range(count)]


@pytest.mark.usefixtures("made")
def test_of_lines_of_no_interest_nothing_is_handed_over(tmp_path):
    lines = [*noise(3000), "made 3000 10.0.0.7 www.TikTok.com", *noise(3000, 3001)]
    path = write(tmp_path / "x.log", *lines)
    statistics = RunStatistics()
    (found,) = items_of(path, "made", statistics=statistics, zones=ZONES)
    assert (found.line, found.entry.name) == (3001, "www.tiktok.com")
    assert statistics.records == 6001


def test_flows_and_answers_that_share_an_address_with_a_name_of_interest(tmp_path):
    lines = [
        *noise(200),
        "made 200 10.0.0.7 www.tiktok.com 203.0.113.9",
        *noise(200, 201),
        "made 402 10.0.0.7 shared.example 203.0.113.9",
        "made 403 10.0.0.7 other.example 203.0.113.99",
        *(f"made {404 + at} 10.0.0.7 flow 203.0.113.9 C{at}" for at in range(3)),
    ]
    path = write(tmp_path / "x.log", *lines)
    with made_formats(flows=(b" flow ",)):
        found = items_of(path, "made", zones=ZONES)
    assert [item.line for item in found] == [201, 402, 404, 405, 406]


@pytest.mark.usefixtures("made")
def test_flows_that_no_text_announces_are_all_read(tmp_path):
    flows = [f"made {at} 10.0.0.7 flow 203.0.113.9 C{at}" for at in range(5000)]
    path = write(tmp_path / "x.log", *flows)
    assert len(items_of(path, "made", zones=ZONES)) == 5000


@pytest.mark.usefixtures("made")
def test_a_carried_log_keeps_its_lines(tmp_path):
    line = "Nov 20 10:00:00 host made-daemon[12]: made - 10.0.0.7 a.example"
    path = write(tmp_path / "x.log", line)
    (log,) = divided(path)[1]
    statistics = RunStatistics()
    (found,) = items(log, LogOptions(year=2026), statistics, zones=None)
    assert found.record == line.encode()
    assert found.entry.time == 1795168800 * SECOND
    assert statistics.notes == [
        f"{path}: times without a zone were read as UTC; --timezone sets another"
    ]


@pytest.mark.usefixtures("made")
def test_a_damaged_and_a_missing_file(tmp_path):
    data = gzip.compress(b"made 1 10.0.0.7 a.example\n" * 5000)
    path = tmp_path / "x.log.gz"
    path.write_bytes(data[:-20])
    statistics = RunStatistics()
    items_of(path, "made", statistics=statistics)
    assert str(path) in statistics.damaged
    items_of(tmp_path / "none", "made", statistics=statistics)
    assert statistics.unread == [f"{tmp_path / 'none'}: no such file or folder"]
    assert CaptureFile(str(path)).size == len(data) - 20


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["queries.log", "queries.log.1", "queries.log.2.gz", "queries.log-20261127.gz"], 1),
        (["dns.log", "dns.00:00:00-01:00:00.log.gz", "dns.2026-11-27-00-00-00.log"], 1),
        (["eve.json", "eve-2026-11-27.json", "eve.json.1.xz", "eve-2026-11-27-10:00.json"], 1),
        (["u_ex.log", "u_ex.1764208988.log"], 1),
        (["resolver1.log", "resolver2.log"], 2),
        (["dns.log", "conn.log"], 2),
        (["a/dns.log", "b/dns.log"], 2),
    ],
)
def test_files_of_one_log_have_one_name(names, expected):
    assert len({log_name(name) for name in names}) == expected


def test_late_entries_are_counted_and_handed_on():
    anomalies = Counter()
    entries = [(3, "c"), (1, "a"), (4, "d"), (5, "e"), (2, "b"), (6, "f")]
    assert list(in_order([iter(entries)], anomalies, 2)) == ["a", "c", "b", "d", "e", "f"]
    assert anomalies == {"log-record-late": 1}


@given(st.lists(st.integers(0, 99), max_size=60), st.integers(1, 9))
def test_nothing_is_lost_and_all_is_in_order_that_can_be(times, size):
    entries = [(time, number) for number, time in enumerate(times)]
    anomalies = Counter()
    found = list(in_order([iter(entries)], anomalies, size))
    assert sorted(found) == list(range(len(times)))
    if not anomalies:
        assert found == [number for _, number in sorted(entries)]
    if len(times) <= size:
        assert not anomalies


ZEEK_DNS = (
    "#separator \\x09\n#path\tdns\n"
    "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tquery\tqtype_name\trcode"
    "\trcode_name\tanswers"
)
ZEEK_DHCP = (
    "#separator \\x09\n#path\tdhcp\n#fields\tts\tmac\tassigned_addr\tmsg_types"
    "\n#types\ttime\tstring\taddr\tvector[string]"
)


def zeek_lookup(at, name):
    sides = "10.0.0.1\t4\t10.0.0.53\t53"
    return f"{1_795_132_800 + at}.0\tC\t{sides}\tudp\t{name}\tA\t0\tNOERROR\t192.0.2.1"


def zeek_items(folder):
    _, (log,) = divided(folder)
    return [item.entry for item in items(log, LogOptions(), RunStatistics(), zones=ZONES)]


def test_lookups_alone_belong_to_no_other_record(tmp_path):
    lines = [zeek_lookup(at, f"h{at}.example") for at in range(300)]
    lines[200] = zeek_lookup(200, "tiktok.com")
    write(tmp_path / "dns.log", ZEEK_DNS, *lines)
    assert [entry.name for entry in zeek_items(tmp_path)] == ["tiktok.com"]
    # Another log may have flows to that address, so that all its names matter.
    lease = "1795132800.0\t00:11:22:33:44:55\t10.0.0.1\tDISCOVER,ACK"
    others = [lease.replace("ACK", "OFFER").replace("10.0.0.1\t", "-\t")] * 200
    write(tmp_path / "dhcp.log", ZEEK_DHCP, *others, lease)
    found = zeek_items(tmp_path)
    assert sum(hasattr(entry, "claim") for entry in found) == 1
    assert len(found) == 301


def test_records_of_squid_are_read_once(monkeypatch):
    monkeypatch.setattr("netwatch.logs.log_files._collect", None)
    assert items_of(SAMPLES / "squid" / "native.log", "squid", zones=ZONES)
