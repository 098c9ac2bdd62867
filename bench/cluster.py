"""What a ledger and a cluster on this machine cost beside ``--jobs 2``, and how large folds are.

``python bench/cluster.py`` scans units of 50 MB and more with two jobs, with a ledger, and with a
cluster of two workers, and compares their records. ``python bench/cluster.py fold --incidents N``
writes a ledger with so many incidents, each of which is in two units, and folds and reports it as a
run does; each step is a process, whose peak memory counts. A million takes some half an hour.
"""

import argparse
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from captures import Traffic, capture
from compare import Options, progress
from measure import measure, netwatch
from peers import CONFIG
from shared import ROOT

UNITS = 4
UNIT_PACKETS = 60_000
"""Packets of a unit, some 50 MB of office traffic."""

TIMEOUT = 1800.0
"""Seconds that a scan may take."""

INCIDENTS = 20_000
"""Incidents of a unit of the archive that is folded."""

MODES: dict[str, tuple[str, ...]] = {
    "--jobs 2": ("--jobs", "2"),
    "--jobs 2 --ledger": ("--jobs", "2", "--ledger", "LEDGER"),
    "--cluster local": ("--jobs", "2", "--ledger", "LEDGER", "--cluster", "local"),
}


def cluster(options: Options) -> dict[str, Any]:
    """Measure as a section of ``bench/run.py``."""
    folder, ledger = options.work / "units", options.work / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(UNITS):
        made = capture(Traffic("office", UNIT_PACKETS, seed=number + 1), options.work)[0]
        if not (folder / made.name).exists():
            shutil.copyfile(made, folder / f"{number}.pcap")
    rows = []
    runs: dict[str, list[Any]] = {mode: [] for mode in MODES}
    records: dict[str, bytes] = {}
    for number in range(1, options.rounds + 1):
        for mode, words in MODES.items():
            progress(f"cluster: {mode}, round {number} of {options.rounds}")
            shutil.rmtree(ledger, ignore_errors=True)
            arguments = [str(ledger) if word == "LEDGER" else word for word in words]
            output = options.work / "cluster.jsonl"
            scan = netwatch("scan", "-q", "-c", str(CONFIG), "--format", "jsonl", str(folder))
            runs[mode].append(measure([*scan, *arguments], output, options.timeout))
            records[mode] = output.read_bytes()
    for mode, each in runs.items():
        row = {
            "peer": mode,
            "cpu": statistics.median(run.cpu for run in each),
            "wall": statistics.median(run.wall for run in each),
        }
        failed = next((run.error for run in each if run.status), "")
        if records[mode] != records["--jobs 2"]:
            row["wrong"] = [f"{mode}: other records than --jobs 2"]
        rows.append(row | ({"failed": failed} if failed else {}))
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {"units": UNITS, "bytes": size, "rows": rows}


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    first = found["rows"][0]
    lines = [
        f"{found['units']} units of {found['bytes'] / found['units'] / 1e6:.0f} MB",
        f"{'':<20} {'CPU s':>8} {'wall s':>8} {'CPU':>6} {'wall':>6}",
    ]
    for row in found["rows"]:
        cpu, wall = row["cpu"] / first["cpu"], row["wall"] / first["wall"]
        numbers = f"{row['cpu']:8.2f} {row['wall']:8.2f} {cpu:6.2f} {wall:6.2f}"
        lines.append(f"{row['peer']:<20} {numbers}")
    return "\n".join(lines)


