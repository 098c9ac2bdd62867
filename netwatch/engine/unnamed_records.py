"""Contacts that flow records are, by the names that their clients had been told.

A record is a contact if all names that it can be of (`netwatch.engine.told_names`) are of one app.
It is as sure as a lookup of the weakest of them, if the client itself had been told the address,
and nobody was told it for anything else; otherwise it is ``possible``. Whether the server answered
is no part of that: an exporter may see one direction, or send the other much later.
"""

from collections.abc import Callable
from dataclasses import replace

from netwatch.core.addresses import ip_text
from netwatch.core.flow import Flow
from netwatch.core.message import Observation
from netwatch.core.verdict import CONFIDENCE_RANK, Candidates, Confidence, Contact, Match
from netwatch.engine.resolved_addresses import ResolvedAddresses, observed
from netwatch.engine.told_names import NameSet, Told
from netwatch.incidents.alert_parts import address_limit
from netwatch.rules.policy import confidence

SURE: Confidence = "probable"
"""The highest confidence of a flow record."""

POSSIBLE: Confidence = "possible"

Matches = Callable[[str], Match | None]
"""The rule that matches a name, None if there is none."""


def record_name(found: NameSet, contacted: Matches) -> Told | None:
    """Of names the one that says least of its app, to judge a flow as; None if no rule matches any
    of them."""
    ranked = [
        (CONFIDENCE_RANK[_by_lookup(match)], each.app.name, each.name, each)
        for each in found.told
        if each.app is not None and each.answer is not None
        if (match := contacted(each.app.name)) is not None
    ]
    return min(ranked, key=lambda each: each[:3])[3] if ranked else None


def record_observation(
    told: Told, found: NameSet, flow: Flow, resolved: ResolvedAddresses
) -> Observation:
    """A flow as an observation of a name. What another client was told is no evidence of this one,
    so its record is not shown."""
    answer, app = told.answer, told.app
    assert answer is not None
    assert app is not None
    if app.name != answer.name:
        answer = replace(answer, name=app.name, asked=answer.name, raw="")
    if found.is_own:
        client = flow.client_ip, flow.server_ip
        frames = resolved.frames_of(*client, app.id, flow.first)
        return observed(replace(answer, frames=frames), flow)
    shown = replace(answer, client_ip=flow.client_ip, client_mac=flow.client_mac, client_host="")
    return replace(observed(shown, flow), frames=flow.frames)


def record_contact(contact: Contact, found: NameSet, flow: Flow, matches: Matches) -> Contact:
    """The contact that a flow is, with the names that it can be of, and how sure it is."""
    candidates = Candidates(found.names, ip_text(flow.server_ip), not found.is_own)
    weakest = min(
        (
            _by_lookup(match)
            for each in found.told
            if each.app is not None and (match := matches(each.app.name)) is not None
        ),
        key=CONFIDENCE_RANK.__getitem__,
        default=POSSIBLE,
    )
    sure = weakest if found.is_own and found.is_alone else POSSIBLE
    why = "others"
    if found.is_own:
        why = "alone" if found.is_alone else "shared"
    return replace(
        contact,
        confidence=sure,
        candidates=candidates,
        limits=(address_limit(why, len(found.names), sure),),
    )


def _by_lookup(match: Match) -> Confidence:
    """How sure a lookup of a name is, at most `SURE`."""
    found = confidence("dns-answer", match)
    return SURE if found == "confirmed" else found or POSSIBLE
