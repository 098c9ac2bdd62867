"""Captures of the wild, where they are at hand: every name is reported, none that is not there,
what differs from others is explained, and nothing breaks or grows."""

import io
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from conformance.report import PAGE, page
from support.conformance_differences import ALONE, LEFT, MISSED, Differences
from support.conformance_scoring import (
    CAPTURES,
    EXPECTED,
    Capture,
    alone,
    missed,
    read_all,
    scores,
    spelled,
)
from support.examples import only_long
from support.observing import observations

from netwatch import config
from netwatch.capture.files import find_captures
from netwatch.core.alert import Sensor
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine import jobs
from netwatch.engine.capture_files import group_files
from netwatch.engine.scan_share import scan_together
from netwatch.formats.registry import FORMATS
from netwatch.incidents.scan import ScanIncidents

pytestmark = pytest.mark.skipif(not EXPECTED.exists(), reason="the captures are not at hand")

MEMORY = 512 << 20
"""Bytes of address space that no run over all captures may come near."""


@pytest.fixture(scope="module")
def captures() -> list[Capture]:
    return read_all()


def numbers(differences: Differences) -> dict[tuple[str, str], int]:
    return {place: number for place, (number, _) in differences.items()}


def test_all_captures_are_read(captures: list[Capture]) -> None:
    assert len(captures) > 100
    for capture in captures:
        assert capture.statistics.unread == [], capture.name
        assert capture.statistics.packets == capture.entry["packets"], capture.name


def test_every_required_name_is_reported_but_those_explained(captures: list[Capture]) -> None:
    assert missed(captures, "required") == numbers(MISSED)
    assert sum(each.asked - each.found for each in scores(captures)) == sum(
        numbers(MISSED).values()
    )


def test_what_others_claim_and_netwatch_does_not_is_explained(captures: list[Capture]) -> None:
    assert missed(captures, "optional") == numbers(LEFT)


def test_nothing_is_reported_that_nobody_else_sees_but_what_is_explained(
    captures: list[Capture],
) -> None:
    assert alone(captures) == numbers(ALONE)


def test_ech_is_seen_where_it_is(captures: list[Capture]) -> None:
    assert [capture.name for capture in captures if capture.ech != capture.entry["ech"]] == []


def test_the_page_is_up_to_date(captures: list[Capture]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(captures)


def test_names_are_compared_by_their_bytes() -> None:
    assert spelled("A\\202b\\xCA.Example.") == "a\xcab\xca.example"


def test_a_difference_that_is_not_explained_is_found(captures: list[Capture]) -> None:
    capture = next(each for each in captures if each.reported.get("tls-sni"))
    changed = Capture(capture.name, capture.entry, {"tls-sni": {"nobody.example"}})
    assert alone([changed])[(capture.name, "tls-sni")] == 1
    assert missed([changed], "required")[(capture.name, "sni_tcp")] > 0


@pytest.mark.parametrize(
    ("command", "jobs_"),
    [only_long("names", "1"), ("names", "2"), ("scan", "1"), only_long("scan", "2")],
)
def test_all_at_once_ends_well_in_bounded_memory(command: str, jobs_: str) -> None:
    """The captures one after the other, in one process and in two."""
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))"
    code = f"{limits}; import sys; from netwatch.cli import main; sys.exit(main())"
    words = [command, str(CAPTURES), "--format", "jsonl", "--jobs", jobs_]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, 1), done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert (len(done.stdout) > 100_000) == (command == "names")


def test_several_workers_read_the_same() -> None:
    found = list(group_files(find_captures([str(CAPTURES)]), continuous=False))
    one, two = RunStatistics(), RunStatistics()
    alone_ = [
        (each.source, each.packet, each.name) for each in observations(jobs.names(found, one))
    ]
    both = [
        (each.source, each.packet, each.name)
        for each in observations(jobs.names(found, two, workers=2))
    ]
    assert alone_ == both
    assert one == two
    assert {Path(path).suffix for path in one.skipped} <= {".md", ".jsonl", ".py"}


def test_workers_that_share_each_capture_find_the_same(tmp_path: Path) -> None:
    """All apps are banned for everybody."""
    apps = ", ".join(sorted(config.load(None).catalog.signatures))
    path = tmp_path / "netwatch.yaml"
    path.write_text(
        "version: 1\n"
        "networks: [{name: all, cidrs: [0.0.0.0/0, '::/0'], class: service}]\n"
        f"bans: [{{id: all, authority: Made, apps: [{apps}], forbids: [service],"
        " legal_basis: made}]\n"
    )
    site = config.load(str(path))
    files = find_captures([str(CAPTURES / "*.pcap*")])
    found = []
    for read in (partial(jobs.scan, workers=1), partial(scan_together, workers=2, progress=None)):
        statistics, coverage, stream = RunStatistics(), Coverage(), io.StringIO()
        with ScanIncidents(site.quiet_gap) as incidents:
            read(
                list(group_files(files, continuous=False)),
                site,
                statistics,
                incidents,
                coverage=coverage,
                keep_frames=False,
            )
            writer = FORMATS["jsonl"].writer(stream)
            for alert in incidents.result(site.geo, Sensor("test", "0")).alerts:
                writer.alert(alert)
            writer.coverage(coverage.report(statistics.packets, statistics.anomalies), True)
            writer.end()
        found.append((stream.getvalue(), statistics))
    one, two = found
    assert one == two
    assert one[0].count('"netwatch.alert/1"') > 10
