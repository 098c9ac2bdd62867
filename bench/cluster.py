"""What a ledger and a cluster on this machine cost beside ``--jobs 2``, and how large folds are.

``python bench/cluster.py`` scans units of 50 MB and more with two jobs, with a ledger, and with a
cluster of two workers, and compares their records. ``python bench/cluster.py fold --incidents N``
writes results with so many incidents, each of which is in two of them, as the last folds of an
archive have them, and selects and reports from them as a run does; one fold of units is made as
well. Each step has processes of its own, whose peak memory counts.
"""

import argparse
import json
import re
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from captures import Traffic, capture
from compare import Options, progress
from measure import measure, netwatch
from peers import CONFIG
from shared import ROOT

CAPTURES = 4
UNITS = 64
"""Units, which are links to so many captures: work enough that a start does not weigh much."""

UNIT_PACKETS = 60_000
"""Packets of a unit, some 50 MB of office traffic."""

TIMEOUT = 1800.0
"""Seconds that a scan may take."""

FOLDED = 16_000
"""Incidents of the units that are folded."""

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
        seed = number % CAPTURES + 1
        made = capture(Traffic("office", UNIT_PACKETS, seed=seed), options.work)[0]
        place = folder / f"{number}.pcap"
        if not place.exists():
            place.hardlink_to(made)
    rows = []
    runs: dict[str, list[Any]] = {mode: [] for mode in MODES}
    records: dict[str, bytes] = {}
    for number in range(1, options.rounds + 1):
        for mode, words in MODES.items():
            progress(f"cluster: {mode}, round {number} of {options.rounds}")
            shutil.rmtree(ledger, ignore_errors=True)
            arguments = [str(ledger) if word == "LEDGER" else word for word in words]
            output = options.work / "cluster.jsonl"
            # With its summary: what nobody could see is a part of each result in a ledger.
            scan = netwatch("scan", "-c", str(CONFIG), "--format", "jsonl", str(folder))
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
    from netwatch.cluster.archive import FAN_IN
    from netwatch.cluster.storage import open_storage
    from netwatch.incidents.spill import PARTITIONS

    place = work / "fold-ledger"
    shutil.rmtree(place, ignore_errors=True)
    storage = open_storage(str(place))
    folds = max(2, 2 * incidents // (FAN_IN * INCIDENTS))
    steps = {
        "units": _in_processes(_write_results, [(storage, "unit", min(incidents, FOLDED), FAN_IN)]),
        "fold": _in_processes(_fold_units, [(storage, FAN_IN)]),
        "folds": _in_processes(_write_results, [(storage, "fold", incidents, folds)]),
        "selections": _in_processes(
            _select, [(storage, folds, partition) for partition in range(PARTITIONS)]
        ),
        "records": _in_processes(_report, [(storage,)]),
    }
    (reported,) = steps["records"]["results"]
    if reported != incidents:
        raise SystemExit(f"{reported} incidents are reported, expected {incidents}")
    return {"incidents": incidents, "folds": folds, "steps": steps}


def _in_processes(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """What the calls of a function give, in two processes as two workers have them; their CPU
    seconds, and the most memory that one needed in MB."""
    begin = time.monotonic()
    with get_context("spawn").Pool(min(2, len(calls))) as pool:
        done = pool.map(_measured, [(function, each) for each in calls], chunksize=1)
    results, cpu, peaks = zip(*done, strict=True)
    found = {"results": results, "cpu": sum(cpu), "rss": max(peaks)}
    print(
        f"{function.__name__[1:]:<14} {sum(cpu):8.1f} s CPU {time.monotonic() - begin:8.1f} s"
        f" {max(peaks):8.0f} MB",
        flush=True,
    )
    return found


def _measured(call: tuple[Callable[..., Any], tuple[Any, ...]]) -> tuple[Any, float, float]:
    function, arguments = call
    begin = time.process_time()
    result = function(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result, time.process_time() - begin, peak


def _configuration() -> Any:
    from netwatch import config

    return config.load(str(CONFIG))


def _template(config: Any) -> tuple[list[bytes], str, str]:
    """An incident of the sample captures as lines of a result: what it shares, and itself; and the
    id of its device."""
    from netwatch.capture.files import find_captures
    from netwatch.cluster.result_file import Entry
    from netwatch.core.statistics import RunStatistics
    from netwatch.core.typed_json import dumps
    from netwatch.engine import jobs
    from netwatch.engine.capture_files import group_files
    from netwatch.incidents.incident_state import SharedValues, incident_state
    from netwatch.incidents.scan import ScanIncidents

    found = ScanIncidents(config.quiet_gap)
    captures = list(group_files(find_captures([str(ROOT / "pcaps")]), continuous=False))
    jobs.scan(captures, config, RunStatistics(), found)
    entries: list[Entry] = [entry for part in found.partitions() for entry in part]
    key, incident = max(entries, key=lambda entry: (entry[1].confidence or "",
                                                    entry[1].names.total))  # fmt: skip
    shared: list[bytes] = []
    state = incident_state(
        incident, SharedValues(lambda kind, value: shared.append(dumps([kind, value])))
    )
    return shared, dumps(["incident", key, state]).decode(), key[0]


def _write_results(storage: Any, kind: str, incidents: int, results: int) -> None:
    """Write results in which each of so many incidents is twice, in two of them. An incident is the
    template with a device of its own, some microseconds later than the one before."""
    from netwatch.cluster.result_file import LineWriter, write_result
    from netwatch.cluster.storage import write as write_object
    from netwatch.core.statistics import RunStatistics
    from netwatch.coverage.counts import Coverage
    from netwatch.incidents.senders import SenderTable
    from netwatch.incidents.spill import PARTITIONS, partition_of

    shared, line, device = _template(_configuration())
    key = json.loads(line)[1]
    # Every second piece is a time in ns.
    pieces = re.split(r"\b(1[67][0-9]{17})\b", line)
    times = [int(each) for each in pieces[1::2]]

    def write(writer: LineWriter, numbers: Iterable[int]) -> int:
        count = 0
        for count, number in enumerate(numbers, 1):
            if count == 1:
                for each in shared:
                    writer.text(each)
            pieces[1::2] = [str(each + 1000 * number) for each in times]
            text = "".join(pieces).replace(f'"{device}"', f'"device-{number:08}"')
            writer.text(text.encode())
        return count

    for result in range(results):
        parts: list[list[int]] = [[] for _ in range(PARTITIONS)]
        for number in range(result // 2, incidents, max(1, results // 2)):
            parts[partition_of((f"device-{number:08}", *key[1:]))].append(number)
        name = f"results/bench/{kind}-{result}"
        head = name, name, RunStatistics(files=1), Coverage(), SenderTable()
        written = write_result(storage, *head, parts, write)
        write_object(storage, f"{name}.digest", written.digest.encode())


def _written(storage: Any, name: str) -> Any:
    """A result that was written before, with its digest."""
    from netwatch.cluster.result_file import Written

    return Written(name, storage.read(f"{name}.digest").decode())


def _fold_units(storage: Any, units: int) -> None:
    from netwatch.cluster import tasks
    from netwatch.cluster.ledger import code_version

    parts = tuple(_written(storage, f"results/bench/unit-{unit}") for unit in range(units))
    task = tasks.FoldTask(storage, code_version(), "runs/bench/fold", parts)
    done = tasks.fold(_configuration(), task)
    if done.damaged or not done.entries:
        raise RuntimeError(f"the fold failed: {done}")


def _select(storage: Any, folds: int, partition: int) -> None:
    from netwatch.cluster import tasks
    from netwatch.cluster.ledger import code_version
    from netwatch.cluster.storage import write

    names = tuple(_written(storage, f"results/bench/fold-{number}") for number in range(folds))
    report = f"runs/bench/report-{partition}"
    of = range(partition, partition + 1)
    task = tasks.ReportTask(storage, code_version(), report, names, of)
    chunks = tasks.select(_configuration(), task).chunks
    places = [[each.start, each.end, each.digest] for each in chunks]
    write(storage, f"{report}.chunks", json.dumps(places).encode())


def _report(storage: Any) -> int:
    from netwatch.cluster.tasks import Chunk, Report
    from netwatch.incidents.spill import PARTITIONS

    config = _configuration()
    named = []
    for partition in range(PARTITIONS):
        name = f"runs/bench/report-{partition}"
        chunks = json.loads(storage.read(f"{name}.chunks"))
        named += [(name, Chunk(*each)) for each in chunks]
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
