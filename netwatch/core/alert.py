"""An incident as it is reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from netwatch.core.frame import EvidenceFrames
from netwatch.core.message import Evidence
from netwatch.core.verdict import (
    App,
    Ban,
    Confidence,
    Device,
    Exemption,
    Network,
    Role,
    Severity,
    VerdictKind,
)

Records = Literal["observations", "alerts"]
"""What a run writes."""

AlertRecord = Mapping[str, Any]
"""An alert as a JSON object, as `netwatch.formats.jsonl.alert_record` makes it."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a device connected to; number, organisation and country come from the
    configured GeoIP databases."""

    ip: str
    port: int
    asn: int | None = None
    as_org: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """The first sight of one name by one kind of evidence, and how often it came."""

    time: int
    digits: int
    type: Evidence
    name: str
    rule: str
    role: Role
    source: str
    packet: int
    count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there was of an incident. `flows` are distinct conversations that showed
    a name in a handshake; bytes are transport payload of those, out of and into the
    device."""

    lookups: int = 0
    handshakes: int = 0
    flows: int = 0
    bytes_out: int = 0
    bytes_in: int = 0


@dataclass(frozen=True, slots=True)
class Sensor:
    """Who tells an alert: this host's name and netwatch's version, and by which rules:
    the versions of the signatures and of the configuration as a whole."""

    name: str
    version: str
    signatures: str = ""
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """An incident as it is reported at one moment of its life. `evidence_frames` are the packets
    that prove it, the most important first; empty where they are not kept."""

    id: str
    status: Literal["open", "update", "closed"]
    verdict: VerdictKind
    severity: Severity
    confidence: Confidence
    first_seen: int
    last_seen: int
    digits: int
    app: App
    ban: Ban
    exemption: Exemption | None
    device: Device
    network: Network
    vlan: int | None
    destinations: tuple[Destination, ...]
    names: tuple[str, ...]
    evidence: tuple[EvidenceItem, ...]
    counts: Counts
    community_ids: tuple[str, ...]
    sensor: Sensor
    extra: Mapping[str, Any] = field(default_factory=dict)
    evidence_frames: tuple[EvidenceFrames, ...] = field(default=(), compare=False, repr=False)
