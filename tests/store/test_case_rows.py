"""Words of incidents are written only where they change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.fleet_alerts import DAY, GAP, MINUTE, SECOND, fleet_alert

from netwatch.store import catalogue_tables as tables
from netwatch.store.case_rows import SPAN
from netwatch.store.cases import keep_alerts
from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with open_catalogue(StoreOptions(str(tmp_path / "store")), create=True) as opened:
        yield opened


def words(catalogue: Catalogue) -> dict[str, tuple[Any, ...]]:
    """By word: when it was written, as the number of its row says, and the span."""
    word = tables.fleet_case_word.c
    with catalogue.database.reading() as connection:
        rows = connection.execute(select(word.word, word.first_seen, word.last_seen)).all()
    return {text: span for text, *span in rows}  # type: ignore[misc]


def test_an_incident_that_goes_on_keeps_its_rows_until_a_span_ends(catalogue: Catalogue) -> None:
    keep_alerts(catalogue, [fleet_alert("a", SECOND, status="open")], GAP)
    before = words(catalogue)
    assert {*map(tuple, before.values())} == {(DAY, DAY + SPAN)}
    with catalogue.database.writing() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER no_more BEFORE INSERT ON fleet_case_word"
            " BEGIN SELECT RAISE(ABORT, 'written again'); END"
        )
    keep_alerts(catalogue, [fleet_alert("a", SECOND, MINUTE, status="update")], GAP)
    assert words(catalogue) == before
    with catalogue.database.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER no_more")
    keep_alerts(catalogue, [fleet_alert("a", SECOND, SPAN + MINUTE)], GAP)
    assert {*map(tuple, words(catalogue).values())} == {(DAY, DAY + 2 * SPAN)}


def test_what_a_device_is_not_called_any_more_is_forgotten(catalogue: Catalogue) -> None:
    keep_alerts(catalogue, [fleet_alert("a", 0, status="open", hostname="old")], GAP)
    before = words(catalogue)
    keep_alerts(catalogue, [fleet_alert("a", 0, MINUTE, hostname="new")], GAP)
    after = words(catalogue)
    assert len(after) == len(before)
    assert len(after.keys() & before.keys()) == len(before) - 1
