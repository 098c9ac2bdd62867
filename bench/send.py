"""Send the packets of a capture from standard input to an interface, at a constant rate.

``python bench/traffic.py office -o - | python bench/send.py out --pps 8000`` sends traffic that
never repeats, unlike a replayed file. The capture is a pcap as written by `wire.Writer`. Use it
only with an interface in a network namespace, from which no packet leaves.
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
"""Packets of this many seconds are sent in one burst."""


def packets(file: BinaryIO) -> Iterator[bytes]:
    """The packets of a little-endian pcap."""
    if file.read(24)[:4] != b"\xd4\xc3\xb2\xa1":
        raise SystemExit("send.py reads only little-endian pcap with microseconds")
    while head := file.read(16):
        yield file.read(struct.unpack_from("<I", head, 8)[0])


def send(file: BinaryIO, interface: str, pps: float) -> tuple[int, int]:
    """Send until the capture ends or the program is interrupted; returns the number of packets that
    were sent, and that the kernel refused for lack of buffers."""
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
                    # After a delay of more than a second, do not catch up in one burst.
                    begin -= ahead
    return sent - refused, refused


def main() -> None:
    """Send, and print the counts on standard error."""
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
