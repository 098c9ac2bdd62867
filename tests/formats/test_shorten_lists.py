import json
from dataclasses import replace

import pytest
from support.made_records import EARLIER, FULL_ALERT, ITEM

from netwatch.core.alert import Destination
from netwatch.formats import jsonl
from netwatch.formats.registry import RENDERERS
from netwatch.formats.shorten_lists import render_within

NAMES = tuple(f"{number:03d}.{'n' * 200}.tiktok.com" for number in range(200))
LEAD = replace(ITEM, name=NAMES[-1])
LONG = jsonl.alert_record(
    replace(
        FULL_ALERT,
        names=NAMES,
        evidence=(*(replace(EARLIER, name=name) for name in NAMES), LEAD),
        destinations=tuple(Destination(f"192.0.2.{number}", 443) for number in range(200)),
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


def test_sightings_include_removed_evidence() -> None:
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
