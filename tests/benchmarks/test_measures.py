"""The measurements: costs of a process, medians and ratios, goals, and the page that tells them."""

import json
import os
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import alternate
import compare
import goals
import growth
import growth_chart
import measure
import page
import peers
import pytest
import run
import user_files
import veth
from support.paths import BENCH, ROOT

from netwatch.capture.block import CAPTURED, FIELDS, OFFSET, TIME
from netwatch.capture.files import open_source
from netwatch.cli import main
from netwatch.config import load


def peer(script: str, share: float = 1.0) -> Any:
    command = [sys.executable, "-c", script]
    return peers.Peer(
        "some one", "sh", "-", "", lambda job: command, peers.count_lines, "reads", share=share
    )


def test_row_subtracts_the_start_and_scales_a_share() -> None:
    made = measure.Run
    runs = [made(cpu, 1.0, 5_000_000, 0, 7) for cpu in (1.2, 1.1, 9.0)]
    empty = [made(0.2, 0.5, 1, 0, 0)] * 3
    entry = compare.row(peer("", 0.1), runs, empty, 7)
    assert entry["beyond"] == pytest.approx(10.0)
    assert entry["cpu"] == pytest.approx(10.2)
    assert entry["wall"] == pytest.approx(5.5)
    assert "10% read, scaled" in entry["what"]
    text = compare.table([entry | {"peer": compare.BASE, "cpu": 2.0}, entry])
    assert "some one           10.20         10.00     5.50        5    5.10" in text


def test_a_peer_that_fails_or_reports_too_little_is_marked_as_failed(tmp_path: Path) -> None:
    job = peers.Job(tmp_path / "none", 1, tmp_path)
    script = "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"
    result = compare.run(peer(script), job, 60)
    assert (result.status, result.reported, result.error) == (3, None, "no such thing")
    assert result.rss > 1_000_000
    row = compare.row(peer(script), [result], [], None)
    assert "failed: no such thing" in compare.table([row])
    two = compare.run(peer("print(1); print(2)"), job, 60)
    assert (two.status, two.reported) == (0, 2)
    assert compare.row(peer(""), [two], [two], 3)["failed"] == "reported 2 of 3"
    assert "failed" not in compare.row(peer(""), [two], [two], 2)


def test_a_command_gets_its_input_and_is_killed_after_the_timeout(tmp_path: Path) -> None:
    output = tmp_path / "some.out"
    copy = [sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read())"]
    feed = [
        sys.executable,
        "-c",
        "import sys; print('one'); print('two'); print(3, file=sys.stderr)",
    ]
    assert measure.measure(copy, output, 60, feed=feed).reported == 2
    assert output.with_suffix(".fed").read_text() == "3\n"
    assert measure.measure(copy, output, 60).reported == 0
    broken = [sys.executable, "-c", "import sys; print('one'); sys.exit(4)"]
    assert (
        measure.measure(copy, output, 60, feed=broken).error
        == "the command that fed its standard input failed"
    )
    endless = [sys.executable, "-c", "import time; time.sleep(600)"]
    assert measure.measure(endless, output, 0.1).status == -signal.SIGKILL


def test_interpreter_is_smaller_than_netwatch(tmp_path: Path) -> None:
    there = measure.measure(
        measure.netwatch("names", "-q", str(ROOT / "pcaps")), tmp_path / "o", 60
    )
    assert 1_000_000 < measure.interpreter() < there.rss


