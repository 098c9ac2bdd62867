"""A centre judges the days of its store, and tells its outputs of each finding once."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.asking_office import Office, events, mac_of, stored, switched

from netwatch.fleet.centre import Centre
from netwatch.fleet.centre_status import CENTRE_METRICS, CentreStatus
from netwatch.fleet.roster_keeper import RosterKeeper
from netwatch.store import bypass_rows
from netwatch.store.messages import Known

pytest.importorskip("nats")

OFFICE = replace(Office(), devices=6, days=3, visits=20, names=60, quirks=0.0, idle=0.0)


class Outputs:
    """Outputs that remember what they were told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def put(self, *records: Any, once: bool) -> None:
        assert once
        self.told += records


def test_outputs_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bypass_rows, "NEWS_DAYS", 1 << 20)  # the office is of 2023
    with stored(events(switched(OFFICE, 2, 2, "doh"), 1), tmp_path) as (catalogue, options):
        # A whole one has a server.
        centre, outputs = Centre.__new__(Centre), Outputs()
        centre._store, centre._known, centre._delivery = options, Known(), outputs  # type: ignore[assignment]
        centre.status = CentreStatus()
        centre.roster = RosterKeeper(options, centre.status)
        for _ in range(2):
            centre._maintain_once()
            asyncio.run(centre.roster.written())
            # Another process may tell what this one has claimed, but not what it has told.
            monkeypatch.setattr(bypass_rows, "CLAIM", -1)
        centre.roster.close()
        assert bypass_rows.claim_news(catalogue) == []
    assert [each["device"]["id"] for each in outputs.told] == [mac_of(2).hex(":")]
    (counted,) = (each for each in CENTRE_METRICS if each.name == "netwatch_fleet_bypasses_total")
    assert counted.read(centre.status) == 1
