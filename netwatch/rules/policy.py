"""The policy: which ban applies to a contact, and with which verdict.

A contact is one observation of a name that a rule of an app matches, made by a device in a network
at packet time. The verdict is a pure function of the arguments: it does not depend on the clock, on
other contacts, or on their order.

**Order of decision.** The first condition that applies decides.

For all bans together:

1. The only evidence is ``ip-asn``: no verdict. An address in a vendor's network does not prove a
   contact with its app.
2. The client is in none of the configured networks: no verdict.
3. The device has the class ``infrastructure`` and the evidence is a lookup: no verdict. A resolver
   asks on behalf of others.

Then for each ban, in the order of the configuration and independently of the other bans:

4. The ban does not name the app, and does not cover it by ``bypass: alert``: no verdict.
5. The ban is limited to networks, and the client's network is not among them: no verdict.
6. The time is before the first day of the ban, in the ban's time zone: no verdict.
7. The time is after the last day of the ban, or between two of its periods: no verdict.
8. The class of the device is neither in ``forbids`` nor in ``advises``: no verdict.
9. An exemption from the ban covers the device (by its id, address or MAC), the app and the day:
   ``exempt``.
10. The class of the device is in ``forbids``, and the period is not advice only: ``violation``.
11. Otherwise: ``advisory``.

**Confidence** follows from the evidence and the rule that matches. A handshake gives the grade of
the rule (`netwatch.rules.grade`); no other evidence gives more than that. If nothing lowers the
grade that follows from the role:

==========================  =========  ========  ========  ========
evidence                    exclusive  vendor    embed     cdn
==========================  =========  ========  ========  ========
handshake, Host             confirmed  probable  possible  possible
query, answer, alias        probable   possible  possible  possible
certificate                 probable   possible  possible  possible
flow to a resolved address  possible   possible  possible  possible
address in the app's AS     none       none      none      none
==========================  =========  ========  ========  ========

A lookup of a name whose grade is ``probable`` therefore gives ``probable`` if only this app uses
the domain, and ``possible`` in every other case; if the grade is ``possible``, everything is.

Anybody can forge frames of a client, or of a server. So ``confirmed`` is only given if the server
took part in the conversation: it answered, or acknowledged what the client had sent; in a log, its
program served the client. If that was not seen, or if the checksum of the packet with the name is
wrong, it is ``probable`` (`as_seen`).

A certificate names everything that its server could serve, not what the device requested, so it
weighs no more than a lookup. Whether a confidence is high enough to report is decided for the
incident as a whole, by the ban's ``min_confidence``, and not here.

**Review.** `review_ban` lists what is due for a ban on a day: its review, its end, its gaps, and
what is not confirmed. It depends only on the ban and the day, so it also works for past days.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from netwatch.core.flow import Seen
from netwatch.core.message import HANDSHAKES, LOOKUPS, Evidence
from netwatch.core.period import period
from netwatch.core.verdict import (
    Ban,
    Confidence,
    Decision,
    Device,
    Exemption,
    Match,
    Network,
    Verdict,
    VerdictKind,
)
from netwatch.rules.ban_index import BanIndex, ExemptionIndex, Question
from netwatch.rules.grade import GRADE_OF_ROLE

OUTSIDE = "the client is outside the configured networks"
"""The clause of a verdict on a client that no network matches."""


def confidence(evidence: Evidence, match: Match) -> Confidence | None:
    """The confidence of a contact; None for evidence that never raises an alert (``ip-asn``)."""
    if evidence == "ip-asn":
        return None
    grade = match.grade or GRADE_OF_ROLE[match.role]
    if evidence in HANDSHAKES:
        return "probable" if evidence == "ech-from-dns" and grade == "confirmed" else grade
    if evidence != "ip-from-dns" and match.role == "exclusive" and grade != "possible":
        return "probable"
    return "possible"


def as_seen(confidence: Confidence | None, seen: Seen) -> Confidence | None:
    """The confidence that a contact would have with this one if both ends were seen to take
    part."""
    if confidence == "confirmed" and not seen.proves_contact:
        return "probable"
    return confidence


State = Literal["not yet", "in force", "gap", "over"]
"""Whether a rule is in force: ``gap`` means between two of its periods."""


class Policy:
    """Bans with their exemptions, ready to decide. `bans` stay in the order given; `KeyError` if an
    exemption names a ban that is not among them."""

    def __init__(self, bans: Iterable[Ban], exemptions: Iterable[Exemption] = ()) -> None:
        self.bans = tuple(bans)
        self.exemptions = tuple(exemptions)
        self._zones = {ban.id: ban.timezone for ban in self.bans}
        self._by_app: dict[str, list[Ban]] = {}
        for ban in self.bans:
            for app_id in ban.apps | ban.bypass:
                self._by_app.setdefault(app_id, []).append(ban)
        self._exemptions = ExemptionIndex(
            (exemption, period(exemption.start, exemption.end, self._zones[exemption.ban]))
            for exemption in self.exemptions
        )
        self._decided: dict[str, BanIndex] = {}
        self._undecided: dict[str, Decision] = {}

    def decide(
        self,
        evidence: Evidence,
        time: int,
        match: Match,
        device: Device,
        network: Network | None,
    ) -> Decision:
        """What the bans say about a contact at `time` (ns). If none applies, `clause` says why.

        `network` is the client's network, None outside the configured ones. Decisions are stored,
        and hold until a day on which a ban or an exemption begins or ends.
        """
        reason = _why_no_ban_applies(evidence, device, network)
        app = match.app
        if not reason and network is not None:
            index = self._decided.get(app.id)
            if index is not None:
                return index.decide(time, match, device, network)
            if app.id in self._by_app:
                index = BanIndex(app.id, self._by_app[app.id], self._exemptions, self._ask)
                self._decided[app.id] = index
                return index.decide(time, match, device, network)
            reason = f"no ban covers {app.name}"
        decision = self._undecided.get(reason)
        if decision is None:
            decision = self._undecided[reason] = Decision.of((), reason)
        return decision

    def explain(
        self,
        evidence: Evidence,
        time: int,
        match: Match,
        device: Device,
        network: Network | None,
    ) -> list[Verdict]:
        """The answer of every ban to a contact at `time` (ns), in order: its verdict, or one
        without `kind` whose `clause` says why it has none. If a condition for all bans applies,
        the only verdict has no ban."""
        sure = confidence(evidence, match)
        reason = _why_no_ban_applies(evidence, device, network)
        if reason or network is None:
            return [Verdict(None, sure, reason)]
        question = Question(time, match, device, network, sure)
        return [self._ask(ban, question) for ban in self.bans]

    def state(self, rule: Ban | Exemption, time: int) -> State:
        """Whether a ban or an exemption of this policy is in force at `time` (ns)."""
        if isinstance(rule, Ban):
            return ban_state(rule, time)
        days = period(rule.start, rule.end, self._zones[rule.ban])
        return "not yet" if days.is_after(time) else "over" if days.is_before(time) else "in force"

    def _ask(self, ban: Ban, question: Question) -> Verdict:
        reason = _why_not_applicable(ban, question)
        if reason:
            return Verdict(None, question.confidence, f"ban '{ban.id}' {reason}", ban)
        device_class = question.device.device_class
        in_force = ban.period_at(question.time)
        is_forbidden = device_class in ban.forbids and not (in_force and in_force.advice)
        kind: VerdictKind = "violation" if is_forbidden else "advisory"
        clause = _clause(ban, question, kind)
        for exemption, days in self._exemptions.of(ban.id, question.match.app.id, question.device):
            if question.time in days:
                text = _exemption_clause(ban, exemption)
                return Verdict("exempt", question.confidence, text, ban, exemption)
            when = (
                f"from {exemption.start}"
                if days.is_after(question.time)
                else f"until {exemption.end}"
            )
            clause += f"; an exemption of '{exemption.device}' is in force only {when}"
        return Verdict(kind, question.confidence, clause, ban)


def ban_state(ban: Ban, time: int) -> State:
    """Whether a ban is in force at `time` (ns); ``gap`` between two of its periods."""
    if ban.period_at(time):
        return "in force"
    days = period(ban.start, ban.end, ban.timezone)
    return "not yet" if days.is_after(time) else "over" if days.is_before(time) else "gap"


def _why_no_ban_applies(evidence: Evidence, device: Device, network: Network | None) -> str:
    """Which condition for all bans applies, as a sentence; empty if none does."""
    if evidence == "ip-asn":
        return "an address in the app's network by itself proves no contact with the app"
    if network is None:
        return OUTSIDE
    if device.device_class == "infrastructure" and evidence in LOOKUPS:
        return "a resolver (class infrastructure) asks for others"
    return ""


def _why_not_applicable(ban: Ban, question: Question) -> str:
    """Why a ban has no verdict, as the end of a sentence; empty if it has one."""
    device_class, network = question.device.device_class, question.network
    if question.match.app.id not in ban.apps | ban.bypass:
        return f"does not cover {question.match.app.name}"
    if ban.networks and network.name not in ban.networks:
        return f"does not apply in network '{network.name}'"
    if reason := _why_not_in_force(ban, question.time):
        return f"{reason} ({ban.timezone})"
    if device_class not in ban.forbids and device_class not in ban.advises:
        devices = (
            "whose class is unknown" if device_class == "unknown" else f"of class {device_class}"
        )
        return f"does not apply to devices {devices}"
    return ""


def _why_not_in_force(ban: Ban, time: int) -> str:
    match ban_state(ban, time):
        case "in force":
            return ""
        case "not yet":
            return f"is in force only from {ban.start}"
        case "over":
            return f"was in force until {ban.end}"
    first, last = next(gap for gap in ban.gaps if time in period(*gap, ban.timezone))
    return f"was not in force between {first} and {last}"


def _clause(ban: Ban, question: Question, kind: VerdictKind) -> str:
    verb = "forbids" if kind == "violation" else "advises against"
    app = question.match.app.name
    if question.match.app.id not in ban.apps:
        app += " (bypass: alert)"
    days = ban.period_at(question.time)
    since = f", in force from {days.start} ({ban.timezone})" if days and days.start else ""
    return f"ban '{ban.id}' {verb} {app} on devices of class {question.device.device_class}{since}"


def _exemption_clause(ban: Ban, exemption: Exemption) -> str:
    until = f" until {exemption.end} ({ban.timezone})" if exemption.end else ""
    reason = f": {exemption.reason}" if exemption.reason else ""
    return f"ban '{ban.id}' exempts '{exemption.device}'{until}{reason}"


FindingKind = Literal["review", "expired", "not-yet", "gap", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs attention: `day` is the day concerned, None if there is none, `text`
    describes it.

    ``review``: the day of the review has come, or comes soon. ``expired``: the last period is over.
    ``not-yet``: the first period has not begun. ``gap``: days between two periods on which the ban
    was or is not in force. ``unconfirmed``: not confirmed by any source.
    """

    kind: FindingKind
    day: date | None
    text: str


