import pytest

from netwatch.inventory.bindings import (
    AT_ONCE,
    MAX_HOLDS,
    MAX_NAMES,
    USED_FOR,
    Address,
    Station,
    are_different_hosts,
)

IP, IP2 = bytes([10, 20, 6, 20]), bytes([10, 20, 6, 21])
ONE, TWO = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
S = 1_000_000_000


def macs(address, time):
    return [hold.mac for hold in address.live(time)]


def lease(address, mac, time, until, server=b"", kept=False):
    return address.lease(mac, time, until, server, kept)


def test_a_lease_holds_until_it_ends():
    address = Address(IP)
    hold, new = lease(address, ONE, 10, 20)
    assert new
    assert [macs(address, time) for time in (9, 10, 19, 20)] == [[], [ONE], [ONE], []]
    assert lease(address, ONE, 15, 40) == (hold, False)
    assert macs(address, 39) == [ONE]
    assert lease(address, ONE, 50, 60)[1]
    assert macs(address, 45) == []


def test_a_lease_takes_the_address_from_whoever_had_it():
    address = Address(IP)
    address.use(TWO, 5)
    lease(address, ONE, 10, 100, b"s")
    lease(address, TWO, 20, 100, b"s")
    assert [macs(address, time) for time in (6, 15, 20)] == [[TWO], [ONE], [TWO]]


def test_two_servers_know_nothing_of_each_other():
    address = Address(IP)
    lease(address, ONE, 10, 50, b"s1")
    lease(address, TWO, 20, 100, b"s2")
    assert [macs(address, time) for time in (30, 50)] == [[ONE, TWO], [TWO]]


def test_use_holds_for_a_while_and_is_extended():
    address = Address(IP)
    address.use(ONE, 10)
    address.use(ONE, 20)
    assert macs(address, 19 + USED_FOR) == [ONE]
    assert macs(address, 20 + USED_FOR) == []


def test_two_that_show_an_address_have_it_at_once_until_one_is_silent():
    address = Address(IP)
    address.use(ONE, 0)
    address.use(TWO, 10 * S)
    assert macs(address, 11 * S) == [ONE, TWO]
    assert macs(address, AT_ONCE) == [TWO]
    address.use(ONE, AT_ONCE + 1)
    assert macs(address, AT_ONCE + 2) == [TWO, ONE]
    assert macs(address, AT_ONCE + 10 * S) == [ONE]


def test_after_a_silence_the_address_has_moved():
    address = Address(IP)
    address.use(ONE, 0)
    address.use(TWO, AT_ONCE + 1)
    assert macs(address, AT_ONCE + 1) == [TWO]
    assert macs(address, AT_ONCE) == [ONE]


def test_who_uses_what_is_leased_to_another_has_it_at_once():
    address = Address(IP)
    lease(address, ONE, 0, USED_FOR)
    address.use(TWO, 10)
    assert macs(address, 11) == [ONE, TWO]
    assert macs(address, 10 + AT_ONCE) == [ONE]
    address.use(ONE, 20)  # showing it makes a lease no longer
    assert macs(address, USED_FOR) == []


@pytest.mark.parametrize(
    ("mac", "client", "left"),
    [(ONE, b"", []), (None, b"id", []), (TWO, b"other", [ONE]), (None, b"", [ONE])],
)
def test_an_end_is_for_whoever_had_it(mac, client, left):
    address = Address(IP)
    lease(address, ONE, 10, 100)[0].client = b"id"
    address.end(mac, client, 50)
    assert macs(address, 50) == left
    assert macs(address, 49) == [ONE]


def test_holds_are_bounded():
    address = Address(IP)
    for number in range(3 * MAX_HOLDS):
        address.use(bytes(5) + bytes([number]), number)
    assert (len(address.holds), address.forgotten) == (MAX_HOLDS, 2 * MAX_HOLDS)
    assert address.lasts(3 * MAX_HOLDS) is False
    lease(address, ONE, 100, 200)
    assert address.lasts(150)
    assert not address.lasts(200)


def test_of_too_many_holds_the_one_goes_that_is_over_first():
    address = Address(IP)
    lease(address, ONE, 0, USED_FOR)
    for number in range(2 * MAX_HOLDS):
        address.use(bytes(5) + bytes([number]), 10 + number)
    assert ONE in macs(address, 100)


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
def test_which_names_are_those_of_two_hosts(one, other, different):
    assert are_different_hosts(one, other) is different


def call(station, name, time, *, surely=True, fresh=False):
    return station.call(name, time, surely=surely, fresh=fresh)


def test_the_first_name_counts_before_it_too():
    station = Station("mac")
    assert station.called(5) == ("mac", None)
    assert not call(station, "ws-1", 10)
    assert station.called(5) == station.called(20) == ("mac", "ws-1")


def test_dhcp_is_surer_than_mdns_and_a_later_name_stands():
    station = Station("mac")
    call(station, "bobs-mac", 1, surely=False)
    call(station, "ws-1", 2)
    call(station, "other", 3, surely=False)
    assert station.called(9) == ("mac", "ws-1")
    assert not call(station, "ws-1.corp.example", 4, fresh=True)
    assert not call(station, "renamed", 5)
    assert station.called(9) == ("mac", "renamed")


def test_another_name_with_a_new_lease_is_another_device():
    station = Station("mac")
    call(station, "alice", 10, fresh=True)
    assert call(station, "bob", 20, fresh=True)
    assert station.called(15) == ("mac", "alice")
    assert station.called(25) == ("mac/bob", "bob")
    assert call(station, "alice", 30, fresh=True)
    assert station.called(35) == ("mac", "alice")
    assert call(station, "bob", 40, fresh=True)
    assert station.called(45) == ("mac/bob", "bob")


def test_names_are_bounded():
    station = Station("mac")
    for number in range(3 * MAX_NAMES):
        call(station, f"ws-{number}", number, fresh=True)
    assert len(station._names) == MAX_NAMES


def leased(station, ip, name, since, until):
    hold, _ = Address(ip).lease(ONE, since, until, b"", False)
    hold.name = name
    station.leased(hold)


@pytest.mark.parametrize(
    ("ip", "name", "since", "shared"),
    [
        (IP2, "bob", 20, True),
        (IP2, "alice.corp.example", 20, False),
        (IP2, "", 20, False),
        (IP2, "bob", 60, False),  # the other lease is over
        (IP, "bob", 20, False),  # one address has one device
        (bytes(16), "bob", 20, False),
    ],
    ids=["shared", "same", "nameless", "over", "same-address", "other-family"],
)
def test_two_leases_of_two_names_are_two_devices(ip, name, since, shared):
    station = Station("mac")
    leased(station, IP, "alice", 10, 50)
    leased(station, ip, name, since, 100)
    assert station.is_shared(since + 1) is shared
    assert not station.is_shared(55)
    assert station.lasts(99)
    assert not station.lasts(100)
