"""The confidence of an incident: what its contacts prove together, and why.

It is the strongest contact's. Weak contacts do not add up: ten names that pages embed are no more
than one. There is one exception, for names that only the app calls and whose grade is only
``probable`` because a single independent source lists them. Handshakes with two such names, each
listed by another family of sources, are ``confirmed``: both lists would have to be wrong, and about
the same device. Names that pages call, and names whose owner was never confirmed, do not count for
this.

A handshake is only a ground for ``confirmed`` if the server took part (`netwatch.rules.policy`),
which is mostly known only when its flow continues. Until then it is `unseen`: a ground for
``probable``. A packet by itself only tells its checksum and its sender. What a log tells about the
server depends on the program that wrote it: one that served the client took part itself, while
others only watched and report whether a server answered.

Contacts may arrive in any order, and of each kind the first in time is kept, so the result is the
same in any order. There are at most as many kinds as confidences and families of sources.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from netwatch.core.flow import Seen, checksum_of, origin_of
from netwatch.core.message import HANDSHAKES, LOOKUPS, Observation
from netwatch.core.verdict import CONFIDENCE_RANK, Confidence, Contact
from netwatch.language.sentences import sentence
from netwatch.rules.policy import as_seen
from netwatch.rules.policy import confidence as base_confidence

HIGHEST: Confidence = "probable"
"""The highest confidence of a contact whose time or device is not certain, and of a denied
request."""

_LACKS = {
    "year": "log-year",
    "time-zone": "log-time-zone",
    "device-behind-nat": "log-behind-nat",
}
"""What a log may lack so that time or device are not certain, with the code of the sentence."""

LIFTED: Confidence = "confirmed"
"""The confidence of handshakes with two names that only the app calls, from independent sources."""


UNSEEN_GIVES: Confidence = "probable"
"""The confidence of a contact that would be ``confirmed`` if its server was seen to take part."""

WATCHING = frozenset({"suricata", "zeek", "fortigate", "palo", "sysmon"})
"""Origins (`netwatch.core.flow.origin_of`) of logs whose programs serve no client: they report what
they saw pass, or what a program on the device requested. All others are resolvers and proxies,
which served the client in their log."""

_BY_SERVER = ("dns-answer", "dns-cname", "tls-cert")
"""Kinds of evidence whose packet the server sends."""


def limited(confidence: Confidence | None, shown: Observation) -> Confidence | None:
    """The confidence of a contact, which its rule and evidence would give this one."""
    if confidence == "confirmed" and any(log_reasons(shown)):
        return HIGHEST
    return confidence


def log_reasons(shown: Observation) -> Iterator[str]:
    """Why the confidence of a contact is not above `HIGHEST`, as sentences; none for packets, and
    if the log lacks nothing."""
    log = shown.log
    if log is None:
        return
    for lack, code in _LACKS.items():
        if lack in log.lacks:
            yield sentence(code, format=log.format, grade=HIGHEST)
    if log.outcome == "blocked":
        yield sentence("log-denied", by=log.blocked_by or log.format, grade=HIGHEST)


@dataclass(frozen=True, slots=True, order=True)
class Ground:
    """A contact as a reason for a confidence. The smaller one is the better reason: a handshake
    before other evidence (`weakness`), then the earlier one.

    `time` is in ns. `seen` is smaller if more was seen of the contact. `grade` is the rule's, with
    its reasons. `limits` are sentences about what in a log, or in how it was seen, lowers the
    confidence.
    """

    weakness: int
    time: int
    source: str
    packet: int
    seen: int
    name: str
    evidence: str
    rule: str
    grade: str
    reasons: tuple[str, ...]
    limits: tuple[str, ...] = ()


class IncidentConfidence:
    """The grounds for the confidence of an incident.

    `strongest` has the first contact of each confidence, `lone` the first handshake with a name
    that only the app calls and one family of sources lists, by that family. `unseen` has the first
    contact that would have a confidence if more were seen of it, by that confidence.
    """

    def __init__(self) -> None:
        self.strongest: dict[Confidence, Ground] = {}
        self.unseen: dict[Confidence, Ground] = {}
        self.lone: dict[str, Ground] = {}

    def add(self, contact: Contact) -> None:
        """Add a contact, or what else was seen of one that was added before."""
        confidence, seen = contact.confidence, contact.seen
        if confidence is None:
            return
        observation, match = contact.observation, contact.match
        weakness = _WEAKNESS[_kind(observation.evidence)]
        limits = (*log_reasons(observation), *contact.limits)
        if contact.contradictions:
            confidence = HIGHEST if confidence == "confirmed" else confidence
            limits += tuple(
                _contradicted(contradiction.text) for contradiction in contact.contradictions
            )
        is_lone = (
            not limits
            and match.lone_family != ""
            and match.app_only
            and observation.evidence in HANDSHAKES
            and seen.proves_contact
        )
        is_lowered = as_seen(confidence, seen) != confidence
        grounds = self.unseen if is_lowered else self.strongest
        known = grounds.get(confidence)
        if (
            known is not None
            and not is_lone
            and (known.weakness, known.time) < (weakness, observation.time)
        ):
            return
        is_limited = base_confidence(observation.evidence, match) != confidence
        ground = Ground(
            weakness,
            observation.time,
            observation.source,
            observation.packet,
            seen.rank,
            observation.name,
            observation.evidence,
            match.rule,
            match.grade or "",
            match.grade_reasons,
            (
                *(limits if contact.candidates or is_limited else ()),
                *(seen_reasons(contact) if is_lowered else ()),
                *(_sampled_reasons(contact, confidence) if contact.sampling > 1 else ()),
            ),
        )
        _keep_first(grounds, confidence, ground)
        if is_lone:
            _keep_first(self.lone, match.lone_family, ground)

    def merge(self, other: "IncidentConfidence") -> None:
        """Add the grounds of another incident."""
        for confidence, ground in other.strongest.items():
            _keep_first(self.strongest, confidence, ground)
        for confidence, ground in other.unseen.items():
            _keep_first(self.unseen, confidence, ground)
        for family, ground in other.lone.items():
            _keep_first(self.lone, family, ground)

    @property
    def value(self) -> Confidence | None:
        """The confidence of the incident; None if no contact has one."""
        if len(self.lone) > 1:
            return LIFTED
        return max(self._given(), key=CONFIDENCE_RANK.__getitem__, default=None)

    def _given(self) -> dict[Confidence, Ground]:
        """The best ground for each confidence that has one."""
        if not self.unseen:
            return self.strongest
        given = dict(self.strongest)
        for ground in self.unseen.values():
            _keep_first(given, UNSEEN_GIVES, ground)
        return given

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the confidence is what it is, as sentences: the contact that gives it, what lowered
        the grade of its name, and what raised it above other contacts."""
        return tuple(self._reasons())

    def _reasons(self) -> Iterator[str]:
        given = self._given()
        ranked = sorted(given, key=CONFIDENCE_RANK.__getitem__, reverse=True)
        if not ranked:
            return
        best, *weaker = ranked
        ground = given[best]
        yield sentence(f"gives-{_kind(ground.evidence)}", **_contact(ground), grade=best)
        yield from _limits(ground, best)
        yield from ground.limits
        if best != LIFTED and len(self.lone) > 1:
            yield _lift(self.lone)
        for confidence in weaker[:1]:
            below = given[confidence]
            if below.evidence in HANDSHAKES and below.rule != ground.rule:
                yield sentence("lifted-from", **_contact(below), grade=confidence)


