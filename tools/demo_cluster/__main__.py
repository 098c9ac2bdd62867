"""``make demo-cluster``: an archive on a cluster of this machine, one of whose workers is killed.

It copies the sample captures, scans them, and scans them again with two workers and a ledger. A
worker is killed amid that, and the records are the same to the byte. A third scan finds all units
done. Everything is in a temporary folder, and nothing is left running.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PCAPS = ROOT / "pcaps"
COPIES = 12
TIMEOUT = 120
"""Seconds that a scan may take."""


def main() -> int:
    """Show it; the exit status."""
    with tempfile.TemporaryDirectory(prefix="netwatch-demo-") as folder:
        archive, ledger = Path(folder, "archive"), Path(folder, "ledger")
        count = _fill(archive)
        print(f"An archive of {count} captures.\n\n$ netwatch scan archive/", flush=True)
        expected = _scan(archive)
        print("\n$ netwatch scan archive/ --cluster local --jobs 2 --ledger ledger/", flush=True)
        found = _scan(archive, "--cluster", "local", "--jobs", "2", "--ledger", ledger, kill=ledger)
        is_same = found == expected
        print(f"\nRecords are {'the same to the byte' if is_same else 'DIFFERENT'}.\n")
        print("$ netwatch scan archive/ --ledger ledger/   # once more", flush=True)
        is_same = _scan(archive, "--ledger", ledger) == expected and is_same
        print("\n$ netwatch ledger status ledger/", flush=True)
        subprocess.run([*_netwatch(), "ledger", "status", "ledger"], cwd=folder, check=True)
        return 0 if is_same else 1


def _netwatch() -> list[str]:
    return [sys.executable, "-m", "netwatch"]


def _fill(archive: Path) -> int:
    """Copy the sample captures; how many files there are."""
    archive.mkdir()
    for number in range(COPIES):
        for path in sorted(PCAPS.glob("*.pcap*")):
            shutil.copyfile(path, archive / f"{number:02}-{path.name}")
    return len(list(archive.iterdir()))


def _scan(archive: Path, *options: object, kill: Path | None = None) -> bytes:
    """The records of a scan, whose summary is shown. With `kill` a worker is killed when the ledger
    there has some results."""
    words = ["scan", "-c", PCAPS / "netwatch.yaml", "archive", "--format", "jsonl", *options]
    with subprocess.Popen(
        [*_netwatch(), *map(str, words)], cwd=archive.parent, stdout=subprocess.PIPE
    ) as process:
        if kill is not None:
            _kill_worker(process, kill)
        out, _ = process.communicate(timeout=TIMEOUT)
    return out


def _kill_worker(process: subprocess.Popen[bytes], ledger: Path) -> None:
    while process.poll() is None:
        done = len(list(ledger.glob("results/*/[!.]*")))
        workers = _workers(process.pid)
        if done >= COPIES and workers:
            os.kill(workers[0], signal.SIGKILL)
            print(f"(kill -9 of a worker, when {done} units were done)", flush=True)
            return
        time.sleep(0.02)


def _workers(parent: int) -> list[int]:
    """The processes of the workers that a scan started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stat = (place / "stat").read_text().rpartition(")")[2].split()
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue  # It has ended.
        if int(stat[1]) == parent and b"spawn_main" in command:
            found.append(int(place.name))
    return sorted(found)


if __name__ == "__main__":
    sys.exit(main())
