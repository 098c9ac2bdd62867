"""The compact table of an inventory gives back what was added to it, and finds it."""

import pickle
from dataclasses import astuple

from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.user_yaml import Problems
from netwatch.inventory.devices import Devices
from netwatch.inventory.entry_table import Entry, EntryTable
from netwatch.inventory.inventory_file import parse_inventory

ADDRESS = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
NAME = st.none() | st.sampled_from(["a", "b.example", "b.corp.example", "é", "\ud800"])
ENTRIES = st.lists(
    st.builds(
        Entry,
        st.text(min_size=1, max_size=3),
        st.none() | st.binary(min_size=6, max_size=6),
        st.lists(ADDRESS, max_size=3, unique=True).map(tuple),
        NAME,
        NAME,
        st.sampled_from([None, "service", "personal"]),
        st.integers(1, 1 << 20),
    ),
    max_size=40,
)


@given(ENTRIES)
def test_gives_back_and_finds_what_was_added(entries: list[Entry]) -> None:
    table = EntryTable(entries)
    assert list(table) == entries
    assert [table[row] for row in range(len(table))] == entries
    for entry in entries:
        assert table.with_id(entry.id) == [each for each in entries if each.id == entry.id][-1]
        if entry.mac:
            assert table.with_mac(entry.mac) == [e for e in entries if e.mac == entry.mac][-1]
        for ip in entry.ips:
            assert table.with_ip(ip) == [each for each in entries if ip in each.ips][-1]
    names = [each for each in entries if each.hostname and not each.mac and not each.ips]
    for label in ("a", "b", "é"):
        expected = [each for each in names if (each.hostname or "").partition(".")[0] == label]
        assert table.with_label(label, 0) == expected
    assert table.with_id("absent") is table.with_mac(bytes(5)) is table.with_ip(b"") is None


@given(ENTRIES)
def test_the_same_entries_have_the_same_digest_in_another_process(entries: list[Entry]) -> None:
    table = EntryTable(entries)
    copies = [Entry(*map(pickle.loads, map(pickle.dumps, astuple(entry)))) for entry in entries]
    assert EntryTable(copies).digest() == table.digest()
    sent = pickle.loads(pickle.dumps(table))
    assert (list(sent), sent.digest()) == (entries, table.digest())
    assert [sent.with_id(entry.id) for entry in entries] == [
        table.with_id(entry.id) for entry in entries
    ]
    if entries:
        assert EntryTable(entries[1:]).digest() != table.digest()


def test_a_large_inventory_is_found_by_every_key() -> None:
    count = 20_000
    rows = [
        f"d-{n},02:00:00:00:{n >> 8:02x}:{n & 255:02x},10.1.{n >> 8}.{n & 255},h-{n}.example,Al,\n"
        for n in range(count)
    ]
    rows[777] = "d-777,,,printer.example,,\n"
    rows[15_000] = "d-3,nonsense,,,,\n"
    rows[16_000] = "d-3,,10.1.0.9,,,\n"
    problems = Problems()
    text = "id,mac,ip,hostname,owner,class\n" + "".join(rows)
    table = parse_inventory(text, "d.csv", problems)
    assert len(table) == count - 1
    assert [str(problem) for problem in problems.found] == [
        "d.csv:15002: 'mac': expected a MAC address like 02:00:00:00:00:01, found 'nonsense'",
        "d.csv:16002: duplicate id 'd-3' (first on line 5)",
        "d.csv:16002: duplicate IP '10.1.0.9' (first on line 11)",
    ]
    found = table.with_ip(bytes((10, 1, 40, 7)))
    assert found
    assert found == table.with_id("d-10247") == table.with_mac(bytes((2, 0, 0, 0, 40, 7)))
    assert (found.hostname, found.owner, found.line) == ("h-10247.example", "Al", 10_249)
    assert [entry.id for entry in table.with_label("printer", 0)] == ["d-777"]


def test_one_key_in_all_rows_costs_no_more_than_different_ones() -> None:
    """A placeholder such as a MAC of zeros in every row must not take quadratic time, which for
    so many rows would be minutes."""
    text = "mac\n" + "02:00:00:00:00:01\n" * 30_000
    problems = Problems()
    assert len(parse_inventory(text, "d.csv", problems)) == 30_000
    assert len(problems.found) == 2 * 29_999
    names = EntryTable(Entry(f"{n}", None, (), "same", None, None, n) for n in range(30_000))
    assert len(names.with_label("same", 0)) == 30_000


def test_a_device_with_several_interfaces_is_found_by_each_mac() -> None:
    problems = Problems()
    text = "id,mac,ip\nlaptop,02:00:00:00:00:01 0200.0000.0002,10.0.0.1\npc,02-00-00-00-00-03,\n"
    table = parse_inventory(text, "d.csv", problems)
    first, second, other = (bytes([2, 0, 0, 0, 0, n]) for n in (1, 2, 3))
    assert not problems.found
    assert table[0].macs == (first, second)
    assert table.with_mac(first) == table.with_mac(second) == table[0]
    assert table.with_mac(other) == table[1]
    assert table.at_any_time(b"", second) == [table[0]]
    copy = EntryTable(table)
    assert list(copy) == list(table)
    assert copy.digest() == table.digest()


def test_a_further_mac_that_two_devices_have_is_a_mistake() -> None:
    problems = Problems()
    text = "id,mac\na,02:00:00:00:00:01 02:00:00:00:00:02\nb,02:00:00:00:00:03 02:00:00:00:00:02\n"
    parse_inventory(text, "d.csv", problems)
    assert [str(each) for each in problems.found] == [
        "d.csv:3: duplicate MAC '02:00:00:00:00:02' (first on line 2)"
    ]


def test_frames_of_both_interfaces_are_of_one_device() -> None:
    text = "id,mac,ip,class\nlaptop,02:00:00:00:00:01 02:00:00:00:00:02,10.0.0.1,service\n"
    devices = Devices(parse_inventory(text, "d.csv", Problems()))
    ip = bytes([10, 0, 0, 1])
    for last in (1, 2):
        mac = bytes([2, 0, 0, 0, 0, last])
        found = devices.identify(ip, mac, None, 0).device
        assert (found.id, found.mac) == ("laptop", f"02:00:00:00:00:0{last}")
        assert devices.identify(bytes([10, 0, 0, 9]), mac, None, 0).device.id == "laptop"
