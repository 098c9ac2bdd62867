import json
from dataclasses import replace

import pytest
from support.made_records import ALERT, BLOCKED, EARLIER, FULL_ALERT, ITEM

from netwatch.core.alert import Destination
from netwatch.core.flow import RANKED, Seen
from netwatch.formats import jsonl
from netwatch.formats.alert_summary import (
    event_uid,
    render_within,
    seen_words,
    summarize,
    version_words,
    without_empty,
)
from netwatch.formats.registry import RENDERERS


def summary_of(*evidence, **changes):
    return summarize(jsonl.alert_record(replace(ALERT, evidence=evidence, **changes)))


COMMON = replace(ITEM, time=0)
ANSWERED = Seen(True, "both", "right")


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ({"type": "tls-sni"}, {"type": "dns-query"}),
        ({"type": "dns-query"}, {"type": "tls-cert"}),
        ({"type": "dns-query"}, {"type": "tls-sni", "role": "vendor"}),
        ({"type": "tls-sni", "role": "vendor"}, {"type": "tls-sni", "role": "embed"}),
        ({"type": "dns-query", "role": "cdn"}, {"type": "ip-from-dns"}),
        ({"time": 10**6}, {"time": 2 * 10**6}),
        ({"time": 2 * 10**6, "seen": ANSWERED}, {"time": 10**6}),
    ],
)
def test_strongest_evidence_is_selected(stronger, weaker) -> None:
    strong = replace(COMMON, name="strong", **stronger)
    weak = replace(COMMON, name="weak", **weaker)
    assert summary_of(strong, weak).name == summary_of(weak, strong).name == "strong"


def test_how_each_piece_was_seen_is_a_word() -> None:
    record = jsonl.alert_record(replace(ALERT, evidence=(replace(ITEM, seen=ANSWERED), ITEM)))
    assert seen_words(record) == [
        "server=true,directions=both,checksum=right",
        "server=false,directions=client,checksum=unknown",
    ]
    del record["evidence"][0]["seen"]
    assert seen_words(record)[0] == "unknown"


@pytest.mark.parametrize("name", ["cef", "csv", "ecs", "eve", "gelf", "leef", "ocsf"])
def test_every_format_says_how_evidence_was_seen(name: str) -> None:
    """Each line differs where nothing but that does."""
    lines = {
        RENDERERS[name](jsonl.alert_record(replace(ALERT, evidence=(replace(ITEM, seen=seen),))))
        for seen in RANKED
    }
    assert len(lines) == len(RANKED)


def test_summary_without_evidence() -> None:
    summary = summary_of()
    assert summary.strongest_evidence is None
    assert (summary.name, summary.transport, summary.service) == (None, None, None)
    assert summary.sightings == 0
    assert summary.message == (
        "lab-07 contacted TikTok, which ban be-fed-tiktok-2023 forbids;"
        " this looks like use of the app"
    )


@pytest.mark.parametrize(
    ("verdict", "severity", "message"),
    [
        ("violation", "high", "contacted TikTok, which ban be-fed-tiktok-2023 forbids"),
        ("advisory", "high", "contacted TikTok, which ban be-fed-tiktok-2023 advises against"),
        ("exempt", "informational", "contacted TikTok, exempt from ban be-fed-tiktok-2023"),
    ],
)
def test_message_of_each_verdict(verdict, severity: str, message: str) -> None:
    summary = summary_of(ITEM, verdict=verdict)
    assert summary.severity == severity
    assert summary.message == (
        f"lab-07 {message} (confirmed: tls-sni v16-webapp.tiktok.com);"
        " this looks like use of the app"
    )


def test_message_says_that_a_block_worked_and_that_the_app_is_there() -> None:
    assert summarize(jsonl.alert_record(BLOCKED)).message == (
        "lab-07 looked up TikTok, which ban be-fed-tiktok-2023 forbids (probable: dns-query"
        " api16-normal-c-useast1a.tiktokv.com); blocked (NXDOMAIN), the app is probably still"
        " installed"
    )


def test_judgement_of_the_record() -> None:
    summary = summarize(jsonl.alert_record(FULL_ALERT))
    assert (summary.kind, summary.outcome) == ("background", "reached")
    assert summary.kind_reasons == "3 handshakes in 1 h 40 min. 4,000 bytes were sent."
    assert summary.confidence_reasons == "v16-webapp.tiktok.com is called by the app alone."


def test_record_of_a_version_without_kinds_reads_as_before() -> None:
    record = without_judgement(jsonl.alert_record(FULL_ALERT))
    summary = summarize(record)
    assert summary.title == "Banned app contacted under an exemption"
    assert summary.message == (
        "lab-07 contacted TikTok, exempt from ban be-fed-tiktok-2023"
        " (confirmed: tls-sni v16-webapp.tiktok.com)"
    )
    assert (summary.kind, summary.outcome, summary.kind_reasons) == ("", "", "")


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_renders_a_record_without_kind_and_outcome(name: str) -> None:
    line = RENDERERS[name](without_judgement(jsonl.alert_record(FULL_ALERT)))
    assert "lab-07" in line
    assert "background" not in line


def without_judgement(record):
    """The record as a version before kinds and outcomes had stored it in its outbox."""
    added = {"kind", "outcome", "blocked_by", "confidence_reasons"}
    record = {key: value for key, value in record.items() if key not in added}
    counts = {key: value for key, value in record["counts"].items() if key != "outcomes"}
    return {
        **record,
        "counts": counts,
        "evidence": [
            {key: value for key, value in item.items() if key != "app_only"}
            for item in record["evidence"]
        ],
    }


