"""What netwatch says of flow records, held to what it says of packets of the same traffic."""

import shutil
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flow_candidates import RATES, Habits, least_precision, measured, settings_in, table, written
from support.ports import free_port
from support.waiting import wait_until

from netwatch.engine.told_names import NameSet, ToldNames

FEW = Habits(clients=12, networks=3, app_shared=0.5, seconds=900)
"""So few clients that each of them has been at several names of an address."""


def test_flow_records_are_no_surer_than_packets_show_them_to_be(tmp_path: Path) -> None:
    found = measured(written(tmp_path, 600, 7, FEW), settings_in(tmp_path))
    whole = found[1]
    assert whole.flows > 50
    # Enough to say something.
    assert whole.grades["probable"][0] > 30
    assert whole.precision("probable") >= 0.99
    assert sum(said for said, _ in whole.one_of.values()) > 0
    for rate in RATES:
        assert found[rate].grades["confirmed"] == [0, 0]
        assert found[rate].recorded <= whole.recorded
    assert found[1000].recorded < whole.recorded / 4
    assert any("`probable`" in line for line in table(found))


def test_the_measure_finds_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever accuses by any name of the app at an address is wrong too often."""
    monkeypatch.setattr(NameSet, "is_of_one_app", True)
    monkeypatch.setattr(ToldNames, "_is_alone", lambda *_: True)
    found = measured(written(tmp_path, 600, 7, FEW), settings_in(tmp_path))
    assert found[1].precision("probable") < 0.95


def queue(port: int) -> int | None:
    """The bytes that wait at a UDP port of this machine, None where nobody listens."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            return int(fields[4].rpartition(":")[2], 16)
    return None


@pytest.mark.skipif(
    not all(map(shutil.which, ("softflowd", "nfcapd", "nfdump"))),
    reason="needs softflowd, nfcapd and nfdump",
)
def test_records_of_a_real_exporter(tmp_path: Path) -> None:
    # softflowd counts time from its own start on, so the traffic has to come later.
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    while start.year != (start + timedelta(hours=1)).year:
        start += timedelta(hours=1)
    paths = written(tmp_path, 600, 7, FEW, int(start.timestamp()) * 10**6)
    port, folder = free_port(socket.SOCK_DGRAM), tmp_path / "nfcapd"
    folder.mkdir()
    collector = ["nfcapd", "-p", str(port), "-b", "127.0.0.1", "-w", str(folder), "-t", "3600"]
    with subprocess.Popen(collector, stderr=subprocess.DEVNULL) as run:
        try:
            wait_until(lambda: queue(port) is not None)
            command = ["softflowd", "-r", paths[0][0], "-n", f"127.0.0.1:{port}", "-v", "9", "-d"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            wait_until(lambda: queue(port) == 0)
        finally:
            run.terminate()
    (records,) = folder.glob("nfcapd.2*")
    paths[1] = [paths[1][0], str(records)]
    found = measured(paths, settings_in(tmp_path), (1,), start.year)[1]
    assert found.recorded > 0.9 * found.flows
    assert found.grades["probable"][0] > 30
    assert found.precision("probable") >= 0.99
    assert found.grades["confirmed"] == [0, 0]


@pytest.mark.parametrize(
    ("said", "right", "least"), [(299, 299, 0.05 ** (1 / 299)), (100, 95, 0.8977), (10, 0, 0.0)]
)
def test_what_accusations_prove_of_their_precision(said: int, right: int, least: float) -> None:
    assert least_precision(said, right) == pytest.approx(least, abs=1e-4)
