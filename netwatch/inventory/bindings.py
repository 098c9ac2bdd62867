"""Address bindings: which MAC address has an IP address, and when.

A binding lasts from the packet that shows it until it expires or ends: a lease as long as its
server granted it, any other binding as long as the device keeps showing that it uses the address.
Two bindings of one address that overlap in time mean that two devices have it. All times are those
of packets, in ns.
"""

USE_LIFETIME = 4 * 3_600_000_000_000
"""How long an address stays bound to a device that showed that it uses it, ns. Routers keep an ARP
entry as long."""

CONFLICT_WINDOW = 300_000_000_000
"""Two devices that show the same address within this time use it at the same time, ns."""

MAX_BINDINGS = 8
"""Bindings of one address, and leases of one host, that are stored."""


class AddressBinding:
    """An IP address belongs to `mac` from `since` up to, but without, `until`.

    `last_shown` is when a packet last showed it, and `is_lease` whether a DHCP server granted it;
    `hostname`, `client` and `server` are those of the lease. With `had_before`, the client said
    that it had the address before the first packet. Up to `reported_by_ip_until`, contacts of the
    device are still reported under the address, as they were before the device was known.
    """

    __slots__ = (
        "client",
        "had_before",
        "hostname",
        "ip",
        "is_lease",
        "last_shown",
        "mac",
        "reported_by_ip_until",
        "server",
        "since",
        "until",
    )

    def __init__(self, ip: bytes, mac: bytes, time: int, had_before: bool) -> None:
        self.ip = ip
        self.mac = mac
        self.since = self.last_shown = self.until = time
        self.had_before = had_before
        self.is_lease = False
        self.hostname = ""
        self.client = self.server = b""
        self.reported_by_ip_until = -1

    def is_active(self, time: int) -> bool:
        """Whether the binding exists at a time."""
        return self.since <= time < self.until


class Address:
    """The bindings of one IP address, oldest first.

    `last_used` is when it was last updated or looked up. `reported_time` and `reported_mac` are
    the time and the frame's MAC of the last contact that was reported under the address itself. Of
    too many bindings the one that expires first is evicted; `evicted` counts those that had not
    expired.
    """

    __slots__ = ("_ip", "bindings", "evicted", "last_used", "reported_mac", "reported_time")

    def __init__(self, ip: bytes) -> None:
        self._ip = ip
        self.bindings: list[AddressBinding] = []
        self.evicted = 0
        self.last_used = 0
        self.reported_time: int | None = None
        self.reported_mac: bytes | None = None

    def active(self, time: int) -> list[AddressBinding]:
        """The bindings that exist at a time."""
        return [binding for binding in self.bindings if binding.is_active(time)]

    def is_leased(self, time: int) -> bool:
        """Whether a lease of the address exists at a time."""
        return any(binding.is_lease for binding in self.active(time))

    def lease(
        self, mac: bytes, time: int, until: int, server: bytes, had_before: bool
    ) -> tuple[AddressBinding, bool]:
        """A server grants the address to `mac`. Returns the binding, and whether it is new.

        This ends other leases of the same server, and bindings without a lease: the server knows
        that the address is free. It knows nothing of the leases of another server.
        """
        for other in self.active(time):
            of_other_server = other.is_lease and server and other.server and other.server != server
            if other.mac != mac and not of_other_server:
                other.until = time
        binding, is_new = self._binding(mac, time, had_before)
        binding.is_lease = True
        binding.server = server or binding.server
        binding.last_shown, binding.until = time, until
        return binding, is_new

    def use(self, mac: bytes, time: int) -> tuple[AddressBinding, bool]:
        """A device shows that it uses the address. Returns the binding, and whether it is new.

        A binding of another device without a lease lasts no longer than `CONFLICT_WINDOW` after
        that device last showed it; nor does this one where the address is leased to another.
        """
        leased_to_other = False
        for other in self.active(time):
            if other.mac == mac:
                continue
            if other.is_lease:
                leased_to_other = True
            else:
                other.until = max(time, min(other.until, other.last_shown + CONFLICT_WINDOW))
        binding, is_new = self._binding(mac, time, False)
        binding.last_shown = time
        if not binding.is_lease:
            binding.until = time + (CONFLICT_WINDOW if leased_to_other else USE_LIFETIME)
        return binding, is_new

    def release(self, mac: bytes | None, client: bytes, time: int) -> None:
        """End the bindings of a MAC address, or of a DHCP client."""
        for binding in self.active(time):
            if binding.mac == mac or (client and binding.client == client):
                binding.until = time

    def _binding(self, mac: bytes, time: int, had_before: bool) -> tuple[AddressBinding, bool]:
        for binding in self.active(time):
            if binding.mac == mac:
                return binding, False
        binding = AddressBinding(self._ip, mac, time, had_before)
        if len(self.bindings) >= MAX_BINDINGS:
            first = min(self.bindings, key=lambda other: other.until)
            self.evicted += first.is_active(time)
            self.bindings.remove(first)
        self.bindings.append(binding)
        return binding, True
