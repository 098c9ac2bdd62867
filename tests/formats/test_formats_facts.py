from dataclasses import replace

import pytest
from support.made_records import ALERT, EARLIER, FULL_ALERT, ITEM

from netwatch.formats import jsonl
from netwatch.formats.facts import event_uid, facts, told


def of(*evidence, **changes):
    return facts(jsonl.alert(replace(ALERT, evidence=evidence, **changes)))


COMMON = replace(ITEM, time=0)


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ({"type": "tls-sni"}, {"type": "dns-query"}),
        ({"type": "dns-query"}, {"type": "tls-cert"}),
        ({"type": "dns-query"}, {"type": "tls-sni", "role": "vendor"}),
        ({"type": "tls-sni", "role": "vendor"}, {"type": "tls-sni", "role": "embed"}),
        ({"type": "dns-query", "role": "cdn"}, {"type": "ip-from-dns"}),
        ({"time": 10**6}, {"time": 2 * 10**6}),
    ],
)
def test_the_strongest_evidence_leads(stronger, weaker) -> None:
    strong = replace(COMMON, name="strong", **stronger)
    weak = replace(COMMON, name="weak", **weaker)
    assert of(strong, weak).name == of(weak, strong).name == "strong"


def test_nothing_is_said_without_evidence() -> None:
    known = of()
    assert (known.lead, known.name, known.transport, known.service) == (None, None, None, None)
    assert known.sightings == 0
    assert known.message == "lab-07 contacted TikTok, which ban be-fed-tiktok-2023 forbids"


@pytest.mark.parametrize(
    ("verdict", "grade", "message"),
    [
        ("violation", "high", "contacted TikTok, which ban be-fed-tiktok-2023 forbids"),
        ("advisory", "high", "contacted TikTok, which ban be-fed-tiktok-2023 advises against"),
        ("exempt", "informational", "contacted TikTok, exempt from ban be-fed-tiktok-2023"),
    ],
)
def test_verdicts_in_words(verdict, grade: str, message: str) -> None:
    known = of(ITEM, verdict=verdict)
    assert known.grade == grade
    assert known.message == f"lab-07 {message} (confirmed: tls-sni v16-webapp.tiktok.com)"


def test_braces_in_a_name_are_text() -> None:
    app = replace(ALERT.app, name="{ban}")
    assert "contacted {ban}, which ban be-fed" in of(ITEM, app=app).message


def test_sightings_count_what_is_left_off_too() -> None:
    record = jsonl.alert(replace(FULL_ALERT, extra={"left_out": {"evidence": 7, "names": 100}}))
    assert facts(record).sightings == 5 + 7
    assert facts({**record, "shortened": {"evidence": 1, "sightings": 11}}).sightings == 23


def test_times_and_destination() -> None:
    known = facts(jsonl.alert(FULL_ALERT))
    assert known.last - known.first == 100 * 10**9
    assert known.destination is not None
    assert known.destination["ip"] == "192.0.2.80"
    assert of(EARLIER).service == "dns"
    assert of(EARLIER).transport is None


def test_each_telling_of_an_incident_has_a_name() -> None:
    record = jsonl.alert(ALERT)
    tellings = [
        (status, confidence)
        for status in ("open", "update", "closed")
        for confidence in ("possible", "probable", "confirmed")
    ]
    found = {event_uid({**record, "status": s, "confidence": c}) for s, c in tellings}
    assert len(found) == len(tellings)


def test_what_is_not_known_goes_at_any_depth() -> None:
    assert told({"a": None, "b": {"c": ""}, "d": [{"e": None, "f": 0}], "g": False, "h": []}) == {
        "d": [{"f": 0}],
        "g": False,
    }
