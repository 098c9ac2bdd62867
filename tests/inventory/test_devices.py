from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.addresses import parse_mac
from netwatch.core.errors import Problem
from netwatch.core.user_yaml import Problems
from netwatch.core.verdict import Binding, Device, Network
from netwatch.inventory import devices
from netwatch.inventory.devices import Devices
from netwatch.inventory.inventory_file import parse_inventory, read_inventory

HQ = Network("hq", "service")
BYOD = Network("byod", "personal")
TABLE = """\
id,mac,ip,hostname,owner,class
laptop-1,02:00:00:00:00:01,10.20.0.1,,Alice,
phone-1,02-00-00-00-00-02,,,Bob,personal
lab-07,,10.20.0.7 2001:db8:20::7,lab-07.corp.example.,,service
router,02:00:00:00:00:fe,10.20.0.254,,,infrastructure
,,,printer,,
"""


def load(text):
    problems = Problems()
    return parse_inventory(text, "d.csv", problems), [str(problem) for problem in problems.found]


def who(table, ip, mac=None, network=HQ):
    packed = parse_mac(mac) if mac else None
    return Devices(table).identify(ip_address(ip).packed, packed, network, 0).device


@pytest.fixture
def table():
    entries, messages = load(TABLE)
    assert messages == []
    return entries


def test_reads_rows(table):
    assert [entry.id for entry in table] == ["laptop-1", "phone-1", "lab-07", "router", "printer"]
    assert [entry.line for entry in table] == [2, 3, 4, 5, 6]
    assert table[1].mac == bytes.fromhex("020000000002")
    assert table[2].ips == (ip_address("10.20.0.7").packed, ip_address("2001:db8:20::7").packed)
    assert table[2].hostname == "lab-07.corp.example"
    assert table[4].hostname == "printer"


@pytest.mark.parametrize(
    ("ip", "mac", "id", "kind"),
    [
        ("10.20.0.1", "02:00:00:00:00:01", "laptop-1", "service"),  # class of the network
        ("10.20.9.9", "02:00:00:00:00:01", "laptop-1", "service"),  # MAC alone
        ("10.20.0.1", None, "laptop-1", "service"),  # IP alone
        ("10.20.0.1", "02:00:00:00:00:99", "laptop-1", "service"),  # behind a router
        ("10.20.0.1", "02:00:00:00:00:02", "unknown:10.20.0.1", "unknown"),  # two entries
        ("10.20.9.9", "02:00:00:00:00:02", "phone-1", "personal"),
        ("10.20.0.7", None, "lab-07", "service"),
        ("2001:db8:20::7", None, "lab-07", "service"),
        ("10.20.9.9", None, "10.20.9.9", "service"),
        ("10.20.9.9", "02:00:00:00:00:99", "10.20.9.9", "service"),
        ("10.20.0.254", "02:00:00:00:00:fe", "router", "infrastructure"),
        ("10.20.9.9", "02:00:00:00:00:fe", "10.20.9.9", "service"),  # what the router forwards
        ("10.20.0.7", "02:00:00:00:00:fe", "lab-07", "service"),
    ],
)
def test_identify(table, ip, mac, id, kind):
    device = who(table, ip, mac)
    assert (device.id, device.device_class, device.ip) == (id, kind, ip)


def test_devices_have_the_values_of_the_inventory(table):
    assert who(table, "10.20.0.1", "02:00:00:00:00:99") == Device(
        "laptop-1", "10.20.0.1", "02:00:00:00:00:01", None, "Alice", "service"
    )
    assert who(table, "10.20.9.9", "02:00:00:00:00:99").mac == "02:00:00:00:00:99"
    assert who(table, "10.20.0.7").hostname == "lab-07.corp.example"


def test_a_device_without_class_has_that_of_its_network(table):
    assert who(table, "10.20.0.1", network=BYOD).device_class == "personal"
    assert who(table, "10.30.0.9", network=BYOD).device_class == "personal"
    assert who(table, "10.20.0.7", network=BYOD).device_class == "service"
    assert who(table, "192.0.2.1", network=None).device_class == "unknown"


