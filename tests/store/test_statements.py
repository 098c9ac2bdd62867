"""Many values are one parameter, whatever is in them."""

from collections.abc import Iterator

import pytest
from sqlalchemy import insert, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.statements import among, chunks, pairs_among

TEXTS = ["plain", "it's", '"quoted"', "back\\slash", "{a,b}", "NULL", "ä\u202e", "%s ? :x", " "]


@pytest.fixture
def catalogue(catalogue_options: StoreOptions) -> Iterator[Catalogue]:
    with open_catalogue(catalogue_options, create=True) as opened:
        yield opened


def test_awkward_texts_are_found_one_by_one_and_in_pairs(catalogue: Catalogue) -> None:
    word = tables.fleet_case_word
    place = (word.c.sensor, word.c.incident)
    rows = [
        {"word": text, "sensor": f"s{number % 2}", "incident": text, "first_seen": 0,
         "last_seen": 0}
        for number, text in enumerate(TEXTS)
    ]  # fmt: skip
    with catalogue.database.writing() as connection:
        connection.execute(insert(word), rows)
        for text in TEXTS:
            wanted = among(connection, word.c.word, [text, "absent"])
            found = connection.execute(select(word.c.word).where(wanted)).scalars()
            assert found.all() == [text]
        pairs = [("s0", TEXTS[0]), ("s1", TEXTS[1]), ("s0", TEXTS[3]), ("s1", "absent")]
        chosen = select(word.c.word).where(pairs_among(connection, place, pairs))
        assert sorted(connection.execute(chosen).scalars()) == sorted(TEXTS[:2])
        for nothing in (among(connection, word.c.word, []), pairs_among(connection, place, [])):
            assert connection.execute(select(word.c.word).where(nothing)).all() == []


def test_parts_have_all_values_in_order() -> None:
    assert [list(part) for part in chunks([*range(5)], 2)] == [[0, 1], [2, 3], [4]]
