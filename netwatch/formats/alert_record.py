"""The record of an alert, and of a case, which is an incident that one or more sensors saw.

Each class is an object inside the record, with its keys as attributes, as in the Python API
(`netwatch.formats.typed_records`). The annotations contain everything that a program can check: the
JSON Schemas in ``netwatch/schemas/`` are generated from them, with the description of each key in
``tools/docs_generator/data/alert_fields.yaml``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Literal

from netwatch.core.alert import (
    ALERT_SCHEMA,
    Address,
    Answer,
    CandidateSet,
    Count,
    Destination,
    InstalledSet,
    Kind,
    Mark,
    Positive,
    Says,
    TriageState,
    of_kind,
)
from netwatch.core.flow import ContradictionType, Seen
from netwatch.core.message import Evidence as EvidenceType
from netwatch.core.verdict import Confidence, DeviceClass, Outcome, Role, Severity, VerdictKind
from netwatch.formats.typed_records import Record

Time = Annotated[datetime, of_kind("time")]
Moment = Annotated[datetime, Says(format="date-time")]
Day = Annotated[date | None, of_kind("day")]
Mac = Annotated[str | None, of_kind("mac"), Mark.STORED]
Vlan = Annotated[int | None, of_kind("vlan")]
Text = Annotated[str, Mark.STORED]
Filled = Annotated[str, Says(minLength=1), Mark.STORED]
Hash = Annotated[str, Says(pattern="^[0-9a-f]{32}$"), Mark.STORED]
CommunityId = Annotated[str, Says(pattern="^1:[A-Za-z0-9+/=]+$"), Mark.STORED]

_LISTED = Says(maxItems=256)
_SHORT = Says(maxItems=64)
_LACKS = ("client", "client-port", "server", "answer", "query-type", "year", "time-zone",
          "device-behind-nat")  # fmt: skip


def _counted(*names: str) -> Says:
    """A mapping with some of these counts."""
    counts = {name: {"type": "integer", "minimum": 0} for name in names}
    return Says(type="object", required=[], properties=counts)


_LISTS = ("names", "evidence", "destinations", "community_ids", "contradictions")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A product whose servers are known by name; `category` is known where a name is matched."""

    id: Filled
    name: Filled
    vendor: Text
    category: Annotated[str | None, Mark.ELSEWHERE] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BanPeriod:
    """One of several periods of a ban: first and last day, None if there is no limit."""

    from_: Day
    until: Day
    basis: str
    kind: Literal["ban", "advice"] = "ban"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """A rule by an authority, with the period in force at the first contact; all `periods` if it
    has several."""

    id: Filled
    authority: Text
    legal_basis: Text
    from_: Day
    until: Day
    review: Day
    basis: str = ""
    periods: Annotated[tuple[BanPeriod, ...], Says(minItems=2)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """What exempts a device from a ban; without `apps` it covers all apps of the ban."""

    ban: Filled
    device: Filled
    apps: tuple[Filled, ...]
    from_: Day
    until: Day
    reason: Text
    approved_by: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Who the client is."""

    id: Filled
    ip: Address | None
    mac: Mac
    hostname: Text | None
    owner: Text | None
    class_: Annotated[DeviceClass, Mark.STORED]
    reason: str = ""
    randomised_mac: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The configured network of the client, and the VLAN of its traffic."""

    name: Text
    class_: Annotated[DeviceClass, Mark.STORED]
    authority: Text
    vlan: Vlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The rule of a signature that took a name, and where it is written."""

    text: Text
    file: str
    line: Count
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The log record that shows a name, instead of a packet."""

    format: Text
    line: Positive
    lacks: Annotated[tuple[str, ...], Says(items={"enum": [*_LACKS]}), Mark.ALWAYS] = ()
    sampling: Positive | None = None
    outcome: Annotated[str | None, Mark.ELSEWHERE] = None
    blocked_by: Annotated[str | None, Mark.ELSEWHERE] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """Since when a sensor has been silent, and the last status of an incident that it reported. Its
    end is unknown."""

    since: Moment
    status: Literal["open", "update"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What a ClientHello contains besides its name."""

    version: Annotated[str | None, Mark.ELSEWHERE] = None
    alpn: Annotated[tuple[str, ...], Mark.ELSEWHERE] = ()
    ja4: Annotated[str | None, Says(type="string"), Mark.ALWAYS] = None
    ech: Annotated[str | None, Mark.ELSEWHERE] = None
    ech_config_id: Annotated[str | None, Mark.ELSEWHERE] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The first observation of a name by one kind of evidence, and how often it was observed. A
    piece that comes from a log has `log` instead of `packet`."""

    time: Time
    type: Annotated[EvidenceType, Mark.STORED]
    name: Text
    rule: Rule
    role: Annotated[Role, Mark.STORED]
    source: Text
    packet: Count | None = None
    sampling: Positive | None = None
    log: Log | None = None
    count: Positive
    app_only: Annotated[bool, Mark.ALWAYS] = False
    raw: Annotated[Text | None, Mark.ALWAYS] = None
    chain: Annotated[tuple[str, ...], Mark.ALWAYS] = ()
    answer: Annotated[Answer | None, Mark.ALWAYS] = None
    tls: Annotated[Tls | None, Mark.ALWAYS] = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContradictionPlace:
    """A contact with a contradiction, and its packet or log record."""

    time: Time
    type: Annotated[EvidenceType, Says(type="string"), Mark.STORED]
    name: Text
    source: Text
    packet: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A contradiction to `count` contacts, as a sentence, with the first of them."""

    type: Annotated[ContradictionType, Mark.KNOWN]
    text: Text
    count: Positive
    evidence: tuple[ContradictionPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Contacts by outcome."""

    reached: Count
    attempted: Count
    blocked: Count
    unknown: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactCounts:
    """What was counted; bytes are payload."""

    lookups: Count
    handshakes: Count
    flows: Count
    bytes_out: Count
    bytes_in: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(ContactCounts):
    """What an incident consists of."""

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
class Versions:
    """Content hashes of what decided."""

    netwatch: Text
    signatures: Text
    bans: Text
    configuration: Text
    set: Annotated[InstalledSet | None, Mark.ALWAYS] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """How it is known that the address belonged to the device, and when."""

    source: Text
    from_: Moment | None
    until: Moment | None
    file: Annotated[str | None, Mark.NULL] = None
    line: Annotated[Positive | None, Mark.NULL] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """What people decided, in a record that the console sends for that."""

    state: TriageState
    by: Annotated[str, Says(pattern="^u-[0-9a-f]{12}$")]
    at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(Record):
    """One device, one app, one ban, until a quiet gap: the record of an alert with its keys as
    attributes. Times are aware and in UTC, in microseconds; in `record` they have the precision of
    the capture. `duration` is in seconds."""

    __hash__ = Record.__hash__

    schema: Annotated[str, Says(const=ALERT_SCHEMA)]
    id: Hash
    status: Annotated[Literal["open", "update", "closed"], Mark.KNOWN]
    verdict: Annotated[VerdictKind, Mark.KNOWN]
    severity: Annotated[Severity, Mark.KNOWN]
    confidence: Annotated[Confidence, Mark.KNOWN]
    kind: Kind
    outcome: Annotated[Outcome, Mark.KNOWN]
    blocked_by: tuple[str, ...]
    confidence_reasons: tuple[str, ...] = field(repr=False)
    contradictions: Annotated[tuple[Contradiction, ...], _SHORT] = field(default=(), repr=False)
    candidates: tuple[CandidateSet, ...] = field(default=(), repr=False)
    first_seen: Time
    last_seen: Time
    duration: Annotated[float, Says(minimum=0)]
    app: App
    ban: Ban
    exemption: Exemption | None
    device: Device
    network: Network
    destinations: Annotated[tuple[Destination, ...], _LISTED] = field(repr=False)
    names: Annotated[tuple[Text, ...], _LISTED] = field(repr=False)
    evidence: Annotated[tuple[Evidence, ...], _LISTED] = field(repr=False)
    counts: Counts
    community_ids: Annotated[tuple[CommunityId, ...], _SHORT] = field(repr=False)
    sensor: Sensor = field(repr=False)
    versions: Versions | None = field(default=None, repr=False)
    binding: Annotated[Binding | None, Mark.NULL] = field(default=None, repr=False)
    left_out: Annotated[Mapping[str, int], _counted(*_LISTS)] = field(
        default_factory=dict, repr=False
    )
    clients: Positive | None = field(default=None, repr=False)
    shortened: Annotated[
        Mapping[str, int], _counted(*_LISTS, "sightings", "reasons", "candidates")
    ] = field(default_factory=dict, repr=False)
    evidence_file: str | None = field(default=None, repr=False)
    evidence_lines: str | None = field(default=None, repr=False)
    unheard: Unheard | None = field(default=None, repr=False)
    triage: Triage | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one sensor saw of a case, as reported and by its own clock. `clock_offset` is in
    seconds."""

    sensor: str
    incident: str
    status: Literal["open", "update", "closed"]
    verdict: VerdictKind
    confidence: Confidence
    first_seen: Time
    last_seen: Time
    clock_offset: float
    device: str | None
    network: str | None
    counts: ContactCounts
    community_ids: Count
    shared_community_ids: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(Incident):
    """An incident that one or more sensors saw, and the evidence that it is one."""

    __hash__ = Record.__hash__

    schema: Annotated[str, Says(const="netwatch.case/1")]
    community_ids: Annotated[tuple[CommunityId, ...], _LISTED] = field(repr=False)
    joined_by: Literal["community_id", "time"] | None
    seen_by: Annotated[tuple[Sighting, ...], Says(minItems=1, maxItems=256)] = field(repr=False)