Key = TypeVar("Key", Confidence, str)


def _keep_first(grounds: dict[Key, Ground], key: Key, ground: Ground) -> None:
    grounds[key] = min(ground, grounds.get(key, ground))


_WEAKNESS = {
    kind: number
    for number, kind in enumerate(("handshake", "ech", "certificate", "lookup", "address"))
}


def seen_reasons(contact: Contact) -> Iterator[str]:
    """Why a contact does not prove that both ends took part, as sentences."""
    seen, log = contact.seen, contact.observation.log
    if not seen.server:
        if log is not None:
            yield sentence("log-server-unseen", format=log.format, grade=UNSEEN_GIVES)
        elif contact.sampling > 1:
            rate = f"{contact.sampling:,}"
            yield sentence("server-not-sampled", rate=rate, grade=UNSEEN_GIVES)
        elif seen.directions == "client":
            yield sentence("server-unseen", grade=UNSEEN_GIVES)
        else:
            yield sentence("server-elsewhere", grade=UNSEEN_GIVES)
    if seen.checksum == "wrong":
        yield sentence("checksum-wrong", grade=UNSEEN_GIVES)


def _sampled_reasons(contact: Contact, confidence: Confidence) -> Iterator[str]:
    """Why a flow of sampled packets to an address that an answer named is no more than that: other
    answers may have passed between the samples."""
    shown = contact.observation
    if shown.log is None and shown.evidence == "ip-from-dns":
        yield sentence("answers-not-sampled", rate=f"{contact.sampling:,}", grade=confidence)


def _kind(evidence: str) -> str:
    if evidence in HANDSHAKES:
        return "ech" if evidence == "ech-from-dns" else "handshake"
    if evidence in LOOKUPS:
        return "lookup"
    return "certificate" if evidence == "tls-cert" else "address"


def _contact(ground: Ground) -> dict[str, str]:
    return {"name": ground.name, "evidence": ground.evidence, "rule": ground.rule}


def _limits(ground: Ground, confidence: str) -> Iterator[str]:
    """What lowered the confidence of a contact: its evidence, then the grade of its rule."""
    if ground.evidence not in HANDSHAKES:
        if ground.grade != confidence:
            yield sentence("no-handshake-but", grade=ground.grade)
        else:
            yield sentence("no-handshake")
    if ground.reasons:
        yield sentence(
            "grade", rule=ground.rule, grade=ground.grade, reasons="; ".join(ground.reasons)
        )


def _contradicted(text: str) -> str:
    return sentence("contradicted", reason=text, grade=HIGHEST)


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


def seen_alone(observation: Observation) -> Seen:
    """How an observation was seen, if nothing is known of its flow."""
    log, evidence = observation.log, observation.evidence
    if log is None:
        by_server = evidence in _BY_SERVER
        return Seen(by_server, "server" if by_server else "client", checksum_of(observation.mark))
    took_part = origin_of(log) not in WATCHING or log.outcome == "reached" or evidence in _BY_SERVER
    if evidence in LOOKUPS and log.outcome == "blocked":
        # A denied lookup has been answered.
        took_part = True
    return Seen(took_part, "both" if took_part else "client", "unknown")