def results(cpu: dict[str, float]) -> dict[str, Any]:
    """What a whole run would find, with CPU seconds of the peers by name."""
    rows = [
        {"peer": name, "cpu": value, "wall": value, "rss": 5e7, "reported": 1, "what": "reads"}
        | {"version": "1.2"}
        for name, value in cpu.items()
    ]
    compared = {
        "manifest": {"packets": 1000, "kind": "office"},
        "missing": peers.NOT_PACKAGED,
        "rounds": 5,
        "rows": [*rows, {"peer": "dpkt", "version": "1.9", "failed": "no such thing"}],
    }
    sizes = [(size, 60e6) for size in (1e7, 1e8, 1e9)]
    memory = [
        {
            "command": name,
            "bytes": size,
            "packets": 1,
            "resident": 4e7,
            "rss": rss,
            "cpu": 1.0,
            "reported": 1,
        }
        for name in ("scan", "names")
        for size, rss in sizes
    ]
    points = [{"size": 10**each, "cpu": 10.0**each, "rss": 10**7 * each} for each in (3, 4)]
    curve = {"what": "flows", "points": points, "exponent": 0.98, "last": 1.01}

    stored = {"kind": "office", "packets": 1000, "plain": 1.0, "stored": 2.5, "wall": 2.0}
    stored |= {"pss": 2e8, "bytes": 10**6}
    log = {"lines": 10**6, "scan": 500.0, "names": 20.0, "script": 30.0, "rss": 10**8}

    def commands(**cpu: float) -> dict[str, Any]:
        rows = {name: {"cpu": each, "wall": each, "rss": 5e7} for name, each in cpu.items()}
        return {"packets": 1000, "commands": rows}

    return {
        "office": compared,
        "dns": compared,
        "start": {"cpu": {"--version": 0.1, "scan of an empty capture": 0.5}},
        "jobs": {"times": 1.8, "same": True, "bytes": 2e9},
        "memory": {"interpreter": 10e6, "rows": memory},
        "growth": {"curves": [curve, curve | {"exponent": 1.2}]},
        "new-flows": commands(**{"netwatch scan": 1.0, "suricata": 5.0}),
        "compressed": commands(
            **{"plain": 0.5, "gz": 1.2, "zst": 0.55, "gzip -dc": 2.4, "zstd -dc": 0.2}
        ),
        "bans": {
            "rows": [{"bans": 1, "cpu": 0.5}, {"bans": 1000, "cpu": 0.7}],
            "applying": [{"bans": 1, "cpu": 0.5}, {"bans": 1000, "cpu": 0.9}],
        },
        "columns": {
            "messages": 1_000_000,
            "rows": [{"format": "parquet", "start": 0.3, "beyond": 1.3, "rss": 9e7, "bytes": 4e6}],
        },
        "one-file": {"times": 1.8, "same": False, "bytes": 1.7e9},
        "large-file": {"times": 1.7, "same": True, "bytes": 5e9},
        "stored": {"rows": [stored, stored | {"kind": "dns", "stored": 6.0, "pss": 4e8}]},
        "logs": {"rows": [log | {"format": name} for name in ("Zeek", "EVE", "BIND", "Squid")]},
        "store": {
            "stored": 1_000_000,
            "steps": [
                {"step": step, "cpu": 1.25, "bytes": 20_000_000, "rss": 9e7}
                for step in ("read", "landing", "compacted")
            ],
        },
    }


CPU = {"netwatch scan": 2.0, "netwatch names": 4.0, "tcpdump": 1.0, "suricata": 8.0}
CPU |= {"suricata eve": 9.0, "nfstream": 15.0, "tshark": 40.0}
LOGS = ("Zeek", "EVE", "BIND", "Squid")
MACHINE = {"processor": "some", "cpus": "2", "system": "Linux 6.1", "python": "3.11"}


