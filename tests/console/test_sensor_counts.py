"""How many incidents sensors have, as filters of lists say it: not counted for each page."""

from collections import Counter
from pathlib import Path

import pytest
from support.fleets import fill_fleet

from netwatch.console import sensor_counts
from netwatch.console.sensor_counts import KEPT_SECONDS, SensorCounts
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import QueryTimeoutError
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


@pytest.mark.parametrize("of", ["incidents", "cases"])
def test_counts_are_kept_for_a_while(of: str, tmp_path: Path) -> None:
    times = [0.0]
    with open_catalogue(StoreOptions(str(tmp_path / "store")), create=True) as catalogue:
        counts = SensorCounts(catalogue, lambda: times[0])
        assert not counts.of(of)
        fill_fleet(catalogue, 1_700_000_000_000_000_000)
        times[0] = KEPT_SECONDS
        assert not counts.of(of)
        times[0] += 1
        found = counts.of(of)
        assert found.total()
        assert found == SensorCounts(catalogue).of(of)


def test_sensors_are_offered_without_counts_that_take_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_: Catalogue, *, timeout: float | None) -> dict[str, int]:
        raise QueryTimeoutError("the query takes too long")

    with open_catalogue(StoreOptions(str(tmp_path / "store")), create=True) as catalogue:
        fill_fleet(catalogue, 1_700_000_000_000_000_000)
        monkeypatch.setattr(sensor_counts, "incidents_by_sensor", slow)
        assert SensorCounts(catalogue).of("incidents") == Counter(
            dict.fromkeys(catalogue.sensors(), 0)
        )
