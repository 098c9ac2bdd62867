"""Which device a client is, according to the inventory and to what was learned from the wire.

A MAC address takes precedence over an IP address, since addresses are lent. But behind a router
every frame has the router's MAC, so an entry found by IP address counts even if the MAC differs, as
long as no other entry has that MAC. If MAC and IP address belong to two entries, the device is
`unknown`, and a ban on service devices does not apply to it.

If it was learned from the wire which device has the address (`netwatch.inventory.learned`), the
learned MAC replaces the frame's, and the inventory takes precedence over what was learned. A device
that is not in the inventory is identified by its learned MAC and host name.

All this is evaluated at the time of a contact: an entry only counts in its period.

Stored facts name a client, which is an address in frames of a MAC, without a time, so decisions for
all packets of a client consider all devices that it may ever be.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.addresses import ip_text, is_randomised, mac_text, parse_ip, parse_mac
from netwatch.core.verdict import (
    BEGINNING,
    FOREVER,
    Binding,
    BindingPeriod,
    Device,
    DeviceClass,
    Network,
)
from netwatch.inventory.bindings import are_different_hosts
from netwatch.inventory.entry_table import Entry, EntryTable, Span
from netwatch.inventory.inventory_columns import days_of
from netwatch.inventory.lease_table import LeaseTable
from netwatch.language.sentences import sentence

CACHE_LIMIT = 65_536
"""Devices of clients in the cache; when it is full, it is cleared (and the entries are counted as
evicted)."""

INVENTORY = "inventory"
"""The binding source of a device in the inventory."""

BY_ADDRESS = BindingPeriod("address", None, None)
"""The source of a device about which only the address is known."""

_RANDOMISED = sentence("device-randomised", reason="")
_UNLISTED = sentence("device-unlisted")
_LEARNED = sentence("device-learned")


@dataclass(frozen=True, slots=True)
class Identified:
    """The device of a client. This is the answer from `since` up to, but without, `until` (ns), as
    far as the inventory decides. `explanation` is the reason in words, with addresses and lines,
    for the maintainer of the inventory, and `is_listed` whether the inventory has the device."""

    device: Device
    explanation: str
    since: int = BEGINNING
    until: int = FOREVER
    is_listed: bool = False


class Devices:
    """Identifies the device of a client. `entries` is the inventory, and `leases` are the lease
    files' leases; `evictions` counts the cache entries that were evicted."""

    def __init__(
        self, entries: EntryTable | Iterable[Entry] = (), leases: LeaseTable | None = None
    ) -> None:
        self.entries = entries if isinstance(entries, EntryTable) else EntryTable(entries)
        self.leases = leases or LeaseTable()
        self.evictions = 0
        self._cache: dict[
            tuple[bytes, bytes | None, Network | None, Binding | None], Identified
        ] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, word: str, time: int | None = None) -> Entry | None:
        """The entry with this id, IP address or MAC in text form at a time (ns), or None; without a
        time, the last one."""
        ip, mac = parse_ip(word), parse_mac(word)
        return (
            self.entries.with_id(word, time)
            or (self.entries.with_ip(ip, time) if ip else None)
            or (self.entries.with_mac(mac, time) if mac else None)
        )

    def identify(
        self,
        ip: bytes,
        mac: bytes | None,
        network: Network | None,
        time: int,
        binding: Binding | None = None,
    ) -> Identified:
        """The device with a packed IP address, and a packed MAC in its frame, in `network` (None
        outside the configured ones) at a time (ns). `binding` is what was learned about the address
        at that time."""
        key = (ip, mac, network, binding)
        found = self._cache.get(key)
        if found is not None and found.since <= time < found.until:
            return found
        span = Span()
        device, explanation = self._identify(ip, mac, network, time, binding, span)
        is_listed = device.binding is not None and device.binding.source == INVENTORY
        found = Identified(device, explanation, span.since, span.until, is_listed)
        if len(self._cache) >= CACHE_LIMIT:
            self.evictions += len(self._cache)
            self._cache.clear()
        self._cache[key] = found
        return found

    def id_of(
        self,
        ip: bytes,
        mac: bytes | None,
        network: Network | None,
        time: int,
        binding: Binding | None,
    ) -> str:
        """The id of the device from `identify`. Most clients of a flood are in no inventory; no
        object is made or cached for them."""
        entries = self.entries
        is_listed = (
            entries.with_ip(ip, time) is not None or self._entry_of_mac(mac, time) is not None
        )
        if binding is None and not is_listed:
            return ip_text(ip)
        return self.identify(ip, mac, network, time, binding).device.id

    def is_permanent(self, ip: bytes, mac: bytes | None) -> bool:
        """Whether the device with an address, and a MAC in its frames, never changes, as far as
        inventory and lease files say."""
        return not self.leases.has_address(ip) and not self.entries.is_dated(ip, mac)

    def is_same_device(self, ip: bytes, mac: bytes | None, first: int, second: int) -> bool:
        """Whether neither a lease nor the inventory says that an address changed its device between
        two times (ns); `mac` is from the frame at the first."""
        if not self.leases.is_same_device(ip, first, second):
            return False
        if not self.entries.is_dated(ip, mac):
            return True
        before = self.identify(ip, mac, None, first).device.id
        return before == self.identify(ip, mac, None, second).device.id

    def _identify(
        self,
        ip: bytes,
        mac: bytes | None,
        network: Network | None,
        time: int,
        binding: Binding | None,
        span: Span,
    ) -> tuple[Device, str]:
        """The device, with the explanation."""
        text = ip_text(ip)
        by_ip = self.entries.with_ip(ip, time, span)
        if binding is not None:
            sender = self._entry_of_mac(mac, time, span)
            owner = self._entry_of_mac(binding.mac, time, span)
            conflict = _conflict(text, by_ip, sender, owner, binding)
            if conflict:
                return unknown_device(ip, mac, conflict[1]), conflict[0]
            mac = binding.mac or mac
        by_mac = self._entry_of_mac(mac, time, span)
        # A router's MAC is in all frames that it forwards. If the inventory has the router's
        # addresses, a frame with another address is not from the router itself.
        if by_mac and by_mac.device_class == "infrastructure" and by_mac.ips and by_mac != by_ip:
            by_mac = None
        mac_words = f"MAC {mac_text(mac)}" if mac else ""
        if by_mac and by_ip and by_mac != by_ip:
            explanation = f"{mac_words} belongs to '{by_mac.id}', but IP {text} to '{by_ip.id}'"
            return unknown_device(ip, mac, sentence("device-two-entries")), explanation
        hostname = binding.hostname if binding else None
        entry = by_mac or by_ip
        if entry is None and hostname:
            entry = self._entry_of_hostname(hostname, time, span)
        if entry is None:
            return self._unlisted(ip, mac, network, binding)
        matched = mac_words if by_mac else f"IP {text}" if by_ip else "learned host name"
        classed = "entry" if entry.device_class else "network"
        source = f"class of the {classed}"
        code = f"device-{'mac' if by_mac else 'address' if by_ip else 'hostname'}-{classed}"
        found = mac if entry.has_mac(mac) else entry.mac or mac
        device = Device(
            id=entry.id,
            ip=text,
            mac=_text_of(found),
            hostname=entry.hostname or hostname,
            owner=entry.owner,
            device_class=entry.device_class or _class_of(network),
            binding=BindingPeriod(INVENTORY, entry.since, entry.until, entry.file, entry.line),
            reason=sentence(code),
            randomised_mac=found is not None and not entry.mac and is_randomised(found),
        )
        return device, f"{self._place(entry)} by {matched}: {source}{validity(entry)}"

    def _unlisted(
        self, ip: bytes, mac: bytes | None, network: Network | None, binding: Binding | None
    ) -> tuple[Device, str]:
        """A device that is not in the inventory, with the explanation."""
        text, hostname = ip_text(ip), binding.hostname if binding else None
        if binding is None:
            explanation = "no entry of the inventory has this address or MAC"
            other = self.entries.with_ip(ip) or self._entry_of_mac(mac)
            if other is not None:
                explanation += f" at this time ({self._place(other)} has it{validity(other)})"
            explanation += ": class of the network"
            reason = _UNLISTED
        else:
            named = f" and host name {hostname}" if hostname else ""
            learned = f"it was learned to have MAC {_text_of(mac)}{named}"
            explanation = f"no entry of the inventory; {learned}"
            reason = _LEARNED
        is_random = mac is not None and is_randomised(mac)
        device = Device(
            id=(binding.id if binding else None) or text,
            ip=text,
            mac=_text_of(mac),
            hostname=hostname,
            owner=None,
            device_class=_class_of(network),
            binding=BY_ADDRESS,
            reason=reason + (_RANDOMISED if is_random else ""),
            randomised_mac=is_random,
        )
        return device, explanation + (_RANDOMISED if is_random and binding else "")

    def _place(self, entry: Entry) -> str:
        """The place where an entry is written."""
        file = Path(entry.file).name if len(self.entries.files) > 1 else "inventory"
        return f"{file} line {entry.line}"

    def _entry_of_mac(
        self, mac: bytes | None, time: int | None = None, span: Span | None = None
    ) -> Entry | None:
        return self.entries.with_mac(mac, time, span) if mac else None

    def _entry_of_hostname(self, name: str, time: int, span: Span) -> Entry | None:
        """The only entry with this host name, with or without its domain, and neither a MAC nor an
        address; None if there is none or more than one."""
        candidates = self.entries.with_label(name.partition(".")[0], time, span)
        equal = [entry for entry in candidates if entry.hostname == name]
        found = equal or [
            entry for entry in candidates if not are_different_hosts(entry.hostname or "", name)
        ]
        return found[0] if len(found) == 1 else None


