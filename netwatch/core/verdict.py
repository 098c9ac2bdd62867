"""Apps, networks, devices and bans, and what a ban says of a contact."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from netwatch.core.frame import Frame
from netwatch.core.observation import Observation

Role = Literal["exclusive", "vendor", "embed", "cdn"]

DeviceClass = Literal["service", "personal", "guest", "infrastructure", "unknown"]

VerdictKind = Literal["violation", "advisory", "exempt"]

Confidence = Literal["confirmed", "probable", "possible"]

Severity = Literal["low", "medium", "high", "critical"]

CONFIDENCE_RANK: Mapping[str, int] = {"possible": 1, "probable": 2, "confirmed": 3}
"""Confidences in rising order."""


@dataclass(frozen=True, slots=True)
class App:
    """A product with backends that are known by name."""

    id: str
    name: str
    vendor: str
    category: str


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that takes a name: `rule` as in the signature file, `suffix tiktok.com`."""

    app: App
    rule: str
    role: Role


@dataclass(frozen=True, slots=True)
class Network:
    """Address ranges and VLANs under one class and authority."""

    name: str
    device_class: DeviceClass
    authority: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """Who has an address at some time, as learned from the wire. `id` is None where the
    address itself has to do for it. `shared` is None, or says what two devices have at
    that time, so that nobody can tell them apart; ``frame`` is a packet in a frame of
    another device that is no router as far as is known. `frames` are the packets that say
    so, where proof is wanted."""

    id: str | None
    mac: bytes | None
    hostname: str | None
    shared: Literal["address", "mac", "frame"] | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Device:
    """Who the client is. `id` is that of the inventory, else the MAC where it was learned
    that the address is that device's, else the address."""

    id: str
    ip: str
    mac: str | None
    hostname: str | None
    owner: str | None
    device_class: DeviceClass


@dataclass(frozen=True, slots=True)
class Ban:
    """A rule by an authority. `start` and `end` are the first and last day in force in
    `timezone`; None is open. `apps` holds app ids, resolved; `bypass` those that it covers
    besides because they hide what a device asks for. `networks` limits it to networks of
    these names; empty is all."""

    id: str
    authority: str
    apps: frozenset[str]
    forbids: frozenset[str]
    advises: frozenset[str]
    start: date | None
    end: date | None
    review: date | None
    timezone: str
    legal_basis: str
    min_confidence: Confidence
    severity: Severity
    networks: frozenset[str] = frozenset()
    bypass: frozenset[str] = frozenset()

    def covers(self, app: str) -> bool:
        """Whether the ban speaks of the app of this id."""
        return app in self.apps or app in self.bypass


@dataclass(frozen=True, slots=True)
class Exemption:
    """A registered leave from a ban for a device (and, where named, some apps) from
    `start` to `end`, whole days in the ban's time zone; None is open."""

    ban: str
    device: str
    start: date | None
    end: date | None
    reason: str
    approved_by: str
    apps: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a ban says of a contact; `kind` None where it says nothing, and `clause`
    which rule decided, in words."""

    kind: VerdictKind | None
    confidence: Confidence | None
    clause: str
    ban: Ban | None = None
    exemption: Exemption | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """An observation that an app's rule takes, with its client and one ban's verdict."""

    observation: Observation
    match: Match
    device: Device
    network: Network
    verdict: Verdict
