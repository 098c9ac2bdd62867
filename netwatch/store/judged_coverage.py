"""Reads judged coverage from a catalogue: the only way to learn what was captured and what judged
it; and returns it as records, for ``store query coverage --hours`` and ``store status``."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from netwatch.coverage.judged import (
    BLOCK,
    HOUR,
    QUARTER,
    QUARTERS,
    FlowBlock,
    Judge,
    JudgedCoverage,
    JudgedSpan,
    SeenNetwork,
    Source,
    Wanted,
    bits_of,
    bits_or,
    by_k,
    by_name,
    mask,
    narrowed,
)
from netwatch.formats.values import rfc3339
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.hour_rows import ALL, lost_quarters, read_bits

_Part = tuple[int, int]
"""A run and a part of it."""

SCHEMA = "netwatch.hour/1"
"""The schema of a record, with its version."""

COLUMNS = (
    "hour", "network", "class", "captured", "by_logs", "lost", "judged_by", "flows", "named",
    "one_of_k", "sensors",
)  # fmt: skip
"""The columns of a record as CSV; a list is joined by spaces."""


def judged_coverage(
    catalogue: Catalogue, since: int | None = None, until: int | None = None
) -> JudgedCoverage:
    """The coverage of the hours from `since` up to, but without, `until` (ns); None is the first or
    the last that is stored. Raises `NetwatchError`."""
    with catalogue.database.reading() as connection:
        column = tables.hour_captured.c.block
        first_block, last_block = connection.execute(
            select(func.min(column), func.max(column))
        ).one()
        first = (first_block or 0) * BLOCK if since is None else since // HOUR
        end = (-1 if last_block is None else last_block) * BLOCK + BLOCK
        last = end if until is None else -(-until // HOUR)
        hours = max(0, last - first)
        captured = tables.hour_captured.c
        quarters = _quarters(connection, captured.quarters, first, hours)
        traffic = _quarters(connection, captured.traffic, first, hours)
        networks = _networks(connection, first, hours, {*quarters})
        judged = _judged(connection)
        lost = _lost(connection, first, hours)
        for part in lost:
            quarters.setdefault(part, 0)
        sources = [
            Source(
                content=content,
                sensor=sensor,
                place=place,
                quarters=quarters[part],
                traffic=traffic.get(part, 0),
                networks={name: tuple(seen) for name, seen in networks[part].items()},
                judged=[
                    span for its, span in judged.get(part[0], ()) if its is None or its == part[1]
                ],
                lost=lost.get(part, 0),
            )
            for part, (content, sensor, place) in _origins(connection, [*quarters]).items()
        ]
        return JudgedCoverage(
            first,
            hours,
            sources,
            _sensors(connection),
            _sensors(connection, tables.hour_network.c.traffic.is_not(None)),
        )


def uncaptured(
    catalogue: Catalogue, spans: Sequence[tuple[int, int]], timeout: float | None = None
) -> list[bool]:
    """Of each of consecutive spans (ns) whether nothing was captured in any of the quarters of an
    hour that it touches. Raises `NetwatchError`, and `QueryTimeoutError` after `timeout` s."""
    if not spans:
        return []
    block = tables.hour_captured.c.block
    first, end = spans[0][0] // HOUR, -(-spans[-1][1] // HOUR)
    with catalogue.database.reading(timeout) as connection:
        low, high = connection.execute(
            select(func.min(block), func.max(block)).where(_in_blocks(block, first, end - first))
        ).one()
        if low is None:
            return [True] * len(spans)
        first, end = max(first, low * BLOCK), min(end, (high + 1) * BLOCK)
        quarters = tables.hour_captured.c.quarters
        found = bits_or(_quarters(connection, quarters, first, end - first).values())
    begin, length = first * QUARTERS, (end - first) * QUARTERS
    places = ((low // QUARTER - begin, -(-high // QUARTER) - begin) for low, high in spans)
    return [not found & mask(max(low, 0), min(high, length)) for low, high in places]


def _quarters(
    connection: Connection, column: ColumnElement[Any], first: int, hours: int
) -> dict[_Part, int]:
    """The quarters of a column of the table of captured hours, by part."""
    table = tables.hour_captured
    found: dict[_Part, int] = {}
    for run, part, block, content in connection.execute(
        select(table.c.run, table.c.part, table.c.block, column)
        .where(_in_blocks(table.c.block, first, hours), column.is_not(None))
        .order_by(table.c.run, table.c.part)
    ):
        bits = _shifted(read_bits(content), (block * BLOCK - first) * QUARTERS, hours * QUARTERS)
        if bits:
            found[run, part] = found.get((run, part), 0) | bits
    return found


def _lost(connection: Connection, first: int, hours: int) -> dict[_Part, int]:
    """The quarters with losses, by part. Losses of all captures of a run count for each of its
    parts."""
    since = first * QUARTERS
    found = lost_quarters(connection, since, since + hours * QUARTERS)
    if not found:
        return {}
    run, capture = tables.run.c, tables.capture.c
    parts: dict[_Part, int] = {}
    for number, position, of, command in connection.execute(
        select(capture.id, capture.position, run.id, run.command).join_from(
            tables.capture, tables.run, capture.run == run.id
        )
    ):
        its = found.get(of, {})
        numbers = its.get(position, set()) | its.get(ALL, set())
        if numbers:
            part = of, 0 if command == "live" else number
            parts[part] = parts.get(part, 0) | bits_of(each - since for each in numbers)
    return parts


def _networks(
    connection: Connection, first: int, hours: int, parts: set[_Part]
) -> dict[_Part, dict[str, list[SeenNetwork]]]:
    table = tables.hour_network
    columns = table.c
    seen: dict[tuple[_Part, str, str], tuple[int, int, list[FlowBlock]]] = {}
    for run, part, network, kind, block, bits, traffic, flows in connection.execute(
        select(
            columns.run, columns.part, columns.network, columns["class"], columns.block,
            columns.hours, columns.traffic, columns.flows,
        ).where(_in_blocks(columns.block, first, hours))
    ):  # fmt: skip
        if (run, part) not in parts:
            continue
        begin = block * BLOCK - first
        found = _shifted(read_bits(bits), begin, hours)
        if found:
            key = (run, part), network, kind
            watched = 0 if traffic is None else _shifted(read_bits(traffic), begin, hours)
            known, before, blocks = seen.get(key, (0, 0, []))
            blocks.append(FlowBlock(begin, flows))
            seen[key] = known | found, before | watched, blocks
    result: defaultdict[_Part, dict[str, list[SeenNetwork]]] = defaultdict(dict)
    for (where, network, kind), (found, watched, blocks) in sorted(
        seen.items(), key=lambda item: item[0]
    ):
        its = SeenNetwork(kind, found, watched, tuple(blocks))
        result[where].setdefault(network, []).append(its)
    return result


def _in_blocks(column: Any, first: int, hours: int) -> Any:
    return column.between(first // BLOCK, (first + max(hours, 1) - 1) // BLOCK)


def _shifted(bits: int, by: int, size: int) -> int:
    """Bits of a block at their place in what is read, without adjacent ones."""
    return (bits << by if by >= 0 else bits >> -by) & mask(0, size)


def _judged(connection: Connection) -> dict[int, list[tuple[int | None, JudgedSpan]]]:
    """What each run was judged by, with the part that it was."""
    version, ban, judged = tables.version.c, tables.version_ban.c, tables.hour_judged.c
    contents: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for number, name, content in connection.execute(select(ban.version, ban.ban, ban.content)):
        contents[number][name] = content
    judges = {
        number: Judge(netwatch, signatures, bans, contents[number])
        for number, netwatch, signatures, bans in connection.execute(
            select(version.id, version.netwatch, version.signatures, version.bans)
        )
    }
    found: defaultdict[int, list[tuple[int | None, JudgedSpan]]] = defaultdict(list)
    for run, part, number, since, until in connection.execute(
        select(judged.run, judged.part, judged.version, judged.since, judged.until).order_by(
            judged.id
        )
    ):
        found[run].append((part, JudgedSpan(judges[number], since, until)))
    return found


def _origins(connection: Connection, parts: Sequence[_Part]) -> dict[_Part, tuple[str, str, str]]:
    """The content, the sensor and the place of each part, in their order. A file is identified by
    its hash if all of it was stored; anything else only equals itself."""
    run, capture = tables.run.c, tables.capture.c
    runs = {
        number: (command, sensor)
        for number, command, sensor in connection.execute(select(run.id, run.command, run.sensor))
    }
    captures = {
        number: (content if state == "complete" else "", sources)
        for number, content, state, sources in connection.execute(
            select(capture.id, capture.content, capture.state, capture.sources)
        )
    }
    found = {}
    for part in parts:
        if part[0] not in runs:
            continue
        command, sensor = runs[part[0]]
        content, sources = captures.get(part[1], ("", ""))
        place = sources if part[1] else command
        found[part] = content or f"{part[0]}/{part[1]}", sensor, place
    return found


def _sensors(connection: Connection, *where: ColumnElement[bool]) -> dict[str, frozenset[str]]:
    """The sensors that have rows of hours of a network for which `where` holds."""
    network, run = tables.hour_network.c, tables.run.c
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, sensor in connection.execute(
        select(network.network, run.sensor)
        .join_from(tables.hour_network, tables.run, network.run == run.id)
        .where(*where)
        .distinct()
    ):
        found[name].add(sensor)
    return {name: frozenset(each) for name, each in found.items()}


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
    `wanted` has for each of its bans what it is judged by.

    `captured` is the share of the hour, null if no sensor that sees the network captured anything,
    `by_logs` the share of which only logs of services tell, and `lost` the share in which more was
    seen than is stored; `flows` is null if it was not
    captured. `judged_by` are the bans that judged everything that was captured. `one_of_k` are the
    flows ``one-of-k`` by their k.
    """
    names = sorted({*coverage.networks(), *classes})
    names = [each for each in names if not networks or each in networks]
    captured = {name: coverage.captured(name) for name in names}
    by_logs = {name: captured[name] & ~coverage.traffic(name) for name in names}
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
            found = flows[name].get(hour) or Counter[int]()
            counts, one_of = by_name(found), by_k(found)
            named = counts.pop("named", 0)
            yield {
                "schema": SCHEMA,
                "hour": rfc3339((coverage.first + hour) * HOUR, 0),
                "network": name,
                "class": classes.get(name),
                "captured": there.bit_count() / QUARTERS if there else None,
                "by_logs": (by_logs[name] & part).bit_count() / QUARTERS,
                "lost": (lost[name] & part).bit_count() / QUARTERS,
                "judged_by": [ban for ban in wanted if there and not there & ~judged[name, ban]],
                "flows": named + sum(counts.values()) if there else None,
                "named": named if there else None,
                "unnamed": counts if there else None,
                "one_of_k": {str(names): each for names, each in one_of.items()},
                "sensors": sorted(
                    {
                        source.sensor
                        for source in coverage.sources
                        if source.quarters & part
                        and source.sensor in coverage.listeners.get(name, frozenset())
                    }
                ),
            }
