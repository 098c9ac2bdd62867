"""``scan`` is ``scan --store`` and then ``rejudge``, byte for byte."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from craft import Wire
from support.examples import only_long
from support.office import CONFIG, DURING, FAR, SERVICE, capture, configured, hello
from support.paths import PCAPS, ROOT

from netwatch.rejudge import again

Run = Callable[..., str]

LEASES = """lease 10.20.1.7 {
  starts 1 2023/04/03 08:00:00;
  ends 1 2023/04/03 09:00:00;
  binding state active;
  hardware ethernet 02:00:00:20:01:07;
  client-hostname "ws-one";
}
"""


@pytest.mark.parametrize(
    ("learns", "options"),
    [
        only_long(True, ("--jobs", "2")),
        (False, ("--jobs", "9")),
        only_long(False, ("--continuous",)),
        (True, ("--continuous", "--jobs", "2")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_all_sample_captures_give_the_same_alerts_again(
    run: Run, tmp_path: Path, learns: bool, options: tuple[str, ...]
) -> None:
    text = (PCAPS / "netwatch.yaml").read_text()
    assert "learn: [dhcp, mdns, arp]" in text
    config = tmp_path / "netwatch.yaml"
    config.write_text(text if learns else text.replace("learn: [dhcp, mdns, arp]", "learn: []"))
    (tmp_path / "devices.csv").write_bytes((PCAPS / "devices.csv").read_bytes())
    common = ("-q", "-c", str(config), "--format", "jsonl")
    store = ("--store-path", str(tmp_path / "store"))
    in_one = options[: options.index("--jobs")] if "--jobs" in options else options
    alerts = run("scan", *common, *in_one, str(PCAPS))
    assert run("scan", *common, *options, *store, str(PCAPS)) == alerts
    assert run("rejudge", *common, *store, "--all") == alerts
    assert alerts.count("\n") >= 20
    assert run("rejudge", *common, *store) == ""


def test_incidents_that_do_not_fit_into_memory_are_the_same_again(
    run: Run, sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "INCIDENTS", 2)
    common = ("-q", "-c", sample, "--format", "jsonl", "--store-path", str(tmp_path / "store"))
    alerts = run("scan", *common, str(PCAPS))
    assert run("rejudge", *common, "--all") == alerts
    assert run("rejudge", *common) == ""


def test_every_format_of_scan_has_the_same_alerts_again(
    run: Run, sample: str, tmp_path: Path
) -> None:
    store = ("--store-path", str(tmp_path / "store"))
    paths = [str(PCAPS / name) for name in ("http-host.pcap", "lease-moves.pcap")]
    alerts = run("scan", "-q", "-c", sample, "--format", "jsonl", *store, *paths)
    assert alerts.count("\n") >= 2
    # How a record is rendered is the same code for both; each kind of format is one of these.
    for name in ("table", "csv", "ocsf", "cef", "gelf"):
        common = ("-q", "-c", sample, "--format", name)
        assert run("rejudge", *common, *store, "--all") == run("scan", *common, *paths), name


def test_devices_of_a_lease_file_are_the_same_again(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dhcpd.leases").write_text(LEASES)
    leases = "  inventory: devices.csv\n  leases: [{path: dhcpd.leases}]\n"
    config = configured(tmp_path, CONFIG.replace("  inventory: devices.csv\n", leases))
    frames = []
    for seed, clock in enumerate(("08:30", "09:30")):
        wire = Wire(f"2023-04-03T{clock}:00+00:00", seed)
        hello(wire, SERVICE, FAR)
        frames += wire.frames
    wire.frames = frames
    path = capture(tmp_path / "day.pcap", wire)
    common = ("-q", "-c", config, "--format", "jsonl")
    store = ("--store-path", str(tmp_path / "store"))
    alerts = run("scan", *common, *store, path)
    assert "ws-one" in alerts
    assert run("rejudge", *common, *store, "--all") == alerts


def test_runs_come_one_after_the_other(run: Run, office: str, tmp_path: Path) -> None:
    common = ("-q", "-c", office, "--format", "jsonl")
    store = ("--store-path", str(tmp_path / "store"))
    alerts = ""
    for seed, day in enumerate(("2023-04-04", "2023-04-03")):
        wire = Wire(f"{day}T10:00:00+02:00", seed)
        hello(wire, SERVICE, FAR)
        alerts += run("scan", *common, *store, capture(tmp_path / f"{seed}.pcap", wire))
    assert run("rejudge", *common, *store, "--all") == alerts


def test_what_names_has_stored_is_judged_if_that_is_asked_for(
    run: Run, office: str, tmp_path: Path
) -> None:
    wire = Wire(DURING, 1)
    hello(wire, SERVICE, FAR)
    path = capture(tmp_path / "day.pcap", wire)
    common = ("-q", "-c", office, "--format", "jsonl")
    store = ("--store-path", str(tmp_path / "store"))
    run("names", *common, *store, path)
    assert run("rejudge", *common, *store) == ""
    alerts = run("scan", *common, path)
    assert alerts
    assert run("rejudge", *common, *store, "--all", "--include-names") == alerts
    assert run("rejudge", *common, *store, "--include-names").startswith('{"change":"new"')


@pytest.mark.parametrize("part", [9, only_long(1)])
def test_captures_of_other_tests_give_the_same_alerts_again(part: int) -> None:
    """Through a store. From their events, tests of the pipeline judge theirs again themselves."""
    names = ("test_leases.py", "test_pipeline_learned.py")
    paths = [str(ROOT / "tests" / "engine" / each) for each in names]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "support.recorded_events", *paths],
        env=os.environ | {"NETWATCH_TEST_STORE": "1", "NETWATCH_TEST_PART": str(part)},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    counts = re.search(r"(\d+) captures with (\d+) alerts judged again, (\d+) differ", done.stdout)
    assert counts is not None, done.stdout[-4000:]
    captures, alerts, different = map(int, counts.groups())
    assert different == 0, done.stdout[-4000:]
    assert captures * part >= 20
    assert alerts * part >= 20