@pytest.mark.parametrize(
    ("ip", "mac", "why"),
    [
        ("10.20.0.1", "02:00:00:00:00:01", "inventory line 2 by MAC 02:00:00:00:00:01: class of"),
        ("10.20.0.7", None, "inventory line 4 by IP 10.20.0.7: class of the entry"),
        ("10.20.0.1", "02:00:00:00:00:02", "MAC 02:00:00:00:00:02 belongs to 'phone-1', but IP"),
        ("10.20.9.9", None, "no entry of the inventory has this address or MAC"),
    ],
)
def test_explains_what_decided(table, ip, mac, why):
    packed = parse_mac(mac) if mac else None
    assert Devices(table).identify(ip_address(ip).packed, packed, HQ, 0).explanation.startswith(why)


def test_find_by_id_address_and_mac(table):
    all_devices = Devices(table)
    assert len(all_devices) == 5
    for word in ("laptop-1", "10.20.0.1", "02:00:00:00:00:01", "0200.0000.0001"):
        assert all_devices.find(word) == table[0]
    assert all_devices.find("2001:db8:20:0::7") == table[2]
    assert all_devices.find("laptop-9") is None


def test_the_cache_is_bounded(table, monkeypatch):
    monkeypatch.setattr(devices, "CACHE_LIMIT", 4)
    known = Devices(table)
    for low in range(9):
        assert known.identify(bytes((10, 30, 0, low)), None, HQ, 0).device.id == f"10.30.0.{low}"
    assert known.evictions == 8
    again = bytes((10, 30, 0, 8))
    assert known.identify(again, None, HQ, 0) is known.identify(again, None, HQ, 1)


def test_order_of_columns_comments_blank_lines_bom_and_semicolons():
    entries, messages = load(
        "# our devices\n\nclass;ip;id\n# one\npersonal;10.0.0.1 10.0.0.2;a\n\n"
    )
    assert messages == []
    assert (entries[0].id, entries[0].line, len(entries[0].ips)) == ("a", 5, 2)


def test_addresses_separated_by_semicolons():
    entries, messages = load("id,ip\na,10.0.0.1;10.0.0.2\n")
    assert messages == []
    assert len(entries[0].ips) == 2


def test_an_entry_without_id_has_its_mac_address_or_name_as_id():
    entries, _ = load("mac,ip,hostname\n0200.0000.0001,10.0.0.1,a\n,10.0.0.2,b\n,,c\n")
    assert [entry.id for entry in entries] == ["02:00:00:00:00:01", "10.0.0.2", "c"]


@pytest.mark.parametrize(
    ("row", "line", "message"),
    [
        ("a,02:00:00:00:00,,,,", 2, "'mac': expected a MAC address like"),
        ("a,,10.20.0.300,,,", 2, "'ip': expected IP addresses like"),
        ("a,,10.20.0.0/24,,,", 2, "'ip': expected IP addresses like"),
        ("a,,10.20.0.1,,,servise", 2, "'class': expected one of service"),
        ("a,,,,Alice,service", 2, "expected a mac, an ip or a hostname in each row"),
        ("a,,10.20.0.1,,,service,x", 2, "expected at most 6 values, one a column, found 7"),
        ("a,,10.0.0.1,,,\na,,10.0.0.2,,,", 3, "duplicate id 'a' (first on line 2)"),
        ("a,,10.0.0.1,,,\nb,,10.0.0.1,,,", 3, "duplicate IP '10.0.0.1' (first on line 2)"),
        (
            "a,02:00:00:00:00:01,,,,\n\nb,0200.0000.0001,,,,",
            4,
            "duplicate MAC '02:00:00:00:00:01' (first on line 2)",
        ),
        ('a,,"10.0.0.1,,,', 2, "expected valid CSV"),
    ],
)
def test_mistakes_have_file_and_line(row, line, message):
    _, messages = load(f"id,mac,ip,hostname,owner,class\n{row}\n")
    assert len(messages) == 1
    assert messages[0].startswith(f"d.csv:{line}: {message}")


def test_all_mistakes_are_reported_at_once():
    _, messages = load("id,mac,ip\na,x,y\nb,,z\n")
    assert [text.split(":")[1] for text in messages] == ["2", "2", "3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "d.csv: the inventory: expected a header"),
        ("# nothing\n", "d.csv: the inventory: expected a header"),
        ("id,adress\n", "d.csv:1: unknown column 'adress': expected columns of id, mac"),
        ("#\nid,ip,ip\n", "d.csv:2: duplicate column 'ip'"),
    ],
)
def test_a_header_is_needed(text, message):
    entries, messages = load(text)
    assert list(entries) == []
    assert len(messages) == 1
    assert messages[0].startswith(message)


