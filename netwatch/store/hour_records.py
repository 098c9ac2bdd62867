"""Judged coverage as records, for ``store query coverage --hours`` and ``store status``."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from netwatch.coverage.bits import mask, narrowed
from netwatch.coverage.hours import HOUR, QUARTERS, by_name
from netwatch.coverage.judged import JudgedCoverage, Wanted
from netwatch.formats.values import rfc3339

SCHEMA = "netwatch.hour/1"
"""The schema of a record, with its version."""

COLUMNS = ("hour", "network", "class", "captured", "lost", "judged_by", "flows", "named", "sensors")
"""The columns of a record as CSV; a list is joined by spaces."""


def captured_span(coverage: JudgedCoverage) -> tuple[int, int] | None:
    """From the first to the end of the last hour in which anything was captured (ns)."""
    hours = narrowed(coverage.captured_at_all, QUARTERS)
    if not hours:
        return None
    first = (hours & -hours).bit_length() - 1
    return (coverage.first + first) * HOUR, (coverage.first + hours.bit_length()) * HOUR


def hour_records(
    coverage: JudgedCoverage,
    classes: Mapping[str, str],
    wanted: Mapping[str, Wanted],
    networks: Collection[str] = (),
) -> Iterator[dict[str, Any]]:
    """A record for each hour and network, by hour. `classes` are the networks of the configuration,
    `wanted` says of each of its bans by what it is judged.

    `captured` is the share of the hour, null where no sensor that sees the network captured
    anything, and `lost` that in which more was seen than is stored; `flows` is null where it was
    not captured. `judged_by` are the bans that all of what was captured was judged by.
    """
    names = sorted({*coverage.networks(), *classes})
    names = [each for each in names if not networks or each in networks]
    captured = {name: coverage.captured(name) for name in names}
    lost = {name: coverage.lost(name) for name in names}
    judged = {
        (name, ban): coverage.judged(name, classes.get(name, ""), by)
        for name in names
        for ban, by in wanted.items()
    }
    whole = coverage.first * HOUR, (coverage.first + coverage.hours) * HOUR
    flows = {name: coverage.hourly(name, [whole]) for name in names}
    for hour in range(coverage.hours):
        part = mask(hour * QUARTERS, (hour + 1) * QUARTERS)
        for name in names:
            there = captured[name] & part
            counts = by_name(flows[name].get(hour, {}))
            named = counts.pop("named", 0)
            yield {
                "schema": SCHEMA,
                "hour": rfc3339((coverage.first + hour) * HOUR, 0),
                "network": name,
                "class": classes.get(name),
                "captured": there.bit_count() / QUARTERS if there else None,
                "lost": (lost[name] & part).bit_count() / QUARTERS,
                "judged_by": [ban for ban in wanted if there and not there & ~judged[name, ban]],
                "flows": named + sum(counts.values()) if there else None,
                "named": named if there else None,
                "unnamed": counts if there else None,
                "sensors": sorted(
                    {
                        each.sensor
                        for each in coverage.sources
                        if each.quarters & part
                        and each.sensor in coverage.listeners.get(name, frozenset())
                    }
                ),
            }