def test_goals_are_met_or_missed() -> None:
    found = {goal.work: goal for goal in goals.goals(results(CPU))}
    is_met = {work: goal.is_met for work, goal in found.items()}
    assert is_met == {
        "office: suricata / netwatch scan": True,
        "dns: suricata / netwatch scan": False,
        "office: suricata eve / netwatch names": False,
        "dns: suricata eve / netwatch names": False,
        "office: netwatch scan / tcpdump with a filter": False,
        "1,000 new flows: suricata / netwatch scan": False,
        "dns: names as Parquet, a message beyond start": True,
        "office: scan --store / scan, CPU of all processes": False,
        "dns: scan --store / scan, CPU of all processes": False,
        "scan with a store, PSS of all processes": False,
        "live with a store, PSS of all processes": None,
        "compaction of a store, resident": True,
        "live with a store, compaction and five readers, 245,000 packets/s, dropped": None,
        **{f"names of a log of {name}, a CPU second": False for name in LOGS},
        **{f"scan of a log of {name}, a CPU second": True for name in LOGS},
        "two captures of 2.0 GB, same alerts: wall of --jobs 1 / --jobs 2": True,
        "one capture of 1.7 GB, same alerts: wall of --jobs 1 / --jobs 2": False,
        "a large capture of 5.0 GB, same alerts: wall of --jobs 1 / --jobs 2": False,
        "scan of gz / gzip -dc, wall": True,
        "scan of zst / zstd -dc, wall": False,
        "IPFIX of 20 fields, a file, records a CPU second": None,
        "IPFIX of 20 fields, live, records a CPU second": None,
        "the same, CPU of nfacctd / netwatch live": None,
        "live, 1,500 packets/s, CPU after the start: suricata / netwatch": None,
        "live, 100,000 packets/s, CPU after the start: suricata / netwatch": None,
        "packets dropped at rates at which tcpdump drops none": None,
        "from a packet to its alert, 99 % at 100,000 packets/s": None,
        "scan of up to 1 GB, memory beyond Python's": True,
        "scan, peak at 1 GB / at a quarter or less": True,
        "names of up to 1 GB, memory beyond Python's": True,
        "names, peak at 1 GB / at a quarter or less": True,
        "--version": True,
        "scan of an empty capture": False,
        "2,000 small captures, scan, system / user": None,
        "2,000 small captures, names, system / user": None,
        "1,000 bans on one app / one ban": True,
        "the same, where all bans apply to one client": False,
        "growth, the largest exponent of a fit": False,
    }
    assert found["office: suricata / netwatch scan"].measured == 4.0
    assert found["1,000 new flows: suricata / netwatch scan"].measured == 5.0
    assert found["1,000 bans on one app / one ban"].measured == pytest.approx(1.4)
    assert found["scan of zst / zstd -dc, wall"].measured == pytest.approx(2.75)
    assert found["dns: names as Parquet, a message beyond start"].measured == pytest.approx(1.3)
    assert found["dns: scan --store / scan, CPU of all processes"].measured == 6.0
    assert found["scan of up to 1 GB, memory beyond Python's"].measured == 50.0
    text = goals.text(found.values())
    assert [line.split()[-1] for line in text.splitlines()[1:3]] == ["met", "missed"]


def test_goals_without_a_measurement() -> None:
    found = goals.goals({})
    assert len(found) == 44
    assert {goal.is_met for goal in found} == {None}


def test_the_exponent_is_the_slope_of_the_logarithms() -> None:
    squares = [(10.0**each, 3 * 100.0**each) for each in range(4)]
    assert growth.exponent(squares) == pytest.approx(2.0)
    assert growth.exponent([(10, 0.01), (100, 0.02), (1000, 0.2)], 0.03) == 0.0
    assert growth.exponent([(1, 9.0), (10, 0.01), (100, 90.0)], 0.03) == pytest.approx(0.5)


def test_pictures_of_growth_name_each_curve_with_its_exponent(tmp_path: Path) -> None:
    cpu, memory = growth_chart.write(results(CPU)["growth"]["curves"], tmp_path)
    assert ">flows n^0.98<" in cpu.read_text()
    assert ">flows<" in memory.read_text()
    assert "<script" not in cpu.read_text()


