"""Two contacts of one device in a log of each format, with and without each port: no port that the
log does not say is in an alert of any format, in a name, or in a row of the store."""

import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.logs import items_of, sample_files

from netwatch import config
from netwatch.config import Config
from netwatch.core.alert import Alert
from netwatch.core.message import Observation
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine.log_events import LogEvents
from netwatch.engine.log_scan import LogJudge
from netwatch.engine.replay import Event, EventBatch
from netwatch.explain.page import page
from netwatch.explain.sources import explanation
from netwatch.formats.jsonl import alert_record
from netwatch.formats.registry import FORMATS
from netwatch.incidents.scan import ScanIncidents
from netwatch.logs.log_files import LogItem
from netwatch.logs.records import Endpoint, LogClaim, LogFlow, LogFlows
from netwatch.logs.registry import LOG_FORMATS
from netwatch.store.messages import Clients
from netwatch.store.observation_rows import observation_columns

OWN = "api16-normal-c-useast1a.tiktokv.com"
CLIENT, SERVER = bytes((10, 20, 1, 5)), bytes((203, 0, 113, 7))
DAY = 1_679_313_600_000_000_000  # 2023-03-20
SECOND = 1_000_000_000
MOST = 2
"""Records taken of a sample."""
NO_PORT = re.compile(r'(?:[pP]ort"?|dpt)[:=] ?(0|-1)\b|203\.0\.113\.7:(0|-1)\b')
RECORDS = {"jsonl", "ecs"}
"""The formats that have the record as it is, in which a port of 0 is one that a log lacks."""
PORTS = list(itertools.product((0, 50_000), (0, 443)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Config:
    place = tmp_path_factory.mktemp("site") / "netwatch.yaml"
    networks = "{name: hq, cidrs: [10.20.0.0/16], class: service, authority: City}"
    place.write_text(f"version: 1\nnetworks:\n  - {networks}\n")
    return config.load(str(place))


def twice(
    path: Path,
    name: str,
    ports: tuple[int, int],
    ips: tuple[bytes | None, bytes | None] = (CLIENT, SERVER),
) -> Iterator[LogItem]:
    """The records of a sample, each of which shows a name of an app twice, between these ends."""
    client, server = (Endpoint(ip, port) for ip, port in zip(ips, ports, strict=True))
    found = [
        each
        for item in items_of(path, name)
        if not isinstance(item.entry, LogClaim)
        for each in one_by_one(item)
    ]
    for number, item in enumerate(found[:MOST]):
        for again in range(2):
            time = DAY + (2 * number + again) * SECOND
            if isinstance(item.entry, LogFlow):
                entry = replace(item.entry, first=time, last=time, client=client, server=server)
            else:
                entry = replace(item.entry, time=time, name=OWN, client=client, server=server,
                                lacks=(), parts=(), shown_at=None)  # fmt: skip
            yield replace(item, line=2 * number + again + 1, entry=entry)


def one_by_one(item: LogItem) -> Iterator[LogItem]:
    """An item, or the flows of a message of flow records."""
    if isinstance(item.entry, LogFlows):
        yield from (replace(item, entry=entry) for entry in item.entry.flows())
    else:
        yield item


def judged(events: list[Event], site: Config) -> list[Alert]:
    with ScanIncidents(site.quiet_gap) as incidents:
        judge = LogJudge(site, RunStatistics(), incidents, Coverage())
        judge.judge(iter(events))
        judge.finish()
        return list(incidents.result(None, site.sensor).alerts)


@pytest.mark.parametrize("ports", PORTS)
@pytest.mark.parametrize("name", [name for name in LOG_FORMATS if sample_files(name)])
def test_two_contacts_of_one_device(site: Config, name: str, ports: tuple[int, int]) -> None:
    for path in sample_files(name):
        events = list(LogEvents().events(twice(path, name, ports)))
        alerts = judged(events, site)
        assert alerts or not any(isinstance(event, Observation) for event in events)
        for alert in alerts:
            check_alert(alert, ports)
        check_rows(events, ports)


@pytest.mark.parametrize("ips", [(CLIENT, None), (None, SERVER), (None, None)])
@pytest.mark.parametrize("name", [name for name in LOG_FORMATS if sample_files(name)])
def test_contacts_without_an_address(
    site: Config, name: str, ips: tuple[bytes | None, bytes | None]
) -> None:
    for path in sample_files(name):
        events = list(LogEvents().events(twice(path, name, PORTS[-1], ips)))
        alerts = judged(events, site)
        assert not (alerts and ips[0] is None)
        for alert in alerts:
            assert (alert.community_ids, alert.destinations) == ((), ())
            assert [row.render(alert_record(alert)) for row in FORMATS.values() if row.render]
        check_rows(events, PORTS[-1])


def check_alert(alert: Alert, ports: tuple[int, int]) -> None:
    assert bool(alert.community_ids) == all(ports)
    assert {server.port for server in alert.destinations} <= {ports[1]}
    record = alert_record(alert)
    texts = {key: row.render(record) for key, row in FORMATS.items() if row.render}
    texts["explain"] = "\n".join(page(explanation(record), "a.jsonl"))
    for key, text in texts.items():
        found = {port for each in NO_PORT.findall(text) for port in each if port}
        assert found <= ({"0"} if key in RECORDS else set()), (key, text)


def check_rows(events: list[Event], ports: tuple[int, int]) -> None:
    import pyarrow as pa

    rows = EventBatch()
    for event in events:
        if isinstance(event, Observation):
            rows.batch.spans.append(rows.append(event))
    count = rows.batch.count
    stored = observation_columns(rows.batch, pa.array(range(count), pa.int64()), Clients())
    expected = [[port or None] * count for port in ports]
    assert [stored["client_port"].to_pylist(), stored["server_port"].to_pylist()] == expected
    for row in FORMATS.values():
        if row.observations:
            stream = io.StringIO()
            writer = row.writer(stream)
            writer.begin("observations")
            writer.observations(rows.batch)
            assert not re.search(r"(?<![\w-])-1\b", stream.getvalue())