def test_reads_files(tmp_path):
    problems = Problems()
    good = tmp_path / "good.csv"
    good.write_bytes(b"\xef\xbb\xbfid,ip\r\na,10.0.0.1\r\n")
    assert [entry.id for entry in read_inventory(good, problems)] == ["a"]
    assert problems.found == []
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"id,ip\na\xff,10.0.0.1\n")
    assert list(read_inventory(bad, problems)) == []
    assert list(read_inventory(tmp_path / "none.csv", problems)) == []
    assert problems.found == [
        Problem(
            str(bad),
            2,
            0,
            "the inventory: expected UTF-8, or UTF-16 with a byte order mark, found other bytes",
        ),
        Problem(
            str(tmp_path / "none.csv"),
            0,
            0,
            "the inventory cannot be read: No such file or directory",
        ),
    ]


@given(st.text(alphabet='ab,;"\n\r #:.0123\x00\u2028', max_size=80))
def test_any_text_is_entries_or_problems(text):
    for entry in load(f"id,mac,ip\n{text}")[0]:
        assert entry.id


LEARNT = Binding("02:00:00:00:00:07", parse_mac("02:00:00:00:00:07"), "ws-7")
KNOWN = Binding("02:00:00:00:00:02", parse_mac("02:00:00:00:00:02"), "android")
ROUTER, STRANGER = "02:00:00:00:00:fe", "02:00:00:00:00:99"


def binding(table, ip, mac, learnt, network=HQ):
    packed = parse_mac(mac) if mac else None
    return Devices(table).identify(ip_address(ip).packed, packed, network, 0, learnt).device


def test_a_learned_device_has_its_mac_and_name(table):
    assert binding(table, "10.20.9.9", ROUTER, LEARNT) == Device(
        "02:00:00:00:00:07", "10.20.9.9", "02:00:00:00:00:07", "ws-7", None, "service"
    )
    plain = Binding(None, LEARNT.mac, "ws-7")
    assert binding(table, "10.20.9.9", ROUTER, plain).id == "10.20.9.9"
    assert binding(table, "10.20.9.9", ROUTER, plain, BYOD).device_class == "personal"


def test_the_inventory_takes_precedence_over_what_was_learned(table):
    found = binding(table, "10.20.9.9", ROUTER, KNOWN)
    assert (found.id, found.owner, found.device_class) == ("phone-1", "Bob", "personal")
    assert (found.mac, found.hostname) == ("02:00:00:00:00:02", "android")
    named = binding(table, "10.20.0.7", STRANGER, LEARNT)
    assert (named.id, named.hostname) == ("lab-07", "lab-07.corp.example")


@pytest.mark.parametrize("name", ["printer", "printer.corp.example"])
def test_a_row_with_only_a_host_name_matches_a_learned_name(table, name):
    found = binding(table, "10.20.9.9", ROUTER, Binding("x", LEARNT.mac, name))
    assert (found.id, found.mac) == ("printer", "02:00:00:00:00:07")
    assert binding(table, "10.20.9.9", ROUTER, Binding("x", KNOWN.mac, name)).id == "phone-1"


def test_a_name_in_two_rows_matches_none():
    entries, _ = load("hostname,id\nprinter.a.example,one\nprinter.b.example,two\n")
    known = [Binding("x", LEARNT.mac, name) for name in ("printer", "printer.a.example")]
    assert [binding(entries, "10.20.9.9", None, each).id for each in known] == ["x", "one"]


def test_a_name_of_another_host_matches_no_row():
    entries, _ = load("hostname,id\nprinter.a.example,one\n")
    found = binding(entries, "10.20.9.9", None, Binding("x", LEARNT.mac, "printer.b.example"))
    assert found.id == "x"


@pytest.mark.parametrize(("name", "said"), [("ws-7", " and host name ws-7"), (None, "")])
def test_explains_what_was_learned(table, name, said):
    ip, learnt = ip_address("10.20.9.9").packed, Binding("x", LEARNT.mac, name)
    found = Devices(table).identify(ip, parse_mac(ROUTER), HQ, 0, learnt).explanation
    learned = "it was learned to have MAC 02:00:00:00:00:07"
    assert found.startswith(f"no entry of the inventory; {learned}{said}; its MAC is a random")


