"""The bounded tables of what was learned: addresses with their bindings, hosts, and routers."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from netwatch.inventory.binding_evidence import BindingEvidence
from netwatch.inventory.bindings import Address
from netwatch.inventory.hosts import Host

ENTRY_LIMIT = 65_536
"""Addresses, and hosts, that are stored; of more the least recently used is evicted."""

ROUTER_LIMIT = 4096
"""MAC addresses of routers that are stored; of more the least recently seen is evicted."""

MAX_AGE = 24 * 3_600_000_000_000
"""Entries that were not used for so long are removed, ns, unless they have an active lease."""

Key = tuple[str, bytes]
"""A network's name with a packed IP address or a MAC: the same address in two networks is two
addresses."""

_Entry = TypeVar("_Entry", Address, Host)


class BindingTables:
    """Addresses, hosts and routers, each up to a limit, and the packets that prove them.

    `limit` is that of addresses, and of hosts. `evicted` counts entries and bindings that were
    evicted because a table was full.
    """

    def __init__(self, limit: int = ENTRY_LIMIT) -> None:
        self._limit = limit
        self._addresses: OrderedDict[Key, Address] = OrderedDict()
        self._hosts: OrderedDict[Key, Host] = OrderedDict()
        self._routers: OrderedDict[bytes, None] = OrderedDict()
        self.evidence = BindingEvidence()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._addresses)

    def find_address(self, network: str, ip: bytes) -> Address | None:
        """The entry of an address, None where there is none."""
        return self._addresses.get((network, ip))

    def find_host(self, network: str, mac: bytes) -> Host | None:
        """The entry of a host, None where there is none."""
        return self._hosts.get((network, mac))

    def use_address(self, network: str, ip: bytes, time: int) -> Address:
        """The entry of an address, created where there is none, and marked as used at a time."""
        return self._use(self._addresses, (network, ip), time, lambda: Address(ip))

    def use_host(self, network: str, mac: bytes, time: int) -> Host:
        """The entry of a host, created where there is none, and marked as used at a time."""
        return self._use(self._hosts, (network, mac), time, lambda: Host(mac_id(mac)))

    def is_router(self, mac: bytes) -> bool:
        """Whether a MAC address is known to belong to a router."""
        return mac in self._routers

    def add_router(self, mac: bytes) -> None:
        """Note that a MAC address belongs to a router."""
        self._routers[mac] = None
        self._routers.move_to_end(mac)
        if len(self._routers) > ROUTER_LIMIT:
            self.evicted += 1
            self._routers.popitem(last=False)

    def _use(
        self,
        table: OrderedDict[Key, _Entry],
        key: Key,
        time: int,
        create: Callable[[], _Entry],
    ) -> _Entry:
        """The entry of a table. Each call checks only the least recently used entry for expiry, so
        that its cost does not depend on the size of the table."""
        entry = table.get(key)
        if entry is None:
            entry = table[key] = create()
        entry.last_used = max(entry.last_used, time)
        table.move_to_end(key)
        oldest_key, oldest = next(iter(table.items()))
        if len(table) > self._limit:
            self.evicted += 1
            del table[oldest_key]
        elif oldest.last_used + MAX_AGE < time:
            if oldest.is_leased(time):
                oldest.last_used = time
                table.move_to_end(oldest_key)
            else:
                del table[oldest_key]
        return entry


def mac_id(mac: bytes) -> str:
    """The id of a device that is identified by its MAC address."""
    return mac.hex(":")
