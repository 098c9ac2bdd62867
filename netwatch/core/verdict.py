"""Apps, networks, devices and bans, and the verdict of a ban on a contact."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple, Self, get_args

from netwatch.core.flow import UNSEEN, Contradiction, Frame, Seen, Sender
from netwatch.core.message import Observation
from netwatch.core.period import period

Role = Literal["exclusive", "vendor", "embed", "cdn"]

DeviceClass = Literal["service", "personal", "guest", "infrastructure", "unknown"]

VerdictKind = Literal["violation", "advisory", "exempt"]

Confidence = Literal["confirmed", "probable", "possible"]

Severity = Literal["low", "medium", "high", "critical"]

Outcome = Literal["reached", "attempted", "blocked", "unknown"]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""All of them, strongest first."""

CLIENT_LIMIT = 10_000
"""Unknown clients without a handshake that have incidents of their own, at most, per network and
hour; the configuration's default (`netwatch.incidents.unproven`)."""

RESET = "reset"
"""What blocks a connection that is refused or reset before its server has answered."""

_DAY = timedelta(days=1)

CONFIDENCE_RANK: Mapping[str, int] = {"possible": 1, "probable": 2, "confirmed": 3}
"""Confidences as numbers; stronger evidence has a higher number."""


@dataclass(frozen=True, slots=True)
class App:
    """A product whose servers are known by name."""

    id: str
    name: str
    vendor: str
    category: str


@dataclass(frozen=True, slots=True, order=True)
class RulePlace:
    """Where a rule is written, and the public lists that it comes from. `file` is
    ``signatures/apps/APP.yaml`` for a shipped rule, wherever netwatch is installed."""

    file: str = ""
    line: int = 0
    sources: tuple[str, ...] = ()


