"""Incidents of a store: their records, and the files that their packets are in."""

import json
from collections.abc import Iterable, Mapping

from sqlalchemy import select

from netwatch.core.alert import AlertRecord
from netwatch.explain.sources import Found, chosen
from netwatch.explain.steps import CaptureFile
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.views import shown_incidents

MAX_IDS = 100_000
"""Ids that are compared with one that is unknown."""


def from_store(options: StoreOptions, wanted: str) -> Found:
    """The incident of a store whose id begins like this. Of one that several runs found, the newest
    is taken. Raises `ConfigError` where there is none, and `NetwatchError` where the store cannot
    be read."""
    incident = tables.incident.c
    with Catalogue.open(options) as catalogue, catalogue.database.reading() as connection:
        shown = shown_incidents()
        ids = shown.with_only_columns(incident.id).order_by(None).distinct().limit(MAX_IDS)
        fitting = ids.where(incident.id.startswith(wanted, autoescape=True))
        known = list(connection.execute(fitting).scalars()) or list(
            connection.execute(ids).scalars()
        )
        found = chosen(sorted(known), wanted, f"the store {options.shown}")
        row = connection.execute(
            shown.where(incident.id == found).with_only_columns(incident.run, incident.record)
        ).first()
        assert row is not None
        record: AlertRecord = json.loads(row.record)
        captures = connection.execute(
            select(tables.capture.c.sources).where(tables.capture.c.run == row.run)
        ).scalars()
        files = capture_files(captures)
    return Found(record, f"the store {options.shown}, run {row.run}", files)


def capture_files(captures: Iterable[str]) -> Mapping[str, CaptureFile]:
    """The files of captures by their paths, from the lists that the catalogue has of them."""
    files: dict[str, CaptureFile] = {}
    for text in captures:
        for source in json.loads(text):
            files[source["path"]] = CaptureFile(
                source["path"], source.get("size"), source.get("sha256") or None
            )
    return files
