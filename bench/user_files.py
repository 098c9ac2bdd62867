"""The cost of reading large files that users write, and of matching many names.

    python bench/user_files.py [--domains N] [--devices N] [--networks N] [--names N]

Each configuration has one kind of file and nothing else that is large, and is read by a process of
its own: CPU seconds and the peak of its memory. The marks are those for the default sizes: 20 s and
600 MB for a million domains, 10 s and 400 MB for a million devices, 3 s for a hundred thousand
networks, 15 s for a million names, 0.3 s for a scan with a hundred thousand rules from the cache.
Matching names is compared with grep in the same run, which looks for the same zones as fixed texts
and explains nothing. The exit status is 1 if one is missed. On a machine that is busy with other
work, CPU seconds are too high.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import measure
from shared import ROOT

from netwatch.config import load_catalog

TIMEOUT = 600.0
"""Seconds after which a process is killed."""

LOAD = "import sys; from netwatch.config import load; load(sys.argv[1])"


@dataclass(frozen=True, slots=True)
class Task:
    """What is read, the default size, the marks in s and MB (0: none), and the function that writes
    a file of a size into a folder and returns the command that reads it."""

    what: str
    size: int
    seconds: float
    megabytes: int
    command: Callable[[Path, int], list[str]]
    peer: Callable[[Path], tuple[str, list[str]]] | None = None
    """Writes what else is needed into the same folder: a name, and the command of a program that
    does comparable work."""


def _load(folder: Path, text: str) -> list[str]:
    config = folder / "netwatch.yaml"
    config.write_text(f"version: 1\n{text}", encoding="utf-8")
    return [sys.executable, "-c", LOAD, str(config)]


def _domains(folder: Path, size: int) -> list[str]:
    signature = folder / "signatures" / "many.yaml"
    signature.parent.mkdir()
    with signature.open("w", encoding="utf-8") as file:
        file.write("app: many\nname: Many\nvendor: many\ncategory: video\ndomains:\n")
        for number in range(size):
            name = f"d{number:07d}.zone{number % 997}.example.com"
            file.write(f"  - {{suffix: {name}, role: exclusive, sources: [observed, v2fly]}}\n")
    return _load(folder, "signatures: [builtin, signatures]\n")


def _devices(folder: Path, size: int) -> list[str]:
    with (folder / "devices.csv").open("w", encoding="utf-8") as file:
        file.write("id,mac,ip,hostname,owner,class\n")
        for number in range(size):
            high, middle, low = number >> 16, number >> 8 & 255, number & 255
            mac = f"02:00:00:{high:02x}:{middle:02x}:{low:02x}"
            host = f"host-{number}.corp.example,Owner {number % 5000}"
            file.write(f"dev-{number},{mac},10.{high}.{middle}.{low},{host},service\n")
    return _load(folder, "devices: {inventory: devices.csv}\n")


def _networks(folder: Path, size: int) -> list[str]:
    rows = [
        f"  - {{name: net-{number}, cidrs: [10.{number >> 12}.{number >> 4 & 255}."
        f"{(number & 15) << 4}/28], class: service, authority: HQ}}\n"
        for number in range(size)
    ]
    return _load(folder, "networks:\n" + "".join(rows))


def _names(folder: Path, size: int) -> list[str]:
    made = ("host%d.tiktok.com", "www.example%d.org", "a.nottiktok%d.com", "cdn-%d.site.example")
    with (folder / "names").open("w", encoding="utf-8") as file:
        file.writelines(f"{made[number % 4] % number}\n" for number in range(size))
    match = f"{shlex.quote(sys.executable)} -m netwatch signatures match --format jsonl -"
    # Names without a rule give exit status 1.
    script = f'{match} <"$1" >/dev/null; test $? -le 1'
    return ["sh", "-c", script, "match", str(folder / "names")]


def _cached(folder: Path, size: int) -> list[str]:
    """A scan of a small capture with many rules, which the cache has from an earlier one."""
    _domains(folder, size)
    command = _scan(folder, folder / "netwatch.yaml")
    subprocess.run(command, check=True, capture_output=True)
    return command


def _without_rules(folder: Path) -> tuple[str, list[str]]:
    """The same scan with the shipped rules alone."""
    (folder / "none.yaml").write_text("version: 1\n", encoding="utf-8")
    command = _scan(folder, folder / "none.yaml")
    subprocess.run(command, check=True, capture_output=True)
    return "a scan with the shipped rules", command


def _scan(folder: Path, config: Path) -> list[str]:
    capture = ROOT / "pcaps" / "dns-over-tcp.pcap"
    words = ["-m", "netwatch", "scan", "-q", "-c", str(config), str(capture)]
    return ["env", f"XDG_CACHE_HOME={folder}", sys.executable, *words]


def _grep(folder: Path) -> tuple[str, list[str]]:
    """The zones of the same signatures as fixed texts."""
    (folder / "zones").write_text("\n".join(sorted(load_catalog().zones())) + "\n")
    # With its output in the null device grep would end at the first name.
    return "grep -F -f", ["grep", "-cFf", str(folder / "zones"), str(folder / "names")]


TASKS = (
    Task("domains", 1_000_000, 20, 600, _domains),
    Task("devices", 1_000_000, 10, 400, _devices),
    Task("networks", 100_000, 3, 0, _networks),
    Task("names", 1_000_000, 15, 0, _names, _grep),
    Task("rules", 100_000, 0.3, 0, _cached, _without_rules),
)


def main() -> int:
    """Measure every task and print a line for each; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for task in TASKS:
        parser.add_argument(f"--{task.what}", type=int, default=task.size, metavar="N")
    sizes = vars(parser.parse_args())
    all_met = True
    for task in TASKS:
        with tempfile.TemporaryDirectory() as name:
            command = task.command(Path(name), sizes[task.what])
            run = measure(command, Path(name, "out"), TIMEOUT)
            ratio = _ratio(task, Path(name), run.cpu)
        if run.status:
            print(f"{task.what}: {run.error or run.status}", file=sys.stderr)
        megabytes = run.rss / 1e6
        is_met = not run.status and run.cpu <= task.seconds
        is_met = is_met and (not task.megabytes or megabytes <= task.megabytes)
        all_met = all_met and is_met
        marks = f"{task.seconds:g} s" + (f", {task.megabytes} MB" if task.megabytes else "")
        result = f"{run.cpu:5.1f} s CPU {megabytes:5.0f} MB"
        verdict = "met" if is_met else "missed"
        print(f"{task.what:<9} {sizes[task.what]:>9,} {result}  {verdict} (marks: {marks}){ratio}")
    return 0 if all_met else 1


def _ratio(task: Task, folder: Path, cpu: float) -> str:
    """The CPU seconds in relation to those of the peer, as a part of a line."""
    if task.peer is None:
        return ""
    name, command = task.peer(folder)
    peer = measure(command, folder / "out", TIMEOUT)
    return f"; {cpu / peer.cpu:.1f} times {name} ({peer.cpu:.1f} s)" if peer.cpu else ""


if __name__ == "__main__":
    sys.exit(main())
