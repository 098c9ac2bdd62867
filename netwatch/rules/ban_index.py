"""The bans of an app by the time at which they decide, so that most of them are never evaluated.

The days on which bans and exemptions of an app begin and end divide time into intervals. In one
interval, all devices of one class in one network get the same decision, unless an exemption names
the device. It is made once, from the bans that are then in force, and stored. A contact costs the
same however many bans there are.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from netwatch.core.limited_dict import LimitedDict
from netwatch.core.period import Period, period
from netwatch.core.verdict import (
    BEGINNING,
    FOREVER,
    Ban,
    Confidence,
    Decision,
    Device,
    Exemption,
    Match,
    Network,
    Ruling,
    Verdict,
)

DECISION_LIMIT = 4096
"""Decisions of one app to store; if there are more, they are made again."""

MAX_REASONS = 20
"""Bans whose reasons not to apply are listed if no ban applies; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Question:
    """A contact inside the configured networks, as evaluated by every ban."""

    time: int
    match: Match
    device: Device
    network: Network
    confidence: Confidence | None


Ask = Callable[[Ban, Question], Verdict]
"""A ban's answer: its verdict, or one without `kind`."""


class ExemptionIndex:
    """Exemptions, each with its period, by ban and by the id, address or MAC that they name."""

    def __init__(self, exemptions: Iterable[tuple[Exemption, Period]]) -> None:
        self._found: dict[tuple[str, str], list[tuple[int, Exemption, Period]]] = {}
        for number, (exemption, days) in enumerate(exemptions):
            key = exemption.ban, exemption.device
            self._found.setdefault(key, []).append((number, exemption, days))

    def __iter__(self) -> Iterator[tuple[Exemption, Period]]:
        for rows in self._found.values():
            for _, exemption, days in rows:
                yield exemption, days

    def of(self, ban: str, app: str, device: Device) -> list[tuple[Exemption, Period]]:
        """The exemptions from a ban that name a device and an app, on any day, in the order
        given."""
        if not self._found:
            return []
        words = {device.id, device.ip, device.mac or device.id}
        rows = [row for word in words for row in self._found.get((ban, word), ())]
        rows.sort(key=lambda row: row[0])
        return [row[1:] for row in rows if not row[1].apps or app in row[1].apps]


class _InForce:
    """The bans in force in an interval, by their position in the order: those of `networks` by
    name, and `others`, which apply to all networks."""

    def __init__(self, bans: Iterable[tuple[int, Ban]]) -> None:
        self.others: list[tuple[int, Ban]] = []
        self.networks: dict[str, list[tuple[int, Ban]]] = {}
        for row in bans:
            for name in row[1].networks:
                self.networks.setdefault(name, []).append(row)
            if not row[1].networks:
                self.others.append(row)

    def of_network(self, name: str) -> list[Ban]:
        """The bans of a network, in order."""
        limited = self.networks.get(name)
        rows = sorted(self.others + limited) if limited else self.others
        return [ban for _, ban in rows]


