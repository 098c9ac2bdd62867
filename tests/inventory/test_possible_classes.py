"""The classes that a client may have at any time."""

from dataclasses import replace

import pytest

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.verdict import DeviceClass, Network
from netwatch.inventory.devices import Devices, possible_classes, validity
from netwatch.inventory.entry_table import Entry
from netwatch.inventory.lease_table import Lease, LeaseTable

IP, OTHER_IP = (parse_ip(text) or b"" for text in ("10.1.0.7", "10.1.0.8"))
MAC, OTHER_MAC, ROUTER = (parse_mac(f"02:00:00:00:00:0{n}") or b"" for n in (1, 2, 3))
NETWORK = Network("office", "service", "City")


def entry(
    device_class: DeviceClass | None,
    mac: bytes | None = None,
    ips: tuple[bytes, ...] = (),
    hostname: str | None = None,
    until: int | None = None,
) -> Entry:
    return Entry(str((mac, ips, hostname)), mac, ips, hostname, None, device_class, 1, None, until)


def lease(mac: bytes, hostname: str = "") -> Lease:
    return Lease(IP, mac, 0, 10, hostname, "kea")


@pytest.mark.parametrize(
    ("entries", "leases", "mac", "expected"),
    [
        ([], [], MAC, {"service"}),
        ([entry("personal", MAC)], [], MAC, {"personal"}),
        ([entry("personal", MAC)], [], OTHER_MAC, {"service"}),
        ([entry("personal", None, (IP,))], [], ROUTER, {"personal"}),
        ([entry(None, None, (IP,))], [], ROUTER, {"service"}),
        # The address may be of another device than the one that the inventory gives it to.
        ([entry("personal", MAC, (IP,))], [], OTHER_MAC, {"personal", "service"}),
        ([entry("personal", MAC, (IP,), until=5)], [], MAC, {"personal", "service"}),
        ([entry("personal", MAC), entry("guest", None, (IP,))], [], MAC,
         {"personal", "guest", "service"}),
        # A router is no client of its own frames, but it is one of its own address.
        ([entry("infrastructure", ROUTER, (OTHER_IP,))], [], ROUTER, {"service"}),
        ([entry("infrastructure", ROUTER, (IP,))], [], ROUTER, {"infrastructure"}),
        ([entry("personal", MAC, (OTHER_IP,))], [], MAC, {"personal"}),
        # Who has a lease may be behind a router.
        ([entry("personal", MAC)], [lease(MAC)], ROUTER, {"personal", "service"}),
        ([entry("personal", hostname="laptop")], [lease(MAC, "laptop")], ROUTER,
         {"personal", "service"}),
    ],
)  # fmt: skip
def test_every_device_that_it_may_be_counts(
    entries: list[Entry], leases: list[Lease], mac: bytes, expected: set[str]
) -> None:
    devices = Devices(entries, LeaseTable(leases))
    assert possible_classes(devices, IP, mac, NETWORK).classes == expected


def test_a_client_without_an_address_is_known_by_its_mac() -> None:
    devices = Devices([entry("personal", MAC)])
    known = possible_classes(devices, b"", MAC, None)
    assert (known.classes, known.is_always_listed) == ({"personal"}, True)
    other = possible_classes(devices, b"", OTHER_MAC, None)
    assert (other.classes, other.is_always_listed) == ({"unknown"}, False)


def test_the_validity_of_an_entry_is_said_where_it_has_a_limit() -> None:
    moment = 10**18
    assert validity(entry("personal", MAC)) == ""
    assert validity(entry("personal", MAC, until=moment)) == ", valid up to 2001-09-09T01:46:40Z"
    begun = replace(entry("personal", MAC), since=moment)
    assert validity(begun) == ", valid from 2001-09-09T01:46:40Z"
