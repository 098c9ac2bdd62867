"""What a store costs: rows a CPU second, written and compacted, and bytes a row.

The rows are made ones of a day: 5,000 devices, 200,000 names by Zipf's law, for each contact a
query, its answer and a ClientHello. A process of its own does each step; what it takes to read the
rows is subtracted. As a program, this module is that process.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import ENVIRONMENT
from shared import ROOT

if __name__ != "__main__":
    from compare import Options

sys.path.insert(0, str(ROOT / "tests"))

STEPS = {
    "read": "reading the rows",
    "landing": "Parquet, landing files",
    "compacted": "Parquet, compacted",
}
"""The steps, in their order, and what they are called."""

SHARE = 5 / 2
"""Rows for each packet of office traffic."""


def store_rows(options: "Options") -> dict[str, Any]:
    """Measure each step."""
    rows, work = max(1, int(options.office * SHARE)), options.work / "store"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    found = []
    for step in ("make", *STEPS):
        command = [sys.executable, __file__, step, str(rows), str(work)]
        run = subprocess.run(
            command, check=True, capture_output=True, env=ENVIRONMENT, timeout=options.timeout
        )
        if step != "make":
            found.append({"step": step, **json.loads(run.stdout)})
    shutil.rmtree(work)
    base = found[0]["cpu"]
    for row in found[1:]:
        # Compaction reads the files of the store, not the made rows.
        row["cpu"] -= base if row["step"] != "compacted" else 0
    return {"stored": rows, "steps": found}


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    lines = [f"{found['stored']:,} made rows"]
    lines += [
        f"{STEPS[row['step']]:<24} {found['stored'] / row['cpu'] / 1e6:6.2f} M rows a CPU second,"
        f" {row['bytes'] / found['stored']:6.1f} bytes a row, {row['rss'] / 1e6:.0f} MB peak"
        for row in found["steps"][1:]
    ]
    return "\n".join(lines)


def _batches(work: Path) -> Iterator[Any]:
    import pyarrow as pa

    with (work / "rows.arrow").open("rb") as stream, pa.ipc.open_stream(stream) as reader:
        yield from reader


def _make(rows: int, work: Path) -> None:
    import pyarrow as pa
    from support.made_facts import made_batches

    batches = made_batches(rows)
    first = next(batches)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        (work / "rows.arrow").open("wb") as stream,
        pa.ipc.new_stream(stream, first.schema, options=options) as writer,
    ):
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def _open(work: Path) -> tuple[Any, Any]:
    from netwatch.store.fact_files import FactFiles
    from netwatch.store.opening import open_catalogue
    from netwatch.store.options import StoreOptions

    return FactFiles(str(work)), open_catalogue(StoreOptions(str(work)), create=True)


def _landing(work: Path) -> int:
    from netwatch.store.landing import Landing

    files, catalogue = _open(work / "facts")
    catalogue.begin_capture(catalogue.begin_run("scan", "bench"), 0, [])
    landing = Landing(files, catalogue)
    for batch in _batches(work):
        landing.add("observation", batch)
        landing.write_due()
    landing.flush()
    return sum(row.bytes for row in catalogue.files("observation"))


def _compacted(work: Path) -> int:
    from netwatch.engine.facts_process import load_arrow
    from netwatch.store.compaction import compact

    load_arrow()
    files, catalogue = _open(work / "facts")
    compact(files, catalogue)
    return sum(row.bytes for row in catalogue.files("observation"))


def _main(step: str, rows: int, work: Path) -> None:
    if step == "make":
        _make(rows, work)
        return
    begin, size = time.process_time(), 0
    if step == "read":
        for _ in _batches(work):
            pass
    else:
        size = {"landing": _landing, "compacted": _compacted}[step](work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"cpu": time.process_time() - begin, "rss": peak, "bytes": size}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
