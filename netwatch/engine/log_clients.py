"""The addresses of clients of which a log has the host name alone.

The inventory says which device has a name, and lease files which address it had at that time. What
neither knows, or several devices have, is not guessed: such a client has no address.
"""

from netwatch.config import Config
from netwatch.inventory.entry_table import Entry
from netwatch.inventory.hosts import are_different_hosts
from netwatch.inventory.lease_table import Lease

CACHE_LIMIT = 65_536
"""Host names of which is cached who has them; a full cache is emptied as a whole."""


class ClientHosts:
    """Finds the addresses of host names by the inventory and the lease files of a configuration."""

    def __init__(self, config: Config) -> None:
        self._entries = config.devices.entries
        self._leases = config.devices.leases
        self._by_label: dict[str, list[Lease]] | None = None
        # Rows of the inventory by the first label of their host name.
        self._rows: dict[str, list[int]] | None = None
        self._cache: dict[str, list[Lease]] = {}

    def address(self, host: str, time: int) -> bytes | None:
        """The packed address that the only device with a host name, with or without its domain, had
        at a time (ns); None where that is not known."""
        name = host.lower().removesuffix(".")
        if not name:
            return None
        label = name.partition(".")[0]
        entries = self._listed(label, time)
        equal = [each for each in entries if (each.hostname or "").lower() == name]
        found = equal or [
            each for each in entries if not are_different_hosts((each.hostname or "").lower(), name)
        ]
        if found:
            return self._of_entry(found[0], time) if len(found) == 1 else None
        active = {
            (lease.mac, lease.ip)
            for lease in self._leased(name, label)
            if lease.since <= time < lease.until
        }
        if len({mac for mac, _ in active}) != 1:
            return None
        return min((ip for _, ip in active), key=lambda ip: (len(ip), ip))

    def _listed(self, label: str, time: int) -> list[Entry]:
        """The entries with a host name that begins with a label, of those that are valid."""
        if self._rows is None:
            self._rows = {}
            for row, entry in enumerate(self._entries):
                if entry.hostname:
                    of = entry.hostname.lower().partition(".")[0]
                    self._rows.setdefault(of, []).append(row)
        found = [self._entries[row] for row in self._rows.get(label, ())]
        return [
            each
            for each in found
            if (each.since is None or each.since <= time)
            and (each.until is None or time < each.until)
        ]

    def _of_entry(self, entry: Entry, time: int) -> bytes | None:
        for mac in entry.macs:
            leased = self._leases.address_of(mac, time)
            if leased is not None:
                return leased
        return min(entry.ips, key=lambda ip: (len(ip), ip), default=None)

    def _leased(self, name: str, label: str) -> list[Lease]:
        known = self._cache.get(name)
        if known is None:
            if self._by_label is None:
                self._by_label = {}
                for ip in self._leases.addresses():
                    for lease in self._leases.leases_of(ip):
                        if lease.hostname:
                            of = lease.hostname.lower().partition(".")[0]
                            self._by_label.setdefault(of, []).append(lease)
            if len(self._cache) >= CACHE_LIMIT:
                self._cache.clear()
            known = self._cache[name] = [
                lease
                for lease in self._by_label.get(label, ())
                if not are_different_hosts(lease.hostname.lower(), name)
            ]
        return known
