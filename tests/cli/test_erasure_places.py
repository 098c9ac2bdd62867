"""Every place where something of a person may be has its row."""

from collections import Counter

from netwatch.cli.erasure_places import PLACES, not_reached, outcome
from netwatch.cli.store_privacy import _ERASED
from netwatch.console import tables as console
from netwatch.store import catalogue_tables as catalogue


def test_every_table_is_in_one_place() -> None:
    known = Counter(table for place in PLACES for table in place.tables)
    there = {*catalogue.metadata.tables, *console.metadata.tables}
    assert known == dict.fromkeys(there, 1)


def test_every_count_is_of_one_place() -> None:
    assert Counter(name for place in PLACES for name in place.counts) == dict.fromkeys(_ERASED, 1)


def test_an_outcome_says_what_was_done_where() -> None:
    found = outcome({"rows": 7, "files": 2, "audit": 1})
    assert found["facts"] == {"reach": "erased", "rows": 7, "files": 2}
    assert found["audit"] == {"reach": "sealed", "audit": 1}
    assert found["captures"] == {"reach": "not reached"}
    assert "accounts" not in found
    assert len(not_reached()) == sum(place.reach == "not reached" for place in PLACES)
