"""Which packets of which captures those in an evidence capture are: their comments say it.

An evidence capture is a pcapng file that `netwatch.incidents.evidence_folder` wrote: little-endian,
each packet in an Enhanced Packet Block (draft-ietf-opsawg-pcapng section 4.3) with comments that
have ``packet SOURCE#NUMBER``, then what `netwatch verify` needs.
"""

import re
import struct
from collections.abc import Iterator

_SECTION, _PACKET = 0x0A0D0D0A, 6
_COMMENT = 1
_PLACE = re.compile(
    r", packet (?P<source>.*)#(?P<number>\d+)(?:, from \S+ .*at \S+, sha256 [0-9a-f]{16})?\Z",
    re.DOTALL,
)

_TITLE = re.compile(
    r"incident (?P<incident>[0-9a-f]{32}):(?:.* Sensor (?P<sensor>.+)\.\Z)?", re.DOTALL
)

Place = tuple[str, int]
"""A source, and the number of a packet in it."""


def packet_places(data: bytes) -> list[Place | None]:
    """The original place of each packet of an evidence capture, in order; None where its comments
    do not say it. What follows a block that is damaged is left out."""
    places: list[Place | None] = []
    for kind, body in _blocks(data):
        if kind == _PACKET and len(body) >= 20:
            (captured,) = struct.unpack_from("<I", body, 12)
            places.append(_place(_comments(body[20 + captured + -captured % 4 :])))
    return places


def incident_id(data: bytes) -> tuple[str, str]:
    """The id of the incident that an evidence capture was written for, and the sensor that it is
    of; empty where its section does not say it."""
    kind, body = next(_blocks(data), (0, b""))
    for comment in _comments(body[16:]) if kind == _SECTION else ():
        found = _TITLE.match(comment)
        if found:
            return found["incident"], found["sensor"] or ""
    return "", ""


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            return
        yield kind, data[at + 8 : at + length - 4]
        at += length


def _comments(options: bytes) -> Iterator[str]:
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from("<HH", options, at)
        if code == 0:
            return
        if code == _COMMENT:
            yield options[at + 4 : at + 4 + length].decode("utf-8", "replace")
        at += 4 + length + -length % 4


def _place(comments: Iterator[str]) -> Place | None:
    for comment in comments:
        found = _PLACE.search(comment)
        if found:
            return found["source"], int(found["number"])
    return None
