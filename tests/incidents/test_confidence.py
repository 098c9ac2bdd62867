"""The confidence of an incident and its reasons, in any order of contacts."""

import json
import pickle
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import GAP, SENSOR, contact

from netwatch.core.flow import UNSEEN
from netwatch.core.verdict import Contact
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.incident import Incident
from netwatch.live import open_incident
from netwatch.live.open_incident import OpenIncident
from netwatch.rules.grade import Marks, marks
from netwatch.rules.policy import confidence
from netwatch.rules.signature import Rule

SHIPPED_MARKS = marks(shipped=True)
TWO = ("v2fly", "nextdns")


def seen(
    at: float,
    name: str,
    evidence: str = "tls-sni",
    role: str = "exclusive",
    given: Marks = SHIPPED_MARKS,
    sources: tuple[str, ...] = TWO,
) -> Contact:
    """A contact with a name that a rule of its own matches."""
    made = contact(at, evidence, name, role=role)
    rule = Rule("suffix", name, made.match.app, role, sources, "f.yaml", 1, given)
    sure = confidence(made.observation.evidence, rule.match)
    return replace(made, match=rule.match, confidence=sure)


APP_ONLY = seen(10, "api.tiktokv.com")
EMBED_REACHABLE = seen(1, "www.tiktok.com", given=marks(embed_reachable=True, shipped=True))
LISTED_BY_ONE = seen(2, "one.example", sources=("nextdns",))
BY_ANOTHER = seen(3, "two.example", sources=("ndpi",))
BY_THE_SAME = seen(4, "three.example", sources=("nextdns",))
UNVERIFIED = seen(5, "four.example", given=marks(verified=False, shipped=True), sources=("v2fly",))
VENDOR = seen(6, "vendor.example", role="vendor")
PIXEL = seen(7, "analytics.tiktok.com", role="embed")
LOOKUP = seen(8, "five.example", "dns-query", sources=("disconnect",))
REACHABLE_AND_LONE = seen(
    9, "six.example", given=marks(embed_reachable=True, shipped=True), sources=("disconnect",)
)
EVERY = [
    *(APP_ONLY, EMBED_REACHABLE, LISTED_BY_ONE, BY_ANOTHER, BY_THE_SAME, UNVERIFIED, VENDOR),
    *(PIXEL, LOOKUP, REACHABLE_AND_LONE),
]


def incident_of(*contacts: Contact) -> Incident:
    first, *others = contacts
    made = Incident.of(first, GAP)
    for each in others:
        made.add(each)
    return made


@pytest.mark.parametrize(
    ("contacts", "expected"),
    [
        ([APP_ONLY], "confirmed"),
        ([EMBED_REACHABLE], "probable"),
        ([EMBED_REACHABLE, APP_ONLY], "confirmed"),
        ([LISTED_BY_ONE], "probable"),
        ([LISTED_BY_ONE, APP_ONLY], "confirmed"),
        # two lists would have to be wrong
        ([LISTED_BY_ONE, BY_ANOTHER], "confirmed"),
        # one list may be wrong twice
        ([LISTED_BY_ONE, BY_THE_SAME], "probable"),
        ([LISTED_BY_ONE, LISTED_BY_ONE], "probable"),
        # what is weak for another reason does not add up
        ([LISTED_BY_ONE, EMBED_REACHABLE, UNVERIFIED, VENDOR, PIXEL], "probable"),
        ([LISTED_BY_ONE, LOOKUP], "probable"),
        ([LISTED_BY_ONE, REACHABLE_AND_LONE], "probable"),
        ([EMBED_REACHABLE, VENDOR, UNVERIFIED], "probable"),
        ([PIXEL], "possible"),
        ([PIXEL, LOOKUP], "probable"),
    ],
)
def test_contacts_together(contacts: list[Contact], expected: str) -> None:
    for order in permutations(contacts):
        assert incident_of(*order).confidence == expected


def test_a_name_that_only_the_app_calls_lifts_one_that_pages_embed() -> None:
    (alert,) = _alerts(EMBED_REACHABLE, APP_ONLY)
    assert alert.confidence == "confirmed"
    assert alert.confidence_reasons == (
        "A handshake with api.tiktokv.com (tls-sni, suffix api.tiktokv.com) gives confirmed.",
        "The grade of suffix api.tiktokv.com is confirmed: the domain is this app's own"
        " (role exclusive): confirmed.",
        "That lifts it from probable, which a handshake with www.tiktok.com"
        " (tls-sni, suffix www.tiktok.com) gives.",
    )