def fold(incidents: int, work: Path) -> dict[str, Any]:
    """Write, fold and report an archive with so many incidents."""
    from netwatch.cluster.storage import open_storage

    place = work / "fold-ledger"
    shutil.rmtree(place, ignore_errors=True)
    storage = open_storage(str(place))
    units = max(2, 2 * incidents // INCIDENTS)
    steps = {
        "units": _in_process(_write_units, storage, incidents, units),
        "folds": _in_process(_fold_units, storage, units),
        "selection": _in_process(_select, storage, units),
        "records": _in_process(_report, storage),
    }
    reported = steps["records"]["result"]
    if reported != incidents:
        raise SystemExit(f"{reported} incidents are reported, expected {incidents}")
    return {"incidents": incidents, "units": units, "steps": steps}


def _in_process(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """What a function gives in a process of its own, its CPU seconds and peak memory in MB."""
    with get_context("spawn").Pool(1) as pool:
        result: dict[str, Any] = pool.apply(_measured, (function, arguments))
    print(f"{function.__name__[1:]:<12} {result['cpu']:8.1f} s {result['rss']:8.0f} MB", flush=True)
    return result


def _measured(function: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    begin = time.process_time()
    result = function(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"result": result, "cpu": time.process_time() - begin, "rss": peak}


def _configuration() -> Any:
    from netwatch import config

    return config.load(str(CONFIG))


def _template(config: Any) -> Any:
    """An incident of the sample captures with its key."""
    from netwatch.capture.files import find_captures
    from netwatch.core.statistics import RunStatistics
    from netwatch.engine import jobs
    from netwatch.engine.capture_files import group_files
    from netwatch.incidents.scan import ScanIncidents

    found = ScanIncidents(config.quiet_gap)
    captures = list(group_files(find_captures([str(ROOT / "pcaps")]), continuous=False))
    jobs.scan(captures, config, RunStatistics(), found)
    entries = [entry for part in found.partitions() for entry in part]
    return max(entries, key=lambda entry: (entry[1].confidence or "", entry[1].names.total))


def _write_units(storage: Any, incidents: int, units: int) -> None:
    from dataclasses import replace

    from netwatch.cluster.result_file import write_result
    from netwatch.core.statistics import RunStatistics
    from netwatch.coverage.counts import Coverage
    from netwatch.incidents.scan import entry_order
    from netwatch.incidents.spill import PARTITIONS, partition_of

    config = _configuration()
    key, incident = _template(config)

    def entries(unit: int) -> Iterator[list[Any]]:
        parts: list[list[Any]] = [[] for _ in range(PARTITIONS)]
        for number in range(unit // 2, incidents, max(1, units // 2)):
            made = incident.copy()
            device = replace(made.first_contact.device, id=f"device-{number:08}")
            made.first_contact = replace(made.first_contact, device=device)
            made.named_device = device
            own = (device.id, *key[1:])
            parts[partition_of(own)].append((own, made))
        for part in parts:
            yield sorted(part, key=entry_order)

    for unit in range(units):
        name = f"results/bench/{unit}"
        write_result(storage, name, name, RunStatistics(files=1), Coverage(), entries(unit))


def _fold_units(storage: Any, units: int) -> None:
    from netwatch.cluster import tasks
    from netwatch.cluster.archive import FAN_IN
    from netwatch.cluster.units import code_version

    config, version = _configuration(), code_version()
    for at in range(0, units, FAN_IN):
        parts = tuple(f"results/bench/{unit}" for unit in range(at, min(at + FAN_IN, units)))
        name = f"runs/bench/fold-{at}"
        tasks.fold(config, tasks.FoldTask(storage, version, name, parts))


def _select(storage: Any, units: int) -> None:
    import pickle

    from netwatch.cluster import tasks
    from netwatch.cluster.archive import FAN_IN
    from netwatch.cluster.storage import write
    from netwatch.cluster.units import code_version
    from netwatch.incidents.spill import PARTITIONS

    folds = tuple(f"runs/bench/fold-{at}" for at in range(0, units, FAN_IN))
    task = tasks.ReportTask(storage, code_version(), "runs/bench/report", folds, range(PARTITIONS))
    write(storage, "runs/bench/chunks", pickle.dumps(tasks.select(_configuration(), task).chunks))


def _report(storage: Any) -> int:
    import pickle

    from netwatch.cluster.reports import Report

    config = _configuration()
    chunks = pickle.loads(storage.read("runs/bench/chunks"))
    named = [("runs/bench/report", chunk) for chunk in chunks]
    return sum(1 for _ in Report(storage, named, config.quiet_gap, config.geo, config.sensor))


def main() -> int:
    """Measure and print."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("overhead", "fold"), default="overhead")
    parser.add_argument("--incidents", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.what == "fold":
        fold(args.incidents, args.work.resolve())
    else:
        options = Options(0, 0, args.rounds, 0, (), args.work.resolve(), TIMEOUT)
        print(text(cluster(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
