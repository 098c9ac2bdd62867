"""How often real clients that hide nothing are found to hide their lookups.

    .venv/bin/python bench/bypass_clients.py [--days 4] [--seed 1]

Chromium, Firefox and curl visit a site in network namespaces (`bench/flow_site.py`), with the
caches they have, restarts, hosts files and downloads that go on over night. Half a minute is an
hour: times of packets, and the TTLs of answers, are stretched, so that caches outlive them as they
do. On one day the capture misses three quarters of an hour. What `netwatch scan` stores of it is
judged as `netwatch store query hidden-lookups` does.
"""

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import flow_site
import veth
from flow_clients import OTHERS, SHARED_ADDRESSES
from flow_site import SIZES, Site
from flow_visitors import VISITORS, Visit

from netwatch.formats.bypass import bypass_record
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.untold import Findings, Known, bypass_findings

CLIENTS = {
    "10.20.1.1": "Chromium",
    "10.20.1.2": "Chromium",
    "10.20.1.3": "Firefox",
    "10.20.1.4": "Firefox",
    "10.20.1.5": "curl",
    "10.20.1.6": "curl",
    "10.20.1.7": "curl",
    "10.20.1.8": "curl",
}
WITH_HOSTS = ("10.20.1.2", "10.20.1.6")
"""They know a few names from their hosts file."""

DOWNLOADING = ("10.20.1.7",)
"""They have a download that goes on for days."""

HOUR = 30.0
"""Seconds of a measured hour."""

HOURS = 7
"""Of a working day, which begins at `MORNING`; the browsers begin again in its middle."""

MORNING = 8 * 3600
FAVOURITES = 24
"""Names that a client visits."""

GAP = (10.5 * 3600, 11.25 * 3600)
"""What the capture misses on its third day, in s of the day."""

START = 1_677_801_600
"""The first day: 2023-03-03."""

_DAY = 86_400
_CONFIG = """version: 1
networks:
  - {{name: hq, cidrs: [10.20.0.0/16], class: service}}
  - {{name: resolvers, cidrs: [10.20.0.53/32, 10.20.0.1/32], class: infrastructure}}
bans: []
store: {{path: {folder}/kept}}
"""


@dataclass(frozen=True, slots=True)
class Clock:
    """When each day began, in s of this machine's clock, and the length of the longest one."""

    mornings: Sequence[float]
    longest: float

    def stretched(self, moment: float) -> float:
        """The measured time of a moment, in s. A day that took long has more hours, up to 15."""
        day = max((n for n, begin in enumerate(self.mornings) if begin <= moment), default=0)
        rate = min(3600 / HOUR, 15 * 3600 / self.longest)
        into = MORNING + max(0.0, moment - self.mornings[day]) * rate
        return START + day * _DAY + min(into, _DAY + MORNING - 1)

    @property
    def rate(self) -> float:
        """By how much durations are longer."""
        return min(3600 / HOUR, 15 * 3600 / self.longest)


def visited(site: Site, days: int, seed: int, names: Sequence[str]) -> Clock:
    """Let all clients visit names for so many days."""
    mornings: list[float] = []
    barrier = threading.Barrier(len(CLIENTS), lambda: mornings.append(time.time()))
    failed: list[BaseException] = []

    def run(address: str) -> None:
        rng = random.Random(f"{seed} {address}")
        own = rng.sample(names, FAVOURITES)
        try:
            for _ in range(days):
                barrier.wait()
                for _ in range(2):
                    _visit(site, address, _plan(rng, own, HOURS * HOUR / 2))
            barrier.wait()
        except BaseException as error:
            failed.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(address,)) for address in CLIENTS]
    for each in threads:
        each.start()
    loading = [_download(site, address, names[0]) for address in DOWNLOADING]
    for thread in threads:
        thread.join()
    for process in loading:
        process.kill()
        process.wait()
    if failed:
        raise failed[0]
    lengths = [end - begin for begin, end in itertools.pairwise(mornings)]
    return Clock(mornings[:-1], max(lengths))


def _visit(site: Site, address: str, plan: Sequence[Visit]) -> None:
    """Visit what is planned; a browser that does not start on a busy machine starts again."""
    for attempt in range(4):
        try:
            return VISITORS[CLIENTS[address]](site, address, plan)
        except (RuntimeError, OSError):
            if attempt == 3:
                raise
    return None


