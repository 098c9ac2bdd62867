"""Which device a client is, according to the inventory and to what was learned from the wire.

A MAC address takes precedence over an IP address, since addresses are lent. But behind a router
every frame has the MAC of the router, so an entry found by IP address counts even where the MAC
differs, as long as no other entry has that MAC. Where MAC and IP address belong to two entries, the
device is `unknown`, and a ban on service devices does not apply to it.

Where it was learned from the wire which device has the address (`netwatch.inventory.learned`), the
learned MAC replaces that of the frame, and the inventory takes precedence over what was learned. A
device that is not in the inventory is identified by its learned MAC and host name.
"""

from collections.abc import Iterable

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.verdict import Binding, Device, DeviceClass, Network
from netwatch.inventory.entry_table import Entry, EntryTable
from netwatch.inventory.hosts import are_different_hosts
from netwatch.inventory.lease_table import LeaseTable

CACHE_LIMIT = 65_536
"""Devices of clients in the cache; when it is full, it is cleared (and the entries are counted as
evicted)."""


class Devices:
    """Identifies the device of a client. `entries` is the inventory, and `leases` are those of the
    lease files; `evictions` counts the cache entries that were evicted."""

    def __init__(
        self, entries: EntryTable | Iterable[Entry] = (), leases: LeaseTable | None = None
    ) -> None:
        self.entries = entries if isinstance(entries, EntryTable) else EntryTable(entries)
        self.leases = leases or LeaseTable()
        self.evictions = 0
        self._cache: dict[tuple[bytes, bytes | None, Network | None, Binding | None], Device] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, word: str) -> Entry | None:
        """The entry with this id, IP address or MAC in text form, or None."""
        ip, mac = parse_ip(word), parse_mac(word)
        return (
            self.entries.with_id(word)
            or (self.entries.with_ip(ip) if ip else None)
            or (self.entries.with_mac(mac) if mac else None)
        )

    def identify(
        self,
        ip: bytes,
        mac: bytes | None,
        network: Network | None,
        binding: Binding | None = None,
    ) -> Device:
        """The device with a packed IP address, and a packed MAC in its frame, in `network` (None
        outside of the configured ones). `binding` is what was learned of the address at that
        time."""
        key = (ip, mac, network, binding)
        try:
            return self._cache[key]
        except KeyError:
            pass
        device = self.explain(ip, mac, network, binding)[0]
        if len(self._cache) >= CACHE_LIMIT:
            self.evictions += len(self._cache)
            self._cache.clear()
        self._cache[key] = device
        return device

    def id_of(
        self, ip: bytes, mac: bytes | None, network: Network | None, binding: Binding | None
    ) -> str:
        """The id of the device that `identify` gives. Most clients of a flood are in no inventory;
        nothing is made or cached of them."""
        entries = self.entries
        is_listed = entries.with_ip(ip) is not None or self._entry_of_mac(mac) is not None
        if binding is None and not is_listed:
            return ip_text(ip)
        return self.identify(ip, mac, network, binding).id

    def explain(
        self,
        ip: bytes,
        mac: bytes | None,
        network: Network | None,
        binding: Binding | None = None,
    ) -> tuple[Device, str]:
        """Like `identify`, with the reason in words."""
        text = ip_text(ip)
        by_ip = self.entries.with_ip(ip)
        if binding is not None:
            conflict = self._conflict(text, by_ip, self._entry_of_mac(mac), binding)
            if conflict:
                return _unknown(text, mac), conflict
            mac = binding.mac or mac
        by_mac = self._entry_of_mac(mac)
        # A router's MAC is in all frames that it forwards. Where the inventory has the addresses of
        # the router, a frame with another address is not from the router itself.
        if by_mac and by_mac.device_class == "infrastructure" and by_mac.ips and by_mac != by_ip:
            by_mac = None
        mac_words = f"MAC {mac_text(mac)}" if mac else ""
        if by_mac and by_ip and by_mac != by_ip:
            reason = f"{mac_words} belongs to '{by_mac.id}', but IP {text} to '{by_ip.id}'"
            return _unknown(text, mac), reason
        hostname = binding.hostname if binding else None
        entry = by_mac or by_ip or (self._entry_of_hostname(hostname) if hostname else None)
        if entry is None:
            return _unlisted(text, mac, network, binding)
        matched = mac_words if by_mac else f"IP {text}" if by_ip else "learned host name"
        source = "class of the entry" if entry.device_class else "class of the network"
        device = Device(
            id=entry.id,
            ip=text,
            mac=_text_of(entry.mac or mac),
            hostname=entry.hostname or hostname,
            owner=entry.owner,
            device_class=entry.device_class or _class_of(network),
        )
        return device, f"inventory line {entry.line} by {matched}: {source}"

    def _conflict(
        self, text: str, by_ip: Entry | None, sender: Entry | None, binding: Binding
    ) -> str:
        """Why the device of a binding cannot be identified, in words; empty where it can.
        `sender` is the entry with the MAC of the frame."""
        is_router = sender is not None and sender.device_class == "infrastructure"
        mac = f"MAC {mac_text(binding.mac or bytes(6))}"
        if binding.ambiguity == "mac":
            return f"two devices have {mac} at this time"
        if binding.ambiguity == "frame" and not is_router:
            return f"IP {text} belongs to {mac}, but the frame is from another device"
        if binding.ambiguity == "address":
            # The inventory takes precedence: the entry with the frame's MAC is the sender.
            is_known = sender is not None and not is_router
            return "" if is_known else f"two devices have IP {text} at this time"
        if binding.mac is None:
            return ""
        owner = self.entries.with_mac(binding.mac)
        if sender is not None and not is_router and sender != owner:
            return f"the frame is from '{sender.id}', but IP {text} was learned to belong to {mac}"
        if by_ip and by_ip.mac and by_ip.mac != binding.mac and owner is None:
            return f"IP {text} belongs to '{by_ip.id}', but was learned to belong to {mac}"
        return ""

    def _entry_of_mac(self, mac: bytes | None) -> Entry | None:
        return self.entries.with_mac(mac) if mac else None

    def _entry_of_hostname(self, name: str) -> Entry | None:
        """The only entry that has this host name, with or without its domain, and neither a MAC
        nor an address; None where there is none or more than one."""
        candidates = self.entries.with_label(name.partition(".")[0])
        equal = [entry for entry in candidates if entry.hostname == name]
        found = equal or [
            entry for entry in candidates if not are_different_hosts(entry.hostname or "", name)
        ]
        return found[0] if len(found) == 1 else None


def _unlisted(
    text: str, mac: bytes | None, network: Network | None, binding: Binding | None
) -> tuple[Device, str]:
    """A device that is not in the inventory, with the reason for its identity in words."""
    device_class = _class_of(network)
    if binding is None:
        reason = "no entry of the inventory has this address or MAC: class of the network"
        return Device(text, text, _text_of(mac), None, None, device_class), reason
    named = f" and host name {binding.hostname}" if binding.hostname else ""
    reason = f"no entry of the inventory; it was learned to have MAC {_text_of(mac)}{named}"
    device_id = binding.id or text
    return Device(device_id, text, _text_of(mac), binding.hostname, None, device_class), reason


def _unknown(text: str, mac: bytes | None) -> Device:
    return Device(f"unknown:{text}", text, _text_of(mac), None, None, "unknown")


def _class_of(network: Network | None) -> DeviceClass:
    return network.device_class if network else "unknown"


def _text_of(mac: bytes | None) -> str | None:
    return mac_text(mac) if mac else None
