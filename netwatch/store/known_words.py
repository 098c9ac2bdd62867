"""Whether a word that a query names is known. What nobody knows is a mistake in typing: a query for
it would find nothing, which reads as if a ban had been kept.

Known is what the configuration has, and what the store has, also if the configuration has it no
longer.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Set

from sqlalchemy import Column, select

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.user_yaml import did_you_mean
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.filters import is_device
from netwatch.store.incident_queries import records_of_incidents
from netwatch.store.views import streamed

_COLUMNS: Mapping[str, tuple[Column[str], ...]] = {
    "app": (tables.incident.c.app,),
    "ban": (tables.incident.c.ban,),
    "network": (
        tables.incident.c.network,
        tables.client.c.network,
        tables.coverage_network.c.network,
    ),
}
"""Where a store has words of each kind."""


def unknown_words(
    catalogue: Catalogue, kind: str, words: Iterable[str], configured: Set[str]
) -> Iterator[tuple[str, str]]:
    """The words that are neither configured nor in the store, each with the hint that belongs
    behind it. `kind` is ``app``, ``ban`` or ``network``."""
    for word in sorted({*words} - configured):
        if not _has(catalogue, kind, word):
            yield word, did_you_mean(word, configured | _stored(catalogue, kind), 0.5)


def _has(catalogue: Catalogue, kind: str, word: str) -> bool:
    with catalogue.database.reading() as connection:
        return any(
            connection.execute(select(column).where(column == word).limit(1)).first() is not None
            for column in _COLUMNS[kind]
        )


def _stored(catalogue: Catalogue, kind: str) -> set[str]:
    with catalogue.database.reading() as connection:
        return {
            word
            for column in _COLUMNS[kind]
            for word in connection.execute(select(column).distinct()).scalars()
            if word
        }


def is_known_device(catalogue: Catalogue, word: str) -> bool:
    """Whether a word can name a device that is not in the inventory: it is an address, a MAC or a
    pseudonym, or a device of an incident or of a record of coverage is called so."""
    if parse_ip(word) or parse_mac(word):
        return True
    client = tables.client.c
    found = select(client.number).where(client.pseudonym == word).limit(1)
    with catalogue.database.reading() as connection:
        if connection.execute(found).first() is not None:
            return True
    if any(is_device(word, record["device"]) for record, _ in records_of_incidents(catalogue)):
        return True
    lower = word.lower()
    return any(
        device["id"].lower() == lower
        for (text,) in streamed(catalogue, select(tables.coverage.c.record))
        for network in json.loads(text)["networks"]
        for device in network["devices"]
    )
