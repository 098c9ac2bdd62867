"""The counts of flows by what is known of their names, and the report that they make.

Who reads that a device contacted nothing forbidden has to know how much of what it did
nobody could read. Each flow has exactly one reading, so the counts add up to the flows
seen; they are kept by network and device, the same to the byte in whatever order flows
came and however many gathered them.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netwatch.core.verdict import DeviceClass, Network
from netwatch.coverage.readings import READINGS, Reading

SCHEMA = "netwatch.coverage/1"
"""The version of what a report holds, and of its record."""

DEVICE_LIMIT = 20_000
"""Devices that are told by themselves; flows of further ones count for their network."""

CUT = frozenset(
    {
        "payload-cut",
        "link-header-cut",
        "ip-header-cut",
        "transport-header-cut",
        "wrapping-header-cut",
    }
)
"""Anomalies of packets that the capture holds in part."""

UNREADABLE = frozenset(
    {
        "link-type-unknown",
        "wrapping-unknown",
        "wrapped-too-deep",
        "encrypted-ip",
        "encrypted-link",
        "wlan-protected",
        "ip-fragments-incomplete",
    }
)
"""Anomalies of packets whose inside could not be reached."""

_PLACES: Mapping[str, int] = {reading: place for place, reading in enumerate(READINGS)}


@dataclass(frozen=True, slots=True)
class Share:
    """Flows by what is known of their names, those readings that were met."""

    counts: Mapping[Reading, int]

    @property
    def flows(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def named(self) -> int:
        """Those whose name was read."""
        return self.counts.get("named", 0)

    @property
    def unnamed(self) -> Mapping[Reading, int]:
        """The others, by the reason."""
        return {reason: count for reason, count in self.counts.items() if reason != "named"}

    @property
    def percent(self) -> int:
        """The part of them that is named, rounded down; 0 where there are none."""
        return 100 * self.named // self.flows if self.flows else 0

    @classmethod
    def sum(cls, shares: Iterable["Share"]) -> "Share":
        """Several shares as one."""
        total: Counter[Reading] = Counter()
        for share in shares:
            total.update(share.counts)
        return cls({told: total[told] for told in READINGS if total[told]})


@dataclass(frozen=True, slots=True)
class NetworkShare:
    """A network's flows in all, by device, and of devices beyond `DEVICE_LIMIT` (`rest`)."""

    name: str
    device_class: DeviceClass
    total: Share
    devices: tuple[tuple[str, Share], ...]
    rest: Share


@dataclass(frozen=True, slots=True)
class Report:
    """What could be read in one run.

    `outside` are the flows whose client stands in no network. Of `packets` seen, `cut`
    were captured in part, and `unreadable` (by anomaly) held what could not be reached;
    `dropped` more were lost by who captured, as far as the capture says so.
    """

    total: Share
    networks: tuple[NetworkShare, ...]
    outside: Share
    packets: int
    cut: int
    dropped: int
    unreadable: Mapping[str, int]


class Coverage:
    """Counts flows by network, device and reading; at most `limit` devices by themselves.

    Of too many devices those that sort first are kept: one that is dropped has that many
    before it for ever, so those kept have counted all their flows, in whatever order they
    came. Holds no file or handle, so that it can be sent between processes and merged.
    """

    def __init__(self, limit: int = DEVICE_LIMIT) -> None:
        self._limit = limit
        self._outside = _empty()
        self._networks: dict[str, tuple[DeviceClass, list[int]]] = {}
        self._devices: dict[tuple[str, str], list[int]] = {}
        # the keys of a full table in order, to know the last
        self._order: list[tuple[str, str]] = []

    def add(self, network: Network | None, device: str, told: Reading, flows: int = 1) -> None:
        """Count flows of a device (its id) in a network, None where it is outside."""
        place = _PLACES[told]
        if network is None:
            self._outside[place] += flows
            return
        name = network.name
        if name not in self._networks:
            self._networks[name] = network.device_class, _empty()
        self._networks[name][1][place] += flows
        row = self._devices.get((name, device)) or self._entered((name, device))
        if row is not None:
            row[place] += flows

    def merge(self, other: "Coverage") -> None:
        """Take in what another counted with the same limit."""
        _sum(self._outside, other._outside)
        for name, (kind, counts) in other._networks.items():
            _sum(self._networks.setdefault(name, (kind, _empty()))[1], counts)
        for key, counts in other._devices.items():
            row = self._devices.get(key) or self._entered(key)
            if row is not None:
                _sum(row, counts)

    def _entered(self, key: tuple[str, str]) -> list[int] | None:
        """A row for a device that has none; None where those kept sort before it."""
        if len(self._devices) >= self._limit:
            if not self._order:
                self._order = sorted(self._devices)
            if key > self._order[-1]:
                return None
            del self._devices[self._order.pop()]
            insort(self._order, key)
        row = self._devices[key] = _empty()
        return row

    def total(self) -> Share:
        """All flows, of whatever device."""
        total = list(self._outside)
        for _, counts in self._networks.values():
            _sum(total, counts)
        return _share(total)

    def report(self, packets: int, anomalies: Mapping[str, int]) -> Report:
        """All counts, networks and devices in order; `packets` seen in the run and its
        `anomalies` by name tell what was lost before it became a flow."""
        devices: dict[str, list[tuple[str, Share]]] = {name: [] for name in self._networks}
        rest = {name: list(counts) for name, (_, counts) in self._networks.items()}
        for (name, device), counts in sorted(self._devices.items()):
            devices[name].append((device, _share(counts)))
            _sum(rest[name], [-count for count in counts])
        networks = []
        for name, (kind, counts) in sorted(self._networks.items()):
            told = NetworkShare(
                name, kind, _share(counts), tuple(devices[name]), _share(rest[name])
            )
            networks.append(told)
        return Report(
            total=self.total(),
            networks=tuple(networks),
            outside=_share(self._outside),
            packets=packets,
            cut=sum(count for name, count in anomalies.items() if name in CUT),
            dropped=anomalies.get("capture-dropped", 0),
            unreadable={name: anomalies[name] for name in sorted(anomalies) if name in UNREADABLE},
        )


def _empty() -> list[int]:
    return [0] * len(READINGS)


def _sum(into: list[int], counts: list[int]) -> None:
    for place, count in enumerate(counts):
        into[place] += count


def _share(counts: list[int]) -> Share:
    return Share({told: n for told, n in zip(READINGS, counts, strict=True) if n})
