"""The content of a report, as values. `netwatch.report.files` writes them as JSON, under the same
names.

Times are texts in RFC 3339 and UTC, days are texts ``YYYY-MM-DD`` in the time zone given with them,
shares are numbers from 0 to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from netwatch.core.verdict import BanTexts

AnswerWord = Literal["kept", "not-kept", "cannot-be-said", "not-in-force"]

Value = str | int | float | None

Event = Literal["from", "extended", "until", "review", "exemption", "exemption-ends", "block"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of an answer, by its code (`netwatch.report.answer.REASONS`), with its numbers."""

    code: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class PeriodInForce:
    """Days of the report on which a ban was in force, and the decision that they rest on."""

    first: str
    last: str
    basis: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a ban was complied with on its `days_in_force` of the report's days. `unnamed_share`
    is the share of the flows with content, in the networks that the ban is about, without a
    readable name; None if no such flow is known. `reasons` decide, `notes` do not."""

    word: AnswerWord
    days_in_force: int
    unnamed_share: float | None
    flows: int
    unnamed: int
    reasons: tuple[Reason, ...]
    notes: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """A time in which something is missing for the answer: in which `network`, for which `reason`
    (`netwatch.coverage.missing.MISSING_REASONS`), and the `command` that closes the gap, None if
    there is none."""

    begin: str
    end: str
    network: str
    reason: str
    command: str | None


@dataclass(frozen=True, slots=True)
class BanCoverage:
    """The total `hours`, of the networks that a ban is about, in which it forbids; for how many of
    them there are packets or logs (`captured`), only flow records (`by_flows`), only logs of single
    services (`by_logs`), how many were judged by this ban with these signatures, and in how many
    names were readable. A time without a packet that is too short for a gap counts like its
    neighbours. `missing` are the longest times that lack something, `missing_left` are more."""

    hours: float
    captured: float
    by_flows: float
    by_logs: float
    judged: float
    readable: float
    missing: tuple[Missing, ...]
    missing_left: int = 0


@dataclass(frozen=True, slots=True)
class Bound:
    """With the probability `level` at most `contacts` of the `unread` flows without a readable name
    are contacts with the apps of the ban, under the `assumption` in words; `named` flows had a
    name."""

    contacts: int
    level: float
    assumption: str
    named: int
    unread: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Incidents by verdict, and violations by their weight (`netwatch.report.answer.WEIGHTS`)."""

    violation: int = 0
    advisory: int = 0
    exempt: int = 0
    proved: int = 0
    unanswered: int = 0
    blocked: int = 0
    probable: int = 0
    lookup: int = 0
    embed: int = 0
    possible: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.violation + self.advisory + self.exempt

    @property
    def categories(self) -> dict[str, int]:
        """The incidents by how they count for the answer (`netwatch.charts.weeks.CATEGORIES`)."""
        return {
            "proved": self.proved,
            "open": self.unanswered + self.probable,
            "blocked": self.blocked,
            "embed": self.embed,
            "lookup": self.lookup,
            "possible": self.possible,
            "advisory": self.advisory,
            "exempt": self.exempt,
        }


