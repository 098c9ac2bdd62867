"""The hours of a store are those of its packets, with the flows that the coverage counts."""

import json
from pathlib import Path

from support.paths import PCAPS

from netwatch.cli import main
from netwatch.coverage.judged import BLOCK, QUARTERS, HourCounts, by_name, narrowed, runs
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import FactRemoval
from netwatch.store.judged_coverage import judged_coverage
from netwatch.store.opening import open_catalogue
from netwatch.store.options import Retention, StoreOptions
from netwatch.store.pruning import Pruning
from netwatch.store.run_rows import VersionHashes

EVERYTHING = 0, 1 << 62


def test_the_flows_of_hours_are_those_of_the_coverage(tmp_path: Path) -> None:
    files = [str(PCAPS / f"{name}.pcap") for name in ("office-day", "five-kinds", "http-host")]
    config, output = str(PCAPS / "netwatch.yaml"), tmp_path / "out.jsonl"
    assert main(
        ["scan", "-q", "-c", config, "--store", "--store-path", str(tmp_path / "store"),
         "--coverage", "--format", "jsonl", "-o", str(output), *files]
    ) == 0  # fmt: skip
    report = json.loads(output.read_text().splitlines()[-1])
    expected = {
        each["name"]: {"named": each["named"], **each["unnamed"]} for each in report["networks"]
    }
    with open_catalogue(StoreOptions(str(tmp_path / "store"))) as catalogue:
        found = judged_coverage(catalogue)
    flows = {
        name: by_name(counts)
        for name in found.networks()
        for counts in found.flows(name, *EVERYTHING).values()
        if by_name(counts)
    }
    assert flows == expected
    seen = narrowed(found.captured_at_all, 4)
    # Files of several days, and hours of each: no hour between them.
    assert 3 < sum(end - begin for begin, end in runs(seen)) < 60
    assert {each.sensor for each in found.sources} == {found.sources[0].sensor}
    assert len({each.content for each in found.sources}) == 3


def test_a_live_run_is_judged_by_what_it_was_told(tmp_path: Path) -> None:
    """Its configuration is read anew while it runs."""
    first, second = VersionHashes("1", "s", "b", "c"), VersionHashes("1", "s", "d", "e")
    with open_catalogue(StoreOptions(str(tmp_path)), create=True) as catalogue:
        run = catalogue.begin_run("live", "gate", catalogue.version_id(first, {"x": "old"}))
        for _ in range(2):  # one that is told again is the same as once
            catalogue.judged_from(run, second, {"x": "new"}, 5_000)
        columns = "version", "since", "until"
        with catalogue.database.reading() as connection:
            rows = connection.exec_driver_sql(f"SELECT {', '.join(columns)} FROM hour_judged")
            assert [tuple(row) for row in rows] == [(1, None, 5_000), (2, 5_000, None)]


def test_hours_are_kept_as_long_as_incidents(tmp_path: Path) -> None:
    options = StoreOptions(str(tmp_path))
    with open_catalogue(options, create=True) as catalogue:
        run = catalogue.begin_run("live", "gate")
        counts = HourCounts({BLOCK * QUARTERS - 1, BLOCK * QUARTERS})
        counts.see(("hq", "service"), BLOCK - 1)
        counts.see(("hq", "service"), BLOCK)
        catalogue.add_hours(run, {0: counts})
        removal = FactRemoval(catalogue, FactFiles(str(tmp_path)))
        now = BLOCK * 3600 + 100.0
        for keep, expected in ((101, [BLOCK - 1, BLOCK]), (100, [BLOCK])):
            Pruning(removal, Retention(incidents=keep), now).prune("somebody")
            found = judged_coverage(catalogue)
            assert [found.first + at for at, _ in runs(found.seen("hq"))] == expected[:1]
            assert found.seen("hq").bit_count() == len(expected)
            assert found.captured_at_all.bit_count() == len(expected)
