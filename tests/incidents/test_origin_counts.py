"""How often a device asked: a query and its answer are one question, and so is an answer alone."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.contacts import GAP, SENSOR, contact

from netwatch.core.alert import Alert
from netwatch.core.flow import LogInfo
from netwatch.core.verdict import Contact
from netwatch.explain.sources import explanation
from netwatch.formats import jsonl
from netwatch.incidents import origin_counts
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.contacts import ORDER

QUERY = contact(0, "dns-query")
ANSWER = contact(0.1, "dns-answer")
NO_DATA = contact(0.1, "dns-answer", outcome="unknown")
ALIAS = contact(0.1, "dns-cname", "edge.tiktokcdn.com", asked="www.tiktok.com")
NEXT = contact(0.1, "dns-cname", "v16.tiktokcdn.com", asked="www.tiktok.com")
FOREIGN = replace(
    contact(0.1, "dns-cname", "edge.tiktokcdn.com"),
    observation=replace(ALIAS.observation, asked="video.example.org"),
)
FOREIGN_NEXT = replace(NEXT, observation=replace(NEXT.observation, asked="video.example.org"))
LOG = LogInfo("dnsmasq")


def logged(made: Contact, **changed: object) -> Contact:
    """The same contact in a log."""
    return replace(made, observation=replace(made.observation, log=LOG), **changed)


def alert(*contacts: Contact) -> Alert:
    gathered = Incidents(GAP)
    for each in contacts:
        gathered.add(each)
    (found,) = gathered.alerts(None, SENSOR)
    return found


@pytest.mark.parametrize(
    ("contacts", "questions"),
    [
        ([QUERY], 1),
        ([ANSWER], 1),
        ([QUERY, ANSWER], 1),
        ([QUERY, QUERY, ANSWER], 2),
        ([QUERY, ANSWER, ANSWER], 2),
        ([QUERY, QUERY, ANSWER, NO_DATA], 2),
        ([QUERY, ANSWER, ALIAS, NEXT], 1),
        ([FOREIGN], 1),
        ([FOREIGN, FOREIGN_NEXT], 1),
        ([QUERY, ANSWER, ALIAS, FOREIGN], 2),
        ([QUERY, contact(1, "dns-query", "v16.tiktok.com"), ANSWER], 2),
        ([QUERY, ANSWER, logged(QUERY), logged(ANSWER)], 1),
        ([QUERY, logged(ANSWER)], 1),
        ([ANSWER, logged(NO_DATA)], 1),
        ([QUERY, logged(contact(1, "dns-query", "v16.tiktok.com"))], 2),
    ],
)
def test_questions(contacts: Sequence[Contact], questions: int) -> None:
    for order in (contacts, contacts[::-1]):
        found = alert(*order)
        assert found.counts.lookups == questions
        # Every question came to something, and to one thing.
        assert sum(getattr(found.counts, outcome) for outcome in ORDER) == questions


def test_a_log_that_tells_less_takes_nothing_from_what_packets_tell() -> None:
    blocked = contact(0.1, "dns-answer", outcome="blocked")
    found = alert(QUERY, logged(QUERY), logged(blocked))
    assert (found.counts.lookups, found.counts.blocked) == (1, 1)


def test_names_beyond_the_limit_are_counted_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin_counts, "NAME_LIMIT", 2)
    names = [f"{letter}.tiktok.com" for letter in "abcde"]
    pairs = [
        contact(0, evidence, name) for name in names for evidence in ("dns-query", "dns-answer")
    ]
    assert alert(*pairs).counts.lookups == len(names)


def test_every_text_has_the_same_number() -> None:
    """Lookups of an app that a filter blocks: the record, its reasons and the page on the incident
    count them alike."""
    asked = [
        made
        for minute in range(15)
        for made in (
            contact(minute * 60, "dns-query"),
            contact(minute * 60 + 0.1, "dns-answer", outcome="blocked"),
        )
    ]
    record = jsonl.alert_record(alert(*asked))
    assert record["counts"]["lookups"] == 15
    assert record["kind"]["reasons"][0].startswith("15 lookups, ")
    assert "15 times" in " ".join(record["kind"]["reasons"])
    assert explanation(record).traffic.lookups == 15