def state_on(ban: Ban, day: date) -> State:
    """Whether a ban is in force on a day of its time zone; ``gap`` between two periods."""
    if any(_contains(first, last, day) for first, last in ban.days):
        return "in force"
    if ban.start is not None and day < ban.start:
        return "not yet"
    return "over" if ban.end is not None and day > ban.end else "gap"


def review_ban(
    ban: Ban, day: date, within: int, unconfirmed: Sequence[str] = (), status: str = ""
) -> Iterator[Finding]:
    """What is due for a ban on a day, or within as many days from it. `unconfirmed` and `status`
    are its pack's."""
    if review := _review(ban, day, within):
        yield review
    state = state_on(ban, day)
    if state == "over":
        yield Finding("expired", ban.end, f"was in force until {ban.end}")
    if state == "not yet":
        yield Finding("not-yet", ban.start, f"is in force only from {ban.start}")
    for first, last in ban.gaps:
        yield Finding("gap", first, f"not in force between {first} and {last}")
    if unconfirmed:
        words = ", ".join(unconfirmed)
        yield Finding(
            "unconfirmed", None, f"not confirmed: {words}" + (f" ({status})" * bool(status))
        )


def open_review(ban: Ban, known: date = date.max) -> date | None:
    """The day of the review, unless a later decision settled it: a further period, of those that
    had begun on the day `known`, begins at or after it."""
    review = ban.review
    if review is None:
        return None
    is_settled = any(period.start and review <= period.start <= known for period in ban.periods[1:])
    return None if is_settled else review


def _review(ban: Ban, day: date, within: int) -> Finding | None:
    """The review that is due on a day, as known on that day."""
    review = open_review(ban, day)
    if review is None or review > day + timedelta(days=within):
        return None
    when = "was due on" if review < day else "is due on"
    return Finding("review", review, f"its review {when} {review}")


def _contains(first: date | None, last: date | None, day: date) -> bool:
    return (first or date.min) <= day <= (last or date.max)
