import pytest

from netwatch.inventory.bindings import MAX_NAMES, Address, Host, are_different_hosts

IP, IP2 = bytes([10, 20, 6, 20]), bytes([10, 20, 6, 21])
ONE = b"\2\0\0\0\0\1"


@pytest.mark.parametrize(
    ("one", "other", "different"),
    [
        ("ws-1", "ws-1", False),
        ("ws-1", "ws-1.corp.example", False),
        ("ws-1.corp.example", "ws-1", False),
        ("ws-1.corp.example", "ws-1.example.org", True),
        ("ws-1", "ws-2", True),
        ("ws-1", "ws-2.corp.example", True),
        ("", "ws-1", False),
        ("ws-1", "", False),
    ],
)
def test_names_of_different_hosts(one, other, different):
    assert are_different_hosts(one, other) is different


def set_name(host, name, time, *, from_dhcp=True, without_address=False):
    return host.set_name(name, time, from_dhcp=from_dhcp, without_address=without_address)


def test_the_first_name_counts_for_the_time_before_it_too():
    host = Host("mac")
    assert host.identity(5) == ("mac", None)
    assert not set_name(host, "ws-1", 10)
    assert host.identity(5) == host.identity(20) == ("mac", "ws-1")


def test_dhcp_takes_precedence_over_mdns_and_later_names_over_earlier():
    host = Host("mac")
    set_name(host, "bobs-mac", 1, from_dhcp=False)
    set_name(host, "ws-1", 2)
    set_name(host, "other", 3, from_dhcp=False)
    assert host.identity(9) == ("mac", "ws-1")
    assert not set_name(host, "ws-1.corp.example", 4, without_address=True)
    assert not set_name(host, "renamed", 5)
    assert host.identity(9) == ("mac", "renamed")


def test_another_name_with_a_new_lease_is_another_device():
    host = Host("mac")
    set_name(host, "alice", 10, without_address=True)
    assert set_name(host, "bob", 20, without_address=True)
    assert host.identity(15) == ("mac", "alice")
    assert host.identity(25) == ("mac/bob", "bob")
    assert set_name(host, "alice", 30, without_address=True)
    assert host.identity(35) == ("mac", "alice")
    assert set_name(host, "bob", 40, without_address=True)
    assert host.identity(45) == ("mac/bob", "bob")


def test_names_are_bounded():
    host = Host("mac")
    for number in range(3 * MAX_NAMES):
        set_name(host, f"ws-{number}", number, without_address=True)
    assert len(host._names) == MAX_NAMES


def add_lease(host, ip, name, since, until):
    lease, _ = Address(ip).lease(ONE, since, until, b"", False)
    lease.hostname = name
    host.add_lease(lease)


@pytest.mark.parametrize(
    ("ip", "name", "since", "shared"),
    [
        (IP2, "bob", 20, True),
        (IP2, "alice.corp.example", 20, False),
        (IP2, "", 20, False),
        (IP2, "bob", 60, False),  # the other lease has expired
        (IP, "bob", 20, False),  # one address belongs to one device
        (bytes(16), "bob", 20, False),
    ],
    ids=["shared", "same", "nameless", "expired", "same-address", "other-family"],
)
def test_two_leases_with_two_names_share_the_mac(ip, name, since, shared):
    host = Host("mac")
    add_lease(host, IP, "alice", 10, 50)
    add_lease(host, ip, name, since, 100)
    assert host.is_shared(since + 1) is shared
    assert not host.is_shared(55)
    assert host.is_leased(99)
    assert not host.is_leased(100)