def test_a_repeated_capture_has_the_same_packets_a_day_later(tmp_path: Path) -> None:
    frames = [b"\1" * 60, b"\2" * 61]
    pcap = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for at, frame in enumerate(frames):
        pcap += struct.pack("<4I", 1_700_000_000 + at, 5, len(frame), len(frame)) + frame
    path = tmp_path / "some.pcap"
    path.write_bytes(pcap)
    command = [sys.executable, str(BENCH / "feed.py"), "repeat", str(path), "3"]
    repeated = tmp_path / "some.pcapng"
    repeated.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    read = [
        (block.records[at + TIME] // 10**9, bytes(block.data[offset : offset + size]))
        for block in open_source(str(repeated)).blocks()
        for at in range(0, block.count * FIELDS, FIELDS)
        for offset, size in [(block.records[at + OFFSET], block.records[at + CAPTURED])]
    ]
    assert [data for _, data in read] == frames * 3
    assert [time - 1_700_000_000 for time, _ in read] == [
        day * 86_400 + at for day in range(3) for at in range(2)
    ]


def test_growing_memory_and_different_alerts_miss_their_goals() -> None:
    some = results(CPU)
    for row in some["memory"]["rows"]:
        row["rss"] += row["bytes"] / 10
    some["jobs"]["same"] = False
    found = {goal.work: goal for goal in goals.goals(some)}
    flat = found["scan, peak at 1 GB / at a quarter or less"]
    assert (flat.measured, flat.is_met) == (pytest.approx(160 / 70), False)
    assert not found["two captures of 2.0 GB, same alerts: wall of --jobs 1 / --jobs 2"].is_met


def test_the_page_keeps_its_text_and_gets_the_measured_tables(tmp_path: Path) -> None:
    text = "# Some\n\n<!-- one -->\nold\n<!-- /one -->\nkept\n<!-- two -->\n<!-- /two -->\n"
    filled = page.fill(text, {"one": "new"})
    assert filled == text.replace("old", "new")
    assert page.fill(filled, {"two": "2", "one": "new"}) == filled.replace(
        "two -->\n<", "two -->\n2\n<"
    )
    with pytest.raises(ValueError, match="three"):
        page.fill(text, {"three": "3"})


def live_results() -> dict[str, Any]:
    row = {"reader": "netwatch live", "rate": None, "pps": 9990.0, "sent": 1000, "lost": 10}
    flood = {"kind": "syn", "packets": 2000, "seconds": 2.0, "peak": 50_000_000, "probes": 4}
    times = {"median": 0.01, "p99": 0.02, "most": 0.03, "pps": 9990.0, "lost": 0}
    cost = {"packets": 1000, "pps": 9990.0, "lost": 0}
    cost |= {"rate": 100_000}
    stored = {"skipped": 5, "pss": 3e8, "answers": 7, "kept": "90,80"}
    readers = (("netwatch live", 0.5e-6), ("suricata --af-packet", 1.5e-6))
    return {
        "live": {"rows": [cost | {"reader": name, "each": each} for name, each in readers]},
        "loss": {"rows": [row | {"saw": 990, "cpu": 0.5}]},
        "live-store": {"rows": [row | {"rate": 245_000, "cpu": 0.5} | stored]},
        "latency": times | {"probes": 4, "reported": 4},
        "floods": {"rows": [flood | {"missed": 1, "counters": {"flow-table-full": 1500}}]},
    }


def console_results() -> dict[str, Any]:
    row = {
        "page": "/bans",
        "addresses": 3,
        "cpu": 0.006,
        "cpu_worst": 0.02,
        "size": 4000.0,
        "slowest": "analyst: /bans",
    }
    row |= {"wall": {"pause": [0.01, 0.25], "hurry": [0.1, 0.9]}, "cut": 0, "counted": 2}
    phase = {"seconds": 60.0, "clicks": 800, "peak": 200.0, "load": 1.5}
    export = {"address": "/incidents.csv", "what": "of the year", "bytes": 180_000_000}
    return {
        "incidents": 1_000_000, "observations": 20_000_000, "start": 120.0, "rows": [row],
        "phases": {"pause": phase, "hurry": phase},
        "exports": [export | {"seconds": 90.0, "cpu": 80.0, "memory": 1.0}],
    }  # fmt: skip


def test_loss_counts_at_rates_at_which_tcpdump_drops_nothing() -> None:
    def row(reader: str, rate: int | None, lost: int) -> dict[str, Any]:
        return {"reader": reader, "rate": rate, "lost": lost}

    rows = [
        row("tcpdump -w /dev/null", 100, 0),
        row("netwatch live", 100, 3),
        row("netwatch live --no-filter", 100, 7),
        row("tcpdump -w /dev/null", None, 1),
        row("netwatch live", None, 99),
        row("suricata --af-packet", 100, 50),
    ]
    measured = goals.goals({"loss": {"rows": rows}, "latency": {"p99": 0.3}})
    told = {
        goal.work: (goal.measured, goal.is_met) for goal in measured if goal.measured is not None
    }
    assert told == {
        "packets dropped at rates at which tcpdump drops none": (7, False),
        "from a packet to its alert, 99 % at 100,000 packets/s": (0.3, False),
    }


def test_a_measurement_without_its_requirements_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(veth, "missing_requirements", lambda: "namespaces need root")
    with pytest.raises(veth.MissingError, match="need root"):
        veth.require()
    monkeypatch.setattr(veth, "missing_requirements", lambda: "")
    with pytest.raises(veth.MissingError, match="not installed: no-such-program"):
        veth.require("sh", "no-such-program")


def test_every_table_has_its_markers_in_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "results.md"
    copy.write_text(page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", copy)
    some = results(CPU) | live_results() | {"console": console_results()}
    some["urls"] = some["compressed"]
    cost = {"cpu": 2.0, "wall": 1.0}
    some["cluster"] = {"units": 4, "bytes": 200_000_000, "rows": [
        {"peer": "--jobs 2", **cost}, {"peer": "--cluster local", **cost, "cpu": 3.0}]}  # fmt: skip
    collector = {"name": "netwatch live", "what": "alerts", "cpu": 2.0, "lost": 0}
    some["flows"] = {
        "records": 10**6,
        "rows": [collector, collector | {"name": "nfcapd", "what": "a file", "cpu": 1.0}],
    }
    used = {"centre": 3.0, "server": 1.0}
    some["fleet"] = {"alerts": {"alerts": 20_000, "cpu": used},
                     "facts": {"facts": 10**6, "cpu": used}}  # fmt: skip
    assert page.write(some, MACHINE) == list(page.PARTS)
    told = copy.read_text(encoding="utf-8")
    assert "| office: suricata / netwatch scan | ≥ 3.5 | 4.00 | met |" in told
    assert "| EVE | 1,000,000 | 500 | 30 | 20.0 | 100 |" in told
    assert (
        "| IPFIX of 20 fields, live, records a CPU second | ≥ 500 thousand | 500 thousand | met |"
        in told
    )
    assert "| nfcapd | a file | 1.00 | 1,000,000 | 0.50 | 0 |" in told
    assert "| centre | 150 | 3.00 | 6.0 |" in told
    work = "live, 100,000 packets/s, CPU after the start: suricata / netwatch"
    assert f"| {work} | ≥ 2 | 3.00 | met |" in told
    assert "| netwatch live | 9,990 | 1,000 | 0 | 0.50 |" in told
    assert "| zst | 0.55 | 0.55 | 50 |" in told
    assert "| `parquet` | 0.30 | 1.30 | 1.30 | 90 | 4 |" in told
    assert "Not measured: zeek (not in Debian 13, no wheel on PyPI)" in told
    assert "| suricata 1.2 | reads | 8.00 | 4.00 | 8.00 | 50 |" in told
    assert "| dpkt 1.9 | failed: no such thing |  |  |  |  |" in told
    assert "| `names` | 1.0 | 40 | 60 | 50 | 1.00 |" in told
    assert "| flows | 10,000 | 10000.00 | 0.98 | 1.01 | 40 | 30 |" in told
    assert "| dns | 1,000 | 1.00 | 6.00 | 6.00 | 2.00 | 400 | 1.0 |" in told
    assert "| `--cluster local` | 3.0 (1.50) | 1.0 (1.00) |" in told
    assert "245,000 packets/s, dropped | ≤ 0 % | 1.00 % | missed |" in told
    assert "| netwatch live | 9,990 | 1,000 | 10 | 1.00 | 500.00 |" in told
    assert "at 9,990 packets/s: median 10 ms, 99 % 20 ms, maximum 30 ms; 4 of 4 reported" in told
    assert "| `/bans` | 3 | 6 | 20 | `analyst: /bans` | 10 | 250 | 100 | 900 | 4 | 2 | 0 |" in told
    assert "- 8 users, no pause: 800 clicks in 60 s, memory at most 200 MB" in told
    assert "- /incidents.csv, of the year: 180.0 MB in 90.0 s (80.0 CPU s), memory +1 MB" in told
    written = told.partition("<!-- console -->")[2].partition("<!-- /console -->")[0]
    assert "attacked" not in written
    assert "| syn | 2,000 | 1,000 | 50 | 3 of 4 | `flow-table-full` 1,500 |" in told
    del some["office"], some["loss"]
    left = [name for name in page.PARTS if name not in ("goals", "office", "loss")]
    assert page.write(some, MACHINE) == left
    assert copy.read_text(encoding="utf-8") == told


def test_the_page_says_what_failed_is_older_or_was_disturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "results.md"
    copy.write_text(page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", copy)
    some = {name: results(CPU)[name] for name in ("office", "dns", "growth")}
    some["growth"] = some["growth"] | {"others": 0.25}
    some["dns"] = some["dns"] | {"others": 0.01}
    page.write(some, MACHINE, ["floods: 500 MB"])
    told = copy.read_text(encoding="utf-8")
    assert told.count("Other programs took 25% of the machine meanwhile.") == 1
    assert "Disturbed by other programs: growth.\n" in told
    assert "Failed: floods: 500 MB.\n" in told
    older = next(line for line in told.splitlines() if line.startswith("Of an earlier run: "))
    assert {"memory", "rejudging"} <= {*older.strip(".").partition(": ")[2].split(", ")}
    assert "office" not in older
    page.write(some | {"growth": results(CPU)["growth"]}, MACHINE)
    assert "Other programs took 25%" not in copy.read_text(encoding="utf-8")


def test_time_of_other_programs_is_what_is_left_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    counts = [30, 20, 10, 999, 99, 9, 9, 4]
    line = f"cpu {' '.join(str(count * ticks) for count in counts)} 0 0\n"
    own = {resource.RUSAGE_SELF: (5.0, 1.0, 0), resource.RUSAGE_CHILDREN: (7.0, 2.0, 0)}
    monkeypatch.setattr(Path, "read_text", lambda path: line)
    monkeypatch.setattr(resource, "getrusage", own.__getitem__)
    assert run.others() == 30 + 20 + 10 + 4 - 15


def test_generated_signatures_have_the_requested_number_of_domains(tmp_path: Path) -> None:
    config = growth.signatures(1500, tmp_path)
    loaded = load(config)
    assert len(loaded.catalog.signatures) == 3
    rules = [rule for signature in loaded.catalog.signatures.values() for rule in signature.rules]
    assert len({rule.name for rule in rules}) == 1500
    assert loaded.catalog.match("www.tiktok.com") is not None


@pytest.fixture
def called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., measure.Run]:
    """Runs a netwatch command in this process in place of `measure.measure`, which other tests
    test, and says that it took a tenth of a second."""
    monkeypatch.chdir(ROOT)

    def _called(
        command: Sequence[str],
        output: Path,
        timeout: float,
        reported: Callable[[Path], int | None] = measure.lines,
        feed: Sequence[str] | None = None,
    ) -> measure.Run:
        if command[:3] != measure.netwatch():
            return measure.Run(0.1, 0.1, 2_000_000, 0, 0)
        if feed is not None:
            fed = output.with_name("fed")
            fed.write_bytes(subprocess.run(feed, check=True, capture_output=True).stdout)
            command = [str(fed) if word == "-" else word for word in command]
        capsys.readouterr()
        status = main([*command[3:]])
        output.write_text(capsys.readouterr().out)
        return measure.Run(0.1, 0.1, 2_000_000, status, reported(output))

    return _called


def test_each_curve_is_measured_by_decades(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: Callable[..., measure.Run]
) -> None:
    small = [replace(curve, sizes=(10, 100)) for curve in growth.CURVES]
    monkeypatch.setattr(growth, "CURVES", small)
    monkeypatch.setattr(growth, "PACKETS_OF_PART", 50)
    monkeypatch.setattr(growth, "CLIENTS_OF_PART", 10)
    monkeypatch.setattr(growth, "measure", called)
    found = growth.growth(compare.Options(8000, 0, 1, 0, (), tmp_path, 60))
    assert len(growth.text(found).splitlines()) == 1 + len(growth.CURVES)
    for curve in found["curves"]:
        assert [point["size"] for point in curve["points"]] == [10, 100]
        assert {point["beyond"] for point in curve["points"]} == {0.0}
        assert curve["exponent"] == 0.0
    assert not list(tmp_path.glob("growth*"))


def test_a_section_that_fails_does_not_lose_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(options: compare.Options) -> dict[str, Any]:
        raise ValueError("no such thing")

    def ended(options: compare.Options) -> dict[str, Any]:
        sys.exit("nor this")

    sections = {
        "one": (broken, str),
        "end": (ended, str),
        "two": (lambda options: {"rows": []}, lambda found: "fine"),
    }
    monkeypatch.setattr(run, "SECTIONS", sections)
    monkeypatch.setattr(sys, "argv", ["run.py", "--work", str(tmp_path)])
    assert run.main() == 1
    out, err = capsys.readouterr()
    assert "fine" in out
    assert "failed: one: ValueError('no such thing')" in err
    assert "failed: end: SystemExit('nor this')" in err
    assert "two" in json.loads((tmp_path / "results.json").read_text())


def test_one_command_measures_and_prints(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH / "run.py"), "start", "office", "jobs", "memory"]
    command += ["one-file", "--packets", "8000", "--rounds", "1", "--gigabytes", "0.001"]
    command += ["--only", "netwatch", "--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert [row["peer"] for row in found["office"]["rows"]] == ["netwatch scan", "netwatch names"]
    assert found["jobs"]["same"]
    assert found["one-file"]["same"]
    assert found["one-file"]["packets"] == [8000]
    assert len(found["memory"]["rows"]) == 2
    goals = {goal["work"]: goal["measured"] for goal in found["goals"]}
    assert goals["--version"] == found["start"]["cpu"]["--version"]
    assert goals["office: suricata / netwatch scan"] is None
    assert "not measured" in done.stdout


def test_commands_that_are_compared_are_measured_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: Callable[..., measure.Run]
) -> None:
    monkeypatch.setattr(alternate, "measure", called)
    options = compare.Options(9000, 3600, 1, 0, ("netwatch",), tmp_path, 60)
    found = {}
    for name in ("new-flows", "bans", "compressed"):
        measured, text = run.SECTIONS[name]
        found[name] = measured(options)
        assert "0.10" in text(found[name])
    assert found["new-flows"]["commands"]["netwatch scan"]["reported"] == 200
    assert [row["bans"] for row in found["bans"]["rows"]] == [1, 1000]
    assert [row["bans"] for row in found["bans"]["applying"]] == [1, 1000]
    assert list(found["compressed"]["commands"]) == ["plain", "gz", "zst", "gzip -dc", "zstd -dc"]
    assert all(
        size < found["compressed"]["sizes"]["plain"]
        for name, size in found["compressed"]["sizes"].items()
        if name != "plain"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["offices"], "unknown section offices"),
        (["--only", "snort"], "--only must be one of: netwatch scan"),
        (["--rounds", "0"], "must be 1 or more"),
    ],
)
def test_invalid_options_are_refused(
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "--work", str(tmp_path), *options])
    with pytest.raises(SystemExit) as ended:
        run.main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert said in err
    assert not list(tmp_path.iterdir())


def test_user_files_of_every_kind_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether a mark is met depends on the machine; a command that fails is said to standard
    error."""
    sizes = [f"--{task.what}=60" for task in user_files.TASKS]
    monkeypatch.setattr(sys, "argv", ["user_files.py", *sizes])
    user_files.main()
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert [line.split()[:2] for line in lines] == [[task.what, "60"] for task in user_files.TASKS]


def test_user_files_says_which_mark_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = user_files.Task("devices", 5, 10, 400, lambda folder, size: ["false"])
    monkeypatch.setattr(user_files, "TASKS", (failing,))
    monkeypatch.setattr(sys, "argv", ["user_files.py"])
    assert user_files.main() == 1
    assert "missed" in capsys.readouterr().out
