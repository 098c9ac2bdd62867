"""For which time the facts of a capture are complete, so that to judge them again is to judge all
that was seen.

The events of a capture are numbered without a gap. Where numbers are missing, rows were lost, or
deleted because of their age or with a device. What comes after the last gap is complete; of a
capture that goes on, or whose end was not stored, what comes before its end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from netwatch.rejudge.stored_runs import StoredCapture, StoredRun
from netwatch.store.views import FACT_TABLES

OPEN_FLOWS = 900_000_000_000
"""How long before the end of a capture that goes on flows may be open, of which the end is no fact
yet, ns."""

_TIMES = {"observation": "time", "flow": "last", "claim": "time"}


@dataclass(frozen=True, slots=True)
class CompleteSpan:
    """Facts are complete from `since` up to, but without, `until` (ns); None is open."""

    since: int | None
    until: int | None


def complete_spans(sql: Any, captures: Iterable[StoredCapture]) -> dict[int, CompleteSpan]:
    """The complete time of each capture that has one; `sql` executes a statement of DuckDB."""
    rows = " UNION ALL ".join(
        f"SELECT capture, sequence, {_TIMES[table]} AS time FROM netwatch.{table}_rows"
        " SEMI JOIN netwatch.chosen ON capture = value"
        for table in FACT_TABLES
    )
    found = sql(
        "WITH steps AS (SELECT capture, sequence, time, sequence - coalesce(lag(sequence) OVER"
        f" (PARTITION BY capture ORDER BY sequence), -1) AS step FROM ({rows})),"
        " gaps AS (SELECT capture, max(CASE WHEN step <> 1 THEN sequence END) AS gap, max(time) AS"
        " last FROM steps GROUP BY capture)"
        " SELECT g.capture, g.last, (SELECT max(s.time) FROM steps s WHERE s.capture = g.capture"
        " AND s.sequence <= g.gap) FROM gaps g"
    ).fetchall()
    seen = {capture: (last, gap) for capture, last, gap in found}
    spans = {}
    for each in captures:
        if each.number not in seen:
            if each.first is None and each.complete:
                spans[each.number] = CompleteSpan(None, None)
            continue
        last, gap = seen[each.number]
        until = None if each.complete else last - OPEN_FLOWS
        since = None if gap is None else gap + 1
        if since is None or until is None or since < until:
            spans[each.number] = CompleteSpan(since, until)
    return spans


def complete_parts(
    run: StoredRun, spans: dict[int, CompleteSpan]
) -> list[tuple[int, CompleteSpan]]:
    """The parts of a run (`netwatch.coverage.hours`) with the time of which all facts are there."""
    if run.command != "live":
        return [(each.number, spans[each.number]) for each in run.captures if each.number in spans]
    if any(each.number not in spans for each in run.captures):
        return []
    found = [spans[each.number] for each in run.captures]
    begins = [each.since for each in found if each.since is not None]
    ends = [each.until for each in found if each.until is not None]
    whole = CompleteSpan(max(begins, default=None), min(ends, default=None))
    if whole.since is not None and whole.until is not None and whole.since >= whole.until:
        return []
    return [(0, whole)]
