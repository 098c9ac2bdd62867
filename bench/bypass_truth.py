"""How often a device that did nothing is found to hide its lookups, and how often one that does is.

    python bench/bypass_truth.py [--offices 6] [--seed 2000]

Offices are made up (`tests/support/asking_office.py`) so that it is known who was told what: with
caches, hosts files, calls, restarts of the capture, lost lookups and changing addresses. Each is
stored and looked at as `netwatch store query bypasses` does. Then one device of each goes another
way for the last days. The rules were chosen with offices from the seeds 0 to 5 and 1000 to 1004.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import shared  # noqa: F401  (extends the import path)
from support.asking_office import HOUR, Office, Way, events, stored, switched

from netwatch.coverage.bypass import Finding
from netwatch.store.untold import Findings, Known, bypass_findings

DAYS = 10
SWITCH = 7
_DAY = 24 * HOUR

SITUATIONS: Mapping[str, Office] = {
    "nothing special": Office(quirks=0.0),
    "caches, hosts files, calls": Office(quirks=0.5),
    "five devices": Office(devices=5, quirks=0.5),
    "three devices": Office(devices=3, quirks=0.5),
    "addresses change": Office(moves=True),
    "idle every third day": Office(idle=0.33, quirks=0.5),
    "restarts of the capture": Office(
        gaps=tuple((day * _DAY + 11 * HOUR, day * _DAY + 11 * HOUR + HOUR // (1 + day % 4 * 3))
                   for day in range(DAYS)), quirks=0.5),
    "capture from noon on": Office(
        gaps=tuple((day * _DAY, day * _DAY + 12 * HOUR) for day in range(DAYS)), quirks=0.5),
    "lookups lost for three hours": Office(
        deaf=tuple((day * _DAY + 12 * HOUR, day * _DAY + 15 * HOUR) for day in (3, 6, 8)),
        quirks=0.5),
    "lookups lost for a day": Office(
        deaf=((6 * _DAY, 7 * _DAY),), quirks=0.5),
}  # fmt: skip

WAYS: tuple[Way, ...] = ("doh", "browser-doh", "vpn", "brings-along")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offices", type=int, default=6, help="offices of each situation")
    parser.add_argument("--seed", type=int, default=2000, help="that of the first office")
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.offices)
    print(f"{'situation':32} {'device days':>12} {'found':>6}")
    for name, office in SITUATIONS.items():
        count: Counter[str] = Counter()
        for seed in seeds:
            found = looked_at(replace(office, days=DAYS), seed)
            count.update(days=found.judged, found=len(found.found))
        print(f"{name:32} {count['days']:12,} {count['found']:6,}")
    print(f"\n{'way':32} {'devices':>12} {'found':>6} {'days':>6} {'found':>6} {'others':>6}")
    for way in WAYS:
        count = Counter()
        for seed in seeds:
            office = replace(Office(quirks=0.5), days=DAYS)
            found = looked_at(switched(office, seed % office.devices, SWITCH, way), seed)
            mine = list(_of(found, seed % office.devices))
            count.update(
                devices=1, found=bool(mine), days=DAYS - SWITCH, found_days=len(mine),
                others=len(found.found) - len(mine),
            )  # fmt: skip
        print(f"{way:32} {count['devices']:12,} {count['found']:6,} {count['days']:6,}"
              f" {count['found_days']:6,} {count['others']:6,}")  # fmt: skip


def looked_at(office: Office, seed: int) -> Findings:
    """What is found in an office."""
    with (
        tempfile.TemporaryDirectory() as folder,
        stored(events(office, seed), Path(folder)) as (catalogue, options),
    ):
        return bypass_findings(catalogue, options, None, None, Known())


def _of(found: Findings, device: int) -> Iterator[Finding]:
    for each in found.found:
        if each.bypass.own.device.device.endswith(f":{device:02x}"):
            yield each


if __name__ == "__main__":
    main()