def test_the_reasons_say_what_took_the_confidence_down() -> None:
    (alert,) = _alerts(EMBED_REACHABLE, PIXEL)
    assert alert.confidence_reasons == (
        "A handshake with www.tiktok.com (tls-sni, suffix www.tiktok.com) gives probable.",
        "The grade of suffix www.tiktok.com is probable: the domain is this app's own"
        " (role exclusive): confirmed; pages or other apps call the domain too"
        " (embed_reachable): at most probable.",
        "That lifts it from possible, which a handshake with analytics.tiktok.com"
        " (tls-sni, suffix analytics.tiktok.com) gives.",
    )
    (alert,) = _alerts(seen(0, "api.tiktokv.com", "dns-query"))
    assert alert.confidence_reasons[:2] == (
        "A lookup of api.tiktokv.com (dns-query, suffix api.tiktokv.com) gives probable.",
        "It is no handshake, which would give confirmed: it does not prove that the device"
        " reached the app.",
    )


def test_of_sampled_packets_the_reasons_say_what_may_have_passed_unseen() -> None:
    flow = replace(seen(1, "api.tiktokv.com", "ip-from-dns"), sampling=512)
    (*_, reason) = incident_of(flow).grounds.reasons
    assert reason.startswith("One packet in 512 was looked at, so that the device may have been")
    unseen = replace(APP_ONLY, sampling=64, seen=UNSEEN)
    assert incident_of(unseen).grounds.value == "probable"
    (*_, reason) = incident_of(unseen).grounds.reasons
    assert "One packet in 64 was looked at, so that there may have been one" in reason
    lookup = replace(LOOKUP, sampling=64)
    assert not [each for each in incident_of(lookup).grounds.reasons if "64" in each]


def test_a_handshake_is_the_reason_before_earlier_weaker_evidence() -> None:
    given = marks(embed_reachable=True, shipped=True)
    earlier = seen(0, "www.tiktok.com", "dns-query", given=given)
    (alert,) = _alerts(earlier, EMBED_REACHABLE)
    assert len(alert.confidence_reasons) == 2
    assert alert.confidence_reasons[0].startswith("A handshake with www.tiktok.com (tls-sni,")
    (alert,) = _alerts(APP_ONLY, seen(0, "api.tiktokv.com", "dns-query"))
    assert not any("lifts" in reason for reason in alert.confidence_reasons)


def test_the_reasons_name_the_two_sources_that_together_lift_it() -> None:
    (alert,) = _alerts(LISTED_BY_ONE, BY_ANOTHER, BY_THE_SAME)
    assert alert.confidence_reasons[-1] == (
        "Handshakes with two names that only the app calls, one.example (listed by nextdns) and"
        " two.example (listed by ndpi), lift it to confirmed, because their sources are"
        " independent."
    )


def _alerts(*contacts: Contact):
    gathered = Incidents(GAP)
    for each in contacts:
        gathered.add(each)
    return gathered.alerts(None, SENSOR)


@given(st.lists(st.sampled_from(EVERY), min_size=1, max_size=8), st.data())
def test_order_and_division_make_no_difference(
    contacts: list[Contact], data: st.DataObject
) -> None:
    expected = incident_of(*contacts)
    shuffled = data.draw(st.permutations(contacts))
    cut = data.draw(st.integers(0, len(shuffled) - 1))
    made = incident_of(*shuffled[cut:])
    if cut:
        made = pickle.loads(pickle.dumps(made))
        other = incident_of(*shuffled[:cut])
        other.merge(made)
        made = other
    assert (made.confidence, made.grounds.reasons) == (
        expected.confidence,
        expected.grounds.reasons,
    )


def test_a_saved_incident_keeps_its_grounds() -> None:
    made = incident_of(*EVERY)
    entry = OpenIncident(1, ("laptop-7", "tiktok", "rule", "violation"), made, 0, SENSOR)
    text = open_incident.encode(entry)
    again = open_incident.decode(1, text, GAP).incident
    assert again.confidence == made.confidence
    assert again.grounds.reasons == made.grounds.reasons
    assert again.grounds.lone == made.grounds.lone
    broken = json.loads(text)
    broken["grounds"]["strongest"]["certain"] = broken["grounds"]["strongest"]["confirmed"]
    with pytest.raises(open_incident.StateError):
        open_incident.decode(1, json.dumps(broken), GAP)
