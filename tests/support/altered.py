"""Evidence captures altered packet by packet, and written again as netwatch writes them."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from netwatch.core.flow import Frame, packet_digest
from netwatch.incidents.evidence_selection import interface, packet, section
from netwatch.verify.evidence_file import CapturedPacket, read_evidence_file

_DIGEST = re.compile(r"sha256 [0-9a-f]{16}$")

Alter = Callable[[list[CapturedPacket]], list[CapturedPacket]]


def altered(path: str | Path, out: Path, alter: Alter, *, honest: bool) -> Path:
    """Write a capture with other packets. `honest` recomputes the digests, so that only what the
    packets show can be wrong."""
    file = read_evidence_file(Path(path))
    packets = alter(list(file.packets))
    blocks = [section("altered", file.comments[0])]
    links = list(dict.fromkeys(each.link_type for each in packets))
    blocks += [interface(link, "", "altered", 262144) for link in links]
    for each in packets:
        comments = each.comments
        if honest:
            digest = f"sha256 {packet_digest(each.time, each.data)}"
            comments = tuple(_DIGEST.sub(digest, text) for text in comments)
        frame = Frame("", 1, each.time, 9, each.link_type, "", each.wire_length, -1, each.data)
        blocks.append(packet(frame, links.index(each.link_type), comments))
    target = out / Path(path).name
    target.write_bytes(b"".join(blocks))
    return target


def with_data(at: int, change: Callable[[bytes], bytes]) -> Alter:
    """Other bytes of one packet."""

    def alter(packets: list[CapturedPacket]) -> list[CapturedPacket]:
        packets[at] = replace(packets[at], data=change(packets[at].data))
        return packets

    return alter


def at_another_time(at: int, shift: int) -> Alter:
    """Another time of one packet, by `shift` ns."""

    def alter(packets: list[CapturedPacket]) -> list[CapturedPacket]:
        packets[at] = replace(packets[at], time=packets[at].time + shift)
        return packets

    return alter


def swapped(at: int, other: int) -> Alter:
    """The bytes of two packets in each other's place."""

    def alter(packets: list[CapturedPacket]) -> list[CapturedPacket]:
        one, two = packets[at], packets[other]
        packets[at], packets[other] = replace(one, data=two.data), replace(two, data=one.data)
        return packets

    return alter


def without(at: int) -> Alter:
    """One packet less."""
    return lambda packets: packets[:at] + packets[at + 1 :]
