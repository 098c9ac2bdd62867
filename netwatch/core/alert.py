"""Alerts: incidents as they are reported to people and to other systems, and the words for their
kind, their outcome and the place of their evidence.

Parts of an alert whose attributes are the keys of its record are written as they are
(`netwatch.formats.alert_record`); the schema follows from their annotations.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal, get_args

from netwatch.core.flow import UNSEEN, ContradictionType, EvidenceFrames, LogInfo, Seen
from netwatch.core.message import Evidence
from netwatch.core.verdict import (
    NO_PLACE,
    App,
    Ban,
    Confidence,
    Device,
    Exemption,
    Network,
    Outcome,
    Role,
    RulePlace,
    Severity,
    VerdictKind,
)

ALERT_SCHEMA = "netwatch.alert/1"
"""The version of an alert's record, and of the values that its id is computed from."""

COMMUNITY_LIMIT = 64
"""Community IDs stored for one incident, at most."""

EVIDENCE_KEYS = ("evidence_file", "evidence_lines")
"""The keys of a record with the path of an incident's packets, and of its log records."""

UNHEARD = "unheard"
"""The key of a record that was closed because its sensor fell silent: `since` when, and the last
`status` that was reported (`netwatch.store.unheard`)."""

TRIAGE = "triage"
"""The key of a record that is sent because people have decided something of its incident: the
`state`, a pseudonym of who decided (`by`), and when (`at`)."""

TriageState = Literal["new", "seen", "in-work", "justified", "false"]
"""What people decided of an incident: nothing yet, that it was seen or is being worked on, or that
the alarm was justified or false, which closes it."""

RecordKind = Literal["observations", "alerts"]
"""The two kinds of records that a run can write."""

IncidentKind = Literal["session", "background", "embed", "lookup"]
"""What an incident looks like: the app was used, an installed app kept in touch, a page or another
app loaded a part of it, or a name was only looked up."""

Judgement = tuple[IncidentKind, Outcome]
"""The kind and the outcome by which incidents are counted."""

AlertRecord = Mapping[str, Any]
"""An alert as a JSON object, as `netwatch.formats.jsonl.alert_record` makes it."""

Situation = Literal["contacted", "attempted", "looked-up", "embedded", "blocked"]
"""What an alert is about: the first of blocked, embedded, looked up and attempted that fits, else
a contact."""

SITUATIONS: tuple[Situation, ...] = get_args(Situation)

TITLES: Mapping[str, Mapping[Situation, str]] = {
    "violation": {
        "contacted": "Banned app contacted",
        "attempted": "Contact with a banned app attempted",
        "looked-up": "Banned app looked up",
        "embedded": "Banned app contacted, possibly by a page that embeds it",
        "blocked": "Contact with a banned app blocked",
    },
    "advisory": {
        "contacted": "App contacted that is advised against",
        "attempted": "Contact attempted with an app that is advised against",
        "looked-up": "App looked up that is advised against",
        "embedded": "App contacted that is advised against, possibly by a page that embeds it",
        "blocked": "Contact blocked with an app that is advised against",
    },
    "exempt": {
        "contacted": "Banned app contacted under an exemption",
        "attempted": "Contact with a banned app attempted under an exemption",
        "looked-up": "Banned app looked up under an exemption",
        "embedded": "Banned app contacted under an exemption, possibly by a page that embeds it",
        "blocked": "Contact with a banned app blocked despite an exemption",
    },
}
"""Fixed titles by verdict and situation. SIEM rules match them, so they never change."""

_NOTES = {
    "session": "this looks like use of the app",
    "background": "this looks like an installed app that keeps in touch",
    "embed": "a page may have embedded it",
}


class Mark(Enum):
    """Properties of a key that its type does not express. `ALWAYS`: every record has the key,
    unless it is old. `NULL`: its value may be null. `ELSEWHERE`: only other kinds of records have
    it.

    When a record from elsewhere is checked, a `STORED` text must be short and without NUL, and a
    word must be a `KNOWN` one; for words without this mark, a newer netwatch may have more.
    """

    ALWAYS = "always"
    NULL = "null"
    ELSEWHERE = "elsewhere"
    STORED = "stored"
    KNOWN = "known"


class Says:
    """A part of a schema. Its ``$ref``, ``const`` or ``type`` replaces what follows from the Python
    type; everything else is added to it. `meaning` is what a ``$ref`` refers to."""

    def __init__(self, meaning: Mapping[str, Any] | None = None, **schema: Any) -> None:
        self.schema: Mapping[str, Any] = schema
        self.meaning = schema if meaning is None else meaning


