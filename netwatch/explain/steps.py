"""The steps from packet to clause, as values: what a page of an incident is rendered from.

They are taken from the record of the alert (`netwatch.explain.sources.explanation`). An unknown
value is None, or an empty text or tuple. Times are texts of RFC 3339 in UTC as in the record, days
are ``YYYY-MM-DD``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from netwatch.core.alert import AlertRecord
from netwatch.core.message import HANDSHAKES, LOOKUPS


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """A file with packets, as listed in the store: `size` is in bytes."""

    path: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet: its `number` in a `source` (file or interface), from 1. `file` is None if nothing
    more is known about the source."""

    source: str
    number: int
    time: str
    file: CaptureFile | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A resolver's answer: its first address and the time to live of it (s), None if it has none;
    then the response code gives the reason."""

    address: str | None
    ttl: int | None
    rcode: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule that matches a name, where it is written, and the public lists it comes from. The
    file is empty in records of versions without it."""

    text: str
    role: str
    file: str = ""
    line: int = 0
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log that another tool wrote in a `format`, from 1; a record, if it has no lines.
    `lacks` are words for what it does not contain (`netwatch.core.flow`)."""

    format: str
    line: int
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """How evidence was seen (`netwatch.core.flow`)."""

    server: bool
    directions: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Contact:
    """The first packet that shows a name by one kind of evidence, and how often that was seen. If
    `log` is given, it is not a packet but a line of a log, and `packet` has its file and number.

    `raw` is the name as it is in the packet, None if the packet has no name; `chain` are the
    aliases from the name asked for to the one that matches. `seen` is None in older records. One
    packet of `sampling` was looked at.
    """

    packet: Packet
    evidence: str
    name: str
    raw: str | None
    chain: tuple[str, ...]
    answer: Answer | None
    rule: Rule
    app_only: bool
    count: int
    ja4: str | None
    log: LogLine | None = None
    seen: Seen | None = None
    sampling: int = 1

    @property
    def is_on_pages(self) -> bool:
        """Whether pages unrelated to the app call the name: they embed something of it, or of its
        host names in a content network."""
        role = self.rule.role
        return role in ("embed", "cdn") or (role == "exclusive" and not self.app_only)

    @property
    def is_handshake(self) -> bool:
        """Whether the device itself sent the name to a server."""
        return self.evidence in HANDSHAKES

    @property
    def is_lookup(self) -> bool:
        """Whether the name was only looked up."""
        return self.evidence in LOOKUPS


@dataclass(frozen=True, slots=True)
class Binding:
    """Why an address is attributed to a device: the source, and since when and until when. None
    means not known, and not ended. `file` and `line` are set for a lease file."""

    source: str
    since: str | None
    until: str | None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """The device. `reason` explains why it is this one, or none, and what its class follows from;
    None in older records. `randomised_mac` is whether its MAC is not from its maker, so that it may
    change. The address of a pseudonym is empty."""

    id: str
    ip: str
    mac: str | None
    hostname: str | None
    owner: str | None
    device_class: str
    binding: Binding | None
    reason: str | None = None
    randomised_mac: bool = False

    @property
    def is_address_only(self) -> bool:
        """Whether only its address distinguishes the device from others."""
        return bool(self.ip) and self.id == self.ip


@dataclass(frozen=True, slots=True)
class Network:
    """The network of the device."""

    name: str
    device_class: str
    authority: str
    vlan: int | None


@dataclass(frozen=True, slots=True)
class Period:
    """Days on which a ban is in force, both included; None is without limit. With `advice` it only
    advises in this period."""

    start: str | None
    end: str | None
    basis: str
    advice: bool = False


@dataclass(frozen=True, slots=True)
class Ban:
    """The ban, with the period that decided, and all of them if there are several."""

    id: str
    authority: str
    legal_basis: str
    period: Period
    review: str | None
    periods: tuple[Period, ...]


@dataclass(frozen=True, slots=True)
class Exemption:
    """An exemption from the ban that was considered. `reason` and `approved_by` are from the
    register. `why_not` is empty if it applies, otherwise ``device``, ``app``, ``early`` or
    ``late``."""

    device: str
    apps: tuple[str, ...]
    start: str | None
    end: str | None
    reason: str
    approved_by: str
    why_not: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """How much there was: contacts by kind and by outcome, payload in bytes, and the time from the
    first contact to the last packet of its flows, in s."""

    lookups: int
    handshakes: int
    flows: int
    bytes_out: int
    bytes_in: int
    outcomes: Mapping[str, int]
    duration: float | None


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A contradiction to contacts of the incident: its type, and a sentence."""

    type: str
    text: str


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """The names that so many contacts may have been for, without showing which; and why these."""

    names: tuple[str, ...]
    count: int
    why: str


@dataclass(frozen=True, slots=True)
class HiddenDay:
    """A day on which the device hid its lookups: so many of its contacts went to addresses that no
    visible lookup had named. `reasons` are codes (`netwatch.coverage.bypass.REASONS`)."""

    day: str
    contacts: int
    untold: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One incident: all steps from packet to clause.

    `exemptions` are the ones considered, None if the configuration is not known. `versions` are
    what decided, by kind. `evidence_file` is the path of the packets, if they were stored. `record`
    is the alert itself. `hidden` are the days up to its end on which the device hid its lookups, as
    far as that was judged.
    """

    id: str
    status: str
    verdict: str
    severity: str
    confidence: str
    confidence_reasons: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]
    candidates: tuple[CandidateSet, ...]
    first_seen: str
    last_seen: str
    app: str
    app_id: str
    vendor: str
    ban: Ban
    exemption: Exemption | None
    exemptions: tuple[Exemption, ...] | None
    device: Device
    network: Network
    kind: str
    kind_reasons: tuple[str, ...]
    outcome: str
    blocked_by: tuple[str, ...]
    contacts: tuple[Contact, ...]
    destinations: tuple[str, ...]
    traffic: Traffic
    community_ids: tuple[str, ...]
    versions: Mapping[str, str]
    sensor: str
    evidence_file: str | None
    left_out: Mapping[str, int]
    record: AlertRecord
    hidden: tuple[HiddenDay, ...] = ()

    @property
    def is_page_possible(self) -> bool:
        """Whether a page may have called one of the names."""
        return any(contact.is_on_pages for contact in self.contacts)

    @property
    def is_connected(self) -> bool:
        """Whether more than lookups was seen: a connection, with or without a name."""
        return bool(self.traffic.handshakes) or any(not each.is_lookup for each in self.contacts)

    @property
    def ja4(self) -> tuple[str, ...]:
        """The JA4 fingerprints of the client, each once."""
        return tuple(dict.fromkeys(contact.ja4 for contact in self.contacts if contact.ja4))