@dataclass(frozen=True, slots=True)
class WeekCounts:
    """The incidents that began in the week from `monday`. `captured` tells whether there was any
    capture in it, `hours_captured` for how many of its `hours`. Without one, and without an
    incident, `counts` is None: nothing is known. `missing` are the days of the report in it without
    a capture."""

    monday: str
    counts: Counts | None
    captured: bool
    hours: float
    hours_captured: float
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Incidents of a ban in the days of the report, and by their properties. `merged` further ones
    were seen by two overlapping runs, and are counted once."""

    all: Counts
    app: Mapping[str, Counts]
    network: Mapping[str, Counts]
    device_class: Mapping[str, Counts]
    kind: Mapping[str, Counts]
    outcome: Mapping[str, Counts]
    confidence: Mapping[str, Counts]
    merged: int


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device with incidents under a ban: on how many days and in which weeks it had how many."""

    device: str
    network: str
    device_class: str
    apps: tuple[str, ...]
    counts: Counts
    days: int
    weeks: Mapping[str, int]
    first_seen: str
    last_seen: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident of a ban: `weight` is how it counts for the answer
    (`netwatch.report.answer.WEIGHTS`). At a centre it is a case: `seen_by` are the sensors that saw
    it, and `joined_by` the evidence that they saw one incident. `server` is what was seen of
    servers (`netwatch.report.labels.servers`). `unheard` is when its sensor was last heard, if its
    end was never reported; otherwise empty. `by_flows` says that of its connections nothing but
    flow records are known. For some of its evidence one packet of `sampling` was looked at."""

    id: str
    first_seen: str
    last_seen: str
    verdict: str
    confidence: str
    kind: str
    outcome: str
    weight: str
    app: str
    device: str
    network: str
    device_class: str
    seen_by: tuple[str, ...] = ()
    joined_by: str = ""
    server: str = ""
    unheard: str = ""
    by_flows: bool = False
    sampling: int = 1


ExemptionState = Literal["used", "unused", "used-after-expiry", "not-registered"]


@dataclass(frozen=True, slots=True)
class ExemptionRow:
    """An exemption of the register, and what it was used for. `after_expiry` are violations of the
    device after its last day; ``not-registered`` is one that covered incidents and is no longer in
    the configuration."""

    ban: str
    device: str
    apps: tuple[str, ...]
    first: str | None
    last: str | None
    reason: str
    approved_by: str
    state: ExemptionState
    used: int
    after_expiry: int


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """The flows of a network: how many with a read name, and the others by reason. `named_share`
    leaves out flows without content; None if there is no other. `one_of_k` are the flows
    ``one-of-k`` by their k."""

    network: str
    device_class: str
    flows: int
    named: int
    unnamed: Mapping[str, int]
    named_share: float | None
    one_of_k: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BlindDeviceRow:
    """A device many of whose flows could not be read: its flows with content, those without a name
    by reason, the most frequent first, and the share of these."""

    device: str
    network: str
    device_class: str
    flows: int
    unnamed: Mapping[str, int]
    unnamed_share: float


@dataclass(frozen=True, slots=True)
class BlindDevices:
    """The devices with more unreadable flows than the threshold; `left` are more of them. They were
    counted from `read` of the `records` of coverage, and `uncounted` is how often a device was not
    counted because there were too many."""

    devices: tuple[BlindDeviceRow, ...]
    left: int
    records: int
    read: int
    uncounted: int


@dataclass(frozen=True, slots=True)
class BypassRow:
    """A device that hid its lookups on `days` days from `first` to `last`: its contacts on them,
    those with addresses that nobody had been told, their share, and the least lower bound of it.
    `past_share` and `others_share` are what the last day was compared with, None where there was
    too little; `reasons` are the codes of all days (`netwatch.coverage.bypass.REASONS`)."""

    device: str
    network: str
    device_class: str
    first: str
    last: str
    days: int
    contacts: int
    untold: int
    share: float
    low: float
    past_share: float | None
    others_share: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bypasses:
    """The devices that hid their lookups, those with most days first; `left` are more of them.
    `judged` days of devices had enough contacts to tell, and `unread` days were not looked at
    because there are too many flows, or files that cannot be read."""

    devices: tuple[BypassRow, ...]
    left: int
    judged: int
    unread: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a capture."""

    begin: str
    end: str
    hours: float