def _conflict(
    text: str, by_ip: Entry | None, sender: Entry | None, owner: Entry | None, binding: Binding
) -> tuple[str, str] | None:
    """Why the device of a binding cannot be identified, as an explanation and as a reason without
    addresses; None if it can. `sender` is the entry with the frame's MAC, `owner` the one with the
    learned MAC."""
    is_router = sender is not None and sender.device_class == "infrastructure"
    mac = f"MAC {mac_text(binding.mac or bytes(6))}"
    if binding.ambiguity == "mac":
        return f"two devices have {mac} at this time", sentence("device-two-macs")
    if binding.ambiguity == "frame" and not is_router:
        return (
            f"IP {text} belongs to {mac}, but the frame is from another device",
            sentence("device-other-frame"),
        )
    if binding.ambiguity == "address":
        # The inventory takes precedence: the entry with the frame's MAC is the sender.
        if sender is not None and not is_router:
            return None
        return f"two devices have IP {text} at this time", sentence("device-two-addresses")
    if binding.mac is None:
        return None
    if sender is not None and not is_router and sender != owner:
        return (
            f"the frame is from '{sender.id}', but IP {text} was learned to belong to {mac}",
            sentence("device-other-learned"),
        )
    if by_ip and by_ip.mac and by_ip.mac != binding.mac and owner is None:
        return (
            f"IP {text} belongs to '{by_ip.id}', but was learned to belong to {mac}",
            sentence("device-other-entry"),
        )
    return None