class BanIndex:
    """The bans of one app, in order, and their decisions. `exemptions` are the exemptions of all
    bans; `ask` returns the answer of one ban to one question."""

    def __init__(self, app: str, bans: Sequence[Ban], exemptions: ExemptionIndex, ask: Ask) -> None:
        self._app = app
        self._bans = tuple(bans)
        self._ask = ask
        self._networks = frozenset[str]().union(*(ban.networks for ban in bans))
        spans = [
            [period(each.start, each.end, ban.timezone) for each in ban.periods] for ban in bans
        ]
        self._spans = list(zip(enumerate(bans), spans, strict=True))
        self._days = _bounds(span for of_ban in spans for span in of_ban)
        # The ids of exempted bans and the days on which exemptions begin and end, by device.
        self._exempt: dict[str, tuple[set[str], list[Period]]] = {}
        ids = {ban.id for ban in bans}
        for exemption, days in exemptions:
            if exemption.ban in ids and (not exemption.apps or app in exemption.apps):
                of_bans, spans_ = self._exempt.setdefault(exemption.device, (set(), []))
                of_bans.add(exemption.ban)
                spans_.append(days)
        self._in_force: LimitedDict[int, _InForce] = LimitedDict(DECISION_LIMIT)
        self._decisions: dict[tuple[object, ...], Decision] = {}
        self._exempt_days: dict[tuple[str, ...], list[int]] = {}
        self._rulings: dict[tuple[object, ...], Ruling] = {}

    def decide(self, time: int, match: Match, device: Device, network: Network) -> Decision:
        """What the bans say about a contact at `time` (ns)."""
        question = Question(time, match, device, network, None)
        exempt = self._exempt
        words: tuple[str, ...] = ()
        if exempt:
            named = (device.id, device.ip, device.mac or device.id)
            words = tuple(dict.fromkeys(word for word in named if word in exempt))
        place = bisect_right(self._days, time)
        decision = self._of_class(place, question)
        if words and decision.rulings:
            decision = self._with_exemptions(words, question, decision)
        if not decision.rulings and self._networks:
            # Only the words of the reason depend on the name of a network that no ban names.
            return self._stored(
                ("reason", place, device.device_class, network.name),
                lambda: self._decision((), self._days, question),
            )
        return decision

    def _of_class(self, place: int, question: Question) -> Decision:
        """The decision on all devices of a class in a network, without exemptions."""
        name = question.network.name
        key = (place, question.device.device_class, name if name in self._networks else None)
        decision = self._decisions.get(key)
        if decision is None:
            decision = self._stored(key, lambda: self._asked(place, question))
        return decision

    def _asked(self, place: int, question: Question) -> Decision:
        in_force = self._in_force.get(place)
        if in_force is None:
            rows = (row for row, spans in self._spans if any(question.time in s for s in spans))
            in_force = self._in_force[place] = _InForce(rows)
        anybody = Device("", "", None, None, None, question.device.device_class)
        asked = Question(question.time, question.match, anybody, question.network, None)
        found = (self._ruling(ban, asked) for ban in in_force.of_network(question.network.name))
        return self._decision(tuple(each for each in found if each), self._days, question)

    def _with_exemptions(
        self, words: tuple[str, ...], question: Question, decision: Decision
    ) -> Decision:
        """The decision on a device that exemptions name by these words."""
        days = self._exempt_days.get(words)
        if days is None:
            spans = (span for word in words for span in self._exempt[word][1])
            days = sorted({*self._days, *_bounds(spans)})
            if len(self._exempt_days) >= DECISION_LIMIT:
                self._exempt_days.clear()
            self._exempt_days[words] = days
        place = bisect_right(days, question.time)

        def made() -> Decision:
            bans = {ban for word in words for ban in self._exempt[word][0]}
            rulings = (
                self._ruling(ruling.ban, question) if ruling.ban.id in bans else ruling
                for ruling in decision.rulings
            )
            return self._decision(tuple(ruling for ruling in rulings if ruling), days, question)

        name, kind = question.network.name, question.device.device_class
        return self._stored((words, place, kind, name if name in self._networks else None), made)

    def _stored(self, key: tuple[object, ...], make: Callable[[], Decision]) -> Decision:
        decision = self._decisions.get(key)
        if decision is None:
            decision = make()
            if len(self._decisions) >= DECISION_LIMIT:
                self._decisions.clear()
            self._decisions[key] = decision
        return decision

    def _ruling(self, ban: Ban, question: Question) -> Ruling | None:
        """What a ban says; the same object for the same answer, since there are many decisions."""
        verdict = self._ask(ban, question)
        if verdict.kind is None:
            return None
        key = ban.id, verdict.kind, verdict.exemption
        ruling = self._rulings.get(key)
        if ruling is None:
            ruling = self._rulings[key] = Ruling(ban, verdict.kind, verdict.exemption)
        return ruling

    def _decision(
        self, rulings: tuple[Ruling, ...], days: list[int], question: Question
    ) -> Decision:
        """A decision with the interval in which it holds, and the reasons if no ban applies."""
        place = bisect_right(days, question.time)
        since = days[place - 1] if place else BEGINNING
        until = days[place] if place < len(days) else FOREVER
        return Decision.of(rulings, "" if rulings else self._reasons(question), since, until)

    def _reasons(self, question: Question) -> str:
        """Why no ban applies: the reasons of the first bans, and how many there are more."""
        said = [self._ask(ban, question).clause for ban in islice(self._bans, MAX_REASONS)]
        more = len(self._bans) - len(said)
        return "; ".join(said) + (f"; and {more:,} more bans do not apply" if more else "")


def _bounds(spans: Iterable[Period]) -> list[int]:
    """The times at which periods begin and end, sorted."""
    times = {time for span in spans for time in (span.start, span.end) if time is not None}
    return sorted(times)
