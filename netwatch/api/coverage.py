"""How many flows had a readable name, as the Python API gives it: the record of coverage with its
keys as attributes (docs/reference/records.md)."""

from collections.abc import Mapping
from dataclasses import dataclass

from netwatch.api.view import Record
from netwatch.core.verdict import DeviceClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Flows, those of them whose name was read, and the others by the reason. Of those outside of
    all networks, `missed` are in none because of their VLAN tag."""

    flows: int
    named: int
    unnamed: Mapping[str, int]
    missed: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCoverage:
    """The flows of a device."""

    id: str
    flows: int
    named: int
    unnamed: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCoverage:
    """The flows of a network, of each of its devices, and of the devices beyond a limit."""

    name: str
    class_: DeviceClass
    flows: int
    named: int
    unnamed: Mapping[str, int]
    devices: tuple[DeviceCoverage, ...]
    rest: Flows


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """Packets, and those of them that were captured in part, lost, or whose payload could not be
    reached, by the reason."""

    seen: int
    cut: int
    dropped: int
    unreadable: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage(Record):
    """What could be read in one run. `without_verdict` are contacts with apps of which nothing can
    be said, by the reason."""

    __hash__ = Record.__hash__

    schema: str
    flows: int
    named: int
    unnamed: Mapping[str, int]
    packets: Packets
    networks: tuple[NetworkCoverage, ...]
    outside: Flows
    without_verdict: Mapping[str, int]