DEFINITIONS: Mapping[str, Mapping[str, Any]] = {
    "time": {
        "type": "string",
        "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$",
        "description": "RFC 3339, UTC, with the resolution of the capture",
    },
    "day": {"type": ["string", "null"], "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    "address": {"type": "string", "pattern": r"^([0-9.]{7,15}|[0-9a-f:.]{2,45})$"},
    "port": {"type": "integer", "minimum": 0, "maximum": 65535},
    "mac": {"type": ["string", "null"], "pattern": "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"},
    "vlan": {"type": ["integer", "null"], "minimum": 0, "maximum": 4095},
}
"""Kinds of values by the names that the schemas give them."""


def of_kind(name: str) -> Says:
    """A reference to one of these."""
    return Says(DEFINITIONS[name], **{"$ref": f"#/$defs/{name}"})


Address = Annotated[str, of_kind("address"), Mark.STORED]
Port = Annotated[int, of_kind("port")]
Count = Annotated[int, Says(minimum=0)]
Positive = Annotated[int, Says(minimum=1)]


@dataclass(frozen=True, slots=True)
class Destination:
    """A server that a device connected to. The AS number, its organisation and the country come
    from the configured GeoIP databases."""

    ip: Address
    port: Port
    asn: int | None
    as_org: str | None
    country: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A resolver's answer that is a piece of evidence or led to one: an address with its time to
    live in seconds, both None if there is none, and the response code."""

    address: str | None
    ttl: Count | None
    rcode: str


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """The first observation of a name by one kind of evidence, and how often it was observed.

    `time` is in ns with `time_digits` significant digits after the second, `source` and `packet`
    identify the packet. `app_only` means that only the app itself looks up this name: no page and
    no other app does. `place` is where `rule` is written. `raw` is the name as spelled in the
    packet, None if the packet has no name; `chain` are the aliases from the name asked for to this
    one. `ja4` is the fingerprint of the client. A piece from a log has the log's format and what it
    lacks in `log`, and the number of its record in `packet`. `seen` is how the piece was seen; of
    several observations, the one of which most was seen is kept. One packet of `sampling` was
    looked at.
    """

    time: int
    time_digits: int
    type: Evidence
    name: str
    rule: str
    role: Role
    source: str
    packet: int
    count: int
    app_only: bool = False
    place: RulePlace = NO_PLACE
    raw: str | None = None
    chain: tuple[str, ...] = ()
    answer: Answer | None = None
    ja4: str | None = None
    log: LogInfo | None = None
    seen: Seen = UNSEEN
    sampling: int = 1


@dataclass(frozen=True, slots=True)
class ContradictionPlace:
    """The first contact with a contradiction: `source` and `packet`, at `time` in ns with
    `time_digits` significant digits after the second."""

    time: int
    time_digits: int
    type: str
    name: str
    source: str
    packet: int


@dataclass(frozen=True, slots=True)
class ContradictionItem:
    """A contradiction to `count` contacts of an incident, as a sentence, and the first of them."""

    type: ContradictionType
    text: str
    count: int
    evidence: tuple[ContradictionPlace, ...]


@dataclass(frozen=True, slots=True)
class IncidentCounts:
    """How many contacts an incident consists of.

    `flows` counts distinct flows with a name in their handshake. The bytes are the transport
    payload of those flows, sent and received by the device. `reached`, `attempted`, `blocked` and
    `unknown` count contacts by their outcome.
    """

    lookups: int = 0
    handshakes: int = 0
    flows: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    reached: int = 0
    attempted: int = 0
    blocked: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of an incident, and the reasons as sentences with the numbers they rest on."""

    value: Annotated[IncidentKind, Mark.KNOWN]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """The names that contacts may have been for, if none of them showed which: how many contacts,
    and why it is one of these, as a sentence."""

    names: tuple[str, ...]
    count: Positive
    why: str


@dataclass(frozen=True, slots=True)
class InstalledSet:
    """An installed set of signatures and bans: its version, a short hash of its content, and until
    when it is valid (RFC 3339, UTC)."""

    version: Positive
    hash: str
    expires: Annotated[str, Says(format="date-time")]


@dataclass(frozen=True, slots=True)
class Sensor:
    """The netwatch that reports an alert.

    `name` is the name of this host or, if it `is_named`, one from its configuration, which is then
    part of the ids of its incidents. `version` is netwatch's. `signatures`, `bans` and `policy` are
    versions (content hashes) of the signatures, of the bans and exemptions, and of the
    configuration as a whole. `installed_set` is None if the shipped signatures and bans are in use.
    """

    name: str
    version: str
    signatures: str = ""
    policy: str = ""
    bans: str = ""
    installed_set: InstalledSet | None = None
    is_named: bool = False

    @property
    def name_in_ids(self) -> str:
        """The name as part of ids; empty for the host name."""
        return self.name if self.is_named else ""


@dataclass(frozen=True, slots=True)
class Alert:
    """An incident as it is reported at one point of its life.

    Times are in ns with `time_digits` significant digits after the second. `evidence_frames`
    contains the packets that prove the incident, the strongest evidence first; it is empty unless
    packets are stored as evidence. `outcome` is the strongest one of its contacts, `blocked_by` are
    the answers that blocked some of them: ``NXDOMAIN``, an address, ``reset``. `confidence_reasons`
    are sentences that explain the confidence, `contradictions` what speaks against its contacts.
    `candidates` are the possible names of contacts that did not show theirs. `duration` is the time
    from the first contact to the last packet of its flows, in ns.
    """

    id: str
    status: Literal["open", "update", "closed"]
    verdict: VerdictKind
    severity: Severity
    confidence: Confidence
    first_seen: int
    last_seen: int
    time_digits: int
    app: App
    ban: Ban
    exemption: Exemption | None
    device: Device
    network: Network
    vlan: int | None
    destinations: tuple[Destination, ...]
    names: tuple[str, ...]
    evidence: tuple[EvidenceItem, ...]
    counts: IncidentCounts
    community_ids: tuple[str, ...]
    sensor: Sensor
    kind: Kind = Kind("lookup", ())
    outcome: Outcome = "unknown"
    blocked_by: tuple[str, ...] = ()
    confidence_reasons: tuple[str, ...] = ()
    contradictions: tuple[ContradictionItem, ...] = ()
    candidates: tuple[CandidateSet, ...] = ()
    duration: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    evidence_frames: tuple[EvidenceFrames, ...] = field(default=(), compare=False, repr=False)


def situation(record: AlertRecord) -> Situation:
    """The situation of an alert's record."""
    if record.get("outcome") == "blocked":
        return "blocked"
    kind = kind_of(record)
    if kind in ("embed", "lookup"):
        return "embedded" if kind == "embed" else "looked-up"
    return "attempted" if record.get("outcome") == "attempted" else "contacted"


def contacts_of(record: AlertRecord) -> int:
    """How many contacts an alert's record, or that of a case, counts: lookups and handshakes."""
    counts = record["counts"]
    number: int = counts["lookups"] + counts["handshakes"]
    return number


def kind_of(record: AlertRecord) -> str | None:
    """The kind of an alert's record, None if it has none."""
    kind: str | None = (record.get("kind") or {}).get("value")
    return kind


def verb(record: AlertRecord) -> str:
    """The device's action with the app, as a verb in the past tense."""
    outcome = record.get("outcome")
    tried = outcome in ("attempted", "blocked")
    if kind_of(record) == "lookup" or (tried and not record["counts"]["handshakes"]):
        return "looked up"
    return "tried to contact" if tried else "contacted"


def note(record: AlertRecord) -> str:
    """The meaning of an alert record's kind and outcome, as part of a sentence; empty if the verb
    says it already."""
    if record.get("outcome") == "blocked":
        app_only = any(item.get("app_only") for item in record["evidence"])
        return blocked_note(record.get("blocked_by") or (), app_only=app_only)
    if record.get("outcome") == "attempted" and kind_of(record) != "lookup":
        return "no answer was seen"
    return _NOTES.get(kind_of(record) or "", "")


def table_note(record: AlertRecord) -> str:
    """What else a reader of the table must know about an alert's record; empty if its kind and
    outcome say everything."""
    if record["outcome"] == "blocked":
        text = note(record)
    else:
        text = _NOTES["embed"] if kind_of(record) == "embed" else ""
    return "; ".join(filter(None, (text, _sensors_note(record))))


def _sensors_note(record: AlertRecord) -> str:
    """Which sensors saw a case, and the evidence that they saw the same; empty for an alert."""
    sensors = sorted({sight["sensor"] for sight in record.get("seen_by", ())})
    if not sensors:
        return ""
    proof = {
        "community_id": ", proven by flows that they share",
        "time": ", for which only device and time speak",
    }
    return f"seen by {', '.join(sensors)}{proof.get(record['joined_by'], '')}"


def blocked_note(blocked_by: Iterable[str], *, app_only: bool) -> str:
    """How a contact was blocked. A name that only the app looks up (`app_only`) shows that the app
    is installed."""
    reasons = ", ".join(blocked_by)
    text = f"blocked ({reasons})" if reasons else "blocked"
    return f"{text}, the app is probably still installed" if app_only else text


def sentences(reasons: Iterable[str]) -> str:
    """Reasons as one text, for formats that have no lists: each is a sentence."""
    return " ".join(text if text.endswith(".") else f"{text}." for text in reasons)


def number_of(item: Mapping[str, Any]) -> int:
    """The number of the packet or log record in the record of a piece of evidence."""
    log = item.get("log")
    number: int = log["line"] if log else item["packet"]
    return number


def sampling_of(item: Mapping[str, Any]) -> int:
    """Of how many packets one was looked at for the record of a piece of evidence."""
    sampling: int | None = item.get("sampling") or (item.get("log") or {}).get("sampling")
    return sampling or 1


def place_of(item: Mapping[str, Any]) -> str:
    """The place in the record of a piece of evidence."""
    return f"{item['source']}{':' if item.get('log') else '#'}{number_of(item)}"
