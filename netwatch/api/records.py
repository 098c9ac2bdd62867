"""Observations, incidents and coverage as the Python API gives them.

The records are documented (docs/reference/records.md) and have a schema, so that the classes of the
API have no words of their own: an attribute is a key of the record
(`netwatch.formats.typed_records`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from netwatch.core.message import Evidence as MessageEvidence
from netwatch.core.verdict import DeviceClass
from netwatch.formats.alert_record import Log, Tls
from netwatch.formats.typed_records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """What a DNS message says beside its name."""

    type: str | None = None
    rcode: str | None = None
    answers: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    asked: str | None = None
    service_targets: tuple[str, ...] = ()
    ech: tuple[str, ...] = ()
    ech_configs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quic:
    """The version of QUIC."""

    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One side of a flow, None where a log does not say. MAC, host name and network are those of
    clients."""

    ip: str | None = None
    port: int | None = None
    mac: str | None = None
    hostname: str | None = None
    network: str | None = None


_NOBODY = Endpoint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Record):
    """One name that one device showed, with its evidence: the record of an observation with its
    keys as attributes, None where a key is left out. `time` is aware and in UTC, in microseconds;
    `record` has it as fine as the capture."""

    __hash__ = Record.__hash__

    time: datetime
    evidence: MessageEvidence
    name: str
    raw: str | None = None
    client: Endpoint = _NOBODY
    server: Endpoint = _NOBODY
    transport: Literal["tcp", "udp"]
    vlan: int | None = None
    community_id: str | None = None
    source: str
    packet: int | None = None
    sensor: str | None = None
    dns: Dns | None = None
    tls: Tls | None = None
    quic: Quic | None = None
    log: Log | None = None


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
