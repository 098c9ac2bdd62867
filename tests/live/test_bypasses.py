"""A live capture judges the days of its store, and tells the outputs of each finding once."""

import io
import json
import socket
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.asking_office import Office, events, mac_of, stored, switched
from support.live import Capture
from support.ports import free_port
from support.waiting import wait_until

from netwatch import config as configuration
from netwatch.config import Config
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.delivery.delivery import Delivery
from netwatch.engine.live_facts import store_destination
from netwatch.formats.registry import FORMATS
from netwatch.live.live_store import LiveStore
from netwatch.live.record_output import RecordOutput
from netwatch.store import bypass_rows, service
from netwatch.store.opening import open_catalogue

OFFICE = replace(Office(), devices=6, days=3, visits=20, names=60, quirks=0.0, idle=0.0)
MAC = mac_of(2).hex(":")

CONFIGURATION = """version: 1
networks: [{{name: hq, cidrs: [10.20.1.0/24], class: service, authority: City}}]
bans: [{{id: city, authority: City, apps: [tiktok], forbids: [service]}}]
store: {{path: {folder}/kept}}
outputs: [{{name: siem, type: file, path: {folder}/out.jsonl, format: jsonl}}]
spool: {{path: {folder}/outbox}}
"""


class NoWorkers:
    """A pool whose workers have ended, and saw nothing."""

    reports = ()

    def statistics(self) -> RunStatistics:
        return RunStatistics()

    def coverage(self) -> Coverage:
        return Coverage()

    open_flows = coverage


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The configuration of a store with an office of which one device asks over HTTPS on its third
    day. The clock of the office is of 2023."""
    monkeypatch.setattr(bypass_rows, "NEWS_DAYS", 1 << 20)
    monkeypatch.setattr(service, "MAINTENANCE_INTERVAL", 0.1)
    monkeypatch.setattr(service, "_TICK", 0.05)
    with stored(events(switched(OFFICE, 2, 2, "doh"), 1), tmp_path):
        pass
    path = tmp_path / "netwatch.yaml"
    path.write_text(CONFIGURATION.format(folder=tmp_path))
    return configuration.load(str(path))


def run(config: Config, *, until: int) -> tuple[list[str], int]:
    """Run the store of a capture until it has told so much, or for a second; the log, and how often
    it told anything."""
    said: list[str] = []
    assert config.store is not None
    store = LiveStore(store_destination(config.store, config), config, said.append)
    delivery = Delivery(config.outputs, config.outbox, said.append)
    delivery.start()
    store.deliver = delivery.put
    store.begin()
    try:
        if until:
            wait_until(lambda: store.status().bypasses >= until, timeout=60)
        else:
            time.sleep(1)
    finally:
        store.end(NoWorkers())  # type: ignore[arg-type]
        store.close()
        delivery.drain(10)
        delivery.stop()
    return said, store.status().bypasses


def output(tmp_path: Path) -> list[Any]:
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def test_outputs_are_told_once_also_after_a_restart(config: Config, tmp_path: Path) -> None:
    said, told = run(config, until=1)
    assert told == 1
    assert said == ["1 device hid lookups on 2023-03-03: netwatch store query bypasses"]
    (record,) = output(tmp_path)
    assert (record["schema"], record["device"]["id"]) == ("netwatch.bypass/1", MAC)
    assert run(config, until=0) == ([], 0)
    assert len(output(tmp_path)) == 1


def test_what_a_killed_process_had_told_is_not_delivered_again(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, until=1)
    assert config.store is not None
    with open_catalogue(config.store) as catalogue, catalogue.database.writing() as connection:
        # It was killed before it noted that.
        connection.exec_driver_sql("UPDATE bypass SET told = NULL")
    monkeypatch.setattr(bypass_rows, "CLAIM", -1)
    _, told = run(config, until=1)
    assert told >= 1
    assert len(output(tmp_path)) == 1


PROGRAM = (
    "import sys; from netwatch.store import bypass_rows, service;"
    " bypass_rows.NEWS_DAYS = 1 << 20; service.MAINTENANCE_INTERVAL = 0.1;"
    " from netwatch.cli import main; sys.exit(main(sys.argv[1:]))"
)
"""netwatch, which judges days at once, and has news of 2023."""


def said(port: int) -> str:
    """What the metrics endpoint says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return str(answer.read(), "utf-8")


def test_a_capture_tells_its_outputs(config: Config, tmp_path: Path) -> None:
    port, metrics = free_port(socket.SOCK_DGRAM), free_port()
    capture = Capture(
        tmp_path,
        *("-c", str(config.path), "--source", "flows", f"udp://127.0.0.1:{port}"),
        *("--no-view", "--metrics", f"127.0.0.1:{metrics}"),
        program=("-c", PROGRAM),
    )
    try:
        capture.wait_for_log("1 device hid lookups on 2023-03-03")
        wait_until((tmp_path / "out.jsonl").exists)
        wait_until(lambda: output(tmp_path))
        # A snapshot is taken once a second.
        wait_until(lambda: "netwatch_store_bypasses_total 1" in said(metrics))
    finally:
        capture.stop()
    assert [each["schema"] for each in output(tmp_path)] == ["netwatch.bypass/1"]
    # It is in the records of the capture itself, too.
    assert capture.records() == output(tmp_path)
    assert MAC not in capture.log()


@pytest.mark.parametrize("name", FORMATS)
def test_records_have_it_in_every_format_and_without_outputs(
    name: str, config: Config, tmp_path: Path
) -> None:
    store = LiveStore(store_destination(config.store, config), config, print)  # type: ignore[arg-type]
    output = RecordOutput(name, str(tmp_path / "records"), io.StringIO(), print)
    store.print = output.write_notice
    store.begin()
    try:
        wait_until(lambda: store.status().bypasses, timeout=60)
    finally:
        store.end(NoWorkers())  # type: ignore[arg-type]
        store.close()
        output.close(0)
    text = (tmp_path / "records").read_text().strip().splitlines()
    assert MAC in text[-1]
    assert len(text) == (2 if name == "csv" else 1)


def test_what_comes_after_the_records_is_told_by_the_next_run(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LiveStore(store_destination(config.store, config), config, print)  # type: ignore[arg-type]
    asked: list[object] = []
    store.print = lambda record: bool(asked.append(record))
    store.begin()
    try:
        wait_until(lambda: asked, timeout=60)
    finally:
        store.end(NoWorkers())  # type: ignore[arg-type]
        store.close()
    assert store.status().bypasses == 0
    monkeypatch.setattr(bypass_rows, "CLAIM", -1)
    assert run(config, until=1)[1] >= 1
