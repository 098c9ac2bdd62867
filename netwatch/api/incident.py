"""An incident as the Python API gives it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from netwatch.api.parts import (
    App,
    Ban,
    Binding,
    CandidateSet,
    Contradiction,
    Counts,
    Destination,
    Device,
    Evidence,
    Exemption,
    Kind,
    Network,
    Sensor,
    Unheard,
    Versions,
)
from netwatch.api.view import Record
from netwatch.core.verdict import Confidence, Outcome, Severity, VerdictKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(Record):
    """One device, one app, one ban, until a quiet gap: the record of an alert with its keys as
    attributes. Times are aware and in UTC, in microseconds; `record` has them as fine as the
    capture. `duration` is in seconds."""

    __hash__ = Record.__hash__

    schema: str
    id: str
    status: Literal["open", "update", "closed"]
    verdict: VerdictKind
    severity: Severity
    confidence: Confidence
    kind: Kind
    outcome: Outcome
    blocked_by: tuple[str, ...]
    confidence_reasons: tuple[str, ...] = field(repr=False)
    first_seen: datetime
    last_seen: datetime
    duration: float
    app: App
    ban: Ban
    exemption: Exemption | None
    device: Device
    network: Network
    destinations: tuple[Destination, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    evidence: tuple[Evidence, ...] = field(repr=False)
    counts: Counts
    community_ids: tuple[str, ...] = field(repr=False)
    sensor: Sensor = field(repr=False)
    versions: Versions | None = field(default=None, repr=False)
    binding: Binding | None = field(default=None, repr=False)
    contradictions: tuple[Contradiction, ...] = field(default=(), repr=False)
    candidates: tuple[CandidateSet, ...] = field(default=(), repr=False)
    left_out: Mapping[str, int] = field(default_factory=dict, repr=False)
    shortened: Mapping[str, int] = field(default_factory=dict, repr=False)
    evidence_file: str | None = field(default=None, repr=False)
    evidence_lines: str | None = field(default=None, repr=False)
    unheard: Unheard | None = field(default=None, repr=False)