@pytest.mark.parametrize("learnt", [None, LEARNT, KNOWN])
@pytest.mark.parametrize("ip", ["10.20.0.1", "10.20.9.9"])
@pytest.mark.parametrize("mac", [None, "02:00:00:00:00:02", STRANGER])
def test_an_id_is_that_of_the_device_that_is_identified(table, ip, mac, learnt):
    known, packed = Devices(table), (ip_address(ip).packed, parse_mac(mac) if mac else None)
    found = known.id_of(*packed, HQ, 0, learnt)
    is_unknown = (ip, mac, learnt) in {("10.20.9.9", None, None), ("10.20.9.9", STRANGER, None)}
    assert (not known._cache) == is_unknown  # of a flood nothing is kept
    assert found == known.identify(*packed, HQ, 0, learnt).device.id


def test_a_device_is_permanent_unless_a_row_or_a_lease_has_dates():
    rows = "id,mac,ip,until\na,02:00:00:00:00:01,10.0.0.1,\nb,02:00:00:00:00:02,10.0.0.2,2024-01-01"
    known = Devices(load(f"{rows}\n")[0])
    first, second, third = (ip_address(f"10.0.0.{last}").packed for last in (1, 2, 3))
    assert known.is_permanent(first, None)
    assert known.is_permanent(third, None)
    assert not known.is_permanent(second, None)
    assert not known.is_permanent(third, parse_mac("02:00:00:00:00:02"))


@pytest.mark.parametrize(
    ("ip", "mac", "learnt", "why"),
    [
        ("10.20.9.9", STRANGER, Binding(None, None, None, "address"), "two devices have IP 10.2"),
        ("10.20.0.1", STRANGER, Binding(None, None, None, "address"), "two devices have IP 10.2"),
        ("10.20.9.9", ROUTER, Binding(None, None, None, "address"), "two devices have IP 10.20"),
        ("10.20.9.9", STRANGER, Binding(None, KNOWN.mac, None, "mac"), "two devices have MAC 02"),
        ("10.20.9.9", STRANGER, Binding("x", KNOWN.mac, None, "frame"), "IP 10.20.9.9 belongs to"),
        ("10.20.9.9", "02:00:00:00:00:02", LEARNT, "the frame is from 'phone-1', but IP 10.20.9"),
        ("10.20.0.1", STRANGER, LEARNT, "IP 10.20.0.1 belongs to 'laptop-1', but was learned"),
        ("10.20.0.1", STRANGER, KNOWN, "MAC 02:00:00:00:00:02 belongs to 'phone-1', but IP"),
    ],
    ids=["shared", "row-by-ip", "router", "mac", "frame", "of-another", "moved", "two-rows"],
)
def test_conflicts_leave_a_device_unknown(table, ip, mac, learnt, why):
    packed = ip_address(ip).packed, parse_mac(mac)
    found = Devices(table).identify(*packed, HQ, 0, learnt)
    assert (found.device.id, found.device.device_class) == (f"unknown:{ip}", "unknown")
    assert found.explanation.startswith(why)
    assert found.device.reason
    assert not any(each in found.device.reason for each in (ip, "02:00", "phone-1", "laptop-1"))


def test_the_row_of_the_frame_decides_where_an_address_is_shared(table):
    shared = Binding(None, None, None, "address")
    assert binding(table, "10.20.9.9", "02:00:00:00:00:02", shared).id == "phone-1"
    assert (
        binding(table, "10.20.9.9", ROUTER, Binding("x", KNOWN.mac, None, "frame")).id == "phone-1"
    )


def test_the_cache_tells_bindings_apart(table):
    known = Devices(table)
    ip, mac = ip_address("10.20.9.9").packed, parse_mac(STRANGER)
    found = [known.identify(ip, mac, HQ, 0, each) for each in (None, LEARNT, None, KNOWN)]
    assert [each.device.id for each in found] == [
        "10.20.9.9",
        "02:00:00:00:00:07",
        "10.20.9.9",
        "phone-1",
    ]
