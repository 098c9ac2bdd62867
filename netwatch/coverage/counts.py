"""How many flows had a readable name, by network and device, and the report of it.

Readers who see that a device contacted nothing forbidden need to know how much of its traffic
nobody could read. Each flow has exactly one `Visibility`, so the counts add up to the flows
seen. They are the same in whatever order flows ended and however many processes counted them.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from netwatch.core.flow import FlowClient
from netwatch.core.statistics import is_unknown_ether_type, limit_ether_types
from netwatch.core.verdict import DeviceClass, Network
from netwatch.coverage.flow_visibility import VISIBILITIES, Visibility

SCHEMA = "netwatch.coverage/1"
"""The schema of the coverage record, with its version."""

DEVICE_LIMIT = 20_000
"""Devices that are counted separately; flows of further ones count for their network alone."""

TRUNCATED_ANOMALIES = frozenset(
    {
        "payload-cut",
        "link-header-cut",
        "ip-header-cut",
        "transport-header-cut",
        "wrapping-header-cut",
    }
)
"""Anomalies of packets that were captured in part."""

UNREADABLE_ANOMALIES = frozenset(
    {
        "link-type-unknown",
        "wrapping-unknown",
        "wrapped-too-deep",
        "encrypted-ip",
        "encrypted-link",
        "encrypted-tunnel",
        "wlan-protected",
        "ip-fragments-incomplete",
    }
)
"""Anomalies of packets whose payload could not be reached, beside those of unknown EtherTypes."""

_INDEXES: Mapping[str, int] = {visibility: index for index, visibility in enumerate(VISIBILITIES)}

CACHE_LIMIT = 65_536
"""Clients whose location is cached; a full cache is emptied as a whole."""

Location = tuple[Network | None, str]
"""The network of a client (None: outside of all networks) and the id of its device."""


def unreadable(anomalies: Mapping[str, int]) -> dict[str, int]:
    """The anomalies of packets whose payload could not be reached, by name in order."""
    return {
        name: anomalies[name]
        for name in sorted(anomalies)
        if name in UNREADABLE_ANOMALIES or is_unknown_ether_type(name)
    }


@dataclass(frozen=True, slots=True)
class FlowCounts:
    """Numbers of flows by visibility; those that were never met are left out."""

    counts: Mapping[Visibility, int]

    @property
    def flows(self) -> int:
        """The number of all flows."""
        return sum(self.counts.values())

    @property
    def named(self) -> int:
        """The number of flows whose name was read."""
        return self.counts.get("named", 0)

    @property
    def unnamed(self) -> Mapping[Visibility, int]:
        """The numbers of the other flows, by the reason."""
        return {reason: count for reason, count in self.counts.items() if reason != "named"}

    @property
    def percent(self) -> int:
        """The percentage of flows whose name was read, rounded down; 0 without flows."""
        return 100 * self.named // self.flows if self.flows else 0

    @classmethod
    def sum(cls, parts: Iterable["FlowCounts"]) -> "FlowCounts":
        """The sum of several counts."""
        total: Counter[Visibility] = Counter()
        for part in parts:
            total.update(part.counts)
        return cls({why: total[why] for why in VISIBILITIES if total[why]})


@dataclass(frozen=True, slots=True)
class NetworkReport:
    """The flows of a network: all of them, those of each device, and those of devices beyond
    `DEVICE_LIMIT` (`rest`)."""

    name: str
    device_class: DeviceClass
    total: FlowCounts
    devices: tuple[tuple[str, FlowCounts], ...]
    rest: FlowCounts


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """What could be read in one run.

    `outside` counts the flows whose client is in no configured network, `missed` those of them
    that a network would match with another VLAN tag, by the reason in words. Of the `packets`
    seen, `cut` were captured in part, and in `unreadable` (by anomaly) the payload could not be
    reached; `dropped` more were lost during capture, as far as the capture says so.
    `without_verdict` counts the contacts with apps that nothing can be said of, by the reason in
    words: their client is in no network, or not one device. `one_of` counts the flows ``one-of-k``
    by their k.
    """

    total: FlowCounts
    networks: tuple[NetworkReport, ...]
    outside: FlowCounts
    missed: Mapping[str, int]
    packets: int
    cut: int
    dropped: int
    unreadable: Mapping[str, int]
    without_verdict: Mapping[str, int]
    one_of: Mapping[int, int] = field(default_factory=dict)

    @property
    def unreadable_percent(self) -> int:
        """The percentage of packets whose payload could not be reached, rounded down. They are in
        no flow, so the share of named flows says nothing of them."""
        unreadable = min(sum(self.unreadable.values()), self.packets)
        return 100 * unreadable // self.packets if self.packets else 0


class Coverage:
    """Counts flows by network, device and visibility, for at most `limit` devices separately.

    Of too many devices, those whose keys sort first stay. A device that is evicted has that
    many others before it for good, so each device that stays has all its flows counted, in
    whatever order they ended. Without `by_device` there are networks only, which costs much less
    where new devices come all the time. A `Coverage` contains no file or handle: it can be sent
    between processes and merged.
    """

    def __init__(self, limit: int = DEVICE_LIMIT, *, by_device: bool = True) -> None:
        self.by_device = by_device
        self._limit = limit
        self._outside = _zeros()
        self._missed: Counter[str] = Counter()
        self._one_of: Counter[int] = Counter()
        self._networks: dict[str, tuple[DeviceClass, list[int]]] = {}
        self._devices: dict[tuple[str, str], list[int]] = {}
        # The keys of a full table in order: the last one is evicted next.
        self._sorted_keys: list[tuple[str, str]] = []

    def add(
        self, network: Network | None, device: str, visibility: Visibility, flows: int = 1
    ) -> None:
        """Count flows of a device (its id) in a network; None is outside of all networks."""
        index = _INDEXES[visibility]
        if network is None:
            self._outside[index] += flows
            return
        name = network.name
        if name not in self._networks:
            self._networks[name] = network.device_class, _zeros()
        self._networks[name][1][index] += flows
        if not self.by_device:
            return
        counts = self._devices.get((name, device)) or self._insert((name, device))
        if counts is not None:
            counts[index] += flows

    def add_missed(self, reason: str, flows: int) -> None:
        """Note why the client of flows, which were added, is in no network. There are at most two
        reasons for each network of the configuration."""
        self._missed[reason] += flows

    def add_one_of(self, names: int) -> None:
        """Note of how many names a flow ``one-of-k``, which was added, has one."""
        self._one_of[names] += 1

    def merge(self, other: "Coverage") -> None:
        """Add the counts of another `Coverage` with the same limit."""
        _add(self._outside, other._outside)
        self._missed.update(other._missed)
        self._one_of.update(other._one_of)
        for name, (device_class, counts) in other._networks.items():
            _add(self._networks.setdefault(name, (device_class, _zeros()))[1], counts)
        devices = self._devices
        for key, counts in other._devices.items():
            own = devices.get(key)
            if own is not None:
                _add(own, counts)
            elif self._insert(key) is not None:
                devices[key] = counts.copy()

    def another(self) -> "Coverage":
        """One that counts in the same way and has counted nothing."""
        return Coverage(self._limit, by_device=self.by_device)

    def since(self, earlier: "Coverage") -> "Coverage":
        """What was counted since a copy of these counts, which go on, was made."""
        later = self.another()
        later.merge(self)
        _subtract(later._outside, earlier._outside)
        later._missed = self._missed - earlier._missed
        later._one_of = self._one_of - earlier._one_of
        for name, (_, counts) in earlier._networks.items():
            if name in later._networks:
                _subtract(later._networks[name][1], counts)
        for key, counts in earlier._devices.items():
            if key in later._devices:
                _subtract(later._devices[key], counts)
                if not any(later._devices[key]):
                    del later._devices[key]
        return later

    def _insert(self, key: tuple[str, str]) -> list[int] | None:
        """The counts of a new device; None if the table is full of keys that sort first."""
        if len(self._devices) >= self._limit:
            if not self._sorted_keys:
                self._sorted_keys = sorted(self._devices)
            if key > self._sorted_keys[-1]:
                return None
            del self._devices[self._sorted_keys.pop()]
            insort(self._sorted_keys, key)
        counts = self._devices[key] = _zeros()
        return counts

    def total(self) -> FlowCounts:
        """The flows of all devices, inside and outside of the networks."""
        total = list(self._outside)
        for _, counts in self._networks.values():
            _add(total, counts)
        return _flow_counts(total)

    def report(
        self,
        packets: int,
        anomalies: Mapping[str, int],
        without_verdict: Mapping[str, int] | None = None,
    ) -> CoverageReport:
        """All counts, with networks and devices sorted by name. `packets` seen in the run and
        its `anomalies` by name tell what was lost before it became part of a flow, and
        `without_verdict` what the flows of contacts say nothing of."""
        anomalies = limit_ether_types(anomalies)
        devices: dict[str, list[tuple[str, FlowCounts]]] = {name: [] for name in self._networks}
        rest = {
            name: list(counts) if self.by_device else _zeros()
            for name, (_, counts) in self._networks.items()
        }
        for (name, device), counts in sorted(self._devices.items()):
            devices[name].append((device, _flow_counts(counts)))
            _add(rest[name], [-count for count in counts])
        networks = [
            NetworkReport(
                name,
                device_class,
                _flow_counts(counts),
                tuple(devices[name]),
                _flow_counts(rest[name]),
            )
            for name, (device_class, counts) in sorted(self._networks.items())
        ]
        return CoverageReport(
            total=self.total(),
            networks=tuple(networks),
            outside=_flow_counts(self._outside),
            missed=_ranked(self._missed),
            packets=packets,
            cut=sum(count for name, count in anomalies.items() if name in TRUNCATED_ANOMALIES),
            dropped=anomalies.get("capture-dropped", 0),
            unreadable=unreadable(anomalies),
            without_verdict=_ranked(without_verdict or {}),
            one_of=dict(sorted(self._one_of.items())),
        )


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts that are not 0, the largest first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {name: count for name, count in ranked if count}


def _zeros() -> list[int]:
    return [0] * len(VISIBILITIES)


def _add(total: list[int], counts: list[int]) -> None:
    """Add `counts` to `total`, in place."""
    for index, count in enumerate(counts):
        total[index] += count


def _flow_counts(counts: list[int]) -> FlowCounts:
    return FlowCounts({each: n for each, n in zip(VISIBILITIES, counts, strict=True) if n})


def _subtract(counts: list[int], others: list[int]) -> None:
    for index, count in enumerate(others):
        counts[index] -= count


class Directory(Protocol):
    """What is known of addresses: where a client is."""

    def locate(self, client: FlowClient, time: int | None) -> Location:
        """The network and device of a client at a time, in ns since the epoch; None if they are
        permanent."""
        ...

    def missed(self, client: FlowClient) -> str:
        """For a client outside of all networks, which one it would be in with another VLAN tag, in
        words; empty if there is none."""
        ...

    def is_permanent(self, client: FlowClient) -> bool:
        """Whether the location of a client is the same at any time, by what is known now."""
        ...


class FlowCounter:
    """Counts flows in `coverage`, with the networks and devices of `directory`."""

    def __init__(self, coverage: Coverage, directory: Directory) -> None:
        self._coverage = coverage
        self._directory = directory
        self._locations: dict[FlowClient, Location] = {}

    def add(
        self, client: FlowClient, visibility: Visibility, flows: int, times: Sequence[int]
    ) -> None:
        """Count flows of a client. `times` are those of their first packets, in ns since the epoch,
        or none if the client's location is known to be permanent."""
        if not times or self._directory.is_permanent(client):
            network, device = self._locate(client)
            self._coverage.add(network, device, visibility, flows)
            if network is None:
                self._count_missed(client, flows)
            return
        for time in times:
            network, device = self._directory.locate(client, time)
            self._coverage.add(network, device, visibility)
            if network is None:
                self._count_missed(client, 1)

    def apart(self, coverage: Coverage) -> "FlowCounter":
        """Another one that counts in `coverage`, with the same networks and devices."""
        return FlowCounter(coverage, self._directory)

    def _count_missed(self, client: FlowClient, flows: int) -> None:
        missed = self._directory.missed(client)
        if missed:
            self._coverage.add_missed(missed, flows)

    def _locate(self, client: FlowClient) -> Location:
        """The location of a client where it is permanent, from the cache."""
        location = self._locations.get(client)
        if location is None:
            if len(self._locations) >= CACHE_LIMIT:
                self._locations.clear()
            location = self._locations[client] = self._directory.locate(client, None)
        return location
