"""A store of an older netwatch, whose hours did not say what they were known from: it is found in
the facts."""

from pathlib import Path
from typing import Any

from report.flow_hours import captured, leases, lines, store, tunnels
from sqlalchemy import text

from netwatch.config import load
from netwatch.coverage.flow_visibility import TRAFFIC_LOGS
from netwatch.logs.registry import LOG_FORMATS
from netwatch.store.database import open_database
from netwatch.store.judged_coverage import judged_coverage
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

OTHERS = [hour for hour in range(24) if hour not in (8, 9, 10)]


def make_old(options: StoreOptions) -> None:
    """Take out of a store what version 13 of the tables added."""
    database = open_database(options, create=False)
    with database.writing() as connection:
        for table in ("hour_captured", "hour_network"):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN traffic"))
        connection.execute(text("UPDATE store SET schema = 12, format = 6"))
        connection.exec_driver_sql("PRAGMA user_version = 12")
    database.close()


def known(options: StoreOptions) -> tuple[Any, ...]:
    with open_catalogue(options) as catalogue:
        found = judged_coverage(catalogue)
    return (
        found.captured("hq"),
        found.traffic("hq"),
        found.seen("hq"),
        found.seen_traffic("hq"),
        found.watchers,
        found.traffic("hq", by_anyone=True),
    )


def test_traffic_is_found_in_the_facts(tmp_path: Path) -> None:
    path = store(
        tmp_path,
        day_pcap=captured(OTHERS),
        access_log=tunnels([8]),
        dns_log=lines([9]),
        dhcp_log=leases([10]),
    )
    options = load(path).store
    assert options is not None
    before = known(options)
    assert before[0] != before[1] != 0
    make_old(options)
    assert known(options) == before
    assert known(options) == before


def test_logs_of_traffic_are_formats_that_are_read() -> None:
    assert set(LOG_FORMATS) >= TRAFFIC_LOGS
