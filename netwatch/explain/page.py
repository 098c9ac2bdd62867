"""The page for experts: every step of an incident, from the packet to the clause, as plain text for
a terminal and for paper (headings, labelled values and paragraphs of `WIDTH` columns, in ASCII),
and as a record for programs.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from netwatch.core.alert import TITLES, UNHEARD, situation
from netwatch.core.text import escaped, quantity
from netwatch.explain import wording
from netwatch.explain.steps import Answer, Contact, Exemption, Explanation, Period, Seen
from netwatch.explain.wording import Statement, not_proved, refutations

WIDTH = 80
"""Columns of a page."""

MAX_HIDDEN = 5
"""Days with hidden lookups that a page lists, the last ones."""

_LABEL = 12


def title(text: str) -> Iterator[str]:
    """The first heading of a page."""
    yield from _wrapped(text, "", "")
    yield "=" * WIDTH


def heading(number: int, text: str) -> Iterator[str]:
    """The heading of a part, with an empty line before it."""
    yield ""
    yield f"{number}. {text}"
    yield "-" * WIDTH


def paragraph(text: str) -> Iterator[str]:
    """A text over the whole width."""
    yield from _wrapped(text, "", "")


def points(texts: Iterable[str]) -> Iterator[str]:
    """A list of texts, one below the other."""
    for text in texts:
        yield from _wrapped(text, "- ", "  ")


def value(label: str, text: str, indent: int = 0) -> Iterator[str]:
    """A value after its label; nothing if there is none."""
    if text:
        begin = " " * indent + label.ljust(_LABEL - 1) + " "
        yield from _wrapped(text, begin, " " * len(begin))


def _wrapped(text: str, first: str, later: str) -> Iterator[str]:
    yield from textwrap.wrap(
        escaped(text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=True,
        break_on_hyphens=False,
    )


def page(incident: Explanation, origin: str, notes: Iterable[str] = ()) -> Iterator[str]:
    """The lines of the page of an incident, which was read from `origin`; `notes` are sentences
    about that."""
    what = TITLES[incident.verdict][situation(incident.record)]
    yield from title(f"Incident {incident.id}")
    yield from paragraph(f"{what}: {incident.app} by {incident.device.id}")
    yield ""
    yield from value("verdict", f"{incident.verdict}, severity {incident.severity}")
    yield from value("confidence", incident.confidence)
    yield from value("when", f"{incident.first_seen} to {incident.last_seen}")
    unheard = incident.record.get(UNHEARD)
    status = incident.status if incident.status != "closed" else ""
    if unheard is not None:
        status = f"closed: nothing was heard of it after {unheard['since']}; its end is not known"
    yield from value("status", status)
    yield from value("read from", origin)
    for note in notes:
        yield from value("note", note)
    parts = (
        (_shown_by(incident), _packets),
        ("The device and its network", _device),
        ("The ban", _ban),
        ("Exemptions", _exemptions),
        ("Kind", _kind),
        ("Outcome", _outcome),
        ("How sure it is", _confidence),
        ("How much there was", _traffic),
        ("Versions that decided", _versions),
        ("What it does not prove", _not_proved),
        ("What would refute it", _refutations),
    )
    for number, (text, render) in enumerate(parts, 1):
        yield from heading(number, text)
        yield from render(incident)


def _shown_by(incident: Explanation) -> str:
    """Where the incident was seen: packets, lines of logs, or both."""
    of_logs = [contact.log is not None for contact in incident.contacts]
    if not any(of_logs):
        return "The packets"
    return "The lines of logs" if all(of_logs) else "The packets and the lines of logs"


def _packets(incident: Explanation) -> Iterator[str]:
    for number, contact in enumerate(incident.contacts, 1):
        if number > 1:
            yield ""
        yield from _contact(number, contact)


def _contact(number: int, contact: Contact) -> Iterator[str]:
    packet, rule = contact.packet, contact.rule
    meaning = wording.EVIDENCE.get(contact.evidence, "")
    seen = f"; seen {quantity(contact.count, 'time')}" if contact.count > 1 else ""
    yield from value(f"({number})", f"{contact.name}")
    yield from value("evidence", f"{contact.evidence}: {meaning}{seen}", 4)
    if contact.log:
        where = f"line {contact.log.line:,} of {packet.source} ({contact.log.format})"
        yield from value("flow record" if wording.is_flow_record(contact) else "log", where, 4)
        lacks = (wording.LACKS.get(lack, lack) for lack in contact.log.lacks)
        yield from value("not said", ", ".join(lacks), 4)
    else:
        yield from value("packet", f"{packet.number:,} of {packet.source}", 4)
    sampled = f"one packet in {contact.sampling:,}" if contact.sampling > 1 else ""
    yield from value("looked at", sampled, 4)
    if contact.seen is not None:
        yield from value("seen", _seen(contact.seen), 4)
    yield from value("time", packet.time, 4)
    if packet.file and packet.file.sha256:
        yield from value("SHA-256", packet.file.sha256, 4)
    if contact.raw is not None and contact.raw != contact.name:
        yield from value("as sent", contact.raw, 4)
    yield from value("aliases", " > ".join(contact.chain), 4)
    if contact.answer is not None:
        yield from value("answer", _answer(contact.answer, contact), 4)
    place = f", {rule.file}:{rule.line}" if rule.file else ""
    only = ", only the app calls it" if contact.app_only else ""
    yield from value("rule", f"{rule.text} ({rule.role}{only}){place}", 4)
    yield from value("sources", ", ".join(rule.sources), 4)
    yield from value("JA4", contact.ja4 or "", 4)


def _seen(seen: Seen) -> str:
    took_part = "the server took part" if seen.server else "not seen that the server took part"
    sides = (
        "both directions" if seen.directions == "both" else f"only what the {seen.directions} sent"
    )
    return f"{took_part}; {sides}; checksum {seen.checksum}"


def _answer(answer: Answer, contact: Contact) -> str:
    if answer.address is None:
        return f"{answer.rcode or 'no address'}, no address"
    led = ", which led to this server" if not contact.is_lookup else ""
    ttl = "" if answer.ttl is None else f", TTL {answer.ttl} s"
    return f"{answer.address}{ttl}{led}"


def _device(incident: Explanation) -> Iterator[str]:
    device, network, binding = incident.device, incident.network, incident.device.binding
    yield from value("device", f"{device.id}, class {device.device_class}")
    yield from value("address", device.ip)
    randomised = " (randomised: it may change)" if device.randomised_mac else ""
    yield from value("MAC", f"{device.mac}{randomised}" if device.mac else "")
    yield from value("host name", device.hostname or "")
    yield from value("owner", device.owner or "")
    if binding is not None:
        source = wording.BINDINGS.get(binding.source, binding.source)
        yield from value("known by", source)
        until = f"until {binding.until}" if binding.until else "still valid"
        unknown = "the beginning" if binding.source == "inventory" else "not known"
        yield from value("since", f"{binding.since or unknown}, {until}")
        if binding.file:
            yield from value("written in", f"{binding.file}:{binding.line or ''}".rstrip(":"))
    elif device.is_address_only:
        yield from value("known by", "its address alone")
    yield from value("because", device.reason or "")
    vlan = "" if network.vlan is None else f", VLAN {network.vlan}"
    authority = f", authority {network.authority}" if network.authority else ""
    yield from value("network", f"{network.name}, class {network.device_class}{authority}{vlan}")
    yield from _hidden(incident)


def _hidden(incident: Explanation) -> Iterator[str]:
    """The last days on which the device hid its lookups."""
    days = incident.hidden
    if not days:
        return
    yield from paragraph(
        f"It hid its lookups on {quantity(len(days), 'day')} from {days[0].day} to {days[-1].day},"
        " so that names and apps may not have been seen. Contacts with addresses that no visible"
        " lookup had named:"
    )
    yield from points(
        f"{each.day}: {each.untold} of {each.contacts} ({', '.join(each.reasons)})"
        for each in days[-MAX_HIDDEN:]
    )


def _ban(incident: Explanation) -> Iterator[str]:
    ban = incident.ban
    verb = "advises against" if incident.verdict == "advisory" else "forbids"
    place = f"devices of class {incident.device.device_class}"
    yield from value("clause", f"{ban.id} {verb} {incident.app} on {place}")
    yield from value("authority", ban.authority)
    yield from value("legal basis", ban.legal_basis)
    yield from value("in force", _period(ban.period))
    for period in ban.periods:
        if (period.start, period.end) != (ban.period.start, ban.period.end):
            yield from value("other period", _period(period))
    yield from value("review", ban.review or "")


def _period(period: Period) -> str:
    days = "without limit of time"
    if period.start is not None:
        days = f"from {period.start} {f'to {period.end}' if period.end else 'on, without end'}"
    elif period.end is not None:
        days = f"until {period.end}"
    kind = ", advice only" if period.advice else ""
    return f"{days}{kind}" + (f" ({period.basis})" if period.basis else "")


def _exemptions(incident: Explanation) -> Iterator[str]:
    if incident.exemption is not None:
        yield from paragraph(f"This incident is exempt. {_exemption(incident.exemption)}")
    if incident.exemptions is None:
        yield from paragraph("The register of exemptions was not given (-c FILE).")
    elif not incident.exemptions:
        yield from paragraph(f"The register has no exemption from {incident.ban.id}.")
    else:
        count = quantity(len(incident.exemptions), "exemption")
        yield from paragraph(f"The register has {count} from {incident.ban.id}. Looked at:")
        yield from points(_exemption(exemption) for exemption in incident.exemptions)


def _exemption(exemption: Exemption) -> str:
    apps = f" for {', '.join(exemption.apps)}" if exemption.apps else ""
    days = _period(Period(exemption.start, exemption.end, ""))
    approved = f", approved by {exemption.approved_by}" if exemption.approved_by else ""
    reason = f" ({exemption.reason}{approved})" if exemption.reason or approved else ""
    return f"{exemption.device}{apps}, {days}{reason}: {wording.WHY_NOT[exemption.why_not]}."


def _kind(incident: Explanation) -> Iterator[str]:
    meaning = wording.KINDS.get(incident.kind, "not judged by the version that wrote the record")
    yield from value("kind", f"{incident.kind}: {meaning}" if incident.kind else meaning)
    yield from points(incident.kind_reasons)


def _outcome(incident: Explanation) -> Iterator[str]:
    yield from value("outcome", incident.outcome)
    yield from paragraph(_what_came(incident))
    told = (
        (name, count) for name, count in incident.traffic.outcomes.items() if isinstance(count, int)
    )
    counts = ", ".join(f"{name} {count:,}" for name, count in told)
    yield from value("contacts", counts)


def _what_came(incident: Explanation) -> str:
    app, seen_alone = incident.app, any(contact.app_only for contact in incident.contacts)
    if incident.outcome == "reached":
        return f"A server answered: the device and servers of {app} exchanged data."
    if incident.outcome == "attempted":
        return "The device asked or tried, and no answer of a server was seen."
    if incident.outcome == "unknown":
        return "One direction of the traffic is missing, so what came of it is not known."
    by = f" ({', '.join(incident.blocked_by)})" if incident.blocked_by else ""
    if seen_alone:
        return (
            f"The block works: {app} was not reached{by}. The app is still installed: the device"
            " asks for names that only the app itself calls."
        )
    return (
        f"The block works: {app} was not reached{by}. Whether the app is still installed is open:"
        " pages and other apps ask for these names too."
    )


def _confidence(incident: Explanation) -> Iterator[str]:
    yield from value("confidence", incident.confidence)
    yield from points(incident.confidence_reasons)
    if incident.contradictions:
        yield from paragraph("What speaks against it:")
        yield from points(contradiction.text for contradiction in incident.contradictions)
    for candidates in incident.candidates:
        yield from value("one of", ", ".join(candidates.names))
        yield from value("contacts", str(candidates.count))
        yield from value("because", candidates.why)


def _traffic(incident: Explanation) -> Iterator[str]:
    traffic = incident.traffic
    parts = (
        quantity(traffic.lookups, "lookup"),
        quantity(traffic.handshakes, "handshake"),
        quantity(traffic.flows, "flow"),
    )
    yield from value("contacts", ", ".join(parts))
    sent, received = traffic.bytes_out, traffic.bytes_in
    yield from value("payload", f"{sent:,} bytes sent, {received:,} bytes received")
    if traffic.duration is not None:
        yield from value("duration", f"{traffic.duration:,.3f} s")
    for number, server in enumerate(incident.destinations):
        yield from value("" if number else "servers", server)
    yield from value("community", " ".join(incident.community_ids))
    yield from value("JA4", ", ".join(incident.ja4))
    yield from value("packets in", incident.evidence_file or "")
    yield from value("lines in", incident.record.get("evidence_lines") or "")


def _versions(incident: Explanation) -> Iterator[str]:
    for name, version in incident.versions.items():
        yield from value(name, version)
    yield from value("sensor", incident.sensor)


def _not_proved(incident: Explanation) -> Iterator[str]:
    yield from points(wording.sentence(code, wording.NOT_PROVED) for code in not_proved(incident))


def _refutations(incident: Explanation) -> Iterator[str]:
    yield from points(
        wording.sentence(refutation, wording.REFUTATIONS) for refutation in refutations(incident)
    )


def as_record(incident: Explanation, origin: str, notes: Iterable[str] = ()) -> dict[str, Any]:
    """The values of an explanation, with what is not proved and what would refute it: each with its
    code and in words. `alert` is the alert itself."""
    values = asdict(incident)
    alert = values.pop("record")
    return {
        **values,
        "not_proved": [_statement(code, wording.NOT_PROVED) for code in not_proved(incident)],
        "refutations": [
            _statement(refutation, wording.REFUTATIONS) for refutation in refutations(incident)
        ],
        "origin": origin,
        "notes": list(notes),
        "alert": alert,
    }


def _statement(statement: Statement, words: Mapping[str, str]) -> dict[str, Any]:
    return {
        "code": statement.code,
        "values": dict(statement.values),
        "text": wording.sentence(statement, words),
    }
