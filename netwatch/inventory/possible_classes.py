"""The classes that a client may have at any time, for what is decided once for all of its packets.

A contact is judged by the device that has the address at its time (`netwatch.inventory.devices`).
Stored facts name a client, which is an address in frames of a MAC, and say nothing of time, so all
devices count that it may ever be.
"""

from dataclasses import dataclass

from netwatch.core.verdict import DeviceClass, Network
from netwatch.inventory.devices import Devices
from netwatch.inventory.entry_table import Entry


@dataclass(frozen=True, slots=True)
class PossibleClasses:
    """The classes that a client may have; it `is_always_listed` where the inventory has the only
    device that it can be."""

    classes: frozenset[DeviceClass]
    is_always_listed: bool


def possible_classes(
    devices: Devices, ip: bytes, mac: bytes | None, network: Network | None
) -> PossibleClasses:
    """The classes of a client with a packed address (empty where it has none yet) and the packed
    MAC of its frames, in `network` (None outside of the configured ones): those of the inventory
    and of the lease files, and that of the network unless the inventory alone decides."""
    kind: DeviceClass = network.device_class if network is not None else "unknown"
    entries = devices.entries
    leases = devices.leases.leases_of(ip)
    found = [*entries.at_any_time(ip, mac)]
    # The MAC of a router is in all frames that it forwards: they are not of the router itself.
    found = [each for each in found if not _is_router_of(each, ip, mac)]
    is_listed = len(found) == 1 and not leases and _is_certain(found[0], ip, mac)
    for owner in {lease.mac for lease in leases}:
        found += entries.at_any_time(b"", owner)
    for name in {lease.hostname for lease in leases}:
        found += entries.labelled(name.partition(".")[0]) if name else ()
    classes = {each.device_class or kind for each in found}
    return PossibleClasses(frozenset(classes if is_listed else {*classes, kind}), is_listed)


def _is_router_of(entry: Entry, ip: bytes, mac: bytes | None) -> bool:
    is_router = entry.device_class == "infrastructure" and bool(entry.ips)
    return is_router and entry.has_mac(mac) and bool(ip) and ip not in entry.ips


def _is_certain(entry: Entry, ip: bytes, mac: bytes | None) -> bool:
    """Whether an entry is of the client at any time: a MAC decides, else the address."""
    is_dated = entry.since is not None or entry.until is not None
    return not is_dated and (entry.has_mac(mac) if entry.mac is not None else ip in entry.ips)
