"""`netwatch.names` gives what the command lists, as objects and as columns.

`netwatch.match` says what the command says.
"""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.paths import PCAPS, ROOT

import netwatch
from netwatch import api
from netwatch.cli import main
from netwatch.core.observation_columns import COLUMNS

LOGS = ROOT / "tests" / "logs" / "samples"
LOG = LOGS / "dnsmasq" / "pihole.log"
NESTED = {
    "client": api.Endpoint, "server": api.Endpoint, "dns": api.Dns, "tls": api.Tls,
    "quic": api.Quic, "log": api.Log,
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> list[netwatch.Observation]:
    return list(netwatch.names(PCAPS))


@pytest.mark.parametrize("jobs", [1, 2])
def test_observations_are_those_of_the_command(
    jobs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["names", "-q", "--format", "jsonl", str(PCAPS)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 374
    assert [each.json() for each in netwatch.names(str(PCAPS), jobs=jobs)] == lines


def test_observations_of_every_log_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["names", "-q", "--format", "jsonl", "--year", "2023", str(LOGS)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = list(netwatch.names(LOGS, year=2023))
    assert [each.json() for each in found] == lines
    assert len({each.log.format for each in found if each.log is not None}) > 15


def test_a_file_is_read_as_the_format_that_is_named(tmp_path: Path) -> None:
    log = tmp_path / "queries"
    log.write_bytes(LOG.read_bytes())
    found = list(netwatch.names([log], as_="dnsmasq", year=2024, timezone="+02:00", only="logs"))
    assert found
    assert {each.time.year for each in found} == {2024}
    assert found[0].log is not None
    assert (found[0].log.format, found[0].packet) == ("dnsmasq", None)


def test_attributes_are_the_columns() -> None:
    expected = {column.path for column in COLUMNS}
    there = {(each.name,) for each in fields(netwatch.Observation) if each.name not in NESTED}
    for group, cls in NESTED.items():
        there |= {(group, each.name) for each in fields(cls)}
    there -= {("_record",), *(("server", each) for each in ("mac", "hostname", "network"))}
    there -= {("log", "sampling")}  # of flow records, which are no observations
    assert there == expected


def test_attributes_have_the_values_of_the_record(found: list[netwatch.Observation]) -> None:
    for each in found:
        record = each.record()
        assert each.client.ip == record["client"]["ip"]
        assert each.server.port == record["server"]["port"]
        assert each.time.tzinfo == UTC
        assert record["time"].startswith(each.time.strftime("%Y-%m-%dT%H:%M:%S"))
        assert (each.dns is None) == ("dns" not in record)
        if each.dns is not None:
            assert list(each.dns.chain) == record["dns"].get("chain", [])
        if each.tls is not None:
            assert each.tls.ja4 == record["tls"].get("ja4")
    assert {each.evidence for each in found} > {"dns-query", "tls-sni", "quic-sni"}


def test_reading_is_lazy_and_can_end_early() -> None:
    with netwatch.names(PCAPS) as observations:
        assert observations.summary.captures == 0
        first = next(observations)
        assert first.name
        assert observations.summary.captures < 8
    with pytest.raises(StopIteration):
        next(observations)


def test_workers_end_with_the_reading() -> None:
    before = threading.active_count()
    with netwatch.names(PCAPS, jobs=2) as observations:
        next(observations)
    assert threading.active_count() == before


def test_the_summary_is_complete_at_the_end() -> None:
    observations = netwatch.names([PCAPS / "office-day.pcap", "none.pcap"])
    count = sum(1 for _ in observations)
    assert observations.summary.captures == 1
    assert sum(observations.summary.observations.values()) == count
    assert observations.summary.unread == ("none.pcap: no such file or folder",)


def test_a_table_is_the_file_of_the_command(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "names.parquet"
    paths = [str(PCAPS), str(LOG)]
    command = ["names", "-q", "--format", "parquet", "--year", "2023", "-o", str(file)]
    assert main([*command, *paths]) == 0
    written = parquet.read_table(file)
    table = netwatch.names(paths, year=2023).to_arrow()
    assert table.schema.names == written.schema.names
    assert table.schema.metadata[b"schema"] == written.schema.metadata[b"schema"]
    assert table.num_rows > 374
    assert table.to_pylist() == written.to_pylist()
    in_file = tmp_path / "ours.parquet"
    parquet.write_table(table, in_file)
    assert parquet.read_schema(in_file).equals(written.schema, check_metadata=True)


def test_a_reader_gives_the_same_in_batches() -> None:
    pytest.importorskip("pyarrow")
    reader = netwatch.names(PCAPS).arrow_reader()
    table = netwatch.names(PCAPS).to_arrow()
    assert reader.schema.equals(table.schema, check_metadata=True)
    assert [row for batch in reader for row in batch.to_pylist()] == table.to_pylist()


def test_duckdb_reads_the_reader(found: list[netwatch.Observation]) -> None:
    duckdb = pytest.importorskip("duckdb")
    reader = netwatch.names(PCAPS).arrow_reader()
    rows = duckdb.from_arrow(reader).aggregate("name, count(*)").fetchall()
    assert dict(rows)["www.tiktok.com"] == sum(each.name == "www.tiktok.com" for each in found)


@pytest.mark.parametrize("columns", [False, True])
def test_a_period_gives_what_was_seen_in_it(
    found: list[netwatch.Observation], columns: bool
) -> None:
    times = sorted(each.time for each in found)
    since, until = times[100], times[200] + timedelta(microseconds=1)
    inside = netwatch.names(PCAPS, since=since, until=until)
    expected = [each for each in found if since <= each.time < until]
    assert 90 < len(expected) < 300
    if columns:
        pytest.importorskip("pyarrow")
        assert inside.to_arrow().column("name").to_pylist() == [each.name for each in expected]
    else:
        assert list(inside) == expected
    assert list(netwatch.names(PCAPS, until=datetime(2000, 1, 1, tzinfo=UTC))) == []


def test_columns_are_of_all_observations() -> None:
    pytest.importorskip("pyarrow")
    observations = netwatch.names(PCAPS)
    next(observations)
    with pytest.raises(netwatch.Error, match=r"to_arrow\(\) gives all observations; some were"):
        observations.to_arrow()


@pytest.mark.parametrize("ask", [api.Observations.to_arrow, api.Observations.arrow_reader])
def test_columns_need_an_extra(
    ask: Callable[[api.Observations], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    observations = netwatch.names(PCAPS)
    with pytest.raises(netwatch.Error, match=r"pip install '.*\[arrow\]'"):
        ask(observations)
    assert next(observations)


def test_errors_while_reading_have_no_control_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise netwatch.Error("\x1b[2Jcleared: cannot be written")
        yield

    monkeypatch.setattr("netwatch.engine.pipeline.names", failing)
    with pytest.raises(netwatch.Error) as caught:
        list(netwatch.names(PCAPS))
    assert str(caught.value) == "\\u001b[2Jcleared: cannot be written"


def test_records_are_json(found: list[netwatch.Observation]) -> None:
    for each in found[:20]:
        assert json.loads(each.json()) == each.record()
        assert netwatch.Observation.of(json.loads(each.json())) == each


NAMES = [
    "www.tiktok.com",
    "nottiktok.com",
    "TikTok.com.",
    "v16-webapp.tiktok.com",
    "bücher.example",
]


def test_matches_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signatures", "match", "--format", "jsonl", *NAMES]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [each.json() for each in netwatch.match(NAMES)] == lines
    assert [netwatch.match(name).json() for name in NAMES] == lines


def test_a_match_has_the_rule_and_the_reason() -> None:
    found = netwatch.match("www.tiktok.com")
    assert found
    assert found.app is not None
    assert (found.app.id, found.app.category) == ("tiktok", "video")
    assert (found.rule, found.role, found.grade) == ("suffix tiktok.com", "exclusive", "probable")
    assert "v2fly" in found.sources
    assert found.why == "the name is below tiktok.com at a label boundary"
    assert found.record() == json.loads(found.json())


def test_a_name_that_no_rule_takes() -> None:
    found = netwatch.match("nottiktok.com")
    assert not found
    assert (found.app, found.rule, found.sources) == (None, None, ())
    assert "only the end of the label 'nottiktok'" in found.why


def test_many_names_are_matched_one_by_one() -> None:
    endless = iter(lambda: "tiktok.com", None)
    assert next(netwatch.match(endless)).name == "tiktok.com"


def test_signatures_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "app: mine\nname: Mine\nvendor: us\ncategory: video\n"
        "domains: [{suffix: example.org, role: exclusive, sources: [observed]}]\n"
    )
    assert netwatch.match("a.example.org", signatures=mine)
    assert not netwatch.match("www.tiktok.com", signatures=[mine])
    assert netwatch.match("www.tiktok.com", signatures=["builtin", mine])
    config = tmp_path / "netwatch.yaml"
    config.write_text("version: 1\nsignatures: [mine.yaml]\n")
    assert netwatch.match("a.example.org", config)
    assert not netwatch.match("a.example.org", config, signatures="builtin")
    mine.write_text("app: mine\n")
    with pytest.raises(netwatch.ConfigError, match=r"mine\.yaml:1: "):
        netwatch.match("a.example.org", config)


@pytest.mark.parametrize("name", [3, None, b"tiktok.com", [3], [b"tiktok.com"], ["a", None], True])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(netwatch.ConfigError) as caught:
        list(netwatch.match(name))
    assert str(caught.value).startswith("name: expected a host name as a str, or several, found ")
