import pytest

from netwatch.inventory.bindings import CONFLICT_WINDOW, MAX_BINDINGS, USE_LIFETIME, Address

IP = bytes([10, 20, 6, 20])
ONE, TWO = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
S = 1_000_000_000


def macs(address, time):
    return [binding.mac for binding in address.active(time)]


def lease(address, mac, time, until, server=b"", had_before=False):
    return address.lease(mac, time, until, server, had_before)


def test_a_lease_is_active_until_it_expires():
    address = Address(IP)
    binding, is_new = lease(address, ONE, 10, 20)
    assert is_new
    assert [macs(address, time) for time in (9, 10, 19, 20)] == [[], [ONE], [ONE], []]
    assert lease(address, ONE, 15, 40) == (binding, False)
    assert macs(address, 39) == [ONE]
    assert lease(address, ONE, 50, 60)[1]
    assert macs(address, 45) == []


def test_a_lease_ends_other_bindings():
    address = Address(IP)
    address.use(TWO, 5)
    lease(address, ONE, 10, 100, b"s")
    lease(address, TWO, 20, 100, b"s")
    assert [macs(address, time) for time in (6, 15, 20)] == [[TWO], [ONE], [TWO]]


def test_leases_of_two_servers_overlap():
    address = Address(IP)
    lease(address, ONE, 10, 50, b"s1")
    lease(address, TWO, 20, 100, b"s2")
    assert [macs(address, time) for time in (30, 50)] == [[ONE, TWO], [TWO]]


def test_use_binds_for_a_while_and_is_extended():
    address = Address(IP)
    address.use(ONE, 10)
    address.use(ONE, 20)
    assert macs(address, 19 + USE_LIFETIME) == [ONE]
    assert macs(address, 20 + USE_LIFETIME) == []


def test_two_devices_that_use_an_address_share_it_until_one_is_silent():
    address = Address(IP)
    address.use(ONE, 0)
    address.use(TWO, 10 * S)
    assert macs(address, 11 * S) == [ONE, TWO]
    assert macs(address, CONFLICT_WINDOW) == [TWO]
    address.use(ONE, CONFLICT_WINDOW + 1)
    assert macs(address, CONFLICT_WINDOW + 2) == [TWO, ONE]
    assert macs(address, CONFLICT_WINDOW + 10 * S) == [ONE]


def test_after_the_conflict_window_the_address_has_moved():
    address = Address(IP)
    address.use(ONE, 0)
    address.use(TWO, CONFLICT_WINDOW + 1)
    assert macs(address, CONFLICT_WINDOW + 1) == [TWO]
    assert macs(address, CONFLICT_WINDOW) == [ONE]


def test_use_of_an_address_leased_to_another_shares_it():
    address = Address(IP)
    lease(address, ONE, 0, USE_LIFETIME)
    address.use(TWO, 10)
    assert macs(address, 11) == [ONE, TWO]
    assert macs(address, 10 + CONFLICT_WINDOW) == [ONE]
    address.use(ONE, 20)  # Use does not extend a lease.
    assert macs(address, USE_LIFETIME) == []


@pytest.mark.parametrize(
    ("mac", "client", "left"),
    [(ONE, b"", []), (None, b"id", []), (TWO, b"other", [ONE]), (None, b"", [ONE])],
)
def test_release_ends_the_binding_of_its_client(mac, client, left):
    address = Address(IP)
    lease(address, ONE, 10, 100)[0].client = b"id"
    address.release(mac, client, 50)
    assert macs(address, 50) == left
    assert macs(address, 49) == [ONE]


def test_bindings_are_bounded():
    address = Address(IP)
    for number in range(3 * MAX_BINDINGS):
        address.use(bytes(5) + bytes([number]), number)
    assert (len(address.bindings), address.evicted) == (MAX_BINDINGS, 2 * MAX_BINDINGS)
    assert address.is_leased(3 * MAX_BINDINGS) is False
    lease(address, ONE, 100, 200)
    assert address.is_leased(150)
    assert not address.is_leased(200)


def test_the_binding_that_expires_first_is_evicted():
    address = Address(IP)
    lease(address, ONE, 0, USE_LIFETIME)
    for number in range(2 * MAX_BINDINGS):
        address.use(bytes(5) + bytes([number]), 10 + number)
    assert ONE in macs(address, 100)