NO_PLACE = RulePlace()
"""The place of a rule that is not in a file."""


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that matches a name; `rule` is written as in the signature: `suffix tiktok.com`.

    `grade` is the confidence of a handshake with the name, and the highest of any contact; None
    means that it follows from the role. `grade_reasons` are sentences that explain it.
    `embed_reachable` is whether pages or other apps call the name too, `lone_family` the only
    family of sources that lists it, if nothing else lowers its grade. `place` is where the rule is
    written.
    """

    app: App
    rule: str
    role: Role
    grade: Confidence | None = None
    grade_reasons: tuple[str, ...] = ()
    embed_reachable: bool = False
    lone_family: str = ""
    place: RulePlace = NO_PLACE

    @property
    def app_only(self) -> bool:
        """Whether only the app calls the name, as far as is known, and no page or other app does.
        This includes a name that rests on one source."""
        return self.role == "exclusive" and not self.embed_reachable


@dataclass(frozen=True, slots=True)
class Network:
    """Address ranges and VLANs that have one class and one authority."""

    name: str
    device_class: DeviceClass
    authority: str = ""


@dataclass(frozen=True, slots=True)
class BindingPeriod:
    """How it is known that an address belonged to a device, and when.

    `source` is ``dhcp`` for a lease and ``announcement`` for other traffic (ARP, mDNS), the format
    of a lease file (``dhcpd``, ``kea``, ``dnsmasq``), ``inventory`` for a row of it, and
    ``address`` if nothing is known but the address. It begins at `since` and ends before `until`,
    both in ns; None means unknown and never. `file` and `line` are set for a row of the inventory
    or a lease file.
    """

    source: str
    since: int | None
    until: int | None
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Binding:
    """The device that had an address at some time, as learned from the network.

    `id` is None if only the device's address is known. `ambiguity` is None, or what two devices had
    in common at that time, so that they cannot be distinguished: the ``address``, the ``mac``, or
    the ``frame`` (the packet came in a frame of another device that is not known to be a router).
    `claimants` are the MACs that have one address. `frames` are the frames that prove the binding,
    if frames are stored. `period` is how it is known, and for what time.
    """

    id: str | None
    mac: bytes | None
    hostname: str | None
    ambiguity: Literal["address", "mac", "frame"] | None = None
    claimants: tuple[bytes, ...] = ()
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
    period: BindingPeriod | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Device:
    """The client of a contact.

    `id` is the id of the inventory, otherwise the MAC if the address is known to belong to it,
    otherwise the address. `binding` says how and when the address belonged to it; None if that is
    not known. `reason` explains why it is this device, or why it is ``unknown``, as a sentence
    without addresses and names. With `randomised_mac` the MAC is locally administered and not in
    the inventory: the device may have another one at another time. If it `has_pseudonym`, `id` and
    `ip` are pseudonyms, and nothing else identifies it.
    """

    id: str
    ip: str
    mac: str | None
    hostname: str | None
    owner: str | None
    device_class: DeviceClass
    binding: BindingPeriod | None = field(default=None, compare=False)
    reason: str = field(default="", compare=False)
    randomised_mac: bool = field(default=False, compare=False)
    has_pseudonym: bool = False

    @property
    def address(self) -> str | None:
        """Its IP address; None if it must not be shown."""
        return None if self.has_pseudonym else self.ip or None


@dataclass(frozen=True, slots=True)
class BanPeriod:
    """Days on which a ban is in force, from `start` to `end`, both included; None means no limit.

    `basis` is the decision that this period rests on: the first one, or an extension. With `advice`
    the authority only advised against the apps in this period, and forbade them before or later.
    """

    start: date | None
    end: date | None
    basis: str = ""
    advice: bool = False


@dataclass(frozen=True, slots=True)
class BanTexts:
    """The words of a ban in a `language`: its authority, its legal basis, and the basis of each
    period, in order. Empty ones have no translation."""

    language: str
    authority: str = ""
    legal_basis: str = ""
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ban:
    """An authority's rule against the use of apps.

    It is in force in its `periods`, of which there is at least one, in order and not overlapping;
    their days are in `timezone`. Between two periods it is not in force. `apps` are the ids of the
    banned apps, `bypass` of further apps that the ban covers because they hide which names a device
    looks up. The ban applies only in `networks` (names); an empty set means all networks. `texts`
    are its words in other languages.
    """

    id: str
    authority: str
    apps: frozenset[str]
    forbids: frozenset[str]
    advises: frozenset[str]
    periods: tuple[BanPeriod, ...]
    review: date | None
    timezone: str
    legal_basis: str
    min_confidence: Confidence
    severity: Severity
    networks: frozenset[str] = frozenset()
    bypass: frozenset[str] = frozenset()
    texts: tuple[BanTexts, ...] = ()

    @property
    def start(self) -> date | None:
        """The first day of the first period; None means no limit."""
        return self.periods[0].start

    @property
    def end(self) -> date | None:
        """The last day of the last period; None means no limit."""
        return self.periods[-1].end

    @property
    def days(self) -> list[tuple[date | None, date | None]]:
        """The first and the last day of each period."""
        return [(span.start, span.end) for span in self.periods]

    @property
    def gaps(self) -> list[tuple[date, date]]:
        """The first and the last day of each gap between two periods, in which the ban is not in
        force. Adjacent periods have no gap."""
        return [
            (before.end + _DAY, after.start - _DAY)
            for before, after in pairwise(self.periods)
            if before.end and after.start and before.end + _DAY < after.start
        ]

    def period_at(self, time: int) -> BanPeriod | None:
        """The period that is in force at `time` (ns); None if none is."""
        for span in self.periods:
            if time in period(span.start, span.end, self.timezone):
                return span
        return None


@dataclass(frozen=True, slots=True)
class Exemption:
    """A registered exemption of a device from a ban, for all of its apps or only `apps`.

    `start` and `end` are the first and the last day, in the time zone of the ban; None means no
    limit.
    """

    ban: str
    device: str
    start: date | None
    end: date | None
    reason: str
    approved_by: str
    apps: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of a ban on a contact.

    `kind` is None if the ban does not apply. `clause` is the deciding rule, in words.
    """

    kind: VerdictKind | None
    confidence: Confidence | None
    clause: str
    ban: Ban | None = None
    exemption: Exemption | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a ban says about the contacts that it applies to: the `kind` of its verdict, and the
    exemption that decides, if any."""

    ban: Ban
    kind: VerdictKind
    exemption: Exemption | None = None


BEGINNING, FOREVER = -(1 << 63), (1 << 63) - 1
"""Before and after all times, in ns."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the bans say about contacts that they treat alike.

    `rulings` has one for each ban that applies, in the order of the bans. If none applies, `clause`
    says why. The decision holds for contacts from `since` up to, but without, `until` (ns). `key`
    tells rulings apart by ban and kind: the id of the ban and the kind if there is one ruling,
    otherwise a hash of all.
    """

    rulings: tuple[Ruling, ...]
    clause: str = field(default="", compare=False)
    since: int = field(default=BEGINNING, compare=False)
    until: int = field(default=FOREVER, compare=False)
    key: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(
        cls,
        rulings: Iterable[Ruling],
        clause: str = "",
        since: int = BEGINNING,
        until: int = FOREVER,
    ) -> Self:
        """The decision with its key."""
        made = tuple(rulings)
        return cls(made, clause, since, until, _key_of(made))

    def kind_of(self, ban: str) -> VerdictKind | None:
        """The kind of the verdict of a ban, by its id; None if it has none."""
        return next((ruling.kind for ruling in self.rulings if ruling.ban.id == ban), None)

    def ruling_of(self, ban: str) -> Ruling:
        """The ruling of a ban, by its id. Raises `StopIteration` if it has none."""
        return next(ruling for ruling in self.rulings if ruling.ban.id == ban)


def _key_of(rulings: tuple[Ruling, ...]) -> tuple[str, ...]:
    said = [(ruling.ban.id, ruling.kind) for ruling in rulings]
    if len(said) == 1:
        return said[0]
    return (hashlib.blake2b(json.dumps(said).encode(), digest_size=16).hexdigest(),)


@dataclass(frozen=True, slots=True)
class Repeats:
    """Further contacts that differ from a first one only in their time, their packet, the client's
    port, and their flow.

    Together with the first there are `count`, in the minute of the first, the last at `last` (ns).
    `ports` counts them by the client's port, and `flows` has the flows of handshakes.
    """

    count: int
    last: int
    ports: Mapping[int, int]
    flows: frozenset[int]


@dataclass(frozen=True, slots=True)
class ContactDetail:
    """The data in a contact's packet besides the name.

    `raw` is the name as spelled in the packet, empty if the packet has no name. `chain` are the
    aliases from the name asked for to this one, both included; empty if it is the name asked for.
    `answers` are the first addresses of the answer that the contact is, or that led to it, with
    their TTL in seconds, and `rcode` is its response code. `ja4` is the client's fingerprint,
    `server` the server's address in a handshake.
    """

    raw: str = ""
    chain: tuple[str, ...] = ()
    answers: tuple[tuple[str, int], ...] = ()
    rcode: str = ""
    ja4: str = ""
    server: str = ""


NO_DETAIL = ContactDetail()
"""The detail of a contact without further information."""


class Candidates(NamedTuple):
    """The `names` one of which a contact was for, in order, and the name that its hello showed
    instead. `shared` tells whether any of them is not banned while the others are.

    Of a flow record `shown` is the address of the server, and `shared` says whether not its client
    but others had been told it for these names.
    """

    names: tuple[str, ...]
    shown: str
    shared: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """An observation that matches a rule of an app, with its client and what the bans say; or the
    first of several that differ in nothing that matters (`repeats`).

    `outcome` is the outcome as far as the observation itself shows it; the flow of a handshake
    tells more when it ends. `blocked_by` is what blocked it, if anything: a response code, an
    address, or `RESET`. `detail` is what its packet shows besides the name. `seen` is how it was
    seen, as far as its observation tells; its flow tells more. `contradictions` speak against it;
    `confidence` is what it is without them. `sender` is the MAC in its frame, None if there is
    none. If the packet does not say which of several names it is for, `candidates` has all of them.
    `limits` are sentences that explain why its confidence is no higher, apart from what a log
    lacks. Of the packets there one of `sampling` was looked at.
    """

    observation: Observation
    match: Match
    device: Device
    network: Network
    decision: Decision
    confidence: Confidence | None
    outcome: Outcome = "attempted"
    blocked_by: str = ""
    repeats: Repeats | None = None
    detail: ContactDetail = NO_DETAIL
    seen: Seen = UNSEEN
    contradictions: tuple[Contradiction, ...] = ()
    sender: Sender | None = None
    candidates: Candidates | None = None
    limits: tuple[str, ...] = ()
    sampling: int = 1
