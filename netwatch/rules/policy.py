"""Which ban forbids a contact, and by which clause: a pure function of its arguments.

A contact is an observation that an app's rule takes, made by a device in a network, at
packet time. First comes what holds for every ban: evidence that proves nothing, a
client outside the configured networks, a resolver that asks for others. Then each ban
is asked in its order: app, network, days, class of the device, exemption.

How sure a contact is, by evidence and role of the domain:

==========================  =========  ========  ========  ========
evidence                    exclusive  vendor    embed     cdn
==========================  =========  ========  ========  ========
handshake, Host             confirmed  probable  possible  possible
query, answer, alias        probable   possible  possible  possible
certificate                 probable   possible  possible  possible
flow to a resolved address  possible   possible  possible  possible
address in the app's AS     none       none      none      none
==========================  =========  ========  ========  ========

A certificate names all that its server could serve, not what the device asked for, so
it weighs no more than a look-up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from netwatch.core.message import HANDSHAKES, LOOKUPS, Evidence
from netwatch.core.verdict import (
    Ban,
    Confidence,
    Device,
    Exemption,
    Match,
    Network,
    Role,
    Verdict,
    VerdictKind,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_US = timedelta(microseconds=1)


def confidence(evidence: Evidence, role: Role) -> Confidence | None:
    """How sure a contact is; None for evidence that never raises an alert (ip-asn)."""
    if evidence == "ip-asn":
        return None
    if evidence in HANDSHAKES and role == "exclusive":
        return "confirmed"
    if evidence in HANDSHAKES and role == "vendor":
        return "probable"
    if evidence != "ip-from-dns" and role == "exclusive":
        return "probable"
    return "possible"


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in a time zone as ns since the epoch: from `start` up to, but without,
    `end`; None is open."""

    start: int | None
    end: int | None

    def __contains__(self, time: int) -> bool:
        return not self.before(time) and not self.after(time)

    def before(self, time: int) -> bool:
        """Whether `time` (ns) is before the first day."""
        return self.start is not None and time < self.start

    def after(self, time: int) -> bool:
        """Whether `time` (ns) is after the last day."""
        return self.end is not None and time >= self.end


def period(first: date | None, last: date | None, timezone: str) -> Period:
    """The time from the first moment of `first` to the last of `last` in `timezone`
    (IANA name). Days of 23 and 25 hours are as long as they are."""
    zone = ZoneInfo(timezone)
    after = last + _DAY if last and last < date.max else None
    return Period(_midnight(first, zone), _midnight(after, zone))


def _midnight(day: date | None, zone: ZoneInfo) -> int | None:
    if day is None:
        return None
    # where clocks skip midnight, fold=0 reads it with the offset before, which is the
    # very moment at which the day starts; where it comes twice, fold=0 is the first
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (start - _EPOCH) // _US * 1000


