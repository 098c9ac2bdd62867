"""Write a capture of any length to standard output, for commands that read one from a pipe.

``python bench/feed.py repeat FILE TIMES`` writes the packets of a pcap again and again, each time
a day later: the same devices come back, and what they did before has ended.
``python bench/feed.py KIND PACKETS`` writes a flood of `floods.py`, with contacts to banned names
among it.
"""

import struct
import sys
from pathlib import Path

from floods import FLOODS, Load

DAY = 86_400
_SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
"""The header of a section of unknown length, which forgets the interfaces before it."""


def interface(offset: int) -> bytes:
    """A description of an Ethernet interface whose times are `offset` seconds later."""
    options = struct.pack("<HHqHH", 14, 8, offset, 0, 0)
    length = 20 + len(options)
    return struct.pack("<IIHHI", 1, length, 1, 0, 262144) + options + struct.pack("<I", length)


def blocks(pcap: bytes) -> bytes:
    """The packets of a pcap with times in microseconds, as blocks of a pcapng."""
    out, at = bytearray(), 24
    while at < len(pcap):
        seconds, micro, captured, wire = struct.unpack_from("<4I", pcap, at)
        high, low = divmod(seconds * 10**6 + micro, 1 << 32)
        padded = captured + -captured % 4
        head = struct.pack("<7I", 6, 32 + padded, 0, high, low, captured, wire)
        data = pcap[at + 16 : at + 16 + captured].ljust(padded, b"\0")
        out += head + data + struct.pack("<I", 32 + padded)
        at += 16 + captured
    return bytes(out)


def main() -> None:
    """Write until all is written, or nobody reads."""
    kind, *rest = sys.argv[1:]
    out = sys.stdout.buffer
    if kind == "repeat":
        packets = blocks(Path(rest[0]).read_bytes())
        for number in range(int(rest[1])):
            out.write(_SECTION + interface(DAY * number))
            out.write(packets)
    elif kind in FLOODS:
        for piece in Load(kind, int(rest[0])).capture():
            out.write(piece)
    else:
        sys.exit(f"no such traffic: {kind}")


if __name__ == "__main__":
    main()
