"""Parts of an alert: its id, the pieces of evidence, the names one of which was contacted, the
servers and the owners of their addresses, and the severity.

A piece of evidence that is a handshake names the answer that led to the server: the first one for
its name with the server's address that came before it in the same incident. Nothing here depends on
the order in which contacts arrive.
"""

import hashlib
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring_ascii
from typing import Any, Protocol

from netwatch.core.addresses import ip_text, parse_ip
from netwatch.core.alert import (
    ALERT_SCHEMA,
    Answer,
    CandidateSet,
    Destination,
    EvidenceItem,
    IncidentKind,
)
from netwatch.core.flow import RANKED, LogInfo, Seen
from netwatch.core.verdict import (
    Candidates,
    Confidence,
    Contact,
    Outcome,
    RulePlace,
    Severity,
    VerdictKind,
)
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.language.sentences import sentence

Key = tuple[str, str, str, VerdictKind]
"""What all contacts of an incident under one ban share: device id, app id, ban id and kind of
verdict."""

FirstSighting = tuple[
    int,
    int,
    str,
    int,
    int,
    str,
    str,
    bool,
    tuple[str, int, tuple[str, ...]],
    str,
    tuple[str, ...],
    tuple[tuple[str, int], ...],
    str,
    str,
    str,
    str,
    tuple[str, ...],
    int,
]
"""How it was seen (smaller is more), time (ns), source, packet, digits of the time, rule, role,
whether only the app calls the name, where the rule is written, and of the contact's detail the raw
name, the aliases, the first answer, the response code, the JA4 and the server; for a log its format
and what it lacks; and the sampling. The smallest is the first."""

FirstAnswer = tuple[int, str, int, int]
"""Time (ns), source and packet of the first answer with a name and address, and its TTL (s)."""

NO_TTL = -1
"""The TTL of an answer in a log that does not tell it. Most logs that tell none leave no room for
it, so that 0 is read."""


def incident_id(key: Key, first_seen: int, sensor: str = "") -> str:
    """The id of an incident, 32 hex digits. It is a hash of the key, of the time of the first
    contact (ns), and of the name of the `sensor` if a configuration sets one, so that an incident
    has the same id however often it is replayed, and incidents of two sensors never do."""
    # A JSON array, as `json.dumps` writes it.
    text = f"[{', '.join(map(encode_basestring_ascii, (ALERT_SCHEMA, *key)))}, {first_seen}"
    text += f", {encode_basestring_ascii(sensor)}]" if sensor else "]"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def first_sighting(contact: Contact) -> FirstSighting:
    """What is stored of a contact if it is the first of its kind and name."""
    observation, match, detail = contact.observation, contact.match, contact.detail
    place, log = match.place, observation.log
    return (
        contact.seen.rank,
        observation.time,
        observation.source,
        observation.packet,
        observation.time_digits,
        match.rule,
        match.role,
        match.app_only,
        (place.file, place.line, place.sources),
        detail.raw,
        detail.chain,
        (detail.answers if log is None else logged_answers(contact))[:1],
        detail.rcode,
        detail.ja4,
        detail.server,
        log.format if log is not None else "",
        log.lacks if log is not None else (),
        log.sampling if log is not None else contact.sampling,
    )


def logged_answers(contact: Contact) -> tuple[tuple[str, int], ...]:
    """The addresses that answered a contact of a log with their TTL in s, `NO_TTL` if the log does
    not tell it."""
    return tuple((address, ttl or NO_TTL) for address, ttl in contact.detail.answers)


def evidence_items(evidence: BoundedTable, answers: BoundedTable) -> tuple[EvidenceItem, ...]:
    """The pieces of evidence, in order. `evidence` has first sightings by strength, kind, name and
    origin; `answers` has first answers by name and address."""
    return tuple(sorted(_items(evidence, answers), key=_order))


def _items(evidence: BoundedTable, answers: BoundedTable) -> Iterator[EvidenceItem]:
    halves: dict[str, set[tuple[str, str]]] = {"dns-query": set(), "dns-answer": set()}
    for _, kind, name, origin in evidence.items:
        if kind in halves:
            halves[kind].add((name, origin))
    for (_, kind, name, origin), (count, first) in evidence.items.items():
        rank, time, source, packet, digits, rule, role, app_only, place, *detail = first
        raw, chain, own, rcode, ja4, server, log, lacks, sampling = detail
        if server:
            answer = _led_to(answers, name, server, time)
        elif rcode:
            address, ttl = own[0] if own else (None, None)
            answer = Answer(address, _told(ttl), rcode)
        else:
            answer = None
        yield EvidenceItem(
            time,
            digits,
            kind,
            name,
            rule,
            role,
            source,
            packet,
            count,
            app_only,
            RulePlace(*place),
            raw or None,
            chain,
            answer,
            ja4 or None,
            LogInfo(log, lacks, sampling=sampling) if log else None,
            _with_other_half(RANKED[rank], kind, (name, origin), halves),
            sampling,
        )


