"""Any capture of Ethernet with its packets in IP fragments, as they are or in VXLAN.

The fragment that completes a packet comes when the packet came, and the others before it: so the
capture has to show all that it showed, at the same times. The one exception is neighbour discovery,
of which nobody takes fragments (RFC 6980 section 5).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from support import layers
from support.captures import Frames

_TAGS = (b"\x81\x00", b"\x88\xa8")
_IP = (b"\x08\x00", b"\x86\xdd")


ICMPV6, ECHO = 58, 128
NEIGHBOUR_DISCOVERY = range(133, 138)
"""The types of ICMPv6 of RFC 4861."""


@dataclass(frozen=True)
class Fragmented:
    """The frames, and for the number of each packet the number of the frame that completes it;
    both count from 1. `ignored` are the numbers of the packets that nobody takes in fragments."""

    frames: Frames
    completed_by: Mapping[int, int]
    ignored: frozenset[int]


def in_fragments(
    frames: Frames, *, seed: int, share: float, size: int, lead: int, tunnel: bool
) -> Fragmented:
    """A capture with this `share` of its packets in fragments of at most `size` eighths, in any
    order, up to `lead` ns before the last. With `tunnel` every frame with TCP or UDP is first
    put in a datagram of VXLAN."""
    rng = random.Random(seed)
    out: list[tuple[int, int, int, bytes]] = []
    ignored = set()
    for number, (time, frame) in enumerate(frames):
        if tunnel and _is_tcp_or_udp(frame):
            inside = layers.vxlan((layers.ETHERNET, frame))
            frame = layers.frame(layers.ipv4(17, layers.datagram(4789, inside)), 9)[1]
        pieces = [frame]
        if rng.random() < share:
            pieces = _pieces(frame, number, size, rng)
            if pieces != [frame] and is_neighbour_discovery(frame):
                ignored.add(number + 1)
        rng.shuffle(pieces)
        # At one time, what completes a packet keeps its place among what completes others.
        out += [(time - rng.randint(0, lead), -1, number, piece) for piece in pieces[:-1]]
        out.append((time, number, number, pieces[-1]))
    out.sort(key=lambda each: each[:3])
    completed = {last + 1: place for place, (_, last, _, _) in enumerate(out, 1) if last >= 0}
    frames = [(time, frame) for time, _, _, frame in out]
    return Fragmented(frames, completed, frozenset(ignored))


def is_neighbour_discovery(frame: bytes) -> bool:
    """Whether a frame carries neighbour discovery, without extension headers."""
    at = _ip_at(frame)
    is_icmp = at > 0 and frame[at] >> 4 == 6 and frame[at + 6] == ICMPV6
    return is_icmp and frame[at + 40] in NEIGHBOUR_DISCOVERY


def without(frames: Frames, numbers: frozenset[int]) -> Frames:
    """The frames, of which those with these numbers, of neighbour discovery, ask for an echo."""
    out = []
    for number, (time, frame) in enumerate(frames, 1):
        if number in numbers:
            at = _ip_at(frame) + 40
            frame = frame[:at] + bytes([ECHO]) + frame[at + 1 :]
        out.append((time, frame))
    return out


def _pieces(frame: bytes, number: int, size: int, rng: random.Random) -> list[bytes]:
    """The frames of the fragments of a frame; the frame itself where it carries no IP."""
    at = _ip_at(frame)
    if not at:
        return [frame]
    head, packet = frame[:at], frame[at:]
    four = packet[0] >> 4 == 4
    packet = packet[: int.from_bytes(packet[2:4] if four else packet[4:6]) + (0 if four else 40)]
    cuts, end = [], 0
    while end < len(packet) // 8:
        end += rng.randint(1, size)
        cuts.append(end)
    return [head + piece for piece in layers.fragments(packet, cuts, number)]


def _ip_at(frame: bytes) -> int:
    """Where the IP packet of a frame starts, 0 where it has none."""
    at = 12
    while frame[at : at + 2] in _TAGS:
        at += 4
    return at + 2 if frame[at : at + 2] in _IP else 0


def _is_tcp_or_udp(frame: bytes) -> bool:
    """Whether a tunnel around the frame is not what is counted as a flow."""
    at = _ip_at(frame)
    return at > 0 and frame[at + (9 if frame[at] >> 4 == 4 else 6)] in (6, 17)
