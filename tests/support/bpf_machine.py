"""Classic BPF run in Python, as Documentation/networking/filter.rst describes it."""

from collections.abc import Sequence

OUTGOING = 4
"""The packet type of what a host sends itself."""


def run(program: Sequence[tuple[int, int, int, int]], packet: bytes, kind: int = 0) -> int:
    """The bytes that a program keeps of a packet; a load behind its end keeps none."""
    a = x = at = 0
    memory = [0] * 16
    while True:
        code, true, false, k = program[at]
        at += 1
        match code:
            case 0x20 | 0x28 | 0x30 | 0x40 | 0x48 | 0x50:
                size = {0x00: 4, 0x08: 2, 0x10: 1}[code & 0x18]
                if k == 0xFFFFF004:
                    a = kind
                    continue
                start = k + x if code & 0x40 else k
                if start + size > len(packet):
                    return 0
                a = int.from_bytes(packet[start : start + size], "big")
            case 0x80:
                a = len(packet)
            case 0x01:
                x = k
            case 0x60:
                a = memory[k]
            case 0x61:
                x = memory[k]
            case 0x02:
                memory[k] = a
            case 0x04:
                a = (a + k) & 0xFFFFFFFF
            case 0x0C:
                a = (a + x) & 0xFFFFFFFF
            case 0x1C:
                a = (a - x) & 0xFFFFFFFF
            case 0x54:
                a &= k
            case 0x64:
                a = (a << k) & 0xFFFFFFFF
            case 0x74:
                a >>= k
            case 0x07:
                x = a
            case 0x87:
                a = x
            case 0x15 | 0x1D | 0x35 | 0x3D | 0x45:
                other = x if code & 8 else k
                taken = {0x10: a == other, 0x30: a >= other, 0x40: a & other != 0}[code & 0xF0]
                at += true if taken else false
            case 0x06:
                return k
            case 0x16:
                return a
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")
