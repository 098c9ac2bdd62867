"""Logs in a store: what was observed comes back, and judged again it gives the same bytes."""

import io
from pathlib import Path

import pytest
from support import fake_log
from support.paths import PCAPS
from support.recorded_events import lines_of, recorded

from netwatch import config
from netwatch.capture.files import find_captures
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine import jobs
from netwatch.formats.registry import FORMATS
from netwatch.incidents.scan import ScanIncidents
from netwatch.logs.registry import LOG_FORMATS
from netwatch.store.options import StoreOptions
from netwatch.store.statements import Filter

pytest.importorskip("duckdb")


def test_a_stored_log_gives_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netwatch.engine.facts_process import FactsProcess
    from netwatch.formats.flow_rows import flow_record
    from netwatch.rejudge.again import Again
    from netwatch.store.opening import open_catalogue
    from netwatch.store.queries import flows, observations

    monkeypatch.setitem(LOG_FORMATS, fake_log.NAME, fake_log.FORMAT)
    site = config.load(str(PCAPS / "netwatch.yaml"))
    events = recorded(find_captures([str(PCAPS / "office-day.pcap")]))
    lines = list(fake_log.lines_of(events, 6))
    # One denied request, and one of which nothing is known but the name.
    time = 1_679_313_600_000_000_000
    common = {"time": time, "time_digits": 0, "evidence": "http-host", "name": "www.tiktok.com",
              "transport": "tcp"}  # fmt: skip
    lines.insert(0, fake_log.line("name", **common))
    denied = {"client_ip": "0A140105", "outcome": "blocked", "blocked_by": "TCP_DENIED/403",
              "lacks": ["client-port", "server", "year"]}  # fmt: skip
    lines.insert(1, fake_log.line("name", **common, **denied))
    unit = fake_log.unit(fake_log.write(tmp_path / "a.log", lines), counts_flows=True)
    options, statistics, coverage = StoreOptions(f"{tmp_path}/store"), RunStatistics(), Coverage()
    with FactsProcess(options, "scan", site, pytest.fail) as process:
        with ScanIncidents(site.quiet_gap) as incidents:
            jobs.scan([], site, statistics, incidents, logs=[unit], coverage=coverage,
                      recording=process.recording)  # fmt: skip
            alerts = lines_of(incidents.result(site.geo, site.sensor).alerts)
        assert process.end(statistics.recorded_rows) is not None
    with ScanIncidents(site.quiet_gap) as incidents:
        jobs.scan([], site, RunStatistics(), incidents, logs=[unit])
        assert lines_of(incidents.result(site.geo, site.sensor).alerts) == alerts
    assert alerts.count('"log":') >= 10
    with Again(options, site) as again:
        assert lines_of(again.alerts()) == alerts
    written, stored = io.StringIO(), io.StringIO()
    for stream, batches in (
        (written, jobs.names([], RunStatistics(), logs=[unit])),
        (stored, observations(open_catalogue(options), options, Filter())),
    ):
        writer = FORMATS["jsonl"].writer(stream)
        for batch in batches:
            writer.observations(batch)
    assert stored.getvalue() == written.getvalue()
    assert written.getvalue().count("\n") >= 30
    found = [flow_record(row) for row in flows(open_catalogue(options), options, Filter())]
    assert len(found) >= 5
    assert all(each["log"]["format"] == "fake-json" and "packet" not in each for each in found)
