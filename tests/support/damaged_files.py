"""Damaged captures as whole files, and a program that reads many of them in one process.

``python -m support.damaged_files SEED FIRST COUNT FOLDER`` makes the files number FIRST to FIRST +
COUNT - 1 of a seed, runs ``netwatch`` on each and prints one JSON object. A file depends on nothing
but the seed and its number, so the same arguments with COUNT 1 repeat what one of them did.
"""

import bz2
import gzip
import json
import lzma
import random
import resource
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import FrameType

import lz4.frame
import zstandard
from support.captures import Frames, enhanced, interface, pcap, section
from support.frames import LINKS
from support.office import configured
from support.paths import SHARED
from support.traffic import mixed

from netwatch.cli import main as netwatch

TIMEOUT = 20
"""Seconds of processor time that a file of at most `MAX_BYTES` may take."""

MAX_BYTES = 1 << 16
"""Bytes of an undamaged file at most."""

COMPRESSIONS: Sequence[Callable[[bytes], bytes]] = (
    bytes,
    bytes,
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
    zstandard.compress,
    lz4.frame.compress,
)
"""How a file is compressed before it is damaged; most are not."""

COMMANDS = (
    ("scan", "--coverage", "--format", "jsonl"),
    ("names", "--format", "jsonl"),
    ("scan", "--continuous", "-v"),
    ("names", "-v"),
)
"""The commands that read the files, in turn."""

WINDOW = 2000
"""Bytes of a file among which lengths are changed."""

LENGTHS = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000)
"""Values of length fields at which readers go wrong, beside values close to the right one."""


def pcapng(frames: Frames, link: int) -> bytes:
    blocks = [section(), interface(link)]
    blocks += [enhanced(frame, time // 1000) for time, frame in frames]
    return b"".join(blocks)


@cache
def originals() -> tuple[bytes, ...]:
    """Undamaged captures: all sample traffic over all links, and those of the wild, if at hand."""
    made = []
    for link in LINKS:
        frames = mixed(link=link).frames
        for start in range(0, len(frames), 60):
            part = frames[start : start + 60]
            made += [pcap(part, link.number), pcapng(part, link.number)]
    wild = sorted((SHARED / "captures").glob("*.pcap*"))
    made += [path.read_bytes() for path in wild if path.stat().st_size <= MAX_BYTES]
    return tuple(each for each in made if len(each) <= MAX_BYTES)


def cut(data: bytearray, rng: random.Random) -> bytearray:
    """Without its end, or without a part in the middle."""
    start = rng.randrange(len(data) + 1)
    stop = len(data) if rng.random() < 0.5 else start + rng.choice((1, 2, 4, 16, 100, 1000))
    return data[:start] + data[stop:]


def splice(data: bytearray, rng: random.Random) -> bytearray:
    """The beginning of one file, and the end or a part of another."""
    other = rng.choice(originals())
    start = rng.randrange(len(other))
    stop = len(other) if rng.random() < 0.5 else start + rng.randrange(2000)
    at = rng.randrange(len(data) + 1)
    return data[:at] + other[start:stop] + (data[at:] if rng.random() < 0.5 else b"")


def change_lengths(data: bytearray, rng: random.Random) -> bytearray:
    """With other values in a few of the places that look like the length of what follows."""
    start = rng.randrange(max(1, len(data) - WINDOW))
    places = list(_lengths(data, start, start + WINDOW))
    for at, code in rng.sample(places, min(len(places), rng.choice((1, 1, 2, 8)))):
        (value,) = struct.unpack_from(code, data, at)
        limit = (1 << 8 * struct.calcsize(code)) - 1
        near = [value + change for change in (-8, -4, -2, -1, 1, 2, 4, 8)]
        new = rng.choice([*near, *near, *LENGTHS, limit, rng.randrange(limit + 1)])
        struct.pack_into(code, data, at, new & limit)
    return data


MUTATORS = (cut, splice, change_lengths)
"""The ways in which files are damaged, in turn."""


def _lengths(data: bytes, start: int, stop: int) -> Iterator[tuple[int, str]]:
    """Where numbers of two and four bytes are not zero and within the rest of the file: lengths of
    records, blocks, headers, packets and messages are among them."""
    for code in (">H", "<H", ">I", "<I"):
        for at in range(start, min(stop, len(data) - struct.calcsize(code))):
            (value,) = struct.unpack_from(code, data, at)
            if 0 < value <= min(len(data) - at, 2000):
                yield at, code


def damaged(seed: str, number: int) -> bytes:
    """The file with this number."""
    rng = random.Random(f"{seed} {number}")
    data = bytearray(rng.choice(originals()))
    compress = rng.choice(COMPRESSIONS)
    mutate = MUTATORS[number % len(MUTATORS)]
    if rng.random() < 0.5:
        return bytes(mutate(bytearray(compress(bytes(data))), rng))
    return compress(bytes(mutate(data, rng)))


def _timed_out(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {TIMEOUT} s of processor time")


def main(seed: str, first: int, count: int, folder: Path) -> None:
    """Read `count` files. Prints the numbers of those that made netwatch fail, each with the
    traceback, and the resident memory in KiB after a tenth of them and at the end."""
    config = configured(folder)
    path = folder / "damaged.pcap"
    signal.signal(signal.SIGVTALRM, _timed_out)
    failures: dict[int, str] = {}
    memory = 0
    for number in range(first, first + count):
        path.write_bytes(damaged(seed, number))
        command, *options = COMMANDS[number // len(MUTATORS) % len(COMMANDS)]
        if command == "scan":
            options += ["-c", config]
        signal.setitimer(signal.ITIMER_VIRTUAL, TIMEOUT)
        try:
            status = netwatch([command, str(path), "-o", str(folder / "records"), *options])
            if status not in (0, 1):
                failures[number] = f"exit status {status}"
        except BaseException:
            failures[number] = traceback.format_exc()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if number == first + count // 10:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    end = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"files": count, "failures": failures, "memory": [memory, end]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
