"""What incidents, observations and matches consist of. Each class is an object inside a record,
with its keys as attributes; docs/reference/records.md describes them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from netwatch.core.alert import IncidentKind
from netwatch.core.message import Evidence as EvidenceType
from netwatch.core.seen import Checksum, ContradictionType, Directions
from netwatch.core.verdict import DeviceClass, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A product whose servers are known by name; `category` is known where a name is matched."""

    id: str
    name: str
    vendor: str
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BanPeriod:
    """One of several periods of a ban: first and last day, None where there is no limit."""

    from_: date | None
    until: date | None
    basis: str
    kind: Literal["ban", "advice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """A rule by an authority, with the period in force at the first contact; all `periods` where it
    has several."""

    id: str
    authority: str
    legal_basis: str
    from_: date | None
    until: date | None
    review: date | None
    basis: str = ""
    periods: tuple[BanPeriod, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """What exempts a device from a ban; without `apps` it is from all apps of the ban."""

    ban: str
    device: str
    apps: tuple[str, ...]
    from_: date | None
    until: date | None
    reason: str
    approved_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Who the client is."""

    id: str
    ip: str | None
    mac: str | None
    hostname: str | None
    owner: str | None
    class_: DeviceClass
    reason: str = ""
    randomised_mac: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The configured network of the client, and the VLAN of its traffic."""

    name: str
    class_: DeviceClass
    authority: str
    vlan: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A server that the device connected to."""

    ip: str
    port: int
    asn: int | None
    as_org: str | None
    country: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The rule of a signature that took a name, and where it is written."""

    text: str
    file: str
    line: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The record of a log that shows a name, in place of a packet."""

    format: str
    line: int
    lacks: tuple[str, ...] = ()
    outcome: str | None = None
    blocked_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a resolver; `ttl` is in seconds."""

    address: str | None
    ttl: int | None
    rcode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSet:
    """Names of which `count` contacts had one each, without showing which, and why these."""

    names: tuple[str, ...]
    count: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """Since when nothing was heard of a sensor, and the last status of an incident that it
    reported. Nobody knows when that ended."""

    since: datetime
    status: Literal["open", "update"]


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
class Tls:
    """What a ClientHello says beside its name."""

    version: str | None = None
    alpn: tuple[str, ...] = ()
    ja4: str | None = None
    ech: str | None = None
    ech_config_id: str | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How a piece of evidence was seen: whether the server took part, which sides of the
    conversation were seen, and what the checksum of the packet with the name is."""

    server: bool
    directions: Directions
    checksum: Checksum


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The first observation of a name by one kind of evidence, and how often it was observed. A
    piece that comes from a log has `log` in place of `packet`."""

    time: datetime
    type: EvidenceType
    name: str
    rule: Rule
    role: Role
    source: str
    packet: int | None = None
    log: Log | None = None
    count: int
    app_only: bool = False
    raw: str | None = None
    chain: tuple[str, ...] = ()
    answer: Answer | None = None
    tls: Tls | None = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContradictionPlace:
    """A contact that something speaks against, and the packet or the record of a log that it is."""

    time: datetime
    type: EvidenceType
    name: str
    source: str
    packet: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """What was seen that speaks against `count` contacts, as a sentence, with the first of them."""

    type: ContradictionType
    text: str
    count: int
    evidence: tuple[ContradictionPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What an incident looks like, and the reasons."""

    value: IncidentKind
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Contacts by what came of them."""

    reached: int
    attempted: int
    blocked: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What an incident consists of; bytes are payload."""

    lookups: int
    handshakes: int
    flows: int
    bytes_out: int
    bytes_in: int
    outcomes: Outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """The netwatch that reports."""

    name: str
    version: str
    signatures: str = ""
    policy: str = ""
    networks: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSet:
    """An installed set of signatures and bans."""

    version: int
    hash: str
    expires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Hashes of the content of what decided."""

    netwatch: str
    signatures: str
    bans: str
    configuration: str
    set: InstalledSet | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """How it is known that the address belonged to the device, and when."""

    source: str
    from_: datetime | None
    until: datetime | None
    file: str | None = None
    line: int | None = None
