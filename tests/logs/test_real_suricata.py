"""Suricata reads captures, and its log gives the verdicts of the captures themselves.

What differs is in the tables beside this file, each difference with its reason. A test compares
them line by line; run it with ``NETWATCH_UPDATE_TABLES=1`` to write them anew, and say why.
"""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.log_verdicts import Key, alerts, differences, names_of_logs
from support.paths import PCAPS, SHARED
from support.programs import needs
from support.suricata import eve_log

from netwatch.capture.files import find_captures
from netwatch.core.addresses import ip_text
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.engine.capture_files import group_files

pytestmark = needs("suricata")

SITE = PCAPS / "netwatch.yaml"
CAPTURES = sorted(PCAPS.glob("*.pcap"))
OTHERS = sorted(
    path for path in (SHARED / "captures").glob("*.pcap*") if path.stat().st_size < 60_000
)
FOLDER = Path(__file__).parent
LOOKUP_PORTS = (" 5353", " 5355")


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> list[Path]:
    """The log of each sample capture."""
    folder = tmp_path_factory.mktemp("suricata")
    return [eve_log([path], folder / path.stem) for path in CAPTURES]


def names_of_captures(paths: Iterable[Path]) -> dict[str, Counter[Key]]:
    """How often each capture shows a name of a client at a server."""
    found: dict[str, Counter[Key]] = {path.name: Counter() for path in paths}
    captures = list(group_files(find_captures([str(path) for path in paths]), continuous=False))
    for batch in jobs.names(captures, RunStatistics()):
        for row in range(batch.count):
            shown = batch.observation(row)
            client = f"{ip_text(shown.client_ip)} {shown.client_port}"
            server = f"{ip_text(shown.server_ip)} {shown.server_port}"
            found[Path(shown.source).name][shown.evidence, shown.name, client, server] += 1
    return found


def _update(path: Path, header: str, made: list[str]) -> None:
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    reasons = {row: reason for row, _, reason in (line.rpartition("\t") for line in lines)}
    found = [f"{header}\treason", *(f"{row}\t{reasons.get(row, '')}" for row in made)]
    path.write_text("\n".join(found) + "\n")


def compare_with_table(name: str, header: str, rows: Iterable[tuple[str, ...]]) -> None:
    """Rows of differences are those of the table, in which each has a reason at the end."""
    path = FOLDER / name
    made = ["\t".join(row) for row in rows]
    if os.environ.get("NETWATCH_UPDATE_TABLES"):
        _update(path, header, made)
    first, *lines = path.read_text().splitlines()
    assert first == header + "\treason"
    assert made == [line.rpartition("\t")[0] for line in lines]
    assert all(line.rpartition("\t")[2] for line in lines), "a difference has no reason"


def test_the_verdicts_are_those_of_the_packets(logs):
    wire = alerts(SITE, captures=CAPTURES)
    counts = RunStatistics()
    found = alerts(SITE, logs=logs, statistics=counts)
    assert counts.logs == {"suricata-eve": len(CAPTURES)}
    assert not counts.unread_records
    assert len(wire) > 20
    compare_with_table(
        "suricata-verdicts.tsv",
        "device\tapp\tbegan\tfield\tpackets\tlog",
        differences(wire, found),
    )


def test_the_names_are_those_of_the_packets(logs):
    wire: Counter[Key] = Counter()
    for found in names_of_captures(CAPTURES).values():
        wire += found
    assert names_of_logs(logs) == wire
    assert wire.total() > 350


@pytest.mark.skipif(not OTHERS, reason="the captures of other projects are not here")
def test_names_in_captures_of_other_projects(tmp_path):
    wire = names_of_captures(OTHERS)
    log = names_of_logs([eve_log(OTHERS, tmp_path / "suricata")])
    together: Counter[Key] = sum(wire.values(), Counter())
    rows: Counter[tuple[str, str, str]] = Counter()
    for capture, names in wire.items():
        for key, count in (names - log).items():
            missing = min(count, (together - log)[key])
            port = "mDNS, LLMNR" if key[3].endswith(LOOKUP_PORTS) else ""
            rows[capture, key[0], port] += missing
    for key, count in (log - together).items():
        rows["only in the log", key[0], f"{key[1]} {key[3]}"] += count
    assert (log & together).total() > 250
    compare_with_table(
        "suricata-names.tsv",
        "capture\tevidence\tof\tcount",
        [(*row, str(count)) for row, count in sorted(rows.items()) if count],
    )