@dataclass(frozen=True, slots=True)
class SensorSilence:
    """A time in which a sensor of a fleet was not heard, within the days of the report."""

    sensor: str
    begin: str
    end: str
    hours: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage in the days of the report. `beyond` of the `records` of coverage extend beyond
    these days, and count as a whole. `hours` is how long there was a capture, of `hours_of_period`;
    `gaps` are the longest times without one, `gaps_left` are more. `by_device` is None if not
    requested. `silences` are the longest times in which a sensor was not heard, `silences_left` are
    more. `bypasses` is None where `by_device` is, and where nobody
    said where the facts are."""

    networks: tuple[NetworkRow, ...]
    by_device: BlindDevices | None
    records: int
    beyond: int
    packets: int
    packets_dropped: int
    packets_unreadable: int
    hours: float
    hours_of_period: float
    gaps: tuple[Gap, ...]
    gaps_left: int
    partial_captures: int
    lost_rows: int
    silences: tuple[SensorSilence, ...] = ()
    silences_left: int = 0
    bypasses: Bypasses | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """The differences from the previous period: incidents then and now, by verdict, None if nothing
    was captured; the share of named flows then and now; by network; how many devices are new, gone,
    or had incidents in both; and for how many hours there was a capture then and now."""

    before: Counts | None
    after: Counts | None
    named_before: float | None
    named_after: float | None
    networks: Mapping[str, "NetworkChangeRow"]
    apps: Mapping[str, tuple[Counts, Counts]]
    devices_new: int
    devices_gone: int
    devices_again: int
    hours_before: float = 0.0
    hours_after: float = 0.0


@dataclass(frozen=True, slots=True)
class NetworkChangeRow:
    """Incidents of a network and its share of named flows, before and after; None if it was not
    captured."""

    before: int | None
    after: int | None
    named_before: float | None
    named_after: float | None


@dataclass(frozen=True, slots=True)
class BanDayRow:
    """A day of a ban in the report's weeks: ``from``, ``extended``, ``until`` or ``review``; or the
    day of a measure: ``exemption``, ``exemption-ends``, or ``block``, the first with a blocked
    contact."""

    day: str
    event: Event


@dataclass(frozen=True, slots=True)
class BanReport:
    """The content of the report about one ban; its days are in `timezone`. `bound` is None if
    hidden contacts cannot be estimated, for the `bound_reason`
    (`netwatch.report.blind_devices.REASONS`). `texts` are its words by language, with the basis of
    each of its `periods`."""

    id: str
    authority: str
    legal_basis: str
    timezone: str
    review: str | None
    apps: tuple[str, ...]
    forbids: tuple[str, ...]
    advises: tuple[str, ...]
    min_confidence: str
    periods: tuple[PeriodInForce, ...]
    days: tuple[BanDayRow, ...]
    answer: Answer
    coverage: BanCoverage
    totals: Totals
    weeks: tuple[WeekCounts, ...]
    devices: tuple[DeviceRow, ...]
    exemptions: tuple[ExemptionRow, ...]
    change: Change
    incidents: tuple[IncidentRow, ...]
    texts: tuple[BanTexts, ...] = ()
    bound: Bound | None = None
    bound_reason: Reason | None = None

    def words(self, language: str) -> BanTexts:
        """Its words in a language; those without a translation are as written."""
        found = next((text for text in self.texts if text.language == language), BanTexts(language))
        return BanTexts(
            language,
            found.authority or self.authority,
            found.legal_basis or self.legal_basis,
            found.bases or tuple(period.basis for period in self.periods),
        )


@dataclass(frozen=True, slots=True)
class CaptureRow:
    """A file that was read: its time, whether all of it was stored, and its SHA-256."""

    path: str
    size: int | None
    sha256: str
    first: str | None
    last: str | None
    state: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """What decided incidents of the period: content hashes, as alerts name them."""

    netwatch: str
    signatures: str
    bans: str
    configuration: str


@dataclass(frozen=True, slots=True)
class Sources:
    """The basis of the report. `configuration` is the current one; `versions` decided."""

    store: str
    sensors: tuple[str, ...]
    configuration: VersionRow
    versions: tuple[VersionRow, ...]
    captures: tuple[CaptureRow, ...]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of an answer: the greatest share of flows without a name, the longest time
    without a capture (s), and the greatest share of packets that were dropped or unreadable, with
    which a ban can be found to be complied with."""

    unnamed: float = 0.05
    gap: int = 3600
    packets: float = 0.01


@dataclass(frozen=True, slots=True)
class AuditHead:
    """How many rows the audit of the console had when the report was made, and the hash of the last
    one. The holder of the report can show that none of them was changed or removed since."""

    rows: int
    hash: str


@dataclass(frozen=True, slots=True)
class Report:
    """A report on the days from `first` to `last`. `timezone` is the bans', or UTC if they have
    different ones. `pseudonyms` tells whether devices have pseudonyms made for it. `audit` is None
    if no console has written one. `controller` is the organisation, as named in the
    configuration."""

    first: str
    last: str
    timezone: str
    previous_first: str
    previous_last: str
    made: str
    netwatch: str
    pseudonyms: bool
    thresholds: Thresholds
    bans: tuple[BanReport, ...]
    other_bans: Mapping[str, int]
    coverage: Coverage
    sources: Sources
    audit: AuditHead | None = None
    controller: str = ""