def _plan(rng: random.Random, names: Sequence[str], seconds: float) -> list[Visit]:
    ranks = [1 / (rank + 3) for rank in range(len(names))]
    plan, left = [], seconds
    while left > 0:
        pause = min(rng.expovariate(0.2), 20)
        left -= pause
        chosen = dict.fromkeys(rng.choices(names, ranks, k=rng.choice((1, 1, 2, 3))))
        plan.append(Visit(pause, tuple((name, rng.choice(SIZES[:2])) for name in chosen)))
    return plan


def _download(site: Site, address: str, name: str) -> subprocess.Popen[bytes]:
    command = ["curl", "-sk", "--limit-rate", "300", "-o", "/dev/null"]
    url = f"https://{name}/{SIZES[-1]}"
    return subprocess.Popen(site.clients[address].inside(*command, url))


def stretched(capture: bytes, clock: Clock) -> Iterator[bytes]:
    """A capture (pcap, little-endian, µs) with other times and TTLs, in pieces."""
    yield capture[:24]
    at = 24
    while at + 16 <= len(capture):
        seconds, micros, size, whole = (
            int.from_bytes(capture[at + place : at + place + 4], "little")
            for place in (0, 4, 8, 12)
        )
        frame = bytearray(capture[at + 16 : at + 16 + size])
        at += 16 + size
        moment = clock.stretched(seconds + micros / 1e6)
        if GAP[0] <= moment - START - 2 * _DAY < GAP[1]:
            continue
        if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[34:36] == b"\x00\x35":
            _stretch_ttls(frame, clock.rate)
        head = (int(moment), int(moment % 1 * 1e6), size, whole)
        yield b"".join(each.to_bytes(4, "little") for each in head) + frame


def _stretch_ttls(frame: bytearray, rate: float) -> None:
    """Multiply the TTLs of an answer; a UDP checksum of zero is none."""
    frame[40:42] = b"\0\0"
    counts = [int.from_bytes(frame[42 + n : 44 + n]) for n in (4, 6, 8, 10)]
    at = 54
    for _ in range(counts[0]):
        at = _behind_name(frame, at) + 4
    for _ in range(sum(counts[1:])):
        at = _behind_name(frame, at)
        if frame[at : at + 2] != b"\x00\x29":  # not OPT, whose TTL is none
            ttl = int.from_bytes(frame[at + 4 : at + 8])
            frame[at + 4 : at + 8] = round(ttl * rate).to_bytes(4)
        at += 10 + int.from_bytes(frame[at + 8 : at + 10])


def _behind_name(frame: bytearray, at: int) -> int:
    while frame[at] and frame[at] < 0xC0:
        at += 1 + frame[at]
    return at + (2 if frame[at] else 1)


def judged(folder: Path, capture: Path) -> Findings:
    """What a scan of a capture stores, as it is judged."""
    configuration = folder / "netwatch.yaml"
    configuration.write_text(_CONFIG.format(folder=folder))
    command = [sys.executable, "-m", "netwatch", "scan", "-q", "-c", str(configuration)]
    subprocess.run([*command, "--store", str(capture)], check=True, stdout=subprocess.DEVNULL)
    options = StoreOptions(str(folder / "kept"))
    with open_catalogue(options) as catalogue:
        return bypass_findings(catalogue, options, None, None, Known())


def measured(folder: Path, days: int, seed: int) -> Findings:
    """What is found on so many days of a site."""
    rng = random.Random(seed)
    shared = [f"203.0.113.{number + 1}" for number in range(SHARED_ADDRESSES)]
    names = {
        name: rng.choice(shared) if number % 3 == 0 else f"198.18.0.{number + 1}"
        for number, name in enumerate(OTHERS)
    }
    with flow_site.opened(folder, names, list(CLIENTS)) as site:
        for address in WITH_HOSTS:
            lines = (f"{names[name]} {name}\n" for name in rng.sample([*names], 6))
            hosts = Path("/etc/netns") / site.clients[address].name / "hosts"
            hosts.write_text(f"127.0.0.1 localhost\n{''.join(lines)}")
        clock = visited(site, days, seed, [*names])
    path = folder / "stretched.pcap"
    with path.open("wb") as stream:
        stream.writelines(stretched(site.capture.read_bytes(), clock))
    return judged(folder, path)


def main() -> int:
    """Measure, and print how many days were judged, and each finding."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    veth.require("dnsmasq", "nginx", "tcpdump", "curl", "chromium")
    veth.require_programs("firefox-esr")
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), args.days, args.seed)
    print(f"seed {args.seed}: {found.judged} days of devices judged, {len(found.found)} found")
    for each in found.found:
        print(bypass_record(each))
    return 0


if __name__ == "__main__":
    sys.exit(main())
