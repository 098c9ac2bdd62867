"""What docs/metrics.md says is what the code does."""

import re

from support.documents import ROOT, rows, section, words
from support.snapshots import BUSY

from netwatch.watch.endpoint import MAX_REQUESTS
from netwatch.watch.health import TROUBLES, Thresholds
from netwatch.watch.metrics import MAX_SERIES, Metrics

TEXT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_metrics_are_those_that_are_told() -> None:
    told = {words(row[0])[0]: (row[1], words(row[2])) for row in rows(section("## Metrics", TEXT))}
    there = {}
    for family in Metrics(lambda: BUSY, Thresholds()).collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        there[name] = (
            family.type,
            list(dict.fromkeys(k for s in family.samples for k in s.labels)),
        )
    assert told == there


def test_troubles_and_thresholds_are_those_that_are_told() -> None:
    table = rows(section("## Health", TEXT))
    assert [words(row[0])[0] for row in table] == list(TROUBLES)
    units = {"s": 1, "min": 60}
    told = [int(row[2].split()[0]) * units[row[2].split()[1]] for row in table if row[2]]
    limits = Thresholds()
    assert told == [limits.silence, limits.dropping, limits.stuck]


def test_limits_are_those_that_are_told() -> None:
    assert f"At most {MAX_REQUESTS} requests" in TEXT.replace("\n", " ")
    assert int(re.search(r"than (\d+) values", TEXT.replace("\n", " ")).group(1)) == MAX_SERIES
