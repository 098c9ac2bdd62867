"""Incidents and coverage as they were written, by filter."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.filters import Filter, is_device, name_matches
from netwatch.store.views import shown_incidents, streamed


def incidents(catalogue: Catalogue, wanted: Filter) -> Iterator[str]:
    """The records of incidents, each as its line of JSON, in the order of time and then of the
    output of their run. Of an incident that several runs found, that of the newest is given."""
    incident = tables.incident.c
    statement = shown_incidents()
    if wanted.since is not None:
        statement = statement.where(incident.last_seen >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(incident.first_seen < wanted.until)
    for column, words in (
        (incident.app, wanted.apps),
        (incident.ban, wanted.bans),
        (incident.network, wanted.networks),
        (incident.verdict, wanted.verdicts),
    ):
        if words:
            statement = statement.where(column.in_(sorted(words)))
    looks_inside = bool(wanted.device or wanted.names)
    if wanted.limit is not None and not looks_inside:
        statement = statement.limit(wanted.limit)
    found = 0
    for (text,) in streamed(catalogue, statement.with_only_columns(incident.record)):
        if looks_inside and not _matches(json.loads(text), wanted):
            continue
        yield text
        found += 1
        if found == wanted.limit:
            return


def _matches(record: Mapping[str, Any], wanted: Filter) -> bool:
    if wanted.device and not is_device(wanted.device, record["device"]):
        return False
    return not wanted.names or any(
        name_matches(pattern, name) for pattern in wanted.names for name in record["names"]
    )


def records_of_incidents(catalogue: Catalogue) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The records of all incidents, each with the sensor that stored it."""
    incident, run = tables.incident, tables.run
    statement = select(incident.c.record, run.c.sensor).join_from(
        incident, run, incident.c.run == run.c.id
    )
    for text, sensor in streamed(catalogue, statement):
        yield json.loads(text), sensor


def coverage(catalogue: Catalogue, wanted: Filter) -> Iterator[tuple[int | None, int | None, str]]:
    """The records of coverage with the times of their first and last packet (ns), each as its line
    of JSON, in the order of runs."""
    columns = tables.coverage.c
    statement = select(columns.first, columns.last, columns.record)
    if wanted.since is not None:
        statement = statement.where(columns.last >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(columns.first < wanted.until)
    statement = statement.order_by(columns.run, columns.part)
    found = 0
    for first, last, text in streamed(catalogue, statement):
        if not _covers(text, wanted):
            continue
        yield first, last, text
        found += 1
        if found == wanted.limit:
            return


def _covers(text: str, wanted: Filter) -> bool:
    """Whether a record of coverage has a network or a device that is asked for."""
    if not wanted.networks and not wanted.device:
        return True
    return any(
        (not wanted.networks or network["name"] in wanted.networks)
        and (
            not wanted.device
            or any(device["id"].lower() == wanted.device.lower() for device in network["devices"])
        )
        for network in json.loads(text)["networks"]
    )