def _led_to(answers: BoundedTable, name: str, server: str, time: int) -> Answer | None:
    """The first answer before `time` for a name with the address of its server."""
    found = answers.items.get((name, server))
    if found is None or found[1][0] > time:
        return None
    return Answer(server, _told(found[1][3]), "NOERROR")


def _told(ttl: int | None) -> int | None:
    return None if ttl == NO_TTL else ttl


def _with_other_half(
    seen: Seen, kind: str, about: tuple[str, str], halves: dict[str, set[tuple[str, str]]]
) -> Seen:
    """How a lookup was seen, including what is known of its other half: `about` is its name and who
    has seen it."""
    if kind == "dns-query" and about in halves["dns-answer"]:
        return Seen(True, "both", seen.checksum)
    if kind == "dns-answer" and about in halves["dns-query"]:
        return Seen(True, "both", seen.checksum)
    return seen


def _order(item: EvidenceItem) -> tuple[Any, ...]:
    return item.time, item.source, item.packet, item.type, item.name, item.role


SET_LIMIT = 16
"""Sets of candidates stored for one incident, at most."""

SetKey = tuple[tuple[str, ...], str, bool]
"""The fields of `Candidates`."""


def candidate_sets(table: BoundedTable) -> tuple[CandidateSet, ...]:
    """The sets of an incident, in order; `table` has contacts by `SetKey`."""
    return tuple(
        CandidateSet(names, count, _why(Candidates(names, shown, shared)))
        for (names, shown, shared), (count, _) in sorted(table.items.items())
    )


def candidate_limit(candidates: Candidates, confidence: Confidence) -> str:
    """Why the confidence of a contact with candidates is no higher, as a sentence."""
    code = "ech-shared" if candidates.shared else "ech-banned"
    return sentence(code, count=str(len(candidates.names)), grade=confidence)


def address_limit(why: str, count: int, confidence: Confidence) -> str:
    """Why the confidence of a flow record with so many candidates is no higher, as a sentence:
    ``alone``, ``shared`` or ``others`` (`netwatch.engine.told_names`)."""
    return sentence(f"address-{why}", count=str(count), grade=confidence)


def _why(candidates: Candidates) -> str:
    if parse_ip(candidates.shown) is not None:
        code = "candidates-of-others" if candidates.shared else "candidates-told"
        return sentence(code, shown=candidates.shown)
    code = "candidates-shared" if candidates.shared else "candidates-banned"
    return sentence(code, shown=candidates.shown)


LOWERED: dict[Severity, Severity] = {
    "critical": "high",
    "high": "medium",
    "medium": "low",
    "low": "low",
}
"""The severity one step lower; ``low`` stays."""

LOWERING: dict[str, str] = {
    "outcome blocked": "the block worked: the device reached nothing of the app",
    "kind embed": "a page or another app loaded a part of it; nothing shows the app itself",
}
"""What lowers the severity of a ban by one step, and why; both together by two."""


class GeoLookup(Protocol):
    """Looks up the owner of an address, as `netwatch.inventory.geo.Geo` does."""

    def lookup(self, ip: bytes | str) -> tuple[int | None, str | None, str | None]:
        """AS number, AS organisation and ISO country code of an address; None if unknown."""
        ...


def located(
    destinations: Iterable[tuple[Any, ...]], geo: GeoLookup | None
) -> Iterator[Destination]:
    """Destinations in order, each of which ends with a packed address and a port, with the owner
    and country of the address."""
    for _, ip, port in sorted(destinations):
        location = geo.lookup(ip) if geo else (None, None, None)
        yield Destination(ip_text(ip), port, *location)


def severity_of(ban: Severity, outcome: Outcome, kind: IncidentKind) -> Severity:
    """The severity of an alert under a ban of severity `ban`."""
    severity = ban
    if outcome == "blocked":
        severity = LOWERED[severity]
    if kind == "embed":
        severity = LOWERED[severity]
    return severity
