"""Packets of a capture on standard input into an interface, at a steady rate.

``python bench/traffic.py office -o - | python bench/send.py out --pps 8000`` sends traffic
that never repeats, which replaying a file cannot. The capture is a pcap as `wire.Writer`
writes it. Only ever into an interface of a network namespace that nothing leaves.
"""

import argparse
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

BURST = 0.002
"""Seconds of packets that are sent at once."""


def packets(file: BinaryIO) -> Iterator[bytes]:
    """The packets of a little-endian pcap."""
    if file.read(24)[:4] != b"\xd4\xc3\xb2\xa1":
        raise SystemExit("send.py takes a little-endian pcap with microseconds")
    while head := file.read(16):
        yield file.read(struct.unpack_from("<I", head, 8)[0])


def send(file: BinaryIO, interface: str, pps: float) -> tuple[int, int]:
    """Send until the capture ends or whoever started it says so; how many packets went out,
    and how many the kernel had no room for."""
    sent = refused = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind((interface, 0))
        begin = time.monotonic()
        for packet in packets(file):
            try:
                out.send(packet)
            except OSError:
                refused += 1
            sent += 1
            if sent % max(1, int(pps * BURST)) == 0:
                ahead = begin + sent / pps - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
                elif ahead < -1:
                    # What it is behind it does not make up in one burst.
                    begin -= ahead
    return sent - refused, refused


def main() -> None:
    """Arguments in, how many went out on standard error."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("interface")
    parser.add_argument("--pps", type=float, required=True, metavar="N")
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        sent, refused = send(sys.stdin.buffer, args.interface, args.pps)
        print(f"{sent} packets sent, {refused} refused", file=sys.stderr)


if __name__ == "__main__":
    main()
