"""The confidence of an incident: what its contacts together give, and why.

It is that of the strongest contact. Weak contacts do not add up: ten names that pages embed are no
more than one. There is one exception, for names that only the app calls and whose grade is
``probable`` for nothing but that one independent source lists them. Handshakes with two such names,
each listed by another family of sources, are ``confirmed``: both lists would have to be wrong, and
about the same device. Names that pages call, and names whose owner nobody confirmed, lift nothing.

Contacts may arrive in any order, and of each kind the first in time is kept, so the result is the
same in any order. There are at most as many kinds as confidences and families of sources.
"""

from collections.abc import Iterator
from typing import TypeVar

from netwatch.core.dataclass import dataclass
from netwatch.core.message import HANDSHAKES, LOOKUPS
from netwatch.core.verdict import CONFIDENCE_RANK, Confidence, Contact
from netwatch.incidents.log_limits import log_reasons
from netwatch.language.sentences import sentence
from netwatch.rules.policy import confidence as base_confidence

LIFTED: Confidence = "confirmed"
"""The confidence of handshakes with two names that only the app calls, of independent sources."""


@dataclass(frozen=True, slots=True, order=True)
class Ground:
    """A contact as far as it is a reason for a confidence. The smaller one is the better reason: a
    handshake before other evidence (`weakness`), then the earlier one.

    `time` is in ns. `grade` is that of the rule, with its reasons. `limits` are the sentences that
    say what of a log takes the confidence down.
    """

    weakness: int
    time: int
    source: str
    packet: int
    name: str
    evidence: str
    rule: str
    grade: str
    reasons: tuple[str, ...]
    limits: tuple[str, ...] = ()


class IncidentConfidence:
    """The grounds for the confidence of an incident.

    `strongest` has the first contact of each confidence, `lone` the first handshake with a name
    that only the app calls and one family of sources lists, by that family.
    """

    def __init__(self) -> None:
        self.strongest: dict[Confidence, Ground] = {}
        self.lone: dict[str, Ground] = {}

    def add(self, contact: Contact) -> None:
        """Add a contact."""
        confidence = contact.confidence
        if confidence is None:
            return
        observation, match = contact.observation, contact.match
        weakness = _WEAKNESS[_kind(observation.evidence)]
        limits = (*log_reasons(observation), *contact.limits)
        is_lone = (
            not limits
            and match.lone_family != ""
            and match.app_only
            and observation.evidence in HANDSHAKES
        )
        known = self.strongest.get(confidence)
        if (
            known is not None
            and not is_lone
            and (known.weakness, known.time) < (weakness, observation.time)
        ):
            return
        ground = Ground(
            weakness,
            observation.time,
            observation.source,
            observation.packet,
            observation.name,
            observation.evidence,
            match.rule,
            match.grade or "",
            match.grade_reasons,
            limits
            if contact.candidates or base_confidence(observation.evidence, match) != confidence
            else (),
        )
        _keep_first(self.strongest, confidence, ground)
        if is_lone:
            _keep_first(self.lone, match.lone_family, ground)

    def merge(self, other: "IncidentConfidence") -> None:
        """Add the grounds of another incident."""
        for confidence, ground in other.strongest.items():
            _keep_first(self.strongest, confidence, ground)
        for family, ground in other.lone.items():
            _keep_first(self.lone, family, ground)

    @property
    def value(self) -> Confidence | None:
        """The confidence of the incident; None where no contact has one."""
        if len(self.lone) > 1:
            return LIFTED
        return max(self.strongest, key=CONFIDENCE_RANK.__getitem__, default=None)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the confidence is what it is, as sentences: the contact that gives it, what took
        down the grade of its name, and what lifted it above other contacts."""
        return tuple(self._reasons())

    def _reasons(self) -> Iterator[str]:
        ranked = sorted(self.strongest, key=CONFIDENCE_RANK.__getitem__, reverse=True)
        if not ranked:
            return
        best, *weaker = ranked
        ground = self.strongest[best]
        yield sentence(f"gives-{_kind(ground.evidence)}", **_contact(ground), grade=best)
        yield from _limits(ground, best)
        yield from ground.limits
        if best != LIFTED and len(self.lone) > 1:
            yield _lift(self.lone)
        for confidence in weaker[:1]:
            below = self.strongest[confidence]
            if below.evidence in HANDSHAKES and below.rule != ground.rule:
                yield sentence("lifted-from", **_contact(below), grade=confidence)


Key = TypeVar("Key", Confidence, str)


def _keep_first(grounds: dict[Key, Ground], key: Key, ground: Ground) -> None:
    grounds[key] = min(ground, grounds.get(key, ground))


_WEAKNESS = {
    kind: number
    for number, kind in enumerate(("handshake", "ech", "certificate", "lookup", "address"))
}


def _kind(evidence: str) -> str:
    if evidence in HANDSHAKES:
        return "ech" if evidence == "ech-from-dns" else "handshake"
    if evidence in LOOKUPS:
        return "lookup"
    return "certificate" if evidence == "tls-cert" else "address"


def _contact(ground: Ground) -> dict[str, str]:
    return {"name": ground.name, "evidence": ground.evidence, "rule": ground.rule}


def _limits(ground: Ground, confidence: str) -> Iterator[str]:
    """What took down the confidence of a contact: its evidence, then the grade of its rule."""
    if ground.evidence not in HANDSHAKES:
        if ground.grade != confidence:
            yield sentence("no-handshake-but", grade=ground.grade)
        else:
            yield sentence("no-handshake")
    if ground.reasons:
        yield sentence(
            "grade", rule=ground.rule, grade=ground.grade, reasons="; ".join(ground.reasons)
        )


def _lift(lone: dict[str, Ground]) -> str:
    (first_family, first), (family, second) = sorted(
        lone.items(), key=lambda each: (each[1], each[0])
    )[:2]
    return sentence(
        "lifted",
        name=first.name,
        family=first_family,
        second=second.name,
        second_family=family,
        grade=LIFTED,
    )