def test_braces_in_a_name_are_literal() -> None:
    app = replace(ALERT.app, name="{ban}")
    assert "contacted {ban}, which ban be-fed" in summary_of(ITEM, app=app).message


def test_sightings_include_removed_evidence() -> None:
    record = jsonl.alert_record(
        replace(FULL_ALERT, extra={"left_out": {"evidence": 7, "names": 100}})
    )
    assert summarize(record).sightings == 5 + 7
    assert summarize({**record, "shortened": {"evidence": 1, "sightings": 11}}).sightings == 23


def test_times_and_destination() -> None:
    summary = summarize(jsonl.alert_record(FULL_ALERT))
    assert summary.last_seen - summary.first_seen == 100 * 10**9
    assert summary.destination is not None
    assert summary.destination["ip"] == "192.0.2.80"
    assert summary_of(EARLIER).service == "dns"
    assert summary_of(EARLIER).transport is None


def test_each_report_of_an_incident_has_its_own_uid() -> None:
    record = jsonl.alert_record(ALERT)
    reports = [
        (status, confidence)
        for status in ("open", "update", "closed")
        for confidence in ("possible", "probable", "confirmed")
    ]
    found = {event_uid({**record, "status": s, "confidence": c}) for s, c in reports}
    assert len(found) == len(reports)


def test_an_update_for_a_block_that_did_not_hold_has_a_uid_of_its_own() -> None:
    update = {**jsonl.alert_record(BLOCKED), "status": "update"}
    assert event_uid(update) != event_uid({**update, "outcome": "reached"})
    assert event_uid({**update, "kind": None, "outcome": None}).endswith("-update-probable")


def test_versions_are_words() -> None:
    record = jsonl.alert_record(ALERT)
    assert version_words(record) == [
        *("netwatch=0.1.0", "signatures=5e1a", "bans=ba25", "configuration=c0ff")
    ]
    assert version_words(jsonl.alert_record(FULL_ALERT))[4:] == ["set=12", "set_hash=0a1b2c3d4e5f"]


@pytest.mark.parametrize("name", sorted(RENDERERS))
def test_records_without_versions_are_rendered(name: str) -> None:
    # They were stored in an outbox by a netwatch that did not write versions yet.
    record = jsonl.alert_record(FULL_ALERT)
    del record["versions"]
    assert version_words(record) == []
    assert RENDERERS[name](record)


def test_empty_values_are_removed_at_any_depth() -> None:
    assert without_empty(
        {"a": None, "b": {"c": ""}, "d": [{"e": None, "f": 0}], "g": False, "h": []}
    ) == {
        "d": [{"f": 0}],
        "g": False,
    }


NAMES = tuple(f"{number:03d}.{'n' * 200}.tiktok.com" for number in range(200))
LEAD = replace(ITEM, name=NAMES[-1])
LONG = jsonl.alert_record(
    replace(
        FULL_ALERT,
        names=NAMES,
        evidence=(*(replace(EARLIER, name=name) for name in NAMES), LEAD),
        destinations=tuple(
            Destination(f"192.0.2.{number}", 443, None, None, None) for number in range(200)
        ),
        community_ids=tuple(f"1:{number:028d}=" for number in range(64)),
    )
)


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("limit", [65_000, 8192, 5500])
def test_long_record_is_shortened(name: str, limit: int) -> None:
    line = render_within(RENDERERS[name], LONG, limit)
    assert len(line.encode()) <= limit
    assert NAMES[-1] in line  # the strongest evidence


def test_record_that_fits_is_unchanged() -> None:
    record = jsonl.alert_record(FULL_ALERT)
    line = RENDERERS["jsonl"](record)
    assert render_within(RENDERERS["jsonl"], record, len(line.encode())) == line


def test_removed_entries_are_counted() -> None:
    shortened = json.loads(render_within(RENDERERS["jsonl"], LONG, 8192))
    removed = shortened["shortened"]
    for name in ("names", "evidence", "destinations", "community_ids"):
        assert len(shortened[name]) + removed.get(name, 0) == len(LONG[name])
    retained = sum(item["count"] for item in shortened["evidence"])
    assert retained + removed["sightings"] == sum(item["count"] for item in LONG["evidence"])
    assert shortened["evidence"][0] == LONG["evidence"][0]
    assert shortened["evidence"][-1]["name"] == shortened["names"][-1] == NAMES[-1]


def test_sightings_include_evidence_of_halved_lists() -> None:
    shortened = json.loads(render_within(RENDERERS["ocsf"], LONG, 16_000))
    assert shortened["count"] == 200 * EARLIER.count + LEAD.count


def test_record_that_cannot_fit_is_as_short_as_possible() -> None:
    shortened = json.loads(render_within(RENDERERS["jsonl"], LONG, 10))
    assert [len(shortened[name]) for name in ("names", "evidence", "destinations")] == [1, 1, 1]
    assert shortened["evidence"][0]["name"] == shortened["names"][0] == NAMES[-1]
    assert shortened["kind"] == {"value": "background", "reasons": []}
    assert shortened["confidence_reasons"] == []
    assert shortened["contradictions"] == []
    assert shortened["shortened"]["reasons"] == 4
    assert shortened["candidates"] == []
    assert shortened["shortened"]["candidates"] == 1


def test_reasons_are_removed_last() -> None:
    short = RENDERERS["jsonl"](jsonl.alert_record(FULL_ALERT))
    line = render_within(RENDERERS["jsonl"], LONG, len(short.encode()) + 400)
    assert json.loads(line)["kind"]["reasons"] == LONG["kind"]["reasons"]


def test_input_record_is_not_modified() -> None:
    before = json.dumps(LONG)
    render_within(RENDERERS["jsonl"], LONG, 4000)
    assert json.dumps(LONG) == before