class Policy:
    """Bans with their exemptions, ready to judge. `bans` stay in the order given."""

    def __init__(self, bans: Iterable[Ban], exemptions: Iterable[Exemption] = ()) -> None:
        """An exemption of a ban that is not among `bans` raises KeyError."""
        self.bans = tuple(bans)
        self.exemptions = tuple(exemptions)
        zones = {ban.id: ban.timezone for ban in self.bans}
        self._periods = {ban.id: period(ban.start, ban.end, ban.timezone) for ban in self.bans}
        self._leaves: dict[str, list[tuple[Exemption, Period]]] = {ban.id: [] for ban in self.bans}
        for leave in self.exemptions:
            days = period(leave.start, leave.end, zones[leave.ban])
            self._leaves[leave.ban].append((leave, days))

    def decide(
        self,
        evidence: Evidence,
        time: int,
        match: Match,
        device: Device,
        network: Network | None,
    ) -> list[Verdict]:
        """One verdict for each ban that says something of a contact at `time` (ns), in
        the order of the bans; where none does, a single one without kind whose clause
        says why.

        `network` is where the client stands, None outside. A confidence below a ban's
        `min_confidence` changes nothing here: whether to tell of it is decided for the
        incident as a whole.
        """
        steps = self.explain(evidence, time, match, device, network, covering=True)
        told = [step for step in steps if step.kind]
        if told:
            return told
        clause = "; ".join(step.clause for step in steps) or f"no ban covers {match.app.name}"
        return [Verdict(None, confidence(evidence, match.role), clause)]

    def explain(
        self,
        evidence: Evidence,
        time: int,
        match: Match,
        device: Device,
        network: Network | None,
        *,
        covering: bool = False,
    ) -> list[Verdict]:
        """What every ban says of a contact at `time` (ns), with its clause, in order.

        Where a general clause settles it (no ban in the verdict), it stands alone.
        With `covering`, bans that do not name the app are left out.
        """
        sure = confidence(evidence, match.role)
        general = _general(evidence, device, network)
        if general or network is None:
            return [Verdict(None, sure, general)]
        return [
            self._ask(ban, time, match, device, network, sure)
            for ban in self.bans
            if ban.covers(match.app.id) or not covering
        ]

    def state(self, rule: Ban | Exemption, time: int) -> Literal["not yet", "in force", "over"]:
        """How a ban or exemption of this policy stands at `time` (ns)."""
        if isinstance(rule, Ban):
            days = self._periods[rule.id]
        else:
            days = next(days for leave, days in self._leaves[rule.ban] if leave == rule)
        return "not yet" if days.before(time) else "over" if days.after(time) else "in force"

    def _ask(
        self,
        ban: Ban,
        time: int,
        match: Match,
        device: Device,
        network: Network,
        sure: Confidence | None,
    ) -> Verdict:
        app, kind = match.app.name, device.device_class
        days = self._periods[ban.id]
        silent = ""
        if not ban.covers(match.app.id):
            silent = f"does not cover {app}"
        elif ban.networks and network.name not in ban.networks:
            silent = f"does not hold in network '{network.name}'"
        elif days.before(time):
            silent = f"is in force only from {ban.start} ({ban.timezone})"
        elif days.after(time):
            silent = f"was in force until {ban.end} ({ban.timezone})"
        elif kind not in ban.forbids and kind not in ban.advises:
            known = f"of class {kind}" if kind != "unknown" else "whose class is unknown"
            silent = f"says nothing of devices {known}"
        if silent:
            return Verdict(None, sure, f"ban '{ban.id}' {silent}", ban)
        verdict: VerdictKind = "violation" if kind in ban.forbids else "advisory"
        does = "forbids" if kind in ban.forbids else "advises against"
        since = f", in force from {ban.start} ({ban.timezone})" if ban.start else ""
        if match.app.id not in ban.apps:
            app += " (bypass: alert)"
        clause = f"ban '{ban.id}' {does} {app} on devices of class {kind}{since}"
        for leave, span in self._leaves[ban.id]:
            if leave.apps and match.app.id not in leave.apps:
                continue
            if leave.device not in (device.id, device.ip, device.mac):
                continue
            if time in span:
                until = f" until {leave.end} ({ban.timezone})" if leave.end else ""
                reason = f": {leave.reason}" if leave.reason else ""
                told = f"ban '{ban.id}' exempts '{leave.device}'{until}{reason}"
                return Verdict("exempt", sure, told, ban, leave)
            when = f"from {leave.start}" if span.before(time) else f"until {leave.end}"
            clause += f"; an exemption of '{leave.device}' holds only {when}"
        return Verdict(verdict, sure, clause, ban)


def _general(evidence: Evidence, device: Device, network: Network | None) -> str:
    if evidence == "ip-asn":
        return "an address in the app's network alone proves no contact with the app"
    if network is None:
        return "the client is outside the configured networks"
    if device.device_class == "infrastructure" and evidence in LOOKUPS:
        return "a resolver (class infrastructure) asks for others"
    return ""