def unknown_device(ip: bytes, mac: bytes | None, reason: str) -> Device:
    """The unidentifiable device with a packed address, and MAC in its frame, for a reason (a
    sentence)."""
    text = ip_text(ip)
    return Device(f"unknown:{text}", text, _text_of(mac), None, None, "unknown", reason=reason)


def validity(entry: Entry) -> str:
    """The period of an entry in words, after a comma; empty if it has no limit."""
    if entry.since is None and entry.until is None:
        return ""
    since = BEGINNING if entry.since is None else entry.since
    return f", valid {days_of(since, FOREVER if entry.until is None else entry.until)}"


def _class_of(network: Network | None) -> DeviceClass:
    return network.device_class if network else "unknown"


def _text_of(mac: bytes | None) -> str | None:
    return mac_text(mac) if mac else None


@dataclass(frozen=True, slots=True)
class PossibleClasses:
    """The classes that a client may have; it `is_always_listed` if the inventory has the only
    device that it can be."""

    classes: frozenset[DeviceClass]
    is_always_listed: bool


def possible_classes(
    devices: Devices, ip: bytes, mac: bytes | None, network: Network | None
) -> PossibleClasses:
    """The classes of a client with a packed address (empty if it has none yet) and the packed MAC
    of its frames, in `network` (None outside the configured ones): those of the inventory and of
    the lease files, and the network's unless only the inventory decides."""
    kind: DeviceClass = network.device_class if network is not None else "unknown"
    entries = devices.entries
    leases = devices.leases.leases_of(ip)
    found = [*entries.at_any_time(ip, mac)]
    # A router's MAC is in all frames that it forwards: they are not from the router itself.
    found = [entry for entry in found if not _is_router_of(entry, ip, mac)]
    is_listed = len(found) == 1 and not leases and _is_certain(found[0], ip, mac)
    for owner in {lease.mac for lease in leases}:
        found += entries.at_any_time(b"", owner)
    for name in {lease.hostname for lease in leases}:
        found += entries.labelled(name.partition(".")[0]) if name else ()
    classes = {entry.device_class or kind for entry in found}
    return PossibleClasses(frozenset(classes if is_listed else {*classes, kind}), is_listed)


def _is_router_of(entry: Entry, ip: bytes, mac: bytes | None) -> bool:
    is_router = entry.device_class == "infrastructure" and bool(entry.ips)
    return is_router and entry.has_mac(mac) and bool(ip) and ip not in entry.ips


def _is_certain(entry: Entry, ip: bytes, mac: bytes | None) -> bool:
    """Whether an entry belongs to the client at any time: a MAC decides, otherwise the address."""
    is_dated = entry.since is not None or entry.until is not None
    return not is_dated and (entry.has_mac(mac) if entry.mac is not None else ip in entry.ips)
