"""What a scan needs for a flood of lookups, each by another client that nobody knows.

    .venv/bin/python bench/unknown_clients.py --clients 10000000

The capture is written into a pipe. The scan has to end with one incident, whatever the number of
clients, and its memory has to stay below `MOST_MEMORY`.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import floods
from shared import messages

MOST_MEMORY = 300 * 10**6
"""Bytes that the scan may have resident."""

CONFIG = """version: 1
networks: [{name: hq, cidrs: [10.0.0.0/8], class: service}]
bans: [{pack: default}]
"""


def capture(clients: int) -> Iterator[bytes]:
    """A pcap with a lookup by each client, in chunks of some hundred packets."""
    query = messages.query(1, floods.BANNED, "A")
    piece = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    for number in range(clients):
        # The factor is odd, so there are 2^24 different addresses.
        host = (number * 2_654_435_761 & 0xFFFFFF).to_bytes(3, "big")
        frame = floods.udp(b"\x0a" + host, 1024 + number % 64_000, 53, query)
        seconds, rest = divmod(floods.START + number * floods.GAP, 10**6)
        piece += struct.pack("<4I", seconds, rest, len(frame), len(frame)) + frame
        if len(piece) > 1 << 16:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def main() -> int:
    """Run the scan; 1 where it needs too much memory, or reports more than one incident."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1_000_000)
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        config, records = Path(folder, "netwatch.yaml"), Path(folder, "records.jsonl")
        config.write_text(CONFIG)
        words = ["scan", "-q", "-c", str(config), "-", "--format", "jsonl", "-o", str(records)]
        scan = subprocess.Popen([sys.executable, "-m", "netwatch", *words], stdin=subprocess.PIPE)
        assert scan.stdin is not None
        for piece in capture(args.clients):
            scan.stdin.write(piece)
        scan.stdin.close()
        _, status, usage = os.wait4(scan.pid, 0)
        scan.returncode = os.waitstatus_to_exitcode(status)
        alerts = [json.loads(line) for line in records.read_text().splitlines()]
    memory, seconds = usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime
    print(f"{args.clients:,} clients: {memory / 10**6:.0f} MB, {seconds:.0f} s of CPU,", end=" ")
    print(f"{len(alerts)} incidents, the first of {alerts[0].get('clients', 1):,} clients")
    return int(scan.returncode != 0 or memory > MOST_MEMORY or len(alerts) != 1)


if __name__ == "__main__":
    sys.exit(main())
